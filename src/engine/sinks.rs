//! From what a program asked for to the sinks of the shards.

use super::Engine;
use crate::aggregate::Aggregate;
use crate::cpu::Bell;
use crate::exchange::FRAME_WORDS_MAX;
use crate::limits::RESULT_LANE_BYTES;
use crate::metrics::SinkMeter;
use crate::record::{KeyKind, Schema, ShardIndex};
use crate::ring::ring;
use crate::sink::{
    Callback, Delivering, Discard, LaneSink, LateRecord, ResultSink, Results, WindowResult,
};
use std::sync::Arc;

/// What sinks are made with.
#[derive(Debug)]
pub struct SinkPlan<'a, S, A> {
    pub(super) schema: &'a S,
    pub(super) aggregate: &'a A,
    /// The bells of the shards' cores, and where each shard's sink counts.
    pub(super) shards: &'a [(Bell, Arc<SinkMeter>)],
    /// How results are handed over, where a run is gone on with.
    pub(super) delivering: Option<Delivering>,
}

/// Where results go, before an engine is assembled.
pub trait OpenSink<S: Schema, A: Aggregate<S::Row>>: Sized {
    /// The sink of one shard.
    type Sink: ResultSink<S, A> + 'static;
    /// What opening gives beside the sinks.
    type Handle;
    /// What [`Pipeline::open`](super::Pipeline::open) gives.
    type Opened;

    /// Whether it can be noted first what leaves, as
    /// [`Delivery::AtMostOnce`](crate::state::Delivery::AtMostOnce) wants it.
    const CAN_NOTE_FIRST: bool;

    /// Whether late records are brought out, or only counted.
    fn takes_late(&self) -> bool;
    /// Makes one sink a shard.
    fn sinks(self, plan: SinkPlan<'_, S, A>) -> (Vec<Self::Sink>, Self::Handle);
    /// Puts engine and handle together.
    fn opened(engine: Engine, handle: Self::Handle) -> Self::Opened;
}

/// Results go to a closure.
#[derive(Clone, Debug)]
pub struct ForEach<F, L> {
    pub(super) on_result: F,
    pub(super) on_late: L,
}

impl<S, A, F, L> OpenSink<S, A> for ForEach<F, L>
where
    S: Schema,
    A: Aggregate<S::Row>,
    F: for<'k> FnMut(WindowResult<<S::Key as KeyKind>::Ref<'k>, A::Output>)
        + Clone
        + Send
        + 'static,
    L: FnMut(LateRecord<'_, S::Row>) + Clone + Send + 'static,
{
    type Sink = Callback<S, A, F, L>;
    type Handle = ();
    type Opened = Engine;

    /// A closure runs on the shard's core, which waits for no file.
    const CAN_NOTE_FIRST: bool = false;

    fn takes_late(&self) -> bool {
        true
    }

    fn sinks(self, plan: SinkPlan<'_, S, A>) -> (Vec<Self::Sink>, ()) {
        let sink = |(shard, (_, meter)): (u16, &(Bell, Arc<SinkMeter>))| {
            let (on_result, on_late) = (self.on_result.clone(), self.on_late.clone());
            let (aggregate, meter) = (plan.aggregate.clone(), Arc::clone(meter));
            Callback::new(ShardIndex(shard), aggregate, on_result, on_late, meter)
        };
        ((0..).zip(plan.shards).map(sink).collect(), ())
    }

    fn opened(engine: Engine, (): ()) -> Engine {
        engine
    }
}

/// Results go to a handle.
#[derive(Clone, Copy, Debug)]
pub struct IntoResults {
    pub(super) late: bool,
}

impl<S, A> OpenSink<S, A> for IntoResults
where
    S: Schema,
    A: Aggregate<S::Row>,
{
    type Sink = LaneSink<S>;
    type Handle = Results<S, A>;
    type Opened = (Engine, Results<S, A>);

    const CAN_NOTE_FIRST: bool = true;

    fn takes_late(&self) -> bool {
        self.late
    }

    fn sinks(self, plan: SinkPlan<'_, S, A>) -> (Vec<Self::Sink>, Results<S, A>) {
        let reader = Bell::new();
        let listener = reader.listen().expect("a new bell has room for a listener");
        let (mut sinks, mut lanes) = (Vec::new(), Vec::new());
        for (bell, meter) in plan.shards {
            let (producer, consumer) = ring(RESULT_LANE_BYTES / 8, FRAME_WORDS_MAX);
            let schema = plan.schema.clone();
            let sink =
                LaneSink::new(schema, producer, reader.clone(), self.late, Arc::clone(meter));
            lanes.push((consumer, bell.clone(), Arc::clone(meter), sink.marks()));
            sinks.push(sink);
        }
        let of = (plan.schema.clone(), plan.aggregate.clone());
        let handle = Results::new(of, lanes, listener, plan.delivering);
        (sinks, handle)
    }

    fn opened(engine: Engine, handle: Results<S, A>) -> Self::Opened {
        (engine, handle)
    }
}

/// Results are counted.
#[derive(Clone, Copy, Debug)]
pub struct Discarding;

impl<S: Schema, A: Aggregate<S::Row>> OpenSink<S, A> for Discarding {
    type Sink = Discard;
    type Handle = ();
    type Opened = Engine;

    /// Nothing leaves.
    const CAN_NOTE_FIRST: bool = true;

    fn takes_late(&self) -> bool {
        true
    }

    fn sinks(self, plan: SinkPlan<'_, S, A>) -> (Vec<Discard>, ()) {
        (plan.shards.iter().map(|(_, meter)| Discard::new(Arc::clone(meter))).collect(), ())
    }

    fn opened(engine: Engine, (): ()) -> Engine {
        engine
    }
}
