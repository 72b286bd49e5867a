use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use tempfile::TempDir;

use super::tgt::file;
use crate::lab::{self, Disk, Istgt, Lab, LabError, Lun, Offer, Refused, Role, Target};

const SIZE: u64 = 64 << 20;
const SMALL: u64 = 16 << 20;
const USER: (&str, &str) = ("user", "secret-of-host");
const ITSELF: (&str, &str) = ("target", "secret-of-target");
const HOST: &str = "iqn.2026-01.org.example:host";

const NAMES: [(Role, &str, &str); 6] = [
    (Role::Open, "iqn.2026-01.org.example:open", "open"),
    (Role::Chap, "iqn.2026-01.org.example:chap", "chap"),
    (Role::Mutual, "iqn.2026-01.org.example:mutual", "mutual"),
    (Role::Acl, "iqn.2026-01.org.example:acl", "acl"),
    (Role::Digests, "iqn.2026-01.org.example:digests", "digests"),
    (Role::Portals, "iqn.2026-01.org.example:portals", "portals"),
];

/// An istgt with a target for every role that it can play. All of them are at both portals.
struct Running {
    istgt: Istgt,
    dir: TempDir,
}

pub(super) fn start() -> Result<Box<dyn Lab>, LabError> {
    let mut setup = lab::istgt()?;
    let dir = tempfile::tempdir().map_err(LabError::io("make a directory"))?;
    for (role, name, store) in NAMES {
        let target = Target::new(name).lun(Lun::file(file(&dir, store, size(role))?));
        setup = setup.target(match role {
            Role::Chap => target.chap(USER.0, USER.1),
            Role::Mutual => target.chap(USER.0, USER.1).mutual_chap(ITSELF.0, ITSELF.1),
            Role::Acl => target.admit(HOST),
            Role::Digests => target.param("UseDigest", "Header Data"),
            _ => target,
        });
    }
    Ok(Box::new(Running { istgt: setup.start()?, dir }))
}

fn size(role: Role) -> u64 {
    if role == Role::Open { SIZE } else { SMALL }
}

impl Running {
    fn offer_of(&self, role: Role, name: &str, store: &str) -> Offer {
        let disk = Disk { store: Some(store.to_owned()), ..Disk::new(0, size(role)) };
        let offer = Offer::new(role, name, &self.istgt.portals()).disk(disk);
        match role {
            Role::Chap => offer.chap(USER.0, USER.1),
            Role::Mutual => offer.chap(USER.0, USER.1).mutual(ITSELF.0, ITSELF.1),
            Role::Acl => offer.admit(HOST),
            _ => offer,
        }
    }
}

impl Lab for Running {
    fn version(&self) -> String {
        self.istgt.version()
    }

    fn offers(&self) -> Vec<Offer> {
        NAMES.iter().map(|(role, name, store)| self.offer_of(*role, name, store)).collect()
    }

    fn stored(&self, disk: &Disk, offset: u64, length: usize) -> Result<Vec<u8>, Refused> {
        let name = disk.store.as_deref().ok_or(Refused::NotOffered("a disk without content"))?;
        let mut data = vec![0; length];
        let mut read = |path| -> io::Result<()> { File::open(path)?.read_exact_at(&mut data, offset) };
        read(self.dir.path().join(name)).map_err(LabError::io("read a disk"))?;
        Ok(data)
    }
}
