//! Switching a state directory over to other logs and snapshots as a whole, whatever interrupts it.
//!
//! ```text
//!  next.new/       they are being written; forgotten if that was interrupted
//!  next.ready/     they are whole: what was before goes
//!  next.moving/    it is gone, and they are moved into its place
//! ```
//! Whoever opens the directory brings a switch to its end that had become ready.

use super::chain::SnapshotChain;
use super::directory::{read, sync_folder};
use super::error::StateError;
use super::manifest::Manifest;
use super::name::PlacedName;
use super::progress::OutputProgress;
use super::snapshot::{OtherName, SnapshotPlace, SnapshotWriter};
use crate::fault;
use crate::log::{LogIdentity, SegmentName};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

const NEW: &str = "next.new";
const READY: &str = "next.ready";
const MOVING: &str = "next.moving";

/// What a state directory is to hold, on its way there.
#[derive(Debug)]
pub struct Switch {
    directory: PathBuf,
    identity: LogIdentity,
}

impl Switch {
    pub(super) fn begin(directory: &Path, identity: LogIdentity) -> Result<Self, StateError> {
        let switch = Self { directory: directory.to_owned(), identity };
        let folder = switch.folder();
        let made = fault::point("switch.begin").and_then(|()| fs::create_dir(&folder));
        made.map_err(StateError::io(folder.display().to_string(), "make the folder"))?;
        Ok(switch)
    }

    /// Where logs and snapshots are written until then.
    pub fn folder(&self) -> PathBuf {
        self.directory.join(NEW)
    }

    /// Writes a snapshot, so many of whose words, of the first, are no chunks.
    ///
    /// # Errors
    /// When the system says no. The directory is as it was then.
    pub fn snapshot(
        &self,
        place: SnapshotPlace,
        (words, outline): (&[u64], usize),
    ) -> Result<(), StateError> {
        let (folder, name) = (self.folder(), OtherName::Part);
        let whole = SnapshotChain::default();
        let mut writer = SnapshotWriter::begin(&folder, self.identity, (place, name), whole)?;
        writer.set_outline(outline);
        writer.append(words)?;
        writer.finish()?;
        writer.switch_durably()
    }

    /// Has all that was written take the place of what is there, for good. The manifest says of
    /// the pipeline what it said, but that it has so many shards, and what was noted of the output
    /// holds.
    ///
    /// # Errors
    /// When the system says no. The directory is as it was then, or as it is to be.
    pub fn commit(self, shards: usize) -> Result<(), StateError> {
        let folder = self.folder();
        let path = self.directory.join("manifest");
        let told = path.display().to_string();
        let bytes = read(&path)?.unwrap_or_default();
        let mut manifest = Manifest::parse(&told, &String::from_utf8_lossy(&bytes))?;
        manifest.widen(shards);
        write(&folder.join("manifest"), manifest.render().as_bytes())?;
        let path = self.directory.join("output");
        if let Some(bytes) = read(&path)? {
            let mut output = OutputProgress::parse(&path.display().to_string(), &bytes)?;
            output.results.resize(shards, 0);
            output.late.resize(shards, 0);
            write(&folder.join("output"), &output.render())?;
        }
        sync_folder(&folder)?;
        rename(&self.directory, NEW, READY)?;
        finish(&self.directory)
    }
}

/// Whether a switch was interrupted that is to be brought to its end.
pub(super) fn is_ready(directory: &Path) -> bool {
    [READY, MOVING].iter().any(|name| directory.join(name).is_dir())
}

/// Brings a switch to its end that was interrupted, or forgets it where it was not ready.
pub(super) fn finish(directory: &Path) -> Result<(), StateError> {
    let is_there = |name: &str| directory.join(name).is_dir();
    let failed = |path: &Path, action| StateError::io(path.display().to_string(), action);
    if is_there(NEW) {
        let folder = directory.join(NEW);
        fs::remove_dir_all(&folder).map_err(failed(&folder, "remove"))?;
    }
    if is_there(READY) {
        for name in names_in(directory)?.iter().filter(|name| is_replaced(name)) {
            let path = directory.join(name);
            let removed = fault::point("switch.remove").and_then(|()| fs::remove_file(&path));
            removed.map_err(failed(&path, "remove"))?;
        }
        sync_folder(directory)?;
        rename(directory, READY, MOVING)?;
    }
    if is_there(MOVING) {
        let folder = directory.join(MOVING);
        for name in names_in(&folder)? {
            let (from, to) = (folder.join(&name), directory.join(&name));
            let moved = fault::point("switch.move").and_then(|()| fs::rename(&from, &to));
            moved.map_err(failed(&from, "rename"))?;
        }
        sync_folder(directory)?;
        fs::remove_dir(&folder).map_err(failed(&folder, "remove"))?;
        sync_folder(directory)?;
    }
    Ok(())
}

/// Whether a file is of the logs and snapshots.
fn is_replaced(name: &str) -> bool {
    name.parse::<SegmentName>().is_ok()
        || PlacedName::parse(name).is_some()
        || name.starts_with('s') && name.strip_suffix(".new").unwrap_or(name).ends_with(".snapshot")
}

fn names_in(folder: &Path) -> Result<Vec<String>, StateError> {
    let list = || -> io::Result<Vec<String>> {
        let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name()));
        let names: io::Result<Vec<_>> = names.collect();
        Ok(names?.iter().filter_map(|name| Some(name.to_str()?.to_owned())).collect())
    };
    list().map_err(StateError::io(folder.display().to_string(), "list"))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    let written = fault::point("switch.write").and_then(|()| {
        fs::write(path, bytes)?;
        File::open(path)?.sync_all()
    });
    written.map_err(StateError::io(path.display().to_string(), "write"))
}

fn rename(directory: &Path, from: &str, to: &str) -> Result<(), StateError> {
    let path = directory.join(from);
    let renamed =
        fault::point("switch.rename").and_then(|()| fs::rename(&path, directory.join(to)));
    renamed.map_err(StateError::io(path.display().to_string(), "rename"))?;
    sync_folder(directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::EntrySequence;
    use crate::record::ShardIndex;
    use crate::state::{State, StateDirectory};

    fn open(folder: &Path, shards: &str) -> Result<StateDirectory, StateError> {
        let described = vec![("shards".to_owned(), shards.to_owned())];
        StateDirectory::open(State::in_directory(folder), described)
    }

    /// A directory of one shard, switched to two, but for the end of `commit`.
    fn prepared(folder: &Path) -> Switch {
        let directory = open(folder, "1").unwrap();
        let output = OutputProgress { bytes: 7, results: vec![3], late: vec![1], late_bytes: 2 };
        directory.set_output_progress(&output).unwrap();
        let old = ["0000000000000000.log", "0000000000000009.snapshot", "0000000000000007.part"];
        for name in old {
            fs::write(folder.join(format!("s000-{name}")), "old").unwrap();
        }
        fs::write(folder.join("s000.snapshot"), "old").unwrap();
        let switch = directory.begin_switch().unwrap();
        for shard in 0..2 {
            let place =
                SnapshotPlace { shard: ShardIndex(shard), next: EntrySequence(5), epoch: 1 };
            switch.snapshot(place, (&[1, 2, 3], 1)).unwrap();
        }
        switch
    }

    fn check_switched(folder: &Path) {
        let directory = open(folder, "2").unwrap();
        for shard in 0..2 {
            let snapshot = directory.snapshot(ShardIndex(shard)).unwrap().unwrap();
            assert_eq!(snapshot.words, [1, 2, 3]);
        }
        let output = directory.output_progress().unwrap().unwrap();
        assert_eq!((output.bytes, output.results, output.late), (7, vec![3, 0], vec![1, 0]));
        let mut names = names_in(folder).unwrap();
        names.sort();
        let parts = ["s000-0000000000000005.part", "s001-0000000000000005.part"];
        let snapshots = ["s000.snapshot", "s001.snapshot"];
        let mut expected = [&["lock", "manifest", "output"][..], &parts, &snapshots].concat();
        expected.sort_unstable();
        assert_eq!(names, expected);
    }

    #[test]
    fn what_was_written_takes_the_place_of_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        prepared(folder.path()).commit(2).unwrap();
        check_switched(folder.path());
    }

    #[test]
    fn one_that_was_not_ready_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let _ = prepared(folder.path());
        assert!(open(folder.path(), "2").is_err());
        assert!(open(folder.path(), "1").is_ok());
        assert!(!folder.path().join(NEW).exists());
        assert!(folder.path().join("s000-0000000000000000.log").exists());
    }

    #[test]
    fn one_that_was_ready_comes_to_its_end_from_wherever_it_was() {
        for moved in 0..7 {
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path();
            let switch = prepared(folder);
            let manifest = fs::read_to_string(folder.join("manifest")).unwrap();
            let mut manifest = Manifest::parse("m", &manifest).unwrap();
            manifest.pipeline[0].1 = "2".to_owned();
            write(&switch.folder().join("manifest"), manifest.render().as_bytes()).unwrap();
            let output =
                OutputProgress { bytes: 7, results: vec![3, 0], late: vec![1, 0], late_bytes: 2 };
            write(&switch.folder().join("output"), &output.render()).unwrap();
            rename(folder, NEW, READY).unwrap();
            if moved > 0 {
                for name in names_in(folder).unwrap().iter().filter(|name| is_replaced(name)) {
                    fs::remove_file(folder.join(name)).unwrap();
                }
                rename(folder, READY, MOVING).unwrap();
                for name in names_in(&folder.join(MOVING)).unwrap().iter().take(moved - 1) {
                    fs::rename(folder.join(MOVING).join(name), folder.join(name)).unwrap();
                }
            }
            check_switched(folder);
        }
    }
}
