use std::fs::File;
use std::os::unix::fs::FileExt;

use tempfile::TempDir;

use crate::lab::{Bundled, Disk, Lab, LabError, Offer, Refused, Role};

const USER: (&str, &str) = ("user", "secret-of-host");
const ITSELF: (&str, &str) = ("target", "secret-of-target");
const MIB: u64 = 1 << 20;
/// The files of the open target: name, size, block size.
const DISKS: [(&str, u64, u32); 3] = [("open", 64 * MIB, 512), ("thin", 16 * MIB, 512), ("big", 16 * MIB, 4096)];
const NAMES: [(Role, &str); 3] = [
    (Role::Open, "iqn.2026-01.org.example:open"),
    (Role::Chap, "iqn.2026-01.org.example:chap"),
    (Role::Mutual, "iqn.2026-01.org.example:mutual"),
];

/// The bundled target as its program.
struct Running {
    target: Bundled,
    dir: TempDir,
}

pub(super) fn start() -> Result<Box<dyn Lab>, LabError> {
    let dir = tempfile::tempdir().map_err(LabError::io("make a directory"))?;
    let mut args = vec!["--target".to_owned(), NAMES[0].1.to_owned()];
    for (number, (name, size, block)) in DISKS.into_iter().enumerate() {
        let path = dir.path().join(name);
        File::create(&path).and_then(|file| file.set_len(size)).map_err(LabError::io("make a disk"))?;
        let thin = if number == 1 { ",thin" } else { "" };
        args.extend(["--lun".to_owned(), format!("file:{},block={block}{thin}", path.display())]);
    }
    let [user, itself] = [USER, ITSELF].map(|(user, secret)| format!("{user}:{secret}"));
    for (_, name) in &NAMES[1..] {
        args.extend(["--target", name, "--lun", "ram:4M", "--chap", &user].map(str::to_owned));
    }
    args.extend(["--mutual-chap".to_owned(), itself]);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    Ok(Box::new(Running { target: Bundled::start(&args)?, dir }))
}

impl Lab for Running {
    fn version(&self) -> String {
        format!("iscsi-target {}", env!("CARGO_PKG_VERSION"))
    }

    fn offers(&self) -> Vec<Offer> {
        let offers = NAMES.map(|(role, name)| Offer::new(role, name, &[self.target.portal()]));
        let [open, chap, mutual] = offers;
        let open = DISKS.iter().zip(0..).fold(open, |offer, (&(name, size, block), lun)| {
            let store = Some(name.to_owned());
            offer.disk(Disk { block, store, thin: name == "thin", ..Disk::new(lun, size) })
        });
        let small = Disk::new(0, 4 * MIB);
        let mutual = mutual.disk(small.clone()).chap(USER.0, USER.1).mutual(ITSELF.0, ITSELF.1);
        vec![open, chap.disk(small).chap(USER.0, USER.1), mutual]
    }

    fn stored(&self, disk: &Disk, offset: u64, length: usize) -> Result<Vec<u8>, Refused> {
        let name = disk.store.as_deref().ok_or(Refused::NotOffered("a disk in the target's memory"))?;
        let mut data = vec![0; length];
        let file = File::open(self.dir.path().join(name));
        file.and_then(|file| file.read_exact_at(&mut data, offset)).map_err(LabError::io("read a disk"))?;
        Ok(data)
    }
}
