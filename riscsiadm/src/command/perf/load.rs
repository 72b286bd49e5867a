//! The commands of a measurement.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use hdrhistogram::Histogram;
use iscsi_initiator::Lun;
use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use super::super::access::Access;
use super::super::within;
use super::stamp;
use crate::cli::command::{Perf, Workload};
use crate::exit::Exit;
use crate::failure::Failure;

/// The longest latency that is told apart from longer ones, in microseconds.
const LONGEST: u64 = 60_000_000;
/// How often the counts are handed on.
const TICK: Duration = Duration::from_millis(100);

/// What is to be done, and how far it has come.
pub(super) struct Load {
    workload: Workload,
    block_size: u64,
    depth: u32,
    sessions: u32,
    duration: Duration,
    verify: bool,
    done: AtomicU64,
    stopped: AtomicBool,
    /// Microseconds that were measured, by the session that took longest.
    measured: AtomicU64,
}

/// What has been measured.
pub(super) struct Tally {
    /// Latencies in microseconds.
    pub(super) latencies: Histogram<u64>,
    pub(super) errors: u64,
    /// The first error.
    pub(super) error: Option<Failure>,
}

impl Load {
    pub(super) fn new(args: &Perf) -> Result<Self, Failure> {
        if args.block_size == 0 || args.block_size > 1 << 30 {
            return Err(Failure::invalid("--block-size is 1 byte to 1 GiB"));
        }
        Ok(Self {
            workload: args.workload,
            block_size: args.block_size,
            depth: args.queue_depth,
            sessions: args.sessions,
            duration: args.duration,
            verify: args.verify,
            done: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            measured: AtomicU64::new(0),
        })
    }

    pub(super) const fn block_size(&self) -> u64 {
        self.block_size
    }

    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn seconds(&self) -> f64 {
        Duration::from_micros(self.measured.load(Ordering::Relaxed)).as_secs_f64()
    }
}

impl Tally {
    pub(super) fn new() -> Result<Self, Failure> {
        let latencies =
            Histogram::new_with_bounds(1, LONGEST, 3).map_err(|error| Failure::new(Exit::Internal, error))?;
        Ok(Self { latencies, errors: 0, error: None })
    }

    pub(super) fn add(&mut self, other: &Self) -> Result<(), Failure> {
        self.latencies.add(&other.latencies).map_err(|error| Failure::new(Exit::Internal, error))?;
        self.errors += other.errors;
        self.error = self.error.take().or_else(|| other.error.clone());
        Ok(())
    }

    fn failed(&mut self, failure: Failure) {
        self.errors += 1;
        self.error.get_or_insert(failure);
    }
}

/// Runs the share of one session.
pub(super) async fn run(access: &Access, load: &Arc<Load>, index: u32) -> Result<Tally, Failure> {
    let session = access.session().await?;
    within(session.clone(), async {
        let lun = access.open(&session).await?;
        let blocks = lun.len() / load.block_size;
        if blocks < u64::from(load.depth) * u64::from(load.sessions) {
            return Err(Failure::invalid("the LUN is too small for that many commands of that size at once"));
        }
        measure(&lun, load, index, blocks).await
    })
    .await
}

// A measurement is what the clock is for.
#[expect(clippy::disallowed_methods, reason = "this measures")]
async fn measure(lun: &Lun, load: &Arc<Load>, index: u32, blocks: u64) -> Result<Tally, Failure> {
    let start = Instant::now();
    let until = start + load.duration;
    let mut workers = JoinSet::new();
    let done = Arc::new(AtomicU64::new(0));
    for number in 0..load.depth {
        let (number, of) = (u64::from(index * load.depth + number), u64::from(load.depth * load.sessions));
        let worker = Worker {
            lun: lun.clone(),
            workload: load.workload,
            block_size: load.block_size as usize,
            verify: load.verify,
            first: number,
            step: of,
            count: (blocks - number).div_ceil(of),
            generations: if load.verify { vec![0; (blocks - number).div_ceil(of) as usize] } else { Vec::new() },
            random: SmallRng::seed_from_u64(number),
            next: 0,
            done: Arc::clone(&done),
            load: Arc::clone(load),
            tally: Tally::new()?,
        };
        workers.spawn(worker.run(until));
    }
    let mut total = Tally::new()?;
    let mut seen = 0;
    let mut interrupted = signal(SignalKind::interrupt())?;
    while !workers.is_empty() {
        let ended = tokio::select! {
            ended = tokio::time::timeout(TICK, workers.join_next()) => ended,
            // What has been measured until now is reported all the same.
            _ = interrupted.recv() => {
                load.stop();
                continue;
            }
        };
        let now = done.load(Ordering::Relaxed);
        load.done.fetch_add(now - seen, Ordering::Relaxed);
        seen = now;
        if let Ok(Some(tally)) = ended {
            total.add(&tally.map_err(|error| Failure::new(Exit::Internal, error))?)?;
        }
    }
    load.measured.fetch_max(start.elapsed().as_micros() as u64, Ordering::Relaxed);
    Ok(total)
}

/// One command after the other, on blocks that no other worker touches: every `step`-th from `first` on.
struct Worker {
    lun: Lun,
    workload: Workload,
    block_size: usize,
    verify: bool,
    first: u64,
    step: u64,
    count: u64,
    /// How often each block was written, if that is to be checked.
    generations: Vec<u64>,
    random: SmallRng,
    next: u64,
    done: Arc<AtomicU64>,
    load: Arc<Load>,
    tally: Tally,
}

impl Worker {
    #[expect(clippy::disallowed_methods, reason = "this measures")]
    async fn run(mut self, until: Instant) -> Tally {
        let mut buffer = BytesMut::zeroed(self.block_size);
        let payload = Bytes::from(vec![0x5a; self.block_size]);
        let mut started = Instant::now();
        while started < until && !self.load.stopped.load(Ordering::Relaxed) {
            let block = self.choose();
            let result = if self.random.random_range(0..100) < self.workload.read_percent {
                self.read(block, &mut buffer).await
            } else {
                self.write(block, &payload).await
            };
            let ended = Instant::now();
            match result {
                Ok(()) => self.tally.latencies.saturating_record(((ended - started).as_micros() as u64).max(1)),
                Err(failure) => {
                    self.tally.failed(failure);
                    return self.tally;
                }
            }
            self.done.fetch_add(1, Ordering::Relaxed);
            started = ended;
        }
        self.tally
    }

    /// The number of the next block among those of this worker.
    fn choose(&mut self) -> u64 {
        if self.workload.random {
            return self.random.next_u64() % self.count;
        }
        let block = self.next % self.count;
        self.next += 1;
        block
    }

    fn offset(&self, block: u64) -> u64 {
        (self.first + block * self.step) * self.block_size as u64
    }

    async fn read(&mut self, block: u64, buffer: &mut BytesMut) -> Result<(), Failure> {
        let offset = self.offset(block);
        *buffer = self.lun.read_into(offset, std::mem::take(buffer)).await?;
        let generation = self.generations.get(block as usize).copied().unwrap_or_default();
        if self.verify && generation != 0 && !stamp::is_right(buffer, offset, generation) {
            let text = format!("the block at byte {offset} is not what was written there");
            return Err(Failure::new(Exit::Failure, text));
        }
        Ok(())
    }

    async fn write(&mut self, block: u64, payload: &Bytes) -> Result<(), Failure> {
        let offset = self.offset(block);
        if !self.verify {
            return Ok(self.lun.write_at(offset, payload.clone()).await?);
        }
        let generation = self.generations.get(block as usize).copied().unwrap_or_default() + 1;
        let mut stamped = payload.to_vec();
        stamp::fill(&mut stamped, offset, generation);
        self.lun.write_at(offset, stamped).await?;
        if let Some(written) = self.generations.get_mut(block as usize) {
            *written = generation;
        }
        Ok(())
    }
}
