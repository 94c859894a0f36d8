//! The windows of one shard alone: frames in, results out, nothing between cores. Beside it the
//! naive twin, one hash map by (window, key), and kernels: what a program would write by hand
//! that knows its keys, its values and its windows. Two of them hash numbers that follow each
//! other so that none collides; the third mixes them as one must whose keys a stranger may choose,
//! which is what the engine does. How far the engine's windows are from the better kernel, and
//! from the third, can be read off one run: before criterion's own samples, the paths take turns.
//!
//! Every run folds all records, closes its windows as the watermark passes them, and checks the
//! sums over all results.

mod common;

use ahash::AHashMap;
use common::{Frames, OUT_OF_ORDER, TICK};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::time::Instant;
use tidewheel::record::Typed;
use tidewheel::source::{GeneratedRecord, Workload};
use tidewheel::window::{Firing, Flow, StoreLimits, WindowStore};
use tidewheel::{Aggregate, Count, Max, Min, Span, Sum, Watermark, WindowSpec};

const SIZE_MILLIS: i64 = 1_000;

/// Sums over all results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Answer {
    results: u64,
    count: u64,
    sum: i64,
    low: i64,
    high: i64,
    /// Windows and keys, so that no result can stand for another.
    places: i64,
}

impl Answer {
    #[inline(always)]
    fn add(&mut self, end: i64, key: u32, totals: (u64, i64, i64, i64)) {
        let (count, sum, low, high) = totals;
        self.results += 1;
        self.count += count;
        self.sum += sum;
        self.low += low;
        self.high += high;
        self.places = self.places.wrapping_add(end.wrapping_mul(i64::from(key) + count as i64));
    }
}

/// The watermark's place among the windows: all that end at or before this are closed.
fn closed_until(max_millis: i64) -> i64 {
    let horizon = max_millis - OUT_OF_ORDER.as_nanos() / 1_000_000 + TICK.as_nanos() / 1_000_000;
    horizon.div_euclid(SIZE_MILLIS) * SIZE_MILLIS
}

fn spec() -> WindowSpec {
    let size = Span::from_millis(SIZE_MILLIS.unsigned_abs());
    WindowSpec::tumbling(size).expect("the size is not zero")
}

fn store(frames: &Frames) -> Answer {
    let value = |record: &GeneratedRecord| record.value;
    let aggregate = (Count, Sum::of(value), Min::of(value), Max::of(value));
    let schema = Typed::<GeneratedRecord>::new();
    let mut answer = Answer::default();
    let mut store = WindowStore::new(spec(), TICK, aggregate, StoreLimits::default());
    let mut close = |store: &mut WindowStore<_, _, _>, watermark| {
        store.advance(watermark);
        let firing = store.fire(&mut |fired| {
            let end = fired.window.end.as_nanos() / 1_000_000;
            let (count, sum, low, high) = aggregate.lower(fired.partial);
            answer.add(end, fired.key, (count, sum as i64, low, high));
            Flow::Taken
        });
        assert_eq!(firing, Firing::Done);
    };
    for frame in frames.iter() {
        let (before, after) = (frame.header().watermark(), frame.header().advances());
        let added = store.add_frame(&schema, frame, before, &mut |late| panic!("{late:?}"));
        assert_eq!(added.expect("within the limits").late, 0);
        if after > before {
            close(&mut store, after);
        }
    }
    close(&mut store, Watermark::END);
    answer
}

/// The naive twin: one map, closed by a scan.
fn map(records: &[GeneratedRecord]) -> Answer {
    let mut windows: AHashMap<(i64, u32), (u64, i64, i64, i64)> = AHashMap::new();
    let (mut answer, mut max, mut closed) = (Answer::default(), i64::MIN, i64::MIN);
    let mut close = |windows: &mut AHashMap<_, _>, until: i64| {
        windows.retain(|(end, key): &(i64, u32), totals| {
            let is_closed = *end <= until;
            if is_closed {
                answer.add(*end, *key, *totals);
            }
            !is_closed
        });
    };
    for record in records {
        let end = record.millis.div_euclid(SIZE_MILLIS) * SIZE_MILLIS + SIZE_MILLIS;
        let totals = windows.entry((end, record.key)).or_insert((0, 0, i64::MAX, i64::MIN));
        totals.0 += 1;
        totals.1 += record.value;
        totals.2 = totals.2.min(record.value);
        totals.3 = totals.3.max(record.value);
        if record.millis > max {
            max = record.millis;
            let until = closed_until(max);
            if until > closed {
                closed = until;
                close(&mut windows, until);
            }
        }
    }
    close(&mut windows, i64::MAX);
    answer
}

/// What the kernels hold of one key: half a cache line. Nothing is there when the count is zero.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
struct Slot {
    key: u32,
    count: u32,
    sum: i64,
    low: i64,
    high: i64,
}

const EMPTY: Slot = Slot { key: 0, count: 0, sum: 0, low: i64::MAX, high: i64::MIN };

impl Slot {
    #[inline(always)]
    fn fold(&mut self, value: i64) {
        self.count += 1;
        self.sum += value;
        self.low = self.low.min(value);
        self.high = self.high.max(value);
    }

    #[inline(always)]
    fn totals(&self) -> (u64, i64, i64, i64) {
        (u64::from(self.count), self.sum, self.low, self.high)
    }
}

/// How a kernel keeps the keys of one window.
trait Table {
    /// An empty table with room for so many keys.
    fn new(keys: usize) -> Self;
    fn prefetch(&self, key: u32);
    fn slot(&mut self, key: u32) -> &mut Slot;
    /// Gives out what was touched and forgets it.
    fn drain(&mut self, each: impl FnMut(&Slot));
}

/// Where a key belongs in a table of `1 << (32 - shift)`, by Fibonacci hashing.
#[inline(always)]
fn home(key: u32, shift: u32) -> usize {
    (key.wrapping_mul(0x9e37_79b9) >> shift) as usize
}

/// A flat table by key, and which of its slots were touched.
struct Flat {
    slots: Vec<Slot>,
    shift: u32,
    touched: Vec<u32>,
}

impl Table for Flat {
    fn new(keys: usize) -> Self {
        let length = (keys * 3 / 2).next_power_of_two();
        let shift = 32 - length.trailing_zeros();
        Self { slots: vec![EMPTY; length], shift, touched: Vec::new() }
    }

    #[inline(always)]
    fn prefetch(&self, key: u32) {
        prefetch(&self.slots, home(key, self.shift));
    }

    #[inline(always)]
    fn slot(&mut self, key: u32) -> &mut Slot {
        let mask = self.slots.len() - 1;
        let mut at = home(key, self.shift) & mask;
        while self.slots[at].count != 0 && self.slots[at].key != key {
            at = (at + 1) & mask;
        }
        let slot = &mut self.slots[at];
        if slot.count == 0 {
            slot.key = key;
            self.touched.push(at as u32);
            assert!(self.touched.len() <= mask, "a table has room for its keys");
        }
        slot
    }

    fn drain(&mut self, mut each: impl FnMut(&Slot)) {
        for (nth, at) in self.touched.iter().enumerate() {
            if let Some(later) = self.touched.get(nth + BLOCK) {
                prefetch(&self.slots, *later as usize);
            }
            each(&std::mem::replace(&mut self.slots[*at as usize], EMPTY));
        }
        self.touched.clear();
    }
}

/// Where a key belongs when nobody may choose keys that collide: two multiplications by a factor
/// that only this process knows.
#[inline(always)]
fn mixed_home(key: u32, factor: u64, shift: u32) -> usize {
    let mixed = (u64::from(key) ^ factor.rotate_left(32)).wrapping_mul(factor);
    ((mixed ^ mixed >> 32).wrapping_mul(factor) >> 32) as usize >> shift
}

/// Slots in the order in which keys came, and an index of (slot, key) by key.
struct Indexed<const IS_MIXED: bool> {
    index: Vec<u64>,
    shift: u32,
    factor: u64,
    slots: Vec<Slot>,
}

impl<const IS_MIXED: bool> Indexed<IS_MIXED> {
    #[inline(always)]
    fn home(&self, key: u32) -> usize {
        match IS_MIXED {
            true => mixed_home(key, self.factor, self.shift),
            false => home(key, self.shift),
        }
    }
}

impl<const IS_MIXED: bool> Table for Indexed<IS_MIXED> {
    fn new(keys: usize) -> Self {
        let length = (keys * 2).next_power_of_two();
        let shift = 32 - length.trailing_zeros();
        let factor = ahash::RandomState::new().hash_one(keys) | 1;
        Self { index: vec![0; length], shift, factor, slots: Vec::with_capacity(keys) }
    }

    #[inline(always)]
    fn prefetch(&self, key: u32) {
        prefetch(&self.index, self.home(key));
    }

    #[inline(always)]
    fn slot(&mut self, key: u32) -> &mut Slot {
        let mask = self.index.len() - 1;
        let mut at = self.home(key) & mask;
        while self.index[at] != 0 && self.index[at] as u32 != key {
            at = (at + 1) & mask;
        }
        if self.index[at] == 0 {
            self.slots.push(Slot { key, ..EMPTY });
            assert!(self.slots.len() <= mask, "a table has room for its keys");
            self.index[at] = (self.slots.len() as u64) << 32 | u64::from(key);
        }
        &mut self.slots[(self.index[at] >> 32) as usize - 1]
    }

    fn drain(&mut self, each: impl FnMut(&Slot)) {
        self.slots.iter().for_each(each);
        self.slots.clear();
        self.index.fill(0);
    }
}

/// Keys of a window from which on memory is asked for ahead of use.
const PREFETCHED_KEYS: usize = 1 << 14;
/// Records that are looked at together.
const BLOCK: usize = 32;

/// Asks for an item ahead of its use.
#[inline(always)]
#[allow(unsafe_code)] // the instruction takes a raw pointer
fn prefetch<T>(items: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(item) = items.get(at) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the pointer comes from a reference; a prefetch neither reads nor writes.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(item).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (items, at);
}

/// Windows that may be open at a time: the records' disorder is less than a window.
const PANES: usize = 4;
const NO_WINDOW: i64 = i64::MIN;

/// The open windows, each in the place that its number says.
struct Panes<T>([(i64, T); PANES]);

impl<T: Table> Panes<T> {
    #[inline(always)]
    fn at(&mut self, millis: i64) -> &mut T {
        let window = millis.div_euclid(SIZE_MILLIS);
        let (open, table) = &mut self.0[window as usize % PANES];
        if *open != window {
            assert_eq!(*open, NO_WINDOW, "a window is closed before its place is needed");
            *open = window;
        }
        table
    }

    fn close(&mut self, until: i64, answer: &mut Answer) {
        for (open, table) in &mut self.0 {
            let end = open.saturating_add(1).saturating_mul(SIZE_MILLIS);
            if *open != NO_WINDOW && end <= until {
                table.drain(|slot| answer.add(end, slot.key, slot.totals()));
                *open = NO_WINDOW;
            }
        }
    }
}

/// A kernel: 64-bit sums, 32-bit keys, milliseconds as they are; the windows, how far records are
/// out of order and how many keys a window can hold are known to it.
fn kernel<T: Table>(records: &[GeneratedRecord], keys: u32) -> Answer {
    let keys = keys.min(100_000) as usize;
    let mut panes = Panes([(); PANES].map(|()| (NO_WINDOW, T::new(keys))));
    let mut answer = Answer::default();
    let (mut max, mut closed) = (i64::MIN, i64::MIN);
    for block in records.chunks(BLOCK) {
        if keys > PREFETCHED_KEYS {
            block.iter().for_each(|record| panes.at(record.millis).prefetch(record.key));
        }
        for record in block {
            panes.at(record.millis).slot(record.key).fold(record.value);
            max = max.max(record.millis);
        }
        let until = closed_until(max);
        if until > closed {
            closed = until;
            panes.close(until, &mut answer);
        }
    }
    panes.close(i64::MAX, &mut answer);
    answer
}

type Path<'p> = (&'static str, &'p dyn Fn() -> Answer);

/// Rounds in which all paths take turns.
const ROUNDS: usize = 15;

/// Runs the paths in turn and prints each one's fastest run: on a machine that others use too, the
/// one figure of it that can be compared with another path's.
fn compare_in_turn(name: &str, records: usize, paths: &[Path<'_>], expected: Answer) {
    let mut fastest = vec![f64::MAX; paths.len()];
    for _ in 0..ROUNDS {
        for ((_, run), fastest) in paths.iter().zip(&mut fastest) {
            let begin = Instant::now();
            assert_eq!(run(), expected);
            *fastest = fastest.min(begin.elapsed().as_secs_f64() * 1e9 / records as f64);
        }
    }
    let nanos: Vec<String> =
        paths.iter().zip(&fastest).map(|((path, _), nanos)| format!("{path} {nanos:.2}")).collect();
    let kernels = paths.iter().zip(&fastest).filter(|((path, _), _)| path.starts_with("kernel"));
    let kernels: Vec<f64> = kernels.map(|(_, nanos)| *nanos).collect();
    let better = kernels.iter().copied().fold(f64::MAX, f64::min);
    let mixed = kernels.last().copied().unwrap_or(f64::NAN);
    eprintln!("{name}, ns/record, fastest of {ROUNDS} in turn: {}", nanos.join(", "));
    eprintln!(
        "{name}, tidewheel to the better kernel: {:.2}, to the one that mixes: {:.2}",
        fastest[0] / better,
        fastest[0] / mixed
    );
}

fn window_add(criterion: &mut Criterion) {
    let records = std::env::var("RECORDS").ok().and_then(|n| n.parse().ok()).unwrap_or(4_000_000);
    let is_measuring = !std::env::args()
        .any(|argument| ["--profile-time", "--list", "--test"].contains(&argument.as_str()));
    for (name, keys) in [("100 keys", 100), ("10k keys", 10_000), ("1M keys", 1_000_000)] {
        let records = Workload::uniform(keys, records).generate();
        let frames = Frames::of(&records, spec());
        let expected = map(&records);
        assert_eq!(expected.count, records.len() as u64, "none of the records is late");
        let paths: [Path<'_>; 5] = [
            ("tidewheel", &|| store(&frames)),
            ("kernel flat", &|| kernel::<Flat>(&records, keys)),
            ("kernel indexed", &|| kernel::<Indexed<false>>(&records, keys)),
            ("kernel mixed", &|| kernel::<Indexed<true>>(&records, keys)),
            ("map", &|| map(&records)),
        ];
        if is_measuring {
            compare_in_turn(&format!("window_add {name}"), records.len(), &paths, expected);
        }
        let mut group = criterion.benchmark_group(format!("window_add {name}"));
        group.throughput(Throughput::Elements(records.len() as u64)).sample_size(10);
        for (path, run) in paths {
            group.bench_function(BenchmarkId::from_parameter(path), |bencher| {
                bencher.iter(|| assert_eq!(run(), expected));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, window_add);
criterion_main!(benches);
