//! What stands in the file that `--secret-file` names.

use zeroize::Zeroizing;

/// Secrets of CHAP. They are wiped from memory when dropped, and cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    /// The initiator's: what it proves to know.
    pub secret: Zeroizing<String>,
    /// The target's: what it has to prove it knows, for mutual authentication.
    pub target_secret: Option<Zeroizing<String>>,
}

impl Secrets {
    /// Reads the text of a file: the initiator's secret in line 1, the target's in line 2 if there is one. The end of a
    /// line is no part of a secret; blanks are.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let mut lines = text.lines();
        let secret = lines.next().filter(|line| !line.is_empty());
        let secret = secret.ok_or("the secret file has nothing in its first line")?;
        let target_secret = lines.next().filter(|line| !line.is_empty());
        if lines.any(|line| !line.is_empty()) {
            return Err("the secret file has more than two lines: line 1 is our secret, line 2 the target's");
        }
        let own = |line: &str| Zeroizing::new(line.to_owned());
        Ok(Self { secret: own(secret), target_secret: target_secret.map(own) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_1_is_ours_and_line_2_the_targets() {
        for (text, secret, target_secret) in [
            ("a", "a", None),
            ("a\n", "a", None),
            ("a\r\n", "a", None),
            ("a\n\n\n", "a", None),
            ("a\nb", "a", Some("b")),
            ("a\r\nb\r\n", "a", Some("b")),
            (" a b \n\tc\n", " a b ", Some("\tc")),
        ] {
            let secrets = Secrets::new(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert_eq!(secrets.secret.as_str(), secret, "{text:?}");
            assert_eq!(secrets.target_secret.as_ref().map(|secret| secret.as_str()), target_secret, "{text:?}");
        }
    }

    #[test]
    fn a_file_without_a_first_line_or_with_a_third_is_refused() {
        for (text, reason) in [("", "nothing"), ("\n", "nothing"), ("\nb\n", "nothing"), ("a\nb\nc", "more than two")] {
            assert!(Secrets::new(text).is_err_and(|error| error.contains(reason)), "{text:?}");
        }
    }
}
