//! The same without `async`: calls that return when they are done.
//!
//! There is no thread behind this. The connection is run by whoever calls, for as long as the call lasts; between calls
//! nobody reads, so a target that pings its initiators closes a session that is left alone for too long. Calls of several
//! threads on one session take turns.
//!
//! ```no_run
//! use std::io::Read;
//!
//! use iscsi_initiator::{Initiator, Session, blocking};
//!
//! let initiator = Initiator::new("iqn.2025-01.com.example:host".parse()?);
//! let builder = Session::builder(&initiator, "iqn.2025-01.com.example:disk".parse()?).portal("192.0.2.1".parse()?);
//! let session = blocking::Session::connect(builder)?;
//! let mut lun = session.open(0.into())?;
//! let mut boot_sector = [0; 512];
//! lun.read_exact(&mut boot_sector)?;
//! session.logout()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::future::Future;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use iscsi_proto::portal::Portal;
use iscsi_proto::scsi::{Lun as LunNumber, PortGroups, ReservationType};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{self, Handle, Runtime};
use tokio::time::timeout;

use crate::builder::Builder;
use crate::core::command::{Command, Response};
use crate::core::targets::Targets;
use crate::core::{CommandError, Payload};
use crate::driver::{Connection, beside};
use crate::error::ConnectError;
use crate::io::Cursor;
use crate::lun::{Extent, TransferOptions, ZeroOptions};

/// How long a session that is dropped may take to log out.
const GOODBYE: Duration = Duration::from_secs(1);

/// A session whose calls block. Clones are handles of one session.
///
/// When the last handle is dropped, logical units included, the session is logged out, which may take a second. Call
/// [`Session::logout`] to know how that went.
#[derive(Clone, Debug)]
pub struct Session {
    session: crate::Session,
    engine: Arc<Engine>,
}

/// A logical unit whose calls block, with a position like a file's.
#[derive(Debug)]
pub struct Lun {
    unit: crate::Lun,
    cursor: Cursor,
    engine: Arc<Engine>,
}

/// What runs the connection while somebody calls.
#[derive(Debug)]
struct Engine {
    runtime: Runtime,
    connection: Mutex<Option<Pin<Box<Connection<TcpStream>>>>>,
}

impl Engine {
    /// Runs `call` and the connection on this thread.
    fn run<F: Future>(&self, call: F) -> F::Output {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        self.runtime.block_on(beside(&mut connection, call))
    }
}

impl Drop for Engine {
    /// The last handle of the session has gone, and has left word to log out.
    fn drop(&mut self) {
        let connection = self.connection.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(connection) = connection
            && Handle::try_current().is_err()
        {
            // How it went is for `Session::logout` to tell.
            let _ = self.runtime.block_on(async { timeout(GOODBYE, connection).await });
        }
    }
}

fn new_runtime() -> Result<Runtime, ConnectError> {
    runtime::Builder::new_current_thread().enable_all().build().map_err(ConnectError::Io)
}

/// Asks `portal` which targets it knows. See [`Discovery::send_targets`](crate::Discovery::send_targets).
pub fn send_targets(discovery: &crate::Discovery, portal: &Portal) -> Result<Targets, ConnectError> {
    let runtime = new_runtime()?;
    let result = runtime.block_on(discovery.send_targets(portal));
    // Name resolution that has been given up goes on in a thread, which nobody waits for.
    runtime.shutdown_background();
    result
}

impl Session {
    /// Logs in.
    ///
    /// Panics if it is called from within an async runtime, as all calls here do.
    pub fn connect(builder: Builder) -> Result<Self, ConnectError> {
        let runtime = new_runtime()?;
        match runtime.block_on(builder.connect_unspawned()) {
            Ok((session, connection)) => {
                let connection = Mutex::new(Some(Box::pin(connection)));
                Ok(Self { session, engine: Arc::new(Engine { runtime, connection }) })
            }
            Err(error) => {
                // As for discovery.
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// What is known of the session since login.
    pub fn info(&self) -> &crate::Info {
        self.session.info()
    }

    /// See [`crate::Session::luns`].
    pub fn luns(&self) -> Result<Vec<LunNumber>, CommandError> {
        self.engine.run(self.session.luns())
    }

    /// See [`crate::Session::open`].
    pub fn open(&self, lun: LunNumber) -> Result<Lun, CommandError> {
        let lun = self.engine.run(self.session.open(lun))?;
        let cursor = lun.cursor();
        Ok(Lun { unit: lun, cursor, engine: Arc::clone(&self.engine) })
    }

    /// See [`crate::Session::execute`].
    pub fn execute(&self, lun: LunNumber, command: Command) -> Result<Response, CommandError> {
        self.engine.run(self.session.execute(lun, command))
    }

    /// See [`crate::Session::logout`].
    pub fn logout(&self) -> Result<(), CommandError> {
        self.engine.run(self.session.logout())
    }
}

impl Lun {
    /// Size in bytes.
    pub fn len(&self) -> u64 {
        self.unit.len()
    }

    /// Whether it has no blocks; never so for a unit that was opened.
    pub fn is_empty(&self) -> bool {
        self.unit.is_empty()
    }

    /// Bytes of a logical block.
    pub fn block_size(&self) -> u32 {
        self.unit.block_size()
    }

    /// Fills `buffer` from `offset` on. See [`crate::Lun::read_exact_at`].
    pub fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), CommandError> {
        self.engine.run(self.unit.read_exact_at(offset, buffer))
    }

    /// See [`crate::Lun::read_at`].
    pub fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, CommandError> {
        self.engine.run(self.unit.read_at(offset, length))
    }

    /// See [`crate::Lun::write_at`].
    pub fn write_at(&self, offset: u64, data: impl Into<Payload>) -> Result<(), CommandError> {
        self.engine.run(self.unit.write_at(offset, data))
    }

    /// See [`crate::Lun::write_unaligned_at`].
    pub fn write_unaligned_at(&self, offset: u64, data: Bytes) -> Result<(), CommandError> {
        self.engine.run(self.unit.write_unaligned_at(offset, data))
    }

    /// See [`crate::Lun::flush`].
    pub fn flush(&self) -> Result<(), CommandError> {
        self.engine.run(self.unit.flush())
    }

    /// See [`crate::Lun::write_at_with`].
    pub fn write_at_with(
        &self,
        offset: u64,
        data: impl Into<Payload>,
        options: TransferOptions,
    ) -> Result<(), CommandError> {
        self.engine.run(self.unit.write_at_with(offset, data, options))
    }

    /// See [`crate::Lun::write_zeroes`].
    pub fn write_zeroes(&self, offset: u64, length: u64, options: ZeroOptions) -> Result<(), CommandError> {
        self.engine.run(self.unit.write_zeroes(offset, length, options))
    }

    /// See [`crate::Lun::unmap`].
    pub fn unmap(&self, offset: u64, length: u64) -> Result<(), CommandError> {
        self.engine.run(self.unit.unmap(offset, length))
    }

    /// See [`crate::Lun::verify`].
    pub fn verify(&self, offset: u64, length: u64) -> Result<(), CommandError> {
        self.engine.run(self.unit.verify(offset, length))
    }

    /// See [`crate::Lun::compare_at`].
    pub fn compare_at(&self, offset: u64, data: impl Into<Payload>) -> Result<(), CommandError> {
        self.engine.run(self.unit.compare_at(offset, data))
    }

    /// See [`crate::Lun::write_and_verify`].
    pub fn write_and_verify(&self, offset: u64, data: impl Into<Payload>) -> Result<(), CommandError> {
        self.engine.run(self.unit.write_and_verify(offset, data))
    }

    /// See [`crate::Lun::compare_and_write`].
    pub fn compare_and_write(&self, offset: u64, expected: Bytes, new: Bytes) -> Result<(), CommandError> {
        self.engine.run(self.unit.compare_and_write(offset, expected, new))
    }

    /// The allocation map of a range. See [`crate::Lun::extents`]. An error does not end the iterator: the same extent can be
    /// asked for again.
    pub fn extents(
        &self,
        range: Range<u64>,
    ) -> Result<impl Iterator<Item = Result<Extent, CommandError>> + use<>, CommandError> {
        let mut extents = self.unit.extents(range)?;
        let engine = Arc::clone(&self.engine);
        Ok(std::iter::from_fn(move || engine.run(extents.next())))
    }

    /// See [`crate::Lun::reserve`].
    pub fn reserve(&self, key: u64, kind: ReservationType) -> Result<(), CommandError> {
        self.engine.run(self.unit.reserve(key, kind))
    }

    /// See [`crate::Lun::release`].
    pub fn release(&self, key: u64, kind: ReservationType) -> Result<(), CommandError> {
        self.engine.run(self.unit.release(key, kind))
    }

    /// See [`crate::Lun::port_groups`].
    pub fn port_groups(&self) -> Result<PortGroups, CommandError> {
        self.engine.run(self.unit.port_groups())
    }

    /// Everything else that the unit can be asked: runs a call of the async one.
    ///
    /// ```no_run
    /// # fn example(lun: &iscsi_initiator::blocking::Lun) -> Result<(), iscsi_initiator::core::CommandError> {
    /// let commands = lun.run(async |unit| unit.supported_opcodes().await)?;
    /// # let _ = commands;
    /// # Ok(())
    /// # }
    /// ```
    pub fn run<T>(&self, call: impl AsyncFnOnce(&crate::Lun) -> T) -> T {
        self.engine.run(call(&self.unit))
    }
}

impl Read for Lun {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.engine.run(self.cursor.read(buffer))
    }
}

impl Write for Lun {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.engine.run(self.cursor.write(data))
    }

    /// Has the unit put everything onto stable storage.
    fn flush(&mut self) -> io::Result<()> {
        self.engine.run(self.cursor.flush())
    }
}

impl Seek for Lun {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.engine.run(self.cursor.seek(to))
    }
}
