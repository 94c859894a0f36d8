//! Synthetic load: the same records for the same seed, in whatever order they are asked for.

use super::blocks::Blocks;
use super::zipf::{SplitMix, Zipf};
use super::{Polled, Source, SourceCounts, SourceError};
use crate::record::{Record, Typed};
use crate::time::{EventTime, Span};
use bytemuck::{Pod, Zeroable};
use std::fmt;
use std::time::{Duration, Instant};

/// A generated record: 24 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct GeneratedRecord {
    /// The key.
    pub key: u32,
    padding: u32,
    /// A value.
    pub value: i64,
    /// When it happened: milliseconds since the epoch.
    pub millis: i64,
}

impl GeneratedRecord {
    /// A record.
    pub const fn new(key: u32, value: i64, millis: i64) -> Self {
        Self { key, padding: 0, value, millis }
    }
}

impl Record for GeneratedRecord {
    type Key = u32;

    #[inline(always)]
    fn event_time(&self) -> EventTime {
        EventTime::from_nanos(self.millis.saturating_mul(1_000_000))
    }

    #[inline(always)]
    fn key(&self) -> u32 {
        self.key
    }
}

/// What is generated. Each record depends on the seed and its own index only, so that several
/// sources make parts of one workload and together make the same records as one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Workload {
    /// How many records.
    pub records: u64,
    /// How many keys: they are `0..keys`.
    pub keys: u32,
    /// The exponent of a Zipf distribution of the keys, from 0 to 100; uniform if `None`.
    pub zipf: Option<f64>,
    /// How many values: they are `0..values`, evenly drawn.
    pub values: u32,
    /// Records in one second of event time.
    pub per_second: u64,
    /// Each record is earlier than its place says by an even draw from 0 to this, in whole
    /// milliseconds.
    pub disorder: Span,
    /// The event time of the first record's place, in milliseconds since the epoch.
    pub start_millis: i64,
    /// What the random numbers come from.
    pub seed: u64,
}

/// Records of one block: sources that share a workload take blocks in turn.
const BLOCK: u64 = 1024;

impl Workload {
    /// Keys drawn evenly, values from 0 to 999, 100 k records in a second of event time, up to
    /// 499 ms out of order.
    pub const fn uniform(keys: u32, records: u64) -> Self {
        Self {
            records,
            keys,
            zipf: None,
            values: 1_000,
            per_second: 100_000,
            disorder: Span::from_millis(499),
            start_millis: 1_700_000_000_000,
            seed: 42,
        }
    }

    /// The same, with keys drawn by Zipf's law: key `k` with a weight of `(k + 1)^-exponent`.
    pub const fn zipf(keys: u32, exponent: f64, records: u64) -> Self {
        Self { zipf: Some(exponent), ..Self::uniform(keys, records) }
    }

    /// All of the records, in the order of their arrival.
    ///
    /// # Panics
    /// When the exponent of [`Workload::zipf`] is not between 0 and 100.
    pub fn generate(&self) -> Vec<GeneratedRecord> {
        let generator = Generator::new(*self);
        (0..self.records).map(|index| generator.record(index)).collect()
    }
}

#[derive(Clone, Debug)]
struct Generator {
    workload: Workload,
    zipf: Option<Zipf>,
    disorder_millis: u64,
}

impl Generator {
    fn new(workload: Workload) -> Self {
        Self {
            zipf: workload.zipf.map(|exponent| Zipf::new(workload.keys, exponent)),
            disorder_millis: workload.disorder.as_nanos().unsigned_abs() / 1_000_000,
            workload,
        }
    }

    #[inline]
    fn record(&self, index: u64) -> GeneratedRecord {
        let Workload { keys, values, per_second, start_millis, seed, .. } = self.workload;
        let mut random = SplitMix::of(seed, index);
        let key = match &self.zipf {
            Some(zipf) => zipf.sample(&mut random),
            None => random.below(keys.into()) as u32,
        };
        let value = random.below(values.into()) as i64;
        let passed = u128::from(index) * 1_000 / u128::from(per_second.max(1));
        let late = random.below(self.disorder_millis + 1) as i64;
        let millis = start_millis
            .saturating_add(i64::try_from(passed).unwrap_or(i64::MAX))
            .saturating_sub(late);
        GeneratedRecord::new(key, value, millis)
    }
}

/// Makes records as they are asked for, as fast as they are taken or at a rate.
pub struct GeneratorSource<T, F> {
    generator: Generator,
    make: F,
    blocks: Blocks,
    batch: Vec<T>,
    pace: Option<Pace>,
}

/// Records a second by the clock, and when the first was due.
#[derive(Clone, Copy, Debug)]
struct Pace {
    per_second: u64,
    start: Option<Instant>,
}

impl Pace {
    /// How many records of the whole workload are due: the first at once, then one by one.
    fn due(&mut self) -> u64 {
        let start = self.start.get_or_insert_with(Instant::now);
        due_after(start.elapsed(), self.per_second)
    }
}

fn due_after(elapsed: Duration, per_second: u64) -> u64 {
    let whole = elapsed.as_nanos().saturating_mul(per_second.into()) / 1_000_000_000;
    u64::try_from(whole).unwrap_or(u64::MAX).saturating_add(1)
}

impl GeneratorSource<GeneratedRecord, fn(GeneratedRecord) -> GeneratedRecord> {
    /// A source of the whole workload.
    ///
    /// # Panics
    /// When the exponent of [`Workload::zipf`] is not between 0 and 100.
    #[allow(clippy::new_ret_no_self)] // it does; the closure's type has no name
    pub fn new(
        workload: Workload,
    ) -> GeneratorSource<GeneratedRecord, impl Fn(GeneratedRecord) -> GeneratedRecord + Send> {
        GeneratorSource::mapped(workload, |record| record)
    }
}

impl<T: Record, F: Fn(GeneratedRecord) -> T + Send> GeneratorSource<T, F> {
    /// A source of the whole workload, each record made into one of your own type.
    ///
    /// # Panics
    /// When the exponent of [`Workload::zipf`] is not between 0 and 100.
    pub fn mapped(workload: Workload, make: F) -> Self {
        Self {
            generator: Generator::new(workload),
            make,
            blocks: Blocks::new(workload.records, 1, 0, BLOCK),
            batch: Vec::new(),
            pace: None,
        }
    }

    /// Makes the `nth` of every `every` blocks of 1024 records only, so that `every` sources
    /// share the workload.
    ///
    /// # Panics
    /// When `nth` is not below `every`.
    #[must_use]
    pub fn share(mut self, nth: usize, every: usize) -> Self {
        let records = self.generator.workload.records;
        self.blocks = Blocks::new(records, every as u64, nth as u64, BLOCK);
        self
    }

    /// Hands records over when they are due by the clock, counted from the first poll: what a
    /// stall delays comes at once after it. The rate is that of the whole workload, all shares
    /// together. A source that waits does not ring: its core looks again by itself, so a record
    /// comes late by less than the gap before it, and by 10 ms at most; where the engine's idle
    /// policy is to spin, at once.
    #[must_use]
    pub fn rate(mut self, per_second: u64) -> Self {
        self.pace = Some(Pace { per_second, start: None });
        self
    }
}

impl<T: Record, F: Fn(GeneratedRecord) -> T + Send> Source<Typed<T>> for GeneratorSource<T, F> {
    fn poll(&mut self, rows_max: usize) -> Result<Polled, SourceError> {
        self.batch.clear();
        if self.blocks.is_finished() {
            return Ok(Polled::End);
        }
        let due = self.pace.as_mut().map_or(u64::MAX, Pace::due);
        let range = self.blocks.take(rows_max, due);
        if range.is_empty() {
            return Ok(Polled::Pending);
        }
        let (generator, make) = (&self.generator, &self.make);
        self.batch.extend(range.map(|index| make(generator.record(index))));
        Ok(Polled::Batch)
    }

    fn batch(&self) -> &[T] {
        &self.batch
    }

    fn name(&self) -> &str {
        "generator"
    }

    fn counts(&self) -> SourceCounts {
        let each = size_of::<T>() as u64;
        SourceCounts {
            malformed: 0,
            bytes: self.blocks.taken().saturating_mul(each),
            bytes_total: Some(self.blocks.len().saturating_mul(each)),
        }
    }
}

impl<T, F> fmt::Debug for GeneratorSource<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GeneratorSource")
            .field("workload", &self.generator.workload)
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::read_all;

    /// FNV-1a.
    fn checksum(records: &[GeneratedRecord]) -> u64 {
        let bytes: &[u8] = bytemuck::cast_slice(records);
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
            (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    #[test]
    fn the_same_seed_gives_the_same_records_in_every_version() {
        let workload = Workload::uniform(10_000, 10_000);
        let records = workload.generate();
        assert_eq!(
            checksum(&records),
            CHECKSUM,
            "records changed: earlier measurements do not compare"
        );
        let other = Workload { seed: 43, ..workload };
        assert_ne!(other.generate(), records);
    }

    const CHECKSUM: u64 = 8_659_209_055_845_880_121;

    #[test]
    fn records_are_what_the_workload_says() {
        let workload = Workload::uniform(10, 100_000);
        let (mut keys, mut values) = ([0_u32; 10], 0);
        let mut lateness = [0_u32; 500];
        for (index, record) in (0_i64..).zip(workload.generate()) {
            keys[record.key as usize] += 1;
            assert!((0..1_000).contains(&record.value));
            values += record.value;
            let place = workload.start_millis + index / 100;
            lateness[usize::try_from(place - record.millis).unwrap()] += 1;
        }
        assert!(keys.iter().all(|n| (9_500..10_500).contains(n)), "{keys:?}");
        assert!((495..505).contains(&(values / 100_000)), "{values}");
        assert!(lateness.iter().all(|n| (100..300).contains(n)), "{lateness:?}");
    }

    #[test]
    fn zipf_keys_are_the_lower_the_more_frequent() {
        let mut drawn = [0_u32; 4];
        for record in Workload::zipf(4, 1.0, 25_000).generate() {
            drawn[record.key as usize] += 1;
        }
        // The weights are 12, 6, 4 and 3 in 25.
        for (drawn, expected) in drawn.iter().zip([12_000, 6_000, 4_000, 3_000]) {
            assert!(drawn.abs_diff(expected) < 400, "{drawn} for {expected}");
        }
    }

    #[test]
    fn shares_together_are_the_whole() {
        let workload = Workload::zipf(100, 1.2, 10_000);
        let whole = workload.generate();
        assert_eq!(read_all(&mut GeneratorSource::new(workload), 1000), whole);
        let mut records = Vec::new();
        for nth in 0..3 {
            let mut source = GeneratorSource::new(workload).share(nth, 3);
            records.extend(read_all(&mut source, 1000));
            assert_eq!(source.counts().bytes_total, Some(source.counts().bytes));
        }
        let key = |record: &GeneratedRecord| (record.millis, record.key, record.value);
        let mut whole = whole;
        whole.sort_by_key(key);
        records.sort_by_key(key);
        assert_eq!(records, whole);
    }

    #[test]
    fn records_become_the_users_own() {
        #[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
        #[repr(C)]
        struct Tick(i64, f64);
        impl Record for Tick {
            type Key = [u8; 0];
            fn event_time(&self) -> EventTime {
                EventTime::from_nanos(self.0)
            }
            fn key(&self) -> [u8; 0] {
                []
            }
        }
        let workload = Workload::uniform(1, 10);
        let tick = |record: GeneratedRecord| Tick(record.millis, record.value as f64);
        let ticks = read_all(&mut GeneratorSource::mapped(workload, tick), 3);
        let expected: Vec<Tick> = workload.generate().into_iter().map(tick).collect();
        assert_eq!(ticks, expected);
    }

    #[test]
    fn a_rate_lets_records_out_when_they_are_due() {
        assert_eq!(due_after(Duration::ZERO, 10), 1);
        assert_eq!(due_after(Duration::from_millis(99), 10), 1);
        assert_eq!(due_after(Duration::from_millis(100), 10), 2);
        assert_eq!(due_after(Duration::MAX, u64::MAX), u64::MAX);
        let mut source = GeneratorSource::new(Workload::uniform(1, 3)).rate(0);
        assert_eq!(source.poll(10).unwrap(), Polled::Batch);
        assert_eq!(source.batch().len(), 1);
        assert_eq!(source.poll(10).unwrap(), Polled::Pending);
        let mut source = GeneratorSource::new(Workload::uniform(1, 3)).rate(u64::MAX);
        assert_eq!(read_all(&mut source, 10), Workload::uniform(1, 3).generate());
    }

    #[test]
    fn extreme_workloads_do_not_wrap() {
        let workload = Workload {
            records: 3,
            keys: 0,
            values: 0,
            per_second: 0,
            disorder: Span::MAX,
            start_millis: i64::MIN,
            ..Workload::uniform(0, 0)
        };
        for record in workload.generate() {
            assert_eq!((record.key, record.value), (0, 0));
            assert!(record.millis < i64::MIN + 3_000);
            assert_eq!(record.event_time(), EventTime::MIN);
        }
    }
}
