//! The commands that iscsiadm never had.

use std::time::Duration;

use riscsiadm::cli::command::{
    Command, Common, Completions, Daemon, Doctor, Inquiry, Ls, Man, Place, Read, Shell, Url, Write,
};
use riscsiadm::cli::{Action, Invocation, parse};

use crate::{iscsiadm, program, riscsiadm, words};

const U: &str = "iscsi://u@10.0.0.5/iqn.2003-01.org.example:disk1/0";

fn common() -> Common {
    Common {
        json: false,
        timeout: Duration::from_secs(15),
        secret_file: None,
        initiator_name: None,
        trace: None,
        verbose: 0,
    }
}

fn url() -> Url {
    U.parse().unwrap()
}

fn place(text: &str) -> Place {
    text.parse().unwrap()
}

/// The command of a command line, in which `U` stands for a URL.
fn command(line: &str) -> Command {
    match riscsiadm(&line.replace(" U", &format!(" {U}"))) {
        Ok(Invocation { action: Action::Command(command), warnings }) if warnings.is_empty() => command,
        other => panic!("{line}: {other:?}"),
    }
}

/// What is said about a command line, up to the first empty line.
fn refusal(line: &str) -> String {
    let program = program("riscsiadm");
    let refusal = parse(&program, &words(line)).unwrap_err();
    assert_eq!((refusal.exit.code(), refusal.stdout().as_str()), (7, ""), "{line}");
    let text = refusal.stderr(&program);
    text.split("\n\n").next().unwrap().trim_end().to_owned()
}

#[test]
fn places_are_urls_or_portals() {
    for (line, expected) in [
        ("ls 10.0.0.5", Command::Ls(Ls { place: place("10.0.0.5"), common: common() })),
        ("ls 10.0.0.5:860,1", Command::Ls(Ls { place: place("10.0.0.5:860,1"), common: common() })),
        ("ls [fd00::5]:860", Command::Ls(Ls { place: place("[fd00::5]:860"), common: common() })),
        ("ls array.example.com", Command::Ls(Ls { place: place("array.example.com"), common: common() })),
        ("ls iscsi://10.0.0.5", Command::Ls(Ls { place: place("iscsi://10.0.0.5"), common: common() })),
        ("ls U", Command::Ls(Ls { place: Place::Url(url()), common: common() })),
        ("doctor 10.0.0.5", Command::Doctor(Doctor { place: place("10.0.0.5"), common: common() })),
        ("doctor U", Command::Doctor(Doctor { place: Place::Url(url()), common: common() })),
        ("inquiry U", Command::Inquiry(Inquiry { url: url(), common: common() })),
    ] {
        assert_eq!(command(line), expected, "{line}");
    }
    assert_eq!(url().as_str(), U);
}

#[test]
fn read_and_write_take_sizes_and_files() {
    let read = || Read { url: url(), offset: 0, length: None, output: "-".into(), common: common() };
    let write = || Write { url: url(), offset: 0, input: "-".into(), common: common() };
    for (line, expected) in [
        ("read U", Command::Read(read())),
        ("read U -o -", Command::Read(read())),
        ("read U --offset 4k --length 1MiB", Command::Read(Read { offset: 4096, length: Some(1 << 20), ..read() })),
        ("read --offset=10G --length=0 U", Command::Read(Read { offset: 10 << 30, length: Some(0), ..read() })),
        ("read -o f U", Command::Read(Read { output: "f".into(), ..read() })),
        ("read U --output f", Command::Read(Read { output: "f".into(), ..read() })),
        (
            "read U --json -o f",
            Command::Read(Read { output: "f".into(), common: Common { json: true, ..common() }, ..read() }),
        ),
        ("write U", Command::Write(write())),
        ("write U -i f --offset 512", Command::Write(Write { input: "f".into(), offset: 512, ..write() })),
        ("write U --input -", Command::Write(write())),
        ("write U --json", Command::Write(Write { common: Common { json: true, ..common() }, ..write() })),
    ] {
        assert_eq!(command(line), expected, "{line}");
    }
}

#[test]
fn the_common_options_go_with_every_command_on_a_target() {
    let all = Common {
        json: true,
        timeout: Duration::from_millis(500),
        secret_file: Some("s".into()),
        initiator_name: Some("iqn.2003-01.org.example:host".parse().unwrap()),
        trace: Some("t".into()),
        verbose: 2,
    };
    let options =
        "--json --timeout 500ms --secret-file s --initiator-name iqn.2003-01.org.example:host --trace t -v -v";
    for name in ["ls", "inquiry", "read -o f", "write", "doctor"] {
        let common = match command(&format!("{name} U {options}")) {
            Command::Ls(Ls { common, .. })
            | Command::Inquiry(Inquiry { common, .. })
            | Command::Read(Read { common, .. })
            | Command::Write(Write { common, .. })
            | Command::Doctor(Doctor { common, .. }) => common,
            other => panic!("{other:?}"),
        };
        assert_eq!(common, all, "{name}");
    }
}

#[test]
fn the_other_commands() {
    for (line, expected) in [
        ("daemon", Command::Daemon(Daemon { verbose: 0 })),
        ("daemon -vv", Command::Daemon(Daemon { verbose: 2 })),
        ("completions bash", Command::Completions(Completions { shell: Shell::Bash })),
        ("completions zsh", Command::Completions(Completions { shell: Shell::Zsh })),
        ("completions fish", Command::Completions(Completions { shell: Shell::Fish })),
        ("man", Command::Man(Man { dir: None })),
        ("man --dir d", Command::Man(Man { dir: Some("d".into()) })),
    ] {
        assert_eq!(command(line), expected, "{line}");
    }
}

#[test]
fn by_the_name_riscsid_there_is_only_the_daemon() {
    for (line, verbose) in [("", 0), ("-v", 1), ("-vvv", 3)] {
        let found = parse(&program("/usr/sbin/riscsid"), &words(line)).map(|invocation| invocation.action);
        assert_eq!(found, Ok(Action::Command(Command::Daemon(Daemon { verbose }))), "{line}");
    }
    assert!(parse(&program("riscsid"), &words("ls 10.0.0.5")).is_err());
    assert!(parse(&program("riscsid"), &words("-m node")).is_err());
}

#[test]
fn by_the_name_iscsiadm_there_are_no_commands() {
    for line in ["ls 10.0.0.5", "daemon", "man", "help"] {
        assert!(iscsiadm(line).is_err(), "{line}");
    }
    assert!(matches!(iscsiadm("ls -m node"), Ok(Invocation { action: Action::Request(..), .. })));
}

#[test]
fn a_wrong_command_line_is_refused_with_the_reason() {
    let form = "a URL looks like iscsi://[USER[%SECRET]@]HOST[:PORT]/TARGET/LUN[?KEY=VALUE&...]";
    for (line, message) in [
        ("ls", "the following required arguments were not provided:\n  <URL|HOST[:PORT]>"),
        ("read", "the following required arguments were not provided:\n  <URL>"),
        ("read x", &format!("invalid value 'x' for '<URL>': {form}")),
        ("read iscsi://", &format!("invalid value 'iscsi://' for '<URL>': {form}")),
        ("read http://h/x", &format!("invalid value 'http://h/x' for '<URL>': {form}")),
        ("ls http://h", &format!("invalid value 'http://h' for '<URL|HOST[:PORT]>': {form}")),
        ("ls a/b", "invalid value 'a/b' for '<URL|HOST[:PORT]>': \"a/b\" is neither an IP address nor a host name"),
        ("ls h:0", "invalid value 'h:0' for '<URL|HOST[:PORT]>': \"0\" is not a TCP port: 1 to 65535"),
        ("ls h more", "unexpected argument 'more' found"),
        ("ls h --bogus", "unexpected argument '--bogus' found"),
        ("ls h -m node", "unexpected argument '-m' found"),
        (
            "read iscsi://h --offset 1kB",
            "invalid value '1kB' for '--offset <BYTES>': write kiB, which is a power of 1024",
        ),
        (
            "read iscsi://h --length 16384P",
            "invalid value '16384P' for '--length <BYTES>': a size is less than 2^64 bytes",
        ),
        ("ls h --timeout 0", "invalid value '0' for '--timeout <TIME>': a time is more than zero and at most 24 hours"),
        (
            "ls h --initiator-name x",
            "invalid value 'x' for '--initiator-name <NAME>': an iSCSI name starts with `iqn.`, `eui.` or `naa.`",
        ),
        ("read iscsi://h --json", "read --json needs -o FILE: standard output cannot take both the data and JSON"),
        ("completions tcsh", "invalid value 'tcsh' for '<SHELL>'\n  [possible values: bash, zsh, fish]"),
        ("daemon now", "unexpected argument 'now' found"),
    ] {
        assert_eq!(refusal(line), format!("riscsiadm: {message}"), "{line}");
    }
}
