//! Every interleaving of small rings. Run with
//! `RUSTFLAGS="--cfg loom" cargo test --no-default-features --lib ring::loom`.

use super::slots::Slots;
use super::*;
use ::loom::{model, thread};

/// Sends units of these lengths, slots numbered from 1; stops when the consumer is gone.
fn send(producer: &mut Producer<u64>, units: &[usize]) -> usize {
    let mut next = 1;
    for (sent, &length) in units.iter().enumerate() {
        let mut claim = loop {
            if producer.is_abandoned() {
                return sent;
            }
            if let Some(claim) = producer.claim(length) {
                break claim;
            }
            thread::yield_now();
        };
        for slot in &mut *claim {
            *slot = next;
            next += 1;
        }
        claim.commit(length);
    }
    units.len()
}

/// Receives units of these lengths and checks their slots.
fn receive(consumer: &mut Consumer<u64>, units: &[usize]) {
    let mut next = 1;
    for &length in units {
        while consumer.front(length).is_none() {
            thread::yield_now();
        }
        for &slot in consumer.front(length).expect("what was there stays") {
            assert_eq!(slot, next);
            next += 1;
        }
        consumer.release(length);
    }
}

fn hand_over(capacity: usize, claim_max: usize, units: &'static [usize]) {
    model(move || {
        let (mut producer, mut consumer) = ring(capacity, claim_max);
        let sender = thread::spawn(move || {
            assert_eq!(send(&mut producer, units), units.len());
            producer
        });
        receive(&mut consumer, units);
        let producer = sender.join().unwrap();
        assert_eq!(producer.fill(), 0);
    });
}

#[test]
fn one_slot_goes_back_and_forth() {
    hand_over(1, 1, &[1, 1, 1]);
}

#[test]
fn two_slots_fill_and_wrap() {
    hand_over(2, 1, &[1, 1, 1]);
}

#[test]
fn a_claim_runs_into_the_overflow() {
    // Slots 1 and 2 of the second unit lie at index 1 and in the overflow; the third unit follows
    // at index 1.
    hand_over(2, 2, &[1, 2, 1]);
}

#[test]
fn a_claim_as_long_as_the_ring_waits_for_all_of_it() {
    hand_over(2, 2, &[2, 2]);
}

#[test]
fn a_longer_ring_overflows_too() {
    hand_over(4, 3, &[3, 2, 2]);
}

#[test]
fn a_dropped_claim_hands_nothing_over() {
    model(|| {
        let (mut producer, mut consumer) = ring(2, 2);
        let sender = thread::spawn(move || {
            producer.claim(2).expect("the ring is empty").fill(9);
            let mut claim = producer.claim(2).expect("nothing happened yet");
            claim.fill(1);
            claim.commit(1);
        });
        receive(&mut consumer, &[1]);
        sender.join().unwrap();
        assert_eq!(consumer.readable(), 0);
    });
}

#[test]
fn a_consumer_finishes_with_all_that_was_committed() {
    model(|| {
        let (mut producer, mut consumer) = ring(2, 1);
        let sender = thread::spawn(move || send(&mut producer, &[1, 1]));
        let mut sum = 0;
        while !consumer.is_finished() {
            match consumer.front(1) {
                Some(unit) => {
                    sum += unit[0];
                    consumer.release(1);
                }
                None => thread::yield_now(),
            }
        }
        assert_eq!(sum, 1 + 2);
        sender.join().unwrap();
    });
}

#[test]
fn a_producer_stops_when_the_consumer_is_gone() {
    model(|| {
        let (mut producer, mut consumer) = ring(1, 1);
        let receiver = thread::spawn(move || receive(&mut consumer, &[1]));
        let sent = send(&mut producer, &[1, 1, 1]);
        assert!((1..=2).contains(&sent), "one was read, one may be in flight");
        receiver.join().unwrap();
        assert!(producer.is_abandoned());
    });
}

#[test]
fn a_read_in_other_units_races_with_nothing() {
    model(|| {
        let (mut producer, mut consumer) = ring(4, 2);
        let sender = thread::spawn(move || send(&mut producer, &[1, 2, 2]));
        // The last slot was written to the overflow and is looked for at index 0. What a read finds
        // may be older, and is initialised.
        for slots in [2, 2, 1] {
            while consumer.front(slots).is_none() {
                thread::yield_now();
            }
            let found = consumer.front(slots).expect("what was there stays");
            assert!(found.iter().all(|slot| (0..=5).contains(slot)));
            consumer.release(slots);
        }
        assert_eq!(sender.join().unwrap(), 3);
    });
}

/// The models above mean something only if an overlap is seen.
#[test]
#[should_panic = "Causality violation"]
fn an_overlap_is_seen() {
    model(|| {
        let slots = Arc::new(Slots::<u64>::new(2, 2));
        let theirs = Arc::clone(&slots);
        let writer = thread::spawn(move || drop(theirs.writing(0, 1)));
        drop(slots.reading(2, 1));
        writer.join().unwrap();
    });
}
