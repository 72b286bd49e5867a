//! The unit as a whole: starting and stopping, and making all its data unreadable (SBC-4).

use iscsi_proto::scsi::{
    OverwriteList, PreventRemoval, RequestSense, Sanitize, SanitizeAction, Sense, SenseKey, Specific, StartStop,
};

use super::Lun;
use super::send::named;
use crate::core::{CommandError, Payload};
use crate::session::malformed;

/// Room for sense data, in bytes.
const SENSE: u8 = 252;

/// Says that all data of a unit may be destroyed. Only [`DestroyAllData::on`] makes it.
#[derive(Debug)]
pub struct DestroyAllData(iscsi_proto::scsi::Lun);

impl DestroyAllData {
    /// All data on this unit may be destroyed, for good, for all initiators.
    pub fn on(lun: &Lun) -> Self {
        Self(lun.number())
    }
}

/// How [`Lun::sanitize`] makes data unreadable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Erasure {
    /// By the means of the medium.
    Block,
    /// The key that everything is encrypted with is changed.
    Cryptographic,
    /// By writing over it.
    Overwrite(OverwriteList),
}

impl Lun {
    /// Makes a stopped unit ready, or stops a started one (START STOP UNIT). Returns when that is done.
    ///
    /// A unit that is stopped answers reads and writes of all initiators with an error.
    ///
    /// # Cancellation
    ///
    /// A command that was sent runs to its end on the target.
    pub async fn start_stop(&self, start: bool) -> Result<(), CommandError> {
        let command = StartStop { start, ..StartStop::default() };
        self.send(command.encode(), Payload::default()).await.map_err(|error| named(error, "START STOP UNIT"))
    }

    /// Keeps a removable medium in, or lets it go (PREVENT ALLOW MEDIUM REMOVAL).
    ///
    /// # Cancellation
    ///
    /// A command that was sent runs to its end on the target.
    pub async fn prevent_removal(&self, prevent: bool) -> Result<(), CommandError> {
        let command = PreventRemoval { prevent: prevent.into() };
        let result = self.send(command.encode(), Payload::default()).await;
        result.map_err(|error| named(error, "PREVENT ALLOW MEDIUM REMOVAL"))
    }

    /// Begins to make everything that was ever written to the unit unreadable (SANITIZE), and returns while that goes on;
    /// [`Lun::progress`] tells how far it is. Until it has ended the unit does little else.
    ///
    /// `consent` has to be for this unit. The command is sent again only where the unit said that it did not execute it.
    ///
    /// # Cancellation
    ///
    /// The operation takes place all the same.
    pub async fn sanitize(&self, consent: DestroyAllData, how: Erasure) -> Result<(), CommandError> {
        if consent.0 != self.number() {
            return Err(CommandError::Invalid("the consent to destroy all data is for another logical unit"));
        }
        let (action, list) = match how {
            Erasure::Block => (SanitizeAction::BlockErase, Vec::new()),
            Erasure::Cryptographic => (SanitizeAction::CryptographicErase, Vec::new()),
            Erasure::Overwrite(list) => (SanitizeAction::Overwrite, list.encode()),
        };
        let command = Sanitize { length: list.len() as u16, ..Sanitize::new(action) };
        self.send(command.encode(), list).await.map_err(|error| named(error, "SANITIZE"))
    }

    /// How far a long operation of the unit is, from 0 to 1 (REQUEST SENSE); `None` if none is under way.
    ///
    /// # Cancellation
    ///
    /// Nothing is left behind.
    pub async fn progress(&self) -> Result<Option<f32>, CommandError> {
        let command = RequestSense { descriptors: false, allocation: SENSE };
        let data = self.read_data(command.encode(), SENSE.into()).await?;
        let sense = Sense::parse(&data).map_err(|error| malformed("REQUEST SENSE", &error))?;
        match (sense.key, sense.specific) {
            (SenseKey::NoSense | SenseKey::NotReady, Some(Specific::Progress(part))) => {
                Ok(Some(f32::from(part) / 65536.0))
            }
            (SenseKey::NotReady, _) => Err(CommandError::Sense(sense)),
            _ => Ok(None),
        }
    }
}
