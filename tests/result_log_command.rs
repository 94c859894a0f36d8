//! `agg --format log` and what works on a result log: its rows are those that agg would have
//! written, also behind runs that are killed.
#![cfg(feature = "cli")]

mod crashed;
mod run_in;

use crashed::{KEPT, Scratch, bag, errors};
use run_in::tidewheel;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// What a run with a result log is called with.
const LOGGED: [&str; 8] =
    ["--state", "state", "--format", "log", "--output", "results", "--late", "results"];

fn folder(scratch: &Scratch) -> std::path::PathBuf {
    scratch.path("")
}

fn ran(scratch: &Scratch, more: &[&str]) {
    let done = scratch.command(more).output().expect("the command runs");
    assert!(done.status.success(), "{}", errors(&done));
}

/// Brings the rows out; says what was said.
fn rows(folder: &Path, more: &[&str]) -> String {
    let (code, out, errors) = tidewheel(folder, &[&["log", "rows", "results"], more].concat());
    assert_eq!(code, Some(0), "{errors}");
    out
}

#[test]
fn rows_of_a_log_are_those_that_would_have_been_written() {
    let scratch = Scratch::new(30_000);
    let folder = folder(&scratch);
    ran(&scratch, &["--output", "whole.csv", "--late", "late.csv"]);
    ran(&scratch, &["--output", "whole.jsonl"]);
    ran(&scratch, &[&LOGGED[..], &["--keep", "all"]].concat());
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let bag_of = |name: &str| bag(&folder.join(name));
    rows(&folder, &["--output", "rows.csv", "--late", "rows-late.csv"]);
    assert!(bag_of("rows.csv") == bag_of("whole.csv"));
    assert!(bag_of("rows-late.csv") == bag_of("late.csv") && bag_of("late.csv").len() > 100);
    rows(&folder, &["--format", "jsonl", "--output", "rows.jsonl"]);
    assert!(bag_of("rows.jsonl") == bag_of("whole.jsonl"));
    // Shard by shard, in the order in which each let them out.
    let (code, replayed, told) = tidewheel(&folder, &["replay", "state"]);
    assert_eq!((code, replayed == read("rows.csv")), (Some(0), true), "{told}");

    let (code, listed, told) = tidewheel(&folder, &["log", "ls", "results"]);
    assert!(
        code == Some(0) && listed.contains("s000-0000000000000000.log  entries 0 to "),
        "{told}"
    );
    let (code, dumped, told) = tidewheel(&folder, &["log", "dump", "results", "--limit", "3"]);
    assert!(code == Some(0) && dumped.contains("  partials  results 0 to "), "{dumped} {told}");
    let (code, _, told) = tidewheel(&folder, &["log", "verify", "results"]);
    assert_eq!(code, Some(0), "{told}");
    let (code, told, _) = tidewheel(&folder, &["verify", "state"]);
    assert!(code == Some(0) && told.matches("PASS").count() == 2, "{told}");
    // A run that is finished adds nothing.
    ran(&scratch, &LOGGED);
    assert!(rows(&folder, &[]) == read("rows.csv"));
}

#[test]
fn runs_that_are_killed_leave_each_result_once() {
    let scratch = Scratch::new(100_000);
    let folder = folder(&scratch);
    ran(&scratch, &["--output", "whole.csv", "--late", "whole-late.csv"]);
    for durability in ["process", "disk=1ms"] {
        let more = ["--snapshot-every", "100KB", "--durability", durability];
        let logged = [&LOGGED[..], &more].concat();
        let mut killed = 0;
        for runs in 0.. {
            let mut run = scratch.command(&logged).spawn().expect("the command starts");
            std::thread::sleep(Duration::from_millis(20 + runs * 25));
            run.kill().expect("it can be killed");
            let ended = run.wait_with_output().unwrap();
            if ended.status.success() {
                break;
            }
            assert_eq!(ended.status.code(), None, "{}", errors(&ended));
            killed += 1;
        }
        assert!(killed > 0, "some runs were cut off");
        rows(&folder, &["--output", "rows.csv", "--late", "rows-late.csv"]);
        assert!(bag(&folder.join("rows.csv")) == bag(&folder.join("whole.csv")));
        assert!(bag(&folder.join("rows-late.csv")) == bag(&folder.join("whole-late.csv")));
        scratch.begin_anew();
        fs::remove_dir_all(folder.join("results")).unwrap();
    }
}

#[test]
fn what_can_be_no_result_log_is_refused_with_the_mend() {
    let scratch = Scratch::new(3_000);
    let folder = folder(&scratch);
    let refused = |more: &[&str]| {
        let output = scratch.command(more).output().expect("the command runs");
        assert_eq!(output.status.code(), Some(2), "{more:?}: {}", errors(&output));
        errors(&output)
    };
    let log = ["--format", "log", "--output", "results"];
    assert!(refused(&log).contains("say --state DIR"));
    assert!(refused(&["--format", "log", "--state", "state"]).contains("say --output DIR"));
    let kept = [&log[..], &["--state", "state"]].concat();
    let told = refused(&[&kept[..], &["--deliver", "at-most-once"]].concat());
    assert!(told.contains("holds each result once; leave it away"), "{told}");
    let told = refused(&[&KEPT[..], &["--format", "log"]].concat());
    assert!(told.contains("say --late out.csv"), "{told}");
    fs::write(folder.join("results"), "dear").unwrap();
    assert!(refused(&kept).contains("and results is none"));
    fs::remove_file(folder.join("results")).unwrap();
    let within = ["--format", "log", "--state", "state", "--output", "state/results"];
    assert!(refused(&within).contains("lies in the state directory"));

    ran(&scratch, &kept);
    let (code, _, told) = tidewheel(&folder, &["log", "repair", "results"]);
    assert!(code == Some(2) && told.contains("is a result log"), "{told}");
    let (code, _, told) = tidewheel(&folder, &["log", "rows", "state"]);
    assert!(code == Some(2) && told.contains("no result log"), "{told}");
    let (code, _, told) = tidewheel(&folder, &["log", "rows", "results", "--late", "late.csv"]);
    assert!(code == Some(2) && told.contains("was not asked for late records"), "{told}");
    // A log that is gone is missed.
    fs::rename(folder.join("results"), folder.join("aside")).unwrap();
    let (code, _, told) = tidewheel(&folder, &["verify", "state"]);
    assert!(code == Some(4) && told.contains("results: is gone"), "{told}");
    let output = scratch.command(&kept).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", errors(&output));
    assert!(errors(&output).contains("holds 0 results"), "{}", errors(&output));
}
