use std::num::NonZeroU16;

use iscsi_proto::isid::Isid;
use iscsi_proto::name::IscsiName;
use iscsi_proto::portal::PortalGroupTag;
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::Itt;

use crate::core::chap::Challenges;
use crate::core::params::{Negotiated, Offer};
use crate::core::secret::Auth;

/// What a login is for.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// A session for SendTargets alone.
    Discovery {
        /// The target to ask about, where one is named at all.
        target: Option<IscsiName>,
    },
    /// A new session for SCSI. With the ISID of a session that has failed it takes that session's place.
    Session {
        /// The target.
        target: IscsiName,
    },
    /// One more connection of a session. With the CID of a connection that has failed it takes its place.
    Connection {
        /// The target.
        target: IscsiName,
        /// The session, as its first login learned it.
        tsih: NonZeroU16,
        /// The values in force in that session.
        in_force: Box<Negotiated>,
        /// The StatSN that the failed connection expected; 0 for a further connection.
        exp_stat_sn: Serial,
    },
}

/// Everything that a login needs to know before it starts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoginConfig {
    /// Who logs in.
    pub initiator: IscsiName,
    /// What people call the initiator: at most 255 bytes without NUL. Default none.
    pub alias: Option<String>,
    /// What for.
    pub purpose: Purpose,
    /// The initiator's part of the session's identity. One that is used again names the same session.
    pub isid: Isid,
    /// The number of the connection in its session; default 0.
    pub cid: u16,
    /// The task tag of the login; default 0.
    pub itt: Itt,
    /// The CmdSN that the session starts with, or the current one for a further connection. Login does not consume it.
    pub cmd_sn: Serial,
    /// Who has to prove what; default nothing.
    pub auth: Auth,
    /// The values to offer.
    pub offer: Offer,
    /// The portal group that has to answer. Default `None`: any.
    pub expected_tpgt: Option<PortalGroupTag>,
    /// The challenges that wait for their answers in other logins; default those of this process.
    pub challenges: Challenges,
}

impl Purpose {
    /// The target, where one is named.
    pub const fn target(&self) -> Option<&IscsiName> {
        match self {
            Self::Discovery { target } => target.as_ref(),
            Self::Session { target } | Self::Connection { target, .. } => Some(target),
        }
    }

    /// Whether this is a discovery session.
    pub const fn is_discovery(&self) -> bool {
        matches!(self, Self::Discovery { .. })
    }

    /// Whether the session starts with this login.
    pub const fn is_leading(&self) -> bool {
        !matches!(self, Self::Connection { .. })
    }
}

impl LoginConfig {
    /// A login without authentication that offers the default values, starting at CmdSN 1.
    pub fn new(initiator: IscsiName, purpose: Purpose, isid: Isid) -> Self {
        Self {
            initiator,
            alias: None,
            purpose,
            isid,
            cid: 0,
            itt: Itt(0),
            cmd_sn: Serial(1),
            auth: Auth::None,
            offer: Offer::default(),
            expected_tpgt: None,
            challenges: Challenges::process(),
        }
    }
}
