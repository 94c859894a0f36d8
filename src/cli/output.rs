//! Where results and late records are written.

use super::args::{Agg, OutputFormat};
use super::exit::Failure;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use tidewheel::record::ColumnRow;
use tidewheel::sink::{LateRecord, WindowResult};
use tidewheel::text::aggregates::ColumnValues;
use tidewheel::text::render::{LateWriter, ResultColumns, ResultFormat, ResultRow, ResultWriter};

/// Results and late records on their way out.
pub(crate) struct Outputs {
    results: ResultWriter<Box<dyn Write>>,
    results_name: String,
    late: Option<LateWriter<BufWriter<File>>>,
    late_name: String,
}

fn create(path: &std::path::Path) -> Result<File, Failure> {
    File::create(path).map_err(|error| {
        let mend = match error.kind() {
            io::ErrorKind::NotFound => "; make its folder first",
            io::ErrorKind::IsADirectory => "; name a file in it",
            io::ErrorKind::PermissionDenied => "; name a file that may be written",
            _ => "",
        };
        Failure::Io(format!("{}: {error}{mend}", path.display()))
    })
}

/// The regular file that a path leads to, whatever it is called: its device and number.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    Some((metadata.dev(), metadata.ino()))
}

/// Refuses to write over what is read, or two things into one file. Nothing is opened yet.
pub(crate) fn refuse_overwriting(arguments: &Agg) -> Result<(), Failure> {
    let outputs = [("--output", &arguments.output), ("--late", &arguments.late)];
    for (flag, path) in outputs.into_iter().filter_map(|(flag, path)| Some((flag, path.as_ref()?)))
    {
        for input in &arguments.files {
            let read = if input.as_os_str() == "-" { Path::new("/dev/stdin") } else { input };
            if identity(path).is_some_and(|file| identity(read) == Some(file)) {
                return Err(Failure::Usage(format!(
                    "{flag} {} is the input {}, and would be overwritten before it is read; \
                     name another file",
                    path.display(),
                    input.display()
                )));
            }
        }
    }
    match (&arguments.output, &arguments.late) {
        (Some(output), Some(late))
            if output == late || identity(output).is_some_and(|it| identity(late) == Some(it)) =>
        {
            Err(Failure::Usage(format!(
                "--output and --late are both {}; give each a file of its own",
                output.display()
            )))
        }
        _ => Ok(()),
    }
}

impl Outputs {
    /// Opens them and writes what stands before the first record.
    pub(crate) fn open(
        arguments: &Agg,
        columns: ResultColumns,
        header: Option<&[u8]>,
    ) -> Result<Self, Failure> {
        let terminal = arguments.output.is_none() && io::stdout().is_terminal();
        let format = match (arguments.format, terminal) {
            (Some(OutputFormat::Table), _) | (None, true) => ResultFormat::Table,
            (Some(OutputFormat::Csv), _) | (None, false) => ResultFormat::Csv,
            (Some(OutputFormat::Jsonl), _) => ResultFormat::JsonLines,
        };
        let (out, results_name): (Box<dyn Write>, String) = match &arguments.output {
            Some(path) => (Box::new(create(path)?), path.display().to_string()),
            None => (Box::new(io::stdout()), "standard output".to_owned()),
        };
        let mut outputs = Self {
            results: ResultWriter::new(format, columns, out),
            results_name,
            late: None,
            late_name: String::new(),
        };
        outputs.results.header().map_err(|error| outputs.failed(&error))?;
        if let Some(path) = &arguments.late {
            outputs.late_name = path.display().to_string();
            let mut late = LateWriter::new(BufWriter::new(create(path)?));
            late.header(header).map_err(|error| Failure::writing(&outputs.late_name, &error))?;
            outputs.late = Some(late);
        }
        Ok(outputs)
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::writing(&self.results_name, error)
    }

    /// Writes a result.
    pub(crate) fn result<const WORDS: usize>(
        &mut self,
        result: &WindowResult<&[u8], ColumnValues<WORDS>>,
    ) -> Result<(), Failure> {
        let row = ResultRow {
            window_start: result.window.start,
            window_end: result.window.end,
            key: result.key,
            values: &result.value,
            kind: result.reason.as_str(),
        };
        self.results.row(&row).map_err(|error| self.failed(&error))
    }

    /// Writes a late record.
    pub(crate) fn late(&mut self, late: &LateRecord<'_, ColumnRow>) -> Result<(), Failure> {
        let Some(writer) = &mut self.late else {
            return Ok(());
        };
        let text = late.row.text(late.heap);
        writer.record(text).map_err(|error| Failure::writing(&self.late_name, &error))
    }

    /// Lets a reader see what was written so far.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.results.flush().map_err(|error| self.failed(&error))?;
        match &mut self.late {
            Some(late) => late.flush().map_err(|error| Failure::writing(&self.late_name, &error)),
            None => Ok(()),
        }
    }

    /// Writes the rest.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let Self { results, results_name, late, late_name } = self;
        results.finish().map_err(|error| Failure::writing(&results_name, &error))?;
        if let Some(late) = late {
            late.finish().map_err(|error| Failure::writing(&late_name, &error))?;
        }
        Ok(())
    }
}
