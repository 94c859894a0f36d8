//! What the shards' threads run on, and why.

use crate::cpu::{IoUringRefusal, io_uring_support};
use std::fmt;

/// What the shards' threads run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Runtime {
    /// Executors of glommio where io_uring can be used, plain threads elsewhere.
    #[default]
    Auto,
    /// Executors of glommio, or an error.
    Glommio,
    /// Plain threads.
    Threads,
}

/// Which runtime runs, and why: one line for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeChoice {
    /// Whether it is glommio's.
    pub glommio: bool,
    /// Why.
    pub reason: String,
}

impl RuntimeChoice {
    /// Chooses; asks the kernel before glommio is touched.
    pub(super) fn choose(asked: Runtime) -> Result<Self, IoUringRefusal> {
        let chosen = |glommio, reason: &str| Self { glommio, reason: reason.to_owned() };
        match (asked, io_uring_support()) {
            (Runtime::Threads, _) => Ok(chosen(false, "it was asked for")),
            (Runtime::Glommio, support) => support.map(|()| chosen(true, "it was asked for")),
            (Runtime::Auto, Ok(())) => Ok(chosen(true, "io_uring can be used")),
            (Runtime::Auto, Err(refusal)) => Ok(chosen(false, &refusal.to_string())),
        }
    }
}

impl fmt::Display for RuntimeChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.glommio { "glommio" } else { "threads" };
        write!(f, "runtime: {name} ({})", self.reason)
    }
}
