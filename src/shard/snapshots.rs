//! When a shard's state is written down as a whole, so that the log before can go: after so many
//! bytes of log it is frozen, then a piece of it is written in each step, and the snapshot comes in
//! force once all that had come out when it was frozen is confirmed. Until then what came out may
//! have to come out again, and the state before is needed.

use super::ShardError;
use super::commit::Commits;
use crate::limits::{SNAPSHOT_COPIES_MAX, SNAPSHOT_SHRINK_BYTES, SNAPSHOT_STEP_BYTES};
use crate::log::EntrySequence;
use crate::record::{ShardIndex, WordsWriter};
use crate::sink::OutputCounts;
use crate::state::{Replaced, SnapshotWriter, StateError};

/// The snapshots of one shard.
#[derive(Debug)]
pub(super) struct Snapshots {
    every: u64,
    /// Bytes that were logged since the last one was begun.
    logged: u64,
    /// Bytes of the last one.
    last: u64,
    writing: Option<Writing>,
    /// Where in the log the one is that is being put in force.
    switching: Option<EntrySequence>,
    /// The one before, whose space is being given back.
    replaced: Option<Replaced>,
    shard: ShardIndex,
}

/// A snapshot that is not in force yet.
#[derive(Debug)]
struct Writing {
    writer: SnapshotWriter,
    next: EntrySequence,
    /// What had come out when it was begun.
    taken: OutputCounts,
    whole: bool,
    /// Words on their way into the file.
    piece: WordsWriter,
}

/// What is frozen, and is written down piece by piece.
pub(super) trait Frozen {
    /// Whether there is still something to write; that is not so either where it was abandoned.
    fn is_frozen(&self) -> bool;
    /// Bytes of what was copied because it was to change, and is not written yet.
    fn copied_bytes(&self) -> usize;
    /// Writes about so many bytes more; says whether that was all.
    fn save_some(&mut self, out: &mut WordsWriter, bytes: usize) -> bool;
}

impl Writing {
    /// Writes a step's worth; says whether there is anything to go on with.
    fn write(&mut self, frozen: &mut impl Frozen) -> Result<bool, StateError> {
        if !frozen.is_frozen() {
            return Ok(false);
        }
        let beyond = frozen.copied_bytes().saturating_sub(SNAPSHOT_COPIES_MAX);
        self.whole = frozen.save_some(&mut self.piece, SNAPSHOT_STEP_BYTES.max(beyond));
        self.writer.append(self.piece.written())?;
        self.piece.clear();
        if self.whole {
            self.writer.finish()?;
        }
        Ok(true)
    }
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
    pub(super) fn new(shard: ShardIndex, (every, logged, last): (u64, u64, u64)) -> Self {
        Self { every, logged, last, writing: None, switching: None, replaced: None, shard }
    }

    pub(super) fn note_logged(&mut self, bytes: usize) {
        self.logged += bytes as u64;
    }

    /// Whether it is time for one.
    pub(super) fn is_due(&self) -> bool {
        self.writing.is_none()
            && self.switching.is_none()
            && self.logged >= self.every.max(self.last.saturating_mul(2))
    }

    /// Begins with one, of a shard that was just frozen and by when so much had come out; `piece`
    /// is what it begins with.
    pub(super) fn begin(
        &mut self,
        writer: SnapshotWriter,
        piece: WordsWriter,
        (next, taken): (EntrySequence, OutputCounts),
    ) {
        self.logged = 0;
        self.writing = Some(Writing { writer, next, taken, whole: false, piece });
    }

    /// Goes on with the one at hand. Where a loss of power is to be survived, it comes in force
    /// only when the log is durable up to it, and by the hand of those who sync.
    pub(super) fn step(
        &mut self,
        frozen: &mut impl Frozen,
        confirmed: OutputCounts,
        commits: Option<&mut Commits>,
    ) -> Result<Written, ShardError> {
        if let Some(replaced) = &mut self.replaced {
            // It has no name: whatever comes of it, the system gives the space back in the end.
            if !replaced.shrink(SNAPSHOT_SHRINK_BYTES).unwrap_or(false) {
                self.replaced = None;
            }
            return Ok(Written::Some);
        }
        if let (Some(next), Some(commits)) = (self.switching, &commits) {
            if !commits.snapshots_are_in_force() {
                return Ok(Written::Nothing);
            }
            self.switching = None;
            return Ok(Written::InForce(next));
        }
        let Some(writing) = &mut self.writing else { return Ok(Written::Nothing) };
        let failed = |error| ShardError::State { shard: self.shard, error };
        if !writing.whole {
            if !writing.write(frozen).map_err(failed)? {
                self.writing = None;
                return Ok(Written::Nothing);
            }
            self.last = writing.writer.bytes();
            return Ok(Written::Some);
        }
        let covered = commits.as_ref().map(|commits| commits.covered()).transpose()?;
        let is_logged = |next| covered.is_none_or(|covered| covered >= next);
        let may_switch =
            |writing: &mut Writing| writing.taken.are_within(confirmed) && is_logged(writing.next);
        let Some(Writing { writer, next, .. }) = self.writing.take_if(may_switch) else {
            return Ok(Written::Nothing);
        };
        match commits {
            None => {
                self.replaced = writer.switch().map_err(failed)?;
                Ok(Written::InForce(next))
            }
            Some(commits) => {
                commits.ask_snapshot(writer);
                self.switching = Some(next);
                Ok(Written::Some)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{SnapshotPlace, State, StateDirectory};

    /// What says that so many bytes were copied, and takes what it is asked to write.
    struct Fake {
        is_frozen: bool,
        copied: usize,
    }

    impl Frozen for Fake {
        fn is_frozen(&self) -> bool {
            self.is_frozen
        }

        fn copied_bytes(&self) -> usize {
            self.copied
        }

        fn save_some(&mut self, out: &mut WordsWriter, bytes: usize) -> bool {
            out.room(bytes / 8);
            false
        }
    }

    fn begun(folder: &std::path::Path) -> Snapshots {
        let directory = StateDirectory::open(State::in_directory(folder), Vec::new()).unwrap();
        let place = SnapshotPlace { shard: ShardIndex(0), next: EntrySequence(1), epoch: 0 };
        let writer = directory.begin_snapshot(place).unwrap();
        let mut snapshots = Snapshots::new(ShardIndex(0), (1, 1, 0));
        assert!(snapshots.is_due());
        let taken = OutputCounts::default();
        snapshots.begin(writer, WordsWriter::default(), (EntrySequence(1), taken));
        snapshots.note_logged(1);
        assert!(!snapshots.is_due(), "one at a time");
        snapshots
    }

    #[test]
    fn steps_write_more_while_more_was_copied_than_may_wait() {
        let folder = tempfile::tempdir().unwrap();
        let mut snapshots = begun(folder.path());
        let written = |snapshots: &Snapshots| snapshots.writing.as_ref().unwrap().writer.bytes();
        let beyond = SNAPSHOT_STEP_BYTES * 3;
        for (copied, expected) in [
            (0, SNAPSHOT_STEP_BYTES),
            (SNAPSHOT_COPIES_MAX, SNAPSHOT_STEP_BYTES),
            (SNAPSHOT_COPIES_MAX + beyond, beyond),
        ] {
            let before = written(&snapshots);
            let mut fake = Fake { is_frozen: true, copied };
            let step = snapshots.step(&mut fake, OutputCounts::default(), None).unwrap();
            assert_eq!(step, Written::Some);
            assert_eq!(written(&snapshots) - before, expected as u64, "{copied}");
        }
    }

    #[test]
    fn a_snapshot_of_what_was_abandoned_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let mut snapshots = begun(folder.path());
        let mut fake = Fake { is_frozen: false, copied: 0 };
        let step = snapshots.step(&mut fake, OutputCounts::default(), None).unwrap();
        assert_eq!(step, Written::Nothing);
        assert!(snapshots.is_due() && !folder.path().join("s000.snapshot").exists());
    }
}
