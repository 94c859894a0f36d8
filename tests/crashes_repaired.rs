//! `tidewheel log repair`: what is damaged is put aside, nothing is deleted, and the next run goes
//! on with what is left.
#![cfg(feature = "cli")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A folder with an input, and a state directory of a run that was killed while it waited for more.
struct Scratch {
    folder: tempfile::TempDir,
    shards: &'static str,
    every: &'static str,
}

type Told = (Option<i32>, String, String);

impl Scratch {
    /// A run over so many rows that has come to `until`, a file of its state directory, and has let
    /// nothing out but for its end.
    fn killed(rows: u64, shards: &'static str, every: &'static str, until: &[&str]) -> Self {
        let scratch = Self { folder: tempfile::tempdir().unwrap(), shards, every };
        let rows = (0..rows).map(|n| format!("{},k{},{n}\n", n * 10, n % 53));
        fs::write(scratch.path("in.csv"), format!("t,k,v\n{}", rows.collect::<String>())).unwrap();
        let mut command = scratch.agg();
        let mut waiting = command.arg("--follow").stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        // There is something in each of them, behind its header.
        let has_begun = |name: &&str| {
            let bytes = fs::read(scratch.path("state").join(name)).unwrap_or_default();
            bytes.iter().skip(64).take(64).any(|byte| *byte != 0)
        };
        while !until.iter().all(has_begun) {
            assert!(begun.elapsed() < Duration::from_secs(60), "it comes to {until:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
        waiting.kill().expect("it can be killed");
        waiting.wait().expect("it ends");
        scratch
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn agg(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidewheel"));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command.args(["agg", "in.csv", "--time", "t", "--time-unit", "ms", "--key", "k"]);
        command.args(["--window", "1000h", "--agg", "count,sum(v)", "--shards", self.shards]);
        command.args(["--state", "state", "--output", "out.csv", "--snapshot-every", self.every]);
        command
    }

    fn run(&self, mut command: Command) -> Told {
        let output = command.output().expect("the command runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    fn log(&self, arguments: &[&str]) -> Told {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidewheel"));
        command.current_dir(self.folder.path()).arg("log").args(arguments);
        self.run(command)
    }

    /// All files of the state directory but its lock, by their paths in it.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.path("state")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if !path.ends_with("lock") {
                    let bytes = fs::read(&path).unwrap();
                    found.insert(path.strip_prefix(self.path("state")).unwrap().to_owned(), bytes);
                }
            }
        }
        found
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.path("state").join(name);
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
    }

    /// What is damaged is refused, and mended without anything being deleted. Says what was told.
    fn repaired(&self) -> String {
        let (code, _, errors) = self.log(&["verify", "state"]);
        assert_eq!(code, Some(4), "{errors}");
        let (code, _, errors) = self.run(self.agg());
        assert_eq!(code, Some(4), "{errors}");
        let before = self.files();
        let (code, would, errors) = self.log(&["repair", "state", "--dry-run"]);
        assert_eq!(code, Some(0), "{errors}");
        assert!(would.contains("would "), "{would}");
        assert_eq!(self.files(), before, "nothing was changed");
        let (code, told, errors) = self.log(&["repair", "state"]);
        assert_eq!(code, Some(0), "{told} {errors}");
        let again = would.replace("would move", "moved").replace("would cut", "cut");
        assert_eq!(again.replace("would make", "made"), told);
        let after = self.files();
        for (name, bytes) in &before {
            let there = |path: &Path| path.file_name() == name.file_name();
            let kept = after.iter().any(|(path, now)| there(path) && now == bytes);
            assert!(kept, "{} is there as it was", name.display());
        }
        let (code, _, errors) = self.log(&["verify", "state"]);
        assert_eq!(code, Some(0), "{errors}");
        let (code, nothing, _) = self.log(&["repair", "state"]);
        assert_eq!((code, nothing.contains("damaged-2")), (Some(0), false), "{nothing}");
        assert_eq!(self.files(), after, "there was nothing to be done");
        told
    }

    /// What can not be mended stays as it is. Says what was told.
    fn refused(&self) -> String {
        let before = self.files();
        let (code, told, errors) = self.log(&["repair", "state"]);
        assert_eq!(code, Some(4), "{told}");
        assert!(told.contains("CANNOT BE MENDED"), "{told}");
        assert!(
            errors.contains("nothing was changed") && errors.contains("begin anew"),
            "{errors}"
        );
        assert_eq!(self.files(), before);
        errors
    }

    /// Runs to the end; what comes out is what one run brings out.
    fn finishes(&self) {
        let (code, _, errors) = self.run(self.agg());
        assert_eq!(code, Some(0), "{errors}");
        let bag = |name: &str| {
            let text = fs::read_to_string(self.path(name)).unwrap();
            let mut lines: Vec<String> = text.lines().map(Into::into).collect();
            lines.sort();
            lines
        };
        let found = bag("out.csv");
        fs::remove_file(self.path("out.csv")).unwrap();
        fs::remove_dir_all(self.path("state")).unwrap();
        let (code, _, errors) = self.run(self.agg());
        assert_eq!(code, Some(0), "{errors}");
        assert_eq!(found, bag("out.csv"));
    }
}

const SEGMENTS: [&str; 2] = ["s000-0000000000000002.log", "s001-0000000000000002.log"];

#[test]
fn a_log_that_is_damaged_in_its_middle_is_cut_there_and_read_again_from_the_source() {
    for at in [100, 5_000, 60_000] {
        let scratch = Scratch::killed(60_000, "2", "1GiB", &SEGMENTS);
        scratch.change("s001-0000000000000001.log", |bytes| bytes[at] ^= 4);
        let told = scratch.repaired();
        assert!(told.contains("shard 0: whole\n"), "{told}");
        assert!(told.contains("shard 1: moved s001-0000000000000002.log to damaged-1/"), "{told}");
        assert!(told.contains("shard 1: cut s001-0000000000000001.log at byte "), "{told}");
        assert!(told.contains("shard 1: lost: entries "), "{told}");
        assert!(told.contains("the next run reads again"), "{told}");
        scratch.finishes();
    }
}

#[test]
fn a_log_that_is_cut_short_is_no_damage_and_is_said_to_be() {
    let scratch = Scratch::killed(60_000, "1", "1GiB", &SEGMENTS[..1]);
    let (_, dumped, errors) = scratch.log(&["dump", "state"]);
    let last = dumped.lines().rfind(|line| line.contains("  entry ")).expect("entries");
    let (name, rest) = last.split_once(" at byte ").unwrap();
    let offset: usize = rest.split(' ').next().unwrap().parse().unwrap();
    scratch.change(name, |bytes| bytes.truncate(offset + 30));
    let (code, told, _) = scratch.log(&["verify", "state"]);
    assert_eq!(code, Some(0), "{errors}");
    let torn = format!("torn end of a write that was interrupted: {name} at byte {offset}: ");
    assert!(told.contains(&torn), "{told}");
    let (code, told, _) = scratch.log(&["repair", "state"]);
    assert_eq!((code, &told[..]), (Some(0), "shard 0: whole\n"));
    scratch.finishes();
}

#[test]
fn a_segment_that_is_missing_costs_those_behind_it() {
    let scratch = Scratch::killed(60_000, "2", "1GiB", &SEGMENTS);
    let missing = scratch.path("state").join("s000-0000000000000001.log");
    fs::rename(&missing, scratch.path("elsewhere")).unwrap();
    let told = scratch.repaired();
    assert!(told.contains("shard 0: moved s000-0000000000000002.log to damaged-1/"), "{told}");
    assert!(!told.contains(" cut "), "{told}");
    scratch.finishes();
}

#[test]
fn a_log_of_which_results_are_out_is_mended_and_refused_by_the_run() {
    let scratch = Scratch::killed(60_000, "2", "1GiB", &SEGMENTS);
    let (code, _, errors) = scratch.run(scratch.agg());
    assert_eq!(code, Some(0), "{errors}");
    let out = fs::read(scratch.path("out.csv")).unwrap();
    scratch.change("s000-0000000000000001.log", |bytes| bytes[5_000] ^= 1);
    scratch.repaired();
    let (code, _, errors) = scratch.run(scratch.agg());
    assert_eq!(code, Some(4), "{errors}");
    assert!(errors.contains("has lost its end"), "{errors}");
    assert_eq!(fs::read(scratch.path("out.csv")).unwrap(), out);
    // Without its beginning there is nothing to go on with, and results are out.
    fs::remove_file(scratch.path("state/s000-0000000000000000.log")).unwrap();
    scratch.refused();
}

/// Whether a file that is not put aside is a part of a snapshot.
fn is_part(name: &Path) -> bool {
    name.extension().is_some_and(|end| end == "part") && name.components().count() == 1
}

#[test]
fn a_snapshot_that_is_damaged_is_put_aside_where_the_log_reaches_back_before_it() {
    let scratch = Scratch::killed(1_500, "1", "20KB", &["s000.snapshot"]);
    scratch.change("s000.snapshot", |bytes| bytes[70] ^= 1);
    let told = scratch.repaired();
    let moved = "shard 0: moved s000.snapshot to damaged-1/s000.snapshot";
    assert!(told.lines().any(|line| line == moved), "{told}");
    let parts = told.lines().filter(|line| line.contains(".part to damaged-1/")).count();
    assert!(parts > 0 && !scratch.files().keys().any(|name| is_part(name)), "{told}");
    assert!(!told.contains("lost"), "{told}");
    scratch.finishes();
}

#[test]
fn a_snapshot_stands_for_a_log_that_is_damaged_before_it() {
    let scratch = Scratch::killed(1_500, "1", "20KB", &["s000.snapshot"]);
    scratch.change("s000-0000000000000000.log", |bytes| bytes[200] ^= 1);
    let told = scratch.repaired();
    let made = "shard 0: made s000-0000000000000001.log, empty, behind the snapshot";
    assert!(told.contains(made), "{told}");
    scratch.finishes();
}

#[test]
fn a_snapshot_that_is_damaged_and_has_no_log_before_it_is_not_mended() {
    let scratch = Scratch::killed(60_000, "1", "100KB", &["s000.snapshot"]);
    // What results there are, are of the end.
    let (code, _, errors) = scratch.run(scratch.agg());
    assert_eq!(code, Some(0), "{errors}");
    assert!(!scratch.path("state/s000-0000000000000000.log").exists(), "the log before is gone");
    scratch.change("s000.snapshot", |bytes| bytes[70] ^= 1);
    let errors = scratch.refused();
    assert!(errors.contains("s000.snapshot"), "{errors}");
}

#[test]
fn a_script_is_told_the_same() {
    let scratch = Scratch::killed(60_000, "2", "1GiB", &SEGMENTS);
    let json = ["repair", "state", "--format", "json"];
    let lines = |told: &str| -> Vec<serde_json::Value> {
        told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (code, told, errors) = scratch.log(&json);
    assert_eq!(code, Some(0), "{errors}");
    assert!(lines(&told).iter().all(|line| line["whole"] == true), "{told}");
    scratch.change("s000-0000000000000001.log", |bytes| bytes[5_000] ^= 1);
    let (code, told, errors) = scratch.log(&[&json[..], &["--dry-run"]].concat());
    assert_eq!(code, Some(0), "{errors}");
    let told = lines(&told);
    let moved = "s000-0000000000000002.log";
    assert!(told.iter().any(|line| line["moved"] == moved && line["dry_run"] == true));
    assert!(told.iter().any(|line| line["cut"] == "s000-0000000000000001.log"));
    assert!(told.iter().any(|line| line["lost_before"].as_u64() > line["next"].as_u64()));
}
