use super::*;
use crate::text::plan::Slots;
use proptest::prelude::*;
use serde_json::{Map, Value};

/// The cells of `a` and `b` in each line, in pieces; `None` where one was refused.
fn read(text: &[u8], piece: usize) -> Vec<Option<[Option<String>; 2]>> {
    let mut slots = Slots::default();
    slots.of("a", "test");
    slots.of("b", "test");
    let mut records = JsonRecords::new("in".to_owned(), slots.0.into());
    // What a first line looks like as a whole is told elsewhere.
    records.go_on();
    let (mut from, mut to, mut found) = (0, 0, Vec::new());
    loop {
        let length = match records.next(&text[from..to], to == text.len()) {
            Step::Record { length, text: end, .. } => {
                let cells = records.cells(&text[from..from + end]);
                let cell =
                    |slot| cells.get(slot).map(|cell| String::from_utf8(cell.to_vec()).unwrap());
                found.push(Some([cell(0), cell(1)]));
                length
            }
            Step::Refused { length, .. } => {
                found.push(None);
                length
            }
            Step::Blank { length, .. } => length,
            Step::Unusable(error) => panic!("{error}"),
            Step::More if to == text.len() => return found,
            Step::More => {
                to = text.len().min(to + piece);
                continue;
            }
        };
        from += length;
    }
}

/// The slow twin: the whole line as a value.
fn by_value(line: &str) -> Option<[Option<String>; 2]> {
    let object: Map<String, Value> = serde_json::from_str(line).ok()?;
    let cell = |name: &str| match object.get(name) {
        None | Some(Value::Null) => Some(None),
        Some(Value::Array(_) | Value::Object(_)) => None,
        Some(Value::String(text)) => Some(Some(text.clone())),
        Some(other) => Some(Some(other.to_string())),
    };
    Some([cell("a")?, cell("b")?])
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a\"\\\\\n é🌊]{0,5}".prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..3).prop_map(Value::from),
    ]
}

proptest! {
    #[test]
    fn objects_are_read_as_serde_json_does(
        objects in prop::collection::vec(
            prop::collection::btree_map("[abc]", scalar(), 0..4), 0..6,
        ),
        cut in 0_usize..80,
        piece in 1_usize..30,
    ) {
        let lines = objects.iter().map(|object| serde_json::to_string(object).unwrap());
        let mut lines: Vec<String> = lines.collect();
        if let Some(last) = lines.last_mut() {
            // A line that breaks off is none.
            let end = (0..=cut.min(last.len())).rev().find(|at| last.is_char_boundary(*at));
            last.truncate(end.unwrap());
        }
        let expected = lines.iter().filter(|line| !line.trim().is_empty());
        let expected: Vec<_> = expected.map(|line| by_value(line)).collect();
        prop_assert_eq!(read(lines.join("\n").as_bytes(), piece), expected);
    }
}

#[test]
fn numbers_stay_as_they_were_written_and_the_last_of_two_counts() {
    let found = read(b"{\"a\": 7.50, \"a\": 1e2, \"b\": 00}\n{\"a\": 1.10}\r\n", 1000);
    assert_eq!(found, [None, Some([Some("1.10".into()), None])]);
    let found = read(b"{\"a\": 7, \"a\": 8}", 1000);
    assert_eq!(found, [Some([Some("8".into()), None])]);
}

#[test]
fn of_two_fields_with_one_name_the_last_counts() {
    let cells = |text: &str| read(text.as_bytes(), 100);
    let is = |a: &str, b: &str| vec![Some([a, b].map(|cell| Some(cell.to_owned())))];
    assert_eq!(cells(r#"{"a": 1, "b": 2, "a": 3}"#), is("3", "2"));
    assert_eq!(cells(r#"{"a": {}, "b": [], "a": 3, "b": "\n"}"#), is("3", "\n"));
    assert_eq!(cells(r#"{"a": "\ud800", "b": 2, "a": "x"}"#), is("x", "2"));
    assert_eq!(cells(r#"{"a": 1, "b": 2, "a": {}}"#), [None]);
    assert_eq!(cells(r#"{"a": {}, "b": [], "b": 2}"#), [None]);
}
