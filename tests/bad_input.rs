//! Every kind of bad input, as a person meets it: what is said of it, with its place and the mend,
//! and the exit code.
#![cfg(feature = "cli")]

#[path = "bad_input/columns.rs"]
mod columns;
mod command;
#[path = "bad_input/flags.rs"]
mod flags;
#[path = "bad_input/formats.rs"]
mod formats;
#[path = "bad_input/keys.rs"]
mod keys;

use command::start;
use std::io::Write;
use std::path::PathBuf;
use std::process::Child;
use tempfile::TempDir;

/// How a run ended.
struct Run {
    code: Option<i32>,
    out: String,
    errors: String,
}

impl Run {
    /// Fails unless the run ended with this code and said all of these.
    #[track_caller]
    fn says(&self, code: i32, parts: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "{}", self.errors);
        for part in parts {
            assert!(self.errors.contains(part), "'{part}' is not in:\n{}", self.errors);
        }
        self
    }

    /// Fails unless these are the rows of the results, the header aside, in any order.
    #[track_caller]
    fn results(&self, rows: &[&str]) -> &Self {
        let mut found: Vec<&str> = self.out.lines().skip(1).collect();
        found.sort_unstable();
        assert_eq!(found, rows, "{}", self.errors);
        assert!(self.errors.contains("every record is accounted for"), "{}", self.errors);
        self
    }

    /// Fails unless so many malformed records were told of and so many counted.
    #[track_caller]
    fn malformed(&self, told: usize, counted: usize) -> &Self {
        assert_eq!(self.errors.matches("tidewheel: malformed: ").count(), told, "{}", self.errors);
        self.says(0, &[&format!(", {counted} malformed,")]);
        let plural = if counted == 1 { "" } else { "s" };
        let warning = format!("warning: {counted} malformed record{plural} left out (--strict");
        assert_eq!(self.errors.contains(&warning), counted != 0, "{}", self.errors);
        self
    }

    /// Fails if anything was written as a result.
    #[track_caller]
    fn writes_nothing(&self) {
        assert_eq!(self.out, "");
    }
}

fn finish(child: Child) -> Run {
    let output = child.wait_with_output().expect("the command ends");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Run { code: output.status.code(), out: text(output.stdout), errors: text(output.stderr) }
}

/// Runs the command with this on standard input, which must fit a pipe.
fn run(arguments: &[&str], input: &[u8]) -> Run {
    let mut child = start(arguments);
    let mut stdin = child.stdin.take().expect("a pipe");
    // A command that refuses its flags reads nothing.
    drop(stdin.write_all(input));
    drop(stdin);
    finish(child)
}

const FLAGS: [&str; 8] = ["--time", "t", "--key", "k", "--window", "1h", "--agg", "count,sum(v)"];

/// Runs over standard input with the usual flags and more.
fn piped(format: &str, more: &[&str], input: &[u8]) -> Run {
    run(&[&["agg", "-", "--input-format", format], &FLAGS[..], more].concat(), input)
}

fn csv(input: impl AsRef<[u8]>) -> Run {
    piped("csv", &[], input.as_ref())
}

fn jsonl(input: impl AsRef<[u8]>) -> Run {
    piped("jsonl", &[], input.as_ref())
}

fn strict(format: &str, input: &str) -> Run {
    piped(format, &["--strict"], input.as_bytes())
}

/// A file of this name in a folder that goes when the test ends.
fn file(name: &str, text: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("a file");
    (folder, path)
}

const HEADER: &str = "t,k,v\n";
const GOOD: &str = "2013-01-01 05:17:00,a,1\n";
/// What comes of [`GOOD`] alone.
const ONE: &str = "2013-01-01 05:00:00.000,2013-01-01 06:00:00.000,a,1,1";

fn with_good(line: &str) -> String {
    format!("{HEADER}{GOOD}{line}\n")
}

#[test]
fn a_file_that_is_not_there() {
    let run = run(&[&["agg", "nowhere.csv"], &FLAGS[..]].concat(), b"");
    run.says(3, &["tidewheel: nowhere.csv: No such file", "check the path"]).writes_nothing();
}

#[test]
fn a_folder_in_the_place_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    run(&[&["agg", path], &FLAGS[..]].concat(), b"")
        .says(3, &[path, "Is a directory", "name the files in it"])
        .writes_nothing();
}

#[test]
fn an_output_that_can_not_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none/results.csv");
    let path = path.to_str().unwrap();
    piped("csv", &["--output", path], with_good("").as_bytes())
        .says(3, &[path, "No such file", "make its folder first"]);
}

#[test]
fn a_time_column_that_is_not_there() {
    let flags = ["agg", "-", "--time", "dep_tme", "--window", "1h", "--agg", "count"];
    run(&flags, b"dep_time,carrier\n2013-01-01 05:17:00,UA\n")
        .says(
            2,
            &[
                "stdin:1: there is no column 'dep_tme' (--time); did you mean 'dep_time'?",
                "The columns are dep_time, carrier.",
            ],
        )
        .writes_nothing();
}

#[test]
fn a_key_column_that_is_not_there() {
    csv("t,kk,v\n")
        .says(2, &["stdin:1: there is no column 'k' (--key); did you mean 'kk'?", "are t, kk, v."]);
}

#[test]
fn an_aggregate_s_column_that_is_not_there() {
    csv("t,k,vv\n").says(
        2,
        &["stdin:1: there is no column 'v' (sum(v)); did you mean 'vv'?", "are t, k, vv."],
    );
}

#[test]
fn a_filter_s_column_that_is_not_there() {
    piped("csv", &["--where", "kk = 'a'"], with_good("").as_bytes())
        .says(2, &["stdin:1: there is no column 'kk' (--where); did you mean 'k'?", "are t, k, v."])
        .writes_nothing();
}

#[test]
fn a_text_without_quotes_in_a_filter() {
    for filter in ["k = AA", "k = \"AA\"", "v > 5 and not (k = AA)"] {
        piped("csv", &["--where", filter], with_good("").as_bytes())
            .says(
                2,
                &["stdin:1: there is no column 'AA' (--where). Text is written in single quotes: \
                   k = 'AA'. The columns are t, k, v."],
            )
            .writes_nothing();
    }
    let (_folder, path) = file("in.jsonl", object("\"a\"", "1"));
    let path = path.to_str().unwrap();
    run(&[&["agg", path], &FLAGS[..], &["--where", "k in (AA)"]].concat(), b"")
        .says(2, &["has no field 'AA' (--where). Text is written in single quotes: k IN ('AA')."]);
    piped("csv", &["--where", "k like A%"], HEADER.as_bytes()).says(2, &["text in single quotes"]);
    piped("csv", &["--where", "k like AA"], HEADER.as_bytes())
        .says(2, &["LIKE takes a pattern in single quotes, such as k LIKE 'A%'"]);
}

#[test]
fn a_column_that_stands_there_twice() {
    csv("t,k,v,k\n")
        .says(2, &["stdin:1: column 'k' stands there twice, as fields 2 and 4", "another name"]);
}

#[test]
fn a_first_line_that_is_a_record() {
    csv(GOOD).says(2, &["there is no column 't'", "say --no-header --columns"]);
}

#[test]
fn a_filter_that_can_not_be_understood() {
    piped("csv", &["--where", "v >"], HEADER.as_bytes())
        .says(2, &["filter 'v >' cannot be understood", "found: the end", "there are comparisons"]);
}

#[test]
fn a_time_that_can_not_be_read() {
    csv(with_good("noon,a,1"))
        .says(0, &["stdin:3:1: column 't' holds 'noon', not a time; write it like 2013-01-01 05"])
        .malformed(1, 1)
        .results(&[ONE]);
    csv(with_good(",a,1")).says(0, &["stdin:3:1: column 't' is empty"]).malformed(1, 1);
    strict("csv", &with_good("noon,a,1")).says(1, &["stdin:3:1: column 't' holds 'noon'"]);
}

#[test]
fn a_time_out_of_range() {
    for time in ["2262-04-12 00:00:00", "1677-09-20", "9999-01-01 00:00:00", "9999-12-31"] {
        csv(with_good(&format!("{time},a,1")))
            .says(
                0,
                &[
                    &format!("stdin:3:1: column 't' holds '{time}', out of range"),
                    "from 1677-09-21 to 2262-04-11",
                ],
            )
            .malformed(1, 1)
            .results(&[ONE]);
    }
    let seconds = format!("{HEADER}0,a,1\n9223372037,a,1\n-9223372037,a,1\n");
    piped("csv", &["--time-unit", "s"], seconds.as_bytes())
        .says(0, &["stdin:3:1: column 't' holds '9223372037', out of range", "stdin:4:1"])
        .malformed(2, 2);
}

#[test]
fn a_number_that_can_not_be_read_is_counted_and_the_first_five_are_told() {
    let bad = "2013-01-01 05:20:00,a,much\n".repeat(7);
    let run = csv(format!("{HEADER}{GOOD}{bad}"));
    run.malformed(5, 7).results(&[ONE]);
    for line in 3..8 {
        run.says(0, &[&format!("stdin:{line}:23: column 'v' holds 'much', not a whole number")]);
    }
    assert!(!run.errors.contains("stdin:8"), "{}", run.errors);
    run.says(0, &["where there is none, leave the cell empty"]);
}

#[test]
fn a_number_that_can_not_be_read_stops_a_strict_run() {
    let run = strict("csv", &with_good("2013-01-01 05:20:00,a,much\nnoon,a,1"));
    run.says(1, &["stdin:3:23: column 'v' holds 'much', not a whole number"]);
    assert!(!run.errors.contains("noon"), "it stops at the first: {}", run.errors);
}

#[test]
fn a_number_that_64_bits_do_not_hold() {
    csv(with_good("2013-01-01 05:20:00,a,9223372036854775808"))
        .says(0, &["stdin:3:23: column 'v' holds '9223372036854775808'", "--type v=f64"])
        .malformed(1, 1)
        .results(&[ONE]);
}

#[test]
fn a_column_of_text_where_numbers_are_needed() {
    csv(format!("{HEADER}2013-01-01 05:17:00,a,UA\n"))
        .says(2, &[
            "stdin:2:23: column 'v' holds text, here 'UA', and sum(v) needs numbers; of text there \
             is count(v), and --key v groups by it",
        ])
        .writes_nothing();
    // The function is named, not the column of the results.
    for function in ["sum", "min", "max", "first", "last", "mean", "stddev"] {
        let aggregates = format!("{function}(k) as total");
        let flags = ["agg", "-", "--time", "t", "--window", "1h", "--agg", &aggregates];
        let told = format!("stdin:2:21: column 'k' holds text, here 'a', and {function}(k) needs");
        run(&flags, with_good("").as_bytes()).says(2, &[&told]).writes_nothing();
    }
    piped("csv", &["--type", "v=str"], with_good("").as_bytes())
        .says(2, &["sum(v) needs numbers, and --type v=str says that 'v' holds text; count(v)"]);
}

#[test]
fn an_empty_file() {
    for empty in ["", "\n\n", "\u{feff}"] {
        let run = csv(empty);
        run.says(1, &["stdin:1:1: the header cannot be read: the input is empty"]);
        run.says(1, &["its first line should name the columns"]).writes_nothing();
    }
    // Of JSON Lines no line is required.
    jsonl("").malformed(0, 0).results(&[]);
}

#[test]
fn a_header_and_no_records() {
    for header in [HEADER, HEADER.trim_end()] {
        let run = csv(header);
        run.malformed(0, 0).results(&[]);
        assert_eq!(run.out, "window_start,window_end,k,count,sum(v)\n");
    }
}

#[test]
fn records_with_too_few_and_too_many_fields() {
    csv(with_good("2013-01-01 05:20:00,a\n2013-01-01 05:20:00,a,1,2"))
        .says(
            0,
            &[
                "stdin:3:1: 2 fields where the columns are 3",
                "stdin:4:1: 4 fields where the columns are 3",
                "double quotes",
            ],
        )
        .malformed(2, 2)
        .results(&[ONE]);
    strict("csv", &with_good("2013-01-01 05:20:00")).says(1, &["stdin:3:1: 1 field where"]);
}

#[test]
fn a_nul_byte() {
    csv(with_good("2013-01-01 05:18:00,a\0b,2\n2013\0,a,1\n2013-01-01 05:18:00,a,1\0"))
        .says(
            0,
            &[
                "stdin:4:1: column 't' holds '2013\\u{0}', not a time",
                "stdin:5:23: column 'v' holds '1\\u{0}', not a whole number",
            ],
        )
        .malformed(2, 2)
        .results(&[&ONE.replace(",a,1,1", ",a\0b,1,2"), ONE]);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_do_no_harm() {
    csv(format!("\u{feff}{HEADER}{GOOD}")).malformed(0, 0).results(&[ONE]);
    csv(with_good("noon,a,1").replace('\n', "\r\n"))
        .says(0, &["stdin:3:1: column 't' holds 'noon'"])
        .malformed(1, 1)
        .results(&[ONE]);
    jsonl(format!("\u{feff}{}\r\n", object("\"a\"", "1"))).malformed(0, 0).results(&[ONE]);
}

#[test]
fn a_quote_that_is_never_closed_costs_its_line_alone() {
    csv(with_good(&format!("2013-01-01 05:18:00,\"a,1\n{GOOD}{GOOD}")))
        .says(
            0,
            &["stdin:3:1: a double quote is opened and not closed", "a quote inside a field twice"],
        )
        .malformed(1, 1)
        .results(&[&ONE.replace("a,1,1", "a,3,3")]);
    strict("csv", &with_good("2013-01-01 05:18:00,\"a,1")).says(1, &["stdin:3:1: a double quote"]);
}

#[test]
fn a_quote_in_the_header_that_is_never_closed() {
    csv(format!("t,\"k,v\n{GOOD}"))
        .says(1, &["stdin:1:1: the header cannot be read: a double quote", "in quotes"])
        .writes_nothing();
}

/// An object whose key and value are these.
fn object(key: &str, value: &str) -> String {
    format!("{{\"t\": \"2013-01-01 05:17:00\", \"k\": {key}, \"v\": {value}}}")
}

/// Objects of which the first is good.
fn objects(lines: &[String]) -> String {
    format!("{}\n{}\n", object("\"a\"", "1"), lines.join("\n"))
}

#[test]
fn json_that_is_broken() {
    let whole = object("\"a\"", "1");
    let cut = whole[..whole.len() - 2].to_owned();
    let bare = whole.replace("\"a\"", "a");
    jsonl(objects(&[cut, bare, whole.clone() + " x", "nonsense".to_owned()]))
        .says(
            0,
            &[
                "stdin:2:43: not a JSON object: EOF while parsing a value, near 'k\": \"a\"",
                "stdin:3:35: not a JSON object: expected value",
                "stdin:4:48: not a JSON object: trailing characters",
                "stdin:5:2: not a JSON object: expected ident, near 'nonsense'",
                "write one object a line, such as {\"time\"",
            ],
        )
        .malformed(4, 4)
        .results(&[ONE]);
    strict("jsonl", &objects(&["{".to_owned()])).says(1, &["stdin:2:1: not a JSON object: EOF"]);
}

#[test]
fn json_that_is_no_object() {
    jsonl(objects(&["[1, 2]", "5", "\"x\""].map(str::to_owned)))
        .says(
            0,
            &[
                "stdin:2:1: not a JSON object: invalid type: sequence, near '[1, 2]'",
                "stdin:3:1: not a JSON object: invalid type: integer `5`, near '5'",
                "stdin:4:1: not a JSON object: invalid type: string \"x\"",
            ],
        )
        .malformed(3, 3)
        .results(&[ONE]);
}

#[test]
fn json_without_a_field() {
    let run = jsonl(objects(&["{\"k\": \"a\", \"v\": 1}".to_owned()]));
    run.says(0, &["stdin:2:1: column 't' is empty or missing; every record needs its time"]);
    run.malformed(1, 1).results(&[ONE]);
    // A key and a value may be missing: they are null.
    let time = "{\"t\": \"2013-01-01 05:17:00\"}".to_owned();
    jsonl(objects(&[time])).malformed(0, 0).results(&[&ONE.replace("a,1,1", ",1,"), ONE]);
}

#[test]
fn a_json_field_that_no_record_has() {
    let (_folder, path) = file("in.jsonl", object("\"a\"", "1").replace("\"k\"", "\"kk\""));
    let path = path.to_str().unwrap();
    let problem = format!("{path}: the first record has no field 'k' (--key); did you mean 'kk'?");
    let mend = "The fields there were t, kk, v. If it comes further on, say --type k=str.";
    run(&[&["agg", path], &FLAGS[..]].concat(), b"").says(2, &[&problem, mend]).writes_nothing();
}

#[test]
fn json_values_of_the_wrong_type() {
    let time = object("\"a\"", "1").replace("\"2013-01-01 05:17:00\"", "true");
    let values = ["\"much\"", "true", "\"\""].map(|value| object("\"a\"", value));
    jsonl(objects(&[&values[..], &[time]].concat()))
        .says(
            0,
            &[
                "stdin:2:45: column 'v' holds 'much', not a whole number",
                "stdin:3:45: column 'v' holds 'true', not a whole number",
                "stdin:4:45: column 'v' holds '', not a whole number; where there is none",
                "leave the cell empty (in JSON say null)",
                "stdin:5:7: column 't' holds 'true', not a time",
            ],
        )
        .malformed(4, 4)
        .results(&[ONE]);
}

#[test]
fn arrays_and_objects_in_a_json_key() {
    jsonl(objects(&[object("[1]", "1"), object("{\"a\": 1}", "1"), object("\"a\"", "[]")]))
        .says(
            0,
            &[
                "stdin:2:35: column 'k' holds an array, '[1]', not a text, number or truth value",
                "stdin:3:35: column 'k' holds an object, '{\"a\": 1}', not a text",
                "stdin:4:45: column 'v' holds an array, '[]', not a text",
                "with jq say",
            ],
        )
        .malformed(3, 3)
        .results(&[ONE]);
}

#[test]
fn an_array_or_an_object_in_json_is_a_value_like_any_other_to_a_count() {
    let records = ["[1, 2]", "{\"a\": 1}", "null", "[]", "5"].map(|value| object("\"a\"", value));
    let flags = ["agg", "-", "--input-format", "jsonl", "--time", "t", "--window", "1h"];
    let counted = |more: &[&str]| {
        let run = run(&[&flags[..], more].concat(), records.join("\n").as_bytes());
        run.malformed(0, 0);
        run.out.lines().nth(1).expect("one result").rsplit(',').next().unwrap().to_owned()
    };
    assert_eq!(counted(&["--agg", "count(v)"]), "4");
    assert_eq!(counted(&["--agg", "count", "--where", "v is not null"]), "4");
    assert_eq!(counted(&["--agg", "count", "--where", "v is null"]), "1");
    // What a filter compares and a sum adds up is no array.
    let compared = [&flags[..], &["--agg", "count(v)", "--where", "v > 1 or v is null"]].concat();
    run(&compared, records.join("\n").as_bytes()).malformed(3, 3);
}

#[test]
fn json_strings_that_are_no_text() {
    jsonl(objects(&[object("\"\\ud800\"", "1"), object("\"a\0\"", "1")]))
        .says(
            0,
            &[
                "stdin:2:35: column 'k' holds '\"\\ud800\"', whose escapes stand for no text",
                "stdin:3:36: not a JSON object: control character",
            ],
        )
        .malformed(2, 2)
        .results(&[ONE]);
}

/// Runs over the same records as a file and as a pipe: no time can be read, and that is one error.
fn no_time(more: &[&str], records: &str, parts: &[&str]) {
    let parts: Vec<&str> = parts.iter().copied().chain(["no time can be read"]).collect();
    let (_folder, path) = file("in.csv", records);
    let path = path.to_str().unwrap();
    let flags = ["--time", "t", "--window", "1h", "--agg", "count"];
    let opened = run(&[&["agg", path], &flags[..], more].concat(), b"");
    opened.says(1, &[&format!("{path}:2:1: column 't' holds")]).says(1, &parts).writes_nothing();
    assert!(!opened.errors.contains("malformed"), "one error is said: {}", opened.errors);
    // A pipe is not waited for, so it shows while it is read.
    let read = run(&[&["agg", "-"], &flags[..], more].concat(), records.as_bytes());
    read.says(1, &["stdin:2:1: column 't' holds"]).says(1, &parts);
    assert!(read.out.lines().count() <= 1, "a header at most: {}", read.out);
}

#[test]
fn numbers_for_times_and_no_unit() {
    for (time, mend) in [
        ("1357016400", "--time-unit s if it is 2013-01-01 05:00:00.000"),
        ("1357016400000", "--time-unit ms if it is 2013-01-01 05:00:00.000"),
        ("1357016400000000", "--time-unit us if it is 2013-01-01 05:00:00.000"),
        ("1357016400000000000", "--time-unit ns if it is 2013-01-01 05:00:00.000"),
        ("20130101", "say --time-unit s, ms, us or ns"),
    ] {
        let found = format!("holds '{time}', a number, and nothing says what it counts");
        let record = format!("{time},a,1\n");
        no_time(&[], &(HEADER.to_owned() + &record.repeat(3)), &[&found, mend, "first 3 records"]);
    }
}

#[test]
fn dates_for_times_and_a_unit() {
    let expected = "not a number of ms since 1970-01-01; leave --time-unit away";
    no_time(&["--time-unit", "ms"], &with_good("noon,a,1"), &[expected, "first 2 records"]);
}

#[test]
fn numbers_for_times_and_a_unit_that_is_too_long() {
    let records = format!("{HEADER}1357016400000000,a,1\n");
    let mend =
        "out of range; times reach from 1677-09-21 to 2262-04-11; say --time-unit us instead";
    no_time(&["--time-unit", "s"], &records, &[mend, "first 1 record no"]);
}

#[test]
fn an_endless_stream_of_numbers_without_a_unit_ends_at_the_thousandth() {
    let mut child = start(&["agg", "-", "--time", "t", "--window", "1h", "--agg", "count"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all((HEADER.to_owned() + &"1357016400,a,1\n".repeat(1_000)).as_bytes()).unwrap();
    // Standard input stays open: the run ends by itself.
    let run = finish(child);
    drop(stdin);
    run.says(1, &["stdin:2:1: column 't' holds", "first 1000 records no time can be read"]);
}

#[test]
fn one_time_that_can_be_read_makes_the_others_malformed_one_by_one() {
    csv(format!("{HEADER}1357016400,a,1\n{GOOD}"))
        .says(0, &["stdin:2:1: column 't' holds '1357016400'", "--time-unit s"])
        .malformed(1, 1)
        .results(&[ONE]);
}

/// Bytes that the process has had resident at most.
#[cfg(target_os = "linux")]
fn peak_bytes(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    peak.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

#[cfg(target_os = "linux")]
#[test]
fn a_line_of_100_mb_is_skipped_in_bounded_memory() {
    const LINE: usize = 100_000_000;
    let json = object("\"a\"", "1") + "\n";
    for (format, header, good, begun, told) in [
        ("csv", HEADER, GOOD, "2013-01-01 05:17:00,", "stdin:3:1: the record is longer than"),
        ("csv", HEADER, GOOD, "2013-01-01 05:17:00,\"", "stdin:3:1: a double quote is opened"),
        ("jsonl", "", &json, "{\"k\": \"", "stdin:2:1: the record is longer than 1048576 bytes"),
    ] {
        let mut child = start(&[&["agg", "-", "--input-format", format], &FLAGS[..]].concat());
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all([header, good, begun].concat().as_bytes()).unwrap();
        let piece = vec![b'x'; 1 << 16];
        for _ in 0..LINE / piece.len() {
            stdin.write_all(&piece).unwrap();
        }
        stdin.write_all(["\n", good, "bad\n"].concat().as_bytes()).unwrap();
        // All but what fits the pipe was read by now, and the command waits for the rest.
        let peak = peak_bytes(&child);
        drop(stdin);
        let run = finish(child);
        run.malformed(2, 2).results(&[&ONE.replace("a,1,1", "a,2,2")]);
        run.says(0, &[told, if header.is_empty() { "stdin:4:1:" } else { "stdin:5:1:" }]);
        assert!(peak < 50_000_000, "{format}, {begun}: {peak} bytes");
    }
}

#[test]
fn a_header_of_a_million_bytes() {
    let mut child = start(&[&["agg", "-"], &FLAGS[..]].concat());
    let mut stdin = child.stdin.take().unwrap();
    // The command gives up before it has read all.
    drop(stdin.write_all(&vec![b'x'; 8 << 20]));
    drop(stdin);
    finish(child)
        .says(1, &["stdin:1:1: the header cannot be read", "longer than 1048576 bytes"])
        .writes_nothing();
}

#[test]
fn flags_and_commands_that_do_not_exist() {
    let wndow = ["agg", "-", "--time", "t", "--wndow", "1h", "--agg", "count"];
    run(&wndow, b"").says(2, &["'--wndow'", "similar argument exists: '--window'"]);
    run(&["ag"], b"").says(2, &["'ag'", "similar subcommand exists: 'agg'"]);
    let without = ["agg", "-", "--time", "t", "--agg", "count"];
    run(&without, b"").says(2, &["--window <SPAN>"]);
}

#[test]
fn values_of_flags_that_do_not_exist() {
    for (more, parts) in [
        (["--time-unit", "m"], &["'m' is no unit of time", "s, ms, us and ns"][..]),
        (
            ["--type", "v=f46"],
            &["'f46' is no type; there are i64, f64 and str; did you mean 'f64'"],
        ),
        (["--type", "f64"], &["write it like delay=f64"]),
        (
            ["--format", "cvs"],
            &["'cvs'", "there are table, csv, jsonl and log; did you mean 'csv'?"],
        ),
        (["--runtime", "tokio"], &["there are auto, glommio and threads"]),
        (["--idle-policy", "busy"], &["'busy' is no idle policy; there are spin and backoff"]),
        (["--out-of-order", "5parsecs"], &["'parsecs' in '5parsecs' is no unit of time"]),
        (["--shards", "many"], &["'many'", "--shards <N>"]),
    ] {
        piped("csv", &more, b"").says(2, parts).writes_nothing();
    }
    piped("csv", &["--shards", "300"], HEADER.as_bytes())
        .says(2, &["there cannot be 300 shards; take 1 to 256"]);
}

#[test]
fn an_aggregate_that_does_not_exist() {
    let run =
        |aggregates| run(&["agg", "-", "--time", "t", "--window", "1h", "--agg", aggregates], b"");
    run("count,smu(v)")
        .says(2, &["at character 7: unknown function 'smu'; did you mean 'sum'?", "\n        ^"])
        .writes_nothing();
    run("median(v)").says(2, &["unknown function 'median'; the functions are count, sum,"]);
    run("count(distinct v)")
        .says(2, &["at character 7: aggregates of distinct values are not built yet", "--key"]);
    run("sum(v").says(2, &["at character"]);
    run("sum(v),sum(v)").says(2, &["sum(v)", "as"]);
}

#[test]
fn windows_that_can_not_be() {
    let run = |more: &[&str]| {
        let flags = ["agg", "-", "--time", "t", "--agg", "count"];
        run(&[&flags[..], more].concat(), HEADER.as_bytes())
    };
    for (more, parts) in [
        (&["--window", "0s"][..], &["holds nothing", "give a size above zero"][..]),
        (&["--window", "-1h"], &["'-1h' for '--window <SPAN>'", "is negative"]),
        (&["--window", "1h", "--slide", "-15m"], &["'-15m' for '--slide <SPAN>'", "is negative"]),
        (&["--window", "1h", "--slide", "0s"], &["never end", "give a slide above zero"]),
        (&["--window", "1h", "--slide", "2h"], &["2h is longer", "take a slide of at most 1h"]),
        (&["--window", "1fortnight"], &["'fortnight'", "ns, us, ms, s, m, h, d and w"]),
        (&["--window", "1h", "--out-of-order", "-5m"], &["'-5m'", "is negative"]),
    ] {
        run(more).says(2, parts).writes_nothing();
    }
}

#[test]
fn more_shards_than_cores_run_and_say_so() {
    let cores = tidewheel::cpu::Topology::detect().cpu_count();
    let shards = (cores + 1).to_string();
    let run = piped("csv", &["--shards", &shards], with_good("").as_bytes());
    run.says(0, &[&format!("{shards} shards share {cores} cores; more cores would be used")]);
    run.results(&[ONE]);
    let run = piped("csv", &["--shards", "1"], with_good("").as_bytes());
    assert!(!run.errors.contains("shards share"), "{}", run.errors);
}

#[test]
fn a_time_in_the_far_future() {
    let of = |minute: usize| format!("2013-01-01 05:{minute:02}:00,a,1\n");
    let far = "2200-01-01 00:00:00,a,1\n";
    let before: String = (0..20).map(of).collect();
    let after: String = (20..40).map(of).collect();
    let records = [HEADER, &before, far, &after].concat();
    piped("csv", &["--max-jump", "1d"], records.as_bytes())
        .says(
            0,
            &[
                "stdin: record 21 (malformed ones not counted) is of 2200-01-01 00:00:00.000, far",
                "--max-jump",
                " 0 late, 1 dropped (0 filtered, 1 unusable)",
            ],
        )
        .results(&[&ONE.replace("a,1,1", "a,40,40")]);
    // Too short an input to confirm any jump: there is nothing that it could be far from.
    piped("csv", &["--max-jump", "1d"], [HEADER, far].concat().as_bytes())
        .says(0, &["1 record in", "every record is accounted for"])
        .results(&["2200-01-01 00:00:00.000,2200-01-01 01:00:00.000,a,1,1"]);
    // Without the flag it is believed, and closes all windows before it.
    csv(&records).says(0, &[" 20 late, 0 dropped", "--max-jump does not believe"]).results(&[
        &ONE.replace("a,1,1", "a,20,20"),
        "2200-01-01 00:00:00.000,2200-01-01 01:00:00.000,a,1,1",
    ]);
}

#[test]
fn a_time_in_the_far_future_far_into_the_input() {
    let of = |second: usize| format!("2013-01-01 05:{:02}:{:02},a,1\n", second / 60, second % 60);
    let seconds = |range: std::ops::Range<usize>| range.map(of).collect::<String>();
    let far = "2200-01-01 00:00:00,a,1\n";
    let records = [HEADER, &seconds(0..2_000), "noon,a,1\n", far, &seconds(2_000..2_050)].concat();
    piped("csv", &["--max-jump", "1d"], records.as_bytes())
        .says(0, &["stdin:2002:1: column 't' holds 'noon'", "stdin: record 2001 (malformed ones"])
        .results(&[&ONE.replace("a,1,1", "a,2050,2050")]);
}

#[test]
fn an_output_that_is_an_input_or_the_other_output() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (input, link, new) = (path("in.csv"), path("link.csv"), path("new.csv"));
    let rows = "t,k\n2013-01-01 05:00:00,a\n";
    std::fs::write(&input, rows).unwrap();
    std::os::unix::fs::symlink(&input, &link).unwrap();
    let refused = |more: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_tidewheel"))
            .args(["agg", &input, "--time", "t", "--window", "1h", "--agg", "count"])
            .args(more)
            .output()
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert_eq!(std::fs::read_to_string(&input).unwrap(), rows, "the input is as it was");
        errors
    };
    for more in [["--output", &input], ["--output", &link], ["--late", &input]] {
        let errors = refused(&more);
        assert!(errors.contains("would be overwritten") && errors.contains("another"), "{errors}");
    }
    let errors = refused(&["--output", &new, "--late", &new]);
    assert!(errors.contains("give each a file of its own"), "{errors}");
    assert!(!std::path::Path::new(&new).exists(), "nothing was opened");
}
