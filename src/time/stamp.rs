//! How event times are written: `2013-01-31 05:17:00.000`, UTC.

use super::EventTime;
use std::fmt;

const NANOS_PER_DAY: i64 = 86_400_000_000_000;
/// A stamp with all nine digits of the second.
const STAMP_BYTES_MAX: usize = "2013-01-31 05:17:00.000000000".len();

/// Appends `yyyy-MM-dd HH:mm:ss.SSS`, UTC. Six or nine digits of the second follow the point when
/// three would not tell the whole time.
pub fn push_stamp(out: &mut Vec<u8>, time: EventTime) {
    let days = time.as_nanos().div_euclid(NANOS_PER_DAY);
    let nanos = time.as_nanos().rem_euclid(NANOS_PER_DAY).unsigned_abs();
    let (year, month, day) = civil_from_days(days);
    push_digits(out, year, 4);
    out.push(b'-');
    push_digits(out, month, 2);
    out.push(b'-');
    push_digits(out, day, 2);
    out.push(b' ');
    push_digits(out, nanos / 3_600_000_000_000, 2);
    out.push(b':');
    push_digits(out, nanos / 60_000_000_000 % 60, 2);
    out.push(b':');
    push_digits(out, nanos / 1_000_000_000 % 60, 2);
    out.push(b'.');
    let fraction = nanos % 1_000_000_000;
    if fraction.is_multiple_of(1_000_000) {
        push_digits(out, fraction / 1_000_000, 3);
    } else if fraction.is_multiple_of(1_000) {
        push_digits(out, fraction / 1_000, 6);
    } else {
        push_digits(out, fraction, 9);
    }
}

/// As [`push_stamp`] writes it.
impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut stamp = Vec::with_capacity(STAMP_BYTES_MAX);
        push_stamp(&mut stamp, *self);
        f.pad(&String::from_utf8_lossy(&stamp))
    }
}

/// The last `width` decimal digits of `number`.
fn push_digits(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let start = out.len();
    out.resize(start + width, b'0');
    for digit in out[start..].iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).expect("a digit");
        number /= 10;
    }
}

/// Year, month and day of the proleptic Gregorian calendar, so many days after 1970-01-01.
///
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`: years begin
/// in March there, which puts the leap day last. Event times begin in 1677, so all is positive
/// once the days are counted from 0000-03-01.
fn civil_from_days(days: i64) -> (u64, u64, u64) {
    let days = (days + 719_468).unsigned_abs();
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(nanos: i64) -> String {
        let mut out = Vec::new();
        push_stamp(&mut out, EventTime::from_nanos(nanos));
        String::from_utf8(out).unwrap()
    }

    #[cfg(feature = "text")]
    fn by_jiff(nanos: i64) -> String {
        let time = jiff::Timestamp::from_nanosecond(i128::from(nanos)).unwrap();
        let text = time.strftime("%Y-%m-%d %H:%M:%S.%9f").to_string();
        let text = text.strip_suffix("000").unwrap_or(&text);
        text.strip_suffix("000").unwrap_or(text).to_owned()
    }

    #[test]
    fn a_time_displays_as_its_stamp_as_wide_as_asked_for() {
        let time = EventTime::from_nanos(1_456_704_000_123_000_000);
        assert_eq!(time.to_string(), "2016-02-29 00:00:00.123");
        assert_eq!(format!("{time:>25}|"), "  2016-02-29 00:00:00.123|");
    }

    #[test]
    fn stamps_are_utc_with_milliseconds() {
        assert_eq!(stamp(0), "1970-01-01 00:00:00.000");
        assert_eq!(stamp(-1_000_000), "1969-12-31 23:59:59.999");
        assert_eq!(stamp(1_456_704_000_123_000_000), "2016-02-29 00:00:00.123");
        assert_eq!(stamp(1_000), "1970-01-01 00:00:00.000001");
        assert_eq!(stamp(-1), "1969-12-31 23:59:59.999999999");
    }

    #[cfg(feature = "text")]
    #[test]
    fn the_whole_range_agrees_with_jiff() {
        let (first, last) = (EventTime::MIN.as_nanos(), EventTime::MAX.as_nanos());
        for nanos in [first, last, first + 1, last - 1] {
            assert_eq!(stamp(nanos), by_jiff(nanos));
        }
        for day in first / NANOS_PER_DAY..=last / NANOS_PER_DAY {
            assert_eq!(stamp(day * NANOS_PER_DAY), by_jiff(day * NANOS_PER_DAY));
        }
    }

    #[cfg(feature = "text")]
    proptest::proptest! {
        #[test]
        fn any_time_agrees_with_jiff(nanos in i64::MIN + 1..i64::MAX, unit in 0..4_u32) {
            let unit = 1000_i64.pow(unit);
            let nanos = nanos / unit * unit;
            proptest::prop_assert_eq!(stamp(nanos), by_jiff(nanos));
        }
    }
}
