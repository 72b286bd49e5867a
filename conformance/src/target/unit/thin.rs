//! Blocks without space behind them: UNMAP and GET LBA STATUS (SBC-4).

use std::sync::Arc;

use iscsi_proto::scsi::{GetLbaStatus, LbaExtent, LbaRange, LbaState, LbaStatus, Sense, Unmap, UnmapList};

use super::Outcome;
use super::block;
use super::device::Begin;
use super::lu::{self, Unit};
use super::nexus::Nexus;
use super::receiver::{Job, Then};

/// Descriptors that one UNMAP may have.
pub(super) const MAX_DESCRIPTORS: u32 = 256;
/// Extents that one GET LBA STATUS returns at most.
const MAX_EXTENTS: u32 = 256;

pub(super) fn begin_unmap(unit: &Arc<Unit>, nexus: &Arc<Nexus>, command: Unmap) -> Result<Begin, Sense> {
    if !unit.thin {
        return Err(Sense::INVALID_OPCODE);
    }
    unit.check_writable()?;
    if command.anchor {
        return Err(Sense::INVALID_FIELD.with_cdb_pointer(1, Some(0)));
    }
    if command.length == 0 {
        return Ok(Begin::Done(Outcome::good()));
    }
    let job = Job::Gather { data: Vec::new(), then: Then::Unmap };
    Ok(block::receive(unit, nexus, command.length.into(), job))
}

pub(super) fn unmap(unit: &Unit, data: &[u8]) -> Result<(), Sense> {
    let UnmapList(ranges) = UnmapList::parse(data).map_err(|error| error.sense())?;
    if ranges.len() > MAX_DESCRIPTORS as usize {
        return Err(Sense::INVALID_PARAMETER);
    }
    let place = |range: &LbaRange| match range.end() {
        Some(end) if end <= unit.blocks => Ok((unit.bytes(range.lba), unit.bytes(range.blocks))),
        _ => Err(Sense::LBA_OUT_OF_RANGE.with_information(range.lba.max(unit.blocks))),
    };
    let places: Vec<(u64, u64)> = ranges.iter().map(place).collect::<Result<_, Sense>>()?;
    let _writing = unit.among_writers();
    for (start, len) in places {
        unit.backend.discard(start, len).map_err(|error| lu::write_error(&error))?;
    }
    Ok(())
}

pub(super) fn lba_status(unit: &Unit, command: GetLbaStatus) -> Result<Outcome, Sense> {
    unit.place(command.lba, 0)?;
    let room = command.allocation.saturating_sub(8) / 16;
    let mut extents = Vec::new();
    let mut lba = command.lba;
    while lba < unit.blocks && extents.len() < room.clamp(1, MAX_EXTENTS) as usize {
        let extent = extent(unit, lba).map_err(|error| lu::read_error(&error, lba))?;
        lba = extent.range.end().unwrap_or(unit.blocks);
        extents.push(extent);
    }
    Ok(Outcome::cut(LbaStatus(extents).encode(), command.allocation))
}

/// The extent that starts at a block. A block that is partly mapped counts as mapped.
fn extent(unit: &Unit, lba: u64) -> std::io::Result<LbaExtent> {
    let size = u64::from(unit.block_size);
    let found = if unit.thin { Some(unit.backend.extent(unit.bytes(lba))?) } else { None };
    let (state, end) = match found {
        None => (LbaState::MappedOrUnknown, unit.blocks),
        Some(extent) if extent.mapped || extent.end / size <= lba => {
            (LbaState::MappedOrUnknown, extent.end.div_ceil(size).max(lba + 1))
        }
        Some(extent) => (LbaState::Deallocated, extent.end / size),
    };
    let blocks = u32::try_from(end.min(unit.blocks) - lba).unwrap_or(u32::MAX);
    Ok(LbaExtent { range: LbaRange { lba, blocks }, state })
}
