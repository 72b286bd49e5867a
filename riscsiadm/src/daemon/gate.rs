//! Logins of one node go one by one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as Turn, MutexGuard};

use crate::db::node::NodeId;
use crate::failure::Failure;

/// A gate for each node.
#[derive(Debug, Default)]
pub(super) struct Gates(Mutex<HashMap<NodeId, Arc<Gate>>>);

/// Lets one login through at a time.
#[derive(Debug, Default)]
pub(super) struct Gate {
    turn: Turn<Option<Failure>>,
    failures: AtomicU64,
}

/// The right to log in.
#[derive(Debug)]
pub(super) struct Entered<'a> {
    gate: &'a Gate,
    last: MutexGuard<'a, Option<Failure>>,
}

impl Gates {
    /// The gate of a node. Its portal group does not count.
    pub(super) fn of(&self, node: &NodeId) -> Arc<Gate> {
        let key = NodeId { tag: None, ..node.clone() };
        Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default())
    }
}

impl Gate {
    /// Waits for its turn. Whoever waited while another's login failed has failed with it: trying the same again, one
    /// after the other, would take as many times as long and help nobody.
    pub(super) async fn enter(&self) -> Result<Entered<'_>, Failure> {
        let before = self.failures.load(Ordering::Acquire);
        let last = self.turn.lock().await;
        match &*last {
            Some(failure) if self.failures.load(Ordering::Acquire) != before => Err(failure.clone()),
            _ => Ok(Entered { gate: self, last }),
        }
    }
}

impl Entered<'_> {
    /// Lets those who wait know that the login has failed.
    pub(super) fn fail(&mut self, failure: &Failure) {
        *self.last = Some(failure.clone());
        self.gate.failures.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::exit::Exit;

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn who_waits_shares_a_failure_and_who_comes_later_tries_anew() {
        let gate = Gate::default();
        let failure = Failure::new(Exit::Login, "no");
        let Poll::Ready(Ok(mut first)) = poll(pin!(gate.enter())) else { panic!() };
        let mut waiting = pin!(gate.enter());
        assert!(poll(waiting.as_mut()).is_pending());
        first.fail(&failure);
        drop(first);
        let Poll::Ready(Err(shared)) = poll(waiting.as_mut()) else { panic!() };
        assert_eq!(shared, failure);
        let Poll::Ready(Ok(second)) = poll(pin!(gate.enter())) else { panic!("the failure is history") };
        let mut waiting = pin!(gate.enter());
        assert!(poll(waiting.as_mut()).is_pending());
        drop(second);
        let Poll::Ready(Ok(_third)) = poll(waiting.as_mut()) else { panic!("nothing failed meanwhile") };
    }

    #[test]
    fn a_node_has_one_gate_whatever_its_portal_group() {
        let gates = Gates::default();
        let node = |portal: &str, tag| NodeId {
            target: "iqn.2001-04.com.example:a".parse().unwrap(),
            portal: portal.parse().unwrap(),
            tag,
            iface: "default".parse().unwrap(),
        };
        let gate = gates.of(&node("10.0.0.1", None));
        assert!(Arc::ptr_eq(&gate, &gates.of(&node("10.0.0.1:3260", Some(1)))));
        assert!(!Arc::ptr_eq(&gate, &gates.of(&node("10.0.0.1:3261", None))));
    }
}
