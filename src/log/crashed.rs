//! Losses of power, played by the ten thousand: whatever a disk kept of what was not synced, what
//! was synced is there, and nothing is there that was not written.

use super::backing::Backing;
use super::tests::{SHARD, frame, read, start};
use super::*;
use crate::frame::{Frame, FrameKind};
use crossbeam::channel::{Receiver, unbounded};
use std::collections::VecDeque;
use std::sync::Arc;

/// Numbers that follow from a seed (Steele et al., "Fast Splittable Pseudorandom Number
/// Generators", OOPSLA 2014).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Coins that are mostly heads, mostly tails or even.
    fn coins(&mut self) -> impl FnMut() -> bool {
        let mut coins = Self(self.next());
        let heads = [1, 4, 7][coins.below(3) as usize];
        move || coins.below(8) < heads
    }
}

/// A log that was cut off again and again.
struct History {
    files: CrashingFiles,
    /// All that it holds.
    entries: Vec<Vec<u64>>,
    /// How many of these are synced.
    synced: usize,
    /// What the writer asked for.
    requests: Receiver<SegmentRequest<CrashingFiles>>,
}

impl History {
    fn new() -> Self {
        let (files, requests) = (CrashingFiles::new(), crossbeam::channel::never());
        Self { files, entries: Vec::new(), synced: 0, requests }
    }

    /// A run that goes on where the log ends, in a segment that is full soon.
    fn begin(&mut self) -> LogWriter<CrashingFiles> {
        let backing = Arc::new(self.files.clone());
        let (_, end) = read(&backing).unwrap();
        for name in end.beyond.iter().rev() {
            backing.remove(*name).unwrap();
        }
        for (name, _) in &end.segments {
            backing.open(*name).unwrap().syncer().sync().unwrap();
        }
        backing.sync_names().unwrap();
        let number = end.last.map_or(0, |last| last.number + 1);
        let start = start(number, end.next.0, Guarantee::Disk);
        let segment = backing.create(SegmentName { shard: SHARD, number }, 1 << 10).unwrap();
        let ready = VecDeque::from([(start.segment, segment)]);
        let before = end.segments.iter().copied();
        let mut writer = LogWriter::begin(backing, start, before, ready).unwrap();
        let (sender, requests) = unbounded();
        writer.help_with(move |request| sender.send(request).unwrap());
        self.requests = requests;
        writer
    }

    fn append(&mut self, writer: &mut LogWriter<CrashingFiles>, words: u64) {
        let frame = frame(FrameKind::Records, self.entries.len() as u64, words as usize);
        writer.append(Frame::trusted(&frame)).unwrap();
        self.entries.push(frame);
    }

    fn sync(&mut self, writer: &mut LogWriter<CrashingFiles>, marks: bool) {
        let covers = writer.sync_point().sync().unwrap();
        self.synced = covers.0 as usize;
        if marks {
            writer.mark_synced(covers).unwrap();
            self.entries.push(frame(FrameKind::Synced, covers.0, 0));
        }
    }

    /// What one loss of power leaves; it is checked.
    fn crash(&self, numbers: &mut Numbers) -> (CrashingFiles, usize) {
        let left = self.files.crash(numbers.coins());
        let (found, _) = read(&Arc::new(left.clone())).unwrap();
        assert!(found.len() >= self.synced, "{} of {}", found.len(), self.synced);
        assert_eq!(found[..], self.entries[..found.len()]);
        (left, found.len())
    }
}

/// Plays at least so many losses of power; says how many it were.
fn play(states: usize, seed: u64) -> usize {
    let mut numbers = Numbers(seed);
    let mut played = 0;
    while played < states {
        let mut history = History::new();
        for _ in 0..4 {
            let mut writer = history.begin();
            // What was read is made durable before anything follows from it.
            history.synced = history.entries.len();
            for _ in 0..4 + numbers.below(8) {
                if numbers.below(2) == 0 {
                    history.requests.try_iter().for_each(|request| request.fulfil(true));
                }
                match numbers.below(8) {
                    0 | 1 => history.sync(&mut writer, true),
                    2 => history.sync(&mut writer, false),
                    _ => history.append(&mut writer, numbers.below(60)),
                }
            }
            let last = (0..25).map(|_| history.crash(&mut numbers)).last();
            played += 25;
            if let Some((files, found)) = last {
                history.files = files;
                history.entries.truncate(found);
            }
        }
    }
    played
}

#[test]
fn a_hundred_thousand_losses_of_power_take_nothing_that_was_synced() {
    assert!(play(100_000, 1) >= 100_000);
}

/// To be run by hand, in release.
#[test]
#[ignore = "takes minutes"]
fn ten_million_losses_of_power_take_nothing_that_was_synced() {
    let threads = (0..2).map(|seed| std::thread::spawn(move || play(5_000_000, 2 + seed)));
    let played: Vec<_> = threads.collect::<Vec<_>>().into_iter().map(|it| it.join()).collect();
    assert!(played.into_iter().all(|played| played.is_ok_and(|played| played >= 5_000_000)));
}
