//! The rules, the sections that they may cite, and the exceptions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fmt, fs, io};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::id::Id;

/// The standard that a section belongs to if it names none.
const STANDARD: &str = "RFC 7143";

/// How binding a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Level {
    /// It has to be kept.
    #[serde(rename = "MUST")]
    Must,
    /// It is to be kept unless there are reasons.
    #[serde(rename = "SHOULD")]
    Should,
    /// It may be kept.
    #[serde(rename = "MAY")]
    May,
    /// No standard says so; what hostile peers do demands it.
    #[serde(rename = "judgement")]
    Judgement,
}

/// One rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// How binding it is.
    pub level: Level,
    /// Where it stands, as written: `11.7.1`, or `RFC 1994 4.1` outside of RFC 7143.
    pub at: Vec<String>,
    /// What it says, in one line.
    pub rule: String,
}

/// Why a rule has no proof.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// Why it is not kept, or cannot be tested; one that begins with `not yet:` is to go away.
    pub reason: String,
    /// What happens instead.
    pub instead: String,
}

/// All that the files in `conformance/requirements` hold.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// The rules by number.
    pub rules: BTreeMap<Id, Rule>,
    /// The sections of each standard.
    pub sections: BTreeMap<String, BTreeSet<String>>,
    /// The exceptions by the number of their rule.
    pub exceptions: BTreeMap<Id, Exception>,
}

/// Why the tables cannot be used.
#[derive(Debug, Error)]
pub enum TableError {
    /// A file cannot be read.
    #[error("{file}: {source}")]
    Read {
        /// Its name.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{file}: {source}")]
    Parse {
        /// Its name.
        file: String,
        /// Why.
        source: Box<toml::de::Error>,
    },
}

impl Exception {
    /// Whether the rule is to be kept some day.
    pub fn is_for_now(&self) -> bool {
        self.reason.starts_with("not yet:")
    }
}

impl Tables {
    /// Reads the three files of a folder.
    pub fn read(folder: &Path) -> Result<Self, TableError> {
        Ok(Self {
            rules: read(folder, "requirements.toml")?,
            sections: read(folder, "sections.toml")?,
            exceptions: read(folder, "exceptions.toml")?,
        })
    }

    /// Whether the section exists that a rule cites.
    pub fn has_section(&self, cited: &str) -> bool {
        let (standard, section) = cited.rsplit_once(' ').unwrap_or((STANDARD, cited));
        self.sections.get(standard).is_some_and(|sections| sections.contains(section))
    }
}

fn read<T: DeserializeOwned>(folder: &Path, file: &str) -> Result<T, TableError> {
    let text =
        fs::read_to_string(folder.join(file)).map_err(|source| TableError::Read { file: file.into(), source })?;
    toml::from_str(&text).map_err(|source| TableError::Parse { file: file.into(), source: Box::new(source) })
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::May => "MAY",
            Self::Judgement => "judgement",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(rules: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("requirements.toml"), rules).unwrap();
        fs::write(folder.path().join("sections.toml"), "\"RFC 7143\" = [\"1\", \"A.4\"]\n\"RFC 1\" = [\"2\"]").unwrap();
        fs::write(folder.path().join("exceptions.toml"), "").unwrap();
        folder
    }

    #[test]
    fn the_files_are_read() {
        let folder = folder("R-001 = { level = \"MUST\", at = [\"1\"], rule = \"Be kind.\" }");
        let tables = Tables::read(folder.path()).unwrap();
        let rule = &tables.rules[&"R-001".parse().unwrap()];
        assert_eq!((rule.level, rule.rule.as_str()), (Level::Must, "Be kind."));
        for (section, there) in [("1", true), ("A.4", true), ("RFC 1 2", true), ("2", false), ("RFC 2 1", false)] {
            assert_eq!(tables.has_section(section), there, "{section}");
        }
    }

    #[test]
    fn files_that_are_not_what_they_should_be_are_told_by_name() {
        for rules in [
            "R-1 = { level = \"MUST\", at = [], rule = \"\" }",
            "R-001 = { level = \"must\", at = [], rule = \"\" }",
            "R-001 = { level = \"MUST\", at = [], rule = \"\", more = 1 }",
            "R-001 = { level = \"MUST\", at = [] }",
            "R-001 = 1\nR-001 = 2",
        ] {
            let error = Tables::read(folder(rules).path()).unwrap_err();
            assert!(matches!(&error, TableError::Parse { file, .. } if file == "requirements.toml"), "{error}");
        }
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(Tables::read(empty.path()), Err(TableError::Read { .. })));
    }
}
