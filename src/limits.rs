//! Every bound in the engine, and how the bounds lean on each other.
//!
//! Uses nothing. A bound that a user can set has its default and its ceiling here.

/// Most shards one engine runs.
pub const SHARDS_MAX: usize = 256;
/// Most source partitions one engine reads.
pub const PARTITIONS_MAX: usize = 4096;

/// Records a source hands over in one poll, and so the most rows of one frame.
pub const BATCH_RECORDS_MAX: usize = 1024;
/// Rows that the stages make of records before it is looked whether what was folded is to leave:
/// so many of one record, and no further record after as many.
pub const ROWS_PER_ROUND: u32 = 4096;
/// Rounds that a source fills before others on its core have their turn.
pub const ROUNDS_PER_STEP: usize = 64;
/// Bytes of one frame, header included. A claim in a ring is never longer.
pub const FRAME_BYTES_MAX: usize = 32 << 10;
/// Bytes of one record: its row, its columns and what it holds in the tail heap.
pub const RECORD_BYTES_MAX: usize = 16 << 10;
/// Bytes of one lane's ring, where there are few lanes.
pub const LANE_BYTES: usize = 128 << 10;
/// Bytes of a lane's longest frame are never fewer, however many lanes there are.
pub const LANE_FRAME_BYTES_MIN: usize = 4 << 10;
/// Bytes that all lanes take together, one from each source to each shard, unless the user says
/// otherwise. They are made smaller to keep within it, and refused where that is not enough.
pub const LANE_MEMORY_DEFAULT: usize = 1 << 30;
/// Bytes of one shard's ring of results.
pub const RESULT_LANE_BYTES: usize = 256 << 10;
/// Bytes of frames that a shard takes from one lane, or a frame more, before it looks at the next
/// lane, or takes again from its log in one step.
pub const LANE_STEP_BYTES: usize = 4 * FRAME_BYTES_MAX;
/// Nanoseconds for which a shard takes frames from one lane, or a frame more, while a snapshot is
/// on its way: what changes is copied then, if it is the first time, and other lanes wait for that.
pub const LANE_STEP_NANOS_FROZEN: u64 = 100_000;

/// Keys that may be alive in one shard at a time, unless the user says otherwise.
pub const LIVE_KEYS_DEFAULT: usize = 64 << 20;
/// Bytes of keys of no fixed width that one pane holds: a place in it is 32 bits, and one more
/// frame may bring keys before it is looked at again.
pub const KEY_BYTES_MAX: usize = u32::MAX as usize - FRAME_BYTES_MAX;
/// Slices that may be open in one shard at a time.
pub const OPEN_SLICES_MAX: usize = 1 << 20;

/// Windows that one record may be in: size divided by slide.
pub const WINDOWS_PER_RECORD_MAX: u64 = 1 << 24;
/// Results that a shard lets out before it looks whether it is to stop.
pub const RESULTS_PER_STEP: u64 = 16 << 10;
/// Once it is to stop, a shard lets out at least so many windows, and
pub const WINDOWS_AFTER_STOP: u64 = 4 << 10;
/// at least so many results. What is left after both comes out no more.
pub const RESULTS_AFTER_STOP: u64 = 1 << 20;

/// Slices that a source folds at a time, where it combines records before it sends them.
pub const COMBINED_SLICES_MAX: usize = 1 << 10;
/// Bytes of folded slices from which on a source sends all of them.
pub const COMBINED_BYTES_MAX: usize = 16 << 20;

/// Records after which a source lets the shards' logs know where it stands: so many at most are
/// read again by the next run.
pub const POSITION_RECORDS: u64 = 1 << 16;
/// Bytes of the first segment that a run appends to a log. Each one after it has four times as
/// many, up to [`SEGMENT_BYTES_MAX`].
pub const SEGMENT_BYTES_FIRST: usize = 128 << 10;
/// Bytes of a log segment.
pub const SEGMENT_BYTES_MAX: usize = 64 << 20;
/// Segments of full length that a log keeps to write them anew, once what they hold is not needed:
/// their memory is there already.
pub const SPARE_SEGMENTS_MAX: usize = 2;
/// Bytes of a shard's log after which its state is written down as a whole, unless the user says
/// otherwise.
pub const SNAPSHOT_LOG_BYTES: u64 = 64 << 20;
/// Milliseconds at least from one sync of a shard's log to the next, unless the user says
/// otherwise.
pub const COMMIT_INTERVAL_MILLIS: u64 = 5;
/// Files of a snapshot: where there are as many, the next one is whole.
pub const SNAPSHOT_FILES_MAX: usize = 32;
/// Bytes of a snapshot that a shard writes in one step, or as many as it logged since the last one:
/// a step with little else to do is a short one.
pub const SNAPSHOT_STEP_BYTES: usize = 8 << 10;
/// Bytes of files that are needed no more that a shard gives back in one step.
pub const SHRINK_STEP_BYTES: u64 = 1 << 20;
/// Bytes of what a shard copied because it was to change before the snapshot at hand held it: while
/// there are more, and more than half of what the shard held when it was begun, steps write more
/// than [`SNAPSHOT_STEP_BYTES`].
pub const SNAPSHOT_COPIES_MAX: u64 = 64 << 20;
/// Bytes of a log segment that are filled with zeros, ahead of its use, from one sync to the next.
pub const LOG_FILL_BYTES: u64 = 4 << 20;
/// Bytes of a log that are read at a time.
pub const LOG_READ_BYTES: usize = 1 << 20;

/// Bytes of one line of text input; a longer one is malformed.
pub const LINE_BYTES_MAX: usize = 1 << 20;
/// Bytes of a filter's text, and how deep its conditions may nest: both are walked by recursion.
pub const FILTER_BYTES_MAX: usize = 16 << 10;
/// Conditions inside each other in a filter; a chain of ANDs or ORs nests once a link.
pub const FILTER_DEPTH_MAX: usize = 256;
/// Columns of one row of text input.
pub const COLUMNS_MAX: usize = 4096;
/// Malformed records that are described one by one; the rest is counted.
pub const MALFORMED_REPORTED: usize = 5;
/// Rows that are looked at to infer the types of columns.
pub const INFERENCE_ROWS: usize = 1000;

/// Words of 8 bytes that the aggregates of one key and one slice may take, when they are chosen
/// at run time.
pub const AGGREGATE_WORDS_MAX: usize = 128;
/// Bytes of text output that are gathered before they are written.
pub const OUTPUT_BUFFER_BYTES: usize = 64 << 10;
/// Rows of a table that are held back to decide how wide its columns are.
pub const TABLE_ROWS_HELD: usize = 1000;
/// Bytes of rows that a table holds back; reached before [`TABLE_ROWS_HELD`] only by long keys.
pub const TABLE_BYTES_HELD: usize = 1 << 20;

const _: () = {
    assert!(LANE_BYTES.is_power_of_two(), "positions wrap with a mask");
    assert!(RESULT_LANE_BYTES.is_power_of_two(), "positions wrap with a mask");
    assert!(FRAME_BYTES_MAX * 4 <= LANE_BYTES, "one frame never fills a lane");
    assert!(SHARDS_MAX * 8 + 1024 <= LANE_FRAME_BYTES_MIN, "a source's place fits any frame");
    assert!(FRAME_BYTES_MAX * 4 <= RESULT_LANE_BYTES, "one frame never fills a lane of results");
    assert!(RECORD_BYTES_MAX * 2 <= FRAME_BYTES_MAX, "a record and its header fit one frame");
    assert!(FRAME_BYTES_MAX * 4 <= SEGMENT_BYTES_FIRST, "entries fit any segment");
    assert!(LOG_FILL_BYTES.is_multiple_of(FRAME_BYTES_MAX as u64), "fills go by frames");
    assert!(FRAME_BYTES_MAX * 4 <= LOG_READ_BYTES, "an entry fits what is read at a time");
    assert!(PARTITIONS_MAX <= 1 << 16, "a partition's number is a u16");
    assert!(BATCH_RECORDS_MAX <= 1 << 16, "a row's number within a frame is small");
};
