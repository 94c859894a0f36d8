//! Flags that contradict each other or the input, and what messages show of them.

use super::{FLAGS, GOOD, HEADER, ONE, csv, file, piped, run};

#[test]
fn no_file_at_all() {
    let mends = ["<FILE>", "say - for standard input", "tidewheel agg - --time dep_time"];
    run(&["agg", "--time", "t", "--window", "1h", "--agg", "count"], b"").says(2, &mends);
    let other = run(&["agg", "-", "--time", "t", "--agg", "count"], b"");
    assert!(!other.errors.contains("standard input"), "{}", other.errors);
}

#[test]
fn two_types_for_one_column() {
    let records = [HEADER, GOOD].concat();
    piped("csv", &["--type", "v=i64", "--type", "v=f64"], records.as_bytes())
        .says(2, &["--type v=i64 and --type v=f64 contradict each other"])
        .writes_nothing();
    let same = piped("csv", &["--type", "v=i64", "--type", "v=i64"], records.as_bytes());
    same.results(&[ONE]);
}

#[test]
fn flags_of_csv_where_the_input_is_json_lines() {
    for (flags, part) in [
        (&["--no-header", "--columns", "t,k"][..], "--no-header is for CSV"),
        (&["--null", "NA"], "--null is for CSV"),
        (&["--delimiter", ";"], "--delimiter is for CSV"),
    ] {
        let mend = "leave it away, or say --input-format csv";
        piped("jsonl", flags, b"").says(2, &[part, mend]).writes_nothing();
    }
}

#[test]
fn texts_that_stand_for_no_value() {
    let more = "2013-01-01 05:18:00,a,NA\n2013-01-01 05:18:00,a,\"n/a\"\n\
        2013-01-01 05:18:00,a,\n-,a,1\n";
    let records = format!("{HEADER}{more}{GOOD}");
    let run = piped("csv", &["--null", "NA,n/a", "--null", "-"], records.as_bytes());
    run.malformed(1, 1).says(0, &["stdin:5:1: column 't' is empty or missing"]);
    run.results(&[&ONE.replace("a,1,1", "a,4,1")]);
    // What is not exactly that is what it was.
    csv(&records).says(0, &["or name with --null what stands for none"]);
    let kept = ["--null", "NA", "--where", "v is null"];
    let records = [HEADER, "2013-01-01 05:18:00,a,NA\n", GOOD].concat();
    piped("csv", &kept, records.as_bytes()).says(0, &["1 dropped (1 filtered, 0 unusable)"]);
}

#[test]
fn seconds_that_are_taken_for_milliseconds() {
    let flags = ["agg", "-", "--time", "t", "--window", "1s", "--agg", "count", "--time-unit"];
    let of = |unit, records: &[u8]| run(&[&flags[..], &[unit]].concat(), records);
    let warned = of("ms", b"t\n1357016400\n1357016401\n");
    warned.says(
        0,
        &[
            "the first time of stdin was taken as 1970-01-16 16:56:56.400, its number counting ms",
            "say --time-unit s if it is 2013-01-01 05:00:00.000",
        ],
    );
    assert_eq!(warned.errors.matches("was taken as").count(), 1, "{}", warned.errors);
    for (unit, records) in [("s", &b"t\n1357016400\n"[..]), ("ms", b"t\n1\n1000\n")] {
        let run = of(unit, records);
        assert!(!run.errors.contains("was taken as"), "{}", run.errors);
    }
}

#[test]
fn advice_about_a_slide_can_be_followed() {
    let of = |slide, more: &[&str]| {
        let flags = ["agg", "-", "--time", "t", "--window", "1d", "--agg", "count"];
        run(&[&flags[..], &["--slide", slide], more].concat(), HEADER.as_bytes())
    };
    of("1ms", &[]).says(2, &["take a slide of at least 6ms, or a shorter window"]);
    of("6ms", &[]).says(0, &["0 results"]);
    of("1us", &[]).says(2, &["--slide is no multiple of 1ms", "say --tick 1us"]);
    let micros = ["--time-unit", "us"];
    of("1us", &micros).says(2, &["take a slide of at least 6ms"]);
}

#[test]
fn no_keys_that_may_live() {
    piped("csv", &["--live-keys", "0"], b"").says(2, &["not a number above zero"]).writes_nothing();
}

#[test]
fn operators_of_other_languages_in_a_filter() {
    let records = [HEADER, GOOD].concat();
    for (filter, part) in [
        ("v = null", "write v is null"),
        ("v > 0 && v < 2", "at character 7: '&&' is written and here"),
        ("v < true", "true and false have no order"),
    ] {
        piped("csv", &["--where", filter], records.as_bytes()).says(2, &[part]).writes_nothing();
    }
    piped("csv", &["--where", "-3 < v"], records.as_bytes()).results(&[ONE]);
    let run = piped("csv", &["--where", "k = true"], records.as_bytes());
    run.says(0, &["1 malformed", "and the filter compares it with true or false"]);
}

#[test]
fn names_that_would_move_the_cursor() {
    let evil = "\x1b[2Jx\x07";
    let shown = "\\x1b[2Jx\\x07";
    let (folder, path) = file("\x1b[2Jx\x07.csv", format!("t,{evil}\n2013-01-01,1\n"));
    let path = path.to_str().unwrap();
    let there = |more: &[&str]| run(&[&["agg", path], more].concat(), b"");
    let count = ["--time", "t", "--window", "1h", "--agg", "count"];
    let output = folder.path().join(evil).join("out").display().to_string();
    let unknown = there(&["--time", "nope", "--window", "1h", "--agg", "count"]);
    unknown.says(2, &[shown, "The columns are t, "]);
    let missing = there(&[&count[..], &["--output", &output]].concat());
    missing.says(3, &[shown, "make its folder first"]);
    let flag = there(&[&count[..], &["--slide", evil]].concat());
    flag.says(2, &["--slide"]);
    let table = there(&[&count[..], &["--key", evil, "--format", "table"]].concat());
    for text in [unknown.errors, missing.errors, flag.errors, table.errors, table.out] {
        assert!(!text.contains(['\x1b', '\x07']), "{text:?}");
    }
}

#[test]
fn more_files_than_may_be_open() {
    let (_folder, path) = file("in.csv", [HEADER, GOOD].concat());
    let ended = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 30; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_tidewheel"), "agg"])
        .args(vec![&path; 40])
        .args(FLAGS)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(3), "{errors}");
    assert!(errors.contains("ulimit -n"), "{errors}");
}

#[test]
fn a_filter_that_compares_text_with_numbers() {
    let records = [HEADER, GOOD].concat();
    let of = |more: &[&str]| piped("csv", more, records.as_bytes());
    for (filter, write) in [
        ("k = 5", "(k = 5); write k = '5', or"),
        ("5 <> k and v > 0", "(5 <> k); write '5' <> k, or"),
        ("v > 0 or not k in ('x', -5)", "(k IN (-5)); write k IN ('-5'), or"),
        ("k between 1 and 2", "(k >= 1); write k >= '1', or"),
    ] {
        let found = "stdin:2:21: column 'k' holds text, here 'a', and --where compares it with a";
        of(&["--where", filter])
            .says(2, &[found, write, "say --type k=i64 if numbers follow"])
            .writes_nothing();
    }
    // As is declared, which nothing has to come for.
    let declared = ["--type", "k=str", "--type", "v=i64", "--where"];
    of(&[&declared[..], &["k >= 5"]].concat())
        .says(2, &["column 'k' holds text, as --type says", "write k >= '5', or say --type k=i64"])
        .writes_nothing();
    of(&[&declared[..], &["v = '1'"]].concat())
        .says(2, &["column 'v' holds numbers, as --type says, and --where compares it with a text"])
        .says(2, &["(v = '1'); write v = 1, or say --type v=str if it holds text"])
        .writes_nothing();
    // Numbers may follow, and are then what it is compared as.
    let further = [HEADER, GOOD, "2013-01-01 05:18:00,7,2\n"].concat();
    piped("csv", &["--where", "k = 7", "--type", "k=i64"], further.as_bytes())
        .malformed(1, 1)
        .results(&[&ONE.replace("a,1,1", "7,1,2")]);
    piped("csv", &["--where", "k = 7"], further.as_bytes()).malformed(1, 1);
}

#[test]
fn a_filter_that_compares_numbers_with_text() {
    let records = [HEADER, GOOD, "2013-01-01 05:18:00,a,1\n"].concat();
    let of = |more: &[&str]| piped("csv", more, records.as_bytes());
    for filter in ["v = 'x'", "v in ('1', 'x')", "v > 'x'"] {
        of(&["--where", filter])
            .says(2, &["stdin: column 'v' holds numbers in the first 2 records, and --where comp"])
            .says(
                2,
                &["it with a text (v ", "; write a number without quotes, or say --type v=str"],
            )
            .writes_nothing();
    }
    // Digits in quotes are a text as any other, and what stands for no number may come later.
    let both = &ONE.replace("a,1,1", "a,2,2");
    for filter in ["v = '1'", "v in ('1', '2')", "v <> 'NA'", "v not in ('NA')", "not v = 'NA'"] {
        of(&["--where", filter]).malformed(0, 0).results(&[both]);
    }
    let typed = ["--type", "v=f64", "--where", "v <> 'NA'"];
    let records = records.replace("a,1\n2013", "a,NA\n2013");
    piped("csv", &typed, records.as_bytes())
        .malformed(0, 0)
        .results(&[&ONE.replace(",1,1", ",1,1.0")]);
}

#[test]
fn types_that_an_earlier_run_found_are_not_what_a_filter_contradicts() {
    let (folder, input) = file("in.csv", [HEADER, GOOD].concat());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (input, output, state) = (input.display().to_string(), path("out.csv"), path("state"));
    let kept = ["--output", &output, "--state", &state, "--where", "v = '1'"];
    for _ in 0..2 {
        run(&[&["agg", &input], &FLAGS[..], &kept].concat(), b"").malformed(0, 0);
    }
}

#[test]
fn a_filter_that_compares_times_with_numbers() {
    let records = [HEADER, GOOD].concat();
    piped("csv", &["--where", "t > 5"], records.as_bytes())
        .says(2, &["the time column is compared with a number", "t >= '2013-01-02 05:17'"])
        .writes_nothing();
    let unit = ["--time-unit", "s", "--where", "t > 5 and t in (7)"];
    piped("csv", &unit, b"t,k,v\n5,a,1\n7,a,1\n").says(0, &["1 filtered"]);
}

#[test]
fn a_column_of_numbers_that_is_to_be_true() {
    let records = [HEADER, GOOD].concat();
    for filter in ["v = true", "v is true", "false <> v", "v is not false"] {
        piped("csv", &["--where", filter], records.as_bytes())
            .says(2, &["column 'v' holds numbers in the first 1 record, and no number is true"])
            .says(2, &["compare it with one, v <> 0 say"])
            .writes_nothing();
    }
    let declared = ["--type", "v=i64", "--where", "v is true"];
    piped("csv", &declared, records.as_bytes())
        .says(2, &["column 'v' holds numbers, as --type says, and no number is true or false"])
        .writes_nothing();
}

#[test]
fn windows_that_are_no_whole_ticks() {
    let of = |tick| ["--tick", tick];
    for tick in ["7ms", "2h", "1.7us"] {
        piped("csv", &of(tick), b"").says(2, &["--window is no multiple of "]).writes_nothing();
    }
    piped("csv", &of("-1ms"), b"").says(2, &["'-1ms' is negative"]).writes_nothing();
}

#[test]
fn history_that_is_kept_for_no_unit() {
    let kept = ["--state", "s", "--output", "o", "--keep"];
    for (keep, part) in [("10", "10 lacks a unit: say 10d, or 10MiB"), ("much", "say none, all")] {
        piped("csv", &[&kept[..], &[keep]].concat(), b"").says(2, &[part]).writes_nothing();
    }
}
