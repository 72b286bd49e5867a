//! The options themselves: which go with which mode, what is said about wrong ones, and what goes with every mode.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use proptest::prelude::*;
use riscsiadm::cli::args::Extras;
use riscsiadm::cli::options::OPTIONS;
use riscsiadm::cli::request::{Node, NodeFilter, Request};
use riscsiadm::cli::setting::Value;
use riscsiadm::cli::{Action, Invocation, parse};

use crate::{allowed, iscsiadm, program, refused, riscsiadm, words};

/// The letters that go with each mode, from iscsiadm.
const LETTERS: [(&str, &str); 7] = [
    ("discovery", "DSIPdntplov"),
    ("discoverydb", "DSIPdntplov"),
    ("node", "RsPIdlSonvupTULW"),
    ("session", "PiRdrusonSv"),
    ("host", "CHdPotnvxA"),
    ("iface", "HIdnvPoCabci"),
    ("fw", "dlWnv"),
];

fn extras(line: &str) -> Extras {
    match iscsiadm(line) {
        Ok(Invocation { action: Action::Request(_, extras), .. }) => extras,
        other => panic!("{line}: {other:?}"),
    }
}

/// What is printed on standard error, and the exit code.
fn refusal(name: &str, line: &str) -> (String, u8) {
    let program = program(name);
    match parse(&program, &words(line)) {
        Ok(invocation) => panic!("{line}: {invocation:?}"),
        Err(refusal) => (refusal.stderr(&program), refusal.exit.code()),
    }
}

#[test]
fn every_option_goes_with_the_modes_of_iscsiadm_and_no_others() {
    for (mode, letters) in LETTERS {
        for option in OPTIONS {
            let Some(letter) = option.short else { continue };
            let argument = if option.argument.is_some() { " 1" } else { "" };
            let not_allowed = format!("{mode} mode: option '-{letter}' is not allowed/supported");
            for line in [
                format!("-m {mode} -{letter}{argument}"),
                format!("-{letter}{argument} -m {mode}"),
                format!("-m {mode} --{}{argument}", option.long),
            ] {
                if letters.contains(letter) || "mhV".contains(letter) {
                    let refusal =
                        iscsiadm(&line).map_or_else(|refusal| refusal.stderr(&program("i")), |_| String::new());
                    assert!(!refusal.contains("not allowed"), "{line}: {refusal}");
                } else if !line.starts_with("-t") && !line.starts_with("-o") && !line.starts_with("-L") {
                    refused(&[(&line, &[&not_allowed], 7)]);
                }
            }
        }
    }
}

#[test]
fn an_option_before_its_mode_is_refused_as_well() {
    refused(&[
        ("-T x -m discovery", &["discovery mode: option '-T' is not allowed/supported"], 7),
        ("-t st -m node", &["node mode: option '-t' is not allowed/supported"], 7),
        ("-o new -m fw", &["fw mode: option '-o' is not allowed/supported"], 7),
        ("-L all -m session", &["session mode: option '-L' is not allowed/supported"], 7),
        ("-m discovery -t st -p 10.0.0.1 -T x", &["discovery mode: option '-T' is not allowed/supported"], 7),
        ("-m discoverydb -W", &["discoverydb mode: option '-W' is not allowed/supported"], 7),
        ("-m discovery -T x -h", &["discovery mode: option '-T' is not allowed/supported"], 7),
        ("-m discovery -h -T x", &["discovery mode: option '-T' is not allowed/supported"], 7),
        ("-k 0 -m node", &["node mode: option '-k' is not allowed/supported"], 7),
        ("-m node -k 0", &["node mode: option '-k' is not allowed/supported"], 7),
        ("-m node -r x", &["node mode: option '-r' is not allowed/supported"], 7),
        ("-m node --si 1", &["node mode: option '-r' is not allowed/supported"], 7),
        ("-m node --ip x", &["node mode: option '-a' is not allowed/supported"], 7),
        ("-m node -D -T x -r 0", &["node mode: option '-D' is not allowed/supported"], 7),
    ]);
}

#[test]
fn a_wrong_option_is_named_by_the_parser_and_by_the_mode() {
    let mode = |option: &str| format!("node mode: option '{option}' is not allowed/supported");
    for (line, message, option) in [
        ("-m node -Q", "invalid option -- 'Q'", "-Q"),
        ("-Q -m node", "invalid option -- 'Q'", "-Q"),
        ("-m node -Q -m session", "invalid option -- 'Q'", "-Q"),
        ("-m node -lQ", "invalid option -- 'Q'", "-Q"),
        ("-m node -W=3", "invalid option -- '='", "-="),
        ("-m node -p", "option requires an argument -- 'p'", "-p"),
        ("-m node -P", "option requires an argument -- 'P'", "-P"),
        ("-m node --portal", "option '--portal' requires an argument", "-p"),
        ("-m node --su", "option '--submode' requires an argument", "-C"),
        ("-m node --login=3", "option '--login' doesn't allow an argument", "-l"),
        ("-m node --bogus", "unrecognized option '--bogus'", "--bogus"),
        ("-m node --bogus=3", "unrecognized option '--bogus=3'", "--bogus"),
        ("-m node --no-wait", "unrecognized option '--no-wait'", "--no-wait"),
        ("-m node --t x", "option '--t' is ambiguous; possibilities: '--targetname' '--type'", "--t"),
        (
            "-m node --lo",
            "option '--lo' is ambiguous; possibilities: '--login' '--loginall' '--logout' '--logoutall'",
            "--lo",
        ),
        (
            "-m node --p x",
            "option '--p' is ambiguous; possibilities: '--portal' '--print' '--packetsize' '--portal_type'",
            "--p",
        ),
    ] {
        refused(&[(line, &[message, &mode(option)], 7)]);
    }
}

#[test]
fn without_a_mode_there_is_a_hint() {
    let hint = "Try `iscsiadm --help' for more information.\n";
    for (line, messages) in [
        ("", "iscsiadm: no mode specified\n"),
        ("junk", "iscsiadm: no mode specified\n"),
        ("ls", "iscsiadm: no mode specified\n"),
        ("-l", "iscsiadm: no mode specified\n"),
        ("-p x -T y", "iscsiadm: no mode specified\n"),
        ("-- -m node", "iscsiadm: no mode specified\n"),
        ("--bogus", "iscsiadm: unrecognized option '--bogus'\niscsiadm: no mode specified\n"),
        ("--h", "iscsiadm: option '--h' is ambiguous; possibilities: '--host' '--help'\niscsiadm: no mode specified\n"),
    ] {
        assert_eq!(refusal("iscsiadm", line), (format!("{messages}{hint}"), 7), "{line}");
    }
    for (line, messages) in [
        ("-Q", "iscsiadm: invalid option -- 'Q'\niscsiadm: unrecognized character 'Q'\n"),
        (
            "-Q -X",
            "iscsiadm: invalid option -- 'Q'\niscsiadm: invalid option -- 'X'\niscsiadm: unrecognized character 'X'\n",
        ),
        ("-m", "iscsiadm: option requires an argument -- 'm'\niscsiadm: unrecognized character 'm'\n"),
        ("--ho", "iscsiadm: option '--host' requires an argument\niscsiadm: unrecognized character 'H'\n"),
        ("-k", "iscsiadm: option requires an argument -- 'k'\niscsiadm: unrecognized character 'k'\n"),
        ("-k 0 -Q", "iscsiadm: invalid option -- 'Q'\niscsiadm: unrecognized character 'Q'\n"),
    ] {
        assert_eq!(refusal("iscsiadm", line), (messages.to_owned(), 7), "{line}");
    }
}

#[test]
fn under_our_own_name_the_hint_knows_the_commands() {
    let hint = "Try `riscsiadm --help' for more information.\n";
    for (line, message) in [
        ("", "neither a command nor a mode (-m) was given"),
        ("-l", "neither a command nor a mode (-m) was given"),
        ("sl", "'sl' is not a command"),
        ("lss x", "'lss' is not a command"),
        ("--json ls x", "the command 'ls' has to be the first word"),
        ("-- read x", "the command 'read' has to be the first word"),
    ] {
        assert_eq!(refusal("riscsiadm", line), (format!("riscsiadm: {message}\n{hint}"), 7), "{line}");
    }
}

#[test]
fn a_message_begins_with_the_name_that_was_typed() {
    for (typed, parser, tool) in [
        ("iscsiadm", "iscsiadm", "iscsiadm"),
        ("/sbin/iscsiadm", "/sbin/iscsiadm", "iscsiadm"),
        ("./riscsiadm", "./riscsiadm", "riscsiadm"),
    ] {
        let expected =
            format!("{parser}: invalid option -- 'Q'\n{tool}: node mode: option '-Q' is not allowed/supported\n");
        assert_eq!(refusal(typed, "-m node -Q"), (expected, 7));
    }
}

#[test]
fn a_mode_has_its_whole_name() {
    for mode in ["nod", "nodes", "Node", "bogus"] {
        let message = format!("mode '{mode}' is not yet supported");
        for line in
            [format!("-m {mode}"), format!("-m {mode} -T x -Q"), format!("--mode={mode}"), format!("-m {mode} -h")]
        {
            refused(&[(&line, &[&message], 7)]);
        }
    }
    refused(&[("-m ''", &["mode '' is not yet supported"], 7), ("--mode=", &["mode '' is not yet supported"], 7)]);
}

#[test]
fn words_outside_options_mean_nothing() {
    let list = || Request::Node(Node::List { tree: false });
    allowed(&[
        ("-m node junk", list()),
        ("junk -m node", list()),
        ("-m node -", list()),
        ("-m node -- -T x", list()),
        ("'' -m node", list()),
        ("-m node ls", list()),
    ]);
}

#[test]
fn an_operation_is_known_or_refused() {
    let bogus = &["can not recognize operation: 'bogus'"][..];
    refused(&[
        ("-m node -o bogus", bogus, 7),
        ("-o bogus -m node", bogus, 7),
        ("-o bogus", bogus, 7),
        ("-o bogus -h", bogus, 7),
        ("-Q -o bogus", bogus, 7),
        ("-m node -o show -o bogus", bogus, 7),
        ("-m node -L all -o bogus", bogus, 7),
        ("-m node -o ''", &["can not recognize operation: ''"], 7),
        ("-m node -o new,bogus", &["can not recognize operation: 'new,bogus'"], 7),
        ("-m node -o new,", &["can not recognize operation: 'new,'"], 7),
        ("-m node -o New", &["can not recognize operation: 'New'"], 7),
    ]);
}

#[test]
fn stopping_the_daemon_takes_priority_0_and_no_mode() {
    allowed(&[("-k 0", Request::StopDaemon), ("--killiscsid=0", Request::StopDaemon), ("-k 00", Request::StopDaemon)]);
    let negative = "Invalid killiscsid priority -1 Priority must be greater than or equal to zero.";
    refused(&[
        ("-k 1", &["Invalid iscsid priority 1. Priority must be 0."], 7),
        ("-k abc", &["Invalid iscsid priority abc. Priority must be 0."], 7),
        ("-k ''", &["Invalid iscsid priority . Priority must be 0."], 7),
        ("-k -1", &[negative], 7),
        ("-k -1 -h", &[negative], 7),
        ("-k -1 -m node", &[negative], 7),
    ]);
}

#[test]
fn our_own_options_go_with_every_mode() {
    let all = Extras {
        debug: 0,
        json: true,
        timeout: Some(Duration::from_millis(500)),
        trace: Some("t.pcapng".into()),
        secret_file: Some("/s".into()),
    };
    for (mode, _) in LETTERS {
        let line = format!("-m {mode} --json --timeout 500ms --trace=t.pcapng --secret-file /s");
        assert_eq!(extras(&line), all, "{mode}");
        assert_eq!(extras(&format!("-m {mode}")), Extras::default(), "{mode}");
        assert_eq!(extras(&format!("--json -m {mode} --timeout=2m")).timeout, Some(Duration::from_secs(120)));
    }
    assert_eq!(extras("-k 0 --timeout 15").timeout, Some(Duration::from_secs(15)));
    for (level, debug) in [("3", 3), ("8", 8), ("9", 8), ("-1", 0), ("abc", 0)] {
        assert_eq!(extras(&format!("-m node -d {level}")).debug, debug, "{level}");
    }
    refused(&[
        ("-m node --timeout 0", &["Invalid timeout '0': a time is more than zero and at most 24 hours"], 7),
        (
            "-m node --timeout soon",
            &["Invalid timeout 'soon': a time is a number of seconds, or one with a unit: 15, 500ms, 2m, 1h"],
            7,
        ),
    ]);
}

#[test]
fn a_secret_file_stands_in_for_the_value_of_a_password() {
    let filter = NodeFilter { target: Some("x".into()), ..NodeFilter::default() };
    let key = "node.session.auth.password";
    for (line, expected) in [
        (format!("-m node -T x -o update -n {key} --secret-file f"), vec![(key, Value::Secret)]),
        (format!("--secret-file f -m node -T x -o update -n {key}"), vec![(key, Value::Secret)]),
        (
            format!("-m node -T x -o update -n {key} -n {key}_in --secret-file f"),
            vec![(key, Value::Secret), ("node.session.auth.password_in", Value::TargetSecret)],
        ),
        (
            format!("-m node -T x -o update --secret-file f -n {key} -v p"),
            vec![(key, Value::Text(String::from("p").into()))],
        ),
    ] {
        match iscsiadm(&line).unwrap().action {
            Action::Request(Request::Node(Node::Update { filter: found, settings }), _) => {
                let settings: Vec<_> =
                    settings.iter().map(|setting| (setting.name.as_str(), setting.value.clone())).collect();
                assert!(found == filter && settings == expected, "{line}");
            }
            other => panic!("{line}: {other:?}"),
        }
    }
    refused(&[
        ("-m node -T x -o update -n node.session.auth.password", &["update requires name and value"], 7),
        ("-m node -T x -o update -n node.startup --secret-file f", &["update requires name and value"], 7),
    ]);
}

#[test]
fn no_secret_is_ever_printed_by_debug() {
    let line = "-m node -T x -o update -n node.session.auth.password -v hunter2 -n a -v visible";
    let text = format!("{:?}", iscsiadm(line));
    assert!(text.contains("visible") && !text.contains("hunter2"), "{text}");
    for line in ["ls iscsi://u%hunter2@h", "read iscsi://u@h/iqn.2003-01.a:b/0?target_password=hunter2"] {
        let text = format!("{:?}", riscsiadm(line));
        assert!(text.contains("Url(..)") && !text.contains("hunter2"), "{text}");
    }
}

#[test]
fn an_argument_that_is_not_utf8_is_refused() {
    let words = vec![OsString::from("-T"), OsStr::from_bytes(b"a\xffb").to_owned()];
    let refusal = parse(&program("iscsiadm"), &words).unwrap_err();
    let expected = "iscsiadm: the argument 'a\u{fffd}b' is not UTF-8\n";
    assert_eq!((refusal.stderr(&program("iscsiadm")).as_str(), refusal.exit.code()), (expected, 7));
}

/// Words of which command lines are made, right ones and wrong ones.
fn word() -> impl Strategy<Value = String> {
    let option = prop::sample::select(OPTIONS).prop_map(|option| format!("--{}", option.long));
    let letter = "-[a-zA-Z]{1,3}";
    let known = prop::sample::select(vec![
        "discovery",
        "discoverydb",
        "node",
        "session",
        "iface",
        "host",
        "fw",
        "st",
        "new",
        "update",
        "1",
        "10.0.0.1",
        "iqn.2003-01.org.example:disk1",
        "ping",
        "chap",
        "all",
        "ls",
        "read",
        "iscsi://h/t/0",
        "",
        "--",
    ]);
    prop_oneof![option, letter, known.prop_map(str::to_owned), ".{0,8}"]
}

proptest! {
    #[test]
    fn every_command_line_is_a_request_or_a_refusal_with_a_message(words in prop::collection::vec(word(), 0..8)) {
        let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
        for name in ["iscsiadm", "riscsiadm", "riscsid"] {
            let program = program(name);
            if let Err(refusal) = parse(&program, &words) {
                let text = refusal.stderr(&program) + &refusal.stdout();
                prop_assert!(text.ends_with('\n') && refusal.exit.code() != 0, "{:?}: {:?}", words, refusal);
            }
        }
    }
}
