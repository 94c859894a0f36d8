//! What is computed of the records of a window: small algebras with their laws written down.
//!
//! May use `record` and `time`. Knows nothing of windows, threads or files.
//!
//! Aggregates are values made of a closure that picks a number out of a row; a tuple of them is
//! computed in one pass and gives a tuple of results:
//!
//! ```
//! use tidewheel::aggregate::{Aggregate, Count, Max, Sum};
//! use tidewheel::record::{Moment, SourceSequence};
//! use tidewheel::EventTime;
//!
//! let aggregate = (Count, Sum::of(|x: &i32| *x), Max::of(|x: &i32| *x));
//! let mut partial = Aggregate::<i32>::identity(&aggregate);
//! for (n, x) in [3, 9, 5].iter().enumerate() {
//!     let moment = Moment {
//!         time: EventTime::EPOCH,
//!         sequence: SourceSequence::new(0, n as u64),
//!     };
//!     aggregate.fold(&mut partial, moment, x);
//! }
//! assert_eq!(Aggregate::<i32>::lower(&aggregate, &partial), (3, 17, 9));
//! ```
//!
//! A closure may return an `Option`: nulls are skipped, and the result is `None` when there was
//! nothing else. [`First`] and [`Last`] take plain values only. A window has at least one row, so
//! without nulls there is always a result.

mod builtin;
mod order;
mod spread;
mod tuple;
mod value;

pub use builtin::{Count, CountIf, Max, Mean, Min, Sum};
pub use order::{First, Last, Placed};
pub use spread::{Moments, StdDev, Variance};
pub use tuple::Joined;
pub use value::{Averageable, Comparable, Present, Summable, Wide};

use crate::record::Moment;
use bytemuck::Pod;

/// A commutative monoid over rows.
///
/// The laws, for all partials `a`, `b`, `c` (floating-point sums within rounding):
///
/// - identity: `combine(identity, a) = a`
/// - associative: `combine(combine(a, b), c) = combine(a, combine(b, c))`
/// - commutative: `combine(a, b) = combine(b, a)`, so arrival order does not matter; what depends
///   on order takes it from the [`Moment`]
/// - folding: `fold(a, row) = combine(a, lift(row))`
/// - inverse, when [`Aggregate::is_invertible`]: `subtract(combine(a, b), b) = a`, exactly
pub trait Aggregate<Row: ?Sized>: Clone + Send + 'static {
    /// What is kept for one key and one slice of time.
    type Partial: Pod + Send;
    /// What a window's result shows.
    type Output;

    /// The partial of no rows at all.
    fn identity(&self) -> Self::Partial;

    /// The partial of one row.
    fn lift(&self, moment: Moment, row: &Row) -> Self::Partial;

    /// Puts `from` into `into`.
    fn combine(&self, into: &mut Self::Partial, from: &Self::Partial);

    /// Puts one row into a partial.
    #[inline(always)]
    fn fold(&self, into: &mut Self::Partial, moment: Moment, row: &Row) {
        self.combine(into, &self.lift(moment, row));
    }

    /// The result that a partial stands for.
    fn lower(&self, partial: &Self::Partial) -> Self::Output;

    /// Whether [`Aggregate::subtract`] undoes [`Aggregate::combine`] exactly. No floating-point
    /// sum does: it drifts, and a NaN would stay for ever.
    #[inline(always)]
    fn is_invertible(&self) -> bool {
        false
    }

    /// Takes `what` out of `from` again. Only called when the aggregate is invertible.
    fn subtract(&self, from: &mut Self::Partial, what: &Self::Partial) {
        let _ = (from, what);
        unreachable!("called on an aggregate that is not invertible");
    }

    /// Whether [`Moment::sequence`] matters, so that exchanges have to carry it.
    #[inline(always)]
    fn needs_sequence(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod laws;
