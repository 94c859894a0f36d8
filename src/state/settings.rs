//! What a program says about the state of its pipeline: where it lies, what it survives, how much
//! of it stays.

use crate::limits::{COMMIT_INTERVAL_MILLIS, SNAPSHOT_LOG_BYTES};
use crate::time::Span;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where an engine keeps its state, and what the state is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub(super) folder: PathBuf,
    pub(super) described: Vec<(String, String)>,
    pub(super) snapshot_every: u64,
    pub(super) durability: Durability,
    pub(super) delivery: Delivery,
    pub(super) keep: Keep,
    pub(super) log_ready: u64,
    pub(super) may_widen: bool,
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

/// How often a result, or a late record, is handed over when a run is cut off and gone on with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// What was not confirmed comes again, with the same shard and sequence: in effect once, for
    /// a reader that keeps the numbers with what it makes of the results, or makes the same of them
    /// each time. It costs the log since the last snapshot whose results are confirmed, so a reader
    /// confirms them now and then (`Results::confirm`). What a closure has returned from is
    /// confirmed.
    #[default]
    ExactlyOnce,
    /// Once or more: what one poll handed over counts as confirmed when the next poll begins, so
    /// that nobody needs to confirm anything and logs do not grow. After a cut, results since the
    /// last snapshot come again, with the same numbers. It costs nothing.
    AtLeastOnce,
    /// Once or not at all: that results leave is noted in the state directory, as durably as the
    /// state is kept, before a poll hands them over. After a cut, what was noted and not handed
    /// over is lost: what one poll had taken. It costs a small file that is replaced with each poll
    /// that brings something, and synced with [`Durability::Disk`]. Closures can not have it: a
    /// shard does not wait for a file.
    AtMostOnce,
}

/// In the words of the manifest and the command line.
impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExactlyOnce => "exactly-once",
            Self::AtLeastOnce => "at-least-once",
            Self::AtMostOnce => "at-most-once",
        })
    }
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
        let (delivery, keep) = (Delivery::default(), Keep::default());
        let (log_ready, may_widen) = (0, false);
        Self { folder, described, snapshot_every, durability, delivery, keep, log_ready, may_widen }
    }

    /// Lets the directory come to be of more shards by merely saying so: nothing that it holds
    /// depends on how many there are.
    pub(crate) fn may_widen(mut self) -> Self {
        self.may_widen = true;
        self
    }

    /// The directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How often a result is handed over.
    pub(crate) fn how_delivered(&self) -> Delivery {
        self.delivery
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

    /// How often a result is handed over when a run is cut off and gone on with; in effect once by
    /// default. The directory remembers it: the state of a pipeline with another is refused.
    #[must_use]
    pub fn delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
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

    /// Whether any history stays.
    pub fn keeps_history(&self) -> bool {
        self.keep != Keep::Nothing
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
