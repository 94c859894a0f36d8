//! Random numbers for generated load: even ones and Zipf-distributed ones.

/// A small generator of random numbers (Steele, Lea and Flood, "Fast Splittable Pseudorandom
/// Number Generators", OOPSLA 2014).
#[derive(Clone, Debug)]
pub(super) struct SplitMix(u64);

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

impl SplitMix {
    /// The numbers of one record, told apart by its index from those of every other.
    pub(super) fn of(seed: u64, index: u64) -> Self {
        Self(mix(mix(seed).wrapping_add(index.wrapping_mul(GAMMA))))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }

    /// Below `bound`, evenly but for a part in 2^64 / `bound`; 0 when `bound` is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// From 0 up to 1, without 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The steepest exponent; beyond it the first number is drawn always anyway.
const EXPONENT_MAX: f64 = 100.0;

/// Zipf-distributed numbers by rejection-inversion, without a table (Hörmann and Derflinger,
/// "Rejection-Inversion to Generate Variates from Monotone Discrete Distributions", ACM TOMACS
/// 6(3), 1996).
///
/// The logarithms and powers are the platform's, so that two platforms may disagree about one
/// record in very many.
#[derive(Clone, Debug)]
pub(super) struct Zipf {
    exponent: f64,
    count: f64,
    low: f64,
    high: f64,
    shortcut: f64,
}

impl Zipf {
    /// Numbers below `count`, number `k` with a weight of `(k + 1)^-exponent`.
    ///
    /// # Panics
    /// When the exponent is not between 0 and 100.
    pub(super) fn new(count: u32, exponent: f64) -> Self {
        assert!(
            (0.0..=EXPONENT_MAX).contains(&exponent),
            "the exponent of a Zipf distribution is between 0 and {EXPONENT_MAX}, not {exponent}"
        );
        let mut zipf =
            Self { exponent, count: f64::from(count.max(1)), low: 0.0, high: 0.0, shortcut: 0.0 };
        zipf.low = zipf.integral(1.5) - 1.0;
        zipf.high = zipf.integral(zipf.count + 0.5);
        zipf.shortcut = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.weight(2.0));
        zipf
    }

    fn weight(&self, x: f64) -> f64 {
        (-self.exponent * x.ln()).exp()
    }

    /// The integral of the weight, from 1: `(x^(1-exponent) - 1) / (1-exponent)`, also where the
    /// exponent is near 1.
    fn integral(&self, x: f64) -> f64 {
        let log = x.ln();
        let power = (1.0 - self.exponent) * log;
        match power.abs() > 1e-8 {
            true => power.exp_m1() / power * log,
            false => log,
        }
    }

    fn inverse(&self, area: f64) -> f64 {
        // Rounding may bring it just below -1, where there is no logarithm.
        let scaled = (area * (1.0 - self.exponent)).max(-1.0);
        match scaled.abs() > 1e-8 {
            true => (scaled.ln_1p() / scaled * area).exp(),
            false => area.exp(),
        }
    }

    pub(super) fn sample(&self, random: &mut SplitMix) -> u32 {
        loop {
            let area = self.high + random.unit() * (self.low - self.high);
            let x = self.inverse(area);
            let number = x.round().clamp(1.0, self.count);
            let is_accepted = number - x <= self.shortcut
                || area >= self.integral(number + 0.5) - self.weight(number);
            if is_accepted {
                return number as u32 - 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published first outputs for the seed 1234567 (as in Vigna's splitmix64.c).
    #[test]
    fn the_numbers_are_those_of_the_paper() {
        let mut random = SplitMix(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| random.next()).collect();
        let published =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(first, published);
    }

    /// The twin is the definition: weights, added up.
    #[test]
    fn numbers_are_drawn_as_often_as_their_weights_say() {
        const DRAWS: u32 = 200_000;
        for exponent in [0.0, 0.5, 1.0, 1.2, 3.0] {
            for count in [1_u32, 2, 50] {
                let zipf = Zipf::new(count, exponent);
                let mut drawn = vec![0_u32; count as usize];
                for index in 0..u64::from(DRAWS) {
                    drawn[zipf.sample(&mut SplitMix::of(9, index)) as usize] += 1;
                }
                let weight = |k: u32| f64::from(k).powf(-exponent);
                let total: f64 = (1..=count).map(weight).sum();
                for (drawn, k) in drawn.iter().zip(1..) {
                    let expected = weight(k) / total * f64::from(DRAWS);
                    let off = (f64::from(*drawn) - expected).abs();
                    assert!(off <= 5.0 * expected.sqrt() + 5.0, "{drawn} for {expected:.0}");
                }
            }
        }
    }

    #[test]
    fn the_steepest_and_the_widest_end() {
        for (count, exponent) in [(u32::MAX, 0.0), (u32::MAX, 1.0), (10, EXPONENT_MAX)] {
            let zipf = Zipf::new(count, exponent);
            for index in 0..10_000 {
                assert!(zipf.sample(&mut SplitMix::of(1, index)) < count);
            }
        }
        let steepest = Zipf::new(10, EXPONENT_MAX);
        assert!((0..1000).all(|index| steepest.sample(&mut SplitMix::of(1, index)) == 0));
    }

    #[test]
    #[should_panic(expected = "between 0 and 100, not NaN")]
    fn an_exponent_that_is_no_number_is_refused() {
        Zipf::new(10, f64::NAN);
    }
}
