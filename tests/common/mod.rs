//! What several test suites need: reading CSV, plain or compressed, and comparing results as bags.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The text of a file; one that ends in `.gz` is unpacked.
pub(crate) fn text_of(path: &Path) -> String {
    let mut file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    let read = match path.extension().is_some_and(|end| end == "gz") {
        true => flate2::read::GzDecoder::new(file).read_to_string(&mut text),
        false => file.read_to_string(&mut text),
    };
    read.expect("a golden file is text");
    text
}

/// A cell in the one spelling that equal cells share: numbers to 9 digits, times without `T`, `Z`
/// and trailing zeros.
fn normal(cell: &str) -> String {
    let cell = cell.trim();
    if let Ok(number) = cell.parse::<f64>() {
        return format!("{number:.9e}");
    }
    let is_time = cell.len() >= 19 && cell.as_bytes()[4] == b'-' && cell.as_bytes()[13] == b':';
    if !is_time {
        return cell.to_owned();
    }
    let cell = cell.trim_end_matches('Z').replacen('T', " ", 1);
    match cell.split_once('.') {
        Some((time, fraction)) if fraction.trim_end_matches('0').is_empty() => time.to_owned(),
        Some((time, fraction)) => format!("{time}.{}", fraction.trim_end_matches('0')),
        None => cell,
    }
}

/// How often each row stands in a CSV text, the header aside.
pub(crate) fn bag(text: &str) -> BTreeMap<Vec<String>, u64> {
    let mut rows = BTreeMap::new();
    for record in csv::Reader::from_reader(text.as_bytes()).records() {
        let row = record.expect("a result is CSV").iter().map(normal).collect();
        *rows.entry(row).or_insert(0) += 1;
    }
    rows
}

/// Fails, naming a few rows, when two CSV texts are not the same bag of rows.
pub(crate) fn assert_same_bag(expected: &str, actual: &str, what: &str) {
    assert_eq!(expected.lines().next(), actual.lines().next(), "{what}: the columns");
    let (expected, actual) = (bag(expected), bag(actual));
    let missing: Vec<_> = expected.iter().filter(|(row, n)| actual.get(*row) != Some(n)).collect();
    let extra: Vec<_> = actual.iter().filter(|(row, n)| expected.get(*row) != Some(n)).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "{what}: of {} rows {} are missing and {} too many: {:?} {:?}",
        expected.len(),
        missing.len(),
        extra.len(),
        &missing[..missing.len().min(3)],
        &extra[..extra.len().min(3)],
    );
}
