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
use std::fmt::Debug;

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

    /// Counts since the start, for the ledger and the metrics.
    fn counts(&self) -> SourceCounts {
        SourceCounts::default()
    }
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
