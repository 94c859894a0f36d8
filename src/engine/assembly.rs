//! Assembly: lanes, intakes, shards and sinks are made and joined.

use super::core::{Core, CoreDuty};
use super::durable::{Durable, Resumption, at_once};
use super::sinks::{OpenSink, SinkPlan};
use super::stream::{Pipeline, Stream};
use super::{Engine, OpenError};
use crate::aggregate::Aggregate;
use crate::cpu::{Bell, StopSignal, Topology};
use crate::exchange::{
    Inbox, LaneEnd, LaneNeed, LaneSize, LaneStart, Router, Routing, WatermarkMerge,
};
use crate::frame::Extras;
use crate::limits::{PARTITIONS_MAX, RECORD_BYTES_MAX, SHARDS_MAX};
use crate::metrics::{LaneMeter, MeterBoard};
use crate::operator::Stage;
use crate::record::{KeyKind, RouteHasher, Schema, ShardIndex};
use crate::ring::{LocalRing, ring};
use crate::shard::{Combining, Intake, IntakeParts, Journal, Shard, ShardParts};
use crate::sink::ResultSink;
use crate::state::StateError;
use crate::time::{Clock, SystemClock};
use crate::window::{SlicePartial, StoreLimits, WindowSpec, WindowStore};
use std::sync::Arc;

/// What a row of results takes beside its key and its partial, a frame's header too.
const RESULT_BYTES_BESIDE: usize = 1024;

/// A pipeline that has been checked.
pub(super) struct Plan<S: Schema, P, A, M> {
    pipeline: Pipeline<S, P, A, M>,
    shards: usize,
    threads: usize,
    lane: LaneSize,
}

impl<S, P, A, M> Plan<S, P, A, M>
where
    S: Schema,
    P: Stage<S>,
    A: Aggregate<<P::Out as Schema>::Row>,
{
    pub(super) fn check(pipeline: Pipeline<S, P, A, M>) -> Result<Self, OpenError> {
        let sources = pipeline.stream.sources.len();
        let cpus = Topology::detect().cpu_count();
        let shards = pipeline.shards.unwrap_or(cpus);
        let out = pipeline.stream.stage.out(&pipeline.stream.schema);
        let row = out.stride_words() * 8;
        // A result and a slice's partial are a row that has both.
        let key = <<P::Out as Schema>::Key as KeyKind>::words() * 8;
        let partial = size_of::<A::Partial>() + key;
        match () {
            () if sources == 0 => Err(OpenError::NoSource),
            () if sources > PARTITIONS_MAX => Err(OpenError::TooManySources(sources)),
            () if shards == 0 || shards > SHARDS_MAX => Err(OpenError::Shards(shards)),
            () if pipeline.stream.rules.tick.is_zero() => Err(OpenError::ZeroTick),
            () if row > RECORD_BYTES_MAX => Err(OpenError::RowTooLong { bytes: row }),
            () if partial + RESULT_BYTES_BESIDE > RECORD_BYTES_MAX => {
                Err(OpenError::PartialTooLong { bytes: partial })
            }
            () => {
                let lane = lane_size(&pipeline, shards)?;
                Ok(Self { pipeline, shards, threads: shards.min(cpus), lane })
            }
        }
    }
}

/// The optional columns that an aggregate needs.
fn extras_of<R: ?Sized>(aggregate: &impl Aggregate<R>) -> Extras {
    match aggregate.needs_sequence() {
        true => Extras::SOURCE_SEQUENCE,
        false => Extras::NONE,
    }
}

/// The size of the lanes from every source to every shard.
fn lane_size<S, P, A, M>(
    pipeline: &Pipeline<S, P, A, M>,
    shards: usize,
) -> Result<LaneSize, OpenError>
where
    S: Schema,
    P: Stage<S>,
    A: Aggregate<<P::Out as Schema>::Row>,
{
    type KeyOf<S> = <S as Schema>::Key;
    let Pipeline { stream, aggregate, lane_memory_max: max, .. } = pipeline;
    let (max, sources) = (*max, stream.sources.len());
    let extras = extras_of(aggregate);
    let has_heap = P::Out::HAS_TAIL || size_of::<<KeyOf<P::Out> as KeyKind>::Heap>() != 0;
    // What a record holds beside its row, a key say.
    let heap = match has_heap {
        true => (RECORD_BYTES_MAX / 8).saturating_sub(stream.schema.stride_words()),
        false => 0,
    };
    let row = stream.stage.out(&stream.schema).stride_words() + extras.words(1);
    let partial = SlicePartial::<KeyOf<P::Out>, A::Partial>::stride_words();
    let has_tail = has_heap || extras != Extras::NONE;
    let need = LaneNeed { row_words: row.max(partial) + heap, has_tail };
    LaneSize::within(max, sources * shards, need).map_err(|each| OpenError::LaneMemory {
        sources,
        shards,
        bytes: sources * shards * each,
        max,
        shards_max: max / (sources * each),
    })
}

impl<S, P, A, M> Plan<S, P, A, M>
where
    S: Schema,
    P: Stage<S>,
    A: Aggregate<<P::Out as Schema>::Row>,
{
    /// Opens the state directory, where there is to be one.
    fn bring_back(&self) -> Result<Option<Durable>, OpenError> {
        let Some(state) = self.pipeline.state.clone() else { return Ok(None) };
        let sources = &self.pipeline.stream.sources;
        let lost = sources.iter().find(|source| !source.can_resume() && !source.is_pushed());
        if let Some(source) = lost {
            let name = source.name().to_owned();
            return Err(StateError::CannotResume { name }.into());
        }
        let mut described = self.described();
        described.extend(self.described_reading());
        let pushed: Vec<bool> = sources.iter().map(|source| source.is_pushed()).collect();
        Durable::bring_back(state, described, self.shards, &pushed).map(Some)
    }

    /// Opens the state directory to look back.
    fn look_back(&self, only: Option<ShardIndex>) -> Result<Durable, OpenError> {
        let state = self.pipeline.state.as_ref().ok_or(OpenError::NoHistory)?;
        Durable::look_back(state, &self.described(), self.parties(), only)
    }

    fn parties(&self) -> (usize, usize) {
        (self.shards, self.pipeline.stream.sources.len())
    }

    /// What the engine itself can say of how results follow from what the shards take.
    fn described(&self) -> Vec<(String, String)> {
        let Pipeline { stream, spec, .. } = &self.pipeline;
        let out = stream.stage.out(&stream.schema);
        let key_words = <<P::Out as Schema>::Key as KeyKind>::words();
        let lines = [
            ("shards", self.shards.to_string()),
            ("sources", stream.sources.len().to_string()),
            ("windows", spec.to_string()),
            ("tick", stream.rules.tick.to_string()),
            ("idle advance", stream.rules.idle_advance.to_string()),
            ("words of a row", out.stride_words().to_string()),
            ("words of a key", key_words.to_string()),
            ("bytes of a partial", size_of::<A::Partial>().to_string()),
        ];
        lines.into_iter().map(|(what, value)| (what.to_owned(), value)).collect()
    }

    /// And of what the shards take of what is read.
    fn described_reading(&self) -> Vec<(String, String)> {
        let Pipeline { stream, hasher, .. } = &self.pipeline;
        let rules = &stream.rules;
        let jump = rules.jump.map_or_else(|| "none".to_owned(), |rule| rule.to_string());
        let idle = rules.idle_after.map_or_else(|| "never".to_owned(), |span| span.to_string());
        let lines = [
            ("routing hash", format!("xxh3 {} seed {:016x}", RouteHasher::VERSION, hasher.seed())),
            ("out-of-orderness", rules.out_of_order.to_string()),
            ("idle after", idle),
            ("jump rule", jump),
        ];
        lines.into_iter().map(|(what, value)| (what.to_owned(), value)).collect()
    }
}

/// One source's or one shard's ends of the lanes.
type Starts = Vec<(LaneStart, Arc<LaneMeter>)>;
type Ends = Vec<(LaneEnd, Arc<LaneMeter>)>;

/// Makes the lanes from every source to every shard.
fn lanes(
    board: &MeterBoard,
    bells: &[Bell],
    sources: usize,
    LaneSize { ring_words, frame_words }: LaneSize,
) -> (Vec<Starts>, Vec<Ends>) {
    let shards = bells.len();
    let mut starts: Vec<Starts> = (0..sources).map(|_| Vec::new()).collect();
    let mut ends: Vec<Ends> = (0..shards).map(|_| Vec::new()).collect();
    for (source, starts) in starts.iter_mut().enumerate() {
        let home = source % shards;
        for shard in 0..shards {
            let meter = board.lane(source, shard);
            meter.capacity_bytes.set(ring_words as u64 * 8);
            let (start, end) = if shard == home {
                (LaneStart::Local, LaneEnd::Local(source / shards))
            } else {
                let (producer, consumer) = ring(ring_words, frame_words);
                let start = LaneStart::Ring(producer, bells[shard].clone());
                (start, LaneEnd::Ring(consumer, bells[home].clone()))
            };
            starts.push((start, Arc::clone(&meter)));
            ends[shard].push((end, meter));
        }
    }
    (starts, ends)
}

/// What an engine is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To read its sources.
    Run,
    /// To take again what is kept of earlier runs, of one shard or of all.
    History(Option<ShardIndex>),
}

pub(super) fn open<S, P, A, M>(
    plan: Plan<S, P, A, M>,
    purpose: Purpose,
) -> Result<M::Opened, OpenError>
where
    S: Schema,
    P: Stage<S> + Clone + 'static,
    A: Aggregate<<P::Out as Schema>::Row>,
    M: OpenSink<P::Out, A>,
{
    let (durable, only) = match purpose {
        Purpose::Run => (plan.bring_back()?, None),
        Purpose::History(only) => (Some(plan.look_back(only)?), only),
    };
    let Plan { pipeline, shards, threads, lane } = plan;
    let Pipeline {
        stream, spec, aggregate, sink, live_keys_max, combining, hasher, settings, ..
    } = pipeline;
    let out = stream.stage.out(&stream.schema);
    let names: Vec<String> = stream.sources.iter().map(|source| source.name().into()).collect();
    let sources = names.len();
    let board = MeterBoard::new(names, shards);
    let threads = if only.is_some() { 1 } else { threads };
    let thread_bells: Vec<Bell> = (0..threads).map(|_| Bell::new()).collect();
    let bells: Vec<Bell> = thread_bells.iter().cycle().take(shards).cloned().collect();
    let (starts, ends) = lanes(&board, &bells, sources, lane);

    let meters: Vec<_> =
        (0..shards).map(|shard| (bells[shard].clone(), board.sink(shard))).collect();
    let sink_plan = SinkPlan { schema: &out, aggregate: &aggregate, shards: &meters };
    let (sinks, handle) = sink.sinks(sink_plan);

    let clock = SystemClock::new();
    let stop = StopSignal::new();
    let (state, journals, resumptions) = match durable {
        Some(Durable { directory, journals, sources }) => (Some(directory), journals, sources),
        None => (None, Vec::new(), Vec::new()),
    };
    let made = (0..).map(ShardIndex).zip(ends).zip(sinks);
    let is_wanted = |shard: &ShardIndex| only.is_none_or(|only| *shard == only);
    let limits = StoreLimits { live_keys_max, ..StoreLimits::default() };
    let mut cores = make_cores(
        &stream,
        (spec, &aggregate, limits),
        made.filter(|((shard, _), _)| is_wanted(shard)),
        journals,
        (&board, clock, &stop),
    )?;
    let (extras, frame_words) = (extras_of(&aggregate), lane.frame_words);
    let routing = Routing { partition: 0, hasher, extras, frame_words };
    // What a source folds depends on when it waited: another run would fold otherwise.
    let combining = if state.is_some() { Combining::Never } else { combining };
    let windows = (spec, aggregate, combining);
    let resumptions = state.is_some().then_some(&resumptions[..]);
    let lanes = (starts, routing, lane.ring_words);
    if purpose == Purpose::Run {
        place_sources(&mut cores, stream, windows, lanes, (&bells, &board), resumptions)?;
    }
    let cores = cores.into_iter().map(|core| Box::new(core) as Box<dyn CoreDuty>).collect();
    let (bells, last) = (thread_bells, clock.now());
    Ok(M::opened(
        Engine { cores, bells, board, stop, settings, state, last, broken: false },
        handle,
    ))
}

/// Makes a core for each shard, with its lanes and its sink.
fn make_cores<S, P, A, R>(
    stream: &Stream<S, P>,
    (spec, aggregate, limits): (WindowSpec, &A, StoreLimits),
    made: impl Iterator<Item = ((ShardIndex, Ends), R)>,
    journals: Vec<Journal>,
    (board, clock, stop): (&MeterBoard, SystemClock, &StopSignal),
) -> Result<Vec<Core<S, P, A, R>>, StateError>
where
    S: Schema,
    P: Stage<S>,
    A: Aggregate<<P::Out as Schema>::Row>,
    R: ResultSink<P::Out, A>,
{
    let out = stream.stage.out(&stream.schema);
    let is_kept = !journals.is_empty();
    let mut journals = journals.into_iter();
    let made = made.map(|((index, ends), sink)| {
        let parts = ShardParts {
            index,
            schema: out.clone(),
            inbox: Inbox::new(ends),
            merge: WatermarkMerge::new(stream.sources.len(), stream.rules.idle_advance),
            store: WindowStore::new(spec, stream.rules.tick, aggregate.clone(), limits),
            sink,
            meter: board.shard(index.index()),
            latency: board.latency_writer(index.index()),
        };
        (parts, journals.next())
    });
    let core = |(parts, journal): (ShardParts<_, _, _>, _)| {
        let meter = Arc::clone(&parts.meter);
        Ok(Core::new(Shard::new(parts, journal)?, meter, clock, stop.clone()))
    };
    match is_kept {
        // Each takes a while to bring back.
        true => at_once(made.collect(), core),
        false => made.map(core).collect(),
    }
}

/// Gives every source an intake on its core, joined to the lanes that start there.
fn place_sources<S, P, A, R>(
    cores: &mut [Core<S, P, A, R>],
    stream: Stream<S, P>,
    (spec, aggregate, combining): (WindowSpec, A, Combining),
    (starts, routing, ring_words): (Vec<Starts>, Routing, usize),
    (bells, board): (&[Bell], &MeterBoard),
    resumptions: Option<&[Resumption]>,
) -> Result<(), OpenError>
where
    S: Schema,
    P: Stage<S> + Clone,
    A: Aggregate<<P::Out as Schema>::Row>,
{
    let out = stream.stage.out(&stream.schema);
    for ((partition, mut source), starts) in (0_u16..).zip(stream.sources).zip(starts) {
        let index = usize::from(partition);
        let home = index % cores.len();
        source.attach(&bells[home]);
        let parts = IntakeParts {
            source,
            schema: stream.schema.clone(),
            stage: stream.stage.clone(),
            out: out.clone(),
            router: Router::new(Routing { partition, ..routing }, starts),
            spec,
            aggregate: aggregate.clone(),
            combining,
            rules: stream.rules.clone(),
            partition,
            meter: board.source(index),
            observer: stream.observer.clone(),
            journaled: resumptions.is_some(),
        };
        let mut intake = Intake::new(parts);
        if let Some(Resumption { place, ended }) = resumptions.and_then(|all| all.get(index)) {
            intake.resume(place, *ended)?;
        }
        let core = &mut cores[home];
        core.intakes.push((intake, board.source(index)));
        core.locals.push(LocalRing::new(ring_words, routing.frame_words));
    }
    Ok(())
}
