//! What a state directory says of a run: the words of its manifest, and the types of columns that
//! it keeps. Whatever an input has come to hold since, a run that goes on reads it as the first one
//! did.

use super::args::{Agg, number_name};
use super::exit::Failure;
use tidewheel::state::StateDirectory;
use tidewheel::text::aggregates::{AggregateCall, ColumnPlace, Function, Measure};
use tidewheel::text::{ColumnKind, InputColumn, NumberKind, ReadPlan};

/// What the types are called in a manifest.
pub(crate) const TYPES: &str = "types of columns";
/// What the aggregates are called, whose columns have these types in their order.
pub(crate) const AGGREGATES: &str = "aggregates";
/// What the columns of the key are called, and what is said where there are none.
pub(crate) const KEYS: &str = "keys";
pub(crate) const NO_KEYS: &str = "none, all records are one group";
/// How results are written.
pub(crate) const FORMAT: &str = "output format";
/// Whether there is a column of reasons.
pub(crate) const REASONS: &str = "column of reasons";
pub(crate) const THERE: &str = "there";
/// Where results and late records go, and the header of these.
pub(crate) const OUTPUT: &str = "--output";
pub(crate) const LATE: &str = "--late";
pub(crate) const LATE_HEADER: &str = "header of late records";
/// How often a result leaves.
pub(crate) const DELIVERY: &str = "delivery";
/// What is said of a thing that there is none of.
pub(crate) const NONE: &str = "none";

/// The columns that calls look at.
pub(crate) fn inputs_of(calls: &[AggregateCall]) -> Vec<InputColumn> {
    let mut inputs: Vec<InputColumn> = Vec::new();
    for call in calls {
        let Some(name) = call.measure.column() else {
            continue;
        };
        let numeric = !matches!(call.measure, Measure::Of(Function::Count, _));
        match inputs.iter_mut().find(|input| input.name == *name) {
            Some(input) => {
                if numeric && !input.numeric {
                    (input.numeric, input.asked_by) = (true, call.measure.to_string());
                }
            }
            None => inputs.push(InputColumn {
                name: name.clone(),
                numeric,
                asked_by: call.measure.to_string(),
            }),
        }
    }
    inputs
}

/// Where rows have the columns that calls look at, by their names.
pub(crate) fn places(inputs: &[InputColumn], kinds: &[ColumnKind]) -> Vec<(String, ColumnPlace)> {
    let place = |(index, (input, kind)): (usize, (&InputColumn, &ColumnKind))| {
        (input.name.clone(), ColumnPlace { index, kind: *kind })
    };
    inputs.iter().zip(kinds).enumerate().map(place).collect()
}

/// The types as a manifest has them.
pub(crate) fn described(kinds: &[ColumnKind]) -> String {
    let names = kinds.iter().map(|kind| kind.number().map_or("any", number_name));
    names.collect::<Vec<_>>().join(", ")
}

/// The types that a manifest says.
pub(crate) fn recorded(types: &str) -> Vec<ColumnKind> {
    let kind = |name| match name {
        "i64" => ColumnKind::Number(NumberKind::I64),
        "f64" => ColumnKind::Number(NumberKind::F64),
        _ => ColumnKind::Presence,
    };
    types.split(", ").map(kind).collect()
}

/// Recalls the types that an earlier run found, where there is one to go on with. What is declared
/// on the command line stays, and is compared with them when the directory is opened.
pub(crate) fn recall(arguments: &Agg, plan: &mut ReadPlan) -> Result<(), Failure> {
    let Some(folder) = &arguments.state else { return Ok(()) };
    let aggregates = StateDirectory::described(folder, AGGREGATES)?;
    let types = StateDirectory::described(folder, TYPES)?;
    let (Some(aggregates), Some(types)) = (aggregates, types) else { return Ok(()) };
    // Of other aggregates the columns are others; opening the directory refuses them by name.
    if aggregates != arguments.agg {
        return Ok(());
    }
    for (input, kind) in plan.inputs.iter().zip(recorded(&types)) {
        let Some(kind) = kind.number() else { continue };
        if !plan.types.iter().any(|(column, _)| *column == input.name) {
            plan.recalled.push((input.name.clone(), kind));
        }
    }
    Ok(())
}
