//! Interface records.

use std::path::PathBuf;

use super::links::Links;
use super::node::Entry;
use super::{Deleted, Store, apply, load};
use crate::db::error::DbError;
use crate::db::file::{self, Batch, component};
use crate::db::keys::Scope;
use crate::db::node::{IfaceName, NodeId};
use crate::db::record::Record;

/// The sample that packages install.
const SAMPLE: &str = "iface.example";

const HWADDRESS: (&str, &str) = ("iface.hwaddress", "hwaddress");
const NETDEV: (&str, &str) = ("iface.net_ifacename", "net_ifacename");

impl Store {
    /// All interfaces: those that people created, by name, then `default` and `iser`.
    pub fn ifaces(&self) -> Result<Vec<(IfaceName, Record)>, DbError> {
        let mut ifaces = Vec::new();
        for name in self.iface_names()? {
            match self.iface(&name) {
                Ok(record) => ifaces.push((name, record)),
                Err(error) => tracing::warn!("{error}"),
            }
        }
        for name in [IfaceName::default_iface(), IfaceName::iser()] {
            ifaces.push((name.clone(), built_in(&name)?));
        }
        Ok(ifaces)
    }

    /// Reads one interface.
    pub fn iface(&self, name: &IfaceName) -> Result<Record, DbError> {
        if name.is_special() {
            return built_in(name);
        }
        let mut record = load(Scope::Iface, &self.iface_file(name)?)?.ok_or_else(|| DbError::NoIface(name.clone()))?;
        record.identify("iface.iscsi_ifacename", name.as_str())?;
        Ok(record)
    }

    /// The interfaces that a discovery binds its nodes to where nobody said which: all that people created for TCP, or
    /// `default` where there is none.
    pub fn binding_ifaces(&self) -> Result<Vec<IfaceName>, DbError> {
        let created = self.ifaces()?.into_iter().filter(|(name, _)| !name.is_special());
        let tcp = created.filter(|(_, record)| record.get("iface.transport_name") == "tcp");
        let names: Vec<_> = tcp.map(|(name, _)| name).collect();
        Ok(if names.is_empty() { vec![IfaceName::default_iface()] } else { names })
    }

    /// Creates an interface with these keys set, in place of one that exists. Nodes that are bound to it follow.
    pub fn new_iface(&self, name: &IfaceName, changes: &[(String, String)]) -> Result<(), DbError> {
        self.change(|batch| {
            refuse_special(name, "modified")?;
            let record = apply_bound(&blank(name, "tcp")?, changes)?;
            self.put_iface(batch, name, &record)
        })
    }

    /// Sets keys of an interface, all or none. Nodes that are bound to it follow.
    pub fn update_iface(&self, name: &IfaceName, changes: &[(String, String)]) -> Result<(), DbError> {
        self.change(|batch| {
            refuse_special(name, "modified")?;
            let record = apply_bound(&self.iface(name)?, changes)?;
            self.put_iface(batch, name, &record)
        })
    }

    /// Deletes an interface with all nodes that are bound to it. If `in_use` names one of them, nothing is deleted.
    pub fn delete_iface(&self, name: &IfaceName, in_use: &[NodeId]) -> Result<Deleted, DbError> {
        self.change(|batch| {
            refuse_special(name, "deleted")?;
            self.iface(name)?;
            let bound = self.bound(name)?;
            let used = |entry: &&Entry| in_use.iter().any(|used| used.is_same(&entry.id));
            let in_use: Vec<_> = bound.iter().filter(used).map(|entry| entry.id.clone()).collect();
            if !in_use.is_empty() {
                return Ok(Deleted { in_use, ..Deleted::default() });
            }
            batch.remove(self.iface_file(name)?);
            Ok(self.take_all(batch, &Links::load(self)?, bound, &[]))
        })
    }

    fn put_iface(&self, batch: &mut Batch<'_>, name: &IfaceName, record: &Record) -> Result<(), DbError> {
        batch.write(self.iface_file(name)?, record.to_file().as_bytes())?;
        for entry in self.bound(name)? {
            if let Some(mut node) = entry.read()? {
                node.bind(record);
                batch.write(entry.path, node.to_file().as_bytes())?;
            }
        }
        Ok(())
    }

    fn bound(&self, name: &IfaceName) -> Result<Vec<Entry>, DbError> {
        Ok(self.entries()?.into_iter().filter(|entry| entry.id.iface == *name).collect())
    }

    fn iface_names(&self) -> Result<Vec<IfaceName>, DbError> {
        let names = file::names(&self.root.join("ifaces"))?.into_iter();
        let names = names.filter(|name| name != SAMPLE).filter_map(|name| name.parse::<IfaceName>().ok());
        Ok(names.filter(|name| !name.is_special()).collect())
    }

    fn iface_file(&self, name: &IfaceName) -> Result<PathBuf, DbError> {
        Ok(self.root.join("ifaces").join(component(name.as_str())?))
    }
}

fn built_in(name: &IfaceName) -> Result<Record, DbError> {
    blank(name, if *name == IfaceName::iser() { "iser" } else { "tcp" })
}

fn blank(name: &IfaceName, transport: &str) -> Result<Record, DbError> {
    let mut record = Record::new(Scope::Iface);
    record.identify("iface.iscsi_ifacename", name.as_str())?;
    record.identify("iface.transport_name", transport)?;
    Ok(record)
}

fn refuse_special(name: &IfaceName, verb: &'static str) -> Result<(), DbError> {
    if name.is_special() { Err(DbError::SpecialIface { iface: name.clone(), verb }) } else { Ok(()) }
}

/// Sets keys, as long as the interface stays bound in one way.
fn apply_bound(record: &Record, changes: &[(String, String)]) -> Result<Record, DbError> {
    let changed = apply(record, changes)?;
    for (old, new) in [(HWADDRESS, NETDEV), (NETDEV, HWADDRESS)] {
        let both = !changed.get(old.0).is_empty() && !changed.get(new.0).is_empty();
        if both && !record.get(old.0).is_empty() {
            return Err(DbError::Binding { from: old.1, to: new.1 });
        }
    }
    if changed.get(HWADDRESS.0).is_empty() || changed.get(NETDEV.0).is_empty() {
        return Ok(changed);
    }
    Err(DbError::Binding { from: HWADDRESS.1, to: NETDEV.1 })
}
