//! Event times as text, both ways: what people write into files becomes an [`EventTime`], and an
//! event time becomes `yyyy-MM-dd HH:mm:ss.SSS`.
//!
//! May use `time`. The calendar is `jiff`'s; the layout that nearly every file has is read by hand
//! with the last day kept, since consecutive records mostly share it.

use crate::time::EventTime;
use jiff::civil;
use jiff::tz::Offset;
use std::fmt;
use std::str::FromStr;

/// What an integer in a time column counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds since the Unix epoch.
    Seconds,
    /// Milliseconds since the Unix epoch.
    Millis,
    /// Microseconds since the Unix epoch.
    Micros,
    /// Nanoseconds since the Unix epoch.
    Nanos,
}

impl TimeUnit {
    /// All units with the names that people give them.
    pub const NAMES: [(&'static str, Self); 4] =
        [("s", Self::Seconds), ("ms", Self::Millis), ("us", Self::Micros), ("ns", Self::Nanos)];

    /// The time `count` units after the epoch; `None` when it is out of range.
    #[inline]
    pub const fn time(self, count: i64) -> Option<EventTime> {
        match self {
            Self::Seconds => EventTime::from_seconds(count),
            Self::Millis => EventTime::from_millis(count),
            Self::Micros => EventTime::from_micros(count),
            Self::Nanos => Some(EventTime::from_nanos(count)),
        }
    }

    /// Decimal digits between this unit and the nanosecond.
    const fn digits(self) -> usize {
        match self {
            Self::Seconds => 9,
            Self::Millis => 6,
            Self::Micros => 3,
            Self::Nanos => 0,
        }
    }
}

impl fmt::Display for TimeUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::NAMES.iter().find(|(_, unit)| unit == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

impl FromStr for TimeUnit {
    type Err = UnknownTimeUnit;

    fn from_str(text: &str) -> Result<Self, UnknownTimeUnit> {
        let named = Self::NAMES.iter().find(|(name, _)| *name == text);
        named.map(|(_, unit)| *unit).ok_or_else(|| UnknownTimeUnit(text.to_owned()))
    }
}

/// A text that names no [`TimeUnit`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no unit of time; the units are s, ms, us and ns")]
pub struct UnknownTimeUnit(String);

/// Why a text is not an event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseTimeError {
    /// It does not read as a time at all.
    #[error("not a time; write it like 2013-01-01 05:17:00.000, with Z or +02:00 if not UTC")]
    Malformed,
    /// It is a number, and nothing says what the number counts.
    #[error("a number, and nothing says what it counts")]
    NoUnit,
    /// It does not read as a number, and a unit was given.
    #[error("not a number of {0} since 1970-01-01")]
    NotACount(TimeUnit),
    /// A time before 1677-09-21 or after 2262-04-11.
    #[error("out of range; times reach from 1677-09-21 to 2262-04-11")]
    OutOfRange,
}

impl ParseTimeError {
    /// The `--time-unit` that would mend it, if one would.
    pub(crate) fn mend(self, text: &[u8]) -> Option<String> {
        match (self, likely(text)) {
            (Self::NoUnit, Some((name, stamp))) => {
                Some(format!("say --time-unit {name} if it is {stamp}"))
            }
            (Self::NoUnit, None) => Some("say --time-unit s, ms, us or ns".to_owned()),
            (Self::NotACount(_), _) => TimestampReader::new(None)
                .read(text)
                .ok()
                .map(|_| "leave --time-unit away: a date with a time of day needs none".to_owned())
                .or_else(|| has_exponent(text).then(|| "write it without an exponent".to_owned())),
            (Self::OutOfRange, Some((name, stamp))) => {
                Some(format!("say --time-unit {name} instead if it is {stamp}"))
            }
            _ => None,
        }
    }
}

/// Whether a text is a number that is written with an exponent.
fn has_exponent(text: &[u8]) -> bool {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    number.is_some_and(f64::is_finite) && text.iter().any(|byte| matches!(byte, b'e' | b'E'))
}

/// Times that most data are of, in nanoseconds: from 1990 to 2100. A count in a wrong unit is a
/// thousand times off, so it is never among them.
const LIKELY: std::ops::Range<i64> = 631_152_000_000_000_000..4_102_444_800_000_000_000;

/// The unit's name and the time, where a text is a number that counts one to a likely time.
pub(crate) fn likely(text: &[u8]) -> Option<(&'static str, String)> {
    TimeUnit::NAMES.into_iter().find_map(|(name, unit)| {
        let time = TimestampReader::new(Some(unit)).read(text).ok();
        let time = time.filter(|time| LIKELY.contains(&time.as_nanos()))?;
        Some((name, time.to_string()))
    })
}

/// The unit in which the count that `time` was read of in `unit` is a likely time, and that time;
/// `None` where it is one already.
pub(crate) fn likelier(time: EventTime, unit: TimeUnit) -> Option<(TimeUnit, EventTime)> {
    if LIKELY.contains(&time.as_nanos()) {
        return None;
    }
    let count = time.as_nanos() / SCALE[unit.digits()];
    TimeUnit::NAMES.into_iter().find_map(|(_, other)| {
        let time = other.time(count).filter(|time| LIKELY.contains(&time.as_nanos()))?;
        Some((other, time))
    })
}

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Reads event times. Keeps the last day that it saw, so one reader a stream is quickest.
#[derive(Clone, Debug)]
pub struct TimestampReader {
    unit: Option<TimeUnit>,
    /// The last date, as written, and its midnight.
    day: [u8; 10],
    day_seconds: i64,
}

impl TimestampReader {
    /// A reader of dates with times of day; of numbers when a unit is given.
    pub const fn new(unit: Option<TimeUnit>) -> Self {
        Self { unit, day: *b"1970-01-01", day_seconds: 0 }
    }

    /// What numbers count, where it reads them.
    pub(crate) const fn unit(&self) -> Option<TimeUnit> {
        self.unit
    }

    /// Reads one time.
    ///
    /// Without a unit: `2013-01-01 05:17:00.000`, with `T` for the space, a comma for the point, no
    /// seconds, no or up to nine digits of fraction, `Z` or an offset such as `+02:00`, `+0200` or
    /// `+02`, perhaps behind a space; a date alone is its midnight. Without an offset it is UTC.
    /// With a unit: a whole number, or one with a decimal fraction, whose digits beyond the
    /// nanosecond are cut off.
    ///
    /// # Errors
    /// When the text is no such time, or the time is out of range.
    #[inline]
    pub fn read(&mut self, text: &[u8]) -> Result<EventTime, ParseTimeError> {
        match self.unit {
            Some(unit) => read_count(text, unit),
            None => match self.read_common(text) {
                Some(nanos) => in_range(nanos),
                None => read_any(text),
            },
        }
    }

    /// `yyyy-MM-dd HH:mm:ss[.f{1,9}][Z]`; `None` when it is laid out in another way.
    #[inline]
    fn read_common(&mut self, text: &[u8]) -> Option<i64> {
        let (date, rest) = text.split_first_chunk::<10>()?;
        let (clock, fraction) = rest.split_first_chunk::<9>()?;
        if *date != self.day {
            self.turn_to(*date)?;
        }
        let [b'T' | b' ', h1, h0, b':', m1, m0, b':', s1, s0] = *clock else {
            return None;
        };
        let (hours, minutes, seconds) = (pair(h1, h0)?, pair(m1, m0)?, pair(s1, s0)?);
        if hours > 23 || minutes > 59 || seconds > 59 {
            return None;
        }
        let of_day = i64::from(hours * 3600 + minutes * 60 + seconds);
        let nanos = (self.day_seconds + of_day).checked_mul(NANOS_PER_SECOND)?;
        nanos.checked_add(read_fraction(fraction)?)
    }

    #[cold]
    fn turn_to(&mut self, day: [u8; 10]) -> Option<()> {
        let [y3, y2, y1, y0, b'-', m1, m0, b'-', d1, d0] = day else {
            return None;
        };
        let year = i16::try_from(pair(y3, y2)? * 100 + pair(y1, y0)?).ok()?;
        let month = i8::try_from(pair(m1, m0)?).ok()?;
        let date = civil::Date::new(year, month, i8::try_from(pair(d1, d0)?).ok()?).ok()?;
        let midnight = Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?;
        self.day = day;
        self.day_seconds = midnight.as_second();
        Some(())
    }
}

#[inline]
fn digit(byte: u8) -> Option<u32> {
    let digit = byte.wrapping_sub(b'0');
    (digit <= 9).then_some(u32::from(digit))
}

#[inline]
fn pair(tens: u8, ones: u8) -> Option<u32> {
    Some(digit(tens)? * 10 + digit(ones)?)
}

/// Nanoseconds of what follows the seconds: nothing, or a point and digits, and perhaps a `Z`.
#[inline]
fn read_fraction(text: &[u8]) -> Option<i64> {
    let text = text.strip_suffix(b"Z").unwrap_or(text);
    let Some((b'.', digits)) = text.split_first() else {
        return text.is_empty().then_some(0);
    };
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    let mut value = 0;
    for byte in digits {
        value = value * 10 + digit(*byte)?;
    }
    Some(i64::from(value) * SCALE[9 - digits.len()])
}

const SCALE: [i64; 10] = {
    let mut scale = [1; 10];
    let mut power = 1;
    while power < scale.len() {
        scale[power] = scale[power - 1] * 10;
        power += 1;
    }
    scale
};

fn in_range(nanos: i64) -> Result<EventTime, ParseTimeError> {
    let time = EventTime::from_nanos(nanos);
    match time.as_nanos() == nanos {
        true => Ok(time),
        false => Err(ParseTimeError::OutOfRange),
    }
}

/// Every layout, by way of `jiff`.
#[cold]
fn read_any(text: &[u8]) -> Result<EventTime, ParseTimeError> {
    let text = text.trim_ascii();
    let text = std::str::from_utf8(text).map_err(|_| ParseTimeError::Malformed)?;
    if super::number::is_number(text.as_bytes()) {
        return Err(ParseTimeError::NoUnit);
    }
    // `jiff` also reads basic formats such as 20130101 and zones in brackets; the first would be
    // taken for numbers by people, the second ignored without an offset.
    if text.as_bytes().get(4) != Some(&b'-') || text.contains('[') {
        return Err(ParseTimeError::Malformed);
    }
    let apart = offset_apart(text);
    let text = apart.as_deref().unwrap_or(text);
    let timestamp = text.parse::<jiff::Timestamp>().or_else(|_| {
        let local = text.parse::<civil::DateTime>()?;
        Offset::UTC.to_timestamp(local)
    });
    let nanos = timestamp.map_err(|_| match is_beyond(text) {
        true => ParseTimeError::OutOfRange,
        false => ParseTimeError::Malformed,
    })?;
    let nanos = i64::try_from(nanos.as_nanosecond()).map_err(|_| ParseTimeError::OutOfRange)?;
    in_range(nanos)
}

/// The text without the space that stands before its offset, as some programs write it and `jiff`
/// does not read it; `None` where there is no such space.
fn offset_apart(text: &str) -> Option<String> {
    let (local, offset) = text.rsplit_once(' ')?;
    offset.starts_with(['+', '-', 'Z']).then(|| format!("{local}{offset}"))
}

/// Whether a text is a time in a year that no event time reaches: `jiff` knows no instants at the
/// very end of the year 9999, the usual stand-in for never.
fn is_beyond(text: &str) -> bool {
    let pieces = jiff::fmt::temporal::Pieces::parse(text);
    pieces.is_ok_and(|pieces| !(1677..=2262).contains(&pieces.date().year()))
}

#[inline]
fn read_count(text: &[u8], unit: TimeUnit) -> Result<EventTime, ParseTimeError> {
    match super::number::read_i64(text) {
        Ok(count) => match unit.time(count) {
            Some(time) if unit != TimeUnit::Nanos || time.as_nanos() == count => Ok(time),
            _ => Err(ParseTimeError::OutOfRange),
        },
        Err(_) => read_fractional_count(text, unit),
    }
}

/// A count with a decimal fraction, exactly.
#[cold]
fn read_fractional_count(text: &[u8], unit: TimeUnit) -> Result<EventTime, ParseTimeError> {
    let malformed = ParseTimeError::NotACount(unit);
    let text = std::str::from_utf8(text.trim_ascii()).map_err(|_| malformed)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let unsigned = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if unsigned.is_empty() || !digits(unsigned) || !digits(fraction) {
        return Err(malformed);
    }
    let kept = &fraction[..fraction.len().min(unit.digits())];
    let scale = i128::from(SCALE[unit.digits() - kept.len()]);
    let count = format!("{whole}{kept}").parse::<i128>();
    let nanos = count.ok().and_then(|count| count.checked_mul(scale));
    nanos
        .and_then(|nanos| i64::try_from(nanos).ok())
        .ok_or(ParseTimeError::OutOfRange)
        .and_then(in_range)
}

#[cfg(test)]
mod tests;
