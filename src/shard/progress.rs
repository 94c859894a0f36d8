//! What a bounded piece of work came to.

/// What a step came to.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Something was done; there may be more.
    Worked,
    /// There was nothing to do.
    Idle,
    /// There is work, but no room for what comes out of it.
    Blocked,
    /// There will never be anything to do again.
    Finished,
}

impl Progress {
    /// What two steps came to together: work before no room before nothing to do before the end.
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Worked, _) | (_, Self::Worked) => Self::Worked,
            (Self::Blocked, _) | (_, Self::Blocked) => Self::Blocked,
            (Self::Idle, _) | (_, Self::Idle) => Self::Idle,
            (Self::Finished, Self::Finished) => Self::Finished,
        }
    }
}
