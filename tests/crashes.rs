//! The command with `--state`, killed again and again: what the runs leave together is what one
//! run leaves. And what becomes of a state directory that is in use, another's, or damaged.
#![cfg(feature = "cli")]

mod crashed;
mod run_in;

use run_in::tidewheel;
use std::fs;
use std::io::Write;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use crashed::{KEPT, Scratch, bag, errors};

const ROWS: u64 = 300_000;

fn start(scratch: &Scratch, more: &[&str]) -> Child {
    scratch.command(more).spawn().expect("the command starts")
}

fn run(scratch: &Scratch, more: &[&str]) -> Output {
    scratch.command(more).output().expect("the command runs")
}

#[test]
fn runs_that_are_killed_leave_what_one_run_leaves() {
    let scratch = Scratch::new(ROWS);
    let whole = run(&scratch, &["--output", "whole.csv", "--late", "whole-late.csv"]);
    assert!(whole.status.success(), "{}", errors(&whole));
    let (results, late) = (bag(&scratch.path("whole.csv")), bag(&scratch.path("whole-late.csv")));
    assert!(results.len() > 10_000 && late.len() > 1_000);
    let mut killed = 0;
    for round in 0..4 {
        scratch.begin_anew();
        // Every other round with snapshots, of which there are many then.
        let every = if round % 2 == 0 { "1GiB" } else { "100KB" };
        let durability = if round < 2 { "process" } else { "disk=1ms" };
        let more = ["--snapshot-every", every, "--durability", durability];
        let kept = [&KEPT[..], &more].concat();
        let mut runs = 0;
        loop {
            let mut run = start(&scratch, &kept);
            // At another moment each time, and later as more is there to be gone through again.
            std::thread::sleep(Duration::from_millis(3 + round * 7 + runs * 11));
            run.kill().expect("it can be killed");
            let ended = run.wait_with_output().unwrap();
            runs += 1;
            assert!(runs < 200, "it gets on");
            if ended.status.success() {
                break;
            }
            assert_eq!(ended.status.code(), None, "{}", errors(&ended));
            killed += 1;
        }
        assert_eq!(bag(&scratch.path("out.csv")), results, "round {round}");
        assert_eq!(bag(&scratch.path("late.csv")), late, "round {round}");
        let snapshot = scratch.path("state").join("s000.snapshot").exists();
        assert_eq!(snapshot, round % 2 == 1, "round {round}");
    }
    assert!(killed > 0, "some runs were cut off");
    // A run that is complete changes nothing more.
    let before = fs::read(scratch.path("out.csv")).unwrap();
    let again = run(&scratch, &KEPT);
    assert!(again.status.success(), "{}", errors(&again));
    assert_eq!(fs::read(scratch.path("out.csv")).unwrap(), before);
}

#[test]
fn a_run_whose_late_records_go_nowhere_is_gone_on_with_behind_a_snapshot() {
    let scratch = Scratch::new(ROWS);
    let kept = ["--state", "state", "--output", "out.csv", "--snapshot-every", "20KB"];
    let done = run(&scratch, &kept);
    assert!(done.status.success() && errors(&done).contains(" late, "), "{}", errors(&done));
    assert!(scratch.path("state").join("s000.snapshot").exists());
    let again = run(&scratch, &kept);
    assert!(again.status.success(), "{}", errors(&again));
}

#[test]
fn a_run_that_is_finished_is_not_added_to_in_silence() {
    let scratch = Scratch::new(ROWS);
    let done = run(&scratch, &KEPT);
    assert!(done.status.success(), "{}", errors(&done));
    let results = fs::read(scratch.path("out.csv")).unwrap();
    let again = run(&scratch, &KEPT);
    assert!(again.status.success(), "{}", errors(&again));
    let mut input = fs::OpenOptions::new().append(true).open(scratch.path("in.csv")).unwrap();
    writeln!(input, "{},k1,1", ROWS * 10).unwrap();
    let more = run(&scratch, &KEPT);
    assert_eq!(more.status.code(), Some(2));
    assert!(errors(&more).contains("has read it to its end"), "{}", errors(&more));
    input.set_len(1_000).unwrap();
    let less = run(&scratch, &KEPT);
    assert!(!less.status.success(), "{}", errors(&less));
    assert_eq!(fs::read(scratch.path("out.csv")).unwrap(), results);
}

#[test]
fn state_that_is_anothers_or_damaged_is_refused() {
    let scratch = Scratch::new(ROWS);
    let done = run(&scratch, &KEPT);
    assert!(done.status.success(), "{}", errors(&done));

    let other = run(&scratch, &[&KEPT[..], &["--where", "v > 3"]].concat());
    assert_eq!(other.status.code(), Some(2));
    assert!(errors(&other).contains("its filter was none and is v > 3 now"), "{}", errors(&other));

    let other = run(&scratch, &[&KEPT[..], &["--idle", "2s"]].concat());
    assert!(errors(&other).contains("its idle after was never and is 2s now"));
    let other = run(&scratch, &[&KEPT[..], &["--null", "NA,-"]].concat());
    assert!(errors(&other).contains("its text for null was none and is NA, - now"));
    let manifest = fs::read_to_string(scratch.path("state").join("manifest")).unwrap();
    for line in ["windows\t2s sliding by 500ms", "out-of-orderness\t1s"] {
        assert!(manifest.lines().any(|known| known == line), "{manifest}");
    }
    assert!(!manifest.contains(['{', '[', '"']), "{manifest}");

    let elsewhere = ["--state", "state", "--output", "b.csv", "--late", "late.csv"];
    let other = run(&scratch, &elsewhere);
    assert_eq!(other.status.code(), Some(2));
    let (was, is) = (scratch.path("out.csv"), scratch.path("b.csv"));
    let part = format!("its --output was {} and is {} now", was.display(), is.display());
    assert!(errors(&other).contains(&part), "{}", errors(&other));
    assert!(!is.exists());
    fs::rename(&was, &is).unwrap();
    let gone = run(&scratch, &KEPT);
    assert_eq!(gone.status.code(), Some(4));
    let part = "out.csv: is gone, and earlier runs had brought out";
    assert!(errors(&gone).contains(part), "{}", errors(&gone));
    fs::rename(&is, &was).unwrap();

    let mut command = scratch.command(&["-", "--state", "other", "--output", "other.csv"]);
    let mut piped = command.stdin(Stdio::piped()).spawn().unwrap();
    // A command that refuses its flags reads nothing.
    drop(piped.stdin.take().unwrap().write_all(b"t,k,v\n1,a,1\n"));
    let piped = piped.wait_with_output().unwrap();
    assert_eq!(piped.status.code(), Some(2));
    assert!(errors(&piped).contains("-: can not be read again"), "{}", errors(&piped));

    let nowhere = run(&scratch, &["--state", "other"]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(errors(&nowhere).contains("--output"), "{}", errors(&nowhere));

    let inside = run(&scratch, &["--state", "other", "--output", "other/out.csv"]);
    assert_eq!(inside.status.code(), Some(2));
    assert!(errors(&inside).contains("lies in the state directory"), "{}", errors(&inside));

    let log = scratch.path("state").join("s000-0000000000000000.log");
    let mut bytes = fs::read(&log).unwrap();
    bytes[5_000] ^= 1;
    fs::write(&log, bytes).unwrap();
    let damaged = run(&scratch, &KEPT);
    assert_eq!(damaged.status.code(), Some(4));
    assert!(errors(&damaged).contains("s000-0000000000000000.log: damaged at byte"));

    let _ = fs::remove_file(scratch.path("out.csv"));
    fs::remove_dir_all(scratch.path("state")).unwrap();
    fs::create_dir(scratch.path("state")).unwrap();
    let lock = fs::File::create(scratch.path("state").join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let locked = run(&scratch, &KEPT);
    assert_eq!(locked.status.code(), Some(3));
    assert!(errors(&locked).contains("in use by process"), "{}", errors(&locked));
}

#[test]
fn a_run_that_is_killed_before_its_first_result_is_gone_on_with() {
    let scratch = Scratch::new(ROWS);
    let whole = run(&scratch, &["--output", "whole.jsonl"]);
    assert!(whole.status.success(), "{}", errors(&whole));
    let kept = ["--state", "state", "--output", "out.jsonl"];
    // As soon as there is a log, which is before anything is said of the output.
    let mut waiting = start(&scratch, &[&kept[..], &["--follow"]].concat());
    let log = scratch.path("state").join("s001-0000000000000000.log");
    for _ in 0..3_000 {
        if log.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    waiting.kill().expect("it can be killed");
    waiting.wait().expect("it ends");
    let rest = run(&scratch, &kept);
    assert!(rest.status.success(), "{}", errors(&rest));
    assert_eq!(bag(&scratch.path("out.jsonl")), bag(&scratch.path("whole.jsonl")));
}

#[test]
fn state_that_holds_less_than_its_output_is_refused() {
    let scratch = Scratch::new(ROWS);
    // Without its end, less would come out of the log than is in the output.
    let done = run(&scratch, &KEPT);
    assert!(done.status.success(), "{}", errors(&done));
    let log = scratch.path("state").join("s000-0000000000000000.log");
    let file = fs::OpenOptions::new().write(true).open(&log).unwrap();
    file.set_len(100_000).unwrap();
    for later in (1..).map(|n| scratch.path("state").join(format!("s000-{n:016}.log"))) {
        if fs::remove_file(later).is_err() {
            break;
        }
    }
    let before = fs::read(scratch.path("out.csv")).unwrap();
    let cut = run(&scratch, &KEPT);
    assert_eq!(cut.status.code(), Some(4), "{}", errors(&cut));
    assert!(errors(&cut).contains("has lost its end"), "{}", errors(&cut));
    assert_eq!(fs::read(scratch.path("out.csv")).unwrap(), before);

    fs::remove_dir_all(scratch.path("state")).unwrap();
    fs::remove_file(scratch.path("out.csv")).unwrap();
    let done = run(&scratch, &KEPT);
    assert!(done.status.success(), "{}", errors(&done));
    fs::remove_file(scratch.path("state").join("output")).unwrap();
    let before = fs::read(scratch.path("out.csv")).unwrap();
    let unsaid = run(&scratch, &KEPT);
    assert_eq!(unsaid.status.code(), Some(4), "{}", errors(&unsaid));
    assert!(errors(&unsaid).contains("the file 'output' is missing"), "{}", errors(&unsaid));
    assert_eq!(fs::read(scratch.path("out.csv")).unwrap(), before);
}

#[test]
fn an_output_that_somebody_cuts_ends_the_run() {
    let scratch = Scratch::new(ROWS);
    let mut waiting = start(&scratch, &[&KEPT[..], &["--follow"]].concat());
    let output = scratch.path("out.csv");
    for _ in 0..3_000 {
        if fs::metadata(&output).is_ok_and(|it| it.len() > 100_000) {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    fs::OpenOptions::new().write(true).open(&output).unwrap().set_len(10).unwrap();
    for _ in 0..3_000 {
        if waiting.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let _ = waiting.kill();
    let ended = waiting.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(3), "{}", errors(&ended));
    assert!(
        errors(&ended).contains("out.csv: was cut or written to by another"),
        "{}",
        errors(&ended)
    );
}

/// Follows an input of which the first half is there until `is_so`, and is stopped then; the other
/// half comes afterwards.
fn stopped_half_way(scratch: &Scratch, more: &[&str], is_so: impl Fn() -> bool) -> Output {
    let input = fs::read_to_string(scratch.path("in.csv")).unwrap();
    let half = input[..input.len() / 2].rfind('\n').unwrap() + 1;
    fs::write(scratch.path("in.csv"), &input[..half]).unwrap();
    let run = start(scratch, &[more, &["--follow"]].concat());
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not come to that");
        std::thread::sleep(Duration::from_millis(1));
    }
    let pid = rustix::process::Pid::from_child(&run);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let stopped = run.wait_with_output().unwrap();
    fs::write(scratch.path("in.csv"), &input).unwrap();
    stopped
}

#[test]
fn a_run_that_was_stopped_is_gone_on_with_by_more_shards() {
    let scratch = Scratch::new(ROWS);
    let whole = run(&scratch, &["--output", "whole.csv", "--late", "whole-late.csv"]);
    assert!(whole.status.success(), "{}", errors(&whole));
    let more = [&KEPT[..], &["--snapshot-every", "100KB"]].concat();
    let stopped = stopped_half_way(&scratch, &more, || {
        fs::metadata(scratch.path("out.csv")).is_ok_and(|it| it.len() > 50_000)
    });
    assert_eq!(stopped.status.code(), Some(143), "{}", errors(&stopped));

    let fewer = scratch.command_of("1", &KEPT).output().unwrap();
    assert_eq!(fewer.status.code(), Some(2), "{}", errors(&fewer));
    assert!(errors(&fewer).contains("not fewer; go on with as many (--shards 2)"));
    let gone_on = scratch.command_of("3", &KEPT).output().unwrap();
    assert!(gone_on.status.success(), "{}", errors(&gone_on));
    for (found, whole) in [("out.csv", "whole.csv"), ("late.csv", "whole-late.csv")] {
        let (found, whole) = (bag(&scratch.path(found)), bag(&scratch.path(whole)));
        assert!(found == whole, "{} of {}", found.len(), whole.len());
    }

    scratch.begin_anew();
    let log = ["--state", "state", "--format", "log", "--output", "results"];
    let first = scratch.path("results").join("s001-0000000000000002.log");
    let stopped = stopped_half_way(&scratch, &log, || first.exists());
    assert_eq!(stopped.status.code(), Some(143), "{}", errors(&stopped));
    let gone_on = scratch.command_of("3", &log).output().unwrap();
    assert!(gone_on.status.success(), "{}", errors(&gone_on));
    let (_, rows, told) = tidewheel(&scratch.path(""), &["log", "rows", "results"]);
    fs::write(scratch.path("rows.csv"), rows).unwrap();
    assert!(bag(&scratch.path("rows.csv")) == bag(&scratch.path("whole.csv")), "{told}");
}
