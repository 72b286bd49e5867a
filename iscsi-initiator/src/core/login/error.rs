use iscsi_proto::keys::Key;
use iscsi_proto::keys::negotiate::NegotiateError;
use iscsi_proto::keys::text::TextError;
use iscsi_proto::pdu::{LoginStatus, PduError, Stage};
use iscsi_proto::portal::PortalGroupTag;

use super::{MAX_ROUNDS, MAX_UNKNOWN_KEYS};
use crate::core::chap::AuthError;
use crate::core::misbehaved::PeerMisbehaved;
use crate::core::secret::CredentialError;

/// Why a login failed, by who is at fault. The TCP connection has to be closed in every case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The target said no.
    #[error("the target refused the login: {status}; {advice}")]
    Refused {
        /// Its reason.
        status: LoginStatus,
        /// What to look at.
        advice: &'static str,
    },
    /// The target closed the connection instead of answering.
    #[error("the target closed the connection during login: {advice}")]
    Closed {
        /// What to look at.
        advice: &'static str,
    },
    /// The target did not keep to the steps of authentication, or did not prove who it is.
    #[error("authentication failed: {0}")]
    Auth(#[from] AuthError),
    /// A key was answered or offered in a way that its rules forbid.
    #[error("negotiation failed: {0}")]
    Negotiation(#[source] Box<NegotiateError>),
    /// The target broke another rule of the login phase.
    #[error("the target broke the rules of login: {0}")]
    Misbehaved(#[from] PeerMisbehaved),
    /// The target left a key at a value that the offer did not allow, such as a digest that was demanded.
    #[error("the target declined {key}={offered}")]
    Declined {
        /// The key.
        key: Key,
        /// What was offered.
        offered: String,
    },
    /// Another portal group answered than the one that was expected.
    #[error("portal group {found} answered, but {expected} was expected: the portal belongs to another group now")]
    PortalGroup {
        /// The expected tag.
        expected: PortalGroupTag,
        /// The tag that the target sent.
        found: PortalGroupTag,
    },
    /// The target answers and answers, but login does not end.
    #[error("the login has not ended after {MAX_ROUNDS} responses")]
    TooManyRounds,
    /// More keys that nobody knows than any target needs.
    #[error("the target sent more than {MAX_UNKNOWN_KEYS} unknown keys")]
    TooManyKeys,
    /// A value that this side is to offer is out of its range. Nothing was sent.
    #[error("{key}={value} cannot be offered: it has to be {range}")]
    InvalidOffer {
        /// The key.
        key: Key,
        /// The value.
        value: String,
        /// What it may be.
        range: String,
    },
    /// Names or secrets that cannot be used. Nothing was sent.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
}

impl LoginError {
    /// Whether the same login may succeed later: the target is at fault and says that it is temporary (Status-Class 3).
    pub const fn is_retriable(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if status.class == 3)
    }

    /// The status that the target refused with.
    pub const fn status(&self) -> Option<LoginStatus> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

impl From<NegotiateError> for LoginError {
    fn from(error: NegotiateError) -> Self {
        Self::Negotiation(Box::new(error))
    }
}

impl From<PduError> for LoginError {
    fn from(error: PduError) -> Self {
        Self::Misbehaved(error.into())
    }
}

impl From<TextError> for LoginError {
    fn from(error: TextError) -> Self {
        Self::Misbehaved(PeerMisbehaved::Text { error })
    }
}

/// How far authentication had come when the target refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing but `None` was offered.
    NoneOffered,
    /// CHAP was offered.
    ChapOffered,
    /// The algorithms were offered.
    AlgorithmsOffered,
    /// The response to the challenge was sent, or all is done.
    Answered,
    /// The same, and the target was asked to prove itself too.
    Asked,
}

/// What a connection that the target closes may mean. LIO does so when it demands CHAP and is offered only `None`.
pub(super) const fn closed(stage: Stage, progress: Progress) -> LoginError {
    let advice = match (stage, progress) {
        (Stage::Security, Progress::NoneOffered) => {
            "some targets do so to demand authentication: give a user and a secret; or nobody there speaks iSCSI, or not without TLS"
        }
        (Stage::Security, _) => "check the user and the secret, and the log of the target",
        _ => "a digest or another value that it does not accept can be the reason; see the log of the target",
    };
    LoginError::Closed { advice }
}

/// What a user can do about a refusal. Only the class and the details that targets use in earnest are told apart.
pub(super) const fn advice(status: LoginStatus, progress: Progress) -> &'static str {
    match (status, progress) {
        (LoginStatus::AUTHENTICATION_FAILURE, Progress::NoneOffered) => {
            "it demands authentication: give a user and a secret"
        }
        (LoginStatus::AUTHENTICATION_FAILURE, Progress::ChapOffered) => {
            "it does not take CHAP from this initiator: try without user and secret, or set up CHAP on the target"
        }
        (LoginStatus::AUTHENTICATION_FAILURE, Progress::AlgorithmsOffered) => {
            "it takes none of the offered CHAP algorithms, or has no secret for this initiator: try without one"
        }
        (LoginStatus::AUTHENTICATION_FAILURE, Progress::Answered) => "check the user and the secret",
        (LoginStatus::AUTHENTICATION_FAILURE, Progress::Asked) => {
            "check the user and the secret, and whether the target is set up to prove itself too"
        }
        (LoginStatus::AUTHORIZATION_FAILURE, _) => {
            "its access list does not admit this initiator: check the initiator name on both sides"
        }
        (LoginStatus::NOT_FOUND, _) => {
            "check the target name, and whether its access list admits this initiator by name and address (some targets \
             answer the same to both)"
        }
        (LoginStatus::TARGET_REMOVED, _) => "the target is gone for good: delete its record",
        (LoginStatus::UNSUPPORTED_VERSION, _) => "it does not speak version 0 of the protocol",
        (LoginStatus::TOO_MANY_CONNECTIONS, _) => "the session has as many connections as the target allows",
        (LoginStatus::CANNOT_INCLUDE, _) => "this portal cannot serve the session: use one of the same portal group",
        (LoginStatus::SESSION_TYPE, _) => "it does not serve this kind of session here",
        (LoginStatus::NO_SUCH_SESSION, _) => "the session is gone: start a new one",
        (LoginStatus::SERVICE_UNAVAILABLE, _) => {
            "the target is not in service; some targets answer so to a wrong target name too; else try again later"
        }
        (LoginStatus { class: 3, .. }, _) => "it cannot serve anybody now: try again later",
        _ => "it finds fault with the login: a digest or another value that it does not accept can be the reason",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(class: u8, detail: u8, progress: Progress) -> LoginError {
        let status = LoginStatus::new(class, detail);
        LoginError::Refused { status, advice: advice(status, progress) }
    }

    #[test]
    fn r103_only_errors_of_the_target_are_worth_another_try() {
        for (class, retriable) in [(1, false), (2, false), (3, true), (4, false), (255, false)] {
            for detail in [0, 1, 2, 11, 255] {
                let error = refused(class, detail, Progress::Answered);
                assert_eq!(error.is_retriable(), retriable, "{error}");
                assert_eq!(error.status(), Some(LoginStatus::new(class, detail)));
            }
        }
        assert!(!LoginError::TooManyRounds.is_retriable());
        assert_eq!(LoginError::TooManyRounds.status(), None);
    }

    #[test]
    fn r138_a_failed_authentication_says_what_to_do_at_each_step() {
        for (progress, part) in [
            (Progress::NoneOffered, "give a user"),
            (Progress::ChapOffered, "does not take CHAP"),
            (Progress::AlgorithmsOffered, "algorithms"),
            (Progress::Answered, "check the user"),
            (Progress::Asked, "prove itself"),
        ] {
            let text = refused(2, 1, progress).to_string();
            assert!(text.contains(part) && text.contains("authentication failure (02/01)"), "{text}");
        }
    }

    #[test]
    fn r104_a_detail_that_is_not_known_is_advised_on_by_class() {
        let text = refused(2, 0xff, Progress::Answered).to_string();
        assert!(text.contains("(02/ff)") && text.contains("finds fault"), "{text}");
        let text = refused(3, 0xff, Progress::Answered).to_string();
        assert!(text.contains("(03/ff)") && text.contains("later"), "{text}");
    }
}
