//! Records that lie in memory already.

use super::blocks::Blocks;
use super::{Polled, Source, SourceCounts, SourceError, SourcePosition, changed, check_of};
use crate::record::{Record, Typed};
use std::ops::{Deref, Range};
use std::sync::Arc;

/// Hands records over where they lie: in a `Vec<T>`, an `Arc<[T]>` that several sources share, a
/// `&'static [T]`, or whatever else is a slice.
#[derive(Debug)]
pub struct MemorySource<T, D = Arc<[T]>>
where
    D: Deref<Target = [T]>,
{
    records: D,
    blocks: Blocks,
    batch: Range<usize>,
    name: String,
}

impl<T: Record, D: Deref<Target = [T]> + Send> MemorySource<T, D> {
    /// All of the records.
    pub fn new(records: D) -> Self {
        let all = records.len().max(1);
        Self::strided(records, 1, 0, all)
    }

    /// The `nth` of every `every` blocks of `block` records: so several sources share one list,
    /// and none runs ahead of the others in event time.
    ///
    /// # Panics
    /// When `block` is zero or `nth` is not below `every`.
    pub fn strided(records: D, every: usize, nth: usize, block: usize) -> Self {
        let total = records.len() as u64;
        let blocks = Blocks::new(total, every as u64, nth as u64, block as u64);
        Self { records, blocks, batch: 0..0, name: "memory".into() }
    }

    /// Sets what people call the source; `memory` if it is not set.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

impl<T: Record, D: Deref<Target = [T]> + Send> MemorySource<T, D> {
    /// The hash of the record before a place.
    fn check(&self, offset: u64) -> u64 {
        let before = (offset as usize).min(self.records.len());
        let record = &self.records[before.saturating_sub(1)..before];
        check_of(offset, bytemuck::cast_slice(record))
    }
}

impl<T: Record, D: Deref<Target = [T]> + Send> Source<Typed<T>> for MemorySource<T, D> {
    fn poll(&mut self, rows_max: usize) -> Result<Polled, SourceError> {
        if self.blocks.is_finished() {
            return Ok(Polled::End);
        }
        let range = self.blocks.take(rows_max, u64::MAX);
        self.batch = range.start as usize..range.end as usize;
        Ok(Polled::Batch)
    }

    fn batch(&self) -> &[T] {
        &self.records[self.batch.clone()]
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn position(&mut self) -> Result<Option<SourcePosition>, SourceError> {
        let offset = self.blocks.next();
        Ok(Some(SourcePosition { offset, check: self.check(offset), ..SourcePosition::default() }))
    }

    fn resume(&mut self, position: SourcePosition) -> Result<(), SourceError> {
        if position.check != self.check(position.offset) {
            return Err(changed(&self.name, position.offset, "record"));
        }
        self.blocks.go_to(position.offset);
        Ok(())
    }

    fn counts(&self) -> SourceCounts {
        let each = size_of::<T>() as u64;
        SourceCounts {
            malformed: 0,
            bytes: self.blocks.taken() * each,
            bytes_total: Some(self.blocks.len() * each),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{GeneratedRecord, Workload, read_all};

    #[test]
    fn records_are_handed_over_where_they_lie() {
        let records: Arc<[_]> = Workload::uniform(5, 10).generate().into();
        let mut source = MemorySource::new(Arc::clone(&records));
        assert_eq!(source.poll(4).unwrap(), Polled::Batch);
        assert!(std::ptr::eq(source.batch(), &records[..4]));
        assert_eq!(source.counts().bytes, 96);
        assert_eq!(read_all(&mut source, 4), records[4..]);
        assert_eq!(source.poll(4).unwrap(), Polled::End);
        assert_eq!(source.counts().bytes_total, Some(source.counts().bytes));
    }

    #[test]
    fn any_slice_will_do() {
        let records = Workload::uniform(5, 100).generate();
        let leaked: &'static [GeneratedRecord] = records.clone().leak();
        assert_eq!(read_all(&mut MemorySource::new(records.clone()), 7), records);
        assert_eq!(read_all(&mut MemorySource::new(leaked), 7), records);
        let empty: Vec<GeneratedRecord> = Vec::new();
        let mut source = MemorySource::new(empty).named("nothing");
        assert_eq!(source.poll(7).unwrap(), Polled::End);
        assert_eq!(source.name(), "nothing");
    }

    #[test]
    fn strided_sources_share_one_list() {
        let records: Arc<[_]> = Workload::uniform(5, 10_000).generate().into();
        let shares: Vec<_> = (0..3)
            .map(|nth| MemorySource::strided(Arc::clone(&records), 3, nth, 1024))
            .map(|mut source| read_all(&mut source, 1000))
            .collect();
        let mut woven = Vec::new();
        for block in 0..10_usize {
            let at = block / 3 * 1024;
            let share = &shares[block % 3];
            woven.extend_from_slice(&share[at..share.len().min(at + 1024)]);
        }
        assert_eq!(woven, *records);
    }
}
