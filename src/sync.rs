//! The one door to atomics and shared cells. Under `--cfg loom` the model checker's types walk in
//! instead, so that every interleaving of the code behind this door can be explored.
//!
//! Uses nothing of the crate. Whoever shares memory between cores imports from here, never from
//! `std::sync::atomic`.

#[cfg(loom)]
pub(crate) use loom::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering, fence},
};
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering, fence},
};

#[cfg(not(loom))]
pub(crate) use atomic_waker::AtomicWaker;
#[cfg(loom)]
pub(crate) use loom::future::AtomicWaker;

/// Memory that two cores share. It is `std`'s cell even under the model checker, whose own cells
/// cannot lie side by side in a slice; there a [`Watched`] cell stands beside each one.
pub(crate) use std::cell::UnsafeCell;

/// Holds no data: whoever touches the memory that it stands for takes a guard from it, and the
/// checker reports a guard that another thread's accesses do not happen before.
#[cfg(loom)]
pub(crate) use loom::cell::{ConstPtr, MutPtr, UnsafeCell as Watched};
