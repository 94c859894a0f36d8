//! A store as words: what a snapshot holds of it.

use super::{Pane, Reason, Sliding, WindowStore};
use crate::aggregate::Aggregate;
use crate::record::{KeyKind, NotSaved, WordsReader, WordsWriter};
use crate::window::spec::{SliceIndex, WindowIndex};

impl<K: KeyKind, A: Aggregate<Row>, Row: ?Sized> WindowStore<K, A, Row> {
    /// Writes down all that the store holds: what goes on from it gives the same results, in the
    /// same order.
    ///
    /// # Panics
    /// When results are still waiting to be let out.
    pub fn save(&self, out: &mut WordsWriter) {
        assert!(!self.is_firing(), "a store is saved between firings");
        out.wide(self.fired.0);
        out.word(self.horizon.cast_unsigned());
        out.word(self.ending.map_or(0, |reason| reason.to_raw() + 1));
        out.word(self.windows_fired);
        out.word(self.entries_left);
        let slices = self.slices.by_time();
        out.word(slices.len() as u64);
        for (slice, pane) in slices {
            out.word(slice.0.cast_unsigned());
            pane.save(out);
        }
        out.word(self.held.len() as u64);
        for ((after, slice), pane) in &self.held {
            out.wide(after.0);
            out.word(slice.0.cast_unsigned());
            pane.save(out);
        }
        self.sliding.save(out);
    }

    /// Brings an empty store to what was written down.
    ///
    /// # Errors
    /// When something else was. The store is of no use then.
    pub fn restore(&mut self, from: &mut WordsReader<'_>) -> Result<(), NotSaved> {
        self.fired = WindowIndex(from.wide()?);
        self.horizon = from.word()?.cast_signed();
        self.ending = from.word()?.checked_sub(1).map(Reason::from_raw);
        self.windows_fired = from.word()?;
        self.entries_left = from.word()?;
        for _ in 0..from.count(1)? {
            let slice = SliceIndex(from.word()?.cast_signed());
            let pane = Pane::restore(from, &self.hasher)?;
            self.entries += pane.entries.len();
            let at = self.slices.open(slice).map_err(|_| NotSaved)?;
            *self.slices.pane_mut(at) = pane;
        }
        for _ in 0..from.count(1)? {
            let place = (WindowIndex(from.wide()?), SliceIndex(from.word()?.cast_signed()));
            let pane = Pane::restore(from, &self.hasher)?;
            self.entries += pane.entries.len();
            self.held.insert(place, pane);
        }
        self.sliding = Sliding::restore(from, &self.hasher, &self.aggregate)?;
        Ok(())
    }
}
