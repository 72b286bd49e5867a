//! What a seed stands for.

use std::time::Duration;

use iscsi_initiator::core::session::Patience;
use iscsi_initiator::core::{DigestOffer, Offer, Time};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::link::Manner;
use crate::target::config::{DigestPolicy, Limits};

/// Everything that a run depends on.
#[derive(Debug)]
pub struct Plan {
    pub(super) seed: u64,
    pub(super) rng: StdRng,
    pub(super) offer: Offer,
    pub(super) limits: Limits,
    pub(super) patience: Patience,
    pub(super) cmd_sn: u32,
    /// How bytes travel to the target, and from it.
    pub(super) up: Manner,
    pub(super) down: Manner,
    pub(super) cut: Option<Cut>,
    /// One in so many Data-In PDUs and SCSI Responses is lost; 0 for none.
    pub(super) loss: u32,
    /// Blocks of the disk.
    pub(super) blocks: u64,
    pub(super) steps: Vec<Step>,
}

/// Where the connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// After so many bytes of the initiator.
    Sent(u64),
    /// After so many bytes of the target.
    Received(u64),
    /// At a point in virtual time.
    At(Time),
}

/// An operation and when it is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) at: Time,
    pub(super) what: Operation,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    Read {
        block: u64,
        count: u64,
        timeout: Option<Duration>,
    },
    Write {
        block: u64,
        count: u64,
        timeout: Option<Duration>,
    },
    Flush,
    Ping,
    Text,
    Stats,
    /// LOGICAL UNIT RESET.
    Reset,
    /// ABORT TASK SET.
    Abort,
    Logout,
    /// The target asks for a sign of life.
    Poke,
    /// The target asks for a logout within three seconds.
    Dismiss,
    /// Nobody waits any more for the step so many before this one.
    Cancel(usize),
}

/// Numbers that lie beside the limits of fields and of each other.
const LENGTHS: [u32; 9] = [512, 516, 1021, 1024, 2048, 4096, 8192, 65_536, 262_144];

impl Plan {
    /// The plan of a seed.
    pub fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        // Pieces of one byte cost a step each, so there is less to carry.
        let fine = rng.random_ratio(1, 6);
        let blocks = if fine { 8 } else { pick(&mut rng, &[8, 32, 128]) };
        let operations = if fine { 8 } else { rng.random_range(1..32) };
        let (up, down) = (manner(&mut rng, fine), manner(&mut rng, fine));
        let slow = up.stall != 0 || down.stall != 0 || rng.random_bool(0.2);
        let steps = steps(&mut rng, operations, blocks, slow);
        let cut = cut(&mut rng);
        let (offer, limits) = (offer(&mut rng), limits(&mut rng));
        let cmd_sn = pick(&mut rng, &[0, 1, u32::MAX - 3, u32::MAX, (1 << 31) - 2, 1 << 31]);
        Self { seed, offer, limits, patience: patience(&mut rng), cmd_sn, up, down, cut, loss: 0, blocks, steps, rng }
    }

    /// The plan of a seed at error recovery level 1, with a network that loses one in `loss` Data-In PDUs and SCSI Responses.
    pub fn lossy(seed: u64, loss: u32) -> Self {
        let mut plan = Self::new(seed);
        (plan.offer.error_recovery_level, plan.limits.error_recovery_level) = (1, 1);
        Self { loss, ..plan }
    }

    /// A fixed mix of reads, writes and all else over a smooth network, for cutting it at a chosen byte.
    pub fn fixed(digests: bool, cut: Option<Cut>) -> Self {
        let timeout = None;
        let offer = offer_of(digests);
        let limits = Limits { max_recv_data_segment: 1024, max_burst: 1024, first_burst: 512, ..Limits::default() };
        let smooth = Manner { segment: 700, delay: 50, stall: 0, capacity: 1 << 20 };
        let mix = [
            Operation::Write { block: 0, count: 4, timeout },
            Operation::Read { block: 0, count: 3, timeout },
            Operation::Ping,
            Operation::Write { block: 2, count: 3, timeout },
            Operation::Flush,
            Operation::Text,
            Operation::Read { block: 1, count: 5, timeout },
            Operation::Reset,
            Operation::Write { block: 6, count: 1, timeout },
        ];
        let steps = mix.into_iter().zip(0..).map(|(what, n)| Step { at: Duration::from_micros(300 * n), what });
        Self {
            seed: 0,
            rng: StdRng::seed_from_u64(0),
            offer,
            limits,
            patience: PATIENCE,
            cmd_sn: 1,
            up: smooth,
            down: smooth,
            cut,
            loss: 0,
            blocks: 8,
            steps: steps.collect(),
        }
    }
}

const PATIENCE: Patience = Patience {
    command: Duration::from_secs(15),
    management: Duration::from_secs(10),
    idle: None,
    ping: Duration::from_secs(5),
};

/// One of several.
pub(super) fn pick<T: Copy, const N: usize>(rng: &mut StdRng, from: &[T; N]) -> T {
    // N is never 0, and the number below it.
    #[allow(clippy::indexing_slicing)]
    from[rng.random_range(0..N)]
}

fn manner(rng: &mut StdRng, fine: bool) -> Manner {
    let segment = if fine { pick(rng, &[1, 2, 7]) } else { pick(rng, &[48, 300, 1460, 1460, 65_536, usize::MAX]) };
    let capacity = if fine { 512 } else { pick(rng, &[100, 4096, 65_536, 1 << 20, 1 << 20]) };
    // What is both narrow and slow only makes everything time out.
    let delay = if capacity < 65_536 { pick(rng, &[0, 10, 500]) } else { pick(rng, &[0, 10, 500, 20_000]) };
    Manner { segment, delay, stall: pick(rng, &[0, 0, 0, 0, 0, 200, 5000]), capacity }
}

fn steps(rng: &mut StdRng, operations: usize, blocks: u64, slow: bool) -> Vec<Step> {
    // Often all at once, sometimes one after the other.
    let gap = pick(rng, &[0, 20, 2000, 200_000]);
    let mut at = Duration::ZERO;
    let mut steps = Vec::new();
    for _ in 0..operations {
        at += Duration::from_micros(rng.random_range(0..=gap));
        steps.push(Step { at, what: operation(rng, blocks, slow) });
    }
    match rng.random_range(0..10) {
        0 => steps.push(Step { at, what: Operation::Logout }),
        1 => {
            let at = at.mul_f64(rng.random());
            steps.push(Step { at, what: Operation::Dismiss });
            steps.sort_by_key(|step| step.at);
        }
        _ => {}
    }
    steps
}

fn operation(rng: &mut StdRng, blocks: u64, slow: bool) -> Operation {
    let block = rng.random_range(0..blocks);
    let count = match rng.random_range(0..4) {
        0 => 1,
        1 => blocks - block,
        _ => rng.random_range(0..=blocks - block),
    };
    let timeout = (slow && rng.random_bool(0.3)).then(|| Duration::from_micros(rng.random_range(1..3_000_000)));
    match rng.random_range(0..100) {
        0..40 => Operation::Write { block, count, timeout },
        40..75 => Operation::Read { block, count, timeout },
        75..79 => Operation::Flush,
        79..83 => Operation::Ping,
        83..85 => Operation::Text,
        85 => Operation::Stats,
        86 => Operation::Poke,
        87..89 => Operation::Reset,
        89..91 => Operation::Abort,
        _ => Operation::Cancel(rng.random_range(1..4)),
    }
}

fn cut(rng: &mut StdRng) -> Option<Cut> {
    match rng.random_range(0..10) {
        0 => Some(Cut::Sent(bytes(rng))),
        1 => Some(Cut::Received(bytes(rng))),
        2 => Some(Cut::At(Duration::from_micros(bytes(rng)))),
        _ => None,
    }
}

/// Small and large numbers alike.
fn bytes(rng: &mut StdRng) -> u64 {
    let scale = rng.random_range(4..20);
    rng.random_range(0..1 << scale)
}

fn offer(rng: &mut StdRng) -> Offer {
    let digests = [DigestOffer::None, DigestOffer::Crc32c, DigestOffer::PreferCrc32c, DigestOffer::PreferNone];
    let mut offer = Offer::default();
    (offer.header_digest, offer.data_digest) = (pick(rng, &digests), pick(rng, &digests));
    offer.initial_r2t = rng.random();
    offer.immediate_data = rng.random();
    offer.max_recv_data_segment_length = pick(rng, &LENGTHS);
    offer.max_burst_length = pick(rng, &LENGTHS);
    offer.first_burst_length = pick(rng, &LENGTHS).min(offer.max_burst_length);
    offer.max_outstanding_r2t = pick(rng, &[1, 2, 16]);
    offer
}

fn offer_of(digests: bool) -> Offer {
    let digest = if digests { DigestOffer::Crc32c } else { DigestOffer::None };
    let mut offer = Offer::default();
    (offer.header_digest, offer.data_digest, offer.max_recv_data_segment_length) = (digest, digest, 1024);
    offer
}

fn limits(rng: &mut StdRng) -> Limits {
    Limits {
        max_recv_data_segment: pick(rng, &LENGTHS),
        max_burst: pick(rng, &LENGTHS),
        first_burst: pick(rng, &LENGTHS),
        initial_r2t: rng.random(),
        immediate_data: rng.random(),
        max_outstanding_r2t: pick(rng, &[1, 3, 16]),
        header_digest: DigestPolicy::Either,
        data_digest: DigestPolicy::Either,
        window: pick(rng, &[1, 2, 5, 128]),
        first_stat_sn: pick(rng, &[0, 1, u32::MAX - 1]),
        status_in_data: rng.random(),
        ..Limits::default()
    }
}

fn patience(rng: &mut StdRng) -> Patience {
    let idle = pick(rng, &[None, None, Some(Duration::from_secs(1)), Some(Duration::from_secs(5))]);
    Patience { command: Duration::from_secs(pick(rng, &[1, 15, 60])), idle, ..PATIENCE }
}
