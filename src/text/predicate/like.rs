//! The patterns of LIKE.
//!
//! Uses nothing of the crate.

/// A pattern, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Box<[Part]>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// `%`: any characters.
    Any,
    /// `_`: any one character.
    One,
    /// This character.
    Char(char),
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DanglingEscape;

impl Pattern {
    /// Reads a pattern in which `%`, `_` and the escape character itself stand for themselves
    /// behind that character, where there is one.
    pub(super) fn read(pattern: &str, escape: Option<char>) -> Result<Self, DanglingEscape> {
        let mut chars = pattern.chars();
        let mut parts = Vec::with_capacity(pattern.len());
        while let Some(char) = chars.next() {
            parts.push(match char {
                char if Some(char) == escape => match chars.next() {
                    Some(next) if matches!(next, '%' | '_') || next == char => Part::Char(next),
                    _ => return Err(DanglingEscape),
                },
                '%' => Part::Any,
                '_' => Part::One,
                char => Part::Char(char),
            });
        }
        Ok(Self(parts.into()))
    }

    /// Whether a text fits. After a mismatch the last `%` takes one character more, so the cost is
    /// at most the product of the lengths.
    pub(super) fn fits(&self, text: &str) -> bool {
        let (mut text, mut parts) = (text.chars(), self.0.iter());
        let mut retry = None;
        loop {
            let (mut text_after, mut parts_after) = (text.clone(), parts.clone());
            let fits = match (parts_after.next(), text_after.next()) {
                (Some(Part::Any), _) => {
                    retry = Some((text.clone(), parts_after.clone()));
                    parts = parts_after;
                    continue;
                }
                (None, None) => return true,
                (Some(Part::One), Some(_)) => true,
                (Some(Part::Char(wanted)), Some(found)) => *wanted == found,
                _ => false,
            };
            if fits {
                (text, parts) = (text_after, parts_after);
                continue;
            }
            let Some((from, rest)) = &mut retry else { return false };
            if from.next().is_none() {
                return false;
            }
            (text, parts) = (from.clone(), rest.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// LIKE by definition.
    fn by_definition(text: &[char], pattern: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('%', rest)) => {
                (0..=text.len()).any(|skipped| by_definition(&text[skipped..], rest))
            }
            Some(('!', [c, rest @ ..])) => {
                text.first() == Some(c) && by_definition(&text[1..], rest)
            }
            Some((c, rest)) => {
                let first = text.first().is_some_and(|first| *c == '_' || c == first);
                first && by_definition(&text[1..], rest)
            }
        }
    }

    fn chars(text: &str) -> Vec<char> {
        text.chars().collect()
    }

    proptest! {
        #[test]
        fn like_is_what_it_is_by_definition(text in "[aé%]{0,8}", pattern in "[aé%_]{0,6}") {
            let read = Pattern::read(&pattern, None).unwrap();
            prop_assert_eq!(read.fits(&text), by_definition(&chars(&text), &chars(&pattern)));
        }

        #[test]
        fn what_is_escaped_stands_for_itself(
            text in "[aé%_!]{0,8}", pattern in "(a|é|%|_|!%|!_|!!){0,6}",
        ) {
            let read = Pattern::read(&pattern, Some('!')).unwrap();
            prop_assert_eq!(read.fits(&text), by_definition(&chars(&text), &chars(&pattern)));
        }
    }

    #[test]
    fn an_escape_of_nothing_is_refused() {
        for pattern in ["a\\", "\\a", "%\\\\\\"] {
            assert_eq!(Pattern::read(pattern, Some('\\')), Err(DanglingEscape), "{pattern}");
            assert!(Pattern::read(pattern, None).is_ok());
        }
    }
}
