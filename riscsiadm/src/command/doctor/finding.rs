//! What the doctor finds.

use std::fmt;

use iscsi_initiator::core::CommandError;
use iscsi_initiator::core::login::LoginError;
use iscsi_initiator::{ConnectError, Phase};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Failure;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Status {
    Ok,
    /// Good to know; nothing has to be done.
    Note,
    /// It works, but not well, not safely or not everywhere.
    Warning,
    /// It does not work.
    Problem,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Resolve,
    Connect,
    Iscsi,
    Discovery,
    Login,
    Auth,
    Keys,
    Lun,
    Limits,
    Window,
    RoundTrip,
    Digests,
}

/// One thing that was found, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) stage: Stage,
    pub(super) status: Status,
    /// Text of a target may stand in it and in the advice.
    pub(super) text: String,
    pub(super) advice: Option<String>,
    pub(super) lun: Option<u64>,
    /// How the process ends if this is its first problem.
    pub(super) exit: Exit,
}

impl Status {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

impl Stage {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Iscsi => "iscsi",
            Self::Discovery => "discovery",
            Self::Login => "login",
            Self::Auth => "auth",
            Self::Keys => "keys",
            Self::Lun => "lun",
            Self::Limits => "limits",
            Self::Window => "window",
            Self::RoundTrip => "roundtrip",
            Self::Digests => "digests",
        }
    }
}

impl Finding {
    fn new(stage: Stage, status: Status, text: impl fmt::Display) -> Self {
        Self { stage, status, text: text.to_string(), advice: None, lun: None, exit: Exit::Success }
    }

    pub(super) fn ok(stage: Stage, text: impl fmt::Display) -> Self {
        Self::new(stage, Status::Ok, text)
    }

    pub(super) fn note(stage: Stage, text: impl fmt::Display) -> Self {
        Self::new(stage, Status::Note, text)
    }

    pub(super) fn warning(stage: Stage, text: impl fmt::Display) -> Self {
        Self::new(stage, Status::Warning, text)
    }

    pub(super) fn problem(stage: Stage, exit: Exit, text: impl fmt::Display) -> Self {
        Self { exit, ..Self::new(stage, Status::Problem, text) }
    }

    /// With what to do about it.
    pub(super) fn advise(mut self, advice: impl fmt::Display) -> Self {
        self.advice = Some(advice.to_string());
        self
    }

    /// About this logical unit.
    pub(super) const fn about(mut self, lun: u64) -> Self {
        self.lun = Some(lun);
        self
    }

    /// The same, but not as bad.
    pub(super) const fn at_most(mut self, status: Status) -> Self {
        if (self.status as u8) > (status as u8) {
            self.status = status;
        }
        self
    }

    /// A session that did not come about.
    pub(super) fn connect(stage: Stage, error: ConnectError) -> Self {
        let (text, advice) = explain(&error);
        let finding = Self::problem(stage, Failure::from(error).exit, text);
        Self { advice, ..finding }
    }

    /// A command that failed.
    pub(super) fn command(stage: Stage, what: &str, error: CommandError) -> Self {
        let text = format!("{what}: {error}");
        Self::problem(stage, Failure::from(error).exit, text)
    }

    /// As it stands in a JSON document.
    pub(super) fn json(&self, target: Option<&str>) -> Value {
        json!({
            "stage": self.stage.word(),
            "status": self.status.word(),
            "target": target,
            "lun": self.lun,
            "text": self.text,
            "advice": self.advice,
        })
    }
}

/// What happened, and what to do about it, apart from each other.
fn explain(error: &ConnectError) -> (String, Option<String>) {
    let advice = match error {
        ConnectError::Login(LoginError::Refused { status, advice }) => {
            return (format!("the target refused the login: {status}"), Some((*advice).to_owned()));
        }
        ConnectError::Login(LoginError::Closed { advice }) => {
            return ("the target closed the connection during login".to_owned(), Some((*advice).to_owned()));
        }
        ConnectError::Tcp { source, .. } => tcp_advice(source.kind()),
        ConnectError::TimedOut { phase: Phase::Connect, .. } => SILENT,
        ConnectError::TimedOut { .. } => "the target hangs, or it is no iSCSI target; --timeout gives it more time",
        ConnectError::Login(LoginError::Auth(_)) => "check the secrets and user names of both sides",
        ConnectError::Login(LoginError::Declined { .. }) => "do not demand it in the URL, or set it up on the target",
        ConnectError::TooManyRedirects { .. } => "the portals of the target send logins in a circle: look at its setup",
        ConnectError::Login(LoginError::Misbehaved(_) | LoginError::Negotiation(_)) => {
            "the target breaks the protocol: --trace FILE shows how; look for an update of it"
        }
        _ => return (error.to_string(), None),
    };
    (error.to_string(), Some(advice.to_owned()))
}

/// What to do when nobody answers.
pub(super) const SILENT: &str = "no machine has this address, or a firewall drops what is sent to it: try ping, and look \
                                 at the firewalls of both sides";

/// What to do when a TCP connection fails.
pub(super) const fn tcp_advice(kind: std::io::ErrorKind) -> &'static str {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut};
    match kind {
        ConnectionRefused => {
            "the machine is there, but nothing listens on this port: check the port, and whether the target runs"
        }
        HostUnreachable | NetworkUnreachable => "this machine knows no way there: check address, network and routes",
        TimedOut => SILENT,
        _ => "check address, port, network and firewalls",
    }
}

#[cfg(test)]
mod tests {
    use iscsi_proto::pdu::LoginStatus;

    use super::*;

    #[test]
    fn a_refusal_is_split_into_what_happened_and_what_to_do() {
        let error = LoginError::Refused { status: LoginStatus::NOT_FOUND, advice: "do this" };
        let finding = Finding::connect(Stage::Login, error.into());
        assert_eq!(finding.text, "the target refused the login: target not found (02/03)");
        assert_eq!((finding.advice.as_deref(), finding.exit), (Some("do this"), Exit::FatalLogin));
        assert_eq!((finding.status, finding.stage), (Status::Problem, Stage::Login));
    }

    #[test]
    fn a_finding_can_be_made_less_bad_but_not_worse() {
        let problem = Finding::problem(Stage::Lun, Exit::Failure, "x");
        assert_eq!(problem.at_most(Status::Warning).status, Status::Warning);
        assert_eq!(Finding::note(Stage::Lun, "x").at_most(Status::Warning).status, Status::Note);
    }

    #[test]
    fn every_cause_of_a_failed_connection_has_its_advice() {
        use std::io::ErrorKind;
        for (kind, part) in [
            (ErrorKind::ConnectionRefused, "nothing listens"),
            (ErrorKind::NetworkUnreachable, "no way there"),
            (ErrorKind::HostUnreachable, "no way there"),
            (ErrorKind::TimedOut, "firewall"),
            (ErrorKind::Other, "check address"),
        ] {
            assert!(tcp_advice(kind).contains(part), "{kind:?}");
        }
    }
}
