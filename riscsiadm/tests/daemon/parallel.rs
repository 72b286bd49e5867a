//! Many at once.

use rustix::process::Signal;

use super::target::{Event, Target};
use super::{NAME, Tool, ended};

const MANY: usize = 20;

#[test]
fn twenty_logins_at_once_make_one_daemon_and_one_session() {
    let target = Target::start(&[0]);
    let tool = Tool::with(&target);
    let clients: Vec<_> = (0..MANY).map(|_| tool.spawn(&format!("-m node -T {NAME} -l"))).collect();
    let mut codes: Vec<i32> = clients.into_iter().map(|client| ended(&client.wait_with_output().unwrap()).2).collect();
    codes.sort_unstable();
    assert_eq!(codes[0], 0, "{codes:?}\n{}", tool.log());
    assert!(codes[1..].iter().all(|code| *code == 15), "{codes:?}\n{}", tool.log());
    assert_eq!(target.sessions(), 1);
    assert_eq!(tool.ok("-m session").lines().count(), 1);
    assert_eq!(tool.log().matches("listening at").count(), 1, "{}", tool.log());
}

#[test]
fn twenty_targets_at_once_with_the_daemon_killed_in_the_middle_lose_nothing() {
    let target = Target::start(&[0]);
    let tool = Tool::new();
    let names: Vec<String> = (0..MANY).map(|index| format!("iqn.2001-04.com.example:disk{index}")).collect();
    for name in &names {
        tool.add(name, &target);
    }
    let clients: Vec<_> = names.iter().map(|name| tool.spawn(&format!("-m node -T {name} -l"))).collect();
    target.login();
    tool.kill(Signal::KILL);
    let codes: Vec<i32> = clients.into_iter().map(|client| ended(&client.wait_with_output().unwrap()).2).collect();
    // Those that the daemon left in the middle know it; the others came before or after.
    assert!(codes.iter().all(|code| [0, 15, 18, 20].contains(code)), "{codes:?}\n{}", tool.log());
    assert_eq!(tool.ok("-m node").lines().count(), MANY);
    // Whoever was promised a session has it, and trying again brings the rest.
    tool.run("-m node -l");
    tool.until(|| tool.run("-m session").0.lines().count() == MANY);
    tool.until(|| tool.run("-m session -P 1").0.matches("LOGGED_IN").count() == MANY);
    tool.until(|| target.sessions() == MANY);
    let (_, err, code) = tool.run("-m session -u");
    assert_eq!((err.as_str(), code), ("", 0));
    tool.until(|| target.sessions() == 0);
    let mut logouts = 0;
    while logouts < MANY {
        logouts += usize::from(target.event() == Event::Logout);
    }
    tool.fails("-m session", 21, &["No active sessions."]);
}
