//! Synthetic load: the same records for the same seed, on every machine.

use super::{Polled, Source, SourceError};
use crate::record::{Record, Typed};
use crate::time::{EventTime, Span};
use bytemuck::{Pod, Zeroable};
use std::time::Instant;

/// A generated record: 24 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct GeneratedRecord {
    /// The key.
    pub key: u32,
    padding: u32,
    /// A value from 0 to 999.
    pub value: i64,
    /// Milliseconds since the epoch.
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
        EventTime::from_nanos(self.millis.wrapping_mul(1_000_000))
    }

    #[inline(always)]
    fn key(&self) -> u32 {
        self.key
    }
}

/// What is generated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Workload {
    /// How many records.
    pub records: u64,
    /// How many keys.
    pub keys: u32,
    /// The exponent of a Zipf distribution of the keys, above 0; uniform if `None`.
    pub zipf: Option<f64>,
    /// Records in one second of event time.
    pub per_second: u64,
    /// Records come up to this much out of order.
    pub disorder: Span,
    /// The event time of the first record, in milliseconds.
    pub start_millis: i64,
    /// What the numbers come from.
    pub seed: u64,
}

impl Workload {
    /// Records of keys drawn evenly: 100 k in a second of event time, up to 499 ms out of order.
    pub const fn uniform(keys: u32, records: u64) -> Self {
        Self {
            records,
            keys,
            zipf: None,
            per_second: 100_000,
            disorder: Span::from_millis(499),
            start_millis: 1_700_000_000_000,
            seed: 42,
        }
    }

    /// All of the records, in the order of their arrival.
    pub fn generate(&self) -> Vec<GeneratedRecord> {
        let mut generator = Generator::new(*self);
        (0..self.records).map(|_| generator.next_record()).collect()
    }
}

/// A small generator of random numbers (Steele, Lea and Flood, "Fast Splittable Pseudorandom
/// Number Generators", OOPSLA 2014).
#[derive(Clone, Debug)]
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Below `bound`, evenly but for 2^-64.
    fn below(&mut self, bound: u64) -> u64 {
        (u128::from(self.next()) * u128::from(bound) >> 64) as u64
    }

    /// From 0 up to 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Zipf-distributed numbers by rejection-inversion (Hörmann and Derflinger, "Rejection-Inversion
/// to Generate Variates from Monotone Discrete Distributions", 1996).
#[derive(Clone, Debug)]
struct Zipf {
    exponent: f64,
    count: f64,
    low: f64,
    high: f64,
    shortcut: f64,
}

impl Zipf {
    fn new(count: u32, exponent: f64) -> Self {
        let mut zipf =
            Self { exponent, count: f64::from(count), low: 0.0, high: 0.0, shortcut: 0.0 };
        zipf.low = zipf.integral(1.5) - 1.0;
        zipf.high = zipf.integral(zipf.count + 0.5);
        zipf.shortcut = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.weight(2.0));
        zipf
    }

    fn weight(&self, x: f64) -> f64 {
        (-self.exponent * x.ln()).exp()
    }

    /// The integral of the weight, from 1.
    fn integral(&self, x: f64) -> f64 {
        let power = (1.0 - self.exponent) * x.ln();
        // (e^power - 1) / (1 - exponent), also where the exponent is near 1.
        if power.abs() > 1e-8 { power.exp_m1() / power * x.ln() } else { x.ln() }
    }

    fn inverse(&self, area: f64) -> f64 {
        let scaled = (area * (1.0 - self.exponent)).max(-1.0);
        if scaled.abs() > 1e-8 { (scaled.ln_1p() / scaled * area).exp() } else { area.exp() }
    }

    /// From 0 to `count - 1`, the lower the more often.
    fn sample(&self, random: &mut SplitMix) -> u32 {
        loop {
            let area = self.high + random.unit() * (self.low - self.high);
            let x = self.inverse(area);
            let k = x.round().clamp(1.0, self.count);
            let accepted =
                k - x <= self.shortcut || area >= self.integral(k + 0.5) - self.weight(k);
            if accepted {
                return k as u32 - 1;
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Generator {
    workload: Workload,
    random: SplitMix,
    zipf: Option<Zipf>,
    made: u64,
}

impl Generator {
    fn new(workload: Workload) -> Self {
        let zipf = workload.zipf.map(|exponent| Zipf::new(workload.keys.max(1), exponent));
        Self { workload, random: SplitMix(workload.seed), zipf, made: 0 }
    }

    fn next_record(&mut self) -> GeneratedRecord {
        let workload = &self.workload;
        let key = match &self.zipf {
            Some(zipf) => zipf.sample(&mut self.random),
            None => self.random.below(u64::from(workload.keys.max(1))) as u32,
        };
        let disorder = workload.disorder.as_nanos().unsigned_abs() / 1_000_000;
        let passed = u128::from(self.made) * 1_000 / u128::from(workload.per_second.max(1));
        let late = self.random.below(disorder + 1);
        let value = self.random.below(1_000);
        self.made += 1;
        let millis = workload.start_millis.saturating_add(passed as i64) - late as i64;
        GeneratedRecord::new(key, value as i64, millis)
    }
}

/// Generates records as they are asked for, as fast as they are taken or at a rate.
#[derive(Debug)]
pub struct GeneratorSource {
    generator: Generator,
    batch: Vec<GeneratedRecord>,
    /// Records a second by the clock, and when the first was due.
    rate: Option<(f64, Option<Instant>)>,
}

impl GeneratorSource {
    /// A source of the workload.
    pub fn new(workload: Workload) -> Self {
        Self { generator: Generator::new(workload), batch: Vec::new(), rate: None }
    }

    /// Hands records over when they are due, so many a second by the clock: what a stall delays
    /// comes at once after it.
    #[must_use]
    pub fn rate(mut self, per_second: f64) -> Self {
        self.rate = Some((per_second, None));
        self
    }

    fn due(&mut self) -> u64 {
        match &mut self.rate {
            None => u64::MAX,
            Some((rate, start)) => {
                let start = start.get_or_insert_with(Instant::now);
                (start.elapsed().as_secs_f64() * *rate) as u64
            }
        }
    }
}

impl Source<Typed<GeneratedRecord>> for GeneratorSource {
    fn poll(&mut self, rows_max: usize) -> Result<Polled, SourceError> {
        self.batch.clear();
        let made = self.generator.made;
        let left = self.generator.workload.records - made;
        if left == 0 {
            return Ok(Polled::End);
        }
        let due = self.due().saturating_sub(made).min(left).min(rows_max as u64);
        if due == 0 {
            return Ok(Polled::Pending);
        }
        let generator = &mut self.generator;
        self.batch.extend((0..due).map(|_| generator.next_record()));
        Ok(Polled::Batch)
    }

    fn batch(&self) -> &[GeneratedRecord] {
        &self.batch
    }

    fn name(&self) -> &str {
        "generator"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_records() {
        let records = Workload::uniform(10, 1_000).generate();
        assert_eq!(records, Workload::uniform(10, 1_000).generate());
        assert_ne!(records, Workload { seed: 43, ..Workload::uniform(10, 1_000) }.generate());
        let checksum = records.iter().fold(0_u64, |sum, record| {
            sum.wrapping_mul(31) + u64::from(record.key) + record.value as u64
        });
        assert_eq!(checksum, CHECKSUM, "records changed: earlier measurements do not compare");
    }

    const CHECKSUM: u64 = 7_690_244_705_947_547_913;

    #[test]
    fn records_are_out_of_order_by_no_more_than_was_said() {
        let mut max = i64::MIN;
        for record in Workload::uniform(10, 100_000).generate() {
            max = max.max(record.millis);
            assert!(max - record.millis <= 499 && (0..1_000).contains(&record.value));
        }
    }

    #[test]
    fn zipf_draws_as_often_as_it_should() {
        for exponent in [0.5, 1.0, 1.2] {
            let workload = Workload { zipf: Some(exponent), ..Workload::uniform(50, 200_000) };
            let mut drawn = [0_u32; 50];
            workload.generate().iter().for_each(|record| drawn[record.key as usize] += 1);
            let weights = (1..=50).map(|k| f64::from(k).powf(-exponent));
            let total: f64 = weights.clone().sum();
            for (drawn, weight) in drawn.iter().zip(weights) {
                let expected = weight / total * 200_000.0;
                let off = (f64::from(*drawn) - expected).abs();
                assert!(off < 6.0 * expected.sqrt(), "{drawn} for {expected:.0} at {exponent}");
            }
        }
    }

    #[test]
    fn a_source_hands_over_what_the_workload_says() {
        let workload = Workload::uniform(10, 2_500);
        let mut source = GeneratorSource::new(workload);
        let mut all = Vec::new();
        while source.poll(1_000).unwrap() == Polled::Batch {
            all.extend_from_slice(source.batch());
        }
        assert_eq!(all, workload.generate());
    }
}
