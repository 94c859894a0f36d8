//! Event time, spans of it, watermarks, and the clock that processing time is read from.
//!
//! Uses nothing of the crate. Event time never comes from a clock here: it is what a record says.

mod clock;
mod span;
mod stamp;
mod watermark;

pub use clock::{Clock, ManualClock, MonotonicNanos, SystemClock};
pub use span::{ParseSpanError, Span};
pub use stamp::push_stamp;
pub use watermark::Watermark;

use bytemuck::{Pod, Zeroable};

/// When something happened, as the record itself says: nanoseconds since the Unix epoch, UTC.
///
/// Covers the years 1677 to 2262; times before 1970 are negative. The two outermost values are
/// kept for [`Watermark::START`] and [`Watermark::END`], so no record can carry them.
///
/// The constructors are `const` and never panic. A count of a coarser unit may be of a time out of
/// range, and is `None` then, where [`Span`]'s constructors give the longest span: a bound longer
/// than all times does what was meant, but a record that was given the last time instead of its
/// own would close every window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
#[repr(transparent)]
pub struct EventTime(i64);

impl EventTime {
    /// The earliest time that a record can carry.
    pub const MIN: Self = Self(i64::MIN + 1);
    /// The latest time that a record can carry.
    pub const MAX: Self = Self(i64::MAX - 1);
    /// 1970-01-01 00:00:00 UTC.
    pub const EPOCH: Self = Self(0);

    /// A time of so many nanoseconds since the epoch. The two values that are no times are the
    /// nearest ones, a nanosecond off.
    #[inline]
    pub const fn from_nanos(nanos: i64) -> Self {
        match nanos {
            i64::MIN => Self::MIN,
            i64::MAX => Self::MAX,
            _ => Self(nanos),
        }
    }

    /// A time of so many microseconds since the epoch; `None` when it is out of range.
    #[inline]
    pub const fn from_micros(micros: i64) -> Option<Self> {
        Self::scaled(micros, 1_000)
    }

    /// A time of so many milliseconds since the epoch; `None` when it is out of range.
    #[inline]
    pub const fn from_millis(millis: i64) -> Option<Self> {
        Self::scaled(millis, 1_000_000)
    }

    /// A time of so many seconds since the epoch; `None` when it is out of range.
    #[inline]
    pub const fn from_seconds(seconds: i64) -> Option<Self> {
        Self::scaled(seconds, 1_000_000_000)
    }

    const fn scaled(count: i64, nanos_each: i64) -> Option<Self> {
        match count.checked_mul(nanos_each) {
            Some(nanos) => Some(Self::from_nanos(nanos)),
            None => None,
        }
    }

    /// Nanoseconds since the epoch.
    #[inline]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Later by `span`; the latest time there is when that would be out of range.
    #[inline]
    #[must_use]
    pub const fn saturating_add(self, span: Span) -> Self {
        Self::from_nanos(self.0.saturating_add(span.as_nanos()))
    }

    /// Earlier by `span`; the earliest time there is when that would be out of range.
    #[inline]
    #[must_use]
    pub const fn saturating_sub(self, span: Span) -> Self {
        Self::from_nanos(self.0.saturating_sub(span.as_nanos()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_out_of_range_are_refused_not_wrapped() {
        assert_eq!(EventTime::from_seconds(i64::MAX / 1000), None);
        assert_eq!(EventTime::from_millis(-1), Some(EventTime::from_nanos(-1_000_000)));
        assert_eq!(EventTime::from_nanos(i64::MIN), EventTime::MIN);
        assert_eq!(EventTime::MAX.saturating_add(Span::from_nanos(5)), EventTime::MAX);
        assert_eq!(EventTime::MIN.saturating_sub(Span::from_nanos(5)), EventTime::MIN);
    }
}
