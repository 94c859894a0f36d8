//! State that is not this program's, or not this pipeline's, is refused and stays as it is.
#![cfg(feature = "cli")]

mod run_in;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn tidewheel(folder: &Path, arguments: &str) -> run_in::Told {
    run_in::tidewheel(folder, &arguments.split_whitespace().collect::<Vec<_>>())
}

const AGG: &str = "agg in.csv --time t --time-unit ms --key k --window 1s --agg sum(v) --shards 1 \
                   --durability disk=1ms --snapshot-every 1KB";

/// A folder with two state directories, `one` and `two`, in it.
fn kept() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rows = (0..20_000).map(|n| format!("{},k{},{n}\n", n * 10, n % 53));
    fs::write(folder.path().join("in.csv"), format!("t,k,v\n{}", rows.collect::<String>()))
        .unwrap();
    for name in ["one", "two"] {
        let agg = format!("{AGG} --state {name} --output {name}.csv");
        let (code, _, errors) = tidewheel(folder.path(), &agg);
        assert_eq!(code, Some(0), "{errors}");
    }
    folder
}

/// The last segment of a state directory's log.
fn last_segment(state: &Path) -> PathBuf {
    let files = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|end| end == "log")).max().unwrap()
}

/// A snapshot as `src/state/snapshot.rs` draws it, that holds nothing.
fn snapshot(version: u32, identity: u64) -> Vec<u8> {
    let mut bytes = b"TWHEELSN".to_vec();
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&identity.to_le_bytes());
    bytes.extend_from_slice(&[0; 40]);
    let crc = crc32c::crc32c(&bytes);
    bytes[60..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// All of them say no, with this code and these words, and change nothing.
fn refused(folder: &Path, code: i32, words: &str) {
    let agg = format!("{AGG} --state one --output one.csv");
    let out = fs::read(folder.join("one.csv")).unwrap();
    for arguments in [&agg[..], "log verify one", "log repair one --dry-run"] {
        let (found, told, errors) = tidewheel(folder, arguments);
        let is_mended = code == 4 && arguments.contains("repair") && found == Some(0);
        assert!(found == Some(code) || is_mended, "{arguments}: {found:?} {told}{errors}");
        assert!(errors.contains(words), "{arguments}: {errors}");
    }
    assert_eq!(fs::read(folder.join("one.csv")).unwrap(), out);
}

#[test]
fn what_a_later_version_wrote_is_refused_as_such() {
    let kept = kept();
    let folder = kept.path();
    let with = |path: &Path, change: &dyn Fn(&mut Vec<u8>), words: &str| {
        let good = fs::read(path).unwrap_or_default();
        let mut bytes = good.clone();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
        refused(folder, 2, words);
        match good.is_empty() {
            true => fs::remove_file(path).unwrap(),
            false => fs::write(path, good).unwrap(),
        }
    };
    let segment = last_segment(&folder.join("one"));
    let later_segment = |bytes: &mut Vec<u8>| {
        bytes[8..12].copy_from_slice(&9_u32.to_le_bytes());
        bytes[56..60].fill(0);
        let crc = crc32c::crc32c(&bytes[..64]);
        bytes[56..60].copy_from_slice(&crc.to_le_bytes());
    };
    with(&segment, &later_segment, "written in version 9 of the log's format");
    let later_snapshot = |bytes: &mut Vec<u8>| *bytes = snapshot(9, 0);
    with(&folder.join("one/s000.snapshot"), &later_snapshot, "s000.snapshot: of format 9");
    let later_manifest = |bytes: &mut Vec<u8>| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        *bytes = text.replacen("state\t1\n", "state\t9\n", 1).into_bytes();
    };
    with(&folder.join("one/manifest"), &later_manifest, "manifest: of format 9");
    let agg = format!("{AGG} --state one --output one.csv");
    let (code, _, errors) = tidewheel(folder, &agg);
    assert_eq!(code, Some(0), "it is as it was: {errors}");
}

#[test]
fn a_segment_or_a_snapshot_of_another_state_directory_is_refused() {
    let kept = kept();
    let folder = kept.path();
    let (one, two) = (last_segment(&folder.join("one")), last_segment(&folder.join("two")));
    let good = fs::read(&one).unwrap();
    let foreign = fs::read(two).unwrap();
    let mut bytes = foreign.clone();
    bytes[32..40].copy_from_slice(&good[32..40]);
    // The name of the file that it takes the place of.
    bytes[24..32].copy_from_slice(&good[24..32]);
    bytes[56..60].fill(0);
    let crc = crc32c::crc32c(&bytes[..64]);
    bytes[56..60].copy_from_slice(&crc.to_le_bytes());
    fs::write(&one, bytes).unwrap();
    refused(folder, 4, "belongs to another log");
    fs::write(&one, good).unwrap();
    let there = folder.join("one/s000.snapshot");
    fs::write(&there, snapshot(3, 7)).unwrap();
    refused(folder, 4, "it belongs to another state directory or another shard");
}

#[test]
fn a_segment_that_is_cut_while_it_is_written_ends_the_run_with_an_error_and_not_with_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows = |from: u64, to: u64| -> String {
        (from..to).map(|n| format!("{},k{},{n}\n", n * 10, n % 53)).collect()
    };
    fs::write(folder.join("in.csv"), format!("t,k,v\n{}", rows(0, 500))).unwrap();
    let agg = "agg in.csv --time t --time-unit ms --key k --window 1h --agg sum(v) --shards 1 \
               --state state --output out.csv";
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidewheel"))
        .args(agg.split_whitespace().chain(["--follow"]))
        .current_dir(folder)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let segment = folder.join("state/s000-0000000000000000.log");
    // Behind the segment's header.
    let has_entries = |bytes: Vec<u8>| bytes.iter().skip(64).any(|byte| *byte > 0);
    while !fs::read(&segment).is_ok_and(has_entries) {
        assert!(child.try_wait().unwrap().is_none(), "it follows its input");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    fs::OpenOptions::new().write(true).open(&segment).unwrap().set_len(0).unwrap();
    let mut input = fs::OpenOptions::new().append(true).open(folder.join("in.csv")).unwrap();
    input.write_all(rows(500, 1_000).as_bytes()).unwrap();
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3), "{told}");
    for part in ["s000-0000000000000000.log: can not write an entry", "0 of 131072 bytes are left"]
    {
        assert!(told.contains(part), "{told}");
    }
    // All that was logged is gone; nothing had come out, and the input brings it again.
    let (code, _, errors) = tidewheel(folder, agg);
    assert_eq!(code, Some(0), "{errors}");
    let (code, _, errors) =
        tidewheel(folder, &agg.replace("state state", "state other").replace("out.csv", "all.csv"));
    assert_eq!(code, Some(0), "{errors}");
    let bag = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        let mut rows: Vec<String> = text.lines().map(str::to_owned).collect();
        rows.sort();
        rows
    };
    assert_eq!(bag("out.csv"), bag("all.csv"));
}
