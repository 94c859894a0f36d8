//! Rows whose columns are known at run time: what is computed of them and how results are written.
//!
//! May use `record`, `aggregate`, `time` and `limits`. Knows nothing of windows, threads or files:
//! it is given bytes, partials and something to write to.

pub mod aggregates;
mod kind;
pub mod render;
mod stamp;
mod value;

pub use kind::{ColumnKind, NumberKind};
pub use stamp::push_stamp;
pub use value::Value;
