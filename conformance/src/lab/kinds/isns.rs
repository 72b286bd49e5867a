use crate::lab::{self, Isns, Lab, LabError, Offer};

/// An iSNS server that knows the targets of an istgt, if there is one on this machine.
struct Running {
    isns: Isns,
    known: Option<Box<dyn Lab>>,
}

pub(super) fn start() -> Result<Box<dyn Lab>, LabError> {
    let isns = lab::isns()?.start()?;
    let known = super::istgt::start().ok();
    let offers: Vec<Offer> = known.iter().flat_map(|lab| lab.offers()).collect();
    if let Some(first) = offers.first() {
        let targets: Vec<&str> = offers.iter().map(|offer| offer.target.as_str()).collect();
        isns.register(&targets, &first.portals)?;
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
        let known: String = self.known.iter().map(|lab| lab.reach()).collect();
        format!("iSNS server: {}\nIt knows:\n{known}", self.isns.server())
    }
}
