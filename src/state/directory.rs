//! Opening a state directory: the lock, the manifest, and files that are replaced whole.

use super::chain::{self, SnapshotChain};
use super::error::StateError;
use super::history::{Base, Extent, first_kept};
use super::manifest::{self, Manifest};
use super::name::{PlacedName, Use, placed_in};
use super::progress::OutputProgress;
use super::settings::{Delivery, Durability, Keep, State};
use super::snapshot::{self, OtherName, Snapshot, SnapshotPlace, SnapshotWriter};
use super::switch::{self, Switch};
use crate::fault;
use crate::limits::{SEGMENT_BYTES_FIRST, SEGMENT_BYTES_MAX};
use crate::log::{EntrySequence, LogIdentity, SegmentName};
use crate::record::{NotSaved, ShardIndex};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// How often a result is handed over, in the manifest.
const DELIVERY: &str = "delivery";

/// A state directory that is in use by this process.
#[derive(Debug)]
pub struct StateDirectory {
    folder: PathBuf,
    identity: LogIdentity,
    /// What the pipeline was described by.
    pipeline: Vec<(String, String)>,
    snapshot_every: u64,
    durability: Durability,
    delivery: Delivery,
    keep: Keep,
    log_ready: u64,
    /// Holds the lock until it is dropped.
    _lock: Option<File>,
}

impl StateDirectory {
    /// Opens the directory for a pipeline that `described` says more about than the state does.
    ///
    /// # Errors
    /// When the directory can not be used, is in use, or belongs to another pipeline.
    pub fn open(state: State, described: Vec<(String, String)>) -> Result<Self, StateError> {
        let mut pipeline = state.described.clone();
        pipeline.extend(described);
        // Whoever brings results further by a delivery of its own says so in the same word.
        if !pipeline.iter().any(|(what, _)| what == DELIVERY) {
            pipeline.push((DELIVERY.to_owned(), state.delivery.to_string()));
        }
        let folder = state.folder.clone();
        let path = folder.display().to_string();
        fs::create_dir_all(&folder).map_err(StateError::io(path.clone(), "make the directory"))?;
        refuse_other(&folder)?;
        let lock = lock(&folder)?;
        switch::finish(&folder)?;
        let manifest = match read(&folder.join("manifest"))? {
            Some(bytes) => {
                let manifest_path = folder.join("manifest").display().to_string();
                let mut manifest =
                    Manifest::parse(&manifest_path, &String::from_utf8_lossy(&bytes))?;
                let is_wider = state.may_widen
                    && shards_in(&pipeline).is_some_and(|shards| manifest.widen(shards));
                manifest.check(&path, &pipeline)?;
                if is_wider {
                    replace(&folder, "manifest", manifest.render().as_bytes(), true)?;
                }
                manifest
            }
            None => begin(&folder, pipeline)?,
        };
        Ok(Self::with(state, manifest, Some(lock)))
    }

    /// How many shards the directory in a folder is of, if there is one. Brings to its end what a
    /// run was interrupted at that had begun to go over to more.
    ///
    /// # Errors
    /// When the manifest can not be read, or is damaged; or the directory is in use by a run that
    /// goes over to more.
    pub fn shards_of(folder: &Path) -> Result<Option<usize>, StateError> {
        if switch::is_ready(folder) {
            Self::look_at(folder)?;
        }
        let shards = Self::described(folder, manifest::SHARDS)?;
        Ok(shards.and_then(|shards| shards.parse().ok()))
    }

    fn with(state: State, manifest: Manifest, lock: Option<File>) -> Self {
        let Manifest { identity, pipeline } = manifest;
        let pipeline = pipeline.into_iter();
        let pipeline = pipeline.map(|(what, value)| (what, manifest::from_line(&value))).collect();
        let State { folder, snapshot_every, durability, delivery, keep, log_ready, .. } = state;
        Self {
            folder,
            identity,
            pipeline,
            snapshot_every,
            durability,
            delivery,
            keep,
            log_ready,
            _lock: lock,
        }
    }

    /// Refuses a pipeline that says something about itself, by its state or by `described`, that
    /// the directory says otherwise. What is not said is not looked at.
    ///
    /// # Errors
    /// [`StateError::Changed`], or when the manifest can not be read.
    pub fn check(&self, state: &State, described: &[(String, String)]) -> Result<(), StateError> {
        let path = self.folder.display().to_string();
        for (what, is) in state.described.iter().chain(described) {
            let was = Self::described(&self.folder, what)?;
            let was = was.unwrap_or_else(|| "not said".to_owned());
            if was != *is {
                let (was, is) = (manifest::in_line(&was), manifest::in_line(is));
                return Err(StateError::Changed { path, what: what.clone(), was, is });
            }
        }
        Ok(())
    }

    /// Opens a directory that is there, whichever pipeline it belongs to, to look at what it holds.
    ///
    /// # Errors
    /// When it is no state directory, can not be read, or is in use.
    pub fn look_at(folder: &Path) -> Result<Self, StateError> {
        let path = folder.join("manifest");
        let told = path.display().to_string();
        let bytes = read(&path)?.ok_or_else(|| without_manifest(folder, None))?;
        let lock = lock_to_look(folder)?;
        switch::finish(folder)?;
        // It may be another now.
        let bytes = read(&path)?.unwrap_or(bytes);
        let manifest = Manifest::parse(&told, &String::from_utf8_lossy(&bytes))?;
        Ok(Self::with(State::in_directory(folder), manifest, lock))
    }

    /// What the manifest in a folder says of something that the pipeline was described by; `None`
    /// when there is no manifest, or it does not say. The directory may be in use.
    ///
    /// # Errors
    /// When the manifest can not be read, or is damaged.
    pub fn described(folder: &Path, what: &str) -> Result<Option<String>, StateError> {
        let path = folder.join("manifest");
        let Some(bytes) = read(&path)? else { return Ok(None) };
        let manifest =
            Manifest::parse(&path.display().to_string(), &String::from_utf8_lossy(&bytes))?;
        let line = manifest.pipeline.into_iter().find(|(word, _)| word == what);
        Ok(line.map(|(_, value)| manifest::from_line(&value)))
    }

    /// The directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The logs that belong here.
    pub fn identity(&self) -> LogIdentity {
        self.identity
    }

    /// What the pipeline was described by when the directory was made, thing by thing.
    pub fn pipeline(&self) -> &[(String, String)] {
        &self.pipeline
    }

    /// After how many bytes of a shard's log a snapshot is due.
    pub fn snapshot_every(&self) -> u64 {
        self.snapshot_every
    }

    /// Bytes of a log's segment at most: no more than a snapshot comes after, so that what it does
    /// not need can go.
    pub fn segment_bytes(&self) -> u64 {
        let bytes = self.snapshot_every.min(SEGMENT_BYTES_MAX as u64);
        bytes.next_multiple_of(SEGMENT_BYTES_FIRST as u64)
    }

    /// Bytes of each shard's log that are made when the engine is opened.
    pub fn log_ready(&self) -> u64 {
        self.log_ready
    }

    /// What the state survives.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// How often a result is handed over.
    pub fn delivery(&self) -> Delivery {
        self.delivery
    }

    /// Begins to note what leaves before it does, for so many shards, if that is how results are
    /// handed over. Nothing is logged yet.
    ///
    /// # Errors
    /// When an earlier run has logged something and its notes are gone.
    pub fn begin_output(&self, shards: usize) -> Result<(), StateError> {
        if self.delivery != Delivery::AtMostOnce || self.output_progress()?.is_some() {
            return Ok(());
        }
        if self.has_begun()? {
            let path = self.folder.join("output").display().to_string();
            let problem = "it is missing, and says which results have left".to_owned();
            return Err(StateError::Damaged { path, problem });
        }
        self.set_output_progress(&OutputProgress::none(shards))
    }

    /// The last whole snapshot of a shard; `None` when there is none yet.
    ///
    /// # Errors
    /// When its file can not be read, or is damaged.
    pub fn snapshot(&self, shard: ShardIndex) -> Result<Option<Snapshot>, StateError> {
        snapshot::read(&snapshot::path_of(&self.folder, shard), shard, self.identity)
    }

    /// A shard's snapshot is whole, and not of such a shard.
    pub fn not_a_snapshot(&self, shard: ShardIndex) -> StateError {
        let path = snapshot::path_of(&self.folder, shard).display().to_string();
        StateError::Damaged { path, problem: NotSaved.to_string() }
    }

    /// What an earlier run has written here without syncing it is on the disk once this has
    /// returned: a shard's snapshot with its parts, how far the output is, and the names of all
    /// files.
    ///
    /// # Errors
    /// When the system says no.
    pub fn make_durable(&self, shard: ShardIndex) -> Result<(), StateError> {
        let parts = placed_in(&self.folder, shard, Use::Part)?;
        let parts = parts.into_iter().map(|part| self.folder.join(part.file_name()));
        let others = [snapshot::path_of(&self.folder, shard), self.folder.join("output")];
        for path in parts.chain(others) {
            match File::open(&path).and_then(|file| file.sync_all()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StateError::io(path.display().to_string(), "sync")(error));
                }
                _ => {}
            }
        }
        sync_folder(&self.folder)
    }

    /// Whether a shard has a log or a snapshot.
    ///
    /// # Errors
    /// When the directory can not be listed.
    pub fn has_begun(&self) -> Result<bool, StateError> {
        let listed = || StateError::io(self.folder.display().to_string(), "list");
        for entry in fs::read_dir(&self.folder).map_err(listed())? {
            let name = entry.map_err(listed())?.file_name();
            if name.to_str().is_some_and(|it| it.ends_with(".log") || it.ends_with(".snapshot")) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Begins to switch over to other logs and snapshots.
    ///
    /// # Errors
    /// When the system says no.
    pub fn begin_switch(&self) -> Result<Switch, StateError> {
        Switch::begin(&self.folder, self.identity)
    }

    /// Begins to write a snapshot: one that refers to those of `earlier`, the last one in force and
    /// those that it refers to, or a whole one where there are none. It is a whole one also where
    /// history is kept, whose bases go one by one, and where files can not have two names.
    ///
    /// # Errors
    /// When the system says no.
    pub fn begin_snapshot(
        &self,
        place: SnapshotPlace,
        earlier: SnapshotChain,
    ) -> Result<SnapshotWriter, StateError> {
        let SnapshotPlace { shard, next, .. } = place;
        let is_part = |newest: &chain::Part| {
            let name = PlacedName::part(shard, newest.next);
            self.folder.join(name.file_name()).exists()
        };
        let may_refer = self.keep == Keep::Nothing && earlier.parts.first().is_some_and(is_part);
        let name = match self.keep {
            Keep::Nothing => OtherName::Part,
            _ => OtherName::Kept(self.folder.join(PlacedName::kept(shard, next).file_name())),
        };
        let earlier = if may_refer { earlier } else { SnapshotChain::default() };
        SnapshotWriter::begin(&self.folder, self.identity, (place, name), earlier)
    }

    /// The files of a shard's snapshot, by name: its parts, and last the one in force.
    ///
    /// # Errors
    /// When the directory can not be listed.
    pub fn snapshot_files(&self, shard: ShardIndex) -> Result<Vec<String>, StateError> {
        let in_force = snapshot::path_of(&self.folder, shard);
        let in_force = in_force.file_name().unwrap_or_default().display().to_string();
        let parts = placed_in(&self.folder, shard, Use::Part)?;
        Ok(parts.into_iter().map(PlacedName::file_name).chain([in_force]).collect())
    }

    /// Removes the parts that a run has left over that ended before it could: all but those of the
    /// shard's `snapshot`, if there is one.
    ///
    /// # Errors
    /// When the system says no.
    pub fn forget_leftovers(
        &self,
        shard: ShardIndex,
        snapshot: Option<&Snapshot>,
    ) -> Result<(), StateError> {
        let needed = snapshot.map_or(&[][..], |snapshot| &snapshot.parts);
        chain::forget_parts(&self.folder, shard, needed).map(drop)
    }

    /// The snapshots of a shard that are kept, oldest first: each by the first entry that it does
    /// not know of.
    ///
    /// # Errors
    /// When the directory can not be listed.
    pub fn kept_snapshots(&self, shard: ShardIndex) -> Result<Vec<EntrySequence>, StateError> {
        let kept = placed_in(&self.folder, shard, Use::Kept)?;
        Ok(kept.into_iter().map(|name| name.next).collect())
    }

    /// One of the snapshots that are kept.
    ///
    /// # Errors
    /// When its file can not be read, or is damaged.
    pub fn kept_snapshot(
        &self,
        shard: ShardIndex,
        next: EntrySequence,
    ) -> Result<Snapshot, StateError> {
        let path = self.folder.join(PlacedName::kept(shard, next).file_name());
        let told = path.display().to_string();
        let snapshot = match snapshot::read(&path, shard, self.identity) {
            Err(StateError::Damaged { path, problem }) => {
                return Err(StateError::DamagedHistory { path, problem });
            }
            read => read?,
        };
        snapshot.filter(|snapshot| snapshot.next == next).ok_or_else(|| {
            let problem = "it is gone, or of another place of the log".to_owned();
            StateError::DamagedHistory { path: told, problem }
        })
    }

    /// The file of a snapshot that is kept, by name.
    pub fn kept_snapshot_file(&self, shard: ShardIndex, next: EntrySequence) -> String {
        PlacedName::kept(shard, next).file_name()
    }

    /// From where on a shard's log stays, now that a snapshot of it is in force from which `needed`
    /// comes next. `segments` are those there are, oldest first, each with its first entry; there
    /// are so many `shards`.
    ///
    /// # Errors
    /// When the system says no.
    pub fn first_kept(
        &self,
        (shard, needed): (ShardIndex, EntrySequence),
        segments: &[(SegmentName, EntrySequence)],
        shards: usize,
    ) -> Result<EntrySequence, StateError> {
        let keep = match self.keep {
            Keep::Nothing => return Ok(needed),
            Keep::Bytes(bytes) => Keep::Bytes(bytes / shards.max(1) as u64),
            other => other,
        };
        let look = |path: PathBuf| {
            let found = fs::metadata(&path).and_then(|it| Ok((it.len(), it.modified()?)));
            found.map_err(StateError::io(path.display().to_string(), "look at"))
        };
        let mut extents = Vec::with_capacity(segments.len());
        for (name, first) in segments {
            let (bytes, _) = look(self.folder.join(name.to_string()))?;
            extents.push(Extent { first: *first, bytes });
        }
        let start =
            Base { next: EntrySequence::default(), written: SystemTime::UNIX_EPOCH, bytes: 0 };
        let mut bases = vec![start];
        for next in self.kept_snapshots(shard)?.into_iter().filter(|next| *next < needed) {
            let (bytes, written) =
                look(self.folder.join(PlacedName::kept(shard, next).file_name()))?;
            bases.push(Base { next, written, bytes });
        }
        Ok(first_kept(keep, &bases, &extents, (needed, SystemTime::now())))
    }

    /// Removes the snapshots of a shard that are kept and older than `first`.
    ///
    /// # Errors
    /// When the system says no.
    pub fn forget_before(&self, shard: ShardIndex, first: EntrySequence) -> Result<(), StateError> {
        for next in self.kept_snapshots(shard)?.into_iter().filter(|next| *next < first) {
            let path = self.folder.join(PlacedName::kept(shard, next).file_name());
            let failed = StateError::io(path.display().to_string(), "remove an old snapshot");
            fs::remove_file(&path).map_err(failed)?;
        }
        Ok(())
    }

    /// How far the output had come; `None` when it had not begun.
    ///
    /// # Errors
    /// When the file that says so can not be read, or is damaged.
    pub fn output_progress(&self) -> Result<Option<OutputProgress>, StateError> {
        let path = self.folder.join("output");
        let bytes = read(&path)?;
        bytes.map(|bytes| OutputProgress::parse(&path.display().to_string(), &bytes)).transpose()
    }

    /// Says how far the output has come: once this has returned, what it says survives what the
    /// state is to survive.
    ///
    /// # Errors
    /// When the system says no. What was said before holds then, or what is said now.
    pub fn set_output_progress(&self, progress: &OutputProgress) -> Result<(), StateError> {
        let durably = self.durability != Durability::Process;
        replace(&self.folder, "output", &progress.render(), durably)
    }
}

/// How many shards a description says there are.
fn shards_in(described: &[(String, String)]) -> Option<usize> {
    let (_, shards) = described.iter().find(|(word, _)| word == manifest::SHARDS)?;
    shards.parse().ok()
}

/// Takes the lock, or says who has it.
fn lock(folder: &Path) -> Result<File, StateError> {
    let path = folder.join("lock");
    let failed = |action| StateError::io(path.display().to_string(), action);
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = file.map_err(failed("open the lock"))?;
    take(&mut file, folder)?;
    let write = |file: &mut File| -> io::Result<()> {
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(failed("write the lock"))?;
    Ok(file)
}

/// Takes the lock to look only, which one may who may not write; where there is none then, nobody
/// can have it.
fn lock_to_look(folder: &Path) -> Result<Option<File>, StateError> {
    let may_not_write = |error: &io::Error| {
        matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
    };
    let path = folder.join("lock");
    match OpenOptions::new().write(true).create(true).truncate(false).open(&path) {
        Err(error) if may_not_write(&error) => {}
        _ => return lock(folder).map(Some),
    }
    match File::open(&path) {
        Ok(mut file) => take(&mut file, folder).map(|()| Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StateError::io(path.display().to_string(), "open the lock")(error)),
    }
}

fn take(file: &mut File, folder: &Path) -> Result<(), StateError> {
    let path = folder.join("lock");
    let failed = |action| StateError::io(path.display().to_string(), action);
    match flock(&*file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            // Who it is, is told if it can be read.
            let _ = file.read_to_string(&mut pid);
            let path = folder.display().to_string();
            Err(StateError::Locked { path, pid: pid.trim().to_owned() })
        }
        Err(error) => Err(failed("take the lock")(error.into())),
    }
}

/// Refuses a folder of other things, before anything is written there.
fn refuse_other(folder: &Path) -> Result<(), StateError> {
    let path = folder.display().to_string();
    let listed = || StateError::io(path.clone(), "list");
    let mut other = None;
    for entry in fs::read_dir(folder).map_err(listed())? {
        let name = entry.map_err(listed())?.file_name();
        match name.to_str() {
            Some("manifest") => return Ok(()),
            Some("lock" | "manifest.new") => {}
            _ => other = Some(name.display().to_string()),
        }
    }
    match other {
        Some(name) => Err(without_manifest(folder, Some(name))),
        None => Ok(()),
    }
}

/// There is no manifest in a folder, in which there is some `other` file, if there is any. It has
/// been there where there are logs.
fn without_manifest(folder: &Path, other: Option<String>) -> StateError {
    let path = folder.display().to_string();
    let log = fs::read_dir(folder).ok().and_then(|entries| {
        let mut names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.find(|name| name.parse::<SegmentName>().is_ok())
    });
    match (log, other) {
        (Some(log), _) => StateError::Damaged {
            path: folder.join("manifest").display().to_string(),
            problem: format!("it is missing, and {log} lies beside it"),
        },
        (None, Some(name)) => StateError::NotState { path, name },
        (None, None) => StateError::NoState { path },
    }
}

/// Makes a new state directory of one that holds none.
fn begin(folder: &Path, pipeline: Vec<(String, String)>) -> Result<Manifest, StateError> {
    let path = folder.display().to_string();
    let now = std::time::SystemTime::now();
    let identity = LogIdentity(ahash::RandomState::new().hash_one((now, std::process::id())));
    let manifest = Manifest { identity, pipeline };
    replace(folder, "manifest", manifest.render().as_bytes(), true)?;
    // The directory itself may be new.
    match std::path::absolute(folder) {
        Ok(path) => path.parent().map_or(Ok(()), sync_folder)?,
        Err(error) => return Err(StateError::io(path, "find")(error)),
    }
    Ok(manifest)
}

pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StateError::io(path.display().to_string(), "read")(error)),
    }
}

/// Replaces a file as a whole: whoever reads it finds the old bytes or the new ones; after a loss
/// of power, too, if it is replaced `durably`.
fn replace(folder: &Path, name: &str, bytes: &[u8], durably: bool) -> Result<(), StateError> {
    let (new, old) = (folder.join(format!("{name}.new")), folder.join(name));
    let path = || new.display().to_string();
    let written = fault::point("replace.before").and_then(|()| fs::write(&new, bytes));
    written
        .and_then(|()| fault::point("replace.written"))
        .map_err(StateError::io(path(), "write"))?;
    if durably {
        let sync = File::open(&new).and_then(|file| file.sync_all());
        sync.map_err(StateError::io(path(), "sync"))?;
    }
    let renamed = fault::point("replace.synced").and_then(|()| fs::rename(&new, &old));
    renamed
        .and_then(|()| fault::point("replace.after"))
        .map_err(StateError::io(path(), "rename"))?;
    if durably { sync_folder(folder) } else { Ok(()) }
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), StateError> {
    let sync = File::open(folder).and_then(|folder| folder.sync_all());
    sync.map_err(StateError::io(folder.display().to_string(), "sync the folder"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path, window: &str) -> Result<StateDirectory, StateError> {
        let state = State::in_directory(folder).described("window", window);
        StateDirectory::open(state, vec![("shards".to_owned(), "2".to_owned())])
    }

    #[test]
    fn a_directory_belongs_to_one_pipeline_and_one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("made/if/missing");
        let first = open(&folder, "1h").unwrap();
        let error = open(&folder, "1h").unwrap_err().to_string();
        assert!(error.contains(&format!("in use by process {}", std::process::id())), "{error}");
        let identity = first.identity();
        let described = |what| StateDirectory::described(&folder, what).unwrap();
        assert_eq!(described("window").as_deref(), Some("1h"), "whoever has it");
        assert_eq!(described("colour"), None);
        let progress = OutputProgress { bytes: 5, ..OutputProgress::none(2) };
        assert_eq!(first.output_progress().unwrap(), None);
        first.set_output_progress(&progress).unwrap();
        drop(first);
        let again = open(&folder, "1h").unwrap();
        assert_eq!(again.identity(), identity);
        assert_eq!(again.output_progress().unwrap(), Some(progress));
        drop(again);
        let error = open(&folder, "2h").unwrap_err().to_string();
        assert!(error.contains("its window was 1h and is 2h now"), "{error}");
    }

    #[test]
    fn a_manifest_that_is_gone_is_told_from_a_folder_that_was_none() {
        let folder = tempfile::tempdir().unwrap();
        let look_at = || StateDirectory::look_at(folder.path()).unwrap_err().to_string();
        assert!(look_at().contains("there is no manifest, so it is no state directory"));
        fs::write(folder.path().join("s003-0000000000000012.log"), "entries").unwrap();
        for error in [open(folder.path(), "1h").unwrap_err().to_string(), look_at()] {
            let expected = "manifest: it is missing, and s003-0000000000000012.log lies beside it";
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_folder_of_other_things_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.txt"), "dear").unwrap();
        let error = open(folder.path(), "1h").unwrap_err().to_string();
        assert!(error.contains("holds 'thesis.txt' and no manifest"), "{error}");
        assert!(!folder.path().join("lock").exists());
        assert!(!folder.path().join("manifest").exists());
        assert_eq!(StateDirectory::described(folder.path(), "window").unwrap(), None);
    }
}
