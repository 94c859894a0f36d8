//! The flags.

use super::log::Log;
use super::replay::Replay;
use super::verify::Verify;
use bytesize::ByteSize;
use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::convert::Infallible;
use std::fmt;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidewheel::Span;
use tidewheel::cpu::IdlePolicy;
use tidewheel::engine::Runtime;
use tidewheel::state::{Durability, Keep};
use tidewheel::text::render::ResultFormat;
use tidewheel::text::{DeclaredType, Delimiter, InputFormat, NumberKind, TimeUnit};

/// Stream processing on one machine: event-time windows over files and streams.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Aggregate records in windows of event time.
    Agg(Box<Agg>),
    /// Look at this machine and say what would slow Tidewheel down, and how to mend it.
    Doctor(Doctor),
    /// Look into a state directory (agg --state) or a result log (agg --format log): list it, show
    /// its entries or its rows, see whether it is whole. Nothing is changed but by repair.
    Log(Log),
    /// Take again what a state directory keeps of its log, and write the results once more.
    Replay(Replay),
    /// See whether an output is what its state directory's log gives.
    Verify(Verify),
}

const EXAMPLES: &str = "\
Examples, in Tidewheel's repository:
  Flights and delays of each carrier, hour by hour:
    tidewheel agg examples/data/departures.csv --time dep_time --key carrier --window 1h \\
        --out-of-order 5m --agg 'count,mean(dep_delay),max(dep_delay)'

  Long delays at two airports, of the last six hours, every hour:
    tidewheel agg examples/data/departures.csv --time dep_time --key origin --window 6h \\
        --slide 1h --out-of-order 5m --agg 'count as flights,max(dep_delay) as longest' \\
        --where \"dep_delay > 60 and origin in ('JFK', 'LGA')\"

  Days of JSON Lines from a pipe:
    tidewheel agg examples/data/departures.csv --time dep_time --key origin --window 1h \\
        --out-of-order 5m --agg 'count as flights' --format jsonl |
    tidewheel agg - --input-format jsonl --time window_start --key origin --window 1d \\
        --out-of-order 1d --agg 'sum(flights),max(flights)'

The line at the end counts records: 'late' ones came after their windows had closed, 'filtered' \
ones were refused by --where, 'unusable' ones are of a time that nothing confirmed (--max-jump) or \
too long; 'dropped' is filtered and unusable together. 'malformed' ones could not be read.

Exit codes: 0 done, 1 bad data or a limit reached, 2 bad usage, 3 input/output, 4 a fault of
tidewheel's own or damaged state, 130 and 143 after a signal. A second signal ends it at once, and \
so do an error and, two seconds after the first signal, an output that takes nothing: without \
--state, what is open is lost.";

const AGG_HELP: &str = "\
What to compute: calls with commas between them. 'sum(x) as total' names the column of the \
results; a name that holds spaces stands in double quotes.

  count                      records
  count(x)                   values of any column; an empty cell is none

  Of a column of numbers:
  sum(x), mean(x)            mean is also called avg
  min(x), max(x)
  first(x), last(x)          in event time; also called first_value, last_value
  variance(x), stddev(x)     of a sample; also called var, var_samp and stddev_samp
  var_pop(x), stddev_pop(x)  of a whole population

NaN and inf are values of a column of f64. With NaN, sum, mean, variance and stddev are NaN; min \
and max are NaN only where there is nothing else. JSON Lines have null for NaN and inf.";

const WHERE_HELP: &str = "\
Keep only records for which this holds: \"dep_delay > 10 and origin in ('JFK', 'LGA')\". As in \
SQL, what cannot be told because a cell is empty does not hold; nor does what compares NaN with a \
number, nor its opposite.

  x = 1, x <> 1, x < 1, x <= 1, x > 1, x >= 1
  x in ('a', 'b'), x not in (1, 2), x between 1 and 9
  x like 'A%'             % is any characters, _ any one
  x like '10!%' escape '!'    a % or _ behind the ! is itself
  x is null, x is not null
  x = true, x <> false, x is true, x is not false
  and, or, not, ( )

Text stands in single quotes, a column's name in none, or in double quotes. The column of \
--time is compared with times: dep_time >= '2013-01-02'.";

const STATS_HELP: &str = "\
Say every so often, at most every 100ms, on standard error, how it is going: what happened since \
the line before, and where things stand.

  records/s, MB/s  what was read
  watermark lag    how far the slowest input's watermark is behind the
                   highest time read, in event time
  in flight        records between an input and a shard
  fullest lane     of the queues between inputs and shards, how full the
                   fullest is; one that stays full slows its input down
  late, malformed  records, since the start
  busy, blocked    shares of the threads' time: at work, and without room to
                   go on; in the rest there was nothing to do
  closes           how often windows became due in a shard
  p50, p99, ..     in how long half, 99 % and 99.99 % of these were out, from
                   the records that made them due to the last result";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Agg {
    /// Files to read, each a partition with its own watermark; '-' is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// The column of event time, such as 2013-01-01 05:17:00.
    ///
    /// With Z, +02:00 or +02 behind it if it is not UTC, with T for the space, with up to nine
    /// digits of a fraction; a date alone is its midnight. Numbers want --time-unit. Times reach
    /// from 1677-09-21 to 2262-04-11.
    #[arg(long, value_name = "COL")]
    pub(crate) time: String,

    /// The columns to group by.
    ///
    /// Of JSON Lines, the number 1 and the text "1" are two groups; results in JSON Lines tell them
    /// apart, while in CSV and in tables they look alike.
    #[arg(long, value_name = "COL,..", value_parser = parse_names)]
    key: Vec<Names>,

    /// The length of a window: 1h, 10s, 500ms, 1h30m, 1.5h, 1w.
    ///
    /// Windows start at 1970-01-01T00:00Z and at whole multiples of the slide before and after:
    /// with 1h at the full hour, with 1d at midnight UTC, with 7d on a Thursday. --offset moves
    /// them.
    #[arg(long, value_name = "SPAN", allow_hyphen_values = true)]
    pub(crate) window: Span,

    /// How far a window starts after the one before; the length of the window, if not given.
    #[arg(long, value_name = "SPAN", allow_hyphen_values = true)]
    pub(crate) slide: Option<Span>,

    /// Moves all windows by so much: 15m, -15m.
    ///
    /// They are then counted from that long after 1970-01-01T00:00Z (before, if negative): days
    /// of --window 1d --offset 5h go from 05:00 to 05:00 UTC, which is midnight five hours behind
    /// UTC; weeks of --window 7d --offset 4d begin on Mondays.
    #[arg(long, value_name = "SPAN", default_value = "0", allow_hyphen_values = true,
        value_parser = parse_offset)]
    pub(crate) offset: i64,

    /// How far out of order records come; what comes later than that is late.
    ///
    /// A window ends with the last of its times (--tick): of several records at that time, all but
    /// the first are late if this is 0.
    #[arg(long, value_name = "SPAN", default_value = "0", allow_hyphen_values = true)]
    pub(crate) out_of_order: Span,

    /// What numbers in the time column count, since 1970: s, ms, us or ns.
    #[arg(long, value_name = "UNIT")]
    pub(crate) time_unit: Option<TimeUnit>,

    /// How fine times are: 1us, say. A millisecond if not given, or what --time-unit us or ns says.
    ///
    /// The last time of a window is this long before its end, and once the watermark has come to
    /// that, nothing more can come for it.
    #[arg(long, value_name = "SPAN", value_parser = parse_tick, allow_hyphen_values = true)]
    pub(crate) tick: Option<Span>,

    /// What to compute: count, count(x), sum, min, max, mean, variance, stddev, first, last.
    #[arg(long, value_name = "LIST", long_help = AGG_HELP)]
    pub(crate) agg: String,

    /// Keep only records for which this holds: "dep_delay > 10 and origin in ('JFK', 'LGA')".
    #[arg(long = "where", value_name = "EXPR", long_help = WHERE_HELP,
        allow_hyphen_values = true)]
    pub(crate) filter: Option<String>,

    /// How many shards the keys are divided among. If not given, as many as the state of earlier
    /// runs is of, and one a core where there is none. There may come to be more from run to run.
    #[arg(long, value_name = "N")]
    pub(crate) shards: Option<usize>,

    /// What the shards' threads run on: auto, glommio or threads.
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = parse_runtime)]
    pub(crate) runtime: Runtime,

    /// What a core does that has nothing to do: spin (lowest latency) or backoff.
    #[arg(long, value_name = "NAME", default_value = "backoff")]
    pub(crate) idle_policy: IdlePolicy,

    /// How the input is laid out, csv or jsonl; by the files' endings, if not given.
    #[arg(long, value_name = "FORMAT", value_parser = parse_input_format)]
    pub(crate) input_format: Option<InputFormat>,

    /// What stands between CSV's fields: ';', or '\t' for a tab.
    #[arg(long, value_name = "CHAR", default_value = ",")]
    pub(crate) delimiter: Delimiter,

    /// What stands for no value in CSV: NA, say. An empty field always does.
    ///
    /// A field that is exactly this, in quotes or without, is null, whatever its column.
    #[arg(long, value_name = "TEXT,..", value_parser = parse_names, allow_hyphen_values = true)]
    null: Vec<Names>,

    /// How results are written: table, csv, jsonl or log.
    ///
    /// With log, --output names a folder: a result log, to which each result is added once, however
    /// often the run is cut off; tidewheel log rows brings its rows out. It wants --state. If not
    /// given, JSON Lines to an --output that ends in .jsonl, .ndjson or .json, a table on a
    /// terminal, CSV elsewhere. In CSV a null is nothing, and an empty text, which JSON may bring,
    /// is "": they can be told apart. (Read as CSV again, both are null.)
    #[arg(long, value_name = "FORMAT", value_parser = parse_output_format)]
    pub(crate) format: Option<OutputFormat>,

    /// Write results to this file, or folder with --format log; '-' is standard output.
    #[arg(long, value_name = "FILE", default_value = "-", value_parser = destination())]
    pub(crate) output: Destination,

    /// Write late records, as they were read, to this file; '-' is standard output, where results
    /// go elsewhere. One header stands above all of them, so CSV files must have the same columns
    /// in the same order. With --format log
    /// it is the folder that --output is, and late records are added to the log.
    #[arg(long, value_name = "FILE", value_parser = destination())]
    pub(crate) late: Option<Destination>,

    /// Keep what was read in this directory: a run that was stopped, killed or cut off is gone on
    /// with by the same command, and --output FILE ends as if it had never stopped (--deliver).
    ///
    /// Inputs are regular files then, and are known again by the last 4 KiB before the place where
    /// they were left: what stands before may not change. Another --output or --late, another
    /// filter, other columns or windows are refused; --durability, --snapshot-every and --keep may
    /// change.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,

    /// With --state: what is to be survived. process: the end of the process, kill -9 too. disk: a
    /// loss of power as well; what was read is synced to the disk every 5 ms at most (disk=20ms:
    /// every 20 ms), and a result is written once all that it follows from has been.
    #[arg(long, value_name = "WHAT", requires = "state", value_parser = parse_durability)]
    pub(crate) durability: Option<Durability>,

    /// With --state: how often a result is written when a run is cut off and gone on with, however
    /// it was cut off.
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        requires = "state",
        default_value = "exactly-once"
    )]
    pub(crate) deliver: Delivery,

    /// With --state: after how much of what was read (16MiB, 1GB), shard by shard, all open windows
    /// are written down, so that what was read before can be removed; 64MiB if not given. Less: the
    /// directory stays smaller and a run goes on sooner. Where much of them changes it is twice
    /// what that takes.
    #[arg(long, value_name = "BYTES", requires = "state", value_parser = parse_bytes)]
    pub(crate) snapshot_every: Option<u64>,

    /// With --state: how much of what was read stays though going on does not need it, for
    /// tidewheel replay and verify: none, all, what was read in the last 7d, or at most 10GiB
    /// beside what going on needs. What is to go goes at the next snapshot, from one snapshot to
    /// another, file by file.
    #[arg(long, value_name = "HOW MUCH", requires = "state", value_parser = parse_keep)]
    pub(crate) keep: Option<Keep>,

    /// The type of a column: delay=f64, id=i64, name=str. Only f64 takes NaN and inf.
    ///
    /// Of columns of numbers whose type is not given, the first 1000 records of each input tell it,
    /// and a pipe that brings them slowly is waited for. Where all are given, or records are only
    /// counted, it begins with the first record.
    #[arg(long = "type", value_name = "COL=TYPE", value_parser = parse_type)]
    pub(crate) types: Vec<(String, DeclaredType)>,

    /// The first line of CSV is a record; --columns names the columns.
    #[arg(long, requires = "columns")]
    pub(crate) no_header: bool,

    /// The names of CSV's columns.
    #[arg(long, value_name = "NAME,..", value_parser = parse_names, requires = "no_header")]
    columns: Vec<Names>,

    /// Stop at the first malformed record; otherwise they are counted and the first few told.
    #[arg(long)]
    pub(crate) strict: bool,

    /// Say every so often, on standard error, how it is going.
    #[arg(long, value_name = "SPAN", value_parser = parse_stats, long_help = STATS_HELP)]
    pub(crate) stats: Option<Span>,

    /// After how long without records an input no longer holds windows open.
    #[arg(long, value_name = "SPAN")]
    pub(crate) idle: Option<Span>,

    /// Let time pass by the clock while all inputs are idle.
    #[arg(long, requires = "idle")]
    pub(crate) idle_advance: bool,

    /// Wait for more at the end of a file, and follow its name as `tail -F` does.
    ///
    /// When the name leads to another file, the old one is read to its end and the new one from
    /// its start; a file that became shorter is read again from its start. Either is said on
    /// standard error, and either start is that of an input: without --no-header, CSV's columns
    /// are named there again, and a file without them is an error. With --state, which goes on
    /// with the very file that was read, both are errors. A file that is not there yet is waited
    /// for.
    #[arg(long)]
    pub(crate) follow: bool,

    /// Add a column that says why each result came out.
    ///
    /// on_time: the watermark passed the window's end. end_of_input: the input ended before.
    /// interrupted: the run was stopped while the window was open, so records may be missing.
    #[arg(long)]
    pub(crate) kind: bool,

    /// Do not believe a time so far ahead of all others until three more records confirm it: that
    /// come as late or later. What is still unconfirmed at the end is left out, so give it more
    /// than records are apart.
    #[arg(long, value_name = "SPAN")]
    pub(crate) max_jump: Option<Span>,

    /// Keys that may be alive in one shard at a time, each counted once a slice; 67108864 if not
    /// given. More end the run.
    #[arg(long, value_name = "N", value_parser = parse_live_keys)]
    pub(crate) live_keys: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// How findings are written.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: OutputStyle,
}

impl Agg {
    /// The texts that stand for no value; an empty one needs no mention.
    pub(crate) fn null_texts(&self) -> Vec<String> {
        let texts = self.null.iter().flat_map(|names| names.0.clone());
        texts.filter(|text| !text.is_empty()).collect()
    }

    /// The resolution of times. It follows from the flags alone, so that a pipe comes to the same
    /// results as the file that it brings.
    pub(crate) fn tick(&self) -> Span {
        let of_unit = match self.time_unit {
            Some(TimeUnit::Nanos) => Span::from_nanos(1),
            Some(TimeUnit::Micros) => Span::from_micros(1),
            _ => Span::from_millis(1),
        };
        self.tick.unwrap_or(of_unit)
    }

    /// The columns to group by, in order.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.key.iter().flat_map(|names| names.0.clone()).collect()
    }

    /// The names of CSV's columns, if given.
    pub(crate) fn column_names(&self) -> Vec<String> {
        self.columns.iter().flat_map(|names| names.0.clone()).collect()
    }

    /// How results are written, asked for or not.
    pub(crate) fn output_format(&self) -> OutputFormat {
        OutputFormat::Text(match (self.format, &self.output) {
            (Some(format), _) => return format,
            (None, Destination::File(path)) if is_json_lines(path) => ResultFormat::JsonLines,
            (None, output) if output.is_terminal() && self.state.is_none() => ResultFormat::Table,
            (None, _) => ResultFormat::Csv,
        })
    }

    /// Whether results go into a result log.
    pub(crate) fn is_result_log(&self) -> bool {
        self.format == Some(OutputFormat::Log)
    }
}

/// How a run writes its results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputFormat {
    /// As text.
    Text(ResultFormat),
    /// Into a result log.
    Log,
}

impl OutputFormat {
    /// How they are written where they are to be read.
    pub(crate) const fn text(self) -> ResultFormat {
        match self {
            Self::Text(format) => format,
            Self::Log => ResultFormat::Csv,
        }
    }

    /// What it is called.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Text(format) => format_name(format),
            Self::Log => "log",
        }
    }
}

/// Whether a file's ending says that it holds JSON Lines.
pub(crate) fn is_json_lines(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "jsonl" || end == "ndjson" || end == "json")
}

/// Names of columns, as one flag gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Names(Vec<String>);

/// Names with commas between them. Spaces beside a comma are for the eye; others may be part of a
/// name.
fn parse_names(text: &str) -> Result<Names, Infallible> {
    let last = text.split(',').count() - 1;
    let name = |(at, name): (usize, &str)| {
        let name = if at == 0 { name } else { name.trim_start() };
        (if at == last { name } else { name.trim_end() }).to_owned()
    };
    Ok(Names(text.split(',').enumerate().map(name).collect()))
}

/// Where something is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Standard output.
    StandardOutput,
    /// A file.
    File(PathBuf),
}

impl Destination {
    /// The file, if it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::StandardOutput => None,
            Self::File(path) => Some(path),
        }
    }

    /// Whether it is standard output, and a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        *self == Self::StandardOutput && std::io::stdout().is_terminal()
    }
}

/// As it is written on the command line.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file().unwrap_or(Path::new("-")).display().fmt(f)
    }
}

pub(crate) fn destination() -> impl TypedValueParser<Value = Destination> {
    PathBufValueParser::new().map(|path| match path.as_os_str() == "-" {
        true => Destination::StandardOutput,
        false => Destination::File(path),
    })
}

/// How often a result leaves that a cut-off run may have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(clippy::enum_variant_names, reason = "the names that the field has for them")]
pub(crate) enum Delivery {
    /// Once. --output and --late are regular files: the next run cuts them back to what is known to
    /// be good. Costs a word about their length, ten times a second.
    ExactlyOnce,
    /// Once or more. The next run appends, and what was written in the last 100 ms before the cut
    /// may come again; standard output and pipes will do, where each run begins with its header.
    /// Costs the same.
    AtLeastOnce,
    /// Once or not at all. It is noted first that results are out, and then they are written, so
    /// what was between when the run was cut off is lost: what came out together, 100 ms of results
    /// at most. So long at most a result waits for the note.
    AtMostOnce,
}

/// As it is said on the command line.
impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let delivery = match self {
            Self::ExactlyOnce => tidewheel::state::Delivery::ExactlyOnce,
            Self::AtLeastOnce => tidewheel::state::Delivery::AtLeastOnce,
            Self::AtMostOnce => tidewheel::state::Delivery::AtMostOnce,
        };
        delivery.fmt(f)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputStyle {
    /// For a person.
    Text,
    /// For a script.
    Json,
}

fn parse_offset(text: &str) -> Result<i64, String> {
    let (sign, span) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let span: Span = span.parse().map_err(|error| format!("{error}"))?;
    Ok(sign * span.as_nanos())
}

/// How often it is looked at an engine that runs, and so how often at most it can be told of.
pub(crate) const LOOK: Duration = Duration::from_millis(100);

fn parse_tick(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|error| format!("{error}"))?;
    match span.is_zero() {
        true => Err("times are not infinitely fine; the finest are 1ns".to_owned()),
        false => Ok(span),
    }
}

fn parse_stats(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|error| format!("{error}"))?;
    let least = Span::from(LOOK);
    match span < least {
        true => Err(format!("the shortest is {least}")),
        false => Ok(span),
    }
}

fn parse_runtime(text: &str) -> Result<Runtime, String> {
    named(
        text,
        [
            ("auto", Runtime::Auto, &[][..]),
            ("glommio", Runtime::Glommio, &["io_uring", "uring"]),
            ("threads", Runtime::Threads, &["thread"]),
        ],
    )
}

/// How a run is to write its results.
pub(crate) fn parse_output_format(text: &str) -> Result<OutputFormat, String> {
    named(
        text,
        [
            ("table", OutputFormat::Text(ResultFormat::Table), &["text"][..]),
            ("csv", OutputFormat::Text(ResultFormat::Csv), &["tsv"]),
            ("jsonl", OutputFormat::Text(ResultFormat::JsonLines), JSON_LINES_ALSO),
            ("log", OutputFormat::Log, &[]),
        ],
    )
}

pub(crate) fn parse_text_format(text: &str) -> Result<ResultFormat, String> {
    named(
        text,
        [
            ("table", ResultFormat::Table, &["text"][..]),
            ("csv", ResultFormat::Csv, &["tsv"]),
            ("jsonl", ResultFormat::JsonLines, JSON_LINES_ALSO),
        ],
    )
}

/// What JSON Lines are called elsewhere.
const JSON_LINES_ALSO: &[&str] = &["json", "ndjson", "jsonlines"];

fn parse_input_format(text: &str) -> Result<InputFormat, String> {
    named(
        text,
        [
            ("csv", InputFormat::Csv, &["tsv"][..]),
            ("jsonl", InputFormat::JsonLines, JSON_LINES_ALSO),
        ],
    )
}

fn parse_live_keys(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(keys) if keys > 0 => Ok(keys),
        _ => Err("not a number above zero: every record has a key, and it must live".to_owned()),
    }
}

/// Bytes, with a unit or without.
fn parse_bytes(text: &str) -> Result<u64, String> {
    match text.parse::<ByteSize>() {
        Ok(ByteSize(bytes)) if bytes > 0 => Ok(bytes),
        _ => Err("not a number of bytes above zero; say 16MiB, 64MB or 1000000".to_owned()),
    }
}

fn parse_durability(text: &str) -> Result<Durability, String> {
    let (what, interval) = match text.split_once('=') {
        Some((what, interval)) => (what, Some(interval)),
        None => (text, None),
    };
    match (what, interval) {
        ("process", None) => Ok(Durability::Process),
        ("disk", None) => Ok(Durability::DISK),
        ("disk", Some(interval)) => {
            let interval: Span = interval.parse().map_err(|error| format!("{error}"))?;
            match interval.is_zero() {
                true => Err("two syncs need some time between them; say disk=1ms".to_owned()),
                false => Ok(Durability::Disk { interval }),
            }
        }
        _ => Err("say process, disk, or disk=5ms for another time between two syncs".to_owned()),
    }
}

fn parse_keep(text: &str) -> Result<Keep, String> {
    match (text, text.parse::<Span>(), text.parse::<ByteSize>()) {
        ("none", ..) => Ok(Keep::Nothing),
        _ if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(format!("{text} lacks a unit: say {text}d, or {text}MiB"))
        }
        ("all", ..) => Ok(Keep::All),
        (_, Ok(span), _) if !span.is_zero() => Ok(Keep::For(span)),
        (_, _, Ok(ByteSize(bytes))) if bytes > 0 => Ok(Keep::Bytes(bytes)),
        _ => Err("say none, all, a span such as 7d, or bytes such as 10GiB".to_owned()),
    }
}

/// What a kind of numbers is called.
pub(crate) const fn number_name(kind: NumberKind) -> &'static str {
    match kind {
        NumberKind::I64 => "i64",
        NumberKind::F64 => "f64",
    }
}

/// What a type is called.
pub(crate) const fn type_name(declared: DeclaredType) -> &'static str {
    match declared {
        DeclaredType::Number(kind) => number_name(kind),
        DeclaredType::Text => "str",
    }
}

/// What a format of results is called.
const fn format_name(format: ResultFormat) -> &'static str {
    match format {
        ResultFormat::Table => "table",
        ResultFormat::Csv => "csv",
        ResultFormat::JsonLines => "jsonl",
    }
}

fn parse_type(text: &str) -> Result<(String, DeclaredType), String> {
    let (column, declared) =
        text.rsplit_once('=').ok_or("write it like delay=f64: a column, '=' and a type")?;
    let declared = named(
        declared,
        [
            (
                "i64",
                DeclaredType::Number(NumberKind::I64),
                &["i32", "int", "int64", "integer", "long", "bigint"][..],
            ),
            (
                "f64",
                DeclaredType::Number(NumberKind::F64),
                &["f32", "float", "float64", "double", "real", "decimal", "number", "numeric"],
            ),
            ("str", DeclaredType::Text, &["string", "text", "char", "varchar"]),
        ],
    )
    .map_err(|error| format!("'{declared}' is no type; {error}"))?;
    Ok((column.to_owned(), declared))
}

/// The thing of that name, or which names there are. Beside each stand words that mean the same
/// elsewhere: they are not understood, but what was meant by them is.
fn named<T, const N: usize>(text: &str, things: [(&str, T, &[&str]); N]) -> Result<T, String> {
    let wanted = text.to_lowercase();
    let off = |(name, _, also): &(&str, T, &[&str])| {
        let words = also.iter().chain(std::iter::once(name));
        words.map(|word| strsim::osa_distance(word, &wanted)).min().unwrap_or(usize::MAX)
    };
    // A word of three letters may be off by one.
    let off_max = wanted.chars().count().div_ceil(3);
    let near = things.iter().filter(|thing| off(thing) <= off_max).min_by_key(|thing| off(thing));
    let hint = near.map_or(String::new(), |(name, ..)| format!("; did you mean '{name}'?"));
    let (last, others) = things.split_last().expect("there is something to choose from");
    let others = others.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ");
    let names = format!("{others} and {}", last.0);
    let found = things.into_iter().find(|(name, ..)| *name == text);
    found.map(|(_, thing, _)| thing).ok_or_else(|| format!("there are {names}{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_beside_commas_are_no_part_of_a_name() {
        for (text, names) in [
            ("a", &["a"][..]),
            (" a", &[" a"]),
            ("a, b", &["a", "b"]),
            (" a ,\tb c , d ", &[" a", "b c", "d "]),
            ("a,,b", &["a", "", "b"]),
        ] {
            assert_eq!(parse_names(text).unwrap().0, names, "{text}");
        }
    }

    #[test]
    fn what_was_meant_by_a_name_is_suggested() {
        for (kind, near) in [
            ("f46", Some("f64")),
            ("I64", Some("i64")),
            ("int", Some("i64")),
            ("double", Some("f64")),
            ("flaot", Some("f64")),
            ("String", Some("str")),
            ("date", None),
            ("", None),
        ] {
            let error = parse_type(&format!("a=b={kind}")).unwrap_err();
            let start = format!("'{kind}' is no type; there are i64, f64 and str");
            let hint = near.map_or(String::new(), |near| format!("; did you mean '{near}'?"));
            assert_eq!(error, start + &hint);
        }
        assert!(parse_type("a=b=f64").is_ok_and(|(column, _)| column == "a=b"));
        let error = parse_input_format("json").unwrap_err();
        assert_eq!(error, "there are csv and jsonl; did you mean 'jsonl'?");
        assert_eq!(parse_runtime("tokio").unwrap_err(), "there are auto, glommio and threads");
    }
}
