use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::thread;

/// What both rings can do, so that one test asks both.
trait Both {
    fn claim(&mut self, slots: usize) -> Option<Claim<'_, u64>>;
    fn free(&mut self) -> usize;
    fn fill(&self) -> usize;
    fn readable(&mut self) -> usize;
    fn front(&mut self, slots: usize) -> Option<&[u64]>;
    fn release(&mut self, slots: usize);

    /// Sends one unit; says whether there was room.
    fn send(&mut self, unit: &[u64]) -> bool {
        let Some(mut claim) = self.claim(unit.len()) else {
            return false;
        };
        claim.copy_from_slice(unit);
        claim.commit(unit.len());
        true
    }

    fn receive(&mut self, slots: usize) -> Option<Vec<u64>> {
        let unit = self.front(slots)?.to_vec();
        self.release(slots);
        Some(unit)
    }
}

type Ends = (Producer<u64>, Consumer<u64>);

impl Both for Ends {
    fn claim(&mut self, slots: usize) -> Option<Claim<'_, u64>> {
        self.0.claim(slots)
    }
    fn free(&mut self) -> usize {
        self.0.free()
    }
    fn fill(&self) -> usize {
        self.0.fill()
    }
    fn readable(&mut self) -> usize {
        self.1.readable()
    }
    fn front(&mut self, slots: usize) -> Option<&[u64]> {
        self.1.front(slots)
    }
    fn release(&mut self, slots: usize) {
        self.1.release(slots);
    }
}

impl Both for LocalRing<u64> {
    fn claim(&mut self, slots: usize) -> Option<Claim<'_, u64>> {
        self.claim(slots)
    }
    fn free(&mut self) -> usize {
        LocalRing::free(self)
    }
    fn fill(&self) -> usize {
        LocalRing::fill(self)
    }
    fn readable(&mut self) -> usize {
        LocalRing::readable(self)
    }
    fn front(&mut self, slots: usize) -> Option<&[u64]> {
        LocalRing::front(self, slots)
    }
    fn release(&mut self, slots: usize) {
        self.release(slots);
    }
}

fn with_both(capacity: usize, claim_max: usize, test: impl Fn(&mut dyn Both)) {
    test(&mut ring::<u64>(capacity, claim_max));
    test(&mut LocalRing::<u64>::new(capacity, claim_max));
}

#[test]
fn an_empty_ring_gives_nothing_and_a_full_one_takes_nothing() {
    with_both(4, 2, |ring| {
        assert_eq!((ring.free(), ring.fill(), ring.readable()), (4, 0, 0));
        assert_eq!(ring.front(1), None);
        assert!(ring.send(&[1, 2]) && ring.send(&[3, 4]));
        assert_eq!((ring.free(), ring.fill()), (0, 4));
        assert!(!ring.send(&[5]));
        assert_eq!(ring.receive(2), Some(vec![1, 2]));
        assert_eq!(ring.free(), 2);
        assert!(ring.send(&[5]));
        assert_eq!(ring.receive(2), Some(vec![3, 4]));
        assert_eq!(ring.front(2), None);
        assert_eq!(ring.receive(1), Some(vec![5]));
        assert_eq!((ring.free(), ring.fill(), ring.readable()), (4, 0, 0));
    });
}

#[test]
fn a_claim_over_the_end_is_one_slice() {
    with_both(4, 3, |ring| {
        for round in 0..8 {
            let unit = [round, round + 100, round + 200];
            assert!(ring.send(&unit));
            assert_eq!(ring.receive(3).as_deref(), Some(&unit[..]));
        }
    });
}

#[test]
fn a_claim_may_be_as_long_as_the_ring() {
    for capacity in [1, 2, 8] {
        with_both(capacity, capacity, |ring| {
            assert!(ring.send(&[u64::MAX]));
            assert_eq!(ring.receive(1), Some(vec![u64::MAX]));
            for round in 0..5 {
                let unit: Vec<u64> = (round..round + capacity as u64).collect();
                assert!(ring.send(&unit) && !ring.send(&[0]));
                assert_eq!(ring.receive(capacity), Some(unit));
            }
        });
    }
}

#[test]
fn only_what_is_committed_happened() {
    with_both(8, 6, |ring| {
        ring.claim(6).unwrap().fill(1);
        assert_eq!((ring.readable(), ring.free()), (0, 8));
        let mut claim = ring.claim(6).unwrap();
        claim.fill(2);
        claim.commit(0);
        assert_eq!((ring.readable(), ring.free()), (0, 8));
        let mut claim = ring.claim(6).unwrap();
        claim.copy_from_slice(&[3, 4, 5, 6, 7, 8]);
        claim.commit(5);
        assert!(ring.send(&[9, 10, 11]));
        assert_eq!(ring.front(1), Some(&[3][..]), "the beginning of a unit");
        assert_eq!(ring.receive(5), Some(vec![3, 4, 5, 6, 7]));
        assert_eq!(ring.receive(3), Some(vec![9, 10, 11]));
        assert_eq!(ring.receive(1), None);
    });
}

#[test]
fn nothing_is_claimed_or_read_of_no_slots() {
    with_both(2, 1, |ring| {
        assert_eq!(ring.front(0), Some(&[][..]));
        assert!(ring.send(&[]) && ring.send(&[1]) && ring.send(&[2]) && ring.send(&[]));
        assert_eq!(ring.readable(), 2);
        ring.release(2);
        assert_eq!(ring.fill(), 0);
    });
}

#[test]
fn a_read_in_other_units_finds_older_data_and_nothing_worse() {
    with_both(4, 3, |ring| {
        assert!(ring.send(&[1, 2, 3]));
        assert_eq!(ring.receive(3), Some(vec![1, 2, 3]));
        assert!(ring.send(&[4, 5, 6]) && ring.send(&[7]));
        assert_eq!(ring.receive(2), Some(vec![4, 5]));
        let older = ring.receive(2).unwrap();
        assert!(older.iter().all(|slot| *slot <= 7), "{older:?}");
    });
}

#[test]
fn a_consumer_reads_on_when_the_producer_is_gone() {
    let (mut producer, mut consumer) = ring::<u64>(4, 2);
    assert!(!consumer.is_finished() && !producer.is_abandoned());
    producer.claim(2).unwrap().commit(2);
    assert!(!consumer.is_finished());
    drop(producer);
    assert!(!consumer.is_finished());
    consumer.release(2);
    assert!(consumer.is_finished() && consumer.is_finished());
    assert_eq!(consumer.readable(), 0);
}

#[test]
fn a_producer_learns_that_the_consumer_is_gone() {
    let (mut producer, consumer) = ring::<u64>(4, 2);
    producer.claim(2).unwrap().commit(2);
    drop(consumer);
    assert!(producer.is_abandoned());
    assert_eq!((producer.fill(), producer.free(), producer.capacity()), (2, 2, 4));
    producer.claim(2).unwrap().commit(1);
    assert_eq!(producer.fill(), 3);
}

#[test]
fn claims_of_both_rings_lie_side_by_side() {
    let (mut producer, mut consumer) = ring::<u64>(4, 2);
    let mut local = LocalRing::<u64>::new(4, 2);
    let claims: Vec<Claim<'_, u64>> =
        [producer.claim(2), local.claim(2)].into_iter().flatten().collect();
    for (at, mut claim) in claims.into_iter().enumerate() {
        claim[0] = at as u64;
        claim.commit(1);
    }
    assert_eq!(consumer.front(1), Some(&[0][..]));
    assert_eq!(local.front(1), Some(&[1][..]));
}

#[test]
#[should_panic = "power of two, not 3"]
fn a_capacity_that_no_mask_fits_is_refused() {
    ring::<u64>(3, 1);
}

#[test]
#[should_panic = "power of two, not 0"]
fn no_capacity_is_refused() {
    LocalRing::<u64>::new(0, 0);
}

#[test]
#[should_panic = "between 1 and its capacity of 4, not 0"]
fn no_claim_is_refused() {
    ring::<u64>(4, 0);
}

#[test]
#[should_panic = "between 1 and its capacity of 4, not 5"]
fn a_claim_longer_than_the_ring_is_refused() {
    LocalRing::<u64>::new(4, 5);
}

#[test]
#[should_panic = "3 slots are more than the ring's longest claim"]
fn a_claim_that_could_never_succeed_is_refused() {
    let _ = ring::<u64>(4, 2).0.claim(3);
}

#[test]
#[should_panic = "3 slots are more than the ring's longest claim"]
fn a_read_that_no_claim_could_have_brought_is_refused() {
    let _ = ring::<u64>(4, 2).1.front(3);
}

#[test]
#[should_panic = "2 slots of a claim of 1"]
fn more_than_was_claimed_is_not_committed() {
    ring::<u64>(4, 2).0.claim(1).unwrap().commit(2);
}

#[test]
#[should_panic = "2 slots released of 1"]
fn more_than_there_is_is_not_released() {
    let (mut producer, mut consumer) = ring::<u64>(4, 2);
    producer.claim(1).unwrap().commit(1);
    assert_eq!(consumer.readable(), 1);
    consumer.release(2);
}

#[test]
#[should_panic = "2 slots released of 1"]
fn more_than_there_is_is_not_released_by_its_owner() {
    let mut ring = LocalRing::<u64>::new(4, 2);
    ring.claim(1).unwrap().commit(1);
    ring.release(2);
}

/// What a test asks of a ring.
#[derive(Clone, Debug)]
enum Ask {
    /// Claim so many slots, write all, commit a part or drop the claim.
    Send { claimed: usize, used: Option<usize> },
    /// Look at the first slots of the next unit.
    Peek { slots: usize },
    /// Read a unit and release it.
    Receive,
    /// Release several units at once.
    Skip { units: usize },
}

fn asks(claim_max: usize) -> impl Strategy<Value = Vec<Ask>> {
    let send = (0..=claim_max)
        .prop_flat_map(|claimed| (Just(claimed), prop::option::weighted(0.9, 0..=claimed)))
        .prop_map(|(claimed, used)| Ask::Send { claimed, used });
    let ask = prop_oneof![
        5 => send,
        1 => (0..=claim_max).prop_map(|slots| Ask::Peek { slots }),
        3 => Just(Ask::Receive),
        1 => (1_usize..4).prop_map(|units| Ask::Skip { units }),
    ];
    prop::collection::vec(ask, 0..200)
}

/// The slow twin: a queue of units, and a number for the next slot.
struct Twin {
    capacity: usize,
    units: VecDeque<Vec<u64>>,
    next: u64,
}

impl Twin {
    fn fill(&self) -> usize {
        self.units.iter().map(Vec::len).sum()
    }

    fn ask(&mut self, ring: &mut dyn Both, ask: &Ask) {
        match *ask {
            Ask::Send { claimed, used } => self.send(ring, claimed, used),
            Ask::Peek { slots } => {
                let Some(unit) = self.units.front() else {
                    return assert_eq!(ring.front(slots).is_some(), slots == 0);
                };
                let slots = slots.min(unit.len());
                assert_eq!(ring.front(slots), Some(&unit[..slots]));
            }
            Ask::Receive => {
                if let Some(unit) = self.units.pop_front() {
                    assert!(ring.readable() >= unit.len());
                    assert_eq!(ring.receive(unit.len()), Some(unit));
                }
            }
            Ask::Skip { units } => {
                let units = units.min(self.units.len());
                let slots = self.units.drain(..units).map(|unit| unit.len()).sum();
                // Looks, if the ring does not yet know of so many.
                if ring.readable() >= slots {
                    ring.release(slots);
                } else {
                    let known = ring.readable();
                    ring.release(known);
                    assert!(ring.readable() >= slots - known);
                    ring.release(slots - known);
                }
            }
        }
        assert_eq!(ring.fill(), self.fill());
        assert_eq!(ring.readable() == 0, self.fill() == 0);
        assert!(ring.readable() <= self.fill());
    }

    fn send(&mut self, ring: &mut dyn Both, claimed: usize, used: Option<usize>) {
        let free = self.capacity - self.fill();
        let Some(mut claim) = ring.claim(claimed) else {
            assert!(claimed > free);
            return assert_eq!(ring.free(), free);
        };
        assert!(claimed <= free);
        assert_eq!(claim.len(), claimed);
        for slot in &mut *claim {
            *slot = self.next;
            self.next += 1;
        }
        if let Some(used) = used {
            let unit = claim[..used].to_vec();
            claim.commit(used);
            if used != 0 {
                self.units.push_back(unit);
            }
        }
    }
}

proptest! {
    #[test]
    fn a_ring_is_a_queue_of_units(
        (capacity, claim_max, asks) in (0_u32..6)
            .prop_flat_map(|bits| (Just(1_usize << bits), 1..=1_usize << bits))
            .prop_flat_map(|(capacity, longest)| (Just(capacity), Just(longest), asks(longest))),
    ) {
        with_both(capacity, claim_max, |ring| {
            let mut twin = Twin { capacity, units: VecDeque::new(), next: 1 };
            asks.iter().for_each(|ask| twin.ask(ring, ask));
        });
    }
}

/// Numbers that look random, the same on both sides.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

const HAMMERED_WORDS: usize = 1_000_000;

/// Sends frames `[length, number, random.., sum]` of random length until so many words are sent.
fn send_frames(mut producer: Producer<u64>, claim_max: usize) -> u64 {
    let (mut random, mut sent, mut number) = (Random(7), 0, 0);
    while sent < HAMMERED_WORDS {
        let length = 3 + random.next() as usize % (claim_max - 2);
        let mut claim = loop {
            // Claims more than it needs when there is room, as a writer of frames does.
            let wanted = if producer.free() < claim_max { length } else { claim_max };
            if let Some(claim) = producer.claim(wanted) {
                break claim;
            }
            thread::yield_now();
        };
        claim[0] = length as u64;
        claim[1] = number;
        claim[2..length - 1].fill_with(|| random.next());
        claim[length - 1] = claim[..length - 1].iter().fold(0, |sum, word| sum ^ word);
        claim.commit(length);
        sent += length;
        number += 1;
    }
    number
}

fn receive_frames(mut consumer: Consumer<u64>) -> u64 {
    let mut number = 0;
    while !consumer.is_finished() {
        if consumer.readable() == 0 {
            thread::yield_now();
            continue;
        }
        let length = consumer.front(1).unwrap()[0] as usize;
        let frame = consumer.front(length).expect("a frame is committed as one");
        assert_eq!(frame[1], number);
        assert_eq!(frame.iter().fold(0, |sum, word| sum ^ word), 0);
        consumer.release(length);
        number += 1;
    }
    number
}

#[test]
fn two_threads_pass_frames_whole_and_in_order() {
    for (capacity, claim_max) in [(256, 256), (1024, 37), (4096, 1000)] {
        let (producer, consumer) = ring(capacity, claim_max);
        let sender = thread::spawn(move || send_frames(producer, claim_max));
        let received = receive_frames(consumer);
        assert_eq!(sender.join().unwrap(), received);
    }
}
