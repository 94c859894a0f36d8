//! Closing windows alone: what a result costs from the moment that the watermark passes a
//! window's end. The time of folding records into slices is left out, and an iteration is a
//! million results: read a millisecond as a nanosecond a result.
//!
//! The naive twin keeps a hash map a slice and merges all slices of a window anew. Both must come
//! to the sums that the definition of windows gives.

mod common;

use ahash::AHashMap;
use common::{Frames, OUT_OF_ORDER, TICK};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tidewheel::record::Typed;
use tidewheel::source::{GeneratedRecord, Workload};
use tidewheel::window::{Firing, Flow, StoreLimits, WindowStore};
use tidewheel::{Aggregate, Count, Max, Min, Span, Sum, Watermark, WindowSpec};

/// Results of one iteration.
const RESULTS: u64 = 1_000_000;

/// Sums over all results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Answer {
    results: u64,
    first: i64,
    second: i64,
    /// Windows and keys, so that no result can stand for another.
    places: i64,
}

impl Answer {
    #[inline(always)]
    fn add(&mut self, end: i64, key: u32, (first, second): (i64, i64)) {
        self.results += 1;
        self.first += first;
        self.second += second;
        self.places = self.places.wrapping_add(end.wrapping_mul(i64::from(key) + first));
    }
}

/// A stream, its windows in milliseconds, and how many results come first that are not measured.
struct Load {
    name: &'static str,
    records: Vec<GeneratedRecord>,
    size: i64,
    slide: i64,
    unmeasured: u64,
}

impl Load {
    fn spec(&self) -> WindowSpec {
        let span = |millis: i64| Span::from_millis(millis.unsigned_abs());
        WindowSpec::sliding(span(self.size), span(self.slide)).expect("the spec is sound")
    }

    /// The windows that hold a time, by their ends.
    fn ends(&self, millis: i64) -> impl Iterator<Item = i64> + use<> {
        let last = millis.div_euclid(self.slide) * self.slide + self.size;
        (0..self.size / self.slide).map({
            let slide = self.slide;
            move |nth| last - nth * slide
        })
    }
}

/// A million keys, once each, within one window; then windows of ten thousand of them.
fn tumbling() -> Load {
    const SEEN: u32 = 1_000_000;
    const TOUCHED: u32 = 10_000;
    let mut records: Vec<_> = (0..SEEN).map(|key| GeneratedRecord::new(key, 1, 0)).collect();
    let touches = Workload { start_millis: 1_000, ..Workload::uniform(TOUCHED, 3_000_000) };
    records.extend(touches.generate().into_iter().map(|touch| {
        let millis = touch.millis.max(1_000);
        // Every window touches other keys: 100 apart, from a place of its own.
        let key = touch.key * 100 + (millis / 1_000 % 100) as u32;
        GeneratedRecord::new(key, touch.value, millis)
    }));
    let name = "tumble 10k of 1M keys";
    Load { name, records, size: 1_000, slide: 1_000, unmeasured: SEEN.into() }
}

/// What is computed of a key's values: the sums of it are compared.
trait Totals: Copy {
    const NONE: Self;
    fn of(value: i64) -> Self;
    fn merge(&mut self, other: &Self);
    fn pair(&self) -> (i64, i64);
}

#[derive(Clone, Copy)]
struct CountAndSum(u64, i128);

impl Totals for CountAndSum {
    const NONE: Self = Self(0, 0);

    fn of(value: i64) -> Self {
        Self(1, value.into())
    }

    fn merge(&mut self, other: &Self) {
        self.0 += other.0;
        self.1 += other.1;
    }

    fn pair(&self) -> (i64, i64) {
        (self.0 as i64, self.1 as i64)
    }
}

#[derive(Clone, Copy)]
struct LowAndHigh(i64, i64);

impl Totals for LowAndHigh {
    const NONE: Self = Self(i64::MAX, i64::MIN);

    fn of(value: i64) -> Self {
        Self(value, value)
    }

    fn merge(&mut self, other: &Self) {
        self.0 = self.0.min(other.0);
        self.1 = self.1.max(other.1);
    }

    fn pair(&self) -> (i64, i64) {
        (self.0, self.1)
    }
}

/// The answer by definition: one key after the other, what it has of each slide in all windows
/// that hold it.
fn by_definition<T: Totals>(load: &Load) -> Answer {
    let mut keys: BTreeMap<u32, AHashMap<i64, T>> = BTreeMap::new();
    for record in &load.records {
        let slides = keys.entry(record.key).or_default();
        let slide = slides.entry(record.millis.div_euclid(load.slide)).or_insert(T::NONE);
        slide.merge(&T::of(record.value));
    }
    let mut answer = Answer::default();
    for (key, slides) in keys {
        let mut windows: AHashMap<i64, T> = AHashMap::new();
        for (slide, totals) in slides {
            for end in load.ends(slide * load.slide) {
                windows.entry(end).or_insert(T::NONE).merge(&totals);
            }
        }
        windows.iter().for_each(|(end, totals)| answer.add(*end, key, totals.pair()));
    }
    answer
}

/// The engine's windows. Says the answer, and how long closing took.
fn store<A: Aggregate<GeneratedRecord>>(
    load: &Load,
    frames: &Frames,
    aggregate: A,
    pair: fn(A::Output) -> (i64, i64),
) -> (Answer, Duration) {
    let schema = Typed::<GeneratedRecord>::new();
    let (mut answer, mut spent) = (Answer::default(), Duration::ZERO);
    let limits = StoreLimits::default();
    let mut store = WindowStore::new(load.spec(), TICK, aggregate.clone(), limits);
    let mut close = |store: &mut WindowStore<_, A, _>, watermark| {
        let is_measured = answer.results >= load.unmeasured;
        let begin = Instant::now();
        store.advance(watermark);
        let firing = store.fire(&mut |fired| {
            let end = fired.window.end.as_nanos() / 1_000_000;
            answer.add(end, fired.key, pair(aggregate.lower(fired.partial)));
            Flow::Taken
        });
        spent += begin.elapsed() * u32::from(is_measured);
        assert_eq!(firing, Firing::Done);
    };
    let mut end = i64::MIN;
    for frame in frames.iter() {
        let (before, after) = (frame.header().watermark(), frame.header().advances());
        let added = store.add_frame(&schema, frame, before, &mut |late| panic!("{late:?}"));
        assert_eq!(added.expect("within the limits").late, 0);
        // Frames are cut where windows end: other watermarks close nothing.
        if after.horizon(TICK) >= end {
            end = load.spec().next_end_after(after.horizon(TICK));
            close(&mut store, after);
        }
    }
    close(&mut store, Watermark::END);
    (answer, spent)
}

/// The naive twin: a map a slice; a window's close merges all of its slices.
fn maps<T: Totals>(load: &Load) -> (Answer, Duration) {
    let (mut answer, mut spent) = (Answer::default(), Duration::ZERO);
    let mut slices: BTreeMap<i64, AHashMap<u32, T>> = BTreeMap::new();
    let (mut max, mut closed) = (i64::MIN, None::<i64>);
    let mut close = |slices: &mut BTreeMap<i64, AHashMap<u32, T>>, from: i64, until: i64| {
        let is_measured = answer.results >= load.unmeasured;
        let begin = Instant::now();
        let mut end = from;
        while end <= until && !slices.is_empty() {
            let mut window: AHashMap<u32, T> = AHashMap::new();
            for (_, slice) in slices.range(end - load.size..end) {
                for (key, totals) in slice {
                    window.entry(*key).or_insert(T::NONE).merge(totals);
                }
            }
            window.iter().for_each(|(key, totals)| answer.add(end, *key, totals.pair()));
            end += load.slide;
            while slices.first_key_value().is_some_and(|(start, _)| *start < end - load.size) {
                slices.pop_first();
            }
        }
        spent += begin.elapsed() * u32::from(is_measured);
    };
    for record in &load.records {
        let slice = record.millis.div_euclid(load.slide) * load.slide;
        let totals = slices.entry(slice).or_default().entry(record.key).or_insert(T::NONE);
        totals.merge(&T::of(record.value));
        max = max.max(record.millis);
        let horizon = max - OUT_OF_ORDER.as_nanos() / 1_000_000 + TICK.as_nanos() / 1_000_000;
        let until = horizon.div_euclid(load.slide) * load.slide;
        let before = *closed.get_or_insert(until);
        if until > before {
            closed = Some(until);
            close(&mut slices, before + load.slide, until);
        }
    }
    close(&mut slices, closed.unwrap_or(0) + load.slide, i64::MAX);
    (answer, spent)
}

fn compare<T: Totals, A: Aggregate<GeneratedRecord>>(
    criterion: &mut Criterion,
    load: &Load,
    aggregate: &A,
    pair: fn(A::Output) -> (i64, i64),
) {
    let name = format!("{} {}", load.name, if aggregate.is_invertible() { "sum" } else { "max" });
    let mut group = criterion.benchmark_group(format!("window_fire {name}"));
    group.throughput(Throughput::Elements(RESULTS)).sample_size(10);
    let expected = by_definition::<T>(load);
    let frames = Frames::of(&load.records, load.spec());
    // However many iterations: one run over the load, whose results are as many as they are.
    let scaled = |(answer, spent): (Answer, Duration), times: u64| {
        assert_eq!(answer, expected);
        let results = times as f64 * RESULTS as f64;
        spent.mul_f64(results / (answer.results - load.unmeasured) as f64)
    };
    group.bench_function(BenchmarkId::from_parameter("tidewheel"), |bencher| {
        bencher.iter_custom(|times| scaled(store(load, &frames, aggregate.clone(), pair), times));
    });
    group.bench_function(BenchmarkId::from_parameter("maps"), |bencher| {
        bencher.iter_custom(|times| scaled(maps::<T>(load), times));
    });
    group.finish();
}

fn window_fire(criterion: &mut Criterion) {
    let value = |record: &GeneratedRecord| record.value;
    let sums = (Count, Sum::of(value));
    let bounds = (Min::of(value), Max::of(value));
    let sliding = |name, keys, records, slide| Load {
        name,
        records: Workload::uniform(keys, records).generate(),
        size: 10_000,
        slide,
        unmeasured: 0,
    };
    let loads = [
        tumbling(),
        sliding("slide 10s by 1s 10k keys", 10_000, 3_000_000, 1_000),
        sliding("fine 10s by 10ms 100 keys", 100, 1_500_000, 10),
    ];
    for load in loads {
        compare::<CountAndSum, _>(criterion, &load, &sums, |(n, sum)| (n as i64, sum as i64));
        compare::<LowAndHigh, _>(criterion, &load, &bounds, |bounds| bounds);
    }
}

criterion_group!(benches, window_fire);
criterion_main!(benches);
