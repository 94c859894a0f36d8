//! How the 8 bytes of a column are to be read.

/// How a number lies in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NumberKind {
    /// A signed integer, two's complement.
    I64,
    /// The bits of a floating-point number.
    F64,
}

/// What a column of a row holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnKind {
    /// A number.
    Number(NumberKind),
    /// Only whether there is something: enough to count what is not null.
    Presence,
}

impl ColumnKind {
    /// The kind of its numbers; `None` when it holds none.
    pub const fn number(self) -> Option<NumberKind> {
        match self {
            Self::Number(kind) => Some(kind),
            Self::Presence => None,
        }
    }
}
