//! The watermark and its one law: it only rises.

use super::{EventTime, Span};
use std::fmt;

/// A promise of a lane: no more records with `time <= watermark` will follow.
///
/// (Tyler Akidau et al., "The Dataflow Model", VLDB 2015; the inclusive form is Flink's.)
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watermark(i64);

impl Watermark {
    /// Promises nothing.
    pub const START: Self = Self(i64::MIN);
    /// Promises that nothing more will come.
    pub const END: Self = Self(i64::MAX);

    /// The watermark that promises no more records at or before `time`. Bytes read as a time may
    /// hold the two outermost values, which no time says; they are taken for the nearest that one
    /// does.
    #[inline]
    pub const fn at(time: EventTime) -> Self {
        Self(EventTime::from_nanos(time.as_nanos()).as_nanos())
    }

    /// The watermark of a partition whose highest time is `max` and whose records come at most
    /// `bound` out of order: `max - bound`. Nothing is promised where that is before all times.
    #[inline]
    pub const fn behind(max: EventTime, bound: Span) -> Self {
        match Self::at(max).0.checked_sub(bound.as_nanos()) {
            Some(nanos) => Self(nanos),
            None => Self::START,
        }
    }

    /// As frames carry it: nanoseconds, with the two outermost values for `START` and `END`.
    #[inline]
    pub const fn to_raw(self) -> i64 {
        self.0
    }

    /// From what a frame carries.
    #[inline]
    pub const fn from_raw(raw: i64) -> Self {
        Self(raw)
    }

    /// The time that the watermark stands at; `None` for `START` and `END`.
    pub const fn time(self) -> Option<EventTime> {
        match self {
            Self::START | Self::END => None,
            Self(nanos) => Some(EventTime::from_nanos(nanos)),
        }
    }

    /// The first moment that records may still come for: a window that ends at or before it is
    /// closed. It is the watermark plus one `tick`, the resolution of the stream's timestamps.
    /// The outermost values are those of `START` and `END` alone: only the end closes a window that
    /// ends beyond all times.
    #[inline]
    pub const fn horizon(self, tick: Span) -> i64 {
        match self {
            Self::START => i64::MIN,
            Self::END => i64::MAX,
            Self(nanos) => match nanos.saturating_add(tick.as_nanos()) {
                i64::MAX => i64::MAX - 1,
                horizon => horizon,
            },
        }
    }

    /// Moves forward only; says the new watermark when, and only when, it moved.
    #[inline]
    pub fn advance_to(&mut self, next: Self) -> Option<Self> {
        (next > *self).then(|| {
            *self = next;
            next
        })
    }
}

impl fmt::Display for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (*self, self.time()) {
            (Self::START, _) => f.write_str("none"),
            (_, Some(time)) => time.fmt(f),
            (_, None) => f.write_str("end"),
        }
    }
}

impl fmt::Debug for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::START => f.write_str("Watermark::START"),
            Self::END => f.write_str("Watermark::END"),
            Self(nanos) => write!(f, "Watermark({nanos})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watermark_only_rises() {
        let mut watermark = Watermark::START;
        let ten = Watermark::at(EventTime::from_nanos(10));
        assert_eq!(watermark.advance_to(ten), Some(ten));
        assert_eq!(watermark.advance_to(Watermark::at(EventTime::from_nanos(9))), None);
        assert_eq!(watermark.advance_to(ten), None);
        assert_eq!(watermark, ten);
        assert_eq!(watermark.advance_to(Watermark::END), Some(Watermark::END));
    }

    #[test]
    fn behind_the_first_times_nothing_is_promised() {
        let behind = |bound| Watermark::behind(EventTime::MIN, Span::from_nanos(bound));
        assert_eq!(behind(0), Watermark::at(EventTime::MIN));
        assert_eq!([behind(1), behind(2)], [Watermark::START; 2]);
        let max = EventTime::from_nanos(i64::MAX);
        assert_eq!(Watermark::behind(max, Span::ZERO), Watermark::at(EventTime::MAX));
    }

    #[test]
    fn the_horizon_is_one_tick_past_the_watermark() {
        let watermark = Watermark::at(EventTime::from_nanos(999_000_000));
        assert_eq!(watermark.horizon(Span::from_millis(1)), 1_000_000_000);
        assert_eq!(Watermark::END.horizon(Span::from_millis(1)), i64::MAX);
        assert_eq!(Watermark::START.horizon(Span::from_millis(1)), i64::MIN);
    }
}
