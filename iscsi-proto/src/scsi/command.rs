//! Any command: from bytes and to bytes.

use super::atomic::WriteAtomic;
use super::capacity::ReadCapacity16;
use super::cdb::{Cdb, CdbError};
use super::copy::{CopyAbort, CopyResults, ExtendedCopy, TokenCommand};
use super::defects::ReadDefects;
use super::format::FormatUnit;
use super::inquiry::Inquiry;
use super::lba::{GetLbaStatus, Unmap};
use super::log::LogSense;
use super::luns::ReportLuns;
use super::medium::{ByteCheck, CompareAndWrite, SyncCache, Verify, WriteSame};
use super::mode::{ModeSelect, ModeSense};
use super::opcodes::ReportOpcodes;
use super::ports::{ReportPortGroups, SetPortGroups};
use super::prefetch::PreFetch;
use super::reservation::{ReserveIn, ReserveOut};
use super::sanitize::Sanitize;
use super::transfer::Transfer;
use super::unit::{PreventRemoval, RequestSense, StartStop};

const NACA: u8 = 0x04;

/// A command that this crate knows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Command {
    /// TEST UNIT READY.
    TestUnitReady,
    /// REQUEST SENSE.
    RequestSense(RequestSense),
    /// INQUIRY.
    Inquiry(Inquiry),
    /// REPORT LUNS.
    ReportLuns(ReportLuns),
    /// READ CAPACITY(10).
    ReadCapacity10,
    /// READ CAPACITY(16).
    ReadCapacity16(ReadCapacity16),
    /// READ(6), (10), (12) or (16).
    Read(Transfer),
    /// WRITE(6), (10), (12) or (16).
    Write(Transfer),
    /// VERIFY(10), (12) or (16).
    Verify(Verify),
    /// WRITE AND VERIFY(10), (12) or (16).
    WriteAndVerify(Verify),
    /// SYNCHRONIZE CACHE(10) or (16).
    SyncCache(SyncCache),
    /// WRITE SAME(10) or (16).
    WriteSame(WriteSame),
    /// COMPARE AND WRITE.
    CompareAndWrite(CompareAndWrite),
    /// UNMAP.
    Unmap(Unmap),
    /// GET LBA STATUS.
    GetLbaStatus(GetLbaStatus),
    /// MODE SENSE(6) or (10).
    ModeSense(ModeSense),
    /// MODE SELECT(6) or (10).
    ModeSelect(ModeSelect),
    /// START STOP UNIT.
    StartStop(StartStop),
    /// PERSISTENT RESERVE IN.
    ReserveIn(ReserveIn),
    /// PERSISTENT RESERVE OUT.
    ReserveOut(ReserveOut),
    /// REPORT SUPPORTED OPERATION CODES.
    ReportOpcodes(ReportOpcodes),
    /// REPORT TARGET PORT GROUPS.
    ReportPortGroups(ReportPortGroups),
    /// SET TARGET PORT GROUPS.
    SetPortGroups(SetPortGroups),
    /// ORWRITE(16).
    OrWrite(Transfer),
    /// WRITE ATOMIC(16).
    WriteAtomic(WriteAtomic),
    /// PRE-FETCH(10) or (16).
    PreFetch(PreFetch),
    /// PREVENT ALLOW MEDIUM REMOVAL.
    PreventRemoval(PreventRemoval),
    /// RESERVE(6), which is obsolete: the whole unit for this initiator.
    ReserveUnit,
    /// RELEASE(6), which is obsolete.
    ReleaseUnit,
    /// FORMAT UNIT.
    FormatUnit(FormatUnit),
    /// SANITIZE.
    Sanitize(Sanitize),
    /// READ DEFECT DATA(10) or (12).
    ReadDefects(ReadDefects),
    /// LOG SENSE.
    LogSense(LogSense),
    /// EXTENDED COPY (LID1) or (LID4).
    ExtendedCopy(ExtendedCopy),
    /// POPULATE TOKEN.
    PopulateToken(TokenCommand),
    /// WRITE USING TOKEN.
    WriteUsingToken(TokenCommand),
    /// COPY OPERATION ABORT.
    CopyAbort(CopyAbort),
    /// RECEIVE COPY RESULTS.
    CopyResults(CopyResults),
}

/// Which way the data of a command goes, and how many bytes that are at most.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DataPhase {
    /// No data.
    None,
    /// From the device.
    In(u64),
    /// To the device.
    Out(u64),
}

impl Command {
    /// Parses a CDB. Bytes behind the length of its operation code are ignored, as are reserved bits.
    ///
    /// The NACA bit is refused, as by every device server whose INQUIRY data has NormACA zero.
    pub fn parse(bytes: &[u8]) -> Result<Self, CdbError> {
        let cdb = Cdb::read_from(bytes)?;
        let command = Self::parse_known(&cdb)?;
        match cdb.control() {
            (byte, control) if control & NACA != 0 => Err(CdbError::Field { byte, bit: Some(2) }),
            _ => Ok(command),
        }
    }

    fn parse_known(cdb: &Cdb) -> Result<Self, CdbError> {
        Ok(match cdb.opcode() {
            0x00 => Self::TestUnitReady,
            0x03 => Self::RequestSense(RequestSense::parse(cdb)?),
            0x04 => Self::FormatUnit(FormatUnit::parse(cdb)?),
            0x08 | 0x28 | 0xa8 | 0x88 => Self::Read(Transfer::parse(cdb)?),
            0x0a | 0x2a | 0xaa | 0x8a => Self::Write(Transfer::parse(cdb)?),
            0x12 => Self::Inquiry(Inquiry::parse(cdb)?),
            0x15 | 0x55 => Self::ModeSelect(ModeSelect::parse(cdb)?),
            0x16 => Self::ReserveUnit,
            0x17 => Self::ReleaseUnit,
            0x1a | 0x5a => Self::ModeSense(ModeSense::parse(cdb)?),
            0x1b => Self::StartStop(StartStop::parse(cdb)?),
            0x1e => Self::PreventRemoval(PreventRemoval::parse(cdb)?),
            0x25 => Self::ReadCapacity10,
            0x2e | 0xae | 0x8e => Self::WriteAndVerify(Verify::parse_write(cdb)?),
            0x2f | 0xaf | 0x8f => Self::Verify(Verify::parse_verify(cdb)?),
            0x34 | 0x90 => Self::PreFetch(PreFetch::parse(cdb)?),
            0x35 | 0x91 => Self::SyncCache(SyncCache::parse(cdb)?),
            0x37 | 0xb7 => Self::ReadDefects(ReadDefects::parse(cdb)?),
            0x41 | 0x93 => Self::WriteSame(WriteSame::parse(cdb)?),
            0x42 => Self::Unmap(Unmap::parse(cdb)?),
            0x48 => Self::Sanitize(Sanitize::parse(cdb)?),
            0x4d => Self::LogSense(LogSense::parse(cdb)?),
            0x5e => Self::ReserveIn(ReserveIn::parse(cdb)?),
            0x5f => Self::ReserveOut(ReserveOut::parse(cdb)?),
            0x83 => Self::parse_copy(cdb)?,
            0x84 => Self::CopyResults(CopyResults::parse(cdb)?),
            0x89 => Self::CompareAndWrite(CompareAndWrite::parse(cdb)?),
            0x8b => Self::OrWrite(Transfer::parse(cdb)?),
            0x9c => Self::WriteAtomic(WriteAtomic::parse(cdb)?),
            0x9e => Self::parse_service_action_in(cdb)?,
            0xa0 => Self::ReportLuns(ReportLuns::parse(cdb)?),
            0xa3 => Self::parse_maintenance_in(cdb)?,
            0xa4 => Self::SetPortGroups(SetPortGroups::parse(cdb)?),
            other => return Err(CdbError::Opcode(other)),
        })
    }

    fn parse_service_action_in(cdb: &Cdb) -> Result<Self, CdbError> {
        match cdb.service_action() {
            0x10 => ReadCapacity16::parse(cdb).map(Self::ReadCapacity16),
            0x12 => GetLbaStatus::parse(cdb).map(Self::GetLbaStatus),
            _ => Err(CdbError::SERVICE_ACTION),
        }
    }

    fn parse_maintenance_in(cdb: &Cdb) -> Result<Self, CdbError> {
        match cdb.service_action() {
            0x0a => ReportPortGroups::parse(cdb).map(Self::ReportPortGroups),
            0x0c => ReportOpcodes::parse(cdb).map(Self::ReportOpcodes),
            _ => Err(CdbError::SERVICE_ACTION),
        }
    }

    fn parse_copy(cdb: &Cdb) -> Result<Self, CdbError> {
        match cdb.service_action() {
            0x00 | 0x01 => ExtendedCopy::parse(cdb).map(Self::ExtendedCopy),
            0x10 => TokenCommand::parse(cdb).map(Self::PopulateToken),
            0x11 => TokenCommand::parse(cdb).map(Self::WriteUsingToken),
            0x1c => CopyAbort::parse(cdb).map(Self::CopyAbort),
            _ => Err(CdbError::SERVICE_ACTION),
        }
    }

    /// The CDB of this command.
    #[inline]
    pub const fn encode(&self) -> Cdb {
        match self {
            Self::TestUnitReady => Cdb::new(0x00),
            Self::RequestSense(command) => command.encode(),
            Self::Inquiry(command) => command.encode(),
            Self::ReportLuns(command) => command.encode(),
            Self::ReadCapacity10 => Cdb::new(0x25),
            Self::ReadCapacity16(command) => command.encode(),
            Self::Read(command) => command.encode_read(),
            Self::Write(command) => command.encode_write(),
            Self::Verify(command) => command.encode_verify(),
            Self::WriteAndVerify(command) => command.encode_write(),
            Self::SyncCache(command) => command.encode(),
            Self::WriteSame(command) => command.encode(),
            Self::CompareAndWrite(command) => command.encode(),
            Self::Unmap(command) => command.encode(),
            Self::GetLbaStatus(command) => command.encode(),
            Self::ModeSense(command) => command.encode(),
            Self::ModeSelect(command) => command.encode(),
            Self::StartStop(command) => command.encode(),
            Self::ReserveIn(command) => command.encode(),
            Self::ReserveOut(command) => command.encode(),
            Self::ReportOpcodes(command) => command.encode(),
            Self::ReportPortGroups(command) => command.encode(),
            Self::SetPortGroups(command) => command.encode(),
            Self::OrWrite(command) => command.encode_or_write(),
            Self::WriteAtomic(command) => command.encode(),
            Self::PreFetch(command) => command.encode(),
            Self::PreventRemoval(command) => command.encode(),
            Self::ReserveUnit => Cdb::new(0x16),
            Self::ReleaseUnit => Cdb::new(0x17),
            Self::FormatUnit(command) => command.encode(),
            Self::Sanitize(command) => command.encode(),
            Self::ReadDefects(command) => command.encode(),
            Self::LogSense(command) => command.encode(),
            Self::ExtendedCopy(command) => command.encode(),
            Self::PopulateToken(command) => command.encode_populate(),
            Self::WriteUsingToken(command) => command.encode_use(),
            Self::CopyAbort(command) => command.encode(),
            Self::CopyResults(command) => command.encode(),
        }
    }

    /// What the standard calls it, with the length of the form that [`Command::encode`] takes.
    pub const fn name(&self) -> &'static str {
        match (self, self.encode().byte_len()) {
            (Self::TestUnitReady, _) => "TEST UNIT READY",
            (Self::RequestSense(_), _) => "REQUEST SENSE",
            (Self::Inquiry(_), _) => "INQUIRY",
            (Self::ReportLuns(_), _) => "REPORT LUNS",
            (Self::ReadCapacity10, _) => "READ CAPACITY(10)",
            (Self::ReadCapacity16(_), _) => "READ CAPACITY(16)",
            (Self::Read(_), 6) => "READ(6)",
            (Self::Read(_), 10) => "READ(10)",
            (Self::Read(_), 12) => "READ(12)",
            (Self::Read(_), _) => "READ(16)",
            (Self::Write(_), 6) => "WRITE(6)",
            (Self::Write(_), 10) => "WRITE(10)",
            (Self::Write(_), 12) => "WRITE(12)",
            (Self::Write(_), _) => "WRITE(16)",
            (Self::Verify(_), 10) => "VERIFY(10)",
            (Self::Verify(_), 12) => "VERIFY(12)",
            (Self::Verify(_), _) => "VERIFY(16)",
            (Self::WriteAndVerify(_), 10) => "WRITE AND VERIFY(10)",
            (Self::WriteAndVerify(_), 12) => "WRITE AND VERIFY(12)",
            (Self::WriteAndVerify(_), _) => "WRITE AND VERIFY(16)",
            (Self::SyncCache(_), 10) => "SYNCHRONIZE CACHE(10)",
            (Self::SyncCache(_), _) => "SYNCHRONIZE CACHE(16)",
            (Self::WriteSame(_), 10) => "WRITE SAME(10)",
            (Self::WriteSame(_), _) => "WRITE SAME(16)",
            (Self::CompareAndWrite(_), _) => "COMPARE AND WRITE",
            (Self::Unmap(_), _) => "UNMAP",
            (Self::GetLbaStatus(_), _) => "GET LBA STATUS",
            (Self::ModeSense(_), 6) => "MODE SENSE(6)",
            (Self::ModeSense(_), _) => "MODE SENSE(10)",
            (Self::ModeSelect(_), 6) => "MODE SELECT(6)",
            (Self::ModeSelect(_), _) => "MODE SELECT(10)",
            (Self::StartStop(_), _) => "START STOP UNIT",
            (Self::ReserveIn(_), _) => "PERSISTENT RESERVE IN",
            (Self::ReserveOut(_), _) => "PERSISTENT RESERVE OUT",
            (Self::ReportOpcodes(_), _) => "REPORT SUPPORTED OPERATION CODES",
            (Self::ReportPortGroups(_), _) => "REPORT TARGET PORT GROUPS",
            (Self::SetPortGroups(_), _) => "SET TARGET PORT GROUPS",
            (Self::OrWrite(_), _) => "ORWRITE(16)",
            (Self::WriteAtomic(_), _) => "WRITE ATOMIC(16)",
            (Self::PreFetch(_), 10) => "PRE-FETCH(10)",
            (Self::PreFetch(_), _) => "PRE-FETCH(16)",
            (Self::PreventRemoval(_), _) => "PREVENT ALLOW MEDIUM REMOVAL",
            (Self::ReserveUnit, _) => "RESERVE(6)",
            (Self::ReleaseUnit, _) => "RELEASE(6)",
            (Self::FormatUnit(_), _) => "FORMAT UNIT",
            (Self::Sanitize(_), _) => "SANITIZE",
            (Self::ReadDefects(_), 10) => "READ DEFECT DATA(10)",
            (Self::ReadDefects(_), _) => "READ DEFECT DATA(12)",
            (Self::LogSense(_), _) => "LOG SENSE",
            (Self::ExtendedCopy(ExtendedCopy { long_id: false, .. }), _) => "EXTENDED COPY(LID1)",
            (Self::ExtendedCopy(_), _) => "EXTENDED COPY(LID4)",
            (Self::PopulateToken(_), _) => "POPULATE TOKEN",
            (Self::WriteUsingToken(_), _) => "WRITE USING TOKEN",
            (Self::CopyAbort(_), _) => "COPY OPERATION ABORT",
            (Self::CopyResults(_), _) => "RECEIVE COPY RESULTS",
        }
    }

    /// How much data moves on a unit with blocks of `block_len` bytes without protection information.
    ///
    /// Where the command has an allocation length, that is the answer: the device may send less. FORMAT UNIT does not tell how
    /// long its parameter list is; the answer for it is the header of the list.
    pub fn data_phase(&self, block_len: u32) -> DataPhase {
        let bytes = |blocks: u32| u64::from(blocks) * u64::from(block_len);
        match *self {
            Self::TestUnitReady
            | Self::SyncCache(_)
            | Self::StartStop(_)
            | Self::PreFetch(_)
            | Self::PreventRemoval(_)
            | Self::ReserveUnit
            | Self::ReleaseUnit
            | Self::CopyAbort(_)
            | Self::FormatUnit(FormatUnit { list: None, .. })
            | Self::WriteSame(WriteSame { no_data: true, .. }) => DataPhase::None,
            Self::RequestSense(RequestSense { allocation, .. }) => DataPhase::In(allocation.into()),
            Self::Inquiry(Inquiry { allocation, .. })
            | Self::ModeSense(ModeSense { allocation, .. })
            | Self::LogSense(LogSense { allocation, .. })
            | Self::ReserveIn(ReserveIn { allocation, .. }) => DataPhase::In(allocation.into()),
            Self::ReportLuns(ReportLuns { allocation, .. })
            | Self::ReadCapacity16(ReadCapacity16 { allocation })
            | Self::GetLbaStatus(GetLbaStatus { allocation, .. })
            | Self::ReportOpcodes(ReportOpcodes { allocation, .. })
            | Self::ReadDefects(ReadDefects { allocation, .. })
            | Self::CopyResults(CopyResults { allocation, .. })
            | Self::ReportPortGroups(ReportPortGroups { allocation, .. }) => DataPhase::In(allocation.into()),
            Self::Unmap(Unmap { length, .. })
            | Self::Sanitize(Sanitize { length, .. })
            | Self::ModeSelect(ModeSelect { length, .. }) => DataPhase::Out(length.into()),
            Self::ReserveOut(ReserveOut { length, .. })
            | Self::SetPortGroups(SetPortGroups { length })
            | Self::ExtendedCopy(ExtendedCopy { length, .. })
            | Self::PopulateToken(TokenCommand { length, .. })
            | Self::WriteUsingToken(TokenCommand { length, .. }) => DataPhase::Out(length.into()),
            Self::FormatUnit(FormatUnit { list: Some(long), .. }) => DataPhase::Out(if long { 8 } else { 4 }),
            Self::WriteAtomic(command) => DataPhase::Out(bytes(command.blocks.into())),
            Self::ReadCapacity10 => DataPhase::In(8),
            Self::Read(command) => DataPhase::In(bytes(command.blocks)),
            Self::Write(command) | Self::OrWrite(command) => DataPhase::Out(bytes(command.blocks)),
            Self::Verify(command) => match command.check {
                ByteCheck::Medium => DataPhase::None,
                ByteCheck::Compare => DataPhase::Out(bytes(command.blocks)),
                ByteCheck::CompareOne => DataPhase::Out(bytes(1)),
            },
            Self::WriteAndVerify(command) => DataPhase::Out(bytes(command.blocks)),
            Self::WriteSame(_) => DataPhase::Out(bytes(1)),
            Self::CompareAndWrite(command) => DataPhase::Out(bytes(u32::from(command.blocks) * 2)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_wrong_with_a_command_is_told_apart() {
        let field = |byte, bit| Err(CdbError::Field { byte, bit });
        for (bytes, result) in [
            (&[0u8; 6][..], Ok(Command::TestUnitReady)),
            (&[0; 5], Err(CdbError::Truncated)),
            (&[], Err(CdbError::Truncated)),
            (&[0x1f; 16], Err(CdbError::Opcode(0x1f))),
            (&[0x7f; 16], Err(CdbError::Opcode(0x7f))),
            (&[0xff; 16], Err(CdbError::Opcode(0xff))),
            (&[0, 0, 0, 0, 0, 0xfb], Ok(Command::TestUnitReady)),
            (&[0, 0, 0, 0, 0, 0x04], field(5, Some(2))),
            (&[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0x04], field(9, Some(2))),
            (&[0x9e, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], field(1, Some(4))),
        ] {
            assert_eq!(Command::parse(bytes), result, "{bytes:02x?}");
        }
    }

    #[test]
    fn names_tell_the_form() {
        use crate::scsi::Form;
        let read = |form| Command::Read(Transfer { form, ..Transfer::new(0, 1) });
        for (command, name) in [
            (read(Form::Six), "READ(6)"),
            (read(Form::Ten), "READ(10)"),
            (read(Form::Twelve), "READ(12)"),
            (read(Form::Sixteen), "READ(16)"),
            (Command::Write(Transfer::new(1 << 40, 1)), "WRITE(16)"),
            (Command::SyncCache(SyncCache::ALL), "SYNCHRONIZE CACHE(10)"),
            (Command::ModeSense(ModeSense::new(8)), "MODE SENSE(6)"),
            (Command::ModeSense(ModeSense { allocation: 256, ..ModeSense::new(8) }), "MODE SENSE(10)"),
        ] {
            assert_eq!(command.name(), name);
        }
    }

    ///
    #[test]
    fn r219_the_data_phase_is_the_real_transfer_size() {
        let verify = |check| Verify { check, ..Verify::new(0, 7) };
        for (command, phase) in [
            (Command::TestUnitReady, DataPhase::None),
            (Command::Inquiry(Inquiry { page: None, allocation: 0xffff }), DataPhase::In(0xffff)),
            (Command::ReadCapacity10, DataPhase::In(8)),
            (Command::RequestSense(RequestSense { descriptors: false, allocation: 252 }), DataPhase::In(252)),
            (Command::ReportLuns(ReportLuns { select: 0, allocation: u32::MAX }), DataPhase::In(0xffff_ffff)),
            (Command::ReadCapacity16(ReadCapacity16 { allocation: 32 }), DataPhase::In(32)),
            (Command::Unmap(Unmap { length: 24, ..Unmap::default() }), DataPhase::Out(24)),
            (Command::ModeSelect(ModeSelect { length: 12, ..ModeSelect::default() }), DataPhase::Out(12)),
            (Command::SyncCache(SyncCache::new(0, 9)), DataPhase::None),
            (Command::Read(Transfer::new(0, u32::MAX)), DataPhase::In(0xffff_ffff << 9)),
            (Command::Write(Transfer::new(5, 3)), DataPhase::Out(1536)),
            (Command::Verify(verify(ByteCheck::Medium)), DataPhase::None),
            (Command::Verify(verify(ByteCheck::Compare)), DataPhase::Out(7 * 512)),
            (Command::Verify(verify(ByteCheck::CompareOne)), DataPhase::Out(512)),
            (Command::WriteAndVerify(verify(ByteCheck::Medium)), DataPhase::Out(7 * 512)),
            (Command::WriteSame(WriteSame::new(0, 9)), DataPhase::Out(512)),
            (Command::OrWrite(Transfer::new(5, 3)), DataPhase::Out(1536)),
            (Command::WriteAtomic(WriteAtomic { blocks: 2, ..WriteAtomic::default() }), DataPhase::Out(1024)),
            (Command::PreFetch(PreFetch::new(0, 9)), DataPhase::None),
            (Command::LogSense(LogSense::new(0x0d, 0, 64)), DataPhase::In(64)),
            (Command::FormatUnit(FormatUnit::default()), DataPhase::None),
            (Command::FormatUnit(FormatUnit { list: Some(true), ..FormatUnit::default() }), DataPhase::Out(8)),
            (Command::ExtendedCopy(ExtendedCopy { long_id: true, length: 143 }), DataPhase::Out(143)),
            (Command::SetPortGroups(SetPortGroups { length: 8 }), DataPhase::Out(8)),
            (Command::WriteSame(WriteSame { no_data: true, ..WriteSame::new(0, 9) }), DataPhase::None),
            (
                Command::CompareAndWrite(CompareAndWrite { blocks: 255, ..CompareAndWrite::default() }),
                DataPhase::Out(510 * 512),
            ),
        ] {
            assert_eq!(command.data_phase(512), phase, "{command:?}");
        }
    }

    proptest! {
        #[test]
        fn r301_what_parses_encodes_to_the_same_command(opcode: u8, rest in prop::collection::vec(any::<u8>(), 0..20)) {
            let bytes = [&[opcode], &rest[..]].concat();
            if let Ok(command) = Command::parse(&bytes) {
                let cdb = command.encode();
                prop_assert_eq!(cdb.as_bytes().len(), Cdb::read_from(&bytes).unwrap().as_bytes().len());
                prop_assert_eq!(Command::parse(cdb.as_bytes()), Ok(command));
                prop_assert_eq!(Command::parse(&cdb.as_padded()), Ok(command));
            }
        }
    }
}
