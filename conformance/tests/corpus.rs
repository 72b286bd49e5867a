//! Replays the corpus of the fuzz targets that need the initiator, without a fuzzer. The others are replayed by iscsi-proto.

#![expect(clippy::expect_used, reason = "helpers of tests fail as tests do")]
#![expect(unreachable_pub, reason = "the fuzz crate exports what is only called from here")]

#[path = "../../fuzz/src/input.rs"]
mod input;
#[path = "../../fuzz/src/login.rs"]
mod login;
#[path = "../../fuzz/src/session.rs"]
mod session;

use std::path::Path;
use std::{fs, io};

use proptest::prelude::*;

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
fn r298_session() -> io::Result<()> {
    replay("session", session::session)
}

#[test]
fn r298_login() -> io::Result<()> {
    replay("login", login::login)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn r298_any_bytes_are_a_session(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        session::session(&bytes);
    }

    #[test]
    fn r298_any_bytes_are_a_login(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        login::login(&bytes);
    }
}
