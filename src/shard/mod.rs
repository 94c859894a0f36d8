//! The roles that own a core: the intake, which reads and routes, and the shard, which owns keys.
//!
//! An intake may fold records itself and send what they came to (`combining`).
//!
//! May use every room below. A shard is a deterministic machine over its inbound frames: it reads
//! no clock but to measure, and does no I/O but to write down what it takes, where that is asked
//! for (`journal`), together with where its sources stand (`place`), and now and then all that it
//! holds (`snapshots`). Where a loss of power is to be survived, results are held until what they
//! follow from is synced (`commit`), which it has others do. One step, in order:
//!
//! 1. results that found no room the last time leave;
//! 2. a frame is taken from a lane, in place, and written down first where there is a journal;
//! 3. its rows are folded into the slices of their windows, late ones go to the late output;
//! 4. its watermark is merged with the other lanes';
//! 5. when the merged watermark moved, windows close and results leave.

mod combining;
mod commit;
mod heard;
mod intake;
mod journal;
mod jump;
mod place;
mod progress;
mod replayed;
mod rescaled;
mod segments;
mod snapshots;
mod step;

pub use combining::Combining;
pub use commit::{CommitRequest, REQUESTS_MAX};
pub use heard::Heard;
pub use intake::{DeadLetter, DeadLetterObserver, Intake, IntakeParts, TimeRules};
pub use journal::{Journal, JournalParts};
pub use jump::JumpRule;
pub use place::IntakePlace;
pub use progress::Progress;
pub use replayed::{ReplayObserver, ReplayedRows};
pub use rescaled::{RescaledShard, rescale};
pub use segments::SegmentWork;
pub use step::{Shard, ShardError, ShardParts};
