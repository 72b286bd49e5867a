//! From a node record to a session.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use iscsi_initiator::core::params::DigestOffer;
use iscsi_initiator::core::secret::Auth;
use iscsi_initiator::core::{ConnectionError, Offer};
use iscsi_initiator::tap::Tap;
use iscsi_initiator::{Config, ConnectError, Discovery, Initiator, Session};
use iscsi_proto::isid::Isid;
use tokio::task::JoinHandle;

use super::auth::{Names, auth, names};
use crate::db;
use crate::db::error::DbError;
use crate::db::node::NodeId;
use crate::db::record::Record;
use crate::db::store::Store;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ipc::secret::Secrets;
use crate::output::escape;
use crate::output::session::{IfaceView, Timeouts};

/// Everything that a login needs, as the record had it when it was read.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) node: NodeId,
    pub(crate) iface: IfaceView,
    pub(crate) names: Names,
    pub(crate) timeouts: Timeouts,
    /// How many sessions there should be.
    pub(crate) sessions: u32,
    /// How many times a first login is tried again.
    pub(crate) retries: u32,
    /// How long all attempts together may take.
    pub(crate) budget: Duration,
    /// How many attempts a lost session gets; 0 for no limit.
    pub(crate) reopen_max: u32,
    /// Whether logical units are looked for at login.
    pub(crate) scan: bool,
    /// Who is told what goes over the wire.
    pub(crate) tap: Option<Arc<dyn Tap>>,
    /// The local address to connect from, and the network interface.
    local: (Option<IpAddr>, Option<String>),
    initiator: db::initiator::Initiator,
    auth: Auth,
    config: Config,
}

/// The task that runs a connection.
pub(crate) type Connection = JoinHandle<Result<(), ConnectionError>>;
/// A session with the task that runs its connection.
pub(crate) type Running = (Session, Connection);

impl Setup {
    /// Reads the record of a node. `timeout` replaces its limits for connecting and logging in.
    pub(crate) fn read(
        store: &Store,
        config: &Path,
        node: &NodeId,
        secrets: &Secrets,
        timeout: Option<Duration>,
    ) -> Result<Self, Failure> {
        let record = store.node(node).map_err(|error| match error {
            DbError::NoRecords => Failure::new(Exit::Database, "there is no record of it any more"),
            error => error.into(),
        })?;
        check_transport(&record)?;
        let login = seconds(&record, "node.conn[0].timeo.login_timeout").unwrap_or(Duration::from_secs(30));
        let login = timeout.unwrap_or(login);
        let retries = number(&record, "node.session.initial_login_retry_max");
        let initiator = initiator(&record, config)?;
        Ok(Self {
            node: node.clone(),
            iface: iface(&record, node, &initiator),
            names: names(&record, "node.session", secrets),
            timeouts: timeouts(&record),
            sessions: number(&record, "node.session.nr_sessions").max(1),
            retries,
            budget: login.saturating_mul(retries.max(1)),
            reopen_max: number(&record, "node.session.reopen_max"),
            scan: record.get("node.session.scan") != "manual",
            tap: None,
            local: local(&record)?,
            auth: auth(&record, "node.session", false, secrets)?,
            config: session_config(&record, login),
            initiator,
        })
    }

    /// How the target is looked for by who logs in to it, without credentials.
    pub(crate) fn discovery(&self) -> Discovery {
        let mut config = Config::default();
        config.timeouts = self.config.timeouts;
        Discovery::new(&Initiator::new(self.initiator.name.clone())).config(config)
    }

    /// Logs in once.
    ///
    /// # Cancellation
    ///
    /// The TCP connection is closed.
    pub(crate) async fn connect(&self, isid: Isid) -> Result<Running, ConnectError> {
        let mut initiator = Initiator::with_isid(self.initiator.name.clone(), isid);
        if let Some(alias) = &self.initiator.alias {
            initiator = initiator.with_alias(alias.clone());
        }
        let builder = Session::builder(&initiator, self.node.target.clone()).portal(self.node.portal.clone());
        let mut builder = builder.auth(self.auth.clone()).config(self.config.clone());
        if let Some(address) = self.local.0 {
            builder = builder.local_address(address);
        }
        if let Some(device) = &self.local.1 {
            builder = builder.local_device(device.clone());
        }
        if let Some(tap) = &self.tap {
            builder = builder.tap(Arc::clone(tap));
        }
        let (session, connection) = builder.connect_unspawned().await?;
        let connection = tokio::spawn(connection);
        self.add_connections(&session).await;
        Ok((session, connection))
    }

    /// Adds connections, as many as the record and the target want. The session is up without them too.
    async fn add_connections(&self, session: &Session) {
        let info = session.info();
        let portal = info.portal.as_ref().unwrap_or(&self.node.portal);
        for number in 1..info.negotiated.max_connections.min(self.config.offer.max_connections) {
            if let Err(error) = session.add_connection(portal).await {
                let text = escape(&error.to_string()).into_owned();
                return tracing::warn!("the session to {} has {number} connections: {text}", self.node.target);
            }
        }
    }
}

/// In user space there is TCP and nothing else.
fn check_transport(record: &Record) -> Result<(), Failure> {
    match record.get("iface.transport_name") {
        "tcp" => Ok(()),
        other => Err(Failure::new(
            Exit::TransportNotFound,
            format!("the interface wants the transport {other:?}, and in user space there is only tcp"),
        )),
    }
}

/// What the record binds the session to.
fn local(record: &Record) -> Result<(Option<IpAddr>, Option<String>), Failure> {
    let value = |key| Some(record.get(key)).filter(|text| !text.is_empty());
    let address = match value("iface.ipaddress").map(str::parse) {
        Some(Err(_)) => return Err(Failure::invalid("iface.ipaddress is not an IP address")),
        Some(Ok(address)) => Some(address),
        None => None,
    };
    let device = match (value("iface.net_ifacename"), value("iface.hwaddress")) {
        (Some(name), _) => Some(name.to_owned()),
        (None, Some(hwaddress)) => Some(device(Path::new("/sys/class/net"), hwaddress)?),
        (None, None) => None,
    };
    Ok((address, device))
}

/// The network interface with a MAC address.
fn device(class: &Path, hwaddress: &str) -> Result<String, Failure> {
    let has = |dir: &Path| {
        fs::read_to_string(dir.join("address")).is_ok_and(|address| address.trim().eq_ignore_ascii_case(hwaddress))
    };
    let found = fs::read_dir(class).into_iter().flatten().flatten().find(|entry| has(&entry.path()));
    found.map(|entry| entry.file_name().to_string_lossy().into_owned()).ok_or_else(|| {
        Failure::new(Exit::HostNotFound, format!("no network interface has the MAC address {hwaddress:?}"))
    })
}

fn initiator(record: &Record, config: &Path) -> Result<db::initiator::Initiator, Failure> {
    if let Ok(name) = record.get("iface.initiatorname").parse() {
        return Ok(db::initiator::Initiator { name, alias: None });
    }
    Ok(db::initiator::Initiator::ensure(config)?)
}

fn iface(record: &Record, node: &NodeId, initiator: &db::initiator::Initiator) -> IfaceView {
    IfaceView {
        name: node.iface.as_str().to_owned(),
        transport: record.get("iface.transport_name").to_owned(),
        initiator_name: initiator.name.as_written().to_owned(),
        ipaddress: record.get("iface.ipaddress").to_owned(),
        hwaddress: record.get("iface.hwaddress").to_owned(),
        netdev: record.get("iface.net_ifacename").to_owned(),
    }
}

fn timeouts(record: &Record) -> Timeouts {
    Timeouts {
        recovery: record.number("node.session.timeo.replacement_timeout"),
        target_reset: record.number("node.session.err_timeo.tgt_reset_timeout"),
        lun_reset: record.number("node.session.err_timeo.lu_reset_timeout"),
        abort: record.number("node.session.err_timeo.abort_timeout"),
    }
}

fn session_config(record: &Record, login: Duration) -> Config {
    let mut config = Config::default();
    config.timeouts.connect = login;
    config.timeouts.login = login;
    if let Some(logout) = seconds(record, "node.conn[0].timeo.logout_timeout") {
        config.timeouts.management = logout;
    }
    config.timeouts.idle = seconds(record, "node.conn[0].timeo.noop_out_interval");
    if let Some(ping) = seconds(record, "node.conn[0].timeo.noop_out_timeout") {
        config.timeouts.ping = ping;
    }
    offer(record, &mut config.offer);
    config
}

fn offer(record: &Record, offer: &mut Offer) {
    offer.header_digest = digest(record.get("node.conn[0].iscsi.HeaderDigest"));
    offer.data_digest = digest(record.get("node.conn[0].iscsi.DataDigest"));
    offer.initial_r2t = record.flag("node.session.iscsi.InitialR2T");
    offer.immediate_data = record.flag("node.session.iscsi.ImmediateData");
    offer.max_recv_data_segment_length = number(record, "node.conn[0].iscsi.MaxRecvDataSegmentLength");
    offer.max_burst_length = number(record, "node.session.iscsi.MaxBurstLength");
    // A first burst is part of a burst.
    offer.first_burst_length = number(record, "node.session.iscsi.FirstBurstLength").min(offer.max_burst_length);
    offer.default_time2wait = number(record, "node.session.iscsi.DefaultTime2Wait").min(3600) as u16;
    offer.default_time2retain = number(record, "node.session.iscsi.DefaultTime2Retain").min(3600) as u16;
    offer.error_recovery_level = number(record, "node.session.iscsi.ERL").min(2) as u8;
    offer.max_connections = number(record, "node.session.iscsi.MaxConnections").clamp(1, 65_535) as u16;
    offer.max_outstanding_r2t = number(record, "node.session.iscsi.MaxOutstandingR2T").clamp(1, 65_535) as u16;
}

fn digest(word: &str) -> DigestOffer {
    let all = [DigestOffer::Crc32c, DigestOffer::PreferCrc32c, DigestOffer::PreferNone];
    all.into_iter().find(|offer| offer.as_str() == word).unwrap_or_default()
}

fn number(record: &Record, key: &str) -> u32 {
    u32::try_from(record.number(key)).unwrap_or_default()
}

/// A time in seconds, if it is more than none.
fn seconds(record: &Record, key: &str) -> Option<Duration> {
    Some(Duration::from_secs(number(record, key).into())).filter(|time| !time.is_zero())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::db::config;
    use crate::db::node::IfaceName;

    const NODE: &str = "iqn.2001-04.com.example:a";

    /// A setup by a record with these lines.
    fn setup(changes: &[(&str, &str)]) -> Result<Setup, Failure> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("initiatorname.iscsi"), "InitiatorName=iqn.2001-04.com.example:host\n").unwrap();
        let store = Store::at(dir.path(), config::Config::default()).unwrap();
        let (target, portal) = (NODE.parse().unwrap(), "10.0.0.1".parse().unwrap());
        let node = NodeId { target, portal, tag: Some(1), iface: IfaceName::default_iface() };
        store.new_node(&node).unwrap();
        let changes: Vec<_> = changes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        store.update_node(&node, &changes).unwrap();
        Setup::read(&store, dir.path(), &node, &Secrets::default(), None)
    }

    #[test]
    fn the_settings_of_a_record_become_those_of_the_session() {
        let setup = setup(&[
            ("node.conn[0].timeo.login_timeout", "7"),
            ("node.conn[0].timeo.logout_timeout", "8"),
            ("node.conn[0].timeo.noop_out_interval", "9"),
            ("node.conn[0].timeo.noop_out_timeout", "10"),
            ("node.session.initial_login_retry_max", "3"),
            ("node.session.nr_sessions", "2"),
            ("node.session.iscsi.InitialR2T", "Yes"),
            ("node.session.iscsi.ImmediateData", "No"),
            ("node.session.iscsi.FirstBurstLength", "8192"),
            ("node.session.iscsi.MaxBurstLength", "4096"),
            ("node.conn[0].iscsi.MaxRecvDataSegmentLength", "1024"),
            ("node.conn[0].iscsi.HeaderDigest", "CRC32C,None"),
            ("node.conn[0].iscsi.DataDigest", "None,CRC32C"),
            ("node.session.scan", "manual"),
            ("node.session.iscsi.ERL", "2"),
            ("node.session.iscsi.MaxConnections", "3"),
        ])
        .unwrap();
        let seconds = Duration::from_secs;
        let timeouts = setup.config.timeouts;
        assert_eq!((timeouts.connect, timeouts.login, timeouts.management), (seconds(7), seconds(7), seconds(8)));
        assert_eq!((timeouts.idle, timeouts.ping), (Some(seconds(9)), seconds(10)));
        assert_eq!((setup.retries, setup.budget, setup.sessions, setup.scan), (3, seconds(21), 2, false));
        let offer = setup.config.offer;
        assert!(offer.initial_r2t && !offer.immediate_data);
        assert_eq!((offer.first_burst_length, offer.max_burst_length), (4096, 4096));
        assert_eq!(offer.max_recv_data_segment_length, 1024);
        assert_eq!((offer.error_recovery_level, offer.max_connections), (2, 3));
        assert_eq!((offer.header_digest, offer.data_digest), (DigestOffer::PreferCrc32c, DigestOffer::PreferNone));
        assert_eq!(setup.initiator.name.as_str(), "iqn.2001-04.com.example:host");
    }

    #[test]
    fn what_a_record_does_not_say_is_as_in_open_iscsi() {
        let setup = setup(&[("node.conn[0].timeo.noop_out_interval", "0")]).unwrap();
        assert_eq!(setup.config.timeouts.idle, None, "0 never pings");
        assert_eq!((setup.retries, setup.sessions, setup.reopen_max, setup.scan), (4, 1, 0, true));
        assert_eq!(setup.budget, Duration::from_secs(120));
        assert_eq!(setup.timeouts, Timeouts { recovery: 120, target_reset: 30, lun_reset: 30, abort: 15 });
        assert_eq!(setup.auth, Auth::None);
        assert_eq!((setup.config.offer.error_recovery_level, setup.config.offer.max_connections), (0, 1));
        assert_eq!((setup.iface.name.as_str(), setup.iface.transport.as_str()), ("default", "tcp"));
    }

    #[test]
    fn a_transport_that_user_space_lacks_is_refused() {
        assert_eq!(setup(&[("iface.transport_name", "iser")]).unwrap_err().exit, Exit::TransportNotFound);
    }

    #[test]
    fn a_network_interface_is_found_by_its_mac_address() {
        let class = tempfile::tempdir().unwrap();
        for (name, address) in [("eth0", "00:11:22:33:44:55"), ("eth1", "00:aa:bb:cc:dd:ee")] {
            fs::create_dir(class.path().join(name)).unwrap();
            fs::write(class.path().join(name).join("address"), format!("{address}\n")).unwrap();
        }
        assert_eq!(device(class.path(), "00:AA:bb:cc:dd:EE").unwrap(), "eth1");
        assert_eq!(device(class.path(), "00:aa:bb:cc:dd:ef").unwrap_err().exit, Exit::HostNotFound);
    }

    #[test]
    fn a_secret_that_cannot_be_one_is_refused_before_anything_is_sent() {
        let user = ("node.session.auth.username", "alice");
        let failure = setup(&[user]).unwrap_err();
        assert_eq!(failure.exit, Exit::Invalid);
        assert!(failure.message.contains("node.session.auth.password"), "{failure}");
        let setup = setup(&[user, ("node.session.auth.password", "alicesecret12")]).unwrap();
        assert_eq!((setup.names.username.as_str(), setup.names.password.as_str()), ("alice", "alicesecret12"));
        assert!(!format!("{setup:?}").contains("alicesecret12"));
    }
}
