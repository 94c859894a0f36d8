//! The escapes of JSON strings. `serde_json` would allocate for each string that has one; the
//! buffer here is the caller's, reused from record to record.

/// Appends a string's content to `into` without its escapes. The content comes from a JSON string
/// that was read, so each backslash begins a whole escape. `false` when a surrogate stands alone.
#[must_use]
pub(super) fn unescape(content: &[u8], into: &mut Vec<u8>) -> bool {
    let mut rest = content;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        into.extend_from_slice(&rest[..at]);
        let Some((escape, after)) = rest[at + 1..].split_first() else {
            return false;
        };
        rest = after;
        let byte = match escape {
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let Some(char) = take_char(&mut rest) else {
                    return false;
                };
                into.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            other => *other,
        };
        into.push(byte);
    }
    into.extend_from_slice(rest);
    true
}

/// The character that `\u` escapes stand for: one, or two surrogates.
fn take_char(rest: &mut &[u8]) -> Option<char> {
    let first = take_unit(rest)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first);
    }
    *rest = rest.strip_prefix(b"\\u")?;
    let second = take_unit(rest)?.checked_sub(0xdc00)?;
    let supplementary = second < 0x400;
    supplementary.then(|| 0x10000 + ((first - 0xd800) << 10 | second)).and_then(char::from_u32)
}

fn take_unit(rest: &mut &[u8]) -> Option<u32> {
    let (digits, after) = rest.split_at_checked(4)?;
    *rest = after;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn strings_are_unescaped_as_serde_json_does(
            parts in prop::collection::vec(
                prop_oneof![
                    "[a-zé🌊]{1,3}",
                    "\\\\[\"\\\\/bfnrt]",
                    "\\\\u[0-9a-fA-F]{4}",
                    "\\\\ud[89ab][0-9a-f]{2}\\\\ud[c-f][0-9a-f]{2}",
                ],
                0..6,
            )
        ) {
            let content = parts.concat();
            let mut ours = b"kept".to_vec();
            let ok = unescape(content.as_bytes(), &mut ours);
            match serde_json::from_str::<String>(&format!("\"{content}\"")) {
                Ok(theirs) => {
                    prop_assert!(ok);
                    prop_assert_eq!(&ours[4..], theirs.as_bytes());
                }
                Err(_) => prop_assert!(!ok, "{}", content),
            }
        }
    }
}
