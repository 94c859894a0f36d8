//! The grammar of `count, sum(dep_delay), mean(dep_delay) as avg_delay`.
//!
//! ```text
//!  list     = call { "," call }
//!  call     = function [ "(" ( "*" | name ) ")" ] [ "as" name ]
//!  name     = '"' any '"' | '`' any '`' | characters other than space , ( ) * " `
//! ```
//! A quote within a quoted name is written twice.

use super::call::NAMES;
use super::{AggregateCall, Function, Measure};
use std::fmt;

/// Reads a list of aggregate calls.
///
/// # Errors
/// Says where in the text it stopped to make sense, and what would.
///
/// ```
/// use tidewheel::text::aggregates::parse_aggregates;
///
/// let calls = parse_aggregates("count, mean(dep_delay) as avg_delay").unwrap();
/// assert_eq!(calls[0].name, "count");
/// assert_eq!(calls[1].name, "avg_delay");
///
/// let error = parse_aggregates("count,summ(x)").unwrap_err();
/// assert_eq!(error.column(), 7);
/// ```
pub fn parse_aggregates(text: &str) -> Result<Vec<AggregateCall>, AggregateListError> {
    let mut parser = Parser { text, at: 0 };
    let mut calls: Vec<AggregateCall> = Vec::new();
    loop {
        parser.skip_space();
        let start = parser.at;
        let call = parser.call(calls.is_empty())?;
        if calls.iter().any(|earlier| earlier.name == call.name) {
            return Err(parser.error(start, AggregateListProblem::SameName(call.name)));
        }
        calls.push(call);
        match parser.next_after_space() {
            None => return Ok(calls),
            Some(',') => parser.at += 1,
            Some(_) => return Err(parser.unexpected("',' or 'as'")),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    /// The byte that is read next.
    at: usize,
}

type Parsed<T> = Result<T, AggregateListError>;

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn next_after_space(&mut self) -> Option<char> {
        self.skip_space();
        self.rest().chars().next()
    }

    /// A run of characters that need no quotes; empty when there is none.
    fn word(&mut self) -> String {
        let rest = self.rest();
        let special = |c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')' | '*' | '"' | '`');
        let word = rest[..rest.find(special).unwrap_or(rest.len())].to_owned();
        self.at += word.len();
        word
    }

    fn call(&mut self, first: bool) -> Parsed<AggregateCall> {
        let start = self.at;
        let word = self.word();
        if word.is_empty() {
            return Err(match self.rest().is_empty() && first {
                true => self.error(start, AggregateListProblem::Empty),
                false => self.unexpected("a function, like count or sum(column)"),
            });
        }
        let Some(function) = Function::named(&word) else {
            if word.to_lowercase().contains("distinct") {
                return Err(self.error(start, AggregateListProblem::Distinct));
            }
            let near = nearest(&word);
            return Err(self.error(start, AggregateListProblem::UnknownFunction { word, near }));
        };
        let mut end = self.at;
        let measure = match self.next_after_space() {
            Some('(') => {
                let measure = self.argument(function)?;
                end = self.at;
                measure
            }
            _ if function == Function::Count => Measure::CountRows,
            _ => return Err(self.error(start, AggregateListProblem::NoArgument(function))),
        };
        let name = match self.alias()? {
            Some(name) => name,
            None => self.text[start..end].to_owned(),
        };
        Ok(AggregateCall { name, measure })
    }

    /// What stands in parentheses, with them.
    fn argument(&mut self, function: Function) -> Parsed<Measure<String>> {
        let open = self.at;
        self.at += 1;
        let measure = match self.next_after_space() {
            Some('*') if function == Function::Count => {
                self.at += 1;
                Measure::CountRows
            }
            Some(')' | '*') => {
                return Err(self.error(self.at, AggregateListProblem::NoArgument(function)));
            }
            _ => {
                let start = self.at;
                let column = self.name("a column")?;
                let alone = matches!(self.next_after_space(), None | Some(')' | ','));
                // A column may be named so; the keyword has something behind it.
                if self.text[start..].starts_with(&column)
                    && column.eq_ignore_ascii_case("distinct")
                    && !alone
                {
                    return Err(self.error(start, AggregateListProblem::Distinct));
                }
                Measure::Of(function, column)
            }
        };
        match self.next_after_space() {
            Some(')') => self.at += 1,
            None | Some(',') => return Err(self.error(open, AggregateListProblem::NotClosed)),
            Some(_) => return Err(self.unexpected("')'; a name with spaces goes in \"quotes\"")),
        }
        Ok(measure)
    }

    fn alias(&mut self) -> Parsed<Option<String>> {
        self.skip_space();
        let before = self.at;
        if !self.word().eq_ignore_ascii_case("as") {
            self.at = before;
            return Ok(None);
        }
        self.skip_space();
        self.name("a name for the column").map(Some)
    }

    fn name(&mut self, expected: &'static str) -> Parsed<String> {
        let name = match self.rest().chars().next() {
            Some(quote @ ('"' | '`')) => self.quoted(quote)?,
            _ => self.word(),
        };
        match name.is_empty() {
            true => Err(self.unexpected(expected)),
            false => Ok(name),
        }
    }

    fn quoted(&mut self, quote: char) -> Parsed<String> {
        let open = self.at;
        let mut name = String::new();
        loop {
            self.at += 1;
            let Some(length) = self.rest().find(quote) else {
                return Err(self.error(open, AggregateListProblem::QuoteNotClosed(quote)));
            };
            name.push_str(&self.rest()[..length]);
            self.at += length + 1;
            if !self.rest().starts_with(quote) {
                return Ok(name);
            }
            name.push(quote);
        }
    }

    fn unexpected(&self, expected: &'static str) -> AggregateListError {
        let found = self.rest().chars().next();
        self.error(self.at, AggregateListProblem::Unexpected { expected, found })
    }

    fn error(&self, at: usize, problem: AggregateListProblem) -> AggregateListError {
        AggregateListError { text: self.text.to_owned(), at, problem }
    }
}

/// The known name that someone who wrote `word` may have meant: off by one letter in eight or
/// fewer, or by two in a longer one. `median` is no misspelt `mean`.
fn nearest(word: &str) -> Option<&'static str> {
    let word = word.to_lowercase();
    let length = word.chars().count();
    let distance = |name| strsim::osa_distance(&word, name);
    let (name, _) = NAMES.into_iter().min_by_key(|(name, _)| distance(name))?;
    let off_max = if length < 8 { 1 } else { 2 };
    let likely = distance(name) <= off_max && distance(name) < name.len().min(length);
    likely.then_some(name)
}

/// Why a text is no list of aggregate calls.
///
/// Displays as one line that says what is wrong and where, the text, and a mark below the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AggregateListError {
    text: String,
    at: usize,
    problem: AggregateListProblem,
}

/// What is wrong with a list of aggregate calls.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AggregateListProblem {
    /// There is no call at all.
    #[error("no aggregate is given; write for example count,sum(column)")]
    Empty,
    /// No function has that name.
    #[error("unknown function '{word}'; {}", advice(*near))]
    UnknownFunction {
        /// As it was written.
        word: String,
        /// What may have been meant.
        near: Option<&'static str>,
    },
    /// Only the distinct values of a column are asked for.
    #[error(
        "aggregates of distinct values are not built yet; count(column) counts all that are not \
         null, and --key column gives each value rows of its own; the functions are {}",
        functions()
    )]
    Distinct,
    /// The function needs a column.
    #[error("{0} needs a column: {0}(column)")]
    NoArgument(Function),
    /// A parenthesis has no partner.
    #[error("'(' is never closed")]
    NotClosed,
    /// A quote has no partner.
    #[error("{0} is never closed")]
    QuoteNotClosed(char),
    /// Something else was expected.
    #[error("expected {expected}, found {}", found.map_or("the end".into(), |c| format!("'{c}'")))]
    Unexpected {
        /// What would have made sense.
        expected: &'static str,
        /// What is there; `None` is the end.
        found: Option<char>,
    },
    /// Two columns of the result would have one name.
    #[error("two columns would be named '{0}'; name one of them with 'as'")]
    SameName(String),
}

fn advice(near: Option<&str>) -> String {
    match near {
        Some(name) => format!("did you mean '{name}'?"),
        None => format!("the functions are {}", functions()),
    }
}

/// The names of all functions, for a message.
fn functions() -> String {
    NAMES.map(|(name, _)| name).join(", ")
}

impl AggregateListError {
    /// Where it is wrong: a character of the text, counted from 1.
    pub fn column(&self) -> usize {
        self.text[..self.at].chars().count() + 1
    }

    /// What is wrong.
    pub const fn problem(&self) -> &AggregateListProblem {
        &self.problem
    }
}

impl fmt::Display for AggregateListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = self.column();
        write!(f, "at character {column}: {}", self.problem)?;
        // A text of several lines would put the mark below the wrong place.
        if !self.text.is_empty() && !self.text.contains(char::is_control) {
            write!(f, "\n  {}\n  {:>column$}", self.text, '^')?;
        }
        Ok(())
    }
}

impl std::error::Error for AggregateListError {}
