//! Replays the corpus of each fuzz target without a fuzzer.

// The fuzz crate exports what is only called from here.
#[allow(unreachable_pub)]
#[path = "../../fuzz/src/lib.rs"]
mod fuzz;

use std::path::Path;
use std::{fs, io};

/// Runs all seeds of `target`; the one that fails is the last whose path was printed.
fn replay(target: &str, run: fn(&[u8])) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let seeds: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    assert!(!seeds.is_empty());
    for seed in seeds {
        println!("{}", seed.path().display());
        run(&fs::read(seed.path())?);
    }
    Ok(())
}

#[test]
fn r298_framer() -> io::Result<()> {
    replay("framer", fuzz::framer)
}

#[test]
fn r298_pdu() -> io::Result<()> {
    replay("pdu", fuzz::pdu)
}

#[test]
fn r298_text() -> io::Result<()> {
    replay("text", fuzz::text)
}

#[test]
fn r298_names() -> io::Result<()> {
    replay("names", fuzz::names)
}

#[test]
fn r298_sense() -> io::Result<()> {
    replay("sense", fuzz::sense)
}

#[test]
fn r298_isns() -> io::Result<()> {
    replay("isns", fuzz::isns)
}
