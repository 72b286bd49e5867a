use std::path::{Path, PathBuf};

/// A target that a lab shall serve.
///
/// Without [`admit`](Self::admit) every initiator is let in.
#[derive(Clone)]
pub struct Target {
    pub(super) name: String,
    pub(super) luns: Vec<Lun>,
    pub(super) initiators: Vec<String>,
    pub(super) incoming: Vec<Account>,
    pub(super) outgoing: Option<Account>,
    pub(super) params: Vec<(String, String)>,
}

/// User and secret. There is no `Debug`, here and on what holds it, so that no log shows a secret.
#[derive(Clone)]
pub struct Account {
    /// The name, `CHAP_N`.
    pub user: String,
    /// The secret.
    pub secret: String,
}

impl Account {
    /// An account.
    pub fn new(user: &str, secret: &str) -> Self {
        Self { user: user.to_owned(), secret: secret.to_owned() }
    }
}

impl Target {
    /// A target with this iSCSI name and no LUN yet.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            luns: Vec::new(),
            initiators: Vec::new(),
            incoming: Vec::new(),
            outgoing: None,
            params: Vec::new(),
        }
    }

    /// Adds a LUN. Numbers count from 1 in the order of the calls; tgt keeps LUN 0 for a controller of its own.
    #[must_use]
    pub fn lun(mut self, lun: Lun) -> Self {
        self.luns.push(lun);
        self
    }

    /// Lets the initiator of this name in, and nobody else who is not named too.
    #[must_use]
    pub fn admit(mut self, initiator: &str) -> Self {
        self.initiators.push(initiator.to_owned());
        self
    }

    /// Asks initiators for CHAP with this user and secret. Several calls make several users.
    #[must_use]
    pub fn chap(mut self, user: &str, secret: &str) -> Self {
        self.incoming.push(Account::new(user, secret));
        self
    }

    /// What the target proves itself with when an initiator asks for mutual CHAP. Needs [`chap`](Self::chap) as well, and
    /// another user name.
    #[must_use]
    pub fn mutual_chap(mut self, user: &str, secret: &str) -> Self {
        self.outgoing = Some(Account::new(user, secret));
        self
    }

    /// Sets a parameter of the target: a key of RFC 7143 such as `HeaderDigest` with `CRC32C,None`, or one of tgt's own,
    /// such as `nop_interval`, `MaxQueueCmd` or `RedirectAddress`.
    #[must_use]
    pub fn param(mut self, key: &str, value: &str) -> Self {
        self.params.push((key.to_owned(), value.to_owned()));
        self
    }
}

/// A disk of a [`Target`].
#[derive(Clone, Debug)]
pub struct Lun {
    pub(super) path: PathBuf,
    pub(super) number: Option<u64>,
    pub(super) block: u32,
    pub(super) params: Vec<String>,
}

impl Lun {
    /// A disk with 512-byte blocks whose content is this file. The file must exist, and its size is the disk's.
    pub fn file(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_path_buf(), number: None, block: 512, params: Vec::new() }
    }

    /// Gives the LUN this number instead of its place in the list; 1 to 16383.
    #[must_use]
    pub fn at(mut self, number: u64) -> Self {
        self.number = Some(number);
        self
    }

    /// The size of a logical block in bytes: 512, 1024, 2048 or 4096.
    #[must_use]
    pub fn block(mut self, size: u32) -> Self {
        self.block = size;
        self
    }

    /// Refuses writes.
    #[must_use]
    pub fn read_only(self) -> Self {
        self.param("readonly=1")
    }

    /// Allows UNMAP; without it tgt refuses the command.
    #[must_use]
    pub fn thin(self) -> Self {
        self.param("thin_provisioning=1")
    }

    /// Sets one of tgt's own parameters of a LUN, for example `vendor_id=ACME` or `online=0`.
    #[must_use]
    pub fn param(mut self, setting: &str) -> Self {
        self.params.push(setting.to_owned());
        self
    }
}
