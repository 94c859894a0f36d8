//! How a command ends: what is said on standard error, and the exit code.

use std::io;
use std::process::ExitCode;
use tidewheel::engine::EngineError;
use tidewheel::log::LogError;
use tidewheel::shard::ShardError;
use tidewheel::sink::ResultLogError;
use tidewheel::source::SourceError;
use tidewheel::state::{RescaleRefusal, StateError};
use tidewheel::text::{ErrorClass, OpenError};
use tidewheel::window::StoreError;

/// What standard output is called. Whoever reads it may leave when they have seen enough.
pub(crate) const STANDARD_OUTPUT: &str = "standard output";

/// Why a command did not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The data are wrong.
    Data(String),
    /// The request is wrong.
    Usage(String),
    /// The operating system said no.
    Io(String),
    /// The engine itself stopped.
    Engine(String),
    /// What was kept is not what was written.
    Corrupted(String),
    /// A defect of the engine's own.
    Fault(String),
    /// Records went missing on their way.
    Unbalanced,
    /// A signal of this number stopped the command, in good order.
    Signal(i32),
    /// Whoever reads standard output has gone.
    BrokenPipe,
}

impl Failure {
    /// What writing to `name` failed with.
    pub(crate) fn writing(name: &str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe if name == STANDARD_OUTPUT => Self::BrokenPipe,
            io::ErrorKind::FileTooLarge => Self::Io(format!(
                "{name}: {error}; a limit (ulimit -f) or the file system allows no larger one"
            )),
            _ => Self::Io(format!("{name}: {error}")),
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let mut text = error.to_string();
        if let OpenError::Io { error, .. } = &error {
            text.push_str(match error.kind() {
                io::ErrorKind::NotFound => "; check the path, or read standard input with '-'",
                io::ErrorKind::IsADirectory => "; name the files in it",
                io::ErrorKind::PermissionDenied => "; ask for leave to read it",
                _ => "",
            });
        }
        match error.class() {
            ErrorClass::Usage => Self::Usage(text),
            ErrorClass::Data => Self::Data(text),
            ErrorClass::Io => Self::Io(text),
        }
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        let text = error.to_string();
        match error {
            StateError::Locked { .. } => Self::Io(text),
            StateError::Rescale { refusal: RescaleRefusal::History, was, .. } => {
                Self::Usage(format!("{text} (tidewheel replay; --shards {was}; --keep none)"))
            }
            StateError::Rescale { was, .. } => Self::Usage(format!("{text} (--shards {was})")),
            StateError::Log(error) => of_log(&error, text),
            StateError::Damaged { .. } | StateError::DamagedHistory { .. } => Self::Corrupted(text),
            _ => Self::Usage(text),
        }
    }
}

impl From<ResultLogError> for Failure {
    fn from(error: ResultLogError) -> Self {
        let text = error.to_string();
        match error {
            ResultLogError::State(error) => error.into(),
            ResultLogError::Lost { .. } => Self::Corrupted(text),
            ResultLogError::Broken | ResultLogError::OtherEngine => Self::Fault(text),
            _ => Self::Usage(text),
        }
    }
}

fn of_log(error: &LogError, text: String) -> Failure {
    match error {
        LogError::Io { .. } => Failure::Io(text),
        LogError::Version { .. } => Failure::Usage(text),
        _ => Failure::Corrupted(text),
    }
}

impl From<tidewheel::engine::OpenError> for Failure {
    fn from(error: tidewheel::engine::OpenError) -> Self {
        use tidewheel::engine::OpenError;
        match error {
            OpenError::State(error) => error.into(),
            OpenError::Shard(error) => EngineError::Shard(error).into(),
            OpenError::Source(SourceError::Data(problem)) => Self::Data(problem),
            OpenError::Source(SourceError::Ended { .. }) => Self::Usage(error.to_string()),
            OpenError::Source(error) => Self::Io(error.to_string()),
            error => Self::Usage(error.to_string()),
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Source(SourceError::Data(problem)) => Self::Data(problem),
            EngineError::Source(error) => Self::Io(error.to_string()),
            EngineError::Shard(ShardError::Store { ref error, .. }) => {
                let flags = match error {
                    StoreError::LiveKeys { .. } => "--live-keys, --window, --shards",
                    _ => "--out-of-order, --max-jump, --slide",
                };
                Self::Engine(format!("{error} ({flags})"))
            }
            EngineError::Shard(ShardError::Log { ref error, .. }) => {
                of_log(error, error.to_string())
            }
            EngineError::Shard(ShardError::State { error, .. }) => Self::from(error),
            EngineError::RuntimeRefused(_) => Self::Usage(error.to_string()),
            EngineError::NoThread { .. } => Self::Io(error.to_string()),
            EngineError::Panicked { .. } => Self::Fault(error.to_string()),
            other => Self::Engine(other.to_string()),
        }
    }
}

/// What can be done about what the system said. By now that is text, whichever way it came.
fn mend(text: &str) -> &'static str {
    // EPIPE, ENOSPC, EMFILE, ENFILE, EROFS
    let mends = [
        (32, "; its reader has gone: start it again, or name a file"),
        (28, "; make room, or write elsewhere"),
        (24, "; allow more open files with ulimit -n, or take fewer files or shards at a time"),
        (23, "; end other programs, or have fs.file-max raised"),
        (30, "; write elsewhere"),
    ];
    let said = |code: &i32| text.contains(&format!("(os error {code})"));
    mends.iter().find(|(code, _)| said(code)).map_or("", |(_, mend)| mend)
}

/// Says how the command ended, and with which code.
pub(crate) fn code(ended: Result<(), Failure>) -> ExitCode {
    let (code, text) = match ended {
        Ok(()) | Err(Failure::BrokenPipe) => return ExitCode::SUCCESS,
        Err(Failure::Data(text) | Failure::Engine(text)) => (1, text),
        Err(Failure::Usage(text)) => (2, text),
        Err(Failure::Io(text)) => {
            let mend = mend(&text);
            (3, text + mend)
        }
        Err(Failure::Corrupted(text) | Failure::Fault(text)) => (4, text),
        Err(Failure::Unbalanced) => {
            let text = "the ledger does not balance, so results are not to be trusted; this is a \
                        fault of tidewheel, not of the data: please report it";
            (4, text.into())
        }
        Err(Failure::Signal(signal)) => {
            return ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX));
        }
    };
    super::say(&text);
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_comes_with_a_mend() {
        for (code, part) in [(24, "ulimit -n"), (28, "make room"), (32, "its reader has gone")] {
            let text = format!("late.csv: {}", io::Error::from_raw_os_error(code));
            assert!(mend(&text).contains(part), "{text}");
        }
        assert_eq!(mend(&io::Error::from_raw_os_error(2).to_string()), "");
    }
}
