//! Combined slices in chunks, as a snapshot holds them. Slots are numbered anew, in the order in
//! which their keys come out.
//!
//! The chunks go out in their order, and all that are left go at once before anything changes: a
//! close changes every key that it touches, and what it changes is not copied piece by piece.

use super::{Retained, SliceIndex, Sliding, Slot};
use crate::aggregate::Aggregate;
use crate::record::{KeyKind, NotSaved, TableHasher, WordsReader, WordsWriter};
use crate::window::chunk::{Chunk, ChunkOf};
use bytemuck::Pod;

/// Rows of a chunk.
const CHUNK: usize = 64;

/// How far combined slices are saved: of what, and how many rows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::window) struct SlidingCursor {
    of: ChunkOf,
    first: usize,
}

impl SlidingCursor {
    /// Nothing is saved.
    pub(in crate::window) const START: Self = Self { of: ChunkOf::Slots, first: 0 };
}

impl<K: KeyKind, P: Pod + Send> Sliding<K, P> {
    /// Writes down what there is, which [`Self::save_chunk`] writes one by one.
    pub(in crate::window) fn save_outline(&self, out: &mut WordsWriter) {
        out.word(self.live.len() as u64);
        out.word(self.retained.len() as u64);
        for retained in &self.retained {
            out.word(retained.slice.0.cast_unsigned());
            out.word(retained.slots.len() as u64);
            out.word(retained.saved.len() as u64);
        }
        out.word(self.front as u64);
        out.word(u64::from(self.stale));
    }

    /// Writes the chunk at the cursor and moves that on; says whether there was one. Nothing may
    /// have changed since the first one.
    pub(in crate::window) fn save_chunk(
        &self,
        cursor: &mut SlidingCursor,
        out: &mut WordsWriter,
    ) -> bool {
        while let Some(rows) = self.rows_of(cursor.of) {
            let (of, first) = (cursor.of, cursor.first);
            let count = CHUNK.min(rows - first);
            if count > 0 {
                cursor.first += count;
                Chunk { of, first, count }.save(out);
                self.save_rows(of, first..first + count, out);
                return true;
            }
            let next = match of {
                ChunkOf::Retained(number) => ChunkOf::Saved(number),
                ChunkOf::Saved(number) => ChunkOf::Retained(number + 1),
                _ => ChunkOf::Retained(0),
            };
            *cursor = SlidingCursor { of: next, first: 0 };
        }
        false
    }

    fn rows_of(&self, of: ChunkOf) -> Option<usize> {
        let retained = |number: u32| self.retained.get(number as usize);
        match of {
            ChunkOf::Slots => Some(self.live.len()),
            ChunkOf::Retained(number) => Some(retained(number)?.slots.len()),
            ChunkOf::Saved(number) => Some(retained(number)?.saved.len()),
            ChunkOf::Pane(_) => None,
        }
    }

    fn save_rows(&self, of: ChunkOf, rows: std::ops::Range<usize>, out: &mut WordsWriter) {
        match of {
            ChunkOf::Slots => {
                let mut tail = Vec::new();
                for slot in &self.live[rows] {
                    let slot = &self.slots[*slot as usize];
                    out.pod(&slot.front);
                    out.pod(&slot.back);
                    out.key::<K>(K::load(&self.heap, &slot.key), &mut tail);
                }
                out.bytes(&tail);
            }
            ChunkOf::Retained(number) => {
                let retained = &self.retained[number as usize];
                let partials = &retained.partials[rows.clone()];
                for (slot, partial) in retained.slots[rows].iter().zip(partials) {
                    out.word(u64::from(self.slots[*slot as usize].place));
                    out.pod(partial);
                }
            }
            ChunkOf::Saved(number) => {
                let saved = &self.retained[number as usize].saved[rows];
                saved.iter().for_each(|saved| out.pod(saved));
            }
            ChunkOf::Pane(_) => {}
        }
    }
}

/// Combined slices on their way back, whose chunks come in their order.
pub(in crate::window) struct SlidingRestorer<K: KeyKind, P> {
    sliding: Sliding<K, P>,
    live: usize,
    /// For each slice, how many entries it is to have, and how many saved partials.
    retained: Vec<(usize, usize)>,
}

impl<K: KeyKind, P: Pod + Send> SlidingRestorer<K, P> {
    /// Reads the outline.
    pub(in crate::window) fn new(from: &mut WordsReader<'_>) -> Result<Self, NotSaved> {
        let (mut sliding, mut retained) = (Sliding::new(), Vec::new());
        let live = from.count(1)?;
        for _ in 0..from.count(3)? {
            let slice = SliceIndex(from.word()?.cast_signed());
            sliding.retained.push_back(Retained::new(slice));
            retained.push((from.count(1)?, from.count(0)?));
        }
        sliding.front = from.count(0)?;
        sliding.stale = from.word()? != 0;
        let is_whole = sliding.front <= retained.len();
        is_whole.then_some(Self { sliding, live, retained }).ok_or(NotSaved)
    }

    /// How many rows its chunks have together.
    pub(in crate::window) fn rows(&self) -> Result<usize, NotSaved> {
        let mut each = self.retained.iter().flat_map(|(entries, saved)| [*entries, *saved]);
        each.try_fold(self.live, usize::checked_add).ok_or(NotSaved)
    }

    /// Reads a chunk.
    pub(in crate::window) fn take<Row: ?Sized, A: Aggregate<Row, Partial = P>>(
        &mut self,
        chunk: Chunk,
        from: &mut WordsReader<'_>,
        (hasher, aggregate): (&TableHasher, &A),
    ) -> Result<(), NotSaved> {
        let Chunk { of, first, count } = chunk;
        if self.sliding.rows_of(of) != Some(first) {
            return Err(NotSaved);
        }
        let sliding = &mut self.sliding;
        match of {
            ChunkOf::Slots => return sliding.restore_slots(count, from, (hasher, aggregate)),
            ChunkOf::Retained(number) => {
                let retained = &mut sliding.retained[number as usize];
                for _ in 0..count {
                    let place = usize::try_from(from.word()?).map_err(|_| NotSaved)?;
                    let slot = *sliding.live.get(place).ok_or(NotSaved)?;
                    sliding.slots[slot as usize].references += 1;
                    retained.slots.push(slot);
                    retained.partials.push(from.pod()?);
                }
                sliding.entries += count;
            }
            ChunkOf::Saved(number) => {
                let saved = &mut sliding.retained[number as usize].saved;
                for _ in 0..count {
                    saved.push(from.pod()?);
                }
            }
            ChunkOf::Pane(_) => return Err(NotSaved),
        }
        Ok(())
    }

    /// The combined slices, once all their chunks are there.
    pub(in crate::window) fn finish(self) -> Result<Sliding<K, P>, NotSaved> {
        let Self { sliding, live, retained } = self;
        let come = sliding.retained.iter().map(|it| (it.slots.len(), it.saved.len()));
        let has_all = sliding.live.len() == live && come.eq(retained);
        let is_referred_to = |slot: &Slot<P, K::Stored>| slot.references > 0;
        let is_whole = has_all && sliding.slots.iter().all(is_referred_to);
        is_whole.then_some(sliding).ok_or(NotSaved)
    }
}

impl<K: KeyKind, P: Pod + Send> Sliding<K, P> {
    fn restore_slots<Row: ?Sized, A: Aggregate<Row, Partial = P>>(
        &mut self,
        count: usize,
        from: &mut WordsReader<'_>,
        (hasher, aggregate): (&TableHasher, &A),
    ) -> Result<(), NotSaved> {
        let partial_words = size_of::<P>().div_ceil(8);
        let stride = partial_words * 2 + K::words();
        let rows = from.take(count.checked_mul(stride).ok_or(NotSaved)?)?;
        let tail = from.bytes()?;
        for nth in 0..count {
            let mut row = WordsReader::new(&rows[nth * stride..][..stride]);
            let (front, back) = (row.pod()?, row.pod()?);
            let key = K::read(row.take(K::words())?, tail);
            let slot = self.slot(K::table_hash(hasher, key), key, aggregate);
            let slot = &mut self.slots[slot as usize];
            (slot.front, slot.back) = (front, back);
        }
        Ok(())
    }
}
