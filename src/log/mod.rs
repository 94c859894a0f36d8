//! The log of a shard: every frame that can change its state or its output, in the order in which
//! the shard took them. Replaying it gives the same results, byte for byte.
//!
//! May use `frame`, `record`, `time`, `limits` and `fault`. Knows nothing of windows, lanes or
//! sources: it stores frames and gives them back.
//!
//! ```text
//!  log of shard 3:    s003-0000000000000000.log   s003-0000000000000001.log   ...
//!  a segment:         | segment header | frame | frame | frame | whatever was there before |
//! ```
//! Frames lie as the rings carry them, one CRC32C each. The checksum goes on from the header of
//! the segment and the frame's place in it, so bytes of an older use of the same file are never
//! taken for frames. Nothing is overwritten; a new run begins a new segment.

mod ahead;
mod backing;
#[cfg(test)]
mod crashed;
mod error;
#[cfg(test)]
mod faulty;
#[cfg(unix)]
mod files;
mod memory;
mod mend;
mod name;
mod plain;
mod reader;
mod recover;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

#[cfg(unix)]
mod mapped;
#[cfg(unix)]
mod sigbus;

pub use ahead::SegmentRequest;
pub use backing::{Backing, Segment, Syncer};
pub use error::{LogError, Refusal};
#[cfg(unix)]
pub use files::{LogFiles, LogSegment};
#[cfg(unix)]
pub use mapped::{MappedFiles, MappedSegment};
pub use memory::{CrashingFiles, MemorySegment};
pub use mend::{LogHistory, LogMend, look_at_history, look_how_to_mend};
pub use name::SegmentName;
pub use plain::{PlainFiles, PlainSegment};
pub use reader::{Entry, LogEnd, LogReader, Torn};
pub use recover::{drop_beyond, make_durable};
pub use segment::{Guarantee, LogIdentity, SegmentHeader};
pub use writer::{LogWriter, SyncPoint, WriterStart, begin_empty, make_ready};

use std::fmt;

/// The number of an entry among all entries of a shard's log, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntrySequence(pub u64);

impl EntrySequence {
    /// The number of the entry after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Where an entry lies: the segment, and the bytes before it in the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition {
    /// The segment.
    pub segment: SegmentName,
    /// Bytes from the segment's start.
    pub offset: u64,
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.segment, self.offset)
    }
}
