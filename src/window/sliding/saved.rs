//! Combined slices as words. Slots are numbered anew, in the order in which their keys come out.

use super::{Retained, SliceIndex, Sliding, Slot};
use crate::aggregate::Aggregate;
use crate::record::{KeyKind, NotSaved, TableHasher, WordsReader, WordsWriter};
use bytemuck::Pod;

impl<K: KeyKind, P: Pod + Send> Sliding<K, P> {
    /// Writes down all that it holds.
    pub(in crate::window) fn save(&self, out: &mut WordsWriter) {
        let mut tail = Vec::new();
        out.word(self.live.len() as u64);
        for slot in &self.live {
            let slot = &self.slots[*slot as usize];
            out.pod(&slot.front);
            out.pod(&slot.back);
            out.key::<K>(K::load(&self.heap, &slot.key), &mut tail);
        }
        out.bytes(&tail);
        out.word(self.retained.len() as u64);
        for retained in &self.retained {
            out.word(retained.slice.0.cast_unsigned());
            out.word(retained.slots.len() as u64);
            for (slot, partial) in retained.slots.iter().zip(&retained.partials) {
                out.word(u64::from(self.slots[*slot as usize].place));
                out.pod(partial);
            }
            out.word(retained.saved.len() as u64);
            retained.saved.iter().for_each(|saved| out.pod(saved));
        }
        out.word(self.front as u64);
        out.word(u64::from(self.stale));
    }

    /// Brings back what was written down.
    pub(in crate::window) fn restore<Row: ?Sized, A: Aggregate<Row, Partial = P>>(
        from: &mut WordsReader<'_>,
        hasher: &TableHasher,
        aggregate: &A,
    ) -> Result<Self, NotSaved> {
        let mut sliding = Self::new();
        sliding.restore_slots(from, hasher, aggregate)?;
        for _ in 0..from.count(1)? {
            let mut retained = Retained::new(SliceIndex(from.word()?.cast_signed()));
            for _ in 0..from.count(1)? {
                let place = usize::try_from(from.word()?).map_err(|_| NotSaved)?;
                let slot = *sliding.live.get(place).ok_or(NotSaved)?;
                sliding.slots[slot as usize].references += 1;
                retained.slots.push(slot);
                retained.partials.push(from.pod()?);
            }
            for _ in 0..from.count(size_of::<P>().div_ceil(8))? {
                retained.saved.push(from.pod()?);
            }
            sliding.entries += retained.slots.len();
            sliding.retained.push_back(retained);
        }
        sliding.front = from.count(0)?;
        sliding.stale = from.word()? != 0;
        let is_referred_to = |slot: &Slot<P, K::Stored>| slot.references > 0;
        let is_whole = sliding.front <= sliding.retained.len();
        let is_whole = is_whole && sliding.slots.iter().all(is_referred_to);
        is_whole.then_some(sliding).ok_or(NotSaved)
    }

    fn restore_slots<Row: ?Sized, A: Aggregate<Row, Partial = P>>(
        &mut self,
        from: &mut WordsReader<'_>,
        hasher: &TableHasher,
        aggregate: &A,
    ) -> Result<(), NotSaved> {
        let partial_words = size_of::<P>().div_ceil(8);
        let stride = partial_words * 2 + K::words();
        let count = from.count(stride)?;
        let rows = from.take(count * stride)?;
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
