//! When a shard's state is written down as a whole, so that the log before can go: after so many
//! bytes of log, a piece in each step, and in force once all that had come out by then is
//! confirmed. Until then what came out may have to come out again, and the state before is needed.

use crate::limits::SNAPSHOT_STEP_BYTES;
use crate::log::EntrySequence;
use crate::sink::OutputCounts;
use crate::state::{SnapshotWriter, StateError};

/// The snapshots of one shard.
#[derive(Debug)]
pub(super) struct Snapshots {
    every: u64,
    /// Bytes that were logged since the last one was begun.
    logged: u64,
    /// Bytes of the last one.
    last: u64,
    writing: Option<Writing>,
}

/// A snapshot that is not in force yet.
#[derive(Debug)]
struct Writing {
    writer: SnapshotWriter,
    next: EntrySequence,
    /// What had come out when it was begun.
    taken: OutputCounts,
    whole: bool,
}

/// What a step of a snapshot came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// There is nothing to do now.
    Nothing,
    /// More of it is written.
    Some,
    /// It is in force: entries before this one are needed no more.
    InForce(EntrySequence),
}

impl Snapshots {
    /// Snapshots after so many bytes of log, of which so many were logged before this run.
    pub(super) fn new(every: u64, logged: u64, last: u64) -> Self {
        Self { every, logged, last, writing: None }
    }

    pub(super) fn note_logged(&mut self, bytes: usize) {
        self.logged += bytes as u64;
    }

    /// Whether it is time for one.
    pub(super) fn is_due(&self) -> bool {
        self.writing.is_none() && self.logged >= self.every.max(self.last.saturating_mul(2))
    }

    /// Begins with one.
    pub(super) fn begin(
        &mut self,
        writer: SnapshotWriter,
        next: EntrySequence,
        taken: OutputCounts,
    ) {
        (self.logged, self.last) = (0, writer.bytes());
        self.writing = Some(Writing { writer, next, taken, whole: false });
    }

    /// Goes on with the one at hand.
    pub(super) fn step(&mut self, confirmed: OutputCounts) -> Result<Written, StateError> {
        let Some(writing) = &mut self.writing else { return Ok(Written::Nothing) };
        if !writing.whole {
            writing.whole = writing.writer.write(SNAPSHOT_STEP_BYTES)?;
            return Ok(Written::Some);
        }
        match self.writing.take_if(|writing| writing.taken.are_within(confirmed)) {
            Some(Writing { writer, next, .. }) => {
                writer.switch()?;
                Ok(Written::InForce(next))
            }
            None => Ok(Written::Nothing),
        }
    }
}
