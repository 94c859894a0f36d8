//! Gathers rows in memory and writes them out in pieces, each of whole rows.

use crate::limits;
use std::io::{self, Write};

/// A buffer before an output. After an error it throws away what it is given.
#[derive(Debug)]
pub(super) struct Outlet<W> {
    buffer: Vec<u8>,
    out: W,
    broken: bool,
}

impl<W: Write> Outlet<W> {
    pub(super) const fn new(out: W) -> Self {
        Self { buffer: Vec::new(), out, broken: false }
    }

    /// Where a row is appended.
    pub(super) const fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Says that whole rows lie in the buffer, which is written when it has grown long.
    #[inline]
    pub(super) fn written_a_row(&mut self) -> io::Result<()> {
        if self.buffer.len() < limits::OUTPUT_BUFFER_BYTES {
            return Ok(());
        }
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        if self.broken {
            self.buffer.clear();
            return Err(io::Error::other("an earlier write failed"));
        }
        let result = self.out.write_all(&self.buffer);
        self.buffer.clear();
        self.broken = result.is_err();
        result
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() || self.broken {
            self.write()?;
        }
        self.out.flush()
    }

    pub(super) fn into_inner(self) -> W {
        self.out
    }
}
