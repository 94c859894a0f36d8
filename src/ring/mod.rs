//! The ring: a bounded queue of plain data between two cores, one producer and one consumer,
//! without locks. What a lane between a source and a shard is made of.
//!
//! May use `sync`. Knows nothing of frames, records or lanes: slots go in, the same slots come out.
//! The first of the crate's islands of unsafe code.
//!
//! # Two positions
//!
//! Slots are numbered from the first one ever written, and the numbers only rise. `read` is the
//! number of the first slot that the consumer has not released, `written` of the first that the
//! producer has not committed; `read <= written <= read + capacity` at all times.
//!
//! ```text
//!            released      committed, not released       free, or being written
//!        · · · · · · · ┌───────────────────────────┬───────────────────────────┐ · · · · ·
//!  0 ──►               │   the consumer's alone    │    the producer's alone   │
//!        · · · · · · · └───────────────────────────┴───────────────────────────┘ · · · · ·
//!                      ▲                           ▲                           ▲
//!                    read                       written                 read + capacity
//!            stored by the consumer      stored by the producer
//! ```
//!
//! Each end stores its own position with release order and loads the other's with acquire order,
//! and remembers what it loaded: as long as what it remembers is enough, it does not touch the
//! cache line that the other core writes. A batch costs one store, however long it is.
//!
//! # A claim is never in two pieces
//!
//! Position `p` lies at index `p % capacity`. A claim that reaches the end does not wrap but runs
//! on into an overflow behind it, so it is always one slice, and what reads it back in the units in
//! which it was committed finds it in one slice as well:
//!
//! ```text
//!  index 0                                             capacity          capacity + claim_max - 1
//!        ┌──────────────────────────────────────────────┬───────────────────┐
//!        │ 6 7 8 9                            0 1 2 3   │ 4 5               │
//!        └──────────────────────────────────────────────┴───────────────────┘
//!          └─ the next claim                  └─ one claim of 6 ─┘
//! ```
//!
//! No slot is lost at the end and no mark says "skip to the front". The price is that a position
//! has two homes, the low one at `p % capacity` and, for the first `claim_max - 1` of a round, one
//! in the overflow at `capacity + p % capacity`; which of them holds the data depends on where the
//! commit that brought it began. **So one commit is one unit: the consumer releases it as a whole,
//! and no read runs from one unit into the next.** A read may take the unit's first slots only, to
//! learn its length: a frame's header first, without releasing it, then all of the frame.
//!
//! # Why no two threads touch a slot
//!
//! A consumer that reads in other units gets stale data, and nothing worse:
//!
//! - Both homes of a position belong to whoever owns the position, and to nobody else. The owned
//!   positions, both ends' together, are `[read, read + capacity)`, so no two of them leave the
//!   same remainder; homes are a function of the remainder, so no two of them share a home. Within
//!   the overflow that needs `claim_max <= capacity`: then the overflow has one home a remainder.
//! - A claim of `n` slots at position `p` touches, in order, one home of each of `p .. p + n`: the
//!   low one as long as `p % capacity + i < capacity`, the overflow's from there on. A read does
//!   the same. Neither touches a home of a position that it does not own.
//! - A position changes hands twice a round, each time by a release store that the new owner has
//!   loaded with acquire order, so all accesses of the old owner happen before those of the new.
//! - Every slot is initialised when the ring is made, and `T: Pod` means that any bytes are a value
//!   of `T`, so a home that was never written, or written in an earlier round, reads as zeros or as
//!   old data, never as something undefined.

#![allow(unsafe_code)]

mod claim;
mod consumer;
mod local;
mod producer;
mod slots;
mod watch;

pub use claim::Claim;
pub use consumer::Consumer;
pub use local::LocalRing;
pub use producer::Producer;

use crate::sync::{Arc, AtomicBool, AtomicU64, Ordering};
use bytemuck::Pod;
use crossbeam::utils::CachePadded;
use slots::Slots;

#[cfg(all(test, loom))]
mod loom;
#[cfg(all(test, not(loom)))]
mod tests;

/// Makes a ring of `capacity` slots and returns its two ends. No claim and no read is longer than
/// `claim_max` slots. All memory is allocated and touched here.
///
/// # Panics
///
/// When `capacity` is not a power of two, or `claim_max` is zero or more than `capacity`.
///
/// # Examples
///
/// ```
/// let (mut producer, mut consumer) = tidewheel::ring::ring::<u64>(1024, 16);
/// let mut claim = producer.claim(16).expect("the ring is empty");
/// claim[..3].copy_from_slice(&[7, 8, 9]);
/// claim.commit(3);
/// assert_eq!(consumer.front(3), Some(&[7, 8, 9][..]));
/// consumer.release(3);
/// ```
pub fn ring<T: Pod + Send>(capacity: usize, claim_max: usize) -> (Producer<T>, Consumer<T>) {
    let shared = Arc::new(Shared {
        slots: Slots::new(capacity, claim_max),
        producer: CachePadded::new(End::new()),
        consumer: CachePadded::new(End::new()),
    });
    (Producer::new(Arc::clone(&shared)), Consumer::new(shared))
}

/// What both ends hold.
struct Shared<T> {
    slots: Slots<T>,
    producer: CachePadded<End>,
    consumer: CachePadded<End>,
}

// SAFETY: all but the slots is atomic or never changes. A slot is touched by one thread at a time,
// as the module's documentation shows, and goes from one thread to the other: `T: Send`.
unsafe impl<T: Send> Sync for Shared<T> {}

/// What one end tells the other. Written by one thread, so each has its own cache line.
struct End {
    /// `written` of the producer, `read` of the consumer.
    position: AtomicU64,
    /// Set when the end is dropped, after its last store to `position`.
    gone: AtomicBool,
}

impl End {
    fn new() -> Self {
        Self { position: AtomicU64::new(0), gone: AtomicBool::new(false) }
    }

    fn leave(&self) {
        self.gone.store(true, Ordering::Release);
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }
}
