//! A shard's journal: what the shard takes is written into its log first, and what an earlier run
//! wrote is taken again before anything new.
//!
//! Rows are known again by their numbers in their lane, so a source may bring rows that the log
//! already holds: they are passed over. A source's place is an entry too, the same in the log of
//! every shard, and says how many rows each lane had by then.
//!
//! Where there is a snapshot of the shard, it begins with that, and with the log behind it. A
//! journal of history ends there: nothing new is taken, and nothing is written.

use super::ShardError;
use super::commit::{CommitRequest, Commits};
use super::heard::Heard;
use super::segments::SegmentWork;
use super::snapshots::{Frozen, Snapshots, Written};
use crate::cpu::Bell;
use crate::fault;
use crate::frame::{Frame, FrameHeader, FrameKind};
use crate::limits::{SEGMENT_BYTES_MAX, SHRINK_STEP_BYTES};
use crate::log::{
    Backing, EntrySequence, LogEnd, LogError, LogFiles, LogReader, LogSegment, LogWriter,
    SegmentName, WriterStart, make_ready,
};
use crate::record::{ShardIndex, WordsWriter};
use crate::sink::OutputCounts;
use crate::state::{
    Durability, OutputProgress, Snapshot, SnapshotPlace, StateDirectory, StateError,
};
use crate::time::{MonotonicNanos, Watermark};
use crossbeam::channel::{SendError, Sender};
use std::collections::VecDeque;
use std::sync::Arc;

/// What a journal is made of.
#[derive(Debug)]
pub struct JournalParts {
    /// Where the log lies, and the snapshots.
    pub directory: Arc<StateDirectory>,
    /// How many shards there are.
    pub shards: usize,
    /// The log's files.
    pub files: Arc<LogFiles>,
    /// What the shard held at one place of the log.
    pub snapshot: Option<Snapshot>,
    /// Bytes of the log behind that place.
    pub logged: u64,
    /// Where the log of earlier runs ends.
    pub end: LogEnd,
    /// What the log is told when this run begins; its segment and its next entry follow from
    /// where the log ends.
    pub start: WriterStart,
    /// What snapshot and log say of each source.
    pub heard: Vec<Heard>,
    /// Lanes that bring nothing in this run: all shards have heard of their source's end.
    pub closed: Vec<bool>,
    /// Whether it is only taken again what earlier runs took.
    pub is_history: bool,
}

impl JournalParts {
    /// The first segment of this run.
    fn first_segment(&self) -> SegmentName {
        let SegmentName { shard, .. } = self.start.segment;
        SegmentName { shard, number: self.end.last.map_or(0, |last| last.number + 1) }
    }
}

/// What is to be done with a frame from a lane.
#[derive(Debug)]
pub(super) enum Admission {
    /// It is new, all of it.
    Whole,
    /// Some of it is; that is this frame.
    Part(Vec<u64>),
    /// Nothing of it is.
    Nothing,
}

/// The log of a shard, from the shard's side.
#[derive(Debug)]
pub struct Journal {
    parts: JournalParts,
    replay: Option<LogReader<LogFiles>>,
    writer: Option<LogWriter<LogFiles>>,
    /// Segments that were made for the writer before it begins.
    ready: VecDeque<(SegmentName, LogSegment)>,
    /// Who makes and removes segments; nobody but the shard itself in an engine that is stepped by
    /// hand.
    segments: Option<(Sender<SegmentWork>, Bell)>,
    snapshots: Snapshots,
    /// Entries before this one are needed no more, and some of their segments are still there.
    release_before: Option<EntrySequence>,
    /// Where a loss of power is to be survived.
    commits: Option<Commits>,
    /// The entry after the last one that results follow from.
    written: EntrySequence,
    /// What the log says of how far it is synced.
    marked: EntrySequence,
    /// The run whose entries are being taken again.
    epoch: Option<u64>,
    /// Where sources stood that is not known to be durable, one a lane.
    unkept: Vec<Unkept>,
}

/// Two places of a source: the older one is waited for, the other replaced by newer ones.
#[derive(Clone, Copy, Debug, Default)]
struct Unkept {
    older: Option<(EntrySequence, u64)>,
    newer: Option<(EntrySequence, u64)>,
}

impl Unkept {
    fn note(&mut self, place: (EntrySequence, u64)) {
        match self.older {
            None => self.older = Some(place),
            Some(_) => self.newer = Some(place),
        }
    }

    /// How many records came before the last place that is covered, if that is news.
    fn take_before(&mut self, covered: EntrySequence) -> Option<u64> {
        let mut records = None;
        while let Some((_, kept)) = self.older.take_if(|(entry, _)| *entry < covered) {
            records = Some(kept);
            self.older = self.newer.take();
        }
        records
    }
}

/// An entry of an earlier run.
#[derive(Debug)]
pub(super) struct Replayed<'j> {
    pub(super) entry: EntrySequence,
    pub(super) lane: usize,
    pub(super) frame: Frame<'j>,
    /// Whether it is the first of its run.
    pub(super) begins_run: bool,
}

impl Journal {
    /// A journal that begins with what snapshot and log hold.
    ///
    /// # Errors
    /// When the log can not be read.
    pub fn open(parts: JournalParts) -> Result<Self, StateError> {
        let shard = parts.start.segment.shard;
        let identity = Some(parts.start.identity);
        let mut replay = LogReader::open(Arc::clone(&parts.files), shard, identity)?;
        // All of it has been looked through.
        replay.believe(&parts.end);
        let mut last = 0;
        if let Some(snapshot) = &parts.snapshot {
            replay.pass_before(snapshot.next)?;
            last = snapshot.whole_bytes;
        }
        let snapshots =
            Snapshots::new(shard, (parts.directory.snapshot_every(), parts.logged, last));
        let epoch = parts.snapshot.as_ref().map(|snapshot| snapshot.epoch);
        let first = (parts.first_segment(), parts.start.guarantee);
        let ready = match parts.is_history {
            true => VecDeque::new(),
            false => {
                let bytes = (parts.directory.log_ready(), parts.start.segment_bytes);
                make_ready(&*parts.files, first, bytes)?
            }
        };
        let next = parts.end.next;
        let unkept = vec![Unkept::default(); parts.heard.len()];
        let commits = match parts.directory.durability() {
            Durability::Disk { interval } if !parts.is_history => {
                Some(Commits::new(shard, interval, next))
            }
            _ => None,
        };
        Ok(Self {
            parts,
            replay: Some(replay),
            writer: None,
            ready,
            segments: None,
            snapshots,
            release_before: None,
            commits,
            written: next,
            marked: next,
            epoch,
            unkept,
        })
    }

    /// Rows of each lane that snapshot and log hold.
    pub(super) fn known_rows(&self) -> impl Iterator<Item = u64> {
        self.parts.heard.iter().map(|heard| heard.rows)
    }

    /// What the shard begins with.
    pub(super) fn take_snapshot(&mut self) -> Option<Snapshot> {
        self.parts.snapshot.take()
    }

    fn shard(&self) -> ShardIndex {
        self.parts.start.segment.shard
    }

    pub(super) fn not_a_snapshot(&self) -> StateError {
        self.parts.directory.not_a_snapshot(self.shard())
    }

    /// The next entry of earlier runs; `None` once all were taken.
    pub(super) fn replay(&mut self) -> Result<Option<Replayed<'_>>, ShardError> {
        let shard = self.shard();
        let failed = |error| ShardError::Log { shard, error };
        let end = self.parts.end.next;
        self.replay.take_if(|reader| reader.sequence() >= end);
        let Some(reader) = &mut self.replay else { return Ok(None) };
        let Some(entry) = reader.read().map_err(failed)? else { return Ok(None) };
        let path = || self.parts.files.path_of(entry.position.segment);
        let point = fault::point("recovery.replay");
        point.map_err(|error| failed(LogError::io(path(), "read an entry")(error)))?;
        let begins_run = self.epoch.replace(entry.epoch) != Some(entry.epoch);
        let lane = usize::from(entry.frame.header().partition);
        Ok(Some(Replayed { entry: entry.sequence, lane, frame: entry.frame, begins_run }))
    }

    /// The shard begins with a snapshot that was made when so much had come `out`.
    ///
    /// # Errors
    /// When less is in the output, which it never was while that snapshot was in force: one of the
    /// two is of another time.
    pub(super) fn begin_replay(&self, out: OutputCounts) -> Result<(), StateError> {
        let directory = &self.parts.directory;
        let Some(output) = directory.output_progress()? else { return Ok(()) };
        let noted = self.noted(&output);
        if self.parts.is_history || out.are_within(noted) {
            return Ok(());
        }
        let path = directory.folder().join("output").display().to_string();
        let problem = format!(
            "it is of another time than the snapshot of shard {}: by that, {} results and {} late \
             records are in the output, and by this {} and {}",
            self.shard().0,
            out.results,
            out.late,
            noted.results,
            noted.late
        );
        Err(StateError::Damaged { path, problem })
    }

    /// What of the shard is in the output.
    fn noted(&self, output: &OutputProgress) -> OutputCounts {
        let of = |counts: &[u64]| counts.get(self.shard().index()).copied().unwrap_or(0);
        OutputCounts { results: of(&output.results), late: of(&output.late) }
    }

    /// What earlier runs took has been taken again, and `taken` has come out of it.
    ///
    /// # Errors
    /// When more had come out of it before: then the log has lost its end.
    pub(super) fn end_replay(&self, taken: OutputCounts) -> Result<(), ShardError> {
        let shard = self.shard();
        let failed = |error| ShardError::State { shard, error };
        let Some(output) = self.parts.directory.output_progress().map_err(failed)? else {
            return Ok(());
        };
        let out = self.noted(&output);
        if out.are_within(taken) {
            return Ok(());
        }
        let path = self.parts.files.path_of(self.parts.first_segment());
        let problem = format!(
            "the log before it has lost its end: {} results and {} late records come out of it, \
             and {} and {} are in the output",
            taken.results, taken.late, out.results, out.late
        );
        Err(failed(StateError::Damaged { path, problem }))
    }

    /// What snapshot and log say of each source.
    pub(super) fn heard(&self) -> &[Heard] {
        &self.parts.heard
    }

    /// How a log goes on behind what earlier runs wrote.
    pub(super) fn next_start(&self) -> WriterStart {
        let segment = self.parts.first_segment();
        WriterStart { segment, next: self.parts.end.next, ..self.parts.start }
    }

    /// Whether all that came out of earlier runs is known to have arrived: so much was `taken`,
    /// `before` of it when the shard's snapshot was put in force.
    pub(super) fn has_arrived(
        &self,
        taken: OutputCounts,
        before: OutputCounts,
    ) -> Result<bool, StateError> {
        let noted = self.parts.directory.output_progress()?;
        Ok(taken == noted.map_or(before, |noted| self.noted(&noted)))
    }

    /// Whether what earlier runs took is still being taken.
    pub(super) fn is_replaying(&self) -> bool {
        self.replay.is_some()
    }

    /// Whether only what earlier runs took is taken again.
    pub(super) fn is_history(&self) -> bool {
        self.parts.is_history
    }

    /// Looks at a frame from a lane that stands at `watermark`. Rows that the log holds are passed
    /// over; what else the frame says is kept.
    pub(super) fn admit(
        &mut self,
        (lane, is_done): (usize, bool),
        watermark: Watermark,
        frame: Frame<'_>,
    ) -> Admission {
        let header = frame.header();
        if let Some(FrameKind::End | FrameKind::Stopped) = header.kind() {
            self.parts.closed[lane] = true;
        }
        match header.kind() {
            // The next run goes on from here.
            Some(FrameKind::Stopped) => Admission::Nothing,
            _ if is_done => Admission::Nothing,
            Some(FrameKind::Records) => self.admit_rows(lane, watermark, frame),
            Some(FrameKind::Watermark) if header.advances() <= watermark => Admission::Nothing,
            _ => Admission::Whole,
        }
    }

    fn admit_rows(&mut self, lane: usize, watermark: Watermark, frame: Frame<'_>) -> Admission {
        let header = frame.header();
        let (first, count) = (header.lane_sequence, u64::from(header.count));
        let taken = &mut self.parts.heard[lane].rows;
        let known = taken.saturating_sub(first).min(count);
        *taken = (*taken).max(first + count);
        if known == 0 {
            return Admission::Whole;
        }
        if known < count {
            return Admission::Part(frame.without_first(known as usize));
        }
        if header.advances() <= watermark {
            return Admission::Nothing;
        }
        let mut heard = FrameHeader::new(FrameKind::Watermark, header.advances());
        heard.partition = header.partition;
        heard.stamp = header.stamp;
        Admission::Part(bytemuck::cast_slice(bytemuck::bytes_of(&heard)).to_vec())
    }

    /// Writes down a frame that is about to be taken.
    pub(super) fn append(&mut self, frame: Frame<'_>) -> Result<(), ShardError> {
        let shard = self.shard();
        let failed = |error| ShardError::Log { shard, error };
        if self.writer.is_none() {
            let segment = self.parts.first_segment();
            let JournalParts { files, end, start, .. } = &self.parts;
            let start = WriterStart { segment, next: end.next, ..*start };
            let before = end.segments.iter().copied();
            let ready = std::mem::take(&mut self.ready);
            let writer = LogWriter::begin(Arc::clone(files), start, before, ready);
            let mut writer = writer.map_err(failed)?;
            if let Some((work, bell)) = self.segments.take() {
                writer.help_with(move |request| {
                    let request = SegmentWork { request, bell: bell.clone() };
                    // Whoever is gone leaves it to the shard.
                    if let Err(SendError(request)) = work.send(request) {
                        request.fulfil(false);
                    }
                });
            }
            self.writer = Some(writer);
        }
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let entry = writer.append(frame).map_err(failed)?;
        self.written = entry.next();
        let lane = usize::from(frame.header().partition);
        self.parts.heard[lane].hear(frame);
        if frame.header().kind() == Some(FrameKind::Position)
            && let Some(place) = &self.parts.heard[lane].place
        {
            self.unkept[lane].note((entry, place.records()));
        }
        self.snapshots.note_logged(size_of_val(frame.words()));
        Ok(())
    }

    /// Whether it is time to write down all that the shard holds.
    pub(super) fn is_snapshot_due(&self) -> bool {
        self.writer.is_some() && self.snapshots.is_due()
    }

    /// Begins a snapshot, of the place that the log has come to. `freeze` freezes what the shard
    /// holds, about so many `bytes`, by when so much had come out, and writes what is small of it;
    /// it is told whether only what changed since the snapshot before is wanted.
    pub(super) fn begin_snapshot(
        &mut self,
        (taken, bytes): (OutputCounts, u64),
        freeze: impl FnOnce(&mut WordsWriter, bool),
    ) -> Result<(), ShardError> {
        let shard = self.shard();
        let Some(writer) = &self.writer else { return Ok(()) };
        let (next, epoch) = (writer.next(), self.parts.start.epoch);
        let (place, earlier) = (SnapshotPlace { shard, next, epoch }, self.snapshots.earlier());
        let begun = self.parts.directory.begin_snapshot(place, earlier);
        let begun = begun.map_err(|error| ShardError::State { shard, error })?;
        let mut out = WordsWriter::default();
        self.parts.heard.iter().for_each(|heard| heard.save(&mut out));
        freeze(&mut out, !begun.is_whole());
        self.snapshots.begin(begun, out, (next, taken, bytes));
        Ok(())
    }

    /// Goes on with a snapshot, if one is at hand, of what was frozen for it. Segments before one
    /// that is in force now are removed.
    pub(super) fn step_snapshot(
        &mut self,
        frozen: &mut impl Frozen,
        confirmed: OutputCounts,
    ) -> Result<Written, ShardError> {
        let shard = self.shard();
        if self.release_before.is_some() {
            self.release_some()?;
            return Ok(Written::Some);
        }
        if self.writer.as_mut().is_some_and(|writer| writer.give_back(SHRINK_STEP_BYTES)) {
            return Ok(Written::Some);
        }
        let written = self.snapshots.step(frozen, confirmed, self.commits.as_mut())?;
        if let (Written::InForce(next), Some(writer)) = (written, &self.writer) {
            let JournalParts { directory, shards, .. } = &self.parts;
            let segments: Vec<_> = writer.segments().collect();
            let first = directory.first_kept((shard, next), &segments, *shards);
            let first = first.map_err(|error| ShardError::State { shard, error })?;
            self.release_before = Some(first);
            self.release_some()?;
        }
        Ok(written)
    }

    /// Removes segments that are needed no more: one of full length, or several smaller ones, since
    /// giving their space back takes a while.
    fn release_some(&mut self) -> Result<(), ShardError> {
        let shard = self.shard();
        let (Some(first), Some(writer)) = (self.release_before, &mut self.writer) else {
            return Ok(());
        };
        let JournalParts { directory, files, .. } = &self.parts;
        let segments: Vec<_> = writer.segments().collect();
        let mut unneeded = segments.windows(2).filter(|pair| pair[1].1 <= first).peekable();
        let (mut until, mut bytes) = (EntrySequence::default(), 0);
        while bytes < SEGMENT_BYTES_MAX as u64
            && let Some(pair) = unneeded.next()
        {
            // One that can not be looked at is as good as small: removing it says what is wrong.
            bytes += std::fs::metadata(files.path_of(pair[0].0)).map_or(0, |found| found.len());
            until = pair[1].1;
        }
        let released = writer.release_before(until);
        released.map_err(|error| ShardError::Log { shard, error })?;
        if unneeded.peek().is_none() {
            let forgotten = directory.forget_before(shard, first);
            forgotten.map_err(|error| ShardError::State { shard, error })?;
            self.release_before = None;
        }
        Ok(())
    }

    /// Whether results are held until what they follow from is durable.
    pub(super) fn holds_results(&self) -> bool {
        self.commits.is_some()
    }

    /// Has another thread sync, which rings this bell when it has.
    pub(super) fn sync_with(&mut self, syncs: Sender<CommitRequest>, bell: Bell) {
        if let Some(commits) = &mut self.commits {
            commits.sync_with(syncs, bell);
        }
    }

    /// Has another thread make and remove segments, which rings this bell when it has.
    pub(super) fn make_segments_with(&mut self, work: Sender<SegmentWork>, bell: Bell) {
        self.segments = Some((work, bell));
    }

    /// Has what is written made durable when it is time to, which it is sooner where the shard is
    /// `idle`. Says what may leave of the `taken` results, if that is more than before.
    pub(super) fn commit(
        &mut self,
        taken: OutputCounts,
        (now, idle): (MonotonicNanos, bool),
    ) -> Result<Option<OutputCounts>, ShardError> {
        let shard = self.shard();
        let Some(commits) = &mut self.commits else { return Ok(None) };
        commits.note(taken, self.written);
        let covered = commits.covered()?;
        if let Some(writer) = &mut self.writer {
            if covered > self.marked {
                self.marked = covered;
                let marked = writer.mark_synced(covered);
                marked.map_err(|error| ShardError::Log { shard, error })?;
            }
            if commits.is_due(self.written, covered, (now, idle)) {
                commits.ask(writer.sync_point(), now);
            }
        }
        Ok(commits.let_out(commits.covered()?))
    }

    /// Says, lane by lane, behind how many records of its source more has become durable.
    pub(super) fn newly_kept(
        &mut self,
        mut on_kept: impl FnMut(usize, u64),
    ) -> Result<(), ShardError> {
        let covered = match &self.commits {
            Some(commits) => commits.covered()?,
            None => self.written,
        };
        for (lane, unkept) in self.unkept.iter_mut().enumerate() {
            if let Some(records) = unkept.take_before(covered) {
                on_kept(lane, records);
            }
        }
        Ok(())
    }

    /// Whether all that was written is durable, and what was to be removed is gone.
    pub(super) fn is_settled(&mut self) -> Result<bool, ShardError> {
        let shard = self.shard();
        if let Some(writer) = &mut self.writer
            && !writer.is_tidy().map_err(|error| ShardError::Log { shard, error })?
        {
            return Ok(false);
        }
        match &self.commits {
            Some(commits) => Ok(commits.covered()? >= self.written),
            None => Ok(true),
        }
    }

    /// Whether a lane brings nothing more in this run, be it that its source stopped before its
    /// end. That the source has ended is not enough: it may be read once more for another shard.
    pub(super) fn is_closed(&self, lane: usize) -> bool {
        self.parts.closed[lane]
    }
}
