//! Slices folded on the core that reads the records, before anything crosses a ring.
//!
//! ```text
//!  records ─► combiner: one partial a (slice, key) ─► lanes ─► store: combined into its slices
//! ```
//! Where a slice holds several records of a key, one row a key goes through the lanes instead of
//! one a record, and a hot key is no longer the work of one core ("partial aggregation", Larson,
//! "Data reduction by partial preaggregation", ICDE 2002). Combining is associative and
//! commutative, so a slice may leave in any number of pieces.

use super::slices::{Content, NO_PANE, Slices};
use super::spec::WindowSpec;
use super::table::Index;
use super::{Firing, Flow};
use crate::aggregate::Aggregate;
use crate::hint;
use crate::limits::COMBINED_SLICES_MAX;
use crate::record::{KeyHash, KeyKind, Moment, RouteHasher, Schema, SourceSequence};
use bytemuck::Pod;
use std::marker::PhantomData;

/// A partial and how many records it stands for.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Tallied<P> {
    partial: P,
    records: u64,
}

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

/// Keys that are remembered however few of them a slice holds.
const KEYS_KEPT_MIN: usize = 4096;

/// Words before the key.
const HEAD_WORDS: usize = 2;
/// Rows of a block.
const BLOCK_ROWS: usize = 32;

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

/// The keys of a source, numbered densely over all its slices: what a record is looked up by is
/// small and near, and the partial that it leads to is the only far memory touched.
struct Numbered<K: KeyKind> {
    index: Index,
    keys: Vec<K::Stored>,
    routes: Vec<KeyHash>,
    heap: K::Heap,
}

impl<K: KeyKind> Numbered<K> {
    fn new() -> Self {
        Self { index: Index::new(), keys: Vec::new(), routes: Vec::new(), heap: K::Heap::default() }
    }

    #[inline(always)]
    fn number(&mut self, hash: u64, key: K::Ref<'_>, route: RouteHasher) -> usize {
        let (keys, heap) = (&self.keys, &self.heap);
        match self.index.find(hash, |at| K::matches(heap, &keys[at], key)) {
            Some(number) => number,
            None => self.add(hash, key, route),
        }
    }

    #[cold]
    fn add(&mut self, hash: u64, key: K::Ref<'_>, route: RouteHasher) -> usize {
        let number = self.keys.len();
        self.index.insert(hash, number);
        let stored = K::store(&mut self.heap, key);
        self.keys.push(stored);
        self.routes.push(K::route(route, key));
        number
    }

    fn clear(&mut self) {
        *self = Self::new();
    }

    fn bytes(&self) -> usize {
        self.index.bytes()
            + self.keys.len() * (size_of::<K::Stored>() + size_of::<KeyHash>())
            + K::heap_bytes(&self.heap)
    }
}

/// One slice's partials, by the number of their key, and one bit each that says whether there is
/// something in it. Those without are identities.
struct Cells<P> {
    cells: Vec<Tallied<P>>,
    touched: Vec<u64>,
}

impl<P> Default for Cells<P> {
    fn default() -> Self {
        Self { cells: Vec::new(), touched: Vec::new() }
    }
}

impl<P> Content for Cells<P> {
    /// All cells were taken out one by one.
    fn clear(&mut self) {
        debug_assert!(self.touched.iter().all(|word| *word == 0), "what is cleared was drained");
    }

    fn bytes(&self) -> usize {
        self.cells.len() * size_of::<Tallied<P>>()
    }
}

impl<P: Copy> Cells<P> {
    #[cold]
    fn reach(&mut self, number: usize, identity: P) {
        let cell = Tallied { partial: identity, records: 0 };
        let length = (number + 1).next_power_of_two().max(64);
        self.cells.resize(length, cell);
        self.touched.resize(length / 64, 0);
    }

    /// The number of the first touched cell from `from` on.
    fn next_touched(&self, from: usize) -> Option<usize> {
        let first = from / 64;
        let mut word = *self.touched.get(first)? & u64::MAX << (from % 64);
        for at in first.. {
            if word != 0 {
                return Some(at * 64 + word.trailing_zeros() as usize);
            }
            word = *self.touched.get(at + 1)?;
        }
        None
    }
}

/// A slice on its way out: where it starts, its pane, the next of its cells, and how many partials
/// have left.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    start: i64,
    pane: u32,
    next: usize,
    partials: usize,
}

/// Rows that are looked up together before any is folded, so that the far memory that each
/// leads to is on its way while the others are looked up.
struct Block {
    /// The rows, as in a frame, and the heap that they point into.
    rows: Vec<u64>,
    tail: Vec<u8>,
    /// Each row's hash, pane and sequence.
    places: [(u64, u32, SourceSequence); BLOCK_ROWS],
    length: usize,
}

/// One source's slices.
pub struct Combiner<K: KeyKind, A: Aggregate<Row>, Row: ?Sized> {
    spec: WindowSpec,
    aggregate: A,
    hasher: ahash::RandomState,
    route: RouteHasher,
    keys: Numbered<K>,
    slices: Slices<Cells<A::Partial>>,
    block: Block,
    leaving: Option<Leaving>,
    is_crowded: bool,
    records: u64,
    drained: Drained,
    row: PhantomData<fn(&Row)>,
}

impl<K: KeyKind, A: Aggregate<Row>, Row: ?Sized> Combiner<K, A, Row> {
    /// A combiner that holds nothing. `route` is the hash that shards are chosen by.
    pub fn new(spec: WindowSpec, aggregate: A, route: RouteHasher) -> Self {
        Self {
            spec,
            aggregate,
            hasher: ahash::RandomState::new(),
            route,
            keys: Numbered::new(),
            slices: Slices::new(spec, COMBINED_SLICES_MAX),
            block: Block {
                rows: Vec::new(),
                tail: Vec::new(),
                places: [(0, NO_PANE, SourceSequence::default()); BLOCK_ROWS],
                length: 0,
            },
            leaving: None,
            is_crowded: false,
            records: 0,
            drained: Drained::default(),
            row: PhantomData,
        }
    }

    /// Takes a row. [`Flow::Full`] when that would open one slice too many: the combiner is to be
    /// drained then, and the row offered again. [`Combiner::settle`] has it counted.
    #[inline(always)]
    pub fn fold<S: Schema<Row = Row, Key = K>>(
        &mut self,
        schema: &S,
        (row, heap): (&Row, &[u8]),
        sequence: SourceSequence,
    ) -> Flow {
        let Ok(pane) = self.slices.pane_at(schema.event_time(row).as_nanos()) else {
            return Flow::Full;
        };
        let hash = K::table_hash(&self.hasher, schema.key(row, heap));
        self.keys.index.prefetch(hash);
        let (block, stride) = (&mut self.block, schema.stride_words());
        let at = block.length;
        if block.rows.len() < (at + 1) * stride {
            block.rows.resize(BLOCK_ROWS * stride, 0);
        }
        schema.lay(row, heap, &mut block.rows[at * stride..][..stride], &mut block.tail);
        block.places[at] = (hash, pane, sequence);
        block.length += 1;
        if block.length == BLOCK_ROWS {
            self.settle(schema);
        }
        Flow::Taken
    }

    /// Folds the rows that wait to be looked up together. To be called before a drain.
    #[inline]
    pub fn settle<S: Schema<Row = Row, Key = K>>(&mut self, schema: &S) {
        let stride = schema.stride_words();
        let block = &mut self.block;
        let length = std::mem::take(&mut block.length);
        let mut numbers = [0; BLOCK_ROWS];
        let places = &block.places[..length];
        let rows = block.rows.chunks_exact(stride);
        for ((row, place), number) in rows.clone().zip(places).zip(&mut numbers) {
            let key = schema.key(schema.view(row), &block.tail);
            *number = self.keys.number(place.0, key, self.route);
            hint::prefetch(&self.slices.pane(place.1).cells, *number);
        }
        for ((row, (_, pane, sequence)), number) in rows.zip(places).zip(numbers) {
            let row = schema.view(row);
            let moment = Moment { time: schema.event_time(row), sequence: *sequence };
            let cells = self.slices.pane_mut(*pane);
            if number >= cells.cells.len() {
                cells.reach(number, self.aggregate.identity());
            }
            cells.touched[number / 64] |= 1 << (number % 64);
            let cell = &mut cells.cells[number];
            self.aggregate.fold(&mut cell.partial, moment, row);
            cell.records += 1;
        }
        self.records += length as u64;
        block.tail.clear();
    }

    /// Lets the slices out that start before a moment. [`Firing::Blocked`] when a partial was
    /// not taken; it is offered first the next time.
    ///
    /// # Panics
    /// When rows wait to be settled.
    pub fn drain(
        &mut self,
        before: i64,
        emit: &mut impl FnMut(KeyHash, &SlicePartial<'_, K, A::Partial>) -> Flow,
    ) -> Firing {
        assert!(self.block.length == 0, "rows are settled before a drain");
        let none = Tallied { partial: self.aggregate.identity(), records: 0 };
        while let Some(mut leaving) = self.leaving.take().or_else(|| self.next_leaving(before)) {
            let cells = self.slices.pane_mut(leaving.pane);
            while let Some(number) = cells.next_touched(leaving.next) {
                let cell = &mut cells.cells[number];
                let out = SlicePartial {
                    slice_start: leaving.start,
                    records: cell.records,
                    key: K::load(&self.keys.heap, &self.keys.keys[number]),
                    partial: &cell.partial,
                };
                if emit(self.keys.routes[number], &out) == Flow::Full {
                    self.leaving = Some(leaving);
                    return Firing::Blocked;
                }
                self.records -= out.records;
                self.drained.records += out.records;
                self.drained.partials += 1;
                *cell = none;
                cells.touched[number / 64] &= !(1 << (number % 64));
                (leaving.next, leaving.partials) = (number + 1, leaving.partials + 1);
            }
            self.is_crowded = self.keys.keys.len() > KEYS_KEPT_MIN + leaving.partials * 8;
            self.slices.recycle(leaving.pane);
        }
        if self.records == 0 && self.slices.len() == 0 {
            self.keys.clear();
            self.is_crowded = false;
        }
        Firing::Done
    }

    fn next_leaving(&mut self, before: i64) -> Option<Leaving> {
        let slice = self.slices.first()?;
        let start = self.spec.slice_start(slice);
        if start >= before {
            return None;
        }
        let pane = self.slices.close(slice)?;
        Some(Leaving { start, pane, next: 0, partials: 0 })
    }

    /// Whether most of the keys that it knows have not been seen for long. They are forgotten
    /// once all has left.
    pub fn is_crowded(&self) -> bool {
        self.is_crowded
    }

    /// Records that it holds.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Memory in bytes, about.
    pub fn bytes(&self) -> usize {
        self.slices.bytes() + self.keys.bytes()
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
