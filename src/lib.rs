//! Tidewheel: a single-node stream processing engine.

// Derives of this crate's own dependents name it by this path, in doc tests too.
extern crate self as tidewheel;

pub mod aggregate;
pub mod cpu;
pub mod engine;
pub mod exchange;
pub mod frame;
mod hint;
pub mod limits;
pub mod metrics;
pub mod operator;
pub mod record;
pub mod ring;
pub mod shard;
pub mod sink;
pub mod source;
mod sync;
#[cfg(feature = "text")]
pub mod text;
pub mod time;
pub mod window;

pub use aggregate::{Aggregate, Count, First, Last, Max, Mean, Min, StdDev, Sum, Variance};
pub use bytemuck::{Pod, Zeroable};
pub use cpu::{IdlePolicy, Placement};
pub use engine::{Engine, Runtime, Running, Stream};
pub use record::Record;
pub use shard::Progress;
pub use sink::{Output, Results, WindowResult};
pub use source::{MemorySource, Source};
pub use time::{EventTime, Span, Watermark};
pub use window::{Window, WindowSpec};
