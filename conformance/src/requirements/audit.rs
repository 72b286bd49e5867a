//! Holds rules, tests and exceptions together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use super::id::Id;
use super::scan::{Proof, proofs};
use super::table::{Exception, Tables};

/// The folders with tests, from the root of the workspace.
const MEMBERS: [&str; 4] = ["iscsi-proto", "iscsi-initiator", "riscsiadm", "conformance"];

/// How things stand with a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// These tests prove it, as `file:line name`.
    Proved(Vec<String>),
    /// It is left out for a reason.
    Excepted(Exception),
    /// It is left out for now.
    Open(Exception),
    /// Nobody has said anything about it.
    Missing,
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    /// Every rule of the table.
    pub states: BTreeMap<Id, State>,
    /// What is wrong.
    pub faults: Vec<String>,
}

/// The tests of all members of the workspace at `root` that name rules, with their files.
pub fn collect(root: &Path) -> io::Result<Vec<(String, Proof)>> {
    let mut files = Vec::new();
    for member in MEMBERS {
        sources(&root.join(member), &mut files)?;
    }
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let name = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        found.extend(proofs(&fs::read_to_string(&file)?).into_iter().map(|proof| (name.clone(), proof)));
    }
    Ok(found)
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sources(&entry.path(), into)?;
        } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
            into.push(entry.path());
        }
    }
    Ok(())
}

impl Audit {
    /// Compares the tables with the tests.
    pub fn new(tables: &Tables, tests: &[(String, Proof)]) -> Self {
        let mut audit = Self::default();
        let mut proved: BTreeMap<Id, Vec<String>> = BTreeMap::new();
        for (file, proof) in tests {
            audit.take(tables, &format!("{file}:{} {}", proof.line, proof.test), proof, &mut proved);
        }
        for (id, rule) in &tables.rules {
            for section in rule.at.iter().filter(|section| !tables.has_section(section)) {
                audit.faults.push(format!("{id} cites section {section}, which does not exist"));
            }
            let state = audit.state(*id, proved.remove(id), tables.exceptions.get(id).cloned());
            audit.states.insert(*id, state);
        }
        for id in tables.exceptions.keys().filter(|id| !tables.rules.contains_key(id)) {
            audit.faults.push(format!("there is an exception for {id}, which does not exist"));
        }
        audit
    }

    fn take(&mut self, tables: &Tables, test: &str, proof: &Proof, proved: &mut BTreeMap<Id, Vec<String>>) {
        self.faults.extend(proof.faults.iter().map(|fault| format!("{test}: {fault} names no rule")));
        for id in &proof.ids {
            if !tables.rules.contains_key(id) {
                self.faults.push(format!("{test} names {id}, which does not exist"));
            }
            let tests = proved.entry(*id).or_default();
            if tests.last().is_none_or(|last| last != test) {
                tests.push(test.into());
            }
        }
    }

    fn state(&mut self, id: Id, proved: Option<Vec<String>>, exception: Option<Exception>) -> State {
        match (proved, exception) {
            (Some(tests), exception) => {
                if exception.is_some() {
                    self.faults.push(format!("{id} has an exception, and is proved by {}", tests.join(", ")));
                }
                State::Proved(tests)
            }
            (None, Some(exception)) if exception.is_for_now() => State::Open(exception),
            (None, Some(exception)) => State::Excepted(exception),
            (None, None) => {
                self.faults.push(format!("{id} has neither a test nor an exception"));
                State::Missing
            }
        }
    }

    /// How many rules are proved, excepted and open.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |matches: fn(&State) -> bool| self.states.values().filter(|state| matches(state)).count();
        (
            count(|state| matches!(state, State::Proved(_))),
            count(|state| matches!(state, State::Excepted(_))),
            count(|state| matches!(state, State::Open(_) | State::Missing)),
        )
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (proved, excepted, open) = self.counts();
        write!(f, "{} requirements: {proved} proved, {excepted} excepted, {open} open", self.states.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::{Level, Rule};
    use super::*;

    fn id(number: u16) -> Id {
        format!("R-{number:03}").parse().unwrap()
    }

    fn exception(reason: &str) -> Exception {
        Exception { reason: reason.into(), instead: "Nothing.".into() }
    }

    /// Four rules; the third is excepted, the fourth open.
    fn tables() -> Tables {
        let rule = || Rule { level: Level::Must, at: vec!["1".into()], rule: "Be kind.".into() };
        Tables {
            rules: (1..=4).map(|number| (id(number), rule())).collect(),
            sections: BTreeMap::from([("RFC 7143".into(), ["1".into()].into())]),
            exceptions: [(id(3), exception("Cannot be.")), (id(4), exception("not yet: tired."))].into(),
        }
    }

    fn test(ids: &[u16]) -> (String, Proof) {
        let ids = ids.iter().copied().map(id).collect();
        ("a.rs".into(), Proof { line: 7, test: "words".into(), ids, faults: Vec::new() })
    }

    #[test]
    fn every_rule_has_its_state() {
        let mut other = test(&[2, 2]);
        other.0 = "b.rs".into();
        let audit = Audit::new(&tables(), &[test(&[1, 2]), other]);
        assert_eq!(audit.faults, [] as [&str; 0]);
        assert_eq!(audit.to_string(), "4 requirements: 2 proved, 1 excepted, 1 open");
        assert_eq!(audit.states[&id(1)], State::Proved(vec!["a.rs:7 words".into()]));
        assert_eq!(audit.states[&id(2)], State::Proved(vec!["a.rs:7 words".into(), "b.rs:7 words".into()]));
        assert_eq!(audit.states[&id(3)], State::Excepted(exception("Cannot be.")));
        assert_eq!(audit.states[&id(4)], State::Open(exception("not yet: tired.")));
    }

    #[test]
    fn a_rule_without_a_word_is_a_fault_and_counts_as_open() {
        let audit = Audit::new(&tables(), &[test(&[1])]);
        assert_eq!(audit.faults, ["R-002 has neither a test nor an exception"]);
        assert_eq!(audit.to_string(), "4 requirements: 1 proved, 1 excepted, 2 open");
        assert_eq!(audit.states[&id(2)], State::Missing);
    }

    #[test]
    fn what_does_not_exist_is_a_fault() {
        let mut tables = tables();
        tables.exceptions.insert(id(9), exception("No."));
        tables.rules.get_mut(&id(1)).unwrap().at.push("RFC 1 2".into());
        let mut odd = test(&[1, 2, 8]);
        odd.1.faults.push("r1".into());
        let audit = Audit::new(&tables, &[odd]);
        let expected = [
            "a.rs:7 words: r1 names no rule",
            "a.rs:7 words names R-008, which does not exist",
            "R-001 cites section RFC 1 2, which does not exist",
            "there is an exception for R-009, which does not exist",
        ];
        assert_eq!(audit.faults, expected);
    }

    #[test]
    fn a_proved_rule_needs_no_exception() {
        let audit = Audit::new(&tables(), &[test(&[1, 2, 4])]);
        assert_eq!(audit.faults, ["R-004 has an exception, and is proved by a.rs:7 words"]);
    }

    #[test]
    fn tests_are_collected_from_all_members() {
        let root = tempfile::tempdir().unwrap();
        for (index, member) in MEMBERS.iter().enumerate() {
            let folder = root.path().join(member).join("src/target");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("x.rs"), format!("#[test]\nfn r00{index}_words() {{}}")).unwrap();
            fs::write(folder.join("x.txt"), "#[test]\nfn r100_words() {}").unwrap();
        }
        let found = collect(root.path()).unwrap();
        let ids: Vec<String> = found.iter().map(|(file, proof)| format!("{file} {}", proof.ids[0])).collect();
        let expected = [
            "conformance/src/target/x.rs R-003",
            "iscsi-initiator/src/target/x.rs R-001",
            "iscsi-proto/src/target/x.rs R-000",
            "riscsiadm/src/target/x.rs R-002",
        ];
        assert_eq!(ids, expected);
        assert!(collect(&root.path().join("conformance")).is_err());
    }
}
