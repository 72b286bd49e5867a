//! Node records.

use std::path::PathBuf;

use iscsi_proto::name::IscsiName;
use iscsi_proto::portal::{Host, Portal};

use super::links::Links;
use super::{Store, apply, layout, load};
use crate::db::error::DbError;
use crate::db::file::{self, Batch, component};
use crate::db::keys::Scope;
use crate::db::node::{Filter, IfaceName, NodeId, Source};
use crate::db::record::Record;

/// A node record and its file.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: NodeId,
    pub(super) path: PathBuf,
}

impl Entry {
    /// Reads the record; `None` if the file vanished meanwhile.
    pub(super) fn read(&self) -> Result<Option<Record>, DbError> {
        load(Scope::Node, &self.path)
    }
}

impl Store {
    /// All node records, in the order that they are listed in: by the names of their directories.
    pub fn nodes(&self) -> Result<Vec<NodeId>, DbError> {
        Ok(self.entries()?.into_iter().map(|entry| entry.id).collect())
    }

    /// The node records that match, hosts compared as text. There may be none.
    pub fn find(&self, filter: &Filter) -> Result<Vec<NodeId>, DbError> {
        self.find_with(filter, &|a, b| a == b)
    }

    /// The node records that match, hosts compared by `same_host`. No lock is held meanwhile.
    pub fn find_with(&self, filter: &Filter, same_host: &dyn Fn(&Host, &Host) -> bool) -> Result<Vec<NodeId>, DbError> {
        let mut found = Vec::new();
        for entry in self.entries()? {
            if filter.matches(&entry.id, same_host) && has_transport(&entry, filter)? {
                found.push(entry.id);
            }
        }
        Ok(found)
    }

    /// Reads one record.
    pub fn node(&self, id: &NodeId) -> Result<Record, DbError> {
        let entry = self.entry(id)?.ok_or(DbError::NoRecords)?;
        entry.read()?.ok_or(DbError::NoRecords)
    }

    /// Creates a static record from the defaults, in place of one that exists, and says which records were written.
    ///
    /// Where the portal group is not given, records of the same portal that know it are meant, if there are any. Records
    /// of other interfaces are left alone.
    pub fn new_node(&self, id: &NodeId) -> Result<Vec<NodeId>, DbError> {
        let iface = self.iface(&id.iface)?;
        self.change(|batch| {
            let links = Links::load(self)?;
            let existing = self.entries_of(&id.target)?;
            let written = meant(id, &existing);
            for id in &written {
                let entry = existing.iter().find(|entry| entry.id == *id).cloned();
                let entry = entry.map_or_else(|| self.place(id), Ok)?;
                let record = self.fresh(id, &iface, &Source::Static)?;
                self.put(batch, &links, &entry, &record, &Source::Static)?;
            }
            let superseded = |entry: &&Entry| id.tag.is_some() && entry.id.tag.is_none() && entry.id.is_same(id);
            for entry in existing.iter().filter(superseded) {
                self.take(batch, &links, entry);
            }
            Ok(written)
        })
    }

    /// Sets keys of one record, all or none.
    pub fn update_node(&self, id: &NodeId, changes: &[(String, String)]) -> Result<(), DbError> {
        self.change(|batch| {
            let entry = self.entry(id)?.ok_or(DbError::NoRecords)?;
            let record = entry.read()?.ok_or(DbError::NoRecords)?;
            let changed = apply(&record, changes)?;
            batch.write(entry.path, changed.to_file().as_bytes())
        })
    }

    /// Deletes one record. Whether a session uses it is for the caller to know.
    pub fn delete_node(&self, id: &NodeId) -> Result<(), DbError> {
        self.change(|batch| {
            let entry = self.entry(id)?.ok_or(DbError::NoRecords)?;
            self.take(batch, &Links::load(self)?, &entry);
            Ok(())
        })
    }

    /// All records with their paths, in listing order.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, DbError> {
        let mut entries = Vec::new();
        for name in file::names(&self.nodes_dir())? {
            match name.parse() {
                Ok(target) => self.list_target(&name, &target, &mut entries)?,
                Err(error) => tracing::warn!("{}: {error}", self.nodes_dir().join(name).display()),
            }
        }
        Ok(entries)
    }

    /// The records of one target, whatever spelling its directory has.
    pub(super) fn entries_of(&self, target: &IscsiName) -> Result<Vec<Entry>, DbError> {
        let mut entries = Vec::new();
        for name in file::names(&self.nodes_dir())? {
            if name.parse().is_ok_and(|name: IscsiName| name == *target) {
                self.list_target(&name, target, &mut entries)?;
            }
        }
        Ok(entries)
    }

    /// A new record: the defaults, and what identifies it.
    pub(super) fn fresh(&self, id: &NodeId, iface: &Record, source: &Source) -> Result<Record, DbError> {
        let mut record = self.config.record(Scope::Node);
        record.bind(iface);
        record.identify("node.name", id.target.as_written())?;
        record.identify("iface.iscsi_ifacename", id.iface.as_str())?;
        record.identify("node.conn[0].address", &id.portal.host.to_string())?;
        record.identify("node.conn[0].port", &id.portal.port.to_string())?;
        set_tag(&mut record, id)?;
        set_source(&mut record, source)?;
        Ok(record)
    }

    /// Writes a record with its link.
    pub(super) fn put(
        &self,
        batch: &mut Batch<'_>,
        links: &Links,
        entry: &Entry,
        record: &Record,
        source: &Source,
    ) -> Result<(), DbError> {
        batch.write(entry.path.clone(), record.to_file().as_bytes())?;
        links.relink(self, batch, entry, source)
    }

    /// Removes a record with its links, and directories that are empty then.
    pub(super) fn take(&self, batch: &mut Batch<'_>, links: &Links, entry: &Entry) {
        links.unlink(batch, &entry.id);
        batch.remove(entry.path.clone());
        let nodes = self.nodes_dir();
        for dir in entry.path.ancestors().skip(1).take_while(|dir| *dir != nodes) {
            batch.prune(dir.to_owned());
        }
    }

    /// Looks a record up: where it is expected, else under other spellings.
    pub(super) fn entry(&self, id: &NodeId) -> Result<Option<Entry>, DbError> {
        if id.tag.is_some() {
            let path = self.target_dir(id)?.join(layout::portal(&id.portal, id.tag)?).join(id.iface.as_str());
            if path.is_file() {
                return Ok(Some(Entry { id: id.clone(), path }));
            }
        }
        Ok(self.entries_of(&id.target)?.into_iter().find(|entry| entry.id == *id))
    }

    /// Where a new record goes. While the group is not known that is a file named after the portal, as open-iscsi has it;
    /// a second interface goes beside it.
    pub(super) fn place(&self, id: &NodeId) -> Result<Entry, DbError> {
        let dir = self.target_dir(id)?;
        let short = dir.join(layout::address(&id.portal)?);
        let iface = component(id.iface.as_str())?;
        let path = match id.tag {
            None if short.is_dir() => short.join(iface),
            None if !short.exists() => short,
            tag => dir.join(layout::portal(&id.portal, tag)?).join(iface),
        };
        Ok(Entry { id: id.clone(), path })
    }

    fn target_dir(&self, id: &NodeId) -> Result<PathBuf, DbError> {
        let nodes = self.nodes_dir();
        let canonical = nodes.join(component(id.target.as_written())?);
        if canonical.is_dir() {
            return Ok(canonical);
        }
        let same = |name: &String| name.parse().is_ok_and(|name: IscsiName| name == id.target);
        Ok(file::names(&nodes)?.into_iter().find(same).map_or(canonical, |name| nodes.join(name)))
    }

    fn nodes_dir(&self) -> PathBuf {
        self.root.join("nodes")
    }

    fn list_target(&self, dir: &str, target: &IscsiName, entries: &mut Vec<Entry>) -> Result<(), DbError> {
        let dir = self.nodes_dir().join(dir);
        for name in file::names(&dir)? {
            let path = dir.join(&name);
            let Some((portal, tag)) = layout::parse_portal(&name) else {
                tracing::warn!("{} is passed over: it is not ADDRESS,PORT,TAG", path.display());
                continue;
            };
            for (iface, path) in list_portal(path)? {
                let id = NodeId { target: target.clone(), portal: portal.clone(), tag, iface };
                entries.push(Entry { id, path });
            }
        }
        Ok(())
    }
}

/// The records of one portal: files in its directory, or a file in its place.
fn list_portal(path: PathBuf) -> Result<Vec<(IfaceName, PathBuf)>, DbError> {
    if path.is_file() {
        let record = load(Scope::Node, &path)?;
        let iface = record.and_then(|record| record.get("iface.iscsi_ifacename").parse().ok());
        return Ok(iface.map(|iface| (iface, path)).into_iter().collect());
    }
    let names = file::names(&path)?.into_iter();
    let found = names.filter_map(|name| Some((name.parse().ok()?, path.join(name))));
    Ok(found.filter(|(_, path)| path.is_file()).collect())
}

/// Which records a person means who creates `id`.
fn meant(id: &NodeId, existing: &[Entry]) -> Vec<NodeId> {
    if id.tag.is_some() {
        return vec![id.clone()];
    }
    let same: Vec<NodeId> =
        existing.iter().filter(|entry| entry.id.is_same(id)).map(|entry| entry.id.clone()).collect();
    if !same.is_empty() {
        return same;
    }
    let tag = existing.iter().filter(|entry| entry.id.is_same_portal(id)).find_map(|entry| entry.id.tag);
    vec![NodeId { tag, ..id.clone() }]
}

fn has_transport(entry: &Entry, filter: &Filter) -> Result<bool, DbError> {
    let Some(transport) = filter.transport.as_deref().filter(|_| entry.id.iface != IfaceName::default_iface()) else {
        return Ok(true);
    };
    Ok(entry.read()?.is_some_and(|record| record.get("iface.transport_name") == transport))
}

/// Writes the portal group into a record.
pub(super) fn set_tag(record: &mut Record, id: &NodeId) -> Result<(), DbError> {
    let tag = id.tag.map_or(-1, i32::from);
    Ok(record.identify("node.tpgt", &tag.to_string())?)
}

/// Writes into a record where it comes from.
pub(super) fn set_source(record: &mut Record, source: &Source) -> Result<(), DbError> {
    let (host, port) = source.portal().map_or((String::new(), 0), |portal| (portal.host.to_string(), portal.port));
    record.identify("node.discovery_address", &host)?;
    record.identify("node.discovery_port", &port.to_string())?;
    Ok(record.identify("node.discovery_type", source.word())?)
}

/// Where a record says that it comes from, if it does.
pub(super) fn source(record: &Record) -> Option<Source> {
    let portal = || {
        let host = record.explicit("node.discovery_address")?.parse().ok()?;
        Some(Portal::new(host, u16::try_from(record.number("node.discovery_port")).ok()?))
    };
    match record.explicit("node.discovery_type")? {
        "send_targets" => portal().map(Source::SendTargets),
        "isns" => portal().map(Source::Isns),
        "static" => Some(Source::Static),
        "fw" => Some(Source::Firmware),
        _ => None,
    }
}
