//! `riscsiadm doctor`: what it says, line by line, and how it ends, for targets that are well and for those that are not.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use conformance::lab::{self, Bundled, Lun, Ran, Riscsiadm, Target, Tgt};
use serde_json::Value;

const DISK: &str = "iqn.2026-01.org.example:disk";
const CHAP: &str = "iqn.2026-01.org.example:chap";
const WEAK: &str = "iqn.2026-01.org.example:weak";
const NONE: &str = "iqn.2026-01.org.example:none";
const ME: &str = "iqn.2026-01.org.example:me";

fn bundled() -> Bundled {
    Bundled::start(&[
        "--target",
        DISK,
        "--lun",
        "ram:8MiB,thin",
        "--lun",
        "ram:1MiB,ro,block=4096",
        "--target",
        CHAP,
        "--lun",
        "ram:1MiB",
        "--chap",
        "alice:alicesecret12",
        "--mutual-chap",
        "array:arraysecret12",
        "--target",
        WEAK,
        "--lun",
        "ram:1MiB",
        "--chap",
        "alice:short",
    ])
    .unwrap()
}

fn tool(secret: &str) -> Riscsiadm {
    Riscsiadm::new().unwrap().env("RISCSI_SECRET", secret)
}

fn doctor(secret: &str, place: &str) -> Ran {
    let mutual = if place.contains("target_user") { "arraysecret12" } else { "" };
    tool(secret)
        .env("RISCSI_TARGET_SECRET", mutual)
        .run(&["doctor", place, "--initiator-name", ME, "--timeout", "10s"])
        .unwrap()
}

/// The findings as one line each: blanks squeezed, times and speeds as `#`.
fn findings(ran: &Ran) -> Vec<String> {
    assert_eq!(ran.stderr, "", "{ran:?}");
    assert!(ran.stdout.lines().rev().skip(1).all(|line| line.chars().count() <= 80), "{}", ran.stdout);
    let mut lines: Vec<String> = Vec::new();
    for line in ran.stdout.lines().filter(|line| !line.is_empty()) {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match lines.last_mut() {
            Some(last) if line.starts_with(' ') => *last = format!("{last} {}", words.join(" ")),
            _ => lines.push(words.join(" ")),
        }
    }
    lines.iter().map(|line| mask(line)).collect()
}

/// Puts `#` in the place of numbers that differ from run to run.
fn mask(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let next = |at: usize| words.get(at + 1).copied().unwrap_or_default();
    let is_measured = |at: usize| next(at).trim_matches(',') == "ms" || next(at).ends_with("/s");
    let masked = words.iter().enumerate().map(|(at, word)| if is_measured(at) { "#" } else { word });
    masked.collect::<Vec<_>>().join(" ")
}

/// Checks the exit code and that these lines are among the findings.
#[track_caller]
fn check(ran: &Ran, code: i32, expected: &[&str]) {
    assert_eq!(ran.code, code, "{ran:?}");
    let found = findings(ran);
    for line in expected {
        assert!(found.iter().any(|found| found == line), "{line:?} is not in {found:#?}");
    }
    let problems = found.iter().filter(|line| line.starts_with("problem ")).count();
    assert_eq!(problems == 0, code == 0, "{found:#?}");
}

#[test]
fn a_target_that_is_well_to_the_line() {
    let target = bundled();
    let portal = target.portal();
    let ran = doctor("", &format!("iscsi://{portal}/{DISK}"));
    let found = findings(&ran);
    let digests = found.iter().position(|line| line.starts_with("ok digests")).unwrap();
    assert!(found[digests].starts_with("ok digests reading at # "), "{}", found[digests]);
    let expected = [
        "ok resolve 127.0.0.1 is an address: nothing to resolve".to_owned(),
        format!("ok connect {portal} accepts a connection after # ms"),
        "ok iscsi the port speaks iSCSI".to_owned(),
        "ok discovery 3 targets for this initiator, after # ms, without authentication".to_owned(),
        DISK.to_owned(),
        format!("ok login logged in after # ms as {ME}"),
        "note auth the target asks for no authentication -> whoever reaches the port and knows or guesses an admitted name \
         gets in: fine on a closed network"
            .to_owned(),
        "ok keys no digests; data segments of up to 256.0 KiB to the target and 256.0 KiB from it; bursts of up to 1.0 MiB, \
         of which 256.0 KiB unasked"
            .to_owned(),
        "ok lun LUN 0: disk, RISCSI BUNDLED TARGET, 8.0 MiB in blocks of 512".to_owned(),
        "ok limits LUN 0: up to 16.0 MiB per command, best 1.0 MiB, UNMAP, thin, no write cache".to_owned(),
        "ok lun LUN 1: disk, RISCSI BUNDLED TARGET, 1.0 MiB in blocks of 4096".to_owned(),
        "note lun LUN 1: it is write protected -> if that is not wanted, look at its setup on the target".to_owned(),
        "ok limits LUN 1: up to 16.0 MiB per command, best 1.0 MiB, not thin, no write cache".to_owned(),
        "ok window the target takes 128 commands at once".to_owned(),
        "ok roundtrip # ms at best, # ms in the median, # ms at worst of 10 NOPs".to_owned(),
        found[digests].clone(),
        format!("No problem with {portal} (no warnings, 2 notes)."),
    ];
    assert_eq!(found, expected);
    assert_eq!(ran.code, 0);
}

#[test]
fn a_portal_is_looked_at_with_all_its_targets() {
    let target = bundled();
    let ran = doctor("", &target.portal().to_string());
    let demands = format!(
        "warning login the target refused the login: authentication failure (02/01) -> it demands authentication: give a \
         user and a secret; this initiator is {ME}"
    );
    check(&ran, 0, &[DISK, CHAP, &demands]);
    assert!(
        ran.stdout.ends_with(&format!("\nNo problem with {} (2 warnings, 2 notes).\n", target.portal())),
        "{ran:?}"
    );
}

#[test]
fn authentication_is_judged() {
    let target = bundled();
    let portal = target.portal();
    let refused = "problem login the target refused the login: authentication failure (02/01) ->";
    let ran = doctor("", &format!("iscsi://{portal}/{CHAP}"));
    let missing = format!("{refused} it demands authentication: give a user and a secret; this initiator is {ME}");
    check(&ran, 24, &[&missing]);
    assert_eq!(
        ran.stdout.lines().last().unwrap(),
        format!(
            "1 problem with {portal} (no warnings, no notes): the target refused the login: authentication failure (02/01)."
        )
    );
    let wrong = format!("{refused} check the user and the secret; this initiator is {ME}");
    check(&doctor("wrongsecret12", &format!("iscsi://alice@{portal}/{CHAP}")), 24, &[&wrong]);
    let ran = doctor("alicesecret12", &format!("iscsi://alice@{portal}/{CHAP}?auth=md5"));
    check(&ran, 0, &["ok auth this side proved itself by CHAP with MD5; the target did not"]);
    let ran = doctor("alicesecret12", &format!("iscsi://alice@{portal}/{CHAP}?target_user=array&auth=sha256"));
    check(&ran, 0, &["ok auth both sides proved themselves by CHAP with SHA256"]);
    let weak = "warning auth the CHAP secret of \"alice\" has less than 12 bytes: who listens on the wire can guess it -> take \
                one of 12 random characters or more";
    check(&doctor("short", &format!("iscsi://alice@{portal}/{WEAK}")), 0, &[weak]);
}

#[test]
fn names_and_numbers_that_are_not_there_are_told() {
    let target = bundled();
    let portal = target.portal();
    let note = format!("note discovery {NONE} is not announced -> it announces {DISK}, {CHAP}, {WEAK}");
    let problem = format!(
        "problem login the target refused the login: target not found (02/03) -> check the target name, and whether its \
         access list admits this initiator by name and address (some targets answer the same to both); this initiator is {ME}"
    );
    check(&doctor("", &format!("iscsi://{portal}/{NONE}")), 19, &[&note, &problem]);
    let ran = doctor("", &format!("iscsi://{portal}/{DISK}/9"));
    check(&ran, 21, &["problem lun the target has no LUN 9 for this initiator -> it has: 0, 1"]);
    let ran = doctor("", &format!("iscsi://{portal}/{DISK}/1"));
    check(&ran, 0, &["ok lun LUN 1: disk, RISCSI BUNDLED TARGET, 1.0 MiB in blocks of 4096"]);
    assert!(!ran.stdout.contains("LUN 0"), "{ran:?}");
}

#[test]
fn json_has_the_same_findings_and_exit_code() {
    let target = bundled();
    let url = format!("iscsi://{}/{CHAP}", target.portal());
    let ran = tool("").run(&["doctor", &url, "--json", "--initiator-name", ME]).unwrap();
    assert_eq!((ran.code, ran.stderr.as_str()), (24, ""), "{ran:?}");
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    let doctor = &document["doctor"];
    assert_eq!((&document["schema"], &doctor["code"]), (&Value::from(1), &Value::from(24)));
    assert_eq!(doctor["place"], target.portal().to_string());
    let stages: Vec<String> = doctor["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| format!("{} {}", stage["stage"].as_str().unwrap(), stage["status"].as_str().unwrap()))
        .collect();
    assert_eq!(stages, ["resolve ok", "connect ok", "iscsi ok", "discovery ok", "login problem"]);
    let login = &doctor["stages"][4];
    assert_eq!((&login["target"], &login["lun"]), (&Value::from(CHAP), &Value::Null));
    assert_eq!(login["text"], "the target refused the login: authentication failure (02/01)");
    assert!(login["advice"].as_str().unwrap().starts_with("it demands authentication"), "{login}");
}

/// A port of loopback that does this with every connection.
fn port(serve: fn(TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(thread::spawn(move || serve(stream)))));
    address
}

/// Reads until the other side is done.
fn drain(mut stream: &TcpStream) {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).is_ok_and(|count| count != 0) {}
}

fn say(mut stream: &TcpStream, first: &[u8]) {
    stream.write_all(first).unwrap();
    drain(stream);
}

fn impatient(place: SocketAddr) -> Ran {
    tool("").run(&["doctor", &place.to_string(), "--initiator-name", ME, "--timeout", "300ms"]).unwrap()
}

#[test]
fn a_closed_port_is_told_from_a_silent_one_and_one_that_closes() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = format!(
        "problem connect {closed}: connection refused -> the machine is there, but nothing listens on this port: check the \
         port, and whether the target runs"
    );
    let ran = impatient(closed);
    check(&ran, 4, &[&refused]);
    assert_eq!(findings(&ran).len(), 3, "{ran:?}");

    let silent = "problem iscsi the port accepts connections but says nothing within 300ms -> the target hangs, or it is \
                  another service: check the port, and look at the target's log";
    check(&impatient(port(|stream| drain(&stream))), 11, &[silent]);

    let closes = "problem iscsi the port closes the connection without a word -> another service, a target that demands \
                  authentication (give a user and a secret), or one whose access list leaves out this machine: check the \
                  port, and look at the target's log";
    check(&impatient(port(drop)), 5, &[closes]);
}

#[test]
fn other_services_are_known_by_what_they_say() {
    const TLS: &str = "problem iscsi this port speaks TLS -> iSCSI itself has no TLS: use the plain port of the target, or \
                       reach this one through a TLS tunnel";
    const ALERT: &[u8] = b"\x15\x03\x01\x00\x02\x02\x46";
    let web = "problem iscsi this is a web server (HTTP) -> another service is on this port: check the port";
    check(&impatient(port(|stream| say(&stream, b"HTTP/1.1 400 Bad Request\r\n\r\n"))), 4, &[web]);
    let ssh = "problem iscsi this is an SSH server -> another service is on this port: check the port";
    check(&impatient(port(|stream| say(&stream, b"SSH-2.0-OpenSSH_9.2\r\n"))), 4, &[ssh]);
    // What is no plain text is shown as bytes, and never reaches the terminal as it is.
    let odd = "problem iscsi this is no iSCSI target: its first bytes are 67 6f 1b 5b 32 4a -> another service is on this port: \
               check the port";
    check(&impatient(port(|stream| say(&stream, b"go\x1b[2J"))), 4, &[odd]);
    check(&impatient(port(|stream| say(&stream, ALERT))), 4, &[TLS]);
    // Some say nothing until they are greeted in their own way.
    let tls = port(|mut stream| {
        let mut first = [0; 3];
        if stream.read_exact(&mut first).is_ok() && first == *b"\x16\x03\x01" {
            say(&stream, ALERT);
        }
    });
    check(&impatient(tls), 4, &[TLS]);
    let http = port(|mut stream| {
        let mut first = [0; 3];
        if stream.read_exact(&mut first).is_ok() && first == *b"GET" {
            say(&stream, b"HTTP/1.0 200 OK\r\n\r\n");
        }
        drain(&stream);
    });
    check(&impatient(http), 4, &[web]);
}

/// A port that hands everything on to a target, and writes another port into the addresses that the target announces.
fn behind_nat(target: SocketAddr, announced: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (old, new) = (target.to_string(), announced.to_string());
    assert_eq!(old.len(), new.len());
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let far = TcpStream::connect(target).unwrap();
            let (near_again, far_again) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            let (old, new) = (old.clone(), new.clone());
            thread::spawn(move || pump(near_again, far_again, |_| {}));
            thread::spawn(move || {
                pump(far, near, |bytes| {
                    if let Some(at) = bytes.windows(old.len()).position(|window| window == old.as_bytes()) {
                        bytes[at..at + new.len()].copy_from_slice(new.as_bytes());
                    }
                });
            });
        }
    });
    address
}

fn pump(mut from: TcpStream, mut to: TcpStream, change: impl Fn(&mut [u8])) {
    let mut buffer = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        change(&mut buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

#[test]
fn announced_addresses_that_cannot_be_reached_are_a_warning() {
    let target = Bundled::start(&["--target", DISK, "--lun", "ram:1MiB"]).unwrap();
    let closed = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let same_length = |address: &SocketAddr| address.to_string().len() == target.portal().to_string().len();
    let closed = std::iter::repeat_with(closed).take(100).find(same_length).unwrap();
    let ran = doctor("", &behind_nat(target.portal(), closed).to_string());
    let warning = format!(
        "warning discovery announces {closed}, which cannot be reached from here: connection refused -> another network of \
         the target, or a port that is closed: logins at that address fail or wait; take it out of the target's portals, or \
         open the way"
    );
    check(&ran, 0, &[&warning, "ok lun LUN 0: disk, RISCSI BUNDLED TARGET, 1.0 MiB in blocks of 512"]);
    // The target behind a port that it does not know of, and that it does announce itself.
    let ran = doctor("", &behind_nat(target.portal(), target.portal()).to_string());
    check(&ran, 0, &["ok discovery 1 more announced address can be reached"]);
}

fn tgt(setup: impl FnOnce(lab::Setup) -> lab::Setup) -> Option<Tgt> {
    Some(setup(lab::require(lab::tgt())?).start().unwrap())
}

fn image(size: u64) -> tempfile::NamedTempFile {
    let image = tempfile::NamedTempFile::new().unwrap();
    image.as_file().set_len(size).unwrap();
    image
}

#[test]
fn tgtd_is_well_but_could_be_faster() {
    let image = image(4 << 20);
    let disk = Target::new(DISK).lun(Lun::file(image.path())).param("HeaderDigest", "CRC32C,None");
    let slow =
        Target::new(WEAK).lun(Lun::file(image.path())).param("ImmediateData", "No").param("MaxBurstLength", "8192");
    let Some(tgt) = tgt(|setup| setup.target(disk).target(slow)) else { return };
    let ran = doctor("", &format!("iscsi://{}/{DISK}", tgt.portal()));
    check(
        &ran,
        0,
        &[
            "note keys the target takes data in pieces of 8.0 KiB: writes cost more work -> MaxRecvDataSegmentLength=262144 \
             on the target, if it can",
            "note keys the target asks for long writes piece by piece (InitialR2T=Yes) -> InitialR2T=No on the target saves \
             them a round trip",
            "ok lun LUN 0: array controller, IET Controller",
            "ok lun LUN 1: disk, IET VIRTUAL-DISK, 4.0 MiB in blocks of 512",
        ],
    );
    let ran = doctor("", &format!("iscsi://{}/{WEAK}", tgt.portal()));
    check(
        &ran,
        0,
        &[
            "note keys no immediate data: a small write takes one more round trip -> ImmediateData=Yes on the target",
            "note keys short bursts of 8.0 KiB: long writes are slow -> MaxBurstLength=262144 or more on the target",
            "ok digests the target has none; the checksum of TCP guards the data alone",
        ],
    );
}

#[test]
fn tgtd_refuses_secrets_names_and_units() {
    let image = image(1 << 20);
    let chap = Target::new(CHAP).lun(Lun::file(image.path())).chap("alice", "alicesecret12");
    let acl = Target::new(NONE).lun(Lun::file(image.path())).admit("iqn.2026-01.org.example:admitted");
    let broken = Target::new(DISK).lun(Lun::file(image.path()).param("online=0"));
    let Some(tgt) = tgt(|setup| setup.target(chap).target(acl).target(broken)) else { return };
    let portal = tgt.portal();
    let refused = "problem login the target refused the login:";
    let wrong =
        format!("{refused} authentication failure (02/01) -> check the user and the secret; this initiator is {ME}");
    check(&doctor("wrongsecret12", &format!("iscsi://alice@{portal}/{CHAP}")), 24, &[&wrong]);
    let ran = doctor("alicesecret12", &format!("iscsi://alice@{portal}/{CHAP}"));
    check(&ran, 0, &["ok auth this side proved itself by CHAP with MD5; the target did not"]);
    let acl = format!(
        "{refused} target not found (02/03) -> check the target name, and whether its access list admits this initiator by \
         name and address (some targets answer the same to both); this initiator is {ME}"
    );
    let hidden = format!("note discovery {NONE} is not announced -> it announces {CHAP}, {DISK}");
    check(&doctor("", &format!("iscsi://{portal}/{NONE}")), 19, &[&hidden, &acl]);
    let ran = doctor("alicesecret12", &format!("iscsi://alice@{portal}/{DISK}"));
    let open = "warning auth the target lets this initiator in without authentication -> if that is wanted, leave out user and \
                secret; if not, have the target demand CHAP";
    let unwanted = format!(
        "{refused} authentication failure (02/01) -> it does not take CHAP from this initiator: try without \
                            user and secret, or set up CHAP on the target; this initiator is {ME}"
    );
    check(&ran, 24, &[&unwanted, open]);
    let ran = doctor("", &format!("iscsi://{portal}/{DISK}"));
    let offline = findings(&ran).into_iter().find(|line| line.starts_with("problem lun LUN 1: it is not ready: "));
    assert!(offline.is_some_and(|line| line.ends_with("offline, starting, or no medium")), "{ran:?}");
    assert_eq!(ran.code, 1);
}

#[test]
fn tgtd_that_demands_authentication_for_discovery() {
    let image = image(1 << 20);
    let disk = Target::new(DISK).lun(Lun::file(image.path())).chap("alice", "alicesecret12");
    let Some(tgt) = tgt(|setup| setup.target(disk).discovery_chap("alice", "alicesecret12")) else { return };
    let portal = tgt.portal();
    let refused = "discovery the target refused the login: authentication failure (02/01) ->";
    let missing = format!("problem {refused} it demands authentication: give a user and a secret");
    check(&doctor("", &portal.to_string()), 24, &["ok iscsi the port speaks iSCSI", &missing]);
    let given = "ok discovery 1 target for this initiator, after # ms, with the authentication that it demands";
    check(&doctor("alicesecret12", &format!("iscsi://alice@{portal}")), 0, &[given, DISK]);
    let wrong = format!("problem {refused} check the user and the secret");
    check(&doctor("wrongsecret12", &format!("iscsi://alice@{portal}")), 24, &[&wrong]);
}

#[test]
fn every_wait_is_bounded_by_the_timeout() {
    let begin = tokio::time::Instant::now();
    impatient(port(|stream| drain(&stream)));
    // Connecting, login, and two greetings of 300 ms each; the rest is for a busy machine.
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}
