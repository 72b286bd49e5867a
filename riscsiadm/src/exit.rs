//! Exit codes, by the numbers that scripts know from open-iscsi.

use std::process::ExitCode;

macro_rules! exits {
    ($($variant:ident = $code:literal, $name:literal, $text:literal, $doc:literal;)+) => {
        /// How a command ended. The discriminant is the exit code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Exit {
            $(#[doc = $doc] $variant = $code,)+
        }

        impl Exit {
            /// Every exit code, in rising order without gaps.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name that open-iscsi's manual gives to the code.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The text that stands in messages such as `initiator reported error (8 - connection timed out)`.
            /// Empty for success.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

exits! {
    Success = 0, "ISCSI_SUCCESS", "", "The command did what it was asked to do.";
    Failure = 1, "ISCSI_ERR", "unknown error", "A failure that has no number of its own; a session id that is none.";
    SessionNotFound = 2, "ISCSI_ERR_SESS_NOT_FOUND", "session not found", "The daemon holds no such session.";
    NoMemory = 3, "ISCSI_ERR_NOMEM", "no available memory", "Out of memory; in node mode also an unknown interface.";
    Transport = 4, "ISCSI_ERR_TRANS", "encountered connection failure", "TCP failed, or the host has no address.";
    Login = 5, "ISCSI_ERR_LOGIN", "encountered iSCSI login failure", "The login failed and retries are used up.";
    Database = 6, "ISCSI_ERR_IDBM", "encountered iSCSI database failure", "A record is missing, unreadable or locked.";
    Invalid = 7, "ISCSI_ERR_INVAL", "invalid parameter", "The command line makes no sense.";
    TransportTimeout = 8, "ISCSI_ERR_TRANS_TIMEOUT", "connection timed out", "The connection timed out.";
    Internal = 9, "ISCSI_ERR_INTERNAL", "internal error", "A fault of the tool or its daemon.";
    Logout = 10, "ISCSI_ERR_LOGOUT", "encountered iSCSI logout failure", "The logout failed.";
    PduTimeout = 11, "ISCSI_ERR_PDU_TIMEOUT", "iSCSI PDU timed out",
        "The target did not answer in time, or discovery used up its retries.";
    TransportNotFound = 12, "ISCSI_ERR_TRANS_NOT_FOUND",
        "iSCSI driver not found. Please make sure it is loaded, and retry the operation",
        "The transport or the host adapter does not exist.";
    Access = 13, "ISCSI_ERR_ACCESS", "daemon access denied", "The daemon serves another user.";
    TransportCapabilities = 14, "ISCSI_ERR_TRANS_CAPS", "iSCSI driver does not support requested capability.",
        "The transport lacks what was asked of it.";
    SessionExists = 15, "ISCSI_ERR_SESS_EXISTS", "session exists", "Logged in already, or a record is in use.";
    UnknownRequest = 16, "ISCSI_ERR_INVALID_MGMT_REQ", "Unknown request", "The daemon does not know the request.";
    IsnsUnavailable = 17, "ISCSI_ERR_ISNS_UNAVAILABLE", "iSNS service not supported", "iSNS is not available.";
    DaemonCommunication = 18, "ISCSI_ERR_ISCSID_COMM_ERR", "could not communicate to iscsid",
        "The conversation with the daemon broke off.";
    FatalLogin = 19, "ISCSI_ERR_FATAL_LOGIN", "encountered non-retryable iSCSI login failure",
        "The target refused the login for good.";
    DaemonNotConnected = 20, "ISCSI_ERR_ISCSID_NOTCONN", "could not connect to iscsid", "No daemon could be reached.";
    NothingFound = 21, "ISCSI_ERR_NO_OBJS_FOUND", "no objects found", "There is nothing to list or to act on.";
    Sysfs = 22, "ISCSI_ERR_SYSFS_LOOKUP", "sysfs lookup failure",
        "No such session, no boot firmware; also an interface command without its interface.";
    HostNotFound = 23, "ISCSI_ERR_HOST_NOT_FOUND", "host not found", "No such host adapter.";
    LoginAuthFailed = 24, "ISCSI_ERR_LOGIN_AUTH_FAILED", "iSCSI login failed due to authorization failure",
        "The target refused the secret or the initiator.";
    IsnsQuery = 25, "ISCSI_ERR_ISNS_QUERY", "iSNS query failed", "The iSNS server refused the query, or sent nonsense.";
    IsnsRegistration = 26, "ISCSI_ERR_ISNS_REG_FAILED", "iSNS registration failed", "The iSNS server refused to register the initiator.";
    NotSupported = 27, "ISCSI_ERR_OP_NOT_SUPP", "operation not supported", "The transport cannot do this.";
    Busy = 28, "ISCSI_ERR_BUSY", "device or resource in use", "A device of the session is in use.";
    Again = 29, "ISCSI_ERR_AGAIN", "operation failed but retry may succeed", "A retry may succeed.";
    UnknownDiscoveryType = 30, "ISCSI_ERR_UNKNOWN_DISCOVERY_TYPE", "unknown discovery type",
        "The discovery record has an unknown type.";
    ChildTerminated = 31, "ISCSI_ERR_CHILD_TERMINATED", "child process terminated", "A helper process died.";
    NotConnected = 32, "ISCSI_ERR_SESSION_NOT_CONNECTED", "target likely not connected",
        "The session has no connection just now.";
    RequestTimeout = 33, "ISCSI_ERR_REQ_TIMEDOUT", "iscsid request timed out", "The daemon did not answer in time.";
}

impl Exit {
    /// The number that the process ends with.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The exit with this number, if there is one.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_consecutive_from_0_to_33() {
        for (index, exit) in Exit::ALL.iter().enumerate() {
            assert_eq!(usize::from(exit.code()), index);
            assert_eq!(Exit::from_code(exit.code()), Some(*exit));
        }
        assert_eq!(Exit::ALL.len(), 34);
        assert_eq!(Exit::from_code(34), None);
        assert_eq!(Exit::from_code(255), None);
    }

    #[test]
    fn the_codes_that_scripts_look_at_keep_their_numbers_and_texts() {
        for (exit, code, name, text) in [
            (Exit::Success, 0, "ISCSI_SUCCESS", ""),
            (Exit::Database, 6, "ISCSI_ERR_IDBM", "encountered iSCSI database failure"),
            (Exit::Invalid, 7, "ISCSI_ERR_INVAL", "invalid parameter"),
            (Exit::SessionExists, 15, "ISCSI_ERR_SESS_EXISTS", "session exists"),
            (Exit::NothingFound, 21, "ISCSI_ERR_NO_OBJS_FOUND", "no objects found"),
            (
                Exit::LoginAuthFailed,
                24,
                "ISCSI_ERR_LOGIN_AUTH_FAILED",
                "iSCSI login failed due to authorization failure",
            ),
        ] {
            assert_eq!((exit.code(), exit.name(), exit.text()), (code, name, text));
        }
    }

    #[test]
    fn only_success_has_no_text() {
        for exit in Exit::ALL {
            assert_eq!(exit.text().is_empty(), *exit == Exit::Success, "{exit:?}");
            assert!(exit.name().starts_with("ISCSI_"), "{exit:?}");
        }
    }
}
