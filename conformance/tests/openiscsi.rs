//! The real open-iscsi (Debian package, the kernel's initiator) and `riscsiadm`, line by line: the same commands, in the same
//! order, against the same LIO. What differs is listed here, with its reason.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use conformance::lab::{self, Ran, Riscsiadm, Vm};

/// Commands without the program's name; `@P` stands for the portal, `N` for the start of the targets' names.
const COMMANDS: &[&str] = &[
    "-m session",
    "-m node",
    "-m discovery -t st -p @P",
    "-m discovery",
    "-m discoverydb",
    "-m node",
    "-m node -P 1",
    "-m discovery -P 1",
    "-m node -T N:open -p @P -o show -n node.startup",
    "-m node -T N:open -p @P -l",
    "-m session",
    "-m session -P 0",
    "-m node -T N:open -p @P -l",
    "-m node -T N:open -p @P -R",
    "-m node -T N:open -p @P -o delete",
    "-m node -T N:open -p @P -u",
    "-m node -T N:open -p @P -u",
    "-m session",
    "-m session -r 99",
    "-m node -T N:nosuch -p @P -l",
    "-m node -T N:acl -p @P -l",
    "-m node -T N:acl -p @P -u",
    "-m node -T N:chap -p @P -l",
    "-m node -T N:chap -p @P -o update -n node.session.auth.authmethod -v CHAP",
    "-m node -T N:chap -p @P -o update -n node.session.auth.username -v user",
    "-m node -T N:chap -p @P -o update -n node.session.auth.password -v wrong-secret",
    "-m node -T N:chap -p @P -l",
    "-m node -T N:chap -p @P -o update -n node.session.auth.password -v secret-of-host",
    "-m node -T N:chap -p @P -l",
    "-m node -T N:mutual -p @P -o update -n node.session.auth.authmethod -v CHAP",
    "-m node -T N:mutual -p @P -o update -n node.session.auth.username -v user",
    "-m node -T N:mutual -p @P -o update -n node.session.auth.password -v secret-of-host",
    "-m node -T N:mutual -p @P -o update -n node.session.auth.username_in -v target",
    "-m node -T N:mutual -p @P -o update -n node.session.auth.password_in -v wrong-of-target",
    "-m node -T N:mutual -p @P -l",
    "-m node -T N:mutual -p @P -o update -n node.session.auth.password_in -v secret-of-target",
    "-m node -T N:mutual -p @P -l",
    "-m node -T N:digests -p @P -l",
    "-m node -T N:digests -p @P -o update -n node.conn[0].iscsi.HeaderDigest -v CRC32C",
    "-m node -T N:digests -p @P -o update -n node.conn[0].iscsi.DataDigest -v CRC32C",
    "-m node -T N:digests -p @P -l",
    "-m node -T N:open -p @P -o update -n node.no.such.key -v 1",
    "-m node -u",
    "-m node -T N:open -p @P -o delete",
    "-m node -T N:open -p @P -o delete",
    "-m nosuchmode",
    "-m node -T N:chap -l -u",
];

/// Commands whose results differ, by a part of the command, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("discovery -P 1", "targets and portals are sorted; open-iscsi has them as its directories come"),
    (
        "-o show",
        "the keys and the number are those of open-iscsi 2.1.11, the values those of the guest's own iscsid.conf",
    ),
    ("nosuchmode", "the mode is named as it was typed; 2.1.8 calls it -1"),
];

/// The first login at a target that wants CHAP, without it. LIO closes the connection of who begins in the security stage and
/// offers AuthMethod=None alone, as riscsiadm does (tgt needs it); open-iscsi skips that stage, and hears status 0201.
const CUT_SHORT: (i32, i32) = (24, 5);

fn ask(vm: &Vm, command: &str) -> Ran {
    let script = format!("iscsiadm {command} >/tmp/out 2>/tmp/err; echo $?; cat /tmp/out; echo =====; cat /tmp/err");
    let said = vm.run(&script).unwrap();
    let (code, said) = said.split_once('\n').unwrap();
    let (stdout, stderr) = said.split_once("=====").unwrap();
    Ran { code: code.parse().unwrap(), stdout: stdout.to_owned(), stderr: stderr.to_owned() }
}

/// The lines of both streams, without numbers of sessions and without the name of the program.
fn plain(ran: &Ran) -> (i32, Vec<String>, Vec<String>) {
    let lines = |text: &str| {
        let text = text.replace("riscsiadm: ", "iscsiadm: ");
        text.lines().filter(|line| !line.trim().is_empty()).map(|line| without_number(line.trim_end())).collect()
    };
    (ran.code, lines(&ran.stdout), lines(&ran.stderr))
}

/// What both have in common by intention: open-iscsi 2.1.11 no longer says that it begins, which 2.1.8 does; and riscsiadm tells the
/// cause of a failed login in a line of its own.
fn comparable(ran: &Ran) -> (i32, Vec<String>, Vec<String>) {
    let (code, mut stdout, stderr) = plain(ran);
    stdout.retain(|line| !line.starts_with("Logging in to ["));
    let mut after = false;
    let keep = |line: &String| {
        let is_cause = after && !line.contains("Could not log");
        after = line.contains("initiator reported error");
        !is_cause
    };
    let mut kept = stderr;
    kept.retain(keep);
    (code, stdout, kept)
}

fn without_number(line: &str) -> String {
    ["[sid: ", "tcp: ["].iter().fold(line.to_owned(), |line, head| match line.split_once(head) {
        Some((before, after)) => format!("{before}{head}{}", after.trim_start_matches(|c: char| c.is_ascii_digit())),
        None => line,
    })
}

#[test]
fn both_say_the_same_but_for_what_is_listed() {
    let Some(image) = lab::require(lab::vm()) else { return };
    let vm = image.boot("setup", &[(15, 3260), (15, 3261), (16, 3260)]).unwrap();
    vm.run("openiscsi").unwrap();
    let ours = Riscsiadm::new().unwrap();
    std::fs::create_dir_all(ours.db()).unwrap();
    std::fs::write(ours.db().join("initiatorname.iscsi"), "InitiatorName=iqn.2026-01.org.example:host\n").unwrap();
    let portal = vm.address(15, 3260).to_string();
    let mut wrong = Vec::new();
    for command in COMMANDS {
        let command = command.replace("@P", &portal).replace("N:", "iqn.2026-01.org.example:");
        let theirs = ask(&vm, &command);
        let our = ours.run(&command.split(' ').collect::<Vec<_>>()).unwrap();
        if (theirs.code, our.code) == CUT_SHORT && command.contains(":chap ") {
            continue;
        }
        let is_listed = DIFFERENT.iter().any(|(part, _)| command.contains(part));
        let (theirs, our) = (comparable(&theirs), comparable(&our));
        if (theirs == our) == is_listed {
            wrong.push(format!("$ iscsiadm {command}\ntheirs: {theirs:#?}\nours: {our:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), COMMANDS.len(), wrong.join("\n"));
}
