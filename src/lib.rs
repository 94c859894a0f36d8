//! Tidewheel: a single-node stream processing engine.

// Derives of this crate's own dependents name it by this path, in doc tests too.
extern crate self as tidewheel;

pub mod aggregate;
pub mod cpu;
pub mod frame;
mod hint;
pub mod limits;
pub mod record;
pub mod ring;
mod sync;
pub mod time;
pub mod window;

pub use bytemuck::{Pod, Zeroable};
pub use record::Record;
pub use time::{EventTime, Span, Watermark};
