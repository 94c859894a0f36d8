//! Certificates: of which records of the log each result is made, so that anyone who has the
//! records can see for themselves.
//!
//! They do not come out of the state of windows: each row that a replay takes is counted here once
//! more, to the windows that it is not late for.

use super::args::{Destination, is_json_lines};
use super::exit::Failure;
use super::history::{Emitted, History, Viewer, Wanted};
use super::output::{name_of, start};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufWriter, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidewheel::log::EntrySequence;
use tidewheel::record::{ColumnRow, Columns, KeyParts, Schema, ShardIndex};
use tidewheel::shard::ReplayedRows;
use tidewheel::text::render::{ResultRow, push_csv_field};
use tidewheel::text::{ColumnKind, push_stamp};
use tidewheel::window::SliceIndex;
use tidewheel::{EventTime, Span, Watermark, WindowSpec};
use xxhash_rust::xxh3::xxh3_128;

/// Where a record lies in a shard's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    entry: EntrySequence,
    /// Its number among the rows that the source has sent to the shard.
    row: u64,
    source: u16,
}

/// What some records are known by.
#[derive(Clone, Copy, Debug)]
struct Witness {
    records: u64,
    first: Place,
    last: Place,
    /// The sum of the records' hashes: it does not depend on their order.
    digest: u128,
}

impl Witness {
    fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.digest = self.digest.wrapping_add(other.digest);
    }
}

/// The records of each key.
type Keys = HashMap<Box<[u8]>, Witness>;

fn note(keys: &mut Keys, key: &[u8], witness: &Witness) {
    match keys.get_mut(key) {
        Some(known) => known.add(witness),
        None => {
            keys.insert(key.into(), *witness);
        }
    }
}

/// The records of the windows of one shard that have not come out yet.
pub(crate) struct Witnesses {
    spec: WindowSpec,
    tick: Span,
    schema: Columns,
    /// Of each column, whether its values are at hand, or only whether there is one.
    has_values: Vec<bool>,
    /// Records that are late for none of their windows.
    slices: BTreeMap<SliceIndex, Keys>,
    /// Records that are late for some, by the ends and starts of the others.
    partly_late: BTreeMap<(EventTime, EventTime), Keys>,
    /// Windows that start before this may have records that are not kept.
    known_from: Option<EventTime>,
    bytes: Vec<u8>,
}

impl Witnesses {
    /// None yet, of rows of `schema` whose columns are of these kinds.
    pub(crate) fn new(
        (spec, tick): (WindowSpec, Span),
        schema: Columns,
        kinds: &[ColumnKind],
    ) -> Self {
        Self {
            spec,
            tick,
            schema,
            has_values: kinds.iter().map(|kind| kind.number().is_some()).collect(),
            slices: BTreeMap::new(),
            partly_late: BTreeMap::new(),
            known_from: None,
            bytes: Vec::new(),
        }
    }

    /// Windows that start before `holds_until` may have records that are not kept.
    pub(crate) fn begin(&mut self, holds_until: Option<EventTime>) {
        self.known_from = holds_until;
    }

    /// Counts the rows of an entry.
    pub(crate) fn take(&mut self, rows: &ReplayedRows<'_>) {
        let (frame, schema) = (rows.frame, self.schema);
        let header = frame.header();
        let thresholds = self.spec.thresholds(rows.judged_by, self.tick);
        let numbered = frame.rows().chunks_exact(schema.stride_words()).zip(header.lane_sequence..);
        for (words, number) in numbered {
            let row = schema.view(words);
            let nanos = row.event_time().as_nanos();
            if nanos < thresholds.late_before {
                continue;
            }
            let key = schema.key(row, frame.heap());
            let place = Place { entry: rows.entry, row: number, source: header.partition };
            let digest = self.hash(row, key);
            let witness = Witness { records: 1, first: place, last: place, digest };
            if nanos >= thresholds.partly_late_before {
                note(self.slices.entry(self.spec.slice_of(nanos)).or_default(), key, &witness);
                continue;
            }
            let open = self.spec.windows_of(nanos).filter(|window| *window > thresholds.closed);
            for window in open.map(|window| self.spec.window(window)) {
                let keys = self.partly_late.entry((window.end, window.start)).or_default();
                note(keys, key, &witness);
            }
        }
    }

    /// The hash of a record's time, key and values.
    fn hash(&mut self, row: &ColumnRow, key: &[u8]) -> u128 {
        let bytes = &mut self.bytes;
        bytes.clear();
        bytes.extend_from_slice(&row.event_time().as_nanos().to_le_bytes());
        bytes.extend_from_slice(key);
        for (column, has_values) in self.has_values.iter().enumerate() {
            bytes.push(u8::from(!row.is_null(column)));
            if *has_values && !row.is_null(column) {
                let word = row.word(self.schema.column_word(column));
                bytes.extend_from_slice(&word.to_le_bytes());
            }
        }
        xxh3_128(bytes)
    }

    /// The records of a result; `None` where some of them may not be kept. Windows come in the
    /// order of their ends: what none after this one needs is forgotten.
    fn of(&mut self, row: &ResultRow<'_>) -> Option<Result<Witness, NoRecords>> {
        let first = self.spec.slice_of(row.window_start.as_nanos());
        while let Some(slices) = self.slices.first_entry().filter(|entry| *entry.key() < first) {
            slices.remove();
        }
        let ends = (row.window_end, row.window_start);
        while let Some(late) = self.partly_late.first_entry().filter(|entry| *entry.key() < ends) {
            late.remove();
        }
        if self.known_from.is_some_and(|from| row.window_start < from) {
            return None;
        }
        // A window that ends beyond all times holds the last one.
        let beyond = i64::from(row.window_end < EventTime::MAX);
        let last = self.spec.slice_of(row.window_end.as_nanos() - beyond);
        let slices = self.slices.range(first..=last).map(|(_, keys)| keys);
        let witnesses = slices.chain(self.partly_late.get(&ends)).filter_map(|at| at.get(row.key));
        let all = witnesses.copied().reduce(|mut all, witness| {
            all.add(&witness);
            all
        });
        Some(all.ok_or(NoRecords))
    }
}

/// There is no record of a result.
struct NoRecords;

/// Witnesses that a replay adds to while they are asked.
pub(crate) type SharedWitnesses = Arc<Mutex<Witnesses>>;

/// The witnesses, for a moment.
pub(crate) fn lock(witnesses: &SharedWitnesses) -> MutexGuard<'_, Witnesses> {
    witnesses.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names of the columns before the key's parts, and behind them.
const WINDOW: [&str; 2] = ["window_start", "window_end"];
const RECORDS: [&str; 11] = [
    "shard",
    "result",
    "watermark",
    "records",
    "first_entry",
    "first_source",
    "first_row",
    "last_entry",
    "last_source",
    "last_row",
    "digest",
];

/// A value of a certificate.
#[derive(Clone, Copy)]
enum Field<'f> {
    Text(&'f [u8]),
    /// Not in quotes in JSON: a number, or what was one in the input.
    Bare(&'f [u8]),
    Null,
}

/// Certificates on their way out.
pub(crate) struct Certificates {
    out: BufWriter<Box<dyn Write>>,
    name: String,
    is_json: bool,
    names: Vec<String>,
    keys: usize,
    line: Vec<u8>,
    written: u64,
    left_out: u64,
}

impl Certificates {
    /// Opens the file, and writes what stands before the first certificate.
    pub(crate) fn begin(history: &History, to: &Destination) -> Result<Self, Failure> {
        let keys = history.keys.iter().map(|key| {
            match WINDOW.iter().chain(&RECORDS).any(|name| key == name) {
                true => format!("key.{key}"),
                false => key.clone(),
            }
        });
        let names = WINDOW.map(str::to_owned).into_iter().chain(keys);
        let names = names.chain(RECORDS.map(str::to_owned)).collect();
        let mut certificates = Self {
            out: BufWriter::new(start(to)?),
            name: name_of(to),
            is_json: to.file().is_some_and(is_json_lines),
            names,
            keys: history.keys.len(),
            line: Vec::new(),
            written: 0,
            left_out: 0,
        };
        if !certificates.is_json {
            let names = std::mem::take(&mut certificates.names);
            let header = names.iter().map(|name| Field::Text(name.as_bytes()));
            certificates.write(header).map_err(|error| certificates.failed(&error))?;
            certificates.names = names;
        }
        Ok(certificates)
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::writing(&self.name, error)
    }

    /// Takes a shard's log again, shows what comes out of it, and certifies as many results as
    /// are `written`.
    pub(crate) fn replay(
        &mut self,
        (history, shard): (&History, ShardIndex),
        written: u64,
        viewer: &mut dyn Viewer,
    ) -> Result<(), Failure> {
        let witnesses = history.witnesses();
        let certified = Arc::clone(&witnesses);
        let mut viewer = Certifying { certificates: self, certified, shard, written, viewer };
        history.replay_witnessed(shard, &mut viewer, witnesses)
    }

    fn certify(
        &mut self,
        (shard, emitted): (ShardIndex, Emitted),
        row: &ResultRow<'_>,
        witness: &Witness,
    ) -> io::Result<()> {
        let stamps = [row.window_start, row.window_end].map(|time| {
            let mut text = Vec::new();
            push_stamp(&mut text, time);
            text
        });
        let mut watermark = Vec::new();
        match emitted.watermark.time() {
            Some(time) => push_stamp(&mut watermark, time),
            None if emitted.watermark == Watermark::END => watermark.extend_from_slice(b"end"),
            None => watermark.extend_from_slice(b"none"),
        }
        let Witness { records, first, last, digest } = witness;
        let place = |place: &Place| [place.entry.0, u64::from(place.source), place.row];
        let [shard, result] = [u64::from(shard.0), emitted.sequence].map(|n| n.to_string());
        let counts = std::iter::once(*records).chain(place(first)).chain(place(last));
        let counts: Vec<String> = counts.map(|count| count.to_string()).collect();
        let digest = format!("{digest:032x}");
        let mut parts = KeyParts::new(row.key);
        let key = (0..self.keys).map(|_| {
            let is_bare = parts.is_next_bare();
            match parts.next().flatten() {
                Some(part) if is_bare => Field::Bare(part),
                Some(part) => Field::Text(part),
                None => Field::Null,
            }
        });
        let [shard, result] = [&shard, &result].map(|number| Field::Bare(number.as_bytes()));
        let of_result = [shard, result, Field::Text(&watermark)];
        let fields = stamps.iter().map(|stamp| Field::Text(stamp)).chain(key).chain(of_result);
        let fields = fields.chain(counts.iter().map(|count| Field::Bare(count.as_bytes())));
        self.write(fields.chain([Field::Text(digest.as_bytes())]))
    }

    /// Writes a line.
    fn write<'f>(&mut self, fields: impl Iterator<Item = Field<'f>>) -> io::Result<()> {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        for (at, field) in fields.enumerate() {
            line.push(if self.is_json && at == 0 { b'{' } else { b',' });
            match self.is_json {
                true => push_json(&mut line, &self.names[at], field)?,
                false => push_csv(&mut line, field),
            }
        }
        line.extend_from_slice(if self.is_json { b"}\n" } else { b"\n" });
        let written = self.out.write_all(if self.is_json { &line } else { &line[1..] });
        self.line = line;
        written
    }

    /// Brings out the rest, and says how many there are, and of how many results it is not known
    /// of which records they are made.
    pub(crate) fn finish(mut self) -> Result<(u64, u64), Failure> {
        self.out.flush().map_err(|error| self.failed(&error))?;
        Ok((self.written, self.left_out))
    }
}

fn push_json(line: &mut Vec<u8>, name: &str, field: Field<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut *line, name)?;
    line.push(b':');
    match field {
        Field::Text(text) => serde_json::to_writer(line, &String::from_utf8_lossy(text))?,
        Field::Bare(text) => line.extend_from_slice(text),
        Field::Null => line.extend_from_slice(b"null"),
    }
    Ok(())
}

/// A null is nothing.
fn push_csv(line: &mut Vec<u8>, field: Field<'_>) {
    if let Field::Text(text) | Field::Bare(text) = field {
        push_csv_field(line, text);
    }
}

/// Certifies results before another sees them.
struct Certifying<'v> {
    certificates: &'v mut Certificates,
    certified: SharedWitnesses,
    shard: ShardIndex,
    written: u64,
    viewer: &'v mut dyn Viewer,
}

impl Viewer for Certifying<'_> {
    fn result(&mut self, emitted: Emitted, row: &ResultRow<'_>) -> Result<Wanted, Failure> {
        if emitted.sequence < self.written {
            let Self { certificates, shard, .. } = self;
            match lock(&self.certified).of(row) {
                None => certificates.left_out += 1,
                Some(Err(NoRecords)) => {
                    return Err(Failure::Fault(format!(
                        "shard {}: result {}, of the window that ends at {}: its log holds no \
                         record of it; this is a fault of the engine, please report it",
                        shard.0, emitted.sequence, row.window_end
                    )));
                }
                Some(Ok(witness)) => {
                    certificates.written += 1;
                    let written = certificates.certify((*shard, emitted), row, &witness);
                    written.map_err(|error| certificates.failed(&error))?;
                }
            }
        }
        self.viewer.result(emitted, row)
    }

    fn late(&mut self, sequence: u64, text: &[u8]) -> Result<(), Failure> {
        self.viewer.late(sequence, text)
    }
}
