//! Faults of CHAP, one-way and mutual (RFC 7143, sections 9.2 and 12.1).

use conformance::hostile::Script;
use conformance::target::config::{
    Chap as TargetChap, Credentials as TargetCredentials, LunConfig, TargetConfig as Target,
};
use iscsi_initiator::core::secret::{Auth, Chap, Credentials, Secret};

use super::{DISK, builder, hostile, name, start};

/// The ids of requirements, a script, and what the error says; `None` if there is none.
type Row = (&'static str, &'static str, Option<&'static [&'static str]>);

const ROWS: &[Row] = &[
    ("R-115", "# nothing", None),
    ("R-134", "on 1st LoginResponse: set key AuthMethod=Reject", Some(&["MethodRejected"])),
    ("R-133", "on 1st LoginResponse: set key AuthMethod=None", Some(&["Negotiation", "AuthMethod"])),
    ("R-053", "on 1st LoginResponse: set key AuthMethod=SRP", Some(&["Negotiation", "AuthMethod"])),
    ("R-132", "on 1st LoginResponse: set flags 0x81", Some(&["LoginTransit"])),
    ("R-132", "on 2nd LoginResponse: set flags 0x81", Some(&["LoginTransit"])),
    ("R-132", "on 2nd LoginResponse: set flags 0x81, text", Some(&["LoginTransit"])),
    ("R-118", "on 2nd LoginResponse: set key CHAP_A=9", Some(&["Algorithm"])),
    ("R-118", "on 2nd LoginResponse: set key CHAP_A=5,6", Some(&["Algorithm"])),
    ("R-119", "on 2nd LoginResponse: remove key CHAP_A", Some(&["MissingKey", "ChapA"])),
    ("R-119", "on 2nd LoginResponse: remove key CHAP_C", Some(&["MissingKey", "ChapC"])),
    ("R-119", "on 2nd LoginResponse: add key CHAP_N=array", Some(&["UnexpectedKey"])),
    ("R-120", "on 2nd LoginResponse: set key CHAP_I=256", Some(&["Identifier"])),
    ("R-120", "on 2nd LoginResponse: set key CHAP_I=-1", Some(&["Identifier"])),
    ("R-121", "on 2nd LoginResponse: set key CHAP_C=0x", Some(&["EmptyChallenge"])),
    ("R-047", "on 2nd LoginResponse: set key CHAP_C=0b!!!!", Some(&["Malformed", "ChapC"])),
    ("R-068", "on 2nd LoginResponse: add key CHAP_I=1", Some(&["RepeatedKey"])),
    ("R-130", "on 3rd LoginResponse: remove key CHAP_R", Some(&["MissingKey", "ChapR"])),
    ("R-130", "on 3rd LoginResponse: text", Some(&["MissingKey", "ChapN"])),
    ("R-130", "on 3rd LoginResponse: set key CHAP_R=0x00", Some(&["WrongResponse"])),
    ("R-130", "on 3rd LoginResponse: set key CHAP_R=0x00000000000000000000000000000000", Some(&["WrongResponse"])),
    ("R-131", "on 3rd LoginResponse: set key CHAP_N=nobody", Some(&["WrongName"])),
    ("R-095 R-132", "on 3rd LoginResponse: set flags 0x83, text", Some(&["LoginTransit"])),
    ("R-138", "on 3rd LoginResponse: set status 02 01", Some(&["Refused", "(02/01)", "secret"])),
];

fn target() -> Target {
    let credentials = |name: &str, secret: &str| TargetCredentials::new(name, secret);
    let chap = TargetChap::new(credentials("alice", "secret of alice")).mutual(credentials("array", "secret of array"));
    Target::new(name(DISK)).lun(LunConfig::memory(1 << 16)).chap(chap)
}

fn auth() -> Auth {
    let credentials = |name: &str, secret: &str| Credentials::new(name, Secret::from_bytes(secret).unwrap()).unwrap();
    let chap = Chap::new(credentials("alice", "secret of alice"));
    Auth::Chap(chap.with_target(credentials("array", "secret of array")).unwrap())
}

/// Logs in; the error as its debug form and its text.
async fn log_in(script: &str) -> Result<(), String> {
    let node = start(target());
    let script: Script = script.parse().unwrap();
    let connected = builder().auth(auth()).connect_with(hostile(&node, &script)).await;
    let (session, connection) = connected.map_err(|error| format!("{error:?} = {error}"))?;
    tokio::spawn(connection);
    session.logout().await.map_err(|error| error.to_string())
}

///
#[tokio::test(start_paused = true)]
async fn chap() {
    for (ids, script, expected) in ROWS {
        println!("{ids}: {script}");
        match (log_in(script).await, expected) {
            (Ok(()), None) => {}
            (Err(error), Some(parts)) => {
                assert!(parts.iter().all(|part| error.contains(part)), "{ids}: {script}\n{error}");
                assert!(!error.contains("secret of"), "{error}");
            }
            (ended, expected) => panic!("{ids}: {script}\nexpected {expected:?}, but {ended:?}"),
        }
    }
}
