//! What a user asks to be computed: one call a column of the result.

use std::fmt;

/// A function of the values of one column. None of them sees nulls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// How many values there are.
    Count,
    /// Their sum: exact for integers, of any width.
    Sum,
    /// The least; NaN counts as greater than all numbers.
    Min,
    /// The greatest; NaN counts as greater than all numbers.
    Max,
    /// The arithmetic mean.
    Mean,
    /// The variance of a sample: divided by one less than the count.
    Variance,
    /// The variance of a whole population: divided by the count.
    VariancePop,
    /// The root of [`Function::Variance`].
    Stddev,
    /// The root of [`Function::VariancePop`].
    StddevPop,
    /// The earliest in event time; of equal times, the first in its source.
    First,
    /// The latest in event time; of equal times, the last in its source.
    Last,
}

/// Every name that is understood, the preferred one of each function before its others.
pub(super) const NAMES: [(&str, Function); 17] = [
    ("count", Function::Count),
    ("sum", Function::Sum),
    ("min", Function::Min),
    ("max", Function::Max),
    ("mean", Function::Mean),
    ("avg", Function::Mean),
    ("variance", Function::Variance),
    ("var", Function::Variance),
    ("var_samp", Function::Variance),
    ("var_pop", Function::VariancePop),
    ("stddev", Function::Stddev),
    ("stddev_samp", Function::Stddev),
    ("stddev_pop", Function::StddevPop),
    ("first", Function::First),
    ("first_value", Function::First),
    ("last", Function::Last),
    ("last_value", Function::Last),
];

impl Function {
    /// The function of that name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        let found = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(found.1)
    }

    /// Its preferred name.
    pub fn name(self) -> &'static str {
        let found = NAMES.iter().find(|(_, function)| *function == self);
        found.expect("every function has a name").0
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is measured, of a column that is known as a `C`: by its name, or by its place in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure<C> {
    /// How many rows there are.
    CountRows,
    /// A function of a column.
    Of(Function, C),
}

impl<C> Measure<C> {
    /// The column, when one is looked at.
    pub const fn column(&self) -> Option<&C> {
        match self {
            Self::CountRows => None,
            Self::Of(_, column) => Some(column),
        }
    }
}

/// As a user would write it: `count`, `sum(dep_delay)`.
impl<C: fmt::Display> fmt::Display for Measure<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CountRows => f.write_str(Function::Count.name()),
            Self::Of(function, column) => write!(f, "{function}({column})"),
        }
    }
}

/// A call of an aggregate, as a user wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AggregateCall {
    /// What the result's column is called.
    pub name: String,
    /// What stands in it.
    pub measure: Measure<String>,
}
