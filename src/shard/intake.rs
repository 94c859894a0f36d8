//! The intake: a source on its core. It polls batches, moves the partition's watermark, applies
//! the stages, routes what is left, and cuts frames where lateness can change.

use super::combining::{Combining, LocalFold};
use super::jump::{Held, JumpGate, JumpRule};
use super::place::{IntakePlace, Standing};
use super::progress::Progress;
use crate::aggregate::Aggregate;
use crate::exchange::{Round, Router};
use crate::frame::{FrameKind, Stamp};
use crate::limits::{
    BATCH_RECORDS_MAX, POSITION_RECORDS, RECORD_BYTES_MAX, ROUNDS_PER_STEP, ROWS_PER_ROUND,
};
use crate::metrics::SourceMeter;
use crate::operator::{Applied, Stage};
use crate::record::{KeyKind, Schema, SourceSequence};
use crate::ring::LocalRing;
use crate::source::{KeptRecords, Polled, Source, SourceError};
use crate::time::{Clock, EventTime, MonotonicNanos, Span, Watermark};
use crate::window::{Combiner, Flow, WindowSpec};
use std::collections::VecDeque;
use std::sync::Arc;

/// How often an idle source says the time, when the watermark is to follow the clock.
const IDLE_TICK_NANOS: u64 = 20_000_000;

/// How a source's event time is understood.
#[derive(Clone, Debug)]
pub struct TimeRules {
    /// How far out of order records come: the watermark stays so far behind the highest time.
    pub out_of_order: Span,
    /// The resolution of timestamps.
    pub tick: Span,
    /// After how long without records a source is idle; never, if `None`.
    pub idle_after: Option<Span>,
    /// Whether the merged watermark follows the clock when all sources are idle.
    pub idle_advance: bool,
    /// When a jump in event time is believed; always, if `None`.
    pub jump: Option<JumpRule>,
}

/// A record that was read but could not be used, told to the engine's observer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeadLetter {
    /// A time far ahead of the rest that nothing confirmed.
    FarFuture {
        /// The source.
        source: String,
        /// Its number among the records that the source could read, from 1.
        record: u64,
        /// The record's time.
        time: EventTime,
    },
    /// A record longer than a frame takes.
    TooLarge {
        /// The source.
        source: String,
        /// Its number among the records that the source could read, from 1.
        record: u64,
        /// Its length.
        bytes: usize,
    },
}

/// Who is told of dead letters.
pub type DeadLetterObserver = Arc<dyn Fn(DeadLetter) + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    /// All is routed; the last word is still to be sent.
    Ending(FrameKind),
    Finished,
}

/// Counts since the start, handed to the meter once a step.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    read: u64,
    routed: u64,
    rows: u64,
    filtered: u64,
    dead: u64,
}

/// The row that comes out of a stage.
type OutRow<S, P> = <<P as Stage<S>>::Out as Schema>::Row;
/// The folded slices of what comes out of a stage.
type Folded<S, P, A> = LocalFold<<<P as Stage<S>>::Out as Schema>::Key, A, OutRow<S, P>>;

/// One source, its watermark and its lanes.
pub struct Intake<S: Schema, P: Stage<S>, A: Aggregate<OutRow<S, P>>> {
    source: Box<dyn Source<S>>,
    schema: S,
    stage: P,
    out: P::Out,
    router: Router,
    fold: Folded<S, P, A>,
    spec: WindowSpec,
    rules: TimeRules,
    partition: u16,
    state: State,
    /// Rows of the batch in hand, and the next of them.
    rows: usize,
    next: usize,
    gate: Option<JumpGate>,
    admitted: VecDeque<Held>,
    max: Option<i64>,
    jump_limit: i64,
    /// The time from which on a record moves the watermark past a window's end.
    cut_at: i64,
    position: u64,
    pending_since: Option<MonotonicNanos>,
    idle_told: Option<MonotonicNanos>,
    tally: Tally,
    meter: Arc<SourceMeter>,
    observer: Option<DeadLetterObserver>,
    journaled: bool,
    /// Records read when the shards last heard where the source stands.
    told: u64,
    /// What of a pushed source is kept, and what was when it last heard of that.
    kept: Option<(KeptRecords, u64)>,
}

/// What an intake is made of.
pub struct IntakeParts<S: Schema, P: Stage<S>, A> {
    /// Where records come from.
    pub source: Box<dyn Source<S>>,
    /// The schema of the source's rows.
    pub schema: S,
    /// What happens to rows before they are routed.
    pub stage: P,
    /// The schema of what comes out of the stage.
    pub out: P::Out,
    /// The lanes to the shards.
    pub router: Router,
    /// The windows whose ends frames are cut at.
    pub spec: WindowSpec,
    /// What is computed of them.
    pub aggregate: A,
    /// Whether records are folded before they are sent. Never where the source may be found
    /// idle: then other sources may close the windows of what is in hand.
    pub combining: Combining,
    /// How event time is understood.
    pub rules: TimeRules,
    /// The number of the partition.
    pub partition: u16,
    /// Where counts go.
    pub meter: Arc<SourceMeter>,
    /// Who is told of dead letters.
    pub observer: Option<DeadLetterObserver>,
    /// Whether the shards write down what they take, so that they are to hear where the source
    /// stands.
    pub journaled: bool,
}

impl<S: Schema, P: Stage<S>, A: Aggregate<OutRow<S, P>>> std::fmt::Debug for Intake<S, P, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").field("source", &self.source.name()).finish_non_exhaustive()
    }
}

impl<S: Schema, P: Stage<S>, A> std::fmt::Debug for IntakeParts<S, P, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IntakeParts").field("source", &self.source.name()).finish_non_exhaustive()
    }
}

impl<S: Schema, P: Stage<S>, A: Aggregate<OutRow<S, P>>> Intake<S, P, A> {
    /// An intake that has read nothing yet.
    pub fn new(parts: IntakeParts<S, P, A>) -> Self {
        let gate = parts.rules.jump.map(JumpGate::new);
        let combining = match parts.rules.idle_after {
            Some(_) => Combining::Never,
            None => parts.combining,
        };
        let mut source = parts.source;
        let kept = (parts.journaled && source.is_pushed()).then(|| {
            source.acknowledge_by(parts.router.kept());
            (parts.router.kept(), 0)
        });
        Self {
            source,
            schema: parts.schema,
            stage: parts.stage,
            out: parts.out,
            fold: LocalFold::new(combining, Combiner::new(parts.spec, parts.aggregate)),
            router: parts.router,
            spec: parts.spec,
            rules: parts.rules,
            partition: parts.partition,
            state: State::Reading,
            rows: 0,
            next: 0,
            jump_limit: if gate.is_some() { i64::MIN } else { i64::MAX },
            gate,
            admitted: VecDeque::new(),
            max: None,
            cut_at: i64::MIN,
            position: 0,
            pending_since: None,
            idle_told: None,
            tally: Tally::default(),
            meter: parts.meter,
            observer: parts.observer,
            journaled: parts.journaled,
            told: 0,
            kept,
        }
    }

    /// Lets a pushed source know when more of it is kept.
    fn acknowledge(&mut self) {
        if let Some((kept, before)) = &mut self.kept {
            let now = kept();
            if now > *before {
                *before = now;
                self.source.acknowledge();
            }
        }
    }

    /// One bounded piece of work. `stopping`: read no more than the source has in hand, end without
    /// an end of input.
    ///
    /// # Errors
    /// When the source can not go on.
    pub fn step(
        &mut self,
        mut local: Option<&mut LocalRing<u64>>,
        clock: &impl Clock,
        stopping: bool,
    ) -> Result<Progress, SourceError> {
        self.acknowledge();
        if self.state == State::Reading && !self.has_rows() && !self.fold.is_flushing() {
            let records = if self.kept.is_some() { 1 } else { POSITION_RECORDS };
            if !self.tell_place(local.as_deref_mut(), records)? {
                return Ok(Progress::Blocked);
            }
            if stopping && !self.source.drains() {
                self.stop();
            } else if let Some(progress) = self.poll(local.as_deref_mut(), clock)? {
                let goes_on = stopping && progress == Progress::Idle;
                return Ok(if goes_on { Progress::Worked } else { progress });
            }
        }
        let progress = match self.state {
            State::Finished => Progress::Finished,
            State::Ending(kind) if !self.has_rows() && self.fold.is_empty() => {
                match self.tell_place(local.as_deref_mut(), 1)? {
                    true => self.end(local, kind),
                    false => Progress::Blocked,
                }
            }
            State::Reading | State::Ending(_) => self.route(local, clock),
        };
        self.settle();
        Ok(progress)
    }

    /// Lets the shards know where the source stands, once `records` were read since they last
    /// heard; for the first time as soon as there is something to know the source by. `false` when
    /// there is no room to say so.
    fn tell_place(
        &mut self,
        local: Option<&mut LocalRing<u64>>,
        records: u64,
    ) -> Result<bool, SourceError> {
        // What is held out is in no lane.
        let unsaid = self.tally.read - self.told;
        let is_first = self.told == 0 && unsaid > 0;
        let is_due = self.journaled && (is_first || unsaid >= records);
        if !is_due || self.meter.held.get() != 0 {
            return Ok(true);
        }
        let Some(source) = self.source.position()? else { return Ok(true) };
        let Tally { read, routed, rows, filtered, dead } = self.tally;
        let (max, has_max) = (self.max.unwrap_or(0), u64::from(self.max.is_some()));
        let position = self.position;
        let standing =
            Standing { source, position, max, has_max, read, routed, rows, filtered, dead };
        let place = IntakePlace { standing, lane_rows: self.router.lane_rows().collect() };
        if !self.router.position(local, self.watermark(), &place.words()) {
            return Ok(false);
        }
        self.told = read;
        Ok(true)
    }

    /// Goes on where an earlier run stood; `ended` if its source had ended by then.
    ///
    /// # Errors
    /// When the source is not what it was, or has more though it had ended.
    pub fn resume(&mut self, place: &IntakePlace, ended: bool) -> Result<(), SourceError> {
        let standing = place.standing;
        if place != &IntakePlace::default() {
            self.source.resume(standing.source)?;
        }
        if ended {
            self.state = State::Finished;
            self.refuse_more()?;
        }
        let Standing { position, read, routed, rows, filtered, dead, .. } = standing;
        self.tally = Tally { read, routed, rows, filtered, dead };
        (self.position, self.told) = (position, read);
        self.max = (standing.has_max != 0).then_some(standing.max);
        self.router.resume(&place.lane_rows);
        if let Some(gate) = &self.gate {
            self.jump_limit = gate.limit(self.max);
        }
        if self.max.is_some() {
            self.set_cut();
        }
        self.settle();
        Ok(())
    }

    /// Refuses records behind an end that all shards have taken for the last.
    fn refuse_more(&mut self) -> Result<(), SourceError> {
        while let Polled::Batch = self.source.poll(BATCH_RECORDS_MAX)? {
            if self.schema.rows(self.source.batch()) > 0 {
                return Err(SourceError::Ended { name: self.source.name().to_owned() });
            }
        }
        Ok(())
    }

    fn has_rows(&self) -> bool {
        self.next < self.rows || !self.admitted.is_empty()
    }

    /// Polls the source. `None` when there are rows to route or an end to send.
    fn poll(
        &mut self,
        mut local: Option<&mut LocalRing<u64>>,
        clock: &impl Clock,
    ) -> Result<Option<Progress>, SourceError> {
        (self.rows, self.next) = (0, 0);
        match self.source.poll(BATCH_RECORDS_MAX)? {
            Polled::Batch => {
                self.rows = self.schema.rows(self.source.batch());
                if self.rows == 0 {
                    return Ok(Some(self.pending(local, clock, Progress::Worked)));
                }
                self.tally.read += self.rows as u64;
                (self.pending_since, self.idle_told) = (None, None);
                Ok(None)
            }
            Polled::Pending => {
                self.tell_place(local.as_deref_mut(), 1)?;
                Ok(Some(self.pending(local, clock, Progress::Idle)))
            }
            Polled::End => {
                self.end_of_input();
                Ok(None)
            }
        }
    }

    fn end_of_input(&mut self) {
        self.state = State::Ending(FrameKind::End);
        self.release();
    }

    fn stop(&mut self) {
        self.state = State::Ending(FrameKind::Stopped);
        // Where it is written down how far the source came, the next run reads these again.
        if !self.journaled {
            self.release();
        }
    }

    /// Decides about all that is held out: nothing comes that could confirm it.
    fn release(&mut self) {
        let held = self.gate.as_mut().map(JumpGate::drain).unwrap_or_default();
        if self.max.is_none() {
            // Too short an input to confirm anything: there is nothing that it could be far from.
            self.meter.held.set(0);
            self.admitted.extend(held);
            self.jump_limit = i64::MAX;
        } else {
            held.into_iter().for_each(|held| self.bury(&held));
        }
    }

    fn bury(&mut self, held: &Held) {
        self.tally.dead += 1;
        self.meter.held.set(self.meter.held.get().saturating_sub(1));
        let (record, time) = (held.record, EventTime::from_nanos(held.nanos));
        self.tell(|source| DeadLetter::FarFuture { source, record, time });
    }

    fn tell(&self, letter: impl FnOnce(String) -> DeadLetter) {
        if let Some(observer) = &self.observer {
            observer(letter(self.source.name().to_owned()));
        }
    }

    /// Nothing came: decides, from that and the time, whether the source is idle.
    fn pending(
        &mut self,
        local: Option<&mut LocalRing<u64>>,
        clock: &impl Clock,
        otherwise: Progress,
    ) -> Progress {
        self.fold.note_wait();
        self.fold.flush_all(self.watermark());
        if self.fold.is_flushing() {
            let progress = self.route(local, clock);
            self.settle();
            return progress;
        }
        self.settle();
        let Some(idle_after) = self.rules.idle_after else {
            return otherwise;
        };
        let now = clock.now();
        let since = *self.pending_since.get_or_insert(now);
        let due = match self.idle_told {
            None => now.since(since) >= idle_after.as_nanos().unsigned_abs(),
            Some(told) => self.rules.idle_advance && now.since(told) >= IDLE_TICK_NANOS,
        };
        if !due {
            return otherwise;
        }
        if self.router.control(local, FrameKind::Idle, self.watermark(), now.0) {
            self.idle_told = Some(now);
            Progress::Worked
        } else {
            Progress::Blocked
        }
    }

    fn end(&mut self, local: Option<&mut LocalRing<u64>>, kind: FrameKind) -> Progress {
        let watermark = match kind {
            FrameKind::End => Watermark::END,
            _ => self.watermark(),
        };
        if self.router.control(local, kind, watermark, 0) {
            self.state = State::Finished;
            Progress::Worked
        } else {
            Progress::Blocked
        }
    }

    fn watermark(&self) -> Watermark {
        watermark_of(self.max, self.rules.out_of_order)
    }

    /// Hands the counts of the hot loop to the meter.
    fn settle(&mut self) {
        let counts = self.source.counts();
        let tally = self.tally;
        self.meter.read.set(tally.read + counts.malformed);
        self.meter.malformed.set(counts.malformed);
        self.meter.bytes.set(counts.bytes);
        self.meter.routed.set(tally.routed);
        self.meter.rows.set(tally.rows);
        let unsent = self.fold.records();
        self.meter.combined.set(self.fold.sent() + unsent);
        self.meter.unsent.set(unsent);
        self.meter.filtered.set(tally.filtered);
        self.meter.dead_letter.set(tally.dead + counts.malformed);
        if let Some(max) = self.max {
            self.meter.max_time.set(max);
            self.meter.watermark.set(self.watermark().to_raw());
        }
    }

    /// Routes what is in hand, as far as the lanes have room, a step's worth at most: stages may
    /// make very many rows of a batch.
    fn route(&mut self, mut local: Option<&mut LocalRing<u64>>, clock: &impl Clock) -> Progress {
        let mut rounds = 0;
        loop {
            let watermark = self.watermark();
            self.fold.bound(watermark);
            if !self.has_rows() && self.state != State::Reading {
                self.fold.flush_all(watermark);
            }
            if !self.fold.flush(&mut self.router, local.as_deref_mut()) {
                return if rounds > 0 { Progress::Worked } else { Progress::Blocked };
            }
            if !self.has_rows() || rounds == ROUNDS_PER_STEP {
                return Progress::Worked;
            }
            let stride = self.out.stride_words();
            let Some(mut round) = self.router.open(local.as_deref_mut(), watermark, stride) else {
                return if rounds > 0 { Progress::Worked } else { Progress::Blocked };
            };
            rounds += 1;
            let mut hand = Hand {
                schema: &self.schema,
                stage: &mut self.stage,
                out: &self.out,
                partition: self.partition,
                position: &mut self.position,
                max: &mut self.max,
                tally: &mut self.tally,
                cut_at: self.cut_at,
                expanded: 0,
            };
            let in_hand = InHand {
                batch: self.source.batch(),
                next: &mut self.next,
                rows: self.rows,
                jump_limit: self.jump_limit,
                admitted: &mut self.admitted,
            };
            let filled = match self.fold.folds() {
                true => {
                    let folding = &mut Folding { round: &mut round, fold: &mut self.fold };
                    hand.fill(folding, in_hand)
                }
                false => hand.fill(&mut round, in_hand),
            };
            let advances = watermark_of(self.max, self.rules.out_of_order);
            if filled == Filled::Cut {
                let now = clock.now();
                let thresholds = self.spec.thresholds(advances, self.rules.tick);
                let on_time_from = thresholds.partly_late_before;
                match self.fold.cut(on_time_from, watermark, self.tally.rows, (advances, now)) {
                    true => round.close(watermark, false, 0),
                    false => round.close(advances, true, now.0),
                }
                self.set_cut();
            } else {
                round.close(advances, false, 0);
            }
            self.note_filled(filled);
        }
    }

    /// What is to be done about the row at which a round was left.
    fn note_filled(&mut self, filled: Filled) {
        match filled {
            Filled::Jump => self.hold_out(),
            Filled::TooLarge { record, bytes } => {
                self.tell(|source| DeadLetter::TooLarge { source, record, bytes });
            }
            Filled::Cut | Filled::Spent | Filled::NoRoom | Filled::Enough => {}
        }
        if let Some(gate) = &self.gate {
            self.jump_limit = gate.limit(self.max);
        }
    }

    /// Finds the next time at which the watermark passes a window's end.
    fn set_cut(&mut self) {
        let horizon = self.watermark().horizon(self.rules.tick);
        // An end beyond all times saturates; subtracted last, the tick makes a cut too many of it
        // and never one too few.
        let end = self.spec.next_end_after(horizon);
        self.cut_at = end
            .saturating_add(self.rules.out_of_order.as_nanos())
            .saturating_sub(self.rules.tick.as_nanos());
    }

    /// The next row of the batch is a jump, as far as was known when the round began: the gate
    /// decides, unless the rows since then have moved the limit past it.
    fn hold_out(&mut self) {
        let batch = self.source.batch();
        let row = self.schema.row(batch, self.next);
        let limit = self.gate.as_ref().map_or(i64::MAX, |gate| gate.limit(self.max));
        if self.schema.event_time(row).as_nanos() <= limit {
            return;
        }
        let mut words = vec![0; self.schema.stride_words()];
        let mut tail = Vec::new();
        self.schema.lay(row, self.schema.heap(batch), &mut words, &mut tail);
        let nanos = self.schema.event_time(row).as_nanos();
        self.next += 1;
        let record = number(self.tally.read, self.rows, self.next);
        let held = Held::new(record, nanos, &words, &tail);
        self.meter.held.add(1);
        let Some(gate) = &mut self.gate else { return };
        let verdict = gate.hold(held);
        if let Some(held) = &verdict.pushed_out {
            self.bury(held);
        }
        let admitted = verdict.admitted.len() as u64;
        self.meter.held.set(self.meter.held.get().saturating_sub(admitted));
        self.admitted.extend(verdict.admitted);
    }
}

/// The watermark of a partition whose highest time is `max`.
fn watermark_of(max: Option<i64>, bound: Span) -> Watermark {
    max.map_or(Watermark::START, |max| Watermark::behind(EventTime::from_nanos(max), bound))
}

/// Why a round was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filled {
    /// No rows are left in hand.
    Spent,
    /// A lane's claim is full, or the row in hand became more rows than a round takes; it waits.
    NoRoom,
    /// The stages made as many rows as a round takes.
    Enough,
    /// The watermark passed a window's end.
    Cut,
    /// The row in hand is a jump.
    Jump,
    /// The row in hand, of so many bytes, fits no frame; it is passed over.
    TooLarge { record: u64, bytes: usize },
}

/// The number, from 1, of the record before row `next` of a batch of `rows`. All of the batch in
/// hand count as `read`.
#[inline]
const fn number(read: u64, rows: usize, next: usize) -> u64 {
    read - (rows - next) as u64
}

/// Rows of a batch, and the few that were held out.
const HOT: bool = true;
const COLD: bool = false;

/// Where rows go.
trait Destination<S: Schema> {
    /// Takes a row; `false` when there is no room for it.
    fn take(&mut self, schema: &S, row: (&S::Row, &[u8]), stamp: Stamp) -> bool;
}

/// Every row to the lane of its key's shard.
impl<S: Schema> Destination<S> for Round<'_> {
    #[inline(always)]
    fn take(&mut self, schema: &S, (row, heap): (&S::Row, &[u8]), stamp: Stamp) -> bool {
        self.push(schema, row, heap, stamp)
    }
}

/// Rows that are on time into their slices, late ones to the lanes.
struct Folding<'a, 'r, K: KeyKind, A: Aggregate<Row>, Row: ?Sized> {
    round: &'a mut Round<'r>,
    fold: &'a mut LocalFold<K, A, Row>,
}

impl<S: Schema, A: Aggregate<S::Row>> Destination<S> for Folding<'_, '_, S::Key, A, S::Row> {
    #[inline(always)]
    fn take(&mut self, schema: &S, (row, heap): (&S::Row, &[u8]), stamp: Stamp) -> bool {
        match self.fold.take(schema, (row, heap), stamp.sequence) {
            Some(flow) => flow == Flow::Taken,
            None => self.round.push(schema, row, heap, stamp),
        }
    }
}

/// What is in hand: records that were held out and are admitted now, which go first, and a batch.
struct InHand<'h, S: Schema> {
    batch: S::Batch<'h>,
    next: &'h mut usize,
    rows: usize,
    jump_limit: i64,
    admitted: &'h mut VecDeque<Held>,
}

/// What the hot loop needs, borrowed apart.
struct Hand<'h, S: Schema, P: Stage<S>> {
    schema: &'h S,
    stage: &'h mut P,
    out: &'h P::Out,
    partition: u16,
    position: &'h mut u64,
    max: &'h mut Option<i64>,
    tally: &'h mut Tally,
    cut_at: i64,
    /// Rows made in this round of records that became several.
    expanded: u32,
}

impl<S: Schema, P: Stage<S>> Hand<'_, S, P> {
    /// Fills a round from what is in hand.
    fn fill<D: Destination<P::Out>>(&mut self, to: &mut D, in_hand: InHand<'_, S>) -> Filled {
        match in_hand.admitted.is_empty() {
            true => self.fill_from_batch(to, in_hand),
            false => self.fill_admitted(to, in_hand.admitted),
        }
    }

    fn fill_from_batch<D: Destination<P::Out>>(
        &mut self,
        to: &mut D,
        InHand { batch, next, rows, jump_limit, .. }: InHand<'_, S>,
    ) -> Filled {
        let heap = self.schema.heap(batch);
        while *next < rows {
            let row = self.schema.row(batch, *next);
            if self.schema.event_time(row).as_nanos() > jump_limit {
                return Filled::Jump;
            }
            let (read, behind) = (self.tally.read, *next + 1);
            match self.place::<HOT, D>(to, row, heap, || number(read, rows, behind)) {
                Some(Filled::NoRoom) => return Filled::NoRoom,
                Some(filled) => {
                    *next += 1;
                    return filled;
                }
                None => *next += 1,
            }
        }
        Filled::Spent
    }

    fn fill_admitted<D: Destination<P::Out>>(
        &mut self,
        to: &mut D,
        admitted: &mut VecDeque<Held>,
    ) -> Filled {
        while let Some(held) = admitted.front() {
            let row = self.schema.view(&held.words);
            match self.place::<COLD, D>(to, row, &held.heap, || held.record) {
                Some(Filled::NoRoom) => return Filled::NoRoom,
                Some(filled) => {
                    admitted.pop_front();
                    return filled;
                }
                None => admitted.pop_front(),
            };
        }
        Filled::Spent
    }

    /// One row through the stages to where it goes, then the watermark. `record` says its number.
    ///
    /// `PATH` makes the code of the hot loop its own, so that all of it is compiled in place.
    #[inline(always)]
    fn place<const PATH: bool, D: Destination<P::Out>>(
        &mut self,
        to: &mut D,
        row: &S::Row,
        heap: &[u8],
        record: impl FnOnce() -> u64,
    ) -> Option<Filled> {
        let bytes = self.schema.tail_bytes(row) + self.schema.stride_words() * 8;
        if bytes > RECORD_BYTES_MAX {
            *self.position += 1;
            self.tally.dead += 1;
            return Some(Filled::TooLarge { record: record(), bytes });
        }
        let stamp = Stamp {
            sequence: SourceSequence::new(self.partition, *self.position),
            ..Stamp::default()
        };
        let (out, mut made) = (self.out, 0);
        // Where rows are folded no lane says that it is enough.
        let applied = self.stage.apply(row, heap, &mut |row, heap| {
            made += 1;
            made <= ROWS_PER_ROUND && to.take(out, (row, heap), stamp)
        });
        match applied {
            Applied::NoRoom => return Some(Filled::NoRoom),
            Applied::Placed(0) => self.tally.filtered += 1,
            Applied::Placed(rows) => {
                self.tally.routed += 1;
                self.tally.rows += u64::from(rows);
            }
        }
        *self.position += 1;
        let nanos = self.schema.event_time(row).as_nanos();
        if self.max.is_none_or(|max| nanos > max) {
            *self.max = Some(nanos);
            if nanos >= self.cut_at {
                return Some(Filled::Cut);
            }
        }
        if made > 1 {
            self.expanded += made;
            if self.expanded > ROWS_PER_ROUND {
                return Some(Filled::Enough);
            }
        }
        None
    }
}
