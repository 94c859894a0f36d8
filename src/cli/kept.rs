//! Output that goes on where an earlier run stopped: what the state directory says is part of it
//! for good, and what comes beyond that.

use super::exit::Failure;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidewheel::record::ShardIndex;
use tidewheel::state::{Durability, OutputProgress, StateDirectory};

/// How often at most it is said how far the output has come: so much at most comes again.
const SAY_EVERY: Duration = Duration::from_millis(100);

/// The progress of an output that is kept.
pub(crate) struct Kept {
    directory: Arc<StateDirectory>,
    /// What earlier runs brought out for good.
    before: OutputProgress,
    now: OutputProgress,
    said: Instant,
}

impl Kept {
    /// What the state directory says of an engine with so many shards.
    pub(crate) fn open(directory: Arc<StateDirectory>, shards: usize) -> Result<Self, Failure> {
        let before = directory.output_progress()?;
        if before.is_none() && directory.has_begun()? {
            return Err(Failure::Corrupted(format!(
                "{}: the file 'output' is missing, which says what of --output is good; put it \
                 back, or begin anew with another --state and --output",
                directory.folder().display()
            )));
        }
        let is_first = before.is_none();
        let before = before.unwrap_or_else(|| OutputProgress::none(shards));
        if is_first {
            // Before anything is logged: where this is missing later, it was taken away.
            directory.set_output_progress(&before)?;
        }
        Ok(Self { directory, now: before.clone(), before, said: Instant::now() })
    }

    /// Bytes of results and of late records that earlier runs brought out for good.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.before.bytes, self.before.late_bytes)
    }

    /// Whether a result is not out yet.
    pub(crate) fn is_new_result(&mut self, shard: ShardIndex, sequence: u64) -> bool {
        is_new(&mut self.now.results[shard.index()], sequence)
    }

    /// Whether a late record is not out yet.
    pub(crate) fn is_new_late(&mut self, shard: ShardIndex, sequence: u64) -> bool {
        is_new(&mut self.now.late[shard.index()], sequence)
    }

    /// Whether what is said is to survive a loss of power: the files have to be synced first then.
    pub(crate) fn survives_loss_of_power(&self) -> bool {
        self.directory.durability() != Durability::Process
    }

    /// Whether it is time to say how far the output has come.
    pub(crate) fn is_due(&self) -> bool {
        self.said.elapsed() >= SAY_EVERY
    }

    /// All that was taken is in the files, which are so long.
    pub(crate) fn say(&mut self, bytes: u64, late_bytes: u64) -> Result<(), Failure> {
        let now = OutputProgress { bytes, late_bytes, ..self.now.clone() };
        if now != self.before {
            self.directory.set_output_progress(&now)?;
            self.before = now;
        }
        self.said = Instant::now();
        Ok(())
    }
}

/// Results come in the order of their numbers, those of earlier runs first.
fn is_new(next: &mut u64, sequence: u64) -> bool {
    let new = sequence >= *next;
    *next = (*next).max(sequence + 1);
    new
}

/// Opens a file of which `bytes` are good, and forgets what lies beyond.
pub(crate) fn open_at(path: &Path, bytes: u64) -> Result<File, Failure> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Failure::Corrupted(format!(
            "{}: is gone, and earlier runs had brought out {bytes} bytes of it; put the file back \
             as it was, or begin anew with another --state and --output",
            path.display()
        )),
        _ => Failure::Io(format!("{}: {error}", path.display())),
    };
    let mut file = OpenOptions::new().write(true).open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if length < bytes {
        return Err(Failure::Corrupted(format!(
            "{}: {length} bytes are there, and earlier runs had brought out {bytes}; put the file \
             back as it was, or begin anew with another --state and --output",
            path.display()
        )));
    }
    file.set_len(bytes).map_err(failed)?;
    file.seek(SeekFrom::Start(bytes)).map_err(failed)?;
    Ok(file)
}
