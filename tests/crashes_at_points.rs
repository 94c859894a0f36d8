//! Runs that are ended, or told that the disk is full, at the places of `src/fault.rs`: what comes
//! out of all of them is what one run brings out. For this the feature `failpoints` is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tidewheel::fault::POINTS;

/// A scratch folder with an input in it, some of whose records are late.
struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        let scratch = Self(tempfile::tempdir().unwrap());
        let mut input = String::from("t,k,v\n");
        for n in 0..30_000_u64 {
            let late = if n % 97 == 0 { 3_000 } else { n * 7 % 400 };
            let time = (n * 10).saturating_sub(late);
            input.push_str(&format!("{time},k{},{}\n", n * 31 % 53, n % 1_000));
        }
        fs::write(scratch.path("in.csv"), input).unwrap();
        let whole = scratch.run(&["--output", "whole.csv", "--late", "whole-late.csv"], "");
        assert!(whole.status.success(), "{}", errors(&whole));
        scratch
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, more: &[&str], points: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidewheel"));
        command
            .current_dir(self.0.path())
            .env("FAILPOINTS", points)
            .args(["agg", "in.csv", "--time", "t", "--time-unit", "ms", "--key", "k"])
            .args(["--window", "2s", "--slide", "500ms", "--out-of-order", "1s", "--shards", "2"])
            .args(["--agg", "count,sum(v),max(v),last(v)"])
            .args(more)
            .stdin(Stdio::null());
        command.output().expect("the command runs")
    }

    /// A run with state and with snapshots.
    fn kept(&self, durability: &str, points: &str) -> Output {
        let kept = ["--state", "state", "--output", "out.csv", "--late", "late.csv"];
        let more = ["--snapshot-every", "20KB", "--durability", durability];
        self.run(&[&kept[..], &more].concat(), points)
    }

    /// Forgets what there is of such runs.
    fn begin_anew(&self) {
        for name in ["out.csv", "late.csv"] {
            let _ = fs::remove_file(self.path(name));
        }
        let _ = fs::remove_dir_all(self.path("state"));
    }

    /// Runs to the end, and looks whether what is there is what one run brings out.
    fn finish(&self, durability: &str, behind: &str) {
        let done = self.kept(durability, "");
        assert!(done.status.success(), "behind {behind}: {}", errors(&done));
        for (found, whole) in [("out.csv", "whole.csv"), ("late.csv", "whole-late.csv")] {
            let (found, whole) = (bag(&self.path(found)), bag(&self.path(whole)));
            assert!(found == whole, "behind {behind}: {} of {}", found.len(), whole.len());
        }
    }
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The lines of a file, in an order of their own.
fn bag(path: &Path) -> Vec<String> {
    let mut lines: Vec<String> =
        fs::read_to_string(path).unwrap().lines().map(Into::into).collect();
    lines.sort();
    lines
}

/// Places that such a run does not come to: they want a loss of power, or 64 MiB of log.
const NOT_HERE: [&str; 2] = ["recovery.drop", "log.rename"];

/// Each place, when it is come to first, and again; the latter by the runs behind the former, which
/// come back from what these left.
fn everywhere(action: &str) -> Vec<(&'static str, String)> {
    let here = || POINTS.iter().filter(|point| !NOT_HERE.contains(point));
    let first = here().map(|point| (*point, format!("{point}=1*{action}")));
    let again = here().map(|point| (*point, format!("{point}=2*off->1*{action}")));
    first.chain(again).collect()
}

#[test]
fn runs_that_are_killed_at_any_place_leave_what_one_run_leaves() {
    let scratch = Scratch::new();
    let mut killed_at = Vec::new();
    for durability in ["process", "disk=1ms"] {
        scratch.begin_anew();
        for (point, points) in everywhere("return(kill)") {
            let run = scratch.kept(durability, &points);
            match run.status.code() {
                None => killed_at.push(point),
                // It came to its end without coming there.
                Some(0) => scratch.finish(durability, point),
                Some(_) => panic!("{points}, {durability}: {}", errors(&run)),
            }
            if run.status.success() {
                scratch.begin_anew();
            }
        }
        scratch.finish(durability, "all of them");
    }
    let missed =
        POINTS.iter().filter(|point| !killed_at.contains(point) && !NOT_HERE.contains(point));
    let missed: Vec<_> = missed.collect();
    assert!(killed_at.len() >= 20, "{killed_at:?}");
    assert!(missed.len() <= 3, "no run came to {missed:?}");
}

#[test]
fn a_disk_that_is_full_at_any_place_ends_the_run_with_a_clear_error_and_nothing_is_lost() {
    let scratch = Scratch::new();
    let mut failed_at = Vec::new();
    for durability in ["process", "disk=1ms"] {
        scratch.begin_anew();
        for (point, points) in everywhere("return(28)") {
            let run = scratch.kept(durability, &points);
            let told = errors(&run);
            match run.status.code() {
                Some(3) => failed_at.push(point),
                Some(0) => scratch.finish(durability, point),
                code => panic!("{points}, {durability}: {code:?} {told}"),
            }
            if run.status.success() {
                scratch.begin_anew();
                continue;
            }
            assert!(told.contains("No space left on device"), "{points}: {told}");
            let names = ["state", "out.csv", "late.csv"];
            assert!(names.iter().any(|name| told.contains(name)), "{points}: {told}");
        }
        scratch.finish(durability, "all of them");
    }
    assert!(failed_at.len() >= 20, "{failed_at:?}");
}
