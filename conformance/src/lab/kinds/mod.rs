//! The labs that can be brought up by name, each with a target for every role that it can play.

mod bundled;
mod ceph;
mod container;
mod isns;
mod istgt;
mod lio;
mod tgt;

use super::{Lab, LabError, build_vm};

/// A kind of lab.
pub struct Kind {
    /// What it is called on the command line and in the table of results.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// Fetches what it needs and the machine lacks, if that can be done without installing anything.
    pub prepare: fn() -> Result<(), LabError>,
    /// Starts one with everything that it can serve.
    pub start: fn() -> Result<Box<dyn Lab>, LabError>,
}

/// All kinds of labs.
pub const KINDS: &[Kind] = &[
    Kind {
        name: "bundled",
        about: "the target of this project, as a program of its own",
        prepare: || Ok(()),
        start: bundled::start,
    },
    Kind {
        name: "tgt",
        about: "tgtd, a target in user space (Debian package tgt)",
        prepare: || Ok(()),
        start: tgt::start,
    },
    Kind {
        name: "container",
        about: "tgtd in a container with two networks (Podman as root)",
        prepare: container::prepare,
        start: container::start,
    },
    Kind {
        name: "lio",
        about: "the Linux kernel's target, in a virtual machine (QEMU)",
        prepare: build_vm,
        start: lio::start,
    },
    Kind {
        name: "istgt",
        about: "istgt, a target in user space with two portals (Debian package istgt)",
        prepare: || Ok(()),
        start: istgt::start,
    },
    Kind {
        name: "isns",
        about: "isnsd, an iSNS server, with targets of istgt (Debian packages open-isns-server, open-isns-utils)",
        prepare: || Ok(()),
        start: isns::start,
    },
    Kind {
        name: "ceph",
        about: "two gateways like those of Ceph, in the same virtual machine (tcmu-runner with a file in place of an RBD image)",
        prepare: build_vm,
        start: ceph::start,
    },
];

/// The kind with this name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}
