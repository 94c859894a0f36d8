//! Rows whose columns are known at run time: CSV and JSON Lines read into rows, aggregates chosen
//! by name, results written as a table, CSV or JSON Lines.
//!
//! May use `source`, `record`, `aggregate`, `time` and `limits`. Knows nothing of windows, threads
//! or shards: it makes sources and is given partials and something to write to.

pub mod aggregates;
mod bytes;
mod cells;
mod csv;
mod delimiter;
mod error;
mod guess;
mod infer;
mod jsonl;
mod kind;
mod malformed;
mod number;
mod open;
mod plan;
mod predicate;
pub mod render;
mod rows;
mod timestamp;
mod value;

pub use bytes::{Chunk, ChunkSource};
pub use delimiter::{Delimiter, ParseDelimiterError};
pub use error::{ErrorClass, NoNumbers, OpenError, UnknownColumn};
pub use kind::{ColumnKind, NumberKind};
pub use malformed::Malformed;
pub use open::{Input, Opened, open, open_until};
pub use plan::{
    Awaited, DeclaredType, Follow, HeaderMode, InputColumn, InputFormat, Notice, ReadPlan,
};
pub use predicate::FilterError;
pub use timestamp::{ParseTimeError, TimeUnit, TimestampReader};
pub use value::Value;

pub use crate::time::push_stamp;

#[cfg(test)]
mod tests;
