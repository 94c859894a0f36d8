//! What the first records of an input say about its columns, looked at before they are read.
//!
//! Uses `limits`.

use super::bytes::{ByteInput, Chunk, wait_readable};
use super::cells::{Place, Records, Step};
use super::error::OpenError;
use super::guess::Guesses;
use super::malformed::{CellFault, Fault, Malformed};
use super::number::{Shape, read_f64, read_shape};
use super::plan::{Awaited, Notice};
use super::rows::{Observer, RowPlan};
use super::timestamp::{TimeUnit, TimestampReader};
use crate::limits;
use crate::source::SourceError;
use std::time::{Duration, Instant};

/// How long an input may be silent before a person is told why nothing happens.
const TELL_AFTER: Duration = Duration::from_secs(2);
/// Bytes that are looked at, however few records they hold.
const LOOK_BYTES_MAX: usize = 8 << 20;

/// What was seen of one column.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) integers: u64,
    pub(crate) fractions: u64,
    /// Words for floats that are no numbers, such as NaN.
    pub(crate) words: u64,
    /// The cells that are neither, if there are any.
    pub(crate) text: Option<SeenText>,
}

impl Seen {
    /// Whether all of its cells were empty.
    pub(crate) const fn is_nothing(&self) -> bool {
        self.integers == 0 && self.fractions == 0 && self.words == 0 && self.text.is_none()
    }
}

/// What was seen of the cells of a column that are no numbers.
#[derive(Clone, Debug)]
pub(crate) struct SeenText {
    /// Where the first is.
    pub(crate) place: Place,
    /// What it holds.
    pub(crate) first: Vec<u8>,
    /// All of them are times.
    pub(crate) are_times: bool,
    /// All of them are the same.
    pub(crate) are_one: bool,
}

/// What is to be looked at.
pub(crate) struct Wanted<'a> {
    pub(crate) rows: &'a RowPlan,
    /// The slots of the columns of which it is asked what they hold.
    pub(crate) columns: &'a [usize],
    pub(crate) reader: TimestampReader,
    /// Records that are waited for.
    pub(crate) records: usize,
}

/// How long first records are waited for.
pub(crate) struct Patience<'a> {
    /// Whether to wait no longer.
    pub(crate) stopped: &'a dyn Fn() -> bool,
    pub(crate) observer: &'a Observer,
    /// The columns whose types are to be told.
    pub(crate) columns: Vec<String>,
    since: Instant,
    told: bool,
}

impl<'a> Patience<'a> {
    pub(crate) fn new(
        stopped: &'a dyn Fn() -> bool,
        observer: &'a Observer,
        columns: Vec<String>,
    ) -> Self {
        Self { stopped, observer, columns, since: Instant::now(), told: false }
    }

    /// Waits for an input a little, and says so once if it was long. `false` when it is to end.
    pub(crate) fn wait(
        &mut self,
        input: &ByteInput,
        knows_columns: bool,
        records: usize,
    ) -> Result<bool, OpenError> {
        if (self.stopped)() {
            return Ok(false);
        }
        if !self.told && self.since.elapsed() >= TELL_AFTER {
            self.told = true;
            let (columns, needed) = (self.columns.clone(), limits::INFERENCE_ROWS);
            let awaited = match knows_columns {
                true => Awaited::Types { columns, records, needed },
                false => Awaited::Header,
            };
            (self.observer)(Notice::Waiting { name: input.name().to_owned(), awaited });
        }
        let failed = |error| OpenError::Io { name: input.name().to_owned(), error };
        match input.waits_for() {
            Some(fd) => {
                wait_readable(&[fd], Duration::from_millis(100)).map_err(failed)?;
            }
            None if input.may_come_soon() => std::thread::sleep(Duration::from_millis(1)),
            None => std::thread::sleep(Duration::from_millis(20)),
        }
        Ok(true)
    }
}

/// What was seen of the times.
#[derive(Debug, Default)]
struct TimesSeen {
    readable: bool,
    /// The first that cannot be read.
    first: Option<Malformed>,
    /// The first that another unit would mend.
    mistake: Option<Malformed>,
    guesses: Guesses,
}

/// That no time of an input's first records can be read.
#[derive(Debug)]
pub(crate) enum NoTimes {
    /// Another unit would mend it.
    Unit(Malformed),
    /// The column holds something else: its first value, and what to say instead.
    Column(Malformed, String),
}

/// What was seen of one input.
#[derive(Debug)]
pub(crate) struct FirstLook {
    /// Column by column, in the order of the slots asked for.
    pub(crate) seen: Vec<Seen>,
    /// There are values for times, and none could be read.
    pub(crate) no_times: Option<NoTimes>,
    pub(crate) records: usize,
    /// Records that could not be read.
    pub(crate) refused: usize,
    /// These records are all that the input has.
    pub(crate) is_whole: bool,
    pub(crate) header: Option<Vec<u8>>,
    pub(crate) knows_columns: bool,
    /// The columns' names, as far as they were seen.
    pub(crate) names: Vec<String>,
    /// Whether these are all names that there were.
    pub(crate) has_all_names: bool,
    /// Slots whose column never turned up.
    pub(crate) missing: Vec<usize>,
}

impl FirstLook {
    /// Whether no record came.
    pub(crate) const fn is_empty(&self) -> bool {
        self.records == 0 && self.refused == 0
    }
}

/// Looks at the first records of an input without consuming them.
pub(crate) fn look<R: Records>(
    input: &mut ByteInput,
    records: &R,
    wanted: &mut Wanted<'_>,
    patience: &mut Patience<'_>,
) -> Result<FirstLook, OpenError> {
    let mut ahead = records.look_ahead();
    let mut seen = vec![Seen::default(); wanted.columns.len()];
    let mut times = TimesSeen::default();
    let (mut at, mut line, mut found, mut is_whole) = (0, 1_u64, 0, false);
    let mut refused = 0;
    let records_max = wanted.records;
    let enough = |ahead: &R, found: usize| ahead.knows_columns() && found >= records_max;
    while !enough(&ahead, found) && at < LOOK_BYTES_MAX {
        let bytes = &input.available()[at..];
        let (length, lines) = match ahead.next(bytes, input.has_ended()) {
            Step::Record { length, text, lines } => {
                found += 1;
                let record = &bytes[..text];
                let cells = ahead.cells(record);
                let place = |slot| {
                    let Place { lines_below, column } = ahead.locate(record, slot);
                    Place { lines_below: line + lines_below, column }
                };
                for (slot, seen) in wanted.columns.iter().zip(&mut seen) {
                    note(seen, cells.get(*slot), || place(*slot));
                }
                let time = cells.get(wanted.rows.time);
                if times.note(wanted, input.name(), time, place) && times.guesses.is_open() {
                    times.guesses.note(ahead.named_cells(record));
                }
                (length, lines)
            }
            Step::Blank { length, lines } => (length, lines),
            Step::Refused { length, lines, .. } => {
                refused += 1;
                (length, lines)
            }
            Step::Unusable(error) => return Err(*error),
            Step::More if input.has_ended() => {
                is_whole = true;
                break;
            }
            Step::More => {
                if !read_on(input, patience, ahead.knows_columns(), found)? {
                    break;
                }
                continue;
            }
        };
        at += length;
        line += lines;
    }
    let missing = (0..wanted.rows.slots.len()).filter(|slot| !ahead.has_seen(*slot)).collect();
    Ok(FirstLook {
        seen,
        no_times: times.none_readable(wanted.reader.unit()),
        records: found,
        refused,
        is_whole,
        header: ahead.header().map(<[u8]>::to_vec),
        knows_columns: ahead.knows_columns(),
        names: ahead.column_names(),
        has_all_names: ahead.has_all_names(),
        missing,
    })
}

impl TimesSeen {
    /// Looks at the time of one record. Whether it cannot be read, as none before it could.
    fn note(
        &mut self,
        wanted: &mut Wanted<'_>,
        name: &str,
        cell: Option<&[u8]>,
        place: impl Fn(usize) -> Place,
    ) -> bool {
        let Some(cell) = cell.filter(|cell| !cell.is_empty()) else {
            return false;
        };
        let error = match wanted.reader.read(cell) {
            Ok(_) => {
                self.readable = true;
                return false;
            }
            Err(_) if self.readable => return false,
            Err(error) => error,
        };
        let slot = wanted.rows.time;
        let fault = Fault::Cell { slot, fault: CellFault::Time(error) };
        let is_mistake = self.mistake.is_none() && fault.is_of_unit(cell);
        if is_mistake || self.first.is_none() {
            let Place { lines_below: line, column } = place(slot);
            let problem = fault.describe(&wanted.rows.slots[slot].name, cell);
            let malformed = Malformed { source: name.to_owned(), line, column, problem };
            if is_mistake {
                self.mistake = Some(malformed.clone());
            }
            self.first.get_or_insert(malformed);
        }
        true
    }

    fn none_readable(self, unit: Option<TimeUnit>) -> Option<NoTimes> {
        let Self { readable: false, first, mistake, guesses, .. } = self else { return None };
        let column = |first| NoTimes::Column(first, guesses.mend(unit));
        mistake.map(NoTimes::Unit).or_else(|| first.map(column))
    }
}

fn note(seen: &mut Seen, cell: Option<&[u8]>, place: impl Fn() -> Place) {
    let Some(cell) = cell.map(<[u8]>::trim_ascii).filter(|cell| !cell.is_empty()) else {
        return;
    };
    match read_shape(cell) {
        Some(Shape::Integer) => seen.integers += 1,
        Some(Shape::Fraction) => seen.fractions += 1,
        None if read_f64(cell).is_ok() => seen.words += 1,
        None => {
            let text = seen.text.get_or_insert_with(|| SeenText {
                place: place(),
                first: cell.to_owned(),
                are_times: true,
                are_one: true,
            });
            text.are_times &= TimestampReader::new(None).read(cell).is_ok();
            text.are_one &= text.first == cell;
        }
    }
}

/// Reads on, waiting as long as it takes. `false` when a followed file has no more now, or it is
/// to end.
fn read_on(
    input: &mut ByteInput,
    patience: &mut Patience<'_>,
    knows_columns: bool,
    records: usize,
) -> Result<bool, OpenError> {
    loop {
        let chunk = input.fill().map_err(|error| match error {
            SourceError::Io { name, error } => OpenError::Io { name, error },
            error => OpenError::NoText(error.to_string()),
        })?;
        match chunk {
            Chunk::Bytes(_) | Chunk::End => return Ok(true),
            Chunk::Pending if !input.may_come_soon() => return Ok(false),
            Chunk::Pending => {}
        }
        if !patience.wait(input, knows_columns, records)? {
            return Ok(false);
        }
    }
}

/// How many records have to be looked at.
pub(crate) const fn records_needed(undeclared: bool) -> usize {
    if undeclared { limits::INFERENCE_ROWS } else { 0 }
}
