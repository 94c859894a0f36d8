//! What stands between the fields of CSV.
//!
//! Uses nothing of the crate.

use std::fmt;
use std::str::FromStr;

/// The character between the fields of a record: any of ASCII but quotes and line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delimiter(u8);

impl Delimiter {
    /// What CSV has its name from.
    pub const COMMA: Self = Self(b',');
    /// What stands between the fields of TSV.
    pub const TAB: Self = Self(b'\t');
    /// Those that files have, the most usual first.
    pub(crate) const USUAL: [Self; 4] = [Self::COMMA, Self::TAB, Self(b';'), Self(b'|')];

    /// The delimiter of that byte; `None` when fields could not be told apart by it.
    pub const fn new(byte: u8) -> Option<Self> {
        match byte {
            b'"' | b'\n' | b'\r' | 0 | 0x80.. => None,
            byte => Some(Self(byte)),
        }
    }

    /// Its byte.
    #[inline]
    pub const fn as_byte(self) -> u8 {
        self.0
    }
}

impl Default for Delimiter {
    fn default() -> Self {
        Self::COMMA
    }
}

/// As it is parsed: a tab is `\t`.
impl fmt::Display for Delimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TAB => f.write_str("\\t"),
            Self(byte) => write!(f, "{}", char::from(byte)),
        }
    }
}

/// Why a text is no [`Delimiter`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no delimiter; give one character of ASCII, ';' say, or '\\t' for a tab, but no \
     double quote and no line's end"
)]
pub struct ParseDelimiterError(String);

impl FromStr for Delimiter {
    type Err = ParseDelimiterError;

    fn from_str(text: &str) -> Result<Self, ParseDelimiterError> {
        let byte = match text.as_bytes() {
            b"\\t" => Some(b'\t'),
            [byte] => Some(*byte),
            _ => None,
        };
        byte.and_then(Self::new).ok_or_else(|| ParseDelimiterError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delimiter_is_one_character_and_displays_as_it_parses() {
        for delimiter in Delimiter::USUAL {
            assert_eq!(delimiter.to_string().parse(), Ok(delimiter));
        }
        assert_eq!("\t".parse(), Ok(Delimiter::TAB));
        for text in ["", "\"", "\n", "\r", "\\n", ";;", "§", "\0"] {
            let error = text.parse::<Delimiter>().unwrap_err();
            assert!(error.to_string().contains("one character"), "{error}");
        }
    }
}
