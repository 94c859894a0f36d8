//! What can be wrong with a log, and how to mend it.

use super::{LogPosition, SegmentName};
use crate::frame::FrameError;
use crate::record::ShardIndex;
use std::io;

/// Why a log can not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The operating system said no.
    #[error("{path}: can not {action}: {error}")]
    Io {
        /// Which file or folder.
        path: String,
        /// What was to be done.
        action: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The bytes are not what was written.
    #[error(
        "{path}: damaged at byte {}: {reason}; good entries follow, so this is not the torn end of \
         a write that was interrupted; put the file back from a copy, let tidewheel log repair put \
         aside what is damaged, or begin anew with another state directory", position.offset
    )]
    Damaged {
        /// The file.
        path: String,
        /// Where.
        position: LogPosition,
        /// What was found there.
        reason: Refusal,
    },
    /// The log is of a later version.
    #[error(
        "{path}: written in version {found} of the log's format, this program knows version \
         {known}: use the program that wrote it, or a later one"
    )]
    Version {
        /// The file.
        path: String,
        /// Its version.
        found: u32,
        /// The last version that this program knows.
        known: u32,
    },
    /// A segment of another log.
    #[error(
        "{path}: belongs to another log ({found:016x}, this one is {expected:016x}): was it \
         copied from another state directory? Move it out of here"
    )]
    Foreign {
        /// The file.
        path: String,
        /// The log that it belongs to.
        found: u64,
        /// The log that is read.
        expected: u64,
    },
    /// A segment is missing.
    #[error(
        "the log's segment {name} is missing; a later one, {path}, is there; put the file back \
         from a copy, or let tidewheel log repair put aside what is behind it"
    )]
    Missing {
        /// Which is missing.
        name: SegmentName,
        /// Which is there.
        path: String,
    },
    /// The log does not go on where the shard's snapshot stands.
    #[error(
        "beside {path} segments are missing, or the snapshot: the log of shard {} goes on with \
         entry {found}, and its snapshot with entry {first}, which is 0 where there is none; put \
         the files back from a copy, or begin anew with another state directory", shard.0
    )]
    Lost {
        /// The segment with that entry, or the last before it.
        path: String,
        /// Whose log.
        shard: ShardIndex,
        /// The entry that the log has, or would have, next.
        found: u64,
        /// The entry that is needed.
        first: u64,
    },
    /// An entry is longer than a segment.
    #[error("an entry of {bytes} bytes is longer than a log segment of {segment_bytes}")]
    TooLong {
        /// Bytes of the entry.
        bytes: u64,
        /// Bytes of a segment.
        segment_bytes: u64,
    },
}

/// Why bytes are not an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// They are no frame, or not the one that was written here.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The segment has no header.
    #[error("the segment's header is not one, or not the one that was written here")]
    Header,
    /// The next segment begins with another entry than the one that is due.
    #[error("the next segment begins with entry {found}, entry {expected} is due")]
    Gap {
        /// The first entry of the next segment.
        found: u64,
        /// The entry that is due.
        expected: u64,
    },
}

impl LogError {
    /// What the system said no to.
    pub(crate) fn io(path: String, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { path, action, error }
    }
}
