//! Runs that are ended, or told that the disk is full, at the places of `src/fault.rs`: what comes
//! out of all of them is what one run brings out. For this the feature `failpoints` is needed.

mod crashed;

use crashed::{KEPT, Scratch, bag, errors};
use std::process::{Command, Output};
use tidewheel::fault::POINTS;

/// A scratch folder with so many records, and what one run brings out there.
fn whole(records: u64) -> Scratch {
    let scratch = Scratch::new(records);
    let whole = run(&scratch, &["--output", "whole.csv", "--late", "whole-late.csv"], "");
    assert!(whole.status.success(), "{}", errors(&whole));
    scratch
}

fn run(scratch: &Scratch, more: &[&str], points: &str) -> Output {
    scratch.command(more).env("FAILPOINTS", points).output().expect("the command runs")
}

/// Where results go: into files, or into a result log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sink {
    Files,
    Log,
}

/// What is tried: a sink, each with what is to be survived.
const WAYS: [(Sink, &str); 4] = [
    (Sink::Files, "process"),
    (Sink::Files, "disk=1ms"),
    (Sink::Log, "process"),
    (Sink::Log, "disk=1ms"),
];

const LOGGED: [&str; 8] =
    ["--state", "state", "--output", "results", "--late", "results", "--format", "log"];

/// A run with state and with snapshots.
fn kept(scratch: &Scratch, (sink, durability): (Sink, &str), points: &str) -> Output {
    let more = ["--snapshot-every", "20KB", "--durability", durability];
    let to = if sink == Sink::Files { &KEPT[..] } else { &LOGGED };
    run(scratch, &[to, &more].concat(), points)
}

fn begin_anew(scratch: &Scratch) {
    scratch.begin_anew();
    let _ = std::fs::remove_dir_all(scratch.path("results"));
}

/// Runs to the end, and looks whether what is there is what one run brings out.
fn finish(scratch: &Scratch, way: (Sink, &str), behind: &str) {
    let done = kept(scratch, way, "");
    assert!(done.status.success(), "behind {behind}: {}", errors(&done));
    if way.0 == Sink::Log {
        let mut rows = Command::new(env!("CARGO_BIN_EXE_tidewheel"));
        rows.current_dir(scratch.path("")).args(["log", "rows", "results"]);
        let rows = rows.args(["--output", "out.csv", "--late", "late.csv"]).output().unwrap();
        assert!(rows.status.success(), "behind {behind}: {}", errors(&rows));
    }
    for (found, whole) in [("out.csv", "whole.csv"), ("late.csv", "whole-late.csv")] {
        let (found, whole) = (bag(&scratch.path(found)), bag(&scratch.path(whole)));
        assert!(found == whole, "behind {behind}: {} of {}", found.len(), whole.len());
    }
}

/// Places that such a run does not come to: they want a loss of power, 64 MiB of log, or other
/// shards than there were.
const NOT_HERE: [&str; 7] = [
    "recovery.drop",
    "log.rename",
    "switch.begin",
    "switch.write",
    "switch.rename",
    "switch.remove",
    "switch.move",
];

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
    let scratch = whole(30_000);
    let mut killed_at = Vec::new();
    for way in WAYS {
        begin_anew(&scratch);
        for (point, points) in everywhere("return(kill)") {
            let run = kept(&scratch, way, &points);
            match run.status.code() {
                None => killed_at.push(point),
                // It came to its end without coming there.
                Some(0) => finish(&scratch, way, point),
                Some(_) => panic!("{points}, {way:?}: {}", errors(&run)),
            }
            if run.status.success() {
                begin_anew(&scratch);
            }
        }
        finish(&scratch, way, "all of them");
    }
    let missed =
        POINTS.iter().filter(|point| !killed_at.contains(point) && !NOT_HERE.contains(point));
    let missed: Vec<_> = missed.collect();
    assert!(killed_at.len() >= 20, "{killed_at:?}");
    assert!(missed.len() <= 3, "no run came to {missed:?}");
}

#[test]
fn a_disk_that_is_full_at_any_place_ends_the_run_with_a_clear_error_and_nothing_is_lost() {
    let scratch = whole(30_000);
    let mut failed_at = Vec::new();
    for way in WAYS {
        begin_anew(&scratch);
        for (point, points) in everywhere("return(28)") {
            let run = kept(&scratch, way, &points);
            let told = errors(&run);
            match run.status.code() {
                Some(3) => failed_at.push(point),
                Some(0) => finish(&scratch, way, point),
                code => panic!("{points}, {way:?}: {code:?} {told}"),
            }
            if run.status.success() {
                begin_anew(&scratch);
                continue;
            }
            assert!(told.contains("No space left on device"), "{points}: {told}");
            let names = ["state", "out.csv", "late.csv", "results"];
            assert!(names.iter().any(|name| told.contains(name)), "{points}: {told}");
        }
        finish(&scratch, way, "all of them");
    }
    assert!(failed_at.len() >= 20, "{failed_at:?}");
}

#[test]
fn runs_that_are_cut_off_while_they_go_over_to_more_shards_have_gone_over_or_not() {
    let scratch = whole(30_000);
    for action in ["return(kill)", "return(28)"] {
        let mut come_to = 0;
        for point in POINTS.iter().filter(|point| point.starts_with("switch.")) {
            scratch.begin_anew();
            let done = kept(&scratch, (Sink::Files, "process"), "");
            assert!(done.status.success(), "{}", errors(&done));
            // Each time it is come to, until a run does not come there so often.
            for times in 0.. {
                let points = format!("{point}={times}*off->1*{action}");
                let mut run = scratch.command_of("3", &KEPT);
                let run = run.env("FAILPOINTS", &points).output().expect("the command runs");
                match run.status.code() {
                    Some(0) => break,
                    None | Some(3) => come_to += 1,
                    Some(code) => panic!("{points}: {code} {}", errors(&run)),
                }
            }
            for (found, whole) in [("out.csv", "whole.csv"), ("late.csv", "whole-late.csv")] {
                let (found, whole) = (bag(&scratch.path(found)), bag(&scratch.path(whole)));
                assert!(found == whole, "{point}: {} of {}", found.len(), whole.len());
            }
        }
        assert!(come_to >= 8, "{come_to}");
    }
}

/// How many earlier ones the first shard's snapshot refers to, as `src/state/snapshot.rs` draws it.
fn earlier(scratch: &Scratch) -> u16 {
    let bytes = std::fs::read(scratch.path("state").join("s000.snapshot"));
    bytes.map_or(0, |bytes| u16::from_le_bytes([bytes[14], bytes[15]]))
}

#[test]
fn runs_that_are_killed_while_snapshots_refer_to_earlier_ones_leave_what_one_run_leaves() {
    // Results are said to be out ten times a second, and no snapshot comes in force sooner.
    let scratch = whole(400_000);
    let (mut killed_at, mut referred_at) = (Vec::new(), Vec::new());
    for durability in ["process", "disk=1ms"] {
        let way = (Sink::Files, durability);
        for point in POINTS.iter().filter(|point| point.starts_with("snapshot.")) {
            scratch.begin_anew();
            let run = kept(&scratch, way, &format!("{point}=3*off->1*return(kill)"));
            match run.status.code() {
                None => killed_at.push(point),
                Some(0) => {}
                Some(_) => panic!("{point}, {durability}: {}", errors(&run)),
            }
            if earlier(&scratch) > 0 {
                referred_at.push(point);
            }
            finish(&scratch, way, point);
        }
    }
    assert!(referred_at.len() > 2, "snapshots refer to earlier ones: {referred_at:?}");
    for point in ["snapshot.link", "snapshot.switch", "snapshot.switched", "snapshot.forget"] {
        assert!(killed_at.iter().any(|at| **at == point), "{killed_at:?}");
    }
}
