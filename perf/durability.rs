//! What state costs, and what coming back takes, each with its answer checked. To be run by hand:
//!
//! ```text
//!  sustained none|process|disk SECONDS      as fast as it goes; CPU time of all threads, too
//!  closes none|process|disk SECONDS RATE    at so many records a second: how late closes are
//!  replay RECORDS                           a log without a snapshot is taken again
//!  restart KEYS                             a snapshot of so many keys and a short log behind it
//!  writes                                   entries into a segment, and how long syncs of it take
//! ```
//! Two shards, tumbling windows, four aggregates. `perf/pauses.rs` has what one step takes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use tidewheel::log::{Backing, Guarantee, LogFiles, Segment, SegmentName};
use tidewheel::metrics::Metrics;
use tidewheel::record::{ShardIndex, Typed};
use tidewheel::source::{GeneratedRecord, Polled, SourceCounts, SourceError, SourcePosition};
use tidewheel::state::{Durability, State};
use tidewheel::{Count, Engine, Max, Min, Progress, Source, Span, Stream, Sum, WindowSpec};

type Told<T = ()> = Result<T, Box<dyn std::error::Error>>;

const SHARDS: u64 = 2;

/// The nth of many numbers that look random.
fn draw(nth: u64) -> u64 {
    let mixed = nth.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 32)
}

/// When the next record comes.
#[derive(Clone, Copy)]
enum Pace {
    /// At once, until this moment.
    Until(Instant),
    /// At once, and so many of them.
    Records(u64),
    /// So many a second of each source, until this moment.
    Rate(u64, Instant),
}

/// What a source brings.
#[derive(Clone, Copy)]
struct Workload {
    /// Keys of a window that stays open, which sources of their own bring at once.
    ahead: u64,
    keys: u64,
    /// Records in a second of event time, of one source.
    per_second: u64,
    pace: Pace,
}

struct Records {
    work: Workload,
    nth: u64,
    next: u64,
    begun: Option<(Instant, u64)>,
    batch: Vec<GeneratedRecord>,
}

/// When the window is that stays open, in milliseconds.
const AHEAD: i64 = 1_000_000_000_000;

impl Records {
    fn sources(work: Workload) -> impl Iterator<Item = Box<dyn Source<Typed<GeneratedRecord>>>> {
        let sources = if work.ahead > 0 { SHARDS * 2 } else { SHARDS };
        (0..sources).map(move |nth| {
            let batch = Vec::new();
            Box::new(Self { work, nth, next: 0, begun: None, batch }) as Box<dyn Source<_>>
        })
    }

    fn record(&self, at: u64) -> GeneratedRecord {
        let Workload { keys, per_second, .. } = self.work;
        if self.is_ahead() {
            return GeneratedRecord::new((at * SHARDS + self.nth) as u32, 1, AHEAD);
        }
        let key = draw(at * SHARDS + self.nth) % keys;
        GeneratedRecord::new(key as u32, 1, (at * 1_000 / per_second) as i64)
    }

    fn is_ahead(&self) -> bool {
        self.nth >= SHARDS
    }

    /// The record before which this poll ends; `None` at the end of all.
    fn until(&mut self) -> Option<u64> {
        match self.work.pace {
            Pace::Rate(_, end) if self.is_ahead() => {
                (Instant::now() < end).then_some(self.work.ahead / SHARDS)
            }
            Pace::Until(end) => (Instant::now() < end).then_some(u64::MAX),
            Pace::Records(records) => (self.next < records).then_some(records),
            Pace::Rate(rate, end) => {
                let (begun, first) = *self.begun.get_or_insert((Instant::now(), self.next));
                let due = begun.elapsed().as_micros() as u64 * rate / 1_000_000;
                (Instant::now() < end).then_some(first + due)
            }
        }
    }
}

impl Source<Typed<GeneratedRecord>> for Records {
    fn poll(&mut self, rows_max: usize) -> Result<Polled, SourceError> {
        let Some(until) = self.until() else { return Ok(Polled::End) };
        let until = until.min(self.next + rows_max as u64);
        if until <= self.next {
            return Ok(Polled::Pending);
        }
        let mut batch = std::mem::take(&mut self.batch);
        batch.clear();
        batch.extend((self.next..until).map(|at| self.record(at)));
        (self.batch, self.next) = (batch, until);
        Ok(Polled::Batch)
    }

    fn batch(&self) -> &[GeneratedRecord] {
        &self.batch
    }

    fn name(&self) -> &str {
        "generated"
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn position(&mut self) -> Result<Option<SourcePosition>, SourceError> {
        Ok(Some(SourcePosition { offset: self.next, ..SourcePosition::default() }))
    }

    fn resume(&mut self, position: SourcePosition) -> Result<(), SourceError> {
        self.next = position.offset;
        Ok(())
    }

    fn counts(&self) -> SourceCounts {
        SourceCounts::default()
    }
}

/// What came out: how many records its results are of, and when the first one after `from` did.
#[derive(Default)]
struct Out {
    counted: AtomicU64,
    from: AtomicU64,
    first: std::sync::OnceLock<Instant>,
}

fn engine(work: Workload, window: Span, state: Option<State>) -> Told<(Engine, Arc<Out>)> {
    let out = Arc::new(Out::default());
    let shared = Arc::clone(&out);
    let value = |record: &GeneratedRecord| record.value;
    let mut pipeline = Stream::of_all(Records::sources(work))
        .tick(Span::from_millis(1))
        .window(WindowSpec::tumbling(window)?)
        .aggregate((Count, Sum::of(value), Min::of(value), Max::of(value)))
        .for_each(move |result| {
            shared.counted.fetch_add(result.value.0, Relaxed);
            let start = result.window.start.as_nanos().unsigned_abs();
            if start >= shared.from.load(Relaxed) && shared.first.get().is_none() {
                let _ = shared.first.set(Instant::now());
            }
        })
        .shards(SHARDS as usize);
    if let Some(state) = state {
        pipeline = pipeline.state(state);
    }
    Ok((pipeline.open()?, out))
}

fn state_of(word: &str, folder: &Path) -> Told<Option<State>> {
    let state = State::in_directory(folder);
    match word {
        "none" => Ok(None),
        "process" => Ok(Some(state)),
        "disk" => Ok(Some(state.durability(Durability::DISK))),
        other => Err(format!("'{other}' is none of none, process and disk").into()),
    }
}

fn records_of(metrics: &Metrics) -> u64 {
    metrics.sources.iter().map(|(_, source)| source.routed).sum()
}

/// CPU time of all threads of the process.
fn cpu() -> Told<Duration> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    // The 14th and 15th of all, of which the second, in brackets, may hold anything.
    let rest = text.rsplit(')').next().unwrap_or_default();
    let ticks: Vec<u64> =
        rest.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(Duration::from_millis(ticks.iter().sum::<u64>() * 10))
}

fn run(work: Workload, window: Span, state: Option<State>) -> Told<Metrics> {
    let (engine, out) = engine(work, window, state)?;
    let metrics = engine.start()?.join()?;
    assert!(metrics.ledger().is_balanced(), "{}", metrics.ledger());
    let counted = out.counted.load(Relaxed) + metrics.late();
    assert_eq!(counted, records_of(&metrics), "each record is in its window");
    Ok(metrics)
}

fn sustained(durability: &str, seconds: u64) -> Told {
    let folder = tempfile::tempdir_in(".")?;
    let (begun, before) = (Instant::now(), cpu()?);
    let pace = Pace::Until(begun + Duration::from_secs(seconds));
    let work = Workload { ahead: 0, keys: 10_000, per_second: 500_000, pace };
    let state = state_of(durability, folder.path())?;
    let metrics = run(work, Span::from_seconds(1), state)?;
    let (spent, cpu) = (begun.elapsed(), cpu()? - before);
    let records = records_of(&metrics) as f64 / 1e6;
    println!(
        "{durability}: {:.1} M records/s over {:.1} s, {:.2} CPU s per s, {:.1} CPU s per 100 M",
        records / spent.as_secs_f64(),
        spent.as_secs_f64(),
        cpu.as_secs_f64() / spent.as_secs_f64(),
        cpu.as_secs_f64() * 100.0 / records
    );
    Ok(())
}

fn closes(durability: &str, seconds: u64, rate: u64) -> Told {
    let folder = tempfile::tempdir_in(".")?;
    let end = Instant::now() + Duration::from_secs(seconds);
    let pace = Pace::Rate(rate / SHARDS, end);
    let work = Workload { ahead: 0, keys: 1_000, per_second: rate / SHARDS, pace };
    let state = state_of(durability, folder.path())?;
    let metrics = run(work, Span::from_millis(10), state)?;
    println!("{durability}: {:.0?}", metrics.close);
    Ok(())
}

fn replay(records: u64) -> Told {
    let folder = tempfile::tempdir_in(".")?;
    let pace = Pace::Records(records / SHARDS);
    let work = Workload { ahead: 0, keys: 10_000, per_second: 500_000, pace };
    let state = || Some(State::in_directory(folder.path()).snapshot_every(u64::MAX));
    run(work, Span::from_seconds(1), state())?;
    for _ in 0..5 {
        let begun = Instant::now();
        let (engine, out) = engine(work, Span::from_seconds(1), state())?;
        let opened = begun.elapsed();
        let metrics = engine.start()?.join()?;
        let spent = begun.elapsed();
        assert_eq!(out.counted.load(Relaxed) + metrics.late(), records / SHARDS * SHARDS);
        println!(
            "{:.1} M records/s: {spent:.0?}, of which {opened:.0?} to look through the log",
            records as f64 / 1e6 / spent.as_secs_f64()
        );
    }
    Ok(())
}

fn restart(keys: u64) -> Told {
    let folder = tempfile::tempdir_in(".")?;
    // One comes when all keys are in the log, and none for long behind it.
    let every = keys / SHARDS * size_of::<GeneratedRecord>() as u64;
    let state = || Some(State::in_directory(folder.path()).snapshot_every(every));
    let hour = Duration::from_secs(3600);
    let pace = Pace::Rate(100_000, Instant::now() + hour);
    let work = Workload { ahead: keys, keys: 100, per_second: 100_000, pace };
    let window = Span::from_millis(10);
    for round in 0..6 {
        let begun = Instant::now();
        let (mut engine, out) = engine(work, window, state())?;
        let opened = begun.elapsed();
        let taken = |metrics: &Metrics| metrics.shards.iter().map(|it| it.snapshots).sum::<u64>();
        if round > 0 {
            let last = std::fs::read_to_string(folder.path().join("last"))?;
            out.from.store(last.parse()?, Relaxed);
            while out.first.get().is_none() {
                assert_ne!(engine.step()?, Progress::Finished);
            }
            let first = out.first.get().map(|first| first.duration_since(begun));
            println!("{keys} keys: {:.0?} to the first result, open {opened:.0?}", first);
        } else {
            let all = |metrics: &Metrics| records_of(metrics) > keys;
            while !all(&engine.metrics()) || taken(&engine.metrics()) < SHARDS {
                assert_ne!(engine.step()?, Progress::Finished);
            }
        }
        // A tail behind the snapshot.
        let until = Instant::now() + Duration::from_millis(300);
        while Instant::now() < until {
            assert_ne!(engine.step()?, Progress::Finished);
        }
        engine.stop();
        while engine.step()? != Progress::Finished {}
        let read = records_of(&engine.metrics()) - keys;
        // Behind all that was read: a record comes every 10 us, and no window before that is new.
        let last = read.div_ceil(SHARDS) * 10_000;
        std::fs::write(folder.path().join("last"), last.to_string())?;
    }
    Ok(())
}

fn writes() -> Told {
    let folder = tempfile::tempdir_in(".")?;
    let shard = ShardIndex(0);
    let (bytes, times) = (64 << 20, 8);
    for (number, guarantee) in (0..).zip([Guarantee::Process, Guarantee::Disk]) {
        let files = LogFiles::new(folder.path(), guarantee);
        let mut segment = files.create(SegmentName { shard, number }, bytes)?;
        for frame in [1 << 10, 16 << 10, 32 << 10] {
            let words = vec![7_u64; frame / 8];
            let mut rates = Vec::new();
            for _ in 0..times {
                let begun = Instant::now();
                for at in (0..bytes).step_by(frame) {
                    segment.write(at, [&words[..8], &words[8..]])?;
                }
                rates.push(bytes as f64 / 1e9 / begun.elapsed().as_secs_f64());
            }
            rates.sort_by(f64::total_cmp);
            println!(
                "{guarantee:?}, frames of {} KiB: {:.2} GB/s ({:.2}-{:.2})",
                frame >> 10,
                rates[times / 2],
                rates[0],
                rates[times - 1]
            );
        }
    }
    commits(folder.path())
}

/// Writes what comes to be synced: 16 entries of 16 KiB.
fn append(segment: &mut impl Segment, at: &mut impl Iterator<Item = u64>) -> std::io::Result<()> {
    at.take(16).try_for_each(|at| segment.write(at, [&[7; 2048], &[]]))
}

/// How long it takes from asking for a sync to knowing of it, 16 KiB frames of 50 MB/s beside it.
fn commits(folder: &Path) -> Told {
    let files = LogFiles::new(folder, Guarantee::Disk);
    let mut segment = files.create(SegmentName { shard: ShardIndex(1), number: 0 }, 64 << 20)?;
    let words = vec![7_u64; 2048];
    for at in (0..64 << 20).step_by(16 << 10) {
        segment.write(at, [&words, &[]])?;
    }
    segment.syncer().sync()?;
    let (ask, asked) = channel::<()>();
    let (tell, told) = channel();
    let syncer = segment.syncer();
    let thread = std::thread::spawn(move || {
        asked.iter().try_for_each(|()| tell.send(syncer.sync()).map_err(drop))
    });
    let mut waits = Vec::new();
    let mut at = (0..64 << 20_u64).step_by(16 << 10).cycle();
    for _ in 0..500 {
        append(&mut segment, &mut at)?;
        let begun = Instant::now();
        ask.send(())?;
        // As a shard does, which goes on meanwhile.
        let synced = loop {
            match told.try_recv() {
                Ok(synced) => break synced,
                Err(_) => std::hint::spin_loop(),
            }
        };
        synced?;
        waits.push(begun.elapsed());
    }
    drop(ask);
    let _ = thread.join();
    report("a thread", &mut waits);
    let path = files.path_of(SegmentName { shard: ShardIndex(1), number: 0 });
    ring_commits(path, segment)
}

/// The same, but that an executor of glommio hands the sync to its ring and goes on.
fn ring_commits(path: String, mut segment: impl Segment) -> Told {
    let waits = glommio::LocalExecutorBuilder::default().make()?.run(async move {
        let file = glommio::io::BufferedFile::open(path).await?;
        let mut waits = Vec::new();
        let mut at = (0..64 << 20_u64).step_by(16 << 10).cycle();
        for _ in 0..500 {
            append(&mut segment, &mut at)?;
            let begun = Instant::now();
            file.fdatasync().await?;
            waits.push(begun.elapsed());
        }
        file.close().await?;
        Ok::<_, Box<dyn std::error::Error>>(waits)
    });
    report("a ring", &mut waits?);
    Ok(())
}

fn report(what: &str, waits: &mut [Duration]) {
    waits.sort_unstable();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
    println!("{what}: {} syncs, p50 {:.0?}, p99 {:.0?}", waits.len(), at(0.5), at(0.99));
}

fn main() -> Told {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["sustained", durability, seconds] => sustained(durability, seconds.parse()?),
        ["closes", durability, seconds, rate] => {
            closes(durability, seconds.parse()?, rate.parse()?)
        }
        ["replay", records] => replay(records.parse()?),
        ["restart", keys] => restart(keys.parse()?),
        ["writes"] => writes(),
        _ => Err("see the top of perf/durability.rs for what to ask for".into()),
    }
}
