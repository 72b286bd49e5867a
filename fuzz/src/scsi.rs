//! SCSI data: whatever parses has to survive being sent.

use std::fmt::Debug;

use iscsi_proto::scsi::{
    BlockLimits, Capacity, Command, CopyList, CopyParameters, CopyStatus, DataError, DefectList, DeviceId,
    ExtendedInquiry, FailedSegment, FormatList, InquiryData, KeyList, LbaStatus, LogPage, LogPages, LongCdb,
    LongCommand, Lun, LunList, MediumInfo, ModeData, MoveList, OpcodeList, OpcodeReport, OperationStatus,
    OverwriteList, Peripheral, PopulateList, PortGroups, Provisioning, RegistrantList, ReservationReport,
    ReserveCapabilities, ReserveOutList, Sense, SetPortList, SupportedPages, ThirdPartyCopy, TokenReport, UnitSerial,
    UnmapList, UseList, XdWriteRead, vpd_len,
};

use super::printable;

/// Sense data, INQUIRY data and capacities.
pub(super) fn data(input: &[u8]) {
    if let Ok(sense) = Sense::parse(input) {
        printable(&sense);
        assert_eq!(Sense::parse(&sense.to_descriptors()), Ok(sense));
        assert_eq!(Sense::parse(&sense.to_fixed()).map(|fixed| fixed.code()), Ok(sense.code()));
    }
    round_trip(input, InquiryData::parse, InquiryData::encode);
    round_trip(input, Capacity::parse16, |capacity| capacity.encode16().into());
    if let Ok(Some(capacity)) = Capacity::parse10(input) {
        assert_eq!(Capacity::parse10(&capacity.encode10()), Ok(Some(capacity)));
    }
}

/// Pages of vital product data and mode data.
pub(super) fn pages(input: &[u8]) {
    let peripheral = Peripheral::DISK;
    vpd_len(input);
    round_trip(input, SupportedPages::parse, |page| page.encode(peripheral));
    round_trip(input, UnitSerial::parse, |page| page.encode(peripheral));
    round_trip(input, BlockLimits::parse, |page| page.encode(peripheral));
    round_trip(input, MediumInfo::parse, |page| page.encode(peripheral));
    round_trip(input, Provisioning::parse, |page| page.encode(peripheral));
    round_trip(input, ExtendedInquiry::parse, |page| page.encode(peripheral));
    settles(input, ThirdPartyCopy::parse, |page| page.encode(peripheral));
    LogPage::byte_len(input);
    round_trip(input, LogPage::parse, LogPage::encode);
    round_trip(input, LogPages::parse, |pages| pages.encode(true));
    round_trip(input, DeviceId::parse, |page| page.encode(peripheral));
    for designator in DeviceId::parse(input).unwrap_or_default().0 {
        printable(&designator.designation);
    }
    for ten in [false, true] {
        // What is too long for its length cannot be sent.
        if ModeData::parse(input, ten).is_ok_and(|data| data.encode(ten).is_ok()) {
            settles(input, |bytes| ModeData::parse(bytes, ten), |data| data.encode(ten).unwrap_or_default());
        }
        if let Ok(data) = ModeData::parse_select(input, ten) {
            let _ = (data.caching(), data.control(), data.encode_select(ten));
        }
    }
}

/// Lists, whose own counts must not be believed.
pub(super) fn lists(input: &[u8]) {
    if let Ok(list) = LunList::parse(input) {
        assert!(list.luns.len() * 8 <= input.len());
        let again = LunList::parse(&LunList::encode(&list.luns)).map(|list| list.luns);
        assert_eq!(again, Ok(list.luns));
    }
    round_trip(input, LbaStatus::parse, LbaStatus::encode);
    round_trip(input, UnmapList::parse, UnmapList::encode);
    settles(input, PortGroups::parse, PortGroups::encode);
    settles(input, OpcodeList::parse, OpcodeList::encode);
    round_trip(input, OpcodeReport::parse, OpcodeReport::encode);
    settles(input, KeyList::parse, KeyList::encode);
    round_trip(input, ReservationReport::parse, ReservationReport::encode);
    round_trip(input, ReserveCapabilities::parse, |data| data.encode().into());
    settles(input, RegistrantList::parse, RegistrantList::encode);
    round_trip(input, ReserveOutList::parse, ReserveOutList::encode);
    round_trip(input, MoveList::parse, MoveList::encode);
    round_trip(input, SetPortList::parse, SetPortList::encode);
    round_trip(input, OverwriteList::parse, OverwriteList::encode);
    for long in [false, true] {
        round_trip(input, |bytes| FormatList::parse(bytes, long), |list| list.encode(long));
        settles(input, |bytes| DefectList::parse(bytes, long), |list| list.encode(long));
    }
    copies(input);
}

/// What copy managers send and take.
fn copies(input: &[u8]) {
    for long in [false, true] {
        round_trip(input, |bytes| CopyList::parse(bytes, long), CopyList::encode);
    }
    round_trip(input, CopyParameters::parse, CopyParameters::encode);
    round_trip(input, CopyStatus::parse, CopyStatus::encode);
    if let Ok(Some(failed)) = FailedSegment::parse(input) {
        assert_eq!(FailedSegment::parse(&failed.encode()), Ok(Some(failed)));
    }
    round_trip(input, OperationStatus::parse, OperationStatus::encode);
    round_trip(input, PopulateList::parse, PopulateList::encode);
    round_trip(input, UseList::parse, UseList::encode);
    round_trip(input, TokenReport::parse, TokenReport::encode);
}

/// A CDB.
pub(super) fn command(input: &[u8]) {
    if let Ok(command) = Command::parse(input) {
        assert_eq!(Command::parse(command.encode().as_bytes()), Ok(command));
        command.data_phase(u32::MAX);
        assert!(!command.name().is_empty());
    }
    if let Ok(command) = XdWriteRead::parse(input) {
        assert_eq!(XdWriteRead::parse(command.encode().as_bytes()), Ok(command));
    }
    if let Some(cdb) = LongCdb::from_bytes(input) {
        assert_eq!([cdb.head().as_bytes(), cdb.tail()].concat(), input);
        if let Ok(command) = LongCommand::parse(&cdb) {
            assert_eq!(LongCommand::parse(&command.encode()), Ok(command));
        }
    }
    if let Some(bytes) = input.first_chunk() {
        let lun = Lun::from_bytes(*bytes);
        assert_eq!(lun.levels().first(), Some(&lun.address()));
    }
}

/// The same, where a value may not fit its own form: it tells how long a list was that came cut, or came in a longer form.
fn settles<T: Debug + PartialEq>(
    input: &[u8],
    parse: impl Fn(&[u8]) -> Result<T, DataError>,
    encode: impl Fn(&T) -> Vec<u8>,
) {
    if let Ok(value) = parse(input) {
        let again = parse(&encode(&value));
        assert!(again.is_ok(), "{again:?}");
        round_trip(&encode(&value), parse, encode);
    }
}

fn round_trip<T: Debug + PartialEq>(
    input: &[u8],
    parse: impl Fn(&[u8]) -> Result<T, DataError>,
    encode: impl Fn(&T) -> Vec<u8>,
) {
    if let Ok(value) = parse(input) {
        assert_eq!(parse(&encode(&value)), Ok(value));
    }
}
