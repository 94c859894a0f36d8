//! The machine: its cores and who runs on which, whether io_uring may be used, what a core does
//! when there is nothing to do, how it is woken, and how everything is told to stop.
//!
//! May use `sync` and `time`. Knows nothing of records, windows, rings or files of data; a
//! [`Bell`] is rung without knowing what it is about.

mod bell;
mod host;
mod idle;
mod probe;
mod stop;
mod topology;

pub use bell::{Bell, BellFull, Listener, Nap};
pub use host::{Finding, Level, findings};
pub use idle::{IdlePolicy, IdleState, IdleStep, UnknownIdlePolicy};
pub use probe::{IoUringRefusal, MEMLOCK_BYTES_NEEDED, io_uring_support, kernel_io_uring};
pub use stop::{StopReason, StopSignal};
pub use topology::{Cpu, Placement, Topology, UnknownPlacement, pin_current_thread};
