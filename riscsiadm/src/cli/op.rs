//! The operations that `-o` names.

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Create a record.
    New,
    /// Delete records.
    Delete,
    /// Change records.
    Update,
    /// Print records.
    Show,
    /// Discover without writing anything.
    Nonpersistent,
    /// Apply the network settings of an interface.
    Apply,
    /// Apply the network settings of all interfaces of a host adapter.
    ApplyAll,
    /// Log in to a flash node.
    Login,
    /// Log out of a flash node.
    Logout,
}

/// A set of operations: `-o` may repeat, and may name several at once, separated by commas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ops(u16);

impl Op {
    /// Every operation.
    pub const ALL: &[Self] = &[
        Self::New,
        Self::Delete,
        Self::Update,
        Self::Show,
        Self::Nonpersistent,
        Self::Apply,
        Self::ApplyAll,
        Self::Login,
        Self::Logout,
    ];

    /// The operation with this name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|op| op.word() == word)
    }

    /// The name, as it is typed.
    pub const fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Delete => "delete",
            Self::Update => "update",
            Self::Show => "show",
            Self::Nonpersistent => "nonpersistent",
            Self::Apply => "apply",
            Self::ApplyAll => "applyall",
            Self::Login => "login",
            Self::Logout => "logout",
        }
    }
}

impl Ops {
    /// Adds the operations that the argument of one `-o` names. `None` if one of them is unknown.
    pub fn and(self, words: &str) -> Option<Self> {
        words.split(',').try_fold(self, |ops, word| Some(ops.with(Op::from_word(word)?)))
    }

    /// This set and `op`.
    #[must_use]
    pub const fn with(self, op: Op) -> Self {
        Self(self.0 | 1 << op as u16)
    }

    /// Whether no operation was named.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `op` was named.
    pub const fn has(self, op: Op) -> bool {
        self.0 & 1 << op as u16 != 0
    }

    /// The operation, if exactly one was named.
    pub fn single(self) -> Option<Op> {
        Op::ALL.iter().copied().find(|op| self == Self::default().with(*op))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_found_by_its_whole_name_alone() {
        for op in Op::ALL {
            assert_eq!(Op::from_word(op.word()), Some(*op));
            assert_eq!(Ops::default().with(*op).single(), Some(*op));
        }
        for word in ["", "ne", "New", "updat", "show "] {
            assert_eq!(Op::from_word(word), None, "{word}");
        }
    }

    #[test]
    fn operations_add_up() {
        let ops = Ops::default().and("new").and_then(|ops| ops.and("update,delete")).unwrap();
        for op in Op::ALL {
            assert_eq!(ops.has(*op), matches!(op, Op::New | Op::Update | Op::Delete), "{op:?}");
        }
        assert_eq!(ops.single(), None);
        assert_eq!(Ops::default().and("new,new").unwrap().single(), Some(Op::New));
        assert!(Ops::default().is_empty() && Ops::default().single().is_none() && !ops.is_empty());
    }

    #[test]
    fn an_unknown_operation_spoils_the_list() {
        for words in ["", "bogus", "new,", ",new", "new,bogus", "new update", "new,,update"] {
            assert_eq!(Ops::default().and(words), None, "{words}");
        }
    }
}
