//! Logout of a connection, for good or for recovery, and of the session (RFC 7143, sections 11.14 and 11.15).

use iscsi_proto::pdu::{LogoutReason, LogoutRequest, LogoutResponse, LogoutResult};

use super::full::{Ending, FullFeature};
use super::lost::Leaving;
use crate::target::rope::Rope;

impl FullFeature {
    pub(super) fn logout(&mut self, request: &LogoutRequest) {
        let result = self.log_out(request);
        let numbering = self.out.status(&self.session);
        let time2retain = if self.params.recovers_connections() { self.params.time2retain } else { 0 };
        let time2wait = self.params.time2wait;
        let answer = LogoutResponse { result, itt: request.itt, numbering, time2wait, time2retain };
        self.out.push(answer.encode(), Rope::new());
        if self.is_own(request) && result == LogoutResult::Closed {
            let for_recovery = request.reason == LogoutReason::RemoveForRecovery;
            let leaving = if for_recovery { Leaving::ForRecovery } else { Leaving::LoggedOut };
            self.end(Ending::Flush, leaving);
        }
        if request.reason == LogoutReason::CloseSession {
            self.node.close_session(&self.session);
        }
    }

    /// Logs out another connection, if one is meant; what to answer.
    fn log_out(&self, request: &LogoutRequest) -> LogoutResult {
        let for_recovery = request.reason == LogoutReason::RemoveForRecovery;
        if for_recovery && !self.params.recovers_connections() {
            return LogoutResult::RecoveryNotSupported;
        }
        let until = for_recovery.then(|| self.node.now() + self.params.retention());
        if self.is_own(request) || self.session.close_connection(request.cid, until) {
            LogoutResult::Closed
        } else {
            LogoutResult::CidNotFound
        }
    }

    fn is_own(&self, request: &LogoutRequest) -> bool {
        request.reason == LogoutReason::CloseSession || request.cid == self.cid()
    }
}
