//! `tidewheel log`: what a state directory holds, entry by entry, and whether it is what was
//! written. Nothing is changed here.

use super::args::OutputStyle;
use super::exit::{Failure, STANDARD_OUTPUT};
use super::replay::{LogRows, rows_of_log};
use super::{counted, say};
use serde_json::{Value, json};
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use tidewheel::frame::FrameKind;
use tidewheel::log::{Entry, Guarantee, LogEnd, LogError, LogFiles, LogReader, SegmentName};
use tidewheel::record::ShardIndex;
use tidewheel::sink::LATE_STREAM;
use tidewheel::state::{Snapshot, StateDirectory, StateError};

/// Looks into a state directory, or a result log.
#[derive(Debug, clap::Args)]
pub(crate) struct Log {
    #[command(subcommand)]
    action: LogAction,
}

/// What is to be looked at.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum LogAction {
    /// List snapshots and log segments, shard by shard.
    Ls(LogPlace),
    /// Show the log's entries, one a line.
    Dump {
        #[command(flatten)]
        place: LogPlace,
        /// Begin with this entry of each shard.
        #[arg(long, value_name = "ENTRY", default_value_t = 0)]
        from: u64,
        /// Show so many at most.
        #[arg(long, value_name = "ENTRIES")]
        limit: Option<u64>,
    },
    /// Read all that a run would go on with, and what is kept for history, every checksum and every
    /// number; exit 4 if anything is not as it was written, saying which byte, and whether a run
    /// would go on all the same. The torn end that a killed run leaves is no damage.
    Verify(LogPlace),
    /// Write the rows of a result log (agg --format log), shard by shard, as agg would have.
    Rows(LogRows),
    /// Mend what verify finds damaged, as far as it can be, and delete nothing: log segments from
    /// the damage on, and a damaged snapshot that the log reaches back before, are moved into
    /// DIR/damaged-1 (or -2 ...). So is what is damaged of that which is kept for history alone,
    /// with all that is older: history begins with the next snapshot then. Says what that loses.
    /// Exit 4 if it cannot be mended; nothing is changed then.
    Repair {
        #[command(flatten)]
        place: LogPlace,
        /// Change nothing, and say what would be done.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Whose log.
#[derive(Debug, clap::Args)]
pub(crate) struct LogPlace {
    /// The state directory, or the result log.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Only this shard, counted from 0.
    #[arg(long)]
    shard: Option<u16>,
    /// How it is written.
    #[arg(long, value_enum, default_value = "text")]
    format: OutputStyle,
}

/// Runs one of its actions.
pub(crate) fn run(arguments: &Log) -> Result<(), Failure> {
    match &arguments.action {
        LogAction::Ls(place) => Looked::open(place)?.list(),
        LogAction::Dump { place, from, limit } => Looked::open(place)?.dump(*from, *limit),
        LogAction::Verify(place) => Looked::open(place)?.verify(),
        LogAction::Rows(rows) => rows_of_log(rows),
        LogAction::Repair { place, dry_run } => Looked::open(place)?.repair(*dry_run),
    }
}

/// A state directory that is looked at.
pub(super) struct Looked<'p> {
    place: &'p LogPlace,
    pub(super) directory: StateDirectory,
    pub(super) files: Arc<LogFiles>,
    out: BufWriter<std::io::StdoutLock<'static>>,
}

/// A segment of a log, as far as its entries go.
struct Segment {
    name: SegmentName,
    first: u64,
    entries: u64,
    bytes: u64,
    run: Option<u64>,
}

fn kind_name(kind: Option<FrameKind>) -> &'static str {
    match kind {
        Some(FrameKind::Records) => "records",
        Some(FrameKind::Partials) => "partials",
        Some(FrameKind::Watermark) => "watermark",
        Some(FrameKind::Idle) => "idle",
        Some(FrameKind::End) => "end",
        Some(FrameKind::Stopped) => "stopped",
        Some(FrameKind::Position) => "position",
        Some(FrameKind::Synced) => "synced",
        _ => "unknown",
    }
}

impl<'p> Looked<'p> {
    fn open(place: &'p LogPlace) -> Result<Self, Failure> {
        let directory = StateDirectory::look_at(&place.folder)?;
        // Reading is the same whatever was promised when it was written.
        let files = Arc::new(LogFiles::new(directory.folder(), Guarantee::Disk));
        let out = BufWriter::new(std::io::stdout().lock());
        Ok(Self { place, directory, files, out })
    }

    /// The shards that are asked for.
    pub(super) fn shards(&self) -> Result<Vec<ShardIndex>, Failure> {
        let shards = StateDirectory::described(&self.place.folder, "shards")?;
        let shards: u16 = shards.and_then(|shards| shards.parse().ok()).unwrap_or(0);
        match self.place.shard {
            Some(shard) if shard >= shards => Err(Failure::Usage(format!(
                "{}: there is no shard {shard}; it has {}",
                self.place.folder.display(),
                counted(u64::from(shards), "shard")
            ))),
            Some(shard) => Ok(vec![ShardIndex(shard)]),
            None => Ok((0..shards).map(ShardIndex).collect()),
        }
    }

    pub(super) fn write(
        &mut self,
        text: impl FnOnce() -> String,
        json: impl FnOnce() -> Value,
    ) -> Outcome {
        let written = match self.place.format {
            OutputStyle::Text => writeln!(self.out, "{}", text()),
            OutputStyle::Json => writeln!(self.out, "{}", json()),
        };
        written.map_err(|error| Failure::writing(STANDARD_OUTPUT, &error))
    }

    pub(super) fn flush(&mut self) -> Outcome {
        self.out.flush().map_err(|error| Failure::writing(STANDARD_OUTPUT, &error))
    }

    fn reader(&self, shard: ShardIndex) -> Result<LogReader<LogFiles>, Failure> {
        let identity = Some(self.directory.identity());
        let reader = LogReader::open(Arc::clone(&self.files), shard, identity);
        reader.map_err(failed)
    }

    /// Hands over a shard's entries and says where they end.
    fn entries(
        &self,
        shard: ShardIndex,
        needed: bool,
        mut on_entry: impl FnMut(Entry<'_>) -> Outcome,
    ) -> Result<LogEnd, Failure> {
        let mut reader = self.reader(shard)?;
        if needed && let Some(snapshot) = self.directory.snapshot(shard)? {
            reader.pass_before(snapshot.next).map_err(failed)?;
        }
        while let Some(entry) = reader.read().map_err(failed)? {
            on_entry(entry)?;
        }
        Ok(reader.into_end())
    }

    /// Lists snapshots and segments.
    fn list(mut self) -> Outcome {
        for shard in self.shards()? {
            if let Some(Snapshot { next, epoch, words, .. }) = self.directory.snapshot(shard)? {
                let bytes = words.len() * 8;
                self.write(
                    || {
                        let size = bytesize::ByteSize(bytes as u64);
                        let next = next.0;
                        format!(
                            "s{:03}.snapshot  before entry {next}  {size}  run {epoch}",
                            shard.0
                        )
                    },
                    || {
                        json!({"snapshot": format!("s{:03}.snapshot", shard.0), "shard": shard.0,
                            "before_entry": next.0, "bytes": bytes, "run": epoch})
                    },
                )?;
            }
            let mut segments: Vec<Segment> = Vec::new();
            let end = self.entries(shard, false, |entry| {
                note(&mut segments, &entry);
                Ok(())
            })?;
            for segment in &segments {
                self.write_segment(segment)?;
            }
            self.write_end(shard, &end)?;
        }
        self.flush()
    }

    fn write_segment(&mut self, segment: &Segment) -> Outcome {
        let Segment { name, first, entries, bytes, run } = segment;
        let run = run.unwrap_or(0);
        self.write(
            || {
                let (last, size) = (first + entries - 1, bytesize::ByteSize(*bytes));
                format!("{name}  entries {first} to {last}  {size}  run {run}")
            },
            || {
                json!({"segment": name.to_string(), "shard": name.shard.0, "first_entry": first,
                    "entries": entries, "bytes": bytes, "run": run})
            },
        )
    }

    fn write_whole(&mut self, shard: ShardIndex, entries: u64, next: u64) -> Outcome {
        self.write(
            || format!("shard {}: whole; read {entries}, entry {next} comes next", shard.0),
            || json!({"shard": shard.0, "whole": true, "entries": entries, "next": next}),
        )
    }

    /// Says where a log ends, if that is not between two entries.
    fn write_end(&mut self, shard: ShardIndex, end: &LogEnd) -> Outcome {
        let Some(torn) = &end.torn else { return Ok(()) };
        let told = format!("{}: {}", torn.position, torn.reason);
        self.write(
            || format!("torn end of a write that was interrupted: {told}"),
            || json!({"torn": told, "shard": shard.0, "next_entry": end.next.0}),
        )
    }

    /// Writes entries, one a line.
    fn dump(mut self, from: u64, limit: Option<u64>) -> Outcome {
        let mut left = limit.unwrap_or(u64::MAX);
        for shard in self.shards()? {
            let mut reader = self.reader(shard)?;
            while left > 0
                && let Some(entry) = reader.read().map_err(failed)?
            {
                if entry.sequence.0 >= from {
                    left -= 1;
                    self.write_entry(&entry)?;
                }
            }
            if left > 0 {
                self.write_end(shard, &reader.into_end())?;
            }
        }
        self.flush()
    }

    fn write_entry(&mut self, entry: &Entry<'_>) -> Outcome {
        let header = entry.frame.header();
        let (kind, sequence) = (kind_name(header.kind()), entry.sequence.0);
        let (lane, rows, first) = (header.partition, header.count, header.lane_sequence);
        let (judged, advances) = (header.watermark(), header.advances());
        let bytes = size_of_val(entry.frame.words());
        let position = entry.position;
        self.write(
            || {
                let what = match header.kind() {
                    Some(FrameKind::Records) if header.stream == LATE_STREAM => {
                        format!("late records {first} to {}", first + u64::from(rows) - 1)
                    }
                    Some(FrameKind::Records) => {
                        format!("source {lane}, rows {first} to {}", first + u64::from(rows) - 1)
                    }
                    Some(FrameKind::Synced) => format!("entries before {first}"),
                    Some(FrameKind::Partials) => {
                        format!("results {first} to {}", first + u64::from(rows) - 1)
                    }
                    _ => format!("source {lane}"),
                };
                format!("{position}  entry {sequence}  {kind}  {what}, watermark {advances}")
            },
            || {
                json!({"shard": position.segment.shard.0, "segment": position.segment.to_string(),
                    "offset": position.offset, "entry": sequence, "run": entry.epoch, "kind": kind,
                    "source": lane, "first_row": first, "rows": rows, "bytes": bytes,
                    "judged_by": judged.to_string(), "watermark": advances.to_string()})
            },
        )
    }

    /// Reads all that a run would read, and says what is not as it was written.
    fn verify(mut self) -> Outcome {
        let (mut is_damaged, mut is_history_damaged) = (false, false);
        self.directory.output_progress()?;
        for shard in self.shards()? {
            let mut entries = 0_u64;
            let read = self.entries(shard, true, |_| {
                entries += 1;
                Ok(())
            });
            match read {
                Ok(end) => {
                    self.write_whole(shard, entries, end.next.0)?;
                    self.write_end(shard, &end)?;
                    is_history_damaged |= self.verify_history(shard)?;
                }
                Err(Failure::Corrupted(problem)) => {
                    self.write(
                        || format!("shard {}: DAMAGED", shard.0),
                        || json!({"shard": shard.0, "whole": false, "problem": problem}),
                    )?;
                    self.flush()?;
                    say(&problem);
                    is_damaged = true;
                }
                Err(other) => return Err(other),
            }
        }
        self.flush()?;
        let folder = self.place.folder.display();
        match (is_damaged, is_history_damaged) {
            (false, false) => Ok(()),
            (true, _) => {
                Err(Failure::Corrupted(format!("{folder}: not all of it is as it was written")))
            }
            (false, true) => Err(Failure::Corrupted(format!(
                "{folder}: not all that is kept for history is as it was written; a run goes on \
                 all the same, and tidewheel log repair puts aside what is damaged"
            ))),
        }
    }

    /// Reads what a shard keeps for history, and says what of it is not as it was written; whether
    /// there is any.
    fn verify_history(&mut self, shard: ShardIndex) -> Result<bool, Failure> {
        let Some(history) = self.history(shard)? else { return Ok(false) };
        self.write(
            || format!("shard {}: HISTORY DAMAGED; a run goes on all the same", shard.0),
            || {
                json!({"shard": shard.0, "history_whole": false, "problems": history.problems,
                    "run_goes_on": true})
            },
        )?;
        self.flush()?;
        history.problems.iter().for_each(|problem| say(problem));
        Ok(true)
    }
}

pub(super) type Outcome = Result<(), Failure>;

pub(super) fn failed(error: LogError) -> Failure {
    StateError::from(error).into()
}

/// Counts an entry to its segment.
fn note(segments: &mut Vec<Segment>, entry: &Entry<'_>) {
    let name = entry.position.segment;
    let bytes = size_of_val(entry.frame.words()) as u64;
    if segments.last().is_none_or(|segment| segment.name != name) {
        let first = entry.sequence.0;
        segments.push(Segment { name, first, entries: 0, bytes: 0, run: Some(entry.epoch) });
    }
    if let Some(segment) = segments.last_mut() {
        segment.entries += 1;
        segment.bytes += bytes;
    }
}
