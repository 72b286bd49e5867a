//! Asymmetric access: which paths to a unit are good (SPC-5, section 5.17).

use iscsi_proto::scsi::{AccessState, GroupState, PortGroups, ReportPortGroups, SetPortGroups, SetPortList};

use super::Lun;
use super::send::{asked, named};
use crate::core::CommandError;
use crate::session::malformed;

const REPORT: &str = "REPORT TARGET PORT GROUPS";
/// Room for a first answer, in bytes.
const FIRST: u32 = 4096;
/// The most room that is ever asked for.
const MAX: u32 = 1 << 20;

impl Lun {
    /// The groups of ports that lead to this unit, with their states (REPORT TARGET PORT GROUPS).
    ///
    /// [`DeviceId::port_group`](iscsi_proto::scsi::DeviceId::port_group) of [`Lun::identity`] names the one of this session.
    /// Units without groups give [`CommandError::Unsupported`].
    ///
    /// # Cancellation
    ///
    /// Nothing is left behind.
    pub async fn port_groups(&self) -> Result<PortGroups, CommandError> {
        let groups = self.read_port_groups(FIRST).await?;
        match u32::try_from(groups.data_len).unwrap_or(u32::MAX).min(MAX) {
            wanted if wanted > FIRST => self.read_port_groups(wanted).await,
            _ => Ok(groups),
        }
    }

    async fn read_port_groups(&self, allocation: u32) -> Result<PortGroups, CommandError> {
        let command = ReportPortGroups { extended: false, allocation };
        let data = self.read_data(command.encode(), allocation as usize).await;
        PortGroups::parse(&data.map_err(|error| asked(error, REPORT))?).map_err(|error| malformed(REPORT, &error))
    }

    /// Puts groups of ports into other states (SET TARGET PORT GROUPS). Groups that are not named may change as well.
    ///
    /// It is sent again only where the unit said that it did not execute it. Ask for [`Lun::port_groups`] after an error.
    ///
    /// # Cancellation
    ///
    /// A command that was sent runs to its end on the target.
    pub async fn set_port_groups(&self, groups: Vec<GroupState>) -> Result<(), CommandError> {
        let list = SetPortList(groups);
        let command = SetPortGroups::new(&list);
        let result = self.send(command.encode(), list.encode()).await;
        result.map_err(|error| named(error, "SET TARGET PORT GROUPS"))
    }

    /// [`Lun::set_port_groups`] for one group.
    ///
    /// # Cancellation
    ///
    /// As for [`Lun::set_port_groups`].
    pub async fn set_port_group(&self, group: u16, state: AccessState) -> Result<(), CommandError> {
        self.set_port_groups(vec![GroupState { group, state }]).await
    }
}
