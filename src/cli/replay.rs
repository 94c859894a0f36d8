//! `tidewheel replay`: the results of a state directory's log once more, shard by shard.

use super::args::{Destination, destination, parse_text_format};
use super::exit::Failure;
use super::history::{Emitted, History, Viewer, Wanted};
use super::output::{is_same_file, name_of, start};
use std::io::Write;
use std::path::PathBuf;
use tidewheel::EventTime;
use tidewheel::record::ShardIndex;
use tidewheel::text::TimestampReader;
use tidewheel::text::render::{LateWriter, ResultFormat, ResultRow, ResultWriter};

/// Takes again what a state directory keeps.
#[derive(Debug, clap::Args)]
pub(crate) struct Replay {
    /// The state directory of an earlier tidewheel agg. Nothing is changed there.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Up to the window that ends at this time: 2013-01-02 05:00:00; all, if not given.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<EventTime>,
    #[command(flatten)]
    rows: RowsTo,
}

/// The rows of a result log.
#[derive(Debug, clap::Args)]
pub(crate) struct LogRows {
    /// The result log.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    rows: RowsTo,
}

/// Which rows are brought out, and where they go.
#[derive(Debug, clap::Args)]
struct RowsTo {
    /// Only this shard, counted from 0; one after the other, if not given.
    #[arg(long, value_name = "N")]
    shard: Option<u16>,
    /// How results are written, table, csv or jsonl; as the run wrote them, if not given, and csv
    /// where it wrote a result log.
    #[arg(long, value_name = "FORMAT", value_parser = parse_text_format)]
    format: Option<ResultFormat>,
    /// Write results to this file; '-' is standard output.
    #[arg(long, value_name = "FILE", default_value = "-", value_parser = destination())]
    output: Destination,
    /// Write late records to this file, if the run wrote them; '-' is standard output.
    #[arg(long, value_name = "FILE", value_parser = destination())]
    late: Option<Destination>,
}

fn parse_time(text: &str) -> Result<EventTime, String> {
    TimestampReader::new(None).read(text.as_bytes()).map_err(|error| error.to_string())
}

/// Runs the command.
pub(crate) fn run(arguments: &Replay) -> Result<(), Failure> {
    let history = History::open(&arguments.folder)?;
    let shards = history.shards(arguments.rows.shard)?;
    let mut copy = Copy::begin(&history, &arguments.rows)?;
    copy.until = arguments.until;
    for shard in shards {
        copy.seen = Seen::default();
        history.replay(shard, &mut copy)?;
        copy.tell(shard);
    }
    copy.finish()
}

/// Writes the rows of a result log.
pub(crate) fn rows_of_log(arguments: &LogRows) -> Result<(), Failure> {
    let history = History::open(&arguments.folder)?;
    let shards = history.shards(arguments.rows.shard)?;
    let mut copy = Copy::begin(&history, &arguments.rows)?;
    for shard in shards {
        history.held_by_log(&arguments.folder, shard, &mut copy)?;
    }
    copy.finish()
}

/// Refuses to write over what the run itself has written, or late records of a run without them.
pub(crate) fn refuse(
    (output, late): (&Destination, Option<&Destination>),
    history: &History,
) -> Result<(), Failure> {
    if late.is_some() && history.late.is_none() {
        return Err(Failure::Usage(format!(
            "{}: the run was not asked for late records (--late), and their text was not kept",
            history.folder.display()
        )));
    }
    if late == Some(output) {
        return Err(Failure::Usage(
            "--late is where the results go too; give each a file of its own".to_owned(),
        ));
    }
    let written = std::iter::once(&history.output).chain(history.late.as_ref().map(|(it, _)| it));
    let to = [Some(output), late];
    for path in to.into_iter().flatten().filter_map(Destination::file) {
        if written.clone().any(|written| is_same_file(path, written)) {
            return Err(Failure::Usage(format!(
                "{}: is what the run itself has written, and goes on with; name another file",
                path.display()
            )));
        }
    }
    Ok(())
}

/// What came out of a shard.
#[derive(Debug, Default)]
struct Seen {
    /// Numbers of the first and the last result.
    results: Option<(u64, u64)>,
    /// The end of the first one's window.
    from: Option<EventTime>,
    late: u64,
    /// The first result that is not wanted any more, and the end of its window.
    beyond: Option<(u64, EventTime)>,
}

/// Results and late records on their way out.
struct Copy {
    results: ResultWriter<Box<dyn Write>>,
    results_name: String,
    late: Option<LateWriter<Box<dyn Write>>>,
    late_name: String,
    until: Option<EventTime>,
    seen: Seen,
}

impl Copy {
    /// Opens what is to be written, and writes what stands before the first row.
    fn begin(history: &History, rows: &RowsTo) -> Result<Self, Failure> {
        let RowsTo { format, output, late: late_to, .. } = rows;
        let late_to = late_to.as_ref();
        refuse((output, late_to), history)?;
        let format = format.unwrap_or(history.format.text());
        let mut copy = Self {
            results: ResultWriter::new(format, history.columns.clone(), start(output)?),
            results_name: name_of(output),
            late: None,
            late_name: late_to.map(name_of).unwrap_or_default(),
            until: None,
            seen: Seen::default(),
        };
        copy.results.header().map_err(|error| copy.failed(&error))?;
        if let (Some(to), Some((_, header))) = (late_to, &history.late) {
            let mut late = LateWriter::new(start(to)?);
            let written = late.header(header.as_deref());
            written.map_err(|error| Failure::writing(&copy.late_name, &error))?;
            copy.late = Some(late);
        }
        Ok(copy)
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        Failure::writing(&self.results_name, error)
    }

    /// Says what of a shard was kept.
    fn tell(&self, shard: ShardIndex) {
        let shard = shard.0;
        let Seen { results, from, late, beyond } = &self.seen;
        let late = match late {
            0 => String::new(),
            late => format!(", {}", super::counted(*late, "late record")),
        };
        super::say(&match (results, from) {
            (Some((0, last)), _) => {
                format!(
                    "shard {shard}: {}, from its start{late}",
                    super::counted(last + 1, "result")
                )
            }
            (Some((first, last)), Some(from)) => format!(
                "shard {shard}: results {first} to {last}, from the window that ends at {from} on; \
                 what was before is not kept{late}"
            ),
            _ => match beyond {
                Some((1.., end)) => format!(
                    "shard {shard}: no results{late}: what is kept begins with the window that \
                     ends at {end}"
                ),
                _ => format!("shard {shard}: no results{late}"),
            },
        });
    }

    fn finish(self) -> Result<(), Failure> {
        let Self { results, results_name, late, late_name, .. } = self;
        results.finish().map_err(|error| Failure::writing(&results_name, &error))?;
        if let Some(late) = late {
            late.finish().map_err(|error| Failure::writing(&late_name, &error))?;
        }
        Ok(())
    }
}

impl Viewer for Copy {
    fn result(&mut self, emitted: Emitted, row: &ResultRow<'_>) -> Result<Wanted, Failure> {
        let sequence = emitted.sequence;
        // They come in the order of their windows' ends.
        if self.until.is_some_and(|until| row.window_end > until) {
            self.seen.beyond.get_or_insert((sequence, row.window_end));
            return Ok(Wanted::Enough);
        }
        let first = self.seen.results.map_or(sequence, |(first, _)| first);
        self.seen.results = Some((first, sequence));
        self.seen.from.get_or_insert(row.window_end);
        self.results.row(row).map_err(|error| self.failed(&error))?;
        Ok(Wanted::More)
    }

    fn late(&mut self, _: u64, text: &[u8]) -> Result<(), Failure> {
        self.seen.late += 1;
        let Some(late) = &mut self.late else { return Ok(()) };
        late.record(text).map_err(|error| Failure::writing(&self.late_name, &error))
    }
}
