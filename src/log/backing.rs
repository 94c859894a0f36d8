//! What a log lies on. The promises stand on the methods; each implementation keeps them in its
//! own way, and the log relies on nothing else.

use super::SegmentName;
use std::io;
use std::sync::Arc;

/// A place for segments.
pub trait Backing: Send + Sync + 'static {
    /// A segment that lies there.
    type Segment: Segment;

    /// The segments there are, in no order. What else lies there is left alone.
    ///
    /// # Errors
    /// When the system says no.
    fn list(&self) -> io::Result<Vec<SegmentName>>;

    /// Makes a segment. All its space is there when this returns: a later write into it never
    /// fails, and never kills the process, because space is short. What it holds is unspecified.
    /// A segment of that name must not exist.
    ///
    /// # Errors
    /// When the system says no; then nothing is left behind.
    fn create(&self, name: SegmentName, bytes: u64) -> io::Result<Self::Segment>;

    /// Makes a segment that has no name yet, with all its space, as [`Backing::create`] does. It is
    /// gone when it is dropped, or the process ends, before it has been
    /// [given one](Backing::give_name).
    ///
    /// # Errors
    /// When the system says no, or can not make such segments here; then nothing is left behind.
    fn create_nameless(&self, bytes: u64) -> io::Result<Self::Segment>;

    /// Gives a segment that was made without a name its name, once. A segment of that name must
    /// not exist.
    ///
    /// # Errors
    /// When the system says no; then the segment is as it was.
    fn give_name(&self, segment: &Self::Segment, name: SegmentName) -> io::Result<()>;

    /// Gives a segment that is needed no more another name, under which it is written anew. What
    /// it holds is unspecified. A segment of the new name must not exist.
    ///
    /// # Errors
    /// When the system says no; then the segment is left as it was, or gone.
    fn rename(&self, from: SegmentName, to: SegmentName) -> io::Result<()>;

    /// Opens a segment that exists, to be read.
    ///
    /// # Errors
    /// When the system says no.
    fn open(&self, name: SegmentName) -> io::Result<Self::Segment>;

    /// Removes a segment. Those who have it open may go on reading.
    ///
    /// # Errors
    /// When the system says no.
    fn remove(&self, name: SegmentName) -> io::Result<()>;

    /// Once this has returned, a loss of power takes back none of the creations, removals and new
    /// names before it.
    ///
    /// # Errors
    /// When the system says no. What is durable is not known then.
    fn sync_names(&self) -> io::Result<()>;

    /// Where a segment lies, for people.
    fn path_of(&self, name: SegmentName) -> String;
}

/// A segment: bytes of a fixed number.
pub trait Segment: Send + 'static {
    /// How many bytes.
    fn bytes(&self) -> u64;

    /// Writes words one part behind the other, from `offset` on. They can be read at once, and
    /// survive the end of the process, however it ends, once this has returned; a process that
    /// ends within may leave any part of them. The range lies within the segment.
    ///
    /// # Errors
    /// When the system says no; any part may have been written then.
    fn write(&mut self, offset: u64, parts: [&[u64]; 2]) -> io::Result<()>;

    /// Reads into words, from `offset` on; the range lies within the segment.
    ///
    /// # Errors
    /// When the system says no, or somebody has made the segment shorter.
    fn read(&self, offset: u64, into: &mut [u64]) -> io::Result<()>;

    /// Has the system put memory behind the segment before it is written into, so that first
    /// writes need not wait for that. Takes a while, and changes nothing that can be read; where
    /// the system does not, first writes are slower.
    fn prefault(&mut self) {}

    /// Gives back the space of so many bytes at the end of a segment that has no name any more, and
    /// that nobody reads or writes; says whether there is more to give back. Whatever is left is
    /// given back with the segment.
    ///
    /// # Errors
    /// When the system says no.
    fn shrink(&mut self, _bytes: u64) -> io::Result<bool> {
        Ok(false)
    }

    /// What makes writes durable, from any thread.
    fn syncer(&self) -> Arc<dyn Syncer>;
}

/// Makes what has been written durable.
pub trait Syncer: Send + Sync {
    /// Once this has returned, a loss of power takes back none of the writes that had returned
    /// before it was called.
    ///
    /// # Errors
    /// When the system says no. What is durable is not known then, and will not be known by asking
    /// again: the system may have dropped what it could not write.
    fn sync(&self) -> io::Result<()>;
}
