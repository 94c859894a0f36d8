//! Counts, sums, extremes and means.

use super::{Aggregate, Averageable, Comparable, Present, Summable};
use crate::record::Moment;
use std::fmt;
use std::marker::PhantomData;

/// How many rows there are, nulls or not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count;

impl<Row: ?Sized> Aggregate<Row> for Count {
    type Partial = u64;
    type Output = u64;

    #[inline(always)]
    fn identity(&self) -> u64 {
        0
    }

    #[inline(always)]
    fn lift(&self, _: Moment, _: &Row) -> u64 {
        1
    }

    #[inline(always)]
    fn combine(&self, into: &mut u64, from: &u64) {
        *into += from;
    }

    fn lower(&self, partial: &u64) -> u64 {
        *partial
    }

    #[inline(always)]
    fn is_invertible(&self) -> bool {
        true
    }

    #[inline(always)]
    fn subtract(&self, from: &mut u64, what: &u64) {
        *from -= what;
    }
}

/// How many rows the closure says yes to.
#[derive(Clone, Copy)]
pub struct CountIf<F> {
    holds: F,
}

impl<F> CountIf<F> {
    /// Counts the rows for which `holds`.
    pub const fn of<Row: ?Sized>(holds: F) -> Self
    where
        F: Fn(&Row) -> bool,
    {
        Self { holds }
    }
}

impl<F> fmt::Debug for CountIf<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CountIf")
    }
}

impl<Row: ?Sized, F> Aggregate<Row> for CountIf<F>
where
    F: Fn(&Row) -> bool + Clone + Send + 'static,
{
    type Partial = u64;
    type Output = u64;

    #[inline(always)]
    fn identity(&self) -> u64 {
        0
    }

    #[inline(always)]
    fn lift(&self, _: Moment, row: &Row) -> u64 {
        u64::from((self.holds)(row))
    }

    #[inline(always)]
    fn combine(&self, into: &mut u64, from: &u64) {
        *into += from;
    }

    fn lower(&self, partial: &u64) -> u64 {
        *partial
    }

    #[inline(always)]
    fn is_invertible(&self) -> bool {
        true
    }

    #[inline(always)]
    fn subtract(&self, from: &mut u64, what: &u64) {
        *from -= what;
    }
}

/// Declares an aggregate that a closure feeds.
macro_rules! fed_by_a_closure {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        #[allow(unreachable_pub)] // some are the base of others and stay in their module
        pub struct $name<F, V> {
            extract: F,
            value: PhantomData<fn() -> V>,
        }

        impl<F, V> $name<F, V> {
            /// Of the value that `extract` picks out of a row.
            #[allow(unreachable_pub)] // as above
            pub const fn of<Row: ?Sized>(extract: F) -> Self
            where
                F: Fn(&Row) -> V,
            {
                Self {
                    extract,
                    value: PhantomData,
                }
            }
        }

        impl<F, V> fmt::Debug for $name<F, V> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}<{}>", stringify!($name), std::any::type_name::<V>())
            }
        }
    };
}
pub(super) use fed_by_a_closure;

fed_by_a_closure!(
    /// The sum. Integers give an exact `i128`, floats an `f64` in which a NaN stays.
    Sum
);

impl<Row: ?Sized, F, V: Summable> Aggregate<Row> for Sum<F, V>
where
    F: Fn(&Row) -> V + Clone + Send + 'static,
{
    type Partial = V::Sum;
    type Output = V::Total;

    #[inline(always)]
    fn identity(&self) -> V::Sum {
        V::ZERO
    }

    #[inline(always)]
    fn lift(&self, _: Moment, row: &Row) -> V::Sum {
        (self.extract)(row).widen()
    }

    #[inline(always)]
    fn combine(&self, into: &mut V::Sum, from: &V::Sum) {
        V::add(into, *from);
    }

    fn lower(&self, partial: &V::Sum) -> V::Total {
        V::total(*partial)
    }

    #[inline(always)]
    fn is_invertible(&self) -> bool {
        V::EXACT
    }

    #[inline(always)]
    fn subtract(&self, from: &mut V::Sum, what: &V::Sum) {
        V::take(from, *what);
    }
}

fed_by_a_closure!(
    /// The least value; of floats the least that is not NaN, and `-0.0` before `0.0`.
    Min
);

impl<Row: ?Sized, F, V: Comparable> Aggregate<Row> for Min<F, V>
where
    F: Fn(&Row) -> V + Clone + Send + 'static,
{
    type Partial = V::Extreme;
    type Output = V::Output;

    #[inline(always)]
    fn identity(&self) -> V::Extreme {
        V::NO_LEAST
    }

    #[inline(always)]
    fn lift(&self, _: Moment, row: &Row) -> V::Extreme {
        (self.extract)(row).extreme()
    }

    #[inline(always)]
    fn combine(&self, into: &mut V::Extreme, from: &V::Extreme) {
        *into = V::lesser(*into, *from);
    }

    fn lower(&self, partial: &V::Extreme) -> V::Output {
        V::output(*partial)
    }
}

fed_by_a_closure!(
    /// The greatest value; of floats the greatest that is not NaN, and `0.0` after `-0.0`.
    Max
);

impl<Row: ?Sized, F, V: Comparable> Aggregate<Row> for Max<F, V>
where
    F: Fn(&Row) -> V + Clone + Send + 'static,
{
    type Partial = V::Extreme;
    type Output = V::Output;

    #[inline(always)]
    fn identity(&self) -> V::Extreme {
        V::NO_GREATEST
    }

    #[inline(always)]
    fn lift(&self, _: Moment, row: &Row) -> V::Extreme {
        (self.extract)(row).extreme()
    }

    #[inline(always)]
    fn combine(&self, into: &mut V::Extreme, from: &V::Extreme) {
        *into = V::greater(*into, *from);
    }

    fn lower(&self, partial: &V::Extreme) -> V::Output {
        V::output(*partial)
    }
}

fed_by_a_closure!(
    /// The arithmetic mean as an `f64`, in which a NaN stays. Integers are summed exactly and
    /// divided once.
    Mean
);

impl<Row: ?Sized, F, V: Averageable> Aggregate<Row> for Mean<F, V>
where
    F: Fn(&Row) -> V + Clone + Send + 'static,
{
    type Partial = Present<<V::Number as Summable>::Sum>;
    type Output = V::Mean;

    #[inline(always)]
    fn identity(&self) -> Self::Partial {
        Option::<V::Number>::ZERO
    }

    #[inline(always)]
    fn lift(&self, _: Moment, row: &Row) -> Self::Partial {
        (self.extract)(row).number().widen()
    }

    #[inline(always)]
    fn combine(&self, into: &mut Self::Partial, from: &Self::Partial) {
        Option::<V::Number>::add(into, *from);
    }

    fn lower(&self, partial: &Self::Partial) -> V::Mean {
        V::mean(partial.partial, partial.count)
    }

    #[inline(always)]
    fn is_invertible(&self) -> bool {
        V::Number::EXACT
    }

    #[inline(always)]
    fn subtract(&self, from: &mut Self::Partial, what: &Self::Partial) {
        <Option<V::Number> as Summable>::take(from, *what);
    }
}
