//! Asking a logical unit what it is.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use iscsi_proto::scsi::{
    BlockLimits, Caching, Capacity, Cdb, Command as Scsi, DataError, DeviceId, Lun as LunNumber, MediumInfo, ModeData,
    ModeSense, Provisioning, Qualifier, ReadCapacity16, SenseKey, SupportedPages, UnitSerial,
};

use super::{Lun, Memory, Pages, Resets, Unit};
use crate::core::{Command, CommandError};
use crate::session::{Session, malformed};

/// The most that one command moves unless the unit says less: enough to hide the round trip, little enough that others
/// get their turn.
const MAX_TRANSFER: u32 = 1 << 20;
/// Room for mode parameters.
const MODE: u16 = 252;
/// Not ready: the target port is in standby.
const STANDBY: (SenseKey, u8, u8) = (SenseKey::NotReady, 0x04, 0x0B);
/// The block sizes that are believed, in bytes.
const BLOCK_SIZES: std::ops::RangeInclusive<u32> = 256..=1 << 20;

impl Lun {
    pub(crate) async fn open(session: Session, number: LunNumber) -> Result<Self, CommandError> {
        let inquiry = session.inquiry(number).await?;
        let peripheral = inquiry.peripheral;
        if peripheral.qualifier != Qualifier::Connected {
            return Err(CommandError::Invalid("there is no logical unit of this number"));
        }
        if !peripheral.device.is_block() {
            return Err(CommandError::Invalid("the logical unit is not a block device"));
        }
        be_ready(&session, number).await?;
        let capacity = read_capacity(&session, number).await?;
        let pages = read_pages(&session, number).await?;
        let mut max_blocks = (MAX_TRANSFER / capacity.block_len).max(1);
        if let Some(limit) = pages.limits.map(|limits| limits.max_transfer).filter(|limit| *limit != 0) {
            max_blocks = max_blocks.min(limit);
        }
        let (memory, writes, resets) = (Memory::default(), AtomicU64::new(0), Resets::default());
        Ok(Self {
            session,
            unit: Arc::new(Unit { number, inquiry, capacity, pages, max_blocks, memory, writes, resets }),
        })
    }
}

/// Reads the mode parameters and the vital product data that the unit has and this crate knows.
async fn read_pages(session: &Session, lun: LunNumber) -> Result<Pages, CommandError> {
    let supported = read_page(session, lun, SupportedPages::CODE, SupportedPages::parse).await?;
    let has = |code| supported.as_ref().is_some_and(|pages| pages.contains(code));
    let (mode, serial, identity, limits, medium, provisioning) = tokio::try_join!(
        read_mode(session, lun),
        read_page_if(has(UnitSerial::CODE), session, lun, UnitSerial::CODE, UnitSerial::parse),
        read_page_if(has(DeviceId::CODE), session, lun, DeviceId::CODE, DeviceId::parse),
        read_page_if(has(BlockLimits::CODE), session, lun, BlockLimits::CODE, BlockLimits::parse),
        read_page_if(has(MediumInfo::CODE), session, lun, MediumInfo::CODE, MediumInfo::parse),
        read_page_if(has(Provisioning::CODE), session, lun, Provisioning::CODE, Provisioning::parse),
    )?;
    Ok(Pages { mode, serial: serial.map(|serial| serial.0), identity, limits, medium, provisioning })
}

/// The mode parameters with the caching page, or with whatever pages there are. Only the header is dear: it tells whether
/// the unit is write protected.
async fn read_mode(session: &Session, lun: LunNumber) -> Result<Option<ModeData>, CommandError> {
    let caching = ModeSense { no_descriptors: true, allocation: MODE, ..ModeSense::new(Caching::CODE) };
    let all = ModeSense { page: ModeSense::ALL_PAGES, ..caching };
    for command in [caching, all, ModeSense { ten: true, ..all }] {
        match session.read_data(lun, command.encode(), MODE.into()).await {
            Ok(data) => return Ok(ModeData::parse(&data, command.ten).ok()),
            Err(CommandError::Sense(sense)) if sense.key == SenseKey::IllegalRequest => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

async fn read_page_if<T>(
    there: bool,
    session: &Session,
    lun: LunNumber,
    code: u8,
    parse: fn(&[u8]) -> Result<T, DataError>,
) -> Result<Option<T>, CommandError> {
    if there { read_page(session, lun, code, parse).await } else { Ok(None) }
}

/// A page; `None` if the unit does not have it, or has nonsense in it: none is needed to read and write.
async fn read_page<T>(
    session: &Session,
    lun: LunNumber,
    code: u8,
    parse: fn(&[u8]) -> Result<T, DataError>,
) -> Result<Option<T>, CommandError> {
    match session.vital_product_data(lun, code).await {
        Ok(data) => Ok(parse(&data).ok()),
        Err(CommandError::Malformed { .. }) => Ok(None),
        Err(CommandError::Sense(sense)) if sense.key == SenseKey::IllegalRequest => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits until the unit takes commands, and takes the attentions that it has for a new session.
///
/// On a path in standby a unit can be asked what it is, and how its paths are, but not read (SPC-5, section 5.17).
async fn be_ready(session: &Session, lun: LunNumber) -> Result<(), CommandError> {
    match session.repeat(lun, |_| Command::new(Scsi::TestUnitReady.encode())).await {
        Err(CommandError::Sense(sense)) if sense.code() == STANDBY => Ok(()),
        other => other.map(drop),
    }
}

async fn read_capacity(session: &Session, lun: LunNumber) -> Result<Capacity, CommandError> {
    let command = ReadCapacity16 { allocation: Capacity::LEN as u32 };
    let capacity = match session.read_data(lun, command.encode(), Capacity::LEN).await {
        Ok(data) => Capacity::parse16(&data).map_err(|error| malformed("READ CAPACITY(16)", &error))?,
        Err(CommandError::Sense(sense)) if sense.key == SenseKey::IllegalRequest => {
            read_capacity10(session, lun, Scsi::ReadCapacity10.encode()).await?
        }
        Err(error) => return Err(error),
    };
    if !BLOCK_SIZES.contains(&capacity.block_len) {
        let problem = format!("a block size of {} bytes", capacity.block_len);
        return Err(malformed("READ CAPACITY", &problem));
    }
    Ok(capacity)
}

async fn read_capacity10(session: &Session, lun: LunNumber, cdb: Cdb) -> Result<Capacity, CommandError> {
    let data = session.read_data(lun, cdb, 8).await?;
    let capacity = Capacity::parse10(&data).map_err(|error| malformed("READ CAPACITY(10)", &error))?;
    capacity.ok_or_else(|| malformed("READ CAPACITY(10)", &"a unit too large for it, which knows no other"))
}
