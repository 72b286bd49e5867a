//! `riscsiadm doctor`: why a portal or a LUN does not work, or not well, step by step.

mod discover;
mod finding;
mod login;
mod reach;
mod report;
mod sniffer;
mod speed;
mod unit;

use std::time::Duration;

use iscsi_initiator::Session;
use iscsi_proto::name::IscsiName;
use tokio::time::timeout;

use super::GOODBYE;
use super::access::Access;
use crate::cli::command::Doctor;
use crate::exit::Exit;
use crate::failure::Failure;
use finding::{Finding, Stage};
use report::Report;

/// Targets that are looked at when none is named.
const MOST_TARGETS: usize = 8;

pub(super) async fn run(args: Doctor) -> Result<Exit, Failure> {
    let access = Access::to_place(&args.place, &args.common)?;
    let mut report = Report::new(access.url.portal.to_string(), args.common.json);
    for name in portal(&access, &mut report).await? {
        report.target(&name)?;
        target(&access, &name, &mut report).await?;
    }
    report.finish()
}

/// All that can be said of the portal; gives the targets to look at.
async fn portal(access: &Access, report: &mut Report) -> Result<Vec<IscsiName>, Failure> {
    let limit = access.config.timeouts.connect;
    let (addresses, finding) = reach::resolve(&access.url.portal, limit).await;
    report.say(finding)?;
    let (reached, findings) = reach::connect(&addresses, limit).await;
    report.say_all(findings)?;
    if !reached {
        return Ok(Vec::new());
    }
    let asked = discover::ask(access).await;
    report.say_all(asked.findings)?;
    if let Some(targets) = &asked.targets {
        report.say_all(discover::announced(access, targets, &addresses).await)?;
    }
    if !asked.iscsi {
        return Ok(Vec::new());
    }
    if let Some(name) = &access.url.target {
        report.say_all(asked.targets.as_ref().and_then(|targets| discover::look_for(name, targets)))?;
        return Ok(vec![name.clone()]);
    }
    let found = asked.targets.map(|targets| targets.targets).unwrap_or_default();
    if let Some(more) = found.len().checked_sub(MOST_TARGETS).filter(|more| *more != 0) {
        let text = format!("{more} of them are not looked at");
        report.say(Finding::note(Stage::Discovery, text).advise("name one as iscsi://HOST/TARGET"))?;
    }
    Ok(found.into_iter().take(MOST_TARGETS).map(|target| target.name).collect())
}

/// All that can be said of a target.
async fn target(access: &Access, name: &IscsiName, report: &mut Report) -> Result<(), Failure> {
    let (session, findings) = login::log_in(access, name).await;
    report.say_all(findings)?;
    let Some(session) = session else { return Ok(()) };
    let units = unit::look(&session, access.url.lun).await;
    report.say_all(units.findings)?;
    report.say(speed::window(&session).await)?;
    report.say(speed::round_trip(&session).await)?;
    if let Some(unit) = &units.readable {
        report.say_all(speed::digests(access, name, unit).await)?;
    }
    drop(units.readable);
    goodbye(&session).await;
    Ok(())
}

/// Logs out. How that goes does not change what was found.
async fn goodbye(session: &Session) {
    let _ = timeout(GOODBYE, session.logout()).await;
}

/// A time as people say it.
fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}
