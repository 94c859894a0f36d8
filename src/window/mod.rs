//! Windows of event time: slices that records are folded into, and windows that are runs of
//! slices.
//!
//! ```text
//!  windows of size 10, slide 4:   [0 ........ 10)
//!                                     [4 ........ 14)
//!  slices:                        [0  4)[4..)...       boundaries where windows start and end:
//!                                 0  2  4  6  8  10    two slices a slide, however size and
//!                                                      slide are related
//! ```
//! May use `aggregate`, `frame`, `record`, `time`, `limits` and `hint`. No thread, no file, no
//! clock: everything here follows from frames and watermarks.
//!
//! A record is *late* for a window whose end its own partition's watermark had passed before the
//! record came; *wholly* late when that is so for all its windows, *partly* when some are left,
//! in which it counts.

mod cache;
mod cells;
mod chunk;
mod combiner;
mod copies;
mod key_watch;
mod pane;
mod slices;
mod sliding;
mod spec;
mod store;
mod table;
mod unsaved;

pub use combiner::{Combiner, Drained, SlicePartial};
pub use spec::{
    ParseSpecError, SliceIndex, SpecError, Thresholds, Window, WindowIndex, WindowSpec,
};
pub use store::{
    Added, Fired, Firing, Flow, LateRow, NotTogether, Reason, StoreError, StoreLimits, StoreStats,
    WindowStore,
};

#[cfg(test)]
mod tests;
