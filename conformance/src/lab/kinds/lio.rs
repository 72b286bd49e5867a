use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::lab::vm::{self, Vm, vm};
use crate::lab::{Disk, Lab, LabError, Offer, Refused, Role};

const BASE: &str = "iqn.2026-01.org.example";
const HOST: &str = "iqn.2026-01.org.example:host";
const USER: (&str, &str) = ("user", "secret-of-host");
const ITSELF: (&str, &str) = ("target", "secret-of-target");
/// Last byte of the address, and port; `conformance/targets/lio/setup` makes the portals.
const PORTALS: [(u8, u16); 3] = [(15, 3260), (15, 3261), (16, 3260)];
const MIB: u64 = 1 << 20;

/// The kernel's target with everything that it can do, in a virtual machine.
struct Running {
    vm: Vm,
}

pub(super) fn start() -> Result<Box<dyn Lab>, LabError> {
    Ok(Box::new(Running { vm: vm()?.boot("setup", &PORTALS)? }))
}

impl Running {
    fn offer_of(&self, role: Role, name: &str) -> Offer {
        let [one, other, two] = [(15, 3260), (15, 3261), (16, 3260)].map(|(last, port)| self.vm.address(last, port));
        let offer = |portals: &[_]| Offer::new(role, &format!("{BASE}:{name}"), portals);
        let small = Disk::new(0, 4 * MIB);
        match role {
            Role::Open => disks().into_iter().fold(offer(&[one, other]), Offer::disk),
            Role::Chap => offer(&[one]).disk(small).chap(USER.0, USER.1),
            Role::Mutual => offer(&[one]).disk(small).chap(USER.0, USER.1).mutual(ITSELF.0, ITSELF.1),
            Role::Acl => offer(&[one]).disk(Disk::new(0, 16 * MIB)).disk(Disk { lun: 5, ..small }).admit(HOST),
            Role::AclChap => offer(&[one]).disk(small).admit(HOST).chap(USER.0, USER.1).mutual(ITSELF.0, ITSELF.1),
            Role::Alua | Role::Portals => offer(&[one, two]).disk(small),
            _ => offer(&[one]).disk(small),
        }
    }

    /// A script in the words of `conformance/targets/lio/lio`.
    fn words(&self, script: &str) -> Result<String, LabError> {
        self.vm.run(&format!(". /sbin/lio; {script}; exit $FAULTS"))
    }
}

/// The first is a file of the host, the third one of the guest.
fn disks() -> [Disk; 4] {
    let store = |name: &str| Some(name.to_owned());
    [
        Disk { store: store("disk"), thin: true, ..Disk::new(0, vm::DISK) },
        Disk::new(1, 16 * MIB),
        Disk { block: 4096, thin: true, store: store("four"), ..Disk::new(2, 16 * MIB) },
        Disk::new(3, 1024 * MIB),
    ]
}

const NAMES: [(Role, &str); 9] = [
    (Role::Open, "open"),
    (Role::Chap, "chap"),
    (Role::Mutual, "mutual"),
    (Role::Acl, "acl"),
    (Role::AclChap, "aclchap"),
    (Role::Digests, "digests"),
    (Role::Alua, "alua"),
    (Role::Portals, "portals"),
    (Role::Recovery, "recovery"),
];

impl Lab for Running {
    fn version(&self) -> String {
        let release = self.vm.run("uname -r").unwrap_or_default();
        format!("LIO of Linux {release}")
    }

    fn log(&self) -> String {
        self.vm.run("dmesg -c | tail -n 20").unwrap_or_default()
    }

    fn offers(&self) -> Vec<Offer> {
        NAMES.iter().map(|(role, name)| self.offer_of(*role, name)).collect()
    }

    fn stored(&self, disk: &Disk, offset: u64, length: usize) -> Result<Vec<u8>, Refused> {
        let mut data = vec![0; length];
        match disk.store.as_deref() {
            Some("disk") => {
                let file = File::open(self.vm.disk()).and_then(|file| file.read_exact_at(&mut data, offset));
                file.map_err(LabError::io("read the disk"))?;
            }
            Some(name) => data = self.vm.read(&format!("/store/{name}"), offset, length)?,
            None => return Err(Refused::NotOffered("a disk in the target's memory")),
        }
        Ok(data)
    }

    fn set(&self, target: &str, key: &str, value: &str) -> Result<(), Refused> {
        self.words(&format!("tpg {}; param {key} '{value}'", short(target)))?;
        Ok(())
    }

    fn kick(&self, target: &str) -> Result<(), Refused> {
        self.words(&format!("tpg {}; off; on", short(target)))?;
        Ok(())
    }

    fn serve(&self, target: &str, on: bool) -> Result<(), Refused> {
        self.words(&format!("tpg {}; {}", short(target), if on { "on" } else { "off" }))?;
        Ok(())
    }

    fn plug(&self, target: &str, lun: u8, on: bool) -> Result<(), Refused> {
        let name = format!("plugged{lun}");
        let script = if on {
            format!("ramdisk {name} 1; tpg {}; lun {lun} rd_mcp_0/{name}", short(target))
        } else {
            format!("tpg {}; unlun {lun}; rmdir $CORE/rd_mcp_0/{name}", short(target))
        };
        self.words(&script)?;
        Ok(())
    }

    fn alua(&self, target: &str, group: u16, state: u8) -> Result<(), Refused> {
        if short(target) != "alua" {
            return Err(Refused::NotOffered("a target with one port group"));
        }
        self.words(&format!("put {state} $CORE/rd_mcp_0/alua/alua/group{group}/alua_access_state"))?;
        Ok(())
    }
}

fn short(target: &str) -> &str {
    target.rsplit(':').next().unwrap_or(target)
}
