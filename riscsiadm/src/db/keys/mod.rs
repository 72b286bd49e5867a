//! What is known about each key of a record: kind, default, who may see it and who may change it.

mod table;

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use iscsi_proto::name::IscsiName;
use thiserror::Error;
use zeroize::Zeroizing;

pub use table::KEYS;

/// The longest value that a record takes, in bytes.
pub const MAX_VALUE_LEN: usize = 255;

/// The kind of record that a key belongs to. `iface.*` keys exist twice: in interface and in node records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// A target at a portal, through an interface.
    Node,
    /// An interface to log in through.
    Iface,
    /// A `SendTargets` discovery address.
    SendTargets,
    /// An iSNS server.
    Isns,
    /// An entry in the CHAP table of a host adaptor.
    HostChap,
}

/// The form of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text without control characters.
    Text,
    /// Text without blanks, commas and slashes, so that it can stand in a list of words.
    Word,
    /// An iSCSI name.
    Name,
    /// A whole number.
    Int {
        /// The least value.
        min: i64,
        /// The greatest value.
        max: i64,
    },
    /// One of these words, case and all.
    Choice(&'static [&'static str]),
    /// One or more of these words in order of preference, separated by commas.
    List(&'static [&'static str]),
}

/// Whether a value is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// It is.
    Shown,
    /// It is a secret: stars are printed unless the person asks for more.
    Masked,
    /// Accepted from callers, and neither stored nor printed: the length of a password follows from the password.
    Hidden,
}

/// Which interfaces have a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// All of them.
    Any,
    /// Those with an IPv4 address.
    V4,
    /// Those with an IPv6 address.
    V6,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The kind of record.
    pub scope: Scope,
    /// The name, as in the file.
    pub name: &'static str,
    /// The form of its values.
    pub kind: Kind,
    /// The value where none is given; empty for none.
    pub default: &'static str,
    /// Whether it is printed.
    pub visibility: Visibility,
    /// Which interfaces have it.
    pub family: Family,
    /// Set when the record is created and looked up by, so never changed later.
    pub fixed: bool,
    /// Written to a file only when somebody set it: some release of open-iscsi refuses a whole database over this key.
    pub late: bool,
}

/// Why a key cannot be set. The texts are those that scripts know from open-iscsi.
#[derive(Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// No such key in this kind of record.
    #[error("Cannot modify {0}. Invalid param name.")]
    Unknown(String),
    /// The key identifies the record.
    #[error("Cannot modify {0}. It is used to look up the record and cannot be changed.")]
    Fixed(String),
    /// A node record holds a copy of this key.
    #[error("Cannot modify {0}. Use iface mode to update this value.")]
    UseIfaceMode(String),
    /// The name of an interface.
    #[error("Can not update {0}. Delete it, and then create a new one.")]
    FixedIface(String),
    /// The value is out of range, or of another form.
    #[error("unknown value format '{value}' for parameter name '{key}'")]
    Value {
        /// The key.
        key: String,
        /// What was given; stars for a secret.
        value: String,
        /// What would have been right.
        expected: String,
    },
}

impl fmt::Debug for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyError({self})")
    }
}

impl KeyError {
    /// What would have been right, for a second line of the message.
    pub fn expected(&self) -> Option<&str> {
        match self {
            Self::Value { expected, .. } => Some(expected),
            _ => None,
        }
    }
}

impl Scope {
    /// The keys of this kind of record, in the order of its file.
    pub fn keys(self) -> impl Iterator<Item = &'static Key> {
        KEYS.iter().filter(move |key| key.scope == self)
    }

    /// Looks a key up by name.
    pub fn key(self, name: &str) -> Option<&'static Key> {
        self.position(name).and_then(|position| KEYS.get(position))
    }

    /// Where a key stands in the table.
    pub(crate) fn position(self, name: &str) -> Option<usize> {
        static INDEX: LazyLock<HashMap<(Scope, &'static str), usize>> = LazyLock::new(|| {
            KEYS.iter().enumerate().map(|(position, key)| ((key.scope, key.name), position)).collect()
        });
        INDEX.get(&(self, name)).copied()
    }
}

impl Key {
    /// Whether this key belongs to the copy of an interface that a node record holds.
    pub fn is_iface(&self) -> bool {
        self.name.starts_with("iface.")
    }

    /// Brings a value to the form that is stored, or says what would have been right.
    ///
    /// Blanks and line ends around it are dropped, since a file cannot hold them there. An empty text or secret is legal
    /// and means none.
    pub fn check(&self, value: &str) -> Result<Zeroizing<String>, KeyError> {
        let value = trim(value);
        self.form(value).ok_or_else(|| self.refuse(value))
    }

    fn form(&self, value: &str) -> Option<Zeroizing<String>> {
        if value.len() > MAX_VALUE_LEN || value.chars().any(char::is_control) {
            return None;
        }
        let legal = match self.kind {
            Kind::Text => true,
            Kind::Word => value.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b',' | b'/')),
            Kind::Name => value.is_empty() || value.parse::<IscsiName>().is_ok(),
            Kind::Int { min, max } => return number(value, min, max),
            Kind::Choice(words) => words.contains(&value),
            Kind::List(words) => return self.list(value, words),
        };
        legal.then(|| Zeroizing::new(value.to_owned()))
    }

    /// Unknown words are left out of a list, so that a newer caller's list still works.
    fn list(&self, value: &str, known: &[&str]) -> Option<Zeroizing<String>> {
        let (kept, dropped): (Vec<_>, Vec<_>) = value.split(',').map(trim).partition(|word| known.contains(word));
        if kept.is_empty() {
            return None;
        }
        for word in dropped {
            tracing::warn!("Ignoring unknown value '{word}' for '{}'", self.name);
        }
        Some(Zeroizing::new(kept.join(",")))
    }

    fn refuse(&self, value: &str) -> KeyError {
        let value = match self.visibility {
            Visibility::Masked => "********".to_owned(),
            _ => excerpt(value),
        };
        KeyError::Value { key: self.name.to_owned(), value, expected: self.kind.to_string() }
    }
}

impl fmt::Display for Kind {
    /// What a person should have written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => write!(f, "at most {MAX_VALUE_LEN} bytes without control characters"),
            Self::Word => write!(f, "one word of at most {MAX_VALUE_LEN} letters, without commas and slashes"),
            Self::Name => f.write_str("an iSCSI name"),
            Self::Int { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Choice(words) => write!(f, "one of: {}", words.join(" ")),
            Self::List(words) => write!(f, "one or more of {}, separated by commas", words.join(" ")),
        }
    }
}

fn number(value: &str, min: i64, max: i64) -> Option<Zeroizing<String>> {
    let number: i64 = value.parse().ok()?;
    (min..=max).contains(&number).then(|| Zeroizing::new(number.to_string()))
}

/// What an error quotes: enough to recognise the text, never megabytes of it, and nothing that moves a cursor.
pub(crate) fn excerpt(text: &str) -> String {
    let quoted = |c: char| if c.is_control() { c.escape_default().collect() } else { String::from(c) };
    text.chars().take(80).map(quoted).collect()
}

/// Drops what a reader of the file would drop.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn key(name: &str) -> &'static Key {
        [Scope::Node, Scope::Iface, Scope::SendTargets].iter().find_map(|scope| scope.key(name)).unwrap()
    }

    #[test]
    fn the_table_has_228_rows_each_once() {
        let names: HashSet<_> = KEYS.iter().map(|key| (key.scope, key.name)).collect();
        assert_eq!((KEYS.len(), names.len()), (228, 228));
        let count = |scope: Scope| scope.keys().count();
        assert_eq!(count(Scope::Node), 126);
        assert_eq!(count(Scope::Iface), 70);
        assert_eq!((count(Scope::SendTargets), count(Scope::Isns), count(Scope::HostChap)), (19, 6, 7));
        assert_eq!(Scope::Node.keys().filter(|key| key.is_iface()).count(), 70);
    }

    #[test]
    fn every_default_is_a_legal_value() {
        for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
            assert_eq!(key.check(key.default).as_deref().map(String::as_str), Ok(key.default), "{}", key.name);
        }
    }

    #[test]
    fn secrets_are_masked_and_their_lengths_hidden() {
        for key in KEYS {
            let expected = match key.name {
                name if name.ends_with("_length") => Visibility::Hidden,
                name if name.contains("password") => Visibility::Masked,
                _ => Visibility::Shown,
            };
            assert_eq!(key.visibility, expected, "{}", key.name);
        }
    }

    #[test]
    fn numbers_have_both_bounds() {
        for (name, least, greatest) in [
            ("node.session.queue_depth", 1, 1024),
            ("node.session.cmds_max", 2, 2048),
            ("node.session.nr_sessions", 1, 1024),
            ("node.session.iscsi.ERL", 0, 2),
            ("node.session.iscsi.DefaultTime2Wait", 0, 3600),
            ("node.session.iscsi.MaxConnections", 1, 65_535),
            ("node.session.iscsi.FirstBurstLength", 512, 16_777_215),
            ("node.conn[0].iscsi.MaxRecvDataSegmentLength", 512, 16_777_215),
            ("node.conn[0].iscsi.MaxXmitDataSegmentLength", 0, 16_777_215),
            ("node.session.timeo.replacement_timeout", -2_147_483_647, 2_147_483_647),
            ("node.session.initial_login_retry_max", 0, 2_147_483_647),
            ("iface.vlan_priority", 0, 255),
            ("iface.mtu", 0, 65_535),
            ("iface.max_burst_len", 0, 4_294_967_295_i64),
        ] {
            for legal in [least, greatest] {
                assert_eq!(**key(name).check(&legal.to_string()).unwrap(), legal.to_string(), "{name}");
            }
            for (number, row) in [(least - 1, key(name)), (greatest + 1, key(name))] {
                let error = row.check(&number.to_string()).unwrap_err();
                assert_eq!(error.to_string(), format!("unknown value format '{number}' for parameter name '{name}'"));
                let expected = format!("a whole number from {least} to {greatest}");
                assert_eq!(error.expected(), Some(expected.as_str()));
            }
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for value in ["", "abc", "1x", "0x10", "1.5", "1 2", "99999999999999999999", "\u{661}"] {
            assert!(key("node.session.queue_depth").check(value).is_err(), "{value}");
        }
        assert_eq!(**key("node.session.queue_depth").check(" 007\n").unwrap(), *"7");
    }

    #[test]
    fn words_are_taken_case_and_all() {
        for (name, legal, illegal) in [
            ("node.startup", &["manual", "automatic", "onboot"][..], &["Manual", "auto", "", "manual,"][..]),
            ("node.leading_login", &["Yes", "No"], &["yes", "1", "true"]),
            ("node.session.scan", &["auto", "manual"], &["automatic"]),
            ("node.session.auth.authmethod", &["None", "CHAP"], &["chap", "None,CHAP"]),
            (
                "node.conn[0].iscsi.HeaderDigest",
                &["None", "CRC32C", "CRC32C,None", "None,CRC32C"],
                &["crc32c", "CRC32C, None"],
            ),
        ] {
            for value in legal {
                assert_eq!(**key(name).check(value).unwrap(), **value);
            }
            for value in illegal {
                assert!(key(name).check(value).is_err(), "{name} {value}");
            }
        }
        let error = key("node.startup").check("Manual").unwrap_err();
        assert_eq!(error.expected(), Some("one of: manual automatic onboot"));
    }

    #[test]
    fn a_list_keeps_the_words_that_are_known() {
        let key = key("node.session.auth.chap_algs");
        for (value, kept) in
            [("MD5", "MD5"), ("SHA256,FOO,MD5", "SHA256,MD5"), (" SHA3-256 , SHA1 ", "SHA3-256,SHA1"), ("MD5,", "MD5")]
        {
            assert_eq!(**key.check(value).unwrap(), *kept);
        }
        for value in ["", "FOO", "md5", ","] {
            assert!(key.check(value).is_err(), "{value}");
        }
    }

    #[test]
    fn no_value_breaks_the_line_that_holds_it() {
        let key = key("node.session.auth.username");
        for value in ["a\nb", "a\rb", "a\0b", "a\x1bb", "a\u{85}b", "a\u{7f}b", "x\nnode.startup = automatic"] {
            let error = key.check(value).unwrap_err();
            assert!(!error.to_string().contains(char::is_control), "{error}");
        }
        assert_eq!(**key.check(" a b = c # d\r\n").unwrap(), *"a b = c # d");
        assert_eq!(**key.check(&"a".repeat(255)).unwrap(), "a".repeat(255));
        assert!(key.check(&"a".repeat(256)).is_err());
        assert!(key.check(&"a".repeat(1 << 20)).unwrap_err().to_string().len() < 200);
    }

    #[test]
    fn words_of_an_interface_stand_in_a_list() {
        for value in ["", "eth0", "00:11:22:33:44:55", "fd00::1", "10.0.0.1"] {
            assert_eq!(**key("iface.hwaddress").check(value).unwrap(), *value);
        }
        for value in ["a b", "a,b", "a/b", "\u{e4}"] {
            assert!(key("iface.net_ifacename").check(value).is_err(), "{value}");
        }
        assert!(key("iface.initiatorname").check("iqn.2001-04.com.example:a").is_ok());
        assert!(key("iface.initiatorname").check("").is_ok());
        assert!(key("iface.initiatorname").check("joe").is_err());
    }

    #[test]
    fn an_error_never_quotes_a_secret() {
        let error = key("node.session.auth.password").check("hunter2\u{1}").unwrap_err();
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains("hunter2") && text.contains("'********'"), "{text}");
        }
    }
}
