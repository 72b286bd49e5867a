use crate::lab::{self, Isns, Lab, LabError, Offer};

const TARGETS: [&str; 2] = ["iqn.2026-01.org.example:open", "iqn.2026-01.org.example:portals"];

/// An iSNS server that knows the targets of a target, if there is one on this machine to be known.
struct Running {
    isns: Isns,
    known: Option<Box<dyn Lab>>,
}

pub(super) fn start() -> Result<Box<dyn Lab>, LabError> {
    let isns = lab::isns()?.start()?;
    let known = super::istgt::start().ok();
    for offer in known.iter().flat_map(|lab| lab.offers()).filter(|offer| TARGETS.contains(&offer.target.as_str())) {
        isns.register(&offer.target, &offer.portals)?;
    }
    Ok(Box::new(Running { isns, known }))
}

impl Lab for Running {
    fn version(&self) -> String {
        self.isns.version()
    }

    /// It serves no disks itself.
    fn offers(&self) -> Vec<Offer> {
        Vec::new()
    }

    fn reach(&self) -> String {
        let known =
            self.known.iter().flat_map(|lab| lab.offers()).filter(|offer| TARGETS.contains(&offer.target.as_str()));
        let known: String = known.map(|offer| offer.to_string()).collect();
        format!("iSNS server: {}\nRegistered:\n{known}", self.isns.server())
    }
}
