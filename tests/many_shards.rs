//! More shards than CPUs share the CPUs' threads, and many lanes share their memory.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use tidewheel::engine::{Discarding, IntoResults, OpenError, Pipeline, Runtime};
use tidewheel::limits::RECORD_BYTES_MAX;
use tidewheel::metrics::Metrics;
use tidewheel::operator::{Pass, Stage, Unfiltered};
use tidewheel::record::{ColumnRows, Columns, ColumnsBatch, Schema, Typed};
use tidewheel::source::{GeneratedRecord, Polled, SourceError, Workload};
use tidewheel::{
    Aggregate, Combining, Count, Engine, EventTime, Last, MemorySource, Output, Progress, Source,
    Span, Stream, WindowSpec,
};

#[test]
fn there_are_no_more_threads_than_cpus() {
    let cpus = tidewheel::cpu::Topology::detect().cpu_count();
    for runtime in [Runtime::Auto, Runtime::Threads] {
        let sources = (0..3).map(|_| {
            let records = Workload::uniform(10_000, 20_000).generate();
            Box::new(MemorySource::<GeneratedRecord>::new(records.into())) as Box<_>
        });
        let (threads, shards) = (Arc::default(), Arc::default());
        let seen: (Arc<Mutex<HashSet<_>>>, Arc<Mutex<HashSet<_>>>) =
            (Arc::clone(&threads), Arc::clone(&shards));
        let engine = Stream::of_all(sources)
            .out_of_order(Span::from_millis(500))
            .window(WindowSpec::tumbling(Span::from_seconds(1)).unwrap())
            .aggregate(Count)
            .for_each(move |result| {
                seen.0.lock().unwrap().insert(std::thread::current().id());
                seen.1.lock().unwrap().insert(result.shard);
            })
            .shards(cpus + 61)
            .runtime(runtime)
            .open()
            .unwrap();
        let metrics = engine.start().unwrap().join().unwrap();
        assert!(metrics.ledger().is_balanced(), "{}", metrics.ledger());
        assert!(threads.lock().unwrap().len() <= cpus);
        assert_eq!(shards.lock().unwrap().len(), cpus + 61);
    }
}

/// An engine with many shards on each of its threads.
fn crowded(runtime: Runtime) -> Engine {
    let records = Workload::uniform(10_000, 50_000).generate();
    Stream::of(MemorySource::<GeneratedRecord>::new(records.into()))
        .out_of_order(Span::from_millis(500))
        .window(WindowSpec::tumbling(Span::from_seconds(1)).unwrap())
        .aggregate(Count)
        .for_each(|_| {})
        .shards(256)
        .runtime(runtime)
        .open()
        .unwrap()
}

/// What all parts together did with the threads' time is no more than there was of it.
fn assert_spent_once(metrics: &Metrics, threads: usize) {
    let sources = metrics.sources.iter().map(|(_, source)| {
        u128::from(source.busy_nanos)
            + u128::from(source.blocked_nanos)
            + u128::from(source.idle_nanos)
    });
    let shards = metrics.shards.iter().map(|shard| {
        u128::from(shard.busy_nanos)
            + u128::from(shard.blocked_nanos)
            + u128::from(shard.idle_nanos)
    });
    let spent: u128 = sources.chain(shards).sum();
    let had = metrics.elapsed.as_nanos() * threads as u128;
    assert!(spent > 0 && spent <= had, "{spent} ns of {had} on {threads} threads");
    let rates = metrics.since(&Metrics::default());
    assert!(rates.busy > 0.0 && rates.busy + rates.blocked + rates.idle <= 1.0, "{rates:?}");
}

#[test]
fn time_is_spent_once_however_many_shards_share_a_thread() {
    let cpus = tidewheel::cpu::Topology::detect().cpu_count();
    for runtime in [Runtime::Auto, Runtime::Threads] {
        assert_spent_once(&crowded(runtime).start().unwrap().join().unwrap(), cpus);
    }
    let mut engine = crowded(Runtime::Threads);
    while engine.step().unwrap() != Progress::Finished {}
    assert_spent_once(&engine.metrics(), 1);
}

type Generated = Typed<GeneratedRecord>;

const SOURCES: usize = 20;
const SHARDS: usize = 37;

/// A stream of sources that share the records of a workload, the first of them out of order.
fn stream(workload: Workload) -> Stream<Generated, Pass> {
    let records: Arc<[GeneratedRecord]> = workload.generate().into();
    Stream::of_all((0..SOURCES).map(|nth| {
        let share = MemorySource::strided(Arc::clone(&records), SOURCES, nth, 64);
        Box::new(share) as Box<dyn Source<Generated>>
    }))
    .out_of_order(Span::from_millis(300))
}

fn counting(shards: usize) -> Pipeline<Generated, Pass, Count, Discarding> {
    stream(Workload::uniform(10, 10))
        .window(WindowSpec::tumbling(Span::from_seconds(1)).unwrap())
        .aggregate(Count)
        .discard()
        .shards(shards)
}

#[test]
fn lanes_keep_within_their_memory_or_are_refused() {
    const MEMORY: usize = 17_000_000;
    let lanes = |shards| {
        let metrics = counting(shards).lane_memory_max(MEMORY).open().unwrap().metrics();
        metrics.lanes.iter().map(|lane| lane.capacity_bytes).collect::<Vec<_>>()
    };
    assert!(lanes(5).iter().all(|bytes| *bytes == 128 << 10), "few are as large as ever");
    let many = lanes(SHARDS);
    assert!(many.iter().all(|bytes| *bytes == 16 << 10), "{many:?}");
    assert!(many.iter().sum::<u64>() < MEMORY as u64);

    let error = counting(59).lane_memory_max(MEMORY).open().unwrap_err();
    let OpenError::LaneMemory { sources: SOURCES, shards: 59, shards_max: 58, .. } = error else {
        panic!("{error}")
    };
    let text = error.to_string();
    assert!(text.starts_with("the lanes from 20 sources to 59 shards take at least"), "{text}");
    assert!(text.ends_with("take 58 shards at most, or join some of the sources"), "{text}");
    assert!(counting(58).lane_memory_max(MEMORY).open().is_ok());
    let text = counting(1).lane_memory_max(1 << 10).open().unwrap_err().to_string();
    assert!(text.ends_with("may; join some of the sources"), "{text}");
}

/// The least memory that an engine's lanes do with: it says so when it is given none.
fn least<O>(open: impl FnOnce(usize) -> Result<O, OpenError>) -> usize {
    match open(0) {
        Err(OpenError::LaneMemory { bytes, .. }) => bytes,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("lanes take memory"),
    }
}

/// Results of a pipeline, and how many records were late.
fn run<S, P, A>(pipeline: Pipeline<S, P, A, IntoResults>) -> (Vec<String>, u64)
where
    S: Schema,
    P: Stage<S> + Clone + 'static,
    A: Aggregate<<P::Out as Schema>::Row, Output: std::fmt::Debug>,
    P::Out: Schema<Row: std::fmt::Debug>,
{
    let (engine, mut results) = pipeline.open().unwrap();
    let running = engine.start().unwrap();
    let mut bag = Vec::new();
    results.for_each(|output| {
        let Output::Result(result) = output else { return };
        bag.push(format!("{} {:?} {:?}", result.window, result.key, result.value));
    });
    let metrics = running.join().unwrap();
    assert!(metrics.ledger().is_balanced(), "{}", metrics.ledger());
    bag.sort_unstable();
    (bag, metrics.late())
}

#[test]
fn small_lanes_bring_what_large_ones_do() {
    for combining in [Combining::Always, Combining::Never] {
        let pipeline = |shards| {
            stream(Workload::uniform(500, 100_000))
                .window(WindowSpec::tumbling(Span::from_millis(100)).unwrap())
                .aggregate((Count, Last::of(|record: &GeneratedRecord| record.value)))
                .into_results()
                .shards(shards)
                .combining(combining)
        };
        let memory = least(|memory| pipeline(SHARDS).lane_memory_max(memory).open());
        assert!(memory < SOURCES * SHARDS * (32 << 10), "{memory}");
        let expected = run(pipeline(1));
        assert!(expected.1 > 1_000, "{} are late", expected.1);
        let small = run(pipeline(SHARDS).lane_memory_max(memory));
        assert!(small == expected, "{combining:?}");
    }
}

/// Records with keys of all lengths, up to the longest that a record may have.
struct LongKeys {
    rows: ColumnRows,
    left: usize,
}

impl LongKeys {
    /// What a record of text takes beside its key, when it has no columns.
    const BESIDE: usize = 32;
    const RECORDS: usize = 300;
}

impl Source<Columns> for LongKeys {
    fn poll(&mut self, rows_max: usize) -> Result<Polled, SourceError> {
        self.rows.clear();
        for left in (0..self.left).rev().take(rows_max.min(70)) {
            self.left = left;
            self.rows.begin(EventTime::from_nanos(left as i64 / 100));
            let length = (RECORD_BYTES_MAX - Self::BESIDE) / (1 + left % 17);
            self.rows.set_key(|key| key.resize(key.len() + length, 1 + (left % 29) as u8));
        }
        Ok(if self.rows.is_empty() { Polled::End } else { Polled::Batch })
    }

    fn batch(&self) -> ColumnsBatch<'_> {
        self.rows.batch()
    }

    fn name(&self) -> &str {
        "long keys"
    }
}

#[test]
fn the_longest_keys_go_through_the_smallest_lanes() {
    for combining in [Combining::Always, Combining::Never] {
        let pipeline = |shards| {
            let schema = Columns::new(0);
            let sources = (0..3).map(|_| {
                let source = LongKeys { rows: ColumnRows::new(schema), left: LongKeys::RECORDS };
                Box::new(source) as Box<dyn Source<Columns>>
            });
            Stream::with_schema(schema, Unfiltered, sources)
                .out_of_order(Span::from_nanos(5))
                .window(WindowSpec::tumbling(Span::from_nanos(1)).unwrap())
                .aggregate(Count)
                .into_results()
                .shards(shards)
                .combining(combining)
        };
        let memory = least(|memory| pipeline(5).lane_memory_max(memory).open());
        assert!(memory < 3 * 5 * (100 << 10), "{memory}");
        let expected = run(pipeline(1));
        assert_eq!((expected.0.len(), expected.1), (LongKeys::RECORDS, 0));
        let small = run(pipeline(5).lane_memory_max(memory));
        assert!(small == expected, "{combining:?}");
    }
}
