//! A length of time, and how people write one.

use std::fmt;
use std::str::FromStr;

/// A length of time, never negative: nanoseconds, at most 292 years.
///
/// Parses from what people write: `500ms`, `10s`, `1h30m`, `1.5h`, `2d`, `1w`; prints in whole
/// numbers of the units up to the day, as `7d`.
///
/// The constructors are `const`, never panic, and give the longest span where there is more than it
/// holds: as a bound it is as good. ([`EventTime`](super::EventTime) says why its own do not.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(i64);

/// As they are printed, but for weeks, which are printed as days.
const UNITS: [(&str, i64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];
const WEEK: (&str, i64) = ("w", 7 * 86_400_000_000_000);

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
    #[error("'{0}' is not a length of time; write it like 500ms, 10s, 1h30m, 1.5h or 2d")]
    Malformed(String),
    /// A number stands without its unit.
    #[error("'{0}' lacks a unit; write {0}ms, {0}s, {0}m, {0}h or {0}d")]
    NoUnit(String),
    /// The unit is none that is known.
    #[error("'{unit}' in '{text}' is no unit of time; the units are ns, us, ms, s, m, h, d and w")]
    UnknownUnit {
        /// The whole text.
        text: String,
        /// What stands where a unit should.
        unit: String,
    },
    /// A minus sign.
    #[error("'{0}' is negative; a length of time is not")]
    Negative(String),
    /// A fraction that is no whole number of nanoseconds.
    #[error("'{0}' is no whole number of nanoseconds; write it in whole numbers of smaller units")]
    TooFine(String),
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
            let (part, next) = read_part(trimmed, rest)?;
            let sum = total.checked_add(part);
            total = sum.ok_or_else(|| ParseSpanError::TooLong(trimmed.into()))?;
            rest = next;
        }
        if trimmed.is_empty() {
            return Err(ParseSpanError::Malformed(trimmed.into()));
        }
        Ok(Self(total))
    }
}

/// The nanoseconds of the number and the unit at the front of `rest`, and what follows them.
fn read_part<'a>(text: &str, rest: &'a str) -> Result<(i64, &'a str), ParseSpanError> {
    let is_of_number = |c: char| c.is_ascii_digit() || c == '.';
    let (number, after) = rest.split_at(rest.len() - rest.trim_start_matches(is_of_number).len());
    let (unit, next) =
        after.split_at(after.len() - after.trim_start_matches(char::is_alphabetic).len());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(ParseSpanError::Malformed(text.into()));
    }
    if unit.is_empty() {
        return Err(match next.is_empty() && rest == text {
            true => ParseSpanError::NoUnit(text.into()),
            false => ParseSpanError::Malformed(text.into()),
        });
    }
    let known = UNITS.iter().chain([&WEEK]).find(|(name, _)| *name == unit);
    let (_, nanos) = known
        .ok_or_else(|| ParseSpanError::UnknownUnit { text: text.into(), unit: unit.into() })?;
    let too_long = || ParseSpanError::TooLong(text.into());
    let whole = whole.parse::<i64>().ok().and_then(|count| count.checked_mul(*nanos));
    let part = part_of(*nanos, fraction).ok_or_else(|| ParseSpanError::TooFine(text.into()))?;
    let sum = whole.ok_or_else(too_long)?.checked_add(part);
    Ok((sum.ok_or_else(too_long)?, next))
}

/// So many nanoseconds as these decimal digits behind a point are of a unit; `None` where they are
/// no whole number.
fn part_of(unit: i64, digits: &str) -> Option<i64> {
    let digits = digits.trim_end_matches('0');
    // A unit has at most 16 factors of two or of five, so a longer fraction is never whole.
    let scale = u32::try_from(digits.len()).ok().filter(|digits| *digits <= 16);
    let scale = scale.map(|digits| 10_i128.pow(digits))?;
    let count = if digits.is_empty() { 0 } else { digits.parse::<i128>().ok()? };
    let nanos = count * i128::from(unit);
    if nanos % scale == 0 { i64::try_from(nanos / scale).ok() } else { None }
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
        for text in ["1.s", ".5s", "1..5s", "1.5.5s", "1h.5", "1h2", "1h 30m", "1,5h"] {
            assert_eq!(text.parse::<Span>(), Err(ParseSpanError::Malformed(text.into())), "{text}");
        }
        assert_eq!("1.5".parse::<Span>(), Err(ParseSpanError::NoUnit("1.5".into())));
        assert!(matches!("999999999d".parse::<Span>(), Err(ParseSpanError::TooLong(_))));
    }

    #[test]
    fn fractions_are_exact_or_refused() {
        for (text, same) in [
            ("1.5h", "1h30m"),
            ("1w", "7d"),
            ("0.5w1.25m", "3d12h1m15s"),
            ("1.50s", "1s500ms"),
            ("0.000000001s", "1ns"),
            ("1.0ns", "1ns"),
            ("0.1us", "100ns"),
        ] {
            assert_eq!(text.parse::<Span>(), same.parse(), "{text}");
        }
        let digits = format!("0.{}1s", "0".repeat(50));
        let long = "0.33333333333333333333h";
        for text in ["1.5ns", "0.0000000001s", "0.999999999999999999w", long, &digits] {
            assert_eq!(text.parse::<Span>(), Err(ParseSpanError::TooFine(text.into())), "{text}");
        }
        assert!(matches!("20000.5w".parse::<Span>(), Err(ParseSpanError::TooLong(_))));
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

    proptest::proptest! {
        #[test]
        fn a_span_parses_as_it_prints(nanos in 0..=i64::MAX, shift in 0..64_u32) {
            let span = Span::from_nanos((nanos >> shift).unsigned_abs());
            proptest::prop_assert_eq!(span.to_string().parse(), Ok(span));
        }

        #[test]
        fn a_fraction_is_what_its_digits_say(whole in 0..100_i64, millis in 0..1000_i64) {
            let span = Span::from_nanos((whole * 1000 + millis).unsigned_abs() * 3_600_000_000);
            proptest::prop_assert_eq!(format!("{whole}.{millis:03}h").parse(), Ok(span));
        }
    }
}
