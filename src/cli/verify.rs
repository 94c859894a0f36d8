//! `tidewheel verify`: whether an output is what its state directory's log gives, window by window.
//!
//! A window's results are told by how many there are and by a digest that does not depend on their
//! order: the sum of the rows' hashes. Both are made of the log, taken again, and of the file.

use super::args::{Delivery, Destination, OutputFormat, OutputStyle, destination};
use super::certificates::Certificates;
use super::counted;
use super::exit::{Failure, STANDARD_OUTPUT};
use super::history::{Emitted, History, Viewer, Wanted};
use super::replay::refuse;
use super::rows::{RowBuffer, Rows};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use tidewheel::EventTime;
use tidewheel::record::ShardIndex;
use tidewheel::state::{OutputProgress, StateDirectory};
use tidewheel::text::TimestampReader;
use tidewheel::text::render::{ResultFormat, ResultRow};
use xxhash_rust::xxh3::xxh3_128;

/// Windows and rows that are named where there are differences.
const NAMED_MAX: usize = 20;

/// Sees whether an output is what its log gives.
///
/// Exit codes: 0 it is, as far as the log is kept; 4 it is not, or what is kept is damaged; 2 the
/// directory is no state of a tidewheel agg, or its results may rightly come more often or not at
/// all (--deliver). It takes memory for each window.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Verify {
    /// The state directory of an earlier tidewheel agg, which says where its output is. Nothing is
    /// changed.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// How it is written.
    #[arg(long, value_enum, default_value = "text")]
    format: OutputStyle,
    /// Write down for each result that is looked at of which records of the log it is made; '-' is
    /// standard output, and the verdict goes to standard error then. JSON Lines where FILE ends in
    /// .jsonl, .ndjson or .json, else CSV:
    ///   window_start, window_end, the key   the result, and the
    ///   shard, result                       shard it is of, its number among the shard's
    ///   watermark    of the shard, by which it came out; 'end' where all input had ended
    ///   records      how many it is made of
    ///   first_entry, first_source, first_row, last_entry, last_source, last_row
    ///                the first and the last of them in the shard's log, as log dump shows it: the
    ///                entry, the source, and the number of the row among those that the source has
    ///                sent to this shard. It is not the number of the line in the input, which not
    ///                every log has, and is another one with another number of shards
    ///   digest       the sum, modulo 2^128, of the XXH3 hashes (128 bits, no seed, written as
    ///                hexadecimal) of each record's time (nanoseconds since 1970, 8 bytes), key and
    ///                values: for each part of the key its length in 4 bytes and its text, of a
    ///                null ffffffff, and with the length's highest bit set where it was no text in
    ///                JSON; for each column that is aggregated, in the order in which --agg names
    ///                them, a byte 1 and 8 bytes (i64 or f64; none where values are only counted),
    ///                or a byte 0 for a null; all little-endian. The same for the same records,
    ///                whatever the number of shards
    /// Left out are results of whose records some lie before what is kept of the log. It takes
    /// memory for each key of each slice of an open window, and time for each slice of a result.
    #[arg(long, value_name = "FILE", value_parser = destination(), verbatim_doc_comment)]
    certificates: Option<Destination>,
}

/// A window, by its end and its start: the order in which windows come out.
type Ends = (EventTime, EventTime);

/// So many rows, and the sum of their hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Digest {
    rows: u64,
    sum: u128,
}

impl Digest {
    fn add(&mut self, row: &[u8]) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(xxh3_128(row));
    }
}

/// What the log gives, and what the file holds.
#[derive(Default)]
struct Sides {
    log: Digest,
    file: Digest,
}

/// Runs the command.
pub(crate) fn run(arguments: &Verify) -> Result<(), Failure> {
    let history = History::open(&arguments.folder)?;
    if history.delivery != Delivery::ExactlyOnce.to_string() {
        return Err(Failure::Usage(format!(
            "{}: results are delivered {}, so the output may hold others than the log gives; \
             tidewheel replay brings those out",
            arguments.folder.display(),
            history.delivery
        )));
    }
    let (progress, late_lines) = written(&history)?;
    let mut certificates = match &arguments.certificates {
        Some(to) => {
            refuse((to, None), &history)?;
            Some(Certificates::begin(&history, to)?)
        }
        None => None,
    };
    let mut windows = BTreeMap::new();
    let (mut covered, mut late) = (None, Late::default());
    for shard in history.shards(None)? {
        let mut log = OfLog::new(&history, &progress, shard, &mut windows);
        match &mut certificates {
            Some(certificates) => {
                certificates.replay((&history, shard), log.results, &mut log)?;
            }
            None => history.replay(shard, &mut log)?,
        }
        covered = covered.max(log.covered_from());
        late.add(&log);
    }
    let beyond = each_row(&history, &progress, &mut |ends, row| {
        windows.entry(ends).or_default().file.add(row);
    })?;
    let covered = covered.unwrap_or((EventTime::MIN, EventTime::MIN));
    let looked_at = windows.split_off(&covered);
    let uncovered = std::mem::replace(&mut windows, looked_at);
    let verdict = Verdict {
        arguments,
        history: &history,
        progress: &progress,
        beyond,
        uncovered: uncovered.values().map(|sides| sides.file.rows).sum(),
        late: late.compare(&history, (&progress, late_lines))?,
        certificates: certificates.map(Certificates::finish).transpose()?,
        windows,
    };
    verdict.tell()
}

/// How much an output holds for good. Of a result log that is all there is; and the lines of its
/// late records.
fn written(history: &History) -> Result<(OutputProgress, Option<Digest>), Failure> {
    if let OutputFormat::Text(_) = history.format {
        // Not held on to: each replay opens it for itself.
        let progress = StateDirectory::look_at(&history.folder)?.output_progress()?;
        return Ok((progress.unwrap_or_else(|| OutputProgress::none(history.shards.into())), None));
    }
    if !history.output.exists() {
        return Err(Failure::Corrupted(format!(
            "{}: is gone; tidewheel replay brings out once more what of it is kept",
            history.output.display()
        )));
    }
    let mut progress = OutputProgress::none(history.shards.into());
    let mut lines = Digest::default();
    for shard in history.shards(None)? {
        let mut held = Held { results: 0, late: 0, lines: &mut lines };
        history.held_by_log(&history.output, shard, &mut held)?;
        progress.raise(shard.index(), (held.results, held.late));
    }
    Ok((progress, Some(lines)))
}

/// What a result log holds of a shard.
struct Held<'v> {
    results: u64,
    late: u64,
    lines: &'v mut Digest,
}

impl Viewer for Held<'_> {
    fn result(&mut self, _: Emitted, _: &ResultRow<'_>) -> Result<Wanted, Failure> {
        self.results += 1;
        Ok(Wanted::More)
    }

    fn late(&mut self, _: u64, text: &[u8]) -> Result<(), Failure> {
        self.late += 1;
        add_lines(self.lines, text);
        Ok(())
    }
}

/// A record may be of several lines; in the file they are not told apart.
fn add_lines(lines: &mut Digest, text: &[u8]) {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.split(|byte| *byte == b'\n').for_each(|line| lines.add(line));
}

/// Shows the rows of an output, each with its window; says how many bytes lie behind them.
fn each_row(
    history: &History,
    progress: &OutputProgress,
    on_row: &mut dyn FnMut(Ends, &[u8]),
) -> Result<u64, Failure> {
    let OutputFormat::Text(format) = history.format else {
        for shard in history.shards(None)? {
            let mut rows = RowsOfLog { buffer: RowBuffer::new(history), on_row };
            history.held_by_log(&history.output, shard, &mut rows)?;
        }
        return Ok(0);
    };
    let output = Rows::open(&history.output, progress.bytes, format)?;
    let beyond = output.beyond;
    output.each(|row| {
        if let Some(ends) = ends_of(row, format) {
            on_row(ends, row);
        }
        Ok(())
    })?;
    Ok(beyond)
}

/// The rows of a result log.
struct RowsOfLog<'v> {
    buffer: RowBuffer,
    on_row: &'v mut dyn FnMut(Ends, &[u8]),
}

impl Viewer for RowsOfLog<'_> {
    fn result(&mut self, _: Emitted, row: &ResultRow<'_>) -> Result<Wanted, Failure> {
        (self.on_row)((row.window_end, row.window_start), self.buffer.render(row)?);
        Ok(Wanted::More)
    }

    fn late(&mut self, _: u64, _: &[u8]) -> Result<(), Failure> {
        Ok(())
    }
}

/// What comes out of a shard's log.
struct OfLog<'v> {
    windows: &'v mut BTreeMap<Ends, Sides>,
    buffer: RowBuffer,
    /// Results and late records that the output holds.
    results: u64,
    late_written: u64,
    first: Option<(u64, Ends)>,
    first_late: Option<u64>,
    /// Late records, and their lines.
    late_records: u64,
    late: Digest,
}

impl<'v> OfLog<'v> {
    fn new(
        history: &History,
        progress: &OutputProgress,
        shard: ShardIndex,
        windows: &'v mut BTreeMap<Ends, Sides>,
    ) -> Self {
        let of = |counts: &[u64]| counts.get(shard.index()).copied().unwrap_or(0);
        Self {
            windows,
            buffer: RowBuffer::new(history),
            results: of(&progress.results),
            late_written: of(&progress.late),
            first: None,
            first_late: None,
            late_records: 0,
            late: Digest::default(),
        }
    }

    /// The first window of which all results of the shard are known; `None` where that is the
    /// first there is.
    fn covered_from(&self) -> Option<Ends> {
        match self.first {
            Some((0, _)) => None,
            Some((_, ends)) => Some(ends),
            None if self.results == 0 => None,
            None => Some((EventTime::MAX, EventTime::MAX)),
        }
    }
}

impl Viewer for OfLog<'_> {
    fn result(&mut self, emitted: Emitted, row: &ResultRow<'_>) -> Result<Wanted, Failure> {
        let sequence = emitted.sequence;
        let ends = (row.window_end, row.window_start);
        self.first.get_or_insert((sequence, ends));
        if sequence < self.results {
            let row = self.buffer.render(row)?;
            self.windows.entry(ends).or_default().log.add(row);
        }
        Ok(Wanted::More)
    }

    fn late(&mut self, sequence: u64, text: &[u8]) -> Result<(), Failure> {
        self.first_late.get_or_insert(sequence);
        if sequence < self.late_written {
            add_lines(&mut self.late, text);
            self.late_records += 1;
        }
        Ok(())
    }
}

/// The window of a row as it stands in a file.
fn ends_of(row: &[u8], format: ResultFormat) -> Option<Ends> {
    let mut fields = row.splitn(3, |byte| *byte == b',');
    let mut time = || {
        let field = fields.next()?;
        let text = match format {
            ResultFormat::JsonLines => field.split(|byte| *byte == b'"').nth(3)?,
            _ => field,
        };
        TimestampReader::new(None).read(text).ok()
    };
    let (start, end) = (time()?, time()?);
    Some((end, start))
}

/// Late records, of all shards.
#[derive(Debug, Default)]
struct Late {
    records: u64,
    lines: Digest,
    /// Whether all of them are known.
    is_partial: bool,
}

impl Late {
    fn add(&mut self, of_shard: &OfLog<'_>) {
        self.records += of_shard.late_records;
        self.lines.rows += of_shard.late.rows;
        self.lines.sum = self.lines.sum.wrapping_add(of_shard.late.sum);
        self.is_partial |= of_shard.first_late.is_some_and(|first| first > 0);
    }

    /// What the file of late records says to that.
    fn compare(
        &self,
        history: &History,
        (progress, in_log): (&OutputProgress, Option<Digest>),
    ) -> Result<LateVerdict, Failure> {
        let Some((path, header)) = &history.late else { return Ok(LateVerdict::None) };
        if self.is_partial || progress.late.iter().sum::<u64>() > self.records {
            return Ok(LateVerdict::Unknown);
        }
        let mut file = in_log.unwrap_or_default();
        if in_log.is_none() {
            let lines = Rows::open(path, progress.late_bytes, ResultFormat::JsonLines)?;
            lines.each(|line| {
                file.add(line);
                Ok(())
            })?;
        }
        let mut log = self.lines;
        if let Some(header) = header.as_ref().filter(|_| progress.late_bytes > 0) {
            header.split(|byte| *byte == b'\n').for_each(|line| log.add(line));
        }
        Ok(match file == log {
            true => LateVerdict::Same(self.records),
            false => LateVerdict::Other { log: log.rows, file: file.rows },
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LateVerdict {
    /// The run wrote none.
    None,
    /// What of them is not kept can not be told from what is.
    Unknown,
    Same(u64),
    Other {
        log: u64,
        file: u64,
    },
}

/// What there is to tell.
struct Verdict<'v> {
    arguments: &'v Verify,
    history: &'v History,
    progress: &'v OutputProgress,
    /// Bytes behind what the run knows to be good.
    beyond: u64,
    /// Results whose log is not kept.
    uncovered: u64,
    late: LateVerdict,
    /// Certificates, and results of which there are none.
    certificates: Option<(u64, u64)>,
    windows: BTreeMap<Ends, Sides>,
}

impl Verdict<'_> {
    fn tell(&self) -> Result<(), Failure> {
        let differing: Vec<_> =
            self.windows.iter().filter(|(_, sides)| sides.log != sides.file).collect();
        let late_differ = matches!(self.late, LateVerdict::Other { .. });
        let pass = differing.is_empty() && !late_differ;
        let lines = match self.arguments.format {
            OutputStyle::Text => self.text(&differing)?,
            OutputStyle::Json => vec![self.json(&differing).to_string()],
        };
        if self.arguments.certificates == Some(Destination::StandardOutput) {
            // Whether anyone can hear it does not change what the command does.
            let _ = lines.iter().try_for_each(|line| writeln!(std::io::stderr(), "{line}"));
        } else {
            let mut out = std::io::stdout().lock();
            let written = lines.iter().try_for_each(|line| writeln!(out, "{line}"));
            written
                .and_then(|()| out.flush())
                .map_err(|error| Failure::writing(STANDARD_OUTPUT, &error))?;
        }
        match pass {
            true => Ok(()),
            false => Err(Failure::Corrupted(format!(
                "{}: not what the log of {} gives",
                self.history.output.display(),
                self.history.folder.display()
            ))),
        }
    }

    fn results(&self) -> u64 {
        self.windows.values().map(|sides| sides.file.rows).sum()
    }

    fn json(&self, differing: &[(&Ends, &Sides)]) -> serde_json::Value {
        let window = |(ends, sides): &(&Ends, &Sides)| {
            let (end, start) = ends;
            json!({"window_start": start.to_string(), "window_end": end.to_string(),
                "results_of_log": sides.log.rows, "results_of_output": sides.file.rows,
                "digest_of_log": format!("{:032x}", sides.log.sum),
                "digest_of_output": format!("{:032x}", sides.file.sum)})
        };
        let late = match self.late {
            LateVerdict::None => json!(null),
            LateVerdict::Unknown => json!({"pass": null}),
            LateVerdict::Same(rows) => json!({"pass": true, "records": rows}),
            LateVerdict::Other { log, file } => {
                json!({"pass": false, "lines_of_log": log, "lines_of_output": file})
            }
        };
        let pass = differing.is_empty() && !matches!(self.late, LateVerdict::Other { .. });
        let certificates = self
            .certificates
            .map(|(written, left_out)| json!({"written": written, "left_out": left_out}));
        json!({"pass": pass, "windows": self.windows.len(), "results": self.results(),
            "certificates": certificates,
            "uncovered_results": self.uncovered, "bytes_beyond": self.beyond, "late": late,
            "differing": differing.iter().map(window).collect::<Vec<_>>()})
    }

    fn text(&self, differing: &[(&Ends, &Sides)]) -> Result<Vec<String>, Failure> {
        let output = self.history.output.display();
        let (windows, results) =
            (counted(self.windows.len() as u64, "window"), counted(self.results(), "result"));
        let mut lines = Vec::new();
        if differing.is_empty() {
            lines.push(format!("PASS: {results} of {windows} in {output} are what the log gives"));
        }
        for ((end, start), Sides { log, file }) in differing.iter().take(NAMED_MAX) {
            lines.push(format!(
                "DIFFERS: window [{start}, {end}): the log gives {} (digest {:032x}), the output \
                 holds {} (digest {:032x})",
                counted(log.rows, "result"),
                log.sum,
                counted(file.rows, "result"),
                file.sum
            ));
        }
        if let Some((ends, _)) = differing.first() {
            lines.extend(self.rows_that_differ(**ends)?);
        }
        if differing.len() > NAMED_MAX {
            lines.push(format!("and {} more windows", differing.len() - NAMED_MAX));
        }
        lines.extend(self.beside());
        Ok(lines)
    }

    /// What there is to say beside the windows.
    fn beside(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.uncovered > 0 {
            lines.push(format!(
                "not looked at: {} of windows before, whose log is not kept (agg --keep)",
                counted(self.uncovered, "result")
            ));
        }
        if self.beyond > 0 {
            lines.push(format!(
                "not looked at: the last {} of the output, which are not noted as good: another \
                 wrote them, or a run that was cut off; the next run cuts them away",
                counted(self.beyond, "byte")
            ));
        }
        if let Some((written, left_out)) = self.certificates {
            lines.push(format!("certified: {}", counted(written, "result")));
            if left_out > 0 {
                lines.push(format!(
                    "not certified: {}, of whose records some may lie before what is kept of the \
                     log (agg --keep)",
                    counted(left_out, "result")
                ));
            }
        }
        match self.late {
            LateVerdict::None => {}
            LateVerdict::Unknown => {
                lines.push("not looked at: late records, of which not all are kept".to_owned());
            }
            LateVerdict::Same(rows) => {
                let rows = counted(rows, "late record");
                lines.push(format!("PASS: {rows}: what the log gives"));
            }
            LateVerdict::Other { log, file } => lines.push(format!(
                "DIFFERS: late records: the log gives {}, the file holds {file}, and they are not \
                 the same",
                counted(log, "line")
            )),
        }
        lines
    }

    /// The rows of a window that are on one side only.
    fn rows_that_differ(&self, ends: Ends) -> Result<Vec<String>, Failure> {
        let mut rows = RowsOfWindow::new();
        for shard in self.history.shards(None)? {
            let results = self.progress.results.get(shard.index()).copied().unwrap_or(0);
            let mut one = OneWindow {
                ends,
                results,
                shard: shard.0,
                buffer: RowBuffer::new(self.history),
                rows: &mut rows,
            };
            self.history.replay(shard, &mut one)?;
        }
        each_row(self.history, self.progress, &mut |of, row| {
            if of == ends {
                rows.entry(row.to_vec()).or_default().rows -= 1;
            }
        })?;
        let told = |(row, Surplus { rows, from }): (&Vec<u8>, &Surplus)| {
            let row = super::visible(&String::from_utf8_lossy(row));
            match (rows.signum(), from) {
                (1, Some((shard, number))) => {
                    Some(format!("  only in the log (shard {shard}, result {number}): {row}"))
                }
                (-1, _) => Some(format!("  only in the output: {row}")),
                _ => None,
            }
        };
        Ok(rows.iter().filter_map(told).take(NAMED_MAX).collect())
    }
}

/// How much more often a row is in the log than in the output, and where it came from last: the
/// shard, and the number of the result.
#[derive(Clone, Copy, Debug, Default)]
struct Surplus {
    rows: i64,
    from: Option<(u16, u64)>,
}

type RowsOfWindow = BTreeMap<Vec<u8>, Surplus>;

/// The rows of one window.
struct OneWindow<'v> {
    ends: Ends,
    results: u64,
    shard: u16,
    buffer: RowBuffer,
    rows: &'v mut RowsOfWindow,
}

impl Viewer for OneWindow<'_> {
    fn result(&mut self, emitted: Emitted, row: &ResultRow<'_>) -> Result<Wanted, Failure> {
        let sequence = emitted.sequence;
        let ends = (row.window_end, row.window_start);
        if ends > self.ends || sequence >= self.results {
            return Ok(Wanted::Enough);
        }
        if ends == self.ends {
            let entry = self.rows.entry(self.buffer.render(row)?.to_vec()).or_default();
            *entry = Surplus { rows: entry.rows + 1, from: Some((self.shard, sequence)) };
        }
        Ok(Wanted::More)
    }

    fn late(&mut self, _: u64, _: &[u8]) -> Result<(), Failure> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_its_window() {
        let time = |text: &str| TimestampReader::new(None).read(text.as_bytes()).unwrap();
        let ends = (time("2013-01-01 06:00:00"), time("2013-01-01 05:00:00"));
        for (row, format) in [
            ("2013-01-01 05:00:00.000,2013-01-01 06:00:00.000,\"a,b\",1", ResultFormat::Csv),
            (
                "{\"window_start\":\"2013-01-01 05:00:00.000\",\"window_end\":\
                 \"2013-01-01 06:00:00.000\",\"k\":\"a\"}",
                ResultFormat::JsonLines,
            ),
        ] {
            assert_eq!(ends_of(row.as_bytes(), format), Some(ends), "{row}");
        }
        assert_eq!(ends_of(b"window_start,window_end,k,count", ResultFormat::Csv), None);
    }
}
