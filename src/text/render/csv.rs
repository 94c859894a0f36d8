//! Comma-separated values, as RFC 4180 has them, with `\n` at the end of lines.

use super::{ResultColumns, ResultRow};

pub(super) fn push_header(out: &mut Vec<u8>, columns: &ResultColumns) {
    for (index, name) in columns.names().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_field(out, name.as_bytes());
    }
    out.push(b'\n');
}

pub(super) fn push_row(
    out: &mut Vec<u8>,
    columns: &ResultColumns,
    [start, end]: [&[u8]; 2],
    row: &ResultRow<'_>,
) {
    out.extend_from_slice(start);
    out.push(b',');
    out.extend_from_slice(end);
    for part in columns.key_parts(row.key) {
        out.push(b',');
        if let Some(part) = part {
            push_field(out, part);
        }
    }
    for value in row.values {
        out.push(b',');
        value.push_text(out);
    }
    if columns.has_kind() {
        out.push(b',');
        push_field(out, row.kind.as_bytes());
    }
    out.push(b'\n');
}

/// Appends a field, in quotes when it needs them. An empty text has them too: without, it would be
/// a null.
#[inline]
pub fn push_field(out: &mut Vec<u8>, field: &[u8]) {
    let special = |byte: &u8| matches!(byte, b',' | b'"' | b'\n' | b'\r');
    if !field.is_empty() && !field.iter().any(special) {
        out.extend_from_slice(field);
        return;
    }
    out.push(b'"');
    for byte in field {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}
