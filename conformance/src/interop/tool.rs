use super::{Outcome, ensure, host, same};
use crate::lab::{Lab, Offer, Ran, Riscsiadm, Role};

const NO_LOGIN: i32 = 24;
/// What a login ends with that the target cuts short without a word, see the quirks.
const CUT_SHORT: i32 = 5;

fn succeed(tool: &Riscsiadm, args: &[&str]) -> host::Made<String> {
    let Ran { code, stdout, stderr } = tool.run(args)?;
    ensure(code == 0, || format!("riscsiadm {} ended with {code}: {stdout}{stderr}", args.join(" ")))?;
    Ok(stdout)
}

fn discover(tool: &Riscsiadm, offer: &Offer) -> host::Made<String> {
    let portal = host::first(offer)?.to_string();
    let found = succeed(tool, &["-m", "discovery", "-t", "st", "-p", &portal])?;
    ensure(found.contains(&offer.target), || format!("{} is not in {found}", offer.target))?;
    Ok(portal)
}

pub(super) fn listing(lab: &dyn Lab) -> Outcome {
    let offer = lab.offer(Role::Open)?;
    let url = format!("iscsi://{}/{}", host::first(&offer)?, offer.target);
    let listed = succeed(&Riscsiadm::new()?, &["ls", &url])?;
    ensure(listed.contains(&offer.target), || format!("{} is not in {listed}", offer.target))
}

/// As a script would do it: every step by its own command, with a daemon in between.
#[expect(clippy::unused_async, reason = "scenarios are asynchronous")]
pub(super) async fn life(lab: &dyn Lab) -> Outcome {
    let (offer, tool) = (lab.offer(Role::Open)?, Riscsiadm::new()?);
    let portal = discover(&tool, &offer)?;
    let node = ["-m", "node", "-T", &offer.target, "-p", &portal];
    succeed(&tool, &[&node[..], &["-l"]].concat())?;
    let sessions = succeed(&tool, &["-m", "session"])?;
    ensure(sessions.contains(&offer.target), || format!("{} is not in {sessions}", offer.target))?;
    same("the exit code of a second login", tool.run(&[&node[..], &["-l"]].concat())?.code, 15)?;
    succeed(&tool, &["-m", "session", "-R"])?;
    succeed(&tool, &[&node[..], &["-u"]].concat())?;
    same("the exit code of a second logout", tool.run(&[&node[..], &["-u"]].concat())?.code, 21)?;
    Ok(())
}

/// A target that wants CHAP, without and with it.
#[expect(clippy::unused_async, reason = "scenarios are asynchronous")]
pub(super) async fn failures(lab: &dyn Lab) -> Outcome {
    let (offer, tool) = (lab.offer(Role::Chap)?, Riscsiadm::new()?);
    let portal = discover(&tool, &offer)?;
    let node = ["-m", "node", "-T", &offer.target, "-p", &portal];
    let login = [&node[..], &["-l"]].concat();
    let update = |key: &str, value: &str| {
        let key = format!("node.session.auth.{key}");
        succeed(&tool, &[&node[..], &["-o", "update", "-n", &key, "-v", value]].concat())
    };
    let code = tool.run(&login)?.code;
    ensure([NO_LOGIN, CUT_SHORT].contains(&code), || format!("the exit code without CHAP is {code}"))?;
    let account = offer.chap.as_ref().ok_or("no account")?;
    update("authmethod", "CHAP")?;
    update("username", &account.user)?;
    update("password", "this-is-wrong")?;
    same("the exit code with a wrong secret", tool.run(&login)?.code, NO_LOGIN)?;
    update("password", &account.secret)?;
    succeed(&tool, &login)?;
    succeed(&tool, &[&node[..], &["-u"]].concat())?;
    Ok(())
}
