use super::quoted::LOOK_MAX;
use super::*;
use crate::text::Delimiter;
use crate::text::plan::Slots;
use proptest::prelude::*;

/// Records of three columns, fed in pieces; `None` where one was refused.
fn split(text: &[u8], pieces: &[usize], delimiter: Delimiter) -> Vec<Option<Vec<Vec<u8>>>> {
    let names = ["a", "b", "c"].map(str::to_owned).to_vec();
    let mut slots = Slots::default();
    for name in &names {
        slots.of(name, "test");
    }
    let header = Header::given("in".into(), slots.0.into(), delimiter, names);
    let mut records = CsvRecords::new(header, &[]).unwrap();
    let (mut from, mut to, mut found) = (0, 0, Vec::new());
    let mut pieces = pieces.iter().cycle();
    loop {
        let length = match records.next(&text[from..to], to == text.len()) {
            Step::Record { length, text: end, .. } => {
                let cells = records.cells(&text[from..from + end]);
                let cell = |slot| cells.get(slot).unwrap_or_default().to_vec();
                found.push(Some((0..3).map(cell).collect()));
                length
            }
            Step::Refused { length, .. } => {
                found.push(None);
                length
            }
            Step::Blank { length, .. } => length,
            Step::Unusable(error) => panic!("{error}"),
            Step::More if to == text.len() => return found,
            Step::More => {
                to = text.len().min(to + pieces.next().unwrap());
                continue;
            }
        };
        from += length;
    }
}

/// The slow twin: the `csv` crate.
fn by_csv(text: &[u8], delimiter: Delimiter) -> Vec<Option<Vec<Vec<u8>>>> {
    let mut reader = ::csv::ReaderBuilder::new();
    let reader = reader.delimiter(delimiter.as_byte()).has_headers(false).flexible(true);
    let reader = reader.from_reader(text);
    let records = reader.into_byte_records().map(Result::unwrap);
    let fields = |record: ::csv::ByteRecord| record.iter().map(<[u8]>::to_vec).collect::<Vec<_>>();
    records.map(fields).map(|fields| (fields.len() == 3).then_some(fields)).collect()
}

/// The slow twin of what is done about quotes that are never closed: every record is read from its
/// own beginning. One that ends nowhere within the limit, or that spans lines and has not three
/// fields, costs its first line alone.
fn by_definition(mut text: &[u8]) -> Vec<Option<Vec<Vec<u8>>>> {
    use csv_core::ReadRecordResult::{InputEmpty, Record};
    let mut found = Vec::new();
    while let Some(first) = text.first() {
        if matches!(first, b'\n' | b'\r') {
            text = &text[1..];
            continue;
        }
        let look = &text[..text.len().min(LOOK_MAX)];
        let (mut cells, mut ends) = (vec![0; look.len() + 1], vec![0; look.len() + 2]);
        let mut reader = csv_core::Reader::new();
        let (mut result, read, wrote, mut fields) = reader.read_record(look, &mut cells, &mut ends);
        if result == InputEmpty && look.len() < LOOK_MAX {
            let (cells, ends) = (&mut cells[wrote..], &mut ends[fields..]);
            let (at_end, _, _, last) = reader.read_record(b"\n", cells, ends);
            (result, fields) = (at_end, fields + last);
        }
        let line = memchr(b'\n', text).map_or(text.len(), |end| end + 1);
        let is_whole = result == Record;
        found.push((is_whole && fields == 3).then(|| {
            let starts = [0, ends[0], ends[1]].into_iter();
            starts.zip(&ends).map(|(start, end)| cells[start..*end].to_vec()).collect()
        }));
        text = &text[match (is_whole, fields) {
            (true, 3) => read,
            (true, _) => read.min(line),
            (false, _) => line,
        }..];
    }
    found
}

fn delimiters() -> impl Strategy<Value = Delimiter> {
    prop::sample::select(&Delimiter::USUAL)
}

proptest! {
    #[test]
    fn lines_without_quotes_are_split_as_csv_does(
        text in "[ab,;\t\\r\\n é]{0,60}", pieces in prop::collection::vec(1_usize..9, 1..5),
        delimiter in delimiters(),
    ) {
        let text = text.as_bytes();
        prop_assert_eq!(split(text, &pieces, delimiter), by_csv(text, delimiter));
    }

    #[test]
    fn records_with_quotes_are_split_as_csv_does(
        records in prop::collection::vec(
            ["[ab\",;\\r\\n]{0,5}", "[a\"\t]{0,3}", "[,;b]{0,3}"], 0..9
        ),
        pieces in prop::collection::vec(1_usize..9, 1..5),
        delimiter in delimiters(),
    ) {
        let mut writer = ::csv::WriterBuilder::new();
        let mut writer = writer.delimiter(delimiter.as_byte()).from_writer(Vec::new());
        records.iter().for_each(|record| writer.write_record(record).unwrap());
        let text = writer.into_inner().unwrap();
        prop_assert_eq!(split(&text, &pieces, delimiter), by_csv(&text, delimiter));
    }

    #[test]
    fn any_bytes_are_split_alike_whatever_the_pieces(
        text in "[ab\",\\r\\n]{0,60}", pieces in prop::collection::vec(1_usize..9, 1..5),
    ) {
        let whole = split(text.as_bytes(), &[1000], Delimiter::COMMA);
        prop_assert_eq!(split(text.as_bytes(), &pieces, Delimiter::COMMA), whole);
    }

    #[test]
    fn quotes_that_are_not_closed_cost_what_they_do_by_definition(
        lines in prop::collection::vec(
            prop::sample::select(&[
                "a,b,c\n", "\"a,b,c\n", "a,b,\"c\n", "a\"b,\"c,d\n", "a\"b,\"c\n", "\"\n", "\"\"\n",
                "\n", "\",b,c\n", "\"\",b,c\r", "a,\"\r\n", "\r\n", "a\"b,\"\"\"\n", ",\",\",",
            ]),
            0..24,
        ),
        pieces in prop::collection::vec(1_usize..40, 1..5),
    ) {
        let text = lines.concat();
        let expected = by_definition(text.as_bytes());
        prop_assert_eq!(&split(text.as_bytes(), &[1000], Delimiter::COMMA), &expected);
        prop_assert_eq!(split(text.as_bytes(), &pieces, Delimiter::COMMA), expected);
    }

    #[test]
    fn any_bytes_with_quotes_are_records_or_not_as_by_definition(
        text in "[a\",\\r\\n]{0,60}", pieces in prop::collection::vec(1_usize..9, 1..5),
    ) {
        let text = text.as_bytes();
        prop_assert_eq!(split(text, &pieces, Delimiter::COMMA), by_definition(text));
    }
}

#[test]
fn the_limit_holds_from_where_each_record_begins() {
    // Each line opens a quote, from its own beginning and from inside the quotes of another.
    let open = "a\"b,\"c,d\n";
    let plain = "x".repeat(LOOK_MAX / 3) + ",y,z\n";
    for parts in [
        &[open, &plain, open, &plain, open, &plain, &plain, "\",b,c\n", open][..],
        &[open, &plain, &plain, &plain, open, &plain, &plain, "\"\n", open, "\",e\n"],
        &[open, &plain, &plain, open, &plain, "b,c\"\"", &plain, "\"\"\",e\n"],
        &[open, &"x".repeat(LOOK_MAX - open.len()), "\n", open, "\",e\n"],
        &[open, &"x".repeat(LOOK_MAX - open.len() - 4), "\",e\n", open, "\",e\n"],
        &[open, &"x".repeat(LOOK_MAX - open.len() - 3), "\",e\n", open, "\",e\n"],
    ] {
        let text = parts.concat();
        let expected = by_definition(text.as_bytes());
        for piece in [1 << 16, 1 << 24] {
            assert!(split(text.as_bytes(), &[piece], Delimiter::COMMA) == expected);
        }
    }
}

#[test]
fn many_quotes_that_are_not_closed_are_read_in_one_go() {
    // Read again from each line, this would be a million million bytes.
    const LINES: usize = 1 << 20;
    let open = "a\"b,\"c,d\n";
    let text = open.repeat(LINES);
    assert_eq!(split(text.as_bytes(), &[1 << 16], Delimiter::COMMA), vec![None; LINES]);
    // The quote is closed in the end, and only from the last line on are there three fields.
    let text = open.repeat(1 << 16) + "\",e\n";
    let found = split(text.as_bytes(), &[1 << 16], Delimiter::COMMA);
    assert_eq!(found[..(1 << 16) - 1], vec![None; (1 << 16) - 1]);
    assert_eq!(
        found[(1 << 16) - 1..],
        [Some([&b"a\"b"[..], b"c,d\n", b"e"].map(Vec::from).into())]
    );
}
