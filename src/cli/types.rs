//! The types of columns that a state directory keeps: whatever an input has come to hold since, a
//! run that goes on reads it as the first one did.

use super::args::{Agg, number_name};
use super::exit::Failure;
use tidewheel::state::StateDirectory;
use tidewheel::text::{ColumnKind, NumberKind, ReadPlan};

/// What the types are called in a manifest.
pub(crate) const TYPES: &str = "types of columns";
/// What the aggregates are called, whose columns have these types in their order.
pub(crate) const AGGREGATES: &str = "aggregates";

/// The types as a manifest has them.
pub(crate) fn described(kinds: &[ColumnKind]) -> String {
    let names = kinds.iter().map(|kind| kind.number().map_or("any", number_name));
    names.collect::<Vec<_>>().join(", ")
}

/// Recalls the types that an earlier run found, where there is one to go on with. What is declared
/// on the command line stays, and is compared with them when the directory is opened.
pub(crate) fn recall(arguments: &Agg, plan: &mut ReadPlan) -> Result<(), Failure> {
    let Some(folder) = &arguments.state else { return Ok(()) };
    let aggregates = StateDirectory::described(folder, AGGREGATES)?;
    let types = StateDirectory::described(folder, TYPES)?;
    let (Some(aggregates), Some(types)) = (aggregates, types) else { return Ok(()) };
    // Of other aggregates the columns are others; opening the directory refuses them by name.
    if aggregates != StateDirectory::in_line(&arguments.agg) {
        return Ok(());
    }
    for (input, name) in plan.inputs.iter().zip(types.split(", ")) {
        let kind = match name {
            "i64" => NumberKind::I64,
            "f64" => NumberKind::F64,
            _ => continue,
        };
        if !plan.types.iter().any(|(column, _)| *column == input.name) {
            plan.recalled.push((input.name.clone(), kind));
        }
    }
    Ok(())
}
