//! Input of another format than was said.

use super::{FLAGS, ONE, csv, file, jsonl, object, objects, piped, run, with_good};

#[test]
fn compressed_input() {
    for (bytes, found, mend) in [
        (&b"\x1f\x8b\x08\0\"\n{}"[..], "compressed by gzip", "'gzip -dc FILE | tidewheel agg -'"),
        (b"\x1f\x8b", "compressed by gzip", "gzip -dc"),
        (b"\x28\xb5\x2f\xfd\n", "compressed by zstd", "'zstd -dc FILE | tidewheel agg -'"),
        (b"\xff\xfet\0,\0\n\0", "UTF-16", "'iconv -f UTF-16 -t UTF-8 FILE | tidewheel agg -'"),
    ] {
        let found = format!("1:1: the input is {found}, and only text in UTF-8 is read; pipe it");
        csv(bytes).says(1, &["stdin:", &found, mend]).writes_nothing();
        // Without a column whose type is looked for, nothing is read before the run.
        let flags = ["agg", "-", "--input-format", "jsonl", "--time", "t", "--window", "1h"];
        run(&[&flags[..], &["--agg", "count"]].concat(), bytes).says(1, &[&found, mend]);
        let (_folder, path) = file("in.csv.gz", bytes);
        let path = path.to_str().unwrap();
        run(&[&["agg", path], &FLAGS[..]].concat(), b"").says(1, &[path, &found, mend]);
    }
}

#[test]
fn json_where_csv_is_expected() {
    let line = object("\"a\"", "1");
    csv(&line)
        .says(2, &["stdin:1:1: '{\"t\": \"2013-01-01 05:17:00\", \"k\": \"a\", \"…' is no CSV"])
        .says(2, &["and looks like JSON Lines; say --input-format jsonl"])
        .writes_nothing();
    csv(line.replace(", ", ",\n")).says(2, &["JSON; write one object a line, with jq -c . say"]);
    csv(format!("[{line}]")).says(2, &["JSON; write one object a line, with jq -c '.[]' say"]);
    // A column may be called so.
    let named = with_good("").replace('t', "{t}");
    let flags = ["agg", "-", "--time", "{t}", "--window", "1h", "--agg", "count"];
    run(&flags, named.as_bytes()).says(0, &["1 record in"]);
}

#[test]
fn csv_where_json_is_expected() {
    let told = "1:1: 't,k,v' is no JSON Lines and looks like CSV; say --input-format csv";
    let (_folder, path) = file("in.json", with_good(""));
    let path = path.to_str().unwrap();
    run(&[&["agg", path], &FLAGS[..]].concat(), b"").says(2, &[told]).writes_nothing();
    run(&[&["agg", path], &FLAGS[..], &["--input-format", "csv"]].concat(), b"").results(&[ONE]);
    // Where no types are looked for it is the run that notices.
    let flags = ["agg", "-", "--input-format", "jsonl", "--time", "t", "--window", "1h"];
    run(&[&flags[..], &["--agg", "count"]].concat(), b"\n\"t\";k\n1;2\n")
        .says(1, &[":1: '\"t\";k'"]);
    // Without a header it is no more than likely.
    jsonl(with_good("").replacen("t,k,v\n", "", 1))
        .says(0, &["stdin:1:1: not a JSON object", "(if this is CSV, say --input-format csv)"]);
}

#[test]
fn json_that_is_not_one_object_a_line() {
    let line = object("\"a\"", "1");
    let array = "looks like an array of JSON; write one object a line, with jq -c '.[]' say";
    for text in [format!("[{line}]"), format!("[\n{line},\n{line}\n]\n"), format!("\n[ {line}")] {
        jsonl(text).says(2, &["is no JSON Lines", array]).writes_nothing();
    }
    jsonl(line.replace(", ", ",\n").replace('{', "{\n")).says(2, &["JSON of several lines; write"]);
    // A first line may be damaged as any other.
    for first in ["[1, 2]", "t", "17:00\", \"k\": \"a\", \"v\": 1}"] {
        jsonl(format!("{first}\n{line}\n")).malformed(1, 1).results(&[ONE]);
    }
    jsonl(objects(&["t,k,v".to_owned()])).malformed(1, 1).results(&[ONE]);
}

#[test]
fn another_delimiter_than_the_comma() {
    for (d, said) in [('\t', "\\t"), (';', ";"), ('|', "|")] {
        let good = format!("t{d}k{d}v\n2013-01-01 05:17:00{d}a{d}1\n");
        let records = format!("{good}2013-01-01 05:20:00{d}\"a{d},\"{d}2\n");
        let header = format!("stdin:1:1: the header 't{said}k{said}v' names one column, and ','");
        let mend = format!("say --delimiter '{said}' if that is what stands between them");
        csv(&records).says(2, &[&header, &mend]).writes_nothing();
        piped("csv", &["--delimiter", said], records.as_bytes())
            .malformed(0, 0)
            .results(&[&ONE.replace(",a,1,1", &format!(",\"a{d},\",1,2")), ONE]);
        let short = format!("{good}2013-01-01 05:20:00{d}a\n");
        let fields =
            format!("stdin:3:1: 2 fields where the columns are 3; a field that holds '{said}'");
        piped("csv", &["--delimiter", said], short.as_bytes()).says(0, &[&fields]).results(&[ONE]);
    }
    piped("csv", &["--delimiter", ";"], with_good("").as_bytes())
        .says(2, &["';' was expected between the names; say --delimiter ','"]);
    piped("jsonl", &["--delimiter", ";"], b"")
        .says(2, &["--delimiter is for CSV", "leave it away"]);
    piped("csv", &["--delimiter", "ab"], b"").says(2, &["'ab' is no delimiter", "'\\t' for a tab"]);
}
