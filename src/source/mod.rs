//! Where records come from: the trait that every source fulfils, and the sources for typed rows.
//!
//! May use `record`, `time`, `limits`, `cpu` (a bell to ring) and `ring` (what a handle is made
//! of). Knows nothing of lanes, windows or shards: a source hands batches over and is asked again;
//! watermarks are made of them by the shard's intake.

mod blocks;
mod generator;
mod handle;
mod memory;
mod packed;
mod zipf;

pub use generator::{GeneratedRecord, GeneratorSource, Workload};
pub use handle::{HandleSource, PushError, Pusher, handle};
pub use memory::MemorySource;
pub use packed::PackedSource;

use crate::cpu::Bell;
use crate::record::Schema;
use bytemuck::{Pod, Zeroable};
use std::fmt::Debug;

/// Says how many records of a source are kept.
pub type KeptRecords = std::sync::Arc<dyn Fn() -> u64 + Send + Sync>;

/// What a poll brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// A batch lies ready, perhaps of no rows (all of them malformed, say).
    Batch,
    /// Nothing now; something may come later.
    Pending,
    /// Nothing more will come.
    End,
}

/// One partition of a stream: rows in their order. Runs on the core of a shard, so `poll` never
/// blocks and never does more than a batch of work.
pub trait Source<S: Schema>: Send {
    /// Makes the next batch of at most `rows_max` rows.
    ///
    /// # Errors
    /// When the source cannot go on. The engine stops with that error.
    fn poll(&mut self, rows_max: usize) -> Result<Polled, SourceError>;

    /// The rows of the last poll that said [`Polled::Batch`].
    fn batch(&self) -> S::Batch<'_>;

    /// What people call the source: a file's name, say.
    fn name(&self) -> &str;

    /// The bell of the core that the source runs on. A source that others feed rings it when
    /// something came; the rest need not listen.
    fn attach(&mut self, bell: &Bell) {
        let _ = bell;
    }

    /// Whether the source can be read again from a position, in another run.
    fn can_resume(&self) -> bool {
        false
    }

    /// Where the source stands: behind the last record of the last batch. `None` when it is not
    /// between two records, or can not be read again.
    ///
    /// # Errors
    /// When the source cannot go on.
    fn position(&mut self) -> Result<Option<SourcePosition>, SourceError> {
        Ok(None)
    }

    /// Goes on where a source of the same records stood, in this run or an earlier one. Called
    /// before the first poll.
    ///
    /// # Errors
    /// When the records before the position are not those that were read.
    fn resume(&mut self, position: SourcePosition) -> Result<(), SourceError> {
        let _ = position;
        Err(SourceError::Data(format!(
            "{}: cannot be read again from where an earlier run stopped",
            self.name()
        )))
    }

    /// Asked while the engine is being stopped, before each poll: whether records that were taken
    /// from somewhere for good are still to be handed over. From the first call on no more are
    /// taken, and polls bring what there is.
    fn drains(&mut self) -> bool {
        false
    }

    /// Whether records come only once, from a program that wants to hear which of them are kept:
    /// what it has not heard of may be lost when a run is cut off. Such a source can not be read
    /// again; its position is how many records it has brought.
    fn is_pushed(&self) -> bool {
        false
    }

    /// Gives a pushed source what says how many of its records are kept, those of earlier runs
    /// counted in. Called before the first poll, where there is a state directory.
    fn acknowledge_by(&mut self, kept: KeptRecords) {
        let _ = kept;
    }

    /// More records may be kept than before: whoever waits for that is to be woken.
    fn acknowledge(&mut self) {}

    /// Counts since the start, for the ledger and the metrics.
    fn counts(&self) -> SourceCounts {
        SourceCounts::default()
    }
}

/// Where a source stands. Words of a log's entry: the layout is part of the format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct SourcePosition {
    /// How much lies before: bytes of a file, records of what lies in memory.
    pub offset: u64,
    /// The line on which the next record begins, from 1; zero where there are no lines.
    pub line: u64,
    /// Records before that could not be understood.
    pub malformed: u64,
    /// A hash of what lies just before, to know it again.
    pub check: u64,
}

/// The hash of the bytes before a position, and of its place.
pub(crate) fn check_of(offset: u64, before: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(before, offset)
}

/// What to say when what lies before a position is not what was read.
pub(crate) fn changed(name: &str, offset: u64, unit: &str) -> SourceError {
    SourceError::Data(format!(
        "{name}: what lies before {unit} {offset} is not what an earlier run read; put the old \
         content back (it may have grown since), or begin anew with another state directory"
    ))
}

/// What a source counts beyond the rows that it hands over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// Records that could not be understood. They are in no batch.
    pub malformed: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Bytes there are to read in all, when that is known.
    pub bytes_total: Option<u64>,
}

/// Why a source cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The operating system said no.
    #[error("{name}: {error}")]
    Io {
        /// The source.
        name: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// The data are wrong, and the user asked to stop at that.
    #[error("{0}")]
    Data(String),
    /// An earlier run read the source to its end, and let out what that closes.
    #[error(
        "{name}: there is more now, but an earlier run with this state has read it to its end, and \
         closed all windows for that; to read all of it, begin anew with another state directory; \
         to wait for more instead of ending, it has to be followed from the first run on"
    )]
    Ended {
        /// The source.
        name: String,
    },
}

/// All that a source still has.
#[cfg(test)]
fn read_all<T, S>(source: &mut S, rows_max: usize) -> Vec<T>
where
    T: crate::record::Record,
    S: Source<crate::record::Typed<T>>,
{
    let mut records = Vec::new();
    loop {
        match source.poll(rows_max).expect("the source goes on") {
            Polled::Batch => records.extend_from_slice(source.batch()),
            Polled::Pending => std::thread::yield_now(),
            Polled::End => return records,
        }
    }
}
