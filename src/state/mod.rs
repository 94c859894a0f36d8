//! The state directory: what a durable engine leaves on disk, and who may use it.
//!
//! May use `log`, `record`, `time`, `limits` and `fault`. It holds the logs of the shards, a
//! manifest that says which pipeline they belong to, how far the output has come, and a lock.
//!
//! ```text
//!  DIR/lock             held while an engine uses the directory; holds its process number
//!  DIR/manifest         the pipeline, in words; checked when the directory is opened
//!  DIR/s000-….log       the log of shard 0, segment by segment
//!  DIR/s000.snapshot    what shard 0 held at one place of its log; the log before is not needed
//!  DIR/s000-….part      earlier snapshots that it refers to for what has not changed since
//!  DIR/s000-….snapshot  what it held at earlier places, where history is kept
//!  DIR/output           how much of the output is part of it for good
//!  DIR/next.…/          what it is to hold of more shards, on its way there
//!  DIR/damaged-1/…      what `tidewheel log repair` has put aside; nobody reads it
//! ```
//! The folder of a result log has a lock, a manifest and logs of the same kind.

mod chain;
mod directory;
mod error;
mod history;
mod manifest;
mod name;
mod progress;
mod settings;
mod snapshot;
mod switch;

pub use chain::{Replaced, SnapshotChain};
pub use directory::StateDirectory;
pub use error::{RescaleRefusal, StateError};
pub use progress::OutputProgress;
pub use settings::{Delivery, Durability, Keep, State};
pub use snapshot::{Snapshot, SnapshotPlace, SnapshotWriter};
pub use switch::Switch;
