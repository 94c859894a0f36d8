//! A file of packed binary records, mapped and read in place.
#![allow(unsafe_code)] // a mapping is only as good as the file behind it

use super::{Polled, Source, SourceCounts, SourceError, SourcePosition, changed, check_of};
use crate::record::{Record, Typed};
use memmap2::Mmap;
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::ops::Range;
use std::path::Path;

/// Reads a file that holds nothing but records of `T`, one after the other, as this machine lays
/// them in memory.
///
/// The file must not get shorter while it is read: the system ends a process that touches what is
/// gone from a mapped file. The length is looked at before each batch, which leaves a moment.
#[derive(Debug)]
pub struct PackedSource<T> {
    name: String,
    file: File,
    /// `None` for an empty file, which can not be mapped.
    map: Option<Mmap>,
    records: usize,
    batch: Range<usize>,
    record: PhantomData<fn() -> T>,
}

impl<T: Record> PackedSource<T> {
    /// Opens a file.
    ///
    /// # Errors
    /// When it can not be opened or mapped, or its length is not that of whole records.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SourceError> {
        let name = path.as_ref().display().to_string();
        let failed = |error| SourceError::Io { name: name.clone(), error };
        let file = File::open(&path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let each = size_of::<T>() as u64;
        if bytes % each != 0 {
            return Err(SourceError::Data(format!(
                "{name}: {bytes} bytes are not whole records of {each} bytes: {} are left over; \
                 is it a file of these records, and is it whole?",
                bytes % each
            )));
        }
        let map = match bytes {
            0 => None,
            // SAFETY: the mapping is read only and private to this source; records are plain
            // data, so any bytes are valid. Truncation is guarded against as described above.
            _ => Some(unsafe { Mmap::map(&file) }.map_err(failed)?),
        };
        let records = (bytes / each) as usize;
        Ok(Self { name, file, map, records, batch: 0..0, record: PhantomData })
    }

    fn check_length(&self) -> Result<(), SourceError> {
        let failed = |error| SourceError::Io { name: self.name.clone(), error };
        let length = self.file.metadata().map_err(failed)?.len();
        if length < (self.records * size_of::<T>()) as u64 {
            let error = io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file got shorter while it was read",
            );
            return Err(failed(error));
        }
        Ok(())
    }
}

impl<T: Record> PackedSource<T> {
    /// The hash of the record before a place, which is within the file.
    fn check(&self, offset: u64) -> u64 {
        let each = size_of::<T>();
        let end = offset as usize * each;
        let record = self.map.as_ref().map_or(&[][..], |map| &map[end.saturating_sub(each)..end]);
        check_of(offset, record)
    }
}

impl<T: Record> Source<Typed<T>> for PackedSource<T> {
    fn poll(&mut self, rows_max: usize) -> Result<Polled, SourceError> {
        if self.batch.end == self.records {
            return Ok(Polled::End);
        }
        self.check_length()?;
        self.batch = self.batch.end..self.records.min(self.batch.end + rows_max);
        Ok(Polled::Batch)
    }

    fn batch(&self) -> &[T] {
        let Some(map) = &self.map else { return &[] };
        let each = size_of::<T>();
        bytemuck::cast_slice(&map[self.batch.start * each..self.batch.end * each])
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn position(&mut self) -> Result<Option<SourcePosition>, SourceError> {
        let offset = self.batch.end as u64;
        Ok(Some(SourcePosition { offset, check: self.check(offset), ..SourcePosition::default() }))
    }

    fn resume(&mut self, position: SourcePosition) -> Result<(), SourceError> {
        let offset = position.offset;
        if offset > self.records as u64 || position.check != self.check(offset) {
            return Err(changed(&self.name, offset, "record"));
        }
        self.batch = offset as usize..offset as usize;
        Ok(())
    }

    fn counts(&self) -> SourceCounts {
        let each = size_of::<T>() as u64;
        SourceCounts {
            malformed: 0,
            bytes: self.batch.end as u64 * each,
            bytes_total: Some(self.records as u64 * each),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{GeneratedRecord, Workload};
    use std::io::Write;

    #[test]
    fn packed_records_are_read_in_place_and_broken_files_refused() {
        let records = Workload::uniform(5, 2_500).generate();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytemuck::cast_slice(&records)).unwrap();
        let mut source = PackedSource::<GeneratedRecord>::open(file.path()).unwrap();
        let mut read = Vec::new();
        while source.poll(1_000).unwrap() == Polled::Batch {
            read.extend_from_slice(source.batch());
        }
        assert_eq!(read, records);

        file.write_all(b"more").unwrap();
        let error = PackedSource::<GeneratedRecord>::open(file.path()).unwrap_err();
        assert!(error.to_string().contains("60004 bytes"), "{error}");
        assert!(error.to_string().contains("4 are left over"), "{error}");

        file.as_file().set_len(48).unwrap();
        let mut source = PackedSource::<GeneratedRecord>::open(file.path()).unwrap();
        file.as_file().set_len(24).unwrap();
        assert!(source.poll(10).unwrap_err().to_string().contains("got shorter"));

        file.as_file().set_len(0).unwrap();
        let mut empty = PackedSource::<GeneratedRecord>::open(file.path()).unwrap();
        assert_eq!(empty.poll(10).unwrap(), Polled::End);
    }
}
