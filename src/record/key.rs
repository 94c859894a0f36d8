//! Hashes of keys: for routing, from a key to the shard that owns it, the same on every machine and
//! in every version; for tables in memory, another one in every engine.

use crate::limits;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The routing hash of a key. Specified (XXH3, 64 bits, seeded), so that the shard of a key does
/// not change between builds; tables in memory use `ahash` instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyHash(u64);

impl KeyHash {
    /// The shard, of `shards`, that owns keys of this hash. Scales the hash instead of taking a
    /// remainder (Daniel Lemire, "Fast Random Integer Generation in an Interval", 2019).
    #[inline]
    pub const fn shard(self, shards: u16) -> ShardIndex {
        ShardIndex(((self.0 as u128 * shards as u128) >> 64) as u16)
    }

    /// The 64 bits.
    pub const fn to_raw(self) -> u64 {
        self.0
    }
}

/// Computes routing hashes: the algorithm's version and the seed that keys it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteHasher {
    seed: u64,
}

impl RouteHasher {
    /// The number of this algorithm. Another algorithm would be another number.
    pub const VERSION: u16 = 1;
    /// The seed when the user sets none.
    pub const DEFAULT_SEED: u64 = 0x5469_6465_7768_6565;

    /// A hasher with a seed of the user's.
    pub const fn with_seed(seed: u64) -> Self {
        Self { seed }
    }

    /// The seed.
    pub const fn seed(self) -> u64 {
        self.seed
    }

    /// The hash of a key's bytes.
    #[inline]
    pub fn hash(self, key: &[u8]) -> KeyHash {
        KeyHash(xxh3_64_with_seed(key, self.seed))
    }
}

impl Default for RouteHasher {
    fn default() -> Self {
        Self::with_seed(Self::DEFAULT_SEED)
    }
}

/// Hashes keys for tables in memory. Keyed at random, so that nobody who chooses keys can choose
/// where they go.
#[derive(Clone, Debug)]
pub struct TableHasher {
    state: ahash::RandomState,
    seed: u64,
    factor: u64,
}

impl TableHasher {
    /// A hasher with keys of its own.
    pub fn new() -> Self {
        let state = ahash::RandomState::new();
        let (seed, factor) = (state.hash_one(0_u8), state.hash_one(1_u8) | 1);
        Self { state, seed, factor }
    }

    /// The hash of a key's bytes; the upper bits are the good ones. Keys of up to 8 bytes are one
    /// word and are mixed by two multiplications. One alone would spread keys that follow each
    /// other well or badly depending on the factor.
    #[inline(always)]
    pub fn hash(&self, key: &[u8]) -> u64 {
        if key.len() > 8 {
            return self.state.hash_one(key);
        }
        let mut word = [0; 8];
        word[..key.len()].copy_from_slice(key);
        let mixed = (u64::from_le_bytes(word) ^ self.seed).wrapping_mul(self.factor);
        (mixed ^ mixed >> 32).wrapping_mul(self.factor)
    }
}

impl Default for TableHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// Which shard: `0..shards`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardIndex(pub u16);

impl ShardIndex {
    /// As an index into a table of shards.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

const _: () = assert!(limits::SHARDS_MAX <= u16::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_version_1_is_what_it_was() {
        let hasher = RouteHasher::default();
        assert_eq!(hasher.hash(b"").to_raw(), xxh3_64_with_seed(b"", RouteHasher::DEFAULT_SEED));
        assert_eq!(RouteHasher::with_seed(0).hash(b"").to_raw(), 0x2d06_8005_38d3_94c2);
        assert_ne!(hasher.hash(b"UA"), hasher.hash(b"AA"));
    }

    #[test]
    fn keys_in_a_row_spread_over_a_table_whatever_the_engine() {
        for _ in 0..20 {
            let hasher = TableHasher::new();
            let mut filled = vec![0_u32; 1 << 14];
            for key in 0..(1_u32 << 13) {
                filled[(hasher.hash(&key.to_le_bytes()) >> 50) as usize] += 1;
            }
            // At random, 39 % of the places are hit, and none is hit ten times.
            let hit = filled.iter().filter(|keys| **keys > 0).count();
            assert!(hit > (1 << 14) * 36 / 100, "{hit}");
            assert!(filled.iter().all(|keys| *keys < 10), "{:?}", filled.iter().max());
        }
    }

    #[test]
    fn keys_spread_over_any_number_of_shards() {
        let hasher = RouteHasher::default();
        for shards in [1_u16, 2, 3, 8, 256] {
            let mut owned = vec![0_u32; shards as usize];
            for key in 0..100_000_u32 {
                owned[hasher.hash(&key.to_le_bytes()).shard(shards).index()] += 1;
            }
            let fair = 100_000 / u32::from(shards);
            assert!(owned.iter().all(|n| *n > fair * 3 / 4 && *n < fair * 5 / 4), "{owned:?}");
        }
    }
}
