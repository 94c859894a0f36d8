//! Why an engine does not open, and why one stops.

use crate::cpu::IoUringRefusal;
use crate::limits;
use crate::shard::ShardError;
use crate::source::SourceError;
use crate::state::StateError;

/// Why a pipeline does not open. Nothing runs and nothing is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is nothing to read.
    #[error("the stream has no source; give it at least one")]
    NoSource,
    /// More sources than an engine reads.
    #[error("{0} sources are more than the {max} that an engine reads; join some of them",
        max = limits::PARTITIONS_MAX)]
    TooManySources(usize),
    /// No shards, or more than an engine runs.
    #[error("there cannot be {0} shards; take 1 to {max}", max = limits::SHARDS_MAX)]
    Shards(usize),
    /// A tick of zero.
    #[error("the tick is zero; it is the resolution of timestamps, at least 1 ns")]
    ZeroTick,
    /// A record that fits no frame.
    #[error("a row of {bytes} bytes is longer than the {max} that a frame takes; make it shorter",
        max = limits::RECORD_BYTES_MAX)]
    RowTooLong {
        /// Bytes of a row.
        bytes: usize,
    },
    /// So many lanes that they take too much memory, however small they are.
    #[error(
        "the lanes from {sources} sources to {shards} shards take at least {bytes} bytes, more \
         than the {max} that they may; {}", fewer(*shards_max)
    )]
    LaneMemory {
        /// How many sources there are.
        sources: usize,
        /// How many shards there are to be.
        shards: usize,
        /// Bytes of all lanes, as small as they can be.
        bytes: usize,
        /// Bytes that they may take.
        max: usize,
        /// So many shards would do.
        shards_max: usize,
    },
    /// Nothing says where the state of earlier runs is.
    #[error("the pipeline has no state, so nothing is kept of it that could be taken again")]
    NoHistory,
    /// A closure can not be handed results that are noted first.
    #[error(
        "results are to be delivered at-most-once, and a closure is called on its shard's core, \
         which can not wait until they are noted: take them from a handle (into_results), or say \
         at-least-once"
    )]
    AtMostOnce,
    /// The state directory can not be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// A shard can not take again what earlier runs took.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// A source can not go on where an earlier run stood.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A result that fits no frame.
    #[error(
        "a key and its aggregate of {bytes} bytes are longer than the {max} that a frame takes; \
         ask for fewer aggregates or smaller ones",
        max = limits::RECORD_BYTES_MAX
    )]
    PartialTooLong {
        /// Bytes of a key and a partial aggregate.
        bytes: usize,
    },
}

/// How lanes become few enough.
fn fewer(shards_max: usize) -> String {
    match shards_max {
        0 => "join some of the sources".to_owned(),
        _ => format!("take {shards_max} shards at most, or join some of the sources"),
    }
}

/// Why an engine stopped before its end, or did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A source could not go on.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A shard could not go on.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// A thread panicked: a defect, of the engine or of a closure given to it.
    #[error("shard {shard} panicked: {message}")]
    Panicked {
        /// The shard whose step it was.
        shard: usize,
        /// What it said.
        message: String,
    },
    /// An earlier step failed or panicked: what it left undone is not known.
    #[error("an earlier step of this engine failed, and it can not go on; open another one")]
    Broken,
    /// The runtime of glommio was asked for, and this machine refuses it.
    #[error("the runtime glommio cannot run here: {0}")]
    RuntimeRefused(IoUringRefusal),
    /// A thread or an executor could not be started.
    #[error("a thread for {thread} could not be started: {reason}")]
    NoThread {
        /// What it is for.
        thread: String,
        /// What the system said.
        reason: String,
    },
}
