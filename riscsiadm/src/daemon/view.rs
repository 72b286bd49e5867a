//! What clients are told about a session.

use iscsi_initiator::Info;
use iscsi_initiator::core::{Negotiated, Stats};
use iscsi_proto::pdu::Opcode;
use iscsi_proto::portal::Portal;

use super::held::{Held, Phase};
use super::units;
use crate::db::error::DbError;
use crate::db::node::NodeId;
use crate::failure::Failure;
use crate::ipc::message::{Node, Session};
use crate::ipc::secret::Hidden;
use crate::output::session::{ConnectionState, DaemonState, IfaceView, Params, SessionState};
use crate::output::stats::Counters;

/// All about a session. With `luns` the target is asked for its logical units; `secrets` says whether those are told.
pub(super) async fn session(held: &Held, luns: bool, secrets: bool) -> Session {
    let phase = held.phase();
    let (connection, state, daemon) = states(&phase);
    let (info, problem, units) = match phase {
        Phase::Up(session) => {
            let units = if luns { units::list(&session).await } else { Vec::new() };
            (Some(session.info().clone()), None, units)
        }
        Phase::Lost { problem, info, .. } => (info.map(|info| *info), Some(problem), Vec::new()),
        Phase::Out => (None, None, Vec::new()),
    };
    let info = info.as_ref();
    let setup = &held.setup;
    let secret = |text: &Hidden| if secrets { text.clone() } else { Hidden::default() };
    Session {
        sid: held.sid,
        node: wire(&with_tag(&setup.node, info)),
        current: info.and_then(|info| info.portal.as_ref()).unwrap_or(&setup.node.portal).to_string(),
        current_tag: info.and_then(|info| info.portal_group).or(setup.node.tag),
        iface: iface(&setup.iface, info),
        connection,
        state,
        daemon,
        problem,
        timeouts: setup.timeouts,
        username: setup.names.username.clone(),
        password: secret(&setup.names.password),
        username_in: setup.names.username_in.clone(),
        password_in: secret(&setup.names.password_in),
        params: info.map_or_else(|| Params::from(&Negotiated::default()), |info| Params::from(&info.negotiated)),
        luns: units,
    }
}

/// The interface, with the address that the session goes out from.
fn iface(bound: &IfaceView, info: Option<&Info>) -> IfaceView {
    let mut iface = bound.clone();
    if let Some(local) = info.and_then(|info| info.local) {
        iface.ipaddress = local.ip().to_string();
    }
    iface
}

/// What went over the wire, also while there is no connection.
pub(super) async fn stats(held: &Held) -> Result<Counters, Failure> {
    Ok(counters(&held.stats().await?))
}

fn counters(stats: &Stats) -> Counters {
    let pdus = |opcode| stats.pdus(opcode);
    Counters {
        txdata_octets: stats.bytes_sent,
        rxdata_octets: stats.bytes_received,
        noptx_pdus: pdus(Opcode::NopOut),
        scsicmd_pdus: pdus(Opcode::ScsiCommand),
        tmfcmd_pdus: pdus(Opcode::TaskRequest),
        login_pdus: pdus(Opcode::LoginRequest),
        text_pdus: pdus(Opcode::TextRequest),
        dataout_pdus: pdus(Opcode::DataOut),
        logout_pdus: pdus(Opcode::LogoutRequest),
        snack_pdus: pdus(Opcode::Snack),
        noprx_pdus: pdus(Opcode::NopIn),
        scsirsp_pdus: pdus(Opcode::ScsiResponse),
        tmfrsp_pdus: pdus(Opcode::TaskResponse),
        textrsp_pdus: pdus(Opcode::TextResponse),
        datain_pdus: pdus(Opcode::DataIn),
        logoutrsp_pdus: pdus(Opcode::LogoutResponse),
        r2t_pdus: pdus(Opcode::R2t),
        async_pdus: pdus(Opcode::AsyncMessage),
        rjt_pdus: pdus(Opcode::Reject),
        digest_err: stats.digest_errors,
        timeout_err: stats.timeouts,
    }
}

fn states(phase: &Phase) -> (ConnectionState, SessionState, DaemonState) {
    match phase {
        Phase::Up(_) => (ConnectionState::LoggedIn, SessionState::LoggedIn, DaemonState::NoChange),
        Phase::Lost { connecting: true, .. } => (ConnectionState::InLogin, SessionState::Failed, DaemonState::Reopen),
        Phase::Lost { .. } => (ConnectionState::TransportWait, SessionState::Failed, DaemonState::Reopen),
        Phase::Out => (ConnectionState::InLogout, SessionState::Free, DaemonState::Cleanup),
    }
}

/// The portal group as the target named it, where the record does not know it.
fn with_tag(node: &NodeId, info: Option<&Info>) -> NodeId {
    NodeId { tag: node.tag.or_else(|| info.and_then(|info| info.portal_group)), ..node.clone() }
}

/// A node, to be sent.
pub(super) fn wire(node: &NodeId) -> Node {
    Node {
        target: node.target.as_written().to_owned(),
        portal: node.portal.to_string(),
        tag: node.tag,
        iface: node.iface.as_str().to_owned(),
    }
}

/// A node that was received.
pub(super) fn node(wire: &Node) -> Result<NodeId, Failure> {
    let portal: Portal = wire.portal.parse().map_err(Failure::invalid)?;
    let iface = wire.iface.parse().map_err(|error: DbError| Failure::invalid(error))?;
    let target = wire.target.parse().map_err(Failure::invalid)?;
    Ok(NodeId { target, portal, tag: wire.tag, iface })
}
