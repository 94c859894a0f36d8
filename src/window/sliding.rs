//! Combining slices into sliding windows, so that a close costs what was touched and not
//! size / slide.
//!
//! Each key alive in the window has a dense slot. With an inverse, a slot has one running partial
//! from which the slice that leaves is subtracted. Without, slices form two stacks (Tangwongsan,
//! Hirzel and Schneider, "Low-Latency Sliding-Window Aggregation in Worst-Case Constant Time",
//! DEBS 2017), kept sparsely over all keys at once:
//!
//! ```text
//!   oldest                                    newest
//!   | front: slices with saved partials | back: slices |
//!     front[slot] = all front slices      back[slot] = all back slices
//! ```
//! `saved` of an entry is what `front[slot]` is once the entry's slice and all older ones have
//! left. A window's partial is `front ∘ back`.

mod saved;

use super::copies::Copies;
use super::pane::Pane;
use super::spec::SliceIndex;
use super::table::Index;
use super::unsaved::Unsaved;
use crate::aggregate::Aggregate;
use crate::record::{KeyKind, TableHasher};
use bytemuck::Pod;
use saved::FrozenSlice;
use std::collections::VecDeque;

pub(super) use saved::SlidingRestorer;

/// One key alive in the window.
#[derive(Clone, Copy, Debug)]
struct Slot<P, K> {
    front: P,
    back: P,
    key: K,
    /// Entries of retained slices that refer to the slot.
    references: u32,
    /// Its place among the live slots.
    place: u32,
}

/// The slots of keys, alive or free.
struct Slots<K: KeyKind, P> {
    rows: Vec<Slot<P, K::Stored>>,
    heap: K::Heap,
    /// What a snapshot lacks still of the rows.
    unsaved: Unsaved,
}

/// A slice that is still part of some window: its entries, key by key.
#[derive(Debug)]
struct Retained<P> {
    slice: SliceIndex,
    slots: Vec<u32>,
    partials: Vec<P>,
    saved: Vec<P>,
    frozen: FrozenSlice<P>,
}

/// The slices of the windows that are open, combined.
pub(super) struct Sliding<K: KeyKind, P> {
    index: Index,
    slots: Slots<K, P>,
    free: Vec<u32>,
    live: Vec<u32>,
    /// Bytes of the heap when it was last without garbage.
    heap_clean: usize,
    retained: VecDeque<Retained<P>>,
    /// How many of the oldest retained slices are the front.
    front: usize,
    /// Whether a late record changed the front since its partials were saved.
    stale: bool,
    spare: Vec<Retained<P>>,
    entries: usize,
    /// The oldest slice that a snapshot may lack some of.
    turn: Option<SliceIndex>,
    /// Slices that have left, and stay for a snapshot that lacks some of them.
    left: VecDeque<Retained<P>>,
}

const SPARE_MAX: usize = 16;
/// Less garbage is left where it is; tests have little, and want some of it collected.
const HEAP_GARBAGE_MIN: usize = if cfg!(test) { 64 } else { 64 << 10 };

impl<K: KeyKind, P: Pod + Send> Sliding<K, P> {
    pub(super) fn new() -> Self {
        Self {
            index: Index::new(),
            slots: Slots {
                rows: Vec::new(),
                heap: K::Heap::default(),
                unsaved: Unsaved::default(),
            },
            free: Vec::new(),
            live: Vec::new(),
            heap_clean: 0,
            retained: VecDeque::new(),
            front: 0,
            stale: false,
            spare: Vec::new(),
            entries: 0,
            turn: None,
            left: VecDeque::new(),
        }
    }

    /// Keys alive.
    pub(super) fn live(&self) -> usize {
        self.live.len()
    }

    /// (Key, slice) pairs retained.
    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    /// Bytes of keys of no fixed width.
    pub(super) fn key_bytes(&self) -> usize {
        K::heap_bytes(&self.slots.heap)
    }

    /// The oldest slice that is retained.
    pub(super) fn oldest(&self) -> Option<SliceIndex> {
        self.retained.front().map(|retained| retained.slice)
    }

    /// Slices retained.
    pub(super) fn slices(&self) -> usize {
        self.retained.len()
    }

    /// The oldest slice retained that is not before `first`.
    pub(super) fn first_from(&self, first: SliceIndex) -> Option<SliceIndex> {
        let at = self.retained.partition_point(|retained| retained.slice < first);
        self.retained.get(at).map(|retained| retained.slice)
    }

    /// The slices retained, oldest first.
    pub(super) fn slices_retained(&self) -> impl Iterator<Item = SliceIndex> {
        self.retained.iter().map(|retained| retained.slice)
    }

    /// The entries of a slice, if it is retained. Late records may have given a key several.
    pub(super) fn each_of(&self, slice: SliceIndex, mut on_entry: impl FnMut(K::Ref<'_>, &P)) {
        for retained in self.retained.iter().filter(|retained| retained.slice == slice) {
            for (slot, partial) in retained.slots.iter().zip(&retained.partials) {
                let Slots { rows, heap, .. } = &self.slots;
                on_entry(K::load(heap, &rows[*slot as usize].key), partial);
            }
        }
    }

    /// Adds the newest slice.
    pub(super) fn push<Row: ?Sized, A: Aggregate<Row, Partial = P>>(
        &mut self,
        slice: SliceIndex,
        pane: &Pane<K, P>,
        (hasher, aggregate): (&TableHasher, &A),
        copies: &mut Copies,
    ) {
        let mut retained = self.spare.pop().unwrap_or_else(|| Retained::new(slice));
        retained.slice = slice;
        for entry in &pane.entries {
            let key = pane.key(entry);
            let slot = self.slot((K::table_hash(hasher, key), key), aggregate, copies);
            let row = &mut self.slots.rows[slot as usize];
            row.references += 1;
            aggregate.combine(&mut row.back, &entry.partial);
            retained.slots.push(slot);
            retained.partials.push(entry.partial);
        }
        self.entries += retained.slots.len();
        self.retained.push_back(retained);
    }

    /// Adds to a slice that has been pushed already, or would have been had it held anything.
    pub(super) fn add_late<Row: ?Sized, A: Aggregate<Row, Partial = P>>(
        &mut self,
        slice: SliceIndex,
        (hash, key): (u64, K::Ref<'_>),
        partial: P,
        aggregate: &A,
        copies: &mut Copies,
    ) {
        let at = self.retained.partition_point(|retained| retained.slice < slice);
        let mut in_front = at < self.front;
        if self.retained.get(at).is_none_or(|retained| retained.slice != slice) {
            let mut retained = self.spare.pop().unwrap_or_else(|| Retained::new(slice));
            retained.slice = slice;
            self.retained.insert(at, retained);
            self.front += usize::from(in_front);
        } else {
            in_front = at < self.front;
        }
        let slot = self.slot((hash, key), aggregate, copies);
        let row = &mut self.slots.rows[slot as usize];
        row.references += 1;
        if in_front {
            self.stale = true;
        } else {
            aggregate.combine(&mut row.back, &partial);
        }
        self.retained[at].slots.push(slot);
        self.retained[at].partials.push(partial);
        self.entries += 1;
    }

    /// The slot of a key, which may change then.
    fn slot<Row: ?Sized, A: Aggregate<Row, Partial = P>>(
        &mut self,
        (hash, key): (u64, K::Ref<'_>),
        aggregate: &A,
        copies: &mut Copies,
    ) -> u32 {
        let Slots { rows, heap, .. } = &self.slots;
        let found = self.index.find(hash, |slot| K::matches(heap, &rows[slot].key, key));
        if let Some(slot) = found {
            self.slots.before_change(slot as u32, copies);
            return slot as u32;
        }
        let fresh = Slot {
            front: aggregate.identity(),
            back: aggregate.identity(),
            key: K::store(&mut self.slots.heap, key),
            references: 0,
            place: self.live.len() as u32,
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.rows.push(fresh);
            self.slots.rows.len() as u32 - 1
        });
        self.slots.before_change(slot, copies);
        self.slots.rows[slot as usize] = fresh;
        self.live.push(slot);
        self.index.insert(hash, slot as usize);
        slot
    }

    /// Lets the slices before `first` leave.
    pub(super) fn evict_before<Row: ?Sized, A: Aggregate<Row, Partial = P>>(
        &mut self,
        first: SliceIndex,
        (hasher, aggregate): (&TableHasher, &A),
        copies: &mut Copies,
    ) {
        while self.oldest().is_some_and(|oldest| oldest < first) {
            self.settle(aggregate, copies);
            if !aggregate.is_invertible() && self.front == 0 {
                self.flip(aggregate, copies);
            }
            let Some(mut retained) = self.retained.pop_front() else {
                return;
            };
            self.slots.before_changes(&retained.slots, copies);
            if aggregate.is_invertible() {
                for (slot, partial) in retained.slots.iter().zip(&retained.partials) {
                    aggregate.subtract(&mut self.slots.rows[*slot as usize].back, partial);
                }
            } else {
                self.front -= 1;
                for (slot, saved) in retained.slots.iter().zip(&retained.saved).rev() {
                    self.slots.rows[*slot as usize].front = *saved;
                }
            }
            self.entries -= retained.slots.len();
            for slot in &retained.slots {
                self.release(*slot, hasher, copies);
            }
            if retained.is_unsaved() {
                self.left.push_back(retained);
            } else if self.spare.len() < SPARE_MAX {
                retained.clear();
                self.spare.push(retained);
            }
        }
        self.collect_garbage(copies);
    }

    /// Takes one reference from a slot that is changed already; the last one frees it.
    fn release(&mut self, slot: u32, hasher: &TableHasher, copies: &mut Copies) {
        let entry = &mut self.slots.rows[slot as usize];
        entry.references -= 1;
        if entry.references != 0 {
            return;
        }
        let place = entry.place as usize;
        let hash = K::table_hash(hasher, self.slots.key(slot));
        self.index.remove(hash, slot as usize);
        self.live.swap_remove(place);
        if let Some(moved) = self.live.get(place) {
            self.slots.before_change(*moved, copies);
            self.slots.rows[*moved as usize].place = place as u32;
        }
        self.free.push(slot);
    }

    /// Rewrites the keys' heap when most of it belongs to keys that are gone.
    fn collect_garbage(&mut self, copies: &mut Copies) {
        let bytes = self.key_bytes();
        if bytes < HEAP_GARBAGE_MIN || bytes < self.heap_clean * 2 {
            return;
        }
        self.slots.save_rest(copies);
        let mut heap = K::Heap::default();
        for slot in &self.live {
            let key = K::store(&mut heap, self.slots.key(*slot));
            self.slots.rows[*slot as usize].key = key;
        }
        self.slots.heap = heap;
        self.heap_clean = self.key_bytes();
    }

    /// Makes the back the front.
    fn flip<Row: ?Sized, A: Aggregate<Row, Partial = P>>(
        &mut self,
        aggregate: &A,
        copies: &mut Copies,
    ) {
        self.front = self.retained.len();
        for retained in &self.retained {
            self.slots.before_changes(&retained.slots, copies);
            for slot in &retained.slots {
                self.slots.rows[*slot as usize].back = aggregate.identity();
            }
        }
        self.save_front(aggregate, copies);
    }

    /// Brings the front up to date after late records.
    pub(super) fn settle<Row: ?Sized, A: Aggregate<Row, Partial = P>>(
        &mut self,
        aggregate: &A,
        copies: &mut Copies,
    ) {
        if self.stale {
            self.save_front(aggregate, copies);
        }
    }

    /// Computes the front's partials, saving what they are once a slice has left.
    fn save_front<Row: ?Sized, A: Aggregate<Row, Partial = P>>(
        &mut self,
        aggregate: &A,
        copies: &mut Copies,
    ) {
        self.stale = false;
        for retained in self.retained.range(..self.front) {
            self.slots.before_changes(&retained.slots, copies);
            for slot in &retained.slots {
                self.slots.rows[*slot as usize].front = aggregate.identity();
            }
        }
        for retained in self.retained.range_mut(..self.front).rev() {
            retained.begin_saved();
            for (slot, partial) in retained.slots.iter().zip(&retained.partials) {
                let front = &mut self.slots.rows[*slot as usize].front;
                retained.saved.push(*front);
                aggregate.combine(front, partial);
            }
        }
    }

    /// The key and the window's partial of the live slot at `place`. The front is settled.
    #[inline]
    pub(super) fn result<Row: ?Sized, A: Aggregate<Row, Partial = P>>(
        &self,
        place: usize,
        aggregate: &A,
    ) -> (K::Ref<'_>, P) {
        let slot = &self.slots.rows[self.live[place] as usize];
        let mut partial = slot.back;
        if !aggregate.is_invertible() {
            aggregate.combine(&mut partial, &slot.front);
        }
        (K::load(&self.slots.heap, &slot.key), partial)
    }
}

impl<K: KeyKind, P: Pod> Slots<K, P> {
    /// What a snapshot lacks of a slot goes to `copies`.
    #[inline(always)]
    fn before_change(&mut self, slot: u32, copies: &mut Copies) {
        if self.unsaved.may_lack(slot as usize) {
            self.save_before_change(slot as usize, copies);
        }
    }

    /// The same for many.
    fn before_changes(&mut self, slots: &[u32], copies: &mut Copies) {
        if self.unsaved.is_any() {
            slots.iter().for_each(|slot| self.before_change(*slot, copies));
        }
    }

    fn key(&self, slot: u32) -> K::Ref<'_> {
        K::load(&self.heap, &self.rows[slot as usize].key)
    }
}

impl<P> Retained<P> {
    fn new(slice: SliceIndex) -> Self {
        let (slots, partials, saved) = (Vec::new(), Vec::new(), Vec::new());
        Self { slice, slots, partials, saved, frozen: FrozenSlice::default() }
    }

    fn clear(&mut self) {
        self.slots.clear();
        self.partials.clear();
        self.saved.clear();
        self.frozen = FrozenSlice::default();
    }
}

impl<K: KeyKind, P> std::fmt::Debug for Sliding<K, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sliding").field("live", &self.live.len()).finish_non_exhaustive()
    }
}
