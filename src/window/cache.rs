//! From a time to the pane of its slice, for slices met a moment ago: without a division.
//!
//! ```text
//!  slices:    |      a      |      b      |     c ...
//!  granules:  |   |   |   |   |   |   |   |   |       a power of two of nanoseconds each
//!                       `- holds the boundary of a and b: both panes and the boundary are known
//! ```
//! A granule with more than one boundary in it is never remembered.

use super::slices::NO_PANE;
use super::spec::WindowSpec;
use std::ops::Range;

/// Granules remembered. Where more are in use at a time, some are looked up anew.
const REMEMBERED: usize = 512;

/// A granule: the pane of the times before the boundary and that of the others.
#[derive(Clone, Copy, Debug)]
struct Granule {
    number: i64,
    boundary: i64,
    before: u32,
    after: u32,
}

const NOTHING: Granule =
    Granule { number: i64::MIN, boundary: i64::MAX, before: NO_PANE, after: NO_PANE };

/// A table of granules by where they lie in time.
#[derive(Debug)]
pub(super) struct SliceCache {
    granules: Box<[Granule; REMEMBERED]>,
    shift: u32,
}

impl SliceCache {
    pub(super) fn new(spec: &WindowSpec) -> Self {
        Self { granules: Box::new([NOTHING; REMEMBERED]), shift: spec.granule_bits() }
    }

    /// The pane of the slice that holds a time, if it is remembered.
    #[inline(always)]
    pub(super) fn find(&self, nanos: i64) -> Option<u32> {
        let number = nanos >> self.shift;
        let granule = &self.granules[number as usize % REMEMBERED];
        let pane = if nanos < granule.boundary { granule.before } else { granule.after };
        (granule.number == number && pane != NO_PANE).then_some(pane)
    }

    /// Remembers the slice that holds a time.
    pub(super) fn remember(&mut self, nanos: i64, slice: Range<i64>, pane: u32) {
        let number = nanos >> self.shift;
        let first = number << self.shift;
        let last = first | ((1 << self.shift) - 1);
        let starts_inside = slice.start > first;
        let ends_inside = slice.end <= last;
        let boundary = match (starts_inside, ends_inside) {
            (true, true) => return,
            (true, false) => slice.start,
            (false, true) => slice.end,
            (false, false) => i64::MAX,
        };
        let place = &mut self.granules[number as usize % REMEMBERED];
        if place.number != number || place.boundary != boundary {
            *place = Granule { number, boundary, ..NOTHING };
        }
        match starts_inside {
            true => place.after = pane,
            false => place.before = pane,
        }
    }

    /// Forgets a slice, wherever it is remembered, and what shares a granule with it.
    pub(super) fn forget(&mut self, slice: Range<i64>) {
        let (first, last) = (slice.start >> self.shift, (slice.end - 1) >> self.shift);
        if last.abs_diff(first) >= REMEMBERED as u64 {
            self.granules.fill(NOTHING);
            return;
        }
        for number in first..=last {
            let granule = &mut self.granules[number as usize % REMEMBERED];
            if granule.number == number {
                *granule = NOTHING;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_found_is_the_pane_of_the_slice(
            (size, slide) in (1_u64..3_000).prop_flat_map(|size| (Just(size), 1..=size)),
            offset in -500_i64..500,
            steps in prop::collection::vec((-20_000_i64..20_000, 0_u32..6), 1..200),
        ) {
            let spec = WindowSpec::sliding(Span::from_nanos(size), Span::from_nanos(slide));
            let spec = spec.unwrap().with_offset(offset);
            let mut cache = SliceCache::new(&spec);
            let mut panes = std::collections::BTreeMap::new();
            for (nanos, step) in steps {
                let slice = spec.slice_of(nanos);
                if let Some(found) = cache.find(nanos) {
                    prop_assert_eq!(Some(&found), panes.get(&slice));
                }
                let next = panes.len() as u32;
                let pane = *panes.entry(slice).or_insert(next);
                let bounds = spec.slice_start(slice)..spec.slice_end(slice);
                match step {
                    0 => {
                        cache.forget(bounds);
                        prop_assert_eq!(cache.find(nanos), None);
                    }
                    _ => cache.remember(nanos, bounds, pane),
                }
            }
        }
    }
}
