//! Credentials for discovery: from records, files and the environment.

use crate::Tool;
use crate::portal::{Portal, Script, target};

const X: &str = "iqn.2001-04.com.example";
const USERNAME: &str = "discovery.sendtargets.auth.username";
const PASSWORD: &str = "discovery.sendtargets.auth.password";

fn chap() -> Portal {
    Portal::start(Script { answer: target("a", &[]), chap: true, ..Script::default() })
}

/// A record with these settings, and the line that discovers by it.
fn record(tool: &Tool, portal: &Portal, settings: &str) -> String {
    let at = portal.addr;
    tool.ok(&format!("-m discoverydb -t st -p {at} -o new {settings}"));
    format!("-m discoverydb -t st -p {at} -D")
}

#[test]
fn a_portal_that_wants_chap_is_answered_with_what_to_do() {
    let portal = chap();
    let at = portal.addr;
    let remedy = format!(
        "To set the user and the secret: iscsiadm -m discoverydb -t st -p {at} -o new -n {USERNAME} -v USER \
         -n {PASSWORD} --secret-file FILE"
    );
    let lines = [
        "discovery login to 127.0.0.1 rejected: initiator failed authorization",
        "It demands authentication: give a user and a secret",
        &remedy,
        "Could not perform SendTargets discovery: iSCSI login failed due to authorization failure",
    ];
    let tool = Tool::new();
    tool.fails(&format!("-m discovery -t st -p {at}"), 24, &lines);

    let secret = tool.file("secret", "joessecret12\n");
    let line = remedy.split_once(": iscsiadm ").unwrap().1.replace("USER", "joe").replace("FILE", &secret);
    assert_eq!(tool.ok(&line), format!("New discovery record for [127.0.0.1,{}] added.\n", at.port()));
    assert_eq!(tool.ok(&format!("-m discovery -t st -p {at}")), format!("{at},1 {X}:a\n"));
    assert!(portal.seen().contains(&"CHAP_N=joe".to_owned()));
}

#[test]
fn a_user_in_the_record_is_enough_to_use_chap() {
    for method in ["None", "CHAP"] {
        let (portal, tool) = (chap(), Tool::new());
        let settings = format!(
            "-n discovery.sendtargets.auth.authmethod -v {method} -n {USERNAME} -v joe -n {PASSWORD} -v joessecret12"
        );
        let discover = record(&tool, &portal, &settings);
        assert_eq!(tool.ok(&discover), format!("{},1 {X}:a\n", portal.addr), "{method}");
        let seen = portal.seen();
        for pair in ["AuthMethod=CHAP,None", "CHAP_A=5", "CHAP_N=joe"] {
            assert!(seen.contains(&pair.to_owned()), "{method} {pair}: {seen:?}");
        }
        assert!(!seen.iter().any(|pair| pair.starts_with("CHAP_I")), "the target was asked to prove itself");
    }
}

#[test]
fn a_portal_that_needs_no_proof_is_taken_as_it_is() {
    let (portal, tool) = (Portal::with(&target("a", &[])), Tool::new());
    let discover = record(&tool, &portal, &format!("-n {USERNAME} -v joe -n {PASSWORD} -v joessecret12"));
    tool.ok(&discover);
    assert!(!portal.seen().iter().any(|pair| pair.starts_with("CHAP")));
}

#[test]
fn a_target_that_has_to_prove_itself_cannot_do_without() {
    let (portal, tool) = (Portal::with(&target("a", &[])), Tool::new());
    let settings = format!(
        "-n {USERNAME} -v joe -n {PASSWORD} -v joessecret12 -n {USERNAME}_in -v array -n {PASSWORD}_in -v arraysecret12"
    );
    let discover = record(&tool, &portal, &settings);
    let lines = [
        "Negotiation failed: AuthMethod=CHAP was answered by \"None\": the answer has to be one of the offered values (RFC \
         7143, section 12.1)",
        "Could not perform SendTargets discovery: encountered non-retryable iSCSI login failure",
    ];
    tool.fails(&discover, 19, &lines);
    assert!(portal.seen().contains(&"AuthMethod=CHAP".to_owned()));
}

#[test]
fn the_algorithms_are_those_of_the_record() {
    let (portal, tool) = (chap(), Tool::new());
    let settings =
        format!("-n {USERNAME} -v joe -n {PASSWORD} -v joessecret12 -n node.session.auth.chap_algs -v SHA3-256,MD5");
    let discover = record(&tool, &portal, &settings);
    tool.ok(&discover);
    assert!(portal.seen().contains(&"CHAP_A=8,5".to_owned()));
}

/// The response tells which secret was used: MD5 over the identifier, the secret and the challenge.
fn response(tool: &Tool, portal: &Portal, line: &str) -> String {
    portal.seen();
    tool.ok(line);
    portal.seen().into_iter().find(|pair| pair.starts_with("CHAP_R=")).unwrap()
}

#[test]
fn a_secret_comes_from_the_file_else_the_record_else_the_environment() {
    let portal = chap();
    let (one, two) = ("firstsecret12", "othersecret12");
    let reference = |secret: &str| {
        let tool = Tool::new();
        let line = record(&tool, &portal, &format!("-n {USERNAME} -v joe -n {PASSWORD} -v {secret}"));
        response(&tool, &portal, &line)
    };
    let (one_sent, two_sent) = (reference(one), reference(two));
    assert_ne!(one_sent, two_sent);

    let tool = Tool::new().with_var("RISCSI_SECRET", two);
    let line = record(&tool, &portal, &format!("-n {USERNAME} -v joe"));
    assert_eq!(response(&tool, &portal, &line), two_sent, "environment");
    let file = tool.file("secret", &format!("{one}\n"));
    assert_eq!(response(&tool, &portal, &format!("{line} --secret-file {file}")), one_sent, "file");
    tool.ok(&format!("-m discoverydb -t st -p {} -o update -n {PASSWORD} -v {one}", portal.addr));
    assert_eq!(response(&tool, &portal, &line), one_sent, "record");
    let file = tool.file("secret", &format!("{two}\n"));
    assert_eq!(response(&tool, &portal, &format!("{line} --secret-file {file}")), two_sent, "file before record");
}

#[test]
fn half_of_a_credential_is_refused_before_anything_is_sent() {
    let (portal, tool) = (chap(), Tool::new());
    let line = record(&tool, &portal, &format!("-n {USERNAME} -v joe"));
    let missing = format!(
        "there is no secret for the user \"joe\": set {PASSWORD}, or give it by --secret-file or in the environment"
    );
    tool.fails(&line, 7, &[&missing]);
    tool.ok(&format!("-m discoverydb -t st -p {} -o update -n {USERNAME} -v {}", portal.addr, "joe"));

    let tool = Tool::new();
    let file = tool.file("secret", "joessecret12\n");
    let line = record(&tool, &portal, "");
    let idle = format!("there is a secret file but no user: set {USERNAME}");
    tool.fails(&format!("{line} --secret-file {file}"), 7, &[&idle]);
    let mutual = format!("-m discoverydb -t st -p {} -o update -n {PASSWORD}_in --secret-file {file}", portal.addr);
    tool.fails(&mutual, 7, &[&format!("{PASSWORD}_in: the secret file has no second line")]);
    assert_eq!(portal.seen(), [""; 0]);
}
