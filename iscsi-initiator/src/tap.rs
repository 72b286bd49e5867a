//! Seeing what goes over the wire, for traces.

use std::fmt;
use std::net::SocketAddr;

/// Is told of every connection that a [`Builder`](crate::Builder) or a [`Discovery`](crate::Discovery) makes.
///
/// What is seen are the bytes as they are: what proves a secret in login is among them, and so is the data of commands.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// use iscsi_initiator::tap::{Direction, Ends, Tap, Wire};
///
/// #[derive(Clone, Debug, Default)]
/// struct Count(Arc<AtomicUsize>);
///
/// impl Tap for Count {
///     fn connected(&self, _: Option<Ends>) -> Box<dyn Wire> {
///         Box::new(self.clone())
///     }
/// }
///
/// impl Wire for Count {
///     fn saw(&mut self, _: Direction, bytes: &[u8]) {
///         self.0.fetch_add(bytes.len(), Ordering::Relaxed);
///     }
/// }
///
/// # use iscsi_initiator::{Discovery, Initiator};
/// let initiator = Initiator::new("iqn.2025-01.com.example:host".parse()?);
/// let discovery = Discovery::new(&initiator).tap(Arc::new(Count::default()));
/// # drop(discovery);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Tap: fmt::Debug + Send + Sync {
    /// A connection was made. `ends` is `None` for a transport of the caller's.
    ///
    /// This and all that follows is called on the task of the connection: what takes long holds it up.
    fn connected(&self, ends: Option<Ends>) -> Box<dyn Wire>;
}

/// Is told what goes over one connection, in order. It is dropped when the connection is closed.
pub trait Wire: Send {
    /// These bytes went this way: as many as one call of the transport took or gave. No bytes that were received mean
    /// that the target has ended its side.
    fn saw(&mut self, direction: Direction, bytes: &[u8]);
}

/// Which way bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the initiator to the target.
    Sent,
    /// From the target to the initiator.
    Received,
}

/// The two ends of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ends {
    /// The initiator's.
    pub local: SocketAddr,
    /// The target's.
    pub peer: SocketAddr,
}
