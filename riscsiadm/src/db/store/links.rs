//! Links that say which source a node comes from.

use std::collections::HashMap;
use std::path::PathBuf;

use iscsi_proto::portal::Portal;

use super::node::Entry;
use super::{Store, layout};
use crate::db::error::DbError;
use crate::db::file::{self, Batch};
use crate::db::node::{NodeId, Source};

/// All links of the database, by node.
pub(super) struct Links(HashMap<NodeId, Vec<(Source, PathBuf)>>);

impl Links {
    /// Reads the directories of all sources.
    pub(super) fn load(store: &Store) -> Result<Self, DbError> {
        let mut links = HashMap::<NodeId, Vec<(Source, PathBuf)>>::new();
        for (source, dir) in store.source_dirs()? {
            for name in file::names(&dir)? {
                if let Some(id) = layout::parse_link(&name) {
                    links.entry(id).or_default().push((source.clone(), dir.join(name)));
                }
            }
        }
        Ok(Self(links))
    }

    /// The sources of a node.
    pub(super) fn of(&self, id: &NodeId) -> &[(Source, PathBuf)] {
        self.0.get(id).map_or(&[], Vec::as_slice)
    }

    /// Takes a node out of all sources.
    pub(super) fn unlink(&self, batch: &mut Batch<'_>, id: &NodeId) {
        for (_, path) in self.of(id) {
            batch.remove(path.clone());
        }
    }

    /// Leaves a node with one source.
    pub(super) fn relink(
        &self,
        store: &Store,
        batch: &mut Batch<'_>,
        entry: &Entry,
        source: &Source,
    ) -> Result<(), DbError> {
        if matches!(self.of(&entry.id), [(only, _)] if only == source) {
            return Ok(());
        }
        self.unlink(batch, &entry.id);
        if let (Some(name), Some(dir)) = (layout::link(&entry.id), entry.path.parent()) {
            batch.link(store.source_dir(source)?.join(name), dir.to_owned());
        }
        Ok(())
    }
}

impl Store {
    /// The directory of a source, under whatever spelling of its address it has.
    pub(super) fn source_dir(&self, source: &Source) -> Result<PathBuf, DbError> {
        let (kind, portal) = match source {
            Source::SendTargets(portal) => ("send_targets", portal),
            Source::Isns(portal) => ("isns", portal),
            Source::Static => return Ok(self.root.join("static")),
            Source::Firmware => return Ok(self.root.join("fw")),
        };
        let kind = self.root.join(kind);
        let canonical = kind.join(layout::address(portal)?);
        if canonical.is_dir() {
            return Ok(canonical);
        }
        let other = file::names(&kind)?.into_iter().find(|name| layout::parse_address(name).as_ref() == Some(portal));
        Ok(other.map_or(canonical, |name| kind.join(name)))
    }

    /// The directories of all sources that exist, discovery addresses first.
    pub(super) fn source_dirs(&self) -> Result<Vec<(Source, PathBuf)>, DbError> {
        let mut dirs = self.address_dirs("send_targets", Source::SendTargets)?;
        dirs.extend(self.address_dirs("isns", Source::Isns)?);
        dirs.push((Source::Static, self.root.join("static")));
        dirs.push((Source::Firmware, self.root.join("fw")));
        Ok(dirs)
    }

    fn address_dirs(&self, kind: &str, source: fn(Portal) -> Source) -> Result<Vec<(Source, PathBuf)>, DbError> {
        let dir = self.root.join(kind);
        let names = file::names(&dir)?.into_iter();
        let found = names.filter_map(|name| Some((source(layout::parse_address(&name)?), dir.join(name))));
        Ok(found.filter(|(_, path)| path.is_dir()).collect())
    }
}
