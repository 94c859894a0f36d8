//! `tidewheel replay` and `tidewheel verify`: what a state directory keeps comes out once more, and
//! an output that is not what it gives is found out.
#![cfg(feature = "cli")]

mod run_in;

use run_in::tidewheel;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tidewheel::record::push_key_part;
use tidewheel::text::TimestampReader;
use xxhash_rust::xxh3::xxh3_128;

/// The words of a command.
fn words(text: &str) -> Vec<&str> {
    text.split(' ').collect()
}

/// Each line, and how often it stands there.
fn lines(text: &str) -> BTreeMap<&str, u64> {
    let mut lines = BTreeMap::new();
    text.lines().for_each(|line| *lines.entry(line).or_insert(0) += 1);
    lines
}

/// A folder with an input of which some records are late; keys hold quotes, commas and ends of
/// lines.
fn input() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("t,k,v\n");
    for n in 0..60_000_u64 {
        let late = match () {
            () if n % 97 == 0 => 3_000,
            () if n % 89 == 0 => 500,
            () => 0,
        };
        let time = (10_000 + n * 10).saturating_sub(late);
        writeln!(text, "{time},\"k,\"\"{}\n{}\",{n}", n % 7, n % 53).unwrap();
    }
    fs::write(folder.path().join("in.csv"), text).unwrap();
    folder
}

const AGG: &str = "agg in.csv --time t --time-unit ms --key k --window 1s --slide 300ms \
                   --agg sum(v),count --shards 2 --state state --snapshot-every 200KB --late late";

/// Lets a run come to its last snapshot and kills it; the next one comes to the end.
fn run(folder: &Path, more: &str) {
    let agg = [words(AGG), words(more)].concat();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewheel"));
    command.current_dir(folder).args(&agg).arg("--follow").stderr(Stdio::null());
    let mut waiting = command.spawn().expect("the command runs");
    let snapshot = |shard| folder.join(format!("state/s00{shard}.snapshot")).exists();
    let begun = Instant::now();
    while !(snapshot(0) && snapshot(1)) {
        assert!(begun.elapsed() < Duration::from_secs(60), "snapshots come in force");
        std::thread::sleep(Duration::from_millis(10));
    }
    waiting.kill().expect("it can be killed");
    waiting.wait().expect("it ends");
    let (code, _, errors) = tidewheel(folder, &agg);
    assert_eq!(code, Some(0), "{errors}");
}

#[test]
fn all_that_is_kept_comes_out_once_more() {
    for more in ["--keep all --output out.csv", "--keep 1h --output out.jsonl --kind"] {
        let folder = input();
        let folder = folder.path();
        run(folder, more);
        let out = if more.ends_with("csv") { "out.csv" } else { "out.jsonl" };
        let written = fs::read_to_string(folder.join(out)).unwrap();
        let (code, replayed, told) = tidewheel(folder, &words("replay state --late again"));
        assert_eq!(code, Some(0), "{told}");
        assert!(lines(&replayed) == lines(&written), "the same rows as {out}");
        let late = |name| fs::read_to_string(folder.join(name)).unwrap();
        assert!(late("late").len() > 1_000 && lines(&late("late")) == lines(&late("again")));

        let one = |shard| tidewheel(folder, &["replay", "state", "--shard", shard]).1;
        let both = if out == "out.csv" {
            let rest = one("1");
            one("0") + rest.split_once('\n').unwrap().1
        } else {
            one("0") + &one("1")
        };
        assert!(both == replayed, "shard by shard, byte for byte");

        let (code, verdict, told) = tidewheel(folder, &words("verify state"));
        assert_eq!(code, Some(0), "{verdict}{told}");
        assert!(verdict.starts_with("PASS: ") && !verdict.contains("not looked at"), "{verdict}");
        let (_, verdict, _) = tidewheel(folder, &words("verify state --format json"));
        let verdict: serde_json::Value = serde_json::from_str(&verdict).unwrap();
        assert_eq!(verdict["pass"], true);
        assert_eq!(verdict["late"]["pass"], true);
    }
}

#[test]
fn a_replay_ends_with_the_window_that_is_asked_for() {
    let folder = input();
    run(folder.path(), "--keep all --output out.csv");
    let until = ["replay", "state", "--until", "1970-01-01 00:02:00.100"];
    let (code, replayed, told) = tidewheel(folder.path(), &until);
    assert_eq!(code, Some(0), "{told}");
    let ends = |text: &str| -> Vec<String> {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        reader.records().map(|row| row.unwrap()[1].to_owned()).collect()
    };
    let last = "1970-01-01 00:02:00.100";
    assert_eq!(ends(&replayed).iter().max().unwrap(), last);
    let written = fs::read_to_string(folder.path().join("out.csv")).unwrap();
    let expected = ends(&written).iter().filter(|end| end.as_str() <= last).count();
    assert_eq!(ends(&replayed).len(), expected);
}

#[test]
fn what_is_not_kept_is_named() {
    let folder = input();
    let folder = folder.path();
    run(folder, "--output out.csv");
    let (code, replayed, told) = tidewheel(folder, &words("replay state"));
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("what was before is not kept"), "{told}");
    let written = fs::read_to_string(folder.join("out.csv")).unwrap();
    let (all, some) = (lines(&written), lines(&replayed));
    assert!(some.len() > 10 && some.len() < all.len());
    assert!(some.iter().all(|(line, n)| all.get(line).is_some_and(|all| all >= n)));
    let (code, verdict, told) = tidewheel(folder, &words("verify state"));
    assert_eq!(code, Some(0), "{verdict}{told}");
    assert!(verdict.contains("whose log is not kept"), "{verdict}");
    let to = words("replay state --output out.csv");
    let (code, _, told) = tidewheel(folder, &to);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("is what the run itself has written"), "{told}");
    assert_eq!(fs::read_to_string(folder.join("out.csv")).unwrap(), written);
}

#[test]
fn an_output_that_is_not_what_the_log_gives_is_found_out() {
    let folder = input();
    let folder = folder.path();
    run(folder, "--keep all --output out.csv");
    let good = fs::read_to_string(folder.join("out.csv")).unwrap();
    // A digit of a count, in the middle of the file.
    let at = good.len() / 2 + good[good.len() / 2..].find('\n').unwrap() - 1;
    let mut bad = good.clone().into_bytes();
    bad[at] = if bad[at] == b'9' { b'8' } else { b'9' };
    fs::write(folder.join("out.csv"), bad).unwrap();
    let (code, verdict, told) = tidewheel(folder, &words("verify state"));
    assert_eq!(code, Some(4), "{verdict}");
    assert_eq!(verdict.matches("DIFFERS: window ").count(), 1, "{verdict}");
    assert!(verdict.contains("only in the log (shard "), "{verdict}");
    assert_eq!(verdict.matches("only in the output: ").count(), 1, "{verdict}");
    assert!(told.contains("out.csv: not what the log of state gives"), "{told}");

    // A row twice, another gone: as many as before, of other windows.
    let mut records: Vec<&str> = good.split_inclusive('\n').collect();
    let (first, last) = (records[1..3].concat(), records.len() - 2);
    records.truncate(last);
    fs::write(folder.join("out.csv"), records.concat() + &first).unwrap();
    let (code, verdict, told) = tidewheel(folder, &words("verify state --format json"));
    let length = fs::metadata(folder.join("out.csv")).unwrap().len();
    if length < good.len() as u64 {
        assert!(told.contains("bytes are there"), "{told}");
    } else {
        let verdict: serde_json::Value = serde_json::from_str(&verdict).unwrap();
        assert_eq!(verdict["pass"], false);
        assert!(verdict["differing"].as_array().unwrap().len() >= 2);
    }
    assert_eq!(code, Some(4));

    // What stands behind is not the run's, and is said not to be looked at.
    fs::write(folder.join("out.csv"), good.clone() + "one,more\n").unwrap();
    let (code, verdict, _) = tidewheel(folder, &words("verify state"));
    assert_eq!(code, Some(0));
    assert!(verdict.contains("not looked at: the last 9 bytes of the output"), "{verdict}");
    fs::write(folder.join("out.csv"), &good).unwrap();
    let late = fs::read_to_string(folder.join("late")).unwrap();
    fs::write(folder.join("late"), late.replacen('9', "8", 1)).unwrap();
    let (code, verdict, _) = tidewheel(folder, &words("verify state"));
    assert_eq!(code, Some(4));
    assert!(verdict.contains("DIFFERS: late records"), "{verdict}");
}

#[test]
fn what_is_no_state_of_agg_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["replay", "verify"] {
        for folder_named in [".", "nowhere"] {
            let (code, _, told) = tidewheel(folder.path(), &[command, folder_named]);
            assert_eq!(code, Some(2), "{told}");
            assert!(told.contains("there is no manifest, so it is no state directory"), "{told}");
        }
    }
}

/// A record of the input.
struct Given {
    /// In milliseconds.
    time: i64,
    key: String,
    value: i64,
    /// What the watermark was before it.
    judged_by: i64,
}

fn given(folder: &Path) -> Vec<Given> {
    let mut highest = i64::MIN / 2;
    let mut reader = csv::Reader::from_path(folder.join("in.csv")).unwrap();
    let rows = reader.records().map(|row| {
        let row = row.unwrap();
        let time = row[0].parse().unwrap();
        let judged_by = highest;
        highest = highest.max(time);
        Given { time, key: row[1].to_owned(), value: row[2].parse().unwrap(), judged_by }
    });
    rows.collect()
}

fn hash(given: &Given) -> u128 {
    let mut bytes = (given.time * 1_000_000).to_le_bytes().to_vec();
    push_key_part(&mut bytes, Some(given.key.as_bytes()));
    bytes.push(1);
    bytes.extend_from_slice(&given.value.to_le_bytes());
    xxh3_128(&bytes)
}

/// A certificate, its columns by their names.
type Certificate = BTreeMap<String, String>;

fn certificates(text: &str) -> Vec<Certificate> {
    csv::Reader::from_reader(text.as_bytes()).deserialize().map(|row| row.unwrap()).collect()
}

/// A time as it is written, in milliseconds.
fn millis(text: &str) -> i64 {
    TimestampReader::new(None).read(text.as_bytes()).unwrap().as_nanos() / 1_000_000
}

/// Compares certificates with what they mean; says how many there are.
fn check_certificates(given: &[Given], certificates: &[Certificate]) -> usize {
    let shard_of: BTreeMap<_, _> =
        certificates.iter().map(|it| (it["k"].as_str(), it["shard"].as_str())).collect();
    // The numbers of rows in the lane to their shard.
    let mut sent: BTreeMap<&str, u64> = BTreeMap::new();
    let mut records: BTreeMap<&str, Vec<(u64, &Given)>> = BTreeMap::new();
    for one in given {
        let Some(shard) = shard_of.get(one.key.as_str()) else { continue };
        let next = sent.entry(shard).or_default();
        records.entry(&one.key).or_default().push((*next, one));
        *next += 1;
    }
    for certificate in certificates {
        let (start, end) =
            (millis(&certificate["window_start"]), millis(&certificate["window_end"]));
        let of_window = records[certificate["k"].as_str()].iter().filter(|(_, one)| {
            (start..end).contains(&one.time) && end > one.judged_by.saturating_add(1)
        });
        let rows: Vec<u64> = of_window.clone().map(|(row, _)| *row).collect();
        let digest = of_window.fold(0, |sum: u128, (_, one)| sum.wrapping_add(hash(one)));
        assert_eq!(certificate["records"], rows.len().to_string(), "{certificate:?}");
        assert_eq!(certificate["digest"], format!("{digest:032x}"), "{certificate:?}");
        assert_eq!(certificate["first_row"], rows[0].to_string(), "{certificate:?}");
        assert_eq!(certificate["last_row"], rows[rows.len() - 1].to_string(), "{certificate:?}");
        let watermark = &certificate["watermark"];
        assert!(watermark == "end" || millis(watermark) >= end - 1, "{certificate:?}");
    }
    assert!(certificates.iter().any(|certificate| certificate["watermark"] != "end"));
    certificates.len()
}

/// Sees that the entries that certificates name hold the rows that they name.
fn check_entries(folder: &Path, certificates: &[Certificate]) {
    let (_, dumped, _) = tidewheel(folder, &words("log dump state --format json"));
    let entries = dumped.lines().map(|line| {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        let rows = entry["first_row"].as_u64().unwrap();
        let rows = rows..rows + entry["rows"].as_u64().unwrap();
        ((entry["shard"].to_string(), entry["entry"].to_string()), rows)
    });
    let entries: BTreeMap<_, _> = entries.collect();
    for it in certificates {
        for end in ["first", "last"] {
            let entry = it[&format!("{end}_entry")].clone();
            let row = it[&format!("{end}_row")].parse().unwrap();
            assert!(entries[&(it["shard"].clone(), entry)].contains(&row), "{it:?}");
        }
    }
}

#[test]
fn a_certificate_says_of_which_records_a_result_is_made() {
    for windows in ["--window 1s", "--window 1s --slide 300ms"] {
        let folder = input();
        let folder = folder.path();
        let given = given(folder);
        let mut found = Vec::new();
        for shards in ["1", "3"] {
            let agg = format!(
                "agg in.csv --time t --time-unit ms --key k {windows} --agg sum(v),count \
                 --shards {shards} --state state --keep all --snapshot-every 200KB --output out.csv"
            );
            let (code, _, told) = tidewheel(folder, &words(&agg));
            assert_eq!(code, Some(0), "{told}");
            let verify = words("verify state --certificates of.csv");
            let (code, verdict, told) = tidewheel(folder, &verify);
            assert_eq!(code, Some(0), "{verdict}{told}");
            assert!(!verdict.contains("not certified"), "{verdict}");
            let text = fs::read_to_string(folder.join("of.csv")).unwrap();
            let certificates = certificates(&text);
            check_certificates(&given, &certificates);
            check_entries(folder, &certificates);
            let written = fs::read_to_string(folder.join("out.csv")).unwrap();
            let mut reader = csv::Reader::from_reader(written.as_bytes());
            assert_eq!(certificates.len(), reader.records().count());

            let (_, standard, told) = tidewheel(folder, &words("verify state --certificates -"));
            assert!(standard == text && told.starts_with("PASS: "), "{told}");
            let mut same: Vec<_> = certificates
                .iter()
                .map(|it| ["window_start", "k", "records", "digest"].map(|name| it[name].clone()))
                .collect();
            same.sort();
            found.push(same);
            fs::remove_dir_all(folder.join("state")).unwrap();
            fs::remove_file(folder.join("out.csv")).unwrap();
        }
        assert!(found[0] == found[1], "the same with one shard and with three");
    }
}

#[test]
fn results_whose_records_are_not_all_kept_have_no_certificate() {
    let folder = input();
    let folder = folder.path();
    run(folder, "--output out.csv");
    let (code, verdict, told) =
        tidewheel(folder, &words("verify state --format json --certificates of.jsonl"));
    assert_eq!(code, Some(0), "{verdict}{told}");
    let verdict: serde_json::Value = serde_json::from_str(&verdict).unwrap();
    let text = fs::read_to_string(folder.join("of.jsonl")).unwrap();
    let certificates = text.lines().map(|line| {
        let line: BTreeMap<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        let text = |value: serde_json::Value| match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        line.into_iter().map(|(name, value)| (name, text(value))).collect()
    });
    let certificates: Vec<Certificate> = certificates.collect();
    assert_eq!(verdict["certificates"]["written"], certificates.len());
    assert!(verdict["certificates"]["left_out"].as_u64().unwrap() > 0, "{verdict}");
    assert!(check_certificates(&given(folder), &certificates) > 10);
    let to_output = words("verify state --certificates out.csv");
    let (code, _, told) = tidewheel(folder, &to_output);
    assert_eq!(code, Some(2), "{told}");
}

/// The files of shard 0 in a state directory that end so and have a number, the oldest first.
fn numbered(state: &Path, end: &str) -> Vec<String> {
    let names = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    let mut names: Vec<_> =
        names.filter(|name| name.starts_with("s000-") && name.ends_with(end)).collect();
    names.sort();
    names
}

const KEEPING: &str = "agg in.csv --time t --time-unit ms --key k --window 1s --agg sum(v),count \
                       --shards 2 --state state --snapshot-every 200KB --keep all --output out.csv";

/// A run that is brought its input piece by piece, each when a snapshot has come of the one before;
/// then it is killed, and the next one comes to the end.
fn run_in_pieces(folder: &Path, pieces: u64) {
    let path = folder.join("in.csv");
    fs::write(&path, "t,k,v\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewheel"));
    command.current_dir(folder).args(words(KEEPING)).arg("--follow").stderr(Stdio::null());
    let mut running = command.spawn().expect("the command runs");
    let begun = Instant::now();
    let state = folder.join("state");
    for piece in 0..pieces {
        let snapshots = || if state.exists() { numbered(&state, ".snapshot").len() } else { 0 };
        let before = snapshots();
        let rows = piece * 15_000..(piece + 1) * 15_000;
        let rows: String = rows.map(|n| format!("{},k{},{n}\n", n * 10, n % 53)).collect();
        let mut input = fs::OpenOptions::new().append(true).open(&path).unwrap();
        std::io::Write::write_all(&mut input, rows.as_bytes()).unwrap();
        while snapshots() == before {
            assert!(begun.elapsed() < Duration::from_secs(120), "snapshots come in force");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    running.kill().expect("it can be killed");
    running.wait().expect("it ends");
    let (code, _, errors) = tidewheel(folder, &words(KEEPING));
    assert_eq!(code, Some(0), "{errors}");
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Sees that a damaged file of history is told and put aside, and that shard 0 gives the last of
/// the rows `all` again then. Says how many.
fn mended(folder: &Path, name: &str, all: &str) -> usize {
    let (code, told, errors) = tidewheel(folder, &words("log verify state"));
    assert_eq!(code, Some(4), "{told}{errors}");
    assert!(told.contains("shard 0: HISTORY DAMAGED; a run goes on all the same"), "{told}");
    assert!(!told.contains("shard 1: HISTORY") && errors.contains(name), "{told}{errors}");
    let (code, would, errors) = tidewheel(folder, &words("log repair state --dry-run"));
    assert_eq!(code, Some(0), "{errors}");
    let (code, told, errors) = tidewheel(folder, &words("log repair state"));
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(would.replace("would move", "moved"), told);
    assert!(told.contains(&format!("shard 0: moved {name} to damaged-")), "{told}");
    assert!(told.contains("shard 0: history reaches back to "), "{told}");
    let (code, told, errors) = tidewheel(folder, &words("log verify state"));
    assert_eq!(code, Some(0), "{told}{errors}");
    let (code, replayed, errors) = tidewheel(folder, &words("replay state --shard 0"));
    assert_eq!(code, Some(0), "{errors}");
    let (_, rows) = replayed.split_once('\n').unwrap();
    assert!(all.ends_with(rows), "the last of the rows");
    let (code, verdict, errors) = tidewheel(folder, &words("verify state"));
    assert_eq!(code, Some(0), "{verdict}{errors}");
    rows.len()
}

/// Replay and verify refuse a damaged file of history and say what mends it.
fn refused(folder: &Path, name: &str) {
    for command in ["replay state", "verify state"] {
        let (code, _, errors) = tidewheel(folder, &words(command));
        assert_eq!(code, Some(4), "{errors}");
        assert!(errors.contains(name) && errors.contains("tidewheel log repair"), "{errors}");
    }
}

#[test]
fn history_that_is_damaged_is_put_aside_and_a_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    run_in_pieces(folder, 6);
    let state = folder.join("state");
    let (_, replayed, _) = tidewheel(folder, &words("replay state --shard 0"));
    let (_, all) = replayed.split_once('\n').unwrap();

    // History does not need it as long as it reaches further back.
    let snapshots = numbered(&state, ".snapshot");
    assert!(snapshots.len() > 5, "{snapshots:?}");
    flip(&state.join(&snapshots[1]), 100);
    assert_eq!(mended(folder, &snapshots[1], all), all.len());

    let segments = numbered(&state, ".log");
    flip(&state.join(&segments[0]), 5_000);
    refused(folder, &segments[0]);
    let left = mended(folder, &segments[0], all);
    assert!(left > 0 && left < all.len());

    let base = &numbered(&state, ".snapshot")[0];
    flip(&state.join(base), 100);
    refused(folder, base);
    let fewer = mended(folder, base, all);
    assert!(fewer > 0 && fewer < left);

    let segments = numbered(&state, ".log");
    let middle = &segments[1];
    flip(&state.join(middle), 5_000);
    refused(folder, middle);
    assert!(mended(folder, middle, all) < fewer);

    let (code, _, errors) = tidewheel(folder, &words(KEEPING));
    assert_eq!(code, Some(0), "{errors}");
}
