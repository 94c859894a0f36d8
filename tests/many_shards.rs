//! More shards than CPUs share the CPUs' threads.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use tidewheel::engine::Runtime;
use tidewheel::source::{GeneratedRecord, Workload};
use tidewheel::{Count, MemorySource, Span, Stream, WindowSpec};

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
