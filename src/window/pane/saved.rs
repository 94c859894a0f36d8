//! A pane in chunks, as a snapshot holds it: what the pane was when it was frozen, whatever becomes
//! of it meanwhile.
//!
//! ```text
//!  entries:  | chunk | chunk | chunk | chunk | ch..|  new ones, no part of it
//!                        copied          `- unsaved_until
//! ```
//! Chunks are saved at their turn from the last to the first, so that the entries that may lack
//! are those before one place; a chunk that is about to change is saved before its turn.

use super::{Copies, Entry, Pane};
use crate::record::{KeyKind, NotSaved, TableHasher, WordsReader, WordsWriter};
use crate::window::chunk::{Chunk, ChunkOf};
use bytemuck::{Pod, Zeroable};

/// Bytes of a chunk's entries, about. All of them are copied where one is to change: a few hundred
/// nanoseconds.
const CHUNK_BYTES: usize = 1 << 10;
/// However large an entry is, the words before a chunk are few beside it.
const CHUNK_ENTRIES_MIN: usize = 4;

/// What a pane is to a snapshot.
#[derive(Debug, Default)]
pub(super) struct Frozen {
    number: u32,
    /// Whether the pane has left its slice, and waits for its chunks' turn only.
    has_left: bool,
    /// A bit for each chunk that was saved before its turn.
    saved: Vec<u64>,
}

impl<K: KeyKind, P: Pod> Pane<K, P> {
    /// Entries of a chunk, a power of two.
    const CHUNK: usize = {
        let fit = CHUNK_BYTES / (size_of::<Entry<P, K::Stored>>() | 1);
        if fit < CHUNK_ENTRIES_MIN { CHUNK_ENTRIES_MIN } else { 1 << fit.ilog2() }
    };

    /// Words of an entry.
    pub(in crate::window) fn stride() -> usize {
        (size_of::<P>().div_ceil(8) + K::words()).max(1)
    }

    /// What it holds now is to be saved, as pane `number`.
    pub(in crate::window) fn freeze(&mut self, number: u32) {
        self.unsaved_until = self.entries.len();
        // The last chunk needs no bit: the place that is compared with says all of it.
        let bits = self.unsaved_until.saturating_sub(1) / Self::CHUNK;
        let saved = vec![0; bits.div_ceil(64)];
        self.frozen = Frozen { number, has_left: false, saved };
    }

    /// Whether a snapshot lacks some of it.
    pub(in crate::window) fn is_unsaved(&self) -> bool {
        self.unsaved_until > 0
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
        if let Some(last) = self.unsaved_until.checked_sub(1) {
            self.save(last / Self::CHUNK, out);
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
        let chunk = slot / Self::CHUNK;
        if !self.is_saved(chunk) {
            self.save(chunk, copies.out());
        }
    }

    fn is_saved(&self, chunk: usize) -> bool {
        self.frozen.saved.get(chunk / 64).is_some_and(|bits| bits >> (chunk % 64) & 1 == 1)
    }

    fn save(&mut self, chunk: usize, out: &mut WordsWriter) {
        let first = chunk * Self::CHUNK;
        let end = (first + Self::CHUNK).min(self.unsaved_until);
        let entries = &self.entries[first..end];
        Chunk { of: ChunkOf::Pane(self.frozen.number), first, count: entries.len() }.save(out);
        let (stride, partial_words) = (Self::stride(), size_of::<P>().div_ceil(8));
        let (rows, mut tail) = (out.room(entries.len() * stride), Vec::new());
        for (entry, row) in entries.iter().zip(rows.chunks_exact_mut(stride)) {
            let (partial, key) = row.split_at_mut(partial_words);
            let partial: &mut [u8] = bytemuck::cast_slice_mut(partial);
            partial[..size_of::<P>()].copy_from_slice(bytemuck::bytes_of(&entry.partial));
            K::lay(K::load(&self.heap, &entry.key), key, &mut tail);
        }
        out.bytes(&tail);
        if end < self.unsaved_until {
            self.frozen.saved[chunk / 64] |= 1 << (chunk % 64);
            return;
        }
        self.unsaved_until = first;
        while let Some(last) = self.unsaved_until.checked_sub(1)
            && self.is_saved(last / Self::CHUNK)
        {
            self.unsaved_until -= Self::CHUNK;
        }
    }
}

/// A pane on its way back, whose chunks come in any order.
pub(in crate::window) struct PaneRestorer<K: KeyKind, P> {
    pane: Pane<K, P>,
    chunks: Vec<(usize, usize)>,
}

impl<K: KeyKind, P: Pod> PaneRestorer<K, P> {
    /// A pane that is to have so many entries.
    pub(in crate::window) fn new(entries: usize) -> Self {
        let mut pane = Pane::default();
        let empty = Entry { partial: P::zeroed(), key: K::Stored::zeroed() };
        pane.entries.resize(entries, empty);
        Self { pane, chunks: Vec::new() }
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
        let Pane { index, entries, heap, .. } = &mut self.pane;
        let places = first..first.checked_add(count).ok_or(NotSaved)?;
        let entries = entries.get_mut(places.clone()).ok_or(NotSaved)?;
        for ((slot, entry), row) in places.zip(entries).zip(rows.chunks_exact(stride)) {
            let (partial, key) = row.split_at(partial_words);
            let key = K::read(key, tail);
            index.insert(K::table_hash(hasher, key), slot);
            let partial = WordsReader::new(partial).pod()?;
            *entry = Entry { partial, key: K::store(heap, key) };
        }
        self.chunks.push((first, count));
        Ok(())
    }

    /// The pane, once all its chunks are there.
    pub(in crate::window) fn finish(mut self) -> Result<Pane<K, P>, NotSaved> {
        self.chunks.sort_unstable();
        let mut at = 0;
        for (first, count) in self.chunks {
            if first != at {
                return Err(NotSaved);
            }
            at += count;
        }
        (at == self.pane.entries.len()).then_some(self.pane).ok_or(NotSaved)
    }
}
