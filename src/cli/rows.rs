//! Rows as they lie in files of results and of late records.

use super::exit::Failure;
use super::history::History;
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Take, Write};
use std::path::Path;
use std::rc::Rc;
use tidewheel::text::render::{ResultFormat, ResultRow, ResultWriter};

/// The rows of a file, as far as they are part of it for good.
pub(crate) struct Rows {
    name: String,
    lines: BufReader<Take<File>>,
    format: ResultFormat,
}

impl Rows {
    /// Opens a file of which `bytes` are good.
    pub(crate) fn open(path: &Path, bytes: u64, format: ResultFormat) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let failed = |error| Failure::Io(format!("{name}: {error}"));
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if length < bytes {
            return Err(Failure::Corrupted(format!(
                "{name}: {length} bytes are there, and the run had brought out {bytes}"
            )));
        }
        Ok(Self { lines: BufReader::new(file.take(bytes)), name, format })
    }

    /// Hands over row by row, without the end of its last line. In CSV a line's end may be part of
    /// a field in quotes.
    pub(crate) fn each(
        mut self,
        mut on_row: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (mut row, mut quotes) = (Vec::new(), 0);
        loop {
            let read = self.lines.read_until(b'\n', &mut row);
            let read = read.map_err(|error| Failure::Io(format!("{}: {error}", self.name)))?;
            if self.format == ResultFormat::Csv {
                let line = &row[row.len() - read..];
                quotes += line.iter().filter(|byte| **byte == b'"').count();
            }
            if quotes % 2 == 1 && read > 0 {
                continue;
            }
            if row.is_empty() {
                return Ok(());
            }
            on_row(row.strip_suffix(b"\n").unwrap_or(&row))?;
            row.clear();
        }
    }
}

/// Makes of results the rows that a run would have written.
pub(crate) struct RowBuffer {
    writer: ResultWriter<Shared>,
    bytes: Rc<RefCell<Vec<u8>>>,
    row: Vec<u8>,
}

/// Bytes that another looks at.
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl RowBuffer {
    /// Rows as a state directory's run wrote them.
    pub(crate) fn new(history: &History) -> Self {
        let bytes = Rc::new(RefCell::new(Vec::new()));
        let shared = Shared(Rc::clone(&bytes));
        let writer = ResultWriter::new(history.format, history.columns.clone(), shared);
        Self { writer, bytes, row: Vec::new() }
    }

    /// A row, without the end of its line.
    pub(crate) fn render(&mut self, row: &ResultRow<'_>) -> Result<&[u8], Failure> {
        let written = self.writer.row(row).and_then(|()| self.writer.flush());
        written.map_err(|error| Failure::Io(format!("a row in memory: {error}")))?;
        self.row.clear();
        self.row.append(&mut self.bytes.borrow_mut());
        Ok(self.row.strip_suffix(b"\n").unwrap_or(&self.row))
    }
}
