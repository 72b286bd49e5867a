//! Names of files and directories, written from checked parts and read back with care.

use std::num::ParseIntError;

use iscsi_proto::portal::{Portal, PortalGroupTag};

use crate::db::error::DbError;
use crate::db::file::component;
use crate::db::node::{IfaceName, NodeId};

/// How a portal group that is not known is written.
const UNKNOWN_TAG: &str = "-1";

/// `ADDRESS,PORT`: a discovery address, or a node's portal without its group.
pub(super) fn address(portal: &Portal) -> Result<String, DbError> {
    let host = portal.host.to_string();
    let name = format!("{},{}", component(&host)?, portal.port);
    component(&name)?;
    Ok(name)
}

/// `ADDRESS,PORT,TAG`.
pub(super) fn portal(portal: &Portal, tag: Option<PortalGroupTag>) -> Result<String, DbError> {
    let tag = tag.map_or_else(|| UNKNOWN_TAG.to_owned(), |tag| tag.to_string());
    let name = format!("{},{tag}", address(portal)?);
    component(&name)?;
    Ok(name)
}

/// `TARGET,ADDRESS,PORT,TAG,IFACE`. A node without a known group has no link, and neither has one whose link would have a
/// longer name than a file may have: its record still says where it comes from.
pub(super) fn link(id: &NodeId) -> Option<String> {
    let tag = id.tag?;
    let name = format!("{},{},{},{tag},{}", id.target.as_written(), id.portal.host, id.portal.port, id.iface);
    component(&name).is_ok().then_some(name)
}

/// Reads `ADDRESS,PORT`.
pub(super) fn parse_address(name: &str) -> Option<Portal> {
    let (host, port) = name.split_once(',')?;
    Some(Portal::new(host.parse().ok()?, parse_port(port)?))
}

/// Reads `ADDRESS,PORT` or `ADDRESS,PORT,TAG`.
pub(super) fn parse_portal(name: &str) -> Option<(Portal, Option<PortalGroupTag>)> {
    match name.rsplit_once(',')? {
        (address, tag) if address.contains(',') => Some((parse_address(address)?, parse_tag(tag).ok()?)),
        _ => Some((parse_address(name)?, None)),
    }
}

/// Reads the name of a link. Old links name no interface, which means `default`.
pub(super) fn parse_link(name: &str) -> Option<NodeId> {
    let mut parts = name.splitn(5, ',');
    let target = parts.next()?.parse().ok()?;
    let portal = Portal::new(parts.next()?.parse().ok()?, parse_port(parts.next()?)?);
    let tag = parse_tag(parts.next()?).ok()?;
    let iface = parts.next().map_or_else(|| Some(IfaceName::default_iface()), |iface| iface.parse().ok())?;
    Some(NodeId { target, portal, tag, iface })
}

fn parse_port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|&port| port != 0)
}

/// Reads the two forms of a portal group: a number, or none.
fn parse_tag(text: &str) -> Result<Option<PortalGroupTag>, ParseIntError> {
    if text == UNKNOWN_TAG { Ok(None) } else { text.parse().map(Some) }
}

#[cfg(test)]
mod tests {
    use iscsi_proto::portal::Host;
    use proptest::prelude::*;

    use super::*;

    fn id(target: &str, portal: &str, tag: Option<u16>) -> NodeId {
        NodeId {
            target: target.parse().unwrap(),
            portal: portal.parse().unwrap(),
            tag,
            iface: IfaceName::default_iface(),
        }
    }

    #[test]
    fn names_are_those_of_open_iscsi() {
        let v6: Portal = "[fd00::5]:3261".parse().unwrap();
        assert_eq!(address(&v6).unwrap(), "fd00::5,3261");
        assert_eq!(portal(&v6, Some(2)).unwrap(), "fd00::5,3261,2");
        assert_eq!(portal(&v6, None).unwrap(), "fd00::5,3261,-1");
        let id = id("iqn.2001-04.com.Example:a", "10.0.0.1", Some(1));
        assert_eq!(link(&id).unwrap(), "iqn.2001-04.com.Example:a,10.0.0.1,3260,1,default");
    }

    #[test]
    fn what_was_written_is_read_back() {
        for text in ["10.0.0.1:3260", "[fd00::5]:1", "[fe80::1%eth0]:3260", "array.example.com:65535"] {
            let there: Portal = text.parse().unwrap();
            assert_eq!(parse_address(&address(&there).unwrap()), Some(there.clone()));
            for tag in [None, Some(0), Some(65535)] {
                assert_eq!(parse_portal(&portal(&there, tag).unwrap()), Some((there.clone(), tag)));
            }
            assert_eq!(parse_portal(&address(&there).unwrap()), Some((there.clone(), None)));
            let id = id("iqn.2001-04.com.example:a", text, Some(7));
            assert_eq!(parse_link(&link(&id).unwrap()), Some(id));
        }
        let old = parse_link("iqn.2001-04.com.example:a,10.0.0.1,3260,1").unwrap();
        assert_eq!(old, id("iqn.2001-04.com.example:a", "10.0.0.1", Some(1)));
    }

    #[test]
    fn strange_names_are_no_records() {
        for name in
            ["", ",", "10.0.0.1", "10.0.0.1,", "10.0.0.1,0", "10.0.0.1,99999", ",3260", "a b,3260", "10.0.0.1,x"]
        {
            assert_eq!(parse_address(name), None, "{name}");
            assert_eq!(parse_portal(name), None, "{name}");
        }
        for name in ["10.0.0.1,3260,", "10.0.0.1,3260,65536", "10.0.0.1,3260,-2", "10.0.0.1,3260,1,1", ",3260,1"] {
            assert_eq!(parse_portal(name), None, "{name}");
        }
        for name in ["st_config", "iqn.2001-04.com.example:a,10.0.0.1,3260", "x,10.0.0.1,3260,1,default"] {
            assert_eq!(parse_link(name), None, "{name}");
        }
        assert_eq!(parse_link("iqn.2001-04.com.example:a,10.0.0.1,3260,1,../x"), None);
    }

    #[test]
    fn a_host_that_was_not_parsed_is_no_way_out() {
        for host in ["", "../../etc/passwd", "/", "..", ".x", "a\0b", "a\nb", "a\x1bb", &"a".repeat(4096)] {
            let there = Portal::new(Host::Name(host.to_owned()), 3260);
            assert!(matches!(address(&there), Err(DbError::Component(_))), "{host:?}");
            assert!(matches!(portal(&there, Some(1)), Err(DbError::Component(_))), "{host:?}");
        }
    }

    #[test]
    fn a_name_has_at_most_255_bytes() {
        let there = |port| Portal::new(Host::Name("a".repeat(250)), port);
        assert_eq!(address(&there(9999)).unwrap().len(), 255);
        assert!(matches!(address(&there(10_000)), Err(DbError::Component(_))));
        assert!(matches!(portal(&there(9999), Some(1)), Err(DbError::Component(_))));
    }

    #[test]
    fn a_link_whose_name_would_be_too_long_is_none() {
        let longest = format!("iqn.2001-04.com.example:{}", "a".repeat(199));
        assert_eq!(link(&id(&longest, "[1111:2222:3333:4444:5555:6666:7777:8888]:65535", Some(65535))), None);
        assert_eq!(link(&id("iqn.2001-04.com.example:a", "10.0.0.1", None)), None);
    }

    proptest! {
        #[test]
        fn any_name_is_a_record_or_none(name: String, tail in "[a-z0-9.:,-]{0,40}") {
            for name in [name, tail] {
                if let Some((there, tag)) = parse_portal(&name) {
                    let written = portal(&there, tag).unwrap();
                    prop_assert_eq!(parse_portal(&written), Some((there, tag)));
                }
                let _ = parse_link(&name);
            }
        }
    }
}
