//! The whole path from records in memory to results, on two shards, beside a single-threaded
//! hash map. Every run checks its answer against one that no window was needed for.

use ahash::AHashMap;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use tidewheel::source::{GeneratedRecord, Workload};
use tidewheel::{Count, Max, MemorySource, Min, Source, Span, Stream, Sum, WindowSpec};

const SHARDS: usize = 2;
const BLOCK: usize = 1024;

/// What a run came to: results, and the sum of all windows' counts and sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Answer {
    results: u64,
    count: u64,
    sum: i64,
}

struct Load {
    name: &'static str,
    records: Arc<[GeneratedRecord]>,
    size: i64,
    slide: i64,
}

fn loads() -> Vec<Load> {
    let records: u64 =
        std::env::var("RECORDS").ok().and_then(|n| n.parse().ok()).unwrap_or(4_000_000);
    let make =
        |keys| -> Arc<[GeneratedRecord]> { Workload::uniform(keys, records).generate().into() };
    let (few, many, sparse) = (make(100), make(10_000), make(1_000_000));
    let zipf = Workload { zipf: Some(1.0), ..Workload::uniform(10_000, records) };
    let load = |name, records: &Arc<[GeneratedRecord]>, size, slide| Load {
        name,
        records: Arc::clone(records),
        size,
        slide,
    };
    vec![
        load("tumble 10k keys", &many, 1_000, 1_000),
        load("tumble 100 keys", &few, 1_000, 1_000),
        load("tumble 1M keys", &sparse, 1_000, 1_000),
        load("tumble zipf 10k keys", &zipf.generate().into(), 1_000, 1_000),
        load("slide 10s by 1s 10k keys", &many, 10_000, 1_000),
        load("fine 10s by 10ms 100 keys", &few, 10_000, 10),
    ]
}

fn tidewheel(load: &Load) -> Answer {
    let spec = WindowSpec::sliding(
        Span::from_millis(load.size.unsigned_abs()),
        Span::from_millis(load.slide.unsigned_abs()),
    );
    let sources = (0..SHARDS).map(|nth| {
        let records = Arc::clone(&load.records);
        Box::new(MemorySource::strided(records, SHARDS, nth, BLOCK)) as Box<dyn Source<_>>
    });
    let value = |record: &GeneratedRecord| record.value;
    let totals = Arc::new((AtomicU64::new(0), AtomicU64::new(0), AtomicI64::new(0)));
    let shared = Arc::clone(&totals);
    let mut local = Local { totals: shared, answer: Answer::default() };
    let engine = Stream::of_all(sources)
        .out_of_order(Span::from_millis(500))
        .tick(Span::from_millis(1))
        .window(spec.expect("the spec is sound"))
        .aggregate((Count, Sum::of(value), Min::of(value), Max::of(value)))
        .for_each(move |result| {
            local.add(result.value.0, result.value.1);
            black_box((result.value.2, result.value.3));
        })
        .shards(SHARDS)
        .open()
        .expect("the pipeline is sound");
    let metrics = engine.start().expect("threads start").join().expect("it runs to its end");
    assert!(metrics.ledger().is_balanced(), "{}", metrics.ledger());
    if std::env::var_os("VERBOSE").is_some() {
        eprintln!("{}: {}", load.name, metrics.line_since(&Default::default()));
    }
    Answer {
        results: totals.0.load(Ordering::Relaxed),
        count: totals.1.load(Ordering::Relaxed),
        sum: totals.2.load(Ordering::Relaxed),
    }
}

/// A shard's own totals, added up when the shard ends.
struct Local {
    totals: Arc<(AtomicU64, AtomicU64, AtomicI64)>,
    answer: Answer,
}

impl Local {
    fn add(&mut self, count: u64, sum: i128) {
        self.answer.results += 1;
        self.answer.count += count;
        self.answer.sum += sum as i64;
    }
}

impl Clone for Local {
    fn clone(&self) -> Self {
        Self { totals: Arc::clone(&self.totals), answer: Answer::default() }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.totals.0.fetch_add(self.answer.results, Ordering::Relaxed);
        self.totals.1.fetch_add(self.answer.count, Ordering::Relaxed);
        self.totals.2.fetch_add(self.answer.sum, Ordering::Relaxed);
    }
}

/// The naive twin: every window of every record, in one map; closed by a scan once the watermark
/// has passed a slide's end.
fn naive(load: &Load) -> Answer {
    let mut windows: AHashMap<(i64, u32), (u64, i128, i64, i64)> = AHashMap::new();
    let (mut answer, mut max, mut closed) = (Answer::default(), i64::MIN, i64::MIN);
    let mut close = |windows: &mut AHashMap<_, (u64, i128, i64, i64)>, until: i64| {
        windows.retain(|(end, _): &(i64, u32), totals| {
            if *end <= until {
                answer.results += 1;
                answer.count += totals.0;
                answer.sum += totals.1 as i64;
            }
            *end > until
        });
    };
    for record in load.records.iter() {
        let first = record.millis.div_euclid(load.slide) * load.slide;
        let mut start = first;
        while start + load.size > record.millis {
            let entry = windows.entry((start + load.size, record.key));
            let totals = entry.or_insert((0, 0, i64::MAX, i64::MIN));
            totals.0 += 1;
            totals.1 += i128::from(record.value);
            totals.2 = totals.2.min(record.value);
            totals.3 = totals.3.max(record.value);
            start -= load.slide;
        }
        max = max.max(record.millis);
        let until = (max - 500 + 1).div_euclid(load.slide) * load.slide;
        if until > closed {
            closed = until;
            close(&mut windows, until);
        }
    }
    close(&mut windows, i64::MAX);
    answer
}

/// Slides in a window from which on the naive twin would take minutes.
const FINE: i64 = 100;
/// Records of fine windows that their twin reads. Fewer are in its favour: more of its windows
/// are those of the stream's two ends, which hold fewer slides.
const FINE_RECORDS_MAX: usize = 2_000_000;

/// The twin of fine windows: a map a slide, and every window merges the maps of all its slides.
fn merged_slides(records: &[GeneratedRecord], size: i64, slide: i64) -> Answer {
    type Totals = (u64, i128, i64, i64);
    const NONE: Totals = (0, 0, i64::MAX, i64::MIN);
    let mut slides: BTreeMap<i64, AHashMap<u32, Totals>> = BTreeMap::new();
    let (mut answer, mut max, mut closed) = (Answer::default(), i64::MIN, i64::MIN);
    let mut close = |slides: &mut BTreeMap<i64, AHashMap<u32, Totals>>, until: i64| {
        while let Some((oldest, _)) = slides.first_key_value() {
            // The next window: the one after the last, or the first that holds anything.
            let end = (oldest + slide).max(closed.saturating_add(slide));
            if end > until {
                break;
            }
            let mut window: AHashMap<u32, Totals> = AHashMap::new();
            for (key, totals) in slides.range(end - size..end).flat_map(|(_, slide)| slide) {
                let merged = window.entry(*key).or_insert(NONE);
                merged.0 += totals.0;
                merged.1 += totals.1;
                merged.2 = merged.2.min(totals.2);
                merged.3 = merged.3.max(totals.3);
            }
            answer.results += window.len() as u64;
            answer.count += window.values().map(|totals| totals.0).sum::<u64>();
            answer.sum += window.values().map(|totals| totals.1 as i64).sum::<i64>();
            black_box(window);
            closed = end;
            while slides.first_key_value().is_some_and(|(start, _)| *start <= end - size) {
                slides.pop_first();
            }
        }
    };
    for record in records {
        let start = record.millis.div_euclid(slide) * slide;
        let totals = slides.entry(start).or_default().entry(record.key).or_insert(NONE);
        totals.0 += 1;
        totals.1 += i128::from(record.value);
        totals.2 = totals.2.min(record.value);
        totals.3 = totals.3.max(record.value);
        if record.millis > max {
            max = record.millis;
            close(&mut slides, (max - 500 + 1).div_euclid(slide) * slide);
        }
    }
    close(&mut slides, i64::MAX);
    answer
}

/// What the answer must be, without any window: every record counts in each window that holds it,
/// and a key has a result for every window that holds one of its slides.
fn expected(records: &[GeneratedRecord], size: i64, slide: i64) -> Answer {
    assert_eq!(size % slide, 0, "a window is whole slides");
    let windows = size / slide;
    let mut touched: Vec<(u32, i64)> =
        records.iter().map(|record| (record.key, record.millis.div_euclid(slide))).collect();
    touched.sort_unstable();
    touched.dedup();
    // A slide adds the windows that the key's slide before it was not in.
    let fresh = |pair: &[(u32, i64)]| match pair[0].0 == pair[1].0 {
        true => windows.min(pair[1].1 - pair[0].1),
        false => windows,
    };
    let first = if touched.is_empty() { 0 } else { windows };
    let results = first + touched.windows(2).map(fresh).sum::<i64>();
    let sum: i64 = records.iter().map(|record| record.value).sum();
    Answer {
        results: results.unsigned_abs(),
        count: records.len() as u64 * windows.unsigned_abs(),
        sum: sum * windows,
    }
}

fn end_to_end(criterion: &mut Criterion) {
    for load in loads() {
        let mut group = criterion.benchmark_group(load.name);
        group.throughput(Throughput::Elements(load.records.len() as u64)).sample_size(10);
        let answer = expected(&load.records, load.size, load.slide);
        group.bench_with_input(BenchmarkId::from_parameter("tidewheel"), &load, |bencher, load| {
            bencher.iter(|| assert_eq!(tidewheel(load), answer));
        });
        if load.size / load.slide < FINE {
            group.bench_with_input(BenchmarkId::from_parameter("map"), &load, |bencher, load| {
                bencher.iter(|| assert_eq!(naive(load), answer));
            });
        } else {
            let records = &load.records[..load.records.len().min(FINE_RECORDS_MAX)];
            let answer = expected(records, load.size, load.slide);
            group.throughput(Throughput::Elements(records.len() as u64));
            group.bench_function(BenchmarkId::from_parameter("merged slides"), |bencher| {
                let run = || merged_slides(records, load.size, load.slide);
                bencher.iter(|| assert_eq!(run(), answer));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, end_to_end);
criterion_main!(benches);
