//! How large lanes are: as large as is of use while there are few of them; where there are many,
//! smaller ones, so that all together keep within a budget.

use crate::frame::HEADER_WORDS;
use crate::limits;
use crate::metrics::LaneMeter;

/// What a lane's frames must have room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneNeed {
    /// Words of a frame's longest row, its columns and what it holds in the tail heap.
    pub row_words: usize,
    /// Whether rows have columns or a tail heap, which are gathered beside the ring.
    pub has_tail: bool,
}

/// What a lane is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneSize {
    /// Words of its ring.
    pub ring_words: usize,
    /// Words of its longest frame.
    pub frame_words: usize,
}

/// Bytes of what belongs to a lane beside its memory for frames: its counters and its two ends.
const BESIDE_BYTES: usize = 9 << 8;

const _: () = assert!(size_of::<LaneMeter>() * 2 <= BESIDE_BYTES, "a lane's ends have room too");

impl LaneSize {
    /// The size of lanes where there are few.
    pub const LARGEST: Self =
        Self { ring_words: limits::LANE_BYTES / 8, frame_words: limits::FRAME_BYTES_MAX / 8 };

    /// The largest size with which so many lanes take no more than `bytes_max`.
    ///
    /// # Errors
    /// The bytes of one lane of the smallest size that `need` leaves, when those are too many.
    pub fn within(bytes_max: usize, lanes: usize, need: LaneNeed) -> Result<Self, usize> {
        let mut size = Self::LARGEST;
        loop {
            let bytes = size.bytes(need);
            if bytes.saturating_mul(lanes) <= bytes_max {
                return Ok(size);
            }
            let smaller = size.smaller(need);
            if smaller == size {
                return Err(bytes);
            }
            size = smaller;
        }
    }

    /// Half the size, as far as rows fit.
    fn smaller(self, need: LaneNeed) -> Self {
        let least = (HEADER_WORDS + need.row_words)
            .clamp(limits::LANE_FRAME_BYTES_MIN / 8, Self::LARGEST.frame_words);
        let frame_words = (self.frame_words / 2).max(least);
        // One frame can be begun while half of another is still being read.
        let ring_words_min = (frame_words + frame_words / 2).next_power_of_two();
        let ring_words = (self.ring_words / 2).max(ring_words_min);
        Self { ring_words, frame_words }
    }

    /// Bytes that a lane takes at most: the ring with its overflow, and what its rows have in
    /// columns and heap of one frame, in vectors that grow twofold.
    pub fn bytes(self, need: LaneNeed) -> usize {
        let tail_words = if need.has_tail { 2 * self.frame_words } else { 0 };
        (self.ring_words + self.frame_words + tail_words) * 8 + BESIDE_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{LANE_MEMORY_DEFAULT, PARTITIONS_MAX, RECORD_BYTES_MAX, SHARDS_MAX};
    use proptest::prelude::*;

    #[test]
    fn few_lanes_are_as_large_as_lanes_get() {
        let text = LaneNeed { row_words: RECORD_BYTES_MAX / 8, has_tail: true };
        for lanes in [1, 2, 8 * 64, 300 * 15] {
            let size = LaneSize::within(LANE_MEMORY_DEFAULT, lanes, text).unwrap();
            assert_eq!((size.ring_words, size.frame_words), (16 << 10, 4 << 10), "{lanes} lanes");
        }
    }

    #[test]
    fn very_many_lanes_are_small_and_too_many_are_none() {
        let typed = LaneNeed { row_words: 3, has_tail: false };
        let size = LaneSize::within(LANE_MEMORY_DEFAULT, 180 * 256, typed).unwrap();
        assert_eq!((size.ring_words, size.frame_words), (2 << 10, 512));
        let least = LaneSize::within(LANE_MEMORY_DEFAULT, 280 * SHARDS_MAX, typed).unwrap();
        assert_eq!((least.ring_words, least.frame_words), (1 << 10, 512));
        let all = PARTITIONS_MAX * SHARDS_MAX;
        assert_eq!(LaneSize::within(LANE_MEMORY_DEFAULT, all, typed), Err(least.bytes(typed)));
    }

    proptest! {
        #[test]
        fn lanes_keep_within_their_budget_and_rows_within_their_lane(
            lanes in 1_usize..100_000,
            bytes_max in 0_usize..2 << 30,
            row_words in 1_usize..limits::FRAME_BYTES_MAX / 8 - HEADER_WORDS,
            has_tail: bool,
        ) {
            let need = LaneNeed { row_words, has_tail };
            match LaneSize::within(bytes_max, lanes, need) {
                Ok(size) => {
                    prop_assert!(size.bytes(need) * lanes <= bytes_max);
                    prop_assert!(HEADER_WORDS + row_words <= size.frame_words);
                    prop_assert!(size.frame_words <= size.ring_words);
                    prop_assert!(size.ring_words.is_power_of_two());
                    if let Ok(smaller) = LaneSize::within(bytes_max, lanes + 1, need) {
                        prop_assert!(smaller.bytes(need) <= size.bytes(need));
                    }
                }
                Err(bytes) => prop_assert!(bytes * lanes > bytes_max),
            }
        }
    }
}
