//! Slices folded on the core that reads the records, before anything crosses a ring.
//!
//! ```text
//!  records ─► combiner: one partial a (slice, key) ─► lanes ─► store: combined into its slices
//! ```
//! Where a slice holds several records of a key, one row a key goes through the lanes instead of
//! one a record, and a hot key is no longer the work of one core ("partial aggregation", Larson,
//! "Data reduction by partial preaggregation", ICDE 2002). Combining is associative and
//! commutative, so a slice may leave in any number of pieces.

use super::cells::{Cell, Cells};
use super::slices::Slices;
use super::spec::WindowSpec;
use super::{Firing, Flow};
use crate::aggregate::Aggregate;
use crate::limits::COMBINED_SLICES_MAX;
use crate::record::{KeyKind, Moment, Schema, SourceSequence, TableHasher};
use bytemuck::Pod;
use std::marker::PhantomData;

/// The partial of one key in one slice, as a row of a frame:
///
/// ```text
///  | slice start | records | key words .. | partial words .. |
/// ```
#[derive(Debug)]
pub struct SlicePartial<'a, K: KeyKind, P> {
    /// The first moment of the slice, in nanoseconds.
    pub slice_start: i64,
    /// How many records it stands for.
    pub records: u64,
    /// The key.
    pub key: K::Ref<'a>,
    /// What the records came to.
    pub partial: &'a P,
}

/// Words before the key.
const HEAD_WORDS: usize = 2;

impl<'a, K: KeyKind, P: Pod> SlicePartial<'a, K, P> {
    /// Words of a row.
    pub fn stride_words() -> usize {
        const { assert!(align_of::<P>() <= 8, "a partial's alignment is at most 8 bytes") };
        HEAD_WORDS + K::words() + size_of::<P>().div_ceil(8)
    }

    /// Lays it into a row and the frame's tail heap.
    #[inline]
    pub fn lay(&self, words: &mut [u64], tail: &mut Vec<u8>) {
        words[0] = self.slice_start.cast_unsigned();
        words[1] = self.records;
        let (key, partial) = words[HEAD_WORDS..].split_at_mut(K::words());
        K::lay(self.key, key, tail);
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(partial);
        bytes[..size_of::<P>()].copy_from_slice(bytemuck::bytes_of(self.partial));
        if !size_of::<P>().is_multiple_of(8) {
            bytes[size_of::<P>()..].fill(0);
        }
    }

    /// Reads what was laid so.
    #[inline]
    pub fn read(words: &'a [u64], tail: &'a [u8]) -> Self {
        let (key, partial) = words[HEAD_WORDS..].split_at(K::words());
        let bytes: &[u8] = bytemuck::cast_slice(partial);
        Self {
            slice_start: words[0].cast_signed(),
            records: words[1],
            key: K::read(key, tail),
            partial: bytemuck::from_bytes(&bytes[..size_of::<P>()]),
        }
    }
}

/// What has left a combiner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Records that the partials stood for.
    pub records: u64,
    /// Partials.
    pub partials: u64,
}

/// A slice on its way out: where it starts, its pane, and the next of its keys.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    start: i64,
    pane: u32,
    next: usize,
}

/// One source's slices.
pub struct Combiner<K: KeyKind, A: Aggregate<Row>, Row: ?Sized> {
    spec: WindowSpec,
    aggregate: A,
    hasher: TableHasher,
    slices: Slices<Cells<K, A::Partial>>,
    leaving: Option<Leaving>,
    records: u64,
    drained: Drained,
    row: PhantomData<fn(&Row)>,
}

impl<K: KeyKind, A: Aggregate<Row>, Row: ?Sized> Combiner<K, A, Row> {
    /// A combiner that holds nothing.
    pub fn new(spec: WindowSpec, aggregate: A) -> Self {
        Self {
            spec,
            aggregate,
            hasher: TableHasher::new(),
            slices: Slices::new(spec, COMBINED_SLICES_MAX),
            leaving: None,
            records: 0,
            drained: Drained::default(),
            row: PhantomData,
        }
    }

    /// Folds a row into its slice. [`Flow::Full`] when that would open one slice too many: the
    /// combiner is to be drained then, and the row offered again.
    #[inline(always)]
    pub fn fold<S: Schema<Row = Row, Key = K>>(
        &mut self,
        schema: &S,
        (row, heap): (&Row, &[u8]),
        sequence: SourceSequence,
    ) -> Flow {
        let time = schema.event_time(row);
        let Ok(pane) = self.slices.pane_at(time.as_nanos()) else {
            return Flow::Full;
        };
        let (aggregate, key) = (&self.aggregate, schema.key(row, heap));
        let cells = self.slices.pane_mut(pane);
        let cell = cells.cell(&self.hasher, key, || aggregate.identity());
        aggregate.fold(&mut cell.partial, Moment { time, sequence }, row);
        cell.records += 1;
        self.records += 1;
        Flow::Taken
    }

    /// Lets the slices out that start before a moment; all of them when it is `i64::MAX`.
    /// [`Firing::Blocked`] when a partial was not taken; it is offered first the next time.
    pub fn drain(
        &mut self,
        before: i64,
        emit: &mut impl FnMut(&SlicePartial<'_, K, A::Partial>) -> Flow,
    ) -> Firing {
        while let Some(mut leaving) = self.leaving.take().or_else(|| self.next_leaving(before)) {
            let (records, drained) = (&mut self.records, &mut self.drained);
            let cells = self.slices.pane_mut(leaving.pane);
            leaving.next =
                cells.drain(leaving.next, self.aggregate.identity(), &mut |key, cell| {
                    let Cell { partial, records: stands_for, .. } = cell;
                    let (slice_start, stands_for) = (leaving.start, *stands_for);
                    let out = SlicePartial { slice_start, records: stands_for, key, partial };
                    if emit(&out) == Flow::Full {
                        return false;
                    }
                    *records -= stands_for;
                    drained.records += stands_for;
                    drained.partials += 1;
                    true
                });
            if leaving.next < cells.keys() {
                self.leaving = Some(leaving);
                return Firing::Blocked;
            }
            self.slices.recycle(leaving.pane);
        }
        Firing::Done
    }

    fn next_leaving(&mut self, before: i64) -> Option<Leaving> {
        let slice = self.slices.first()?;
        let start = self.spec.slice_start(slice);
        if start >= before && before != i64::MAX {
            return None;
        }
        let pane = self.slices.close(slice)?;
        Some(Leaving { start, pane, next: 0 })
    }

    /// Slices that it holds, and the partials in them.
    pub fn held(&self) -> (usize, u64) {
        (self.slices.len(), self.slices.iter().map(|cells| cells.keys() as u64).sum())
    }

    /// Records that it holds.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Memory in bytes, about.
    pub fn bytes(&self) -> usize {
        self.slices.bytes()
    }

    /// What has left it since the start.
    pub fn drained(&self) -> Drained {
        self.drained
    }
}

impl<K: KeyKind, A: Aggregate<Row>, Row: ?Sized> std::fmt::Debug for Combiner<K, A, Row> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Combiner").field("records", &self.records).finish_non_exhaustive()
    }
}
