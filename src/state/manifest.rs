//! The manifest: which pipeline a state directory belongs to, as lines of words and values.
//!
//! ```text
//!  tidewheel state    1
//!  log                00c3f1…
//!  window             1h
//!  …
//!  crc32c             8f3a02bd
//! ```
//! Between word and value stands a tab. What differs is named by its word.

use super::StateError;
use crate::log::LogIdentity;

/// The format of state directories.
const FORMAT: u32 = 1;
const TITLE: &str = "tidewheel state";
const LOG: &str = "log";
/// The word by which it is said how many shards there are.
pub(super) const SHARDS: &str = "shards";
const CHECKSUM: &str = "crc32c";

/// A manifest's lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) identity: LogIdentity,
    pub(super) pipeline: Vec<(String, String)>,
}

impl Manifest {
    /// As it stands in the file.
    pub(super) fn render(&self) -> String {
        let mut text = format!("{TITLE}\t{FORMAT}\n{LOG}\t{:016x}\n", self.identity.0);
        for (word, value) in &self.pipeline {
            text.push_str(&format!("{}\t{}\n", in_line(word), in_line(value)));
        }
        let crc = crc32c::crc32c(text.as_bytes());
        text.push_str(&format!("{CHECKSUM}\t{crc:08x}\n"));
        text
    }

    /// Reads what stands in the file `path`.
    pub(super) fn parse(path: &str, text: &str) -> Result<Self, StateError> {
        let damaged = |problem: &str| StateError::Damaged {
            path: path.to_owned(),
            problem: problem.to_owned(),
        };
        let mut lines = text.lines().map(|line| line.split_once('\t').unwrap_or((line, "")));
        let title = lines.next().filter(|(word, _)| *word == TITLE);
        let (_, found) = title.ok_or_else(|| damaged("not the manifest of a state directory"))?;
        if found.is_empty() || !found.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(damaged("it does not say its format"));
        }
        if found != FORMAT.to_string() {
            let (path, found) = (path.to_owned(), found.to_owned());
            return Err(StateError::Version { path, found, known: FORMAT });
        }
        let body = text.rfind(CHECKSUM).ok_or_else(|| damaged("cut short"))?;
        let crc = format!("{CHECKSUM}\t{:08x}\n", crc32c::crc32c(&text.as_bytes()[..body]));
        if text[body..] != crc {
            return Err(damaged("its checksum does not match what it says"));
        }
        let identity = lines.next().filter(|(word, _)| *word == LOG);
        let identity = identity.and_then(|(_, value)| u64::from_str_radix(value, 16).ok());
        let identity = LogIdentity(identity.ok_or_else(|| damaged("it names no log"))?);
        let pipeline = lines
            .take_while(|(word, _)| *word != CHECKSUM)
            .map(|(word, value)| (word.to_owned(), value.to_owned()))
            .collect();
        Ok(Self { identity, pipeline })
    }

    /// Says that there are so many shards now. Says whether there were fewer.
    pub(super) fn widen(&mut self, shards: usize) -> bool {
        let line = self.pipeline.iter_mut().find(|(word, _)| word == SHARDS);
        let Some((_, value)) = line else { return false };
        let were_fewer = value.parse::<usize>().is_ok_and(|was| was < shards);
        if were_fewer {
            *value = shards.to_string();
        }
        were_fewer
    }

    /// Refuses a pipeline that is not the one of the manifest.
    pub(super) fn check(&self, path: &str, now: &[(String, String)]) -> Result<(), StateError> {
        let now: Vec<(String, String)> =
            now.iter().map(|(word, value)| (in_line(word), in_line(value))).collect();
        let value_of = |lines: &[(String, String)], word: &str| {
            let line = lines.iter().find(|(known, _)| known == word);
            line.map_or_else(|| "not said".to_owned(), |(_, value)| value.clone())
        };
        let words = self.pipeline.iter().chain(&now).map(|(word, _)| word);
        for word in words {
            let (was, is) = (value_of(&self.pipeline, word), value_of(&now, word));
            if was != is {
                let (path, what) = (path.to_owned(), word.clone());
                return Err(StateError::Changed { path, what, was, is });
            }
        }
        Ok(())
    }
}

/// What [`in_line`] was given.
pub(super) fn from_line(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        let escaped = match char {
            '\\' => chars.next(),
            char => {
                text.push(char);
                continue;
            }
        };
        match escaped {
            Some('t') => text.push('\t'),
            Some('r') => text.push('\r'),
            Some('n') => text.push('\n'),
            Some('u') => {
                let digits = chars.by_ref().skip(1).take_while(|char| *char != '}');
                let digits: String = digits.collect();
                let code = u32::from_str_radix(&digits, 16).ok();
                text.extend(code.and_then(char::from_u32));
            }
            other => text.extend(other),
        }
    }
    text
}

/// A text that stays in its line and its column; quotes are as they were written.
pub(super) fn in_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for char in text.chars() {
        match char == '\\' || char.is_control() {
            true => line.extend(char.escape_default()),
            false => line.push(char),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn manifest(pipeline: &[(&str, &str)]) -> Manifest {
        let pipeline = pipeline.iter().map(|(w, v)| ((*w).to_owned(), (*v).to_owned())).collect();
        Manifest { identity: LogIdentity(0xabc), pipeline }
    }

    #[test]
    fn what_differs_is_named() {
        let was = manifest(&[("window", "1h"), ("key", "carrier\tx")]);
        let read = Manifest::parse("m", &was.render()).unwrap();
        assert!(read.check("d", &was.pipeline).is_ok());
        let is = manifest(&[("window", "2h"), ("key", "carrier\tx")]);
        let error = read.check("d", &is.pipeline).unwrap_err().to_string();
        assert!(error.contains("its window was 1h and is 2h now"), "{error}");
        let is = manifest(&[("window", "1h"), ("key", "carrier\tx"), ("filter", "a = 'é\u{1b}'")]);
        let error = read.check("d", &is.pipeline).unwrap_err().to_string();
        assert!(error.contains("its filter was not said and is a = 'é\\u{1b}' now"), "{error}");
        let other = [("types of columns", "i64"), ("out-of-orderness", "1s")];
        let read = manifest(&other);
        let is = manifest(&[("types of columns", "f64"), other[1]]);
        let error = read.check("d", &is.pipeline).unwrap_err().to_string();
        assert!(error.contains("its types of columns were i64 and are f64 now"), "{error}");
        let is = manifest(&[other[0], ("out-of-orderness", "0s")]);
        let error = read.check("d", &is.pipeline).unwrap_err().to_string();
        assert!(error.contains("its out-of-orderness was 1s and is 0s now"), "{error}");
        let is = manifest(&[("window", "1h"), ("key", "carrier\tx"), ("filter", "a = 'é\u{1b}'")]);
        let again = Manifest::parse("m", &is.render()).unwrap();
        assert!(again.check("d", &is.pipeline).is_ok());
    }

    #[test]
    fn a_later_format_is_refused_as_such() {
        let text = manifest(&[]).render().replacen("\t1\n", "\t2\n", 1);
        let error = Manifest::parse("m", &text).unwrap_err().to_string();
        assert!(error.contains("m: of format 2; this program knows format 1"), "{error}");
    }

    proptest! {
        #[test]
        fn a_text_comes_out_of_its_line_as_it_went_in(text in any::<String>()) {
            let line = in_line(&text);
            prop_assert!(!line.contains(['\n', '\t']));
            prop_assert_eq!(from_line(&line), text);
        }

        #[test]
        fn every_flipped_bit_is_noticed(at in any::<prop::sample::Index>(), bit in 0..7_u32) {
            let manifest = manifest(&[("window", "1h"), ("key", "carrier")]);
            let mut bytes = manifest.render().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(text) = String::from_utf8(bytes) {
                prop_assert!(Manifest::parse("m", &text).is_err());
            }
        }
    }
}
