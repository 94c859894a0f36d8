//! What the model checker sees of the slots.
//!
//! An end lends its slots as one slice, which the checker cannot follow. So under `--cfg loom` each
//! slot has a cell without data beside it, and whoever has slots in hand has a guard of each of
//! their cells for just as long: a claim from [`Producer::claim`](super::Producer::claim) until the
//! moment before its commit is published, a reader from [`Consumer::front`](super::Consumer::front)
//! until the moment before its release is. The checker then reports two overlapping guards of which
//! one writes, and also an access that does not *happen before* the next one by way of the
//! positions, as a data race: what it would say of the slots themselves, had it seen them.
//!
//! Otherwise nothing of this remains.

#[cfg(loom)]
pub(super) use seen::{Reading, Watch, Writing};
#[cfg(not(loom))]
pub(super) use unseen::{Reading, Watch, Writing};

#[cfg(not(loom))]
mod unseen {
    pub(crate) struct Watch;
    pub(crate) struct Writing;
    pub(crate) struct Reading;

    impl Writing {
        #[inline(always)]
        pub(crate) fn end(self) {}
    }

    impl Reading {
        #[inline(always)]
        pub(crate) const fn nothing() -> Self {
            Self
        }
    }

    impl Watch {
        pub(crate) fn new(_len: usize) -> Self {
            Self
        }

        #[inline(always)]
        pub(crate) fn writing(&self, _index: usize, _slots: usize) -> Writing {
            Writing
        }

        #[inline(always)]
        pub(crate) fn reading(&self, _index: usize, _slots: usize) -> Reading {
            Reading
        }
    }
}

#[cfg(loom)]
mod seen {
    use crate::sync::{ConstPtr, MutPtr, Watched};

    /// One cell for each slot.
    pub(crate) struct Watch(Box<[Watched<()>]>);

    /// The slots are being written as long as this lives.
    pub(crate) struct Writing {
        _guards: Vec<MutPtr<()>>,
    }

    /// The slots are being read as long as this lives.
    pub(crate) struct Reading {
        _guards: Vec<ConstPtr<()>>,
    }

    impl Writing {
        /// From here on the slots are not written.
        pub(crate) fn end(self) {}
    }

    impl Reading {
        /// No slots are being read.
        pub(crate) const fn nothing() -> Self {
            Self { _guards: Vec::new() }
        }
    }

    impl Watch {
        pub(crate) fn new(len: usize) -> Self {
            Self((0..len).map(|_| Watched::new(())).collect())
        }

        pub(crate) fn writing(&self, index: usize, slots: usize) -> Writing {
            Writing { _guards: self.0[index..][..slots].iter().map(Watched::get_mut).collect() }
        }

        pub(crate) fn reading(&self, index: usize, slots: usize) -> Reading {
            Reading { _guards: self.0[index..][..slots].iter().map(Watched::get).collect() }
        }
    }

    // SAFETY: the pointer inside a guard is never followed, and the checker asks anew which thread
    // it runs on when a guard is dropped.
    unsafe impl Send for Reading {}
}
