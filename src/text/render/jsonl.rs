//! JSON Lines: an object a line, members in the order of the columns.

use super::{ResultColumns, ResultRow};

/// What stands before each value: a brace or comma, the name, a colon.
#[derive(Debug)]
pub(super) struct Members {
    text: Vec<u8>,
    /// Where each one ends in the text.
    ends: Vec<usize>,
    keys: usize,
    kind: bool,
}

impl Members {
    pub(super) fn new(columns: &ResultColumns) -> Self {
        let mut members = Self {
            text: Vec::new(),
            ends: Vec::new(),
            keys: columns.keys().len(),
            kind: columns.has_kind(),
        };
        for (index, name) in columns.names().enumerate() {
            members.text.push(if index == 0 { b'{' } else { b',' });
            push_string(&mut members.text, name.as_bytes());
            members.text.push(b':');
            members.ends.push(members.text.len());
        }
        members
    }

    pub(super) fn push_row(&self, out: &mut Vec<u8>, stamps: [&[u8]; 2], row: &ResultRow<'_>) {
        let mut start = 0;
        let mut members = self.ends.iter().map(|end| {
            let member = &self.text[start..*end];
            start = *end;
            member
        });
        let mut next = |out: &mut Vec<u8>| {
            out.extend_from_slice(members.next().expect("a member for each column"));
        };
        for stamp in stamps {
            next(out);
            out.push(b'"');
            out.extend_from_slice(stamp);
            out.push(b'"');
        }
        let mut parts = crate::record::KeyParts::new(row.key);
        for _ in 0..self.keys {
            next(out);
            let bare = parts.is_next_bare();
            match parts.next().flatten() {
                Some(part) if bare => out.extend_from_slice(part),
                Some(part) => push_string(out, part),
                None => out.extend_from_slice(b"null"),
            }
        }
        for value in row.values {
            next(out);
            value.push_json(out);
        }
        if self.kind {
            next(out);
            push_string(out, row.kind.as_bytes());
        }
        out.extend_from_slice(b"}\n");
    }
}

/// Appends a JSON string. JSON is Unicode: bytes that are not become U+FFFD.
#[inline]
fn push_string(out: &mut Vec<u8>, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    serde_json::to_writer(out, text.as_ref()).expect("a Vec takes all that is written");
}
