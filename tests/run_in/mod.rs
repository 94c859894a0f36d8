//! The command itself, run to its end in a folder.

use std::path::Path;
use std::process::Command;

/// Its exit code, and what it said on standard output and on standard error.
pub(crate) type Told = (Option<i32>, String, String);

/// Runs it.
pub(crate) fn tidewheel(folder: &Path, arguments: &[&str]) -> Told {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewheel"));
    let output = command.current_dir(folder).args(arguments).output().expect("the command runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}
