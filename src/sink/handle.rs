//! The in-process handle that results are polled from, on any thread.

use super::lane::{LATE_HEAD_WORDS, OutputMarks, RESULT_HEAD_WORDS, result_stride};
use super::{LateRecord, OutputCounts, WindowResult};
use crate::aggregate::Aggregate;
use crate::cpu::{Bell, Listener};
use crate::frame::{Frame, FrameHeader, FrameKind, HEADER_WORDS};
use crate::metrics::SinkMeter;
use crate::record::{KeyKind, Schema, ShardIndex};
use crate::ring::Consumer;
use crate::state::{Delivery, OutputProgress, StateDirectory, StateError};
use crate::time::{EventTime, Watermark};
use crate::window::{Reason, Window};
use std::sync::Arc;
use std::time::Duration;

/// What comes out of an engine.
#[derive(Debug)]
pub enum Output<'a, K, V, R: ?Sized> {
    /// A window's result.
    Result(WindowResult<K, V>),
    /// A late record, when a late output was asked for.
    Late(LateRecord<'a, R>),
}

/// The results of an engine, shard by shard. Bounded: an engine whose results are not polled
/// stands still once the rings are full. Dropped: further results are counted and thrown away.
#[derive(Debug)]
pub struct Results<S, A> {
    schema: S,
    aggregate: A,
    lanes: Vec<ResultLane>,
    listener: Listener,
    delivering: Option<Delivering>,
    /// Whether something that was handed over did not reach those for whom it was: nothing more is
    /// confirmed then, so that it comes again.
    is_spoiled: bool,
}

/// How results are handed over where a run is gone on with.
#[derive(Debug)]
pub(crate) struct Delivering {
    state: Arc<StateDirectory>,
    /// What is noted as out, with [`Delivery::AtMostOnce`].
    noted: Option<OutputProgress>,
}

impl Delivering {
    /// As the state directory says.
    ///
    /// # Errors
    /// When it can not be read what is noted as out.
    pub(crate) fn begin(state: Arc<StateDirectory>) -> Result<Self, StateError> {
        let noted = match state.delivery() {
            Delivery::AtMostOnce => state.output_progress()?,
            _ => None,
        };
        Ok(Self { state, noted })
    }
}

/// The reader's end of one shard's ring: the bell wakes the shard's core.
pub(crate) type LaneParts = (Consumer<u64>, Bell, Arc<SinkMeter>, Arc<OutputMarks>);

#[derive(Debug)]
struct ResultLane {
    consumer: Consumer<u64>,
    /// Wakes the shard's core when there is room again.
    bell: Bell,
    /// Rows of the frame in front that have been handed over.
    taken: usize,
    ended: bool,
    meter: Arc<SinkMeter>,
    /// What was handed over.
    polled: OutputCounts,
    /// What was noted as out before this run: it is not handed over again.
    out: OutputCounts,
    /// What may be handed over, where that is noted first.
    noted: Option<OutputCounts>,
    marks: Arc<OutputMarks>,
}

impl ResultLane {
    /// Notes that a frame of so many results, or late records, was handed over.
    fn note(&mut self, kind: Option<FrameKind>, until: u64) {
        match kind {
            Some(FrameKind::Partials) => self.polled.results = until,
            Some(FrameKind::Records) => self.polled.late = until,
            _ => {}
        }
    }

    /// Whether there is something to hand over now.
    fn is_readable(&mut self) -> bool {
        let front = front(&mut self.consumer);
        front.is_some_and(|frame| may_leave(frame.header(), self.marks.let_out.get()))
    }

    /// What a shard that is gone has not let out never leaves.
    fn is_ended(&mut self) -> bool {
        self.ended || self.consumer.is_abandoned() && !self.is_readable()
    }
}

/// Whether all of a frame of results or late records is let out.
pub(super) fn may_leave(header: &FrameHeader, let_out: OutputCounts) -> bool {
    let until = header.lane_sequence + u64::from(header.count);
    match header.kind() {
        Some(FrameKind::Partials) => until <= let_out.results,
        Some(FrameKind::Records) => until <= let_out.late,
        _ => true,
    }
}

/// Rows of a frame, of the first, that are among what is `out`.
fn known(out: OutputCounts, header: &FrameHeader) -> usize {
    let out = match header.kind() {
        Some(FrameKind::Partials) => out.results,
        Some(FrameKind::Records) => out.late,
        _ => 0,
    };
    out.saturating_sub(header.lane_sequence).min(u64::from(header.count)) as usize
}

impl<S, A> Results<S, A> {
    /// What is confirmed of a shard; before anything is handed over, what it goes on behind.
    pub(super) fn behind(&self, shard: ShardIndex) -> OutputCounts {
        self.lanes[shard.index()].marks.confirmed.get()
    }
}

impl<S: Schema, A: Aggregate<S::Row>> Results<S, A> {
    pub(crate) fn new(
        (schema, aggregate): (S, A),
        lanes: Vec<LaneParts>,
        listener: Listener,
        delivering: Option<Delivering>,
    ) -> Self {
        let noted = delivering.as_ref().and_then(|how| how.noted.as_ref());
        let lane = |(shard, (consumer, bell, meter, marks))| {
            let out = noted.map(|noted| noted.of(shard));
            let out = out.map(|(results, late)| OutputCounts { results, late });
            ResultLane {
                consumer,
                bell,
                taken: 0,
                ended: false,
                meter,
                polled: OutputCounts::default(),
                out: out.unwrap_or_default(),
                noted: out,
                marks,
            }
        };
        let lanes = lanes.into_iter().enumerate().map(lane).collect();
        Self { schema, aggregate, lanes, listener, delivering, is_spoiled: false }
    }

    /// The state directory, where a run is gone on with.
    pub(super) fn state(&self) -> Option<&Arc<StateDirectory>> {
        self.delivering.as_ref().map(|how| &how.state)
    }

    /// How many shards results come from.
    pub fn shards(&self) -> usize {
        self.lanes.len()
    }

    /// Something that was handed over did not reach those for whom it was.
    pub(super) fn spoil(&mut self) {
        self.is_spoiled = true;
    }

    fn delivery(&self) -> Delivery {
        self.delivering.as_ref().map(|how| how.state.delivery()).unwrap_or_default()
    }

    /// Before anything is handed over: what that confirms, or what is to be noted of it.
    fn begin_poll(&mut self) -> Result<(), StateError> {
        match self.delivery() {
            Delivery::ExactlyOnce => {}
            Delivery::AtLeastOnce => self.confirm(),
            Delivery::AtMostOnce => self.note_what_is_there()?,
        }
        Ok(())
    }

    /// Notes that all that is there now is out.
    fn note_what_is_there(&mut self) -> Result<(), StateError> {
        let Some(Delivering { state, noted: Some(noted) }) = &mut self.delivering else {
            return Ok(());
        };
        let mut now = noted.clone();
        for (shard, lane) in self.lanes.iter_mut().enumerate() {
            let (sent, let_out) = (lane.marks.sent.get(), lane.marks.let_out.get());
            now.raise(shard, (sent.results.min(let_out.results), sent.late.min(let_out.late)));
        }
        if now != *noted {
            state.set_output_progress(&now)?;
            *noted = now;
        }
        for (shard, lane) in self.lanes.iter_mut().enumerate() {
            let (results, late) = noted.of(shard);
            lane.noted = Some(OutputCounts { results, late });
            lane.marks.confirmed.raise(OutputCounts { results, late });
        }
        Ok(())
    }

    /// Hands over what is there now, without waiting, and not what comes meanwhile; says how many
    /// outputs that were.
    ///
    /// No output is handed over twice: one at which `on_output` panicked counts as handed over,
    /// and the next poll goes on behind it.
    ///
    /// # Panics
    /// With [`Delivery::AtMostOnce`], when it can not be noted first what is to be handed over;
    /// [`Results::try_poll`] says so instead.
    pub fn poll(
        &mut self,
        on_output: impl FnMut(Output<'_, <S::Key as KeyKind>::Ref<'_>, A::Output, S::Row>),
    ) -> usize {
        self.try_poll(on_output).unwrap_or_else(|error| panic!("{error}"))
    }

    /// [`Results::poll`], for [`Delivery::AtMostOnce`].
    ///
    /// # Errors
    /// When it can not be noted what is to be handed over. Nothing was then, and the next poll
    /// tries again.
    pub fn try_poll(
        &mut self,
        mut on_output: impl FnMut(Output<'_, <S::Key as KeyKind>::Ref<'_>, A::Output, S::Row>),
    ) -> Result<usize, StateError> {
        self.begin_poll()?;
        self.each_frame(|(schema, aggregate), next| {
            match next.1.header().kind() {
                Some(FrameKind::Partials) => {
                    results(schema, aggregate, next, &mut |result| {
                        on_output(Output::Result(result));
                    });
                }
                _ => late(schema, next, &mut |late| on_output(Output::Late(late))),
            }
            Ok(0)
        })
    }

    /// Hands over, frame by frame, what is there now; says how many outputs that were. `on_frame`
    /// takes the rows behind those that are taken, and says how many of them it passed over.
    pub(super) fn each_frame<E>(
        &mut self,
        mut on_frame: impl FnMut((&S, &A), (usize, Frame<'_>, &mut usize)) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let (mut outputs, of) = (0, (&self.schema, &self.aggregate));
        for (shard, lane) in self.lanes.iter_mut().enumerate() {
            let mut there = lane.consumer.readable();
            while there > 0 {
                let Some(frame) = front(&mut lane.consumer) else { break };
                let may_take = lane.noted.unwrap_or_else(|| lane.marks.let_out.get());
                if !may_leave(frame.header(), may_take) {
                    break;
                }
                let words = frame.words().len();
                there = there.saturating_sub(words);
                let header = frame.header();
                let ended = header.kind() == Some(FrameKind::End);
                let known = known(lane.out, header);
                lane.taken = lane.taken.max(known);
                let taken_before = lane.taken;
                let (kind, until) = (header.kind(), header.lane_sequence + u64::from(header.count));
                let is_rows = matches!(kind, Some(FrameKind::Partials | FrameKind::Records));
                let passed_over = match is_rows {
                    true => on_frame(of, (shard, frame, &mut lane.taken))?,
                    false => 0,
                };
                let taken = std::mem::take(&mut lane.taken);
                outputs += (taken - taken_before).saturating_sub(passed_over);
                lane.note(kind, until);
                if kind == Some(FrameKind::Partials) {
                    lane.meter.handed.add((taken - known - passed_over) as u64);
                    lane.meter.passed_over.add((known + passed_over) as u64);
                }
                lane.consumer.release(words);
                lane.ended |= ended;
                lane.meter.ended.set(u64::from(lane.ended));
                lane.bell.ring();
            }
        }
        Ok(outputs)
    }

    /// Says that all that was handed over so far has reached those for whom it is, and need never
    /// come again. An engine with state keeps what it would need to bring it again until then, so
    /// its logs grow while nothing is confirmed; without state this does nothing.
    ///
    /// With [`Delivery::AtLeastOnce`] each poll says so of what was handed over before it, and with
    /// [`Delivery::AtMostOnce`] of what it hands over.
    pub fn confirm(&mut self) {
        if self.is_spoiled {
            return;
        }
        for lane in &mut self.lanes {
            lane.marks.confirmed.raise(lane.polled);
        }
    }

    /// Whether everything has been handed over that ever will be.
    pub fn is_ended(&mut self) -> bool {
        self.lanes.iter_mut().all(ResultLane::is_ended)
    }

    /// Waits until there is something to poll or everything has ended, for `timeout` at most.
    pub fn wait(&mut self, timeout: Duration) {
        let nap = self.listener.prepare();
        let lanes = &mut self.lanes;
        let readable = lanes.iter_mut().any(ResultLane::is_readable);
        if !readable && !lanes.iter_mut().all(ResultLane::is_ended) {
            nap.sleep(timeout);
        }
    }

    /// Hands over everything until the end, waiting as needed.
    ///
    /// # Panics
    /// As [`Results::poll`] does.
    pub fn for_each(
        &mut self,
        mut on_output: impl FnMut(Output<'_, <S::Key as KeyKind>::Ref<'_>, A::Output, S::Row>),
    ) {
        loop {
            if self.poll(&mut on_output) == 0 {
                if self.is_ended() {
                    return;
                }
                self.wait(Duration::from_millis(100));
            }
        }
    }
}

pub(super) fn front(consumer: &mut Consumer<u64>) -> Option<Frame<'_>> {
    let words = Frame::words_of(consumer.front(HEADER_WORDS)?);
    consumer.front(words).map(Frame::trusted)
}

/// Hands over a frame's rows from the `taken`th on, each counted before it is: whatever becomes
/// of it there, it does not come again.
pub(super) fn results<S: Schema, A: Aggregate<S::Row>>(
    _: &S,
    aggregate: &A,
    (shard, frame, taken): (usize, Frame<'_>, &mut usize),
    on_result: &mut impl FnMut(WindowResult<<S::Key as KeyKind>::Ref<'_>, A::Output>),
) {
    let shard = ShardIndex(u16::try_from(shard).expect("shards are counted in 16 bits"));
    let stride = result_stride::<S::Key, A::Partial>();
    let (rows, heap) = (&frame.rows()[*taken * stride..], frame.heap());
    let first = frame.header().lane_sequence + *taken as u64;
    let watermark = frame.header().watermark();
    for (row, sequence) in rows.chunks_exact(stride).zip(first..) {
        *taken += 1;
        let (key, partial) = row[RESULT_HEAD_WORDS..].split_at(S::Key::words());
        let bytes: &[u8] = bytemuck::cast_slice(partial);
        let partial: A::Partial = bytemuck::pod_read_unaligned(&bytes[..size_of::<A::Partial>()]);
        on_result(WindowResult {
            window: Window {
                start: EventTime::from_nanos(row[0].cast_signed()),
                end: EventTime::from_nanos(row[1].cast_signed()),
            },
            key: S::Key::read(key, heap),
            value: aggregate.lower(&partial),
            reason: Reason::from_raw(row[2]),
            watermark,
            shard,
            sequence,
        });
    }
}

/// The same with late records.
pub(super) fn late<S: Schema>(
    schema: &S,
    (shard, frame, taken): (usize, Frame<'_>, &mut usize),
    on_late: &mut impl FnMut(LateRecord<'_, S::Row>),
) {
    let shard = ShardIndex(u16::try_from(shard).expect("shards are counted in 16 bits"));
    let stride = schema.stride_words() + LATE_HEAD_WORDS;
    let (rows, heap) = (&frame.rows()[*taken * stride..], frame.heap());
    let first = frame.header().lane_sequence + *taken as u64;
    for (row, sequence) in rows.chunks_exact(stride).zip(first..) {
        *taken += 1;
        on_late(LateRecord {
            row: schema.view(&row[LATE_HEAD_WORDS..]),
            heap,
            window_end: row[0].cast_signed(),
            watermark: Watermark::from_raw(row[1].cast_signed()),
            shard,
            sequence,
        });
    }
}
