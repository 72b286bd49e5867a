//! Who this initiator is, and what it offers and waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use iscsi_proto::isid::Isid;
use iscsi_proto::name::IscsiName;

use crate::core::Offer;

/// The initiator that sessions belong to: a name and the part of session identifiers that is its own.
///
/// Clones are the same initiator. Two sessions of one initiator never share an ISID, as the ISID rule demands
/// (RFC 7143, section 4.4.3).
#[derive(Clone, Debug)]
pub struct Initiator(Arc<Identity>);

#[derive(Debug)]
struct Identity {
    name: IscsiName,
    alias: Option<String>,
    isid: Isid,
    /// Shared with what [`Initiator::with_alias`] made of this one.
    next: Arc<AtomicU16>,
}

impl Initiator {
    /// An initiator with a random ISID, which differs between processes.
    pub fn new(name: IscsiName) -> Self {
        Self::with_isid(name, Isid::random(rand::random(), 0))
    }

    /// An initiator whose first session has this ISID; the qualifier counts up from it.
    ///
    /// A target knows a returning session, with its reservations, by its ISID: keep it for as long as they matter.
    pub fn with_isid(name: IscsiName, isid: Isid) -> Self {
        let next = Arc::new(AtomicU16::new(isid.qualifier()));
        Self(Arc::new(Identity { name, alias: None, isid, next }))
    }

    /// This initiator with a name for people, of up to 255 bytes, sent as InitiatorAlias.
    #[must_use]
    pub fn with_alias(self, alias: impl Into<String>) -> Self {
        let Identity { name, isid, next, .. } = &*self.0;
        let (name, next) = (name.clone(), Arc::clone(next));
        Self(Arc::new(Identity { name, alias: Some(alias.into()), isid: *isid, next }))
    }

    /// The name.
    pub fn name(&self) -> &IscsiName {
        &self.0.name
    }

    /// The name for people.
    pub fn alias(&self) -> Option<&str> {
        self.0.alias.as_deref()
    }

    /// An ISID that no other session of this initiator has had, until 65536 were taken.
    pub fn next_isid(&self) -> Isid {
        self.0.isid.with_qualifier(self.0.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// How a session is set up and run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The values offered in login.
    pub offer: Offer,
    /// How long is waited for what.
    pub timeouts: Timeouts,
    /// How often a login may be sent on to another portal.
    pub redirects: Redirects,
    /// For how long a connection with commands under way goes on looking for answers before it sleeps; default zero, which
    /// sleeps at once. Waking a sleeping processor takes longer than a quick target takes to answer: with few commands at a
    /// time, a millisecond here makes them quicker, for a processor that is busy all the while.
    pub busy_poll: Duration,
}

impl Config {
    /// This configuration with one limit for connecting, for login and for commands without progress.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.connect = timeout;
        self.timeouts.login = timeout;
        self.timeouts.command = timeout;
        self.timeouts.management = timeout;
        self.timeouts.ping = timeout;
        self
    }
}

/// How often a login may be sent on to another portal (RFC 7143, section 11.13.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirects(pub u8);

impl Default for Redirects {
    /// Four.
    fn default() -> Self {
        Self(4)
    }
}

/// How long is waited for what. Zero is not special: it expires at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// The TCP connection, name resolution included; default 15 s.
    pub connect: Duration,
    /// Each answer in login, and each of an iSNS server; default 15 s. The whole may take four times as long.
    pub login: Duration,
    /// A command that makes no progress; default 15 s. It is aborted then.
    pub command: Duration,
    /// Task management, logout and text requests; default 15 s. The connection is closed then.
    pub management: Duration,
    /// Silence of the target after which it is pinged; default 5 s, `None` never pings.
    pub idle: Option<Duration>,
    /// The answer to a ping; default 15 s. The connection is closed then.
    pub ping: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let patience = Duration::from_secs(15);
        Self {
            connect: patience,
            login: patience,
            command: patience,
            management: patience,
            idle: Some(Duration::from_secs(5)),
            ping: patience,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r107_sessions_of_one_initiator_differ_in_their_isid() {
        let initiator = Initiator::new(IscsiName::new("iqn.2025-01.com.example:host").unwrap());
        let clone = initiator.clone();
        let (first, second, third) = (initiator.next_isid(), clone.next_isid(), initiator.next_isid());
        assert_ne!(first, second);
        assert_ne!(second, third);
        assert_eq!(first.with_qualifier(7), third.with_qualifier(7));
    }

    #[test]
    fn r107_an_alias_does_not_make_another_initiator() {
        let initiator = Initiator::new(IscsiName::new("iqn.2025-01.com.example:host").unwrap());
        let named = initiator.clone().with_alias("host");
        let isids = [initiator.next_isid(), named.next_isid(), initiator.next_isid(), named.next_isid()];
        assert_eq!(isids.iter().collect::<std::collections::HashSet<_>>().len(), 4, "{isids:?}");
    }

    #[test]
    fn r108_a_given_isid_is_the_first() {
        let name = IscsiName::new("iqn.2025-01.com.example:host").unwrap();
        let isid = Isid::random([1, 2, 3], 9);
        let initiator = Initiator::with_isid(name, isid).with_alias("host");
        assert_eq!(initiator.next_isid(), isid);
        assert_eq!(initiator.next_isid(), isid.with_qualifier(10));
        assert_eq!(initiator.alias(), Some("host"));
    }
}
