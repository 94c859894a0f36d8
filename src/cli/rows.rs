//! Rows as they lie in files of results and of late records.

use super::exit::Failure;
use super::history::History;
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Take, Write};
use std::path::Path;
use std::rc::Rc;
use tidewheel::text::render::{ResultFormat, ResultRow, ResultWriter};

/// The rows of a file, as far as they are part of it for good.
pub(crate) struct Rows {
    name: String,
    lines: BufReader<Take<File>>,
    format: ResultFormat,
    /// Bytes behind what is good.
    pub(crate) beyond: u64,
}

/// Where the last whole row of a file ends, of which the first `noted` bytes are whole rows. The
/// end of a line is part of a row while it stands in quotes.
pub(crate) fn end_of_last(path: &Path, noted: u64) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    // Somebody may have begun the file anew.
    let start = if noted <= length { noted } else { 0 };
    file.seek(SeekFrom::Start(start))?;
    let (mut lines, mut line) = (BufReader::new(file), Vec::new());
    let (mut at, mut whole, mut quotes) = (start, start, 0);
    while lines.read_until(b'\n', &mut line)? > 0 {
        at += line.len() as u64;
        quotes += line.iter().filter(|byte| **byte == b'"').count();
        if quotes % 2 == 0 && line.ends_with(b"\n") {
            whole = at;
        }
        line.clear();
    }
    Ok(whole)
}

impl Rows {
    /// Opens a file of which `bytes` are good.
    pub(crate) fn open(path: &Path, bytes: u64, format: ResultFormat) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Failure::Corrupted(format!(
                "{name}: is gone; tidewheel replay brings out once more what of it is kept"
            )),
            _ => Failure::Io(format!("{name}: {error}")),
        };
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if length < bytes {
            return Err(Failure::Corrupted(format!(
                "{name}: {length} bytes are there, and the run had brought out {bytes}"
            )));
        }
        let beyond = length - bytes;
        Ok(Self { lines: BufReader::new(file.take(bytes)), name, format, beyond })
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
        let writer = ResultWriter::new(history.format.text(), history.columns.clone(), shared);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_row_is_told_from_a_whole_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        for (text, noted, whole) in [
            ("", 0, 0),
            ("a,b\n1,2\n", 0, 8),
            ("a,b\n1,2\n3", 4, 8),
            ("a,b\n1,2\n\"3\n", 8, 8),
            ("a,b\n1,2\n\"3\n4\",5\n", 8, 16),
            ("a,b\n1,\"\n", 100, 4),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(end_of_last(&path, noted).unwrap(), whole, "{text:?}");
        }
    }
}
