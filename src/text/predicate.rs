//! Which records are kept: an expression of SQL over the cells of a record, with SQL's three
//! truth values.
//!
//! `sqlparser` reads the text; here it becomes a small tree over slots. A column compared with a
//! number is compared as a number, with a string as text (the time column as a time), with `true`
//! or `false` as a truth value, two columns as numbers where both cells are numbers and as text
//! elsewhere. A comparison with NaN is unknown, as one with a null is.
//!
//! Uses `limits`.

mod like;
mod literals;

pub(crate) use literals::{Compared, SeenIn};

use super::cells::Cells;
use super::malformed::CellFault;
use super::number::{read_f64, read_i64};
use super::plan::Slots;
use super::timestamp::TimestampReader;
use crate::limits;
use like::{DanglingEscape, Pattern};
use literals::Written;
use sqlparser::ast::{BinaryOperator, Expr, InTarget, UnaryOperator, Value, ValueWithSpan};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use std::cmp::Ordering;

/// Why a filter cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the filter '{filter}' cannot be understood: {problem}")]
pub struct FilterError {
    /// The filter's text.
    pub filter: String,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

const SUPPORTED: &str = "there are comparisons (= <> < <= > >=), AND, OR, NOT, IN, BETWEEN, \
    LIKE, IS NULL, IS TRUE and parentheses, over columns, numbers, true, false and text in single \
    quotes";
/// Who asks for the filter's columns.
const ASKED_BY: &str = "--where";

/// A filter over slots.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    root: Node,
    compared: Vec<Compared>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug)]
enum Number {
    Integer(i64),
    Float(f64),
}

#[derive(Clone, Debug)]
enum Operand {
    Column(usize),
    Number(Number),
    Text(Vec<u8>),
    /// Nanoseconds, to be compared with the time column.
    Time(i64),
    Truth(bool),
    Null,
}

#[derive(Clone, Debug)]
enum Node {
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Compare(Comparison, Operand, Operand),
    In(Operand, Vec<Operand>),
    Like(usize, Pattern),
    IsNull(usize),
    /// Never unknown.
    IsTrue(Box<Node>),
    Constant(Option<bool>),
}

/// What a filter comes to for one record, or the cell that it could not read.
type Verdict = Result<Option<bool>, (usize, CellFault)>;

struct Lowering<'a> {
    filter: &'a str,
    time: &'a str,
    reader: TimestampReader,
    slots: &'a mut Slots,
    /// Conditions that the one under way lies in.
    depth: usize,
    /// Of these, how many are negations.
    negations: usize,
    compared: Vec<Compared>,
}

impl Filter {
    /// Reads a filter; its columns become slots.
    pub(crate) fn parse(
        filter: &str,
        time: &str,
        reader: TimestampReader,
        slots: &mut Slots,
    ) -> Result<Self, FilterError> {
        let refuse = |problem: String| FilterError { filter: filter.to_owned(), problem };
        if filter.len() > limits::FILTER_BYTES_MAX {
            let shown: String = filter.chars().take(40).collect();
            return Err(FilterError {
                filter: shown + "…",
                problem: format!("it is longer than {} bytes", limits::FILTER_BYTES_MAX),
            });
        }
        let dialect = GenericDialect {};
        let tokens = Tokenizer::new(&dialect, filter).tokenize_with_location();
        let tokens = tokens.map_err(|error| refuse(syntax_problem(&error.into())))?;
        if let Some(problem) = foreign_operator(&tokens) {
            return Err(refuse(problem));
        }
        let mut parser = Parser::new(&dialect).with_tokens_with_locations(tokens);
        let expression = parser.parse_expr().map_err(|error| refuse(syntax_problem(&error)))?;
        let rest = parser.peek_token();
        if rest.token != Token::EOF {
            return Err(refuse(format!("'{rest}' is left over; {SUPPORTED}")));
        }
        let mut lowering =
            Lowering { filter, time, reader, slots, depth: 0, negations: 0, compared: Vec::new() };
        let root = lowering.node(&expression)?;
        Ok(Self { root, compared: lowering.compared })
    }

    /// The comparisons of columns with literals, one of a kind.
    pub(crate) fn compared(&self) -> &[Compared] {
        &self.compared
    }

    /// Whether a record is kept: only if the filter is true, not if it is unknown.
    pub(crate) fn keeps(
        &self,
        cells: &Cells<'_>,
        reader: &mut TimestampReader,
    ) -> Result<bool, (usize, CellFault)> {
        Ok(self.root.verdict(cells, reader)? == Some(true))
    }
}

fn syntax_problem(error: &sqlparser::parser::ParserError) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("sql parser error: ").unwrap_or(&text);
    // The filter's end has a name of the parser's own.
    format!("{}; {SUPPORTED}", text.replace("found: EOF", "found: the end"))
}

/// What to say of an operator that other languages have for what a word stands for here.
fn foreign_operator(tokens: &[TokenWithSpan]) -> Option<String> {
    tokens.iter().find_map(|token| {
        let word = match token.token {
            Token::Overlap => "and",
            Token::StringConcat => "or",
            Token::ExclamationMark => "not",
            Token::DoubleEq => "=",
            _ => return None,
        };
        let (found, column) = (&token.token, token.span.start.column);
        Some(format!("at character {column}: '{found}' is written {word} here; {SUPPORTED}"))
    })
}

impl Lowering<'_> {
    fn refuse(&self, problem: impl Into<String>) -> FilterError {
        FilterError { filter: self.filter.to_owned(), problem: problem.into() }
    }

    fn node(&mut self, expression: &Expr) -> Result<Node, FilterError> {
        if self.depth == limits::FILTER_DEPTH_MAX {
            let most = limits::FILTER_DEPTH_MAX;
            return Err(self.refuse(format!("more than {most} conditions nest; IN takes a list")));
        }
        self.depth += 1;
        let node = self.condition(expression);
        self.depth -= 1;
        node
    }

    fn condition(&mut self, expression: &Expr) -> Result<Node, FilterError> {
        Ok(match expression {
            Expr::Nested(inner) => self.node(inner)?,
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
                self.negations += 1;
                let inner = self.node(expr);
                self.negations -= 1;
                negate(inner?, true)
            }
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                Node::And(Box::new(self.node(left)?), Box::new(self.node(right)?))
            }
            Expr::BinaryOp { left, op: BinaryOperator::Or, right } => {
                Node::Or(Box::new(self.node(left)?), Box::new(self.node(right)?))
            }
            Expr::BinaryOp { left, op, right } => {
                let comparison = comparison(op)
                    .ok_or_else(|| self.refuse(format!("'{op}' is not supported; {SUPPORTED}")))?;
                self.compare(comparison, left, right)?
            }
            Expr::In { expr, target: InTarget::List(list), negated, global: false } => {
                let operand = self.operand(expr)?;
                let mut choices = Vec::new();
                for item in list {
                    let choice = self.operand(item)?;
                    self.note_as_text(expr, "IN", item);
                    let choice = self.paired(&operand, choice)?;
                    self.check_truth(Comparison::Equal, &operand, &choice)?;
                    let of = Compared::of(Written::In, (expr, &operand), (item, &choice));
                    self.note_literal(of, *negated);
                    choices.push(choice);
                }
                negate(Node::In(operand, choices), *negated)
            }
            Expr::Between { expr, negated, low, high } => {
                let low = self.compare(Comparison::GreaterOrEqual, expr, low)?;
                let high = self.compare(Comparison::LessOrEqual, expr, high)?;
                negate(Node::And(Box::new(low), Box::new(high)), *negated)
            }
            Expr::IsNull(inner) => Node::IsNull(self.presence(inner)?),
            Expr::IsNotNull(inner) => Node::Not(Box::new(Node::IsNull(self.presence(inner)?))),
            Expr::Like { negated, any: false, expr, pattern, escape_char } => {
                let column = self.column(expr)?;
                let pattern = self.pattern(expr, pattern, escape_char.as_deref())?;
                negate(Node::Like(column, pattern), *negated)
            }
            Expr::IsTrue(inner) => self.is(inner, true)?,
            Expr::IsFalse(inner) => self.is(inner, false)?,
            Expr::IsNotTrue(inner) => negate(self.is(inner, true)?, true),
            Expr::IsNotFalse(inner) => negate(self.is(inner, false)?, true),
            Expr::Value(value) => match &value.value {
                Value::Boolean(truth) => Node::Constant(Some(*truth)),
                Value::Null => Node::Constant(None),
                other => {
                    return Err(self.refuse(format!("{other} is not a condition; {SUPPORTED}")));
                }
            },
            Expr::Identifier(name) => {
                return Err(self.refuse(format!(
                    "the column {name} is no condition, {name} = true is one; {SUPPORTED}"
                )));
            }
            other => return Err(self.refuse(format!("'{other}' is not supported; {SUPPORTED}"))),
        })
    }

    fn compare(
        &mut self,
        comparison: Comparison,
        left: &Expr,
        right: &Expr,
    ) -> Result<Node, FilterError> {
        let operands = (self.operand(left)?, self.operand(right)?);
        self.note_as_text(left, comparison.symbol(), right);
        let (lhs, rhs) = operands;
        let rhs = self.paired(&lhs, rhs)?;
        let lhs = self.paired(&rhs, lhs)?;
        self.check_null(comparison, (&lhs, left), (&rhs, right))?;
        self.check_truth(comparison, &lhs, &rhs)?;
        let mixed = matches!(
            (&lhs, &rhs),
            (Operand::Text(_), Operand::Number(_)) | (Operand::Number(_), Operand::Text(_))
        );
        if mixed {
            return Err(self.refuse(
                "a number is compared with a text; a column's name stands without quotes, or in \
                 double quotes",
            ));
        }
        self.check_order(comparison, (&lhs, &rhs))?;
        let of = Compared::of(Written::Sign(comparison), (left, &lhs), (right, &rhs));
        self.note_literal(of, comparison == Comparison::NotEqual);
        Ok(Node::Compare(comparison, lhs, rhs))
    }

    /// `x is true`, of a column or of a condition.
    fn is(&mut self, inner: &Expr, truth: bool) -> Result<Node, FilterError> {
        let node = match unwrapped(inner) {
            Expr::Identifier(_) => {
                let operand = self.operand(inner)?;
                if let Operand::Column(slot) = operand {
                    let truth = if truth { "TRUE" } else { "FALSE" };
                    let written = format!("{} IS {truth}", unwrapped(inner));
                    self.note_literal(Some(Compared::of_truth(slot, written)), false);
                }
                Node::Compare(Comparison::Equal, operand, Operand::Truth(truth))
            }
            _ => negate(self.node(inner)?, !truth),
        };
        Ok(Node::IsTrue(Box::new(node)))
    }

    /// A comparison with null holds for no record, which is never what is meant.
    fn check_null(
        &self,
        comparison: Comparison,
        (left, left_text): (&Operand, &Expr),
        (right, right_text): (&Operand, &Expr),
    ) -> Result<(), FilterError> {
        let of = match (left, right) {
            (_, Operand::Null) => left_text,
            (Operand::Null, _) => right_text,
            _ => return Ok(()),
        };
        let mend = if comparison == Comparison::NotEqual { "is not null" } else { "is null" };
        Err(self.refuse(format!("a comparison with null holds for no record; write {of} {mend}")))
    }

    /// Truth values are the same or not, and are compared with columns.
    fn check_truth(
        &self,
        comparison: Comparison,
        left: &Operand,
        right: &Operand,
    ) -> Result<(), FilterError> {
        let other = match (left, right) {
            (Operand::Truth(_), other) | (other, Operand::Truth(_)) => other,
            _ => return Ok(()),
        };
        if !matches!(comparison, Comparison::Equal | Comparison::NotEqual) {
            return Err(self.refuse("true and false have no order; compare them with = or <>"));
        }
        match other {
            Operand::Column(slot) if self.slots.0[*slot].name == self.time => {
                Err(self.refuse("the time column is compared with true or false, and holds times"))
            }
            Operand::Column(_) | Operand::Truth(_) => Ok(()),
            _ => Err(self.refuse(
                "true or false is compared with a number or a text; the text is written 'true'",
            )),
        }
    }

    /// Which of two texts comes first is decided letter by letter, which is never what is meant
    /// where one of them is a number in quotes.
    fn check_order(
        &self,
        comparison: Comparison,
        operands: (&Operand, &Operand),
    ) -> Result<(), FilterError> {
        if matches!(comparison, Comparison::Equal | Comparison::NotEqual) {
            return Ok(());
        }
        let text = match operands {
            (Operand::Column(_), Operand::Text(text)) => text,
            (Operand::Text(text), Operand::Column(_)) => text,
            _ => return Ok(()),
        };
        if number(text).is_none() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(text);
        Err(self.refuse(format!(
            "'{text}' stands in quotes, so it is a text and would be ordered letter by letter; as \
             a number it stands without: {text}"
        )))
    }

    /// A string that is compared with the time column is a time.
    fn paired(&mut self, with: &Operand, operand: Operand) -> Result<Operand, FilterError> {
        match (with, operand) {
            (Operand::Column(slot), Operand::Text(text))
                if self.slots.0[*slot].name == self.time =>
            {
                let mut reader = self.reader.clone();
                let time = reader.read(&text).map_err(|error| {
                    let text = String::from_utf8_lossy(&text);
                    self.refuse(format!("'{text}' is compared with the time column and is {error}"))
                })?;
                Ok(Operand::Time(time.as_nanos()))
            }
            (Operand::Column(slot), Operand::Number(_))
                if self.slots.0[*slot].name == self.time && self.reader.unit().is_none() =>
            {
                Err(self.refuse(format!(
                    "the time column is compared with a number, and holds dates with times of \
                     day; one stands in single quotes: {} >= '2013-01-02 05:17'",
                    self.time
                )))
            }
            (_, operand) => Ok(operand),
        }
    }

    /// Notes what a column is compared with. That it is another text than one which it never holds
    /// is true, and may be meant.
    fn note_literal(&mut self, compared: Option<Compared>, is_other: bool) {
        let Some(compared) = compared else { return };
        let is_meant = compared.is_of_text() && (is_other || self.negations > 0);
        if !is_meant && !self.compared.iter().any(|known| known.is_like(&compared)) {
            self.compared.push(compared);
        }
    }

    /// Where a column is compared with another, that one may have been meant as a text.
    fn note_as_text(&mut self, left: &Expr, symbol: &str, right: &Expr) {
        let (Expr::Identifier(_), Expr::Identifier(name)) = (left, right) else { return };
        let slot = self.slots.of(&name.value, ASKED_BY);
        let text = name.value.replace('\'', "''");
        let as_text = match symbol {
            "IN" => format!("{left} IN ('{text}')"),
            _ => format!("{left} {symbol} '{text}'"),
        };
        self.slots.0[slot].as_text.get_or_insert(as_text);
    }

    /// The pattern of `expr LIKE pattern ESCAPE escape`.
    fn pattern(
        &mut self,
        expr: &Expr,
        pattern: &Expr,
        escape: Option<&Expr>,
    ) -> Result<Pattern, FilterError> {
        let Operand::Text(pattern) = self.operand(pattern)? else {
            let problem = "LIKE takes a pattern in single quotes";
            return Err(self.refuse(format!("{problem}, such as {expr} LIKE 'A%'")));
        };
        let escape = match escape.map(|escape| self.operand(escape)).transpose()? {
            None => None,
            Some(Operand::Text(text)) if String::from_utf8_lossy(&text).chars().count() == 1 => {
                String::from_utf8_lossy(&text).chars().next()
            }
            Some(_) => {
                let problem = "ESCAPE takes one character in single quotes";
                return Err(
                    self.refuse(format!("{problem}, such as {expr} LIKE '10!%' ESCAPE '!'"))
                );
            }
        };
        let pattern = String::from_utf8_lossy(&pattern);
        Pattern::read(&pattern, escape).map_err(|DanglingEscape| {
            self.refuse(format!(
                "in '{pattern}', %, _ or itself should stand behind each escape character"
            ))
        })
    }

    fn column(&mut self, expression: &Expr) -> Result<usize, FilterError> {
        match self.operand(expression)? {
            Operand::Column(slot) => Ok(slot),
            _ => Err(self.refuse(format!("'{expression}' stands where a column should"))),
        }
    }

    /// A column of which only matters whether it holds something.
    fn presence(&mut self, expression: &Expr) -> Result<usize, FilterError> {
        match expression {
            Expr::Identifier(name) => Ok(self.slots.of_presence(&name.value, ASKED_BY)),
            other => self.column(other),
        }
    }

    fn operand(&mut self, expression: &Expr) -> Result<Operand, FilterError> {
        match expression {
            Expr::Nested(inner) => self.operand(inner),
            Expr::Identifier(name) => Ok(Operand::Column(self.slots.of(&name.value, ASKED_BY))),
            // The sign belongs to the digits: those of the least integer alone are none.
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match unwrapped(expr) {
                Expr::Value(ValueWithSpan { value: Value::Number(text, _), .. }) => {
                    number(format!("-{text}").as_bytes())
                        .map(Operand::Number)
                        .ok_or_else(|| self.refuse(format!("'-{text}' is not a number")))
                }
                _ => Err(self.refuse(format!("'{expression}' is not a number"))),
            },
            Expr::Value(value) => match &value.value {
                Value::Number(text, _) => number(text.as_bytes())
                    .map(Operand::Number)
                    .ok_or_else(|| self.refuse(format!("'{text}' is not a number"))),
                Value::SingleQuotedString(text) => Ok(Operand::Text(text.clone().into_bytes())),
                Value::Null => Ok(Operand::Null),
                Value::Boolean(truth) => Ok(Operand::Truth(*truth)),
                other => Err(self.refuse(format!("{other} is not supported; {SUPPORTED}"))),
            },
            other => Err(self.refuse(format!("'{other}' is not supported; {SUPPORTED}"))),
        }
    }
}

/// What stands in any number of parentheses.
fn unwrapped(mut expression: &Expr) -> &Expr {
    while let Expr::Nested(inner) = expression {
        expression = inner;
    }
    expression
}

fn negate(node: Node, negated: bool) -> Node {
    if negated { Node::Not(Box::new(node)) } else { node }
}

fn comparison(operator: &BinaryOperator) -> Option<Comparison> {
    Some(match operator {
        BinaryOperator::Eq => Comparison::Equal,
        BinaryOperator::NotEq => Comparison::NotEqual,
        BinaryOperator::Lt => Comparison::Less,
        BinaryOperator::LtEq => Comparison::LessOrEqual,
        BinaryOperator::Gt => Comparison::Greater,
        BinaryOperator::GtEq => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

fn number(text: &[u8]) -> Option<Number> {
    read_i64(text).map(Number::Integer).or_else(|_| read_f64(text).map(Number::Float)).ok()
}

/// A truth value, in any case: CSV has no one spelling of them.
fn truth(cell: &[u8]) -> Option<bool> {
    let cell = cell.trim_ascii();
    let is = |word: &[u8]| cell.eq_ignore_ascii_case(word);
    if is(b"true") { Some(true) } else { is(b"false").then_some(false) }
}

impl Number {
    fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => Some(a.cmp(&b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(&b),
            (Self::Integer(a), Self::Float(b)) => compare_exactly(a, b),
            (Self::Float(a), Self::Integer(b)) => compare_exactly(b, a).map(Ordering::reverse),
        }
    }
}

/// How an integer and a float are ordered: as the numbers that they are, of which a float has not
/// all beyond 2^53.
fn compare_exactly(integer: i64, float: f64) -> Option<Ordering> {
    /// 2^63, the first float that is more than all integers.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    match float {
        float if float.is_nan() => None,
        float if float >= BEYOND => Some(Ordering::Less),
        float if float < -BEYOND => Some(Ordering::Greater),
        float => {
            let whole = integer.cmp(&(float.trunc() as i64));
            Some(whole.then(0.0_f64.total_cmp(&(float.fract() + 0.0))))
        }
    }
}

impl Comparison {
    const fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

impl Node {
    fn verdict(&self, cells: &Cells<'_>, reader: &mut TimestampReader) -> Verdict {
        Ok(match self {
            Self::And(left, right) => match left.verdict(cells, reader)? {
                Some(false) => Some(false),
                left => match (left, right.verdict(cells, reader)?) {
                    (_, Some(false)) => Some(false),
                    (Some(true), Some(true)) => Some(true),
                    _ => None,
                },
            },
            Self::Or(left, right) => match left.verdict(cells, reader)? {
                Some(true) => Some(true),
                left => match (left, right.verdict(cells, reader)?) {
                    (_, Some(true)) => Some(true),
                    (Some(false), Some(false)) => Some(false),
                    _ => None,
                },
            },
            Self::Not(inner) => inner.verdict(cells, reader)?.map(|truth| !truth),
            Self::Compare(comparison, left, right) => {
                compare(left, right, cells, reader)?.map(|ordering| comparison.holds(ordering))
            }
            Self::In(operand, choices) => {
                let mut unknown = false;
                for choice in choices {
                    match compare(operand, choice, cells, reader)? {
                        Some(Ordering::Equal) => return Ok(Some(true)),
                        Some(_) => {}
                        None => unknown = true,
                    }
                }
                (!unknown).then_some(false)
            }
            Self::Like(slot, pattern) => text(cells, *slot)?.map(|text| pattern.fits(text)),
            Self::IsNull(slot) => Some(cells.get(*slot).is_none()),
            Self::IsTrue(inner) => Some(inner.verdict(cells, reader)? == Some(true)),
            Self::Constant(truth) => *truth,
        })
    }
}

/// A cell as text; `None` when it is null.
fn text<'a>(cells: &Cells<'a>, slot: usize) -> Result<Option<&'a str>, (usize, CellFault)> {
    match cells.get(slot) {
        Some(cell) => match std::str::from_utf8(cell) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err((slot, CellFault::NotUtf8)),
        },
        None => Ok(None),
    }
}

/// How two operands are ordered; `None` when one of them is null or NaN.
fn compare(
    left: &Operand,
    right: &Operand,
    cells: &Cells<'_>,
    reader: &mut TimestampReader,
) -> Result<Option<Ordering>, (usize, CellFault)> {
    let read = |slot: usize, cell: &[u8]| number(cell).ok_or((slot, CellFault::NotComparable));
    Ok(match (left, right) {
        (Operand::Column(slot), Operand::Number(value)) => match cells.get(*slot) {
            Some(text) => read(*slot, text)?.compare(*value),
            None => None,
        },
        (Operand::Column(slot), Operand::Text(value)) => {
            text(cells, *slot)?.map(|text| text.as_bytes().cmp(value.as_slice()))
        }
        (Operand::Column(slot), Operand::Time(value)) => match cells.get(*slot) {
            Some(text) => {
                let time = reader.read(text).map_err(|error| (*slot, CellFault::Time(error)))?;
                Some(time.as_nanos().cmp(value))
            }
            None => None,
        },
        (Operand::Column(slot), Operand::Truth(value)) => match cells.get(*slot) {
            Some(cell) => {
                let found = truth(cell).ok_or((*slot, CellFault::NotATruth))?;
                Some(found.cmp(value))
            }
            None => None,
        },
        (Operand::Column(a), Operand::Column(b)) => match (cells.get(*a), cells.get(*b)) {
            (Some(a), Some(b)) => match (number(a), number(b)) {
                (Some(a), Some(b)) => a.compare(b),
                _ => Some(a.cmp(b)),
            },
            _ => None,
        },
        (_, Operand::Column(_)) => compare(right, left, cells, reader)?.map(Ordering::reverse),
        (Operand::Number(a), Operand::Number(b)) => a.compare(*b),
        (Operand::Text(a), Operand::Text(b)) => Some(a.cmp(b)),
        (Operand::Truth(a), Operand::Truth(b)) => Some(a.cmp(b)),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
