use std::net::IpAddr;

use iscsi_proto::keys::negotiate::declared;
use iscsi_proto::keys::{Key, text, value};
use iscsi_proto::portal::{PortalGroupTag, TargetAddress};

use super::LoginError;

/// How many addresses are kept of one login.
const MAX_ADDRESSES: usize = 64;

/// What the target says about itself in the course of a login.
#[derive(Debug)]
pub(super) struct Identity {
    expected_tpgt: Option<PortalGroupTag>,
    tpgt: Option<PortalGroupTag>,
    pub(super) alias: Option<String>,
    pub(super) addresses: Vec<TargetAddress>,
}

impl Identity {
    pub(super) const fn new(expected_tpgt: Option<PortalGroupTag>) -> Self {
        Self { expected_tpgt, tpgt: None, alias: None, addresses: Vec::new() }
    }

    pub(super) const fn tpgt(&self) -> Option<PortalGroupTag> {
        self.tpgt
    }

    /// Takes TargetAlias, TargetAddress or TargetPortalGroupTag.
    pub(super) fn take(&mut self, key: Key, text: String) -> Result<(), LoginError> {
        declared(key, &text)?;
        match key {
            Key::TargetAlias => self.alias = Some(text),
            Key::TargetAddress if self.addresses.len() < MAX_ADDRESSES => self.addresses.extend(text.parse().ok()),
            Key::TargetPortalGroupTag => {
                self.tpgt = value::number(&text).ok().and_then(|tag| tag.try_into().ok());
                self.check_tpgt()?;
            }
            _ => {}
        }
        Ok(())
    }

    fn check_tpgt(&self) -> Result<(), LoginError> {
        match (self.expected_tpgt, self.tpgt) {
            (Some(expected), Some(found)) if expected != found => Err(LoginError::PortalGroup { expected, found }),
            _ => Ok(()),
        }
    }
}

/// The addresses of a redirection that can be connected to. A tag is tolerated; other keys are not looked at.
pub(super) fn redirect(data: &[u8]) -> Vec<TargetAddress> {
    let pairs = text::parse(data).unwrap_or_default();
    let texts = pairs.iter().filter(|pair| pair.key == Key::TargetAddress.as_ref());
    let addresses = texts.filter_map(|pair| pair.value.parse::<TargetAddress>().ok());
    addresses.filter(|address| !address.portal.host.ip().is_some_and(is_nowhere)).take(MAX_ADDRESSES).collect()
}

fn is_nowhere(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    ip.is_unspecified() || ip.is_multicast() || broadcast
}
