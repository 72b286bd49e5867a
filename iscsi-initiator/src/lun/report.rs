//! What a unit says of itself when asked (SPC-5): commands, log pages, further vital product data.

use iscsi_proto::scsi::{
    ExtendedInquiry, LogPage, LogPages, LogSense, OpcodeList, OpcodeQuery, OpcodeReport, ReportOpcodes, ThirdPartyCopy,
};

use super::Lun;
use super::send::{asked, is_refusal};
use crate::core::CommandError;
use crate::session::malformed;

const OPCODES: &str = "REPORT SUPPORTED OPERATION CODES";
const LOG: &str = "LOG SENSE";
/// Room for a first answer, in bytes.
const FIRST: u16 = 4096;
/// The most room that is ever asked for.
const MAX: u32 = 1 << 20;

impl Lun {
    /// All commands that the unit takes (REPORT SUPPORTED OPERATION CODES).
    ///
    /// # Cancellation
    ///
    /// Nothing is left behind. That holds for all calls here.
    pub async fn supported_opcodes(&self) -> Result<OpcodeList, CommandError> {
        let list = self.read_opcodes(FIRST.into()).await?;
        match u32::try_from(list.data_len).unwrap_or(u32::MAX).min(MAX) {
            wanted if wanted > FIRST.into() => self.read_opcodes(wanted).await,
            _ => Ok(list),
        }
    }

    async fn read_opcodes(&self, allocation: u32) -> Result<OpcodeList, CommandError> {
        let command = ReportOpcodes { query: OpcodeQuery::All, timeouts: false, allocation };
        let data = self.read_data(command.encode(), allocation as usize).await;
        OpcodeList::parse(&data.map_err(|error| asked(error, OPCODES))?).map_err(|error| malformed(OPCODES, &error))
    }

    /// What the unit says of one command: whether it takes it, which of its bits count, and how long it may take.
    ///
    /// `action` is for operation codes that have service actions.
    pub async fn supported_opcode(&self, opcode: u8, action: Option<u16>) -> Result<OpcodeReport, CommandError> {
        let query = action.map_or(OpcodeQuery::Opcode(opcode), |action| OpcodeQuery::Action(opcode, action));
        let command = ReportOpcodes { query, timeouts: true, allocation: FIRST.into() };
        let data = self.read_data(command.encode(), FIRST.into()).await;
        OpcodeReport::parse(&data.map_err(|error| asked(error, OPCODES))?).map_err(|error| malformed(OPCODES, &error))
    }

    /// The log pages that the unit has (LOG SENSE, page 00h); pages with subpages too, if it lists them.
    pub async fn log_pages(&self) -> Result<LogPages, CommandError> {
        let data = match self.read_log(0, 0xff, FIRST).await {
            Err(error) if is_refusal(&error) => self.read_log(0, 0, FIRST).await?,
            other => other?,
        };
        LogPages::parse(&data).map_err(|error| malformed(LOG, &error))
    }

    /// The cumulative values of a log page (LOG SENSE): counters, temperatures, wear. Subpage 0 is the page itself. A page that
    /// the unit does not have is [`CommandError::Unsupported`].
    pub async fn log_page(&self, page: u8, subpage: u8) -> Result<LogPage, CommandError> {
        let mut data = self.read_log(page, subpage, FIRST).await?;
        if let Some(whole) = LogPage::byte_len(&data).filter(|whole| *whole > FIRST.into()) {
            data = self.read_log(page, subpage, u16::try_from(whole).unwrap_or(u16::MAX)).await?;
        }
        let found = LogPage::parse(&data).map_err(|error| malformed(LOG, &error))?;
        if found.page != page & 0x3f {
            return Err(malformed(LOG, &format!("another page than {page:#04x}")));
        }
        Ok(found)
    }

    async fn read_log(&self, page: u8, subpage: u8, allocation: u16) -> Result<bytes::BytesMut, CommandError> {
        let command = LogSense::new(page, subpage, allocation);
        self.read_data(command.encode(), allocation.into())
            .await
            .map_err(|error| asked(error, "LOG SENSE, or not this page"))
    }

    /// What else the unit can do: protection types, caches, task attributes (VPD page 86h).
    pub async fn extended_inquiry(&self) -> Result<ExtendedInquiry, CommandError> {
        let data = self.session.vital_product_data(self.number(), ExtendedInquiry::CODE).await;
        ExtendedInquiry::parse(&data.map_err(|error| asked(error, "VPD page 86h"))?)
            .map_err(|error| malformed("INQUIRY", &error))
    }

    /// What the copy manager of the unit can do (VPD page 8Fh).
    pub async fn third_party_copy(&self) -> Result<ThirdPartyCopy, CommandError> {
        let data = self.session.vital_product_data(self.number(), ThirdPartyCopy::CODE).await;
        ThirdPartyCopy::parse(&data.map_err(|error| asked(error, "VPD page 8Fh"))?)
            .map_err(|error| malformed("INQUIRY", &error))
    }
}
