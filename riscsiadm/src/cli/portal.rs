//! The argument of `-p`.

use iscsi_proto::portal::{Host, Portal, PortalError, PortalGroupTag};

/// A portal as it was typed: the port and the tag are known only if they were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortalFilter {
    /// The host as it was typed, without the brackets of an IPv6 address. Records are stored under this text.
    pub text: String,
    /// What the text means.
    pub host: Host,
    /// The TCP port, if one was given.
    pub port: Option<u16>,
    /// The portal group, if one was given. A new record takes it; no search looks at it.
    pub tag: Option<PortalGroupTag>,
}

impl PortalFilter {
    /// Reads `host[:port][,tag]`. A tag of -1, which is how an unknown one is printed (or 4294967295), is no tag.
    pub fn new(text: &str) -> Result<Self, PortalError> {
        let (address, tag) = match text.split_once(',') {
            Some((address, "-1" | "4294967295")) => (address, None),
            Some((address, tag)) => (address, Some(read_tag(tag)?)),
            None => (text, None),
        };
        let Portal { host, port } = address.parse()?;
        let (text, has_port) = split_host(address);
        Ok(Self { text: text.to_owned(), host, port: has_port.then_some(port), tag })
    }

    /// The port, or `default` if none was given: 3260 for iSCSI, 3205 for iSNS.
    pub fn port_or(&self, default: u16) -> u16 {
        self.port.unwrap_or(default)
    }

    /// Where to connect.
    pub fn portal(&self, default_port: u16) -> Portal {
        Portal::new(self.host.clone(), self.port_or(default_port))
    }
}

fn read_tag(text: &str) -> Result<PortalGroupTag, PortalError> {
    let plain = text.bytes().all(|digit| digit.is_ascii_digit());
    text.parse().ok().filter(|_| plain).ok_or_else(|| PortalError::Tag(text.chars().take(80).collect()))
}

/// The host of an address that is known to be right, and whether a port follows it.
fn split_host(address: &str) -> (&str, bool) {
    if let Some((host, rest)) = address.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        return (host, !rest.is_empty());
    }
    match address.split_once(':') {
        Some((host, rest)) if !rest.contains(':') => (host, true),
        _ => (address, false),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_host_stays_as_typed_and_the_rest_is_known_only_if_given() {
        for (text, host, port, tag, printed) in [
            ("10.0.0.1", "10.0.0.1", None, None, "10.0.0.1:3260"),
            ("10.0.0.1:860", "10.0.0.1", Some(860), None, "10.0.0.1:860"),
            ("10.0.0.1:860,1", "10.0.0.1", Some(860), Some(1), "10.0.0.1:860"),
            ("10.0.0.1,65535", "10.0.0.1", None, Some(65535), "10.0.0.1:3260"),
            ("10.0.0.1:860,-1", "10.0.0.1", Some(860), None, "10.0.0.1:860"),
            ("10.0.0.1:860,4294967295", "10.0.0.1", Some(860), None, "10.0.0.1:860"),
            ("[FD00::5]", "FD00::5", None, None, "[fd00::5]:3260"),
            ("[FD00::5]:1,0", "FD00::5", Some(1), Some(0), "[fd00::5]:1"),
            ("[::1],3", "::1", None, Some(3), "[::1]:3260"),
            ("::1,3", "::1", None, Some(3), "[::1]:3260"),
            ("fe80::1%eth0", "fe80::1%eth0", None, None, "[fe80::1%eth0]:3260"),
            ("::ffff:10.0.0.1", "::ffff:10.0.0.1", None, None, "[::ffff:10.0.0.1]:3260"),
            ("Array.Example.COM:65535", "Array.Example.COM", Some(65535), None, "array.example.com:65535"),
            ("array", "array", None, None, "array:3260"),
        ] {
            let filter = PortalFilter::new(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((filter.text.as_str(), filter.port, filter.tag), (host, port, tag), "{text}");
            assert_eq!(filter.portal(3260).to_string(), printed, "{text}");
        }
    }

    #[test]
    fn the_default_port_is_the_callers() {
        let isns = PortalFilter::new("10.0.0.1").unwrap();
        assert_eq!((isns.port_or(3205), isns.portal(3205).port), (3205, 3205));
        assert_eq!(PortalFilter::new("10.0.0.1:1").unwrap().port_or(3205), 1);
    }

    #[test]
    fn what_is_no_portal_is_refused() {
        for text in [
            "",
            ":12",
            ",5",
            "10.0.0.1:",
            "10.0.0.1:0",
            "10.0.0.1:65536",
            "10.0.0.1:99999",
            "10.0.0.1:abc",
            "10.0.0.1:12abc",
            "10.0.0.1:-1",
            "10.0.0.1:3260:5",
            "10.0.0.1,",
            "10.0.0.1,x",
            "10.0.0.1,+1",
            "10.0.0.1,65536",
            "10.0.0.1,1,2",
            "10.0.0",
            "10.0.0.256",
            "a:b:c",
            "[::1",
            "[::1]5",
            "[::1]:x",
            "a b",
            " x",
            "x ",
            "a/b",
            "../b",
            "iscsi://x",
        ] {
            assert!(PortalFilter::new(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_host_never_becomes_a_path(text: String, odd in "[\\[\\]:%,./0-9a-f]{0,30}") {
            for text in [text, odd] {
                if let Ok(filter) = PortalFilter::new(&text) {
                    let safe = !filter.text.contains('/') && !filter.text.starts_with('.') && !filter.text.is_empty();
                    prop_assert!(safe && !filter.text.contains(char::is_whitespace), "{:?}", filter);
                }
            }
        }
    }
}
