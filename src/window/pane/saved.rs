//! A pane in chunks, as a snapshot holds it: what the pane was when it was frozen, whatever becomes
//! of it meanwhile.

use super::{Copies, Entry, Pane};
use crate::record::{KeyKind, NotSaved, TableHasher, WordsReader, WordsWriter};
use crate::window::chunk::{Chunk, ChunkOf};
use crate::window::table::Index;
use crate::window::unsaved::{Awaited, Unsaved};
use bytemuck::{Pod, Zeroable};
use std::ops::Range;

/// Bytes of a chunk's entries, about. All of them are copied where one is to change: a few hundred
/// nanoseconds.
const CHUNK_BYTES: usize = 1 << 10;
/// However large an entry is, the words before a chunk are few beside it.
const CHUNK_ENTRIES_MIN: usize = 4;

/// What a pane is to a snapshot.
#[derive(Debug, Default)]
pub(super) struct Frozen {
    /// By which snapshots know it; zero where none holds it.
    number: u64,
    /// Whether the pane has left its slice, and waits for its chunks' turn only.
    has_left: bool,
}

impl<K: KeyKind, P: Pod> Pane<K, P> {
    /// Entries of a chunk, a power of two.
    pub(super) const CHUNK: usize = {
        let fit = CHUNK_BYTES / (size_of::<Entry<P, K::Stored>>() | 1);
        if fit < CHUNK_ENTRIES_MIN { CHUNK_ENTRIES_MIN } else { 1 << fit.ilog2() }
    };

    /// Words of an entry.
    pub(in crate::window) fn stride() -> usize {
        (size_of::<P>().div_ceil(8) + K::words()).max(1)
    }

    /// What it holds now is to be saved: all of it under the next of `numbers`, or, where snapshots
    /// know it, `only_changes`.
    pub(in crate::window) fn freeze(&mut self, numbers: &mut u64, only_changes: bool) {
        let rows = self.entries.len();
        self.frozen.has_left = false;
        if only_changes && self.frozen.number != 0 {
            self.unsaved = self.changes.take(rows, Self::CHUNK);
            return;
        }
        *numbers += 1;
        self.frozen.number = *numbers;
        self.unsaved = Unsaved::all(rows, Self::CHUNK);
        self.changes.begin(rows, Self::CHUNK);
    }

    /// Writes down what there is, which [`Self::save_chunk`] writes chunk by chunk.
    pub(in crate::window) fn save_outline(&self, out: &mut WordsWriter) {
        out.word(self.frozen.number);
        out.word(self.entries.len() as u64);
    }

    /// Whether a snapshot lacks some of it.
    pub(in crate::window) fn is_unsaved(&self) -> bool {
        self.unsaved.is_any()
    }

    /// It belongs to no slice any more, and stays for the snapshot.
    pub(in crate::window) fn leave(&mut self) {
        self.frozen.has_left = true;
    }

    /// Whether it stays for a snapshot only.
    pub(in crate::window) fn has_left(&self) -> bool {
        self.frozen.has_left
    }

    /// Saves the last chunk that is lacking.
    pub(in crate::window) fn save_chunk(&mut self, out: &mut WordsWriter) {
        if let Some(rows) = self.unsaved.next(Self::CHUNK) {
            self.save(rows, out);
        }
    }

    /// Saves all that is lacking.
    pub(in crate::window) fn save_rest(&mut self, copies: &mut Copies) {
        while self.is_unsaved() {
            self.save_chunk(copies.out());
        }
    }

    #[cold]
    pub(super) fn save_before_change(&mut self, slot: usize, copies: &mut Copies) {
        if let Some(rows) = self.unsaved.chunk_of(slot, Self::CHUNK) {
            self.save(rows, copies.out());
        }
    }

    fn save(&mut self, rows: Range<usize>, out: &mut WordsWriter) {
        let (first, entries) = (rows.start, &self.entries[rows.clone()]);
        Chunk { of: ChunkOf::Pane(self.frozen.number), first, count: entries.len() }.save(out);
        let (stride, partial_words) = (Self::stride(), size_of::<P>().div_ceil(8));
        let (words, mut tail) = (out.room(entries.len() * stride), Vec::new());
        for (entry, row) in entries.iter().zip(words.chunks_exact_mut(stride)) {
            let (partial, key) = row.split_at_mut(partial_words);
            let partial: &mut [u8] = bytemuck::cast_slice_mut(partial);
            partial[..size_of::<P>()].copy_from_slice(bytemuck::bytes_of(&entry.partial));
            K::lay(K::load(&self.heap, &entry.key), key, &mut tail);
        }
        out.bytes(&tail);
        self.unsaved.note_saved(&rows, Self::CHUNK);
    }
}

/// A pane on its way back, whose chunks come in any order.
pub(in crate::window) struct PaneRestorer<K: KeyKind, P> {
    pane: Pane<K, P>,
    awaited: Awaited,
    /// Of the keys of one chunk.
    hashes: Vec<u64>,
}

impl<K: KeyKind, P: Pod> PaneRestorer<K, P> {
    /// A pane that is to have so many entries.
    pub(in crate::window) fn new(entries: usize) -> Self {
        let mut pane = Pane { index: Index::for_slots(entries), ..Pane::default() };
        let empty = Entry { partial: P::zeroed(), key: K::Stored::zeroed() };
        pane.entries.resize(entries, empty);
        let awaited = Awaited::all(entries, Pane::<K, P>::CHUNK);
        Self { pane, awaited, hashes: Vec::new() }
    }

    /// Passes over a chunk of a pane that is no more.
    pub(in crate::window) fn pass(
        count: usize,
        from: &mut WordsReader<'_>,
    ) -> Result<(), NotSaved> {
        from.take(count.checked_mul(Pane::<K, P>::stride()).ok_or(NotSaved)?)?;
        from.bytes().map(|_| ())
    }

    /// Reads a chunk.
    pub(in crate::window) fn take(
        &mut self,
        (first, count): (usize, usize),
        from: &mut WordsReader<'_>,
        hasher: &TableHasher,
    ) -> Result<(), NotSaved> {
        let (stride, partial_words) = (Pane::<K, P>::stride(), size_of::<P>().div_ceil(8));
        let rows = from.take(count.checked_mul(stride).ok_or(NotSaved)?)?;
        let tail = from.bytes()?;
        if !self.awaited.take((first, count), Pane::<K, P>::CHUNK)? {
            return Ok(());
        }
        let Pane { index, entries, heap, .. } = &mut self.pane;
        let places = first..first + count;
        let entries = &mut entries[places.clone()];
        self.hashes.clear();
        for (entry, row) in entries.iter_mut().zip(rows.chunks_exact(stride)) {
            let (partial, key) = row.split_at(partial_words);
            let key = K::read(key, tail);
            let hash = K::table_hash(hasher, key);
            index.prefetch(hash);
            self.hashes.push(hash);
            let partial = WordsReader::new(partial).pod()?;
            *entry = Entry { partial, key: K::store(heap, key) };
        }
        self.hashes.iter().zip(places).for_each(|(hash, slot)| index.insert(*hash, slot));
        Ok(())
    }

    /// The pane, once all its chunks are there.
    pub(in crate::window) fn finish(self) -> Result<Pane<K, P>, NotSaved> {
        self.awaited.is_over().then_some(self.pane).ok_or(NotSaved)
    }
}
