//! From the cells of a record to a row: the source that every text format shares.
//!
//! Uses `source`, `record` and `limits`.

use super::bytes::{ByteInput, Chunk};
use super::cells::{Cells, Records, Step};
use super::kind::{ColumnKind, NumberKind};
use super::malformed::{CellFault, Fault, Malformed};
use super::number::{NumberError, read_f64, read_i64};
use super::plan::{Notice, Slot};
use super::predicate::Filter;
use super::timestamp::{TimeUnit, TimestampReader, likelier};
use crate::limits;
use crate::record::{ColumnRows, Columns, ColumnsBatch, Schema};
use crate::record::{push_bare_key_part, push_key_part};
use crate::source::{Polled, Source, SourceCounts, SourceError, SourcePosition, changed};
use crate::time::EventTime;
use std::fmt;
use std::sync::Arc;

/// Bytes of keys and texts after which a batch is handed over.
const BATCH_HEAP_BYTES: usize = 1 << 20;

/// Bytes of text after which a poll ends, so that it is short whatever the records are. What is
/// looked at beyond them, for where a record ends, is bounded by the longest record.
const POLL_BYTES: usize = limits::LINE_BYTES_MAX;

/// Chunks read in one poll that finds no rows in them: a line beyond all bounds is skipped in
/// bounded steps.
const READS_PER_POLL: u32 = 8;

/// Who is told of what a person may want to know.
pub(crate) type Observer = Arc<dyn Fn(Notice) + Send + Sync>;

/// What becomes of the slots' cells.
#[derive(Clone, Debug)]
pub(crate) struct RowPlan {
    pub(crate) slots: Arc<[Slot]>,
    pub(crate) time: usize,
    pub(crate) keys: Box<[usize]>,
    pub(crate) inputs: Box<[(usize, ColumnKind)]>,
    pub(crate) filter: Option<Filter>,
    pub(crate) keep_text: bool,
    pub(crate) strict: bool,
    /// Slots that are read as whole numbers for want of any value, and among how many records.
    pub(crate) assumed: Box<[(usize, usize)]>,
}

/// Bytes of a part of the key beside its text: what `push_key_part` writes before it.
const KEY_PART_BYTES: usize = 4;

impl RowPlan {
    /// Bytes of a record that do not depend on what it holds.
    #[inline]
    pub(crate) fn row_bytes(&self) -> usize {
        schema_of(self).stride_words() * size_of::<u64>() + self.keys.len() * KEY_PART_BYTES
    }
}

/// Rows of one input.
pub(crate) struct TextSource<R> {
    input: ByteInput,
    records: R,
    plan: RowPlan,
    reader: TimestampReader,
    rows: ColumnRows,
    /// The line on which the next record begins, from 1.
    line: u64,
    malformed: u64,
    times: Times,
    observer: Observer,
    stop: Stop,
    /// Where to go on once a followed file is there again.
    later: Option<SourcePosition>,
}

/// How far a stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// Nobody asked for it.
    None,
    /// Nothing more is read, and what was read is handed over.
    Draining,
    /// All that was read is handed over.
    Drained,
}

/// Whether the times of an input can be read at all. When none can, for want of a unit or because
/// the column holds something else, that is one error and not as many as there are records.
#[derive(Debug, Default)]
struct Times {
    /// One could.
    readable: bool,
    /// Records whose time could not be read.
    unread: u64,
    /// The first of these that is a value, and the first that another `--time-unit` would mend.
    first: Option<String>,
    mistake: Option<String>,
    /// It was looked whether the first would be of our days in another unit.
    first_checked: bool,
}

impl Times {
    /// Fails when there were values and none of them is a time.
    fn check(&self) -> Result<(), SourceError> {
        match self.mistake.as_ref().or(self.first.as_ref()) {
            Some(value) if !self.readable => {
                Err(SourceError::Data(none_readable(value, self.unread)))
            }
            _ => Ok(()),
        }
    }
}

/// Says of a time that cannot be read that all records are so.
pub(crate) fn none_readable(value: &impl fmt::Display, records: u64) -> String {
    let plural = if records == 1 { "" } else { "s" };
    format!("{value}; of the first {records} record{plural} no time can be read")
}

impl<R: Records> TextSource<R> {
    pub(crate) fn new(
        input: ByteInput,
        records: R,
        plan: RowPlan,
        reader: TimestampReader,
        observer: Observer,
    ) -> Self {
        let rows = ColumnRows::new(schema_of(&plan));
        let (line, malformed, times) = (1, 0, Times::default());
        let (stop, later) = (Stop::None, None);
        Self { input, records, plan, reader, rows, line, malformed, times, observer, stop, later }
    }

    fn failed(&self, error: std::io::Error) -> SourceError {
        SourceError::Io { name: self.input.name().to_owned(), error }
    }

    /// One record into one row, or what is wrong with it.
    #[inline]
    fn take(&mut self, text: usize) -> Result<(), Fault> {
        let is_ascii = self.input.is_ascii();
        let record = &self.input.available()[..text];
        let cells = self.records.cells(record);
        let Self { plan, reader, rows, .. } = self;
        fill(plan, reader, rows, (&cells, is_ascii), record)
    }

    /// Counts a malformed record, and tells of the first few.
    #[cold]
    fn refuse(&mut self, fault: &Fault, text: usize) -> Result<(), SourceError> {
        self.malformed += 1;
        let told = self.malformed <= limits::MALFORMED_REPORTED as u64;
        let unread = self.times_unread(fault);
        let is_value = matches!(fault, Fault::Cell { fault: CellFault::Time(_), .. });
        let looks = unread && is_value && self.times.mistake.is_none();
        if !(told || looks || self.plan.strict) {
            return self.check_times(unread);
        }
        let record = &self.input.available()[..text.min(self.input.available().len())];
        let (mut line, mut column, mut name, mut cell) = (self.line, 1, "", &[][..]);
        match fault {
            Fault::Cell { slot, .. } => {
                let place = self.records.locate(record, *slot);
                line += place.lines_below;
                column = place.column;
                name = &self.plan.slots[*slot].name;
                cell = self.records.cells(record).get(*slot).unwrap_or_default();
            }
            Fault::Json { column: place, .. } => column = *place,
            _ => {}
        }
        let assumed = match fault {
            Fault::Cell { slot, .. } => self.plan.assumed.iter().find(|(known, _)| known == slot),
            _ => None,
        };
        let problem = fault.describe_assumed(name, cell, assumed.map(|(_, records)| *records));
        let malformed = Malformed { source: self.input.name().to_owned(), line, column, problem };
        if self.plan.strict {
            return Err(SourceError::Data(malformed.to_string()));
        }
        if looks {
            let of_unit = fault.is_of_unit(cell);
            let times = &mut self.times;
            let value = if of_unit { &mut times.mistake } else { &mut times.first };
            value.get_or_insert_with(|| malformed.to_string());
        }
        if told {
            (self.observer)(Notice::Malformed(malformed));
        }
        self.check_times(unread)
    }

    /// Notes what a fault says about the times. Whether it is that this one cannot be read, as
    /// none before it could.
    fn times_unread(&mut self, fault: &Fault) -> bool {
        let unread = match fault {
            Fault::Cell { slot, fault: CellFault::NullTime | CellFault::Time(_) } => {
                *slot == self.plan.time
            }
            // What is no record has no time.
            Fault::Cell { .. } | Fault::TooLarge { .. } => {
                self.times.readable = true;
                false
            }
            _ => false,
        };
        self.times.readable |= !self.rows.is_empty();
        self.times.unread += u64::from(unread);
        unread && !self.times.readable
    }

    /// Once so many records were read as would have been looked at in a file, it is decided.
    fn check_times(&self, unread: bool) -> Result<(), SourceError> {
        match unread && self.times.unread == limits::INFERENCE_ROWS as u64 {
            true => self.times.check(),
            false => Ok(()),
        }
    }

    /// Tells if the first time would be of our days in another unit than the one that was said, or
    /// the first times are finer than a millisecond though no such unit was.
    #[cold]
    fn check_first(&mut self) {
        self.times.first_checked = true;
        let schema = schema_of(&self.plan);
        let time = |row| schema.row(self.rows.batch(), row).event_time();
        let unit = self.reader.unit();
        let is_finer = |time: &EventTime| time.as_nanos() % 1_000_000 != 0;
        if !matches!(unit, Some(TimeUnit::Micros | TimeUnit::Nanos))
            && let Some(time) = (0..self.rows.len()).map(time).find(is_finer)
        {
            let name = self.input.name().to_owned();
            (self.observer)(Notice::FinerThanMillis { name, time });
        }
        let Some(unit) = unit else { return };
        let time = time(0);
        if let Some((likely, likely_time)) = likelier(time, unit) {
            let name = self.input.name().to_owned();
            (self.observer)(Notice::OtherUnit { name, unit, time, likely, likely_time });
        }
    }

    /// Tells what became of a followed file. Whether another text begins.
    fn turn(&mut self) -> Result<bool, SourceError> {
        let turn = self.input.turn().map_err(|error| self.failed(error))?;
        let Some((turn, unfinished)) = turn else { return Ok(false) };
        let anew = turn.begins_anew();
        (self.observer)(turn.notice(self.input.name().to_owned(), unfinished));
        if anew {
            self.records.begin_anew();
            self.line = 1;
        }
        Ok(anew)
    }

    /// All that was read is handed over but for a line that is not whole yet.
    #[cold]
    fn end_draining(&mut self) {
        let bytes = self.input.available().len();
        let first = std::mem::replace(&mut self.stop, Stop::Drained) != Stop::Drained;
        // Of a file that would have been read on, far more may be left.
        if first && bytes > 0 && self.input.bytes_total().is_none() {
            (self.observer)(Notice::Unfinished { name: self.input.name().to_owned(), bytes });
        }
    }

    /// Goes on where an earlier run stood in a file that is there.
    fn go_on(&mut self, position: SourcePosition) -> Result<(), SourceError> {
        // The end may have been seen by looking ahead.
        while !self.records.knows_columns() {
            if self.step()?.is_some() {
                continue;
            }
            if self.input.has_ended() || self.input.fill()? == Chunk::Pending {
                break;
            }
        }
        let SourcePosition { offset, line, malformed, check } = position;
        if !self.input.go_to(offset, check).map_err(|error| self.failed(error))? {
            return Err(changed(self.input.name(), offset, "byte"));
        }
        (self.line, self.malformed, self.times.readable) = (line, malformed, true);
        self.records.go_on();
        Ok(())
    }

    /// Goes on in a file that was not there when the run began, once it is. `false` until then.
    #[cold]
    fn go_on_later(&mut self, position: SourcePosition) -> Result<bool, SourceError> {
        match self.input.require() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            opened => opened.map_err(|error| self.failed(error))?,
        }
        self.later = None;
        self.go_on(position)?;
        Ok(true)
    }

    /// One step: how many bytes it took. `None` when more bytes are needed.
    #[inline]
    fn step(&mut self) -> Result<Option<usize>, SourceError> {
        let step = self.records.next(self.input.available(), self.input.has_ended());
        let (length, lines) = match step {
            Step::Record { length, text, lines } => {
                if let Err(fault) = self.take(text) {
                    self.refuse(&fault, text)?;
                }
                (length, lines)
            }
            Step::Blank { length, lines } => (length, lines),
            Step::Refused { length, text, lines, fault } => {
                self.refuse(&fault, text)?;
                (length, lines)
            }
            Step::Unusable(error) => return Err(SourceError::Data(error.to_string())),
            Step::More => return Ok(None),
        };
        self.input.consume(length);
        self.line += lines;
        Ok(Some(length))
    }
}

/// The rows' schema.
pub(crate) fn schema_of(plan: &RowPlan) -> Columns {
    let columns = u16::try_from(plan.inputs.len());
    Columns::new(columns.expect("a plan of more columns was refused"))
}

fn at(slot: usize, fault: CellFault) -> Fault {
    Fault::Cell { slot, fault }
}

#[inline]
fn fill(
    plan: &RowPlan,
    reader: &mut TimestampReader,
    rows: &mut ColumnRows,
    (cells, is_ascii): (&Cells<'_>, bool),
    record: &[u8],
) -> Result<(), Fault> {
    let slot = plan.time;
    let text = cells.get(slot).filter(|text| !text.is_empty());
    let text = text.ok_or(at(slot, CellFault::NullTime))?;
    let time: EventTime = reader.read(text).map_err(|error| at(slot, CellFault::Time(error)))?;
    if !is_ascii && let Some(slot) = not_utf8(cells, plan.slots.len()) {
        return Err(at(slot, CellFault::NotUtf8));
    }
    if let Some(filter) = &plan.filter {
        let kept = filter.keeps(cells, reader).map_err(|(slot, fault)| at(slot, fault))?;
        if !kept {
            rows.begin(time);
            rows.set_filtered();
            return Ok(());
        }
    }
    rows.begin(time);
    let filled = fill_columns(plan, rows, cells, record);
    if filled.is_err() {
        rows.pop();
    }
    filled
}

/// The first needed cell that is not UTF-8. In JSON that showed when the line was read.
fn not_utf8(cells: &Cells<'_>, slots: usize) -> Option<usize> {
    let is_bad =
        |slot: &usize| cells.get(*slot).is_some_and(|cell| std::str::from_utf8(cell).is_err());
    (0..if cells.typed { 0 } else { slots }).find(is_bad)
}

#[inline]
fn fill_columns(
    plan: &RowPlan,
    rows: &mut ColumnRows,
    cells: &Cells<'_>,
    record: &[u8],
) -> Result<(), Fault> {
    let mut bytes = plan.row_bytes() + if plan.keep_text { record.len() } else { 0 };
    for slot in &plan.keys {
        let Some(cell) = cells.get(*slot) else {
            continue;
        };
        bytes += cell.len();
    }
    if bytes > limits::RECORD_BYTES_MAX {
        return Err(Fault::TooLarge { bytes });
    }
    for (index, (slot, kind)) in plan.inputs.iter().enumerate() {
        let Some(cell) = cells.get(*slot) else {
            continue;
        };
        let word = match kind {
            ColumnKind::Presence => 1,
            ColumnKind::Number(NumberKind::I64) => match read_i64(cell) {
                Ok(value) => value.cast_unsigned(),
                Err(error) => return Err(at(*slot, integer_fault(error, cell))),
            },
            ColumnKind::Number(NumberKind::F64) => match read_f64(cell) {
                Ok(value) => value.to_bits(),
                Err(error) => return Err(at(*slot, float_fault(error))),
            },
        };
        rows.set(index, word);
    }
    rows.set_key(|key| {
        for slot in &plan.keys {
            match cells.get(*slot) {
                Some(cell) if cells.is_bare(*slot) => push_bare_key_part(key, cell),
                cell => push_key_part(key, cell),
            }
        }
    });
    if plan.keep_text {
        rows.set_text(record);
    }
    Ok(())
}

#[cold]
fn integer_fault(error: NumberError, cell: &[u8]) -> CellFault {
    match error {
        NumberError::Overflow => CellFault::Overflow,
        _ => match read_f64(cell) {
            Ok(_) => CellFault::Fraction,
            Err(NumberError::OutOfRange) => CellFault::OutOfRange,
            Err(_) => CellFault::NotANumber(NumberKind::I64),
        },
    }
}

#[cold]
const fn float_fault(error: NumberError) -> CellFault {
    match error {
        NumberError::OutOfRange => CellFault::OutOfRange,
        _ => CellFault::NotANumber(NumberKind::F64),
    }
}

impl<R: Records> Source<Columns> for TextSource<R> {
    fn poll(&mut self, rows_max: usize) -> Result<Polled, SourceError> {
        self.rows.clear();
        if let Some(position) = self.later
            && (self.stop != Stop::None || !self.go_on_later(position)?)
        {
            return Ok(Polled::Pending);
        }
        // Malformed records make no rows, and a poll is bounded all the same.
        let steps_max = rows_max * 2;
        let (mut steps, mut reads, mut bytes) = (steps_max, READS_PER_POLL, 0);
        while self.rows.len() < rows_max
            && steps != 0
            && bytes < POLL_BYTES
            && self.rows.heap_len() < BATCH_HEAP_BYTES
        {
            steps -= 1;
            if let Some(length) = self.step()? {
                bytes += length;
                continue;
            }
            if !self.rows.is_empty() {
                break;
            }
            if self.input.has_ended() {
                if self.turn()? {
                    continue;
                }
                self.times.check()?;
                return Ok(Polled::End);
            }
            if self.stop != Stop::None {
                self.end_draining();
                return Ok(Polled::Pending);
            }
            if reads == 0 {
                break;
            }
            reads -= 1;
            match self.input.fill()? {
                Chunk::Bytes(_) | Chunk::End => {}
                Chunk::Pending if self.turn()? => {}
                // What was read made no row, but it was work: a core that took it for idleness
                // would sleep between any two pieces of a long line.
                Chunk::Pending if steps + 1 < steps_max => break,
                Chunk::Pending => return Ok(Polled::Pending),
            }
        }
        self.times.readable |= !self.rows.is_empty();
        if !self.times.first_checked && !self.rows.is_empty() {
            self.check_first();
        }
        Ok(Polled::Batch)
    }

    fn batch(&self) -> ColumnsBatch<'_> {
        self.rows.batch()
    }

    fn name(&self) -> &str {
        self.input.name()
    }

    fn can_resume(&self) -> bool {
        self.input.can_seek()
    }

    fn position(&mut self) -> Result<Option<SourcePosition>, SourceError> {
        if self.later.is_some() {
            return Ok(self.later);
        }
        if !self.records.is_at_record() || !self.records.knows_columns() {
            return Ok(None);
        }
        let place = self.input.place().map_err(|error| self.failed(error))?;
        let (line, malformed) = (self.line, self.malformed);
        Ok(place.map(|(offset, check)| SourcePosition { offset, line, malformed, check }))
    }

    fn resume(&mut self, position: SourcePosition) -> Result<(), SourceError> {
        match self.input.is_absent() {
            true => self.later = Some(position),
            false => self.go_on(position)?,
        }
        Ok(())
    }

    fn drains(&mut self) -> bool {
        if self.stop == Stop::None {
            self.stop = Stop::Draining;
        }
        self.stop != Stop::Drained && self.later.is_none()
    }

    fn counts(&self) -> SourceCounts {
        SourceCounts {
            malformed: self.malformed,
            bytes: self.input.bytes_read(),
            bytes_total: self.input.bytes_total(),
        }
    }
}
