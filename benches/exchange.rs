//! What it costs to bring rows from a source to the shards that own their keys: the router, its
//! lanes and the inboxes of two shards, one on the source's own core and one behind a ring. Beside
//! it the naive twins: rows copied into one vector a shard, and batches of them through a channel.
//!
//! Every run checks that all rows arrived at the shard of their key, whole and in order.

use bytemuck::bytes_of;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use crossbeam::channel;
use std::hint::spin_loop;
use std::sync::Arc;
use std::thread;
use tidewheel::Watermark;
use tidewheel::cpu::Bell;
use tidewheel::exchange::{
    FRAME_WORDS_MAX, Inbox, LaneEnd, LaneStart, Router, Routing, lane_words,
};
use tidewheel::frame::{Extras, FrameKind, Stamp};
use tidewheel::limits::BATCH_RECORDS_MAX;
use tidewheel::metrics::MeterBoard;
use tidewheel::record::{RouteHasher, Schema, Typed};
use tidewheel::ring::{LocalRing, ring};
use tidewheel::source::{GeneratedRecord, Workload};

const SHARDS: u16 = 2;
const RECORDS: u64 = 1 << 20;
const KEYS: u32 = 10_000;
/// Batches that may wait in a channel: about what a lane's ring holds.
const CHANNEL_BATCHES: usize = 8;

/// What a shard makes of its rows: a touch of every field, and proof that they came in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Check {
    rows: u64,
    keys: u64,
    sum: i64,
    order: i64,
}

impl Check {
    #[inline(always)]
    fn take(&mut self, record: &GeneratedRecord) {
        self.rows += 1;
        self.keys += u64::from(record.key);
        self.sum = self.sum.wrapping_add(record.value ^ record.millis);
        self.order = self.order.wrapping_mul(31).wrapping_add(record.value);
    }
}

type Checks = [Check; SHARDS as usize];

#[inline(always)]
fn shard_of(hasher: RouteHasher, record: &GeneratedRecord) -> usize {
    hasher.hash(bytes_of(&record.key)).shard(SHARDS).index()
}

/// What must arrive where.
fn expected(records: &[GeneratedRecord]) -> Checks {
    let mut checks = Checks::default();
    for record in records {
        checks[shard_of(RouteHasher::default(), record)].take(record);
    }
    checks
}

/// The lanes of one source: the first shard's is local.
fn lanes() -> (Router, LocalRing<u64>, [Inbox; SHARDS as usize]) {
    let board = MeterBoard::new(vec!["records".into()], SHARDS.into());
    let words = lane_words(SHARDS.into());
    let (producer, consumer) = ring(words, FRAME_WORDS_MAX);
    let (near, far) = (board.lane(0, 0), board.lane(0, 1));
    let bells = [Bell::new(), Bell::new()];
    let starts = vec![
        (LaneStart::Local, Arc::clone(&near)),
        (LaneStart::Ring(producer, bells[1].clone()), Arc::clone(&far)),
    ];
    let routing = Routing { partition: 0, hasher: RouteHasher::default(), extras: Extras::NONE };
    let inboxes = [
        Inbox::new(vec![(LaneEnd::Local(0), near)]),
        Inbox::new(vec![(LaneEnd::Ring(consumer, bells[0].clone()), far)]),
    ];
    (Router::new(routing, starts), LocalRing::new(words, FRAME_WORDS_MAX), inboxes)
}

/// Takes all frames that are there. Says whether the end was among them.
#[inline]
fn drain(inbox: &mut Inbox, locals: &mut [LocalRing<u64>], check: &mut Check) -> bool {
    let schema = Typed::<GeneratedRecord>::new();
    while let Some(frame) = inbox.front(0, locals) {
        let (words, header) = (frame.words().len(), frame.header());
        let (rows, kind) = (header.count, header.kind());
        for row in frame.rows().chunks_exact(schema.stride_words()) {
            check.take(schema.view(row));
        }
        inbox.release(0, words, rows, locals);
        if kind == Some(FrameKind::End) {
            return true;
        }
    }
    false
}

/// Routes all records; `drained` is called when there may be something to take, and when there is
/// no room.
fn route(
    router: &mut Router,
    local: &mut LocalRing<u64>,
    records: &[GeneratedRecord],
    mut drained: impl FnMut(&mut LocalRing<u64>),
) {
    let schema = Typed::<GeneratedRecord>::new();
    for batch in records.chunks(BATCH_RECORDS_MAX) {
        let mut next = 0;
        while next < batch.len() {
            let stride = schema.stride_words();
            let Some(mut round) = router.open(Some(&mut *local), Watermark::START, stride) else {
                drained(local);
                spin_loop();
                continue;
            };
            while next < batch.len() && round.push(&schema, &batch[next], &[], Stamp::default()) {
                next += 1;
            }
            round.close(Watermark::START, false, 0);
            drained(local);
        }
    }
    while !router.control(Some(&mut *local), FrameKind::End, Watermark::END, 0) {
        drained(local);
        thread::yield_now();
    }
    drained(local);
}

fn ours_on_one_thread(records: &[GeneratedRecord]) -> Checks {
    let (mut router, mut local, [mut near, mut far]) = lanes();
    let mut checks = Checks::default();
    route(&mut router, &mut local, records, |local| {
        drain(&mut near, std::slice::from_mut(local), &mut checks[0]);
        drain(&mut far, &mut [], &mut checks[1]);
    });
    checks
}

fn ours_on_two_threads(records: &[GeneratedRecord]) -> Checks {
    let (mut router, mut local, [mut near, mut far]) = lanes();
    let mut check = Check::default();
    let far = thread::scope(|scope| {
        let shard = scope.spawn(|| {
            pin(1);
            let mut check = Check::default();
            while !drain(&mut far, &mut [], &mut check) {
                wait();
            }
            check
        });
        pin(0);
        route(&mut router, &mut local, records, |local| {
            drain(&mut near, std::slice::from_mut(local), &mut check);
        });
        shard.join().expect("the shard ends well")
    });
    [check, far]
}

/// Spins for a moment, then lets others run: the peer may wait for this very core.
fn wait() {
    (0..100).for_each(|_| spin_loop());
    thread::yield_now();
}

/// Keeps this thread on the core of that number among those that this process may use.
#[cfg(target_os = "linux")]
fn pin(number: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let allowed = sched_getaffinity(None).expect("a thread may ask for its cores");
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
    if cores.len() < 2 {
        return;
    }
    let mut only = CpuSet::new();
    only.set(cores[number % cores.len()]);
    sched_setaffinity(None, &only).expect("a thread may stay on a core that it may use");
}

/// The other systems place threads as they like.
#[cfg(not(target_os = "linux"))]
fn pin(_number: usize) {}

/// The plainest twin: rows copied into one vector a shard, read on the same thread.
fn vectors(records: &[GeneratedRecord]) -> Checks {
    let hasher = RouteHasher::default();
    let mut shards = [const { Vec::<GeneratedRecord>::new() }; SHARDS as usize];
    let mut checks = Checks::default();
    for batch in records.chunks(BATCH_RECORDS_MAX) {
        for record in batch {
            shards[shard_of(hasher, record)].push(*record);
        }
        for (rows, check) in shards.iter_mut().zip(&mut checks) {
            rows.iter().for_each(|record| check.take(record));
            rows.clear();
        }
    }
    checks
}

/// Partitions a batch into a new vector a shard.
fn partition(batch: &[GeneratedRecord]) -> [Vec<GeneratedRecord>; SHARDS as usize] {
    let mut shards = [(); SHARDS as usize].map(|()| Vec::with_capacity(BATCH_RECORDS_MAX));
    for record in batch {
        shards[shard_of(RouteHasher::default(), record)].push(*record);
    }
    shards
}

/// Batches through a channel, taken on the same thread.
fn channel_on_one_thread(records: &[GeneratedRecord]) -> Checks {
    let (sender, receiver) = channel::bounded::<Vec<GeneratedRecord>>(CHANNEL_BATCHES);
    let mut checks = Checks::default();
    for batch in records.chunks(BATCH_RECORDS_MAX) {
        let [near, far] = partition(batch);
        sender.send(far).expect("there is room");
        near.iter().for_each(|record| checks[0].take(record));
        let far = receiver.recv().expect("it was sent");
        far.iter().for_each(|record| checks[1].take(record));
    }
    checks
}

/// Batches through a channel to another thread.
fn channel_on_two_threads(records: &[GeneratedRecord]) -> Checks {
    let (sender, receiver) = channel::bounded::<Vec<GeneratedRecord>>(CHANNEL_BATCHES);
    let mut check = Check::default();
    let far = thread::scope(|scope| {
        let shard = scope.spawn(move || {
            pin(1);
            let mut check = Check::default();
            for batch in receiver {
                batch.iter().for_each(|record| check.take(record));
            }
            check
        });
        pin(0);
        for batch in records.chunks(BATCH_RECORDS_MAX) {
            let [near, far] = partition(batch);
            sender.send(far).expect("the shard is there");
            near.iter().for_each(|record| check.take(record));
        }
        drop(sender);
        shard.join().expect("the shard ends well")
    });
    [check, far]
}

fn exchange(criterion: &mut Criterion) {
    type Path = fn(&[GeneratedRecord]) -> Checks;
    let one: [(&str, Path); 3] = [
        ("tidewheel", ours_on_one_thread),
        ("vectors", vectors),
        ("channel", channel_on_one_thread),
    ];
    let two: [(&str, Path); 2] =
        [("tidewheel", ours_on_two_threads), ("channel", channel_on_two_threads)];
    let records = Workload::uniform(KEYS, RECORDS).generate();
    let expected = expected(&records);
    for (name, paths) in [("one thread", one.as_slice()), ("two threads", two.as_slice())] {
        let mut group = criterion.benchmark_group(format!("exchange on {name}"));
        group.throughput(Throughput::Elements(RECORDS));
        for (path, run) in paths {
            group.bench_function(BenchmarkId::from_parameter(path), |bencher| {
                // A thread of its own, so that the pinning ends with it.
                thread::scope(|scope| {
                    let measured = scope.spawn(|| {
                        bencher.iter(|| assert_eq!(run(&records), expected));
                    });
                    measured.join().expect("the answer is right");
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, exchange);
criterion_main!(benches);
