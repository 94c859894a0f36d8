//! What a program says about the state of its pipeline: where it lies, what it survives, how much
//! of it stays.

use crate::limits::{COMMIT_INTERVAL_MILLIS, SNAPSHOT_LOG_BYTES};
use crate::time::Span;
use std::path::{Path, PathBuf};

/// Where an engine keeps its state, and what the state is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub(super) folder: PathBuf,
    pub(super) described: Vec<(String, String)>,
    pub(super) snapshot_every: u64,
    pub(super) durability: Durability,
    pub(super) keep: Keep,
    pub(super) log_ready: u64,
}

/// What the state of an engine survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process, however it ends. Nothing waits for that.
    #[default]
    Process,
    /// A loss of power. What an engine takes is synced to the disk together, at most so often, by
    /// a thread of its own, and results leave once all that they follow from has been.
    Disk {
        /// How long at least from one sync to the next, while there is more to take.
        interval: Span,
    },
}

impl Durability {
    /// [`Durability::Disk`], with a sync every 5 ms at most.
    pub const DISK: Self = Self::Disk { interval: Span::from_millis(COMMIT_INTERVAL_MILLIS) };
}

/// How much of what was read stays that going on does not need: history, to be looked at and taken
/// again. It goes as a whole from one snapshot to the next, when one has come in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// None of it.
    #[default]
    Nothing,
    /// All of it, from the start or from when this was first said.
    All,
    /// What was written within so long, by the clock of the machine.
    For(Span),
    /// At most so many bytes of logs and snapshots, over all shards.
    Bytes(u64),
}

impl State {
    /// State in a directory, which is made if it is not there.
    pub fn in_directory(folder: impl Into<PathBuf>) -> Self {
        let (folder, described) = (folder.into(), Vec::new());
        let (snapshot_every, durability) = (SNAPSHOT_LOG_BYTES, Durability::default());
        let keep = Keep::default();
        Self { folder, described, snapshot_every, durability, keep, log_ready: 0 }
    }

    /// The directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes so many bytes of each shard's log, in segments of full length, when the engine is
    /// opened, so that none has to be made and cleared while records wait. None by default: the
    /// first segments are small. With twice what a snapshot comes after, a run hardly makes
    /// another.
    #[must_use]
    pub fn log_ready(mut self, bytes: u64) -> Self {
        self.log_ready = bytes;
        self
    }

    /// What the state survives, by default the end of the process. It may be another from run to
    /// run.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// After how many bytes of a shard's log, 64 MiB by default, what has changed of its state
    /// is written down, so that the log before can go. Later where that is much: then after twice
    /// as many bytes as it took the last time.
    #[must_use]
    pub fn snapshot_every(mut self, bytes: u64) -> Self {
        self.snapshot_every = bytes.max(1);
        self
    }

    /// How much history stays, by default none. It may be another from run to run.
    #[must_use]
    pub fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    /// Says something about the pipeline that its state depends on: what a closure filters by, say,
    /// or a version number. An engine refuses the state of a pipeline that was described otherwise.
    #[must_use]
    pub fn described(mut self, what: impl Into<String>, value: impl Into<String>) -> Self {
        self.described.push((what.into(), value.into()));
        self
    }
}
