//! How records are named and looked up.

use std::fmt;
use std::str::FromStr;

use iscsi_proto::name::IscsiName;
use iscsi_proto::portal::{Host, Portal, PortalGroupTag};

use super::error::DbError;
use super::keys::excerpt;

/// The name of an interface: 1 to 64 printable ASCII characters without blanks and slashes, not starting with a dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfaceName(String);

/// Which node record: a target at a portal, through an interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// The target.
    pub target: IscsiName,
    /// Where it is reached.
    pub portal: Portal,
    /// The portal group, if it is known.
    pub tag: Option<PortalGroupTag>,
    /// The interface to log in through.
    pub iface: IfaceName,
}

/// Where a node record comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// `SendTargets` at this address.
    SendTargets(Portal),
    /// An iSNS server.
    Isns(Portal),
    /// A person created it.
    Static,
    /// The firmware's boot table.
    Firmware,
}

/// What records must agree with. An empty filter takes all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The target, if given.
    pub target: Option<IscsiName>,
    /// Host and port, if given. A portal group is never part of a match.
    pub portal: Option<Portal>,
    /// The interface, if given.
    pub iface: Option<IfaceName>,
    /// The transport that a record of an interface other than `default` must have, if given.
    pub transport: Option<String>,
}

impl IfaceName {
    /// The most characters that a name has.
    pub const MAX_LEN: usize = 64;

    /// The interface that means: any, over TCP.
    pub fn default_iface() -> Self {
        Self("default".to_owned())
    }

    /// The built-in interface for iSER.
    pub fn iser() -> Self {
        Self("iser".to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this interface is built in: `default` or `iser`.
    pub fn is_special(&self) -> bool {
        matches!(self.as_str(), "default" | "iser")
    }
}

impl FromStr for IfaceName {
    type Err = DbError;

    fn from_str(text: &str) -> Result<Self, DbError> {
        let legal = (1..=Self::MAX_LEN).contains(&text.len())
            && !text.starts_with('.')
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
        if legal { Ok(Self(text.to_owned())) } else { Err(DbError::IfaceName(excerpt(text))) }
    }
}

impl fmt::Display for IfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl NodeId {
    /// Whether both mean the same target at the same portal through the same interface. The portal group does not count,
    /// so this is also how a session is matched with its record.
    pub fn is_same(&self, other: &Self) -> bool {
        self.is_same_portal(other) && self.iface == other.iface
    }

    /// Whether both mean the same target at the same portal.
    pub fn is_same_portal(&self, other: &Self) -> bool {
        self.target == other.target && self.portal == other.portal
    }
}

impl Source {
    /// The address that was asked, if one was.
    pub fn portal(&self) -> Option<&Portal> {
        match self {
            Self::SendTargets(portal) | Self::Isns(portal) => Some(portal),
            Self::Static | Self::Firmware => None,
        }
    }

    /// The word that `node.discovery_type` has for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::SendTargets(_) => "send_targets",
            Self::Isns(_) => "isns",
            Self::Static => "static",
            Self::Firmware => "fw",
        }
    }
}

impl Filter {
    /// Whether a record matches. Hosts are compared by `same_host`, which may resolve names.
    pub fn matches(&self, id: &NodeId, same_host: &dyn Fn(&Host, &Host) -> bool) -> bool {
        let portal = |portal: &Portal| portal.port == id.portal.port && same_host(&portal.host, &id.portal.host);
        self.target.as_ref().is_none_or(|target| *target == id.target)
            && self.iface.as_ref().is_none_or(|iface| *iface == id.iface)
            && self.portal.as_ref().is_none_or(portal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(target: &str, portal: &str, tag: Option<u16>, iface: &str) -> NodeId {
        NodeId { target: target.parse().unwrap(), portal: portal.parse().unwrap(), tag, iface: iface.parse().unwrap() }
    }

    #[test]
    fn names_of_interfaces_that_callers_make_up_are_accepted() {
        let longest = "a".repeat(64);
        for name in ["default", "iface0", "10.0.0.1:3260:pvc-1", "[fd00::1]:3260:vol", "libvirt-iface-00a1", &longest] {
            assert_eq!(name.parse::<IfaceName>().unwrap().as_str(), name);
        }
        assert!(IfaceName::default_iface().is_special());
        assert!(IfaceName::iser().is_special());
        assert!(!"iser0".parse::<IfaceName>().unwrap().is_special());
    }

    #[test]
    fn a_name_of_an_interface_never_leaves_its_directory() {
        let long = "a".repeat(65);
        let longer = "a".repeat(4096);
        for name in
            ["", ".", "..", ".hidden", "../x", "a/b", "/", "a b", "a\0b", "a\nb", "a\x1bb", "\u{e4}", &long, &longer]
        {
            let error = name.parse::<IfaceName>().unwrap_err();
            assert!(matches!(error, DbError::IfaceName(_)), "{name:?}");
            assert_eq!(error.code(), 7);
            assert!(error.to_string().len() < 200, "{name:?}");
        }
        assert_eq!(
            "a b".parse::<IfaceName>().unwrap_err().to_string(),
            "Invalid iface name a b. Must be from 1 to 64 characters."
        );
    }

    #[test]
    fn the_portal_group_does_not_count_in_a_match() {
        let node = id("iqn.2001-04.com.example:a", "10.0.0.1", Some(1), "default");
        assert!(node.is_same(&id("iqn.2001-04.com.EXAMPLE:a", "10.0.0.1:3260", None, "default")));
        assert!(!node.is_same(&id("iqn.2001-04.com.example:a", "10.0.0.1:3260", None, "if0")));
        assert!(node.is_same_portal(&id("iqn.2001-04.com.example:a", "10.0.0.1:3260", None, "if0")));
        assert!(!node.is_same_portal(&id("iqn.2001-04.com.example:a", "10.0.0.1:3261", Some(1), "default")));
        assert!(!node.is_same_portal(&id("iqn.2001-04.com.example:b", "10.0.0.1", Some(1), "default")));
    }

    #[test]
    fn a_filter_takes_what_agrees_in_all_that_is_given() {
        let node = id("iqn.2001-04.com.example:a", "array.example:3260", Some(1), "if0");
        let textual = |a: &Host, b: &Host| a == b;
        let any = Filter::default();
        let full = Filter {
            target: Some(node.target.clone()),
            portal: Some(node.portal.clone()),
            iface: Some(node.iface.clone()),
            transport: None,
        };
        assert!(any.matches(&node, &textual));
        assert!(full.matches(&node, &textual));
        let other = Filter { target: Some("iqn.2001-04.com.example:b".parse().unwrap()), ..full.clone() };
        assert!(!other.matches(&node, &textual));
        let other = Filter { iface: Some(IfaceName::default_iface()), ..full.clone() };
        assert!(!other.matches(&node, &textual));
        let other = Filter { portal: Some("array.example:3261".parse().unwrap()), ..full.clone() };
        assert!(!other.matches(&node, &|_, _| true));
        let other = Filter { portal: Some("10.0.0.1".parse().unwrap()), ..full };
        assert!(!other.matches(&node, &textual));
        assert!(other.matches(&node, &|_, _| true));
    }
}
