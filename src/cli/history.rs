//! What a state directory keeps of `tidewheel agg`: which results came of which log, taken again
//! shard by shard.

use super::args::{OutputFormat, parse_output_format};
use super::certificates::{SharedWitnesses, Witnesses, lock};
use super::exit::Failure;
use super::output::row_of;
use super::types;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tidewheel::engine::Stream;
use tidewheel::operator::Unfiltered;
use tidewheel::record::{ColumnRow, ColumnRows, Columns, ColumnsBatch, ShardIndex};
use tidewheel::sink::{Output, ResultReader, Results};
use tidewheel::source::{Polled, Source, SourceError};
use tidewheel::state::{State, StateDirectory};
use tidewheel::text::InputColumn;
use tidewheel::text::aggregates::{
    AggregateCall, AggregatesVisitor, ColumnAggregates, ColumnValues, parse_aggregates,
    with_aggregates,
};
use tidewheel::text::render::{ResultColumns, ResultRow};
use tidewheel::{Engine, Progress, Span, Watermark, WindowSpec};

/// How the run of a state directory was described.
pub(crate) struct History {
    pub(crate) folder: PathBuf,
    pub(crate) shards: u16,
    pub(crate) columns: ResultColumns,
    /// Names of the key's parts.
    pub(crate) keys: Vec<String>,
    pub(crate) format: OutputFormat,
    pub(crate) output: PathBuf,
    pub(crate) delivery: String,
    /// The file of late records, if there is one, and the header that stands there.
    pub(crate) late: Option<(PathBuf, Option<Vec<u8>>)>,
    sources: usize,
    spec: WindowSpec,
    tick: Span,
    idle_advance: bool,
    calls: Vec<AggregateCall>,
    types: String,
}

/// Whether more is wanted of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    More,
    Enough,
}

/// How a result came out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Emitted {
    /// Its number among those of its shard.
    pub(crate) sequence: u64,
    /// The merged watermark of its shard that closed the window.
    pub(crate) watermark: Watermark,
}

/// Who is shown what comes out again.
pub(crate) trait Viewer {
    /// A result.
    fn result(&mut self, emitted: Emitted, row: &ResultRow<'_>) -> Result<Wanted, Failure>;
    /// A late record as it was read, with its number.
    fn late(&mut self, sequence: u64, text: &[u8]) -> Result<(), Failure>;
}

impl History {
    /// Reads the description of a state directory.
    pub(crate) fn open(folder: &Path) -> Result<Self, Failure> {
        // First: it says why where there is no such directory, or somebody has it.
        StateDirectory::look_at(folder)?;
        let line = |what: &str| -> Result<String, Failure> {
            StateDirectory::described(folder, what)?.ok_or_else(|| {
                Failure::Usage(format!(
                    "{}: not the state of a tidewheel agg: its manifest does not say its {what}",
                    folder.display()
                ))
            })
        };
        let bad = |what: &str| {
            let folder = folder.display();
            Failure::Corrupted(format!(
                "{folder}/manifest: what it says of {what} is no such thing"
            ))
        };
        let number = |what: &str| line(what)?.parse::<u16>().map_err(|_| bad(what));
        let calls = parse_aggregates(&line(types::AGGREGATES)?);
        let calls = calls.map_err(|_| bad(types::AGGREGATES))?;
        let keys = line(types::KEYS)?;
        let keys = match keys == types::NO_KEYS {
            true => Vec::new(),
            false => keys.split(", ").map(str::to_owned).collect(),
        };
        let has_kind = line(types::REASONS)? == types::THERE;
        let names = calls.iter().map(|call| call.name.clone()).collect();
        let columns =
            ResultColumns::new(keys.clone(), names, has_kind).map_err(|_| bad(types::KEYS))?;
        let late = match line(types::LATE)? {
            path if path == types::NONE => None,
            path => {
                let header = line(types::LATE_HEADER)?;
                Some((PathBuf::from(path), (!header.is_empty()).then(|| header.into_bytes())))
            }
        };
        Ok(Self {
            folder: folder.to_owned(),
            shards: number("shards")?,
            columns,
            keys,
            format: parse_output_format(&line(types::FORMAT)?).map_err(|_| bad(types::FORMAT))?,
            output: PathBuf::from(line(types::OUTPUT)?),
            delivery: line(types::DELIVERY)?,
            late,
            sources: usize::from(number("sources")?),
            spec: line("windows")?.parse().map_err(|_| bad("windows"))?,
            tick: line("tick")?.parse().map_err(|_| bad("tick"))?,
            idle_advance: line("idle advance")? == "true",
            calls,
            types: line(types::TYPES)?,
        })
    }

    /// The shards that are asked for: one of them, or all.
    pub(crate) fn shards(&self, only: Option<u16>) -> Result<Vec<ShardIndex>, Failure> {
        match only {
            Some(shard) if shard >= self.shards => Err(Failure::Usage(format!(
                "{}: there is no shard {shard}; it has {}",
                self.folder.display(),
                super::counted(u64::from(self.shards), "shard")
            ))),
            Some(shard) => Ok(vec![ShardIndex(shard)]),
            None => Ok((0..self.shards).map(ShardIndex).collect()),
        }
    }

    /// Shows what comes out of a shard's log once more, in the order of its numbers.
    pub(crate) fn replay(&self, shard: ShardIndex, viewer: &mut dyn Viewer) -> Result<(), Failure> {
        self.visit(|schema| Replaying { history: self, shard, schema, viewer, witnesses: None })
    }

    /// The same, and counts the records of which it is made.
    pub(crate) fn replay_witnessed(
        &self,
        shard: ShardIndex,
        viewer: &mut dyn Viewer,
        witnesses: SharedWitnesses,
    ) -> Result<(), Failure> {
        let witnesses = Some(witnesses);
        self.visit(|schema| Replaying { history: self, shard, schema, viewer, witnesses })
    }

    /// No records counted yet.
    pub(crate) fn witnesses(&self) -> SharedWitnesses {
        let inputs = types::inputs_of(&self.calls);
        let kinds = types::recorded(&self.types);
        let schema = schema_of(&inputs);
        let kinds = &kinds[..kinds.len().min(inputs.len())];
        Arc::new(Mutex::new(Witnesses::new((self.spec, self.tick), schema, kinds)))
    }

    /// Shows what a result log holds of a shard, in the order of its numbers.
    pub(crate) fn held_by_log(
        &self,
        folder: &Path,
        shard: ShardIndex,
        viewer: &mut dyn Viewer,
    ) -> Result<(), Failure> {
        self.visit(|schema| Reading { folder, shard, schema, viewer })
    }

    fn visit<V>(&self, visitor: impl FnOnce(Columns) -> V) -> Result<(), Failure>
    where
        V: AggregatesVisitor<Output = Result<(), Failure>>,
    {
        let inputs = types::inputs_of(&self.calls);
        let places = types::places(&inputs, &types::recorded(&self.types));
        let schema = schema_of(&inputs);
        let place =
            |name: &str| places.iter().find(|(known, _)| known == name).map(|(_, place)| *place);
        with_aggregates(&self.calls, schema, place, visitor(schema))
            .map_err(|error| Failure::Corrupted(format!("{}: {error}", self.folder.display())))?
    }
}

/// The rows of a run that looks at these columns.
fn schema_of(inputs: &[InputColumn]) -> Columns {
    Columns::new(u16::try_from(inputs.len()).unwrap_or(u16::MAX))
}

/// What a replay has in the place of an input.
struct Past(ColumnRows);

impl Source<Columns> for Past {
    fn poll(&mut self, _: usize) -> Result<Polled, SourceError> {
        Ok(Polled::End)
    }

    fn batch(&self) -> ColumnsBatch<'_> {
        self.0.batch()
    }

    fn name(&self) -> &str {
        "an input of an earlier run"
    }
}

/// A replay of one shard.
struct Replaying<'h> {
    history: &'h History,
    shard: ShardIndex,
    schema: Columns,
    viewer: &'h mut dyn Viewer,
    witnesses: Option<SharedWitnesses>,
}

impl AggregatesVisitor for Replaying<'_> {
    type Output = Result<(), Failure>;

    fn visit<const WORDS: usize>(self, aggregates: ColumnAggregates<WORDS>) -> Self::Output {
        let Self { history, shard, schema, viewer, witnesses } = self;
        let past = || Box::new(Past(ColumnRows::new(schema))) as Box<dyn Source<Columns>>;
        let sources: Vec<_> = (0..history.sources).map(|_| past()).collect();
        let mut stream = Stream::with_schema(schema, Unfiltered, sources).tick(history.tick);
        if history.idle_advance {
            stream = stream.idle_advance();
        }
        let mut pipeline = stream.window(history.spec).aggregate(aggregates).into_results();
        if history.late.is_some() {
            pipeline = pipeline.with_late();
        }
        let state = State::in_directory(&history.folder);
        let pipeline = pipeline.shards(usize::from(history.shards)).state(state);
        let (mut engine, results) = pipeline.replay(Some(shard))?;
        if let Some(witnesses) = witnesses {
            lock(&witnesses).begin(engine.holds_until());
            engine.observe_replay(move |rows| lock(&witnesses).take(rows));
        }
        show(engine, results, viewer)
    }
}

/// The results of one shard in a result log.
struct Reading<'h> {
    folder: &'h Path,
    shard: ShardIndex,
    schema: Columns,
    viewer: &'h mut dyn Viewer,
}

impl AggregatesVisitor for Reading<'_> {
    type Output = Result<(), Failure>;

    fn visit<const WORDS: usize>(self, aggregates: ColumnAggregates<WORDS>) -> Self::Output {
        let Self { folder, shard, schema, viewer } = self;
        let mut wanted = Ok(Wanted::More);
        let reader = ResultReader::open(folder, schema, aggregates)?;
        reader.for_each(Some(shard), |output| show_one(output, &mut wanted, viewer))?;
        wanted.map(drop)
    }
}

/// Shows an output, if more is wanted.
fn show_one<const WORDS: usize>(
    output: Output<'_, &[u8], ColumnValues<WORDS>, ColumnRow>,
    wanted: &mut Result<Wanted, Failure>,
    viewer: &mut dyn Viewer,
) {
    let Ok(Wanted::More) = wanted else { return };
    *wanted = match &output {
        Output::Result(result) => {
            let (sequence, watermark) = (result.sequence, result.watermark);
            viewer.result(Emitted { sequence, watermark }, &row_of(result))
        }
        Output::Late(late) => {
            let text = late.row.text(late.heap);
            viewer.late(late.sequence, text).map(|()| Wanted::More)
        }
    };
}

/// Shows results until there are no more, or no more are wanted.
fn show<const WORDS: usize>(
    mut engine: Engine,
    mut results: Results<Columns, ColumnAggregates<WORDS>>,
    viewer: &mut dyn Viewer,
) -> Result<(), Failure> {
    let mut wanted = Ok(Wanted::More);
    while !results.is_ended() {
        let progress = engine.step()?;
        let shown = results.poll(|output| show_one(output, &mut wanted, viewer));
        match wanted {
            Ok(Wanted::More) if shown == 0 && progress == Progress::Finished => break,
            Ok(Wanted::More) => {}
            Ok(Wanted::Enough) => break,
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}
