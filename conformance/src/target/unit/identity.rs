//! Who a unit is: INQUIRY and its pages.

use iscsi_proto::name::IscsiName;
use iscsi_proto::scsi::{
    BlockLimits, Designation, Designator, DeviceId, Inquiry, InquiryData, MediumInfo, Peripheral, Provisioning,
    ProvisioningType, Rotation, Sense, SupportedPages, UnitSerial,
};
use sha2::{Digest, Sha256};

use super::Outcome;
use super::block::{MAX_COMPARE_AND_WRITE, MAX_WRITE_SAME};
use super::lu::Unit;
use super::thin::MAX_DESCRIPTORS;

/// The protocol identifier of iSCSI.
const ISCSI: u8 = 5;
/// The number of the only port of a target.
pub(super) const PORT: u16 = 1;
const VENDOR: &str = "RISCSI";
const PRODUCT: &str = "BUNDLED TARGET";
/// SAM-5, SPC-4, SBC-3 and iSCSI, none with a claim to a revision.
const STANDARDS: [u16; 4] = [0x00a0, 0x0460, 0x04c0, 0x0960];

/// Names of a unit that stay the same from run to run.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    target: IscsiName,
    pub(super) group: u16,
    serial: String,
    naa: u64,
}

impl Identity {
    pub(super) fn new(target: &IscsiName, group: u16, index: usize) -> Self {
        let hash = Sha256::digest(format!("{target},{index}"));
        let number = hash.first_chunk().copied().map_or(0, u64::from_be_bytes);
        // The first four bits say that the rest is assigned locally.
        let naa = 3 << 60 | number >> 4;
        Self { target: target.clone(), group, serial: format!("{number:016x}"), naa }
    }

    fn device_id(&self) -> DeviceId {
        DeviceId(vec![
            Designator::unit(Designation::Naa(self.naa.to_be_bytes().to_vec())),
            Designator::unit(Designation::T10 { vendor: VENDOR.into(), specific: self.serial.clone().into_bytes() }),
            Designator::port(ISCSI, Designation::RelativePort(PORT)),
            Designator::port(ISCSI, Designation::PortGroup(self.group)),
            Designator::port(ISCSI, Designation::Name(format!("{},t,0x{:04x}", self.target, self.group))),
        ])
    }
}

/// Answers INQUIRY; without a unit it says that there is none.
pub(super) fn inquiry(command: Inquiry, unit: Option<&Unit>) -> Outcome {
    let data = match (command.page, unit) {
        (None, Some(_)) => standard(),
        (None, None) => InquiryData { peripheral: Peripheral::ABSENT, version: 6, ..InquiryData::default() }.encode(),
        (Some(page), Some(unit)) => match vpd(page, unit) {
            Some(data) => data,
            None => return Outcome::check(Sense::INVALID_FIELD.with_cdb_pointer(2, None)),
        },
        (Some(SupportedPages::CODE), None) => SupportedPages(vec![SupportedPages::CODE]).encode(Peripheral::ABSENT),
        (Some(_), None) => return Outcome::check(Sense::INVALID_FIELD.with_cdb_pointer(2, None)),
    };
    Outcome::cut(data, command.allocation)
}

fn standard() -> Vec<u8> {
    InquiryData {
        peripheral: Peripheral::DISK,
        version: 6,
        hierarchical: true,
        tpgs: 1,
        queueing: true,
        vendor: VENDOR.into(),
        product: PRODUCT.into(),
        revision: "0001".into(),
        standards: STANDARDS.to_vec(),
        ..InquiryData::default()
    }
    .encode()
}

fn vpd(page: u8, unit: &Unit) -> Option<Vec<u8>> {
    let disk = Peripheral::DISK;
    Some(match page {
        SupportedPages::CODE => {
            let mut pages = vec![SupportedPages::CODE, UnitSerial::CODE, DeviceId::CODE];
            pages.extend([BlockLimits::CODE, MediumInfo::CODE, Provisioning::CODE]);
            SupportedPages(pages).encode(disk)
        }
        UnitSerial::CODE => UnitSerial(unit.identity.serial.clone()).encode(disk),
        DeviceId::CODE => unit.identity.device_id().encode(disk),
        BlockLimits::CODE => limits(unit).encode(disk),
        MediumInfo::CODE => MediumInfo { rotation: Rotation::SolidState, ..MediumInfo::default() }.encode(disk),
        Provisioning::CODE => provisioning(unit).encode(disk),
        _ => return None,
    })
}

fn limits(unit: &Unit) -> BlockLimits {
    let mut limits = BlockLimits {
        write_same_non_zero: true,
        compare_and_write: MAX_COMPARE_AND_WRITE,
        max_transfer: unit.max_transfer(),
        optimal_transfer: (1024 * 1024 / unit.block_size).min(unit.max_transfer()),
        write_same: MAX_WRITE_SAME / u64::from(unit.block_size),
        ..BlockLimits::default()
    };
    if unit.thin {
        limits.unmap_blocks = u32::MAX;
        limits.unmap_descriptors = MAX_DESCRIPTORS;
        limits.unmap_granularity = (4096 / unit.block_size).max(1);
        limits.unmap_alignment = Some(0);
    }
    limits
}

fn provisioning(unit: &Unit) -> Provisioning {
    if !unit.thin {
        return Provisioning::default();
    }
    Provisioning {
        unmap: true,
        write_same16: true,
        write_same10: true,
        reads: 1,
        kind: ProvisioningType::Thin,
        ..Provisioning::default()
    }
}
