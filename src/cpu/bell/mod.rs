//! A core's bell: whoever brings work rings it, whoever sleeps on the core wakes up.
//!
//! Ringing is cheap while nobody sleeps (a fence and a load, once a batch), and no wake-up is
//! lost. The two sides follow one protocol (Dekker's: each raises its flag, then looks at the
//! other's):
//!
//! ```text
//!   who brings work              who waits
//!   publish the work             let nap = listener.prepare();     raises the flag, fence
//!   bell.ring()                  work after all? drop(nap), do it
//!     fence, flag? wake          nap.sleep(timeout) or nap.await
//! ```
//! Whichever fence comes second in the one order of all sequentially consistent fences, its side
//! sees what the other wrote before its own: either the ringer sees the flag, or the listener
//! sees the work.

#[cfg(test)]
mod tests;

use crate::sync::{Arc, AtomicU64, AtomicWaker, Ordering, fence};
use crossbeam::utils::CachePadded;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
#[cfg(not(loom))]
use std::time::Instant;

/// Listeners that one bell can have at a time: bits of a word.
const LISTENERS_MAX: u32 = if cfg!(loom) { 2 } else { 64 };

/// The bell. Clones are the same bell.
#[derive(Clone)]
pub struct Bell {
    shared: Arc<Shared>,
}

struct Shared {
    /// One bit for each listener that sleeps, or is about to.
    asleep: CachePadded<AtomicU64>,
    /// One bit for each slot that has a listener.
    taken: AtomicU64,
    wakers: Box<[AtomicWaker]>,
}

/// A bell has all the listeners that it can have (64).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a bell has at most {LISTENERS_MAX} listeners")]
pub struct BellFull;

impl Bell {
    /// A bell that nobody listens to.
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                asleep: CachePadded::new(AtomicU64::new(0)),
                taken: AtomicU64::new(0),
                wakers: (0..LISTENERS_MAX).map(|_| AtomicWaker::new()).collect(),
            }),
        }
    }

    /// Wakes every listener that sleeps or is about to. Call it after the work has been published.
    #[inline]
    pub fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::Relaxed) != 0 {
            self.shared.wake_all();
        }
    }

    /// A new listener: one for each thread or task that sleeps on this bell.
    ///
    /// # Errors
    /// When there are 64 already.
    pub fn listen(&self) -> Result<Listener, BellFull> {
        let mut taken = self.shared.taken.load(Ordering::Relaxed);
        loop {
            let slot = taken.trailing_ones();
            if slot >= LISTENERS_MAX {
                return Err(BellFull);
            }
            // Acquire: what the slot's last listener did to its waker is over.
            match self.shared.taken.compare_exchange(
                taken,
                taken | 1 << slot,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    return Ok(Listener {
                        bell: self.clone(),
                        slot,
                        #[cfg(not(loom))]
                        thread: None,
                    });
                }
                Err(now) => taken = now,
            }
        }
    }
}

impl Default for Bell {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asleep = self.shared.asleep.load(Ordering::Relaxed);
        write!(f, "Bell {{ asleep: {} }}", asleep.count_ones())
    }
}

impl Shared {
    #[cold]
    fn wake_all(&self) {
        // Release: who finds its bit gone also finds the work that it was woken for.
        let mut asleep = self.asleep.swap(0, Ordering::AcqRel);
        while asleep != 0 {
            self.wakers[asleep.trailing_zeros() as usize].wake();
            asleep &= asleep - 1;
        }
    }

    fn is_asleep(&self, slot: u32) -> bool {
        self.asleep.load(Ordering::Acquire) & 1 << slot != 0
    }
}

/// One sleeper's place at a bell, given back when it is dropped.
pub struct Listener {
    bell: Bell,
    slot: u32,
    /// Wakes the thread that last slept through this listener.
    #[cfg(not(loom))]
    thread: Option<(std::thread::ThreadId, Waker)>,
}

impl Listener {
    /// Raises the flag: from now on a ring is heard. Look for work once more, then sleep.
    pub fn prepare(&mut self) -> Nap<'_> {
        let shared = &self.bell.shared;
        shared.asleep.fetch_or(1 << self.slot, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        Nap { listener: self }
    }

    /// The bell that this listens to.
    pub fn bell(&self) -> &Bell {
        &self.bell
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Release: pairs with the acquire of the slot's next listener.
        let others = !(1 << self.slot);
        self.bell.shared.taken.fetch_and(others, Ordering::Release);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener {{ slot: {} }}", self.slot)
    }
}

/// A listener whose flag is up. As a future it is ready once the bell was rung; a thread calls
/// [`Nap::sleep`]. Dropping it takes the flag down.
#[derive(Debug)]
#[must_use = "look for work once more, then sleep"]
pub struct Nap<'l> {
    listener: &'l mut Listener,
}

impl Nap<'_> {
    /// Whether the bell was rung since the flag went up.
    pub fn is_rung(&self) -> bool {
        !self.listener.bell.shared.is_asleep(self.listener.slot)
    }

    fn register(&self, waker: &Waker) {
        let waiting = &self.listener.bell.shared.wakers[self.listener.slot as usize];
        #[cfg(not(loom))]
        waiting.register(waker);
        #[cfg(loom)]
        waiting.register_by_ref(waker);
    }

    /// Parks the calling thread until the bell is rung, or for `timeout` at most. Says whether it
    /// was rung.
    #[cfg(not(loom))]
    pub fn sleep(self, timeout: Duration) -> bool {
        let here = std::thread::current();
        if !matches!(&self.listener.thread, Some((id, _)) if *id == here.id()) {
            self.listener.thread = Some((here.id(), unparker(here)));
        }
        let start = Instant::now();
        loop {
            // Each time anew: the wake of an earlier ring, still on its way, takes the waker.
            if let Some((_, waker)) = &self.listener.thread {
                self.register(waker);
            }
            if self.is_rung() {
                return true;
            }
            match timeout.checked_sub(start.elapsed()) {
                Some(rest) if !rest.is_zero() => std::thread::park_timeout(rest),
                _ => return self.is_rung(),
            }
        }
    }

    /// Under the model checker time stands still: only a ring ends the wait.
    #[cfg(loom)]
    pub fn sleep(self, _: Duration) -> bool {
        while !self.is_rung() {
            loom::thread::yield_now();
        }
        true
    }
}

impl Future for Nap<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.is_rung() {
            return Poll::Ready(());
        }
        self.register(context.waker());
        // Rung in between: the ringer may have found no waker yet.
        match self.is_rung() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Drop for Nap<'_> {
    fn drop(&mut self) {
        let others = !(1 << self.listener.slot);
        let shared = &self.listener.bell.shared;
        if shared.is_asleep(self.listener.slot) {
            shared.asleep.fetch_and(others, Ordering::Relaxed);
        }
    }
}

#[cfg(not(loom))]
fn unparker(thread: std::thread::Thread) -> Waker {
    struct Unpark(std::thread::Thread);

    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }

        fn wake_by_ref(self: &std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    Waker::from(std::sync::Arc::new(Unpark(thread)))
}
