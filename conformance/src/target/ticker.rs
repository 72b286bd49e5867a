//! The node's time, told by tokio's clock.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::core::Node;

/// How far the node's time may lag behind.
const STEP: Duration = Duration::from_millis(100);

/// Tells a node the time, ten times a second.
#[derive(Debug)]
pub struct Ticker {
    node: Arc<Node>,
    steps: Interval,
    /// The node's time when this began, and when that was.
    from: (Duration, Instant),
}

impl Ticker {
    /// Goes on from the time that the node has. Must be called inside a tokio runtime with time.
    pub fn new(node: Arc<Node>) -> Self {
        let mut steps = interval(STEP);
        steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let from = (node.now(), Instant::now());
        Self { node, steps, from }
    }

    /// Waits for the next step. Nothing is lost when the future is dropped.
    pub async fn tick(&mut self) {
        self.steps.tick().await;
        self.node.advance(self.from.0 + self.from.1.elapsed());
    }

    /// Waits for the next step of the ticker, or for ever without one.
    pub(crate) async fn tick_of(ticker: Option<&mut Self>) {
        match ticker {
            Some(ticker) => ticker.tick().await,
            None => std::future::pending().await,
        }
    }
}

/// Tells a node the time without an end, also while it has no connections. Does nothing for one that needs no time.
///
/// Servers do this by themselves; whoever serves a node's connections in memory may spawn it.
pub async fn keep(node: Arc<Node>) {
    if node.keeps_time() {
        let mut ticker = Ticker::new(node);
        loop {
            ticker.tick().await;
        }
    }
}
