//! The description of a pipeline, stage by stage, each a type of its own: sources, what happens
//! to records, windows, aggregate, where results go.

use super::assembly::{self, Plan, Purpose};
use super::sinks::{Discarding, ForEach, IntoResults, OpenSink};
use super::{EngineSettings, OpenError, Runtime};
use crate::aggregate::Aggregate;
use crate::cpu::{IdlePolicy, Placement};
use crate::limits;
use crate::operator::{Filter, FlatMap, Map, Pass, Stage, Then};
use crate::record::{KeyKind, Record, RouteHasher, Schema, ShardIndex, Typed};
use crate::shard::{Combining, DeadLetter, DeadLetterObserver, JumpRule, TimeRules};
use crate::sink::{LateRecord, WindowResult};
use crate::source::Source;
use crate::state::State;
use crate::time::Span;
use crate::window::WindowSpec;
use std::sync::Arc;

/// A stream: one or more sources, each a partition with its own watermark.
pub struct Stream<S: Schema, P> {
    pub(super) sources: Vec<Box<dyn Source<S>>>,
    pub(super) schema: S,
    pub(super) stage: P,
    pub(super) rules: TimeRules,
    pub(super) observer: Option<DeadLetterObserver>,
}

impl<S: Schema, P> std::fmt::Debug for Stream<S, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.sources.iter().map(|source| source.name()).collect();
        f.debug_struct("Stream").field("sources", &names).field("rules", &self.rules).finish()
    }
}

impl<T: Record> Stream<Typed<T>, Pass> {
    /// The stream of one source.
    pub fn of(source: impl Source<Typed<T>> + 'static) -> Self {
        Self::of_all([Box::new(source) as Box<dyn Source<Typed<T>>>])
    }

    /// The stream of several sources. Each is a partition: it has a watermark of its own, and
    /// windows close by the lowest of them.
    pub fn of_all(sources: impl IntoIterator<Item = Box<dyn Source<Typed<T>>>>) -> Self {
        Stream::with_schema(Typed::new(), Pass, sources)
    }
}

impl<S: Schema, P: Stage<S>> Stream<S, P> {
    /// The stream of sources with rows of any schema, and a first stage.
    pub fn with_schema(
        schema: S,
        stage: P,
        sources: impl IntoIterator<Item = Box<dyn Source<S>>>,
    ) -> Self {
        let rules = TimeRules {
            out_of_order: Span::ZERO,
            tick: Span::from_nanos(1),
            idle_after: None,
            idle_advance: false,
            jump: None,
        };
        Self { sources: sources.into_iter().collect(), schema, stage, rules, observer: None }
    }

    /// How far out of order records come, within their partition: its watermark stays so far
    /// behind its highest time. None by default: records come in order, the others are late.
    #[must_use]
    pub fn out_of_order(mut self, bound: Span) -> Self {
        self.rules.out_of_order = bound;
        self
    }

    /// The resolution of timestamps, by default 1 ns: a window ends once the watermark is this
    /// close to its end.
    #[must_use]
    pub fn tick(mut self, tick: Span) -> Self {
        self.rules.tick = tick;
        self
    }

    /// After how long without records a partition no longer holds the others' windows back.
    /// Never by default.
    #[must_use]
    pub fn idle_after(mut self, span: Span) -> Self {
        self.rules.idle_after = Some(span);
        self
    }

    /// Lets the watermark follow the clock while all partitions are idle, instead of standing
    /// still: it rises by the time that passes.
    #[must_use]
    pub fn idle_advance(mut self) -> Self {
        self.rules.idle_advance = true;
        self
    }

    /// When a jump in event time is believed. Always by default.
    #[must_use]
    pub fn jump_rule(mut self, rule: JumpRule) -> Self {
        self.rules.jump = Some(rule);
        self
    }

    /// Has records told that were read and could not be used. Called on the sources' cores.
    #[must_use]
    pub fn on_dead_letter(mut self, observer: impl Fn(DeadLetter) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    fn then<Q>(self, next: Q) -> Stream<S, Then<P, Q>> {
        Stream {
            sources: self.sources,
            schema: self.schema,
            stage: Then::new(self.stage, next),
            rules: self.rules,
            observer: self.observer,
        }
    }

    /// Groups the records into windows of event time.
    pub fn window(self, spec: WindowSpec) -> Windowed<S, P> {
        Windowed { stream: self, spec }
    }
}

impl<S, P, T> Stream<S, P>
where
    S: Schema,
    T: Record,
    P: Stage<S, Out = Typed<T>>,
{
    /// Keeps the records that `accepts` accepts. Runs on the source's core, before routing.
    pub fn filter<F>(self, accepts: F) -> Stream<S, Then<P, Filter<F>>>
    where
        F: FnMut(&T) -> bool + Clone + Send + 'static,
    {
        self.then(Filter::new(accepts))
    }

    /// Makes one record of another.
    pub fn map<U: Record, F>(self, map: F) -> Stream<S, Then<P, Map<F, U>>>
    where
        F: FnMut(&T) -> U + Clone + Send + 'static,
    {
        self.then(Map::new(map))
    }

    /// Makes any number of records of one; `expand` appends them to the vector.
    pub fn flat_map<U: Record, F>(self, expand: F) -> Stream<S, Then<P, FlatMap<F, U>>>
    where
        F: FnMut(&T, &mut Vec<U>) + Clone + Send + 'static,
    {
        self.then(FlatMap::new(expand))
    }
}

/// A stream in windows.
#[derive(Debug)]
pub struct Windowed<S: Schema, P> {
    stream: Stream<S, P>,
    spec: WindowSpec,
}

impl<S: Schema, P: Stage<S>> Windowed<S, P> {
    /// What is computed of each key's records in each window: one aggregate, or a tuple of them.
    pub fn aggregate<A>(self, aggregate: A) -> Aggregated<S, P, A>
    where
        A: Aggregate<<P::Out as Schema>::Row>,
    {
        Aggregated { stream: self.stream, spec: self.spec, aggregate }
    }
}

/// What is done with late records unless something else is asked for: nothing, beyond counting.
type IgnoreLate<S> = fn(LateRecord<'_, <S as Schema>::Row>);

/// A stream in windows, with what is computed of them.
#[derive(Debug)]
pub struct Aggregated<S: Schema, P, A> {
    stream: Stream<S, P>,
    spec: WindowSpec,
    aggregate: A,
}

impl<S, P, A> Aggregated<S, P, A>
where
    S: Schema,
    P: Stage<S> + Clone + 'static,
    A: Aggregate<<P::Out as Schema>::Row>,
{
    /// Calls `on_result` for each result, on the core of the shard that it comes from; each
    /// shard has a clone. It must neither block nor take long.
    pub fn for_each<F>(self, on_result: F) -> Pipeline<S, P, A, ForEach<F, IgnoreLate<P::Out>>>
    where
        F: for<'k> FnMut(WindowResult<<<P::Out as Schema>::Key as KeyKind>::Ref<'k>, A::Output>)
            + Clone
            + Send
            + 'static,
    {
        self.pipeline(ForEach { on_result, on_late: |_| () })
    }

    /// Sends results to a handle, to be polled from any thread.
    pub fn into_results(self) -> Pipeline<S, P, A, IntoResults> {
        self.pipeline(IntoResults { late: false })
    }

    /// Counts results and drops them.
    pub fn discard(self) -> Pipeline<S, P, A, Discarding> {
        self.pipeline(Discarding)
    }

    fn pipeline<M>(self, sink: M) -> Pipeline<S, P, A, M> {
        Pipeline {
            stream: self.stream,
            spec: self.spec,
            aggregate: self.aggregate,
            sink,
            shards: None,
            live_keys_max: limits::LIVE_KEYS_DEFAULT,
            lane_memory_max: limits::LANE_MEMORY_DEFAULT,
            combining: Combining::default(),
            hasher: RouteHasher::default(),
            settings: EngineSettings {
                runtime: Runtime::Auto,
                placement: Placement::default(),
                idle: IdlePolicy::default(),
            },
            state: None,
        }
    }
}

/// A whole pipeline, ready to be opened.
#[derive(Debug)]
pub struct Pipeline<S: Schema, P, A, M> {
    pub(super) stream: Stream<S, P>,
    pub(super) spec: WindowSpec,
    pub(super) aggregate: A,
    pub(super) sink: M,
    pub(super) shards: Option<usize>,
    pub(super) live_keys_max: usize,
    pub(super) lane_memory_max: usize,
    pub(super) combining: Combining,
    pub(super) hasher: RouteHasher,
    pub(super) settings: EngineSettings,
    pub(super) state: Option<State>,
}

impl<S: Schema, P, A, F, L> Pipeline<S, P, A, ForEach<F, L>> {
    /// Calls `on_late` for each record that came after all its windows had closed; they are
    /// counted in any case.
    pub fn on_late<G>(self, on_late: G) -> Pipeline<S, P, A, ForEach<F, G>>
    where
        P: Stage<S>,
        G: FnMut(LateRecord<'_, <P::Out as Schema>::Row>) + Clone + Send + 'static,
    {
        Pipeline {
            stream: self.stream,
            spec: self.spec,
            aggregate: self.aggregate,
            sink: ForEach { on_result: self.sink.on_result, on_late },
            shards: self.shards,
            live_keys_max: self.live_keys_max,
            lane_memory_max: self.lane_memory_max,
            combining: self.combining,
            hasher: self.hasher,
            settings: self.settings,
            state: self.state,
        }
    }
}

impl<S: Schema, P, A> Pipeline<S, P, A, IntoResults> {
    /// Sends late records to the handle too.
    #[must_use]
    pub fn with_late(mut self) -> Self {
        self.sink.late = true;
        self
    }
}

impl<S, P, A, M> Pipeline<S, P, A, M>
where
    S: Schema,
    P: Stage<S> + Clone + 'static,
    A: Aggregate<<P::Out as Schema>::Row>,
    M: OpenSink<P::Out, A>,
{
    /// How many shards the keys are divided among; by default one for each core that this
    /// process may use. More than that run too, and share threads.
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// Keys that may be alive in one shard at a time; one more stops the engine with an error.
    #[must_use]
    pub fn live_keys_max(mut self, keys: usize) -> Self {
        self.live_keys_max = keys;
        self
    }

    /// Bytes that the lanes between sources and shards take together, by default 1 GiB. There is
    /// one from each source to each shard: the more there are, the smaller they are made to keep
    /// within it, and more than fit are an error of [`Pipeline::open`].
    #[must_use]
    pub fn lane_memory_max(mut self, bytes: usize) -> Self {
        self.lane_memory_max = bytes;
        self
    }

    /// Whether records are folded on the core of their source before they cross to the shard of
    /// their key. By default where it pays.
    #[must_use]
    pub fn combining(mut self, combining: Combining) -> Self {
        self.combining = combining;
        self
    }

    /// Keeps what the shards take in a state directory, so that a run that ended, however it
    /// ended, is gone on with by the next one: what comes out of both together is what one run
    /// would have given, results of the first run coming again with the same shard and sequence.
    /// Needs sources that can be read again. Records are not folded before they are sent then.
    #[must_use]
    pub fn state(mut self, state: State) -> Self {
        self.state = Some(state);
        self
    }

    /// The seed of the routing hash. Set it when keys come from strangers.
    #[must_use]
    pub fn route_seed(mut self, seed: u64) -> Self {
        self.hasher = RouteHasher::with_seed(seed);
        self
    }

    /// What the shards' threads run on.
    #[must_use]
    pub fn runtime(mut self, runtime: Runtime) -> Self {
        self.settings.runtime = runtime;
        self
    }

    /// Whether the shards' threads are pinned to cores.
    #[must_use]
    pub fn placement(mut self, placement: Placement) -> Self {
        self.settings.placement = placement;
        self
    }

    /// What an engine does that has nothing to do.
    #[must_use]
    pub fn idle_policy(mut self, idle: IdlePolicy) -> Self {
        self.settings.idle = idle;
        self
    }

    /// Checks the description and assembles the engine; nothing runs yet.
    ///
    /// # Errors
    /// When something in the description can not be.
    pub fn open(self) -> Result<M::Opened, OpenError> {
        assembly::open(Plan::check(self)?, Purpose::Run)
    }

    /// Assembles an engine that takes again what is kept of earlier runs with this pipeline's
    /// state, from as far back as that goes, of `only` this shard or of all: the same results come
    /// out once more, with the same numbers. Nothing is read of the sources, of which there must be
    /// as many, and nothing is written. See [`Keep`](crate::state::Keep).
    ///
    /// # Errors
    /// When there is no state, what is kept is damaged, or it is another pipeline's.
    pub fn replay(self, only: Option<ShardIndex>) -> Result<M::Opened, OpenError> {
        assembly::open(Plan::check(self)?, Purpose::History(only))
    }
}
