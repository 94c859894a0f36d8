//! Tidewheel: a single-node stream processing engine. Event-time windows, one thread and one shard
//! of the keys per core, lock-free rings between the cores.
//!
//! ```
//! use tidewheel::source::{GeneratedRecord, Workload};
//! use tidewheel::{Count, Max, MemorySource, Span, Stream, WindowSpec};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Stream::of(MemorySource::new(Workload::uniform(5, 100_000).generate()))
//!     .out_of_order(Span::from_millis(500))
//!     .window(WindowSpec::tumbling(Span::from_seconds(1))?)
//!     .aggregate((Count, Max::of(|record: &GeneratedRecord| record.value)))
//!     .for_each(|result| println!("{} {} {:?}", result.window, result.key, result.value))
//!     .open()?;
//! engine.start()?.join()?;
//! # Ok(())
//! # }
//! ```
//!
//! # The rooms, along a record's way
//!
//! | room | what happens there |
//! |---|---|
//! | [`source`], [`text`] | records are read, batch by batch |
//! | [`operator`] | filter, map, flat_map, before the key is routed |
//! | [`exchange`] | the key's hash picks the lane; watermarks ride along |
//! | [`ring`], [`frame`] | lanes between cores, and the one form that rows travel in |
//! | [`shard`] | the roles that own a core: intake and shard |
//! | [`log`] | what a shard takes is written down first, so that it can be taken again |
//! | [`window`], [`aggregate`] | records are folded into slices, windows fire |
//! | [`sink`] | results leave |
//! | [`engine`] | describes, checks, assembles and runs all of it |
//!
//! Below them: [`time`], [`record`], [`limits`]; beside them: [`cpu`], [`metrics`], and [`state`],
//! the directory that logs lie in, and [`fault`], for tests of what can go wrong. How they work
//! together, and what is promised: [`guide::architecture`]; the words: [`guide::glossary`].
#![cfg_attr(not(feature = "text"), allow(rustdoc::broken_intra_doc_links))]

// Derives of this crate's own dependents name it by this path, in doc tests too.
extern crate self as tidewheel;

pub mod aggregate;
pub mod cpu;
pub mod engine;
pub mod exchange;
pub mod fault;
pub mod frame;
mod hint;
pub mod limits;
pub mod log;
pub mod metrics;
pub mod operator;
pub mod record;
pub mod ring;
pub mod shard;
pub mod sink;
pub mod source;
pub mod state;
mod sync;
#[cfg(feature = "text")]
pub mod text;
pub mod time;
pub mod window;

pub use aggregate::{Aggregate, Count, First, Last, Max, Mean, Min, StdDev, Sum, Variance};
pub use bytemuck::{Pod, Zeroable};
pub use cpu::{IdlePolicy, Placement};
pub use engine::{Engine, Running, Runtime, Stream};
pub use record::Record;
pub use shard::{Combining, Progress};
pub use sink::{Output, Results, WindowResult};
pub use source::{MemorySource, Source};
pub use time::{EventTime, Span, Watermark};
pub use window::{Window, WindowSpec};

pub mod guide {
    //! For readers: how the engine is made and what it promises, and the words of the code.

    #[doc = include_str!("guide/architecture.md")]
    pub mod architecture {}

    #[doc = include_str!("guide/glossary.md")]
    pub mod glossary {}
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
