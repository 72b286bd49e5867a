//! Discovery records, and which nodes came from which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::links::Links;
use super::node::{Entry, source};
use super::{Store, apply, layout, load};
use crate::db::error::DbError;
use crate::db::file::{self, Batch};
use crate::db::keys::Scope;
use crate::db::node::{NodeId, Source};
use crate::db::record::Record;

/// What became of records that were to be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// They are gone.
    pub deleted: Vec<NodeId>,
    /// A session uses them, so they were kept.
    pub in_use: Vec<NodeId>,
}

impl Store {
    /// The addresses that have a discovery record, `SendTargets` first, each kind in the order of its names.
    pub fn discoveries(&self) -> Result<Vec<Source>, DbError> {
        let dirs = self.source_dirs()?.into_iter();
        let has_record = |source: &Source| self.discovery_file(source).is_ok_and(|(_, path)| path.is_file());
        Ok(dirs.map(|(source, _)| source).filter(has_record).collect())
    }

    /// Reads the record of a discovery address. Static nodes and the firmware have none.
    pub fn discovery(&self, source: &Source) -> Result<Record, DbError> {
        let (scope, path) = self.discovery_file(source)?;
        load(scope, &path)?.ok_or_else(|| absent(source))
    }

    /// Creates the record of a discovery address from the defaults, in place of one that exists.
    pub fn new_discovery(&self, source: &Source) -> Result<Record, DbError> {
        self.change(|batch| self.create(batch, source))
    }

    /// Reads the record of a discovery address, and creates it from the defaults where there is none.
    pub fn ensure_discovery(&self, source: &Source) -> Result<Record, DbError> {
        self.change(|batch| match self.discovery(source) {
            Err(DbError::NoDiscovery(_)) => self.create(batch, source),
            found => found,
        })
    }

    /// Sets keys of a discovery record, all or none.
    pub fn update_discovery(&self, source: &Source, changes: &[(String, String)]) -> Result<(), DbError> {
        self.change(|batch| {
            let (_, path) = self.discovery_file(source)?;
            let changed = apply(&self.discovery(source)?, changes)?;
            batch.write(path, changed.to_file().as_bytes())
        })
    }

    /// Deletes a discovery record with all nodes that came from it, except those that `in_use` names. While there is one
    /// of these, the discovery record stays too.
    pub fn delete_discovery(&self, source: &Source, in_use: &[NodeId]) -> Result<Deleted, DbError> {
        self.change(|batch| {
            self.discovery(source)?;
            let links = Links::load(self)?;
            let owned = self.owned_by(&links, source)?;
            let result = self.take_all(batch, &links, owned, in_use);
            if result.in_use.is_empty() {
                self.clear_source(batch, source)?;
            }
            Ok(result)
        })
    }

    /// All nodes by where they came from: what links say, and what the records say. A node may come from several sources.
    /// Every discovery address that has a record is there, with or without nodes.
    pub fn by_source(&self) -> Result<BTreeMap<Source, Vec<NodeId>>, DbError> {
        let links = Links::load(self)?;
        let mut all: BTreeMap<Source, Vec<NodeId>> =
            self.discoveries()?.into_iter().map(|source| (source, Vec::new())).collect();
        for entry in self.entries()? {
            for source in sources(&links, &entry)? {
                all.entry(source).or_default().push(entry.id.clone());
            }
        }
        Ok(all)
    }

    /// Where the record of a node says that it came from.
    pub fn source_of(&self, id: &NodeId) -> Result<Option<Source>, DbError> {
        Ok(source(&self.node(id)?))
    }

    /// The records that came from one source.
    pub(super) fn owned_by(&self, links: &Links, source: &Source) -> Result<Vec<Entry>, DbError> {
        let mut owned = Vec::new();
        for entry in self.entries()? {
            if sources(links, &entry)?.contains(source) {
                owned.push(entry);
            }
        }
        Ok(owned)
    }

    /// Removes records, except those in use.
    pub(super) fn take_all(
        &self,
        batch: &mut Batch<'_>,
        links: &Links,
        entries: Vec<Entry>,
        in_use: &[NodeId],
    ) -> Deleted {
        let mut result = Deleted::default();
        for entry in entries {
            if in_use.iter().any(|used| used.is_same(&entry.id)) {
                result.in_use.push(entry.id);
            } else {
                self.take(batch, links, &entry);
                result.deleted.push(entry.id);
            }
        }
        result
    }

    fn create(&self, batch: &mut Batch<'_>, source: &Source) -> Result<Record, DbError> {
        let (scope, path) = self.discovery_file(source)?;
        let portal = source.portal().ok_or_else(|| absent(source))?;
        let mut record = self.config.record(scope);
        record.identify("discovery.sendtargets.address", &portal.host.to_string())?;
        record.identify("discovery.sendtargets.port", &portal.port.to_string())?;
        batch.write(path, record.to_file().as_bytes())?;
        Ok(record)
    }

    /// Removes a discovery record, and links that lead nowhere any more.
    fn clear_source(&self, batch: &mut Batch<'_>, source: &Source) -> Result<(), DbError> {
        let dir = self.source_dir(source)?;
        for name in file::names(&dir)?.into_iter().filter(|name| layout::parse_link(name).is_some()) {
            batch.remove(dir.join(name));
        }
        batch.remove(self.discovery_file(source)?.1);
        batch.prune(dir);
        Ok(())
    }

    fn discovery_file(&self, source: &Source) -> Result<(Scope, PathBuf), DbError> {
        let (scope, name) = match source {
            Source::SendTargets(_) => (Scope::SendTargets, "st_config"),
            Source::Isns(_) => (Scope::Isns, "isns_config"),
            Source::Static | Source::Firmware => return Err(absent(source)),
        };
        Ok((scope, self.source_dir(source)?.join(name)))
    }
}

fn sources(links: &Links, entry: &Entry) -> Result<BTreeSet<Source>, DbError> {
    let linked = links.of(&entry.id).iter().map(|(source, _)| source.clone());
    Ok(linked.chain(entry.read()?.as_ref().and_then(source)).collect())
}

fn absent(source: &Source) -> DbError {
    source.portal().map_or(DbError::NoRecords, |portal| DbError::NoDiscovery(portal.clone()))
}
