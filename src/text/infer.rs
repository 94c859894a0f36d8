//! What the first records of an input say about its columns, looked at before they are read.
//!
//! Uses `limits`.

use super::bytes::{ByteInput, Chunk, wait_readable};
use super::cells::{Place, Records, Step};
use super::error::OpenError;
use super::malformed::{CellFault, Fault, Malformed, quoted};
use super::number::{Shape, read_shape};
use super::plan::Notice;
use super::rows::{Observer, RowPlan};
use super::timestamp::TimestampReader;
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
    /// The first cell that is no number: where it is and what it holds, for a message.
    pub(crate) text: Option<(Place, String)>,
}

/// What is to be looked at.
pub(crate) struct Wanted<'a> {
    pub(crate) rows: &'a RowPlan,
    /// The slots of the columns whose types are asked for.
    pub(crate) columns: &'a [usize],
    pub(crate) reader: TimestampReader,
    /// Records that are waited for.
    pub(crate) records: usize,
}

/// What was seen of the times.
#[derive(Debug, Default)]
struct TimesSeen {
    readable: bool,
    /// The first that another unit would mend.
    mistake: Option<Malformed>,
}

/// What was seen of one input.
#[derive(Debug)]
pub(crate) struct FirstLook {
    /// Column by column, in the order of the slots asked for.
    pub(crate) seen: Vec<Seen>,
    /// A time that another unit would mend, when none could be read.
    pub(crate) unit_mistake: Option<Malformed>,
    pub(crate) records: usize,
    pub(crate) header: Option<Vec<u8>>,
    pub(crate) knows_columns: bool,
    /// The columns' names, as far as they were seen.
    pub(crate) names: Vec<String>,
    /// Slots whose column never turned up.
    pub(crate) missing: Vec<usize>,
}

/// Looks at the first records of an input without consuming them.
pub(crate) fn look<R: Records>(
    input: &mut ByteInput,
    records: &R,
    wanted: &mut Wanted<'_>,
    observer: &Observer,
) -> Result<FirstLook, OpenError> {
    let mut ahead = records.look_ahead();
    let mut seen = vec![Seen::default(); wanted.columns.len()];
    let mut times = TimesSeen::default();
    let (mut at, mut line, mut found) = (0, 1_u64, 0);
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
                times.note(wanted, input.name(), cells.get(wanted.rows.time), place);
                (length, lines)
            }
            Step::Blank { length, lines } | Step::Refused { length, lines, .. } => (length, lines),
            Step::Unusable(error) => return Err(*error),
            Step::More if input.has_ended() => break,
            Step::More => {
                if !wait_for_more(input, observer)? {
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
        unit_mistake: times.mistake.filter(|_| !times.readable),
        records: found,
        header: ahead.header().map(<[u8]>::to_vec),
        knows_columns: ahead.knows_columns(),
        names: ahead.column_names(),
        missing,
    })
}

impl TimesSeen {
    /// Looks at the time of one record.
    fn note(
        &mut self,
        wanted: &mut Wanted<'_>,
        name: &str,
        cell: Option<&[u8]>,
        place: impl Fn(usize) -> Place,
    ) {
        let Some(cell) = cell.filter(|cell| !self.readable && !cell.is_empty()) else {
            return;
        };
        let Err(error) = wanted.reader.read(cell) else {
            self.readable = true;
            return;
        };
        let slot = wanted.rows.time;
        let fault = Fault::Cell { slot, fault: CellFault::Time(error) };
        if self.mistake.is_none() && fault.is_of_unit(cell) {
            let Place { lines_below: line, column } = place(slot);
            let problem = fault.describe(&wanted.rows.slots[slot].name, cell);
            self.mistake = Some(Malformed { source: name.to_owned(), line, column, problem });
        }
    }
}

fn note(seen: &mut Seen, cell: Option<&[u8]>, place: impl Fn() -> Place) {
    let Some(cell) = cell.map(<[u8]>::trim_ascii).filter(|cell| !cell.is_empty()) else {
        return;
    };
    match read_shape(cell) {
        Some(Shape::Integer) => seen.integers += 1,
        Some(Shape::Fraction) => seen.fractions += 1,
        None if seen.text.is_none() => seen.text = Some((place(), quoted(cell))),
        None => {}
    }
}

/// Reads on, waiting as long as it takes. `false` when a followed file has no more now.
fn wait_for_more(input: &mut ByteInput, observer: &Observer) -> Result<bool, OpenError> {
    let since = Instant::now();
    let mut told = false;
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
        if !told && since.elapsed() >= TELL_AFTER {
            told = true;
            observer(Notice::Waiting { name: input.name().to_owned() });
        }
        let failed = |error| OpenError::Io { name: input.name().to_owned(), error };
        match input.waits_for() {
            Some(fd) => {
                wait_readable(&[fd], Duration::from_millis(100)).map_err(failed)?;
            }
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// How many records have to be looked at.
pub(crate) const fn records_needed(undeclared: bool) -> usize {
    if undeclared { limits::INFERENCE_ROWS } else { 0 }
}
