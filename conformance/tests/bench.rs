//! The program that compares initiators does so.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use std::fs;
use std::process::Command;

use conformance::lab;

/// The program, with those beside it that it runs.
fn bench() -> Command {
    for (package, name) in [("riscsiadm", "riscsiadm"), ("conformance", "iscsi-target")] {
        lab::program(package, name).unwrap();
    }
    Command::new(lab::program("conformance", "bench").unwrap())
}

#[test]
fn one_load_is_measured_and_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = bench();
    bench.args(["--rounds", "1", "--seconds", "0.1", "--only", "write 64 KiB, depth 8", "--write"]).arg(dir.path());
    let done = bench.output().unwrap();
    let (said, why) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{why}");
    assert!(said.starts_with("write 64 KiB, depth 8"), "{said}");
    assert!(said.contains("riscsiadm perf") && said.contains("raw exchange"), "{said}");
    let page = fs::read_to_string(dir.path().join("BENCHMARKS.md")).unwrap();
    assert!(page.contains("| write 64 KiB, depth 8 | "), "{page}");
    assert!(fs::read_to_string(dir.path().join("benchmarks.svg")).unwrap().starts_with("<svg"));
}

#[test]
fn a_load_that_does_not_exist_is_an_error() {
    let done = bench().args(["--only", "no such load"]).output().unwrap();
    assert!(!done.status.success());
    assert!(String::from_utf8_lossy(&done.stderr).contains("no load is called \"no such load\""));
}
