//! The shard's side of its lanes: frames in place, lane by lane, in turn.

use crate::cpu::Bell;
use crate::frame::{Frame, HEADER_WORDS};
use crate::metrics::LaneMeter;
use crate::ring::{Consumer, LocalRing};
use crate::time::Watermark;
use std::sync::Arc;

/// Where a lane ends.
#[derive(Debug)]
pub enum LaneEnd {
    /// A ring from another core, and the bell that wakes that core when there is room again.
    Ring(Consumer<u64>, Bell),
    /// The lane shared with a source of the same core: its place among the core's local lanes.
    Local(usize),
}

#[derive(Debug)]
struct Lane {
    end: LaneEnd,
    meter: Arc<LaneMeter>,
}

/// The inbound lanes of one shard, one a source.
#[derive(Debug)]
pub struct Inbox {
    lanes: Vec<Lane>,
}

impl Inbox {
    /// Joins a shard to its lanes, in the order of the sources.
    pub fn new(ends: Vec<(LaneEnd, Arc<LaneMeter>)>) -> Self {
        Self { lanes: ends.into_iter().map(|(end, meter)| Lane { end, meter }).collect() }
    }

    /// How many lanes there are.
    pub fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// The oldest frame of a lane, in place, or `None`.
    #[inline]
    pub fn front<'a>(
        &'a mut self,
        lane: usize,
        locals: &'a mut [LocalRing<u64>],
    ) -> Option<Frame<'a>> {
        match &mut self.lanes[lane].end {
            LaneEnd::Ring(consumer, _) => {
                let words = Frame::words_of(consumer.front(HEADER_WORDS)?);
                consumer.front(words).map(Frame::trusted)
            }
            LaneEnd::Local(at) => {
                let ring = &mut locals[*at];
                let words = Frame::words_of(ring.front(HEADER_WORDS)?);
                ring.front(words).map(Frame::trusted)
            }
        }
    }

    /// Gives the oldest frame's memory back to the source. Its rows stood for so many records.
    #[inline]
    pub fn release(
        &mut self,
        lane: usize,
        words: usize,
        records: u64,
        locals: &mut [LocalRing<u64>],
    ) {
        let lane = &mut self.lanes[lane];
        lane.meter.received.add(records);
        lane.meter.taken_bytes.add(words as u64 * 8);
        match &mut lane.end {
            LaneEnd::Ring(consumer, bell) => {
                consumer.release(words);
                bell.ring();
            }
            LaneEnd::Local(at) => locals[*at].release(words),
        }
    }

    /// Says that it is written down for good where a lane's source stood, behind so many of its
    /// records, and wakes the source's core.
    pub fn note_kept(&self, lane: usize, records: u64) {
        let lane = &self.lanes[lane];
        lane.meter.kept.set(records);
        if let LaneEnd::Ring(_, bell) = &lane.end {
            bell.ring();
        }
    }

    /// Counts records of a lane that were taken in an earlier run.
    pub fn note_earlier(&self, lane: usize, records: u64) {
        self.lanes[lane].meter.received.add(records);
    }

    /// Says how many records of a lane there are from earlier runs.
    pub fn note_known(&self, lane: usize, records: u64) {
        self.lanes[lane].meter.known.set(records);
    }

    /// How many records each lane has brought, earlier runs counted in.
    pub fn received(&self) -> impl Iterator<Item = u64> {
        self.lanes.iter().map(|lane| lane.meter.received.get())
    }

    /// Says where a lane stands: its watermark, and whether it is idle.
    #[inline]
    pub fn note(&self, lane: usize, watermark: Watermark, idle: bool) {
        let meter = &self.lanes[lane].meter;
        meter.watermark.set(watermark.to_raw());
        meter.idle.set(u64::from(idle));
    }

    /// Whether the source of a lane went away without saying that it was done.
    pub fn is_abandoned(&mut self, lane: usize) -> bool {
        match &mut self.lanes[lane].end {
            LaneEnd::Ring(consumer, _) => consumer.is_finished(),
            LaneEnd::Local(_) => false,
        }
    }
}
