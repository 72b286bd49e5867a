//! Initiator and target in virtual time over a network that a seed decides on; see `conformance::sim`.
//!
//! `SIM_SEEDS=n` plays n seeds instead of the usual ones (a soak), from `SIM_FIRST=n` on; `SIM_SEED=n` plays that one and
//! says what it did.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use conformance::sim::{self, Cut, Plan, Recovered, Report};

/// Seeds of an ordinary test run.
const SEEDS: u64 = 1000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn play(seed: u64) -> Report {
    sim::run(seed).unwrap_or_else(|failure| panic!("{failure}"))
}

/// What many runs did together.
#[derive(Debug, Default)]
struct Total {
    operations: usize,
    succeeded: usize,
    failed: usize,
    cancelled: usize,
    /// Sessions that ended by a logout.
    whole: usize,
    lost: usize,
    steps: u64,
}

impl Total {
    fn add(mut self, other: &Self) -> Self {
        self.operations += other.operations;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.whole += other.whole;
        self.lost += other.lost;
        self.steps += other.steps;
        self
    }
}

impl From<Report> for Total {
    fn from(report: Report) -> Self {
        let Report { operations, succeeded, failed, cancelled, lost, reason, steps, .. } = report;
        let whole = usize::from(reason.is_none());
        Self { operations, succeeded, failed, cancelled, whole, lost: usize::from(lost), steps }
    }
}

/// Plays the seeds on all processors.
fn play_all(first: u64, count: u64) -> Total {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    std::thread::scope(|scope| {
        let one = |thread: u64| {
            let seeds = (first..first + count).skip(thread as usize).step_by(threads as usize);
            seeds.fold(Total::default(), |total, seed| total.add(&play(seed).into()))
        };
        let all: Vec<_> = (0..threads).map(|thread| scope.spawn(move || one(thread))).collect();
        all.into_iter().fold(Total::default(), |total, thread| total.add(&thread.join().unwrap()))
    })
}

/// whatever the network does, the rules of
/// `conformance::sim` hold.
#[test]
fn seeds() {
    if let Some(seed) = number("SIM_SEED") {
        println!("{:#?}", play(seed));
        return;
    }
    let total = play_all(number("SIM_FIRST").unwrap_or(0), number("SIM_SEEDS").unwrap_or(SEEDS));
    println!("{total:?}");
    // A simulator that breaks everything proves as little as one that breaks nothing.
    assert!(total.succeeded > total.operations / 2, "{total:?}");
    assert!(total.failed > total.operations / 50 && total.cancelled > total.operations / 50, "{total:?}");
    assert!(total.whole > 0 && total.lost > 0);
}

#[test]
fn a_seed_that_is_played_again_does_the_same() {
    for seed in [3, 17, 40] {
        assert_eq!(play(seed), play(seed));
    }
}

/// a connection that is lost at any byte, of either side, ends every command once, and what was acknowledged is
/// on the medium.
fn cut_at_every_byte(digests: bool) {
    let whole = sim::play(Plan::fixed(digests, None)).unwrap();
    // The reset ends what is under way.
    assert!(whole.succeeded >= 8 && whole.reason.is_none(), "{whole:?}");
    let (sent, received) = whole.bytes;
    assert!(sent > 4000 && received > 4000);
    let cuts = (0..sent).map(Cut::Sent).chain((0..received).map(Cut::Received));
    let mut fewer = 0;
    for cut in cuts {
        let report = sim::play(Plan::fixed(digests, Some(cut))).unwrap_or_else(|failure| panic!("{cut:?}: {failure}"));
        assert!(report.lost, "{cut:?}");
        assert_eq!(report.succeeded + report.failed, 9, "{cut:?}");
        fewer += u64::from(report.succeeded < whole.succeeded);
    }
    assert!(2 * fewer > sent + received);
}

#[test]
fn r261_the_connection_is_lost_at_every_byte_with_digests() {
    cut_at_every_byte(true);
}

#[test]
fn r261_the_connection_is_lost_at_every_byte_without_digests() {
    cut_at_every_byte(false);
}

/// at error recovery level 1, Data-In and responses that the network loses come again: reads return what is
/// on the disk, and what ends well is far more than what does not.
#[test]
fn what_the_network_loses_comes_again() {
    let plays = |loss: u32| {
        let play = |seed| sim::play(Plan::lossy(seed, loss)).unwrap_or_else(|failure| panic!("loss {loss}: {failure}"));
        (0..200).fold(Total::default(), |total, seed| total.add(&play(seed).into()))
    };
    for loss in [3, 10, 50] {
        let total = plays(loss);
        println!("1 in {loss}: {total:?}");
        assert!(total.succeeded > total.operations / 2, "{total:?}");
        assert!(total.whole > 0, "{total:?}");
    }
}

/// connections are lost one after the other, and at level 2 no command fails.
#[test]
fn connections_are_recovered() {
    let play = |seed| sim::recover(seed).unwrap_or_else(|failure| panic!("{failure}"));
    if let Some(seed) = number("SIM_RECOVER") {
        println!("{:#?}", play(seed));
        return;
    }
    let runs: Vec<Recovered> = (0..number("SIM_SEEDS").unwrap_or(500)).map(play).collect();
    let count = |of: fn(&Recovered) -> usize| runs.iter().map(of).sum::<usize>();
    let (lost, restored, failed) = (count(|run| run.lost), count(|run| run.restored), count(|run| run.failed));
    println!("{} succeeded, {failed} failed, {lost} lost, {restored} restored", count(|run| run.succeeded));
    // A simulator that loses nothing proves nothing.
    assert!(lost > runs.len() && restored > runs.len() / 4, "{lost} {restored}");
    assert!(runs.iter().filter(|run| run.level == 2).all(|run| run.failed == 0 && run.reason.is_none()));
}
