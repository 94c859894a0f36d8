//! Whole inputs through the front door.

use super::*;
use crate::record::{Columns, KeyParts, Schema};
use crate::source::{Polled, Source, SourceError};
use proptest::prelude::*;
use std::io;
use std::sync::{Arc, Mutex};

/// Bytes in pieces of given sizes, with pauses between them.
struct Pieces {
    bytes: Vec<u8>,
    sizes: Vec<usize>,
    turn: usize,
}

impl ChunkSource for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<Chunk> {
        self.turn += 1;
        if self.turn.is_multiple_of(3) {
            return Ok(Chunk::Pending);
        }
        let size = self.sizes[self.turn % self.sizes.len()].min(self.bytes.len()).min(into.len());
        if size == 0 {
            return Ok(Chunk::End);
        }
        into[..size].copy_from_slice(&self.bytes[..size]);
        self.bytes.drain(..size);
        Ok(Chunk::Bytes(size))
    }
}

fn pieces(bytes: &[u8], sizes: &[usize]) -> Vec<Input> {
    let source = Pieces { bytes: bytes.to_vec(), sizes: sizes.to_vec(), turn: 0 };
    vec![Input::Chunks("in".to_owned(), Box::new(source))]
}

fn plan(format: InputFormat) -> ReadPlan {
    let input = |name: &str, numeric| InputColumn {
        name: name.to_owned(),
        numeric,
        asked_by: format!("sum({name})"),
    };
    ReadPlan {
        format,
        delimiter: Delimiter::COMMA,
        header: HeaderMode::FirstRecord,
        nulls: vec![],
        time: "t".to_owned(),
        time_unit: Some(TimeUnit::Millis),
        keys: vec!["k".to_owned()],
        inputs: vec![input("v", true), input("w", false)],
        types: vec![],
        recalled: vec![],
        filter: None,
        strict: false,
        keep_text: false,
        follow: Follow::Never,
    }
}

/// A row as a text: time in ms, key, value, whether `w` is there, whether it was filtered.
fn show(schema: &Columns, source: &dyn Source<Columns>, kind: ColumnKind) -> Vec<String> {
    let batch = source.batch();
    (0..schema.rows(batch))
        .map(|at| {
            let row = schema.row(batch, at);
            let key = KeyParts::new(schema.key(row, schema.heap(batch))).next().flatten();
            let key = key.map(|key| String::from_utf8_lossy(key).into_owned());
            let word = row.word(schema.column_word(0));
            let value = match (row.is_null(0), kind) {
                (true, _) => "null".to_owned(),
                (_, ColumnKind::Number(NumberKind::F64)) => f64::from_bits(word).to_string(),
                _ => word.cast_signed().to_string(),
            };
            let time = row.event_time().as_nanos() / 1_000_000;
            let (there, filtered) = (!row.is_null(1), row.is_filtered());
            format!("{time} {} {value} {there} {filtered}", key.unwrap_or("null".into()))
        })
        .collect()
}

/// All rows of an input, what was told, and how it ended: with how many malformed records.
type Reading = (Vec<String>, Vec<String>, Result<u64, String>);

/// Reads an input whole.
fn read(plan: &ReadPlan, bytes: &[u8], sizes: &[usize]) -> Result<Reading, OpenError> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let teller = Arc::clone(&told);
    let opened = open(plan, pieces(bytes, sizes), move |notice| {
        if let Notice::Malformed(malformed) = notice {
            teller.lock().unwrap().push(malformed.to_string());
        }
    })?;
    let (schema, kind) = (opened.schema, opened.kinds[0]);
    let mut source = opened.sources.into_iter().next().unwrap();
    let mut rows = Vec::new();
    let end = loop {
        match source.poll(7) {
            Ok(Polled::Batch) => rows.extend(show(&schema, &*source, kind)),
            Ok(Polled::Pending) => {}
            Ok(Polled::End) => break Ok(source.counts().malformed),
            Err(SourceError::Data(problem)) => break Err(problem),
            Err(error) => break Err(error.to_string()),
        }
    };
    let told = told.lock().unwrap().clone();
    Ok((rows, told, end))
}

fn csv(bytes: &str) -> (Vec<String>, Vec<String>, Result<u64, String>) {
    read(&plan(InputFormat::Csv), bytes.as_bytes(), &[9_999]).unwrap()
}

#[test]
fn csv_becomes_rows() {
    let (rows, told, end) = csv("t,k,v,w,x\n1,007,5,a,\n2,,,,\n-3,\"a,\"\"b\",-6,,z\n");
    assert_eq!(rows, ["1 007 5 true false", "2 null null false false", "-3 a,\"b -6 false false"]);
    assert!(told.is_empty());
    assert_eq!(end, Ok(0));
}

#[test]
fn a_fraction_makes_a_column_one_of_floats() {
    let (rows, ..) = csv("t,k,v,w\n1,a,5,\n2,a,2.5,\n");
    assert_eq!(rows, ["1 a 5 false false", "2 a 2.5 false false"]);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_no_matter() {
    let (rows, _, end) = csv("\u{feff}t,k,v,w\r\n1,a,5,b\r\n");
    assert_eq!((rows, end), (vec!["1 a 5 true false".to_owned()], Ok(0)));
}

#[test]
fn a_byte_order_mark_is_skipped_wherever_a_file_begins() {
    let named = ReadPlan {
        header: HeaderMode::Names(["t", "k", "v", "w"].map(str::to_owned).to_vec()),
        ..plan(InputFormat::Csv)
    };
    let json = plan(InputFormat::JsonLines);
    for (plan, text) in
        [(named, "\u{feff}1,a,5,b\n"), (json, "\u{feff}{\"t\":1,\"k\":\"a\",\"v\":5,\"w\":1}\n")]
    {
        for sizes in [&[1][..], &[50]] {
            let (rows, told, end) = read(&plan, text.as_bytes(), sizes).unwrap();
            assert_eq!((rows, end), (vec!["1 a 5 true false".to_owned()], Ok(0)), "{told:?}");
        }
    }
    let (rows, ..) = csv("t,k,v,w\n1,a,1,b\n2,\"\u{feff}\",1,b\n");
    assert_eq!(rows[1], "2 \u{feff} 1 true false");
}

#[test]
fn header_only_is_no_rows_and_nothing_at_all_is_an_error() {
    assert_eq!(csv("t,k,v,w\n").0.len(), 0);
    let error = read(&plan(InputFormat::Csv), b"", &[1]).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Data);
    assert!(error.to_string().contains("in:1:1"), "{error}");
}

#[test]
fn malformed_records_are_told_with_their_place_and_the_rest_goes_on() {
    let (rows, told, end) = csv(concat!(
        "t,k,v,w\n",
        "1,a,5,b\n",
        "x,a,5,b\n",
        ",a,5,b\n",
        "2,a,5\n",
        "3,a,1e,b\n",
        "4,a,99999999999999999999,b\n",
        "99999999999999999,a,1,b\n",
        "5,a,6,b\n",
    ));
    assert_eq!(rows, ["1 a 5 true false", "5 a 6 true false"]);
    assert_eq!(end, Ok(6));
    assert_eq!(told.len(), 5, "the first five are told");
    assert!(told[0].starts_with("in:3:1: column 't' holds 'x'"), "{told:?}");
    assert!(told[1].starts_with("in:4:1: column 't' is empty"), "{told:?}");
    assert!(told[2].starts_with("in:5:1: 3 fields where the columns are 4"), "{told:?}");
    assert!(told[3].starts_with("in:6:5: column 'v' holds '1e'"), "{told:?}");
    assert!(told[4].contains("--type v=f64"), "{told:?}");
}

#[test]
fn strict_stops_at_the_first_malformed_record() {
    let strict = ReadPlan { strict: true, ..plan(InputFormat::Csv) };
    let (_, _, end) = read(&strict, b"t,k,v,w\n1,a,5,b\nx,a,5,b\n", &[50]).unwrap();
    assert!(end.unwrap_err().starts_with("in:3:1: column 't' holds 'x'"));
}

#[test]
fn a_late_fraction_a_nul_in_a_number_and_a_key_of_no_utf8_are_malformed() {
    let mut text = b"t,k,v,w\n".to_vec();
    (0..1_000).for_each(|n| text.extend_from_slice(format!("{n},a,1,b\n").as_bytes()));
    text.extend_from_slice(b"1000,a,1.5,b\n1001,\xff,1,b\n1002,a,\0,b\n1003,z\0z,1,b\n");
    let (rows, told, end) = read(&plan(InputFormat::Csv), &text, &[100_000]).unwrap();
    assert_eq!((rows.len(), end), (1_001, Ok(3)));
    assert_eq!(rows[1_000..], ["1003 z\0z 1 true false"]);
    assert!(told[0].contains("in:1002:8") && told[0].contains("--type v=f64"), "{told:?}");
    assert!(told[1].contains("in:1003:6") && told[1].contains("invalid UTF-8"), "{told:?}");
    assert!(told[2].contains("in:1004:8") && told[2].contains("not a whole number"), "{told:?}");
}

#[test]
fn a_line_without_end_is_one_malformed_record() {
    let mut text = b"t,k,v,w\n1,a,1,b\n2,".to_vec();
    text.resize(text.len() + 3 * crate::limits::LINE_BYTES_MAX, b'x');
    text.extend_from_slice(b"\n3,a,2,b\n4,\"never closed,1,b\n5,a,3,b\n");
    let (rows, told, end) = read(&plan(InputFormat::Csv), &text, &[40_000]).unwrap();
    assert_eq!(rows, ["1 a 1 true false", "3 a 2 true false", "5 a 3 true false"]);
    assert_eq!(end, Ok(2));
    assert!(told[0].starts_with("in:3:1: the record is longer than"), "{told:?}");
    assert!(told[1].starts_with("in:5:1: a double quote"), "{told:?}");
}

#[test]
fn a_poll_that_read_but_made_no_row_is_no_idleness() {
    let typed = ReadPlan {
        types: vec![("v".to_owned(), DeclaredType::Number(NumberKind::I64))],
        ..plan(InputFormat::Csv)
    };
    let text = "t,k,v,w\n".to_owned() + &"x".repeat(50) + "\n1,a,5,b\n";
    // Every third read of the pieces is a pause; a line of 50 bytes takes several.
    let opened = open(&typed, pieces(text.as_bytes(), &[8]), |_| {}).unwrap();
    let mut source = opened.sources.into_iter().next().unwrap();
    let (mut bytes, mut pauses) = (source.counts().bytes, 0);
    while let polled @ (Polled::Batch | Polled::Pending) = source.poll(7).unwrap() {
        let read = source.counts().bytes - bytes;
        bytes += read;
        assert_eq!(polled == Polled::Pending, read == 0, "after {bytes} bytes");
        pauses += u32::from(polled == Polled::Pending);
    }
    assert_eq!((bytes, source.counts().malformed), (text.len() as u64, 1));
    assert_eq!(pauses, 0, "each poll here has something to read before the pause");
}

#[test]
fn a_poll_takes_so_many_bytes_at_most() {
    // Quotes that are never closed, of which each line opens one.
    let line = format!("a\"b,\"{}\n", "x".repeat(4_000));
    let text = format!("t,k,v,w\n1,a,5,b\n{}", line.repeat(1_000));
    let opened = open(&plan(InputFormat::Csv), pieces(text.as_bytes(), &[1 << 20]), |_| {});
    let mut source = opened.unwrap().sources.into_iter().next().unwrap();
    let lines_max = crate::limits::LINE_BYTES_MAX.div_ceil(line.len()) as u64;
    let (mut malformed, mut polled) = (0, Polled::Batch);
    while polled != Polled::End {
        polled = source.poll(1_024).unwrap();
        let before = std::mem::replace(&mut malformed, source.counts().malformed);
        assert!(malformed - before <= lines_max, "{} in one poll", malformed - before);
    }
    assert_eq!(malformed, 1_000);
}

#[test]
fn times_of_another_unit_are_one_error_however_the_input_comes() {
    let stamps = "t,k,v,w\nnoon,a,1,b\n2013-01-01 05:17:00,a,1,b\n2013-01-02,a,1,b\n";
    let typed = ReadPlan {
        types: vec![("v".to_owned(), DeclaredType::Number(NumberKind::I64))],
        ..plan(InputFormat::Csv)
    };
    for sizes in [&[1][..], &[7, 30], &[9_999]] {
        // Looked at before, since the type of `v` is not known.
        let opened = read(&plan(InputFormat::Csv), stamps.as_bytes(), sizes).unwrap_err();
        assert_eq!(opened.class(), ErrorClass::Data);
        // Found out while reading.
        let (rows, _, end) = read(&typed, stamps.as_bytes(), sizes).unwrap();
        assert_eq!(rows.len(), 0);
        let ended = end.unwrap_err();
        assert_eq!(opened.to_string(), ended);
        let problem = "in:3:1: column 't' holds '2013-01-01 05:17:00', not a number of ms";
        assert!(ended.starts_with(problem) && ended.contains("first 3 records"), "{ended}");
        let one = stamps.to_owned() + "5,a,1,b\n";
        let (rows, _, end) = read(&typed, one.as_bytes(), sizes).unwrap();
        assert_eq!((rows.len(), end), (1, Ok(3)));
    }
}

#[test]
fn columns_that_are_not_there_are_an_error_with_a_suggestion() {
    let plan = ReadPlan { keys: vec!["carier".to_owned()], ..plan(InputFormat::Csv) };
    let error = read(&plan, b"t,carrier,v,w\n", &[50]).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Usage);
    assert!(error.to_string().contains("did you mean 'carrier'"), "{error}");
}

#[test]
fn a_column_of_text_can_not_be_summed() {
    let error = read(&plan(InputFormat::Csv), b"t,k,v,w\n1,a,UA,b\n", &[50]).unwrap_err();
    let text = "in:2:5: column 'v' holds text, here 'UA', and sum(v) needs numbers";
    assert!(error.to_string().starts_with(text), "{error}");
}

#[test]
fn filtered_rows_keep_their_time() {
    let plan = ReadPlan { filter: Some("v > 5 and w is null".into()), ..plan(InputFormat::Csv) };
    let (rows, ..) = read(&plan, b"t,k,v,w\n1,a,9,\n2,a,9,x\n3,a,,\n", &[50]).unwrap();
    let null = "null null false true";
    assert_eq!(rows, ["1 a 9 false false".into(), format!("2 {null}"), format!("3 {null}")]);
}

#[test]
fn json_lines_become_rows() {
    let text = concat!(
        r#"{"t": 1, "k": "a\"b", "v": 5, "w": "z", "x": {"t": 9}}"#,
        "\n",
        r#"{"v": null, "t": 2}"#,
        "\n\n",
        r#"{"t": 3, "k": 007}"#,
        "\n",
        r#"{"t": 4, "k": 7.50, "v": -1, "w": 0}"#,
        "\n",
        "nonsense\n",
    );
    let (rows, told, end) = read(&plan(InputFormat::JsonLines), text.as_bytes(), &[9_999]).unwrap();
    let expected = ["1 a\"b 5 true false", "2 null null false false", "4 7.50 -1 true false"];
    assert_eq!(end, Ok(2), "{rows:?} {told:?}");
    assert_eq!(rows, expected);
    assert!(told[0].starts_with("in:4:"), "{told:?}");
}

#[test]
fn json_columns_that_never_turn_up_are_an_error_unless_declared() {
    let text = br#"{"t": 1, "key": "a", "v": 5}"#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.jsonl");
    std::fs::write(&path, text).unwrap();
    let mut plan = plan(InputFormat::JsonLines);
    plan.inputs.pop();
    let error = open(&plan, vec![Input::File(path.clone())], |_| {}).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Usage);
    assert!(error.to_string().contains("the first record has no field 'k'"), "{error}");
    plan.types.push(("k".to_owned(), DeclaredType::Text));
    assert!(open(&plan, vec![Input::File(path)], |_| {}).is_ok());
}

#[test]
fn errors_of_opening_say_whose_fault_they_are() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("none")] {
        let error = open(&plan(InputFormat::Csv), vec![Input::File(path)], |_| {}).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Io);
    }
    let twice = read(&plan(InputFormat::Csv), b"t,k,v,w,k\n", &[50]).unwrap_err();
    assert_eq!(twice.class(), ErrorClass::Usage);
    assert!(twice.to_string().contains("fields 2 and 5"), "{twice}");
    let mut many = plan(InputFormat::Csv);
    many.inputs = vec![many.inputs[0].clone(); 70_000];
    let many = read(&many, b"t,k,v,w\n", &[50]).unwrap_err();
    assert_eq!(many.class(), ErrorClass::Usage);
}

#[test]
fn what_does_not_fit_a_record_is_refused_and_what_fits_is_not() {
    let limit = crate::limits::RECORD_BYTES_MAX;
    // A row of two columns takes seven words, its key four bytes more than its text.
    let fits = limit - 7 * 8 - 4;
    let text = |key: usize| format!("t,k,v,w\n1,{},5,\n", "x".repeat(key));
    assert_eq!(csv(&text(fits)).2, Ok(0));
    let (_, told, end) = csv(&text(fits + 1));
    assert_eq!(end, Ok(1));
    assert!(told[0].contains(&format!("take {} bytes; at most {limit}", limit + 1)), "{told:?}");
}

proptest! {
    #[test]
    fn pieces_make_no_difference(
        cells in prop::collection::vec(("[0-9x]{0,3}", "[a\",\n\r é]{0,4}", "[0-9.]{0,3}"), 0..30),
        sizes in prop::collection::vec(1_usize..40, 1..6),
    ) {
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        writer.write_record(["t", "k", "v", "w"]).unwrap();
        writer.write_record(["1", "k", "1", ""]).unwrap();
        for (t, k, v) in &cells {
            writer.write_record([t, k, v, ""]).unwrap();
        }
        let text = writer.into_inner().unwrap();
        let plan = plan(InputFormat::Csv);
        let whole = read(&plan, &text, &[100_000]).unwrap();
        prop_assert_eq!(&read(&plan, &text, &sizes).unwrap(), &whole);
        let good = cells.iter().filter(|(t, _, v)| {
            let number = v.is_empty() || v.parse::<f64>().is_ok();
            t.parse::<i64>().is_ok() && number
        });
        let kept = good.count() + 1;
        prop_assert!(whole.0.len() <= kept);
        if cells.iter().all(|(_, _, v)| v.is_empty() || v.parse::<i64>().is_ok()) {
            prop_assert_eq!(whole.0.len(), kept);
        }
        for (row, (_, k, _)) in whole.0[1..].iter().zip(&cells) {
            if whole.2 == Ok(0) {
                prop_assert!(k.is_empty() || row.contains(k.as_str()));
            }
        }
    }
}
