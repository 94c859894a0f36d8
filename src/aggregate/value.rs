//! The values that the built-in aggregates take: every primitive number, and options of them.

use bytemuck::{Pod, Zeroable};

mod sealed {
    pub trait Sealed: Copy + Send + 'static {}
    impl<T: Sealed> Sealed for Option<T> {}
}
use sealed::Sealed;

/// A sum of integers: an `i128` kept as two words. It cannot overflow before 2^63 records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Wide([u64; 2]);

impl Wide {
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // the two halves of a number
    const fn new(value: i128) -> Self {
        Self([value as u64, (value >> 64) as u64])
    }

    /// The number.
    #[inline(always)]
    pub const fn get(self) -> i128 {
        (self.0[1] as i128) << 64 | self.0[0] as i128
    }
}

/// A partial of values that may be null: how many were not, and the partial of those.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, packed)]
pub struct Present<P: Pod> {
    /// Values that were not null.
    pub count: u64,
    /// The partial of those.
    pub partial: P,
}

/// What can be summed: integers, exactly, as `i128`; floats as `f64`; and options of both.
pub trait Summable: Sealed {
    /// A sum under construction.
    type Sum: Pod + Send;
    /// What a sum shows.
    type Total;
    /// Whether sums are exact, so that they can be taken back.
    const EXACT: bool;

    /// The sum of nothing.
    const ZERO: Self::Sum;

    /// The sum of this value alone.
    fn widen(self) -> Self::Sum;
    /// Adds a sum to another.
    fn add(into: &mut Self::Sum, from: Self::Sum);
    /// Takes a sum out of another. Only for exact sums.
    fn take(from: &mut Self::Sum, what: Self::Sum);
    /// What the sum shows.
    fn total(sum: Self::Sum) -> Self::Total;
}

/// What has a mean: what is summable.
pub trait Averageable: Sealed {
    /// The number behind the null.
    type Number: Summable;
    /// What a mean shows.
    type Mean;

    /// The number, unless the value is null.
    fn number(self) -> Option<Self::Number>;
    /// The number as a float, unless the value is null.
    fn float(self) -> Option<f64>;
    /// What a sum of so many numbers shows.
    fn mean(sum: <Self::Number as Summable>::Sum, count: u64) -> Self::Mean;
}

/// What has a least and a greatest value.
///
/// Floats are ordered as [`f64::total_cmp`] has them (so `-0.0 < 0.0`), except that NaN counts as
/// no value: the result is NaN only when there was nothing else.
pub trait Comparable: Sealed {
    /// An extreme under construction.
    type Extreme: Pod + Send;
    /// What an extreme shows.
    type Output;

    /// Greater than every value, or skipped.
    const NO_LEAST: Self::Extreme;
    /// Less than every value, or skipped.
    const NO_GREATEST: Self::Extreme;

    /// The extreme of this value alone.
    fn extreme(self) -> Self::Extreme;
    /// The lesser of the two.
    fn lesser(a: Self::Extreme, b: Self::Extreme) -> Self::Extreme;
    /// The greater of the two.
    fn greater(a: Self::Extreme, b: Self::Extreme) -> Self::Extreme;
    /// What the extreme shows.
    fn output(extreme: Self::Extreme) -> Self::Output;
}

macro_rules! integers {
    ($($t:ty)*) => {$(
        impl Sealed for $t {}

        impl Summable for $t {
            type Sum = Wide;
            type Total = i128;
            const EXACT: bool = true;
            const ZERO: Wide = Wide::new(0);

            #[inline(always)]
            fn widen(self) -> Wide {
                Wide::new(i128::from(self))
            }

            #[inline(always)]
            fn add(into: &mut Wide, from: Wide) {
                *into = Wide::new(into.get().wrapping_add(from.get()));
            }

            #[inline(always)]
            fn take(from: &mut Wide, what: Wide) {
                *from = Wide::new(from.get().wrapping_sub(what.get()));
            }

            #[inline(always)]
            fn total(sum: Wide) -> i128 {
                sum.get()
            }
        }

        impl Averageable for $t {
            type Number = Self;
            type Mean = f64;

            #[inline(always)]
            fn number(self) -> Option<Self> {
                Some(self)
            }

            #[inline(always)]
            #[allow(clippy::cast_lossless, clippy::cast_precision_loss)]
            fn float(self) -> Option<f64> {
                Some(self as f64)
            }

            fn mean(sum: Wide, count: u64) -> f64 {
                divide(sum.get(), count)
            }
        }

        impl Comparable for $t {
            type Extreme = Self;
            type Output = Self;
            const NO_LEAST: Self = Self::MAX;
            const NO_GREATEST: Self = Self::MIN;

            #[inline(always)]
            fn extreme(self) -> Self {
                self
            }

            #[inline(always)]
            fn lesser(a: Self, b: Self) -> Self {
                a.min(b)
            }

            #[inline(always)]
            fn greater(a: Self, b: Self) -> Self {
                a.max(b)
            }

            #[inline(always)]
            fn output(extreme: Self) -> Self {
                extreme
            }
        }
    )*};
}

integers!(i8 i16 i32 i64 u8 u16 u32 u64);

/// The quotient, divided as integers first: a sum of many large numbers has more digits than an
/// `f64`, its mean does not.
#[allow(clippy::cast_precision_loss)]
fn divide(sum: i128, count: u64) -> f64 {
    let Some(whole) = sum.checked_div(i128::from(count)) else {
        return f64::NAN;
    };
    let rest = sum - whole * i128::from(count);
    whole as f64 + rest as f64 / count as f64
}

macro_rules! floats {
    ($($t:ty)*) => {$(
        impl Sealed for $t {}

        impl Summable for $t {
            type Sum = f64;
            type Total = f64;
            const EXACT: bool = false;
            const ZERO: f64 = 0.0;

            #[inline(always)]
            fn widen(self) -> f64 {
                f64::from(self)
            }

            #[inline(always)]
            fn add(into: &mut f64, from: f64) {
                *into += from;
            }

            fn take(_: &mut f64, _: f64) {
                unreachable!("sums of floats are not exact");
            }

            #[inline(always)]
            fn total(sum: f64) -> f64 {
                sum
            }
        }

        impl Averageable for $t {
            type Number = Self;
            type Mean = f64;

            #[inline(always)]
            fn number(self) -> Option<Self> {
                Some(self)
            }

            #[inline(always)]
            fn float(self) -> Option<f64> {
                Some(f64::from(self))
            }

            #[allow(clippy::cast_precision_loss)]
            fn mean(sum: f64, count: u64) -> f64 {
                sum / count as f64
            }
        }

        impl Comparable for $t {
            type Extreme = Self;
            type Output = Self;
            const NO_LEAST: Self = Self::NAN;
            const NO_GREATEST: Self = Self::NAN;

            #[inline(always)]
            fn extreme(self) -> Self {
                // One NaN stands for all, so that equal inputs give equal bits.
                if self.is_nan() { Self::NAN } else { self }
            }

            #[inline(always)]
            fn lesser(a: Self, b: Self) -> Self {
                if a.is_nan() || b.total_cmp(&a).is_lt() { b } else { a }
            }

            #[inline(always)]
            fn greater(a: Self, b: Self) -> Self {
                if a.is_nan() || (b.total_cmp(&a).is_gt() && !b.is_nan()) { b } else { a }
            }

            #[inline(always)]
            fn output(extreme: Self) -> Self {
                extreme
            }
        }
    )*};
}

floats!(f32 f64);

impl<T: Summable> Summable for Option<T> {
    type Sum = Present<T::Sum>;
    type Total = Option<T::Total>;
    const EXACT: bool = T::EXACT;
    const ZERO: Self::Sum = Present { count: 0, partial: T::ZERO };

    #[inline(always)]
    fn widen(self) -> Self::Sum {
        self.map_or(Self::ZERO, |value| Present { count: 1, partial: value.widen() })
    }

    #[inline(always)]
    fn add(into: &mut Self::Sum, from: Self::Sum) {
        let mut sum = into.partial;
        T::add(&mut sum, from.partial);
        into.partial = sum;
        into.count += from.count;
    }

    #[inline(always)]
    fn take(from: &mut Self::Sum, what: Self::Sum) {
        let mut sum = from.partial;
        T::take(&mut sum, what.partial);
        from.partial = sum;
        from.count -= what.count;
    }

    fn total(sum: Self::Sum) -> Self::Total {
        (sum.count > 0).then(|| T::total(sum.partial))
    }
}

impl<T: Averageable<Mean = f64>> Averageable for Option<T> {
    type Number = T::Number;
    type Mean = Option<f64>;

    #[inline(always)]
    fn number(self) -> Option<T::Number> {
        self.and_then(T::number)
    }

    #[inline(always)]
    fn float(self) -> Option<f64> {
        self.and_then(T::float)
    }

    fn mean(sum: <T::Number as Summable>::Sum, count: u64) -> Option<f64> {
        (count > 0).then(|| T::mean(sum, count))
    }
}

impl<T: Comparable> Comparable for Option<T> {
    type Extreme = Present<T::Extreme>;
    type Output = Option<T::Output>;
    const NO_LEAST: Self::Extreme = Present { count: 0, partial: T::NO_LEAST };
    const NO_GREATEST: Self::Extreme = Present { count: 0, partial: T::NO_GREATEST };

    #[inline(always)]
    fn extreme(self) -> Self::Extreme {
        // A null needs a partial that both `lesser` and `greater` skip; they look at the count.
        self.map_or(Self::NO_LEAST, |value| Present { count: 1, partial: value.extreme() })
    }

    #[inline(always)]
    fn lesser(a: Self::Extreme, b: Self::Extreme) -> Self::Extreme {
        both(a, b, T::lesser)
    }

    #[inline(always)]
    fn greater(a: Self::Extreme, b: Self::Extreme) -> Self::Extreme {
        both(a, b, T::greater)
    }

    fn output(extreme: Self::Extreme) -> Self::Output {
        (extreme.count > 0).then(|| T::output(extreme.partial))
    }
}

#[inline(always)]
fn both<P: Pod>(a: Present<P>, b: Present<P>, choose: impl Fn(P, P) -> P) -> Present<P> {
    match (a.count, b.count) {
        (_, 0) => a,
        (0, _) => b,
        (n, m) => Present { count: n + m, partial: choose(a.partial, b.partial) },
    }
}
