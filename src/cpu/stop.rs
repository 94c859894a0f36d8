//! One flag that tells every role to stop, and why.

use crate::sync::{Arc, AtomicU64, Ordering};

/// Why the roles are to stop. Ordered: a failure outweighs a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopReason {
    /// Someone asked for it: a signal, or the embedding program.
    Requested,
    /// A role failed, so the others cannot go on.
    Failed,
}

/// The flag. Clones share it; once raised it stays.
#[derive(Clone, Debug)]
pub struct StopSignal {
    raised: Arc<AtomicU64>,
}

const REQUESTED: u64 = 1;
const FAILED: u64 = 2;

impl StopSignal {
    /// A signal that nobody has raised.
    pub fn new() -> Self {
        Self { raised: Arc::new(AtomicU64::new(0)) }
    }

    /// Raises it. A request after a failure changes nothing; a failure after a request is seen as
    /// a failure. Whoever sleeps has to be woken too.
    pub fn raise(&self, reason: StopReason) {
        let level = match reason {
            StopReason::Requested => REQUESTED,
            StopReason::Failed => FAILED,
        };
        // Release: who sees the flag also sees what the raiser wrote before, its error say.
        self.raised.fetch_max(level, Ordering::Release);
    }

    /// Why to stop; `None` while there is no reason.
    #[inline]
    pub fn reason(&self) -> Option<StopReason> {
        match self.raised.load(Ordering::Acquire) {
            0 => None,
            REQUESTED => Some(StopReason::Requested),
            _ => Some(StopReason::Failed),
        }
    }

    /// Whether to stop.
    #[inline]
    pub fn is_raised(&self) -> bool {
        self.reason().is_some()
    }
}

impl Default for StopSignal {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_failure_outweighs_a_request_in_either_order() {
        let signal = StopSignal::new();
        assert_eq!(signal.reason(), None);
        signal.raise(StopReason::Requested);
        assert_eq!(signal.clone().reason(), Some(StopReason::Requested));
        signal.raise(StopReason::Failed);
        signal.raise(StopReason::Requested);
        assert_eq!(signal.reason(), Some(StopReason::Failed));
        assert!(signal.is_raised());
    }

    #[test]
    fn clones_share_the_flag_across_threads() {
        let signal = StopSignal::new();
        let theirs = signal.clone();
        let waiter = std::thread::spawn(move || {
            while !theirs.is_raised() {
                std::thread::yield_now();
            }
            theirs.reason()
        });
        signal.raise(StopReason::Requested);
        assert_eq!(waiter.join().unwrap(), Some(StopReason::Requested));
    }
}
