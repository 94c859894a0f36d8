//! How long a shard stands still: steps, and how late closes are, while a window with very many
//! keys is open and snapshots are taken of it. Stepped by hand on one thread.
//!
//! ```text
//!  ahead:   KEYS keys, evenly drawn, all in one window that stays open, as fast as it goes, or
//!           once there are all keys, so many records a millisecond
//!  behind:  100 keys in windows of 1 ms, by the clock: how late these come is what is told
//! ```
//! A result is late by how long it comes after its window could be closed by the clock, so that what
//! waits for a long step counts, too. What is measured begins when the window ahead holds all keys.
//! With a number of slices, windows slide instead, by a slice: each slice holds its share of the
//! keys, or more, and each window all of them; there is no other source, and no result is late.
//! Arguments: keys, records beyond as many, bytes of log after which there is a snapshot (0: never),
//! slices of a window (1: it does not slide), how many keys, of all evenly, the records beyond are
//! of, or how many records a slice has, records ahead in a millisecond (0: as fast as it goes, as
//! where windows slide), and "whole" for snapshots that are whole each time, as they are where
//! history is kept.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tidewheel::metrics::Metrics;
use tidewheel::record::Typed;
use tidewheel::source::{GeneratedRecord, Polled, SourceCounts, SourceError, SourcePosition};
use tidewheel::state::{Keep, State};
use tidewheel::{
    Count, Engine, Max, MemorySource, Min, Progress, Source, Span, Stream, Sum, WindowSpec,
};

/// When the window ahead is, in milliseconds.
const AHEAD: i64 = 1_000_000_000;
/// Milliseconds of a window, which go by in one millisecond of the clock.
const WINDOW: u64 = 10;
/// Records of the source behind in one millisecond of the clock.
const BEHIND: u64 = 250;

/// Records, of which so many come at once and those behind them by the clock.
struct Paced<F> {
    name: &'static str,
    record: F,
    /// How many there are.
    all: u64,
    at_once: u64,
    per_milli: u64,
    begun: Option<Instant>,
    next: u64,
    batch: Vec<GeneratedRecord>,
}

impl<F: Fn(u64) -> GeneratedRecord> Paced<F> {
    /// The record before which those end that are due.
    fn due(&mut self) -> u64 {
        if self.next < self.at_once {
            return self.at_once;
        }
        let begun = self.begun.get_or_insert_with(Instant::now);
        self.at_once + begun.elapsed().as_micros() as u64 * self.per_milli / 1_000
    }
}

impl<F: Fn(u64) -> GeneratedRecord + Send> Source<Typed<GeneratedRecord>> for Paced<F> {
    fn poll(&mut self, rows_max: usize) -> Result<Polled, SourceError> {
        let until = self.due().min(self.next + rows_max as u64).min(self.all);
        if until <= self.next {
            return Ok(if until == self.all { Polled::End } else { Polled::Pending });
        }
        self.batch.clear();
        self.batch.extend((self.next..until).map(&self.record));
        self.next = until;
        Ok(Polled::Batch)
    }

    fn batch(&self) -> &[GeneratedRecord] {
        &self.batch
    }

    fn name(&self) -> &str {
        self.name
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn position(&mut self) -> Result<Option<SourcePosition>, SourceError> {
        Ok(Some(SourcePosition { offset: self.next, ..SourcePosition::default() }))
    }

    fn counts(&self) -> SourceCounts {
        SourceCounts::default()
    }
}

/// How late windows came.
type Late = Arc<Mutex<Vec<Duration>>>;

fn argument(nth: usize) -> Result<u64, String> {
    let text = std::env::args()
        .nth(nth)
        .ok_or("pauses KEYS RECORDS SNAPSHOT_EVERY [SLICES [CHANGING [PACE [whole]]]]")?;
    text.parse().map_err(|_| format!("'{text}' is not a whole number"))
}

/// The nth of many numbers that look random.
fn draw(nth: u64) -> u64 {
    let mixed = nth.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 32)
}

/// An engine, and where it says how late each window was. Once it has all keys, so many change.
fn engine(
    (keys, changing): (u64, u64),
    (records, per_milli): (u64, u64),
    state: State,
) -> (Engine, Late) {
    let ahead = move |nth: u64| {
        let key = if nth < keys { nth } else { draw(nth) % changing * (keys / changing) };
        GeneratedRecord::new(key as u32, nth as i64 % 1_000, AHEAD)
    };
    let behind = |nth: u64| {
        let (key, value) = (draw(nth) % 100, nth % 1_000);
        GeneratedRecord::new(key as u32, value as i64, (nth * WINDOW / BEHIND) as i64)
    };
    let begun = Instant::now();
    let ahead = Paced {
        name: "ahead",
        record: ahead,
        all: keys + records,
        at_once: if per_milli == 0 { u64::MAX } else { keys },
        per_milli,
        begun: None,
        next: 0,
        batch: Vec::new(),
    };
    let behind = Paced {
        name: "behind",
        record: behind,
        all: u64::MAX,
        at_once: 0,
        per_milli: BEHIND,
        begun: Some(begun),
        next: 0,
        batch: Vec::new(),
    };
    let sources: [Box<dyn Source<_>>; 2] = [Box::new(ahead), Box::new(behind)];
    let value = |record: &GeneratedRecord| record.value;
    let (late, mut last) = (Late::default(), None);
    let shared = Arc::clone(&late);
    let engine = Stream::of_all(sources)
        .tick(Span::from_millis(1))
        .window(WindowSpec::tumbling(Span::from_millis(WINDOW)).expect("the spec is sound"))
        .aggregate((Count, Sum::of(value), Min::of(value), Max::of(value)))
        .for_each(move |result| {
            std::hint::black_box(result.value);
            let end = result.window.end.as_nanos();
            if last.replace(end) != Some(end) {
                // One tick before its end it is closed.
                let due = Duration::from_nanos(end.unsigned_abs() - 1_000_000) / WINDOW as u32;
                shared.lock().expect("nobody panics").push((begun + due).elapsed());
            }
        })
        .shards(1)
        .state(state)
        .open()
        .expect("the pipeline is sound");
    (engine, late)
}

/// An engine whose windows slide, and have so many slices of so many records.
fn sliding(keys: u64, records: u64, state: State, (slices, each): (u64, u64)) -> (Engine, Late) {
    let record = |nth: u64| {
        let time = nth / each * WINDOW;
        GeneratedRecord::new((nth % keys) as u32, nth as i64 % 1_000, time as i64)
    };
    let source = MemorySource::<GeneratedRecord>::new((0..keys + records).map(record).collect());
    let value = |record: &GeneratedRecord| record.value;
    let (size, slide) = (Span::from_millis(WINDOW * slices), Span::from_millis(WINDOW));
    let engine = Stream::of(source)
        .tick(Span::from_millis(1))
        .window(WindowSpec::sliding(size, slide).expect("the spec is sound"))
        .aggregate((Count, Sum::of(value), Min::of(value), Max::of(value)))
        .for_each(|result| {
            std::hint::black_box(result.value);
        })
        .shards(1)
        .state(state)
        .open()
        .expect("the pipeline is sound");
    (engine, Late::default())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (keys, records, every) = (argument(1)?, argument(2)?, argument(3)?);
    let folder = tempfile::tempdir()?;
    let every = if every == 0 { u64::MAX } else { every };
    // Making segments takes a while, too, but the same whatever the keys are.
    let state = State::in_directory(folder.path()).log_ready(4 << 30).snapshot_every(every);
    let is_whole = std::env::args().nth(7).is_some_and(|argument| argument == "whole");
    let state = if is_whole { state.keep(Keep::All) } else { state };
    let (mut engine, late) = match argument(4).unwrap_or(1) {
        1 => {
            let pace = (records, argument(6).unwrap_or(0));
            engine((keys, argument(5).unwrap_or(keys)), pace, state)
        }
        slices => {
            let each = argument(5).unwrap_or(keys / slices);
            sliding(keys, records, state, (slices, each))
        }
    };
    let has_read =
        |metrics: &Metrics, share: u64| metrics.sources[0].1.routed >= keys + records * share / 100;
    let mut steps = Vec::with_capacity(1 << 24);
    let mut begun: Option<(Instant, Metrics, u64)> = None;
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
                late.lock().expect("nobody panics").clear();
                begun = Some((Instant::now(), metrics, written()?));
            }
            // The end closes the window ahead, which is no concern here.
            Some((begun, earlier, before)) if has_read(&metrics, 95) => {
                println!("{:.0} MB written in snapshots", (written()? - before) as f64 / 1e6);
                let late = &mut *late.lock().expect("nobody panics");
                report((&mut steps, late), begun.elapsed(), (&metrics, earlier));
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

/// Bytes that the process has written, but for its log, which is mapped.
fn written() -> Result<u64, Box<dyn std::error::Error>> {
    let io = std::fs::read_to_string("/proc/self/io")?;
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    Ok(line.ok_or("the system does not say how much was written")?.parse()?)
}

fn report(
    (steps, late): (&mut [Duration], &mut [Duration]),
    spent: Duration,
    (metrics, earlier): (&Metrics, &Metrics),
) {
    let snapshots = |metrics: &Metrics| metrics.shards.iter().map(|it| it.snapshots).sum::<u64>();
    let records = metrics.records_in() - earlier.records_in();
    println!(
        "{:.1} M records/s, {} snapshots came in force",
        records as f64 / 1e6 / spent.as_secs_f64(),
        snapshots(metrics) - snapshots(earlier)
    );
    for (what, all) in [("steps", steps), ("late by", late)] {
        if all.is_empty() {
            continue;
        }
        all.sort_unstable();
        let at = |share: f64| all[((all.len() - 1) as f64 * share) as usize];
        let longest: Vec<Duration> = all.iter().rev().take(6).copied().collect();
        println!(
            "{what}: {}, p50 {:.1?}, p99 {:.1?}, p99.9 {:.1?}, longest {longest:.1?}",
            all.len(),
            at(0.5),
            at(0.99),
            at(0.999)
        );
    }
}
