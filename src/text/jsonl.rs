//! JSON Lines: one object a line, and the cells of the needed fields.
//!
//! Uses `limits`. `serde_json` reads the lines; of the needed fields the value's text is taken as
//! it stands, so numbers stay as they were written. Of two fields with one name the last counts.

use super::cells::{CellSpan, Cells, Place, Records, Step};
use super::malformed::{CellFault, Fault, quoted};
use super::plan::Slot;
use crate::limits;
use memchr::memchr;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;
use std::sync::Arc;

mod layout;
mod unescape;

use unescape::unescape;

/// Splits JSON Lines.
#[derive(Debug)]
pub(crate) struct JsonRecords {
    slots: Arc<[Slot]>,
    spans: Box<[CellSpan]>,
    /// Strings of the last record that had escapes, without them.
    unescaped: Vec<u8>,
    /// Where each slot's value starts in the last record.
    starts: Box<[usize]>,
    seen: Option<SeenFields>,
    state: State,
    /// The input, for a message.
    input: String,
    /// Nothing but empty lines came yet.
    is_first: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// A line begins; so many of its bytes are known not to end it.
    Line { scanned: usize },
    /// The rest of a refused line is skipped.
    Skipping,
}

const START: State = State::Line { scanned: 0 };

/// What was seen when looking ahead.
#[derive(Clone, Debug)]
struct SeenFields {
    slots: Box<[bool]>,
    names: Vec<String>,
}

impl JsonRecords {
    /// For an input from which these slots are needed.
    pub(crate) fn new(input: String, slots: Arc<[Slot]>) -> Self {
        Self {
            input,
            is_first: true,
            spans: vec![CellSpan::NULL; slots.len()].into(),
            starts: vec![0; slots.len()].into(),
            slots,
            unescaped: Vec::new(),
            seen: None,
            state: START,
        }
    }

    fn next_line(&mut self, bytes: &[u8], ended: bool, scanned: usize) -> Step {
        let found = memchr(b'\n', &bytes[scanned..]).map(|at| at + scanned);
        let end = found.unwrap_or(bytes.len());
        if end > limits::LINE_BYTES_MAX {
            self.state = State::Skipping;
            return Step::Refused {
                length: end,
                text: limits::LINE_BYTES_MAX,
                lines: 0,
                fault: Fault::TooLong,
            };
        }
        if found.is_none() && (!ended || end == 0) {
            self.state = State::Line { scanned: end };
            return Step::More;
        }
        self.state = START;
        let length = end + usize::from(found.is_some());
        let line = bytes[..end].trim_ascii_end();
        let (text, lines) = (line.len(), 1);
        if line.trim_ascii_start().is_empty() {
            return Step::Blank { length, lines };
        }
        let is_first = std::mem::replace(&mut self.is_first, false);
        match self.read(line) {
            Ok(()) => Step::Record { length, text, lines },
            Err(fault) => {
                let other = is_first.then(|| layout::other_format(&self.input, line, &self.slots));
                match other.flatten() {
                    Some(error) => Step::Unusable(Box::new(error)),
                    None => Step::Refused { length, text, lines, fault },
                }
            }
        }
    }

    fn read(&mut self, line: &[u8]) -> Result<(), Fault> {
        self.spans.fill(CellSpan::NULL);
        self.starts.fill(0);
        self.unescaped.clear();
        let mut faults = Vec::new();
        let object = Object { records: self, line, faults: &mut faults };
        let mut json = serde_json::Deserializer::from_slice(line);
        let read = object.deserialize(&mut json).and_then(|()| json.end());
        match (read, faults.first()) {
            (Err(error), _) => Err(syntax_fault(&error, line)),
            (Ok(()), Some(&(slot, fault))) => Err(Fault::Cell { slot, fault }),
            (Ok(()), None) => Ok(()),
        }
    }

    fn skip(&mut self, bytes: &[u8]) -> Step {
        let end = memchr(b'\n', bytes);
        if end.is_some() {
            self.state = START;
        }
        match end.unwrap_or(bytes.len()) {
            0 if end.is_none() => Step::More,
            length => Step::Blank { length, lines: 0 },
        }
    }
}

#[cold]
fn syntax_fault(error: &serde_json::Error, line: &[u8]) -> Fault {
    // A value of another kind is wrong as a whole.
    let column = if error.is_data() { 1 } else { error.column().max(1) };
    if let Some(at) = invalid_utf8(error, line) {
        let near = &line[(at - 1).saturating_sub(SHOWN_BEFORE)..];
        let problem =
            format!("invalid UTF-8 near {}; convert the file, with iconv say", quoted(near));
        return Fault::Json { column: at as u64, problem };
    }
    let near = &line[column.saturating_sub(1 + SHOWN_BEFORE).min(line.len())..];
    let text = error.to_string();
    // The place is said in front of the message already, and so is what was expected.
    let problem = text.split(" at line ").next().unwrap_or(&text);
    let problem = problem.split(", expected one object").next().unwrap_or(problem);
    let csv = match layout::may_be_csv(line) {
        true => " (if this is CSV, say --input-format csv)",
        false => "",
    };
    Fault::Json {
        column: column as u64,
        problem: format!(
            "not a JSON object: {problem}, near {}; write one object a line, such as \
             {EXAMPLE}{csv}",
            quoted(near)
        ),
    }
}

/// Where a line is not UTF-8, counted from 1, if that is what its reader has stumbled over.
fn invalid_utf8(error: &serde_json::Error, line: &[u8]) -> Option<usize> {
    let invalid = std::str::from_utf8(line).err()?;
    error.to_string().starts_with("invalid unicode").then_some(invalid.valid_up_to() + 1)
}

/// Bytes that a message shows before those that could not be read.
const SHOWN_BEFORE: usize = 12;
const EXAMPLE: &str = "{\"time\": \"…\", \"key\": \"…\"}";

/// Reads the object on one line into the records' spans.
struct Object<'a> {
    records: &'a mut JsonRecords,
    line: &'a [u8],
    /// What is wrong with the values of slots, each the last of its name so far.
    faults: &'a mut Vec<(usize, CellFault)>,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one object a line")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(slot) = map.next_key_seed(FieldName(self.records))? {
            match slot {
                Some(slot) => {
                    let value: &RawValue = map.next_value()?;
                    self.take(slot, value.get().as_bytes());
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

impl Object<'_> {
    /// Notes where the value of a slot lies.
    fn take(&mut self, slot: usize, value: &[u8]) {
        if !self.faults.is_empty() {
            self.faults.retain(|(faulty, _)| *faulty != slot);
        }
        let start = value.as_ptr().addr() - self.line.as_ptr().addr();
        let end = start + value.len();
        self.records.starts[slot] = start;
        self.records.spans[slot] = match value {
            b"null" => CellSpan::NULL,
            [b'"', inside @ .., b'"'] if memchr(b'\\', inside).is_none() => {
                CellSpan::raw(start + 1, end - 1)
            }
            [b'"', inside @ .., b'"'] => {
                let unescaped = &mut self.records.unescaped;
                let before = unescaped.len();
                if !unescape(inside, unescaped) {
                    self.records.spans[slot] = CellSpan::raw(start, end);
                    self.refuse(slot, CellFault::Escape);
                    return;
                }
                CellSpan::unescaped(before, unescaped.len())
            }
            [b'{' | b'[', ..] if self.records.slots[slot].is_read => {
                self.records.spans[slot] = CellSpan::raw(start, end);
                self.refuse(slot, CellFault::NotAScalar);
                return;
            }
            _ => CellSpan::raw(start, end),
        };
    }

    #[cold]
    fn refuse(&mut self, slot: usize, fault: CellFault) {
        self.faults.push((slot, fault));
    }
}

/// Reads a field's name as the slot that it belongs to.
struct FieldName<'a>(&'a mut JsonRecords);

impl<'de> DeserializeSeed<'de> for FieldName<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldName<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        let slot = self.0.slots.iter().position(|slot| slot.name == name);
        if let Some(seen) = &mut self.0.seen {
            seen.see(slot, name);
        }
        Ok(slot)
    }
}

impl SeenFields {
    fn see(&mut self, slot: Option<usize>, name: &str) {
        if let Some(slot) = slot {
            self.slots[slot] = true;
        }
        let known = self.names.iter().any(|known| known == name);
        if !known && self.names.len() < LISTED_MAX {
            self.names.push(name.to_owned());
        }
    }
}

/// Field names that are remembered for a message.
const LISTED_MAX: usize = 64;

impl Records for JsonRecords {
    #[inline]
    fn next(&mut self, bytes: &[u8], ended: bool) -> Step {
        match self.state {
            State::Line { scanned } => self.next_line(bytes, ended, scanned),
            State::Skipping => self.skip(bytes),
        }
    }

    fn begin_anew(&mut self) {
        self.state = START;
        self.is_first = true;
    }

    fn go_on(&mut self) {
        self.is_first = false;
    }

    fn is_at_record(&self) -> bool {
        !matches!(self.state, State::Skipping)
    }

    #[inline]
    fn cells<'a>(&'a self, record: &'a [u8]) -> Cells<'a> {
        Cells { spans: &self.spans, raw: record, unescaped: &self.unescaped, typed: true }
    }

    fn locate(&self, _: &[u8], slot: usize) -> Place {
        Place { lines_below: 0, column: self.starts[slot] as u64 + 1 }
    }

    fn look_ahead(&self) -> Self {
        let mut ahead = Self::new(self.input.clone(), Arc::clone(&self.slots));
        ahead.seen =
            Some(SeenFields { slots: vec![false; self.slots.len()].into(), names: Vec::new() });
        ahead
    }

    fn has_seen(&self, slot: usize) -> bool {
        self.seen.as_ref().is_none_or(|seen| seen.slots[slot])
    }

    fn column_names(&self) -> Vec<String> {
        self.seen.as_ref().map_or_else(Vec::new, |seen| seen.names.clone())
    }

    fn has_all_names(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.names.len() < LISTED_MAX)
    }

    fn named_cells(&self, record: &[u8]) -> Vec<(String, Vec<u8>)> {
        let object: serde_json::Map<String, Value> =
            serde_json::from_slice(record).unwrap_or_default();
        let text = |value| match value {
            Value::String(text) => Some(text.into_bytes()),
            Value::Number(number) => Some(number.to_string().into_bytes()),
            _ => None,
        };
        object.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect()
    }
}

#[cfg(test)]
mod tests;
