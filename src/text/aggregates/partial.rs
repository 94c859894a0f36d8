//! The partial itself: how a row is put in, how two are combined, what is read out of one.

use super::Function;
use super::layout::{ColumnOps, Layout, Op, Shown, State};
use crate::aggregate::Aggregate;
use crate::record::{ColumnRow, Moment};
use crate::text::{NumberKind, Value};
use arrayvec::ArrayVec;

/// The values of one result, in the order of the calls.
pub type ColumnValues<const WORDS: usize> = ArrayVec<Value, WORDS>;

/// Aggregates over the columns of a [`ColumnRow`], chosen at run time, kept in `WORDS` words.
///
/// All of them skip nulls; of no values at all everything but a count is null, and so is the
/// variance of a sample of one. A NaN is a value: it is counted, and a sum, mean, variance or
/// deviation that it is in is NaN; a least or greatest value is NaN only of nothing but NaN. An
/// infinity is a number beyond all others, and infinities of both signs sum up to NaN. Made by
/// [`with_aggregates`](super::with_aggregates).
#[derive(Clone, Debug)]
pub struct ColumnAggregates<const WORDS: usize> {
    identity: [u64; WORDS],
    layout: Layout,
}

impl<const WORDS: usize> ColumnAggregates<WORDS> {
    /// `WORDS` is at least the layout's words and the number of its values.
    pub(super) fn new(layout: Layout) -> Self {
        assert!(layout.shown.len() <= WORDS, "one result's values have room in {WORDS} words");
        let mut identity = [0; WORDS];
        identity[..layout.identity.len()].copy_from_slice(&layout.identity);
        Self { identity, layout }
    }

    /// Calls `each` for every column with its states.
    #[inline(always)]
    fn for_columns(&self, mut each: impl FnMut(&ColumnOps, &[Op])) {
        let mut ops = &self.layout.ops[..];
        let mut taken = 0;
        for column in &self.layout.columns {
            let (these, rest) = ops.split_at(usize::from(column.ops_end - taken));
            each(column, these);
            (ops, taken) = (rest, column.ops_end);
        }
    }
}

impl<const WORDS: usize> Aggregate<ColumnRow> for ColumnAggregates<WORDS> {
    type Partial = [u64; WORDS];
    type Output = ColumnValues<WORDS>;

    fn identity(&self) -> [u64; WORDS] {
        self.identity
    }

    fn lift(&self, moment: Moment, row: &ColumnRow) -> [u64; WORDS] {
        let mut partial = self.identity;
        self.fold(&mut partial, moment, row);
        partial
    }

    fn combine(&self, into: &mut [u64; WORDS], from: &[u64; WORDS]) {
        if self.layout.counts_rows {
            into[0] += from[0];
        }
        self.for_columns(|column, ops| {
            let (at, end) = (usize::from(column.at), usize::from(column.end));
            let (ours, theirs) = (into[at], from[at]);
            if theirs == 0 {
                return;
            }
            if ours == 0 {
                into[at..end].copy_from_slice(&from[at..end]);
                return;
            }
            into[at] += theirs;
            for op in ops {
                let at = usize::from(op.at);
                combine_state(op.state, (ours, &mut into[at..]), (theirs, &from[at..]));
            }
        });
    }

    #[inline]
    fn fold(&self, into: &mut [u64; WORDS], moment: Moment, row: &ColumnRow) {
        if self.layout.counts_rows {
            into[0] += 1;
        }
        self.for_columns(|column, ops| {
            if row.is_null(usize::from(column.column)) {
                return;
            }
            let value = row.word(column.word as usize);
            let count = &mut into[usize::from(column.at)];
            *count += 1;
            let count = *count;
            for op in ops {
                fold_state(op, into, count, moment, value);
            }
        });
    }

    fn lower(&self, partial: &[u64; WORDS]) -> ColumnValues<WORDS> {
        let shown = self.layout.shown.iter();
        shown.map(|shown| show(*shown, partial)).collect()
    }

    fn is_invertible(&self) -> bool {
        self.layout.is_exact()
    }

    fn subtract(&self, from: &mut [u64; WORDS], what: &[u64; WORDS]) {
        if self.layout.counts_rows {
            from[0] -= what[0];
        }
        self.for_columns(|column, ops| {
            from[usize::from(column.at)] -= what[usize::from(column.at)];
            for op in ops {
                assert!(op.state == State::SumI64, "{:?} has no inverse", op.state);
                let at = usize::from(op.at);
                let rest = read_i128(&from[at..]).wrapping_sub(read_i128(&what[at..]));
                write_i128(&mut from[at..], rest);
            }
        });
    }

    fn needs_sequence(&self) -> bool {
        self.layout.needs_sequence()
    }
}

/// Puts a value, the `count`th, into a state.
#[inline(always)]
fn fold_state(op: &Op, into: &mut [u64], count: u64, moment: Moment, value: u64) {
    let at = usize::from(op.at);
    let integer = value.cast_signed();
    match op.state {
        State::SumI64 => {
            // A partial holds less than 2^64 values, so an i128 cannot overflow.
            let sum = read_i128(&into[at..]).wrapping_add(i128::from(integer));
            write_i128(&mut into[at..], sum);
        }
        State::SumF64 => into[at] = add(into[at], value),
        State::MinI64 => into[at] = into[at].cast_signed().min(integer).cast_unsigned(),
        State::MaxI64 => into[at] = into[at].cast_signed().max(integer).cast_unsigned(),
        State::MinF64 => {
            let order = float_order(value, f64::NAN);
            into[at] = into[at].cast_signed().min(order).cast_unsigned();
        }
        State::MaxF64 => {
            let order = float_order(value, -f64::NAN);
            into[at] = into[at].cast_signed().max(order).cast_unsigned();
        }
        State::SpreadI64 => fold_spread(&mut into[at..], count, float(integer)),
        State::SpreadF64 => fold_spread(&mut into[at..], count, f64::from_bits(value)),
        State::First => {
            if moment_key(moment) < (into[at].cast_signed(), into[at + 1]) {
                keep(&mut into[at..], moment, value);
            }
        }
        State::Last => {
            if moment_key(moment) > (into[at].cast_signed(), into[at + 1]) {
                keep(&mut into[at..], moment, value);
            }
        }
    }
}

/// Combines two states that both hold values, and says how many.
#[inline(always)]
fn combine_state(state: State, (ours, into): (u64, &mut [u64]), (theirs, from): (u64, &[u64])) {
    match state {
        State::SumI64 => {
            let sum = read_i128(into).wrapping_add(read_i128(from));
            write_i128(into, sum);
        }
        State::SumF64 => into[0] = add(into[0], from[0]),
        State::MinI64 | State::MinF64 => {
            into[0] = into[0].cast_signed().min(from[0].cast_signed()).cast_unsigned();
        }
        State::MaxI64 | State::MaxF64 => {
            into[0] = into[0].cast_signed().max(from[0].cast_signed()).cast_unsigned();
        }
        State::First => {
            if (from[0].cast_signed(), from[1]) < (into[0].cast_signed(), into[1]) {
                into[..3].copy_from_slice(&from[..3]);
            }
        }
        State::Last => {
            if (from[0].cast_signed(), from[1]) > (into[0].cast_signed(), into[1]) {
                into[..3].copy_from_slice(&from[..3]);
            }
        }
        State::SpreadI64 | State::SpreadF64 => combine_spread((ours, into), (theirs, from)),
    }
}

/// B. P. Welford, "Note on a Method for Calculating Corrected Sums of Squares and Products", 1962,
/// as the case of [`combine_spread`] in which one value comes in.
#[inline(always)]
fn fold_spread(into: &mut [u64], count: u64, value: f64) {
    let (mean, squares) = (f64::from_bits(into[0]), f64::from_bits(into[1]));
    let delta = value - mean;
    let step = delta / float_count(count);
    into[0] = (mean + step).to_bits();
    into[1] = (squares + delta * step * float_count(count - 1)).to_bits();
}

/// Tony F. Chan, Gene H. Golub, Randall J. LeVeque, "Updating Formulae and a Pairwise Algorithm for
/// Computing Sample Variances", 1979.
fn combine_spread((ours, into): (u64, &mut [u64]), (theirs, from): (u64, &[u64])) {
    let (mean, squares) = (f64::from_bits(into[0]), f64::from_bits(into[1]));
    let delta = f64::from_bits(from[0]) - mean;
    let step = delta * float_count(theirs) / float_count(ours + theirs);
    into[0] = (mean + step).to_bits();
    let between = delta * step * float_count(ours);
    into[1] = (squares + f64::from_bits(from[1]) + between).to_bits();
}

fn show(shown: Shown, partial: &[u64]) -> Value {
    let (function, kind, count, at) = match shown {
        Shown::Count { at } => return Value::U64(partial[usize::from(at)]),
        Shown::Of { function, kind, count, at } => {
            (function, kind, partial[usize::from(count)], usize::from(at))
        }
    };
    if count == 0 {
        return Value::Null;
    }
    let state = &partial[at..];
    let spread = |among: u64, finish: fn(f64) -> f64| match among {
        0 => Value::Null,
        _ => Value::F64(finish(f64::from_bits(state[1]) / float_count(among))),
    };
    match (function, kind) {
        (Function::Count, _) => Value::U64(count),
        (Function::Sum, NumberKind::I64) => Value::I128(read_i128(state)),
        (Function::Sum, NumberKind::F64) => Value::F64(f64::from_bits(state[0])),
        (Function::Mean, NumberKind::I64) => Value::F64(mean_i128(read_i128(state), count)),
        (Function::Mean, NumberKind::F64) => {
            Value::F64(f64::from_bits(state[0]) / float_count(count))
        }
        (Function::Min | Function::Max, NumberKind::I64) => Value::I64(state[0].cast_signed()),
        (Function::Min | Function::Max, NumberKind::F64) => {
            Value::F64(float_of_order(state[0].cast_signed()))
        }
        (Function::Variance, _) => spread(count - 1, std::convert::identity),
        (Function::VariancePop, _) => spread(count, std::convert::identity),
        (Function::Stddev, _) => spread(count - 1, f64::sqrt),
        (Function::StddevPop, _) => spread(count, f64::sqrt),
        (Function::First | Function::Last, NumberKind::I64) => Value::I64(state[2].cast_signed()),
        (Function::First | Function::Last, NumberKind::F64) => Value::F64(f64::from_bits(state[2])),
    }
}

/// An integer of a float's place in the order of all: -inf, ..., -0.0, 0.0, ..., inf. All NaNs are
/// one, `nan`, which stands behind these, or before them if its sign is negative: an extreme is NaN
/// only where there is nothing else.
#[inline(always)]
fn float_order(bits: u64, nan: f64) -> i64 {
    let bits = match f64::from_bits(bits).is_nan() {
        true => nan.to_bits().cast_signed(),
        false => bits.cast_signed(),
    };
    // As `f64::total_cmp` does: negative floats are ordered against their bits.
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

/// The float that stands at that place.
fn float_of_order(order: i64) -> f64 {
    let bits = order ^ ((order >> 63).cast_unsigned() >> 1).cast_signed();
    f64::from_bits(bits.cast_unsigned())
}

#[inline(always)]
fn add(left: u64, right: u64) -> u64 {
    (f64::from_bits(left) + f64::from_bits(right)).to_bits()
}

#[inline(always)]
fn moment_key(moment: Moment) -> (i64, u64) {
    (moment.time.as_nanos(), moment.sequence.to_raw())
}

#[inline(always)]
fn keep(into: &mut [u64], moment: Moment, value: u64) {
    let (time, sequence) = moment_key(moment);
    into[..3].copy_from_slice(&[time.cast_unsigned(), sequence, value]);
}

#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // the two halves of an i128
fn write_i128(into: &mut [u64], number: i128) {
    let bits = number.cast_unsigned();
    into[..2].copy_from_slice(&[bits as u64, (bits >> 64) as u64]);
}

#[inline(always)]
fn read_i128(from: &[u64]) -> i128 {
    (u128::from(from[1]) << 64 | u128::from(from[0])).cast_signed()
}

/// The nearest float, as spreads are computed in floats.
#[inline(always)]
#[allow(clippy::cast_precision_loss)] // that is what this is for
fn float(integer: i64) -> f64 {
    integer as f64
}

#[inline(always)]
#[allow(clippy::cast_precision_loss)] // a count of more than 2^53 values takes years
fn float_count(count: u64) -> f64 {
    count as f64
}

/// `sum / count`. The whole part is split off first, so that a sum that no float holds exactly
/// does not cost the fraction.
#[allow(clippy::cast_precision_loss)] // a float is asked for
fn mean_i128(sum: i128, count: u64) -> f64 {
    if sum.unsigned_abs() < 1 << 53 {
        return sum as f64 / float_count(count);
    }
    let count = i128::from(count);
    (sum / count) as f64 + (sum % count) as f64 / count as f64
}
