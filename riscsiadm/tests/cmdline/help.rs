//! Help and version.

use riscsiadm::cli::options::OPTIONS;
use riscsiadm::cli::{Action, Invocation, parse};

use crate::{program, refused, words};

const COMMANDS: [&str; 8] = ["ls", "inquiry", "read", "write", "doctor", "daemon", "completions", "man"];

fn printed(name: &str, line: &str) -> String {
    match parse(&program(name), &words(line)) {
        Ok(Invocation { action: Action::Print(text), warnings }) if warnings.is_empty() => text,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn iscsiadm_prints_its_eight_lines_of_usage() {
    let usage = "\
iscsiadm -m discoverydb [-hV] [-d debug_level] [-P printlevel] [-t type -p ip:port -I ifaceN ... [-Dl]] | [[-p ip:port -t type] [-o operation] [-n name] [-v value] [-lD]]\x20
iscsiadm -m discovery [-hV] [-d debug_level] [-P printlevel] [-t type -p ip:port -I ifaceN ... [-l]] | [[-p ip:port] [-l | -D]] [-W]
iscsiadm -m node [-hV] [-d debug_level] [-P printlevel] [-L all,manual,automatic,onboot] [-W] [-U all,manual,automatic,onboot] [-S] [[-T targetname -p ip:port -I ifaceN] [-l | -u | -R | -s]] [[-o operation ] [-n name] [-v value]]
iscsiadm -m session [-hV] [-d debug_level] [-P printlevel] [-r sessionid | sysfsdir [-R | -u | -s] [-o operation] [-n name] [-v value]]
iscsiadm -m iface [-hV] [-d debug_level] [-P printlevel] [-I ifacename | -H hostno|MAC] [[-o operation ] [-n name] [-v value]] [-C ping [-a ip] [-b packetsize] [-c count] [-i interval]]
iscsiadm -m fw [-d debug_level] [-l] [-W] [[-n name] [-v value]]
iscsiadm -m host [-P printlevel] [-H hostno|MAC] [[-C chap [-x chap_tbl_idx]] | [-C flashnode [-A portal_type] [-x flashnode_idx]] | [-C stats]] [[-o operation] [-n name] [-v value]]\x20
iscsiadm -k priority
";
    for line in ["-h", "--help", "--he", "-hV", "-h -m bogus -Q", "-m node -h", "-m node -o show --help", "-k 0 -h"] {
        assert_eq!(printed("iscsiadm", line), usage, "{line}");
        assert_eq!(printed("/sbin/iscsiadm", line), usage, "{line}");
    }
}

#[test]
fn the_version_is_one_that_scripts_compare() {
    for line in ["-V", "--version", "--ve", "-Vh", "-V -m bogus", "-m session -V"] {
        assert_eq!(printed("iscsiadm", line), "iscsiadm version 2.1.11\n", "{line}");
        let own = format!("riscsiadm {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(printed("riscsiadm", line), own, "{line}");
    }
}

#[test]
fn what_stands_before_the_help_is_looked_at_first() {
    refused(&[
        ("-o bogus -h", &["can not recognize operation: 'bogus'"], 7),
        ("-r 0 -V", &["0 is an invalid session ID or path"], 1),
        ("-m nod -h", &["mode 'nod' is not yet supported"], 7),
    ]);
}

#[test]
fn our_own_help_fits_a_screen_and_covers_both_worlds() {
    let help = printed("riscsiadm", "--help");
    assert!(help.lines().count() < 60, "{} lines", help.lines().count());
    for line in help.lines() {
        assert!(line.len() <= 100 && line.trim_end() == line, "{line:?}");
    }
    for option in OPTIONS {
        let shown = option.short.map_or_else(|| format!("--{}", option.long), |letter| format!("-{letter}"));
        assert!(help.contains(&shown), "{shown}");
    }
    for word in COMMANDS.iter().chain(&["discovery ", "discoverydb ", "node ", "session ", "iface ", "host ", "fw "]) {
        assert!(help.contains(&format!("\n  {word}")), "{word}");
    }
    for line in ["-h", "--he", "help", "-m node -h"] {
        assert_eq!(printed("riscsiadm", line), help, "{line}");
    }
}

#[test]
fn our_own_help_in_full() {
    assert_eq!(printed("riscsiadm", "-h"), include_str!("help.txt"));
}

#[test]
fn the_help_of_a_command_has_units_defaults_and_two_examples() {
    for name in COMMANDS {
        for line in [format!("{name} --help"), format!("help {name}")] {
            let help = printed("riscsiadm", &line);
            let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{line}: {help}"));
            assert_eq!(examples.lines().filter(|example| example.contains("riscsiadm ")).count(), 2, "{line}");
            assert!(help.contains(&format!("Usage: riscsiadm {name}")), "{line}");
        }
    }
    let read = printed("riscsiadm", "read --help");
    for text in ["in bytes or with a unit", "[default: 0]", "[default: -]", "[default: 15s]", "RISCSI_SECRET"] {
        assert!(read.contains(text), "{text}");
    }
    assert!(printed("riscsid", "--help").contains("Usage: riscsid"));
}
