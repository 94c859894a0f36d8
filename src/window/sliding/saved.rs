//! Combined slices in chunks, as a snapshot holds them: what they were when they were frozen,
//! whatever becomes of them meanwhile.
//!
//! The slots come first, since a close changes those of every key that it touches; one that is
//! about to change is copied before, with its chunk. Entries of a slice are never changed: those
//! that come late stand behind the others, and are no part. A slice that leaves stays for the
//! snapshot, and so do saved partials that are computed anew.

use super::{Copies, Retained, SPARE_MAX, SliceIndex, Sliding, Slot, Slots};
use crate::record::{KeyKind, NotSaved, TableHasher, WordsReader, WordsWriter};
use crate::window::chunk::{Chunk, ChunkOf};
use crate::window::table::Index;
use crate::window::unsaved::{Awaited, Unsaved};
use bytemuck::{Pod, Zeroable};
use std::collections::HashMap;
use std::ops::Range;

/// Bytes of a chunk of slots, about. All of them are copied where one is to change.
const CHUNK_BYTES: usize = 1 << 10;
/// However large a slot is, the words before a chunk are few beside it.
const CHUNK_SLOTS_MIN: usize = 4;
/// Entries of a slice in a chunk.
const CHUNK_ENTRIES: usize = 16;
/// The number of no slot.
const NO_SLOT: u32 = u32::MAX;

/// What a retained slice is to a snapshot.
#[derive(Debug)]
pub(super) struct FrozenSlice<P> {
    /// By which snapshots know it; zero where none holds it.
    number: u64,
    /// Entries that snapshots hold.
    known: usize,
    /// Whether its saved partials have been computed since it was last frozen.
    is_anew: bool,
    /// Entries that are lacking.
    entries: Range<usize>,
    /// Saved partials that are lacking.
    saved: Range<usize>,
    /// What these were, where they have been computed anew since.
    aside: Vec<P>,
}

impl<P> Default for FrozenSlice<P> {
    fn default() -> Self {
        Self { number: 0, known: 0, is_anew: false, entries: 0..0, saved: 0..0, aside: Vec::new() }
    }
}

/// Takes a chunk off the rows that are lacking.
fn next_chunk(lacking: &mut Range<usize>) -> Option<Range<usize>> {
    let first = lacking.start;
    lacking.start = (first + CHUNK_ENTRIES).min(lacking.end);
    (first < lacking.start).then_some(first..lacking.start)
}

impl<P: Pod> Retained<P> {
    /// What it holds now is to be saved: all of it under the next of `numbers`, or, where snapshots
    /// know it, `only_changes`.
    fn freeze(&mut self, numbers: &mut u64, only_changes: bool) {
        let FrozenSlice { number, known, is_anew, entries, saved, .. } = &mut self.frozen;
        let (slots, partials) = (self.slots.len(), self.saved.len());
        if only_changes && *number != 0 {
            // The last chunk may have become longer.
            let first =
                if *known == slots { slots } else { *known / CHUNK_ENTRIES * CHUNK_ENTRIES };
            (*entries, *saved) = (first..slots, if *is_anew { 0..partials } else { 0..0 });
        } else {
            *numbers += 1;
            *number = *numbers;
            (*entries, *saved) = (0..slots, 0..partials);
        }
        (*known, *is_anew) = (slots, false);
    }

    /// Whether a snapshot lacks some of it.
    pub(super) fn is_unsaved(&self) -> bool {
        let FrozenSlice { entries, saved, .. } = &self.frozen;
        entries.start < entries.end || saved.start < saved.end
    }

    /// Its saved partials are about to be computed anew.
    pub(super) fn begin_saved(&mut self) {
        let FrozenSlice { saved, aside, is_anew, .. } = &mut self.frozen;
        *is_anew = true;
        match saved.start < saved.end && aside.is_empty() {
            true => *aside = std::mem::take(&mut self.saved),
            false => self.saved.clear(),
        }
    }

    /// Saves the next chunk that is lacking; says whether there was one.
    fn save_chunk(&mut self, out: &mut WordsWriter) -> bool {
        let FrozenSlice { number, entries, saved, aside, .. } = &mut self.frozen;
        if let Some(rows) = next_chunk(entries) {
            let (of, first) = (ChunkOf::Retained(*number), rows.start);
            Chunk { of, first, count: rows.len() }.save(out);
            let partials = &self.partials[rows.clone()];
            for (slot, partial) in self.slots[rows].iter().zip(partials) {
                out.word(u64::from(*slot));
                out.pod(partial);
            }
            return true;
        }
        let Some(rows) = next_chunk(saved) else { return false };
        let (of, first) = (ChunkOf::Saved(*number), rows.start);
        Chunk { of, first, count: rows.len() }.save(out);
        let partials = if aside.is_empty() { &self.saved } else { &*aside };
        partials[rows].iter().for_each(|partial| out.pod(partial));
        if saved.start == saved.end {
            *aside = Vec::new();
        }
        true
    }
}

impl<K: KeyKind, P: Pod> Slots<K, P> {
    /// Slots of a chunk, a power of two.
    const CHUNK: usize = {
        let fit = CHUNK_BYTES / (size_of::<Slot<P, K::Stored>>() | 1);
        if fit < CHUNK_SLOTS_MIN { CHUNK_SLOTS_MIN } else { 1 << fit.ilog2() }
    };

    /// Words of a slot: its number and its place, its partials, its key.
    fn stride() -> usize {
        1 + size_of::<P>().div_ceil(8) * 2 + K::words()
    }

    #[cold]
    pub(super) fn save_before_change(&mut self, slot: usize, copies: &mut Copies) {
        if let Some(rows) = self.unsaved.chunk_of(slot, Self::CHUNK) {
            self.save(rows, copies.out());
        }
    }

    /// Saves all that is lacking.
    pub(super) fn save_rest(&mut self, copies: &mut Copies) {
        while let Some(rows) = self.unsaved.next(Self::CHUNK) {
            self.save(rows, copies.out());
        }
    }

    /// Saves those slots of a chunk that are not free.
    fn save(&mut self, slots: Range<usize>, out: &mut WordsWriter) {
        let numbered = (slots.start..).zip(&self.rows[slots.clone()]);
        let live = numbered.filter(|(_, slot)| slot.references > 0);
        let count = live.clone().count();
        if count > 0 {
            Chunk { of: ChunkOf::Slots, first: slots.start, count }.save(out);
            let mut tail = Vec::new();
            for (number, slot) in live {
                out.word((number as u64) << 32 | u64::from(slot.place));
                out.pod(&slot.front);
                out.pod(&slot.back);
                out.key::<K>(K::load(&self.heap, &slot.key), &mut tail);
            }
            out.bytes(&tail);
        }
        self.unsaved.note_saved(&slots, Self::CHUNK);
    }
}

impl<K: KeyKind, P: Pod + Send> Sliding<K, P> {
    /// Writes down what there is, of which [`Self::save_chunk`] writes all, or `only_changes`,
    /// chunk by chunk. Slots are written whole in any case: a close changes most of them.
    pub(in crate::window) fn freeze(
        &mut self,
        out: &mut WordsWriter,
        numbers: &mut u64,
        only_changes: bool,
    ) {
        out.word(self.live.len() as u64);
        out.word(self.slots.rows.len() as u64);
        out.word(self.retained.len() as u64);
        for retained in &mut self.retained {
            retained.freeze(numbers, only_changes);
            out.word(retained.slice.0.cast_unsigned());
            out.word(retained.frozen.number);
            out.word(retained.slots.len() as u64);
            out.word(retained.saved.len() as u64);
        }
        out.word(self.front as u64);
        out.word(u64::from(self.stale));
        self.slots.unsaved = Unsaved::all(self.slots.rows.len(), Slots::<K, P>::CHUNK);
        self.turn = self.oldest();
    }

    /// About how many bytes a snapshot of all there is takes.
    pub(in crate::window) fn snapshot_bytes(&self) -> usize {
        let saved: usize = self.retained.iter().map(|retained| retained.saved.len()).sum();
        let partial = size_of::<P>().div_ceil(8);
        let slots = self.live.len() * Slots::<K, P>::stride();
        (slots + self.entries * (1 + partial) + saved * partial) * 8 + self.key_bytes()
    }

    /// Saves the chunk whose turn it is; says whether there was one.
    pub(in crate::window) fn save_chunk(&mut self, out: &mut WordsWriter) -> bool {
        if let Some(rows) = self.slots.unsaved.next(Slots::<K, P>::CHUNK) {
            self.slots.save(rows, out);
            return true;
        }
        while let Some(left) = self.left.front_mut() {
            if left.save_chunk(out) {
                return true;
            }
            if let Some(mut left) = self.left.pop_front()
                && self.spare.len() < SPARE_MAX
            {
                left.clear();
                self.spare.push(left);
            }
        }
        while let Some(turn) = self.turn {
            let at = self.retained.partition_point(|retained| retained.slice < turn);
            if self.retained.get_mut(at).is_some_and(|retained| retained.save_chunk(out)) {
                return true;
            }
            self.turn = self.retained.get(at + 1).map(|retained| retained.slice);
        }
        false
    }
}

/// What a retained slice lacks on its way back.
struct AwaitedSlice {
    entries: Awaited,
    saved: Awaited,
}

/// Combined slices on their way back, whose chunks come in any order.
pub(in crate::window) struct SlidingRestorer<K: KeyKind, P> {
    sliding: Sliding<K, P>,
    /// Keys alive that have not come.
    left: usize,
    /// Where slices are among those that are retained, by their numbers.
    numbers: HashMap<u64, usize>,
    retained: Vec<AwaitedSlice>,
}

impl<K: KeyKind, P: Pod + Send> SlidingRestorer<K, P> {
    /// Reads the outline.
    pub(in crate::window) fn new(from: &mut WordsReader<'_>) -> Result<Self, NotSaved> {
        let mut sliding = Sliding::new();
        let left = from.count(1)?;
        sliding.live.resize(left, NO_SLOT);
        sliding.index = Index::for_slots(left);
        let slots = u32::try_from(from.word()?).map_err(|_| NotSaved)? as usize;
        let (partial, key) = (P::zeroed(), K::Stored::zeroed());
        let free = Slot { front: partial, back: partial, key, references: 0, place: NO_SLOT };
        // There may be many more than are alive, and no words stand for them.
        sliding.slots.rows.try_reserve(slots).map_err(|_| NotSaved)?;
        sliding.slots.rows.resize(slots, free);
        let (mut numbers, mut retained, mut rows) = (HashMap::new(), Vec::new(), 0_usize);
        for at in 0..from.count(4)? {
            let mut slice = Retained::new(SliceIndex(from.word()?.cast_signed()));
            numbers.insert(from.word()?, at);
            let (entries, saved) = (from.count(1)?, from.count(size_of::<P>().div_ceil(8))?);
            rows = rows.checked_add(entries).ok_or(NotSaved)?;
            from.holds(rows, 1)?;
            slice.slots.resize(entries, NO_SLOT);
            slice.partials.resize(entries, P::zeroed());
            slice.saved.resize(saved, P::zeroed());
            sliding.retained.push_back(slice);
            let awaited = |rows| Awaited::all(rows, CHUNK_ENTRIES);
            retained.push(AwaitedSlice { entries: awaited(entries), saved: awaited(saved) });
        }
        sliding.front = from.count(0)?;
        sliding.stale = from.word()? != 0;
        let is_whole = sliding.front <= retained.len() && numbers.len() == retained.len();
        is_whole.then_some(Self { sliding, left, numbers, retained }).ok_or(NotSaved)
    }

    /// Reads a chunk.
    pub(in crate::window) fn take(
        &mut self,
        chunk: Chunk,
        from: &mut WordsReader<'_>,
        hasher: &TableHasher,
    ) -> Result<(), NotSaved> {
        let Chunk { of, first, count } = chunk;
        let rows = (first, count);
        match of {
            ChunkOf::Slots => self.take_slots(count, from, hasher),
            ChunkOf::Retained(number) => self.take_entries(number, rows, from),
            ChunkOf::Saved(number) => self.take_saved(number, rows, from),
            ChunkOf::Pane(_) => Err(NotSaved),
        }
    }

    fn take_slots(
        &mut self,
        count: usize,
        from: &mut WordsReader<'_>,
        hasher: &TableHasher,
    ) -> Result<(), NotSaved> {
        let stride = Slots::<K, P>::stride();
        let rows = from.take(count.checked_mul(stride).ok_or(NotSaved)?)?;
        let tail = from.bytes()?;
        if self.left == 0 {
            // All are there: these are older.
            return Ok(());
        }
        self.left = self.left.checked_sub(count).ok_or(NotSaved)?;
        let Sliding { index, slots, live, .. } = &mut self.sliding;
        for row in rows.chunks_exact(stride) {
            let mut row = WordsReader::new(row);
            let word = row.word()?;
            let (number, place) = ((word >> 32) as u32, word as u32);
            let slot = slots.rows.get_mut(number as usize).ok_or(NotSaved)?;
            let alive = live.get_mut(place as usize).ok_or(NotSaved)?;
            if *alive != NO_SLOT || slot.place != NO_SLOT {
                return Err(NotSaved);
            }
            (*alive, slot.place) = (number, place);
            (slot.front, slot.back) = (row.pod()?, row.pod()?);
            let key = K::read(row.take(K::words())?, tail);
            slot.key = K::store(&mut slots.heap, key);
            index.insert(K::table_hash(hasher, key), number as usize);
        }
        Ok(())
    }

    fn take_entries(
        &mut self,
        number: u64,
        (first, count): (usize, usize),
        from: &mut WordsReader<'_>,
    ) -> Result<(), NotSaved> {
        let stride = 1 + size_of::<P>().div_ceil(8);
        let rows = from.take(count.checked_mul(stride).ok_or(NotSaved)?)?;
        // Slices that have left are no part any more.
        let Some(at) = self.numbers.get(&number).copied() else { return Ok(()) };
        if !self.retained[at].entries.take((first, count), CHUNK_ENTRIES)? {
            return Ok(());
        }
        let Sliding { slots, retained, entries, .. } = &mut self.sliding;
        let retained = &mut retained[at];
        for (row, at) in rows.chunks_exact(stride).zip(first..) {
            let slot = u32::try_from(row[0]).map_err(|_| NotSaved)?;
            slots.rows.get_mut(slot as usize).ok_or(NotSaved)?.references += 1;
            retained.slots[at] = slot;
            retained.partials[at] = WordsReader::new(&row[1..]).pod()?;
        }
        *entries += count;
        Ok(())
    }

    fn take_saved(
        &mut self,
        number: u64,
        (first, count): (usize, usize),
        from: &mut WordsReader<'_>,
    ) -> Result<(), NotSaved> {
        let stride = size_of::<P>().div_ceil(8);
        let mut rows = WordsReader::new(from.take(count.checked_mul(stride).ok_or(NotSaved)?)?);
        let Some(at) = self.numbers.get(&number).copied() else { return Ok(()) };
        if self.retained[at].saved.take((first, count), CHUNK_ENTRIES)? {
            for saved in &mut self.sliding.retained[at].saved[first..first + count] {
                *saved = rows.pod()?;
            }
        }
        Ok(())
    }

    /// The combined slices, once all their chunks are there.
    pub(in crate::window) fn finish(self) -> Result<Sliding<K, P>, NotSaved> {
        let Self { mut sliding, left, retained, .. } = self;
        let has_come = |it: &AwaitedSlice| it.entries.is_over() && it.saved.is_over();
        let is_sound = |slot: &Slot<P, K::Stored>| (slot.references > 0) == (slot.place != NO_SLOT);
        let slots = &sliding.slots.rows;
        if left > 0 || !retained.iter().all(has_come) || !slots.iter().all(is_sound) {
            return Err(NotSaved);
        }
        let free = (0..).zip(slots).filter(|(_, slot)| slot.references == 0);
        sliding.free = free.map(|(number, _)| number).collect();
        Ok(sliding)
    }
}
