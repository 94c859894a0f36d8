//! What a key, and any other cell, may hold.

use super::{FLAGS, ONE, csv, file, jsonl, object, piped, run, start};
use std::io::Write;

#[test]
fn a_key_inside_of_an_object() {
    let line = object("{\"x\": \"a\"}", "1");
    let (_folder, path) = file("in.jsonl", &line);
    let path = path.to_str().unwrap();
    let flags = ["agg", path, "--time", "t", "--window", "1h", "--agg", "count", "--key", "k.x"];
    let run = run(&flags, b"");
    run.says(2, &["the first record has no field 'k.x' (--key)", "The fields there were t, k, v."])
        .says(2, &["What is inside of an object is not read; if 'k' is one, jq -c"])
        .says(2, &["'.[\"x\"] = .k.x' takes 'x' out of it."])
        .writes_nothing();
    assert!(!run.errors.contains("--type"), "{}", run.errors);
}

#[test]
fn keys_that_are_texts_and_numbers_are_told_apart_in_json() {
    let records = [object("1", "1"), object("\"1\"", "2")].join("\n");
    let start = "2013-01-01 05:00:00.000,2013-01-01 06:00:00.000,1,1,";
    jsonl(&records).results(&[&format!("{start}1"), &format!("{start}2")]);
    let json = piped("jsonl", &["--format", "jsonl"], records.as_bytes());
    for part in ["\"k\":1,\"count\":1,\"sum(v)\":1}", "\"k\":\"1\",\"count\":1,\"sum(v)\":2}"] {
        assert!(json.out.contains(part), "{part} is not in:\n{}", json.out);
    }
}

#[test]
fn a_key_that_is_not_utf8_is_the_bytes_that_were_written() {
    let mut child = start(&[&["agg", "-"], &FLAGS[..]].concat());
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(b"t,k,v\n2013-01-01 05:17:00,K\xf6ln,1\n2013-01-01 05:18:00,K\xf6ln,2\n")
        .unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let expected = b"2013-01-01 05:00:00.000,2013-01-01 06:00:00.000,K\xf6ln,2,3\n";
    let rows = output.stdout.strip_prefix(b"window_start,window_end,k,count,sum(v)\n").unwrap();
    assert_eq!(rows, expected);
}

#[test]
fn a_time_and_a_number_that_are_not_utf8() {
    csv(b"t,k,v\n2013-01-01 05:17:00,a,1\n\xff,a,1\n2013-01-01 05:18:00,a,\xff1\n")
        .says(
            0,
            &[
                "stdin:3:1: column 't' holds '\\xff', not a time",
                "stdin:4:23: column 'v' holds '\\xff1', not a whole number",
            ],
        )
        .malformed(2, 2)
        .results(&[ONE]);
}

#[test]
fn a_header_that_is_not_utf8() {
    csv(b"t,k,v\xff\n").says(1, &["stdin:1:1: the header cannot be read: it is not UTF-8"]);
}
