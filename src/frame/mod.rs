//! The frame: the one form in which rows, partial aggregates and watermarks travel. What a ring
//! carries, a log stores and a wire sends is this, byte for byte.
//!
//! May use `record`, `time` and `limits`. Knows nothing of rings, logs or windows.
//!
//! ```text
//!  0        64                                                          length
//!  +--------+----------------------+--------------------+----------------+
//!  | header | rows: count × stride | optional columns   | tail heap      |
//!  +--------+----------------------+--------------------+----------------+
//! ```
//! All parts start on 8 bytes. The optional columns stand in the order of the bits of [`Extras`],
//! each padded to 8 bytes. The tail heap holds what has no fixed width; rows say where.

mod header;
mod reader;
mod writer;

pub use header::{Extras, FrameHeader, FrameKind, HEADER_WORDS};
pub use reader::{Frame, FrameError};
pub use writer::{FrameWriter, Stamp, Tail};

#[cfg(test)]
mod tests;
