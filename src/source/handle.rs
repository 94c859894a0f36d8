//! Records that another thread of the embedding program pushes.

use super::{Polled, Source, SourceError};
use crate::cpu::{Bell, Listener};
use crate::record::{Record, Typed};
use crate::ring::{Consumer, Producer, ring};
use crossbeam::queue::ArrayQueue;
use std::sync::Arc;
use std::time::Duration;

/// The end that records are pushed into. One thread's; several threads take a source each, and
/// each source is a partition. Dropped, it ends the source.
#[derive(Debug)]
pub struct Pusher<T> {
    producer: Producer<T>,
    room: Listener,
    /// The bell of the core that the source runs on, once it does.
    core: Arc<ArrayQueue<Bell>>,
    bell: Option<Bell>,
}

/// The end that the engine reads.
#[derive(Debug)]
pub struct HandleSource<T> {
    consumer: Consumer<T>,
    room: Bell,
    core: Arc<ArrayQueue<Bell>>,
    batch: Vec<T>,
}

/// Why records were not pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The engine has stopped. Records pushed before may not have been read.
    #[error("the engine has stopped and takes no more records")]
    EngineGone,
}

/// A source and the end that feeds it, with room for at least so many records between them.
pub fn handle<T: Record>(records: usize) -> (Pusher<T>, HandleSource<T>) {
    let (producer, consumer) = ring(records.max(2).next_power_of_two(), 1);
    let room = Bell::new();
    let listener = room.listen().expect("a new bell has room for a listener");
    let core = Arc::new(ArrayQueue::new(1));
    let pusher = Pusher { producer, room: listener, core: Arc::clone(&core), bell: None };
    (pusher, HandleSource { consumer, room, core, batch: Vec::new() })
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
        if self.bell.is_none() {
            self.bell = self.core.pop();
        }
        if let (Some(bell), true) = (&self.bell, pushed > 0) {
            bell.ring();
        }
        Ok(pushed)
    }

    /// Pushes all of the records, waiting for room as long as it takes.
    ///
    /// # Errors
    /// When the engine has stopped.
    pub fn push(&mut self, mut records: &[T]) -> Result<(), PushError> {
        while !records.is_empty() {
            let pushed = self.try_push(records)?;
            records = &records[pushed..];
            if pushed == 0 {
                let nap = self.room.prepare();
                if self.producer.free() == 0 && !self.producer.is_abandoned() {
                    nap.sleep(Duration::from_millis(10));
                }
            }
        }
        Ok(())
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
            self.room.ring();
            return Ok(Polled::Batch);
        }
        Ok(if self.consumer.is_finished() { Polled::End } else { Polled::Pending })
    }

    fn batch(&self) -> &[T] {
        &self.batch
    }

    fn name(&self) -> &str {
        "handle"
    }

    fn attach(&mut self, bell: &Bell) {
        // The newest core counts, should the source ever move.
        let _ = self.core.force_push(bell.clone());
    }
}

impl<T> Drop for Pusher<T> {
    fn drop(&mut self) {
        // The engine sees the end by itself within an idle period; the bell only makes it soon.
        if let Some(bell) = &self.bell {
            bell.ring();
        }
    }
}

impl<T> Drop for HandleSource<T> {
    fn drop(&mut self) {
        self.room.ring();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{GeneratedRecord, Workload};

    #[test]
    fn what_is_pushed_is_read_in_order_and_ends() {
        let records = Workload::uniform(5, 50_000).generate();
        let (mut pusher, mut source) = handle(64);
        source.attach(&Bell::new());
        let sent = records.clone();
        let thread = std::thread::spawn(move || {
            sent.chunks(777).for_each(|part| {
                pusher.push(part).unwrap();
            })
        });
        let mut read: Vec<GeneratedRecord> = Vec::new();
        loop {
            match source.poll(100).unwrap() {
                Polled::Batch => read.extend_from_slice(source.batch()),
                Polled::Pending => std::thread::yield_now(),
                Polled::End => break,
            }
        }
        thread.join().unwrap();
        assert_eq!(read, records);
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
}
