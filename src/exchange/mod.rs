//! The corridor between sources and shards: one lane for each (source, shard), drawn once.
//!
//! ```text
//!              shard 0   shard 1   shard 2
//!  source 0 ───lane──────lane──────lane      a source writes rows into the lane of the shard
//!  source 1 ───lane──────lane──────lane      that owns the key; watermarks go into all of them
//! ```
//! May use `ring`, `frame`, `record`, `time`, `cpu`, `metrics` and `limits`. Knows nothing of
//! windows. A lane between two cores is a ring; a source and a shard on one core share a lane
//! without atomics.

mod inbox;
mod merge;
mod router;
mod size;

pub use inbox::{Inbox, LaneEnd};
pub use merge::WatermarkMerge;
pub use router::{LaneStart, Round, Router, Routing};
pub use size::{LaneNeed, LaneSize};

use crate::limits;

/// Words of the longest frame.
pub const FRAME_WORDS_MAX: usize = limits::FRAME_BYTES_MAX / 8;
