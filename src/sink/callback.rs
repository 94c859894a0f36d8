//! Results handed to a closure on the shard's own core, and results that are only counted.

use super::{LateRecord, OutputCounts, ResultSink, Session, WindowResult};
use crate::aggregate::Aggregate;
use crate::metrics::SinkMeter;
use crate::record::{KeyKind, Schema, ShardIndex};
use crate::window::{Fired, Flow, LateRow};
use std::sync::Arc;

/// Calls a closure for each result, another for each late record. Both run on the shard's core,
/// so they must neither block nor take long. What a closure has returned from counts as
/// confirmed: an engine with state may never bring it again.
pub struct Callback<A, F, L> {
    shard: ShardIndex,
    aggregate: A,
    on_result: F,
    on_late: L,
    sequence: u64,
    late: u64,
    meter: Arc<SinkMeter>,
}

impl<A, F, L> std::fmt::Debug for Callback<A, F, L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callback").field("shard", &self.shard).finish_non_exhaustive()
    }
}

impl<A, F, L> Callback<A, F, L> {
    /// The closures of one shard.
    pub fn new(
        shard: ShardIndex,
        aggregate: A,
        on_result: F,
        on_late: L,
        meter: Arc<SinkMeter>,
    ) -> Self {
        Self { shard, aggregate, on_result, on_late, sequence: 0, late: 0, meter }
    }
}

impl<S, A, F, L> ResultSink<S, A> for Callback<A, F, L>
where
    S: Schema,
    A: Aggregate<S::Row>,
    F: for<'k> FnMut(WindowResult<<S::Key as KeyKind>::Ref<'k>, A::Output>) + Send + 'static,
    L: FnMut(LateRecord<'_, S::Row>) + Send + 'static,
{
    type Session<'a> = CallbackSession<'a, S, A, F, L>;

    fn session(&mut self) -> Self::Session<'_> {
        CallbackSession { sink: self, schema: std::marker::PhantomData }
    }

    fn late(&mut self, _: &S, late: &LateRow<'_, S::Row>) {
        self.meter.late.add(1);
        (self.on_late)(LateRecord {
            row: late.row,
            heap: late.heap,
            window_end: late.window_end,
            watermark: late.watermark,
            shard: self.shard,
            sequence: self.late,
        });
        self.late += 1;
    }

    fn flush(&mut self) -> bool {
        true
    }

    fn finish(&mut self) -> bool {
        true
    }

    fn taken(&self) -> OutputCounts {
        OutputCounts { results: self.sequence, late: self.late }
    }

    fn confirmed(&self) -> OutputCounts {
        ResultSink::<S, A>::taken(self)
    }

    fn resume(&mut self, behind: OutputCounts) {
        (self.sequence, self.late) = (behind.results, behind.late);
        self.meter.results.set(behind.results);
        self.meter.late.set(behind.late);
    }
}

/// A session of a [`Callback`].
pub struct CallbackSession<'a, S, A, F, L> {
    sink: &'a mut Callback<A, F, L>,
    schema: std::marker::PhantomData<fn() -> S>,
}

impl<S, A, F, L> std::fmt::Debug for CallbackSession<'_, S, A, F, L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.sink.fmt(f)
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
        let sink = &mut *self.sink;
        (sink.on_result)(WindowResult {
            window: fired.window,
            key: fired.key,
            value: sink.aggregate.lower(fired.partial),
            reason: fired.reason,
            shard: sink.shard,
            sequence: sink.sequence,
        });
        sink.sequence += 1;
        Flow::Taken
    }

    fn results(&self) -> u64 {
        self.sink.sequence
    }

    fn close(self) {
        self.sink.meter.results.set(self.sink.sequence);
    }
}

/// Counts results and late records, and drops them.
#[derive(Debug)]
pub struct Discard {
    results: u64,
    meter: Arc<SinkMeter>,
}

impl Discard {
    /// A sink that counts into `meter`.
    pub fn new(meter: Arc<SinkMeter>) -> Self {
        Self { results: 0, meter }
    }
}

impl<S: Schema, A: Aggregate<S::Row>> ResultSink<S, A> for Discard {
    type Session<'a> = &'a mut Self;

    fn session(&mut self) -> &mut Self {
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
        OutputCounts { results: self.results, late: self.meter.late.get() }
    }

    fn confirmed(&self) -> OutputCounts {
        ResultSink::<S, A>::taken(self)
    }

    fn resume(&mut self, behind: OutputCounts) {
        self.results = behind.results;
        self.meter.results.set(behind.results);
        self.meter.late.set(behind.late);
    }
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
