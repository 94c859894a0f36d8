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

pub use inbox::{Inbox, LaneEnd};
pub use merge::WatermarkMerge;
pub use router::{LaneStart, Round, Router, Routing};

use crate::limits;

/// Words of the longest frame.
pub const FRAME_WORDS_MAX: usize = limits::FRAME_BYTES_MAX / 8;

/// Words of each lane's ring when there are so many lanes: all lanes together stay within a
/// budget as long as a lane still holds a few frames.
pub const fn lane_words(lanes: usize) -> usize {
    let mut bytes = limits::LANE_BYTES;
    while bytes > 4 * limits::FRAME_BYTES_MAX && bytes * lanes > 64 << 20 {
        bytes /= 2;
    }
    bytes / 8
}
