//! The shard's step: the hot path from a frame to a result.

use super::commit::CommitRequest;
use super::heard::Heard;
use super::journal::{Admission, Journal, Replayed};
use super::progress::Progress;
use super::replayed::{ReplayObserver, ReplayedRows};
use super::segments::SegmentWork;
use super::snapshots::{Frozen, Written};
use crate::aggregate::Aggregate;
use crate::cpu::Bell;
use crate::exchange::{Inbox, WatermarkMerge};
use crate::frame::{Frame, FrameKind};
use crate::limits::{
    LANE_STEP_BYTES, LANE_STEP_NANOS_FROZEN, RESULTS_AFTER_STOP, RESULTS_PER_STEP,
    WINDOWS_AFTER_STOP,
};
use crate::log::LogError;
use crate::metrics::{LatencyWriter, ShardMeter};
use crate::record::{KeyKind, NotSaved, Schema, ShardIndex, WordsReader, WordsWriter};
use crate::ring::LocalRing;
use crate::sink::{OutputCounts, ResultSink, Session};
use crate::state::StateError;
use crate::time::{Clock, EventTime, MonotonicNanos, Watermark};
use crate::window::{Added, Firing, Flow, LateRow, StoreError, WindowStore};
use crossbeam::channel::Sender;
use std::sync::Arc;

/// Why a shard can not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShardError {
    /// The windows' state has reached a limit.
    #[error("shard {}: {error}", shard.0)]
    Store {
        /// Which shard.
        shard: ShardIndex,
        /// Which limit, and how to mend it.
        error: StoreError,
    },
    /// A frame is of a kind that this build does not know.
    #[error("shard {}: a frame of an unknown kind in lane {lane}", shard.0)]
    UnknownFrame {
        /// Which shard.
        shard: ShardIndex,
        /// Which lane.
        lane: usize,
    },
    /// The log can not be read or written.
    #[error("shard {}: {error}", shard.0)]
    Log {
        /// Which shard.
        shard: ShardIndex,
        /// What is wrong with it.
        error: LogError,
    },
    /// A snapshot can not be written.
    #[error("shard {}: {error}", shard.0)]
    State {
        /// Which shard.
        shard: ShardIndex,
        /// What is wrong.
        error: StateError,
    },
    /// A source went away without a last word.
    #[error("shard {}: the source of lane {lane} went away without an end", shard.0)]
    SourceGone {
        /// Which shard.
        shard: ShardIndex,
        /// Which lane.
        lane: usize,
    },
}

/// What a shard is made of.
pub struct ShardParts<S: Schema, A: Aggregate<S::Row>, R> {
    /// Which shard.
    pub index: ShardIndex,
    /// The schema of inbound rows.
    pub schema: S,
    /// The inbound lanes.
    pub inbox: Inbox,
    /// The merge of their watermarks.
    pub merge: WatermarkMerge,
    /// The windows.
    pub store: WindowStore<S::Key, A, S::Row>,
    /// Where results go.
    pub sink: R,
    /// Where counts go.
    pub meter: Arc<ShardMeter>,
    /// Where latencies go.
    pub latency: LatencyWriter,
}

/// One shard: lanes in, windows, results out.
pub struct Shard<S: Schema, A: Aggregate<S::Row>, R> {
    pub(super) parts: ShardParts<S, A, R>,
    pub(super) journal: Option<Journal>,
    /// Who is shown what is taken again.
    observer: Option<ReplayObserver>,
    /// Which lane the next step begins with, so that none is favoured.
    first_lane: usize,
    /// Whether a source stopped before its end: what is open then comes out as interrupted.
    interrupted: bool,
    /// When the frame that lets the windows in hand close was sent.
    unlocked: Option<MonotonicNanos>,
    fired: u64,
    /// Windows and results that were out when it was first seen that the shard is to stop.
    stopped_at: Option<(u64, u64)>,
    finished: bool,
}

/// What became of the results that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drained {
    /// They are out.
    All,
    /// There is no room for them.
    NoRoom,
    /// As many as one step lets out are out.
    Some,
}

impl<S: Schema, A: Aggregate<S::Row>, R> std::fmt::Debug for ShardParts<S, A, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShardParts").field("index", &self.index).finish_non_exhaustive()
    }
}

impl<S: Schema, A: Aggregate<S::Row>, R> std::fmt::Debug for Shard<S, A, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard").field("parts", &self.parts).finish_non_exhaustive()
    }
}

impl<S, A, R> Shard<S, A, R>
where
    S: Schema,
    A: Aggregate<S::Row>,
    R: ResultSink<S, A>,
{
    /// A shard that has seen nothing yet. With a journal, it begins with what the journal holds.
    ///
    /// # Errors
    /// When the journal's snapshot is not of such a shard.
    pub fn new(
        mut parts: ShardParts<S, A, R>,
        mut journal: Option<Journal>,
    ) -> Result<Self, StateError> {
        for (lane, rows) in journal.iter().flat_map(Journal::known_rows).enumerate() {
            parts.inbox.note_known(lane, rows);
        }
        if let Some(journal) = &mut journal
            && let Some(snapshot) = journal.take_snapshot()
        {
            let restored = parts.restore(&snapshot.words);
            restored.map_err(|NotSaved| journal.not_a_snapshot())?;
            journal.begin_replay(parts.sink.taken())?;
        }
        if journal.as_ref().is_some_and(Journal::holds_results) {
            parts.sink.hold(&parts.schema);
        }
        Ok(Self {
            parts,
            journal,
            observer: None,
            first_lane: 0,
            interrupted: false,
            unlocked: None,
            fired: 0,
            stopped_at: None,
            finished: false,
        })
    }

    /// Shows the rows that are taken again, from now on, before they are folded.
    pub fn observe_replay(&mut self, observer: ReplayObserver) {
        self.observer = Some(observer);
    }

    /// Windows that start before this may hold rows already; `None` where no window does.
    pub fn holds_until(&self) -> Option<EventTime> {
        self.parts.store.holds_until()
    }

    /// What has come out of it, earlier runs counted in.
    pub fn taken(&self) -> OutputCounts {
        self.parts.sink.taken()
    }

    /// One bounded piece of work. `stopping`: what is left of very many windows comes out no more.
    ///
    /// # Errors
    /// When the shard can not go on; the engine stops with that error.
    pub fn step(
        &mut self,
        locals: &mut [LocalRing<u64>],
        clock: &impl Clock,
        stopping: bool,
    ) -> Result<Progress, ShardError> {
        if self.finished {
            return Ok(Progress::Finished);
        }
        let progress = self.step_on(locals, clock, stopping)?;
        let is_idle = progress != Progress::Worked;
        let let_out = self.commit(clock, is_idle)?;
        let kept = self.note_kept()?;
        Ok(if let_out || kept { Progress::Worked } else { progress })
    }

    /// Lets sources know what of them is durable. Says whether that is more than before.
    fn note_kept(&mut self) -> Result<bool, ShardError> {
        let Self { journal: Some(journal), parts, .. } = self else { return Ok(false) };
        let mut any = false;
        journal.newly_kept(|lane, records| {
            parts.inbox.note_kept(lane, records);
            any = true;
        })?;
        Ok(any)
    }

    fn step_on(
        &mut self,
        locals: &mut [LocalRing<u64>],
        clock: &impl Clock,
        stopping: bool,
    ) -> Result<Progress, ShardError> {
        match self.drain(clock, stopping) {
            Drained::All => {}
            Drained::NoRoom => return Ok(Progress::Blocked),
            Drained::Some => return Ok(Progress::Worked),
        }
        if self.journal.as_ref().is_some_and(Journal::is_replaying) {
            return self.replay(clock, stopping);
        }
        let lanes = match self.journal.as_ref().is_some_and(Journal::is_history) {
            true => 0,
            false => self.parts.inbox.lanes(),
        };
        // Before more is taken, so that no step adds to what was copied without writing some of it.
        let mut worked = self.snapshot()?;
        for lane in (self.first_lane..lanes).chain(0..self.first_lane) {
            let begun = self.parts.store.is_frozen().then(|| clock.now());
            let is_over = |begun| clock.now().since(begun) >= LANE_STEP_NANOS_FROZEN;
            let mut bytes = 0;
            while bytes < LANE_STEP_BYTES
                && !begun.is_some_and(is_over)
                && let Some(taken) = self.take_frame(lane, locals)?
            {
                bytes += taken;
                worked = true;
                if self.drain(clock, stopping) != Drained::All {
                    return Ok(Progress::Worked);
                }
            }
        }
        self.first_lane = (self.first_lane + 1) % lanes.max(1);
        let is_over = (0..lanes).all(|lane| self.is_closed(lane)) && self.is_settled()?;
        if is_over {
            self.parts.sink.let_out(self.parts.sink.taken());
        }
        if is_over && self.parts.sink.finish() {
            self.finished = true;
            self.note_held();
            self.parts.meter.ended.set(u64::from(self.parts.merge.is_done()));
            self.parts.latency.publish_last();
            return Ok(Progress::Worked);
        }
        if !worked {
            self.parts.latency.publish(clock.now());
            self.look_for_lost_sources()?;
        }
        Ok(if worked { Progress::Worked } else { Progress::Idle })
    }

    /// Takes one frame of a lane, if there is one; says how many bytes it has.
    fn take_frame(
        &mut self,
        lane: usize,
        locals: &mut [LocalRing<u64>],
    ) -> Result<Option<usize>, ShardError> {
        let (inbox, mut operators) = self.parts.split();
        let Some(frame) = inbox.front(lane, locals) else {
            return Ok(None);
        };
        let words = frame.words().len();
        let header = frame.header();
        let (advances, is_idle) = (header.advances(), header.kind() == Some(FrameKind::Idle));
        let applied = match &mut self.journal {
            Some(journal) => operators.apply_new(journal, lane, frame)?,
            None => operators.apply(lane, frame)?,
        };
        inbox.release(lane, words, applied.records, locals);
        inbox.note(lane, advances, is_idle);
        self.parts.meter.frames.add(1);
        self.interrupted |= applied.interrupted;
        if let Some(watermark) = applied.moved {
            self.advance(watermark, applied.stamp);
        }
        Ok(Some(words * 8))
    }

    /// Takes again what earlier runs took, a step's worth.
    fn replay(&mut self, clock: &impl Clock, stopping: bool) -> Result<Progress, ShardError> {
        let mut bytes = 0;
        while bytes < LANE_STEP_BYTES
            && let Some(journal) = &mut self.journal
        {
            let Some(Replayed { entry, lane, frame, begins_run }) = journal.replay()? else {
                journal.end_replay(self.parts.sink.taken())?;
                self.parts.merge.begin_run();
                break;
            };
            let (inbox, mut operators) = self.parts.split();
            if begins_run {
                operators.merge.begin_run();
            }
            if let Some(observer) = &mut self.observer
                && frame.header().kind() == Some(FrameKind::Records)
            {
                let judged_by = operators.merge.judge(lane, frame.header().watermark());
                observer(&ReplayedRows { shard: operators.shard, entry, frame, judged_by });
            }
            bytes += size_of_val(frame.words());
            let applied = operators.apply(lane, frame)?;
            inbox.note_earlier(lane, applied.records);
            if let Some(watermark) = applied.moved {
                self.advance(watermark, 0);
            }
            if self.drain(clock, stopping) != Drained::All {
                break;
            }
        }
        Ok(Progress::Worked)
    }

    /// Goes on with a snapshot, or begins one when it is time to. Nothing is in hand.
    fn snapshot(&mut self) -> Result<bool, ShardError> {
        let Self { parts, journal: Some(journal), .. } = self else { return Ok(false) };
        if journal.is_snapshot_due() {
            let so_far = (parts.sink.taken(), parts.store.snapshot_bytes());
            journal.begin_snapshot(so_far, |out, changes| parts.freeze(out, changes))?;
            return Ok(true);
        }
        let written = journal.step_snapshot(&mut parts.store, parts.sink.confirmed())?;
        if let Written::InForce(_) = written {
            parts.meter.snapshots.add(1);
        }
        Ok(written != Written::Nothing)
    }

    /// Lets out what has become durable, and has more become so. Says whether anything may leave
    /// that might not before.
    fn commit(&mut self, clock: &impl Clock, is_idle: bool) -> Result<bool, ShardError> {
        let Some(journal) = self.journal.as_mut().filter(|journal| journal.holds_results()) else {
            return Ok(false);
        };
        let out = journal.commit(self.parts.sink.taken(), (clock.now(), is_idle))?;
        if let Some(until) = out {
            self.parts.sink.let_out(until);
        }
        Ok(out.is_some())
    }

    /// Whether nothing is held back, and nothing is left to be done about the log.
    fn is_settled(&mut self) -> Result<bool, ShardError> {
        self.journal.as_mut().map_or(Ok(true), Journal::is_settled)
    }

    /// Has another thread sync, which rings this bell when it has.
    pub fn sync_with(&mut self, syncs: Sender<CommitRequest>, bell: Bell) {
        if let Some(journal) = &mut self.journal {
            journal.sync_with(syncs, bell);
        }
    }

    /// Has another thread make and remove segments of the log; it rings this bell when it has.
    pub fn make_segments_with(&mut self, work: Sender<SegmentWork>, bell: Bell) {
        if let Some(journal) = &mut self.journal {
            journal.make_segments_with(work, bell);
        }
    }

    /// Whether a lane will bring nothing more.
    fn is_closed(&self, lane: usize) -> bool {
        match &self.journal {
            Some(journal) => journal.is_closed(lane),
            None => self.parts.merge.is_lane_done(lane),
        }
    }

    /// The merged watermark moved: windows may close.
    fn advance(&mut self, watermark: Watermark, stamp: u64) {
        self.parts.meter.watermark.set(watermark.to_raw());
        self.unlocked = (stamp != 0).then_some(MonotonicNanos(stamp));
        match watermark == Watermark::END {
            true if self.interrupted => self.parts.store.interrupt(),
            true => self.parts.store.end_of_input(self.parts.merge.highest()),
            false => self.parts.store.advance(watermark),
        }
    }

    /// Lets out what waits: results of closed windows, late records.
    fn drain(&mut self, clock: &impl Clock, stopping: bool) -> Drained {
        if !self.parts.sink.flush() {
            return Drained::NoRoom;
        }
        if !self.parts.store.is_firing() {
            return Drained::All;
        }
        // With a journal the next run would number its results otherwise.
        if stopping && self.journal.is_none() && self.gives_up() {
            self.parts.meter.left_out.add(self.parts.store.abandon() as u64);
            self.note_close(clock);
            return Drained::All;
        }
        let mut left = RESULTS_PER_STEP;
        while left > 0 {
            let mut session = self.parts.sink.session(self.parts.merge.merged());
            let before = session.results();
            let firing = self.parts.store.fire(&mut |fired| match left {
                0 => Flow::Full,
                _ => {
                    left -= 1;
                    session.emit(&fired)
                }
            });
            let results = session.results() - before;
            session.close();
            self.fired += results;
            self.parts.meter.results.add(results);
            if firing == Firing::Done {
                self.note_close(clock);
                return Drained::All;
            }
            if results == 0 {
                return Drained::NoRoom;
            }
        }
        Drained::Some
    }

    /// Whether enough came out since the shard is to stop: of ever so many windows the rest would
    /// keep it from its end.
    fn gives_up(&mut self) -> bool {
        let (windows, results) = (self.parts.store.windows_fired(), self.parts.meter.results.get());
        let (windows_then, results_then) = *self.stopped_at.get_or_insert((windows, results));
        windows - windows_then >= WINDOWS_AFTER_STOP && results - results_then >= RESULTS_AFTER_STOP
    }

    /// All windows that the watermark closed are out.
    fn note_close(&mut self, clock: &impl Clock) {
        if let Some(unlocked) = self.unlocked.take()
            && self.fired > 0
        {
            let now = clock.now();
            self.parts.latency.record(now.since(unlocked), now);
        }
        self.fired = 0;
        self.note_held();
    }

    fn note_held(&self) {
        let stats = self.parts.store.stats();
        self.parts.meter.live_keys.set(stats.live_keys as u64);
        self.parts.meter.open_slices.set(stats.open_slices as u64);
        self.parts.meter.windows.set(stats.windows_fired);
    }

    fn look_for_lost_sources(&mut self) -> Result<(), ShardError> {
        let shard = self.parts.index;
        let lost = (0..self.parts.inbox.lanes())
            .find(|lane| !self.is_closed(*lane) && self.parts.inbox.is_abandoned(*lane));
        match lost {
            Some(lane) => Err(ShardError::SourceGone { shard, lane }),
            None => Ok(()),
        }
    }
}

/// What a frame changes, borrowed apart from the lanes that it lies in.
struct Operators<'p, S: Schema, A: Aggregate<S::Row>, R> {
    shard: ShardIndex,
    schema: &'p S,
    merge: &'p mut WatermarkMerge,
    store: &'p mut WindowStore<S::Key, A, S::Row>,
    sink: &'p mut R,
    meter: &'p ShardMeter,
}

/// What a frame came to.
#[derive(Clone, Copy, Debug, Default)]
struct Applied {
    /// Records that its rows stood for.
    records: u64,
    /// The merged watermark, when it moved.
    moved: Option<Watermark>,
    /// When the frame was sent.
    stamp: u64,
    /// Whether its source stopped before its end.
    interrupted: bool,
}

impl<S: Schema, A: Aggregate<S::Row>, R> ShardParts<S, A, R> {
    fn split(&mut self) -> (&mut Inbox, Operators<'_, S, A, R>) {
        let Self { index, inbox, merge, store, schema, sink, meter, .. } = self;
        (inbox, Operators { shard: *index, schema, merge, store, sink, meter })
    }
}

/// What a shard has counted, as its snapshots have it.
#[derive(Clone, Debug)]
pub(super) struct SavedCounts {
    pub(super) taken: OutputCounts,
    /// Rows received, counted, late and partly late.
    pub(super) rows: [u64; 4],
    /// Records that each lane has brought.
    pub(super) lanes: Vec<u64>,
}

impl SavedCounts {
    /// Those of a shard that has taken nothing of so many lanes.
    pub(super) fn none(lanes: usize) -> Self {
        Self { taken: OutputCounts::default(), rows: [0; 4], lanes: vec![0; lanes] }
    }

    pub(super) fn save(&self, out: &mut WordsWriter) {
        let OutputCounts { results, late } = self.taken;
        let counts = [results, late].into_iter().chain(self.rows);
        counts.chain(self.lanes.iter().copied()).for_each(|count| out.word(count));
    }
}

impl<K: KeyKind, A: Aggregate<Row>, Row: ?Sized> Frozen for WindowStore<K, A, Row> {
    fn is_frozen(&self) -> bool {
        self.is_frozen()
    }

    fn copied_bytes(&self) -> usize {
        self.copied_bytes()
    }

    fn save_some(&mut self, out: &mut WordsWriter, bytes: usize) -> bool {
        self.save_some(out, bytes)
    }
}

impl<S: Schema, A: Aggregate<S::Row>, R: ResultSink<S, A>> ShardParts<S, A, R> {
    /// Begins to write down all that the shard holds and has counted, or what of it has changed
    /// since it did so before.
    fn freeze(&mut self, out: &mut WordsWriter, only_changes: bool) {
        self.counts().save(out);
        self.merge.save(out);
        match only_changes {
            true => self.store.freeze_changes(out),
            false => self.store.freeze(out),
        }
    }

    /// What it has counted.
    pub(super) fn counts(&self) -> SavedCounts {
        let meter = &self.meter;
        let rows = [&meter.received, &meter.counted, &meter.late, &meter.partly_late];
        SavedCounts {
            taken: self.sink.taken(),
            rows: rows.map(|count| count.get()),
            lanes: self.inbox.received().collect(),
        }
    }

    /// Brings a new shard to what was written down, behind what was heard of its sources.
    fn restore(&mut self, words: &[u64]) -> Result<(), NotSaved> {
        let from = &mut WordsReader::new(words);
        Heard::restore_all(from, self.inbox.lanes())?;
        let counts = OutputCounts { results: from.word()?, late: from.word()? };
        let meter = &self.meter;
        meter.results.set(counts.results);
        for count in [&meter.received, &meter.counted, &meter.late, &meter.partly_late] {
            count.set(from.word()?);
        }
        self.sink.resume(counts, meter.late.get());
        for lane in 0..self.inbox.lanes() {
            self.inbox.note_earlier(lane, from.word()?);
        }
        self.merge.restore(from)?;
        self.store.restore(from)?;
        from.end()?;
        self.meter.watermark.set(self.merge.merged().to_raw());
        let stats = self.store.stats();
        meter.live_keys.set(stats.live_keys as u64);
        meter.open_slices.set(stats.open_slices as u64);
        meter.windows.set(stats.windows_fired);
        Ok(())
    }
}

impl<S: Schema, A: Aggregate<S::Row>, R: ResultSink<S, A>> Operators<'_, S, A, R> {
    /// Takes a frame.
    fn apply(&mut self, lane: usize, frame: Frame<'_>) -> Result<Applied, ShardError> {
        let Self { shard, schema, merge, store, sink, meter } = self;
        let shard = *shard;
        let header = frame.header();
        let mut applied = Applied { stamp: header.stamp, ..Applied::default() };
        applied.moved = match header.kind().ok_or(ShardError::UnknownFrame { shard, lane })? {
            FrameKind::Records => {
                let judged_by = merge.judge(lane, header.watermark());
                let late = &mut |late: LateRow<'_, S::Row>| sink.late(schema, &late);
                let added = store
                    .add_frame(*schema, frame, judged_by, late)
                    .map_err(|error| ShardError::Store { shard, error })?;
                applied.records = u64::from(header.count);
                note_added(meter, applied.records, added);
                merge.observe(lane, header.advances())
            }
            FrameKind::Partials => {
                let judged_by = merge.judge(lane, header.watermark());
                let added = store
                    .add_partials(frame, judged_by)
                    .map_err(|error| ShardError::Store { shard, error })?;
                applied.records = added.counted;
                note_added(meter, applied.records, added);
                merge.observe(lane, header.advances())
            }
            FrameKind::Watermark => merge.observe(lane, header.advances()),
            FrameKind::Position | FrameKind::Synced => None,
            FrameKind::Idle => merge.idle(lane, MonotonicNanos(header.stamp)),
            FrameKind::End => merge.done(lane),
            FrameKind::Stopped => {
                applied.interrupted = true;
                merge.stopped(lane)
            }
        };
        Ok(applied)
    }

    /// Writes down what is new of a frame, and takes that.
    fn apply_new(
        &mut self,
        journal: &mut Journal,
        lane: usize,
        frame: Frame<'_>,
    ) -> Result<Applied, ShardError> {
        let is_done = self.merge.is_lane_done(lane);
        match journal.admit((lane, is_done), self.merge.watermark_of(lane), frame) {
            Admission::Nothing => Ok(Applied::default()),
            Admission::Whole => {
                journal.append(frame)?;
                self.apply(lane, frame)
            }
            Admission::Part(words) => {
                journal.append(Frame::trusted(&words))?;
                self.apply(lane, Frame::trusted(&words))
            }
        }
    }
}

/// Counts a frame's records, and what became of them.
fn note_added(meter: &ShardMeter, received: u64, added: Added) {
    meter.received.add(received);
    meter.counted.add(added.counted);
    meter.late.add(added.late);
    meter.partly_late.add(added.partly_late);
}
