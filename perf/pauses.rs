//! How long a shard stands still: the longest step and the latency of closes while a window with
//! very many keys is open and snapshots are taken of it. Stepped by hand on one thread.
//!
//! ```text
//!  ahead:   KEYS keys, evenly drawn, all in one window that stays open
//!  behind:  100 keys in windows of 100 ms, one after the other: their closes are measured
//! ```
//! What is measured begins when the window ahead holds all keys. Arguments: keys, records of each
//! source beyond as many, bytes of log after which there is a snapshot (0: never).

use std::sync::Arc;
use std::time::{Duration, Instant};
use tidewheel::metrics::Metrics;
use tidewheel::source::GeneratedRecord;
use tidewheel::state::State;
use tidewheel::{
    Count, Engine, Max, MemorySource, Min, Progress, Source, Span, Stream, Sum, WindowSpec,
};

/// Milliseconds of a window, and when the one ahead is.
const WINDOW: i64 = 100;
const AHEAD: i64 = 1_000_000_000 * WINDOW;
/// Records of a window that is behind.
const BEHIND: u64 = 1_000;

fn argument(nth: usize) -> Result<u64, String> {
    let text = std::env::args().nth(nth).ok_or("pauses KEYS RECORDS SNAPSHOT_EVERY")?;
    text.parse().map_err(|_| format!("'{text}' is not a whole number"))
}

/// The nth of many numbers that look random.
fn draw(nth: u64) -> u64 {
    let mixed = nth.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 32)
}

fn sources(keys: u64, records: u64) -> [Arc<[GeneratedRecord]>; 2] {
    let ahead = |nth: u64| {
        let key = if nth < keys { nth } else { draw(nth) % keys };
        GeneratedRecord::new(key as u32, nth as i64 % 1_000, AHEAD)
    };
    let behind = |nth: u64| {
        let millis = (nth * WINDOW as u64 / BEHIND) as i64;
        GeneratedRecord::new((draw(nth) % 100) as u32, nth as i64 % 1_000, millis)
    };
    let all = 0..keys + records;
    [all.clone().map(ahead).collect(), all.map(behind).collect()]
}

fn engine(records: &[Arc<[GeneratedRecord]>; 2], state: State) -> Engine {
    let sources = records.clone().map(|records| {
        let source: MemorySource<GeneratedRecord> = MemorySource::new(records);
        Box::new(source) as Box<dyn Source<_>>
    });
    let value = |record: &GeneratedRecord| record.value;
    let spec = WindowSpec::tumbling(Span::from_millis(WINDOW as u64)).expect("the spec is sound");
    Stream::of_all(sources)
        .tick(Span::from_millis(1))
        .window(spec)
        .aggregate((Count, Sum::of(value), Min::of(value), Max::of(value)))
        .for_each(|result| {
            std::hint::black_box(result.value);
        })
        .shards(1)
        .state(state)
        .open()
        .expect("the pipeline is sound")
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (keys, records, every) = (argument(1)?, argument(2)?, argument(3)?);
    let folder = tempfile::tempdir()?;
    let every = if every == 0 { u64::MAX } else { every };
    let state = State::in_directory(folder.path()).snapshot_every(every).log_ready(1 << 30);
    let mut engine = engine(&sources(keys, records), state);
    let has_read = |metrics: &Metrics, share: u64| {
        metrics.sources.iter().all(|(_, source)| source.routed >= keys + records * share / 100)
    };
    let mut steps = Vec::with_capacity(1 << 24);
    let mut begun: Option<(Instant, Metrics)> = None;
    loop {
        for _ in 0..500 {
            let before = Instant::now();
            assert_ne!(engine.step()?, Progress::Finished, "there are too few records");
            steps.push(before.elapsed());
        }
        let metrics = engine.metrics();
        match &begun {
            // The window is full, and all tables have come to their size.
            None if has_read(&metrics, 5) => {
                steps.clear();
                begun = Some((Instant::now(), metrics));
            }
            // The end closes the window ahead, which is no concern here.
            Some((begun, earlier)) if has_read(&metrics, 95) => {
                report(&mut steps, begun.elapsed(), &metrics, earlier);
                break;
            }
            _ => {}
        }
    }
    engine.stop();
    while engine.step()? != Progress::Finished {}
    assert!(engine.metrics().ledger().is_balanced(), "{}", engine.metrics().ledger());
    Ok(())
}

fn report(steps: &mut [Duration], spent: Duration, metrics: &Metrics, earlier: &Metrics) {
    steps.sort_unstable();
    let at = |share: f64| steps[((steps.len() - 1) as f64 * share) as usize];
    let longest: Vec<Duration> = steps.iter().rev().take(5).copied().collect();
    let snapshots = |metrics: &Metrics| metrics.shards.iter().map(|it| it.snapshots).sum::<u64>();
    let records = metrics.records_in() - earlier.records_in();
    println!(
        "{:.1} M records/s, {} snapshots came in force",
        records as f64 / 1e6 / spent.as_secs_f64(),
        snapshots(metrics) - snapshots(earlier)
    );
    println!(
        "steps: {}, p50 {:.1?}, p99 {:.1?}, p99.9 {:.1?}, longest {longest:.1?}",
        steps.len(),
        at(0.5),
        at(0.99),
        at(0.999)
    );
    let close = metrics.close_since(earlier);
    let [p50, p99, p99_9, max] =
        [close.p50, close.p99, close.p99_9, close.max].map(Duration::from_nanos);
    println!(
        "closes: {}, p50 {p50:.1?}, p99 {p99:.1?}, p99.9 {p99_9:.1?}, longest {max:.1?}",
        close.count
    );
}
