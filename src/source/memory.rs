//! Records that lie in memory already.

use super::{Polled, Source, SourceError};
use crate::record::{Record, Typed};
use std::ops::Range;
use std::sync::Arc;

/// Hands over records in place, without copying them.
#[derive(Debug)]
pub struct MemorySource<T> {
    records: Arc<[T]>,
    /// The source takes `block` records of every `stride`.
    block: usize,
    stride: usize,
    /// The block in hand, as far as it is not handed over.
    rest: Range<usize>,
    batch: Range<usize>,
}

impl<T: Record> MemorySource<T> {
    /// All of the records.
    pub fn new(records: impl Into<Arc<[T]>>) -> Self {
        let records = records.into();
        let all = records.len().max(1);
        Self::strided(records, 1, 0, all)
    }

    /// The `nth` of every `every` blocks of `block` records: so several sources share the work,
    /// and the event time, of one list.
    ///
    /// # Panics
    /// When `block` is zero or `nth` is not below `every`.
    pub fn strided(records: Arc<[T]>, every: usize, nth: usize, block: usize) -> Self {
        assert!(block > 0 && nth < every, "block {block}, {nth} of {every}");
        let start = (nth * block).min(records.len());
        let end = (start + block).min(records.len());
        Self { records, block, stride: every * block, rest: start..end, batch: 0..0 }
    }
}

impl<T: Record> Source<Typed<T>> for MemorySource<T> {
    fn poll(&mut self, rows_max: usize) -> Result<Polled, SourceError> {
        if self.rest.is_empty() {
            // The block in hand ended where its number says, unless the records did before.
            let block = (self.rest.end.saturating_sub(1)) / self.block * self.block;
            let start = (block + self.stride).min(self.records.len());
            self.rest = start..(start + self.block).min(self.records.len());
        }
        if self.rest.is_empty() {
            return Ok(Polled::End);
        }
        let end = self.rest.end.min(self.rest.start + rows_max);
        self.batch = self.rest.start..end;
        self.rest.start = end;
        Ok(Polled::Batch)
    }

    fn batch(&self) -> &[T] {
        &self.records[self.batch.clone()]
    }

    fn name(&self) -> &str {
        "memory"
    }
}
