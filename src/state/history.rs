//! History: what of the log stays though going on does not need it, and the snapshots that it can
//! be taken again from. Where history is kept, a snapshot has a name for that beside the one under
//! which it is gone on from.

use super::settings::Keep;
use crate::log::EntrySequence;
use std::time::SystemTime;

/// A place that a log can be taken again from: its start, or a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Base {
    /// The first entry from there.
    pub(super) next: EntrySequence,
    /// When it was written.
    pub(super) written: SystemTime,
    /// Bytes of the snapshot.
    pub(super) bytes: u64,
}

/// A segment of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) first: EntrySequence,
    pub(super) bytes: u64,
}

/// From where on a shard's log stays, of which `needed` and all behind it does in any case. Bases
/// are those before `needed`; bases and segments are in their order. Of a log that no base reaches
/// nothing can be taken again, and it goes.
pub(super) fn first_kept(
    keep: Keep,
    bases: &[Base],
    segments: &[Extent],
    (needed, now): (EntrySequence, SystemTime),
) -> EntrySequence {
    let oldest = segments.first().map_or(needed, |segment| segment.first);
    let reached: Vec<&Base> = bases.iter().filter(|base| base.next >= oldest).collect();
    let is_kept = |at: usize| match keep {
        Keep::Nothing => false,
        Keep::All => true,
        // History from a base reaches to the next one.
        Keep::For(span) => reached.get(at + 1).is_none_or(|next| {
            let age = now.duration_since(next.written).unwrap_or_default();
            age.as_nanos() < u128::from(span.as_nanos().unsigned_abs())
        }),
        Keep::Bytes(max) => {
            let snapshots: u64 = reached[at..].iter().map(|base| base.bytes).sum();
            let last = EntrySequence(u64::MAX);
            let ends = segments.iter().skip(1).map(|next| next.first).chain([last]);
            let log = segments
                .iter()
                .zip(ends)
                .filter(|(_, end)| *end > reached[at].next && *end <= needed);
            snapshots + log.map(|(segment, _)| segment.bytes).sum::<u64>() <= max
        }
    };
    (0..reached.len()).find(|at| is_kept(*at)).map_or(needed, |at| reached[at].next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;
    use proptest::prelude::*;
    use std::time::Duration;

    const NOW: Duration = Duration::from_secs(1_000_000);

    /// Bases and segments of a log that begins with entry `first`, one each 10 entries, 100 bytes
    /// and 7 bytes long, a minute from base to base.
    fn log(first: u64, bases: &[u64], segments: u64) -> (Vec<Base>, Vec<Extent>) {
        let minutes = |before: usize| Duration::from_secs(60 * before as u64);
        let base = |(at, next): (usize, &u64)| Base {
            next: EntrySequence(*next),
            written: SystemTime::UNIX_EPOCH + NOW - minutes(bases.len() - at),
            bytes: if *next == 0 { 0 } else { 7 },
        };
        let segment = |at| Extent { first: EntrySequence(first + at * 10), bytes: 100 };
        (bases.iter().enumerate().map(base).collect(), (0..segments).map(segment).collect())
    }

    #[test]
    fn history_goes_from_base_to_base() {
        let (bases, segments) = log(0, &[0, 12, 31, 55], 8);
        let first = |keep| {
            let at = (EntrySequence(72), SystemTime::UNIX_EPOCH + NOW);
            first_kept(keep, &bases, &segments, at).0
        };
        assert_eq!(first(Keep::Nothing), 72);
        assert_eq!(first(Keep::All), 0);
        // From 12 on there are the segments of 10 to 70 and three snapshots.
        assert_eq!(first(Keep::Bytes(621)), 12);
        assert_eq!(first(Keep::Bytes(620)), 31);
        assert_eq!(first(Keep::Bytes(721)), 0);
        assert_eq!(first(Keep::Bytes(0)), 72);
        // The one of 31 was written two minutes ago: entries before it are older.
        assert_eq!(first(Keep::For(Span::from_seconds(121))), 12);
        assert_eq!(first(Keep::For(Span::from_seconds(120))), 31);
        assert_eq!(first(Keep::For(Span::from_seconds(1))), 55);
        assert_eq!(first(Keep::For(Span::from_hours(1))), 0);
    }

    #[test]
    fn nothing_is_kept_that_nothing_reaches() {
        let (bases, segments) = log(20, &[0, 12, 31], 6);
        let at = (EntrySequence(72), SystemTime::UNIX_EPOCH + NOW);
        assert_eq!(first_kept(Keep::All, &bases, &segments, at), EntrySequence(31));
        assert_eq!(first_kept(Keep::All, &bases[..2], &segments, at), EntrySequence(72));
    }

    proptest! {
        #[test]
        fn within_bounds_and_as_much_as_fits(max in 0..2000_u64, needed in 1..100_u64) {
            let all: Vec<u64> = (0..needed).step_by(9).collect();
            let (bases, segments) = log(0, &all, needed / 10 + 1);
            let now = SystemTime::UNIX_EPOCH + NOW;
            let at = (EntrySequence(needed), now);
            let first = first_kept(Keep::Bytes(max), &bases, &segments, at).0;
            let bytes = |from: u64| {
                let whole = |at: &u64| at * 10 + 10 > from && at * 10 + 10 <= needed;
                let log = (0..needed / 10).filter(whole).count() as u64 * 100;
                log + all.iter().filter(|next| **next >= from && **next > 0).count() as u64 * 7
            };
            prop_assert!(first == needed || all.contains(&first));
            if first < needed {
                prop_assert!(bytes(first) <= max);
            }
            for sooner in all.iter().filter(|base| **base < first) {
                prop_assert!(bytes(*sooner) > max, "{sooner} would fit");
            }
        }
    }
}
