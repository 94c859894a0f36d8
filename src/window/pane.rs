//! A pane: the partials of one slice by key, in the order in which keys were first touched.

use super::slices::Content;
use super::table::Index;
use crate::record::{KeyKind, NotSaved, TableHasher, WordsReader, WordsWriter};
use bytemuck::Pod;

/// One key's partial. The partial stands first, so that it is aligned whatever the key is.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(super) struct Entry<P, K> {
    pub(super) partial: P,
    pub(super) key: K,
}

/// The partials of one slice.
pub(super) struct Pane<K: KeyKind, P> {
    index: Index,
    pub(super) entries: Vec<Entry<P, K::Stored>>,
    heap: K::Heap,
}

/// Bytes of a pane from which on its memory is asked for ahead of use.
const PREFETCH_BYTES: usize = 16 << 10;

impl<K: KeyKind, P> Default for Pane<K, P> {
    fn default() -> Self {
        Self { index: Index::new(), entries: Vec::new(), heap: K::Heap::default() }
    }
}

impl<K: KeyKind, P> Content for Pane<K, P> {
    fn clear(&mut self) {
        let used = self.entries.len();
        self.index.clear();
        self.entries.clear();
        self.entries.shrink_to((used * 8).max(16));
        K::clear(&mut self.heap);
    }

    fn bytes(&self) -> usize {
        self.index.bytes()
            + self.entries.len() * size_of::<Entry<P, K::Stored>>()
            + K::heap_bytes(&self.heap)
    }
}

impl<K: KeyKind, P: Copy> Pane<K, P> {
    /// Whether the pane is larger than the near caches.
    #[inline]
    pub(super) fn is_large(&self) -> bool {
        self.index.bytes() > PREFETCH_BYTES
    }

    #[inline(always)]
    pub(super) fn prefetch(&self, hash: u64) {
        self.index.prefetch(hash);
    }

    /// The partial of a key, `identity` when the key is new; says whether it was.
    #[inline(always)]
    pub(super) fn entry(&mut self, hash: u64, key: K::Ref<'_>, identity: P) -> (&mut P, bool) {
        let (entries, heap) = (&self.entries, &self.heap);
        let found = self.index.find(hash, |slot| K::matches(heap, &entries[slot].key, key));
        if let Some(slot) = found {
            return (&mut self.entries[slot].partial, false);
        }
        let slot = self.entries.len();
        self.index.insert(hash, slot);
        let key = K::store(&mut self.heap, key);
        self.entries.push(Entry { partial: identity, key });
        (&mut self.entries[slot].partial, true)
    }

    /// Bytes of keys of no fixed width.
    pub(super) fn key_bytes(&self) -> usize {
        K::heap_bytes(&self.heap)
    }

    /// The key of an entry.
    #[inline]
    pub(super) fn key<'a>(&'a self, entry: &'a Entry<P, K::Stored>) -> K::Ref<'a> {
        K::load(&self.heap, &entry.key)
    }
}

impl<K: KeyKind, P: Pod> Pane<K, P> {
    /// Writes down all that it holds.
    pub(super) fn save(&self, out: &mut WordsWriter) {
        let mut tail = Vec::new();
        out.word(self.entries.len() as u64);
        for entry in &self.entries {
            out.pod(&entry.partial);
            out.key::<K>(self.key(entry), &mut tail);
        }
        out.bytes(&tail);
    }

    /// Brings back what was written down, in the same order.
    pub(super) fn restore(
        from: &mut WordsReader<'_>,
        hasher: &TableHasher,
    ) -> Result<Self, NotSaved> {
        let partial_words = size_of::<P>().div_ceil(8);
        let stride = partial_words + K::words();
        let count = from.count(stride)?;
        let rows = from.take(count * stride)?;
        let tail = from.bytes()?;
        let mut pane = Self::default();
        for nth in 0..count {
            let (partial, key) = rows[nth * stride..][..stride].split_at(partial_words);
            let key = K::read(key, tail);
            pane.entry(K::table_hash(hasher, key), key, WordsReader::new(partial).pod()?);
        }
        Ok(pane)
    }
}

impl<K: KeyKind, P> std::fmt::Debug for Pane<K, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pane").field("keys", &self.entries.len()).finish_non_exhaustive()
    }
}
