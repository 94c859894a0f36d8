//! Records that came too late, written as they were read.

use super::outlet::Outlet;
use std::io::{self, Write};

/// Writes the original text of records, a line each, behind the header that they had.
///
/// What is written is gathered: [`LateWriter::flush`] brings it out now, and [`LateWriter::finish`]
/// has to be called at the end.
#[derive(Debug)]
pub struct LateWriter<W> {
    out: Outlet<W>,
}

impl<W: Write> LateWriter<W> {
    /// A writer. Nothing is written yet.
    pub const fn new(out: W) -> Self {
        Self { out: Outlet::new(out) }
    }

    /// Writes the input's header, if it has one.
    ///
    /// # Errors
    /// What the output said.
    pub fn header(&mut self, header: Option<&[u8]>) -> io::Result<()> {
        header.map_or(Ok(()), |header| self.record(header))
    }

    /// Writes a record; an end of line is put behind it unless it has one.
    ///
    /// # Errors
    /// What the output said.
    pub fn record(&mut self, text: &[u8]) -> io::Result<()> {
        let buffer = self.out.buffer();
        buffer.extend_from_slice(text);
        if text.last() != Some(&b'\n') {
            buffer.push(b'\n');
        }
        self.out.written_a_row()
    }

    /// Brings out all that was written so far.
    ///
    /// # Errors
    /// What the output said.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Brings out the rest and gives the output back.
    ///
    /// # Errors
    /// What the output said.
    pub fn finish(mut self) -> io::Result<W> {
        self.flush()?;
        Ok(self.out.into_inner())
    }
}
