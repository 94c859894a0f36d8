//! A store as words: what a snapshot holds of it.
//!
//! ```text
//!  | what is small, and an outline: panes, how many entries each | chunk | chunk | chunk ...
//!  `- freeze                                                      `- save_some, again and again
//! ```
//! Chunks come in any order, each saying what it is a piece of, up to the end of the words. They
//! hold what the store was when it was frozen: a chunk that is about to change is copied before. A
//! pane that leaves its slice meanwhile stays for the snapshot, and the store takes another one.
//!
//! Where a store is written down again, the chunks that changed since are enough: those before
//! follow, the newest first, and of each chunk the first one that comes counts. Panes and slices
//! keep the numbers by which chunks name them.

use super::{Pane, Reason, Sliding, WindowStore};
use crate::aggregate::Aggregate;
use crate::record::{KeyKind, NotSaved, WordsReader, WordsWriter};
use crate::window::chunk::{Chunk, ChunkOf};
use crate::window::copies::Copies;
use crate::window::pane::PaneRestorer;
use crate::window::sliding::SlidingRestorer;
use crate::window::spec::{SliceIndex, WindowIndex};
use std::collections::HashMap;

/// A pane that was frozen, by where it was then.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// The pane of a slice.
    Slice(u32),
    /// A pane that is held until some windows have fired.
    Held((WindowIndex, SliceIndex)),
}

/// A snapshot that is on its way out of a store.
#[derive(Debug, Default)]
pub(super) struct Freeze {
    /// What was to change before its turn.
    pub(super) copies: Copies,
    /// The panes that are not saved yet, the next one last.
    turns: Vec<Turn>,
    /// Whether anything may be lacking.
    is_on: bool,
}

impl<K: KeyKind, A: Aggregate<Row>, Row: ?Sized> WindowStore<K, A, Row> {
    /// Begins to write down all that the store holds now: what goes on from it gives the same
    /// results, in the same order. Costs a little for each open slice, and nothing for its keys:
    /// [`WindowStore::save_some`] writes those, between whatever else the store does.
    ///
    /// # Panics
    /// When results are still waiting to be let out, or the store is frozen already.
    pub fn freeze(&mut self, out: &mut WordsWriter) {
        self.snapshot_numbers = 0;
        self.freeze_some(out, false);
    }

    /// The same, but that chunks are left out that did not change since the store was last frozen.
    /// To bring it back, all chunks are wanted that were written since it was frozen whole, behind
    /// these, the newest first.
    ///
    /// # Panics
    /// As [`WindowStore::freeze`] does.
    pub fn freeze_changes(&mut self, out: &mut WordsWriter) {
        self.freeze_some(out, true);
    }

    /// About how many bytes a snapshot of all that the store holds takes.
    pub fn snapshot_bytes(&self) -> u64 {
        let panes = self.slices.iter().chain(self.held.values());
        let keys: usize = panes.map(Pane::key_bytes).sum();
        let entries = self.entries * Pane::<K, A::Partial>::stride() * 8;
        (entries + keys + self.sliding.snapshot_bytes()) as u64
    }

    fn freeze_some(&mut self, out: &mut WordsWriter, only_changes: bool) {
        assert!(!self.is_firing(), "a store is frozen between firings");
        assert!(!self.is_frozen(), "a store is in one snapshot at a time");
        out.wide(self.fired.0);
        out.word(self.horizon.cast_unsigned());
        out.word(self.ending.map_or(0, |reason| reason.to_raw() + 1));
        out.word(self.windows_fired);
        out.word(self.entries_left);
        let (mut turns, numbers) = (Vec::new(), &mut self.snapshot_numbers);
        let by_time: Vec<_> = self.slices.by_time().collect();
        out.word(by_time.len() as u64);
        for (slice, at) in by_time {
            let pane = self.slices.pane_mut(at);
            pane.freeze(numbers, only_changes);
            out.word(slice.0.cast_unsigned());
            pane.save_outline(out);
            turns.push(Turn::Slice(at));
        }
        // The earliest slices close first.
        turns.reverse();
        out.word(self.held.len() as u64);
        for (place, pane) in &mut self.held {
            pane.freeze(numbers, only_changes);
            out.wide(place.0.0);
            out.word(place.1.0.cast_unsigned());
            pane.save_outline(out);
            turns.push(Turn::Held(*place));
        }
        self.sliding.freeze(out, numbers, only_changes);
        self.freeze.turns = turns;
        self.freeze.is_on = true;
    }

    /// Whether some of a snapshot is not written yet.
    pub fn is_frozen(&self) -> bool {
        self.freeze.is_on
    }

    /// Bytes of what was copied before it changed and is not written yet.
    pub fn copied_bytes(&self) -> usize {
        self.freeze.copies.bytes()
    }

    /// Writes so many bytes more of the snapshot that [`WindowStore::freeze`] began, or a little
    /// more than that; says whether that was all. At any time, while results wait, too.
    ///
    /// # Panics
    /// When the store is not frozen: it has been, and was abandoned.
    pub fn save_some(&mut self, out: &mut WordsWriter, bytes: usize) -> bool {
        assert!(self.is_frozen(), "what is saved was frozen before");
        let enough = out.len() + bytes.div_ceil(8);
        while out.len() < enough {
            if !self.freeze.copies.take(out) && !self.save_chunk(out) {
                self.freeze = Freeze::default();
                break;
            }
        }
        !self.is_frozen()
    }

    /// Writes the chunk whose turn it is; says whether there was one.
    fn save_chunk(&mut self, out: &mut WordsWriter) -> bool {
        if self.sliding.save_chunk(out) {
            return true;
        }
        while let Some(turn) = self.freeze.turns.last() {
            let pane = match turn {
                Turn::Slice(at) => Some(self.slices.pane_mut(*at)),
                Turn::Held(place) => self.held.get_mut(place),
            };
            if let Some(pane) = pane
                && pane.is_unsaved()
            {
                pane.save_chunk(out);
                return true;
            }
            if let Some(Turn::Slice(at)) = self.freeze.turns.pop()
                && self.slices.pane(at).has_left()
            {
                self.slices.recycle(at);
            }
        }
        false
    }

    /// Nothing more comes of the snapshot that is on its way.
    pub(super) fn thaw(&mut self) {
        self.freeze = Freeze::default();
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
        let (mut places, mut outlines) = (Vec::new(), Vec::new());
        let outline = |from: &mut WordsReader<'_>| {
            let number = from.word()?;
            Ok::<_, NotSaved>((number, from.count(Pane::<K, A::Partial>::stride())?))
        };
        for _ in 0..from.count(3)? {
            places.push((None, SliceIndex(from.word()?.cast_signed())));
            outlines.push(outline(from)?);
        }
        for _ in 0..from.count(5)? {
            let after = Some(WindowIndex(from.wide()?));
            places.push((after, SliceIndex(from.word()?.cast_signed())));
            outlines.push(outline(from)?);
        }
        let sliding = SlidingRestorer::new(from)?;
        let (panes, sliding) = self.restore_chunks(from, &outlines, sliding)?;
        for ((after, slice), pane) in places.into_iter().zip(panes) {
            self.entries += pane.entries.len();
            match after {
                Some(after) => {
                    self.held.insert((after, slice), pane);
                }
                None => {
                    let at = self.slices.open(slice).map_err(|_| NotSaved)?;
                    *self.slices.pane_mut(at) = pane;
                }
            }
        }
        self.sliding = sliding;
        Ok(())
    }

    /// Reads all chunks, of what outlines said: panes, each by its number and its entries, and
    /// combined slices.
    #[allow(clippy::type_complexity)] // it is but a pair
    fn restore_chunks(
        &self,
        from: &mut WordsReader<'_>,
        outlines: &[(u64, usize)],
        mut sliding: SlidingRestorer<K, A::Partial>,
    ) -> Result<(Vec<Pane<K, A::Partial>>, Sliding<K, A::Partial>), NotSaved> {
        let mut entries = outlines.iter().map(|(_, entries)| *entries);
        let in_panes = entries.try_fold(0, usize::checked_add).ok_or(NotSaved)?;
        // Checked before memory is taken for them.
        from.holds(in_panes, Pane::<K, A::Partial>::stride())?;
        let mut panes: Vec<_> =
            outlines.iter().map(|(_, entries)| PaneRestorer::new(*entries)).collect();
        let numbers: HashMap<u64, usize> =
            outlines.iter().zip(0..).map(|((number, _), at)| (*number, at)).collect();
        while from.end().is_err() {
            let chunk = Chunk::read(from)?;
            let ChunkOf::Pane(number) = chunk.of else {
                sliding.take(chunk, from, &self.hasher)?;
                continue;
            };
            match numbers.get(&number) {
                Some(at) => panes[*at].take((chunk.first, chunk.count), from, &self.hasher)?,
                None => PaneRestorer::<K, A::Partial>::pass(chunk.count, from)?,
            }
        }
        let panes: Result<_, _> = panes.into_iter().map(PaneRestorer::finish).collect();
        Ok((panes?, sliding.finish()?))
    }
}
