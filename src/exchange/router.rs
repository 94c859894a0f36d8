//! Routing: from a row's key to the lane of the shard that owns it, rows written in place.

use crate::cpu::Bell;
use crate::frame::{Extras, FrameHeader, FrameKind, FrameWriter, Stamp, Tail};
use crate::metrics::LaneMeter;
use crate::record::{KeyKind, RouteHasher, Schema};
use crate::ring::{Claim, LocalRing, Producer};
use crate::time::Watermark;
use std::sync::Arc;

/// Where a lane starts.
#[derive(Debug)]
pub enum LaneStart {
    /// A ring to another core, and the bell that wakes that core.
    Ring(Producer<u64>, Bell),
    /// The lane that the source and the shard of one core share.
    Local,
}

#[derive(Debug)]
struct Lane {
    start: LaneStart,
    tail: Tail,
    rows: u64,
    meter: Arc<LaneMeter>,
}

/// How the rows of one source are routed.
#[derive(Clone, Copy, Debug)]
pub struct Routing {
    /// The source's partition.
    pub partition: u16,
    /// The routing hash.
    pub hasher: RouteHasher,
    /// The optional columns that the operators need.
    pub extras: Extras,
    /// Words of the longest frame in a lane.
    pub frame_words: usize,
}

/// The starting ends of one source's lanes, one a shard.
#[derive(Debug)]
pub struct Router {
    routing: Routing,
    lanes: Vec<Lane>,
    open: Vec<OpenLane<'static>>,
}

#[derive(Debug)]
struct OpenLane<'r> {
    writer: FrameWriter<'r, Claim<'r, u64>>,
    rows: &'r mut u64,
    /// Records that the rows stand for.
    records: u64,
    bell: Option<&'r Bell>,
    meter: &'r LaneMeter,
}

/// One claim in every lane, being filled. Dropped without [`Round::close`], it never happened.
#[derive(Debug)]
pub struct Round<'r> {
    hasher: RouteHasher,
    shards: u16,
    lanes: Vec<OpenLane<'r>>,
    spare: &'r mut Vec<OpenLane<'static>>,
}

impl Router {
    /// Joins a source to its lanes, in the order of the shards.
    pub fn new(routing: Routing, starts: Vec<(LaneStart, Arc<LaneMeter>)>) -> Self {
        let lane = |(start, meter)| Lane { start, tail: Tail::default(), rows: 0, meter };
        Self { routing, lanes: starts.into_iter().map(lane).collect(), open: Vec::new() }
    }

    /// Opens a round of records: `stride` words a row, to be judged by `watermark`. `None` when a
    /// lane is full; nothing has happened then.
    #[inline]
    pub fn open<'r>(
        &'r mut self,
        local: Option<&'r mut LocalRing<u64>>,
        watermark: Watermark,
        stride: usize,
    ) -> Option<Round<'r>> {
        let header = FrameHeader::new(FrameKind::Records, watermark);
        self.open_with(local, header, stride, self.routing.extras)
    }

    /// Opens a round of partials, in the same way.
    pub fn open_partials<'r>(
        &'r mut self,
        local: Option<&'r mut LocalRing<u64>>,
        watermark: Watermark,
        stride: usize,
    ) -> Option<Round<'r>> {
        let header = FrameHeader::new(FrameKind::Partials, watermark);
        self.open_with(local, header, stride, Extras::NONE)
    }

    fn open_with<'r>(
        &'r mut self,
        mut local: Option<&'r mut LocalRing<u64>>,
        mut header: FrameHeader,
        stride: usize,
        extras: Extras,
    ) -> Option<Round<'r>> {
        let Routing { partition, frame_words, .. } = self.routing;
        header.partition = partition;
        let mut lanes: Vec<OpenLane<'r>> = reuse(std::mem::take(&mut self.open));
        for lane in &mut self.lanes {
            let (claim, bell) = match &mut lane.start {
                LaneStart::Ring(producer, bell) => (producer.claim(frame_words), Some(&*bell)),
                LaneStart::Local => {
                    let ring = local.take().expect("a source shares one lane with its core");
                    (ring.claim(frame_words), None)
                }
            };
            let Some(claim) = claim else {
                self.open = reuse(lanes);
                return None;
            };
            header.lane_sequence = lane.rows;
            let writer = FrameWriter::begin(claim, &mut lane.tail, header, stride, extras);
            let (rows, meter) = (&mut lane.rows, &*lane.meter);
            lanes.push(OpenLane { writer, rows, records: 0, bell, meter });
        }
        let shards = u16::try_from(lanes.len()).expect("shards are counted in 16 bits");
        Some(Round { hasher: self.routing.hasher, shards, lanes, spare: &mut self.open })
    }

    /// Sends a frame without rows down every lane. `false` when a lane is full; nothing has been
    /// sent then.
    pub fn control(
        &mut self,
        local: Option<&mut LocalRing<u64>>,
        kind: FrameKind,
        watermark: Watermark,
        stamp: u64,
    ) -> bool {
        match self.open(local, watermark, 0) {
            Some(round) => {
                round.finish(Some(kind), watermark, stamp);
                true
            }
            None => false,
        }
    }

    /// Rows that each lane has been sent.
    pub fn lane_rows(&self) -> impl Iterator<Item = u64> {
        self.lanes.iter().map(|lane| lane.rows)
    }

    /// What says how many records of the source all shards have written down for good.
    pub fn kept(&self) -> Arc<dyn Fn() -> u64 + Send + Sync> {
        let meters: Vec<_> = self.lanes.iter().map(|lane| Arc::clone(&lane.meter)).collect();
        Arc::new(move || meters.iter().map(|meter| meter.kept.get()).min().unwrap_or(0))
    }

    /// Goes on where each lane had been sent so many rows.
    pub fn resume(&mut self, lane_rows: &[u64]) {
        for (lane, rows) in self.lanes.iter_mut().zip(lane_rows) {
            lane.rows = *rows;
            lane.meter.routed.set(*rows);
        }
    }

    /// Sends every lane where the source stands: one row, which is none of the lane's. `false`
    /// when a lane is full; nothing has been sent then.
    pub fn position(
        &mut self,
        local: Option<&mut LocalRing<u64>>,
        watermark: Watermark,
        row: &[u64],
    ) -> bool {
        let header = FrameHeader::new(FrameKind::Position, watermark);
        let Some(round) = self.open_with(local, header, row.len(), Extras::NONE) else {
            return false;
        };
        let Round { mut lanes, spare, .. } = round;
        for OpenLane { mut writer, bell, meter, .. } in lanes.drain(..) {
            writer.push_with(|words, _| words.copy_from_slice(row));
            let (claim, _, words) = writer.finish(watermark, 0);
            meter.sent_bytes.add(words as u64 * 8);
            claim.commit(words);
            bell.inspect(|bell| bell.ring());
        }
        *spare = reuse(lanes);
        true
    }

    /// Whether a shard has gone: its end of the lane is dropped.
    pub fn is_abandoned(&self) -> bool {
        self.lanes.iter().any(|lane| match &lane.start {
            LaneStart::Ring(producer, _) => producer.is_abandoned(),
            LaneStart::Local => false,
        })
    }
}

/// An empty vector of another lifetime in the same memory.
fn reuse<'b>(mut lanes: Vec<OpenLane<'_>>) -> Vec<OpenLane<'b>> {
    lanes.clear();
    lanes.into_iter().map(|_| unreachable!("the vector is empty")).collect()
}

impl Round<'_> {
    /// Lays a row into the lane of its key's shard. `false` when that lane's claim has no room:
    /// close the round and open another.
    #[inline(always)]
    pub fn push<S: Schema>(&mut self, schema: &S, row: &S::Row, heap: &[u8], stamp: Stamp) -> bool {
        let shard = self.shard_of::<S::Key>(schema.key(row, heap));
        let writer = &mut self.lanes[shard].writer;
        let has_room = match S::HAS_TAIL {
            true => writer.has_room(schema.tail_bytes(row)),
            false => writer.has_room_without_tail(),
        };
        if !has_room {
            return false;
        }
        writer.push(schema, row, heap, stamp);
        true
    }

    #[inline(always)]
    fn shard_of<K: KeyKind>(&self, key: K::Ref<'_>) -> usize {
        match self.shards {
            1 => 0,
            shards => K::route(self.hasher, key).shard(shards).index(),
        }
    }

    /// Has `lay` write a row that stands for `records` records of a key into the key's lane.
    /// `false` when that lane's claim has no room.
    #[inline]
    pub fn push_partial<K: KeyKind>(
        &mut self,
        key: K::Ref<'_>,
        records: u64,
        lay: impl FnOnce(&mut [u64], &mut Vec<u8>),
    ) -> bool {
        let shard = self.shard_of::<K>(key);
        let lane = &mut self.lanes[shard];
        if !lane.writer.has_room(K::tail_bytes(key)) {
            return false;
        }
        lane.writer.push_with(lay);
        lane.records += records;
        true
    }

    /// Publishes the rows. The partition's watermark is `advances` now; lanes without rows hear
    /// of it only if `all`.
    pub fn close(self, advances: Watermark, all: bool, stamp: u64) {
        self.finish(all.then_some(FrameKind::Watermark), advances, stamp);
    }

    fn finish(self, without_rows: Option<FrameKind>, advances: Watermark, stamp: u64) {
        let Self { mut lanes, spare, .. } = self;
        for lane in lanes.drain(..) {
            let OpenLane { mut writer, rows, records, bell, meter } = lane;
            let count = writer.count();
            if count == 0 {
                let Some(kind) = without_rows else { continue };
                writer.set_kind(kind);
            }
            *rows += u64::from(count);
            meter.routed.add(if records == 0 { u64::from(count) } else { records });
            let (claim, _, words) = writer.finish(advances, stamp);
            meter.sent_bytes.add(words as u64 * 8);
            claim.commit(words);
            bell.inspect(|bell| bell.ring());
        }
        *spare = reuse(lanes);
    }
}
