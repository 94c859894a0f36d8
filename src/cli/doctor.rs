//! `tidewheel doctor`: what of this machine matters, and how to mend it.

use super::args::{Doctor, OutputStyle};
use super::exit::Failure;
use std::io::Write;
use tidewheel::cpu::findings;

/// Writes the findings.
pub(crate) fn run(arguments: &Doctor) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    for finding in findings() {
        let written = match arguments.format {
            OutputStyle::Text => {
                writeln!(out, "{:<8} {:<16} {}", finding.level, finding.name, finding.found)
                    .and_then(|()| match &finding.mend {
                        Some(mend) => writeln!(out, "{:<25} mend: {mend}", ""),
                        None => Ok(()),
                    })
            }
            OutputStyle::Json => {
                let line = serde_json::json!({
                    "name": finding.name,
                    "level": finding.level.to_string(),
                    "found": finding.found,
                    "mend": finding.mend,
                });
                writeln!(out, "{line}")
            }
        };
        written.map_err(|error| Failure::writing("standard output", &error))?;
    }
    Ok(())
}
