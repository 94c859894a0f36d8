//! The command as a person runs it: its answers against another engine's, its messages, its exit
//! codes.
#![cfg(feature = "cli")]

mod command;
mod common;

use common::{assert_same_bag, bag, text_of};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Output;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn tidewheel(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = command::start(arguments);
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    // A command that refuses its flags reads nothing.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("the command ends");
    writer.join().expect("the writer ends");
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Standard output of a run that must end well.
fn answer(arguments: &[&str], input: &str) -> String {
    let output = tidewheel(arguments, input.as_bytes());
    let errors = text(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(errors.contains("every record is accounted for"), "{errors}");
    text(&output.stdout)
}

/// Standard error and exit code of a run.
fn refusal(arguments: &[&str], input: &[u8]) -> (String, Option<i32>) {
    let output = tidewheel(arguments, input);
    (text(&output.stderr), output.status.code())
}

const TUMBLE: [&str; 10] = [
    "agg",
    "-",
    "--time",
    "dep_time",
    "--key",
    "carrier",
    "--out-of-order",
    "5m",
    "--window",
    "1h",
];
const DELAYS: &str = "count as flights, sum(dep_delay) as total_delay, \
    min(dep_delay) as min_delay, max(dep_delay) as max_delay";

#[test]
fn flights_agree_with_flink_on_any_number_of_shards_and_either_runtime() {
    let departures = text_of(&golden("flink/departures.csv.gz"));
    let expected = text_of(&golden("flink/01_tumble_carrier.csv.gz"));
    for (shards, runtime) in [("1", "auto"), ("2", "auto"), ("3", "threads"), ("8", "auto")] {
        let more = ["--agg", DELAYS, "--shards", shards, "--runtime", runtime];
        let actual = answer(&[&TUMBLE[..], &more].concat(), &departures);
        assert_same_bag(&expected, &actual, &format!("{shards} shards on {runtime}"));
    }
    let hop = [
        "agg",
        "-",
        "--time",
        "dep_time",
        "--key",
        "origin",
        "--out-of-order",
        "5m",
        "--window",
        "6h",
        "--slide",
        "1h",
        "--agg",
        "count as flights,sum(distance) as miles",
    ];
    let expected = text_of(&golden("flink/02_hop_origin.csv.gz"));
    assert_same_bag(&expected, &answer(&hop, &departures), "hop");
}

/// Turns the golden files' epoch milliseconds into what the command writes.
fn with_stamps(csv: &str) -> String {
    let mut out = csv::Writer::from_writer(Vec::new());
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    out.write_record(reader.headers().unwrap()).unwrap();
    for record in reader.records() {
        let record = record.unwrap();
        let row = record.iter().enumerate().map(|(at, cell)| {
            let mut stamp = Vec::new();
            if at < 2 {
                let time = tidewheel::EventTime::from_millis(cell.parse().unwrap()).unwrap();
                tidewheel::text::push_stamp(&mut stamp, time);
            } else {
                stamp.extend_from_slice(cell.as_bytes());
            }
            stamp
        });
        out.write_record(row).unwrap();
    }
    String::from_utf8(out.into_inner().unwrap()).unwrap()
}

#[test]
fn disordered_records_agree_with_flink_late_ones_too() {
    let records = text_of(&golden("w1/w1_200k.csv.gz"));
    let base = ["agg", "-", "--time", "ts", "--time-unit", "ms", "--key", "key"];
    let aggregates = ["--agg", "count as cnt,sum(value) as s,min(value) as mn,max(value) as mx"];
    for (golden_name, more) in [
        ("q_tumble", &["--window", "1s", "--out-of-order", "500ms"][..]),
        ("q_slide", &["--window", "10s", "--slide", "1s", "--out-of-order", "500ms"]),
        ("q_tumble_late100", &["--window", "1s", "--out-of-order", "100ms"]),
    ] {
        let expected = with_stamps(&text_of(&golden(&format!("w1/{golden_name}.csv.gz"))));
        for shards in ["1", "2"] {
            let arguments = [&base[..], &aggregates, more, &["--shards", shards]].concat();
            assert_same_bag(&expected, &answer(&arguments, &records), golden_name);
        }
    }
}

#[test]
fn late_records_come_out_as_they_were_read() {
    let folder = tempfile::tempdir().unwrap();
    let late = folder.path().join("late.csv");
    let input = "t,k,v\n10,a,1\n100,a,2\n15,b,\"3\"\n105,a,4\n";
    let arguments = [
        "agg",
        "-",
        "--time",
        "t",
        "--time-unit",
        "ms",
        "--key",
        "k",
        "--window",
        "10ms",
        "--agg",
        "sum(v)",
        "--late",
        late.to_str().unwrap(),
    ];
    let actual = answer(&arguments, input);
    assert_eq!(bag(&actual).len(), 2, "{actual}");
    assert_eq!(std::fs::read_to_string(late).unwrap(), "t,k,v\n15,b,\"3\"\n");
}

#[test]
fn a_slide_that_does_not_divide_the_size_is_what_it_is_by_hand() {
    let input = "t,k\n0,a\n3,a\n4,a\n7,a\n9,a\n";
    let arguments = [
        "agg",
        "-",
        "--time",
        "t",
        "--time-unit",
        "s",
        "--key",
        "k",
        "--window",
        "5s",
        "--slide",
        "3s",
        "--agg",
        "count",
        "--format",
        "jsonl",
        "--kind",
    ];
    let actual = answer(&arguments, input);
    let counts: Vec<(String, u64)> = actual
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|row| {
            let start = row["window_start"].as_str().unwrap()[11..19].to_owned();
            (start, row["count"].as_u64().unwrap())
        })
        .collect();
    // [-3,2) [0,5) [3,8) [6,11) [9,14)
    let expected = [("23:59:57", 1), ("00:00:00", 3), ("00:00:03", 3), ("00:00:06", 2)];
    let mut expected: Vec<_> = expected.map(|(at, n)| (at.to_owned(), n)).to_vec();
    expected.push(("00:00:09".to_owned(), 1));
    assert_eq!(counts, expected);
}

/// The help's commands: what is indented below their descriptions.
fn commands_of(help: &str) -> Vec<String> {
    let examples = help.split_once("Examples").expect("examples").1;
    let examples = examples.split_once("Exit codes").expect("what follows them").0;
    let paragraphs = examples.split("\n\n");
    let command = |text: &str| -> String {
        text.lines()
            .filter(|line| line.starts_with("    "))
            .map(|line| format!("{line}\n"))
            .collect()
    };
    paragraphs.map(command).filter(|command| !command.is_empty()).collect()
}

#[test]
fn the_examples_of_the_help_run_as_they_stand() {
    let (help, code) = {
        let output = tidewheel(&["agg", "--help"], b"");
        (text(&output.stdout), output.status.code())
    };
    assert_eq!(code, Some(0));
    let commands = commands_of(&help);
    assert_eq!(commands.len(), 3, "{help}");
    let folder = Path::new(env!("CARGO_BIN_EXE_tidewheel")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    for command in commands {
        let output = std::process::Command::new("sh")
            .args(["-c", &command])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("PATH", format!("{}:{path}", folder.display()))
            .output()
            .unwrap();
        let (out, errors) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{command}\n{errors}");
        assert!(out.lines().count() > 50, "{command}\n{out}\n{errors}");
        assert!(errors.contains(" 0 malformed,") && errors.contains("accounted for"), "{errors}");
    }
}

#[test]
fn the_help_names_every_function_and_every_operator() {
    let help = text(&tidewheel(&["agg", "--help"], b"").stdout);
    let flags = ["agg", "-", "--time", "t", "--window", "1h", "--agg", "ß(x)"];
    let (error, _) = refusal(&flags, b"");
    let functions = error.split_once("the functions are ").expect("a list").1;
    for function in functions.lines().next().unwrap().split(", ") {
        let named = help.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == function);
        assert!(named, "{function} is not in:\n{help}");
    }
    for operator in ["<>", "<=", ">=", "between", "like", "is not null", "not in", "and, or, not"] {
        assert!(help.contains(operator), "{operator} is not in:\n{help}");
    }
}

#[test]
fn the_help_says_what_is_so_by_itself() {
    use tidewheel::{limits, window::Reason};
    let help = text(&tidewheel(&["agg", "--help"], b"").stdout);
    let reasons = [Reason::OnTime, Reason::EndOfInput, Reason::Interrupted];
    let bounds = [limits::LIVE_KEYS_DEFAULT, limits::INFERENCE_ROWS].map(|n| n.to_string());
    let closing =
        ["late", "dropped", "filtered", "unusable", "malformed"].map(|w| format!("'{w}'"));
    let words = reasons.iter().map(|reason| reason.as_str()).chain(bounds.iter().map(|n| &**n));
    for word in words.chain(closing.iter().map(|word| &**word)).chain(["x is true", "--null"]) {
        assert!(help.contains(word), "{word} is not in:\n{help}");
    }
}

#[test]
fn the_help_explains_every_term_of_a_line_of_stats() {
    let help = text(&tidewheel(&["agg", "--help"], b"").stdout);
    let about = help.split_once("--stats").expect("the flag").1;
    let about = about.split_once("\n      --").expect("the next flag").0;
    let line = tidewheel::metrics::Metrics::default().line_since(&Default::default());
    let is_term = |word: &&str| word.starts_with(|c: char| c.is_alphabetic());
    let terms = line.split([' ', ',']).filter(is_term).filter(|term| *term != "p99.99");
    for term in terms {
        assert!(about.contains(term), "{term} is not in:{about}");
    }
    let short = text(&tidewheel(&["agg", "-h"], b"").stdout);
    assert!(!short.contains("watermark lag"), "{short}");
}

#[test]
fn the_help_says_where_windows_start_and_they_do() {
    let help = text(&tidewheel(&["agg", "--help"], b"").stdout);
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["1970-01-01T00:00Z", "midnight UTC", "a Thursday", "begin on Mondays"] {
        assert!(help.contains(part), "{part} is not in:\n{help}");
    }
    // A Tuesday.
    let input = "t\n2013-01-01 04:00:00\n";
    for (window, offset, start) in [
        ("1d", "0", "2013-01-01 00:00:00"),
        ("1d", "5h", "2012-12-31 05:00:00"),
        ("7d", "0", "2012-12-27 00:00:00"),
        ("7d", "4d", "2012-12-31 00:00:00"),
    ] {
        let flags = ["agg", "-", "--time", "t", "--agg", "count"];
        let windows = ["--window", window, "--offset", offset, "--format", "csv"];
        let out = answer(&[&flags[..], &windows].concat(), input);
        assert!(out.lines().nth(1).is_some_and(|row| row.starts_with(start)), "{window}: {out}");
    }
}

#[test]
fn stats_more_often_than_they_can_be_are_refused() {
    for often in ["0s", "10ms", "99999us"] {
        let more = ["--window", "1h", "--agg", "count", "--stats", often];
        let (errors, code) = refusal(&[&TUMBLE[..8], &more].concat(), b"");
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains("the shortest is 100ms"), "{errors}");
    }
}

#[test]
fn names_of_columns_may_stand_apart() {
    let more = ["--window", "1s", "--time", "t", "--time-unit", "ms", "--agg", "count"];
    let keys = ["--key", "a, b ,\tc"];
    let out = answer(&[&["agg", "-"], &keys[..], &more].concat(), "t,a,b,c\n1,x,y,z\n");
    assert!(out.contains(",x,y,z,1"), "{out}");
    let columns = ["--no-header", "--columns", "t, a, b ,c"];
    let out = answer(&[&["agg", "-"], &keys[..], &columns, &more].concat(), "1,x,y,z\n");
    assert!(out.contains(",x,y,z,1"), "{out}");
    // A space that is part of a name can be said, by a name alone.
    let keys = ["--key", "a", "--key", " b"];
    let out = answer(&[&["agg", "-"], &keys[..], &more].concat(), "t,a, b\n1,x,y\n");
    assert!(out.contains(",x,y,1"), "{out}");
}

const MILLIS: [&str; 10] =
    ["agg", "-", "--time", "t", "--time-unit", "ms", "--window", "1s", "--agg", "count"];

#[test]
fn a_hyphen_is_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results.csv").display().to_string();
    let input = "t\n1\n5000\n2\n";
    let expected = answer(&MILLIS, input);
    assert_eq!(answer(&[&MILLIS[..], &["--output", "-"]].concat(), input), expected);
    let apart = ["--output", &results, "--late", "-"];
    assert_eq!(answer(&[&MILLIS[..], &apart].concat(), input), "t\n2\n");
    assert_eq!(std::fs::read_to_string(&results).unwrap(), expected);
    assert!(!Path::new("-").exists());

    let state = folder.path().join("state").display().to_string();
    for (more, part) in [
        (&["--late", "-"][..], "--late - is where the results go too"),
        (&["--late", "-", "--output", "-"], "--late - is where the results go too"),
        (&["--state", &state, "--output", &results], "-: can not be read again"),
    ] {
        let (errors, code) = refusal(&[&MILLIS[..], more].concat(), input.as_bytes());
        assert_eq!(code, Some(2), "{more:?}: {errors}");
        assert!(errors.contains(part), "{more:?}: {errors}");
    }
}

#[test]
fn late_records_that_nobody_reads_do_not_end_the_results_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results.csv").display().to_string();
    let mut child = command::start(&[&MILLIS[..], &["--output", &results, "--late", "-"]].concat());
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || drop(stdin.write_all(b"t\n1\n5000\n2\n")));
    let output = child.wait_with_output().expect("the command ends");
    writer.join().expect("the writer ends");
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{errors}");
    assert!(errors.contains("standard output (--late): Broken pipe"), "{errors}");
}

#[test]
fn the_ending_of_the_output_says_how_results_are_written() {
    let folder = tempfile::tempdir().unwrap();
    for (name, more, is_json) in [
        ("r.csv", &[][..], false),
        ("r.jsonl", &[], true),
        ("r.ndjson", &[], true),
        ("r.json", &[], true),
        ("r", &[], false),
        ("r.jsonl", &["--format", "csv"], false),
        ("r.csv", &["--format", "jsonl"], true),
    ] {
        let path = folder.path().join(name);
        let output = ["--output", path.to_str().unwrap()];
        answer(&[&MILLIS[..], &output, more].concat(), "t\n1\n");
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written.starts_with("{\"window_start\":"), is_json, "{name}: {written}");
        assert_eq!(written.starts_with("window_start,"), !is_json, "{name}: {written}");
    }
    let kept = folder.path().join("kept.jsonl");
    let (input, state) = (folder.path().join("in.csv"), folder.path().join("state"));
    std::fs::write(&input, "t\n1\n").unwrap();
    let paths = [&input, &kept, &state].map(|path| path.to_str().unwrap());
    let files = ["agg", paths[0], "--output", paths[1], "--state", paths[2]];
    answer(&[&files[..], &MILLIS[2..]].concat(), "");
    assert!(std::fs::read_to_string(&kept).unwrap().starts_with("{\"window_start\":"));
}

#[test]
fn bad_requests_exit_with_2_and_say_how_to_mend() {
    let run = |more: &[&str]| refusal(&[&TUMBLE[..8], more].concat(), b"dep_time,carrier,v\n");
    for (more, part) in [
        (&["--window", "0s", "--agg", "count"][..], "above zero"),
        (&["--window", "-1h", "--agg", "count"], ""),
        (&["--window", "1h", "--slide", "2h", "--agg", "count"], "at most 1h"),
        (&["--window", "1h", "--agg", "cuont"], "count"),
        (&["--window", "1h", "--agg", "sum(vv)"], "did you mean 'v'"),
        (&["--window", "1h", "--agg", "count", "--wherre", "x"], "--where"),
        (&["--window", "1h", "--agg", "count", "--where", "v +"], "filter"),
        (&["--window", "1h", "--agg", "count", "--shards", "0"], "shards"),
    ] {
        let (errors, code) = run(more);
        assert_eq!(code, Some(2), "{more:?}: {errors}");
        assert!(errors.contains(part), "{more:?}: {errors}");
    }
}

#[test]
fn missing_files_exit_with_3_and_bad_data_with_1_when_strict() {
    let missing = ["agg", "nowhere.csv", "--time", "t", "--window", "1h", "--agg", "count"];
    let (errors, code) = refusal(&missing, b"");
    assert_eq!(code, Some(3), "{errors}");
    assert!(errors.contains("nowhere.csv"), "{errors}");

    let base = ["agg", "-", "--time", "t", "--window", "1h", "--agg", "count"];
    let data = b"t\n2013-01-01 05:17:00\nnoon\n";
    let (errors, code) = refusal(&base, data);
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("stdin:3:1") && errors.contains("1 malformed"), "{errors}");
    let (errors, code) = refusal(&[&base[..], &["--strict"]].concat(), data);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("stdin:3:1"), "{errors}");
    let (errors, code) = refusal(&base, b"");
    assert_eq!(code, Some(1), "{errors}");
}

#[test]
fn a_far_future_record_does_not_close_the_present_when_jumps_are_bounded() {
    let mut input = String::from("t\n");
    (0..50).for_each(|n| input.push_str(&format!("2013-01-01 00:{n:02}:00\n")));
    input.insert_str(input.len() / 2 / 20 * 20 + 2, "2200-01-01 00:00:00\n");
    let base = ["agg", "-", "--time", "t", "--window", "1h", "--agg", "count"];
    let (errors, _) = refusal(&[&base[..], &["--max-jump", "1d"]].concat(), input.as_bytes());
    assert!(errors.contains("2200-01-01") && errors.contains(" 0 late"), "{errors}");
    let (errors, _) = refusal(&base, input.as_bytes());
    assert!(!errors.contains(" 0 late"), "{errors}");
}

#[test]
fn times_are_as_fine_as_is_said_in_a_file_and_down_a_pipe() {
    // The first thousand are whole seconds, and do not tell how fine the others are.
    let mut input = String::from("t,v\n");
    (0..1_500).for_each(|_| input.push_str("2024-01-01 00:00:00,1\n"));
    (0..30_000).for_each(|n| {
        input.push_str(&format!(
            "2024-01-01 00:00:{:02}.{:06},1\n",
            n / 1_000,
            n % 1_000 * 1_000 + n % 7
        ))
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("in.csv").display().to_string();
    std::fs::write(&file, &input).unwrap();
    let flags = ["--time", "t", "--window", "10ms", "--shards", "1", "--agg"];
    for more in [&["count"][..], &["sum(v)"], &["sum(v)", "--type", "v=i64"]] {
        for (tick, late) in [(&["--tick", "1us"][..], " 0 late"), (&[], " 0 late")] {
            let of = |name: &str, input: &str| {
                let arguments = [&["agg", name], &flags[..], more, tick].concat();
                let (errors, _) = refusal(&arguments, input.as_bytes());
                assert!(errors.contains(late), "{name} {more:?} {tick:?}: {errors}");
                answer(&arguments, input)
            };
            assert_eq!(of("-", &input), of(&file, ""), "{more:?} {tick:?}");
        }
    }
    // Of several records at the last millisecond of a window all but the first are late.
    let coarse = "t\n2024-01-01 00:00:00.009\n2024-01-01 00:00:00.009\n";
    let of = |window| ["agg", "-", "--time", "t", "--agg", "count", "--window", window];
    assert!(answer(&of("10ms"), coarse).ends_with(",1\n"));
    let finer = [&of("10ms")[..], &["--tick", "1us"]].concat();
    assert!(answer(&finer, coarse).ends_with(",2\n"));
    let (errors, code) = refusal(&of("15us"), coarse.as_bytes());
    assert_eq!(code, Some(2));
    assert!(
        errors.contains("--window is no multiple of 1ms") && errors.contains("--tick"),
        "{errors}"
    );
    let (errors, code) = refusal(&[&of("10ms")[..], &["--tick", "0"]].concat(), b"");
    assert_eq!(code, Some(2), "{errors}");
    // That dates are finer is told, once, unless it was said.
    let fine = "t\n2024-01-01 00:00:00.0091\n2024-01-01 00:00:00.0092\n";
    let (errors, _) = refusal(&of("10ms"), fine.as_bytes());
    assert_eq!(errors.matches("finer than a millisecond").count(), 1, "{errors}");
    let (errors, _) = refusal(&finer, fine.as_bytes());
    assert!(!errors.contains("finer than a millisecond"), "{errors}");
}

#[test]
fn why_windows_come_out_does_not_depend_on_which_input_ends_last() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, seconds: std::ops::Range<u32>| {
        let path = folder.path().join(name);
        let rows: String = seconds.map(|second| format!("{second}\n")).collect();
        std::fs::write(&path, format!("t\n{rows}")).unwrap();
        path.display().to_string()
    };
    let (early, late) = (write("early.csv", 0..20_000), write("late.csv", 20_000..40_000));
    for (one, other) in [(&early, &late), (&late, &early)] {
        for shards in ["1", "2"] {
            let flags = ["--time", "t", "--time-unit", "s", "--window", "10s", "--agg", "count"];
            let more = ["--kind", "--out-of-order", "25s", "--shards", shards];
            let out = answer(&[&["agg", one, other], &flags[..], &more[..]].concat(), "");
            // The highest watermark is 39974: two windows end after it, and one is cut by it.
            assert_eq!(out.matches("end_of_input").count(), 3, "{one} {other} {shards}");
            assert_eq!(out.matches("on_time").count(), 3_997, "{one} {other} {shards}");
        }
    }
}

#[test]
fn a_type_of_numbers_for_a_key_is_refused() {
    let base = ["agg", "-", "--time", "t", "--window", "1s", "--key", "k", "--type", "k=i64"];
    let input = b"t,k\n2024-01-01 00:00:00,7\n";
    let (errors, code) = refusal(&[&base[..], &["--agg", "count"]].concat(), input);
    assert!(errors.contains("keys are compared as they are written"), "{errors}");
    assert_eq!(code, Some(2));
    answer(&[&base[..], &["--agg", "sum(k)"]].concat(), "t,k\n2024-01-01 00:00:00,7\n");
}

#[test]
fn what_is_a_jump_does_not_depend_on_the_batch() {
    let seconds: String = (0..11).map(|n| format!("{n}\n")).collect();
    let base = ["agg", "-", "--time", "t", "--time-unit", "s", "--window", "1h", "--agg", "count"];
    let out = answer(&[&base[..], &["--max-jump", "5s"]].concat(), &format!("t\n{seconds}"));
    assert!(out.ends_with(",11\n"), "{out}");
}

#[test]
fn times_at_the_very_end_of_what_a_time_can_say_count() {
    let micros = "t,k\n1,a\n9223372036854775,a\n9223372036854775,b\n9223372036854775,b\n";
    let nanos = "t,k\n1,a\n9223372036854775806,a\n9223372036854775806,b\n9223372036854775806,b\n";
    for (unit, window, input) in [("us", "1h", micros), ("ns", "1s", nanos)] {
        for shards in ["1", "2"] {
            let arguments = ["agg", "-", "--time", "t", "--time-unit", unit, "--key", "k"];
            let more = ["--agg", "count", "--window", window, "--shards", shards];
            let out = answer(&[&arguments[..], &more].concat(), input);
            let counts: Vec<_> = bag(&out).into_keys().map(|row| row[2..].join(" ")).collect();
            assert_eq!(counts.len(), 3, "{out}");
            assert_eq!(counts.iter().filter(|row| row.starts_with('a')).count(), 2, "{out}");
            assert!(out.contains(",b,2\n") && out.matches(",a,1\n").count() == 2, "{out}");
        }
    }
}

#[test]
fn the_doctor_reports() {
    let output = tidewheel(&["doctor", "--format", "json"], b"");
    assert!(output.status.success());
    for line in text(&output.stdout).lines() {
        let finding: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(finding["name"].is_string() && finding["level"].is_string(), "{line}");
    }
}

#[test]
fn json_keys_keep_their_kind_and_an_empty_text_is_no_null() {
    let keys =
        ["\"a\"", "\"7\"", "7", "1.50", "-2e3", "true", "\"true\"", "\"\"", "null", "\"\\n\""];
    let record = |key: &&str| format!("{{\"t\": 1, \"k\":{key}, \"v\": \"\"}}\n");
    let input: String = keys.iter().flat_map(|key| [record(key), record(key)]).collect();
    let flags = ["agg", "-", "--time", "t", "--time-unit", "s", "--key", "k", "--window", "1h"];
    let aggregates = "count,count(k) as keys,count(v) as texts";
    let more = ["--input-format", "jsonl", "--format", "jsonl", "--agg", aggregates];
    let actual = answer(&[&flags[..], &more].concat(), &input);
    let expected = keys.map(|key| {
        let known = if key == "null" { 0 } else { 2 };
        format!("\"k\":{key},\"count\":2,\"keys\":{known},\"texts\":2}}")
    });
    let window = "\"window_end\":\"1970-01-01 01:00:00.000\",";
    let mut actual: Vec<&str> =
        actual.lines().map(|line| line.split_once(window).expect("the window").1).collect();
    let mut expected = expected.to_vec();
    actual.sort_unstable();
    expected.sort_unstable();
    assert_eq!(actual, expected);

    let filtered = |filter| {
        let filter = ["--format", "jsonl", "--agg", "count", "--where", filter];
        answer(&[&flags[..], &["--input-format", "jsonl"], &filter].concat(), &input)
            .lines()
            .count()
    };
    assert_eq!(filtered("k = ''"), 1);
    // CSV has no kinds, but a null is still no empty text.
    let csv = ["--input-format", "jsonl", "--format", "csv", "--agg", "count"];
    let out = answer(&[&flags[..], &csv].concat(), &input);
    let start = "1970-01-01 00:00:00.000,1970-01-01 01:00:00.000,";
    for row in [",2", "\"\",2"] {
        assert!(out.lines().any(|line| line == format!("{start}{row}")), "{row} is not in:\n{out}");
    }
    assert_eq!(filtered("k is null"), 1);
    assert_eq!(filtered("k is not null"), keys.len() - 1);
}

#[test]
fn times_finer_than_milliseconds_are_counted_in_their_own_unit() {
    let input: String = std::iter::once("t\n".to_owned())
        .chain((0..5_000).map(|n| format!("{}\n", n * 10)))
        .collect();
    let base = ["agg", "-", "--time", "t", "--shards", "2", "--agg", "count"];
    let micros = [&base[..], &["--time-unit", "us", "--window", "10ms"]].concat();
    let all = answer(&micros, &input);
    assert_eq!(all.lines().filter(|line| line.ends_with(",1000")).count(), 5, "{all}");
    let millis = ["--time-unit", "ms", "--window", "100us"];
    let (errors, code) = refusal(&[&base[..], &millis].concat(), input.as_bytes());
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("--window is no multiple of 1ms"), "{errors}");
}

#[test]
fn records_that_are_in_no_result_are_warned_of() {
    let run = ["agg", "-", "--time", "t", "--time-unit", "ms", "--window", "1s", "--agg", "count"];
    let output = tidewheel(&run, b"t\n999\n999\n999\n");
    let errors = text(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(errors.contains("warning: 2 late records are in no result"), "{errors}");
    assert!(errors.contains("--max-jump") && errors.contains("--late keeps them"), "{errors}");
    let folder = tempfile::tempdir().unwrap();
    let late = folder.path().join("late.csv").display().to_string();
    let more = ["--late", &late, "--max-jump", "1d"];
    let (errors, _) = refusal(&[&run[..], &more].concat(), b"t\n999\n999\n999\n");
    let advice = format!("in no result (--out-of-order waits longer, they are in {late})");
    assert!(errors.contains(&advice), "{errors}");
}

#[test]
fn one_stream_is_not_read_twice_nor_one_file_written_twice() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let base = ["--time", "t", "--time-unit", "ms", "--window", "1s", "--agg", "count"];
    let (errors, code) = refusal(&[&["agg", "-", "-"], &base[..]].concat(), b"t\n1\n");
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("named twice"), "{errors}");
    let (errors, code) = refusal(&[&["agg", "-", "/dev/stdin"], &base[..]].concat(), b"t\n1\n");
    assert_eq!(code, Some(2), "{errors}");
    std::os::unix::fs::symlink(file("new"), file("link")).unwrap();
    for (output, late) in [(file("new"), file("./new")), (file("new"), file("link"))] {
        let _ = std::fs::remove_file(file("new"));
        let outputs = ["--output", &output, "--late", &late];
        let (errors, code) = refusal(&[&["agg", "-"], &base[..], &outputs].concat(), b"t\n1\n");
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains("a file of its own"), "{errors}");
    }
}

#[test]
fn a_reader_that_leaves_a_named_file_is_no_quiet_end() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("late");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, mode, 0).unwrap();
    let reading = fifo.clone();
    let reader = std::thread::spawn(move || drop(std::fs::File::open(reading).unwrap()));
    let mut input = String::from("t\n");
    (0..200_000).for_each(|n| input.push_str(&format!("{}\n", if n % 2 == 0 { 0 } else { n })));
    let late = fifo.display().to_string();
    let run = ["agg", "-", "--time", "t", "--time-unit", "ms", "--window", "10ms"];
    let outputs = ["--agg", "count", "--late", &late];
    let (errors, code) = refusal(&[&run[..], &outputs].concat(), input.as_bytes());
    reader.join().unwrap();
    assert_eq!(code, Some(3), "{errors}");
    assert!(errors.contains(&late), "{errors}");
}

#[test]
fn nan_and_infinities_are_values_of_floats() {
    let functions =
        ["count", "min", "max", "sum", "mean", "stddev", "var_pop", "first", "last"].iter();
    let aggregates = functions.map(|name| format!("{name}(v)")).collect::<Vec<_>>().join(",");
    let flags = ["agg", "-", "--time", "t", "--time-unit", "ms", "--window", "1h"];
    let of = |values: &[&str], more: &[&str]| {
        let rows = (1..).zip(values).map(|(time, value)| format!("{time},{value}\n"));
        let input = rows.fold("t,v\n".to_owned(), |input, row| input + &row);
        let out = answer(&[&flags[..], &["--agg", &aggregates], more].concat(), &input);
        out.lines().nth(1).map_or(String::new(), |row| row.splitn(3, ',').nth(2).unwrap().into())
    };
    for (values, expected) in [
        (&["1", "nan", "2.5"][..], "3,1.0,2.5,NaN,NaN,NaN,NaN,1.0,2.5"),
        (&["NaN", "2.5", "", "1"], "3,1.0,2.5,NaN,NaN,NaN,NaN,NaN,1.0"),
        (&["nan", "-nan"], "2,NaN,NaN,NaN,NaN,NaN,NaN,NaN,NaN"),
        (&["1.5", "inf"], "2,1.5,inf,inf,inf,NaN,NaN,1.5,inf"),
        (&["-Infinity", "inf", "NaN"], "3,-inf,inf,NaN,NaN,NaN,NaN,-inf,NaN"),
    ] {
        assert_eq!(of(values, &["--type", "v=f64"]), expected, "{values:?}");
        // Fractions, and words where there is nothing else, make the column one of floats.
        assert_eq!(of(values, &[]), expected, "{values:?}");
    }
    // What slides out of the window is forgotten.
    let slides = ["--window", "2ms", "--slide", "1ms", "--agg", "sum(v),max(v)"];
    let input = "t,v\n1,inf\n2,nan\n3,1.5\n4,1.5\n";
    let out = answer(&[&flags[..6], &slides].concat(), input);
    let ends: Vec<&str> =
        out.lines().skip(1).map(|row| row.splitn(3, ',').nth(2).unwrap()).collect();
    assert_eq!(ends, ["inf,inf", "NaN,inf", "NaN,1.5", "3.0,1.5", "1.5,1.5"]);
    for (filter, kept) in
        [("v > 1", 2), ("not v > 1", 1), ("v <> 7", 3), ("v = v", 3), ("v < 7", 2)]
    {
        let out = of(&["0.5", "nan", "inf", "2"], &["--where", filter]);
        assert_eq!(out.split(',').next().unwrap().parse(), Ok(kept), "{filter}: {out}");
    }
}
