//! Where an intake stood: the entry from which a later run goes on.

use crate::frame::Frame;
use crate::limits::BATCH_RECORDS_MAX;
use crate::source::SourcePosition;
use bytemuck::{Pod, Zeroable};

/// What an intake knew between two batches. Words of a log's entry: the layout is part of the
/// format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Standing {
    /// Where the source stood.
    pub(super) source: SourcePosition,
    /// Records that were placed or passed over: the next one's source sequence.
    pub(super) position: u64,
    /// The highest event time, where there was one.
    pub(super) max: i64,
    pub(super) has_max: u64,
    pub(super) read: u64,
    pub(super) routed: u64,
    pub(super) rows: u64,
    pub(super) filtered: u64,
    pub(super) dead: u64,
}

const STANDING_WORDS: usize = size_of::<Standing>() / 8;

/// Where an intake stood, and how many rows each of its lanes had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IntakePlace {
    pub(super) standing: Standing,
    pub(super) lane_rows: Vec<u64>,
}

impl IntakePlace {
    /// Reads the row of a position frame.
    pub fn of(frame: Frame<'_>) -> Option<Self> {
        Self::of_words(frame.rows())
    }

    /// Reads what [`IntakePlace::words`] gave.
    pub(super) fn of_words(words: &[u64]) -> Option<Self> {
        let (standing, lane_rows) = words.split_at_checked(STANDING_WORDS)?;
        let standing = *bytemuck::cast_slice::<u64, Standing>(standing).first()?;
        Some(Self { standing, lane_rows: lane_rows.to_vec() })
    }

    /// The row of a position frame.
    pub(super) fn words(&self) -> Vec<u64> {
        let standing: &[u64] = bytemuck::cast_slice(bytemuck::bytes_of(&self.standing));
        [standing, &self.lane_rows].concat()
    }

    /// Records of the source that were read by then.
    pub(super) fn records(&self) -> u64 {
        self.standing.read
    }

    /// Where a source that is not read again goes on in the `run`th run, if this is the furthest
    /// that any shard has heard of: each shard has `lane_rows` of its lane. Of each run before,
    /// less than a batch can be beyond, since such a source says where it stands after each.
    pub fn behind_all(mut self, lane_rows: Vec<u64>, run: u64) -> Self {
        self.standing.rows = lane_rows.iter().sum();
        self.standing.position += BATCH_RECORDS_MAX as u64 * (run + 1);
        self.lane_rows = lane_rows;
        self
    }

    /// Rows that the lane of a shard had by then.
    pub(super) fn rows_of(&self, shard: usize) -> Option<u64> {
        self.lane_rows.get(shard).copied()
    }

    /// The same with so many lanes, of which those that are new have had nothing.
    pub(super) fn with_lanes(mut self, lanes: usize) -> Self {
        self.lane_rows.resize(lanes, 0);
        self
    }

    /// Whether the place is before another one of the same source.
    pub fn is_before(&self, other: &Self) -> bool {
        self.standing.position < other.standing.position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_go_on_from_one_place_number_their_records_apart() {
        let batch = BATCH_RECORDS_MAX as u64;
        let place = IntakePlace::default();
        let first = |run| place.clone().behind_all(vec![3, 4], run).standing.position;
        // A batch of which no shard has heard the end, in the first run and in the second.
        assert!(first(1) >= batch && first(2) >= first(1) + batch);
        assert_eq!(place.behind_all(vec![3, 4], 1).standing.rows, 7);
    }
}
