//! Columns that hold something else than was thought.

use super::{FLAGS, GOOD, HEADER, ONE, Run, csv, file, object, piped, run, with_good};

const COUNT: [&str; 4] = ["--window", "1h", "--agg", "count"];

/// Runs over a file of this name, with these flags before those of a count.
fn over(name: &str, text: &str, flags: &[&str]) -> (String, Run) {
    let (_folder, path) = file(name, text);
    let path = path.to_str().unwrap();
    (path.to_owned(), run(&[&["agg", path], &COUNT[..], flags].concat(), b""))
}

#[test]
fn a_column_that_holds_no_times() {
    let text = "t,carrier,ms\n2013-01-01 05:17:00,UA,1357016400000\n2013-01-02,AA,1357016400001\n";
    let parts = [
        "column 'carrier' holds 'UA', not a time; write it like 2013-01-01 05:17:00",
        "of the first 2 records no time can be read",
    ];
    let mend = "; what looks like times is --time t, or --time ms --time-unit ms";
    let (path, run) = over("in.csv", text, &["--time", "carrier"]);
    run.says(1, &[&format!("{path}:2:21: {}", parts[0]), parts[1], mend]).writes_nothing();
    assert!(!run.errors.contains("malformed"), "one error is said: {}", run.errors);
    let unit = ["--time", "carrier", "--time-unit", "s"];
    let (_, run) = over("in.csv", text, &unit);
    let mend = "what looks like times is --time t without --time-unit, or --time ms --time-unit ms";
    run.says(1, &["holds 'UA', not a number of s since 1970-01-01", mend]).writes_nothing();
    // A pipe whose columns' types are not asked for is not waited for.
    let flags = [&["agg", "-", "--time", "carrier"], &COUNT[..]].concat();
    super::run(&flags, text.as_bytes()).says(1, &["stdin:2:21: "]).says(1, &parts);
    let (_, run) = over("in.csv", "t,k\nnoon,a\n", &["--time", "t"]);
    run.says(
        1,
        &["'noon', not a time", "of the first 1 record no", "; no other column looks like"],
    );
}

#[test]
fn a_field_that_holds_no_times() {
    let line = object("\"a\"", "1") + "\n";
    let (path, run) = over("in.jsonl", &line.repeat(3), &["--time", "k"]);
    run.says(1, &[&format!("{path}:1:35: column 'k' holds 'a', not a time"), "first 3 records"])
        .says(1, &["what looks like times is --time t"])
        .writes_nothing();
}

#[test]
fn a_column_that_holds_some_times_or_none_at_all() {
    let (_, run) = over("in.csv", &with_good("noon,a,1"), &["--time", "t"]);
    run.malformed(1, 1);
    // No values prove nothing.
    let late = format!("{HEADER}{}{GOOD}", ",a,1\n".repeat(1_500));
    let (_, run) = over("in.csv", &late, &["--time", "t"]);
    run.malformed(5, 1_500);
}

#[test]
fn records_that_are_malformed_all() {
    let run = csv(format!("{HEADER}2013-01-01 05:17:00,a\n2013-01-01 05:17:00,a\n"));
    run.says(0, &[" 2 malformed, "]).results(&[]);
    run.says(0, &["warning: there is no result, for all that was read is malformed: 2 records ("]);
}

#[test]
fn an_extreme_of_times_and_what_is_said_instead_holds() {
    let records = with_good("2013-01-01 05:18:00,,1");
    let aggregate = |aggregate| {
        let flags = ["agg", "-", "--time", "t", "--window", "1h", "--agg", aggregate];
        run(&flags, records.as_bytes())
    };
    let run = aggregate("max(t)");
    run.says(2, &["stdin:2:1: column 't' holds times, here '2013-01-01 05:17:00', and max(t)"])
        .says(2, &["of times there is count(t); to compute with them, have a column of numbers"])
        .writes_nothing();
    assert!(!run.errors.contains("--type"), "no type makes numbers of times: {}", run.errors);
    aggregate("count(t)").malformed(0, 0);
    let run = aggregate("max(k)");
    run.says(2, &["holds text, here 'a', and max(k)", "is count(k), and --key k groups by it"]);
    assert!(!run.errors.contains("--type"), "no type makes numbers of text: {}", run.errors);
}

#[test]
fn a_column_of_numbers_that_begins_with_what_stands_for_none() {
    let none = "2013-01-01 05:18:00,a,NA\n".repeat(1_000);
    let records = format!("{HEADER}{none}{GOOD}");
    csv(&records).says(
        2,
        &["of text there is count(v); if numbers follow further on, say --type v=f64, and --null \
           'NA' if that stands for no value"],
    );
    let typed = piped("csv", &["--type", "v=f64"], records.as_bytes());
    typed.malformed(5, 1_000).results(&[&ONE.replace(",1,1", ",1,1.0")]);
    // Texts that differ stand for themselves.
    let texts = records.replacen("NA", "N/A", 1);
    let run = csv(&texts);
    run.says(2, &["here 'N/A'", "--key v groups by it"]);
    assert!(!run.errors.contains("--type"), "{}", run.errors);
}

#[test]
fn a_type_of_a_column_that_is_not_there() {
    let unknown = ["--type", "carier=str"];
    let text = "t,carrier,v\n2013-01-01 05:17:00,UA,1\n";
    let flags = [&["--time", "t"], &unknown[..]].concat();
    let (path, run) = over("in.csv", text, &flags);
    run.says(
        2,
        &[&format!(
            "{path}:1: there is no column 'carier' (--type); did you mean 'carrier'? The columns \
             are t, carrier, v."
        )],
    )
    .writes_nothing();
    let line = object("\"a\"", "1").replace("\"k\"", "\"carrier\"");
    let (path, run) = over("in.jsonl", &line, &flags);
    run.says(
        2,
        &[&format!("{path}: the first record has no field 'carier' (--type); did you mean")],
    );
    let named = ["--no-header", "--columns", "t,carrier,v", "--time", "t"];
    let (_, run) = over("in.csv", GOOD, &[&named[..], &unknown].concat());
    run.says(2, &["no column 'carier' (--type)"]);
    // One that is there may be declared though nothing needs it, if only some files have it.
    let (_, run) = over("in.csv", text, &["--time", "t", "--type", "carrier=str"]);
    run.malformed(0, 0);
    let (_folder, other) = file("other.csv", "t,carier\n2013-01-01 05:17:00,UA\n");
    let (_, run) =
        over("in.csv", text, &[other.to_str().unwrap(), "--time", "t", "--type", "v=f64"]);
    run.malformed(0, 0);
    piped("csv", &["--type", "kk=str"], with_good("").as_bytes()).says(2, &["did you mean 'k'?"]);
}

#[test]
fn a_date_alone_is_its_midnight() {
    csv(with_good("2013-01-02,a,2"))
        .malformed(0, 0)
        .results(&[ONE, "2013-01-02 00:00:00.000,2013-01-02 01:00:00.000,a,1,2"]);
}

#[test]
fn late_records_of_files_with_other_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (one, other, late) = (path("one.csv"), path("other.csv"), path("late.csv"));
    std::fs::write(&one, with_good("")).unwrap();
    let flags = [&["agg", &one, &other], &FLAGS[..], &["--late", &late, "--shards", "1"]].concat();
    for (header, record, problem) in [
        ("k,t,v\n", "a,2013-01-01 05:17:00,1\n", "field 1 of the header is 'k', and 't' in"),
        (
            "t,k,v,w\n",
            "2013-01-01 05:17:00,a,1,2\n",
            "field 4 of the header is 'w', and missing in",
        ),
    ] {
        std::fs::write(&other, format!("{header}{record}")).unwrap();
        run(&flags, b"").says(2, &[&format!("{other}:1: {problem} {one}; late records of all")]);
        assert!(!std::path::Path::new(&late).exists(), "nothing was opened");
        // Without late records every file is read by its own header.
        run(&[&["agg", &one, &other], &FLAGS[..]].concat(), b"").malformed(0, 0);
    }
    let spelled = "\"t\",k,v\r\n2013-01-02 05:17:00,a,1\r\n2013-01-01 05:17:00,b,1\r\n";
    std::fs::write(&other, spelled).unwrap();
    run(&flags, b"").says(0, &[" 1 late, "]);
    let written = std::fs::read_to_string(&late).unwrap();
    assert_eq!(written, format!("{HEADER}2013-01-01 05:17:00,b,1\n"));
}

#[test]
fn a_number_out_of_range_is_not_infinite() {
    let far = with_good("2013-01-01 05:18:00,a,1e400\n2013-01-01 05:19:00,a,-inf");
    let typed =
        |more: &[&str]| piped("csv", &[&["--type", "v=f64"], more].concat(), far.as_bytes());
    let told = "stdin:3:23: column 'v' holds '1e400', out of range for f64";
    typed(&[]).says(0, &[told]).malformed(1, 1).results(&[&ONE.replace(",1,1", ",2,-inf")]);
    typed(&["--where", "v < 5"]).says(0, &[told]).malformed(1, 1);
    piped("csv", &["--type", "v=i64"], far.as_bytes()).says(0, &[told]).malformed(2, 2);
}

#[test]
fn a_column_that_is_empty_at_first_is_taken_for_whole_numbers() {
    let empty = "2013-01-01 05:18:00,a,\n".repeat(1_000);
    let further = "2013-01-01 05:19:00,a,7\n2013-01-01 05:19:00,a,0.5\n2013-01-01 05:19:00,a,x\n";
    let run = csv(format!("{HEADER}{empty}{further}"));
    let taken = "not a whole number; it was empty in the first 1000 records and was taken for \
                 whole numbers; ";
    run.says(0, &[&format!("stdin:1003:23: column 'v' holds '0.5', {taken}say --type v=f64")])
        .says(
            0,
            &[&format!("stdin:1004:23: column 'v' holds 'x', {taken}of text there is count(v)")],
        )
        .malformed(2, 2)
        .results(&[&ONE.replace(",1,1", ",1001,7")]);
    // Where numbers were seen that is no reason.
    let run = csv(format!("{HEADER}{empty}{further}").replacen("a,\n", "a,1\n", 1));
    run.malformed(2, 2);
    assert!(!run.errors.contains("was empty"), "{}", run.errors);
}

#[test]
fn an_empty_file_among_others_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (full, empty, late) = (path("full.csv"), path("empty.csv"), path("late.csv"));
    std::fs::write(&full, with_good("")).unwrap();
    for nothing in ["", "\n", HEADER] {
        std::fs::write(&empty, nothing).unwrap();
        for files in [[&empty, &full], [&full, &empty]] {
            let flags = [&["agg", files[0], files[1]], &FLAGS[..], &["--late", &late]].concat();
            let told = format!("tidewheel: warning: {empty} holds no record; it is passed over");
            let run = run(&flags, b"");
            run.says(0, &[&told]).malformed(0, 0).results(&[ONE]);
            assert_eq!(run.errors.matches("holds no record").count(), 1, "{}", run.errors);
            assert_eq!(std::fs::read_to_string(&late).unwrap(), HEADER);
        }
    }
    // Where there is nothing else it is an error, as it is of one file.
    for nothing in ["", HEADER] {
        std::fs::write(&full, nothing).unwrap();
        std::fs::write(&empty, "").unwrap();
        run(&[&["agg", &full, &empty], &FLAGS[..]].concat(), b"")
            .says(1, &["csv:1:1: the header cannot be read: the input is empty"]);
    }
}
