//! Which rows of a table a snapshot lacks still, on its way out and on its way back.
//!
//! ```text
//!  rows:  | chunk | chunk | chunk | chunk | ch..|  new ones, no part of it
//!                     copied          `- until
//! ```
//! Chunks are saved at their turn from the last to the first, so that the rows that may lack are
//! those before one place; a chunk that is about to change is saved before its turn.

use crate::record::NotSaved;
use std::ops::Range;

/// The rows of one table that is frozen; none of one that is not.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    /// Rows from here on are saved, or no part of the snapshot.
    until: usize,
    /// A bit for each chunk that was saved before its turn.
    saved: Vec<u64>,
}

impl Unsaved {
    /// All of so many rows, in chunks of so many.
    pub(super) fn all(rows: usize, chunk: usize) -> Self {
        // The last chunk needs no bit: the place that is compared with says all of it.
        let bits = rows.saturating_sub(1) / chunk;
        Self { until: rows, saved: vec![0; bits.div_ceil(64)] }
    }

    /// Those of so many rows, in chunks of so many, whose chunk is not one that `is_known`.
    pub(super) fn unknown(rows: usize, chunk: usize, is_known: impl Fn(usize) -> bool) -> Self {
        let mut unsaved = Self::all(rows, chunk);
        for (first, bits) in (0..).step_by(64).zip(&mut unsaved.saved) {
            let known = (0..64).filter(|bit| is_known(first + bit));
            *bits = known.fold(0, |bits, bit| bits | 1 << bit);
        }
        if rows > 0 && is_known((rows - 1) / chunk) {
            unsaved.pass_from((rows - 1) / chunk * chunk, chunk);
        }
        unsaved
    }

    /// Whether there are any.
    pub(super) fn is_any(&self) -> bool {
        self.until > 0
    }

    /// Whether a row may be one of them: where it can not, nothing is to be done before it changes.
    #[inline(always)]
    pub(super) fn may_lack(&self, row: usize) -> bool {
        row < self.until
    }

    /// The chunk of a row that may lack, if it does.
    pub(super) fn chunk_of(&self, row: usize, chunk: usize) -> Option<Range<usize>> {
        let number = row / chunk;
        (!self.is_saved(number)).then(|| self.rows(number, chunk))
    }

    /// The chunk whose turn it is.
    pub(super) fn next(&self, chunk: usize) -> Option<Range<usize>> {
        let last = self.until.checked_sub(1)?;
        Some(self.rows(last / chunk, chunk))
    }

    fn rows(&self, number: usize, chunk: usize) -> Range<usize> {
        let first = number * chunk;
        first..(first + chunk).min(self.until)
    }

    fn is_saved(&self, number: usize) -> bool {
        self.saved.get(number / 64).is_some_and(|bits| bits >> (number % 64) & 1 == 1)
    }

    /// A chunk is saved.
    pub(super) fn note_saved(&mut self, rows: &Range<usize>, chunk: usize) {
        let number = rows.start / chunk;
        if rows.end < self.until {
            self.saved[number / 64] |= 1 << (number % 64);
            return;
        }
        self.pass_from(rows.start, chunk);
    }

    /// All from a row on are saved; so may be the chunks before it.
    fn pass_from(&mut self, row: usize, chunk: usize) {
        self.until = row;
        while let Some(last) = self.until.checked_sub(1)
            && self.is_saved(last / chunk)
        {
            self.until -= chunk;
        }
    }
}

/// Which chunks of a table have changed since it was last frozen, of those rows that it had then.
#[derive(Debug, Default)]
pub(super) struct Changes {
    rows: usize,
    /// A byte for each chunk.
    changed: Vec<u8>,
}

impl Changes {
    /// A chunk changes; one that is behind all that were frozen is new anyway.
    #[inline(always)]
    pub(super) fn note(&mut self, number: usize) {
        if let Some(changed) = self.changed.get_mut(number) {
            *changed = 1;
        }
    }

    /// What is unsaved of a table of so many rows now, where snapshots hold what it was when it was
    /// last frozen. From here on changes are noted anew.
    pub(super) fn take(&mut self, rows: usize, chunk: usize) -> Unsaved {
        let known = if self.rows == rows { rows.div_ceil(chunk) } else { self.rows / chunk };
        let is_known = |number| number < known && self.changed[number] == 0;
        let unsaved = Unsaved::unknown(rows, chunk, is_known);
        self.begin(rows, chunk);
        unsaved
    }

    /// A table of so many rows is frozen whole.
    pub(super) fn begin(&mut self, rows: usize, chunk: usize) {
        self.rows = rows;
        self.changed.clear();
        self.changed.resize(rows.div_ceil(chunk), 0);
    }
}

/// The rows of a table on its way back, whose chunks come in any order.
#[derive(Debug)]
pub(super) struct Awaited {
    rows: usize,
    left: usize,
    /// A bit for each chunk that has come.
    come: Vec<u64>,
}

impl Awaited {
    /// All of so many rows, in chunks of so many.
    pub(super) fn all(rows: usize, chunk: usize) -> Self {
        Self { rows, left: rows, come: vec![0; rows.div_ceil(chunk).div_ceil(64)] }
    }

    /// A chunk of so many rows comes, in chunks of so many; says whether it is wanted.
    pub(super) fn take(
        &mut self,
        (first, count): (usize, usize),
        chunk: usize,
    ) -> Result<bool, NotSaved> {
        let number = first / chunk;
        let bits = self.come.get_mut(number / 64).ok_or(NotSaved)?;
        // What comes first is the newest.
        if *bits >> (number % 64) & 1 == 1 {
            return Ok(false);
        }
        let rows = self.rows.saturating_sub(first).min(chunk);
        if !first.is_multiple_of(chunk) || count != rows || count == 0 {
            return Err(NotSaved);
        }
        *bits |= 1 << (number % 64);
        self.left -= count;
        Ok(true)
    }

    /// Whether all have come.
    pub(super) fn is_over(&self) -> bool {
        self.left == 0
    }
}
