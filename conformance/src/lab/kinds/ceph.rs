use crate::lab::vm::{Vm, vm};
use crate::lab::{Disk, Lab, LabError, Offer, Refused, Role};

const TARGET: &str = "iqn.2026-01.org.example:gateway";
const HOST: &str = "iqn.2026-01.org.example:host";
const USER: (&str, &str) = ("user", "secret-of-host");
/// Last byte of the address, and port, of each gateway; `conformance/targets/lio/ceph` makes them.
const PORTALS: [(u8, u16); 2] = [(15, 3260), (16, 3260)];
const SIZE: u64 = 32 << 20;

/// Two gateways as Ceph has them: tcmu-runner behind the kernel's target, in a virtual machine.
struct Running {
    vm: Vm,
}

pub(super) fn start() -> Result<Box<dyn Lab>, LabError> {
    Ok(Box::new(Running { vm: vm()?.boot("ceph", &PORTALS)? }))
}

impl Lab for Running {
    fn version(&self) -> String {
        let said = self.vm.run("tcmu-runner --version; echo behind LIO of Linux; uname -r").unwrap_or_default();
        said.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn offers(&self) -> Vec<Offer> {
        let portals = PORTALS.map(|(last, port)| self.vm.address(last, port));
        let disk = Disk { store: Some("image".to_owned()), ..Disk::new(0, SIZE) };
        // One target that can play all of these.
        let roles = [Role::Gateways, Role::Alua, Role::AclChap];
        let offer = |role| Offer::new(role, TARGET, &portals).disk(disk.clone()).admit(HOST).chap(USER.0, USER.1);
        roles.map(offer).to_vec()
    }

    fn log(&self) -> String {
        self.vm.run("dmesg -c | tail -n 20; tail -n 5 /var/log/tcmu-runner.log").unwrap_or_default()
    }

    fn stored(&self, disk: &Disk, offset: u64, length: usize) -> Result<Vec<u8>, Refused> {
        let name = disk.store.as_deref().ok_or(Refused::NotOffered("a disk without content"))?;
        Ok(self.vm.read(&format!("/store/{name}"), offset, length)?)
    }

    fn alua(&self, _target: &str, group: u16, state: u8) -> Result<(), Refused> {
        self.vm.run(&format!(
            ". /sbin/lio; put {state} $CORE/user_0/image/alua/group{group}/alua_access_state; exit $FAULTS"
        ))?;
        Ok(())
    }

    fn gateway(&self, _target: &str, group: u16, on: bool) -> Result<(), Refused> {
        let word = if on { "on" } else { "off" };
        self.vm.run(&format!(". /sbin/lio; tpg gateway {group}; {word}; exit $FAULTS"))?;
        Ok(())
    }
}
