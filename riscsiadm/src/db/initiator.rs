//! The initiator's own name, in `initiatorname.iscsi`.

use std::path::{Path, PathBuf};

use iscsi_proto::name::IscsiName;

use super::error::DbError;
use super::file::{self, Batch};
use super::lock::Lock;
use super::text::pairs;

/// The name of the file.
pub const FILE: &str = "initiatorname.iscsi";

/// What stands before the random part of a name made here. Nobody can own a domain below `internal`, which is reserved
/// for private use since July 2024, so nobody's names are taken; 64 random bits keep machines apart.
pub const PREFIX: &str = "iqn.2024-08.internal.riscsiadm:";

const MAX_LEN: u64 = 64 * 1024;

/// Who this machine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initiator {
    /// `InitiatorName`.
    pub name: IscsiName,
    /// `InitiatorAlias`, if it is set.
    pub alias: Option<String>,
}

/// What a file says.
enum Found {
    Nothing,
    Generate,
    Name(Initiator),
}

impl Initiator {
    /// Reads the file in `dir`. `None` where there is none, or where it asks for a name to be made.
    pub fn read(dir: &Path) -> Result<Option<Self>, DbError> {
        let path = dir.join(FILE);
        let Some(bytes) = file::read(&path, MAX_LEN)? else {
            return Ok(None);
        };
        match parse(&bytes, &path)? {
            Found::Name(initiator) => Ok(Some(initiator)),
            Found::Generate => Ok(None),
            Found::Nothing => Err(DbError::NoInitiatorName(path)),
        }
    }

    /// Reads the file in `dir`, and makes one with a unique name where there is none. Of several processes at once one
    /// makes it and all get the same name. A file without a name is an error and stays as it is.
    pub fn ensure(dir: &Path) -> Result<Self, DbError> {
        if let Some(found) = Self::read(dir)? {
            return Ok(found);
        }
        let _lock = Lock::acquire(dir, None)?;
        if let Some(found) = Self::read(dir)? {
            return Ok(found);
        }
        create(dir)
    }
}

fn parse(bytes: &[u8], path: &Path) -> Result<Found, DbError> {
    let value = |key| pairs(bytes).flatten().find(|(name, _)| *name == key).map(|(_, value)| value);
    let Some(name) = value("InitiatorName") else {
        let generate = value("GenerateName").is_some_and(|value| value.eq_ignore_ascii_case("yes"));
        return Ok(if generate { Found::Generate } else { Found::Nothing });
    };
    let name = name.parse().map_err(|source| DbError::InitiatorName { path: path.to_owned(), source })?;
    let alias = value("InitiatorAlias").filter(|alias| !alias.is_empty()).map(str::to_owned);
    Ok(Found::Name(Initiator { name, alias }))
}

fn create(dir: &Path) -> Result<Initiator, DbError> {
    let path: PathBuf = dir.join(FILE);
    let text = format!("{PREFIX}{:016x}", rand::random::<u64>());
    let name = text.parse().map_err(|source| DbError::InitiatorName { path: path.clone(), source })?;
    let file = format!(
        "# The name by which targets know this machine. It must be unique: do not copy it to another.\nInitiatorName={name}\n"
    );
    let mut batch = Batch::new(dir);
    batch.write(path, file.as_bytes())?;
    batch.commit()?;
    Ok(Initiator { name, alias: None })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::thread;

    use super::*;

    fn read(text: &str) -> Result<Option<Initiator>, DbError> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), text).unwrap();
        Initiator::read(dir.path())
    }

    #[test]
    fn the_first_line_that_is_no_comment_counts() {
        for text in [
            "InitiatorName=iqn.2001-04.com.example:a\n",
            "InitiatorName = iqn.2001-04.com.example:a",
            "# InitiatorName=iqn.2001-04.com.example:z\n; InitiatorName=iqn.2001-04.com.example:z\n\
             InitiatorName=iqn.2001-04.com.example:a\nInitiatorName=iqn.2001-04.com.example:b\n",
            "GenerateName=yes\nInitiatorName=iqn.2001-04.com.example:a\nInitiatorAlias=\n",
        ] {
            let initiator = read(text).unwrap().unwrap();
            assert_eq!(initiator.name.as_str(), "iqn.2001-04.com.example:a", "{text}");
            assert_eq!(initiator.alias, None);
        }
        let aliased = read("InitiatorAlias=the big one\nInitiatorName=iqn.2001-04.com.example:a").unwrap().unwrap();
        assert_eq!(aliased.alias.as_deref(), Some("the big one"));
    }

    #[test]
    fn no_file_and_a_request_for_a_name_are_no_name() {
        assert_eq!(Initiator::read(Path::new("/nonexistent")).unwrap(), None);
        assert_eq!(read("GenerateName=yes\n").unwrap(), None);
    }

    #[test]
    fn a_file_without_a_legal_name_is_an_error_and_is_kept() {
        for (text, message) in [
            ("", "holds no line InitiatorName=NAME"),
            ("GenerateName=no\n", "holds no line InitiatorName=NAME"),
            ("InitiatorName=disk1", "an iSCSI name starts with"),
            ("InitiatorName=", "cannot be empty"),
            ("InitiatorName=iqn.2001-04.com.example:a/b", "cannot contain '/'"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join(FILE), text).unwrap();
            let error = Initiator::ensure(dir.path()).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
            assert_eq!(error.code(), 6);
            assert_eq!(fs::read_to_string(dir.path().join(FILE)).unwrap(), text);
        }
    }

    #[test]
    fn a_fresh_machine_gets_a_name_of_its_own_and_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("new");
        let made = Initiator::ensure(&home).unwrap();
        assert!(made.name.as_str().starts_with(PREFIX));
        assert_eq!(made.name.as_str().len(), PREFIX.len() + 16);
        assert_eq!(Initiator::ensure(&home).unwrap(), made);
        let path = home.join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.lines().any(|line| line == format!("InitiatorName={}", made.name)), "{text}");
        assert_ne!(Initiator::ensure(&dir.path().join("other")).unwrap().name, made.name);
    }

    #[test]
    fn a_request_for_a_name_is_answered() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "GenerateName=yes\n").unwrap();
        let made = Initiator::ensure(dir.path()).unwrap();
        assert_eq!(Initiator::read(dir.path()).unwrap(), Some(made));
    }

    #[test]
    fn ten_at_once_agree_on_one_name() {
        let dir = tempfile::tempdir().unwrap();
        let ensure = || Initiator::ensure(dir.path()).unwrap().name;
        let names: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..10).map(|_| scope.spawn(ensure)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
    }
}
