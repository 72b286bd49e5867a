use std::sync::Arc;

use iscsi_proto::scsi::{CompareAndWrite, ModeSelect, ReserveOut, Sense, SenseKey, Transfer, WriteSame, XdWriteRead};

use super::Outcome;
use super::block;
use super::lu::{self, Unit};
use super::mode;
use super::nexus::Nexus;
use super::thin;

/// 06/2F/00: commands were cleared by another initiator.
const CLEARED: Sense = Sense::new(SenseKey::UnitAttention, 0x2f, 0x00);

/// A command that takes data from the initiator.
///
/// Plain writes go to the store as they come in. What has to be seen whole is gathered first; such data is small.
#[derive(Debug)]
pub struct Receiver {
    pub(super) unit: Arc<Unit>,
    pub(super) nexus: Arc<Nexus>,
    length: u64,
    received: u64,
    job: Job,
    failure: Option<Sense>,
    unit_epoch: u64,
    nexus_epoch: u64,
}

/// What is done with the data.
#[derive(Debug)]
pub(super) enum Job {
    /// It goes to the unit from this byte on.
    Write { start: u64, flush: bool },
    /// It is compared with the unit from this byte on; the offset of the first difference.
    Compare { start: u64, difference: Option<u64> },
    /// It is gathered, and then the command is done.
    Gather { data: Vec<u8>, then: Then },
}

/// A command that needs all its data at once.
#[derive(Clone, Copy, Debug)]
pub(super) enum Then {
    CompareAndWrite(CompareAndWrite),
    OrWrite(Transfer),
    XdWriteRead(XdWriteRead),
    WriteSame(WriteSame),
    Unmap,
    ModeSelect(ModeSelect),
    ReserveOut(ReserveOut),
    /// Every block from this byte on is compared with the one that was sent.
    CompareOne {
        start: u64,
        blocks: u32,
    },
}

impl Receiver {
    pub(super) fn new(unit: &Arc<Unit>, nexus: &Arc<Nexus>, length: u64, job: Job) -> Self {
        Self {
            unit_epoch: unit.epoch(),
            nexus_epoch: nexus.epoch(unit),
            unit: unit.clone(),
            nexus: nexus.clone(),
            length,
            received: 0,
            job,
            failure: None,
        }
    }

    /// Bytes that the command wants.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Whether the command can do with what the initiator means to send. Plain data may be cut or be more than is wanted;
    /// blocks that are compared or repeated have to be those blocks.
    pub const fn accepts(&self, expected: u32) -> bool {
        match &self.job {
            Job::Gather {
                then:
                    Then::CompareAndWrite(_)
                    | Then::OrWrite(_)
                    | Then::XdWriteRead(_)
                    | Then::WriteSame(_)
                    | Then::CompareOne { .. },
                ..
            } => self.length == expected as u64,
            _ => true,
        }
    }

    /// Whether the task was ended by somebody else; it must not be answered then.
    pub fn is_cleared(&self) -> bool {
        self.is_over(self.unit.epoch())
    }

    fn is_over(&self, unit_epoch: u64) -> bool {
        unit_epoch != self.unit_epoch || self.nexus.epoch(&self.unit) != self.nexus_epoch
    }

    /// Takes data that belongs at `offset` of the transfer, inside [`Receiver::length`]. Each byte comes once.
    pub fn put(&mut self, offset: u32, data: &[u8]) {
        if self.nexus.epoch(&self.unit) != self.nexus_epoch {
            return;
        }
        self.received += data.len() as u64;
        let offset = u64::from(offset);
        let unit = self.unit.clone();
        let result = match &mut self.job {
            Job::Write { start, .. } => {
                let epoch = unit.among_writers();
                if self.unit_epoch != *epoch {
                    return;
                }
                unit.backend.write(*start + offset, data).map_err(|error| lu::write_error(&error))
            }
            Job::Compare { start, difference } if difference.is_none() => {
                let found = block::first_difference(&unit, *start + offset, data);
                found.map(|found| *difference = found.map(|at| offset + at))
            }
            Job::Compare { .. } => Ok(()),
            Job::Gather { data: all, .. } => {
                gather(all, offset as usize, data);
                Ok(())
            }
        };
        if let Err(sense) = result {
            self.failure.get_or_insert(sense);
        }
    }

    /// Ends the command; `None` if its task was ended by somebody else.
    pub fn finish(self) -> Option<Outcome> {
        if self.is_cleared() {
            if self.unit.epoch() != self.unit_epoch {
                self.nexus.attend(&self.unit, CLEARED);
            }
            return None;
        }
        Some(match self.failure {
            Some(sense) => Outcome::check(sense),
            None => self.complete().unwrap_or_else(Outcome::check),
        })
    }

    fn complete(self) -> Result<Outcome, Sense> {
        let done = match self.job {
            Job::Write { flush: true, .. } => self.unit.backend.flush().map_err(|error| lu::write_error(&error)),
            Job::Write { .. } | Job::Compare { difference: None, .. } => Ok(()),
            Job::Compare { difference: Some(at), .. } => Err(Sense::MISCOMPARE.with_information(at)),
            Job::Gather { .. } if self.received < self.length => Err(Sense::PARAMETER_LIST_LENGTH),
            Job::Gather { data, then } => return then.run(&self.unit, &self.nexus, &data),
        };
        done.map(|()| Outcome::good())
    }
}

impl Then {
    fn run(self, unit: &Unit, nexus: &Nexus, data: &[u8]) -> Result<Outcome, Sense> {
        match self {
            Self::CompareAndWrite(command) => block::compare_and_write(unit, &command, data),
            Self::OrWrite(command) => block::or_write(unit, &command, data),
            Self::XdWriteRead(command) => return block::xd_write_read(unit, &command, data),
            Self::WriteSame(command) => block::write_same(unit, &command, data),
            Self::CompareOne { start, blocks } => block::compare_one(unit, start, blocks, data),
            Self::Unmap => thin::unmap(unit, data),
            Self::ModeSelect(command) => mode::select(unit, nexus, command, data),
            Self::ReserveOut(command) => return unit.reservations.change(unit, nexus, command, data),
        }
        .map(|()| Outcome::good())
    }
}

fn gather(all: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if all.len() < end {
        all.resize(end, 0);
    }
    if let Some(place) = all.get_mut(offset..end) {
        place.copy_from_slice(data);
    }
}
