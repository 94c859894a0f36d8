//! Which words of a partial hold what, and what is to be done with them.

use super::dispatch::ColumnPlace;
use super::{Function, Measure};
use crate::record::Columns;
use crate::text::NumberKind;

/// What is kept of one column's values, beside their count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// Sum of integers: an i128, low word first.
    SumI64,
    /// Sum of floats: the float's bits.
    SumF64,
    /// Least integer.
    MinI64,
    /// Greatest integer.
    MaxI64,
    /// Least float, as its [`order`](super::partial::float_order).
    MinF64,
    /// Greatest float, as its order.
    MaxF64,
    /// Mean and sum of squared deviations from it, of integers: two floats' bits.
    SpreadI64,
    /// The same of floats.
    SpreadF64,
    /// Time, sequence and value of the earliest.
    First,
    /// Time, sequence and value of the latest.
    Last,
}

impl State {
    fn identity(self) -> &'static [u64] {
        const LEAST: u64 = i64::MIN.cast_unsigned();
        const GREATEST: u64 = i64::MAX.cast_unsigned();
        match self {
            Self::SumI64 | Self::SpreadI64 | Self::SpreadF64 => &[0, 0],
            // Negative zero is what leaves every float as it is when added.
            Self::SumF64 => &[1 << 63],
            Self::MinI64 | Self::MinF64 => &[GREATEST],
            Self::MaxI64 | Self::MaxF64 => &[LEAST],
            // No record can carry these times.
            Self::First => &[GREATEST, u64::MAX, 0],
            Self::Last => &[LEAST, 0, 0],
        }
    }

    /// Whether a value can be taken out again without a trace.
    const fn is_exact(self) -> bool {
        matches!(self, Self::SumI64)
    }

    pub(super) const fn needs_sequence(self) -> bool {
        matches!(self, Self::First | Self::Last)
    }

    /// What `function` keeps of values of `kind`; nothing but their count when `None`.
    fn of(function: Function, kind: NumberKind) -> Option<Self> {
        use NumberKind::{F64, I64};
        Some(match (function, kind) {
            (Function::Count, _) => return None,
            (Function::Sum | Function::Mean, I64) => Self::SumI64,
            (Function::Sum | Function::Mean, F64) => Self::SumF64,
            (Function::Min, I64) => Self::MinI64,
            (Function::Min, F64) => Self::MinF64,
            (Function::Max, I64) => Self::MaxI64,
            (Function::Max, F64) => Self::MaxF64,
            (Function::Variance | Function::VariancePop, I64)
            | (Function::Stddev | Function::StddevPop, I64) => Self::SpreadI64,
            (Function::Variance | Function::VariancePop, F64)
            | (Function::Stddev | Function::StddevPop, F64) => Self::SpreadF64,
            (Function::First, _) => Self::First,
            (Function::Last, _) => Self::Last,
        })
    }
}

/// A state and the first of its words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Op {
    pub(super) state: State,
    pub(super) at: u8,
}

/// What is kept of one column: its count at `at`, the states of `ops` behind it, up to `end`.
#[derive(Clone, Copy, Debug)]
pub(super) struct ColumnOps {
    /// The column, for its null bit.
    pub(super) column: u16,
    /// The column's word in a row.
    pub(super) word: u32,
    /// First word in the partial: the count of values.
    pub(super) at: u8,
    /// Behind the last word in the partial.
    pub(super) end: u8,
    /// Behind the last of its ops; the first follows those of the column before.
    pub(super) ops_end: u8,
}

/// How one value of the result is made of a partial.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shown {
    /// The word itself, a count.
    Count { at: u8 },
    /// Null when the word at `count` is zero, otherwise what `function` makes of the state at `at`.
    Of { function: Function, kind: NumberKind, count: u8, at: u8 },
}

/// A whole partial.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) identity: Vec<u64>,
    /// Whether word 0 counts the rows.
    pub(super) counts_rows: bool,
    pub(super) columns: Vec<ColumnOps>,
    pub(super) ops: Vec<Op>,
    pub(super) shown: Vec<Shown>,
}

/// A column and the states that some call needs of it, in order, without repetition.
struct Wanted {
    index: usize,
    states: Vec<State>,
}

impl Layout {
    /// Lays out what `measures` need. `None` when that is more words than a partial may have.
    pub(super) fn new(measures: &[Measure<ColumnPlace>], schema: Columns) -> Option<Self> {
        let wanted = wanted(measures);
        let counts_rows = measures.contains(&Measure::CountRows);
        let mut layout = Self {
            identity: vec![0; usize::from(counts_rows)],
            counts_rows,
            columns: Vec::new(),
            ops: Vec::new(),
            shown: Vec::new(),
        };
        for column in &wanted {
            layout.push_column(column, schema)?;
        }
        layout.shown = measures.iter().map(|measure| layout.show(measure)).collect();
        Some(layout)
    }

    fn push_column(&mut self, wanted: &Wanted, schema: Columns) -> Option<()> {
        let at = u8::try_from(self.identity.len()).ok()?;
        self.identity.push(0);
        for state in &wanted.states {
            let at = u8::try_from(self.identity.len()).ok()?;
            self.ops.push(Op { state: *state, at });
            self.identity.extend_from_slice(state.identity());
        }
        self.columns.push(ColumnOps {
            column: u16::try_from(wanted.index).ok()?,
            word: u32::try_from(schema.column_word(wanted.index)).ok()?,
            at,
            end: u8::try_from(self.identity.len()).ok()?,
            ops_end: u8::try_from(self.ops.len()).ok()?,
        });
        Some(())
    }

    fn show(&self, measure: &Measure<ColumnPlace>) -> Shown {
        let Measure::Of(function, place) = measure else {
            return Shown::Count { at: 0 };
        };
        let position = self.columns.iter().position(|c| usize::from(c.column) == place.index);
        let column = &self.columns[position.expect("every measured column was laid out")];
        let state = place.kind.number().and_then(|kind| Some((kind, State::of(*function, kind)?)));
        let Some((kind, state)) = state else {
            return Shown::Count { at: column.at };
        };
        let mut ops = self.ops.iter();
        let op = ops.find(|op| (column.at..column.end).contains(&op.at) && op.state == state);
        Shown::Of {
            function: *function,
            kind,
            count: column.at,
            at: op.expect("every state was laid out").at,
        }
    }

    pub(super) fn is_exact(&self) -> bool {
        self.ops.iter().all(|op| op.state.is_exact())
    }

    pub(super) fn needs_sequence(&self) -> bool {
        self.ops.iter().any(|op| op.state.needs_sequence())
    }
}

/// Words of a partial that holds what `measures` need.
pub(super) fn words_needed(measures: &[Measure<ColumnPlace>]) -> usize {
    let states = |column: &Wanted| -> usize {
        column.states.iter().map(|state| state.identity().len()).sum()
    };
    let columns: usize = wanted(measures).iter().map(|column| 1 + states(column)).sum();
    columns + usize::from(measures.contains(&Measure::CountRows))
}

fn wanted(measures: &[Measure<ColumnPlace>]) -> Vec<Wanted> {
    let mut columns: Vec<Wanted> = Vec::new();
    for measure in measures {
        let Measure::Of(function, place) = measure else {
            continue;
        };
        let known = columns.iter().position(|column| column.index == place.index);
        let known = known.unwrap_or_else(|| {
            columns.push(Wanted { index: place.index, states: Vec::new() });
            columns.len() - 1
        });
        let state = place.kind.number().and_then(|kind| State::of(*function, kind));
        if let Some(state) = state
            && !columns[known].states.contains(&state)
        {
            columns[known].states.push(state);
        }
    }
    columns.iter_mut().for_each(|column| column.states.sort_unstable());
    columns
}
