//! `iscsid.conf`: defaults for new records, and settings of the daemon.

use std::fmt;
use std::path::Path;

use zeroize::Zeroizing;

use super::error::DbError;
use super::file;
use super::keys::Scope;
use super::record::{Record, STARS};
use super::text::pairs;

/// The name of the file.
pub const FILE: &str = "iscsid.conf";

const MAX_LEN: u64 = 1024 * 1024;

/// What the file says. A machine without the file has an empty one, which means the built-in defaults.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Config {
    entries: Vec<(String, Zeroizing<String>)>,
}

impl Config {
    /// Reads the file in `dir`, if there is one. Lines that say nothing are named in the log.
    pub fn read(dir: &Path) -> Result<Self, DbError> {
        let path = dir.join(FILE);
        let bytes = file::read(&path, MAX_LEN)?.unwrap_or_default();
        let mut config = Self::default();
        for pair in pairs(&bytes) {
            match pair {
                Ok((key, value)) => config.entries.push((key.to_owned(), Zeroizing::new(value.to_owned()))),
                Err(garbage) => tracing::warn!("{}: {garbage}", path.display()),
            }
        }
        Ok(config)
    }

    /// A setting such as `iscsid.safe_logout`. If it stands twice, the last line counts.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.iter().rfind(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// A new record with these defaults. A value that the record cannot take is named in the log and passed over.
    pub fn record(&self, scope: Scope) -> Record {
        let mut record = Record::new(scope);
        for (key, value) in self.entries.iter().filter(|(key, _)| scope.key(key).is_some()) {
            if let Err(error) = record.set(key, value) {
                tracing::warn!("{FILE}: {error}");
            }
        }
        record
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self
            .entries
            .iter()
            .map(|(key, value)| (key, if key.contains("password") { STARS } else { value.as_str() }));
        f.debug_map().entries(shown).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), text).unwrap();
        Config::read(dir.path()).unwrap()
    }

    #[test]
    fn without_a_file_the_built_in_defaults_hold() {
        let config = Config::read(Path::new("/nonexistent")).unwrap();
        for scope in [Scope::Node, Scope::SendTargets, Scope::Isns, Scope::Iface] {
            assert_eq!(config.record(scope), Record::new(scope));
        }
    }

    #[test]
    fn each_kind_of_record_takes_its_own_keys() {
        let config = config(
            "iscsid.safe_logout = Yes\nnode.startup = automatic\nnode.conn[0].timeo.login_timeout = 15\n\
             discovery.sendtargets.auth.username = joe\ndiscovery.isns.use_discoveryd = Yes\n\
             node.session.auth.chap_algs = SHA256,MD5\nno.such.key = 1\n",
        );
        let node = config.record(Scope::Node);
        assert_eq!(node.get("node.startup"), "automatic");
        assert_eq!(node.number("node.conn[0].timeo.login_timeout"), 15);
        assert_eq!(node.get("node.session.auth.chap_algs"), "SHA256,MD5");
        assert_eq!(node.get("node.leading_login"), "No");
        let discovery = config.record(Scope::SendTargets);
        assert_eq!(discovery.get("discovery.sendtargets.auth.username"), "joe");
        assert_eq!(discovery.get("node.session.auth.chap_algs"), "SHA256,MD5");
        assert_eq!(config.record(Scope::Isns).get("discovery.isns.use_discoveryd"), "Yes");
        assert_eq!(config.get("iscsid.safe_logout"), Some("Yes"));
        assert_eq!(config.get("iscsid.startup"), None);
    }

    #[test]
    fn what_a_record_cannot_take_is_passed_over() {
        let config = config(
            "node.startup = sometimes\nnode.name = iqn.2001-04.com.example:x\niface.mtu = 9000\nrubbish\n\
             node.session.queue_depth = 0\nnode.session.queue_depth = 64\n",
        );
        let node = config.record(Scope::Node);
        assert_eq!(node.get("node.startup"), "manual");
        assert_eq!(node.get("node.name"), "");
        assert_eq!(node.get("iface.mtu"), "0");
        assert_eq!(node.get("node.session.queue_depth"), "64");
    }

    #[test]
    fn of_two_lines_the_last_counts() {
        assert_eq!(config("iscsid.startup = a\niscsid.startup = b").get("iscsid.startup"), Some("b"));
    }

    #[test]
    fn a_secret_does_not_show_in_debug() {
        let config = config("node.session.auth.password = hunter2\nnode.startup = manual");
        let text = format!("{config:?}");
        assert!(!text.contains("hunter2") && text.contains("manual"), "{text}");
    }

    #[test]
    fn a_file_that_cannot_be_one_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(FILE)).unwrap();
        assert_eq!(Config::read(dir.path()).unwrap_err().code(), 6);
        let dir = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(dir.path().join(FILE)).unwrap();
        file.set_len(MAX_LEN + 1).unwrap();
        assert!(Config::read(dir.path()).unwrap_err().to_string().contains("longer than"));
        file.set_len(MAX_LEN).unwrap();
        Config::read(dir.path()).unwrap();
    }
}
