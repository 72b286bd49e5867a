//! Why a command failed, with the exit code that scripts know.

use std::fmt;
use std::io;

use iscsi_initiator::core::chap::AuthError;
use iscsi_initiator::core::isns::IsnsError;
use iscsi_initiator::core::login::LoginError;
use iscsi_initiator::core::{CommandError, ConnectionError};
use iscsi_initiator::url::UrlError;
use iscsi_initiator::{ConnectError, Phase};
use iscsi_proto::pdu::LoginStatus;

use crate::db::error::DbError;
use crate::exit::Exit;
use crate::output::escape;

/// A failure: what to print, and what to end with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The number for scripts.
    pub exit: Exit,
    /// The text for people, safe for a terminal. Empty if everything has been printed already.
    pub message: String,
}

impl Failure {
    /// A failure with this exit code and text. Text of a target may stand in it.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: escape(&message.to_string()).into_owned() }
    }

    /// A failure of which everything has been printed already.
    pub const fn told(exit: Exit) -> Self {
        Self { exit, message: String::new() }
    }

    /// What the caller got wrong.
    pub fn invalid(message: impl fmt::Display) -> Self {
        Self::new(Exit::Invalid, message)
    }

    /// This failure, with what was being done in front of its text.
    #[must_use]
    pub fn during(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{}: {}", escape(&what.to_string()), self.message);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self::new(connect_exit(&error), error)
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        Self::new(command_exit(&error), error)
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        Self::new(Exit::from_code(error.code()).unwrap_or(Exit::Failure), error)
    }
}

impl From<UrlError> for Failure {
    fn from(error: UrlError) -> Self {
        Self::invalid(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(Exit::Failure, error)
    }
}

/// The exit code of a connection that did not come about.
pub fn connect_exit(error: &ConnectError) -> Exit {
    match error {
        ConnectError::Resolve { .. } | ConnectError::Tcp { .. } | ConnectError::Io(_) => Exit::Transport,
        ConnectError::TimedOut { phase: Phase::Connect, .. } => Exit::TransportTimeout,
        ConnectError::TimedOut { .. } => Exit::PduTimeout,
        ConnectError::Login(error) => login_exit(error),
        ConnectError::NoPortal => Exit::Invalid,
        ConnectError::Discovery(error) => command_exit(error),
        ConnectError::Isns(IsnsError::RegistrationRefused { .. }) => Exit::IsnsRegistration,
        ConnectError::Isns(_) => Exit::IsnsQuery,
        _ => Exit::FatalLogin,
    }
}

fn login_exit(error: &LoginError) -> Exit {
    match error {
        LoginError::InvalidOffer { .. } | LoginError::Credentials(_) => Exit::Invalid,
        // A target that has not proved itself is of no use, whatever is tried again: iscsiadm has the same code for it.
        LoginError::Auth(AuthError::MethodRejected { .. })
        | LoginError::Refused {
            status: LoginStatus::AUTHENTICATION_FAILURE | LoginStatus::AUTHORIZATION_FAILURE,
            ..
        } => Exit::LoginAuthFailed,
        LoginError::Closed { .. } => Exit::Login,
        error if error.is_retriable() => Exit::Login,
        _ => Exit::FatalLogin,
    }
}

fn command_exit(error: &CommandError) -> Exit {
    match error {
        CommandError::Partial { error } => command_exit(error),
        CommandError::TimedOut { .. } => Exit::PduTimeout,
        CommandError::OutOfRange { .. } | CommandError::Misaligned { .. } | CommandError::Invalid(_) => Exit::Invalid,
        CommandError::Closed { error, .. } => match error {
            ConnectionError::TimedOut { .. } => Exit::PduTimeout,
            _ => Exit::Transport,
        },
        _ => Exit::Failure,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use iscsi_proto::isns::Status;

    use super::*;

    #[test]
    fn text_of_a_target_is_safe_for_a_terminal() {
        let failure = Failure::new(Exit::Failure, "a\u{1b}[2Jb").during("x\ny");
        assert_eq!(failure.message, "x\\x0ay: a\\x1b[2Jb");
    }

    #[test]
    fn scripts_can_tell_what_kind_of_failure_it_was() {
        let after = Duration::from_secs(1);
        let refused = |class, detail| {
            ConnectError::Login(LoginError::Refused { status: LoginStatus::new(class, detail), advice: "" })
        };
        for (error, exit) in [
            (refused(2, 1), Exit::LoginAuthFailed),
            (refused(2, 2), Exit::LoginAuthFailed),
            (refused(2, 3), Exit::FatalLogin),
            (refused(3, 1), Exit::Login),
            (ConnectError::TimedOut { phase: Phase::Connect, after }, Exit::TransportTimeout),
            (ConnectError::TimedOut { phase: Phase::Login, after }, Exit::PduTimeout),
            (ConnectError::NoPortal, Exit::Invalid),
            (ConnectError::Login(LoginError::Closed { advice: "" }), Exit::Login),
            (ConnectError::Isns(IsnsError::Closed), Exit::IsnsQuery),
            (ConnectError::Isns(IsnsError::QueryRefused { status: Status::BUSY }), Exit::IsnsQuery),
            (ConnectError::Isns(IsnsError::RegistrationRefused { status: Status::BUSY }), Exit::IsnsRegistration),
        ] {
            assert_eq!(Failure::from(error).exit, exit);
        }
        let lost = CommandError::Closed { error: ConnectionError::ClosedByTarget, sent: true };
        assert_eq!(Failure::from(lost).exit, Exit::Transport);
        assert_eq!(Failure::from(CommandError::TimedOut { after, sent: true }).exit, Exit::PduTimeout);
        assert_eq!(Failure::from(CommandError::Invalid("x")).exit, Exit::Invalid);
    }
}
