use std::io;
use std::sync::Arc;

use iscsi_proto::isid::Isid;
use iscsi_proto::name::IscsiName;
use iscsi_proto::scsi::{
    Command, Lun, LunList, ReportLuns, RequestSense, Sense, SenseKey, Status, Transfer, XdWriteRead,
};

use super::identity::{self, Identity};
use super::lu::Unit;
use super::nexus::{Nexus, Nexuses};
use super::receiver::Receiver;
use super::{Outcome, block, mode, report, reserve, thin};
use crate::target::config::TargetConfig;

/// The units of a target and the nexuses to them.
#[derive(Debug)]
pub struct Device {
    units: Vec<Arc<Unit>>,
    nexuses: Arc<Nexuses>,
    unit_attention: bool,
}

/// How a command starts.
#[derive(Debug)]
pub enum Begin {
    /// It is over already.
    Done(Outcome),
    /// It takes data from the initiator first.
    Data(Receiver),
}

impl Device {
    /// The device of a target. The error says which unit cannot be opened.
    pub fn new(config: &TargetConfig) -> Result<Self, (usize, io::Error)> {
        let nexuses = Arc::new(Nexuses::default());
        let unit = |(index, lun)| {
            let identity = Identity::new(&config.name, config.portal_group, index);
            Unit::new(index, lun, identity, nexuses.clone()).map(Arc::new).map_err(|error| (index, error))
        };
        let units = config.luns.iter().enumerate().map(unit).collect::<Result<_, _>>()?;
        Ok(Self { units, nexuses, unit_attention: config.unit_attention })
    }

    /// A new nexus with the port that `initiator` and `isid` name.
    pub fn attach(&self, initiator: &IscsiName, isid: Isid) -> Arc<Nexus> {
        let nexus = self.nexuses.attach(initiator, isid, self.units.len());
        if self.unit_attention {
            for unit in &self.units {
                nexus.attend(unit, Sense::POWER_ON);
            }
        }
        nexus
    }

    /// The unit with this number, in whatever form.
    pub fn unit(&self, lun: Lun) -> Option<&Arc<Unit>> {
        self.units.get(lun.number()? as usize)
    }

    /// Starts a command.
    pub fn begin(&self, nexus: &Arc<Nexus>, lun: Lun, cdb: &[u8]) -> Begin {
        match self.unit(lun) {
            Some(unit) => self.begin_at(unit, nexus, cdb).unwrap_or_else(|sense| Begin::Done(Outcome::check(sense))),
            None => Begin::Done(self.absent(cdb).unwrap_or_else(Outcome::check)),
        }
    }

    /// Resets all units.
    pub fn reset_all(&self) {
        for unit in &self.units {
            unit.reset();
        }
    }

    fn begin_at(&self, unit: &Arc<Unit>, nexus: &Arc<Nexus>, cdb: &[u8]) -> Result<Begin, Sense> {
        if !is_exempt(cdb)
            && let Some(sense) = nexus.take_attention(unit)
        {
            return Err(sense);
        }
        if cdb.first() == Some(&XdWriteRead::OPCODE) {
            return begin_both_ways(unit, nexus, cdb);
        }
        let command = Command::parse(cdb).map_err(|error| error.sense())?;
        if unit.reservations.conflict(nexus, &command) {
            return Ok(Begin::Done(Outcome::status(Status::RESERVATION_CONFLICT)));
        }
        Ok(Begin::Done(match command {
            Command::Read(command) => block::read(unit, &command)?,
            Command::Write(command) => return block::write(unit, nexus, &command),
            Command::WriteAndVerify(command) => return block::write_and_verify(unit, nexus, &command),
            Command::Verify(command) => return block::verify(unit, nexus, &command),
            Command::CompareAndWrite(command) => return block::begin_compare_and_write(unit, nexus, command),
            Command::OrWrite(command) => return block::begin_or_write(unit, nexus, command),
            Command::WriteSame(command) => return block::begin_write_same(unit, nexus, command),
            Command::Unmap(command) => return thin::begin_unmap(unit, nexus, command),
            Command::ModeSelect(command) => return mode::begin_select(unit, nexus, command),
            Command::ReserveOut(command) => return reserve::begin_out(unit, nexus, command),
            Command::ReserveIn(command) => unit.reservations.report(command),
            Command::GetLbaStatus(command) => thin::lba_status(unit, command)?,
            Command::ModeSense(command) => mode::sense(unit, command)?,
            Command::ReportOpcodes(command) => report::opcodes(unit, command)?,
            Command::ReportPortGroups(command) => report::port_groups(unit, command),
            Command::PreFetch(command) => block::pre_fetch(unit, &command)?,
            Command::SyncCache(command) => block::sync_cache(unit, &command).into(),
            Command::TestUnitReady | Command::StartStop(_) => Outcome::good(),
            Command::Inquiry(command) => identity::inquiry(command, Some(unit)),
            Command::ReportLuns(command) => self.report_luns(command),
            Command::RequestSense(command) => request_sense(command, nexus.take_attention(unit)),
            Command::ReadCapacity10 => Outcome::data(unit.capacity().encode10().to_vec()),
            Command::ReadCapacity16(command) => Outcome::cut(unit.capacity().encode16().to_vec(), command.allocation),
            _ => return Err(Sense::INVALID_OPCODE),
        }))
    }

    /// What is answered under a number that no unit has.
    fn absent(&self, cdb: &[u8]) -> Result<Outcome, Sense> {
        match Command::parse(cdb) {
            Ok(Command::Inquiry(command)) => Ok(identity::inquiry(command, None)),
            Ok(Command::ReportLuns(command)) => Ok(self.report_luns(command)),
            Ok(Command::RequestSense(command)) => Ok(request_sense(command, Some(Sense::UNIT_NOT_SUPPORTED))),
            _ => Err(Sense::UNIT_NOT_SUPPORTED),
        }
    }

    fn report_luns(&self, command: ReportLuns) -> Outcome {
        let luns: Vec<Lun> = match command.select {
            ReportLuns::ADDRESSABLE | ReportLuns::ALL => self.units.iter().map(|unit| unit.lun).collect(),
            _ => Vec::new(),
        };
        Outcome::cut(LunList::encode(&luns), command.allocation)
    }
}

/// Whether a command is carried out although a UNIT ATTENTION condition waits: INQUIRY, REPORT LUNS, REQUEST SENSE.
fn is_exempt(cdb: &[u8]) -> bool {
    matches!(cdb.first(), Some(0x12 | 0xa0 | 0x03))
}

/// The command whose data goes both ways. Reservations keep it out as they do a write.
fn begin_both_ways(unit: &Arc<Unit>, nexus: &Arc<Nexus>, cdb: &[u8]) -> Result<Begin, Sense> {
    let command = XdWriteRead::parse(cdb).map_err(|error| error.sense())?;
    let write = Command::Write(Transfer::new(command.lba.into(), command.blocks.into()));
    if unit.reservations.conflict(nexus, &write) {
        return Ok(Begin::Done(Outcome::status(Status::RESERVATION_CONFLICT)));
    }
    block::begin_xd_write_read(unit, nexus, command)
}

fn request_sense(command: RequestSense, sense: Option<Sense>) -> Outcome {
    let sense = sense.unwrap_or(Sense::new(SenseKey::NoSense, 0, 0));
    let data = if command.descriptors { sense.to_descriptors() } else { sense.to_fixed().to_vec() };
    Outcome::cut(data, command.allocation)
}
