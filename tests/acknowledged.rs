//! Records that are pushed into an engine with state: what is acknowledged survives whatever
//! becomes of the engine, and what is not comes at most once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidewheel::source::{GeneratedRecord, Pusher, handle};
use tidewheel::state::{Durability, State};
use tidewheel::{Count, Engine, Last, Progress, Runtime, Source, Span, Stream, Sum, WindowSpec};

/// Results by where they come from: the key, and what the aggregates came to.
type Told = BTreeMap<(u16, u64), (u32, u64, i128, i64)>;

struct Run {
    engine: Engine,
    pushers: Vec<Pusher<GeneratedRecord>>,
    told: Arc<Mutex<Told>>,
}

fn open(folder: &Path, sources: usize, shards: usize, durability: Durability) -> Run {
    let (pushers, sources): (Vec<_>, Vec<_>) = (0..sources)
        .map(|_| handle(1 << 12))
        .map(|(pusher, source)| (pusher, Box::new(source) as Box<dyn Source<_>>))
        .unzip();
    let told = Arc::new(Mutex::new(Told::new()));
    let shared = Arc::clone(&told);
    let value = |record: &GeneratedRecord| record.value;
    let engine = Stream::of_all(sources)
        .window(WindowSpec::tumbling(Span::from_hours(1)).unwrap())
        .aggregate((Count, Sum::of(value), Last::of(value)))
        .for_each(move |result| {
            let (count, sum, last) = result.value;
            let what = (result.key, count, sum, last);
            shared.lock().unwrap().insert((result.shard.0, result.sequence), what);
        })
        .shards(shards)
        .runtime(Runtime::Threads)
        .state(State::in_directory(folder).durability(durability).snapshot_every(20_000))
        .open()
        .expect("the pipeline is sound");
    Run { engine, pushers, told }
}

/// Record `n` of a source, all of them in one window.
fn record(n: u64) -> GeneratedRecord {
    GeneratedRecord::new((n % 7) as u32, n as i64, 1_000 + n as i64)
}

/// Ends the sources and steps the engine to its end; gives the results of all keys together.
fn finish(mut run: Run) -> (u64, i128) {
    run.pushers.into_iter().for_each(Pusher::close);
    while run.engine.step().expect("it goes on") != Progress::Finished {}
    assert!(run.engine.metrics().ledger().is_balanced(), "{}", run.engine.metrics().ledger());
    let told = run.told.lock().unwrap();
    told.values().fold((0, 0), |(count, sum), what| (count + what.1, sum + what.2))
}

const DURABILITIES: [Durability; 2] = [Durability::Process, Durability::DISK];

#[test]
fn what_is_acknowledged_is_there_after_the_engine_was_cut_off() {
    for durability in DURABILITIES {
        for (sources, shards) in [(1, 1), (1, 2), (2, 3)] {
            let folder = tempfile::tempdir().unwrap();
            let (mut next, mut all) = (0, 0);
            for part in [1_u64, 700, 3_000] {
                let mut run = open(folder.path(), sources, shards, durability);
                for pusher in &mut run.pushers {
                    assert_eq!(pusher.acknowledged(), 0, "of this run");
                    let records: Vec<_> = (next..next + part).map(record).collect();
                    pusher.push(&records).unwrap();
                    all += records.iter().map(|record| i128::from(record.value)).sum::<i128>();
                }
                next += part;
                while run.pushers.iter().any(|pusher| pusher.acknowledged() < part) {
                    let _ = run.engine.step().expect("it goes on");
                }
                for pusher in &mut run.pushers {
                    assert_eq!(pusher.pushed(), part);
                    assert_eq!(pusher.wait_acknowledged(part, Duration::ZERO), Ok(part));
                }
                // Dropped where it stands: nothing is written any more.
            }
            let run = open(folder.path(), sources, shards, durability);
            let what = format!("{sources} sources, {shards} shards, {durability:?}");
            assert_eq!(finish(run), (next * sources as u64, all), "{what}");
        }
    }
}

#[test]
fn what_is_not_acknowledged_comes_at_most_once() {
    for durability in DURABILITIES {
        for shards in [1, 3] {
            for steps in [0, 1, 2, 5, 9] {
                let folder = tempfile::tempdir().unwrap();
                let mut run = open(folder.path(), 1, shards, durability);
                let records: Vec<_> = (0..4_000).map(record).collect();
                run.pushers[0].push(&records).unwrap();
                for _ in 0..steps {
                    let _ = run.engine.step().expect("it goes on");
                }
                let acknowledged = run.pushers[0].acknowledged();
                drop(run);
                let mut run = open(folder.path(), 1, shards, durability);
                // Later ones are taken for new, wherever the run before was cut off.
                run.pushers[0].push(&[record(10_000), record(10_001)]).unwrap();
                let (count, sum) = finish(run);
                let what = format!("{shards} shards, {durability:?}, {steps} steps: {count}");
                assert!((acknowledged + 2..=4_002).contains(&count), "{what}");
                assert!(sum >= 20_001 + (0..i128::from(acknowledged)).sum::<i128>(), "{what}");
            }
        }
    }
}

#[test]
fn a_thread_that_waits_hears_of_it() {
    for durability in DURABILITIES {
        let folder = tempfile::tempdir().unwrap();
        let Run { engine, mut pushers, .. } = open(folder.path(), 1, 2, durability);
        let running = engine.start().unwrap();
        let pusher = &mut pushers[0];
        for n in 0..200_u64 {
            pusher.push(&[record(n)]).unwrap();
            let heard = pusher.wait_acknowledged(n + 1, Duration::from_secs(60));
            assert_eq!(heard, Ok(n + 1));
        }
        assert_eq!(pusher.wait_acknowledged(201, Duration::from_millis(1)), Ok(200));
        running.stopper().stop();
        running.join().unwrap();
        assert!(pusher.wait_acknowledged(201, Duration::from_secs(60)).is_err());
        drop(pushers);
        assert_eq!(finish(open(folder.path(), 1, 2, durability)).0, 200);
    }
}

#[test]
fn without_state_nothing_is_acknowledged() {
    let (mut pusher, source) = handle(16);
    let pipeline = Stream::of(source)
        .window(WindowSpec::tumbling(Span::from_hours(1)).unwrap())
        .aggregate(Count)
        .discard();
    let mut engine = pipeline.open().unwrap();
    pusher.push(&[record(1)]).unwrap();
    for _ in 0..10 {
        let _ = engine.step().unwrap();
    }
    assert_eq!((pusher.pushed(), pusher.acknowledged()), (1, 0));
}
