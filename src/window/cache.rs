//! From a time to the pane of its slice, for slices met a moment ago: without a division.

use super::spec::WindowSpec;
use std::ops::Range;

/// Slices remembered. Beyond so many open at a time, some are looked up anew.
const REMEMBERED: usize = 256;

/// A slice's bounds in time and its pane. Nothing is remembered: empty bounds.
#[derive(Clone, Copy, Debug)]
struct Remembered {
    start: i64,
    end: i64,
    pane: u32,
}

const NOTHING: Remembered = Remembered { start: 0, end: 0, pane: 0 };

/// A table of open slices by about where they lie in time. Where a time is looked for comes from a
/// multiplication that may be off; what is found there is checked against the slice's exact
/// bounds, so an error only costs a look-up.
#[derive(Debug)]
pub(super) struct SliceCache {
    slices: Box<[Remembered; REMEMBERED]>,
    /// Times count from here: the first one seen, so that they stay small enough to be exact.
    origin: Option<i64>,
    slices_per_nano: f64,
}

impl SliceCache {
    pub(super) fn new(spec: &WindowSpec) -> Self {
        Self {
            slices: Box::new([NOTHING; REMEMBERED]),
            origin: None,
            slices_per_nano: spec.slices_per_nano(),
        }
    }

    #[inline(always)]
    fn place(&self, nanos: i64) -> usize {
        let distance = nanos.wrapping_sub(self.origin.unwrap_or(0));
        (distance as f64 * self.slices_per_nano) as i64 as usize % REMEMBERED
    }

    /// The pane of the slice that holds a time, if it is remembered.
    #[inline(always)]
    pub(super) fn find(&self, nanos: i64) -> Option<u32> {
        let found = &self.slices[self.place(nanos)];
        (found.start <= nanos && nanos < found.end).then_some(found.pane)
    }

    /// Remembers the slice that holds a time.
    pub(super) fn remember(&mut self, nanos: i64, bounds: Range<i64>, pane: u32) {
        self.origin.get_or_insert(bounds.start);
        let place = self.place(nanos);
        self.slices[place] = Remembered { start: bounds.start, end: bounds.end, pane };
    }

    /// Forgets the slice of a pane, wherever it is remembered.
    pub(super) fn forget(&mut self, pane: u32) {
        let of_pane = self.slices.iter_mut().filter(|slice| slice.pane == pane);
        of_pane.for_each(|slice| *slice = NOTHING);
    }
}
