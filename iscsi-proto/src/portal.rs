//! Target portals and their text form (RFC 7143, section 13.8).
//!
//! ```text
//! host[:port][,portal-group-tag]
//!
//! 10.0.0.1:5003,1        [2001:db8::1]:3260,1        array.example.com,23
//! ```
//!
//! An IPv6 address stands in brackets, may carry a zone inside them (`[fe80::1%eth0]`), and may stand without brackets
//! when no port follows. The host part is safe to log and to use in a file name: it holds no `/`, no white space and no
//! control character, and it does not start with `-` or `.`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

/// The TCP port that IANA gave to iSCSI, meant wherever none is written.
pub const DEFAULT_PORT: u16 = 3260;

const MAX_HOST_LEN: usize = 253;
const MAX_LABEL_LEN: usize = 63;

/// The number of a portal group within a target. Zero is legal.
pub type PortalGroupTag = u16;

/// Where a portal is: a literal address or a name to resolve.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address.
    V6 {
        /// The address.
        addr: Ipv6Addr,
        /// The zone of a link-local address: an interface name or its number.
        zone: Option<String>,
    },
    /// A host name, in lower case.
    Name(String),
}

/// A host and a TCP port.
///
/// ```
/// use iscsi_proto::portal::Portal;
///
/// let portal: Portal = "[fe80::1%eth0]".parse()?;
/// assert_eq!(portal.to_string(), "[fe80::1%eth0]:3260");
/// # Ok::<(), iscsi_proto::portal::PortalError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Portal {
    /// The host.
    pub host: Host,
    /// The TCP port, never 0 when parsed.
    pub port: u16,
}

/// A portal as a target announces it: with its portal group in a `SendTargets` answer, without one in a redirect.
///
/// Parsing takes either form in either place, since targets mix them up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetAddress {
    /// Where to connect.
    pub portal: Portal,
    /// The portal group, if it was given.
    pub tag: Option<PortalGroupTag>,
}

/// Why a text is not a portal.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PortalError {
    /// No host was given.
    #[error("a portal needs a host")]
    Empty,
    /// `[` without `]`.
    #[error("the `[` of an IPv6 address has no `]`")]
    Unterminated,
    /// Something other than `:port` follows the bracket.
    #[error("`]` is followed by `:` and a port or by nothing, not by {0:?}")]
    AfterBracket(String),
    /// Neither an address nor a host name.
    #[error("{0:?} is neither an IP address nor a host name")]
    Host(String),
    /// An IPv6 address that is none.
    #[error("{0:?} is not an IPv6 address (write [address]:port to give a port)")]
    Ipv6(String),
    /// A zone that cannot be an interface.
    #[error("{0:?} is not an IPv6 zone")]
    Zone(String),
    /// A port outside 1 to 65535.
    #[error("{0:?} is not a TCP port: 1 to 65535")]
    Port(String),
    /// A portal group tag outside 0 to 65535.
    #[error("{0:?} is not a portal group tag: 0 to 65535")]
    Tag(String),
}

impl Host {
    /// The address, if this is one. The zone is not part of it.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::V4(addr) => Some(IpAddr::V4(*addr)),
            Self::V6 { addr, .. } => Some(IpAddr::V6(*addr)),
            Self::Name(_) => None,
        }
    }
}

impl Portal {
    /// A portal at `host` and `port`.
    pub const fn new(host: Host, port: u16) -> Self {
        Self { host, port }
    }
}

impl TargetAddress {
    /// A portal with the tag of its group.
    pub const fn new(portal: Portal, tag: Option<PortalGroupTag>) -> Self {
        Self { portal, tag }
    }
}

impl From<IpAddr> for Host {
    fn from(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(addr) => Self::V4(addr),
            IpAddr::V6(addr) => Self::V6 { addr, zone: None },
        }
    }
}

impl From<SocketAddr> for Portal {
    fn from(addr: SocketAddr) -> Self {
        let mut host = Host::from(addr.ip());
        if let (SocketAddr::V6(addr), Host::V6 { zone, .. }) = (addr, &mut host)
            && addr.scope_id() != 0
        {
            *zone = Some(addr.scope_id().to_string());
        }
        Self::new(host, addr.port())
    }
}

impl From<Portal> for TargetAddress {
    fn from(portal: Portal) -> Self {
        Self::new(portal, None)
    }
}

impl FromStr for Host {
    type Err = PortalError;

    /// Reads a host alone; an IPv6 address may stand in brackets or not.
    fn from_str(text: &str) -> Result<Self, PortalError> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(PortalError::Unterminated)?;
            return parse_v6(inner);
        }
        if text.contains(':') {
            return parse_v6(text);
        }
        parse_name_or_v4(text)
    }
}

impl FromStr for Portal {
    type Err = PortalError;

    fn from_str(text: &str) -> Result<Self, PortalError> {
        let (host, port) = split_port(text)?;
        let port = match port {
            None => DEFAULT_PORT,
            Some(text) => {
                parse_number(text).filter(|&port| port != 0).ok_or_else(|| PortalError::Port(excerpt(text)))?
            }
        };
        Ok(Self::new(host, port))
    }
}

impl FromStr for TargetAddress {
    type Err = PortalError;

    fn from_str(text: &str) -> Result<Self, PortalError> {
        let Some((portal, tag)) = text.split_once(',') else {
            return Ok(text.parse::<Portal>()?.into());
        };
        let tag = parse_number(tag).ok_or_else(|| PortalError::Tag(excerpt(tag)))?;
        Ok(Self::new(portal.parse()?, Some(tag)))
    }
}

impl fmt::Display for Host {
    /// An IPv6 address is written without brackets here, with them in a [`Portal`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(addr) => addr.fmt(f),
            Self::V6 { addr, zone: None } => addr.fmt(f),
            Self::V6 { addr, zone: Some(zone) } => write!(f, "{addr}%{zone}"),
            Self::Name(name) => f.pad(name),
        }
    }
}

impl fmt::Display for Portal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Host::V6 { .. } => write!(f, "[{}]:{}", self.host, self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for TargetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.portal.fmt(f)?;
        self.tag.map_or(Ok(()), |tag| write!(f, ",{tag}"))
    }
}

fn split_port(text: &str) -> Result<(Host, Option<&str>), PortalError> {
    if let Some(inner) = text.strip_prefix('[') {
        let (addr, rest) = inner.split_once(']').ok_or(PortalError::Unterminated)?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port),
            None if rest.is_empty() => None,
            None => return Err(PortalError::AfterBracket(excerpt(rest))),
        };
        return Ok((parse_v6(addr)?, port));
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Ok((parse_v6(text)?, None)),
        Some((host, port)) => Ok((parse_name_or_v4(host)?, Some(port))),
        None => Ok((parse_name_or_v4(text)?, None)),
    }
}

fn parse_v6(text: &str) -> Result<Host, PortalError> {
    let (addr, zone) = match text.split_once('%') {
        Some((addr, zone)) => (addr, Some(zone)),
        None => (text, None),
    };
    let addr = addr.parse().map_err(|_| PortalError::Ipv6(excerpt(text)))?;
    if let Some(zone) = zone.filter(|zone| !is_zone(zone)) {
        return Err(PortalError::Zone(excerpt(zone)));
    }
    Ok(Host::V6 { addr, zone: zone.map(str::to_owned) })
}

fn parse_name_or_v4(text: &str) -> Result<Host, PortalError> {
    if text.is_empty() {
        return Err(PortalError::Empty);
    }
    if let Ok(addr) = text.parse() {
        return Ok(Host::V4(addr));
    }
    if is_host_name(text) { Ok(Host::Name(text.to_ascii_lowercase())) } else { Err(PortalError::Host(excerpt(text))) }
}

/// A name of one or more labels, one trailing dot allowed. The last label is not a number: `10.0.0` and `10.0.0.256` are
/// mistyped addresses, and a resolver would read them as something unforeseen.
fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    name.len() <= MAX_HOST_LEN
        && name.split('.').all(|label| is_label(label) && !label.starts_with('-'))
        && !name.rsplit('.').next().is_none_or(number)
}

/// A network interface, such as `eth0.100`, or its number. It may become part of a file name: no dot comes first.
fn is_zone(text: &str) -> bool {
    text.len() <= MAX_LABEL_LEN && text.split('.').all(is_label)
}

fn is_label(text: &str) -> bool {
    (1..=MAX_LABEL_LEN).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// A 16-bit number as the RFC writes it: decimal without leading zeros, or hexadecimal after `0x`.
fn parse_number(text: &str) -> Option<u16> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        return u16::from_str_radix(digits, 16).ok().filter(|_| plain);
    }
    let plain = text.bytes().all(|digit| digit.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    text.parse().ok().filter(|_| plain && !padded)
}

/// What an error quotes: enough to recognise the text, never megabytes of it.
fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn portal(text: &str) -> Portal {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn address(text: &str) -> TargetAddress {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn r112_the_port_is_3260_unless_written() {
        for (text, printed) in [
            ("10.0.0.1", "10.0.0.1:3260"),
            ("10.0.0.1:860", "10.0.0.1:860"),
            ("[2001:DB8::1]", "[2001:db8::1]:3260"),
            ("[2001:db8::1]:1", "[2001:db8::1]:1"),
            ("2001:db8::1", "[2001:db8::1]:3260"),
            ("::1", "[::1]:3260"),
            ("::ffff:10.0.0.1", "[::ffff:10.0.0.1]:3260"),
            ("[fe80::1%eth0]:65535", "[fe80::1%eth0]:65535"),
            ("fe80::1%2", "[fe80::1%2]:3260"),
            ("fe80::1%eth0.100", "[fe80::1%eth0.100]:3260"),
            ("[fe80::1%br-lan.1.2]:860", "[fe80::1%br-lan.1.2]:860"),
            ("Array-1.Example.COM", "array-1.example.com:3260"),
            ("array_1:3261", "array_1:3261"),
            ("example.com.:0xcbc", "example.com.:3260"),
            ("10.example", "10.example:3260"),
        ] {
            assert_eq!(portal(text).to_string(), printed, "{text}");
        }
    }

    #[test]
    fn r148_the_examples_of_the_rfc_are_addresses() {
        for (text, printed) in [
            ("10.0.0.1:5003,1", "10.0.0.1:5003,1"),
            ("[1080:0:0:0:8:800:200C:417A],65", "[1080::8:800:200c:417a]:3260,65"),
            ("[1080::8:800:200C:417A]:5003,1", "[1080::8:800:200c:417a]:5003,1"),
            ("computingcenter.example.com,23", "computingcenter.example.com:3260,23"),
        ] {
            assert_eq!(address(text).to_string(), printed, "{text}");
        }
    }

    #[test]
    fn r148_a_tag_has_16_bits_and_may_be_zero() {
        assert_eq!(address("10.0.0.1,0").tag, Some(0));
        assert_eq!(address("10.0.0.1,65535").tag, Some(65535));
        assert_eq!(address("10.0.0.1,0xFFFF").tag, Some(65535));
        for tag in ["", "65536", "-1", "+1", "01", "1,2", " 1", "0x", "0x10000", "0x+1", "x"] {
            assert_eq!(format!("10.0.0.1,{tag}").parse::<TargetAddress>(), Err(PortalError::Tag(tag.into())));
        }
    }

    #[test]
    fn r102_a_redirect_may_carry_a_tag_or_none() {
        assert_eq!(address("10.0.0.1:3260").tag, None);
        assert_eq!(address("10.0.0.1:3260,1").tag, Some(1));
        assert!("10.0.0.1:3260,1".parse::<Portal>().is_err());
    }

    #[test]
    fn r148_a_port_outside_its_range_is_refused() {
        for port in ["", "0", "00", "65536", "99999", "-1", "+1", "03260", "3260 ", "http"] {
            for host in ["10.0.0.1", "[::1]", "example.com"] {
                assert_eq!(format!("{host}:{port}").parse::<Portal>(), Err(PortalError::Port(port.into())), "{host}");
            }
        }
    }

    #[test]
    fn r148_a_broken_ipv6_address_is_refused() {
        for (text, error) in [
            ("[::1", PortalError::Unterminated),
            ("[::1:3260", PortalError::Unterminated),
            ("[", PortalError::Unterminated),
            ("[]", PortalError::Ipv6(String::new())),
            ("[::1]3260", PortalError::AfterBracket("3260".into())),
            ("[::1]]", PortalError::AfterBracket("]".into())),
            ("[10.0.0.1]", PortalError::Ipv6("10.0.0.1".into())),
            ("1:2:3", PortalError::Ipv6("1:2:3".into())),
            ("1:2:3:4:5:6:7:8:3260", PortalError::Ipv6("1:2:3:4:5:6:7:8:3260".into())),
            ("[fe80::1%]", PortalError::Zone(String::new())),
            ("[fe80::1%../x]", PortalError::Zone("../x".into())),
            ("[fe80::1%..]", PortalError::Zone("..".into())),
            ("[fe80::1%.eth0]", PortalError::Zone(".eth0".into())),
            ("[fe80::1%eth0.]", PortalError::Zone("eth0.".into())),
            ("[fe80::1%eth0%1]", PortalError::Zone("eth0%1".into())),
        ] {
            assert_eq!(text.parse::<Portal>(), Err(error), "{text}");
        }
    }

    #[test]
    fn r148_what_cannot_be_a_host_is_refused() {
        assert_eq!("".parse::<Portal>(), Err(PortalError::Empty));
        assert_eq!(":3260".parse::<Portal>(), Err(PortalError::Empty));
        let label = "a".repeat(64);
        for host in [
            "10.0.0",
            "10.0.0.256",
            "1",
            "a b",
            "a/b",
            "../a",
            "a..b",
            ".a",
            "-v",
            "a.-b",
            "a\tb",
            "a\u{1b}[2J",
            "b\u{fc}cher",
            "%eth0",
            "10.0.0.1%eth0",
            "a@b",
            &label,
        ] {
            assert_eq!(host.parse::<Portal>(), Err(PortalError::Host(host.into())), "{host:?}");
        }
        assert!(vec!["a"; 128].join(".").parse::<Portal>().is_err());
        assert!(vec!["a"; 127].join(".").parse::<Portal>().is_ok());
    }

    #[test]
    fn an_error_quotes_no_more_than_it_must() {
        let error = "/".repeat(1 << 20).parse::<Portal>().unwrap_err();
        assert!(error.to_string().len() < 200);
    }

    #[test]
    fn a_host_is_read_alone() {
        let v6 = Host::V6 { addr: Ipv6Addr::LOCALHOST, zone: None };
        assert_eq!("::1".parse(), Ok(v6.clone()));
        assert_eq!("[::1]".parse(), Ok(v6));
        assert_eq!("10.0.0.1".parse(), Ok(Host::V4(Ipv4Addr::new(10, 0, 0, 1))));
        assert!("10.0.0.1:3260".parse::<Host>().is_err());
        assert!("[::1]:3260".parse::<Host>().is_err());
    }

    #[test]
    fn a_socket_address_becomes_a_portal() {
        for text in ["10.0.0.1:5", "[::1]:5", "[fe80::1%3]:5"] {
            let addr: SocketAddr = text.parse().unwrap();
            assert_eq!(Portal::from(addr).to_string(), text);
        }
    }

    fn hosts() -> impl Strategy<Value = Host> {
        prop_oneof![
            any::<Ipv4Addr>().prop_map(Host::V4),
            (any::<Ipv6Addr>(), proptest::option::of("[a-zA-Z0-9_-]{1,15}(\\.[0-9]{1,4})?"))
                .prop_map(|(addr, zone)| Host::V6 { addr, zone }),
            "[a-z][a-z0-9_-]{0,20}(\\.[a-z][a-z0-9-]{0,20}){0,3}".prop_map(Host::Name),
        ]
    }

    proptest! {
        #[test]
        fn r148_every_address_round_trips(host in hosts(), port in 1u16.., tag: Option<u16>) {
            let address = TargetAddress::new(Portal::new(host, port), tag);
            prop_assert_eq!(address.to_string().parse(), Ok(address));
        }

        #[test]
        fn arbitrary_text_is_an_address_or_an_error(text: String, tail in "[\\[\\]:%,.0-9a-f]{0,30}") {
            for text in [text, tail] {
                if let Ok(address) = text.parse::<TargetAddress>() {
                    prop_assert_eq!(address.to_string().parse(), Ok(address));
                }
            }
        }
    }
}
