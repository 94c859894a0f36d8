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
    let mut records =
        CsvRecords::new(Header::given("in".into(), slots.0.into(), delimiter, names)).unwrap();
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
}
