//! The number of a rule.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use thiserror::Error;

/// The number of a rule, written `R-001`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Id(u16);

/// A text that is no number of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no number of a rule: it is R- and three digits")]
pub struct IdError(String);

impl Id {
    /// The rule with this number, from three digits.
    pub fn from_digits(digits: &str) -> Option<Self> {
        let right = digits.len() == 3 && digits.bytes().all(|digit| digit.is_ascii_digit());
        right.then(|| digits.parse().ok().map(Self)).flatten()
    }

    /// This rule and all up to `last`; none if that comes before.
    pub fn up_to(self, last: Self) -> impl Iterator<Item = Self> {
        (self.0..=last.0).map(Self)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "R-{:03}", self.0)
    }
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        text.strip_prefix("R-").and_then(Self::from_digits).ok_or_else(|| IdError(text.into()))
    }
}

impl TryFrom<String> for Id {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_three_digits() {
        for text in ["R-000", "R-007", "R-302", "R-999"] {
            assert_eq!(text.parse::<Id>().unwrap().to_string(), text);
        }
        for text in ["", "R-", "R-1", "R-01", "R-0001", "r-001", "R 001", "R-+01", "R-0a1", "001"] {
            assert_eq!(text.parse::<Id>(), Err(IdError(text.into())));
        }
    }

    #[test]
    fn a_run_holds_both_ends() {
        let run = |first, last| Id(first).up_to(Id(last)).map(|id| id.0).collect::<Vec<_>>();
        assert_eq!(run(7, 9), [7, 8, 9]);
        assert_eq!(run(7, 7), [7]);
        assert_eq!(run(7, 6), [] as [u16; 0]);
    }
}
