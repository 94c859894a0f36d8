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
use tidewheel::cpu::{Bell, IdlePolicy, IdleState, IdleStep};
use tidewheel::exchange::{Inbox, LaneEnd, LaneSize, LaneStart, Router, Routing};
use tidewheel::frame::{Extras, FrameKind, Stamp};
use tidewheel::limits::BATCH_RECORDS_MAX;
use tidewheel::metrics::{LaneMeter, MeterBoard};
use tidewheel::record::{RouteHasher, Schema, Typed};
use tidewheel::ring::{LocalRing, ring};
use tidewheel::source::{GeneratedRecord, Workload};
use tidewheel::{Progress, Watermark};

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

/// A source in the middle of its records.
struct Start<'r> {
    router: Router,
    rest: &'r [GeneratedRecord],
    ended: bool,
}

impl Start<'_> {
    /// Routes a batch of records, or the end.
    fn step(&mut self, local: &mut LocalRing<u64>) -> Progress {
        if self.ended {
            return Progress::Finished;
        }
        if self.rest.is_empty() {
            self.ended = self.router.control(Some(local), FrameKind::End, Watermark::END, 0);
            return if self.ended { Progress::Worked } else { Progress::Blocked };
        }
        let schema = Typed::<GeneratedRecord>::new();
        let stride = schema.stride_words();
        let Some(mut round) = self.router.open(Some(local), Watermark::START, stride) else {
            return Progress::Blocked;
        };
        let batch = &self.rest[..self.rest.len().min(BATCH_RECORDS_MAX)];
        let mut next = 0;
        while next < batch.len() && round.push(&schema, &batch[next], &[], Stamp::default()) {
            next += 1;
        }
        round.close(Watermark::START, false, 0);
        self.rest = &self.rest[next..];
        Progress::Worked
    }
}

/// A shard's end of its one lane, and what has come.
struct End {
    inbox: Inbox,
    check: Check,
    ended: bool,
}

impl End {
    fn of(end: LaneEnd, meter: Arc<LaneMeter>) -> Self {
        Self { inbox: Inbox::new(vec![(end, meter)]), check: Check::default(), ended: false }
    }

    /// Takes all frames that are there.
    fn step(&mut self, locals: &mut [LocalRing<u64>]) -> Progress {
        if self.ended {
            return Progress::Finished;
        }
        let schema = Typed::<GeneratedRecord>::new();
        let mut progress = Progress::Idle;
        while let Some(frame) = self.inbox.front(0, locals) {
            let (words, header) = (frame.words().len(), frame.header());
            let rows = header.count;
            self.ended = header.kind() == Some(FrameKind::End);
            for row in frame.rows().chunks_exact(schema.stride_words()) {
                self.check.take(schema.view(row));
            }
            self.inbox.release(0, words, u64::from(rows), locals);
            progress = Progress::Worked;
        }
        progress
    }
}

/// One source, its local lane and its lane to another core, and the bells of the two cores.
struct Corridor<'r> {
    start: Start<'r>,
    local: LocalRing<u64>,
    near: End,
    far: End,
    bells: [Bell; SHARDS as usize],
}

fn corridor(records: &[GeneratedRecord]) -> Corridor<'_> {
    let board = MeterBoard::new(vec!["records".into()], SHARDS.into());
    let LaneSize { ring_words, frame_words } = LaneSize::LARGEST;
    let (producer, consumer) = ring(ring_words, frame_words);
    let (near, far) = (board.lane(0, 0), board.lane(0, 1));
    let bells = [Bell::new(), Bell::new()];
    let starts = vec![
        (LaneStart::Local, Arc::clone(&near)),
        (LaneStart::Ring(producer, bells[1].clone()), Arc::clone(&far)),
    ];
    let (hasher, extras) = (RouteHasher::default(), Extras::NONE);
    let routing = Routing { partition: 0, hasher, extras, frame_words };
    Corridor {
        start: Start { router: Router::new(routing, starts), rest: records, ended: false },
        local: LocalRing::new(ring_words, frame_words),
        near: End::of(LaneEnd::Local(0), near),
        far: End::of(LaneEnd::Ring(consumer, bells[0].clone()), far),
        bells,
    }
}

fn ours_on_one_thread(records: &[GeneratedRecord]) -> Checks {
    let Corridor { mut start, mut local, mut near, mut far, .. } = corridor(records);
    let mut all = Progress::Worked;
    while all != Progress::Finished {
        let locals = std::slice::from_mut(&mut local);
        all = start.step(&mut locals[0]).and(near.step(locals)).and(far.step(&mut []));
    }
    [near.check, far.check]
}

fn ours_on_two_threads(records: &[GeneratedRecord]) -> Checks {
    let Corridor { mut start, mut local, mut near, mut far, bells } = corridor(records);
    thread::scope(|scope| {
        scope.spawn(|| {
            pin(1);
            run(&bells[1], || far.step(&mut []));
        });
        pin(0);
        run(&bells[0], || {
            let locals = std::slice::from_mut(&mut local);
            start.step(&mut locals[0]).and(near.step(locals))
        });
    });
    [near.check, far.check]
}

/// Steps until all is done, and waits as the engine's threads do.
fn run(bell: &Bell, mut step: impl FnMut() -> Progress) {
    let mut listener = bell.listen().expect("one thread listens");
    let mut idle = IdleState::new(IdlePolicy::Backoff, 1);
    loop {
        match step() {
            Progress::Finished => return,
            Progress::Worked => {
                idle.reset();
                continue;
            }
            Progress::Idle | Progress::Blocked => {}
        }
        match idle.next_step() {
            IdleStep::Spin => spin_loop(),
            IdleStep::Park(timeout) => {
                let nap = listener.prepare();
                match step() {
                    Progress::Finished => return,
                    Progress::Worked => idle.reset(),
                    Progress::Idle | Progress::Blocked => {
                        nap.sleep(timeout);
                    }
                }
            }
        }
    }
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
