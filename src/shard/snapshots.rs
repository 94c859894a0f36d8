//! When a shard's state is written down as a whole, so that the log before can go: after so many
//! bytes of log it is frozen, then a piece of it is written in each step, and the snapshot comes in
//! force once all that had come out when it was frozen is confirmed. Until then what came out may
//! have to come out again, and the state before is needed.
//!
//! A snapshot refers to the one before for what has not changed, unless the files that it would
//! refer to hold twice what the shard holds, or are too many: then it is a whole one. The first of
//! a run is, too: what changed since a run before is not known. After one of changes, twice its
//! bytes are logged before the next; after a whole one, as much before the next whole one. So, in
//! the long run, no more is written in snapshots than in the log.

use super::ShardError;
use super::commit::Commits;
use crate::limits::{
    SHRINK_STEP_BYTES, SNAPSHOT_COPIES_MAX, SNAPSHOT_FILES_MAX, SNAPSHOT_STEP_BYTES,
};
use crate::log::EntrySequence;
use crate::record::{ShardIndex, WordsWriter};
use crate::sink::OutputCounts;
use crate::state::{Replaced, SnapshotChain, SnapshotWriter, StateError};

/// The snapshots of one shard.
#[derive(Debug)]
pub(super) struct Snapshots {
    every: u64,
    /// Bytes that were logged since the last one was begun.
    logged: u64,
    /// Bytes that were logged since the last step of the one at hand.
    logged_since_step: usize,
    /// Bytes of the last one of changes.
    changes: u64,
    /// Bytes that were logged since the last whole one was begun, and its own.
    logged_since_whole: u64,
    whole: u64,
    /// The files of the one in force, where the next one may refer to them.
    chain: SnapshotChain,
    /// Whether one that might have referred to others was whole: they all will be.
    all_whole: bool,
    /// Whether the one at hand was to refer to others.
    is_referring: bool,
    /// Bytes that a whole one would have had when the last one was begun.
    held: u64,
    writing: Option<Writing>,
    /// Where in the log the one is that is being put in force.
    switching: Option<(EntrySequence, SnapshotChain)>,
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
    /// Writes a step's worth, of a shard that held so many bytes, and has logged so many since the
    /// last step; says whether there is anything to go on with.
    fn write(
        &mut self,
        frozen: &mut impl Frozen,
        (held, logged): (u64, usize),
    ) -> Result<bool, StateError> {
        if !frozen.is_frozen() {
            return Ok(false);
        }
        let most = usize::try_from(SNAPSHOT_COPIES_MAX.max(held / 2)).unwrap_or(usize::MAX);
        let beyond = frozen.copied_bytes().saturating_sub(most);
        let bytes = SNAPSHOT_STEP_BYTES.max(logged).max(beyond);
        self.whole = frozen.save_some(&mut self.piece, bytes);
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
    /// Snapshots after so many bytes of log, of which so many were logged before this run; the last
    /// whole one has so many.
    pub(super) fn new(shard: ShardIndex, (every, logged, whole): (u64, u64, u64)) -> Self {
        Self {
            every,
            logged,
            logged_since_step: 0,
            changes: 0,
            logged_since_whole: logged,
            whole,
            chain: SnapshotChain::default(),
            all_whole: false,
            is_referring: false,
            held: 0,
            writing: None,
            switching: None,
            replaced: None,
            shard,
        }
    }

    pub(super) fn note_logged(&mut self, bytes: usize) {
        self.logged_since_step += bytes;
        self.logged += bytes as u64;
        self.logged_since_whole += bytes as u64;
    }

    /// Whether it is time for one.
    pub(super) fn is_due(&self) -> bool {
        let is_enough = |logged: u64, last: u64| logged >= self.every.max(last.saturating_mul(2));
        self.writing.is_none()
            && self.switching.is_none()
            && is_enough(self.logged, self.changes)
            && (!self.is_next_whole() || is_enough(self.logged_since_whole, self.whole))
    }

    fn is_next_whole(&self) -> bool {
        let files = self.chain.files();
        self.all_whole
            || files == 0
            || files >= SNAPSHOT_FILES_MAX
            || self.chain.bytes() > self.held.saturating_mul(2)
    }

    /// What the next one refers to; nothing where it is to be whole. What becomes of that one
    /// decides about those behind it.
    pub(super) fn earlier(&mut self) -> SnapshotChain {
        self.is_referring = !self.is_next_whole();
        match self.is_referring {
            true => std::mem::take(&mut self.chain),
            false => SnapshotChain::default(),
        }
    }

    /// Begins with one, of a shard that was just frozen, and by when so much had come out; a whole
    /// one has about so many bytes. `piece` is what it begins with.
    pub(super) fn begin(
        &mut self,
        mut writer: SnapshotWriter,
        piece: WordsWriter,
        (next, taken, bytes): (EntrySequence, OutputCounts, u64),
    ) {
        writer.set_outline(piece.len());
        self.chain = SnapshotChain::default();
        (self.logged, self.logged_since_step, self.held) = (0, 0, bytes);
        if writer.is_whole() {
            self.all_whole |= self.is_referring;
            self.logged_since_whole = 0;
        }
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
            if !replaced.shrink(SHRINK_STEP_BYTES).unwrap_or(false) {
                self.replaced = None;
            }
            return Ok(Written::Some);
        }
        if let (Some(_), Some(commits)) = (&self.switching, &commits)
            && !commits.snapshots_are_in_force()
        {
            return Ok(Written::Nothing);
        }
        if let Some((next, chain)) = self.switching.take() {
            self.chain = chain;
            return Ok(Written::InForce(next));
        }
        let Some(writing) = &mut self.writing else { return Ok(Written::Nothing) };
        let failed = |error| ShardError::State { shard: self.shard, error };
        if !writing.whole {
            let logged = std::mem::take(&mut self.logged_since_step);
            if !writing.write(frozen, (self.held, logged)).map_err(failed)? {
                self.writing = None;
                return Ok(Written::Nothing);
            }
            match writing.writer.is_whole() {
                true => self.whole = writing.writer.bytes(),
                false => self.changes = writing.writer.bytes(),
            }
            return Ok(Written::Some);
        }
        let covered = commits.as_ref().map(|commits| commits.covered()).transpose()?;
        let is_logged = |next| covered.is_none_or(|covered| covered >= next);
        let may_switch =
            |writing: &mut Writing| writing.taken.are_within(confirmed) && is_logged(writing.next);
        let Some(Writing { writer, next, .. }) = self.writing.take_if(may_switch) else {
            return Ok(Written::Nothing);
        };
        let chain = writer.chain();
        match commits {
            None => {
                self.replaced = writer.switch().map_err(failed)?;
                self.chain = chain;
                Ok(Written::InForce(next))
            }
            Some(commits) => {
                commits.ask_snapshot(writer);
                self.switching = Some((next, chain));
                Ok(Written::Some)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Keep, SnapshotPlace, State, StateDirectory};

    /// Has a snapshot of so many bytes that a whole one has, and so many that one of changes has;
    /// says whether it is whole, and its bytes.
    fn take(
        (snapshots, directory): (&mut Snapshots, &StateDirectory),
        next: u64,
        (held, changed): (usize, usize),
    ) -> (bool, u64) {
        let next = EntrySequence(next);
        let place = SnapshotPlace { shard: ShardIndex(0), next, epoch: 0 };
        let writer = directory.begin_snapshot(place, snapshots.earlier()).unwrap();
        let (is_whole, taken) = (writer.is_whole(), OutputCounts::default());
        let mut piece = WordsWriter::default();
        piece.room(if is_whole { held / 8 } else { changed / 8 });
        snapshots.begin(writer, piece, (next, taken, held as u64));
        let mut fake = Done;
        while !matches!(snapshots.step(&mut fake, taken, None).unwrap(), Written::InForce(_)) {}
        (is_whole, if is_whole { snapshots.whole } else { snapshots.changes })
    }

    /// What has been written with what it begins with.
    struct Done;

    impl Frozen for Done {
        fn is_frozen(&self) -> bool {
            true
        }

        fn copied_bytes(&self) -> usize {
            0
        }

        fn save_some(&mut self, _: &mut WordsWriter, _: usize) -> bool {
            true
        }
    }

    /// What is written in snapshots, how many of them are whole, and how many there are, while so
    /// much is logged.
    fn written(
        (log, every): (u64, u64),
        keep: Keep,
        (held, changed): (usize, usize),
    ) -> (u64, u64, u64) {
        let folder = tempfile::tempdir().unwrap();
        let state = State::in_directory(folder.path()).keep(keep);
        let directory = StateDirectory::open(state, Vec::new()).unwrap();
        let mut snapshots = Snapshots::new(ShardIndex(0), (every, 0, 0));
        let (mut bytes, mut whole, mut all) = (0, 0, 0);
        for next in 1..=log / 1_000 {
            snapshots.note_logged(1_000);
            if snapshots.is_due() {
                let of = (&mut snapshots, &directory);
                let (is_whole, written) = take(of, next, (held, changed));
                whole += u64::from(is_whole);
                all += 1;
                bytes += written;
                assert!(snapshots.chain.files() <= SNAPSHOT_FILES_MAX);
                let most = (held * 2 + changed) as u64 + 20_000;
                assert!(snapshots.chain.bytes() <= most, "{} bytes", snapshots.chain.bytes());
            }
        }
        (bytes, whole, all)
    }

    #[test]
    fn what_is_written_in_snapshots_is_no_more_than_the_log_whatever_changes() {
        let (log, held) = (20_000_000, 500_000);
        for every in [1_000, 100_000, 1_000_000] {
            for changed in [0, 2_000, 100_000, 500_000] {
                let of = (held, changed);
                let (bytes, whole, all) = written((log, every), Keep::Nothing, of);
                // The first comes before anything is known, and the last may have come just now.
                let most = log + (held + changed) as u64;
                assert!(bytes <= most, "{bytes} bytes: {every}, {changed}");
                assert!(whole < all, "{whole} of {all} are whole");
                // Those that are to be whole in any case have but the half.
                let (bytes, whole, all) = written((log, every), Keep::All, of);
                assert!(bytes <= log / 2 + 2 * held as u64, "{bytes} bytes: {every}, {changed}");
                assert_eq!(whole, all);
            }
        }
        let of = |changed| written((log, 100_000), Keep::Nothing, (held, changed)).0;
        let (few, most) = (of(2_000), of(held));
        assert!(few * 2 < most, "{few} bytes where little changes, {most} where all does");
    }

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
        let writer = directory.begin_snapshot(place, SnapshotChain::default()).unwrap();
        let mut snapshots = Snapshots::new(ShardIndex(0), (1, 1, 0));
        assert!(snapshots.is_due());
        let taken = OutputCounts::default();
        snapshots.begin(writer, WordsWriter::default(), (EntrySequence(1), taken, 0));
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
        let most = SNAPSHOT_COPIES_MAX as usize;
        for (copied, logged, expected) in [
            (0, 0, SNAPSHOT_STEP_BYTES),
            (most, 0, SNAPSHOT_STEP_BYTES),
            (0, beyond / 2, beyond / 2),
            (0, 0, SNAPSHOT_STEP_BYTES),
            (most + beyond, beyond / 2, beyond),
        ] {
            snapshots.note_logged(logged);
            let before = written(&snapshots);
            let mut fake = Fake { is_frozen: true, copied };
            let step = snapshots.step(&mut fake, OutputCounts::default(), None).unwrap();
            assert_eq!(step, Written::Some);
            assert_eq!(written(&snapshots) - before, expected as u64, "{copied}, {logged}");
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
