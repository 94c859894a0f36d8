//! The index of a key table: from a hash to a dense slot, by open addressing over one word an
//! entry.
//!
//! ```text
//!  entry:  | 32 bits of the hash | slot + 1 |      zero: empty
//! ```
//! The 32 bits also say where the entry belongs, so growing and removing need no key.

use crate::hint;

const LENGTH_MIN: usize = 16;
/// Entries of an index that lies in the nearest caches.
const SMALL_LENGTH: usize = 1 << 16;

/// The index. At most a quarter full while it is small, where probes that end at once are worth
/// the memory, at most half full beyond.
#[derive(Debug)]
pub(super) struct Index {
    entries: Vec<u64>,
    mask: usize,
    used: usize,
}

impl Index {
    pub(super) fn new() -> Self {
        Self { entries: vec![0; LENGTH_MIN], mask: LENGTH_MIN - 1, used: 0 }
    }

    /// An index that does not grow before it has so many slots.
    pub(super) fn for_slots(slots: usize) -> Self {
        let spread = if slots * 4 <= SMALL_LENGTH { 4 } else { 2 };
        let length = (slots * spread).next_power_of_two().max(LENGTH_MIN);
        Self { entries: vec![0; length], mask: length - 1, used: 0 }
    }

    /// Memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.entries.len() * 8
    }

    #[inline(always)]
    fn tag(hash: u64) -> u64 {
        hash & !0xffff_ffff
    }

    #[inline(always)]
    fn home(&self, entry: u64) -> usize {
        (entry >> 32) as usize & self.mask
    }

    /// Asks for the memory in which a hash would be found.
    #[inline(always)]
    pub(super) fn prefetch(&self, hash: u64) {
        hint::prefetch(&self.entries, self.home(hash));
    }

    /// The slot of a hash whose key `is_key` recognises.
    #[inline(always)]
    pub(super) fn find(&self, hash: u64, mut is_key: impl FnMut(usize) -> bool) -> Option<usize> {
        let tag = Self::tag(hash);
        let mut at = self.home(hash);
        loop {
            let entry = self.entries[at];
            if entry == 0 {
                return None;
            }
            if Self::tag(entry) == tag {
                let slot = (entry & 0xffff_ffff) as usize - 1;
                if is_key(slot) {
                    return Some(slot);
                }
            }
            at = (at + 1) & self.mask;
        }
    }

    /// Adds a slot whose key is not there yet.
    #[inline]
    pub(super) fn insert(&mut self, hash: u64, slot: usize) {
        let spread = if self.entries.len() < SMALL_LENGTH { 4 } else { 2 };
        if (self.used + 1) * spread > self.entries.len() {
            self.resize(self.entries.len() * 2);
        }
        self.used += 1;
        self.place(Self::tag(hash) | (slot as u64 + 1));
    }

    #[inline(always)]
    fn place(&mut self, entry: u64) {
        let mut at = self.home(entry);
        while self.entries[at] != 0 {
            at = (at + 1) & self.mask;
        }
        self.entries[at] = entry;
    }

    #[cold]
    fn resize(&mut self, length: usize) {
        let old = std::mem::replace(&mut self.entries, vec![0; length]);
        self.mask = length - 1;
        old.into_iter().filter(|entry| *entry != 0).for_each(|entry| self.place(entry));
    }

    /// Removes a slot, and moves back what had been pushed on by it (Knuth, TAOCP 6.4, R).
    pub(super) fn remove(&mut self, hash: u64, slot: usize) {
        let wanted = Self::tag(hash) | (slot as u64 + 1);
        let mut hole = self.home(hash);
        while self.entries[hole] != wanted {
            assert!(self.entries[hole] != 0, "a slot that is removed was there");
            hole = (hole + 1) & self.mask;
        }
        let mut at = hole;
        loop {
            at = (at + 1) & self.mask;
            let entry = self.entries[at];
            if entry == 0 {
                break;
            }
            let distance = at.wrapping_sub(self.home(entry)) & self.mask;
            if distance >= at.wrapping_sub(hole) & self.mask {
                self.entries[hole] = entry;
                hole = at;
            }
        }
        self.entries[hole] = 0;
        self.used -= 1;
    }

    /// Forgets everything. Memory far beyond what was used is given back.
    pub(super) fn clear(&mut self) {
        let length = (self.used * 4).next_power_of_two().max(LENGTH_MIN);
        if length * 8 < self.entries.len() {
            self.entries = vec![0; length];
            self.mask = length - 1;
        } else {
            self.entries.fill(0);
        }
        self.used = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn it_finds_what_a_map_finds(
            steps in prop::collection::vec((0_u64..40, any::<bool>()), 0..300),
            spread in prop_oneof![
                Just(1_u64 << 32),
                Just(1_u64 << 36),
                Just(0x9e37_79b9_7f4a_7c15),
            ],
        ) {
            let hash = |key: u64| key.wrapping_mul(spread);
            let (mut index, mut model, mut keys) = (Index::new(), HashMap::new(), Vec::new());
            for (key, add) in steps {
                match model.get(&key) {
                    None if add => {
                        keys.push(key);
                        index.insert(hash(key), keys.len() - 1);
                        model.insert(key, keys.len() - 1);
                    }
                    Some(slot) if !add => {
                        index.remove(hash(key), *slot);
                        model.remove(&key);
                    }
                    _ => {}
                }
                for key in 0..40 {
                    let found = index.find(hash(key), |slot| keys[slot] == key);
                    prop_assert_eq!(found, model.get(&key).copied());
                }
            }
            index.clear();
            prop_assert!((0..40).all(|key| index.find(hash(key), |_| true).is_none()));
        }
    }

    #[test]
    fn one_for_so_many_slots_grows_only_behind_them() {
        for slots in [0, 1, 4, 5, 100, 8_192, 16_384, 16_385, 32_768, 40_000, 1 << 17] {
            let mut index = Index::for_slots(slots);
            let bytes = index.bytes();
            (0..slots).for_each(|slot| index.insert((slot as u64) << 32, slot));
            assert_eq!(index.bytes(), bytes, "{slots} slots");
            assert!(bytes <= slots * 64 + LENGTH_MIN * 8, "{slots} slots");
        }
    }
}
