//! Records that another thread of the embedding program pushes.

use super::{KeptRecords, Polled, Source, SourceCounts, SourceError, SourcePosition};
use crate::cpu::{Bell, Listener};
use crate::record::{Record, Typed};
use crate::ring::{Consumer, Producer, ring};
use crate::sync::{AtomicU64, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// What the two ends know of records that are kept.
#[derive(Default)]
struct Acknowledged {
    kept: OnceLock<KeptRecords>,
    /// Records of earlier runs.
    before: AtomicU64,
}

impl std::fmt::Debug for Acknowledged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acknowledged").field("records", &self.records()).finish()
    }
}

impl Acknowledged {
    /// Records of this run that are kept.
    fn records(&self) -> u64 {
        let kept = self.kept.get().map_or(0, |kept| kept());
        kept.saturating_sub(self.before.load(Ordering::Acquire))
    }
}

/// The end that records are pushed into. One thread's at a time; several threads take a source
/// each, and each source is a partition. Closed or dropped, it ends the source once the engine has
/// read what was pushed.
#[derive(Debug)]
pub struct Pusher<T> {
    // Dropped first: who is woken by the drop of `core` has to find the end.
    producer: Producer<T>,
    room: Listener,
    core: Core,
    pushed: u64,
    acknowledged: Arc<Acknowledged>,
}

/// The end that the engine reads.
#[derive(Debug)]
pub struct HandleSource<T> {
    // Dropped first: who is woken by the drop of `room` has to find that nobody reads.
    consumer: Consumer<T>,
    room: Room,
    core: Arc<OnceLock<Bell>>,
    batch: Vec<T>,
    read: u64,
    name: String,
    acknowledged: Arc<Acknowledged>,
}

/// The bell of the core that the source runs on, once an engine has attached the source. Rings a
/// last time when it is dropped.
#[derive(Debug)]
struct Core(Arc<OnceLock<Bell>>);

impl Core {
    /// Wakes the core. As long as none is known nobody sleeps on the source's account: the engine
    /// polls for the first time after it has attached the source. The fence pairs with the one in
    /// `attach`: either the bell is seen here, or that poll sees what was pushed.
    fn ring(&self) {
        fence(Ordering::SeqCst);
        if let Some(bell) = self.0.get() {
            bell.ring();
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.ring();
    }
}

/// Wakes the pusher when there is room, and a last time when it is dropped.
#[derive(Debug)]
struct Room(Bell);

impl Drop for Room {
    fn drop(&mut self) {
        self.0.ring();
    }
}

/// Why records were not pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The engine has stopped. Records pushed before may not have been read.
    #[error("the engine has stopped and takes no more records")]
    EngineGone,
}

/// How long a pusher sleeps at most before it looks for room by itself.
const NAP: Duration = Duration::from_millis(100);

/// A source and the end that feeds it, with room for at least so many records between them (the
/// next power of two; it is allocated here).
///
/// # Panics
/// When there is no memory for so many.
pub fn handle<T: Record>(records: usize) -> (Pusher<T>, HandleSource<T>) {
    // Slot by slot: batches bring nothing here, and so a record may come at any time.
    let (producer, consumer) = ring(records.max(2).next_power_of_two(), 1);
    let room = Bell::new();
    let core = Arc::new(OnceLock::new());
    let pusher = Pusher {
        producer,
        room: room.listen().expect("a new bell has room for a listener"),
        core: Core(Arc::clone(&core)),
        pushed: 0,
        acknowledged: Arc::default(),
    };
    let source = HandleSource {
        consumer,
        room: Room(room),
        core,
        batch: Vec::new(),
        read: 0,
        name: "handle".into(),
        acknowledged: Arc::clone(&pusher.acknowledged),
    };
    (pusher, source)
}

impl<T: Record> Pusher<T> {
    /// Pushes as many of the records as there is room for, in order; says how many.
    ///
    /// # Errors
    /// When the engine has stopped.
    pub fn try_push(&mut self, records: &[T]) -> Result<usize, PushError> {
        if self.producer.is_abandoned() {
            return Err(PushError::EngineGone);
        }
        let mut pushed = 0;
        for record in records {
            let Some(mut claim) = self.producer.claim(1) else {
                break;
            };
            claim[0] = *record;
            claim.commit(1);
            pushed += 1;
        }
        if pushed > 0 {
            self.pushed += pushed as u64;
            self.core.ring();
        }
        Ok(pushed)
    }

    /// Pushes all of the records, waiting for room as long as it takes.
    ///
    /// # Errors
    /// When the engine has stopped; some of the records may have been pushed.
    pub fn push(&mut self, mut records: &[T]) -> Result<(), PushError> {
        loop {
            records = &records[self.try_push(records)?..];
            if records.is_empty() {
                return Ok(());
            }
            let nap = self.room.prepare();
            if self.producer.free() == 0 && !self.producer.is_abandoned() {
                nap.sleep(NAP);
            }
        }
    }
}

impl<T> Pusher<T> {
    /// Records that were pushed.
    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    /// How many of the records, from the first on, are in the state directory and survive what the
    /// state is to survive (its `Durability`). When a run is cut off, those beyond may be in it, or
    /// not: some of them, each at most once. Zero without a state directory.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.records()
    }

    /// Waits until so many of the records are acknowledged, for so long at most; says how many are.
    ///
    /// # Errors
    /// When the engine has stopped, and that many are not.
    pub fn wait_acknowledged(&mut self, records: u64, timeout: Duration) -> Result<u64, PushError> {
        let begun = Instant::now();
        loop {
            let nap = self.room.prepare();
            // Asked first: what was kept by then is seen below.
            let is_gone = self.producer.is_abandoned();
            let acknowledged = self.acknowledged.records();
            let left = timeout.saturating_sub(begun.elapsed());
            match acknowledged {
                enough if enough >= records => return Ok(enough),
                _ if is_gone => return Err(PushError::EngineGone),
                less if left.is_zero() => return Ok(less),
                _ => nap.sleep(left.min(NAP)),
            };
        }
    }

    /// Ends the source: the engine reads what was pushed, then the partition's windows may close.
    /// Dropping the pusher does the same.
    pub fn close(self) {}
}

impl<T: Record> HandleSource<T> {
    /// Sets what people call the source; `handle` if it is not set.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

impl<T: Record> Source<Typed<T>> for HandleSource<T> {
    fn poll(&mut self, rows_max: usize) -> Result<Polled, SourceError> {
        self.batch.clear();
        while self.batch.len() < rows_max {
            let Some(record) = self.consumer.front(1) else {
                break;
            };
            self.batch.push(record[0]);
            self.consumer.release(1);
        }
        if !self.batch.is_empty() {
            self.read += self.batch.len() as u64;
            self.room.0.ring();
            return Ok(Polled::Batch);
        }
        Ok(match self.consumer.is_finished() {
            true => Polled::End,
            false => Polled::Pending,
        })
    }

    fn batch(&self) -> &[T] {
        &self.batch
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn attach(&mut self, bell: &Bell) {
        // The engine attaches a source once: a second bell would be of another engine.
        let _ = self.core.set(bell.clone());
        fence(Ordering::SeqCst);
    }

    fn is_pushed(&self) -> bool {
        true
    }

    fn acknowledge_by(&mut self, kept: KeptRecords) {
        // The engine does so once: a second one would be another engine's.
        let _ = self.acknowledged.kept.set(kept);
    }

    fn acknowledge(&mut self) {
        self.room.0.ring();
    }

    fn position(&mut self) -> Result<Option<SourcePosition>, SourceError> {
        let offset = self.acknowledged.before.load(Ordering::Acquire) + self.read;
        Ok(Some(SourcePosition { offset, ..SourcePosition::default() }))
    }

    fn resume(&mut self, position: SourcePosition) -> Result<(), SourceError> {
        self.acknowledged.before.store(position.offset, Ordering::Release);
        Ok(())
    }

    fn counts(&self) -> SourceCounts {
        SourceCounts { bytes: self.read * size_of::<T>() as u64, ..SourceCounts::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{GeneratedRecord, Workload};
    use std::thread;

    /// For ever: where a wake-up is lost, the test hangs and does not pass late.
    const LONG: Duration = Duration::from_secs(u32::MAX as u64);

    /// Reads as a core does: sleeps on its bell when there is nothing.
    fn read_to_end(mut source: HandleSource<GeneratedRecord>) -> Vec<GeneratedRecord> {
        let bell = Bell::new();
        let mut listener = bell.listen().unwrap();
        source.attach(&bell);
        let mut read = Vec::new();
        loop {
            let mut polled = source.poll(100).unwrap();
            if polled == Polled::Pending {
                let nap = listener.prepare();
                polled = source.poll(100).unwrap();
                if polled == Polled::Pending {
                    nap.sleep(LONG);
                }
            }
            match polled {
                Polled::Batch => read.extend_from_slice(source.batch()),
                Polled::Pending => {}
                Polled::End => return read,
            }
        }
    }

    #[test]
    fn what_is_pushed_is_read_in_order_by_a_core_that_sleeps() {
        let records = Workload::uniform(5, 50_000).generate();
        for chunk in [1, 3, 777] {
            let (mut pusher, source) = handle(64);
            let sent = records.clone();
            let thread = thread::spawn(move || {
                for part in sent.chunks(chunk) {
                    pusher.push(part).unwrap();
                }
            });
            assert_eq!(read_to_end(source), records);
            thread.join().unwrap();
        }
    }

    #[test]
    fn a_core_that_sleeps_learns_of_the_end() {
        for round in 0..200 {
            let (pusher, source) = handle(2);
            let reader = thread::spawn(move || read_to_end(source));
            if round % 2 == 0 {
                thread::yield_now();
            }
            pusher.close();
            assert_eq!(reader.join().unwrap(), []);
        }
    }

    #[test]
    fn what_was_pushed_before_the_pusher_went_is_read() {
        let records = Workload::uniform(5, 10).generate();
        let (mut pusher, mut source) = handle(16);
        pusher.push(&records).unwrap();
        drop(pusher);
        assert_eq!(source.poll(7).unwrap(), Polled::Batch);
        assert_eq!(source.batch(), &records[..7]);
        assert_eq!(source.poll(7).unwrap(), Polled::Batch);
        assert_eq!(source.batch(), &records[7..]);
        assert_eq!(source.poll(7).unwrap(), Polled::End);
        assert_eq!(source.counts().bytes, 240);
    }

    #[test]
    fn a_full_handle_takes_no_more_and_a_gone_engine_is_told() {
        let records = Workload::uniform(5, 10).generate();
        let (mut pusher, mut source) = handle(4);
        assert_eq!(pusher.try_push(&records), Ok(4));
        assert_eq!(pusher.try_push(&records), Ok(0));
        assert_eq!(source.poll(3).unwrap(), Polled::Batch);
        assert_eq!(pusher.try_push(&records[4..]), Ok(3));
        drop(source);
        assert_eq!(pusher.try_push(&records), Err(PushError::EngineGone));
        assert_eq!(pusher.push(&records), Err(PushError::EngineGone));
    }

    #[test]
    fn a_pusher_that_waits_for_room_is_told_that_the_engine_went() {
        let (mut pusher, source) = handle(2);
        let thread = thread::spawn(move || pusher.push(&[GeneratedRecord::default(); 100]));
        drop(source);
        assert_eq!(thread.join().unwrap(), Err(PushError::EngineGone));
    }

    #[test]
    fn a_source_that_no_engine_has_attached_works_all_the_same() {
        let (mut pusher, mut source) = handle(2);
        assert_eq!(source.poll(1).unwrap(), Polled::Pending);
        pusher.push(&[GeneratedRecord::new(1, 2, 3)]).unwrap();
        assert_eq!(source.poll(1).unwrap(), Polled::Batch);
    }
}
