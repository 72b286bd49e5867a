//! Finds the tests of a source file and the rules that they name.

use super::id::Id;

/// A test that names rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The line of its function, from 1.
    pub line: usize,
    /// The name of its function.
    pub test: String,
    /// The rules, in the order they are named.
    pub ids: Vec<Id>,
    /// What looks like the number of a rule and is none.
    pub faults: Vec<String>,
}

/// What stands above a function.
#[derive(Default)]
struct Above {
    test: bool,
    ignored: bool,
    ids: Vec<Id>,
    faults: Vec<String>,
    /// Within an attribute of several lines.
    open: bool,
}

/// The tests of a source file that name rules. Tests that are left out of a run (`#[ignore]`) prove nothing.
pub fn proofs(source: &str) -> Vec<Proof> {
    let mut above = Above::default();
    let mut proofs = Vec::new();
    for (index, line) in source.lines().enumerate() {
        let line = line.trim();
        if above.take(line) {
            continue;
        }
        let above = std::mem::take(&mut above);
        if let Some(name) = function(line).filter(|_| above.test && !above.ignored) {
            proofs.extend(above.proof(index + 1, name));
        }
    }
    proofs
}

impl Above {
    /// Takes in a comment or an attribute; says whether the line was one.
    fn take(&mut self, line: &str) -> bool {
        if self.open {
            self.open = !line.ends_with(']');
        } else if let Some(comment) = line.strip_prefix("///") {
            self.take_comment(comment);
        } else if let Some(attribute) = line.strip_prefix("#[") {
            self.test |= attribute.starts_with("test]") || attribute.starts_with("tokio::test");
            self.ignored |= attribute.starts_with("ignore");
            self.open = !line.ends_with(']');
        } else {
            return false;
        }
        true
    }

    fn take_comment(&mut self, comment: &str) {
        let mut rest = comment;
        let mut first: Option<Id> = None;
        while let Some((before, after)) = rest.split_once("R-") {
            let digits = after.get(..3).unwrap_or_default();
            let Some(id) = Id::from_digits(digits) else {
                self.faults.push(format!("R-{digits}"));
                return;
            };
            match first.filter(|_| before == " to ") {
                Some(first) => self.run(first, id),
                None => self.ids.push(id),
            }
            (first, rest) = (Some(id), &after[3..]);
        }
    }

    /// Adds the rules behind `first`, which has been added.
    fn run(&mut self, first: Id, last: Id) {
        let before = self.ids.len();
        self.ids.extend(first.up_to(last).skip(1));
        if self.ids.len() == before {
            self.faults.push(format!("{first} to {last}"));
        }
    }

    fn take_name(&mut self, name: &str) {
        let mut first: Option<Id> = None;
        let mut run = false;
        for part in name.split('_') {
            let Some(digits) = part.strip_prefix('r').filter(|digits| is_number(digits)) else {
                if run || first.is_none() || part != "to" {
                    return;
                }
                run = true;
                continue;
            };
            match (Id::from_digits(digits), first) {
                (None, _) => self.faults.push(part.into()),
                (Some(id), Some(first)) if run => self.run(first, id),
                (Some(id), _) => self.ids.push(id),
            }
            (first, run) = (Id::from_digits(digits), false);
        }
    }

    fn proof(mut self, line: usize, name: &str) -> Option<Proof> {
        self.take_name(name);
        let Self { ids, faults, .. } = self;
        (!ids.is_empty() || !faults.is_empty()).then(|| Proof { line, test: name.into(), ids, faults })
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit())
}

/// The name of the function that starts on this line.
fn function(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?;
    rest.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(source: &str) -> Vec<String> {
        let proofs = proofs(source);
        assert!(proofs.iter().all(|proof| proof.faults.is_empty()), "{proofs:?}");
        proofs.iter().flat_map(|proof| &proof.ids).map(Id::to_string).collect()
    }

    fn faults(source: &str) -> Vec<String> {
        proofs(source).into_iter().flat_map(|proof| proof.faults).collect()
    }

    #[test]
    fn the_name_of_a_test_names_rules() {
        for (name, expected) in [
            ("r001_words", &["R-001"][..]),
            ("r008_r009_words", &["R-008", "R-009"]),
            ("r172_to_r174_words", &["R-172", "R-173", "R-174"]),
            ("r265_to_r266_r001_words", &["R-265", "R-266", "R-001"]),
            ("r001_to_words_r002", &["R-001"]),
            ("r001_words_r002", &["R-001"]),
            ("r001", &["R-001"]),
            ("r2ts_are_answered", &[]),
            ("words_r001", &[]),
        ] {
            assert_eq!(ids(&format!("#[test]\nfn {name}() {{\n}}")), expected, "{name}");
        }
    }

    #[test]
    fn the_comment_above_a_test_names_rules() {
        for (comment, expected) in [
            ("/// R-001", &["R-001"][..]),
            ("/// R-001, R-003: words, and R-005.", &["R-001", "R-003", "R-005"]),
            ("/// R-008, R-025 to R-027: words.", &["R-008", "R-025", "R-026", "R-027"]),
            ("/// Words.\n/// R-002\n///\n/// R-004", &["R-002", "R-004"]),
            ("// R-001", &[]),
        ] {
            assert_eq!(ids(&format!("{comment}\n#[test]\nfn words() {{\n}}")), expected, "{comment}");
        }
    }

    #[test]
    fn only_tests_that_run_prove_anything() {
        for (source, expected) in [
            ("    #[test]\n    fn r001_words() {", 1),
            ("#[tokio::test(start_paused = true)]\nasync fn r001_words() {", 1),
            ("#[test]\n#[cfg(unix)]\nfn r001_words(pick: u8) {", 1),
            ("#[test]\n#[expect(\n    lint,\n    reason = \"x\"\n)]\nfn r001_words() {", 1),
            ("fn r001_words() {", 0),
            ("/// R-001\nfn words() {", 0),
            ("#[test]\n#[ignore]\nfn r001_words() {", 0),
            ("#[test]\n#[ignore = \"slow\"]\nfn r001_words() {", 0),
            ("#[test]\nfn words() {\n}\nfn r001_words() {", 0),
            ("/// R-001\nstruct Words;\n#[test]\nfn words() {", 0),
        ] {
            assert_eq!(ids(source).len(), expected, "{source}");
        }
    }

    #[test]
    fn what_is_almost_a_number_is_told() {
        for (source, fault) in [
            ("#[test]\nfn r1_words() {", "r1"),
            ("#[test]\nfn r0001_words() {", "r0001"),
            ("#[test]\nfn r005_to_r004_words() {", "R-005 to R-004"),
            ("#[test]\nfn r005_to_r005_words() {", "R-005 to R-005"),
            ("/// R-12: words\n#[test]\nfn words() {", "R-12:"),
            ("/// R-002 to R-001\n#[test]\nfn words() {", "R-002 to R-001"),
        ] {
            assert_eq!(faults(source), [fault], "{source}");
        }
    }

    #[test]
    fn a_proof_knows_its_line() {
        let found = proofs("\n/// R-002\n#[test]\nfn r001_words() {\n}\n");
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].line, found[0].test.as_str()), (4, "r001_words"));
        assert_eq!(found[0].ids.len(), 2);
    }
}
