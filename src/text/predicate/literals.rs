//! Which columns a filter compares with numbers and which with texts, to be held against what the
//! columns hold before a record is read.
//!
//! Uses nothing of the crate.

use super::{Comparison, Expr, Operand, number, unwrapped};
use crate::text::infer::Seen;
use crate::text::malformed::quoted;
use crate::text::plan::DeclaredType;

/// What a column is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Literal {
    Number,
    /// A text, perhaps of a number. A column that holds nothing but numbers so far may be meant
    /// as text, so such a text may be in it; another is not.
    Text {
        is_number: bool,
    },
    /// True or false, which JSON has, and which no number is.
    Truth,
}

/// A comparison of a column with a literal.
#[derive(Clone, Debug)]
pub(crate) struct Compared {
    /// The column's slot.
    pub(crate) slot: usize,
    literal: Literal,
    /// As it is written.
    written: String,
    /// As it would be written of a column of the other kind, if it can be.
    other: Option<String>,
}

/// What was seen of a column in one input.
pub(crate) struct SeenIn<'a> {
    /// The input.
    pub(crate) name: &'a str,
    pub(crate) seen: &'a Seen,
    /// Records that were looked at.
    pub(crate) records: usize,
}

/// How a comparison is written.
#[derive(Clone, Copy)]
pub(super) enum Written {
    Sign(Comparison),
    In,
}

impl Compared {
    /// Of two operands and how they are written, where one is a column and the other a number, or
    /// a text that the column is to be the same as, to come before or after.
    pub(super) fn of(
        written: Written,
        (left, lhs): (&Expr, &Operand),
        (right, rhs): (&Expr, &Operand),
    ) -> Option<Self> {
        let (slot, operand, is_first) = match (lhs, rhs) {
            (Operand::Column(slot), literal) => (*slot, literal, false),
            (literal, Operand::Column(slot)) => (*slot, literal, true),
            _ => return None,
        };
        let write = |left: &str, right: &str| match written {
            Written::Sign(comparison) => format!("{left} {} {right}", comparison.symbol()),
            Written::In => format!("{left} IN ({right})"),
        };
        let (left, right) = (unwrapped(left).to_string(), unwrapped(right).to_string());
        let with = |literal: &str| match is_first {
            true => write(literal, &right),
            false => write(&left, literal),
        };
        let (literal, other) = match operand {
            Operand::Number(_) => {
                let text = if is_first { &left } else { &right };
                (Literal::Number, Some(with(&format!("'{text}'"))))
            }
            Operand::Text(text) => {
                let is_number = number(text).is_some();
                let text = String::from_utf8_lossy(text);
                (Literal::Text { is_number }, is_number.then(|| with(text.trim())))
            }
            Operand::Truth(_) => (Literal::Truth, None),
            _ => return None,
        };
        Some(Self { slot, literal, written: write(&left, &right), other })
    }

    /// Of a column that is to be true, or false.
    pub(super) fn of_truth(slot: usize, written: String) -> Self {
        Self { slot, literal: Literal::Truth, written, other: None }
    }

    /// Whether nothing more is learnt of this one than of another.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (self.slot, self.literal) == (other.slot, other.literal)
    }

    /// Whether it asks for a text.
    pub(super) const fn is_of_text(&self) -> bool {
        matches!(self.literal, Literal::Text { .. })
    }

    /// What is wrong with it, as far as the column's type is declared or was seen.
    pub(crate) fn problem(
        &self,
        column: &str,
        declared: Option<DeclaredType>,
        seen: &[SeenIn<'_>],
    ) -> Option<String> {
        let Self { written, .. } = self;
        let with_number = format!("and --where compares it with a number ({written}); write");
        let with_text = format!("and --where compares it with a text ({written}); write");
        let quoted_number = self.other.as_deref().unwrap_or_default();
        let number = self.other.as_deref().unwrap_or("a number without quotes");
        match (declared, self.literal) {
            (Some(DeclaredType::Text), Literal::Number) => Some(format!(
                "column '{column}' holds text, as --type says, {with_number} {quoted_number}, or \
                 say --type {column}=i64 if it holds numbers"
            )),
            (Some(DeclaredType::Number(_)), Literal::Text { .. }) => Some(format!(
                "column '{column}' holds numbers, as --type says, {with_text} {number}, or say \
                 --type {column}=str if it holds text"
            )),
            (Some(DeclaredType::Number(_)), Literal::Truth) => Some(format!(
                "column '{column}' holds numbers, as --type says, and no number is true or false \
                 ({written}); compare it with one, {column} <> 0 say"
            )),
            (None, Literal::Truth) => only_numbers(column, seen).map(|found| {
                format!(
                    "{found}, and no number is true or false ({written}); compare it with one, \
                     {column} <> 0 say"
                )
            }),
            (None, Literal::Number) => {
                let no_number = |s: &Seen| s.integers == 0 && s.fractions == 0 && s.words == 0;
                let (found, text) =
                    seen.iter().find_map(|found| Some((found, found.seen.text.as_ref()?)))?;
                let place = text.place;
                seen.iter().all(|found| no_number(found.seen)).then(|| {
                    format!(
                        "{}:{}:{}: column '{column}' holds text, here {}, {with_number} \
                         {quoted_number}, or say --type {column}=i64 if numbers follow",
                        found.name,
                        place.lines_below,
                        place.column,
                        quoted(&text.first)
                    )
                })
            }
            (None, Literal::Text { is_number: false }) => only_numbers(column, seen).map(|found| {
                format!("{found}, {with_text} {number}, or say --type {column}=str if texts follow")
            }),
            _ => None,
        }
    }
}

/// Says that a column holds numbers, where it was seen to hold some and nothing else.
fn only_numbers(column: &str, seen: &[SeenIn<'_>]) -> Option<String> {
    let found = seen.iter().find(|found| found.seen.integers + found.seen.fractions > 0)?;
    let is_numbers = |found: &SeenIn<'_>| found.seen.text.is_none() && found.seen.words == 0;
    seen.iter().all(is_numbers).then(|| {
        let SeenIn { name, records, .. } = found;
        let plural = if *records == 1 { "" } else { "s" };
        format!("{name}: column '{column}' holds numbers in the first {records} record{plural}")
    })
}
