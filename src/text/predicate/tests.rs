use super::*;
use crate::text::cells::CellSpan;
use proptest::prelude::*;

/// What a filter says of a record of the columns `n`, `s` and `t`.
fn keeps(filter: &str, record: [&str; 3]) -> Result<bool, (usize, CellFault)> {
    let mut slots = Slots::default();
    for name in ["n", "s", "t"] {
        slots.of(name, "test");
    }
    let mut reader = TimestampReader::new(None);
    let parsed = Filter::parse(filter, "t", reader.clone(), &mut slots).unwrap();
    let (mut raw, mut spans) = (Vec::new(), Vec::new());
    for cell in &record {
        spans.push(match *cell {
            "" => CellSpan::NULL,
            cell => CellSpan::raw(raw.len(), raw.len() + cell.len()),
        });
        raw.extend_from_slice(cell.as_bytes());
    }
    parsed.keeps(&Cells { spans: &spans, raw: &raw, unescaped: &[], typed: false }, &mut reader)
}

#[test]
fn filters_say_what_sql_says() {
    let record = ["10", "JFK", "2013-01-02 00:00:00"];
    for (filter, expected) in [
        ("n > 9", true),
        ("n > 9.5 and n < 11", true),
        ("n = 10 and s = 'JFK'", true),
        ("s in ('EWR', 'JFK')", true),
        ("s not in ('EWR', 'JFK')", false),
        ("n not in (1, 2)", true),
        ("s like 'J%' and s like '_F_'", true),
        ("s not like '%K'", false),
        ("n between 5 and 10", true),
        ("n not between 5 and 10", false),
        ("t >= '2013-01-01' and t < '2013-01-03'", true),
        ("not (n <> 10)", true),
        ("n is null", false),
        ("n is not null", true),
        ("9 < n", true),
        ("n > -1", true),
    ] {
        assert_eq!(keeps(filter, record), Ok(expected), "{filter}");
    }
}

#[test]
fn a_literal_may_stand_first_in_every_comparison() {
    let record = ["-2", "JFK", "2013-01-02"];
    for (filter, expected) in [
        ("-3 < n", true),
        ("-2 <= n", true),
        ("-2 = n", true),
        ("-2 <> n", false),
        ("-2.5 > n", false),
        ("-2 >= n", true),
        ("'JFK' = s", true),
        ("'JFA' < s", true),
        ("'2013-01-01' <= t", true),
    ] {
        assert_eq!(keeps(filter, record), Ok(expected), "{filter}");
    }
}

#[test]
fn truth_values_are_compared_with_true_and_false() {
    for (cell, filter, expected) in [
        ("true", "s = true", true),
        ("false", "s = true", false),
        ("False", "s = false", true),
        ("true", "false <> s", true),
        ("true", "s in (true, false)", true),
        ("true", "s is true", true),
        ("true", "s is not true", false),
        ("false", "s is false and s is not true", true),
        ("true", "(n > 1) is not true", true),
        ("true", "(n = 1) is false", false),
        ("", "s = true", false),
        ("", "s <> true", false),
        ("", "s is true", false),
        ("", "s is false", false),
        ("", "s is not true", true),
        ("true", "s = 'true'", true),
    ] {
        assert_eq!(keeps(filter, ["1", cell, ""]), Ok(expected), "{cell}: {filter}");
    }
    for filter in ["n = true", "n is not false", "n in (true)"] {
        assert_eq!(keeps(filter, ["1", "", ""]), Err((0, CellFault::NotATruth)), "{filter}");
    }
}

#[test]
fn null_is_neither_true_nor_false() {
    let record = ["", "JFK", "2013-01-02"];
    for (filter, expected) in [
        ("n > 9", false),
        ("not (n > 9)", false),
        ("n > 9 or s = 'JFK'", true),
        ("not (n > 9 and s = 'x')", true),
        ("n in (1, 2)", false),
        ("n not in (1, 2)", false),
        ("n is null", true),
        ("s in ('JFK', null)", true),
        ("s not in ('EWR', null)", false),
    ] {
        assert_eq!(keeps(filter, record), Ok(expected), "{filter}");
    }
}

#[test]
fn what_is_compared_with_nan_is_unknown_and_infinities_are_the_ends() {
    for nan in ["NaN", "nan", "-nan"] {
        for (filter, expected) in [
            ("n = 1", false),
            ("n <> 1", false),
            ("not (n > 1)", false),
            ("n not in (1)", false),
            ("n not between 1 and 2", false),
            ("n = n", false),
            ("n is null", false),
            ("n is not null", true),
            ("n > 1 or s = 'JFK'", true),
        ] {
            assert_eq!(keeps(filter, [nan, "JFK", ""]), Ok(expected), "{nan}: {filter}");
        }
    }
    for (filter, expected) in [("n > 1e308", true), ("n < 0", false), ("n = n", true)] {
        assert_eq!(keeps(filter, ["inf", "", ""]), Ok(expected), "{filter}");
    }
    assert_eq!(keeps("n < -1e308", ["-Infinity", "", ""]), Ok(true));
    assert_eq!(keeps("n <> 'NaN'", ["NaN", "", ""]), Ok(false), "a text, as it is written");
}

#[test]
fn the_ends_of_the_integers_are_integers() {
    for (filter, expected) in [
        ("n <> -9223372036854775808", true),
        ("n = -9223372036854775807", true),
        ("n > -(9223372036854775808)", true),
        ("n not in (-9223372036854775808)", true),
        ("n < 9223372036854775807", true),
    ] {
        let record = ["-9223372036854775807", "JFK", "2013-01-02"];
        assert_eq!(keeps(filter, record), Ok(expected), "{filter}");
    }
    assert_eq!(keeps("n = '007'", ["007", "", ""]), Ok(true));
}

#[test]
fn text_where_a_number_should_be_is_told() {
    assert_eq!(keeps("n > 9", ["x", "", ""]), Err((0, CellFault::NotComparable)));
}

#[test]
fn what_is_not_understood_is_said() {
    for (filter, part) in [
        ("n >", "Expected"),
        ("n > 9 n", "left over"),
        ("n + 1 > 2", "not supported"),
        ("lower(s) = 'x'", "not supported"),
        ("s", "the column s is no condition, s = true is one; there are comparisons"),
        ("n = null", "write n is null"),
        ("null <> n", "write n is not null"),
        ("n < 1 && s = 'x'", "at character 7: '&&' is written and here"),
        ("n < 1 || s = 'x'", "'||' is written or here"),
        ("!n", "'!' is written not here"),
        ("n == 1", "'==' is written = here"),
        ("s < true", "true and false have no order"),
        ("1 = true", "compared with a number or a text"),
        ("t is true or t = false", "holds times"),
        ("n > 1 or 'x'", "'x' is not a condition; there are comparisons"),
        ("5 is null", "'5' stands where a column should"),
        ("s like s", "a pattern in single quotes, such as s LIKE 'A%'"),
        ("t > 'noon'", "time column"),
        ("1 = 'x'", "compared with a text"),
        ("n > '100'", "as a number it stands without: 100"),
        ("n between '1' and '9'", "letter by letter"),
        ("- s > 1", "is not a number"),
        ("s like 'a' escape ''", "one character in single quotes, such as s LIKE '10!%' ESCAPE"),
        ("s like 'a' escape 5", "one character in single quotes"),
        ("s like 'a!b' escape '!'", "in 'a!b', %, _ or itself should stand behind each escape"),
    ] {
        let reader = TimestampReader::new(None);
        let mut slots = Slots::default();
        let error = Filter::parse(filter, "t", reader, &mut slots).unwrap_err();
        assert!(error.to_string().contains(part), "{filter}: {error}");
    }
}

#[test]
fn a_column_that_another_is_compared_with_may_have_been_a_text() {
    for (filter, expected) in [
        ("carrier = AA", Some("carrier = 'AA'")),
        ("not (carrier <> \"O'Hare\")", Some("carrier <> 'O''Hare'")),
        ("carrier in ('UA', AA)", Some("carrier IN ('AA')")),
        ("carrier between A and 'B'", Some("carrier >= 'A'")),
        ("carrier = 'AA' and n > 9", None),
        ("AA is null", None),
    ] {
        let mut slots = Slots::default();
        Filter::parse(filter, "t", TimestampReader::new(None), &mut slots).unwrap();
        let noted = slots.0.iter().find_map(|slot| slot.as_text.as_deref());
        assert_eq!(noted, expected, "{filter}");
    }
}

#[test]
fn filters_too_long_or_too_deep_are_refused_and_long_lists_are_not() {
    let parse = |filter: &str| {
        let mut slots = Slots::default();
        Filter::parse(filter, "t", TimestampReader::new(None), &mut slots).map(|_| ())
    };
    let chain = |links: usize| vec!["n=1"; links].join(" or ");
    assert_eq!(parse(&chain(200)), Ok(()));
    let deep = parse(&chain(2_000)).unwrap_err().to_string();
    assert!(deep.contains("conditions nest"), "{deep}");
    let long = parse(&chain(1_000_000)).unwrap_err().to_string();
    assert!(long.contains("longer than") && long.len() < 200, "{long}");
    assert_eq!(parse(&format!("n in ({})", vec!["1"; 4_000].join(","))), Ok(()));
}

#[test]
fn text_that_is_no_utf8_is_told() {
    let mut slots = Slots::default();
    let mut reader = TimestampReader::new(None);
    for filter in ["s = 'a'", "s like 'a%'", "s in ('a', 'b')"] {
        let parsed = Filter::parse(filter, "t", reader.clone(), &mut slots).unwrap();
        let (spans, unescaped) = ([CellSpan::raw(0, 2)], &[][..]);
        let cells = Cells { spans: &spans, raw: b"a\xff", unescaped, typed: false };
        let told = parsed.keeps(&cells, &mut reader);
        assert_eq!(told, Err((0, CellFault::NotUtf8)), "{filter}");
    }
}

#[test]
fn patterns_may_have_an_escape_character() {
    for (filter, cell, expected) in [
        (r"s like '10\%' escape '\'", "10%", true),
        (r"s like '10\%' escape '\'", "100", false),
        (r"s not like '10\%' escape '\'", "100", true),
        (r"s like '%!_%!!' escape '!'", "a_b!", true),
        (r"s like '%!_%' escape '!'", "ab", false),
        (r"s like '10\%'", r"10\", true),
        (r"s like 'éé%%' escape 'é'", "é!", true),
    ] {
        assert_eq!(keeps(filter, ["", cell, ""]), Ok(expected), "{filter}: {cell}");
    }
}

#[test]
fn integers_and_floats_are_compared_as_the_numbers_that_they_are() {
    let near = "9007199254740993";
    for (filter, cell, expected) in [
        // 2^53 + 1, which no float is.
        ("n = 9007199254740992.0", near, false),
        ("n > 9007199254740992.0", near, true),
        ("n < 9007199254740994.0", near, true),
        ("9007199254740992.0 < n", near, true),
        ("n in (9007199254740992.0)", near, false),
        ("n < 9223372036854775808", "9223372036854775807", true),
        ("n >= -9223372036854775808.0", "-9223372036854775808", true),
        ("n > -9223372036854777856.0", "-9223372036854775808", true),
        ("n = 7.0", "7", true),
        ("n < 7.5 and n > 6.5", "7", true),
        ("n > -7.5 and n < -6.5", "-7", true),
        ("n = 0.0 and n = -0.0 and n >= -0.0 and n <= -0.0", "0", true),
        ("n < 0.25 and n > -0.25", "0", true),
    ] {
        assert_eq!(keeps(filter, [cell, "", ""]), Ok(expected), "{cell}: {filter}");
    }
    // Of two columns too.
    assert_eq!(keeps("n > s", ["9007199254740993", "9007199254740992.0", ""]), Ok(true));
    assert_eq!(keeps("s < n", ["9007199254740993", "9007199254740992.0", ""]), Ok(true));
    assert_eq!(keeps("n < s", ["9223372036854775807", "inf", ""]), Ok(true));
}

proptest! {
    #[test]
    fn an_integer_and_a_float_are_ordered_as_128_bits_order_them(
        integer in any::<i64>(), shift in 0..64_u32, off in -2_000_i64..2_000, half: bool,
    ) {
        let integer = integer >> shift;
        let float = (i128::from(integer) + i128::from(off)) as f64 + if half { 0.5 } else { 0.0 };
        let twice = (float * 2.0) as i128;
        let expected = (i128::from(integer) * 2).cmp(&twice);
        prop_assert_eq!(compare_exactly(integer, float), Some(expected));
    }
}
