//! The command line: flags in, results on standard output, everything else on standard error.

mod agg;
mod args;
mod certificates;
mod doctor;
mod exit;
mod history;
mod kept;
mod log;
mod output;
mod repair;
mod replay;
mod rows;
mod types;
mod verify;
mod watch;

use args::{Arguments, Command};
use clap::Parser;
use clap::error::{ContextKind, ErrorKind};
use std::io::Write;
use std::process::ExitCode;

/// Says a line on standard error. Whether anyone can hear it does not change what the command does.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "tidewheel: {}", visible(line));
}

/// A message of which nothing can move a terminal's cursor: names of files and columns may hold
/// anything. Lines of its own are kept: they are indented.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\n' if chars.peek() == Some(&' ') => shown.push('\n'),
            '\n' | '\r' | '\t' => shown.extend(char.escape_default()),
            char if char.is_control() => {
                shown.push_str(&format!("\\x{:02x}", u32::from(char)));
            }
            char => shown.push(char),
        }
    }
    shown
}

/// Says what is wrong with the flags, and how a run is begun where no file is named.
fn refuse(error: &clap::Error) -> ExitCode {
    let has_controls =
        |argument: std::ffi::OsString| argument.to_string_lossy().chars().any(char::is_control);
    match error.use_stderr() && std::env::args_os().any(has_controls) {
        true => {
            let text = error.to_string();
            let lines: Vec<String> = text.lines().map(visible).collect();
            let _ = writeln!(std::io::stderr(), "{}", lines.join("\n"));
        }
        false => {
            let _ = error.print();
        }
    }
    let lacks = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
    if error.kind() == ErrorKind::MissingRequiredArgument && lacks.contains("<FILE>") {
        say("name the files to read, or say - for standard input:\n  \
             tidewheel agg flights.csv --time dep_time --window 1h --agg count\n  \
             zcat flights.csv.gz | tidewheel agg - --time dep_time --window 1h --agg count");
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
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
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    let ended = match arguments.command {
        Command::Agg(arguments) => agg::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Log(arguments) => log::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
    };
    exit::code(ended)
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn nothing_in_a_message_moves_the_cursor() {
        assert_eq!(visible("a\x1b[2Jb\u{9b}1m\x07"), "a\\x1b[2Jb\\x9b1m\\x07");
        assert_eq!(visible("a\r\tb\ntidewheel: all is well"), "a\\r\\tb\\ntidewheel: all is well");
        assert_eq!(visible("at character 3:\n  é\n  ^"), "at character 3:\n  é\n  ^");
    }
}
