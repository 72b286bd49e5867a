use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::lab::{self, Disk, Lab, LabError, Lun, Offer, Refused, Role, Target, Tgt};

const SIZE: u64 = 64 << 20;
const THIN: u64 = 16 << 20;
const PLUGGED: u64 = 1 << 20;
const USER: (&str, &str) = ("user", "secret-of-host");
const ITSELF: (&str, &str) = ("target", "secret-of-target");
const HOST: &str = "iqn.2026-01.org.example:host";

/// A tgtd with a target for every role that tgt can play.
struct Running {
    tgt: Tgt,
    dir: TempDir,
}

pub(super) fn start() -> Result<Box<dyn Lab>, LabError> {
    let setup = lab::tgt()?;
    let dir = tempfile::tempdir().map_err(LabError::io("make a directory"))?;
    let setup = targets(&dir)?.into_iter().fold(setup, lab::Setup::target);
    Ok(Box::new(Running { tgt: setup.start()?, dir }))
}

fn targets(dir: &TempDir) -> Result<Vec<Target>, LabError> {
    let [open, chap, mutual, acl, digests] = NAMES.map(|(_, name)| Target::new(name));
    let small = |name: &str| file(dir, name, THIN).map(Lun::file);
    Ok(vec![
        open.param("HeaderDigest", "CRC32C,None")
            .param("DataDigest", "CRC32C,None")
            .lun(Lun::file(file(dir, "open", SIZE)?))
            .lun(small("thin")?.thin())
            .lun(small("big")?.block(4096)),
        chap.lun(small("chap")?).chap(USER.0, USER.1),
        mutual.lun(small("mutual")?).chap(USER.0, USER.1).mutual_chap(ITSELF.0, ITSELF.1),
        acl.lun(small("acl")?).admit(HOST),
        digests.lun(small("digests")?).param("HeaderDigest", "CRC32C").param("DataDigest", "CRC32C"),
    ])
}

const NAMES: [(Role, &str); 5] = [
    (Role::Open, "iqn.2026-01.org.example:open"),
    (Role::Chap, "iqn.2026-01.org.example:chap"),
    (Role::Mutual, "iqn.2026-01.org.example:mutual"),
    (Role::Acl, "iqn.2026-01.org.example:acl"),
    (Role::Digests, "iqn.2026-01.org.example:digests"),
];

pub(super) fn file(dir: &TempDir, name: &str, size: u64) -> Result<PathBuf, LabError> {
    let path = dir.path().join(name);
    File::create(&path).and_then(|file| file.set_len(size)).map_err(LabError::io("make a disk"))?;
    Ok(path)
}

impl Running {
    fn offer_of(&self, role: Role, name: &str) -> Offer {
        let offer = Offer::new(role, name, &[self.tgt.portal()]);
        let disk = |store: &str| Disk { store: Some(store.to_owned()), ..Disk::new(1, THIN) };
        match role {
            Role::Open => offer
                .disk(Disk { size: SIZE, ..disk("open") })
                .disk(Disk { lun: 2, thin: true, ..disk("thin") })
                .disk(Disk { lun: 3, block: 4096, ..disk("big") }),
            Role::Chap => offer.disk(disk("chap")).chap(USER.0, USER.1),
            Role::Mutual => offer.disk(disk("mutual")).chap(USER.0, USER.1).mutual(ITSELF.0, ITSELF.1),
            Role::Acl => offer.disk(disk("acl")).admit(HOST),
            _ => offer.disk(disk("digests")),
        }
    }
}

impl Lab for Running {
    fn version(&self) -> String {
        // tgtadm is of the same package, and prints the number alone.
        let said = lab::tool("tgtadm", "tgt").ok().and_then(|tgtadm| Command::new(tgtadm).arg("-V").output().ok());
        format!("tgt {}", String::from_utf8_lossy(&said.map(|said| said.stdout).unwrap_or_default()).trim())
    }

    fn offers(&self) -> Vec<Offer> {
        NAMES.iter().map(|(role, name)| self.offer_of(*role, name)).collect()
    }

    fn stored(&self, disk: &Disk, offset: u64, length: usize) -> Result<Vec<u8>, Refused> {
        let name = disk.store.as_deref().ok_or(Refused::NotOffered("a disk without content"))?;
        let mut data = vec![0; length];
        let mut read = |path| -> io::Result<()> { File::open(path)?.read_exact_at(&mut data, offset) };
        read(self.dir.path().join(name)).map_err(LabError::io("read a disk"))?;
        Ok(data)
    }

    fn set(&self, target: &str, key: &str, value: &str) -> Result<(), Refused> {
        Ok(self.tgt.update(target, key, value)?)
    }

    fn kick(&self, target: &str) -> Result<(), Refused> {
        self.tgt.kick(target)?;
        Ok(())
    }

    fn serve(&self, target: &str, on: bool) -> Result<(), Refused> {
        Ok(self.tgt.update(target, "state", if on { "ready" } else { "offline" })?)
    }

    fn plug(&self, target: &str, lun: u8, on: bool) -> Result<(), Refused> {
        let path = if on { Some(file(&self.dir, &format!("plugged-{lun}"), PLUGGED)?) } else { None };
        Ok(self.tgt.plug(target, lun.into(), path.as_deref())?)
    }
}
