//! MODE SENSE and MODE SELECT (SPC-5). The only thing that can be changed is SWP of the control page.

use std::sync::Arc;

use iscsi_proto::scsi::{
    BlockDescriptor, Caching, Control, ModeData, ModePage, ModeSelect, ModeSense, PageControl, Sense, SenseKey,
};

use super::Outcome;
use super::block;
use super::device::Begin;
use super::lu::Unit;
use super::nexus::Nexus;
use super::receiver::{Job, Then};
use crate::target::config::Store;

/// 05/39/00: parameters cannot be saved.
const NOT_SAVED: Sense = Sense::new(SenseKey::IllegalRequest, 0x39, 0x00);
/// 06/2A/01: mode parameters changed.
const CHANGED: Sense = Sense::new(SenseKey::UnitAttention, 0x2a, 0x01);
const ALL_SUBPAGES: u8 = 0xff;
/// QUEUE ALGORITHM MODIFIER 1 in its byte of the control page: simple commands may be reordered without limit.
const UNRESTRICTED: u8 = 0x10;

pub(super) fn sense(unit: &Unit, command: ModeSense) -> Result<Outcome, Sense> {
    if command.control == PageControl::Saved {
        return Err(NOT_SAVED);
    }
    let subpages = command.subpage == 0 || (command.subpage == ALL_SUBPAGES && command.page == ModeSense::ALL_PAGES);
    let mut pages = pages(unit, command.control);
    pages.retain(|page| command.page == ModeSense::ALL_PAGES || page.code == command.page);
    if pages.is_empty() || !subpages {
        return Err(Sense::INVALID_FIELD.with_cdb_pointer(2, Some(5)));
    }
    let data = ModeData {
        medium_type: 0,
        write_protected: unit.check_writable().is_err(),
        dpofua: true,
        descriptor: (!command.no_descriptors).then(|| descriptor(unit)),
        pages,
    };
    let data = data.encode(command.ten).map_err(|_| Sense::INVALID_FIELD)?;
    Ok(Outcome::cut(data, command.allocation))
}

pub(super) fn begin_select(unit: &Arc<Unit>, nexus: &Arc<Nexus>, command: ModeSelect) -> Result<Begin, Sense> {
    if command.save || !command.page_format {
        return Err(Sense::INVALID_FIELD.with_cdb_pointer(1, Some(if command.save { 0 } else { 4 })));
    }
    if command.length == 0 {
        return Ok(Begin::Done(Outcome::good()));
    }
    let job = Job::Gather { data: Vec::new(), then: Then::ModeSelect(command) };
    Ok(block::receive(unit, nexus, command.length.into(), job))
}

pub(super) fn select(unit: &Unit, nexus: &Nexus, command: ModeSelect, data: &[u8]) -> Result<(), Sense> {
    let data = ModeData::parse_select(data, command.ten).map_err(|error| error.sense())?;
    let same_blocks = |given: BlockDescriptor| {
        let own = descriptor(unit);
        given.block_len == own.block_len && (given.blocks == 0 || given.blocks == own.blocks)
    };
    if !data.descriptor.is_none_or(same_blocks) || !data.pages.iter().all(|page| is_acceptable(unit, page)) {
        return Err(Sense::INVALID_PARAMETER);
    }
    if let Some(control) = data.control()
        && control.software_protect() != unit.software_protect()
    {
        unit.set_software_protect(control.software_protect());
        unit.tell_others(nexus, CHANGED);
    }
    Ok(())
}

/// Whether a page differs from what is in force in nothing but SWP.
fn is_acceptable(unit: &Unit, page: &ModePage) -> bool {
    let mut page = page.clone();
    if let Some(mut control) = Control::from_page(&page) {
        control.set_software_protect(unit.software_protect());
        page = control.to_page();
    }
    pages(unit, PageControl::Current).contains(&page)
}

fn pages(unit: &Unit, control: PageControl) -> Vec<ModePage> {
    vec![caching(unit, control), control_page(unit, control)]
}

fn caching(unit: &Unit, control: PageControl) -> ModePage {
    let mut page = Caching::default();
    // What was written to a file stays in the page cache of the host until it is flushed.
    page.set_write_cache(control != PageControl::Changeable && matches!(unit.store, Store::File(_)));
    page.to_page()
}

fn control_page(unit: &Unit, control: PageControl) -> ModePage {
    let mut page = Control::default();
    page.set_software_protect(match control {
        PageControl::Changeable => true,
        PageControl::Current => unit.software_protect(),
        PageControl::Default | PageControl::Saved => false,
    });
    let mut page = page.to_page();
    if control != PageControl::Changeable
        && let Some(byte) = page.bytes.get_mut(1)
    {
        *byte = UNRESTRICTED;
    }
    page
}

fn descriptor(unit: &Unit) -> BlockDescriptor {
    BlockDescriptor { blocks: unit.blocks, block_len: unit.block_size }
}
