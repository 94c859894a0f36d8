//! What can be wrong with a state directory, and how to mend it.

use crate::log::LogError;
use std::io;

/// Why a state directory can not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Another process uses it.
    #[error(
        "{path}: in use by process {pid}; wait for it to end, or take another directory: two \
         engines would write over each other"
    )]
    Locked {
        /// The directory.
        path: String,
        /// The other process, as far as it says.
        pid: String,
    },
    /// It was written by another version.
    #[error(
        "{path}: of format {found}; this program knows format {known}: go on with the program that \
         wrote it, or begin anew with another state directory"
    )]
    Version {
        /// The manifest, or a snapshot.
        path: String,
        /// Its format.
        found: String,
        /// The format that this program knows.
        known: u32,
    },
    /// The folder holds other things.
    #[error(
        "{path}: holds '{name}' and no manifest, so it is no state directory; name a new folder, \
         or one that is empty"
    )]
    NotState {
        /// The folder.
        path: String,
        /// Something that lies there.
        name: String,
    },
    /// There is no state directory there.
    #[error("{path}: there is no manifest, so it is no state directory; check the path")]
    NoState {
        /// Where.
        path: String,
    },
    /// Another pipeline's.
    #[error(
        "{path}: written by another pipeline: its {what} {} {was} and {} {is} now; go on with \
         the old one, or begin anew with another state directory",
        if is_plural(what) { "were" } else { "was" },
        if is_plural(what) { "are" } else { "is" }
    )]
    Changed {
        /// The directory.
        path: String,
        /// What is not the same.
        what: String,
        /// As it was.
        was: String,
        /// As it is.
        is: String,
    },
    /// Its shards can not become more as they are.
    #[error("{path}: its shards were {was} and are {is} now: {refusal}")]
    Rescale {
        /// The directory.
        path: String,
        /// How many there were.
        was: usize,
        /// How many there are to be.
        is: usize,
        /// Why not.
        refusal: RescaleRefusal,
    },
    /// A file of it is not what was written.
    #[error("{path}: {problem}; put the file back as it was, or begin anew with another directory")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A snapshot that is kept for history is not what was written.
    #[error(
        "{path}: {problem}; only history needs it, and a run goes on all the same: put the file \
         back as it was, or let tidewheel log repair put it aside"
    )]
    DamagedHistory {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A source can not be read again, so nothing could go on.
    #[error(
        "{name}: can not be read again from where it was left, which is what keeping state is \
         for; give it as a regular file"
    )]
    CannotResume {
        /// The source.
        name: String,
    },
    /// A file of it, or the log of a shard, can not be used.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Why what shards hold can not be divided among more of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RescaleRefusal {
    /// They have not taken the same of their sources.
    #[error(
        "they stand at different places, since the last run was cut off or held something back; \
         run once more with as many as there were until it ends or is stopped, and then with more"
    )]
    Apart,
    /// Results would be numbered anew, and those that would have come again could not be told.
    #[error(
        "results came out behind the last snapshot, and it is not known whether they arrived; run \
         once more with as many as there were until they have, and then with more"
    )]
    Unconfirmed,
    /// History is kept of as many as there were.
    #[error(
        "history is kept, which ends where there are more; bring out of it what is needed, then \
         let it go: keep nothing in this run, and again from the next one on"
    )]
    History,
    /// There would be fewer of them.
    #[error("there may come to be more of them, and not fewer; go on with as many")]
    Fewer,
}

/// Whether what a pipeline is described by is many: its types of columns, but not its column of
/// reasons or its out-of-orderness.
fn is_plural(what: &str) -> bool {
    let head = what.split(" of ").next().unwrap_or(what);
    head.ends_with('s') && !head.ends_with("ss")
}

impl StateError {
    pub(crate) fn io(path: String, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let told = LogError::io(path, action);
        move |error| Self::Log(told(error))
    }
}
