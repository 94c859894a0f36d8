//! Processing time: read by drivers for idleness, metrics and stamps, never by a shard.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

/// Nanoseconds on a clock that only rises; its zero means nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MonotonicNanos(pub u64);

impl MonotonicNanos {
    /// Nanoseconds since `earlier`; zero when that is later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Where processing time comes from.
pub trait Clock {
    /// The time now.
    fn now(&self) -> MonotonicNanos;
}

/// The machine's monotonic clock. Copies share one zero, so their readings can be compared.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    zero: Instant,
}

impl SystemClock {
    /// A clock whose zero is now.
    pub fn new() -> Self {
        Self { zero: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> MonotonicNanos {
        // One is added so that zero can mean "not stamped".
        MonotonicNanos(u64::try_from(self.zero.elapsed().as_nanos()).unwrap_or(u64::MAX - 1) + 1)
    }
}

/// A clock that stands still until it is told otherwise, for tests and simulation.
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    now: Rc<Cell<u64>>,
}

impl ManualClock {
    /// Moves the clock, and all its clones, forward.
    pub fn advance(&self, nanos: u64) {
        self.now.set(self.now.get() + nanos);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> MonotonicNanos {
        MonotonicNanos(self.now.get())
    }
}
