//! Scripts that nobody wrote: whatever a target does, the initiator neither panics nor hangs, and believes no lie that can be
//! told from the truth. `HOSTILE_SCRIPTS=n` plays more of them.

use std::time::Duration;

use conformance::target::config::Limits;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::{limits, play, runtime};

const SCRIPTS: u64 = 400;
/// Delays add up.
const LONGEST: Duration = Duration::from_secs(1200);

const KINDS: &[&str] = &[
    "LoginResponse",
    "ScsiResponse",
    "DataIn",
    "R2T",
    "NopIn",
    "TaskResponse",
    "TextResponse",
    "LogoutResponse",
    "PDU",
];
const WHICH: &[&str] = &["1st", "2nd", "3rd", "4th", "5th", "7th", "every"];
/// What is left out: another status, other data and a response that was never given, which nobody can tell from true ones.
const ACTIONS: &[&str] = &[
    "drop",
    "duplicate",
    "duplicate 3 times",
    "hold 1 PDU",
    "hold 3 PDUs",
    "delay 3 s",
    "delay 16 s",
    "truncate at 7",
    "truncate at 48",
    "split every 1",
    "split every 13 for 5 ms",
    "corrupt header byte 4",
    "corrupt header byte 19",
    "corrupt data byte 3",
    "corrupt header digest",
    "corrupt data digest",
    "set opcode 0x3f",
    "set opcode 0x25",
    "set opcode 0x31",
    "set flags 0",
    "set flags 0xff",
    "set ahslength 1",
    "set datalength +1",
    "set datalength -4",
    "set datalength 0",
    "set itt +1",
    "set itt +0x10000",
    "set itt reserved",
    "set byte20 0",
    "set byte36 9",
    "set byte40 0x80",
    "set byte47 1",
    "set statsn +1",
    "set statsn -1",
    "set expcmdsn +1",
    "set expcmdsn -1",
    "set maxcmdsn -1",
    "set maxcmdsn +0x70000000",
    "shut window",
    "open window",
    "precede with NopIn ttt 1 x 9",
    "precede with NopIn itt 3",
    "precede with AsyncMessage event 1 parameter3 2",
    "precede with AsyncMessage event 4 parameter3 2 x 20",
    "precede with AsyncMessage event 3 parameter2 2",
    "precede with R2T itt 0x00010000 ttt 5 length 512",
    "precede with Reject reason 4",
    "precede with TaskResponse itt 4",
    "precede with TextResponse itt 0",
    "precede with LogoutResponse itt 0",
    "follow with NopIn ttt 9",
    "send \"\\x00\\x00\\x00\\x00\"",
    "close",
    "silence",
    "deaf",
];

fn line(rng: &mut StdRng) -> String {
    let mut pick = |from: &'static [&'static str]| *from.choose(rng).unwrap();
    let (which, kind) = (pick(WHICH), pick(KINDS));
    let mut line = format!("on {which} {kind}: {}", pick(ACTIONS));
    if rng.random_bool(0.3) {
        line = format!("{line}, {}", ACTIONS.choose(rng).unwrap());
    }
    line
}

#[test]
fn r297_r298_r299_scripts_that_nobody_wrote() {
    let scripts = std::env::var("HOSTILE_SCRIPTS").map_or(SCRIPTS, |text| text.parse().unwrap());
    let (mut fine, mut no_login) = (0, 0);
    for seed in 0..scripts {
        let mut rng = StdRng::seed_from_u64(seed);
        let script: Vec<String> = (0..rng.random_range(1..4)).map(|_| line(&mut rng)).collect();
        let script = script.join("\n");
        println!("seed {seed}:\n{script}");
        let limits = Limits { status_in_data: rng.random(), immediate_data: rng.random(), ..limits() };
        match runtime().block_on(play(&script, limits, LONGEST)) {
            Ok(steps) => fine += u64::from(steps.iter().all(|(_, result)| result.is_ok())),
            Err(_) => no_login += 1,
        }
    }
    println!("{fine} did no harm, {no_login} ended in login");
    assert!(fine > scripts / 20 && no_login > scripts / 20 && fine + no_login < scripts * 3 / 4);
}
