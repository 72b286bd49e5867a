use std::fmt;
use std::net::SocketAddr;

use super::plan::Account;

/// What a target of a lab is there for. Scenarios ask for a target by its role, not by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Anybody may read and write it, and it takes any parameters.
    Open,
    /// Asks for CHAP.
    Chap,
    /// Asks for CHAP, and proves itself when it is asked to.
    Mutual,
    /// Lets one initiator in, which is told by its name alone.
    Acl,
    /// Lets one initiator in, which is told by its name and by CHAP.
    AclChap,
    /// Takes no connection without header and data digests.
    Digests,
    /// Two target port groups, one for each of its portals.
    Alua,
    /// Two gateways to one unit: a target port group each, of which the first has the unit and the second stands by.
    Gateways,
    /// Two portals in one target portal group.
    Portals,
    /// Error recovery levels above 0, and several connections.
    Recovery,
}

/// A target as it can be reached, and what it asks for.
#[derive(Clone)]
pub struct Offer {
    /// What it is there for.
    pub role: Role,
    /// The iSCSI name.
    pub target: String,
    /// Where it listens, in the order of its portal groups. Never empty.
    pub portals: Vec<SocketAddr>,
    /// The only initiator that it lets in; `None`: anybody.
    pub initiator: Option<String>,
    /// What the initiator has to know.
    pub chap: Option<Account>,
    /// What the target proves itself with.
    pub mutual: Option<Account>,
    /// Its disks.
    pub disks: Vec<Disk>,
}

/// A disk of an [`Offer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The number of the unit.
    pub lun: u8,
    /// Bytes.
    pub size: u64,
    /// Bytes of a logical block.
    pub block: u32,
    /// What the target's side can do with it, see [`Lab::stored`](super::Lab::stored): `None` if it has no content to look at.
    pub store: Option<String>,
    /// Whether space can be given back by UNMAP.
    pub thin: bool,
}

impl Disk {
    /// A disk with 512-byte blocks, without a store and not thin.
    pub fn new(lun: u8, size: u64) -> Self {
        Self { lun, size, block: 512, store: None, thin: false }
    }
}

impl Offer {
    /// A target that lets anybody in, without disks.
    pub fn new(role: Role, target: &str, portals: &[SocketAddr]) -> Self {
        let (target, portals) = (target.to_owned(), portals.to_vec());
        Self { role, target, portals, initiator: None, chap: None, mutual: None, disks: Vec::new() }
    }

    /// Adds a disk.
    #[must_use]
    pub fn disk(mut self, disk: Disk) -> Self {
        self.disks.push(disk);
        self
    }

    /// Names the only initiator that is let in.
    #[must_use]
    pub fn admit(mut self, initiator: &str) -> Self {
        self.initiator = Some(initiator.to_owned());
        self
    }

    /// Says what the initiator has to know.
    #[must_use]
    pub fn chap(mut self, user: &str, secret: &str) -> Self {
        self.chap = Some(Account::new(user, secret));
        self
    }

    /// Says what the target proves itself with.
    #[must_use]
    pub fn mutual(mut self, user: &str, secret: &str) -> Self {
        self.mutual = Some(Account::new(user, secret));
        self
    }
}

/// For a person to read, with the secrets of the lab.
impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}: {}", self.role, self.target)?;
        self.portals.iter().try_for_each(|portal| writeln!(f, "    portal     {portal}"))?;
        self.initiator.iter().try_for_each(|name| writeln!(f, "    initiator  {name}"))?;
        for (word, account) in [("CHAP", &self.chap), ("target", &self.mutual)] {
            if let Some(Account { user, secret }) = account {
                writeln!(f, "    {word:<10} user {user}, secret {secret}")?;
            }
        }
        for Disk { lun, size, block, thin, .. } in &self.disks {
            let kind = if *thin { ", thin" } else { "" };
            writeln!(f, "    LUN {lun:<6} {size} bytes in blocks of {block}{kind}")?;
        }
        Ok(())
    }
}
