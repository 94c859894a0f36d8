//! Aggregates that are chosen at run time: from the text of `--agg` to a partial of plain words.
//!
//! Uses `aggregate`, `record`, `time`, `limits`. A list of [`AggregateCall`]s is read by
//! [`parse_aggregates`]; [`with_aggregates`] looks the columns up, lays out one partial in which
//! the calls share what they can, and hands a [`ColumnAggregates`] of the right width to a
//! visitor. A partial for `count, sum(a), mean(a), min(b)` of two integer columns:
//!
//! ```text
//!   word 0     1       2    3      4       5
//!  +--------+-------+----------+-------+-------+
//!  |  rows  | count |   sum    | count |  min  |
//!  +--------+-------+----------+-------+-------+
//!           |      column a    |   column b    |
//! ```

mod call;
mod dispatch;
mod layout;
mod parse;
mod partial;
#[cfg(test)]
mod tests;

pub use call::{AggregateCall, Function, Measure};
pub use dispatch::{AggregatePlanError, AggregatesVisitor, ColumnPlace, with_aggregates};
pub use parse::{AggregateListError, AggregateListProblem, parse_aggregates};
pub use partial::{ColumnAggregates, ColumnValues};
