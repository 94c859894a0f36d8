//! What it costs to move records from one core to another: the crate's ring, two well-kept queues
//! and the naive twin, a deque behind a lock. Every run checks order and sum of what arrived.
//!
//! The two threads are pinned to the first two cores that this process may use.

use bytemuck::{Pod, Zeroable};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use crossbeam::queue::ArrayQueue;
use std::collections::VecDeque;
use std::hint::{black_box, spin_loop};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The record of the benchmarks: 24 bytes.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Record {
    key: u64,
    value: i64,
    time: i64,
}

impl Record {
    #[inline(always)]
    fn numbered(number: u64) -> Self {
        Self { key: number, value: (number as i64).wrapping_mul(3), time: !(number as i64) }
    }
}

/// What the receiver makes of the records: a touch of every field, and proof that all came, once
/// and in order.
#[derive(Default)]
struct Check {
    received: u64,
    disorder: u64,
    sum: i64,
}

impl Check {
    #[inline(always)]
    fn take(&mut self, record: &Record) {
        self.disorder |= record.key ^ self.received;
        self.sum = self.sum.wrapping_add(record.value ^ record.time);
        self.received += 1;
    }

    fn prove(&self, sent: u64) {
        let mut expected = Self::default();
        (0..sent).for_each(|number| expected.take(&Record::numbered(number)));
        assert_eq!(self.received, sent, "all records arrive");
        assert_eq!(self.disorder, 0, "records arrive in order");
        assert_eq!(self.sum, expected.sum, "records arrive whole");
    }
}

const CAPACITY: usize = 8192;
/// Records of one iteration: a multiple of every batch.
const RECORDS: u64 = 1 << 14;

/// Spins for a while, then lets others run: the peer may wait for this very core.
#[inline(always)]
fn until<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    loop {
        for _ in 0..10_000 {
            if let Some(done) = attempt() {
                return done;
            }
            spin_loop();
        }
        thread::yield_now();
    }
}

/// Keeps this thread on the core of that number among those that this process may use.
#[cfg(target_os = "linux")]
fn pin(number: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let allowed = sched_getaffinity(None).expect("a thread may ask for its cores");
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
    let mut only = CpuSet::new();
    only.set(cores[number % cores.len()]);
    sched_setaffinity(None, &only).expect("a thread may stay on a core that it may use");
}

/// The other systems place threads as they like.
#[cfg(not(target_os = "linux"))]
fn pin(_number: usize) {}

/// Runs both ends, each on a core of its own, and returns how long the records took.
fn time_transfer(
    records: u64,
    send: impl FnOnce(u64) + Send,
    receive: impl FnOnce(u64) -> Check + Send,
) -> Duration {
    let start = Barrier::new(2);
    let (check, taken) = thread::scope(|scope| {
        scope.spawn(|| {
            pin(0);
            start.wait();
            send(records);
        });
        let receiver = scope.spawn(|| {
            pin(1);
            start.wait();
            let begin = Instant::now();
            let check = receive(records);
            (check, begin.elapsed())
        });
        receiver.join().expect("the receiver ends well")
    });
    black_box(&check).prove(records);
    taken
}

fn ours(records: u64, batch: usize) -> Duration {
    let (mut producer, mut consumer) = tidewheel::ring::ring::<Record>(CAPACITY, batch);
    let send = move |records| {
        for first in (0..records).step_by(batch) {
            until(|| {
                let mut claim = producer.claim(batch)?;
                for (number, slot) in (first..).zip(claim.iter_mut()) {
                    *slot = Record::numbered(number);
                }
                claim.commit(batch);
                Some(())
            });
        }
    };
    let receive = move |records| {
        let mut check = Check::default();
        while check.received < records {
            until(|| {
                let unit = consumer.front(batch)?;
                unit.iter().for_each(|record| check.take(record));
                consumer.release(batch);
                Some(())
            });
        }
        check
    };
    time_transfer(records, send, receive)
}

fn rtrb_chunks(records: u64, batch: usize) -> Duration {
    let (mut producer, mut consumer) = rtrb::RingBuffer::<Record>::new(CAPACITY);
    let send = move |records| {
        for first in (0..records).step_by(batch) {
            until(|| {
                let chunk = producer.write_chunk_uninit(batch).ok()?;
                Some(chunk.fill_from_iter((first..).map(Record::numbered)))
            });
        }
    };
    let receive = move |records| {
        let mut check = Check::default();
        while check.received < records {
            until(|| {
                let chunk = consumer.read_chunk(batch).ok()?;
                let (head, tail) = chunk.as_slices();
                head.iter().for_each(|record| check.take(record));
                tail.iter().for_each(|record| check.take(record));
                chunk.commit_all();
                Some(())
            });
        }
        check
    };
    time_transfer(records, send, receive)
}

fn array_queue_singles(records: u64) -> Duration {
    let queue = ArrayQueue::<Record>::new(CAPACITY);
    let send = |records| {
        for number in 0..records {
            until(|| queue.push(Record::numbered(number)).ok());
        }
    };
    let receive = |records| {
        let mut check = Check::default();
        while check.received < records {
            check.take(&until(|| queue.pop()));
        }
        check
    };
    time_transfer(records, send, receive)
}

/// The slow, obvious way.
fn locked_deque(records: u64, batch: usize) -> Duration {
    let deque = Mutex::new(VecDeque::<Record>::with_capacity(CAPACITY));
    let send = |records| {
        for first in (0..records).step_by(batch) {
            until(|| {
                let mut deque = deque.lock().expect("nobody panics with the lock");
                let room = deque.len() + batch <= CAPACITY;
                room.then(|| deque.extend((first..first + batch as u64).map(Record::numbered)))
            });
        }
    };
    let receive = |records| {
        let mut check = Check::default();
        while check.received < records {
            until(|| {
                let mut deque = deque.lock().expect("nobody panics with the lock");
                let ready = deque.len() >= batch;
                ready.then(|| deque.drain(..batch).for_each(|record| check.take(&record)))
            });
        }
        check
    };
    time_transfer(records, send, receive)
}

fn transfer(c: &mut Criterion) {
    let mut group = c.benchmark_group("ring");
    group.throughput(Throughput::Elements(RECORDS));
    for batch in [64, 256] {
        group.bench_function(BenchmarkId::new("tidewheel", batch), |b| {
            b.iter_custom(|times| ours(times * RECORDS, batch));
        });
        group.bench_function(BenchmarkId::new("rtrb", batch), |b| {
            b.iter_custom(|times| rtrb_chunks(times * RECORDS, batch));
        });
        group.bench_function(BenchmarkId::new("locked_deque", batch), |b| {
            b.iter_custom(|times| locked_deque(times * RECORDS, batch));
        });
    }
    group.bench_function(BenchmarkId::new("array_queue", 1), |b| {
        b.iter_custom(|times| array_queue_singles(times * RECORDS));
    });
    group.finish();
}

criterion_group!(benches, transfer);
criterion_main!(benches);
