//! The command line: flags in, results on standard output, everything else on standard error.

mod agg;
mod args;
mod doctor;
mod exit;
mod kept;
mod output;
mod types;
mod watch;

use args::{Arguments, Command};
use clap::Parser;
use std::io::Write;
use std::process::ExitCode;

/// Says a line on standard error. Whether anyone can hear it does not change what the command does.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "tidewheel: {line}");
}

/// A count with what is counted, in its plural where it is one.
fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// Parses the command line, runs it and says how it ended.
pub(crate) fn run() -> ExitCode {
    let ended = match Arguments::parse().command {
        Command::Agg(arguments) => agg::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
    };
    exit::code(ended)
}
