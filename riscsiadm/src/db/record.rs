//! A record: keys with their values, in the order of the file.

use std::fmt;

use zeroize::Zeroizing;

use super::keys::{Family, Key, KeyError, Scope, Visibility, excerpt, trim};
use super::text::{Garbage, pairs};

/// The release of open-iscsi whose file format and texts are followed. It stands in the first line of a record.
pub const VERSION: &str = "2.1.11";

/// What is printed instead of a secret.
pub const STARS: &str = "********";

/// One record of the database.
///
/// Only keys that were given a value are held; the others read as their defaults. Keys that this release does not know
/// are kept as they were found. Values are wiped from memory when the record is dropped, and secrets do not show in
/// `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    scope: Scope,
    entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Eq)]
struct Entry {
    key: String,
    value: Zeroizing<String>,
}

/// One key as it is printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Field {
    /// The key.
    pub key: String,
    /// Its value; stars for a secret that was not asked for; empty for none.
    pub value: Zeroizing<String>,
}

impl Record {
    /// A record with every key at its built-in default.
    pub fn new(scope: Scope) -> Self {
        let mut record = Self { scope, entries: Vec::new() };
        let defaults = scope.keys().filter(|key| !key.default.is_empty() && !key.late);
        for key in defaults.filter(|key| key.visibility != Visibility::Hidden) {
            record.entries.push(Entry::new(key.name, key.default));
        }
        record
    }

    /// Reads a file. Whatever stands in it, the result is a record; lines that say nothing are reported.
    pub fn parse(scope: Scope, bytes: &[u8]) -> (Self, Vec<Garbage>) {
        let mut record = Self { scope, entries: Vec::new() };
        let mut garbage = Vec::new();
        for pair in pairs(bytes) {
            match pair {
                Ok((key, value)) => record.append(key, value),
                Err(line) => garbage.push(line),
            }
        }
        (record, garbage)
    }

    /// The kind of record.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// The value of a key: what the record says, else the built-in default, else nothing.
    pub fn get(&self, key: &str) -> &str {
        self.explicit(key).unwrap_or_else(|| self.scope.key(key).map_or("", |key| key.default))
    }

    /// The value of a key if the record itself holds one.
    pub fn explicit(&self, key: &str) -> Option<&str> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
    }

    /// A number. One that cannot be read, or is out of range, counts as the default; a key without any is 0.
    pub fn number(&self, key: &str) -> i64 {
        let Some(row) = self.scope.key(key) else {
            return self.get(key).parse().unwrap_or(0);
        };
        let given = self.explicit(key).and_then(|value| row.check(value).ok());
        given.as_deref().map_or(row.default, String::as_str).parse().unwrap_or(0)
    }

    /// Whether a key says `Yes`.
    pub fn flag(&self, key: &str) -> bool {
        self.get(key) == "Yes"
    }

    /// Sets a key as a person does: the key must exist and be open to change, and the value must be legal.
    ///
    /// An empty value takes an optional setting back. In a node record `node.transport_name` means
    /// `iface.transport_name`, the only interface key that may be set there.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), KeyError> {
        let row = self.settable(key)?;
        let value = row.check(value)?;
        if row.visibility != Visibility::Hidden {
            self.place(row.name, &value);
        }
        Ok(())
    }

    /// Sets a key that identifies the record. The value must be legal all the same.
    pub(crate) fn identify(&mut self, key: &str, value: &str) -> Result<(), KeyError> {
        let row = self.scope.key(key).ok_or_else(|| KeyError::Unknown(excerpt(key)))?;
        let value = row.check(value)?;
        self.place(row.name, &value);
        Ok(())
    }

    /// Takes a key out, so that it reads as its default.
    pub(crate) fn remove(&mut self, key: &str) {
        self.entries.retain(|entry| entry.key != key);
    }

    /// Replaces the interface of a node record by this one.
    pub(crate) fn bind(&mut self, iface: &Self) {
        self.entries.retain(|entry| !entry.key.starts_with("iface."));
        let scope = self.scope;
        for entry in iface.entries.iter().filter(|entry| scope.key(&entry.key).is_some()) {
            self.place(&entry.key, &entry.value);
        }
    }

    /// The file that holds this record. Keys without a value are left out.
    pub fn to_file(&self) -> Zeroizing<String> {
        let size: usize = self.entries.iter().map(|entry| entry.key.len() + entry.value.len() + 4).sum();
        let mut text = Zeroizing::new(String::with_capacity(size + 64));
        text.push_str("# BEGIN RECORD ");
        text.push_str(VERSION);
        text.push('\n');
        for entry in self.entries.iter().filter(|entry| self.is_written(entry)) {
            for part in [&entry.key, " = ", &entry.value, "\n"] {
                text.push_str(part);
            }
        }
        text.push_str("# END RECORD\n");
        text
    }

    /// Every key that the record has, in the order that it is printed in. Secrets are stars unless `show`.
    pub fn fields(&self, show: bool) -> Vec<Field> {
        let known = self.print_order().filter(|key| self.is_shown(key));
        let known = known.map(|key| Field::new(key.name, self.get(key.name), key.visibility == Visibility::Masked));
        let unknown = self.entries.iter().filter(|entry| self.scope.key(&entry.key).is_none());
        let unknown = unknown.map(|entry| Field::new(&entry.key, &entry.value, names_a_secret(&entry.key)));
        known.chain(unknown).map(|(field, secret)| if secret && !show { field.masked() } else { field }).collect()
    }

    fn append(&mut self, key: &str, value: &str) {
        let known = self.scope.key(key);
        match self.entries.iter_mut().find(|entry| entry.key == key) {
            _ if known.is_some_and(|key| key.visibility == Visibility::Hidden) => {}
            Some(entry) => entry.value = Zeroizing::new(value.to_owned()),
            None => self.entries.push(Entry::new(key, value)),
        }
        if value.is_empty() && known.is_some() {
            self.remove(key);
        }
    }

    fn settable(&self, key: &str) -> Result<&'static Key, KeyError> {
        let name = match (self.scope, trim(key)) {
            (Scope::Node, "node.transport_name") => "iface.transport_name",
            (_, name) => name,
        };
        let row = self.scope.key(name).ok_or_else(|| KeyError::Unknown(excerpt(name)))?;
        match (self.scope, row) {
            (Scope::Node, row) if row.is_iface() && row.name != "iface.transport_name" => {
                Err(KeyError::UseIfaceMode(name.to_owned()))
            }
            (Scope::Iface, row) if row.fixed => Err(KeyError::FixedIface(name.to_owned())),
            (_, row) if row.fixed => Err(KeyError::Fixed(name.to_owned())),
            (_, row) => Ok(row),
        }
    }

    /// Puts a value in its place: where the key stands, else behind the last key that the table has before it.
    fn place(&mut self, key: &str, value: &str) {
        if value.is_empty() {
            return self.remove(key);
        }
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.key == key) {
            entry.value = Zeroizing::new(value.to_owned());
            return;
        }
        let position = self.scope.position(key);
        let before = |entry: &Entry| self.scope.position(&entry.key).is_some_and(|other| Some(other) < position);
        let index = self.entries.iter().rposition(before).map_or(0, |index| index + 1);
        self.entries.insert(index, Entry::new(key, value));
    }

    /// Keys of the other address family are left out while they say nothing.
    fn is_written(&self, entry: &Entry) -> bool {
        self.scope.key(&entry.key).is_none_or(|key| self.has_family(key) || *entry.value != key.default)
    }

    fn is_shown(&self, key: &Key) -> bool {
        key.visibility != Visibility::Hidden && (self.has_family(key) || self.get(key.name) != key.default)
    }

    fn has_family(&self, key: &Key) -> bool {
        match key.family {
            Family::Any => true,
            Family::V4 => !self.is_v6(),
            Family::V6 => self.is_v6(),
        }
    }

    fn is_v6(&self) -> bool {
        match self.get("iface.ipaddress") {
            "" => self.get("iface.iscsi_ifacename").contains("ipv6"),
            address => !address.contains('.'),
        }
    }

    /// A node's interface is printed in the order of an interface record, which is not the order of its file.
    fn print_order(&self) -> impl Iterator<Item = &'static Key> {
        let scope = self.scope;
        let head = scope.keys().take_while(|key| !key.is_iface());
        let iface = Scope::Iface.keys().filter_map(move |key| scope.key(key.name));
        let tail = scope.keys().skip_while(|key| !key.is_iface()).filter(|key| !key.is_iface());
        head.chain(iface).chain(tail)
    }
}

impl Entry {
    fn new(key: &str, value: &str) -> Self {
        Self { key: key.to_owned(), value: Zeroizing::new(value.to_owned()) }
    }
}

impl Field {
    fn new(key: &str, value: &str, secret: bool) -> (Self, bool) {
        (Self { key: key.to_owned(), value: Zeroizing::new(value.to_owned()) }, secret)
    }

    fn masked(mut self) -> Self {
        if !self.value.is_empty() {
            self.value = Zeroizing::new(STARS.to_owned());
        }
        self
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.entries.iter().map(|entry| {
            let secret = names_a_secret(&entry.key);
            (&entry.key, if secret { STARS } else { entry.value.as_str() })
        });
        f.debug_map().entries(pairs).finish()
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if names_a_secret(&self.key) { STARS } else { &self.value };
        write!(f, "{} = {value}", self.key)
    }
}

/// Whether a key, known or not, holds a secret.
fn names_a_secret(key: &str) -> bool {
    key.contains("password") || key.contains("secret")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Record {
        let (record, garbage) = Record::parse(Scope::Node, text.as_bytes());
        assert_eq!(garbage, []);
        record
    }

    fn lines(record: &Record) -> Vec<String> {
        let file = record.to_file();
        let body = file.strip_prefix("# BEGIN RECORD 2.1.11\n").unwrap().strip_suffix("# END RECORD\n").unwrap();
        body.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_new_record_holds_every_default_but_late_ones() {
        let record = Record::new(Scope::Node);
        let lines = lines(&record);
        assert_eq!(lines.len(), Scope::Node.keys().filter(|key| !key.default.is_empty() && !key.late).count());
        assert!(lines.contains(&"node.session.scan = auto".to_owned()));
        assert!(!record.to_file().contains("sess_reopen_log_freq"));
        assert_eq!(record.number("node.session.sess_reopen_log_freq"), 1);
    }

    #[test]
    fn a_late_key_is_written_once_it_was_set() {
        let mut record = Record::new(Scope::Node);
        record.set("node.session.sess_reopen_log_freq", "1").unwrap();
        record.set("node.conn[0].tcp.congestion_control", "cubic").unwrap();
        let lines = lines(&record);
        let position = |line: &str| lines.iter().position(|other| other == line).unwrap();
        let reopen = position("node.session.reopen_max = 0");
        assert_eq!(position("node.session.sess_reopen_log_freq = 1"), reopen + 1);
        assert_eq!(
            position("node.conn[0].tcp.congestion_control = cubic"),
            position("node.conn[0].tcp.type_of_service = 0") + 1
        );
    }

    #[test]
    fn a_key_that_is_missing_reads_as_its_default() {
        let record = parse("node.startup = automatic\n");
        assert_eq!(record.get("node.startup"), "automatic");
        assert_eq!(record.get("node.session.scan"), "auto");
        assert_eq!((record.get("node.tpgt"), record.number("node.tpgt")), ("-1", -1));
        assert_eq!(record.get("node.session.auth.username"), "");
        assert_eq!(record.get("no.such.key"), "");
        assert_eq!(record.explicit("node.session.scan"), None);
        assert!(record.flag("node.session.iscsi.ImmediateData") && !record.flag("node.leading_login"));
        assert_eq!(lines(&record), ["node.startup = automatic"]);
    }

    #[test]
    fn a_number_that_is_none_reads_as_the_default() {
        for value in ["abc", "", "99999999999999999999", "0"] {
            let record = parse(&format!("node.session.queue_depth = {value}\n"));
            assert_eq!(record.number("node.session.queue_depth"), 32, "{value}");
        }
        assert_eq!(parse("node.session.queue_depth = 64").number("node.session.queue_depth"), 64);
        assert_eq!(parse("my.key = 5").number("my.key"), 5);
    }

    #[test]
    fn of_two_lines_with_one_key_the_last_counts() {
        let record = parse("node.startup = automatic\nmy.key = 1\nnode.startup = onboot\nmy.key = 2\n");
        assert_eq!(lines(&record), ["node.startup = onboot", "my.key = 2"]);
        let record = parse("node.session.auth.username = joe\nnode.session.auth.username =\n");
        assert_eq!(record.get("node.session.auth.username"), "");
    }

    #[test]
    fn an_unknown_key_stays_where_it_was() {
        let mut record = parse("node.name = iqn.2001-04.com.example:a\nmy.key = x y\nother =\nnode.startup = manual\n");
        record.set("node.startup", "automatic").unwrap();
        record.set("node.leading_login", "Yes").unwrap();
        assert_eq!(
            lines(&record),
            [
                "node.name = iqn.2001-04.com.example:a",
                "my.key = x y",
                "other = ",
                "node.startup = automatic",
                "node.leading_login = Yes"
            ]
        );
        assert_eq!(record.set("my.key", "z").unwrap_err().to_string(), "Cannot modify my.key. Invalid param name.");
    }

    #[test]
    fn what_identifies_a_record_cannot_be_set() {
        let mut node = Record::new(Scope::Node);
        let mut iface = Record::new(Scope::Iface);
        let before = (node.clone(), iface.clone());
        for key in ["node.name", "node.tpgt", "node.conn[0].address", "node.conn[0].port", "node.discovery_type"] {
            let expected = format!("Cannot modify {key}. It is used to look up the record and cannot be changed.");
            assert_eq!(node.set(key, "1").unwrap_err().to_string(), expected);
        }
        assert_eq!(
            node.set("iface.hwaddress", "x").unwrap_err().to_string(),
            "Cannot modify iface.hwaddress. Use iface mode to update this value."
        );
        assert_eq!(
            iface.set("iface.iscsi_ifacename", "x").unwrap_err().to_string(),
            "Can not update iface.iscsi_ifacename. Delete it, and then create a new one."
        );
        assert_eq!((node, iface), before);
    }

    #[test]
    fn the_transport_of_a_node_has_two_names() {
        let mut node = Record::new(Scope::Node);
        node.set("node.transport_name", "iser").unwrap();
        assert_eq!(node.get("iface.transport_name"), "iser");
        node.set("iface.transport_name", "tcp").unwrap();
        assert_eq!(node.get("iface.transport_name"), "tcp");
        assert!(Record::new(Scope::SendTargets).set("node.transport_name", "tcp").is_err());
    }

    #[test]
    fn an_empty_value_takes_a_setting_back() {
        let mut node = Record::new(Scope::Node);
        node.set("node.session.auth.password", "hunter2").unwrap();
        assert!(node.to_file().contains("\nnode.session.auth.password = hunter2\n"));
        node.set("node.session.auth.password", "").unwrap();
        assert_eq!(node, Record::new(Scope::Node));
    }

    #[test]
    fn the_length_of_a_password_is_accepted_and_not_kept() {
        let mut node = Record::new(Scope::Node);
        node.set("node.session.auth.password_length", "7").unwrap();
        assert_eq!(node, Record::new(Scope::Node));
        assert!(node.set("node.session.auth.password_length", "x").is_err());
        assert_eq!(lines(&parse("node.session.auth.password_length = 7\n")), [""; 0]);
    }

    #[test]
    fn secrets_do_not_show_unless_asked_for() {
        let mut node = parse("my.password_key = hunter2\nmy.secret = hunter2\nmy.key = plain\n");
        node.set("node.session.auth.password", "hunter2").unwrap();
        assert!(!format!("{node:?}").contains("hunter2"));
        assert!(!format!("{:?}", node.fields(true)).contains("hunter2"));
        let shown =
            |show, key: &str| node.fields(show).iter().find(|field| field.key == key).unwrap().value.to_string();
        for key in ["node.session.auth.password", "my.password_key", "my.secret"] {
            assert_eq!(shown(false, key), "********");
            assert_eq!(shown(true, key), "hunter2");
        }
        assert_eq!(shown(false, "my.key"), "plain");
        assert_eq!(shown(false, "node.session.auth.password_in"), "");
    }

    #[test]
    fn an_interface_has_the_keys_of_its_address_family() {
        let mut iface = Record::new(Scope::Iface);
        let shows = |iface: &Record, key: &str| iface.fields(false).iter().any(|field| field.key == key);
        for (address, v6) in [("", false), ("10.0.0.1", false), ("fd00::1", true)] {
            iface.set("iface.ipaddress", address).unwrap();
            assert_eq!((shows(&iface, "iface.ttl"), shows(&iface, "iface.mld")), (!v6, v6), "{address}");
            assert_eq!(iface.to_file().contains("iface.ttl = 0"), !v6);
            assert!(!iface.to_file().contains("iface.flow_label"));
        }
        iface.set("iface.flow_label", "5").unwrap();
        assert!(iface.to_file().contains("\niface.flow_label = 5\n"));
        let mut named = Record::new(Scope::Iface);
        named.identify("iface.iscsi_ifacename", "my-ipv6-0").unwrap();
        assert!(shows(&named, "iface.mld") && !shows(&named, "iface.ttl"));
    }

    #[test]
    fn a_node_takes_over_its_interface_whole() {
        let mut first = Record::new(Scope::Iface);
        first.set("iface.hwaddress", "00:11:22:33:44:55").unwrap();
        let mut node = Record::new(Scope::Node);
        node.bind(&first);
        assert_eq!(node.get("iface.hwaddress"), "00:11:22:33:44:55");
        let (second, _) = Record::parse(Scope::Iface, b"iface.ipaddress = 10.0.0.1\nmy.key = 1\n");
        node.bind(&second);
        assert_eq!((node.get("iface.hwaddress"), node.get("iface.ipaddress")), ("", "10.0.0.1"));
        assert_eq!((node.get("my.key"), node.get("node.startup")), ("", "manual"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_record(bytes: Vec<u8>) {
            for scope in [Scope::Node, Scope::Iface, Scope::SendTargets, Scope::Isns, Scope::HostChap] {
                let (record, _) = Record::parse(scope, &bytes);
                let (again, garbage) = Record::parse(scope, record.to_file().as_bytes());
                prop_assert_eq!(&garbage, &[]);
                prop_assert_eq!(again.to_file(), record.to_file());
                prop_assert!(record.fields(false).len() >= 5);
            }
        }

        #[test]
        fn unknown_keys_survive_any_change(
            unknown in proptest::collection::vec(("my\\.[!-<>-~]{1,20}", "[ -~\u{e4}]{0,40}"), 0..8),
            known in "(node\\.startup = [a-z]{0,9}\n|rubbish\n|\n|# comment\n){0,5}",
            place in 0usize..8,
        ) {
            let mut text: Vec<String> = unknown.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
            text.insert(place.min(text.len()), known);
            let (mut record, _) = Record::parse(Scope::Node, text.concat().as_bytes());
            record.set("node.startup", "onboot").unwrap();
            record.set("node.session.scan", "manual").unwrap();
            let (again, garbage) = Record::parse(Scope::Node, record.to_file().as_bytes());
            prop_assert_eq!(garbage, []);
            for (key, _) in &unknown {
                let (_, value) = unknown.iter().rfind(|(other, _)| other == key).unwrap();
                prop_assert_eq!(again.explicit(key), Some(trim(value)));
            }
            prop_assert_eq!(again.get("node.startup"), "onboot");
        }
    }
}
