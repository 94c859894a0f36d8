//! Output that goes on where an earlier run stopped: what the state directory says is part of it
//! for good, and what comes beyond that.

use super::args::Destination;
use super::exit::{Failure, STANDARD_OUTPUT};
use std::cell::{Cell, RefCell};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidewheel::fault;
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

    /// Whether nothing is known to be out: what stands in a file is another's, or comes again.
    pub(crate) fn has_nothing_out(&self) -> bool {
        self.before.results.iter().chain(&self.before.late).all(|count| *count == 0)
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

/// A file of results or late records that the next run goes on with. It is appended to, and what is
/// written is counted: where somebody else cuts it meanwhile, or writes there, the count is not its
/// length any more.
pub(crate) struct KeptFile {
    name: String,
    file: File,
    bytes: Rc<Cell<u64>>,
}

/// Writes to a kept file.
struct Appending {
    file: File,
    bytes: Rc<Cell<u64>>,
}

impl Write for Appending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        fault::point_in("output.half", || self.file.write_all(&bytes[..bytes.len() / 2]))?;
        let written = self.file.write(bytes)?;
        self.bytes.set(self.bytes.get() + written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl KeptFile {
    /// A file that was just made, and is empty. Its name is there for good where a loss of power is
    /// to be survived.
    pub(crate) fn begin(path: &Path, durably: bool) -> Result<Self, Failure> {
        if durably {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let synced = File::open(folder.unwrap_or(Path::new("."))).and_then(|it| it.sync_all());
            synced.map_err(failed(path))?;
        }
        Self::go_on(path, 0)
    }

    /// A file of which `bytes` are good; what lies beyond is forgotten.
    pub(crate) fn go_on(path: &Path, bytes: u64) -> Result<Self, Failure> {
        let file = OpenOptions::new().append(true).open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Failure::Corrupted(format!(
                "{}: is gone, and earlier runs had brought out {bytes} bytes of it; put the file \
                 back as it was, or begin anew with another --state and --output",
                path.display()
            )),
            _ => failed(path)(error),
        })?;
        let length = file.metadata().map_err(failed(path))?.len();
        if length < bytes {
            return Err(Failure::Corrupted(format!(
                "{}: {length} bytes are there, and earlier runs had brought out {bytes}; put the \
                 file back as it was, or begin anew with another --state and --output",
                path.display()
            )));
        }
        fault::point("output.cut").and_then(|()| file.set_len(bytes)).map_err(failed(path))?;
        Ok(Self { name: path.display().to_string(), file, bytes: Rc::new(Cell::new(bytes)) })
    }

    pub(crate) fn writer(&self) -> Result<Box<dyn Write>, Failure> {
        let file = self.file.try_clone().map_err(failed(Path::new(&self.name)))?;
        Ok(Box::new(Appending { file, bytes: Rc::clone(&self.bytes) }))
    }

    /// How long the file is, all of which this run or an earlier one has written; on the disk if
    /// `durably`.
    pub(crate) fn length(&self, durably: bool) -> Result<u64, Failure> {
        let failed = failed(Path::new(&self.name));
        let there = match durably {
            true => self.file.sync_data().and_then(|()| self.file.metadata()),
            false => self.file.metadata(),
        };
        let there = there.map_err(failed)?;
        let problem = match there.nlink() {
            0 => "was removed",
            _ if there.len() != self.bytes.get() => "was cut or written to by another",
            _ => return Ok(self.bytes.get()),
        };
        Err(Failure::Io(format!(
            "{}: {problem} while it was written; nothing more is kept",
            self.name
        )))
    }
}

/// An output of which all stays that was ever written.
pub(crate) struct Appended {
    name: String,
    /// `None`: standard output.
    file: Option<File>,
    /// Whether nothing stands there yet.
    pub(crate) is_new: bool,
}

impl Appended {
    /// Opens it behind what is there, of which so much is `noted` as whole; where nothing there
    /// counts, `anew`.
    pub(crate) fn open(to: &Destination, anew: bool, noted: u64) -> Result<Self, Failure> {
        let Some(path) = to.file() else {
            let name = STANDARD_OUTPUT.to_owned();
            return Ok(Self { name, file: None, is_new: true });
        };
        if anew {
            super::output::create(path)?;
        }
        let file = OpenOptions::new().append(true).create(true).open(path).map_err(failed(path))?;
        let there = file.metadata().map_err(failed(path))?;
        if there.is_file() {
            // A run that was killed may have left a part of a row.
            let whole = super::rows::end_of_last(path, noted).map_err(failed(path))?;
            file.set_len(whole).map_err(failed(path))?;
        }
        let is_new = file.metadata().map_err(failed(path))?.len() == 0;
        Ok(Self { name: path.display().to_string(), file: Some(file), is_new })
    }

    pub(crate) fn writer(&self) -> Result<Box<dyn Write>, Failure> {
        Ok(match &self.file {
            None => Box::new(io::stdout()),
            Some(file) => Box::new(file.try_clone().map_err(failed(Path::new(&self.name)))?),
        })
    }

    /// How long it is, zero if that can not be said of it; on the disk if `durably`.
    pub(crate) fn length(&self, durably: bool) -> Result<u64, Failure> {
        let Some(file) = &self.file else { return Ok(0) };
        let failed = || failed(Path::new(&self.name));
        let there = file.metadata().map_err(failed())?;
        if there.is_file() && durably {
            file.sync_data().map_err(failed())?;
        }
        Ok(if there.is_file() { there.len() } else { 0 })
    }
}

/// How long, and how much of it, is held back at most.
const HOLD: Duration = Duration::from_millis(5);
const HOLD_BYTES: usize = 256 << 10;

/// What waits until it is said that it is out.
pub(crate) struct HeldBack {
    name: String,
    out: Box<dyn Write>,
    waiting: Rc<RefCell<Waiting>>,
}

/// Bytes, and since when.
#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    since: Option<Instant>,
}

/// Writes to what is held back.
struct Holding(Rc<RefCell<Waiting>>);

impl Write for Holding {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut waiting = self.0.borrow_mut();
        waiting.since.get_or_insert_with(Instant::now);
        waiting.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl HeldBack {
    /// What is written to the second of these is held before `out`.
    pub(crate) fn before(out: Box<dyn Write>, name: String) -> (Self, Box<dyn Write>) {
        let waiting = Rc::new(RefCell::new(Waiting::default()));
        let holding = Box::new(Holding(Rc::clone(&waiting)));
        (Self { name, out, waiting }, holding)
    }

    /// Whether anything waits.
    pub(crate) fn is_any(&self) -> bool {
        !self.waiting.borrow().bytes.is_empty()
    }

    /// Whether it has waited long enough, or is much.
    pub(crate) fn is_due(&self) -> bool {
        let waiting = self.waiting.borrow();
        waiting.bytes.len() >= HOLD_BYTES
            || waiting.since.is_some_and(|since| since.elapsed() >= HOLD)
    }

    /// Writes it.
    pub(crate) fn let_go(&mut self) -> Result<(), Failure> {
        let Waiting { bytes, .. } = std::mem::take(&mut *self.waiting.borrow_mut());
        let written = self.out.write_all(&bytes).and_then(|()| self.out.flush());
        written.map_err(|error| Failure::writing(&self.name, &error))
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    move |error| Failure::Io(format!("{}: {error}", path.display()))
}
