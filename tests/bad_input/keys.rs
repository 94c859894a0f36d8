//! What a key, and any other cell, may hold.

use super::{HEADER, ONE, csv, file, jsonl, object, piped, run};

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
fn cells_that_are_not_utf8() {
    let good = "2013-01-01 05:17:00,a,1\n";
    let bad: [&[u8]; 3] =
        [b"2013-01-01 05:17:00,K\xf6ln,1\n", b"\xff,a,1\n", b"2013-01-01 05:18:00,a,\xff1\n"];
    let text = [HEADER.as_bytes(), good.as_bytes(), bad[0], bad[1], bad[2]].concat();
    let mend = "invalid UTF-8; convert the file, with iconv say";
    let key = format!("stdin:3:21: column 'k' holds 'K\\xf6ln', {mend}");
    csv(&text)
        .says(0, &[&key, &format!("stdin:4:1: column 't' holds '\\xff', {mend}")])
        .says(0, &[&format!("stdin:5:23: column 'v' holds '\\xff1', {mend}")])
        .malformed(3, 3)
        .results(&[ONE]);
    piped("csv", &["--strict"], &text).says(1, &[&key]);
    // In quotes, and whether it is compared, only counted, or asked whether it is there.
    let quoted = [HEADER.as_bytes(), good.as_bytes(), b"2013-01-01 05:17:00,\"K\xf6ln\",1\n"];
    for more in [
        &["--agg", "count"][..],
        &["--agg", "count(k)"],
        &["--agg", "count", "--where", "k <> 'b'"],
        &["--agg", "count", "--where", "k like '%'"],
        &["--agg", "count", "--where", "k is not null"],
    ] {
        let base = ["agg", "-", "--time", "t", "--window", "1h"];
        let ended = run(&[&base[..], more].concat(), &quoted.concat());
        // What nothing asks for may be anything.
        let count = if more.len() == 2 && more[1] == "count" { 0 } else { 1 };
        ended.malformed(count, count);
        assert_eq!(ended.errors.matches(&key).count(), count, "{more:?}: {}", ended.errors);
    }
    // The records before and after it in the same piece are text.
    csv([HEADER.as_bytes(), "2013-01-01 05:17:00,é,1\n".as_bytes(), bad[0], good.as_bytes()]
        .concat())
    .malformed(1, 1)
    .results(&[ONE, &ONE.replace(",a,", ",é,")]);
}

#[test]
fn json_that_is_not_utf8() {
    let line = |key: &[u8], more: &[u8]| {
        [b"{\"t\": \"2013-01-01 05:17:00\", \"k\": ", key, more, b", \"v\": 1}\n"].concat()
    };
    let lines =
        [line(b"\"a\"", b""), line(b"\"K\xf6ln\"", b""), line(b"\"a\"", b", \"x\": \"\xf6\"")];
    let told = "stdin:2:37: invalid UTF-8 near '00\", \"k\": \"K\\xf6ln";
    let mend = "convert the file, with iconv say";
    jsonl(lines.concat())
        .says(0, &[told, mend])
        .malformed(1, 1)
        .results(&[&ONE.replace("a,1,1", "a,2,2")]);
}

#[test]
fn a_header_that_is_not_utf8() {
    csv(b"t,k,v\xff\n").says(1, &["stdin:1:1: the header cannot be read: it is not UTF-8"]);
}
