//! A length of time, and how people write one.

use std::fmt;
use std::str::FromStr;

/// A length of time, never negative: nanoseconds, at most 292 years.
///
/// Parses from what people write: `500ms`, `10s`, `1h30m`, `2d`; prints the same way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(i64);

const UNITS: [(&str, i64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The longest span.
    pub const MAX: Self = Self(i64::MAX);

    /// So many nanoseconds; the longest span when there are more than it holds.
    pub const fn from_nanos(nanos: u64) -> Self {
        if nanos > i64::MAX as u64 { Self::MAX } else { Self(nanos as i64) }
    }

    /// So many microseconds, saturating.
    pub const fn from_micros(micros: u64) -> Self {
        Self::from_nanos(micros.saturating_mul(1_000))
    }

    /// So many milliseconds, saturating.
    pub const fn from_millis(millis: u64) -> Self {
        Self::from_nanos(millis.saturating_mul(1_000_000))
    }

    /// So many seconds, saturating.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self::from_nanos(seconds.saturating_mul(1_000_000_000))
    }

    /// So many minutes, saturating.
    pub const fn from_minutes(minutes: u64) -> Self {
        Self::from_seconds(minutes.saturating_mul(60))
    }

    /// So many hours, saturating.
    pub const fn from_hours(hours: u64) -> Self {
        Self::from_minutes(hours.saturating_mul(60))
    }

    /// So many days of 24 hours, saturating.
    pub const fn from_days(days: u64) -> Self {
        Self::from_hours(days.saturating_mul(24))
    }

    /// The span in nanoseconds; never negative.
    #[inline]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// The next span, at least as long, that a person would write: whole units below a second,
    /// two units at most above.
    #[must_use]
    pub fn rounded_up(self) -> Self {
        let leading = UNITS.iter().position(|(_, nanos)| self.0 >= *nanos);
        let unit = leading.map_or(1, |at| match UNITS[at] {
            (_, nanos) if nanos < 1_000_000_000 => nanos,
            _ => UNITS[at + 1].1,
        });
        let units = self.0.unsigned_abs().div_ceil(unit.unsigned_abs());
        Self::from_nanos(units.saturating_mul(unit.unsigned_abs()))
    }

    /// Whether the span is empty.
    #[inline]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl From<std::time::Duration> for Span {
    fn from(duration: std::time::Duration) -> Self {
        Self::from_nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Span> for std::time::Duration {
    fn from(span: Span) -> Self {
        Self::from_nanos(span.0.unsigned_abs())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, nanos) in UNITS {
            if rest >= nanos {
                write!(f, "{}{unit}", rest / nanos)?;
                rest %= nanos;
            }
        }
        Ok(())
    }
}

/// Why a text is not a [`Span`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseSpanError {
    /// The text is not numbers with units.
    #[error("'{0}' is not a length of time; write it like 500ms, 10s, 15m, 1h30m or 2d")]
    Malformed(String),
    /// A number stands without its unit.
    #[error("'{0}' lacks a unit; write {0}ms, {0}s, {0}m, {0}h or {0}d")]
    NoUnit(String),
    /// The unit is none that is known.
    #[error("'{unit}' in '{text}' is no unit of time; the units are ns, us, ms, s, m, h and d")]
    UnknownUnit {
        /// The whole text.
        text: String,
        /// What stands where a unit should.
        unit: String,
    },
    /// A minus sign.
    #[error("'{0}' is negative; a length of time is not")]
    Negative(String),
    /// Longer than a span can be.
    #[error("'{0}' is longer than 292 years")]
    TooLong(String),
}

impl FromStr for Span {
    type Err = ParseSpanError;

    fn from_str(text: &str) -> Result<Self, ParseSpanError> {
        let trimmed = text.trim();
        if trimmed.starts_with('-') {
            return Err(ParseSpanError::Negative(trimmed.into()));
        }
        if trimmed == "0" {
            return Ok(Self::ZERO);
        }
        let mut rest = trimmed;
        let mut total = 0_i64;
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, after) = rest.split_at(digits);
            let letters = after.len() - after.trim_start_matches(char::is_alphabetic).len();
            let (unit, next) = after.split_at(letters);
            if number.is_empty() {
                return Err(ParseSpanError::Malformed(trimmed.into()));
            }
            if unit.is_empty() {
                return Err(match next.is_empty() && rest == trimmed {
                    true => ParseSpanError::NoUnit(trimmed.into()),
                    false => ParseSpanError::Malformed(trimmed.into()),
                });
            }
            let nanos = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(|| {
                ParseSpanError::UnknownUnit { text: trimmed.into(), unit: unit.into() }
            })?;
            total = number
                .parse::<i64>()
                .ok()
                .and_then(|count| count.checked_mul(nanos.1))
                .and_then(|part| total.checked_add(part))
                .ok_or_else(|| ParseSpanError::TooLong(trimmed.into()))?;
            rest = next;
        }
        if trimmed.is_empty() {
            return Err(ParseSpanError::Malformed(trimmed.into()));
        }
        Ok(Self(total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_write_them() {
        assert_eq!("1h30m".parse(), Ok(Span::from_minutes(90)));
        assert_eq!("500ms".parse(), Ok(Span::from_millis(500)));
        assert_eq!("0".parse(), Ok(Span::ZERO));
        assert_eq!("10".parse::<Span>(), Err(ParseSpanError::NoUnit("10".into())));
        assert_eq!("-1s".parse::<Span>(), Err(ParseSpanError::Negative("-1s".into())));
        assert!(matches!("1y".parse::<Span>(), Err(ParseSpanError::UnknownUnit { .. })));
        assert!(matches!("".parse::<Span>(), Err(ParseSpanError::Malformed(_))));
        assert!(matches!("1.5s".parse::<Span>(), Err(ParseSpanError::Malformed(_))));
        assert!(matches!("999999999d".parse::<Span>(), Err(ParseSpanError::TooLong(_))));
    }

    #[test]
    fn a_span_that_is_rounded_up_has_few_units() {
        for (exact, rounded) in [
            ("0", "0s"),
            ("597ns", "597ns"),
            ("1ms1ns", "2ms"),
            ("5ms149us842ns", "6ms"),
            ("999ms1ns", "1s"),
            ("1s29ms968us", "1s30ms"),
            ("1h30m", "1h30m"),
            ("1h59m1s", "2h"),
            ("2d1ns", "2d1h"),
        ] {
            let exact: Span = exact.parse().unwrap();
            assert_eq!(exact.rounded_up().to_string(), rounded);
            assert!(exact.rounded_up() >= exact);
        }
        assert_eq!(Span::MAX.rounded_up(), Span::MAX);
    }

    #[test]
    fn a_span_prints_as_it_parses() {
        for nanos in [0, 1, 999, 1_000_000, 90 * 60_000_000_000, 86_400_000_000_001] {
            let span = Span::from_nanos(nanos);
            assert_eq!(span.to_string().parse(), Ok(span));
        }
    }
}
