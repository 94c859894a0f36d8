//! A flat table of partials: a record touches one place of it, and what it holds leaves key by key.

use super::slices::Content;
use crate::record::{KeyKind, TableHasher};
use bytemuck::Zeroable;

const CELLS_MIN: usize = 64;

/// A place of the table. The partial stands first, so that it is aligned whatever the key is.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(super) struct Cell<P, K> {
    pub(super) partial: P,
    /// How many records it stands for. Zero: the place is free, the partial an identity.
    pub(super) records: u64,
    pub(super) key: K,
}

/// One slice's partials, by open addressing. At most half full.
pub(super) struct Cells<K: KeyKind, P> {
    cells: Vec<Cell<P, K::Stored>>,
    /// How far a hash is shifted to say where its key belongs.
    shift: u32,
    /// Where the keys are, in the order in which they came.
    order: Vec<u32>,
    heap: K::Heap,
}

impl<K: KeyKind, P> Default for Cells<K, P> {
    fn default() -> Self {
        Self { cells: Vec::new(), shift: 63, order: Vec::new(), heap: K::Heap::default() }
    }
}

impl<K: KeyKind, P> Content for Cells<K, P> {
    fn clear(&mut self) {
        if self.cells.len() > CELLS_MIN + self.order.len() * 16 {
            (self.cells, self.shift) = (Vec::new(), 63);
        }
        self.order.clear();
        K::clear(&mut self.heap);
    }

    fn bytes(&self) -> usize {
        self.cells.len() * size_of::<Cell<P, K::Stored>>() + K::heap_bytes(&self.heap)
    }
}

impl<K: KeyKind, P: Copy> Cells<K, P> {
    /// The cell of a key, `identity` when the key is new. It is to be given a record.
    #[inline(always)]
    pub(super) fn cell(
        &mut self,
        hasher: &TableHasher,
        key: K::Ref<'_>,
        identity: impl Fn() -> P,
    ) -> &mut Cell<P, K::Stored> {
        if self.order.len() * 2 >= self.cells.len() {
            self.grow(hasher, identity());
        }
        let mask = self.cells.len() - 1;
        let mut at = (K::table_hash(hasher, key) >> self.shift) as usize & mask;
        loop {
            let cell = &self.cells[at];
            if cell.records == 0 {
                self.order.push(at as u32);
                self.cells[at].key = K::store(&mut self.heap, key);
                break;
            }
            if K::matches(&self.heap, &cell.key, key) {
                break;
            }
            at = (at + 1) & mask;
        }
        &mut self.cells[at]
    }

    #[cold]
    fn grow(&mut self, hasher: &TableHasher, identity: P) {
        let length = (self.cells.len() * 2).max(CELLS_MIN);
        let free = Cell { partial: identity, records: 0, key: K::Stored::zeroed() };
        let old = std::mem::replace(&mut self.cells, vec![free; length]);
        self.shift = 64 - length.trailing_zeros();
        for place in &mut self.order {
            let cell = &old[*place as usize];
            let hash = K::table_hash(hasher, K::load(&self.heap, &cell.key));
            let mut at = (hash >> self.shift) as usize;
            while self.cells[at].records != 0 {
                at = (at + 1) & (length - 1);
            }
            self.cells[at] = *cell;
            *place = at as u32;
        }
    }

    /// Takes the keys from the one at `next` on out, in the order in which they came, until
    /// `take` says that it has no room. Says which is the next.
    pub(super) fn drain(
        &mut self,
        mut next: usize,
        identity: P,
        take: &mut impl for<'a> FnMut(K::Ref<'a>, &'a Cell<P, K::Stored>) -> bool,
    ) -> usize {
        for place in &self.order[next..] {
            let cell = &mut self.cells[*place as usize];
            if !take(K::load(&self.heap, &cell.key), cell) {
                break;
            }
            (cell.partial, cell.records) = (identity, 0);
            next += 1;
        }
        next
    }

    /// Keys that came.
    pub(super) fn keys(&self) -> usize {
        self.order.len()
    }
}
