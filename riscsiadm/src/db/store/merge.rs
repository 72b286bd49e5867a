//! What a discovery brings into the database.

use std::collections::{HashMap, HashSet};
use std::fmt;

use iscsi_proto::name::IscsiName;
use iscsi_proto::portal::{Portal, TargetAddress};
use zeroize::Zeroizing;

use super::links::Links;
use super::node::{Entry, set_source, set_tag};
use super::{Deleted, Store};
use crate::db::error::DbError;
use crate::db::file::Batch;
use crate::db::node::{IfaceName, NodeId, Source};
use crate::db::record::Record;

/// The group of a portal for which a target names none.
const DEFAULT_TAG: u16 = 1;

/// One target of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub target: IscsiName,
    /// Its portals. None at all means the portal that was asked.
    pub addresses: Vec<TargetAddress>,
    /// What new records of it say instead of the defaults.
    pub defaults: Settings,
    /// What all records of it say that this discovery makes or updates.
    pub facts: Settings,
}

/// Keys of node records with their values, some of which are secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings(pub Vec<(&'static str, Zeroizing<String>)>);

impl fmt::Debug for Settings {
    /// Names the keys and no values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(key, _)| key)).finish()
    }
}

impl Found {
    /// A target at these addresses, of which nothing more is known.
    pub fn new(target: IscsiName, addresses: Vec<TargetAddress>) -> Self {
        Self { target, addresses, defaults: Settings::default(), facts: Settings::default() }
    }
}

/// What is done with an answer.
///
/// Records that are missing are added under any of `new`, `update` and `reset`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Leave records that exist as they are.
    pub new: bool,
    /// Note in records that exist that this discovery found them. Settings stay.
    pub update: bool,
    /// Write records that exist anew from the defaults, settings and all.
    pub reset: bool,
    /// Delete records that this address gave earlier and does not give any more.
    pub delete: bool,
}

/// What became of one node of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// There was no record, and there is none.
    Absent,
    /// It got a record.
    Added,
    /// Its record was left as it is.
    Kept,
    /// Its record was told where it comes from, or that its portal group is another.
    Updated,
    /// Its record was written anew.
    Reset,
}

/// What a discovery changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovered {
    /// The nodes of the answer, in its order, each once for every interface.
    pub nodes: Vec<(NodeId, Change)>,
    /// Records that were, or would have been, deleted.
    pub stale: Deleted,
}

impl Policy {
    /// What discovery does unless told otherwise: add, note, delete what is gone; never touch a setting.
    pub const MERGE: Self = Self { new: true, update: true, reset: false, delete: true };

    fn adds(self) -> bool {
        self.new || self.update || self.reset
    }
}

/// The nodes of an answer in its order: each target at each of its portals through each interface, none twice.
pub fn expand(asked: Option<&Portal>, found: &[Found], ifaces: &[IfaceName]) -> Vec<NodeId> {
    let mut seen = HashSet::new();
    let nodes = found.iter().flat_map(|found| {
        let portals = portals(asked, found).into_iter();
        portals.flat_map(move |(portal, tag)| {
            ifaces.iter().map(move |iface| NodeId {
                target: found.target.clone(),
                portal: portal.clone(),
                tag: Some(tag),
                iface: iface.clone(),
            })
        })
    });
    nodes.filter(|id| seen.insert(id.clone())).collect()
}

fn portals(asked: Option<&Portal>, found: &Found) -> Vec<(Portal, u16)> {
    if found.addresses.is_empty() {
        return asked.map(|portal| (portal.clone(), DEFAULT_TAG)).into_iter().collect();
    }
    let address = |address: &TargetAddress| (address.portal.clone(), address.tag.unwrap_or(DEFAULT_TAG));
    found.addresses.iter().map(address).collect()
}

impl Store {
    /// Brings the answer of a discovery into the database.
    ///
    /// `in_use` names nodes with a session, which are not deleted. A record whose portal group was unknown, or changed,
    /// keeps its settings and moves.
    pub fn add_discovered(
        &self,
        source: &Source,
        found: &[Found],
        ifaces: &[IfaceName],
        policy: Policy,
        in_use: &[NodeId],
    ) -> Result<Discovered, DbError> {
        let ids = expand(source.portal(), found, ifaces);
        let records = ifaces.iter().map(|name| Ok((name, self.iface(name)?))).collect::<Result<_, DbError>>()?;
        self.change(|batch| {
            let merge = Merge::new(self, source, (found, &ids), records, policy)?;
            let mut result = Discovered::default();
            for id in &ids {
                result.nodes.push((id.clone(), merge.node(batch, id)?));
            }
            if policy.delete {
                result.stale = self.take_all(batch, &merge.links, merge.stale()?, in_use);
            }
            Ok(result)
        })
    }
}

/// One answer against the database as it was.
struct Merge<'a> {
    store: &'a Store,
    source: &'a Source,
    found: HashMap<(&'a IscsiName, Option<&'a Portal>), &'a Found>,
    ids: &'a [NodeId],
    ifaces: HashMap<&'a IfaceName, Record>,
    policy: Policy,
    links: Links,
    entries: HashMap<(IscsiName, Portal), Vec<Entry>>,
}

impl<'a> Merge<'a> {
    fn new(
        store: &'a Store,
        source: &'a Source,
        (found, ids): (&'a [Found], &'a [NodeId]),
        ifaces: HashMap<&'a IfaceName, Record>,
        policy: Policy,
    ) -> Result<Self, DbError> {
        let portals = |found: &'a Found| {
            let own = found.addresses.iter().map(|address| Some(&address.portal));
            let asked = found.addresses.is_empty().then_some(source.portal());
            own.chain(asked).map(move |portal| ((&found.target, portal), found))
        };
        let mut entries = HashMap::<_, Vec<_>>::new();
        for entry in store.entries()? {
            entries.entry((entry.id.target.clone(), entry.id.portal.clone())).or_default().push(entry);
        }
        let found = found.iter().flat_map(portals).collect();
        Ok(Self { store, source, found, ids, ifaces, policy, links: Links::load(store)?, entries })
    }

    fn node(&self, batch: &mut Batch<'_>, id: &NodeId) -> Result<Change, DbError> {
        let there = self.entries.get(&(id.target.clone(), id.portal.clone())).map_or(&[][..], Vec::as_slice);
        if let Some(entry) = there.iter().find(|entry| entry.id == *id) {
            return self.existing(batch, entry);
        }
        if !self.policy.adds() {
            return Ok(Change::Absent);
        }
        match there.iter().find(|entry| entry.id.iface == id.iface && self.is_superseded(entry)) {
            Some(entry) => self.moved(batch, entry, id),
            None => self.anew(batch, &self.store.place(id)?).map(|()| Change::Added),
        }
    }

    fn existing(&self, batch: &mut Batch<'_>, entry: &Entry) -> Result<Change, DbError> {
        if self.policy.reset {
            return self.anew(batch, entry).map(|()| Change::Reset);
        }
        let Some(record) = entry.read()?.filter(|_| self.policy.update) else {
            return Ok(Change::Kept);
        };
        let mut changed = record.clone();
        set_source(&mut changed, self.source)?;
        self.settle(&mut changed, &entry.id, false)?;
        if changed != record {
            batch.write(entry.path.clone(), changed.to_file().as_bytes())?;
        }
        self.links.relink(self.store, batch, entry, self.source)?;
        Ok(if changed == record { Change::Kept } else { Change::Updated })
    }

    /// Whether the answer knows the portal of this record under another group. One that changed is followed only where
    /// records may be updated.
    fn is_superseded(&self, entry: &Entry) -> bool {
        let known = self.ids.contains(&entry.id);
        !known && (entry.id.tag.is_none() || self.policy.update || self.policy.reset)
    }

    fn moved(&self, batch: &mut Batch<'_>, entry: &Entry, id: &NodeId) -> Result<Change, DbError> {
        let kept = entry.read()?.filter(|_| !self.policy.reset);
        let change = if kept.is_some() { Change::Updated } else { Change::Reset };
        match kept {
            None => self.anew(batch, &self.store.place(id)?)?,
            Some(mut record) => {
                set_tag(&mut record, id)?;
                set_source(&mut record, self.source)?;
                self.settle(&mut record, id, false)?;
                self.store.put(batch, &self.links, &self.store.place(id)?, &record, self.source)?;
            }
        }
        self.store.take(batch, &self.links, entry);
        Ok(change)
    }

    fn anew(&self, batch: &mut Batch<'_>, entry: &Entry) -> Result<(), DbError> {
        let missing = || DbError::NoIface(entry.id.iface.clone());
        let iface = self.ifaces.get(&entry.id.iface).ok_or_else(missing)?;
        let mut record = self.store.fresh(&entry.id, iface, self.source)?;
        self.settle(&mut record, &entry.id, true)?;
        self.store.put(batch, &self.links, entry, &record, self.source)
    }

    /// Writes into a record what the source knows about the node.
    fn settle(&self, record: &mut Record, id: &NodeId, new: bool) -> Result<(), DbError> {
        let Some(found) = self.found.get(&(&id.target, Some(&id.portal))) else { return Ok(()) };
        let defaults = found.defaults.0.iter().filter(|_| new);
        for (key, value) in defaults.chain(&found.facts.0) {
            record.identify(key, value)?;
        }
        Ok(())
    }

    /// The records that came from this source and whose portal is not in the answer.
    fn stale(&self) -> Result<Vec<Entry>, DbError> {
        let answered: HashSet<_> = self.ids.iter().map(|id| (&id.target, &id.portal)).collect();
        let mut owned = self.store.owned_by(&self.links, self.source)?;
        owned.retain(|entry| !answered.contains(&(&entry.id.target, &entry.id.portal)));
        Ok(owned)
    }
}
