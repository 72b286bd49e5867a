//! Commands that move or compare blocks (SBC-4).

use std::sync::Arc;

use iscsi_proto::scsi::{
    ByteCheck, CompareAndWrite, PreFetch, Sense, Status, SyncCache, Transfer, Verify, WriteSame, XdWriteRead,
};

use super::Outcome;
use super::device::Begin;
use super::lu::{self, Unit};
use super::nexus::Nexus;
use super::receiver::{Job, Receiver, Then};

/// Bytes that one WRITE SAME may cover.
pub(super) const MAX_WRITE_SAME: u64 = 16 * 1024 * 1024;
/// Blocks that one COMPARE AND WRITE may have.
pub(super) const MAX_COMPARE_AND_WRITE: u8 = 128;
/// Bytes that are filled or compared at a time.
const STEP: usize = 64 * 1024;

pub(super) fn read(unit: &Unit, command: &Transfer) -> Result<Outcome, Sense> {
    let start = check(unit, command.lba, command.blocks, command.protect)?;
    let len = unit.bytes(command.blocks) as usize;
    match unit.backend.read(start, len) {
        Ok(data) => Ok(Outcome::data(data)),
        Err(error) => Err(lu::read_error(&error, command.lba)),
    }
}

pub(super) fn write(unit: &Arc<Unit>, nexus: &Arc<Nexus>, command: &Transfer) -> Result<Begin, Sense> {
    unit.check_writable()?;
    let start = check(unit, command.lba, command.blocks, command.protect)?;
    let job = Job::Write { start, flush: command.fua };
    Ok(receive(unit, nexus, unit.bytes(command.blocks), job))
}

pub(super) fn write_and_verify(unit: &Arc<Unit>, nexus: &Arc<Nexus>, command: &Verify) -> Result<Begin, Sense> {
    unit.check_writable()?;
    let start = check(unit, command.lba, command.blocks, command.protect)?;
    Ok(receive(unit, nexus, unit.bytes(command.blocks), Job::Write { start, flush: true }))
}

pub(super) fn verify(unit: &Arc<Unit>, nexus: &Arc<Nexus>, command: &Verify) -> Result<Begin, Sense> {
    let start = match command.check {
        ByteCheck::Compare => check(unit, command.lba, command.blocks, command.protect)?,
        _ => check_protect(command.protect).and_then(|()| unit.place(command.lba, command.blocks.into()))?,
    };
    let job = match command.check {
        ByteCheck::Medium => return Ok(Begin::Done(Outcome::good())),
        ByteCheck::Compare => Job::Compare { start, difference: None },
        ByteCheck::CompareOne => {
            Job::Gather { data: Vec::new(), then: Then::CompareOne { start, blocks: command.blocks } }
        }
    };
    let blocks = if command.check == ByteCheck::Compare { command.blocks } else { 1 };
    Ok(receive(unit, nexus, unit.bytes(blocks), job))
}

pub(super) fn begin_compare_and_write(
    unit: &Arc<Unit>,
    nexus: &Arc<Nexus>,
    command: CompareAndWrite,
) -> Result<Begin, Sense> {
    unit.check_writable()?;
    if command.blocks > MAX_COMPARE_AND_WRITE {
        return Err(Sense::INVALID_FIELD.with_cdb_pointer(13, None));
    }
    check(unit, command.lba, command.blocks.into(), command.protect)?;
    let job = Job::Gather { data: Vec::new(), then: Then::CompareAndWrite(command) };
    Ok(receive(unit, nexus, unit.bytes(command.blocks) * 2, job))
}

pub(super) fn begin_write_same(unit: &Arc<Unit>, nexus: &Arc<Nexus>, command: WriteSame) -> Result<Begin, Sense> {
    unit.check_writable()?;
    check_protect(command.protect)?;
    if command.anchor || (command.unmap && !unit.thin) {
        return Err(Sense::INVALID_FIELD.with_cdb_pointer(1, Some(if command.anchor { 4 } else { 3 })));
    }
    unit.place(command.lba, command.blocks.into())?;
    if command.blocks == 0 || unit.bytes(command.blocks) > MAX_WRITE_SAME {
        return Err(Sense::INVALID_FIELD);
    }
    if command.no_data {
        let zeros = vec![0; unit.block_size as usize];
        return write_same(unit, &command, &zeros).map(|()| Begin::Done(Outcome::good()));
    }
    let job = Job::Gather { data: Vec::new(), then: Then::WriteSame(command) };
    Ok(receive(unit, nexus, unit.block_size.into(), job))
}

pub(super) fn begin_or_write(unit: &Arc<Unit>, nexus: &Arc<Nexus>, command: Transfer) -> Result<Begin, Sense> {
    unit.check_writable()?;
    check(unit, command.lba, command.blocks, command.protect)?;
    let job = Job::Gather { data: Vec::new(), then: Then::OrWrite(command) };
    Ok(receive(unit, nexus, unit.bytes(command.blocks), job))
}

pub(super) fn begin_xd_write_read(unit: &Arc<Unit>, nexus: &Arc<Nexus>, command: XdWriteRead) -> Result<Begin, Sense> {
    if !command.disable_write {
        unit.check_writable()?;
    }
    if command.xor_protection {
        return Err(Sense::INVALID_FIELD.with_cdb_pointer(1, Some(0)));
    }
    check(unit, command.lba.into(), command.blocks.into(), command.protect)?;
    let job = Job::Gather { data: Vec::new(), then: Then::XdWriteRead(command) };
    Ok(receive(unit, nexus, unit.bytes(command.blocks), job))
}

/// There is no cache of its own that the blocks could fail to fit.
pub(super) fn pre_fetch(unit: &Unit, command: &PreFetch) -> Result<Outcome, Sense> {
    unit.place(command.lba, command.blocks.into())?;
    Ok(Outcome::status(Status::CONDITION_MET))
}

pub(super) fn sync_cache(unit: &Unit, command: &SyncCache) -> Result<(), Sense> {
    unit.place(command.lba, command.blocks.into())?;
    unit.backend.flush().map_err(|error| lu::write_error(&error))
}

pub(super) fn compare_and_write(unit: &Unit, command: &CompareAndWrite, data: &[u8]) -> Result<(), Sense> {
    let start = unit.place(command.lba, command.blocks.into())?;
    let (expected, new) = data.split_at_checked(data.len() / 2).unwrap_or_default();
    let _alone = unit.alone();
    if let Some(at) = first_difference(unit, start, expected)? {
        return Err(Sense::MISCOMPARE.with_information(at));
    }
    unit.backend.write(start, new).map_err(|error| lu::write_error(&error))?;
    if command.fua { unit.backend.flush().map_err(|error| lu::write_error(&error)) } else { Ok(()) }
}

pub(super) fn or_write(unit: &Unit, command: &Transfer, data: &[u8]) -> Result<(), Sense> {
    let start = unit.place(command.lba, command.blocks.into())?;
    let _alone = unit.alone();
    for (n, part) in data.chunks(STEP).enumerate() {
        let at = start + (n * STEP) as u64;
        let stored = unit.backend.read(at, part.len()).map_err(|error| lu::read_error(&error, command.lba))?;
        let both: Vec<u8> = stored.to_bytes().iter().zip(part).map(|(one, two)| one | two).collect();
        unit.backend.write(at, &both).map_err(|error| lu::write_error(&error))?;
    }
    if command.fua { unit.backend.flush().map_err(|error| lu::write_error(&error)) } else { Ok(()) }
}

/// Writes, and returns what was there before, combined with what is there now by exclusive or.
pub(super) fn xd_write_read(unit: &Unit, command: &XdWriteRead, data: &[u8]) -> Result<Outcome, Sense> {
    let lba = u64::from(command.lba);
    let start = unit.place(lba, command.blocks.into())?;
    let _alone = unit.alone();
    let stored = unit.backend.read(start, data.len()).map_err(|error| lu::read_error(&error, lba))?;
    let difference: Vec<u8> = stored.to_bytes().iter().zip(data).map(|(old, new)| old ^ new).collect();
    if !command.disable_write {
        unit.backend.write(start, data).map_err(|error| lu::write_error(&error))?;
    }
    if command.fua {
        unit.backend.flush().map_err(|error| lu::write_error(&error))?;
    }
    Ok(Outcome::data(difference))
}

pub(super) fn write_same(unit: &Unit, command: &WriteSame, block: &[u8]) -> Result<(), Sense> {
    let start = unit.place(command.lba, command.blocks.into())?;
    let len = unit.bytes(command.blocks);
    let _writing = unit.among_writers();
    let zero = block.iter().all(|byte| *byte == 0);
    let result = if command.unmap && zero { unit.backend.discard(start, len) } else { fill(unit, start, len, block) };
    result.map_err(|error| lu::write_error(&error))
}

fn fill(unit: &Unit, start: u64, len: u64, block: &[u8]) -> std::io::Result<()> {
    let pattern = block.repeat(STEP / block.len().max(1));
    let mut done = 0;
    while done < len {
        let take = (len - done).min(pattern.len() as u64);
        unit.backend.write(start + done, pattern.get(..take as usize).unwrap_or_default())?;
        done += take;
    }
    Ok(())
}

/// Compares every block from `start` on with `block`.
pub(super) fn compare_one(unit: &Unit, start: u64, blocks: u32, block: &[u8]) -> Result<(), Sense> {
    for n in 0..blocks {
        if let Some(at) = first_difference(unit, start + unit.bytes(n), block)? {
            return Err(Sense::MISCOMPARE.with_information(at));
        }
    }
    Ok(())
}

/// Offset of the first byte in `data` that differs from the unit.
pub(super) fn first_difference(unit: &Unit, start: u64, data: &[u8]) -> Result<Option<u64>, Sense> {
    for (n, part) in data.chunks(STEP).enumerate() {
        let offset = (n * STEP) as u64;
        let stored = unit.backend.read(start + offset, part.len());
        let stored = stored.map_err(|error| lu::read_error(&error, (start + offset) / u64::from(unit.block_size)))?;
        let stored = stored.to_bytes();
        if stored[..] != *part {
            let equal = stored.iter().zip(part).take_while(|(one, two)| one == two).count();
            return Ok(Some(offset + equal as u64));
        }
    }
    Ok(None)
}

pub(super) fn receive(unit: &Arc<Unit>, nexus: &Arc<Nexus>, length: u64, job: Job) -> Begin {
    Begin::Data(Receiver::new(unit, nexus, length, job))
}

/// Checks what commands with a transfer length have in common; where their blocks start, in bytes.
fn check(unit: &Unit, lba: u64, blocks: u32, protect: u8) -> Result<u64, Sense> {
    check_protect(protect)?;
    let start = unit.place(lba, blocks.into())?;
    if blocks > unit.max_transfer() { Err(Sense::INVALID_FIELD) } else { Ok(start) }
}

/// Units have no protection information, so it must not be asked for.
const fn check_protect(protect: u8) -> Result<(), Sense> {
    if protect == 0 { Ok(()) } else { Err(Sense::INVALID_FIELD.with_cdb_pointer(1, Some(7))) }
}
