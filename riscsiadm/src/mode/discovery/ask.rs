//! Asking a portal or an iSNS server for targets, and saying why that did not work.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use iscsi_initiator::core::login::LoginError;
use iscsi_initiator::core::targets::Targets;
use iscsi_initiator::{Config, ConnectError, Discovery, Initiator, Phase};
use iscsi_proto::pdu::LoginStatus;
use iscsi_proto::portal::Portal;
use tokio::runtime;
use tokio::signal::ctrl_c;

use crate::db::record::Record;
use crate::exit::Exit;
use crate::failure::{Failure, connect_exit};
use crate::mode::Context;
use crate::mode::auth::auth;
use crate::trace::Trace;

/// The wait before the first retry; each further one takes twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest wait before a retry.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How often an iSNS server that is busy is asked again; its record has no key for that.
const BUSY_SERVER: i64 = 5;

/// Who is asked.
#[derive(Clone, Copy)]
pub(super) enum Whom<'a> {
    /// A portal, for its own targets.
    Portal(&'a Portal),
    /// An iSNS server, for all targets that it shows to the initiator.
    Server(&'a Portal),
}

impl Whom<'_> {
    fn portal(&self) -> &Portal {
        match self {
            Self::Portal(portal) | Self::Server(portal) => portal,
        }
    }

    /// What it is called in messages.
    fn method(&self) -> &'static str {
        match self {
            Self::Portal(_) => "SendTargets",
            Self::Server(_) => "iSNS",
        }
    }

    async fn ask(&self, discovery: &Discovery) -> Result<Targets, ConnectError> {
        match self {
            Self::Portal(portal) => discovery.send_targets(portal).await,
            Self::Server(server) => discovery.isns(server).await,
        }
    }
}

/// Asks as the discovery record says. That of an iSNS server has no credentials, as its protocol has none.
pub(super) fn ask(
    context: &Context,
    record: &Record,
    whom: Whom<'_>,
    initiator: &Initiator,
) -> Result<Targets, Failure> {
    let mut discovery = Discovery::new(initiator).config(config(context, record));
    if let Whom::Portal(_) = whom {
        discovery = discovery.auth(auth(context, record, "discovery.sendtargets", false)?);
    }
    if let Some(path) = &context.extras.trace {
        discovery = discovery.tap(Arc::new(Trace::create(path)?));
    }
    let retries = match whom {
        Whom::Portal(_) => record.number("discovery.sendtargets.reopen_max"),
        Whom::Server(_) => BUSY_SERVER,
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        tokio::select! {
            result = patiently(&discovery, whom, retries) => Some(result),
            _ = ctrl_c() => None,
        }
    });
    let result = result.ok_or_else(|| Failure::new(Exit::Failure, "caught SIGINT, exiting..."))?;
    result.map_err(|error| explain(context, whom, retries, &error))
}

fn config(context: &Context, record: &Record) -> Config {
    let mut config = Config::default();
    if let Some(timeout) = context.extras.timeout {
        config = config.with_timeout(timeout);
    } else if let Some(seconds) = positive(record.number("discovery.sendtargets.timeo.login_timeout")) {
        config = config.with_timeout(Duration::from_secs(seconds.into()));
    }
    if let Some(len) = positive(record.number("discovery.sendtargets.iscsi.MaxRecvDataSegmentLength")) {
        config.offer.max_recv_data_segment_length = len;
    }
    config
}

fn positive(number: i64) -> Option<u32> {
    u32::try_from(number).ok().filter(|number| *number > 0)
}

/// Asks again while the target itself says that it cannot answer for the moment. Nothing else gets better by waiting: a
/// person who mistyped an address wants to know at once.
async fn patiently(discovery: &Discovery, whom: Whom<'_>, retries: i64) -> Result<Targets, ConnectError> {
    let mut pause = FIRST_PAUSE;
    for _ in 0..retries {
        match whom.ask(discovery).await {
            Err(ConnectError::Login(error)) if error.is_retriable() => {}
            Err(ConnectError::Isns(error)) if error.is_retriable() => {}
            result => return result,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    whom.ask(discovery).await
}

/// Says what went wrong in the words of iscsiadm, and what to do about it in ours.
fn explain(context: &Context, whom: Whom<'_>, retries: i64, error: &ConnectError) -> Failure {
    let portal = whom.portal();
    let host = &portal.host;
    match error {
        ConnectError::Resolve { source, .. } => {
            context.warn(&format!("Cannot resolve host {host}. getaddrinfo error: [{}]", reason(source)));
        }
        ConnectError::Tcp { source, .. } => {
            context.warn(&format!("cannot make connection to {host}: {}", reason(source)));
            if let Some(advice) = advice(source.kind(), whom) {
                context.warn(&advice);
            }
        }
        ConnectError::TimedOut { phase: Phase::Connect, after } => {
            context.warn(&format!("cannot make connection to {host}: Connection timed out"));
            context.warn(&format!("It did not answer within {after:?}: check the address, the network and firewalls"));
        }
        ConnectError::Login(LoginError::Refused { status, advice }) => {
            context.warn(&format!("discovery login to {host} rejected: {}", refusal(*status)));
            if status.class == 3 && retries > 0 {
                context.warn(&format!("connection login retries (reopen_max) {retries} exceeded"));
            }
            context.warn(&capitalised(advice));
            if *status == LoginStatus::AUTHENTICATION_FAILURE {
                context.warn(&remedy(context, portal));
            }
        }
        error => context.warn(&capitalised(&error.to_string())),
    }
    let exit = exit(error);
    Failure::new(exit, format!("Could not perform {} discovery: {}", whom.method(), exit.text()))
}

fn exit(error: &ConnectError) -> Exit {
    match error {
        ConnectError::TimedOut { .. } => Exit::TransportTimeout,
        error => connect_exit(error),
    }
}

fn refusal(status: LoginStatus) -> String {
    match status {
        LoginStatus::AUTHENTICATION_FAILURE | LoginStatus::AUTHORIZATION_FAILURE => {
            "initiator failed authorization".to_owned()
        }
        LoginStatus { class, detail } => {
            let who = if class == 3 { "target" } else { "initiator" };
            format!("{who} error ({class:02x}/{detail:02x})")
        }
    }
}

/// How to give credentials for discovery without a secret in the list of processes.
fn remedy(context: &Context, portal: &Portal) -> String {
    format!(
        "To set the user and the secret: {} -m discoverydb -t st -p {portal} -o new \
         -n discovery.sendtargets.auth.username -v USER -n discovery.sendtargets.auth.password --secret-file FILE",
        context.program.name()
    )
}

fn advice(kind: ErrorKind, whom: Whom<'_>) -> Option<String> {
    let what = match whom {
        Whom::Portal(_) => "target",
        Whom::Server(_) => "iSNS server",
    };
    match kind {
        ErrorKind::ConnectionRefused => Some(format!(
            "Nothing listens on port {} there: check address and port, and that the {what} is running",
            whom.portal().port
        )),
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => {
            Some("There is no way to this address: check it, and the network".to_owned())
        }
        _ => None,
    }
}

/// What the system said, without numbers and prefixes of the library.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
    text.split(" (os error ").next().unwrap_or_default().to_owned()
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
