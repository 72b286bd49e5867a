//! The answer to a query, read.
//!
//! ```text
//! iSCSI Name, iSCSI Node Type                     a node
//! Portal IP Address, Portal TCP/UDP Port          a portal of its entity
//! PG Portal IP Addr, PG Portal TCP/UDP Port,
//! PG Tag                                          which group of the node that portal is in
//! ```
//!
//! The standard leaves open whether each portal is followed by its group or all portals by all groups (RFC 4171, section
//! 5.6.5.2), so they are joined by address and port. A group without address and port belongs to the portal before it.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use iscsi_proto::isns::{Attribute, NodeType, Tag};
use iscsi_proto::portal::{DEFAULT_PORT, Host, Portal, PortalGroupTag, TargetAddress};

use super::IsnsError;
use crate::core::targets::{Collector, MAX_ENTRIES, PortalFault, Skipped, Targets};

/// Set in the number of a port of UDP (RFC 4171, section 6.3.2).
const UDP: u32 = 0x1_0000;
/// All that is not reserved in the number of a port.
const PORT: u32 = UDP | 0xffff;

type Key = (IpAddr, u32);

/// A node as far as it was read.
#[derive(Default)]
struct Node<'a> {
    name: Option<Cow<'a, str>>,
    kind: Option<NodeType>,
    /// The address whose port is due.
    portal: Option<IpAddr>,
    group: Option<IpAddr>,
    portals: Vec<Key>,
    /// The portal that a group tag is for.
    grouped: Option<Key>,
    groups: Vec<(Key, Group)>,
    faults: Vec<PortalFault>,
}

#[derive(Clone, Copy)]
enum Group {
    Tag(PortalGroupTag),
    /// The portal is none of this node (RFC 4171, section 6.5.4).
    None,
}

/// The targets in the operating attributes of an answer.
pub(super) fn targets(attributes: &[Attribute]) -> Result<Targets, IsnsError> {
    let (mut found, mut node, mut entries) = (Collector::default(), Node::default(), 0);
    for attribute in attributes {
        entries += usize::from(matches!(attribute.tag, Tag::NAME | Tag::PORTAL_ADDRESS | Tag::GROUP_TAG));
        if entries > MAX_ENTRIES {
            return Err(IsnsError::TooMany);
        }
        if attribute.tag == Tag::NAME {
            std::mem::take(&mut node).end(&mut found);
            let name = attribute.as_text().map(Cow::Borrowed);
            // What is no text cannot be a name either, and is set aside as such.
            node.name = Some(name.unwrap_or_else(|_| String::from_utf8_lossy(&attribute.value)));
        } else if let Err(fault) = node.take(attribute) {
            node.faults.push(fault);
        }
    }
    node.end(&mut found);
    Ok(found.finish())
}

impl Node<'_> {
    fn take(&mut self, attribute: &Attribute) -> Result<(), PortalFault> {
        match attribute.tag {
            Tag::NODE_TYPE => self.kind = Some(NodeType(attribute.as_number()?)),
            Tag::PORTAL_ADDRESS => {
                let before = self.portal.take();
                self.portal = Some(attribute.as_address()?);
                return before.map_or(Ok(()), |_| Err(PortalFault::NoPort));
            }
            Tag::PORTAL_PORT => {
                let address = self.portal.take();
                self.grouped = None;
                let key = (address.ok_or(PortalFault::NoPort)?, attribute.as_number()? & PORT);
                self.grouped = Some(key);
                self.portals.push(key);
            }
            Tag::GROUP_ADDRESS => {
                self.group = None;
                self.group = Some(attribute.as_address()?);
            }
            Tag::GROUP_PORT => {
                self.grouped = None;
                self.grouped = Some((self.group.take().ok_or(PortalFault::NoPort)?, attribute.as_number()? & PORT));
            }
            Tag::GROUP_TAG => {
                let group = if attribute.is_empty() { Group::None } else { tag(attribute.as_number()?) };
                self.groups.extend(self.grouped.map(|key| (key, group)));
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds the node to what was found, if it is a target.
    fn end(self, found: &mut Collector) {
        if self.kind.is_some_and(|kind| !kind.is_target()) {
            return;
        }
        let Some(place) = self.name.and_then(|name| found.name(&name)) else { return };
        let unfinished = self.portal.map(|_| PortalFault::NoPort);
        for reason in self.faults.into_iter().chain(unfinished) {
            found.damaged(place, |target| Skipped::Portal { target, reason });
        }
        let mut groups = self.groups;
        groups.sort_by_key(|(key, _)| *key);
        for key in self.portals {
            let start = groups.partition_point(|(other, _)| *other < key);
            let own = groups.get(start..).unwrap_or_default().iter().take_while(|(other, _)| *other == key);
            let mut own = own.map(|(_, group)| *group).peekable();
            match portal(key) {
                Err(reason) => found.damaged(place, |target| Skipped::Portal { target, reason }),
                Ok(portal) if own.peek().is_none() => found.address(place, portal.into()),
                Ok(portal) => {
                    let tags = own.filter_map(Group::tag);
                    tags.for_each(|tag| found.address(place, TargetAddress::new(portal.clone(), Some(tag))));
                }
            }
        }
        if !found.has_address(place) {
            found.damaged(place, |target| Skipped::NoPortal { target });
        }
    }
}

impl Group {
    const fn tag(self) -> Option<PortalGroupTag> {
        match self {
            Self::Tag(tag) => Some(tag),
            Self::None => None,
        }
    }
}

/// The lower half is the tag, the upper one is reserved.
const fn tag(number: u32) -> Group {
    Group::Tag((number & 0xffff) as u16)
}

/// The portal that an address and the number of a port stand for. Port 0 is the one of iSCSI.
fn portal((address, number): Key) -> Result<Portal, PortalFault> {
    if address.is_unspecified() || address.is_multicast() || address == Ipv4Addr::BROADCAST {
        return Err(PortalFault::Address(address));
    }
    if number & UDP != 0 {
        return Err(PortalFault::Udp);
    }
    let port = match (number & 0xffff) as u16 {
        0 => DEFAULT_PORT,
        port => port,
    };
    Ok(Portal::new(Host::from(address), port))
}
