//! Workload W1 as a shard sees it: frames, cut where the watermark passes a window's end, as the
//! intake cuts them.

use tidewheel::exchange::FRAME_WORDS_MAX;
use tidewheel::frame::{Extras, Frame, FrameHeader, FrameKind, FrameWriter, Stamp, Tail};
use tidewheel::limits::BATCH_RECORDS_MAX;
use tidewheel::record::{Schema, Typed};
use tidewheel::source::GeneratedRecord;
use tidewheel::{Record, Span, Watermark, WindowSpec};

/// The resolution of the records' timestamps.
pub(crate) const TICK: Span = Span::from_millis(1);
/// How far the watermark stays behind the highest time.
pub(crate) const OUT_OF_ORDER: Span = Span::from_millis(500);

/// Frames, one after the other.
pub(crate) struct Frames {
    words: Vec<u64>,
    starts: Vec<usize>,
}

impl Frames {
    /// The frames of all records, for windows of `spec`.
    pub(crate) fn of(records: &[GeneratedRecord], spec: WindowSpec) -> Self {
        let schema = Typed::<GeneratedRecord>::new();
        let stride = schema.stride_words();
        let mut frames = Self { words: Vec::with_capacity(records.len() * 4), starts: Vec::new() };
        let (mut tail, mut space) = (Tail::default(), vec![0; FRAME_WORDS_MAX]);
        let (mut rest, mut max, mut watermark) = (records, None, Watermark::START);
        while !rest.is_empty() {
            let end = spec.next_end_after(watermark.horizon(TICK));
            let header = FrameHeader::new(FrameKind::Records, watermark);
            let words = space.as_mut_slice();
            let mut writer = FrameWriter::begin(words, &mut tail, header, stride, Extras::NONE);
            let mut rows = 0;
            for record in rest.iter().take(BATCH_RECORDS_MAX) {
                writer.push(&schema, record, &[], Stamp::default());
                rows += 1;
                max = max.max(Some(record.event_time()));
                watermark = max.map_or(watermark, |max| Watermark::behind(max, OUT_OF_ORDER));
                if watermark.horizon(TICK) >= end {
                    break;
                }
            }
            let (words, _, length) = writer.finish(watermark, 0);
            frames.starts.push(frames.words.len());
            frames.words.extend_from_slice(&words[..length]);
            rest = &rest[rows..];
        }
        frames
    }

    /// Every frame, in turn.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Frame<'_>> {
        self.starts.iter().map(|start| {
            let words = Frame::words_of(&self.words[*start..]);
            Frame::trusted(&self.words[*start..][..words])
        })
    }
}
