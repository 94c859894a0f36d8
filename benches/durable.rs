//! What state costs: records in memory to results, tumbling windows of 10 k keys on two shards,
//! without state, with state that survives the process, and with state that survives a loss of
//! power. Every run checks its answer.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tidewheel::source::{GeneratedRecord, Workload};
use tidewheel::state::{Durability, State};
use tidewheel::{Count, Engine, Max, MemorySource, Min, Source, Span, Stream, Sum, WindowSpec};

const SHARDS: usize = 2;
const BLOCK: usize = 1024;

fn records() -> Arc<[GeneratedRecord]> {
    let records = std::env::var("RECORDS").ok().and_then(|n| n.parse().ok()).unwrap_or(4_000_000);
    Workload::uniform(10_000, records).generate().into()
}

/// An engine, and where it counts the records of its results.
fn engine(
    records: &Arc<[GeneratedRecord]>,
    state: Option<(&Path, Durability)>,
) -> (Engine, Arc<AtomicU64>) {
    let sources = (0..SHARDS).map(|nth| {
        let records = Arc::clone(records);
        Box::new(MemorySource::strided(records, SHARDS, nth, BLOCK)) as Box<dyn Source<_>>
    });
    let value = |record: &GeneratedRecord| record.value;
    let counted = Arc::new(AtomicU64::new(0));
    let shared = Arc::clone(&counted);
    let mut pipeline = Stream::of_all(sources)
        .out_of_order(Span::from_millis(500))
        .tick(Span::from_millis(1))
        .window(WindowSpec::tumbling(Span::from_seconds(1)).expect("the spec is sound"))
        .aggregate((Count, Sum::of(value), Min::of(value), Max::of(value)))
        .for_each(move |result| {
            shared.fetch_add(result.value.0, Ordering::Relaxed);
        })
        .shards(SHARDS);
    if let Some((folder, durability)) = state {
        // Made before the clock starts, and written anew from then on.
        let (every, ready) = (snapshot_every(), log_ready());
        let state = State::in_directory(folder).snapshot_every(every).log_ready(ready);
        pipeline = pipeline.state(state.durability(durability));
    }
    (pipeline.open().expect("the pipeline is sound"), counted)
}

fn snapshot_every() -> u64 {
    std::env::var("SNAPSHOT_EVERY").ok().and_then(|n| n.parse().ok()).unwrap_or(64 << 20)
}

fn log_ready() -> u64 {
    std::env::var("LOG_READY").ok().and_then(|n| n.parse().ok()).unwrap_or(128 << 20)
}

/// Runs an engine to its end; says how long that took.
fn run(records: &Arc<[GeneratedRecord]>, state: Option<(&Path, Durability)>) -> Duration {
    let (engine, counted) = engine(records, state);
    let begun = Instant::now();
    let metrics = engine.start().expect("threads start").join().expect("it runs to its end");
    let spent = begun.elapsed();
    assert!(metrics.ledger().is_balanced(), "{}", metrics.ledger());
    let late = metrics.late();
    assert_eq!(counted.load(Ordering::Relaxed) + late, records.len() as u64);
    spent
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("there is room for state")
}

fn bench(criterion: &mut Criterion) {
    let records = records();
    let mut group = criterion.benchmark_group("durable");
    group.sample_size(10).throughput(Throughput::Elements(records.len() as u64));
    group.bench_function(BenchmarkId::from_parameter("no state"), |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| run(&records, None)).sum());
    });
    for (name, durability) in [("process", Durability::Process), ("disk", Durability::DISK)] {
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter_custom(|times| {
                let run = |_| run(&records, Some((folder().path(), durability)));
                (0..times).map(run).sum()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
