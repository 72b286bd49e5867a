//! Targets that were found, and the answer to SendTargets that tells of them (RFC 7143, appendix C).
//!
//! ```text
//! TargetName=iqn.…      a record starts
//! TargetAddress=…,1     zero or more; none means the portal that was asked
//! TargetName=iqn.…      the next one
//! ```
//!
//! One bad name does not hide the other targets: records with a name or an address that cannot be are set aside and
//! reported. What is handed on holds no control characters, so it can be printed and stored. A structure that cannot be
//! trusted at all (other keys, an address before any name) fails the whole answer.
//!
//! ```
//! use iscsi_initiator::core::targets::TargetsAnswer;
//!
//! let mut answer = TargetsAnswer::default();
//! answer.push(b"TargetName=iqn.2001-04.com.example:disk1\0TargetAddr")?;
//! answer.push(b"ess=10.0.0.1:3260,1\0TargetName=iqn.2001-04.com.example:disk2\0")?;
//! let found = answer.finish()?;
//! assert_eq!(found.targets[0].addresses[0].to_string(), "10.0.0.1:3260,1");
//! assert!(found.targets[1].addresses.is_empty());
//! # Ok::<(), iscsi_initiator::core::targets::TargetsError>(())
//! ```

mod collector;

use std::net::IpAddr;

use iscsi_proto::isns::ValueError;
use iscsi_proto::keys::text::{MAX_KEY_LEN, TextError};
use iscsi_proto::name::{IscsiName, NameError};
use iscsi_proto::portal::{PortalError, TargetAddress};

pub(super) use collector::{Collector, Place};

/// The longest answer that is taken, in bytes: 16 MiB, some 150,000 targets with one address each.
pub const MAX_TEXT: usize = 16 << 20;
/// The most names and addresses that are taken together, repeated ones and those that are set aside included.
pub const MAX_ENTRIES: usize = 300_000;
/// How many parts without any text may follow one another.
pub const MAX_EMPTY_PARTS: usize = 16;

/// How much of a bad value is quoted, in characters.
const EXCERPT: usize = 80;

/// A target that a portal announced.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DiscoveredTarget {
    /// Its name.
    pub name: IscsiName,
    /// Where it can be reached, in the order of the answer, each once. Empty: at the portal that was asked.
    pub addresses: Vec<TargetAddress>,
}

/// A name or an address that was set aside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Skipped {
    /// A name that is none. Its addresses are left out with it.
    #[error("left out the target named {text:?}: {reason}")]
    Name {
        /// The start of what was sent.
        text: String,
        /// What is wrong with it.
        reason: NameError,
    },
    /// An address that is none. A target all of whose addresses are set aside is left out.
    #[error("left out the address {text:?} of {target}: {reason}")]
    Address {
        /// Whose address it was to be.
        target: IscsiName,
        /// The start of what was sent.
        text: String,
        /// What is wrong with it.
        reason: PortalError,
    },
    /// A portal of an iSNS server's answer that is none. A target all of whose portals are set aside is left out.
    #[error("left out a portal of {target}: {reason}")]
    Portal {
        /// Whose portal it was to be.
        target: IscsiName,
        /// What is wrong with it.
        reason: PortalFault,
    },
    /// A target that an iSNS server knows without any portal to reach it by.
    #[error("left out {target}: the iSNS server knows no portal of it")]
    NoPortal {
        /// Its name.
        target: IscsiName,
    },
}

/// What is wrong with a portal that an iSNS server knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PortalFault {
    /// An attribute of it is not what it should be.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The address is that of no host.
    #[error("{0} is the address of no host")]
    Address(IpAddr),
    /// It is reached by UDP, over which there is no iSCSI.
    #[error("it is a port of UDP (RFC 4171, section 6.3.2)")]
    Udp,
    /// Address and port do not come one after the other.
    #[error("its address has no port (RFC 4171, section 5.6.4)")]
    NoPort,
}

/// What an answer holds.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Targets {
    /// The targets in the order of the answer, each once; records of one name are merged. None is legal.
    pub targets: Vec<DiscoveredTarget>,
    /// What was set aside and why.
    pub skipped: Vec<Skipped>,
}

/// Why an answer cannot be used at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetsError {
    /// It is not key=value text, or longer than [`MAX_TEXT`].
    #[error(transparent)]
    Text(#[from] TextError),
    /// It holds a key that has no place in it.
    #[error("the answer to SendTargets holds {key:?} at byte {offset} (RFC 7143, appendix C)")]
    Key {
        /// Where it stands.
        offset: usize,
        /// The start of the key.
        key: String,
    },
    /// An address stands before the first name.
    #[error("the answer to SendTargets starts with an address instead of a name (RFC 7143, appendix C)")]
    AddressFirst,
    /// More names and addresses than [`MAX_ENTRIES`].
    #[error("the answer to SendTargets holds more than {MAX_ENTRIES} names and addresses")]
    TooMany,
    /// The target promises more text and sends none, time after time.
    #[error("the target goes on announcing more targets without sending any")]
    Stalled,
}

/// Collects the data segments of an answer until its last PDU has come (F bit).
///
/// Targets cut the text at any byte and do not all set the C bit, so nothing is read before the end.
#[derive(Debug, Default)]
pub struct TargetsAnswer {
    bytes: Vec<u8>,
    empty_parts: usize,
}

impl TargetsAnswer {
    /// Adds the data segment of one Text Response.
    pub fn push(&mut self, data: &[u8]) -> Result<(), TargetsError> {
        if data.len() > MAX_TEXT - self.bytes.len() {
            return Err(TextError::TooLong { limit: MAX_TEXT }.into());
        }
        self.empty_parts = if data.is_empty() { self.empty_parts + 1 } else { 0 };
        if self.empty_parts > MAX_EMPTY_PARTS {
            return Err(TargetsError::Stalled);
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    /// Reads the whole answer.
    pub fn finish(self) -> Result<Targets, TargetsError> {
        parse(&self.bytes)
    }
}

/// Reads a whole answer.
pub fn parse(text: &[u8]) -> Result<Targets, TargetsError> {
    let mut reader = Reader::default();
    let mut offset = 0;
    for pair in without_final_nul(text).split(|&byte| byte == 0) {
        reader.pair(pair, offset)?;
        offset += pair.len() + 1;
    }
    Ok(reader.found.finish())
}

/// The text up to its last pair; the NUL after it may be missing or repeated. No text is no pair.
fn without_final_nul(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&byte| byte != 0);
    end.and_then(|end| text.get(..=end)).unwrap_or_default()
}

/// The record that addresses belong to.
#[derive(Clone, Copy, Default)]
enum Record {
    #[default]
    None,
    Skipped,
    Target(Place),
}

#[derive(Default)]
struct Reader {
    found: Collector,
    record: Record,
    entries: usize,
}

impl Reader {
    fn pair(&mut self, pair: &[u8], offset: usize) -> Result<(), TargetsError> {
        if pair.is_empty() {
            return if offset == 0 { Ok(()) } else { Err(TextError::EmptyPair { offset }.into()) };
        }
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(TargetsError::TooMany);
        }
        let mut halves = pair.splitn(2, |&byte| byte == b'=');
        let key = halves.next().unwrap_or_default();
        let value = halves.next().ok_or(TextError::NoValue { offset })?;
        let value = String::from_utf8_lossy(value);
        match key {
            b"TargetName" => self.record = self.found.name(&value).map_or(Record::Skipped, Record::Target),
            b"TargetAddress" => self.address(&value)?,
            other => {
                let start = other.get(..MAX_KEY_LEN).unwrap_or(other);
                return Err(TargetsError::Key { offset, key: String::from_utf8_lossy(start).into_owned() });
            }
        }
        Ok(())
    }

    fn address(&mut self, text: &str) -> Result<(), TargetsError> {
        let place = match self.record {
            Record::None => return Err(TargetsError::AddressFirst),
            Record::Skipped => return Ok(()),
            Record::Target(place) => place,
        };
        match text.parse::<TargetAddress>() {
            Ok(address) => self.found.address(place, address),
            Err(reason) => {
                self.found.damaged(place, |target| Skipped::Address { target, text: excerpt(text), reason });
            }
        }
        Ok(())
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const A: &str = "iqn.2001-04.com.example:a";
    const B: &str = "iqn.2001-04.com.example:b";

    fn read(pairs: &[(&str, &str)]) -> Result<Targets, TargetsError> {
        parse(&iscsi_proto::keys::text::encode(pairs.iter().copied()))
    }

    fn name(text: &str) -> (&'static str, &str) {
        ("TargetName", text)
    }

    fn address(text: &str) -> (&'static str, &str) {
        ("TargetAddress", text)
    }

    /// The targets as lines of name and addresses.
    fn lines(found: &Targets) -> Vec<String> {
        let line = |target: &DiscoveredTarget| {
            let addresses = target.addresses.iter().map(|address| format!(" {address}"));
            addresses.fold(target.name.to_string(), |line, address| line + &address)
        };
        found.targets.iter().map(line).collect()
    }

    #[test]
    fn r145_records_are_a_name_and_its_addresses() {
        let found = read(&[
            name(A),
            address("10.0.0.1:3261,1"),
            address("[2001:db8::1],2"),
            name(B),
            address("array.example.com,0"),
        ])
        .unwrap();
        assert_eq!(
            lines(&found),
            [format!("{A} 10.0.0.1:3261,1 [2001:db8::1]:3260,2"), format!("{B} array.example.com:3260,0"),]
        );
        assert_eq!(found.skipped, []);
    }

    #[test]
    fn r145_other_keys_are_refused() {
        let key = |offset, key: &str| Err(TargetsError::Key { offset, key: key.into() });
        assert_eq!(read(&[name(A), ("TargetAlias", "x")]), key(A.len() + 12, "TargetAlias"));
        assert_eq!(read(&[("targetname", A)]), key(0, "targetname"));
        assert_eq!(read(&[("X-com.example.k", "v"), name(A)]), key(0, "X-com.example.k"));
        assert_eq!(read(&[(&"K".repeat(100_000), "")]), key(0, &"K".repeat(63)));
    }

    #[test]
    fn r145_an_address_needs_a_name_before_it() {
        assert_eq!(read(&[address("10.0.0.1,1"), name(A)]), Err(TargetsError::AddressFirst));
    }

    #[test]
    fn r146_no_targets_is_an_answer() {
        for text in [&b""[..], b"\0", b"\0\0\0"] {
            assert_eq!(parse(text), Ok(Targets::default()));
        }
        assert_eq!(TargetsAnswer::default().finish(), Ok(Targets::default()));
    }

    #[test]
    fn r147_a_name_alone_stands_for_the_portal_that_was_asked() {
        let found = read(&[name(A), name(B), address("10.0.0.1,1")]).unwrap();
        assert_eq!(lines(&found), [A.to_owned(), format!("{B} 10.0.0.1:3260,1")]);
    }

    #[test]
    fn r148_a_missing_tag_is_tolerated() {
        let found = read(&[name(A), address("10.0.0.1:3260")]).unwrap();
        assert_eq!(found.targets[0].addresses[0].tag, None);
    }

    #[test]
    fn r148_a_bad_address_is_set_aside_and_the_rest_stays() {
        let bad = ["[::1,1", "10.0.0.1:99999,1", "10.0.0.2,65536", "", "a b,1", "10.0.0.1\u{1b}[2J,1"];
        for text in bad {
            let found = read(&[name(A), address(text), address("10.0.0.9,1"), name(B)]).unwrap();
            assert_eq!(lines(&found), [format!("{A} 10.0.0.9:3260,1"), B.to_owned()], "{text}");
            let [Skipped::Address { target, text: quoted, .. }] = found.skipped.as_slice() else {
                panic!("{:?}", found.skipped);
            };
            assert_eq!((target.as_str(), quoted.as_str()), (A, text));
            assert!(!found.skipped[0].to_string().contains('\u{1b}'));
        }
    }

    #[test]
    fn r148_a_target_with_bad_addresses_only_does_not_move_to_the_portal_that_was_asked() {
        let found = read(&[name(A), address("10.0.0.1:0,1"), name(B)]).unwrap();
        assert_eq!(lines(&found), [B]);
        assert_eq!(found.skipped.len(), 1);
    }

    #[test]
    fn r151_records_of_one_name_are_merged_in_order() {
        let found = read(&[
            name(B),
            address("10.0.0.2,1"),
            name(A),
            address("10.0.0.1,1"),
            name("IQN.2001-04.com.example:B"),
            address("10.0.0.3,1"),
            address("10.0.0.2:3260,1"),
            address("10.0.0.2,2"),
        ])
        .unwrap();
        assert_eq!(
            lines(&found),
            [format!("{B} 10.0.0.2:3260,1 10.0.0.3:3260,1 10.0.0.2:3260,2"), format!("{A} 10.0.0.1:3260,1")]
        );
    }

    #[test]
    fn r139_a_bad_name_is_set_aside_with_its_addresses_and_hides_no_other() {
        let long = format!("iqn.2001-04.com.example:{}", "x".repeat(4096));
        for bad in ["", "disk", "../etc", "iqn.2001-04.com.example:a/b", "iqn.2001-04.com.example:\u{1b}[2J", &long] {
            let found = read(&[name(A), name(bad), address("10.0.0.1,1"), name(B)]).unwrap();
            assert_eq!(lines(&found), [A, B], "{bad}");
            let [warning @ Skipped::Name { .. }] = found.skipped.as_slice() else {
                panic!("{:?}", found.skipped);
            };
            let printed = warning.to_string();
            assert!(printed.len() < 400 && !printed.contains(char::is_control), "{printed}");
        }
        let mut text = b"TargetName=iqn.2001-04.com.example:\xff\xfe\0TargetName=".to_vec();
        text.extend_from_slice(A.as_bytes());
        let found = parse(&text).unwrap();
        assert_eq!(lines(&found), [A]);
        assert_eq!(found.skipped.len(), 1);
    }

    #[test]
    fn r139_a_name_of_223_bytes_is_taken() {
        let longest = format!("{A}{}", "x".repeat(223 - A.len()));
        let found = read(&[name(&longest), name(&format!("{longest}x"))]).unwrap();
        assert_eq!(lines(&found), [longest]);
        assert_eq!(found.skipped.len(), 1);
    }

    #[test]
    fn text_that_is_none_is_refused() {
        assert_eq!(parse(b"TargetName"), Err(TextError::NoValue { offset: 0 }.into()));
        assert_eq!(parse(b"TargetName=iqn.2001-04.com.a\0\0TargetName=x"), {
            Err(TextError::EmptyPair { offset: 29 }.into())
        });
    }

    #[test]
    fn r149_an_answer_may_be_cut_at_every_byte() {
        let pairs = [name(A), address("10.0.0.1,1"), name(B)];
        let text = iscsi_proto::keys::text::encode(pairs);
        let whole = read(&pairs).unwrap();
        for cut in 0..=text.len() {
            let mut answer = TargetsAnswer::default();
            answer.push(&text[..cut]).unwrap();
            answer.push(&text[cut..]).unwrap();
            assert_eq!(answer.finish(), Ok(whole.clone()));
        }
    }

    #[test]
    fn r149_an_answer_without_end_is_refused() {
        let mut answer = TargetsAnswer::default();
        for _ in 0..MAX_EMPTY_PARTS {
            answer.push(b"").unwrap();
        }
        answer.push(b"T").unwrap();
        for _ in 0..MAX_EMPTY_PARTS {
            answer.push(b"").unwrap();
        }
        assert_eq!(answer.push(b""), Err(TargetsError::Stalled));

        let mut answer = TargetsAnswer::default();
        let part = vec![b'a'; MAX_TEXT / 4];
        for _ in 0..4 {
            answer.push(&part).unwrap();
        }
        assert_eq!(answer.push(b"a"), Err(TextError::TooLong { limit: MAX_TEXT }.into()));
    }

    #[test]
    fn r148_too_many_addresses_are_refused() {
        let mut text = format!("TargetName={A}\0").into_bytes();
        text.extend(b"TargetAddress=a,1\0".repeat(MAX_ENTRIES - 1));
        assert_eq!(lines(&parse(&text).unwrap()), [format!("{A} a:3260,1")]);
        text.extend(b"TargetAddress=a,1\0");
        assert_eq!(parse(&text), Err(TargetsError::TooMany));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_targets_or_an_error(bytes: Vec<u8>, tail in "(Target(Name|Address)=[a-z0-9.:,\\[\\]]{0,20}\0?){0,8}") {
            for bytes in [bytes.as_slice(), tail.as_bytes()] {
                if let Ok(found) = parse(bytes) {
                    let names: HashSet<_> = found.targets.iter().map(|target| &target.name).collect();
                    prop_assert_eq!(names.len(), found.targets.len());
                }
            }
        }
    }
}
