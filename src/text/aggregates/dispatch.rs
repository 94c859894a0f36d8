//! From a list of calls to the one `ColumnAggregates<WORDS>` that has room for them.

use super::layout::{Layout, words_needed};
use super::{AggregateCall, ColumnAggregates, Function, Measure};
use crate::limits;
use crate::record::Columns;
use crate::text::ColumnKind;

/// Where a row has a column, and how its word is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ColumnPlace {
    /// The column's number in the rows' [`Columns`].
    pub index: usize,
    /// What it holds.
    pub kind: ColumnKind,
}

/// Code that works with aggregates of any width. The width becomes a constant here, so that a
/// partial is an array and its copies and bounds are known when the code is compiled.
pub trait AggregatesVisitor {
    /// What the code comes to.
    type Output;

    /// Works with aggregates of `WORDS` words.
    fn visit<const WORDS: usize>(self, aggregates: ColumnAggregates<WORDS>) -> Self::Output;
}

/// Why calls cannot be computed together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AggregatePlanError {
    /// The rows have no such column.
    #[error("{call}: there is no column '{column}'")]
    UnknownColumn {
        /// The call.
        call: String,
        /// The column.
        column: String,
    },
    /// The function needs numbers, and the column has none.
    #[error("{call}: {function} needs numbers, and column '{column}' does not hold them")]
    NotNumeric {
        /// The call.
        call: String,
        /// What it computes.
        function: Function,
        /// The column.
        column: String,
    },
    /// All the calls together need too much room.
    #[error(
        "these {calls} aggregates need {words} words of 8 bytes for each key, and {} is the most; \
         the first {fit} of them fit: ask for fewer, and for the others in a run of their own",
        limits::AGGREGATE_WORDS_MAX
    )]
    TooWide {
        /// Calls that were asked for.
        calls: usize,
        /// Words that they need.
        words: usize,
        /// Of the calls, in their order, how many fit.
        fit: usize,
    },
}

/// Looks the columns of `calls` up with `place`, in rows of `schema`, and lets `visitor` work with
/// aggregates that compute them: with as few words as the calls need, rounded up to the next width
/// that is compiled in.
///
/// # Errors
/// When a column is missing or not of numbers, or a partial would need more than
/// [`limits::AGGREGATE_WORDS_MAX`] words.
///
/// # Panics
/// When `place` names a column that rows of `schema` do not have.
pub fn with_aggregates<V: AggregatesVisitor>(
    calls: &[AggregateCall],
    schema: Columns,
    place: impl Fn(&str) -> Option<ColumnPlace>,
    visitor: V,
) -> Result<V::Output, AggregatePlanError> {
    let measures: Vec<_> =
        calls.iter().map(|call| placed(call, schema, &place)).collect::<Result<_, _>>()?;
    let words = words_of(&measures);
    let layout = Layout::new(&measures, schema).ok_or_else(|| too_wide(&measures))?;

    macro_rules! narrowest {
        ($($width:literal)*) => {
            match words {
                $(..=$width => Ok(visitor.visit(ColumnAggregates::<$width>::new(layout))),)*
                _ => Err(too_wide(&measures)),
            }
        };
    }
    const _: () = assert!(limits::AGGREGATE_WORDS_MAX == 128, "the widest of these");
    // Each width is the whole engine once more, in the time to build it and in the binary.
    narrowest!(2 4 6 8 16 32 128)
}

/// Words that calls take: those of a partial, but a result's values lie in an array of as many
/// places.
fn words_of(measures: &[Measure<ColumnPlace>]) -> usize {
    words_needed(measures).max(measures.len())
}

#[cold]
fn too_wide(measures: &[Measure<ColumnPlace>]) -> AggregatePlanError {
    let fits = |calls: &usize| words_of(&measures[..*calls]) <= limits::AGGREGATE_WORDS_MAX;
    let fit = (1..=measures.len()).take_while(fits).last().unwrap_or(0);
    AggregatePlanError::TooWide { calls: measures.len(), words: words_of(measures), fit }
}

fn placed(
    call: &AggregateCall,
    schema: Columns,
    place: impl Fn(&str) -> Option<ColumnPlace>,
) -> Result<Measure<ColumnPlace>, AggregatePlanError> {
    let Measure::Of(function, column) = &call.measure else {
        return Ok(Measure::CountRows);
    };
    let Some(place) = place(column) else {
        return Err(AggregatePlanError::UnknownColumn {
            call: call.name.clone(),
            column: column.clone(),
        });
    };
    assert!(
        place.index < schema.columns(),
        "column '{column}' is beyond the rows' {} columns",
        schema.columns()
    );
    if *function != Function::Count && place.kind.number().is_none() {
        return Err(AggregatePlanError::NotNumeric {
            call: call.name.clone(),
            function: *function,
            column: column.clone(),
        });
    }
    Ok(Measure::Of(*function, place))
}
