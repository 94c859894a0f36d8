//! More shards than CPUs share the CPUs' threads.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use tidewheel::engine::Runtime;
use tidewheel::metrics::Metrics;
use tidewheel::source::{GeneratedRecord, Workload};
use tidewheel::{Count, Engine, MemorySource, Progress, Span, Stream, WindowSpec};

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
