//! The database: list, read and change records.
//!
//! ```text
//! nodes/TARGET/ADDRESS,PORT,TAG/IFACE                         a node record
//! nodes/TARGET/ADDRESS,PORT                                   the same while its portal group is unknown
//! send_targets/ADDRESS,PORT/st_config                         a discovery record
//! isns/ADDRESS,PORT/isns_config                               an iSNS record
//! send_targets/ADDRESS,PORT/TARGET,ADDRESS,PORT,TAG,IFACE     a link to a node's directory: found by this discovery
//! static/…  fw/…  isns/ADDRESS,PORT/…                         such links, for the other sources
//! ifaces/IFACE                                                an interface record
//! ```
//!
//! Changes are made one after the other, under a lock. Where open-iscsi has its records that is its own lock too
//! (`/run/lock/iscsi/lock.write`). Reading needs none: a file that was written here is always whole.

mod discovery;
mod iface;
mod layout;
mod links;
mod merge;
mod node;

use std::path::{Path, PathBuf};

pub use discovery::Deleted;
pub use merge::{Change, Discovered, Found, Policy, Settings, expand};

use super::config::Config;
use super::error::DbError;
use super::file::{self, Batch, MAX_RECORD};
use super::keys::Scope;
use super::lock::Lock;
use super::paths::Paths;
use super::record::Record;
use super::rival;

/// A database. Cheap to open; every call looks at the files anew.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    config: Config,
    /// Where open-iscsi's lock is, if it has its records here.
    rival: Option<PathBuf>,
}

impl Store {
    /// The database at `paths`, with the defaults of the `iscsid.conf` there. Nothing needs to exist yet.
    pub fn open(paths: &Paths) -> Result<Self, DbError> {
        Self::at(&paths.db, Config::read(&paths.config)?)
    }

    /// The database below `root`, with these defaults for new records.
    pub fn at(root: &Path, config: Config) -> Result<Self, DbError> {
        let root = std::path::absolute(root).map_err(DbError::io("find", root))?;
        Ok(Self { rival: rival::place(&root), root, config })
    }

    /// The same database, with open-iscsi's lock in `dir`. By default it is in `/run/lock/iscsi` for the databases in
    /// `/var/lib/iscsi` and `/etc/iscsi`, and others do without.
    #[must_use]
    pub fn shared(mut self, dir: &Path) -> Self {
        self.rival = Some(dir.to_owned());
        self
    }

    /// What `iscsid.conf` says.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where the records are.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Runs `work` under the lock, then makes the changes that it listed. `work` sees the files as they were before.
    fn change<T>(&self, work: impl FnOnce(&mut Batch<'_>) -> Result<T, DbError>) -> Result<T, DbError> {
        let _lock = Lock::acquire(&self.root, self.rival.as_deref())?;
        let mut batch = Batch::new(&self.root);
        let result = work(&mut batch)?;
        batch.commit()?;
        Ok(result)
    }
}

/// Reads a record; `None` where there is no file. What a file holds besides is named in the log.
fn load(scope: Scope, path: &Path) -> Result<Option<Record>, DbError> {
    let Some(bytes) = file::read(path, MAX_RECORD)? else {
        return Ok(None);
    };
    let (record, garbage) = Record::parse(scope, &bytes);
    for line in garbage {
        tracing::warn!("{}: {line}", path.display());
    }
    Ok(Some(record))
}

/// Sets all keys or none.
fn apply(record: &Record, changes: &[(String, String)]) -> Result<Record, DbError> {
    let mut changed = record.clone();
    for (key, value) in changes {
        changed.set(key, value)?;
    }
    Ok(changed)
}
