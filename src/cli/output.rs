//! Where results and late records are written.

use super::args::{Agg, Delivery, Destination};
use super::exit::{Failure, STANDARD_OUTPUT};
use super::kept::{Appended, HeldBack, Kept, KeptFile};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use tidewheel::fault;
use tidewheel::record::ColumnRow;
use tidewheel::record::Columns;
use tidewheel::sink::{LateRecord, Output, ResultLog, Results, WindowResult};
use tidewheel::text::aggregates::{ColumnAggregates, ColumnValues};
use tidewheel::text::render::{LateWriter, ResultColumns, ResultRow, ResultWriter};

/// Results and late records on their way out.
pub(crate) struct Outputs {
    results: ResultWriter<Box<dyn Write>>,
    results_name: String,
    late: Option<LateWriter<Box<dyn Write>>>,
    late_name: String,
    kept: Option<KeptFiles>,
}

/// What is kept of what is written.
struct KeptFiles {
    kept: Kept,
    how: Keeping,
}

/// How it is known what of an output is out.
enum Keeping {
    /// By the lengths of files, which are cut back to that.
    Lengths { results: KeptFile, late: Option<KeptFile> },
    /// By what was written, all of which stays.
    Written { results: Appended, late: Option<Appended> },
    /// By what is about to be written: it is held until that is said.
    Said { results: (Appended, HeldBack), late: Option<(Appended, HeldBack)> },
}

pub(crate) fn create(path: &Path) -> Result<File, Failure> {
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

/// What messages call it.
pub(crate) fn name_of(to: &Destination) -> String {
    match to {
        Destination::StandardOutput => STANDARD_OUTPUT.to_owned(),
        Destination::File(path) => path.display().to_string(),
    }
}

/// Opens it to be written from its start.
pub(crate) fn start(to: &Destination) -> Result<Box<dyn Write>, Failure> {
    Ok(match to {
        Destination::StandardOutput => Box::new(io::stdout()),
        Destination::File(path) => Box::new(create(path)?),
    })
}

/// The regular file that a path leads to, whatever it is called: its device and number.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    Some((metadata.dev(), metadata.ino()))
}

/// Whether two paths lead to one file that is there.
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    identity(one).is_some_and(|file| identity(other) == Some(file))
}

/// Something that is written to, and whether nothing stands there yet.
struct Opened {
    writer: Box<dyn Write>,
    is_new: bool,
}

type OpenedKept = (Opened, Option<Opened>, Keeping);

/// Refuses one file for both, now that the results' is there.
fn refuse_same_kept(output: &Destination, late: Option<&Destination>) -> Result<(), Failure> {
    late.map_or(Ok(()), |late| refuse_same(output, late))
}

/// Opens files that are cut back to what is good.
fn open_lengths(
    output: &Destination,
    late: Option<&Destination>,
    kept: &Kept,
) -> Result<OpenedKept, Failure> {
    let (bytes, late_bytes) = kept.bytes();
    let open = |to: &Destination, bytes| match (to.file(), bytes) {
        (None, _) => unreachable!("only files are cut back, and others were refused"),
        (Some(path), 0) => {
            create(path)?;
            KeptFile::begin(path, kept.survives_loss_of_power())
        }
        (Some(path), bytes) => KeptFile::go_on(path, bytes),
    };
    let results = open(output, bytes)?;
    refuse_same_kept(output, late)?;
    let late = late.map(|to| open(to, late_bytes)).transpose()?;
    let written = Opened { writer: results.writer()?, is_new: bytes == 0 };
    let late_writer = late.as_ref().map(KeptFile::writer).transpose()?;
    let late_written = late_writer.map(|writer| Opened { writer, is_new: late_bytes == 0 });
    Ok((written, late_written, Keeping::Lengths { results, late }))
}

/// An output that is appended to, opened to be written.
type OpenedAppended = (Appended, Opened);

/// Opens outputs that are appended to.
fn open_appended(
    output: &Destination,
    late: Option<&Destination>,
    kept: &Kept,
) -> Result<(OpenedAppended, Option<OpenedAppended>), Failure> {
    let open = |to: &Destination, noted| {
        let file = Appended::open(to, kept.has_nothing_out(), noted)?;
        let opened = Opened { writer: file.writer()?, is_new: file.is_new };
        Ok::<_, Failure>((file, opened))
    };
    let (bytes, late_bytes) = kept.bytes();
    let results = open(output, bytes)?;
    refuse_same_kept(output, late)?;
    Ok((results, late.map(|to| open(to, late_bytes)).transpose()?))
}

/// Opens outputs of which it is said afterwards what was written.
fn open_written(
    output: &Destination,
    late: Option<&Destination>,
    kept: &Kept,
) -> Result<OpenedKept, Failure> {
    let ((results, opened), late) = open_appended(output, late, kept)?;
    let (late, late_opened) = late.unzip();
    Ok((opened, late_opened, Keeping::Written { results, late }))
}

/// Opens outputs of which it is said first what will be written.
fn open_said(
    output: &Destination,
    late: Option<&Destination>,
    kept: &Kept,
) -> Result<OpenedKept, Failure> {
    let hold = |(file, opened): OpenedAppended, to: &Destination| {
        let (back, writer) = HeldBack::before(opened.writer, name_of(to));
        ((file, back), Opened { writer, is_new: opened.is_new })
    };
    let (results, late_records) = open_appended(output, late, kept)?;
    let (results, opened) = hold(results, output);
    let (late, late_opened) = late_records.zip(late).map(|(it, to)| hold(it, to)).unzip();
    Ok((opened, late_opened, Keeping::Said { results, late }))
}

/// Refuses to write over what is read, or two things into one file. Nothing is opened yet.
pub(crate) fn refuse_overwriting(arguments: &Agg) -> Result<(), Failure> {
    let late = arguments.late.as_ref().and_then(Destination::file);
    let outputs = [("--output", arguments.output.file()), ("--late", late)];
    for (flag, path) in outputs.into_iter().filter_map(|(flag, path)| Some((flag, path?))) {
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
    for (nth, input) in arguments.files.iter().enumerate() {
        if arguments.files[..nth].iter().any(|other| is_same_stream(input, other)) {
            return Err(Failure::Usage(format!(
                "{} is named twice, and what one reader takes of it the other misses; name it once",
                input.display()
            )));
        }
    }
    refuse_with_state(arguments)?;
    match &arguments.late {
        _ if arguments.is_result_log() => refuse_with_result_log(arguments),
        Some(late) if arguments.output == *late => Err(same(late)),
        Some(late) => refuse_same(&arguments.output, late),
        None => Ok(()),
    }
}

fn same(late: &Destination) -> Failure {
    Failure::Usage(format!(
        "--late {late} is where the results go too; give each a file of its own"
    ))
}

/// Refuses one file for results and late records. Two names of one that is still to be made are
/// told apart once the results' file is made.
fn refuse_same(output: &Destination, late: &Destination) -> Result<(), Failure> {
    let file = |to: &Destination| identity(to.file().unwrap_or(Path::new("/dev/stdout")));
    match file(output) {
        Some(output) if file(late) == Some(output) => Err(same(late)),
        _ => Ok(()),
    }
}

/// Whether two inputs are one pipe.
fn is_same_stream(one: &Path, other: &Path) -> bool {
    let is_stdin = |path: &Path| path.as_os_str() == "-";
    let stream = |path: &Path| {
        let path = if is_stdin(path) { Path::new("/dev/stdin") } else { path };
        let metadata = std::fs::metadata(path).ok();
        let kept = |metadata: &std::fs::Metadata| {
            metadata.file_type().is_fifo() || metadata.file_type().is_socket()
        };
        metadata.filter(kept).map(|metadata| (metadata.dev(), metadata.ino()))
    };
    is_stdin(one) && is_stdin(other) || stream(one).is_some_and(|pipe| stream(other) == Some(pipe))
}

/// Whether a file, by whatever links its name leads there, lies in a folder or is to be made there.
fn lies_in(path: &Path, folder: &Path) -> bool {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| absolute(path));
    let folder = real(folder);
    // A link that leads nowhere yet is made there when it is opened.
    let link = std::fs::read_link(path).ok();
    let named = link.map_or_else(
        || absolute(path),
        |to| absolute(path).parent().map_or(to.clone(), |folder| folder.join(&to)),
    );
    let parent = named.parent().map(real);
    parent.as_ref() == Some(&folder) || real(path).parent() == Some(&folder)
}

/// Refuses to write among the files of the state directory, or where nothing can be gone on with.
fn refuse_with_state(arguments: &Agg) -> Result<(), Failure> {
    let Some(state) = &arguments.state else { return Ok(()) };
    for input in &arguments.files {
        let is_stream = std::fs::metadata(input).is_ok_and(|it| !it.is_file() && !it.is_dir());
        if input.as_os_str() == "-" && identity(Path::new("/dev/stdin")).is_none() || is_stream {
            return Err(Failure::Usage(format!(
                "{}: can not be read again from where it was left, which is what --state is for; \
                 give it as a regular file",
                input.display()
            )));
        }
    }
    let late = arguments.late.as_ref().map(|late| ("--late", late));
    let is_log = arguments.is_result_log();
    let is_cut_back = arguments.deliver == Delivery::ExactlyOnce && !is_log;
    for (flag, to) in [("--output", &arguments.output)].into_iter().chain(late) {
        let Some(path) = to.file() else {
            if is_log || !is_cut_back {
                continue;
            }
            return Err(Failure::Usage(format!(
                "--state needs {flag} FILE: the next run cuts the file back to what is good, and \
                 standard output cannot be; or say --deliver at-least-once"
            )));
        };
        if is_cut_back && path.exists() && !path.is_file() {
            return Err(Failure::Usage(format!(
                "--state needs {flag} to be a regular file, and {} is none: the next run cuts it \
                 back to what is good; or say --deliver at-least-once",
                path.display()
            )));
        }
        if lies_in(path, state) {
            return Err(Failure::Usage(format!(
                "{} lies in the state directory, whose files are not to be mixed with others; \
                 name a file elsewhere",
                path.display()
            )));
        }
    }
    Ok(())
}

/// Refuses a result log where there can be none.
fn refuse_with_result_log(arguments: &Agg) -> Result<(), Failure> {
    let problem = match (arguments.output.file(), &arguments.late) {
        _ if arguments.state.is_none() => {
            "--format log goes on where a run was cut off; say --state DIR too, another folder"
                .to_owned()
        }
        (None, _) => "--format log writes into a folder; say --output DIR".to_owned(),
        _ if arguments.deliver != Delivery::ExactlyOnce => format!(
            "--deliver {}: a result log holds each result once; leave it away",
            arguments.deliver
        ),
        (Some(folder), _) if folder.exists() && !folder.is_dir() => format!(
            "--format log writes into a folder, and {} is none; name another",
            folder.display()
        ),
        (_, Some(late)) if *late != arguments.output => format!(
            "--format log has late records beside the results; say --late {}, and tidewheel log \
             rows --late FILE brings them out",
            arguments.output
        ),
        _ => return Ok(()),
    };
    Err(Failure::Usage(problem))
}

/// A result as it is written.
pub(crate) fn row_of<'r, const WORDS: usize>(
    result: &'r WindowResult<&[u8], ColumnValues<WORDS>>,
) -> ResultRow<'r> {
    ResultRow {
        window_start: result.window.start,
        window_end: result.window.end,
        key: result.key,
        values: &result.value,
        kind: result.reason.as_str(),
    }
}

/// Where a run's results go.
pub(crate) enum Out {
    /// Into files, or to standard output.
    Rows(Box<Outputs>),
    /// Into a result log.
    Log(Box<ResultLog>),
}

impl Out {
    /// What messages call it.
    pub(crate) fn names(&self) -> String {
        match self {
            Self::Rows(outputs) => outputs.names(),
            Self::Log(log) => log.folder().display().to_string(),
        }
    }

    /// Takes what is there now, and calls `on_progress` as it gets on; says how much it was.
    pub(crate) fn take<const WORDS: usize>(
        &mut self,
        results: &mut Results<Columns, ColumnAggregates<WORDS>>,
        on_progress: impl Fn(),
    ) -> Result<usize, Failure> {
        let outputs = match self {
            Self::Rows(outputs) => outputs,
            Self::Log(log) => return Ok(results.write_to(log)?),
        };
        let mut failed = None;
        let taken = results.poll(|output| {
            let written = match &output {
                Output::Result(result) => outputs.result(result),
                Output::Late(late) => outputs.late(late),
            };
            on_progress();
            if let Err(failure) = written {
                failed.get_or_insert(failure);
            }
        });
        if let Some(failure) = failed {
            return Err(failure);
        }
        if outputs.keep(false)? {
            results.confirm();
        }
        Ok(taken)
    }

    /// Lets a reader see what was written so far.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        match self {
            Self::Rows(outputs) => outputs.flush(),
            Self::Log(_) => Ok(()),
        }
    }

    /// Writes the rest.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Rows(outputs) => outputs.finish(),
            Self::Log(_) => Ok(()),
        }
    }
}

impl Outputs {
    /// Opens them and writes what stands before the first record.
    pub(crate) fn open(
        arguments: &Agg,
        columns: ResultColumns,
        header: Option<&[u8]>,
        kept: Option<Kept>,
    ) -> Result<Self, Failure> {
        if let Some(kept) = kept {
            return Self::open_kept(arguments, columns, header, kept);
        }
        let results = start(&arguments.output)?;
        let mut outputs = Self {
            results: ResultWriter::new(arguments.output_format().text(), columns, results),
            results_name: name_of(&arguments.output),
            late: None,
            late_name: String::new(),
            kept: None,
        };
        outputs.results.header().map_err(|error| outputs.failed(&error))?;
        if let Some(to) = &arguments.late {
            outputs.late_name = match to {
                // The results go elsewhere: that nobody reads here is no quiet end.
                Destination::StandardOutput => format!("{STANDARD_OUTPUT} (--late)"),
                Destination::File(_) => name_of(to),
            };
            refuse_same(&arguments.output, to)?;
            let mut late = LateWriter::new(start(to)?);
            late.header(header).map_err(|error| Failure::writing(&outputs.late_name, &error))?;
            outputs.late = Some(late);
        }
        Ok(outputs)
    }

    /// Opens files that earlier runs may have begun.
    fn open_kept(
        arguments: &Agg,
        columns: ResultColumns,
        header: Option<&[u8]>,
        kept: Kept,
    ) -> Result<Self, Failure> {
        let (output, late) = (&arguments.output, &arguments.late);
        let (results_file, late_file, how) = match arguments.deliver {
            Delivery::ExactlyOnce => open_lengths(output, late.as_ref(), &kept)?,
            Delivery::AtLeastOnce => open_written(output, late.as_ref(), &kept)?,
            Delivery::AtMostOnce => open_said(output, late.as_ref(), &kept)?,
        };
        let results_name = name_of(output);
        let late_name = late.as_ref().map(name_of).unwrap_or_default();
        let format = arguments.output_format().text();
        let mut results = ResultWriter::new(format, columns, results_file.writer);
        if results_file.is_new {
            results.header().map_err(|error| Failure::writing(&results_name, &error))?;
        }
        let late = late_file.map(|file| {
            let mut late = LateWriter::new(file.writer);
            let header = header.filter(|_| file.is_new);
            late.header(header).map_err(|error| Failure::writing(&late_name, &error))?;
            Ok::<_, Failure>(late)
        });
        let kept = Some(KeptFiles { kept, how });
        Ok(Self { results, results_name, late: late.transpose()?, late_name, kept })
    }

    /// Says how far what is kept has come, when it is time to or `now`. Says whether it did.
    pub(crate) fn keep(&mut self, now: bool) -> Result<bool, Failure> {
        let is_due = |files: &KeptFiles| match &files.how {
            Keeping::Said { results, late } => {
                let is_due = |held: &(Appended, HeldBack)| held.1.is_due();
                files.kept.is_due() || is_due(results) || late.as_ref().is_some_and(is_due)
            }
            _ => files.kept.is_due(),
        };
        if !self.kept.as_ref().is_some_and(|files| now || is_due(files)) {
            return Ok(false);
        }
        self.flush_writers()?;
        let Some(KeptFiles { kept, how }) = &mut self.kept else { return Ok(false) };
        let durably = kept.survives_loss_of_power();
        let name = &self.results_name;
        let point = |at| fault::point(at).map_err(|error| Failure::writing(name, &error));
        point("output.flushed")?;
        match how {
            Keeping::Lengths { results, late } => {
                let late = late.as_ref().map(|file| file.length(durably)).transpose()?;
                kept.say(results.length(durably)?, late.unwrap_or(0))?;
            }
            Keeping::Written { results, late } => {
                let late = late.as_ref().map(|file| file.length(durably)).transpose()?;
                kept.say(results.length(durably)?, late.unwrap_or(0))?;
            }
            Keeping::Said { results, late } => {
                let late_bytes = late.as_ref().map(|(file, _)| file.length(false)).transpose()?;
                kept.say(results.0.length(false)?, late_bytes.unwrap_or(0))?;
                results.1.let_go()?;
                late.as_mut().map_or(Ok(()), |(_, held)| held.let_go())?;
            }
        }
        point("output.said")?;
        Ok(true)
    }

    /// What messages call the outputs, where it is not known which of them is meant.
    fn names(&self) -> String {
        match self.late_name.as_str() {
            "" => self.results_name.clone(),
            late => format!("{} or {late}", self.results_name),
        }
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::writing(&self.results_name, error)
    }

    /// Writes a result.
    pub(crate) fn result<const WORDS: usize>(
        &mut self,
        result: &WindowResult<&[u8], ColumnValues<WORDS>>,
    ) -> Result<(), Failure> {
        if let Some(files) = &mut self.kept
            && !files.kept.is_new_result(result.shard, result.sequence)
        {
            return Ok(());
        }
        self.results.row(&row_of(result)).map_err(|error| self.failed(&error))
    }

    /// Writes a late record.
    pub(crate) fn late(&mut self, late: &LateRecord<'_, ColumnRow>) -> Result<(), Failure> {
        let Some(writer) = &mut self.late else {
            return Ok(());
        };
        if let Some(files) = &mut self.kept
            && !files.kept.is_new_late(late.shard, late.sequence)
        {
            return Ok(());
        }
        let text = late.row.text(late.heap);
        writer.record(text).map_err(|error| Failure::writing(&self.late_name, &error))
    }

    /// Lets a reader see what was written so far.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        match self.kept.as_ref().map(|files| &files.how) {
            Some(Keeping::Said { results, late })
                if results.1.is_any() || late.as_ref().is_some_and(|(_, held)| held.is_any()) =>
            {
                self.keep(true).map(drop)
            }
            _ => self.flush_writers(),
        }
    }

    fn flush_writers(&mut self) -> Result<(), Failure> {
        self.results.flush().map_err(|error| self.failed(&error))?;
        match &mut self.late {
            Some(late) => late.flush().map_err(|error| Failure::writing(&self.late_name, &error)),
            None => Ok(()),
        }
    }

    /// Writes the rest.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.keep(true)?;
        let Self { results, results_name, late, late_name, .. } = self;
        results.finish().map_err(|error| Failure::writing(&results_name, &error))?;
        if let Some(late) = late {
            late.finish().map_err(|error| Failure::writing(&late_name, &error))?;
        }
        Ok(())
    }
}
