//! The earliest and the latest value, by event time.

use super::Aggregate;
use super::builtin::fed_by_a_closure;
use crate::record::Moment;
use bytemuck::{Pod, Zeroable};
use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;

/// A value and where its row stands.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, packed)]
pub struct Placed<V: Pod> {
    /// Event time, or a number outside the times that records can carry when there is no row.
    time: i64,
    sequence: u64,
    value: V,
}

impl<V: Pod> Placed<V> {
    fn nowhere(time: i64) -> Self {
        Self { time, sequence: 0, value: V::zeroed() }
    }

    #[inline(always)]
    fn new(moment: Moment, value: V) -> Self {
        Self { time: moment.time.as_nanos(), sequence: moment.sequence.to_raw(), value }
    }

    /// By time, then source sequence. Rows without sequences may tie; the bytes of the value then
    /// decide, so that the order of arrival never does.
    #[inline(always)]
    fn order(&self, other: &Self) -> Ordering {
        let place = |placed: &Self| ({ placed.time }, { placed.sequence });
        place(self).cmp(&place(other)).then_with(|| {
            let (a, b) = (self.value, other.value);
            bytemuck::bytes_of(&a).cmp(bytemuck::bytes_of(&b))
        })
    }
}

macro_rules! placed {
    ($name:ident, $nowhere:expr, $wins:pat) => {
        impl<Row: ?Sized, F, V: Pod + Send> Aggregate<Row> for $name<F, V>
        where
            F: Fn(&Row) -> V + Clone + Send + 'static,
        {
            type Partial = Placed<V>;
            type Output = V;

            #[inline(always)]
            fn identity(&self) -> Placed<V> {
                Placed::nowhere($nowhere)
            }

            #[inline(always)]
            fn lift(&self, moment: Moment, row: &Row) -> Placed<V> {
                Placed::new(moment, (self.extract)(row))
            }

            #[inline(always)]
            fn combine(&self, into: &mut Placed<V>, from: &Placed<V>) {
                if matches!(from.order(into), $wins) {
                    *into = *from;
                }
            }

            fn lower(&self, partial: &Placed<V>) -> V {
                partial.value
            }

            #[inline(always)]
            fn needs_sequence(&self) -> bool {
                true
            }
        }
    };
}

fed_by_a_closure!(
    /// The value of the earliest row; rows of one time are told apart by their place in the
    /// source.
    First
);
placed!(First, i64::MAX, Ordering::Less);

fed_by_a_closure!(
    /// The value of the latest row; rows of one time are told apart by their place in the source.
    Last
);
placed!(Last, i64::MIN, Ordering::Greater);
