//! `agg --deliver`: what becomes of results of runs that are killed, when they may come more than
//! once, or not at all.
#![cfg(feature = "cli")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A folder with an input in it, some of whose records are late.
fn input() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("t,k,v\n");
    for n in 0..200_000_u64 {
        let late = if n % 97 == 0 { 3_000 } else { 0 };
        writeln!(text, "{},k{},{n}", (n * 10).saturating_sub(late), n * 31 % 53).unwrap();
    }
    fs::write(folder.path().join("in.csv"), text).unwrap();
    folder
}

fn command(folder: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewheel"));
    command
        .current_dir(folder)
        .args(["agg", "in.csv", "--time", "t", "--time-unit", "ms", "--key", "k", "--shards", "2"])
        .args(["--window", "1s", "--slide", "500ms", "--agg", "count,sum(v)"])
        .args(more)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Each line, and how often it stands there.
fn lines(text: &str) -> BTreeMap<&str, u64> {
    let mut lines = BTreeMap::new();
    text.lines().for_each(|line| *lines.entry(line).or_insert(0) += 1);
    lines
}

/// Kills runs, later each time, until one comes to its end.
fn kill_and_go_on(folder: &Path, more: &[&str]) -> u32 {
    let more = [more, &["--state", "state", "--snapshot-every", "100KB"]].concat();
    for kills in 0.. {
        let mut run = command(folder, &more).spawn().expect("the command starts");
        std::thread::sleep(Duration::from_millis(u64::from(40 + kills * 15)));
        match run.try_wait().expect("it can be asked") {
            Some(status) => {
                assert!(status.success());
                return kills;
            }
            None => run.kill().expect("it can be killed"),
        }
        run.wait().expect("it ends");
        // As if it had been killed in the middle of a row, too.
        for name in ["out", "late"] {
            let file = fs::OpenOptions::new().append(true).open(folder.join(name));
            let torn = file.map(|mut file| file.write_all(b"1970-01-01 00:00:01.000,\"19"));
            torn.unwrap_or(Ok(())).expect("it can be appended to");
        }
    }
    unreachable!("a run ends at some time")
}

#[test]
fn results_that_may_come_again_are_never_missing_and_others_never_come_again() {
    let folder = input();
    let folder = folder.path();
    let whole = command(folder, &["--output", "whole", "--late", "whole-late"]).status().unwrap();
    assert!(whole.success());
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    for deliver in ["at-least-once", "at-most-once"] {
        let _ = fs::remove_dir_all(folder.join("state"));
        let to = ["--deliver", deliver, "--output", "out", "--late", "late"];
        let kills = kill_and_go_on(folder, &to);
        assert!(kills > 1, "{kills} kills");
        for (whole, out) in [("whole", "out"), ("whole-late", "late")] {
            let (whole, out) = (read(whole), read(out));
            let (expected, found) = (lines(&whole), lines(&out));
            assert!(found.keys().all(|line| expected.contains_key(line)), "{deliver}");
            for (line, times) in &expected {
                let came = found.get(line).copied().unwrap_or(0);
                let is_right = match deliver {
                    "at-least-once" => came >= *times,
                    _ => came <= *times,
                };
                assert!(is_right, "{deliver}: {line}: {came} times, and {times} in one run");
            }
        }
    }
}

#[test]
fn standard_output_will_do_where_nothing_is_cut_back() {
    let folder = input();
    let folder = folder.path();
    let run = |more: &[&str]| {
        let output = command(folder, more).output().expect("the command runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (_, whole, _) = run(&[]);
    for deliver in ["at-least-once", "at-most-once"] {
        let kept = ["--deliver", deliver, "--state", deliver];
        let (code, all, told) = run(&kept);
        assert_eq!(code, Some(0), "{told}");
        assert!(lines(&all) == lines(&whole), "{deliver}");
        // A run that is finished has nothing more to bring.
        let (code, nothing, told) = run(&kept);
        assert_eq!((code, nothing.lines().count()), (Some(0), 1), "{told}");

        let (code, _, told) = run(&["--state", deliver, "--output", "other"]);
        assert_eq!(code, Some(2), "{told}");
        let mut verify = Command::new(env!("CARGO_BIN_EXE_tidewheel"));
        let verify = verify.current_dir(folder).args(["verify", deliver]).output().unwrap();
        let told = String::from_utf8_lossy(&verify.stderr).into_owned();
        assert_eq!(verify.status.code(), Some(2), "{told}");
        assert!(told.contains(&format!("results are delivered {deliver}")), "{told}");
    }
    let (code, _, told) = run(&["--state", "other"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("or say --deliver at-least-once"), "{told}");
}
