//! How results are written: CSV, JSON Lines, or a table for people.
//!
//! Uses `record`, `time`, `limits`. Writes to anything that is [`io::Write`], in pieces of whole
//! rows, and allocates nothing per row once its buffers have grown. A [`ResultWriter`] writes
//! results, a [`LateWriter`] writes records that came too late as they were read.

mod columns;
mod csv;
mod jsonl;
mod late;
mod outlet;
mod table;
#[cfg(test)]
mod tests;

pub use columns::{DuplicateColumn, ResultColumns, ResultRow};
pub use csv::push_field as push_csv_field;
pub use late::LateWriter;

use outlet::Outlet;
use std::fmt::Debug;
use std::io::{self, Write};

/// How results are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResultFormat {
    /// Comma-separated values with a header, quoted where needed (RFC 4180, lines end in `\n`). A
    /// null is nothing, an empty text is `""`.
    Csv,
    /// One JSON object a line. A null is `null`, and so is what JSON has no number for.
    JsonLines,
    /// Aligned columns. A null is blank, control characters are escaped.
    Table,
}

#[derive(Debug)]
enum Format {
    Csv,
    JsonLines(jsonl::Members),
    Table(table::Table),
}

/// Writes results, one by one, in one of the formats.
///
/// What is written is gathered: [`ResultWriter::flush`] brings it out now, and
/// [`ResultWriter::finish`] has to be called at the end. After an error nothing more is written.
#[derive(Debug)]
pub struct ResultWriter<W> {
    columns: ResultColumns,
    format: Format,
    stamps: columns::WindowStamps,
    out: Outlet<W>,
}

impl<W: Write> ResultWriter<W> {
    /// A writer of results with these columns. Nothing is written yet.
    pub fn new(format: ResultFormat, columns: ResultColumns, out: W) -> Self {
        let format = match format {
            ResultFormat::Csv => Format::Csv,
            ResultFormat::JsonLines => Format::JsonLines(jsonl::Members::new(&columns)),
            ResultFormat::Table => Format::Table(table::Table::new(&columns)),
        };
        Self { columns, format, stamps: columns::WindowStamps::default(), out: Outlet::new(out) }
    }

    /// Writes the names of the columns, where the format has a place for them.
    ///
    /// # Errors
    /// What the output said.
    pub fn header(&mut self) -> io::Result<()> {
        match &mut self.format {
            Format::Csv => csv::push_header(self.out.buffer(), &self.columns),
            Format::JsonLines(_) => {}
            Format::Table(table) => table.set_header(&self.columns),
        }
        self.out.written_a_row()
    }

    /// Writes a result.
    ///
    /// # Errors
    /// What the output said.
    ///
    /// # Panics
    /// When the row has not one value for each aggregate.
    pub fn row(&mut self, row: &ResultRow<'_>) -> io::Result<()> {
        assert_eq!(row.values.len(), self.columns.aggregates().len(), "one value a column");
        let stamps = self.stamps.of(row);
        match &mut self.format {
            Format::Csv => csv::push_row(self.out.buffer(), &self.columns, stamps, row),
            Format::JsonLines(members) => members.push_row(self.out.buffer(), stamps, row),
            Format::Table(table) => table.push_row(self.out.buffer(), &self.columns, stamps, row),
        }
        self.out.written_a_row()
    }

    /// Brings out all that was written so far. A table decides now how wide its columns are.
    ///
    /// # Errors
    /// What the output said.
    pub fn flush(&mut self) -> io::Result<()> {
        if let Format::Table(table) = &mut self.format {
            table.flush(self.out.buffer());
        }
        self.out.flush()
    }

    /// Brings out the rest and gives the output back.
    ///
    /// # Errors
    /// What the output said.
    pub fn finish(mut self) -> io::Result<W> {
        if let Format::Table(table) = &mut self.format {
            table.release(self.out.buffer());
        }
        self.out.flush()?;
        Ok(self.out.into_inner())
    }
}
