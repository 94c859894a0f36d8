//! What a first line looks like that is no JSON object.
//!
//! Uses nothing of the crate.

use crate::text::delimiter::Delimiter;
use crate::text::error::OpenError;
use crate::text::malformed::quoted;
use crate::text::plan::Slot;

/// What the first line of an input looks like, where that is surely not JSON Lines: a line that
/// is merely damaged is a malformed record.
#[cold]
pub(super) fn other_format(input: &str, line: &[u8], slots: &[Slot]) -> Option<OpenError> {
    let line = line.trim_ascii();
    let mend = match line {
        [b'[', rest @ ..] if matches!(rest.trim_ascii_start().first(), None | Some(b'{')) => {
            "an array of JSON; write one object a line, with jq -c '.[]' say"
        }
        b"{" => "JSON of several lines; write one object a line, with jq -c . say",
        [b'{' | b'[', ..] => return None,
        _ if names_slots(line, slots) => "CSV; say --input-format csv",
        _ => return None,
    };
    let problem = format!("{} is no JSON Lines and looks like {mend}", quoted(line));
    Some(OpenError::Format { name: input.to_owned(), problem })
}

/// Whether a line may be one of CSV, by what it begins with and a comma in it.
pub(super) fn may_be_csv(line: &[u8]) -> bool {
    !matches!(line.trim_ascii_start().first(), Some(b'{' | b'[')) && line.contains(&b',')
}

/// Whether a line names a column that is asked for, beside others, as a header of CSV does.
fn names_slots(line: &[u8], slots: &[Slot]) -> bool {
    let named = |field: &[u8]| {
        let field = field.trim_ascii();
        let inside = field.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        slots.iter().any(|slot| slot.name.as_bytes() == inside.unwrap_or(field))
    };
    Delimiter::USUAL.iter().any(|delimiter| {
        let is_delimiter = |byte: &u8| *byte == delimiter.as_byte();
        line.iter().any(is_delimiter) && line.split(is_delimiter).any(named)
    })
}
