//! Results handed to a closure on the shard's own core, and results that are only counted.

use super::handle::{front, late, may_leave, results};
use super::lane::LaneSession;
use super::{LaneSink, LateRecord, OutputCounts, ResultSink, Session, WindowResult};
use crate::aggregate::Aggregate;
use crate::cpu::Bell;
use crate::exchange::FRAME_WORDS_MAX;
use crate::frame::FrameKind;
use crate::limits::RESULT_LANE_BYTES;
use crate::metrics::SinkMeter;
use crate::record::{KeyKind, Schema, ShardIndex};
use crate::ring::{Consumer, ring};
use crate::time::Watermark;
use crate::window::{Fired, Flow, LateRow};
use std::marker::PhantomData;
use std::sync::Arc;

/// Calls a closure for each result, another for each late record. Both run on the shard's core,
/// so they must neither block nor take long. What a closure has returned from counts as
/// confirmed: an engine with state may never bring it again.
pub struct Callback<S, A, F, L> {
    calls: Calls<A, F, L>,
    /// What is held until it is let out.
    held: Option<Box<Held<S>>>,
}

/// The closures, and how often they were called.
pub struct Calls<A, F, L> {
    shard: ShardIndex,
    aggregate: A,
    on_result: F,
    on_late: L,
    sequence: u64,
    late: u64,
    meter: Arc<SinkMeter>,
}

/// Results between a shard and its own closures.
struct Held<S> {
    schema: S,
    lane: LaneSink<S>,
    consumer: Consumer<u64>,
}

impl<S, A, F, L> std::fmt::Debug for Callback<S, A, F, L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callback").field("shard", &self.calls.shard).finish_non_exhaustive()
    }
}

impl<A, F, L> std::fmt::Debug for Calls<A, F, L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calls").field("shard", &self.shard).finish_non_exhaustive()
    }
}

impl<S, A, F, L> Callback<S, A, F, L> {
    /// The closures of one shard.
    pub fn new(
        shard: ShardIndex,
        aggregate: A,
        on_result: F,
        on_late: L,
        meter: Arc<SinkMeter>,
    ) -> Self {
        let calls = Calls { shard, aggregate, on_result, on_late, sequence: 0, late: 0, meter };
        Self { calls, held: None }
    }
}

impl<S, A, F, L> ResultSink<S, A> for Callback<S, A, F, L>
where
    S: Schema,
    A: Aggregate<S::Row>,
    F: for<'k> FnMut(WindowResult<<S::Key as KeyKind>::Ref<'k>, A::Output>) + Send + 'static,
    L: FnMut(LateRecord<'_, S::Row>) + Send + 'static,
{
    type Session<'a> = CallbackSession<'a, S, A, F, L>;

    fn session(&mut self, watermark: Watermark) -> Self::Session<'_> {
        match &mut self.held {
            None => CallbackSession::Calling(&mut self.calls, watermark, PhantomData),
            Some(held) => {
                let session = ResultSink::<S, A>::session(&mut held.lane, watermark);
                CallbackSession::Holding(session)
            }
        }
    }

    fn late(&mut self, schema: &S, late: &LateRow<'_, S::Row>) {
        if let Some(held) = &mut self.held {
            return ResultSink::<S, A>::late(&mut held.lane, schema, late);
        }
        self.calls.meter.late.add(1);
        (self.calls.on_late)(LateRecord {
            row: late.row,
            heap: late.heap,
            window_end: late.window_end,
            watermark: late.watermark,
            shard: self.calls.shard,
            sequence: self.calls.late,
        });
        self.calls.late += 1;
    }

    fn flush(&mut self) -> bool {
        self.held.as_mut().is_none_or(|held| ResultSink::<S, A>::flush(&mut held.lane))
    }

    fn finish(&mut self) -> bool {
        true
    }

    fn taken(&self) -> OutputCounts {
        match &self.held {
            None => ResultSink::<S, A>::confirmed(self),
            Some(held) => ResultSink::<S, A>::taken(&held.lane),
        }
    }

    fn confirmed(&self) -> OutputCounts {
        OutputCounts { results: self.calls.sequence, late: self.calls.late }
    }

    fn resume(&mut self, behind: OutputCounts, late: u64) {
        (self.calls.sequence, self.calls.late) = (behind.results, behind.late);
        self.calls.meter.results.set(behind.results);
        self.calls.meter.late.set(late);
    }

    fn hold(&mut self, schema: &S) {
        let (producer, consumer) = ring(RESULT_LANE_BYTES / 8, FRAME_WORDS_MAX);
        let (schema, meter) = (schema.clone(), Arc::clone(&self.calls.meter));
        let mut lane = LaneSink::new(schema.clone(), producer, Bell::new(), true, meter);
        let behind = ResultSink::<S, A>::confirmed(self);
        ResultSink::<S, A>::resume(&mut lane, behind, behind.late);
        self.held = Some(Box::new(Held { schema, lane, consumer }));
    }

    fn let_out(&mut self, until: OutputCounts) {
        let Some(held) = &mut self.held else { return };
        let (shard, taken) = (usize::from(self.calls.shard.0), &mut 0);
        while let Some(frame) = front(&mut held.consumer)
            && may_leave(frame.header(), until)
        {
            let (words, kind) = (frame.words().len(), frame.header().kind());
            *taken = 0;
            match kind {
                Some(FrameKind::Partials) => {
                    let next = (shard, frame, &mut *taken);
                    results(&held.schema, &self.calls.aggregate, next, &mut self.calls.on_result);
                    self.calls.sequence += *taken as u64;
                }
                _ => {
                    late(&held.schema, (shard, frame, &mut *taken), &mut self.calls.on_late);
                    self.calls.late += *taken as u64;
                }
            }
            held.consumer.release(words);
        }
    }
}

/// A session of a [`Callback`].
pub enum CallbackSession<'a, S, A, F, L> {
    /// Its closures are called at once.
    Calling(&'a mut Calls<A, F, L>, Watermark, PhantomData<fn() -> S>),
    /// They are called once the results may leave.
    Holding(LaneSession<'a>),
}

impl<S, A, F, L> std::fmt::Debug for CallbackSession<'_, S, A, F, L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Calling(calls, ..) => calls.fmt(f),
            Self::Holding(lane) => lane.fmt(f),
        }
    }
}

impl<S, A, F, L> Session<S::Key, A::Partial> for CallbackSession<'_, S, A, F, L>
where
    S: Schema,
    A: Aggregate<S::Row>,
    F: for<'k> FnMut(WindowResult<<S::Key as KeyKind>::Ref<'k>, A::Output>) + Send + 'static,
{
    #[inline]
    fn emit(&mut self, fired: &Fired<'_, S::Key, A::Partial>) -> Flow {
        let (sink, watermark) = match self {
            Self::Calling(sink, watermark, _) => (&mut **sink, *watermark),
            Self::Holding(lane) => return Session::<S::Key, A::Partial>::emit(lane, fired),
        };
        (sink.on_result)(WindowResult {
            window: fired.window,
            key: fired.key,
            value: sink.aggregate.lower(fired.partial),
            reason: fired.reason,
            watermark,
            shard: sink.shard,
            sequence: sink.sequence,
        });
        sink.sequence += 1;
        Flow::Taken
    }

    fn results(&self) -> u64 {
        match self {
            Self::Calling(sink, ..) => sink.sequence,
            Self::Holding(lane) => Session::<S::Key, A::Partial>::results(lane),
        }
    }

    fn close(self) {
        match self {
            Self::Calling(sink, ..) => sink.meter.results.set(sink.sequence),
            Self::Holding(lane) => Session::<S::Key, A::Partial>::close(lane),
        }
    }
}

/// Counts results and late records, and drops them.
#[derive(Debug)]
pub struct Discard {
    results: u64,
    /// Whether late records count as taken.
    takes_late: bool,
    meter: Arc<SinkMeter>,
}

impl Discard {
    /// A sink that counts into `meter`.
    pub fn new(meter: Arc<SinkMeter>) -> Self {
        Self { results: 0, takes_late: true, meter }
    }

    /// The same in the place of a sink that takes late records, or that nobody asked for them.
    #[must_use]
    pub fn taking_late(self, takes_late: bool) -> Self {
        Self { takes_late, ..self }
    }
}

impl<S: Schema, A: Aggregate<S::Row>> ResultSink<S, A> for Discard {
    type Session<'a> = &'a mut Self;

    fn session(&mut self, _: Watermark) -> &mut Self {
        self
    }

    fn late(&mut self, _: &S, _: &LateRow<'_, S::Row>) {
        self.meter.late.add(1);
    }

    fn flush(&mut self) -> bool {
        true
    }

    fn finish(&mut self) -> bool {
        true
    }

    fn taken(&self) -> OutputCounts {
        let late = if self.takes_late { self.meter.late.get() } else { 0 };
        OutputCounts { results: self.results, late }
    }

    fn confirmed(&self) -> OutputCounts {
        ResultSink::<S, A>::taken(self)
    }

    fn resume(&mut self, behind: OutputCounts, late: u64) {
        self.results = behind.results;
        self.meter.results.set(behind.results);
        self.meter.late.set(late);
    }

    /// What is thrown away need not be held.
    fn hold(&mut self, _: &S) {}

    fn let_out(&mut self, _: OutputCounts) {}
}

impl<K: KeyKind, P> Session<K, P> for &mut Discard {
    #[inline]
    fn emit(&mut self, fired: &Fired<'_, K, P>) -> Flow {
        std::hint::black_box(fired.partial);
        self.results += 1;
        Flow::Taken
    }

    fn results(&self) -> u64 {
        self.results
    }

    fn close(self) {
        self.meter.results.set(self.results);
    }
}
