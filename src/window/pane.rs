//! A pane: the partials of one slice by key, in the order in which keys were first touched.

mod saved;

use super::copies::Copies;
use super::slices::Content;
use super::table::Index;
use super::unsaved::{Changes, Unsaved};
use crate::record::KeyKind;
use bytemuck::Pod;
use saved::Frozen;

pub(super) use saved::PaneRestorer;

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
    /// What a snapshot lacks still of the entries.
    unsaved: Unsaved,
    changes: Changes,
    frozen: Frozen,
}

/// What is to be done for snapshots when an entry changes: nothing,
pub(super) const UNWATCHED: u8 = 0;
/// it is noted that its chunk has,
pub(super) const NOTED: u8 = 1;
/// or it goes to a snapshot that is on its way first, too.
pub(super) const FROZEN: u8 = 2;

/// Bytes of a pane from which on its memory is asked for ahead of use.
const PREFETCH_BYTES: usize = 16 << 10;

impl<K: KeyKind, P> Default for Pane<K, P> {
    fn default() -> Self {
        Self {
            index: Index::new(),
            entries: Vec::new(),
            heap: K::Heap::default(),
            unsaved: Unsaved::default(),
            changes: Changes::default(),
            frozen: Frozen::default(),
        }
    }
}

impl<K: KeyKind, P> Content for Pane<K, P> {
    fn clear(&mut self) {
        let used = self.entries.len();
        self.index.clear();
        self.entries.clear();
        self.entries.shrink_to((used * 8).max(16));
        K::clear(&mut self.heap);
        (self.unsaved, self.frozen) = (Unsaved::default(), Frozen::default());
        self.changes.begin(0, 1);
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
    /// The partial of a key, `identity` when the key is new; says whether it was. What a snapshot
    /// that is on its way lacks of the entry goes to `copies` first.
    #[inline(always)]
    pub(super) fn entry<const WATCH: u8>(
        &mut self,
        (hash, key): (u64, K::Ref<'_>),
        identity: P,
        copies: &mut Copies,
    ) -> (&mut P, bool) {
        let (entries, heap) = (&self.entries, &self.heap);
        let found = self.index.find(hash, |slot| K::matches(heap, &entries[slot].key, key));
        if let Some(slot) = found {
            if WATCH == FROZEN && self.unsaved.may_lack(slot) {
                self.save_before_change(slot, copies);
            }
            let partial = &mut self.entries[slot].partial;
            if WATCH >= NOTED {
                self.changes.note(slot / Self::CHUNK);
            }
            return (partial, false);
        }
        let slot = self.entries.len();
        self.index.insert(hash, slot);
        let key = K::store(&mut self.heap, key);
        self.entries.push(Entry { partial: identity, key });
        (&mut self.entries[slot].partial, true)
    }
}

impl<K: KeyKind, P> std::fmt::Debug for Pane<K, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pane").field("keys", &self.entries.len()).finish_non_exhaustive()
    }
}
