//! A login to one target: whether it works, how both sides proved who they are, and what was negotiated.

use iscsi_initiator::core::Negotiated;
use iscsi_initiator::core::chap::Algorithm;
use iscsi_initiator::core::login::{Authentication, LoginError};
use iscsi_initiator::core::secret::Auth;
use iscsi_initiator::{ConnectError, Session};
use iscsi_proto::name::IscsiName;
use iscsi_proto::pdu::LoginStatus;
use iscsi_proto::portal::Portal;
use tokio::time::Instant;

use super::super::access::Access;
use super::discover::demands_authentication;
use super::finding::{Finding, Stage, Status};
use super::{goodbye, milliseconds};
use crate::output::table::size;

/// Below this, a longest data segment costs speed.
const SMALL_SEGMENT: u32 = 64 << 10;
/// Below this, it is likely a mistake.
const TINY_SEGMENT: u32 = 8 << 10;
/// The same for bursts.
const SMALL_BURST: u32 = 64 << 10;

/// Logs in, and says what can be said of the login itself.
pub(super) async fn log_in(access: &Access, target: &IscsiName) -> (Option<Session>, Vec<Finding>) {
    let asked = access.url.portal.clone();
    let begin = Instant::now();
    match access.connect(target.clone(), [asked.clone()]).await {
        Err(error) => {
            let of_the_secret = demands_authentication(&error) && access.auth != Auth::None;
            let mut findings = vec![refused(access, error)];
            if of_the_secret {
                findings.extend(open_to_all(access, target).await);
            }
            (None, findings)
        }
        Ok(session) => {
            let text = format!("logged in after {} as {}", milliseconds(begin.elapsed()), access.initiator.name());
            let mut findings = vec![Finding::ok(Stage::Login, text)];
            findings.extend(moved(&session, &asked));
            findings.extend(authentication(access, target, &session).await);
            findings.extend(keys(&session.info().negotiated));
            findings.extend(unanswered(&session));
            (Some(session), findings)
        }
    }
}

/// Says by which name it was tried where that may be the cause.
fn refused(access: &Access, error: ConnectError) -> Finding {
    let by_name = matches!(
        &error,
        ConnectError::Login(LoginError::Refused {
            status: LoginStatus::NOT_FOUND | LoginStatus::AUTHORIZATION_FAILURE | LoginStatus::AUTHENTICATION_FAILURE,
            ..
        })
    );
    let is_a_secret = demands_authentication(&error);
    let mut finding = Finding::connect(Stage::Login, error);
    if is_a_secret && access.auth == Auth::None && access.url.target.is_none() {
        // Nobody asked for this very target.
        finding = finding.at_most(Status::Warning);
    }
    if by_name {
        finding.advice =
            finding.advice.map(|advice| format!("{advice}; this initiator is {}", access.initiator.name()));
    }
    finding
}

fn moved(session: &Session, asked: &Portal) -> Option<Finding> {
    let portal = session.info().portal.as_ref().filter(|portal| *portal != asked)?;
    Some(Finding::note(Stage::Login, format!("the target sent the login on to {portal}")))
}

fn unanswered(session: &Session) -> Option<Finding> {
    let keys: Vec<String> = session.info().unanswered.iter().map(ToString::to_string).collect();
    let text = format!("the target left these keys unanswered, so their defaults are in force: {}", keys.join(", "));
    (!keys.is_empty()).then(|| Finding::note(Stage::Keys, text))
}

async fn authentication(access: &Access, target: &IscsiName, session: &Session) -> Vec<Finding> {
    let mut findings = vec![proven(session.info().authentication)];
    if let Auth::Chap(chap) = &access.auth {
        findings.extend(
            chap.warnings().into_iter().map(|warning| {
                Finding::warning(Stage::Auth, warning).advise("take one of 12 random characters or more")
            }),
        );
        findings.extend(open_to_all(access, target).await);
    }
    findings
}

fn proven(authentication: Authentication) -> Finding {
    match authentication {
        Authentication::Initiator(algorithm) => {
            let text = format!("this side proved itself by CHAP with {}; the target did not", name(algorithm));
            Finding::ok(Stage::Auth, text)
        }
        Authentication::Mutual(algorithm) => {
            Finding::ok(Stage::Auth, format!("both sides proved themselves by CHAP with {}", name(algorithm)))
        }
        _ => Finding::note(Stage::Auth, "the target asks for no authentication")
            .advise("whoever reaches the port and knows or guesses an admitted name gets in: fine on a closed network"),
    }
}

fn name(algorithm: Algorithm) -> String {
    algorithm.name().to_uppercase()
}

/// Says so if the target does without the authentication that it was offered.
async fn open_to_all(access: &Access, target: &IscsiName) -> Option<Finding> {
    let plain = Access { auth: Auth::None, ..access.clone() };
    let session = plain.connect(target.clone(), [access.url.portal.clone()]).await.ok()?;
    goodbye(&session).await;
    Some(
        Finding::warning(Stage::Auth, "the target lets this initiator in without authentication")
            .advise("if that is wanted, leave out user and secret; if not, have the target demand CHAP"),
    )
}

/// What was negotiated, in plain words, and what of it costs speed.
fn keys(keys: &Negotiated) -> Vec<Finding> {
    let digests = match (keys.header_digest, keys.data_digest) {
        (false, false) => "no digests",
        (true, false) => "header digests",
        (false, true) => "data digests",
        (true, true) => "header and data digests",
    };
    let bytes = |value: u32| size(value.into());
    let text = format!(
        "{digests}; data segments of up to {} to the target and {} from it; bursts of up to {}, of which {} unasked",
        bytes(keys.max_send_data_segment_length),
        bytes(keys.max_recv_data_segment_length),
        bytes(keys.max_burst_length),
        if keys.immediate_data || !keys.initial_r2t { bytes(keys.first_burst_length) } else { "none".to_owned() },
    );
    let mut findings = vec![Finding::ok(Stage::Keys, text)];
    findings.extend(segments(keys.max_send_data_segment_length));
    if !keys.immediate_data {
        findings.push(
            Finding::note(Stage::Keys, "no immediate data: a small write takes one more round trip")
                .advise("ImmediateData=Yes on the target"),
        );
    }
    if keys.initial_r2t {
        findings.push(
            Finding::note(Stage::Keys, "the target asks for long writes piece by piece (InitialR2T=Yes)")
                .advise("InitialR2T=No on the target saves them a round trip"),
        );
    }
    if keys.max_burst_length < SMALL_BURST {
        findings.push(
            Finding::note(
                Stage::Keys,
                format!("short bursts of {}: long writes are slow", bytes(keys.max_burst_length)),
            )
            .advise("MaxBurstLength=262144 or more on the target"),
        );
    }
    findings
}

fn segments(longest: u32) -> Option<Finding> {
    let text = format!("the target takes data in pieces of {}: writes cost more work", size(longest.into()));
    let finding = match longest {
        SMALL_SEGMENT.. => return None,
        TINY_SEGMENT.. => Finding::note(Stage::Keys, text),
        _ => Finding::warning(Stage::Keys, text),
    };
    Some(finding.advise("MaxRecvDataSegmentLength=262144 on the target, if it can"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(change: impl FnOnce(&mut Negotiated)) -> Vec<(Status, String)> {
        let mut negotiated = Negotiated::default();
        negotiated.initial_r2t = false;
        negotiated.max_send_data_segment_length = SMALL_SEGMENT;
        change(&mut negotiated);
        keys(&negotiated).into_iter().map(|finding| (finding.status, finding.text)).collect()
    }

    #[test]
    fn what_was_negotiated_is_said_in_one_line() {
        let text = "no digests; data segments of up to 64.0 KiB to the target and 8.0 KiB from it; bursts of up to 256.0 KiB, \
                    of which 64.0 KiB unasked";
        assert_eq!(about(|_| {}), [(Status::Ok, text.to_owned())]);
        let found = about(|keys| (keys.header_digest, keys.data_digest) = (true, true));
        assert!(found[0].1.starts_with("header and data digests;"), "{found:?}");
    }

    #[test]
    fn what_costs_speed_is_a_note_and_what_costs_much_a_warning() {
        let second = |found: Vec<(Status, String)>| {
            assert_eq!(found.len(), 2, "{found:?}");
            (found[1].0, found[1].1.clone())
        };
        for (length, status) in
            [(SMALL_SEGMENT - 1, Status::Note), (TINY_SEGMENT, Status::Note), (TINY_SEGMENT - 1, Status::Warning)]
        {
            let found = second(about(|keys| keys.max_send_data_segment_length = length));
            assert_eq!(found.0, status, "{length}");
        }
        assert!(second(about(|keys| keys.immediate_data = false)).1.contains("immediate"));
        assert!(second(about(|keys| keys.initial_r2t = true)).1.contains("InitialR2T"));
        assert!(second(about(|keys| keys.max_burst_length = SMALL_BURST - 1)).1.contains("bursts"));
        assert_eq!(about(|keys| keys.max_burst_length = SMALL_BURST).len(), 1);
    }

    #[test]
    fn nothing_goes_unasked_where_neither_way_is_open() {
        let found = about(|keys| (keys.immediate_data, keys.initial_r2t) = (false, true));
        assert!(found[0].1.ends_with("of which none unasked"), "{found:?}");
    }

    #[test]
    fn how_both_proved_themselves_is_told_apart() {
        for (authentication, status, part) in [
            (Authentication::None, Status::Note, "no authentication"),
            (Authentication::Initiator(Algorithm::Md5), Status::Ok, "the target did not"),
            (Authentication::Mutual(Algorithm::Sha256), Status::Ok, "both sides"),
        ] {
            let finding = proven(authentication);
            assert!(finding.status == status && finding.text.contains(part), "{finding:?}");
        }
    }
}
