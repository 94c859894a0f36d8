use super::*;
use crate::record::{ColumnRows, Columns, Schema, SourceSequence};
use crate::time::{EventTime, Watermark};
use proptest::prelude::*;

fn write(rows: &[(i64, Vec<u8>, Option<u64>)], extras: Extras) -> Vec<u64> {
    let schema = Columns::new(1);
    let mut batch = ColumnRows::new(schema);
    for (time, key, value) in rows {
        batch.begin(EventTime::from_nanos(*time));
        batch.set_key(|heap| heap.extend_from_slice(key));
        value.iter().for_each(|value| batch.set(0, *value));
    }
    let mut words = vec![u64::MAX; 4096];
    let mut tail = Tail::default();
    let header = FrameHeader::new(FrameKind::Records, Watermark::at(EventTime::from_nanos(1)));
    let stride = schema.stride_words();
    let mut writer = FrameWriter::begin(&mut words[..], &mut tail, header, stride, extras);
    for index in 0..rows.len() {
        let row = schema.row(batch.batch(), index);
        assert!(writer.has_room(schema.tail_bytes(row)));
        let at = index as u32;
        let stamp = Stamp {
            sequence: SourceSequence::new(3, 100 + u64::from(at) * 2),
            row_watermark: at,
            operation: (at % 4) as u8,
        };
        writer.push(&schema, row, schema.heap(batch.batch()), stamp);
    }
    let (_, _, length) = writer.finish(Watermark::at(EventTime::from_nanos(2)), 7);
    words.truncate(length);
    words
}

fn extras() -> impl Strategy<Value = Extras> {
    (0_u8..8).prop_map(|bits| {
        [Extras::OPERATION, Extras::ROW_WATERMARK, Extras::SOURCE_SEQUENCE]
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| bits >> bit & 1 == 1)
            .fold(Extras::NONE, |all, (_, one)| all.and(one))
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        rows in prop::collection::vec(
            (any::<i64>(), prop::collection::vec(any::<u8>(), 0..20), any::<Option<u64>>()), 0..50),
        extras in extras(),
    ) {
        let words = write(&rows, extras);
        let frame = Frame::parse(&words, None).unwrap();
        let header = frame.header();
        prop_assert_eq!(Frame::words_of(&words), words.len());
        prop_assert_eq!(header.count as usize, rows.len());
        prop_assert_eq!(header.advances(), Watermark::at(EventTime::from_nanos(2)));
        let schema = Columns::new(1);
        for (index, (time, key, value)) in rows.iter().enumerate() {
            let stride = schema.stride_words();
            let row = schema.view(&frame.rows()[index * stride..][..stride]);
            prop_assert_eq!(row.event_time(), EventTime::from_nanos(*time));
            prop_assert_eq!(schema.key(row, frame.heap()), &key[..]);
            prop_assert_eq!((!row.is_null(0)).then(|| row.word(schema.column_word(0))), *value);
            if extras.has(Extras::SOURCE_SEQUENCE) {
                let expected = SourceSequence::new(3, 100 + index as u64 * 2);
                prop_assert_eq!(frame.source_sequence(index), expected);
            }
        }
        let numbers: Vec<u32> = (0..rows.len() as u32).collect();
        let operations: Vec<u8> = numbers.iter().map(|n| (n % 4) as u8).collect();
        prop_assert_eq!(frame.row_watermarks(),
            extras.has(Extras::ROW_WATERMARK).then_some(&numbers[..]));
        let operations = extras.has(Extras::OPERATION).then_some(&operations[..]);
        prop_assert_eq!(frame.operations(), operations);
    }

    #[test]
    fn damage_is_noticed(
        rows in prop::collection::vec((any::<i64>(), any::<[u8; 5]>(), any::<Option<u64>>()), 1..9),
        bit in any::<prop::sample::Index>(),
    ) {
        let rows: Vec<_> = rows.into_iter().map(|(t, k, v)| (t, k.to_vec(), v)).collect();
        let mut words = write(&rows, Extras::SOURCE_SEQUENCE);
        let crc = Frame::trusted(&words).checksum(7);
        bytemuck::cast_slice_mut::<u64, FrameHeader>(&mut words[..HEADER_WORDS])[0].crc = crc;
        prop_assert!(Frame::parse(&words, Some(7)).is_ok());
        let bit = bit.index(words.len() * 64);
        words[bit / 64] ^= 1 << (bit % 64);
        prop_assert!(Frame::parse(&words, Some(7)).is_err());
    }

    #[test]
    fn any_words_parse_or_are_refused(words in prop::collection::vec(any::<u64>(), 0..40)) {
        if let Ok(frame) = Frame::parse(&words, None) {
            let _ = (frame.rows(), frame.heap(), frame.source_sequences(), frame.operations());
        }
    }
}

#[test]
fn a_frame_says_when_it_is_full() {
    let (mut words, mut tail) = ([0; HEADER_WORDS + 5], Tail::default());
    let header = FrameHeader::new(FrameKind::Records, Watermark::START);
    let writer = FrameWriter::begin(&mut words[..], &mut tail, header, 4, Extras::NONE);
    assert!(writer.has_room(0) && writer.has_room(8) && !writer.has_room(9));
    let writer = FrameWriter::begin(&mut words[..], &mut tail, header, 4, Extras::SOURCE_SEQUENCE);
    assert!(writer.has_room(0) && !writer.has_room(1));
}
