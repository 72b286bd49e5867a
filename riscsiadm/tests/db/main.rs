//! The database as open-iscsi has it: read, listed, changed, and never harmed.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod discovery;
mod iface;
mod nodes;
mod safety;
mod samples;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use riscsiadm::db::config::Config;
use riscsiadm::db::node::{NodeId, Source};
use riscsiadm::db::store::{Found, Store};
use tempfile::TempDir;

/// An empty database that is gone with the first half of the pair. It is in memory where that can be had: what a disk
/// takes to flush its cache is not under test.
fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let store = Store::at(dir.path(), Config::default()).unwrap();
    (dir, store)
}

/// `iqn.2001-04.com.example:NAME` at a portal.
fn id(name: &str, portal: &str, tag: Option<u16>, iface: &str) -> NodeId {
    let target = format!("iqn.2001-04.com.example:{name}").parse().unwrap();
    NodeId { target, portal: portal.parse().unwrap(), tag, iface: iface.parse().unwrap() }
}

/// One target of an answer, at these addresses.
fn found(name: &str, addresses: &[&str]) -> Found {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Found::new(format!("iqn.2001-04.com.example:{name}").parse().unwrap(), addresses)
}

fn send_targets(portal: &str) -> Source {
    Source::SendTargets(portal.parse().unwrap())
}

fn changes(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Every file, link and directory below `root`, with its rights, sorted; hidden files of this tool are left out.
fn layout(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    collect(root, root, &mut lines);
    lines.sort();
    lines
}

fn collect(root: &Path, dir: &Path, lines: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let shown = path.strip_prefix(root).unwrap().display().to_string();
        let metadata = path.symlink_metadata().unwrap();
        let mode = metadata.permissions().mode() & 0o777;
        if shown.starts_with('.') {
            continue;
        }
        if metadata.is_symlink() {
            let target: PathBuf = fs::read_link(&path).unwrap();
            lines.push(format!("{shown} -> {}", target.strip_prefix(root).unwrap().display()));
        } else if metadata.is_dir() {
            lines.push(format!("{shown}/ {mode:o}"));
            collect(root, &path, lines);
        } else {
            lines.push(format!("{shown} {mode:o}"));
        }
    }
}
