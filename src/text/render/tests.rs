//! Golden texts of each format, and that what is written reads back as what it was.

use super::*;
use crate::limits;
use crate::record::push_key_part;
use crate::text::Value;
use crate::time::EventTime;
use proptest::prelude::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn columns(keys: &[&str], aggregates: &[&str], kind: bool) -> ResultColumns {
    ResultColumns::new(names(keys), names(aggregates), kind).unwrap()
}

fn hour(hour: i64) -> EventTime {
    EventTime::from_seconds(1_357_016_400 + hour * 3600).unwrap()
}

fn key(parts: &[Option<&[u8]>]) -> Vec<u8> {
    let mut key = Vec::new();
    parts.iter().for_each(|part| push_key_part(&mut key, *part));
    key
}

fn row<'a>(start: i64, key: &'a [u8], values: &'a [Value], kind: &'a str) -> ResultRow<'a> {
    ResultRow { window_start: hour(start), window_end: hour(start + 1), key, values, kind }
}

/// The same few results in each format.
fn written(format: ResultFormat) -> String {
    let columns = columns(&["carrier", "dest"], &["count", "mean(delay)"], true);
    let mut writer = ResultWriter::new(format, columns, Vec::new());
    writer.header().unwrap();
    let keys = [
        key(&[Some(b"AA"), Some("K\u{f6}ln, \"West\"".as_bytes())]),
        key(&[Some(b""), None]),
        key(&[Some(b"a\n\x1b[1mb"), Some(b"\xff")]),
    ];
    let values = [
        [Value::U64(3), Value::F64(-0.5)],
        [Value::U64(12_000), Value::Null],
        [Value::I128(-(1 << 70)), Value::F64(f64::NAN)],
    ];
    let starts_and_kinds = [(0, "on_time"), (0, "on_time"), (1, "end_of_input")];
    for ((key, values), (start, kind)) in keys.iter().zip(&values).zip(starts_and_kinds) {
        writer.row(&row(start, key, values, kind)).unwrap();
    }
    String::from_utf8_lossy(&writer.finish().unwrap()).into_owned()
}

#[test]
fn csv_tells_nulls_from_empty_texts() {
    let expected = "\
window_start,window_end,carrier,dest,count,mean(delay),kind
2013-01-01 05:00:00.000,2013-01-01 06:00:00.000,AA,\"K\u{f6}ln, \"\"West\"\"\",3,-0.5,on_time
2013-01-01 05:00:00.000,2013-01-01 06:00:00.000,\"\",,12000,,on_time
2013-01-01 06:00:00.000,2013-01-01 07:00:00.000,\"a\n\u{1b}[1mb\",\u{fffd},\
-1180591620717411303424,NaN,end_of_input
";
    assert_eq!(written(ResultFormat::Csv), expected);
}

#[test]
fn json_lines_hold_an_object_each() {
    let hours = |start, end| {
        format!(
            "{{\"window_start\":\"2013-01-01 {start}:00:00.000\",\
             \"window_end\":\"2013-01-01 {end}:00:00.000\","
        )
    };
    let expected = [
        hours("05", "06"),
        "\"carrier\":\"AA\",\"dest\":\"K\u{f6}ln, \\\"West\\\"\",\"count\":3,\
         \"mean(delay)\":-0.5,\"kind\":\"on_time\"}\n"
            .into(),
        hours("05", "06"),
        "\"carrier\":\"\",\"dest\":null,\"count\":12000,\
         \"mean(delay)\":null,\"kind\":\"on_time\"}\n"
            .into(),
        hours("06", "07"),
        "\"carrier\":\"a\\n\\u001b[1mb\",\"dest\":\"\u{fffd}\",\"count\":-1180591620717411303424,\
         \"mean(delay)\":null,\"kind\":\"end_of_input\"}\n"
            .into(),
    ];
    assert_eq!(written(ResultFormat::JsonLines), expected.concat());
}

#[test]
fn a_table_is_aligned_and_cannot_move_the_cursor() {
    let expected = [
        concat!(
            "window_start             window_end               carrier   ",
            "     dest                            count  mean(delay)  kind"
        ),
        concat!(
            "-----------------------  -----------------------  ----------",
            "---  ------------  -----------------------  -----------  ------------"
        ),
        concat!(
            "2013-01-01 05:00:00.000  2013-01-01 06:00:00.000  AA        ",
            "     Köln, \"West\"                        3         -0.5  on_time"
        ),
        concat!(
            "2013-01-01 05:00:00.000  2013-01-01 06:00:00.000            ",
            "                                     12000               on_time"
        ),
        concat!(
            "2013-01-01 06:00:00.000  2013-01-01 07:00:00.000  a\\n\\u{1b",
            "}[1mb  �             -1180591620717411303424          NaN  end_of_input"
        ),
        "",
    ];
    assert_eq!(written(ResultFormat::Table), expected.join("\n"));
}

#[test]
fn a_table_streams_once_its_widths_are_decided_and_widens_later() {
    let columns = columns(&["k"], &["n"], false);
    let mut writer = ResultWriter::new(ResultFormat::Table, columns, Vec::new());
    writer.header().unwrap();
    writer.flush().unwrap();
    assert_eq!(writer.out.buffer().len(), 0, "a header waits for its first row");
    let mut put = |key_text: &str, n: u64| {
        let key = key(&[Some(key_text.as_bytes())]);
        writer.row(&row(0, &key, &[Value::U64(n)], "")).unwrap();
        writer.out.buffer().len()
    };
    for n in 0..limits::TABLE_ROWS_HELD as u64 - 2 {
        assert_eq!(put("a", n), 0);
    }
    assert!(put("a", 7) > 0, "the widths are decided");
    put("wider", 12_345);
    put("a", 1);
    let table = String::from_utf8(writer.finish().unwrap()).unwrap();
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 2 + limits::TABLE_ROWS_HELD + 1);
    let ends: Vec<_> = lines.iter().map(|line| &line[48..]).collect();
    assert_eq!(ends[..3], ["  k    n", "  -  ---", "  a    0"]);
    assert_eq!(ends[1000], "  a    7");
    assert_eq!(ends[1001..], ["  wider  12345", "  a          1"]);
}

#[test]
fn without_results_there_is_a_header_alone() {
    let header_of = |format| {
        let mut writer = ResultWriter::new(format, columns(&[], &["n"], false), Vec::new());
        writer.header().unwrap();
        String::from_utf8(writer.finish().unwrap()).unwrap()
    };
    assert_eq!(header_of(ResultFormat::Csv), "window_start,window_end,n\n");
    assert_eq!(header_of(ResultFormat::JsonLines), "");
    assert_eq!(
        header_of(ResultFormat::Table),
        "window_start  window_end  n\n------------  ----------  -\n"
    );
}

#[test]
fn columns_of_one_name_are_refused() {
    let new = |keys: &[&str], aggregates: &[&str], kind| {
        ResultColumns::new(names(keys), names(aggregates), kind)
    };
    let twice = |name: &str| Err(DuplicateColumn(name.to_owned()));
    assert_eq!(new(&["window_end"], &["n"], false), twice("window_end"));
    assert_eq!(new(&["k"], &["k"], false), twice("k"));
    assert_eq!(new(&["kind"], &["n"], true), twice("kind"));
    assert!(new(&["kind"], &["n"], false).is_ok());
}

/// An output that takes so many bytes and then none.
#[derive(Debug)]
struct Narrow(usize);

impl Write for Narrow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        match taken {
            0 => Err(io::ErrorKind::BrokenPipe.into()),
            _ => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn after_an_error_nothing_more_is_written() {
    let mut writer = ResultWriter::new(ResultFormat::Csv, columns(&[], &["n"], false), Narrow(10));
    writer.header().unwrap();
    assert_eq!(writer.flush().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    writer.out.buffer().extend_from_slice(b"more");
    assert_eq!(writer.flush().unwrap_err().kind(), io::ErrorKind::Other);
    assert!(writer.finish().is_err());
}

#[test]
fn rows_leave_in_pieces_of_whole_rows() {
    /// Remembers each write.
    #[derive(Debug, Default)]
    struct Pieces(Vec<Vec<u8>>);
    impl Write for Pieces {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.to_vec());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let columns = columns(&[], &["n"], false);
    let mut writer = ResultWriter::new(ResultFormat::Csv, columns, Pieces::default());
    for n in 0..3000 {
        writer.row(&row(n, &[], &[Value::I64(n)], "")).unwrap();
    }
    let pieces = writer.finish().unwrap().0;
    assert!(pieces.len() > 1);
    assert!(pieces.iter().all(|piece| piece.ends_with(b"\n")));
    let longest = pieces.iter().map(Vec::len).max().unwrap();
    assert!((limits::OUTPUT_BUFFER_BYTES..limits::OUTPUT_BUFFER_BYTES + 100).contains(&longest));
    assert_eq!(pieces.concat().iter().filter(|byte| **byte == b'\n').count(), 3000);
}

#[test]
fn late_records_are_written_as_they_were_read() {
    let mut late = LateWriter::new(Vec::new());
    late.header(Some(b"time,key")).unwrap();
    late.record(b"1, \"a\"").unwrap();
    late.record(b"2,b\r\n").unwrap();
    assert_eq!(late.finish().unwrap(), b"time,key\n1, \"a\"\n2,b\r\n");
    let mut late = LateWriter::new(Vec::new());
    late.header(None).unwrap();
    late.record(b"{\"t\":1}").unwrap();
    assert_eq!(late.finish().unwrap(), b"{\"t\":1}\n");
}

/// A key part, perhaps with all that needs quotes or escapes.
fn part() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("[a-z,\"\\\\\r\n\t\u{1b}\u{f6}\u{1f40c} ]{0,6}")
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::I64),
        any::<i128>().prop_map(Value::I128),
        any::<u64>().prop_map(Value::U64),
        any::<f64>().prop_map(Value::F64),
    ]
}

#[derive(Clone, Debug)]
struct Given {
    start: i64,
    keys: [Option<String>; 2],
    values: [Value; 3],
}

fn given() -> impl Strategy<Value = Vec<Given>> {
    let keys = [part(), part()];
    let row = (-9..9_i64, keys, [value(), value(), value()]);
    let row = row.prop_map(|(start, keys, values)| Given { start, keys, values });
    proptest::collection::vec(row, 0..8)
}

fn write_all(format: ResultFormat, rows: &[Given]) -> Vec<u8> {
    let columns = columns(&["k,1", "k\"2"], &["a", "b", "c"], true);
    let mut writer = ResultWriter::new(format, columns, Vec::new());
    writer.header().unwrap();
    for given in rows {
        let parts = given.keys.each_ref().map(|part| part.as_deref().map(str::as_bytes));
        let key = key(&parts);
        writer.row(&row(given.start, &key, &given.values, "on_time")).unwrap();
    }
    writer.finish().unwrap()
}

fn shown(value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::I64(number) => number.to_string(),
        Value::I128(number) => number.to_string(),
        Value::U64(number) => number.to_string(),
        Value::F64(number) => format!("{number:?}"),
    }
}

fn stamp_of(hours: i64) -> String {
    let time = jiff::Timestamp::from_nanosecond(hour(hours).as_nanos().into()).unwrap();
    time.strftime("%Y-%m-%d %H:%M:%S.000").to_string()
}

proptest! {
    #[test]
    fn csv_reads_back_as_what_it_was(rows in given()) {
        let bytes = write_all(ResultFormat::Csv, &rows);
        let mut reader = ::csv::Reader::from_reader(&bytes[..]);
        let header: Vec<_> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let expected = ["window_start", "window_end", "k,1", "k\"2", "a", "b", "c", "kind"];
        prop_assert_eq!(header, expected);
        let read: Vec<_> = reader.records().map(Result::unwrap).collect();
        prop_assert_eq!(read.len(), rows.len());
        for (read, given) in read.iter().zip(&rows) {
            prop_assert_eq!(&read[0], stamp_of(given.start));
            prop_assert_eq!(&read[1], stamp_of(given.start + 1));
            for (cell, part) in [&read[2], &read[3]].iter().zip(&given.keys) {
                prop_assert_eq!(*cell, part.as_deref().unwrap_or_default());
            }
            for (cell, value) in [&read[4], &read[5], &read[6]].iter().zip(given.values) {
                match value {
                    Value::F64(number) if number.is_finite() => {
                        let read: f64 = cell.parse().unwrap();
                        prop_assert_eq!(read.to_bits(), number.to_bits());
                    }
                    _ => prop_assert_eq!(*cell, shown(value)),
                }
            }
            prop_assert_eq!(&read[7], "on_time");
        }
    }

    #[test]
    fn json_lines_read_back_as_what_they_were(rows in given()) {
        let bytes = write_all(ResultFormat::JsonLines, &rows);
        let lines = std::str::from_utf8(&bytes).unwrap().lines();
        prop_assert_eq!(lines.clone().count(), rows.len());
        for (line, given) in lines.zip(&rows) {
            let read: serde_json::Value = serde_json::from_str(line).unwrap();
            prop_assert_eq!(read.as_object().unwrap().len(), 8);
            prop_assert_eq!(read["window_start"].as_str(), Some(&*stamp_of(given.start)));
            prop_assert_eq!(read["window_end"].as_str(), Some(&*stamp_of(given.start + 1)));
            prop_assert_eq!(read["k,1"].as_str(), given.keys[0].as_deref());
            prop_assert_eq!(read["k\"2"].as_str(), given.keys[1].as_deref());
            for (name, value) in ["a", "b", "c"].iter().zip(given.values) {
                match value {
                    Value::Null => prop_assert!(read[*name].is_null()),
                    Value::I64(number) => prop_assert_eq!(read[*name].as_i64(), Some(number)),
                    Value::U64(number) => prop_assert_eq!(read[*name].as_u64(), Some(number)),
                    // Wider than serde_json's own numbers: its digits are in the line.
                    Value::I128(number) => {
                        let member = format!("\"{name}\":{number},");
                        prop_assert!(line.contains(&member));
                    }
                    Value::F64(number) if number.is_finite() => {
                        // serde_json is off in the last places when it reads, in more of the
                        // tiniest numbers.
                        let read = read[*name].as_f64().unwrap();
                        let off = (number.abs() * 1e-15).max(f64::MIN_POSITIVE * 1e-3);
                        prop_assert!((read - number).abs() <= off);
                    }
                    Value::F64(_) => prop_assert!(read[*name].is_null()),
                }
            }
            prop_assert_eq!(read["kind"].as_str(), Some("on_time"));
        }
    }

    #[test]
    fn a_table_has_a_line_for_each_row(rows in given()) {
        let table = String::from_utf8(write_all(ResultFormat::Table, &rows)).unwrap();
        prop_assert_eq!(table.lines().count(), rows.len() + 2);
        for (line, given) in table.lines().skip(2).zip(&rows) {
            prop_assert!(!line.contains(|c: char| c.is_control()));
            let numbers = given.values.map(|value| match value {
                Value::F64(number) if number.is_finite() => String::new(),
                value => shown(value),
            });
            prop_assert!(numbers.iter().all(|number| line.contains(number)));
        }
    }
}
