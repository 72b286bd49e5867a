//! Asking a logical unit what it is.

use std::sync::Arc;

use iscsi_proto::scsi::{Capacity, Cdb, Command as Scsi, Lun as LunNumber, Qualifier, ReadCapacity16, SenseKey};

use super::{Lun, Unit};
use crate::core::{Command, CommandError};
use crate::session::{Session, good, malformed};

/// The most that one command moves unless the unit says less: enough to hide the round trip, little enough that others
/// get their turn.
const MAX_TRANSFER: u32 = 1 << 20;
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
        let max_blocks = (MAX_TRANSFER / capacity.block_len).max(1);
        Ok(Self { session, unit: Arc::new(Unit { number, inquiry, capacity, max_blocks }) })
    }
}

/// Waits until the unit takes commands, and takes the attentions that it has for a new session.
async fn be_ready(session: &Session, lun: LunNumber) -> Result<(), CommandError> {
    let mut retry = session.retry();
    loop {
        let command = Command::new(Scsi::TestUnitReady.encode());
        match good(session.execute(lun, command).await?) {
            Ok(_) => return Ok(()),
            Err(error) => retry.wait(error).await?,
        }
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
