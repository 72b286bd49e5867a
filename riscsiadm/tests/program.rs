//! The program as it is installed: by each of its names, with its streams and exit codes.

#![cfg(test)]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_riscsiadm");

fn run(program: &Path, line: &str) -> (String, String, i32) {
    let Output { stdout, stderr, status } =
        Command::new(program).args(line.split_whitespace()).stdin(Stdio::null()).output().unwrap();
    (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap(), status.code().unwrap())
}

fn link(dir: &Path, name: &str) -> PathBuf {
    let link = dir.join(name);
    symlink(PROGRAM, &link).unwrap();
    link
}

#[test]
fn a_link_by_the_name_iscsiadm_speaks_as_iscsiadm() {
    let dir = tempfile::tempdir().unwrap();
    let iscsiadm = link(dir.path(), "iscsiadm");
    let (out, err, code) = run(&iscsiadm, "-V");
    assert_eq!((out.as_str(), err.as_str(), code), ("iscsiadm version 2.1.11\n", "", 0));

    let (out, err, code) = run(&iscsiadm, "--help");
    assert_eq!((out.lines().count(), err.as_str(), code), (8, "", 0));

    let (out, err, code) = run(&iscsiadm, "-m node -Q");
    let path = iscsiadm.display();
    let expected =
        format!("{path}: invalid option -- 'Q'\niscsiadm: node mode: option '-Q' is not allowed/supported\n");
    assert_eq!((out.as_str(), err, code), ("", expected, 7));

    let (out, err, code) = run(&iscsiadm, "-m session -r 0");
    assert_eq!((out.as_str(), err.as_str(), code), ("", "iscsiadm: 0 is an invalid session ID or path\n", 1));
}

#[test]
fn by_its_own_name_it_prints_help_version_and_completions() {
    let program = Path::new(PROGRAM);
    let version = format!("riscsiadm {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(program, "--version"), (version, String::new(), 0));
    for (line, begins) in [
        ("--help", "Usage: riscsiadm"),
        ("read --help", "Copy bytes"),
        ("completions bash", "_riscsiadm()"),
        ("man", "."),
    ] {
        let (out, err, code) = run(program, line);
        assert!(out.starts_with(begins), "{line}: {out}");
        assert_eq!((err.as_str(), code), ("", 0), "{line}");
    }
    let (out, err, code) = run(program, "sl 10.0.0.5");
    let expected = "riscsiadm: 'sl' is not a command\nTry `riscsiadm --help' for more information.\n";
    assert_eq!((out.as_str(), err.as_str(), code), ("", expected, 7));
}

#[test]
fn manual_pages_are_written_to_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let man = dir.path().join("share/man8");
    let line = format!("man --dir {}", man.display());
    assert_eq!(run(Path::new(PROGRAM), &line), (String::new(), String::new(), 0));
    let mut names: Vec<_> =
        man.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let commands = ["completions", "daemon", "doctor", "inquiry", "ls", "man", "perf", "read", "write"];
    let mut expected: Vec<_> = commands.iter().map(|name| format!("riscsiadm-{name}.8")).collect();
    expected.push("riscsiadm.8".into());
    assert_eq!(names, expected);

    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (out, err, code) = run(Path::new(PROGRAM), &format!("man --dir {}", file.display()));
    assert_eq!((out.as_str(), code), ("", 1));
    assert!(err.starts_with("riscsiadm: ") && err.lines().count() == 1, "{err}");
}

#[test]
fn a_reader_that_stops_early_is_no_error() {
    let mut child = Command::new(PROGRAM)
        .args(["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let Output { stderr, status, .. } = child.wait_with_output().unwrap();
    assert_eq!((String::from_utf8_lossy(&stderr).as_ref(), status.code()), ("", Some(0)));
}
