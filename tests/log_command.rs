//! `tidewheel log`: what it says of a state directory, whole and damaged.
#![cfg(feature = "cli")]

mod run_in;

use run_in::tidewheel;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A folder with a state directory of two shards in it.
fn kept() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut input = String::from("t,k,v\n");
    (0..100_000).for_each(|n| input.push_str(&format!("{},k{},{n}\n", n * 10, n % 53)));
    fs::write(folder.path().join("in.csv"), input).unwrap();
    let agg = "agg in.csv --time t --time-unit ms --key k --window 1s --agg sum(v) --shards 2 \
               --state state --output out.csv --snapshot-every 200KB";
    let agg: Vec<&str> = agg.split(' ').collect();
    // A run that waits for more comes to snapshots that are in force.
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewheel"));
    command.current_dir(folder.path()).args(&agg).arg("--follow").stderr(Stdio::null());
    let mut waiting = command.spawn().expect("the command runs");
    let snapshot = |shard| folder.path().join(format!("state/s00{shard}.snapshot")).exists();
    let begun = Instant::now();
    while !(snapshot(0) && snapshot(1)) {
        assert!(begun.elapsed() < Duration::from_secs(60), "snapshots come in force");
        std::thread::sleep(Duration::from_millis(10));
    }
    waiting.kill().expect("it can be killed");
    waiting.wait().expect("it ends");
    let (code, _, errors) = tidewheel(folder.path(), &agg);
    assert_eq!(code, Some(0), "{errors}");
    folder
}

#[test]
fn what_is_there_is_listed_and_shown() {
    let folder = kept();
    let (code, listed, errors) = tidewheel(folder.path(), &["log", "ls", "state"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(listed.contains("s000.snapshot  before entry "), "{listed}");
    assert!(listed.contains("s001-") && listed.contains(".log  entries "), "{listed}");

    let dump = ["log", "dump", "state", "--shard", "1", "--format", "json"];
    let (code, dumped, errors) = tidewheel(folder.path(), &dump);
    assert_eq!(code, Some(0), "{errors}");
    let entries: Vec<serde_json::Value> =
        dumped.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers: Vec<u64> = entries.iter().map(|e| e["entry"].as_u64().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "no gap: {numbers:?}");
    assert!(entries.iter().all(|entry| entry["shard"] == 1));
    assert_eq!(entries.last().unwrap()["kind"], "end");
    let last = numbers.last().unwrap().to_string();
    let (_, one, _) = tidewheel(folder.path(), &[&dump[..], &["--from", &last]].concat());
    assert_eq!(one.lines().count(), 1, "{one}");
    let limited = [&dump[..3], &["--limit", "2"]].concat();
    let (_, two, _) = tidewheel(folder.path(), &limited);
    assert_eq!(two.lines().count(), 2, "{two}");
}

#[test]
fn damage_is_told_with_its_place() {
    let folder = kept();
    let verify = ["log", "verify", "state"];
    let (code, told, errors) = tidewheel(folder.path(), &verify);
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(told.matches(": whole; read ").count(), 2, "{told}");

    let snapshot = folder.path().join("state/s001.snapshot");
    let good = fs::read(&snapshot).unwrap();
    let mut bad = good.clone();
    bad[100] ^= 1;
    fs::write(&snapshot, bad).unwrap();
    let (code, told, errors) = tidewheel(folder.path(), &verify);
    assert_eq!(code, Some(4), "{errors}");
    assert!(told.contains("shard 0: whole") && told.contains("shard 1: DAMAGED"), "{told}");
    assert!(errors.contains("s001.snapshot"), "{errors}");
    fs::write(&snapshot, good).unwrap();
    assert_eq!(tidewheel(folder.path(), &verify).0, Some(0));

    // The entries behind the snapshot are needed.
    let (_, dumped, _) = tidewheel(folder.path(), &["log", "dump", "state", "--shard", "0"]);
    let places: Vec<&str> = dumped.lines().collect();
    let place = places[places.len() - 2];
    let (name, rest) = place.split_once(" at byte ").unwrap();
    let offset: usize = rest.split(' ').next().unwrap().parse().unwrap();
    let log = folder.path().join("state").join(name);
    let mut bytes = fs::read(&log).unwrap();
    bytes[offset + 20] ^= 1;
    fs::write(&log, bytes).unwrap();
    let (code, told, errors) = tidewheel(folder.path(), &verify);
    assert_eq!(code, Some(4), "{told} {errors}");
    assert!(errors.contains(&format!("{name}: damaged at byte {offset}")), "{errors}");
}

#[test]
fn what_is_no_state_directory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, errors) = tidewheel(folder.path(), &["log", "ls", "."]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("no state directory"), "{errors}");
    assert!(!folder.path().join("lock").exists(), "nothing is left there");
    let (code, _, errors) = tidewheel(kept().path(), &["log", "ls", "state", "--shard", "2"]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("there is no shard 2; it has 2 shards"), "{errors}");
}
