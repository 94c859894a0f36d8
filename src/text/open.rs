//! Opening: from a plan and its inputs to sources, or to what is wrong with them.
//!
//! Uses `source`, `record` and `limits`.

use super::bytes::{ByteInput, ChunkSource};
use super::cells::Records;
use super::csv::{CsvRecords, Header};
use super::error::{NoNumbers, OpenError, UnknownColumn};
use super::infer::{FirstLook, NoTimes, Patience, SeenText, Wanted, look, records_needed};
use super::jsonl::JsonRecords;
use super::kind::{ColumnKind, NumberKind};
use super::malformed::quoted;
use super::plan::{
    DeclaredType, Follow, HeaderMode, InputColumn, InputFormat, Notice, ReadPlan, Slots,
};
use super::predicate::{Compared, Filter, SeenIn};
use super::rows::{Observer, RowPlan, TextSource, none_readable, schema_of};
use super::timestamp::TimestampReader;
use crate::limits;
use crate::record::Columns;
use crate::source::Source;
use std::path::PathBuf;
use std::sync::Arc;

/// Where text comes from.
pub enum Input {
    /// A file, a named pipe, a device.
    File(PathBuf),
    /// Standard input.
    Stdin,
    /// Bytes that the program makes, and what messages call them.
    Chunks(String, Box<dyn ChunkSource>),
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Stdin => f.write_str("Stdin"),
            Self::Chunks(name, _) => write!(f, "Chunks({name})"),
        }
    }
}

/// Inputs that can be read as planned.
pub struct Opened {
    /// One source an input, in their order.
    pub sources: Vec<Box<dyn Source<Columns>>>,
    /// The schema of the rows.
    pub schema: Columns,
    /// What the columns of the plan's inputs hold, in their order.
    pub kinds: Vec<ColumnKind>,
    /// The first input's header line, when it has one. With [`ReadPlan::keep_text`] it names the
    /// columns of all.
    pub header: Option<Vec<u8>>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("kinds", &self.kinds).finish_non_exhaustive()
    }
}

/// Opens inputs, looks at their first records to learn what their columns hold, and makes sources
/// of them. `observer` is told of malformed records later, on the sources' cores.
///
/// # Errors
/// When an input can not be opened, or a column, type or filter can not be as planned.
pub fn open(
    plan: &ReadPlan,
    inputs: Vec<Input>,
    observer: impl Fn(Notice) + Send + Sync + 'static,
) -> Result<Opened, OpenError> {
    open_until(plan, inputs, &|| false, observer)
}

/// The same, but once `stopped` says so no more is waited for: what came by then is all that is
/// looked at.
///
/// # Errors
/// As [`open`], and [`OpenError::Stopped`] when what came is too little to begin with.
pub fn open_until(
    plan: &ReadPlan,
    inputs: Vec<Input>,
    stopped: &dyn Fn() -> bool,
    observer: impl Fn(Notice) + Send + Sync + 'static,
) -> Result<Opened, OpenError> {
    if plan.inputs.len() + plan.keys.len() > limits::COLUMNS_MAX / 2 {
        return Err(OpenError::Plan(format!(
            "{} keys and {} columns to aggregate are asked for; together at most {} fit a record",
            plan.keys.len(),
            plan.inputs.len(),
            limits::COLUMNS_MAX / 2
        )));
    }
    let observer: Observer = Arc::new(observer);
    let mut slots = Slots::default();
    let time = slots.of(&plan.time, "--time");
    let keys = plan.keys.iter().map(|key| slots.of(key, "--key")).collect();
    let column = |input: &InputColumn| match input.numeric {
        true => slots.of(&input.name, &input.asked_by),
        false => slots.of_presence(&input.name, &input.asked_by),
    };
    let columns: Vec<usize> = plan.inputs.iter().map(column).collect();
    let reader = TimestampReader::new(plan.time_unit);
    let filter = plan.filter.as_deref();
    let filter = filter
        .map(|filter| Filter::parse(filter, &plan.time, reader.clone(), &mut slots))
        .transpose()?;
    let rows = RowPlan {
        slots: slots.0.into(),
        time,
        keys,
        inputs: Box::default(),
        filter,
        keep_text: plan.keep_text,
        strict: plan.strict,
        assumed: Box::default(),
    };
    let bytes: Result<Vec<ByteInput>, OpenError> =
        inputs.into_iter().map(|input| open_bytes(input, plan.follow, &observer)).collect();
    let opening = Opening { plan, columns, rows, reader, observer, stopped };
    match plan.format {
        InputFormat::Csv => opening.finish(bytes?, |input| {
            let (name, slots) = (input.name().to_owned(), Arc::clone(&opening.rows.slots));
            let header = match &plan.header {
                HeaderMode::FirstRecord => Header::in_file(name, slots, plan.delimiter),
                HeaderMode::Names(names) => {
                    Header::given(name, slots, plan.delimiter, names.clone())
                }
            };
            CsvRecords::new(header, &plan.nulls)
        }),
        InputFormat::JsonLines => opening.finish(bytes?, |input| {
            let slots = Arc::clone(&opening.rows.slots);
            Ok(JsonRecords::new(input.name().to_owned(), slots))
        }),
    }
}

fn open_bytes(input: Input, follow: Follow, observer: &Observer) -> Result<ByteInput, OpenError> {
    let (name, opened) = match input {
        Input::File(path) => (path.display().to_string(), ByteInput::open(&path, follow)),
        Input::Stdin => ("stdin".to_owned(), ByteInput::stdin(follow)),
        Input::Chunks(name, source) => return Ok(ByteInput::custom(name, source)),
    };
    let opened = opened.map_err(|error| OpenError::Io { name, error })?;
    if opened.is_absent() {
        observer(Notice::Absent { name: opened.name().to_owned() });
    }
    Ok(opened)
}

struct Opening<'a> {
    plan: &'a ReadPlan,
    /// The slot of each of the plan's inputs.
    columns: Vec<usize>,
    rows: RowPlan,
    reader: TimestampReader,
    observer: Observer,
    stopped: &'a dyn Fn() -> bool,
}

impl Opening<'_> {
    /// A column's type, as the user says.
    fn said(&self, column: &str) -> Option<DeclaredType> {
        let named = self.plan.types.iter().find(|(name, _)| name == column);
        named.map(|(_, declared)| *declared)
    }

    /// A column's type, as the user says or an earlier run found.
    fn declared(&self, column: &str) -> Option<DeclaredType> {
        let recalled = || self.plan.recalled.iter().find(|(name, _)| name == column);
        self.said(column).or_else(|| recalled().map(|(_, kind)| DeclaredType::Number(*kind)))
    }

    fn finish<R: Records + 'static>(
        &self,
        inputs: Vec<ByteInput>,
        make: impl Fn(&ByteInput) -> Result<R, OpenError>,
    ) -> Result<Opened, OpenError> {
        let undeclared = self.undeclared();
        let mut patience = Patience::new(self.stopped, &self.observer, undeclared.clone());
        let (mut opened, mut looks) = (Vec::new(), Vec::new());
        for mut input in inputs {
            let records = make(&input)?;
            let first = self.look(&mut input, &records, !undeclared.is_empty(), &mut patience)?;
            looks.push((input.name().to_owned(), first));
            opened.push((input, records));
        }
        while let Some(at) = self.awaited(&opened, &looks, !undeclared.is_empty()) {
            let first = &looks[at].1;
            if !patience.wait(&opened[at].0, first.knows_columns, first.records)? {
                break;
            }
            for ((input, records), (_, first)) in opened.iter_mut().zip(&mut looks) {
                if first.is_empty() && !input.has_ended() {
                    *first = self.look(input, records, !undeclared.is_empty(), &mut patience)?;
                }
            }
        }
        self.check_emptiness(&opened, &looks, !undeclared.is_empty())?;
        self.check_types(&looks)?;
        self.check_filter(&looks)?;
        if self.plan.keep_text {
            self.check_headers(&looks)?;
        }
        let kinds: Result<Vec<ColumnKind>, OpenError> =
            (0..self.plan.inputs.len()).map(|at| self.kind(at, &looks)).collect();
        let kinds = kinds?;
        let mut rows = self.rows.clone();
        rows.assumed = self.assumed(&looks);
        rows.inputs = self.columns.iter().copied().zip(kinds.iter().copied()).collect();
        let schema = schema_of(&rows);
        let source = |(input, records)| {
            let (rows, reader) = (rows.clone(), self.reader.clone());
            let observer = Arc::clone(&self.observer);
            Box::new(TextSource::new(input, records, rows, reader, observer))
                as Box<dyn Source<Columns>>
        };
        let header = looks.into_iter().find_map(|(_, first)| first.header);
        let sources = opened.into_iter().map(source).collect();
        Ok(Opened { sources, schema, kinds, header })
    }

    /// The columns of numbers whose types the first records are to tell.
    fn undeclared(&self) -> Vec<String> {
        let numeric = self.plan.inputs.iter().filter(|input| input.numeric);
        let undeclared = numeric.filter(|input| self.declared(&input.name).is_none());
        undeclared.map(|input| input.name.clone()).collect()
    }

    /// Looks at what there is of an input, or waits for it where that is worth it.
    fn look<R: Records>(
        &self,
        input: &mut ByteInput,
        records: &R,
        undeclared: bool,
        patience: &mut Patience<'_>,
    ) -> Result<FirstLook, OpenError> {
        let compared = self.compared().iter().map(|compared| compared.slot);
        let looked: Vec<usize> = self.columns.iter().copied().chain(compared).collect();
        let mut wanted = Wanted {
            rows: &self.rows,
            columns: &looked,
            reader: self.reader.clone(),
            // A file's first records can be had without a wait.
            records: records_needed(undeclared || !input.may_come_soon()),
        };
        let first = look(input, records, &mut wanted, patience)?;
        self.check(input, &first)?;
        Ok(first)
    }

    /// A followed file whose start has to be waited for: while no input has a record that could
    /// tell the types, or while late records need a header.
    fn awaited<R>(
        &self,
        opened: &[(ByteInput, R)],
        looks: &[Look],
        undeclared: bool,
    ) -> Option<usize> {
        let untold = undeclared && looks.iter().all(|(_, first)| first.is_empty());
        let is_awaited = |(input, first): (&ByteInput, &FirstLook)| {
            let needed = untold || self.plan.keep_text && !first.knows_columns;
            needed && !input.has_ended() && !input.may_come_soon()
        };
        let mut inputs = opened.iter().map(|(input, _)| input).zip(looks);
        inputs.position(|(input, (_, first))| is_awaited((input, first)))
    }

    /// Refuses inputs of which nothing came, and tells of those that are empty beside others.
    fn check_emptiness<R>(
        &self,
        opened: &[(ByteInput, R)],
        looks: &[Look],
        undeclared: bool,
    ) -> Result<(), OpenError> {
        let untold = looks.iter().all(|(_, first)| first.is_empty());
        let unnamed = looks.iter().all(|(_, first)| !first.knows_columns);
        let all_ended = opened.iter().all(|(input, _)| input.has_ended());
        if !all_ended && (untold && undeclared || unnamed) && (self.stopped)() {
            return Err(OpenError::Stopped);
        }
        let is_nothing = |first: &FirstLook| first.is_whole && first.is_empty();
        let all_are_nothing = looks.iter().all(|(_, first)| is_nothing(first));
        for (name, _) in looks.iter().filter(|(_, first)| is_nothing(first) && !all_are_nothing) {
            (self.observer)(Notice::Empty { name: name.clone() });
        }
        match looks.iter().find(|(_, first)| !first.knows_columns) {
            Some((name, _)) if all_are_nothing => Err(OpenError::Header {
                name: name.clone(),
                problem: "the input is empty; its first line should name the columns".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Whether the columns that were asked for are there.
    fn check(&self, input: &ByteInput, first: &FirstLook) -> Result<(), OpenError> {
        let records = first.records as u64;
        match &first.no_times {
            Some(NoTimes::Unit(mistake)) => {
                return Err(OpenError::TimeUnit(none_readable(mistake, records)));
            }
            Some(NoTimes::Column(value, mend)) => {
                let text = none_readable(value, records);
                return Err(OpenError::NoTimes(format!("{text}; {mend}")));
            }
            None => {}
        }
        // What was declared is known to come, if only later.
        let slots = first.missing.iter().map(|slot| &self.rows.slots[*slot]);
        let mut unknown = slots.filter(|slot| self.declared(&slot.name).is_none());
        let Some(slot) = unknown.next().filter(|_| first.records > 0) else {
            return Ok(());
        };
        let name = input.name().to_owned();
        let unknown = UnknownColumn::of(slot, name, first.names.clone());
        Err(UnknownColumn { records: Some(records), ..unknown }.into())
    }

    /// Whether the columns whose types were declared are there, those too that nothing needs: a
    /// name that is off by a letter declares nothing.
    fn check_types(&self, looks: &[Look]) -> Result<(), OpenError> {
        let is_needed = |name: &String| self.rows.slots.iter().any(|slot| slot.name == *name);
        let may_come = |name: &String| {
            let mut looks = looks.iter();
            looks.any(|(_, first)| {
                let is_known = first.has_all_names && !first.names.is_empty();
                !is_known || first.names.contains(name)
            })
        };
        let mut declared = self.plan.types.iter().map(|(name, _)| name);
        let unknown = declared.find(|name| !is_needed(name) && !may_come(name));
        let (Some(column), Some((name, first))) = (unknown, looks.first()) else { return Ok(()) };
        Err(UnknownColumn {
            name: if first.header.is_some() { format!("{name}:1") } else { name.clone() },
            column: column.clone(),
            asked_by: "--type".to_owned(),
            as_text: None,
            columns: first.names.clone(),
            records: (self.plan.format == InputFormat::JsonLines).then_some(first.records as u64),
        }
        .into())
    }

    /// What the filter compares with literals.
    fn compared(&self) -> &[Compared] {
        self.rows.filter.as_ref().map_or(&[], Filter::compared)
    }

    /// Whether the filter compares numbers with numbers and text with text, as far as is known.
    fn check_filter(&self, looks: &[Look]) -> Result<(), OpenError> {
        for (nth, compared) in self.compared().iter().enumerate() {
            let column = &self.rows.slots[compared.slot].name;
            let seen: Vec<SeenIn<'_>> = looks
                .iter()
                .map(|(name, first)| SeenIn {
                    name,
                    seen: &first.seen[self.columns.len() + nth],
                    records: first.records,
                })
                .collect();
            if let Some(problem) = compared.problem(column, self.said(column), &seen) {
                return Err(OpenError::FilterType(problem));
            }
        }
        Ok(())
    }

    /// Whether the header of the first input is that of all.
    fn check_headers(&self, looks: &[Look]) -> Result<(), OpenError> {
        let in_file = self.plan.header == HeaderMode::FirstRecord;
        if self.plan.format != InputFormat::Csv || !in_file {
            return Ok(());
        }
        // What names no columns is empty, or nothing more is read of it.
        let named: Vec<&Look> = looks.iter().filter(|(_, first)| first.knows_columns).collect();
        for pair in named.windows(2) {
            let [(other, expected), (name, found)] = pair else { continue };
            let (expected, found) = (&expected.names, &found.names);
            let length = expected.len().max(found.len());
            if let Some(at) = (0..length).find(|at| expected.get(*at) != found.get(*at)) {
                let shown = |names: &[String]| {
                    names.get(at).map_or("missing".to_owned(), |name| quoted(name.as_bytes()))
                };
                return Err(OpenError::OtherHeader {
                    name: name.clone(),
                    other: other.clone(),
                    field: at + 1,
                    found: shown(found),
                    expected: shown(expected),
                });
            }
        }
        Ok(())
    }

    /// The slots that are read as whole numbers though no value of them was seen, and among how
    /// many records.
    fn assumed(&self, looks: &[Look]) -> Box<[(usize, usize)]> {
        let records = looks.iter().map(|(_, first)| first.records).max().unwrap_or(0);
        let is_assumed = |at: usize| {
            let input = &self.plan.inputs[at];
            let unseen = |(_, first): &Look| first.seen[at].is_nothing();
            let undeclared = input.numeric && self.declared(&input.name).is_none();
            records > 0 && undeclared && looks.iter().all(unseen)
        };
        let assumed = (0..self.plan.inputs.len()).filter(|at| is_assumed(*at));
        assumed.map(|at| (self.columns[at], records)).collect()
    }

    /// What the column of one of the plan's inputs holds.
    fn kind(&self, at: usize, looks: &[Look]) -> Result<ColumnKind, OpenError> {
        let input = &self.plan.inputs[at];
        if !input.numeric {
            return Ok(ColumnKind::Presence);
        }
        match self.declared(&input.name) {
            Some(DeclaredType::Number(kind)) => return Ok(ColumnKind::Number(kind)),
            Some(DeclaredType::Text) => {
                return Err(OpenError::Plan(format!(
                    "{} needs numbers, and --type {name}=str says that '{name}' holds text; \
                     count({name}) takes text, and --type {name}=i64 or {name}=f64 says numbers",
                    input.asked_by,
                    name = input.name
                )));
            }
            None => {}
        }
        let seen = || looks.iter().map(|(_, first)| &first.seen[at]);
        let (integers, words) = (seen().any(|s| s.integers > 0), seen().any(|s| s.words > 0));
        if seen().any(|seen| seen.fractions > 0) {
            return Ok(ColumnKind::Number(NumberKind::F64));
        }
        if !integers {
            let texts =
                looks.iter().filter_map(|look| Some((look, look.1.seen[at].text.as_ref()?)));
            let texts: Vec<(&Look, &SeenText)> = texts.collect();
            if let Some(error) = not_numeric(input, &texts) {
                return Err(error);
            }
        }
        // Beside integers, a word such as NaN is malformed, and that tells of --type.
        Ok(ColumnKind::Number(if words && !integers { NumberKind::F64 } else { NumberKind::I64 }))
    }
}

/// What was seen of an input of this name.
type Look = (String, FirstLook);

/// That numbers are needed where the first records of all inputs hold none but texts, if they do.
fn not_numeric(input: &InputColumn, texts: &[(&Look, &SeenText)]) -> Option<OpenError> {
    let ((name, _), first) = texts.first()?;
    let are_times = texts.iter().all(|(_, text)| text.are_times);
    let are_one = texts.iter().all(|(_, text)| text.are_one && text.first == first.first);
    let is_whole = texts.iter().all(|((_, first), _)| first.is_whole);
    let holds = match are_times {
        true => NoNumbers::Times,
        false if are_one && !is_whole => NoNumbers::OneText,
        false => NoNumbers::Texts,
    };
    Some(OpenError::NotNumeric {
        name: name.clone(),
        line: first.place.lines_below,
        at: first.place.column,
        column: input.name.clone(),
        asked_by: input.asked_by.clone(),
        holds,
        found: quoted(&first.first),
    })
}
