//! Whether a port speaks iSCSI, and which targets it knows.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use iscsi_initiator::ConnectError;
use iscsi_initiator::core::login::LoginError;
use iscsi_initiator::core::secret::Auth;
use iscsi_initiator::core::targets::Targets;
use iscsi_proto::name::IscsiName;
use iscsi_proto::pdu::LoginStatus;
use iscsi_proto::portal::Portal;
use tokio::time::Instant;

use super::super::access::Access;
use super::finding::{Finding, Stage, Status};
use super::sniffer::{Sniffer, guess, is_iscsi, provoke};
use super::{milliseconds, reach};
use crate::exit::Exit;

/// Announced addresses that are tried.
const MOST_ADDRESSES: usize = 32;

/// What came of asking a portal.
pub(super) struct Asked {
    /// Whether it is of use to go on.
    pub(super) iscsi: bool,
    pub(super) targets: Option<Targets>,
    pub(super) findings: Vec<Finding>,
}

/// How one attempt ended.
enum Attempt {
    Found(Targets, Duration),
    Failed(ConnectError),
    /// The port says what no iSCSI target says.
    Foreign,
}

/// Asks for the targets: first without authentication, then, if that is demanded and can be had, with it.
pub(super) async fn ask(access: &Access) -> Asked {
    let sniffer = Sniffer::new(access.tap.clone());
    let plain = Access { auth: Auth::None, tap: Some(Arc::new(sniffer.clone())), ..access.clone() };
    let error = match attempt(&plain, &sniffer).await {
        Attempt::Found(targets, time) => return found(targets, time, "without authentication"),
        Attempt::Foreign => return foreign(&sniffer.first()),
        Attempt::Failed(error) => error,
    };
    if demands_authentication(&error) && access.auth != Auth::None {
        let proving = Access { auth: access.auth.clone(), ..plain };
        return match attempt(&proving, &sniffer).await {
            Attempt::Found(targets, time) => found(targets, time, "with the authentication that it demands"),
            Attempt::Foreign => foreign(&sniffer.first()),
            Attempt::Failed(error) => failed(access, error, &sniffer.first()).await,
        };
    }
    failed(access, error, &sniffer.first()).await
}

async fn attempt(access: &Access, sniffer: &Sniffer) -> Attempt {
    let begin = Instant::now();
    let discovery = access.discovery();
    tokio::select! {
        biased;
        () = sniffer.foreign() => Attempt::Foreign,
        result = discovery.send_targets(&access.url.portal) => match result {
            Ok(targets) => Attempt::Found(targets, begin.elapsed()),
            Err(error) => Attempt::Failed(error),
        },
    }
}

/// Some targets say so, some close the connection.
pub(super) fn demands_authentication(error: &ConnectError) -> bool {
    match error {
        ConnectError::Login(LoginError::Closed { .. }) => true,
        ConnectError::Login(error) => error.status() == Some(LoginStatus::AUTHENTICATION_FAILURE),
        _ => false,
    }
}

fn found(targets: Targets, time: Duration, how: &str) -> Asked {
    let count = match targets.targets.len() {
        0 => "no target".to_owned(),
        1 => "1 target".to_owned(),
        count => format!("{count} targets"),
    };
    let text = format!("{count} for this initiator, after {}, {how}", milliseconds(time));
    let mut findings = vec![speaks()];
    findings.push(if targets.targets.is_empty() {
        Finding::warning(Stage::Discovery, text)
            .advise("the target's access list may hide targets from this initiator's name or address")
    } else {
        Finding::ok(Stage::Discovery, text)
    });
    if !targets.skipped.is_empty() {
        let text = format!("{} parts of the answer make no sense and were passed over", targets.skipped.len());
        findings.push(Finding::warning(Stage::Discovery, text).advise("--trace FILE shows them"));
    }
    Asked { iscsi: true, targets: Some(targets), findings }
}

fn speaks() -> Finding {
    Finding::ok(Stage::Iscsi, "the port speaks iSCSI")
}

fn foreign(first: &[u8]) -> Asked {
    let (what, advice) = guess(first);
    let finding = Finding::problem(Stage::Iscsi, Exit::Transport, what).advise(advice);
    Asked { iscsi: false, targets: None, findings: vec![finding] }
}

/// Discovery failed: is it iSCSI at all, and may a login to the target of the URL work all the same?
async fn failed(access: &Access, error: ConnectError, first: &[u8]) -> Asked {
    let named = access.url.target.is_some();
    if is_iscsi(first) {
        let worst = if named { Status::Warning } else { Status::Problem };
        let finding = Finding::connect(Stage::Discovery, error).at_most(worst);
        return Asked { iscsi: true, targets: None, findings: vec![speaks(), finding] };
    }
    let first = if first.is_empty() {
        provoke(&access.url.portal, access.config.timeouts.connect).await
    } else {
        first.to_vec()
    };
    if !first.is_empty() && !is_iscsi(&first) {
        return foreign(&first);
    }
    Asked { iscsi: false, targets: None, findings: vec![mute(access, error)] }
}

/// A port that says nothing, whatever it is asked.
fn mute(access: &Access, error: ConnectError) -> Finding {
    let finding = Finding::connect(Stage::Iscsi, error);
    match finding.exit {
        Exit::PduTimeout => Finding {
            text: format!("the port accepts connections but says nothing within {:?}", access.config.timeouts.login),
            ..finding
        }
        .advise("the target hangs, or it is another service: check the port, and look at the target's log"),
        Exit::Login => Finding { text: "the port closes the connection without a word".to_owned(), ..finding }.advise(
            "another service, a target that demands authentication (give a user and a secret), or one whose access \
             list leaves out this machine: check the port, and look at the target's log",
        ),
        _ => finding,
    }
}

/// Whether the target of the URL is among those that were announced.
pub(super) fn look_for(name: &IscsiName, targets: &Targets) -> Option<Finding> {
    if targets.targets.iter().any(|target| target.name == *name) {
        return None;
    }
    let names: Vec<&str> = targets.targets.iter().take(4).map(|target| target.name.as_written()).collect();
    let finding = Finding::note(Stage::Discovery, format!("{} is not announced", name.as_written()));
    Some(if names.is_empty() { finding } else { finding.advise(format!("it announces {}", names.join(", "))) })
}

/// Tries the addresses that were announced, other than the one that was asked.
pub(super) async fn announced(access: &Access, targets: &Targets, asked: &[SocketAddr]) -> Vec<Finding> {
    let portals = others(access, targets, asked);
    let literal = portals.iter().filter_map(|portal| Some(SocketAddr::new(portal.host.ip()?, portal.port)));
    let tried = reach::each(literal.take(MOST_ADDRESSES).collect(), access.config.timeouts.connect).await;
    let mut findings = Vec::new();
    for (address, result) in &tried {
        if let Err(error) = result {
            let text = format!("announces {address}, which cannot be reached from here: {}", reach::plain(error));
            let advice = unreachable(address.ip(), asked);
            findings.push(Finding::warning(Stage::Discovery, text).advise(advice));
        }
    }
    let reached = tried.len() - findings.len();
    if reached != 0 {
        let text = if reached == 1 {
            "1 more announced address".to_owned()
        } else {
            format!("{reached} more announced addresses")
        };
        findings.push(Finding::ok(Stage::Discovery, format!("{text} can be reached")));
    }
    findings
}

fn others(access: &Access, targets: &Targets, asked: &[SocketAddr]) -> Vec<Portal> {
    let mut portals: Vec<Portal> = Vec::new();
    for address in targets.targets.iter().flat_map(|target| &target.addresses) {
        let portal = &address.portal;
        let same = portal.host.ip().is_some_and(|ip| asked.contains(&SocketAddr::new(ip, portal.port)));
        if !same && *portal != access.url.portal && !portals.contains(portal) {
            portals.push(portal.clone());
        }
    }
    portals
}

fn unreachable(address: IpAddr, asked: &[SocketAddr]) -> &'static str {
    let outside = asked.iter().any(|asked| !is_private(asked.ip()));
    if is_private(address) && (outside || asked.iter().any(|asked| asked.ip().is_loopback())) {
        return "a private address, such as that of a container or behind NAT: have the target announce the address that \
                its users see; logins at the address that was asked work all the same";
    }
    "another network of the target, or a port that is closed: logins at that address fail or wait; take it out of the \
     target's portals, or open the way"
}

/// Addresses that mean something else elsewhere.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let shared = matches!(address.octets(), [100, 64..=127, ..]);
            address.is_private() || address.is_link_local() || address.is_unspecified() || shared
        }
        IpAddr::V6(address) => {
            let first = address.segments().first().copied().unwrap_or_default();
            first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80 || address.is_unspecified()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_mean_something_else_elsewhere_are_private() {
        for (address, expected) in [
            ("10.88.0.5", true),
            ("172.17.0.2", true),
            ("192.168.1.1", true),
            ("169.254.1.1", true),
            ("100.64.0.1", true),
            ("100.128.0.1", false),
            ("0.0.0.0", true),
            ("192.0.2.1", false),
            ("127.0.0.1", false),
            ("fd00::1", true),
            ("fe80::1", true),
            ("fec0::1", false),
            ("2001:db8::1", false),
            ("::", true),
        ] {
            assert_eq!(is_private(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn a_container_behind_a_published_port_is_told_from_another_network() {
        let container = "10.88.0.5".parse().unwrap();
        for (asked, part) in
            [("127.0.0.1:3260", "container"), ("192.0.2.1:3260", "container"), ("10.0.0.1:3260", "another network")]
        {
            assert!(unreachable(container, &[asked.parse().unwrap()]).contains(part), "{asked}");
        }
        assert!(
            unreachable("192.0.2.9".parse().unwrap(), &["192.0.2.1:3260".parse().unwrap()]).contains("another network")
        );
    }

    #[test]
    fn only_refusals_that_mean_it_are_taken_for_a_demand_of_authentication() {
        let refused = |status| ConnectError::Login(LoginError::Refused { status, advice: "" });
        assert!(demands_authentication(&refused(LoginStatus::AUTHENTICATION_FAILURE)));
        assert!(demands_authentication(&ConnectError::Login(LoginError::Closed { advice: "" })));
        assert!(!demands_authentication(&refused(LoginStatus::NOT_FOUND)));
        assert!(!demands_authentication(&ConnectError::NoPortal));
    }
}
