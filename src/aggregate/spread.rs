//! Variance and standard deviation, without the cancellation of the schoolbook formula.

use super::builtin::fed_by_a_closure;
use super::{Aggregate, Averageable};
use crate::record::Moment;
use bytemuck::{Pod, Zeroable};
use std::fmt;
use std::marker::PhantomData;

/// Count, mean and sum of squared distances from the mean.
///
/// Combined as in Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for
/// Computing Sample Variances", 1979; with one row that is Welford's update.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Moments {
    /// Values.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// The sum of their squared distances from the mean.
    pub squares: f64,
}

impl Moments {
    const NONE: Self = Self { count: 0, mean: 0.0, squares: 0.0 };

    #[inline(always)]
    fn of(value: Option<f64>) -> Self {
        value.map_or(Self::NONE, |mean| Self { count: 1, mean, squares: 0.0 })
    }

    #[inline(always)]
    #[allow(clippy::cast_precision_loss)]
    fn combine(&mut self, from: &Self) {
        if self.count == 0 || from.count == 0 {
            // The formula would make a NaN of zero times an infinite mean.
            *self = if self.count == 0 { *from } else { *self };
            return;
        }
        let (n, m) = (self.count as f64, from.count as f64);
        let delta = from.mean - self.mean;
        self.count += from.count;
        self.mean += delta * (m / (n + m));
        self.squares += from.squares + delta * delta * (n * m / (n + m));
    }

    #[allow(clippy::cast_precision_loss)]
    fn variance(&self, divisor: Divisor) -> Option<f64> {
        let divisor = match divisor {
            Divisor::Sample => self.count.checked_sub(1)?,
            Divisor::Population => self.count,
        };
        // Distances from a mean that is not finite depend on the order in which they were taken.
        let squares = if self.mean.is_finite() { self.squares } else { f64::NAN };
        (divisor > 0).then(|| squares / divisor as f64)
    }
}

#[derive(Clone, Copy, Debug)]
enum Divisor {
    Sample,
    Population,
}

fed_by_a_closure!(
    /// Where the squared distances come from; [`Variance`] and [`StdDev`] say what becomes of them.
    Spread
);

macro_rules! spread {
    ($(#[$doc:meta])* $name:ident, $finish:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name<F, V> {
            spread: Spread<F, V>,
            divisor: Divisor,
        }

        impl<F, V> $name<F, V> {
            /// Of a sample, as SQL's `VAR_SAMP` and `STDDEV_SAMP`: the divisor is one less than
            /// the count, and there is no result for fewer than two values.
            pub const fn of<Row: ?Sized>(extract: F) -> Self
            where
                F: Fn(&Row) -> V,
            {
                Self {
                    spread: Spread::of(extract),
                    divisor: Divisor::Sample,
                }
            }

            /// Of a whole population, as SQL's `VAR_POP` and `STDDEV_POP`: the divisor is the
            /// count.
            pub const fn of_population<Row: ?Sized>(extract: F) -> Self
            where
                F: Fn(&Row) -> V,
            {
                Self {
                    spread: Spread::of(extract),
                    divisor: Divisor::Population,
                }
            }
        }

        impl<Row: ?Sized, F, V: Averageable> Aggregate<Row> for $name<F, V>
        where
            F: Fn(&Row) -> V + Clone + Send + 'static,
        {
            type Partial = Moments;
            type Output = Option<f64>;

            #[inline(always)]
            fn identity(&self) -> Moments {
                Moments::NONE
            }

            #[inline(always)]
            fn lift(&self, _: Moment, row: &Row) -> Moments {
                Moments::of((self.spread.extract)(row).float())
            }

            #[inline(always)]
            fn combine(&self, into: &mut Moments, from: &Moments) {
                into.combine(from);
            }

            fn lower(&self, partial: &Moments) -> Option<f64> {
                partial.variance(self.divisor).map($finish)
            }
        }
    };
}

spread!(
    /// The variance; `None` when there are too few values for one.
    Variance,
    |variance| variance
);
spread!(
    /// The standard deviation; `None` when there are too few values for one.
    StdDev,
    f64::sqrt
);
