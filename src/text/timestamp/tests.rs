use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Result<i64, ParseTimeError> {
    let time = TimestampReader::new(None).read(text.as_bytes());
    time.map(EventTime::as_nanos)
}

const AT: i64 = 1_357_017_420_000_000_000; // 2013-01-01 05:17:00 UTC

#[test]
fn times_read_as_people_write_them() {
    for text in [
        "2013-01-01 05:17:00.000",
        "2013-01-01T05:17:00",
        "2013-01-01 05:17",
        "2013-01-01T05:17:00.000000000Z",
        "2013-01-01T05:17:00Z",
        "2013-01-01T07:17:00+02:00",
        "2013-01-01 00:17:00-05:00",
        "2013-01-01 07:17:00 +02:00",
        "2013-01-01 07:17:00.000 +02",
        "2013-01-01T07:17:00+02",
        "2013-01-01 00:17 -0500",
        "2013-01-01 05:17:00 Z",
        "2013-01-01 05:17:00,000",
        "2013-01-01 07:17:00,000 +0200",
        " 2013-01-01 05:17:00 ",
    ] {
        assert_eq!(read(text), Ok(AT), "{text}");
    }
    assert_eq!(read("2013-01-01"), Ok(AT - (5 * 60 + 17) * 60_000_000_000));
    assert_eq!(read("2013-01-01 05:17:00.5"), Ok(AT + 500_000_000));
    assert_eq!(read("2013-01-01 05:17:00,25"), Ok(AT + 250_000_000));
    assert_eq!(read("1969-12-31 23:59:59.999999999"), Ok(-1));
}

#[test]
fn what_is_no_time_is_refused_by_name() {
    for text in [
        "",
        "UA",
        "2013-13-01 05:17:00",
        "2013-02-30",
        "9999-02-30",
        "9999-12-31 24:00:00",
        "0000-00-00",
        "2013-01-01 24:00:00",
        "2013-01-01 05:60:00",
        "2013-01-01 05:17:00.",
        "2013-01-01 05:17:00.0000000001",
        "2013-01-01 05:17:00 PM",
        "2013-01-01 05:17:00 +",
        "2013-01-01 05:17:00 +2",
        "2013-01-01 05:17:00  +02:00",
        "2013-01-01 +02:00",
        "2013-01-01 05:17:00,",
        "2013-01-01 05:17:00[Europe/Vienna]",
        "\u{fffd}",
    ] {
        assert_eq!(read(text), Err(ParseTimeError::Malformed), "{text}");
    }
    assert_eq!(read("1357016400"), Err(ParseTimeError::NoUnit));
    assert_eq!(read("20130101"), Err(ParseTimeError::NoUnit));
    for text in [
        "1600-01-01",
        "2300-01-01 00:00:00",
        "1677-09-21 00:12:43",
        "0001-01-01",
        "9999-12-31",
        "9999-12-31 23:59:59",
        "9999-12-31T23:59:59.999Z",
        "9999-12-31 23:59:59-11:00",
    ] {
        assert_eq!(read(text), Err(ParseTimeError::OutOfRange), "{text}");
    }
}

#[test]
fn a_day_that_is_no_day_does_not_spoil_the_day_that_is_kept() {
    let mut reader = TimestampReader::new(None);
    assert!(reader.read(b"2013-01-01 05:17:00").is_ok());
    assert!(reader.read(b"2013-01-32 05:17:00").is_err());
    let again = reader.read(b"2013-01-01 05:17:00").map(EventTime::as_nanos);
    assert_eq!(again, Ok(AT));
}

#[test]
fn numbers_count_units_since_the_epoch() {
    let read = |text: &str, unit| {
        let time = TimestampReader::new(Some(unit)).read(text.as_bytes());
        time.map(EventTime::as_nanos)
    };
    assert_eq!(read("1357017420", TimeUnit::Seconds), Ok(AT));
    assert_eq!(read("1357017420000", TimeUnit::Millis), Ok(AT));
    assert_eq!(read("1357017420000000", TimeUnit::Micros), Ok(AT));
    assert_eq!(read("1357017420000000000", TimeUnit::Nanos), Ok(AT));
    assert_eq!(read("1357017420.25", TimeUnit::Seconds), Ok(AT + 250_000_000));
    assert_eq!(read("-1.5", TimeUnit::Micros), Ok(-1500));
    assert_eq!(read("-0.0019", TimeUnit::Micros), Ok(-1));
    assert_eq!(read("7.9", TimeUnit::Nanos), Ok(7));
    assert_eq!(read(" 5 ", TimeUnit::Nanos), Ok(5));
    for text in ["", "x", "1e9", "1.2.3", "--1", ".5", "2013-01-01"] {
        let refused = Err(ParseTimeError::NotACount(TimeUnit::Millis));
        assert_eq!(read(text, TimeUnit::Millis), refused, "{text}");
    }
    for text in ["9223372036854775807", "-9223372036854775808", "99999999999999999999"] {
        assert_eq!(read(text, TimeUnit::Nanos), Err(ParseTimeError::OutOfRange));
        assert_eq!(read(text, TimeUnit::Seconds), Err(ParseTimeError::OutOfRange));
    }
}

#[test]
fn units_are_named_as_they_print() {
    for (name, unit) in TimeUnit::NAMES {
        assert_eq!(name.parse(), Ok(unit));
        assert_eq!(unit.to_string(), name);
    }
    assert!("sec".parse::<TimeUnit>().is_err());
}

/// The slow twin: `jiff` alone.
fn by_jiff(nanos: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(i128::from(nanos)).expect("in jiff's range")
}

proptest! {
    #[test]
    fn reading_agrees_with_jiff(
        nanos in (i64::MIN + 1)..i64::MAX, digits in 0_usize..=9, sep in "[ T]", z in "Z?",
    ) {
        let at = Offset::UTC.to_datetime(by_jiff(nanos));
        let text = match digits {
            0 => at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            _ => {
                let full = at.strftime("%Y-%m-%d %H:%M:%S.%9f").to_string();
                full[..full.len() - 9 + digits].to_owned()
            }
        };
        let expected = text.parse::<civil::DateTime>().expect("a civil time");
        let expected = Offset::UTC.to_timestamp(expected).expect("in range").as_nanosecond();
        let text = text.replacen(' ', &sep, 1) + &z;
        let expected = i64::try_from(expected)
            .ok()
            .filter(|nanos| (i64::MIN + 1..i64::MAX).contains(nanos));
        prop_assert_eq!(read(&text), expected.ok_or(ParseTimeError::OutOfRange));
    }

    #[test]
    fn nearly_right_texts_are_judged_as_jiff_does(
        text in "(19|20|23)[0-9]{2}-[0-1][0-9]-[0-3][0-9][ T][0-2][0-9]:[0-6][0-9]:[0-6][0-9]\
            (\\.[0-9]{0,10})?Z?",
    ) {
        // `jiff` takes the leap second 60 for 59; this reader leaves that to it.
        let zulu = format!("{}Z", text.trim_end_matches('Z'));
        let expected = zulu.parse::<jiff::Timestamp>().map_err(|_| ParseTimeError::Malformed);
        let expected = expected.and_then(|time| {
            i64::try_from(time.as_nanosecond()).map_err(|_| ParseTimeError::OutOfRange)
        });
        prop_assert_eq!(read(&text), expected);
    }

    #[test]
    fn a_time_reads_as_it_prints(nanos in (i64::MIN + 1)..i64::MAX, unit in 0..4_u32) {
        let time = EventTime::from_nanos(nanos - nanos % 1000_i64.pow(unit));
        prop_assert_eq!(TimestampReader::new(None).read(time.to_string().as_bytes()), Ok(time));
    }

    #[test]
    fn any_bytes_are_judged_without_a_panic(text in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = TimestampReader::new(None).read(&text);
        let _ = TimestampReader::new(Some(TimeUnit::Seconds)).read(&text);
    }

}

#[test]
fn a_count_in_the_wrong_unit_is_likelier_in_another() {
    for (count, unit, likelier_unit) in [
        (1_357_016_400, TimeUnit::Millis, Some(TimeUnit::Seconds)),
        (1_357_016_400_000, TimeUnit::Micros, Some(TimeUnit::Millis)),
        (1_357_016_400_000_000, TimeUnit::Millis, Some(TimeUnit::Micros)),
        (1_357_016_400_000, TimeUnit::Nanos, Some(TimeUnit::Millis)),
        (1_357_016_400, TimeUnit::Seconds, None),
        (1, TimeUnit::Millis, None),
        (-5, TimeUnit::Seconds, None),
    ] {
        let Some(time) = unit.time(count) else { continue };
        let found = likelier(time, unit).map(|(other, _)| other);
        assert_eq!(found, likelier_unit, "{count} {unit}");
    }
}

#[test]
fn a_number_with_an_exponent_is_told_to_be_written_without() {
    let mend = |text: &[u8]| ParseTimeError::NotACount(TimeUnit::Seconds).mend(text);
    assert_eq!(mend(b"1.7040672e9").as_deref(), Some("write it without an exponent"));
    assert_eq!(mend(b"inf"), None);
    assert_eq!(mend(b"seven"), None);
}
