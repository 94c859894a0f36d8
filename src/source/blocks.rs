//! How several sources share one list of records: each takes every so-manieth block of it.

use std::ops::Range;

/// One source's share of `0..total`: the `nth` of every `every` blocks of `block` numbers.
///
/// ```text
///   0      block   2 block 3 block 4 block          total
///   ├───────┼───────┼───────┼───────┼───────┼────────┤
///   │ nth 0 │ nth 1 │ nth 2 │ nth 0 │ nth 1 │ nth 2  │      every = 3
/// ```
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    total: u64,
    block: u64,
    every: u64,
    nth: u64,
    next: u64,
}

impl Blocks {
    /// # Panics
    /// When `block` is zero or `nth` is not below `every`.
    pub(super) fn new(total: u64, every: u64, nth: u64, block: u64) -> Self {
        assert!(block > 0, "a block has at least one record");
        assert!(nth < every, "there is no share {nth} of {every}");
        Self { total, block, every, nth, next: nth.saturating_mul(block) }
    }

    /// The next numbers of the share: at most `rows_max`, all in one block, all below `below`.
    /// Empty when there are none.
    pub(super) fn take(&mut self, rows_max: usize, below: u64) -> Range<u64> {
        let start = self.next;
        let block_end = (start / self.block).saturating_add(1).saturating_mul(self.block);
        let end = start.saturating_add(rows_max as u64).min(block_end).min(self.total).min(below);
        if end <= start {
            return start..start;
        }
        self.next = match end == block_end {
            true => end.saturating_add((self.every - 1).saturating_mul(self.block)),
            false => end,
        };
        start..end
    }

    /// The first number that was not taken, of the share or between its blocks.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Goes on at a number that [`Self::next`] said.
    pub(super) fn go_to(&mut self, next: u64) {
        self.next = next;
    }

    /// Whether nothing is left.
    pub(super) fn is_finished(&self) -> bool {
        self.next >= self.total
    }

    /// How many numbers the share has.
    pub(super) fn len(&self) -> u64 {
        self.below(self.total)
    }

    /// How many of them were taken.
    pub(super) fn taken(&self) -> u64 {
        self.below(self.next.min(self.total))
    }

    /// How many numbers of the share are below `end`.
    fn below(&self, end: u64) -> u64 {
        let round = self.every.saturating_mul(self.block);
        let own = self.nth.saturating_mul(self.block);
        let of_round = (end % round).saturating_sub(own).min(self.block);
        end / round * self.block + of_round
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The twin asks of each number whose it is.
        #[test]
        fn a_share_is_the_numbers_of_its_blocks(
            total in 0_u64..500,
            every in 1_u64..5,
            block in 1_u64..40,
            rows_max in 1_usize..50,
        ) {
            for nth in 0..every {
                let expected: Vec<u64> =
                    (0..total).filter(|number| number / block % every == nth).collect();
                let mut blocks = Blocks::new(total, every, nth, block);
                let mut taken = Vec::new();
                while !blocks.is_finished() {
                    let range = blocks.take(rows_max, u64::MAX);
                    prop_assert!(range.end - range.start <= rows_max as u64);
                    prop_assert!(!range.is_empty());
                    taken.extend(range);
                    prop_assert_eq!(blocks.taken(), taken.len() as u64);
                }
                prop_assert!(blocks.take(rows_max, u64::MAX).is_empty());
                prop_assert_eq!(blocks.len(), expected.len() as u64);
                prop_assert_eq!(taken, expected);
            }
        }
    }

    #[test]
    fn a_limit_holds_back_and_loses_nothing() {
        let mut blocks = Blocks::new(10, 2, 1, 2);
        assert!(blocks.take(9, 2).is_empty());
        assert_eq!(blocks.take(9, 3), 2..3);
        assert!(blocks.take(9, 3).is_empty());
        assert_eq!(blocks.take(9, 7), 3..4);
        assert_eq!(blocks.take(9, 7), 6..7);
        assert_eq!((blocks.taken(), blocks.len()), (3, 4));
    }

    #[test]
    fn the_largest_numbers_do_not_wrap() {
        let mut blocks = Blocks::new(u64::MAX, 2, 1, u64::MAX / 2 + 1);
        let range = blocks.take(10, u64::MAX);
        assert_eq!(range.end - range.start, 10);
        let mut last = Blocks::new(u64::MAX, u64::MAX, u64::MAX - 1, u64::MAX);
        assert!(last.take(10, u64::MAX).is_empty() && last.is_finished());
    }

    #[test]
    #[should_panic(expected = "there is no share 2 of 2")]
    fn a_share_that_is_not_there_is_refused() {
        Blocks::new(10, 2, 2, 1);
    }
}
