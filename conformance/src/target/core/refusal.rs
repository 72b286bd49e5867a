use iscsi_proto::keys::Key;
use iscsi_proto::pdu::LoginStatus;

/// Why a login ends without a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    pub(super) status: LoginStatus,
    /// What the initiator is told besides: where to go instead.
    pub(super) text: Vec<(Key, String)>,
    /// For the log.
    pub(super) why: String,
}

// By value, so that each of these can be handed to `map_err`.
#[allow(clippy::needless_pass_by_value)]
impl Refusal {
    pub(super) fn new(status: LoginStatus, why: impl ToString) -> Self {
        Self { status, text: Vec::new(), why: why.to_string() }
    }

    /// An error of the initiator that has no code of its own.
    pub(super) fn initiator(why: impl ToString) -> Self {
        Self::new(LoginStatus::INITIATOR_ERROR, why)
    }

    /// A failed authentication.
    pub(super) fn auth(why: impl ToString) -> Self {
        Self::new(LoginStatus::AUTHENTICATION_FAILURE, why)
    }
}
