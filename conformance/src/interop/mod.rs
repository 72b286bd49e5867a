//! One list of scenarios, run against every target of the lab that can do them.
//!
//! A scenario is an asynchronous function over a [`Lab`]. It asks for a target by its [`Role`](crate::lab::Role); what the lab
//! does not have ends it as "not offered". The program `interop` runs all of them and keeps `docs/INTEROP.md`.

mod chap;
mod discovery;
mod exceptions;
mod faults;
mod gateway;
mod host;
mod login;
mod manage;
mod negotiate;
pub mod page;
mod ports;
mod reserve;
mod space;
mod tool;
mod transfer;

use std::error::Error;
use std::pin::Pin;
use std::time::Duration;

use crate::lab::{Lab, Refused};

pub use exceptions::{EXCEPTIONS, Exception, QUIRKS, Quirk};

/// How a scenario ends by itself.
pub type Outcome = Result<(), Box<dyn Error + Send + Sync>>;
type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// No scenario takes longer.
const LIMIT: Duration = Duration::from_secs(120);

/// Something that a target of any maker should do.
pub struct Scenario {
    /// What it is, in a few words.
    pub name: &'static str,
    run: for<'a> fn(&'a dyn Lab) -> Running<'a>,
}

/// What came of a scenario with one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All was as it has to be.
    Pass,
    /// The target has nothing of the kind.
    NotOffered(String),
    /// It failed, and this is why that is known and accepted.
    Excepted(&'static str),
    /// It failed.
    Failed(String),
}

/// Makes the list out of `"name" => module::function`.
macro_rules! scenarios {
    ($($name:literal => $module:ident :: $function:ident,)*) => {
        &[$(Scenario { name: $name, run: |lab| Box::pin($module::$function(lab)) }),*]
    };
}

/// All scenarios, in the order in which they run. What takes a target out of service comes last.
pub const SCENARIOS: &[Scenario] = scenarios![
    "discovery finds every target, with its portals" => discovery::everything,
    "discovery names every portal of a portal group" => discovery::portals,
    "login without authentication; the same in riscsiadm" => login::plain,
    "login and logout twenty times" => login::again,
    "sessions of one initiator live side by side" => login::sessions,
    "login to a target that does not exist is refused" => login::nobody,
    "an initiator that is not in the list is refused" => login::stranger,
    "units are mapped by initiator" => login::mapped,
    "CHAP, each algorithm, with the right secret" => chap::right,
    "CHAP with a wrong secret, a wrong user, or none" => chap::wrong,
    "mutual CHAP, each algorithm" => chap::mutual,
    "mutual CHAP with a target that does not know its secret" => chap::impostor,
    "CHAP of an initiator in the list" => chap::listed,
    "digests, each offer of header and data" => negotiate::digests,
    "a target that wants digests" => negotiate::strict_digests,
    "ImmediateData × InitialR2T × bursts × segments" => negotiate::lengths,
    "parameters of the target's side" => negotiate::targets_side,
    "512 B to 16 MiB at random places, seen from the other side" => transfer::sizes,
    "deep queues of mixed sizes" => transfer::depth,
    "blocks of 4096 bytes" => transfer::large_blocks,
    "UNMAP, seen from the other side" => space::unmap,
    "WRITE SAME of zeroes" => space::zeroes,
    "COMPARE AND WRITE, and a miscompare" => space::compare_and_write,
    "WRITE AND VERIFY, or a read after" => space::verify,
    "GET LBA STATUS" => space::extents,
    "persistent reservations between two initiators" => reserve::two,
    "a persistent reservation is preempted" => reserve::preempt,
    "REPORT LUNS, INQUIRY and every page of it" => manage::inventory,
    "SYNCHRONIZE CACHE and FUA" => transfer::durable,
    "ABORT TASK SET" => manage::abort,
    "LOGICAL UNIT RESET" => manage::reset,
    "a unit that is added and removed under a session" => manage::plug,
    "REPORT TARGET PORT GROUPS with every state" => ports::states,
    "SET TARGET PORT GROUPS" => ports::explicit,
    "I/O on the better path, and none on one in standby" => ports::paths,
    "two gateways: CHAP, states and I/O on each path" => gateway::both,
    "two gateways: one is stopped and comes back" => gateway::stopped,
    "session reinstatement ends the old session" => faults::reinstatement,
    "the administrator closes the connection" => faults::kicked,
    "the target goes out of service and comes back" => faults::offline,
    "riscsiadm: discovery, login, I/O, logout" => tool::life,
    "riscsiadm: exit codes of failed logins" => tool::failures,
];

impl Scenario {
    /// Runs it against a lab of this kind.
    pub async fn run(&self, kind: &str, lab: &dyn Lab) -> Verdict {
        let outcome = match tokio::time::timeout(LIMIT, (self.run)(lab)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("it has not ended within {LIMIT:?}").into()),
        };
        self.judge(kind, outcome)
    }

    fn judge(&self, kind: &str, outcome: Outcome) -> Verdict {
        let exception = EXCEPTIONS.iter().find(|exception| exception.kind == kind && exception.scenario == self.name);
        match (outcome, exception) {
            (Ok(()), None) => Verdict::Pass,
            (Ok(()), Some(_)) => Verdict::Failed("it passes, but is excepted".to_owned()),
            (Err(error), exception) => match (error.downcast_ref::<Refused>(), exception) {
                (Some(Refused::NotOffered(why)), _) => Verdict::NotOffered((*why).to_owned()),
                (_, Some(exception)) => Verdict::Excepted(exception.reason),
                _ => Verdict::Failed(told(error.as_ref())),
            },
        }
    }
}

/// An error with its causes, as far as they are not told yet.
fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// An error unless it is so.
fn ensure(is_so: bool, problem: impl FnOnce() -> String) -> Outcome {
    if is_so { Ok(()) } else { Err(problem().into()) }
}

/// An error unless both are the same.
#[expect(clippy::needless_pass_by_value, reason = "what is compared is mostly made on the spot")]
fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Outcome {
    ensure(found == expected, || format!("{what} is {found:?} instead of {expected:?}"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_exceptions_are_of_scenarios() {
        let names: HashSet<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), SCENARIOS.len());
        for exception in EXCEPTIONS {
            assert!(names.contains(exception.scenario), "{}", exception.scenario);
            assert!(crate::lab::kind(exception.kind).is_some(), "{}", exception.kind);
        }
    }

    #[test]
    fn what_is_not_offered_is_told_from_what_fails() {
        let scenario = Scenario { name: "x", run: |_| Box::pin(async { Ok(()) }) };
        assert_eq!(scenario.judge("k", Ok(())), Verdict::Pass);
        let lacks = Refused::NotOffered("no such target");
        assert_eq!(scenario.judge("k", Err(lacks.into())), Verdict::NotOffered("no such target".to_owned()));
        assert_eq!(scenario.judge("k", Err("bad".into())), Verdict::Failed("bad".to_owned()));
    }
}
