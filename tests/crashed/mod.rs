//! Runs of the command in a scratch folder, to be cut off and gone on with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A scratch folder with an input in it, some of whose records are late.
pub(crate) struct Scratch(tempfile::TempDir);

/// What a run with state is called with.
pub(crate) const KEPT: [&str; 6] =
    ["--state", "state", "--output", "out.csv", "--late", "late.csv"];

impl Scratch {
    /// An input of so many records.
    pub(crate) fn new(records: u64) -> Self {
        let scratch = Self(tempfile::tempdir().unwrap());
        let mut input = String::from("t,k,v\n");
        for n in 0..records {
            let late = if n % 97 == 0 { 3_000 } else { n * 7 % 400 };
            let time = (n * 10).saturating_sub(late);
            input.push_str(&format!("{time},k{},{}\n", n * 31 % 53, n % 1_000));
        }
        fs::write(scratch.path("in.csv"), input).unwrap();
        scratch
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A run over the input, to be started.
    pub(crate) fn command(&self, more: &[&str]) -> Command {
        self.command_of("2", more)
    }

    /// The same with so many shards.
    pub(crate) fn command_of(&self, shards: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidewheel"));
        command
            .current_dir(self.0.path())
            .args(["agg", "in.csv", "--time", "t", "--time-unit", "ms", "--key", "k"])
            .args(["--window", "2s", "--slide", "500ms", "--out-of-order", "1s"])
            .args(["--shards", shards])
            .args(["--agg", "count,sum(v),max(v),last(v)"])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// Forgets what there is of runs with state.
    pub(crate) fn begin_anew(&self) {
        for name in ["out.csv", "late.csv"] {
            let _ = fs::remove_file(self.path(name));
        }
        let _ = fs::remove_dir_all(self.path("state"));
    }
}

pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The lines of a file, in an order of their own.
pub(crate) fn bag(path: &Path) -> Vec<String> {
    let mut lines: Vec<String> =
        fs::read_to_string(path).unwrap().lines().map(Into::into).collect();
    lines.sort();
    lines
}
