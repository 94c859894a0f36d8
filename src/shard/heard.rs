//! What the log of one shard says of a source: enough to go on with both.

use super::place::IntakePlace;
use crate::frame::{Frame, FrameKind};
use crate::record::{NotSaved, WordsReader, WordsWriter};

/// What a shard has heard of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Rows of the lane that were taken.
    pub rows: u64,
    /// Where the source stood when it last said so.
    pub place: Option<IntakePlace>,
    /// Whether the source has ended.
    pub ended: bool,
}

impl Heard {
    /// Takes an entry of the source's lane.
    pub fn hear(&mut self, frame: Frame<'_>) {
        let header = frame.header();
        match header.kind() {
            Some(FrameKind::Records) => {
                self.rows = header.lane_sequence + u64::from(header.count);
            }
            Some(FrameKind::Position) => {
                let place = IntakePlace::of(frame);
                // A run that went on from an earlier place says so again.
                self.place = match (self.place.take(), place) {
                    (Some(known), Some(place)) if place.is_before(&known) => Some(known),
                    (known, place) => place.or(known),
                };
            }
            Some(FrameKind::End) => self.ended = true,
            _ => {}
        }
    }

    pub(super) fn save(&self, out: &mut WordsWriter) {
        out.word(self.rows);
        out.word(u64::from(self.ended));
        out.words(&self.place.as_ref().map(IntakePlace::words).unwrap_or_default());
    }

    /// Reads what was heard of each source. It stands at the start of a shard's snapshot.
    ///
    /// # Errors
    /// When something else stands there.
    pub fn restore_all(from: &mut WordsReader<'_>, sources: usize) -> Result<Vec<Self>, NotSaved> {
        let restore = |_| {
            let (rows, ended) = (from.word()?, from.word()? != 0);
            let words = from.words()?;
            let place = match words.is_empty() {
                true => None,
                false => Some(IntakePlace::of_words(words).ok_or(NotSaved)?),
            };
            Ok(Self { rows, place, ended })
        };
        (0..sources).map(restore).collect()
    }
}
