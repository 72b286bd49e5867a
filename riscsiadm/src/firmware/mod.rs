//! What the boot firmware left: targets in the iSCSI Boot Firmware Table (iBFT), as Linux shows it.
//!
//! ```text
//! /sys/firmware/ibft/initiator    initiator-name, …
//! /sys/firmware/ibft/ethernetN    flags, mac, ip-addr, subnet-mask, …
//! /sys/firmware/ibft/targetN      flags, target-name, ip-addr, port, lun, nic-assoc, chap-type, …
//! ```
//!
//! Each attribute is a file of one line. `RISCSI_SYSFS` stands for another root than `/sys`. Only root can read the secrets.

mod text;

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

pub use text::records;

/// The port of a target that names none.
const PORT: u16 = 3260;
/// Set in the flags of an entry that counts.
const VALID: u32 = 1;
/// How an address came about, as in the table: by DHCP.
const BY_DHCP: u32 = 3;
/// The most entries of a kind that are looked at.
const MAX_ENTRIES: u32 = 64;
/// The longest attribute that is read, in bytes: a page, as sysfs has it.
const MAX_ATTRIBUTE: u64 = 4096;

/// A target to boot from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootTarget {
    /// The name of the initiator.
    pub initiator: Option<String>,
    /// How the target is reached.
    pub nic: Nic,
    /// Its name, as the firmware writes it.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Its TCP port.
    pub port: u16,
    /// The logical unit to boot from, in hexadecimal.
    pub lun: Option<String>,
    /// Which CHAP the firmware uses.
    pub chap_type: ChapType,
    /// What the initiator proves itself with.
    pub chap: Proof,
    /// What the target proves itself with.
    pub reverse: Proof,
}

/// Which CHAP the firmware uses for a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChapType {
    /// It does not say.
    #[default]
    Unknown,
    /// None.
    None,
    /// The initiator proves itself.
    OneWay,
    /// The target does, too.
    Mutual,
}

/// A user and a secret, either of which may be missing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// The user.
    pub user: Option<String>,
    /// The secret.
    pub secret: Option<Zeroizing<String>>,
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A network interface as the firmware set it up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nic {
    /// Its hardware address.
    pub mac: String,
    /// Whether its address came by DHCP.
    pub dhcp: bool,
    /// Its address.
    pub address: Option<String>,
    /// The length of the network's prefix in bits.
    pub prefix_len: Option<String>,
    /// The mask of the network.
    pub mask: Option<String>,
    /// The gateway.
    pub gateway: Option<String>,
    /// The name servers.
    pub dns: [Option<String>; 2],
    /// The VLAN.
    pub vlan: Option<String>,
    /// What Linux calls it.
    pub device: Option<String>,
}

/// The root of sysfs.
pub fn sysfs() -> PathBuf {
    std::env::var_os("RISCSI_SYSFS").filter(|root| !root.is_empty()).map_or_else(|| "/sys".into(), PathBuf::from)
}

/// The targets that the firmware knows, in the order of its table. `None` if there is no table.
///
/// An entry counts if it is valid and names the target, its address, and an interface that is valid and has a hardware
/// address.
pub fn targets(sysfs: &Path) -> io::Result<Option<Vec<BootTarget>>> {
    let table = Entry(sysfs.join("firmware/ibft"));
    if !table.0.is_dir() {
        return Ok(None);
    }
    let initiator = table.entry("initiator").text("initiator-name")?;
    let mut found = Vec::new();
    for number in 0..MAX_ENTRIES {
        found.extend(target(&table, number, initiator.as_ref())?);
    }
    Ok(Some(found))
}

fn target(table: &Entry, number: u32, initiator: Option<&String>) -> io::Result<Option<BootTarget>> {
    let entry = table.entry(&format!("target{number}"));
    if !entry.is_valid()? {
        return Ok(None);
    }
    let (Some(name), Some(address)) = (entry.text("target-name")?, entry.text("ip-addr")?) else { return Ok(None) };
    let Some(nic) = entry.number("nic-assoc")?.map(|number| nic(table, number)).transpose()?.flatten() else {
        tracing::warn!("target {number} of the firmware is at no interface that it knows");
        return Ok(None);
    };
    let proof = |user, secret| {
        let secret = entry.text(secret)?.map(Zeroizing::new);
        Ok::<_, io::Error>(Proof { user: entry.text(user)?, secret })
    };
    Ok(Some(BootTarget {
        initiator: initiator.cloned(),
        nic,
        name,
        address,
        port: entry.number("port")?.and_then(|port| port.try_into().ok()).unwrap_or(PORT),
        lun: entry.text("lun")?,
        chap_type: entry.number("chap-type")?.map_or(ChapType::Unknown, ChapType::from_number),
        chap: proof("chap-name", "chap-secret")?,
        reverse: proof("rev-chap-name", "rev-chap-name-secret")?,
    }))
}

fn nic(table: &Entry, number: u32) -> io::Result<Option<Nic>> {
    let entry = table.entry(&format!("ethernet{number}"));
    if !entry.is_valid()? {
        return Ok(None);
    }
    let Some(mac) = entry.text("mac")? else { return Ok(None) };
    let server = entry.text("dhcp")?.is_some_and(|server| server != "0.0.0.0");
    Ok(Some(Nic {
        mac,
        dhcp: server || entry.number("origin")? == Some(BY_DHCP),
        address: entry.text("ip-addr")?,
        prefix_len: entry.text("prefix-len")?,
        mask: entry.text("subnet-mask")?,
        gateway: entry.text("gateway")?,
        dns: [entry.text("primary-dns")?, entry.text("secondary-dns")?],
        vlan: entry.text("vlan")?,
        device: entry.device()?,
    }))
}

impl ChapType {
    const fn from_number(number: u32) -> Self {
        match number {
            0 => Self::None,
            1 => Self::OneWay,
            2 => Self::Mutual,
            _ => Self::Unknown,
        }
    }
}

/// A directory of the table.
struct Entry(PathBuf);

impl Entry {
    fn entry(&self, name: &str) -> Self {
        Self(self.0.join(name))
    }

    fn is_valid(&self) -> io::Result<bool> {
        Ok(self.number("flags")?.is_some_and(|flags| flags & VALID != 0))
    }

    /// An attribute. One that is empty is none, and so is one that only root can read.
    fn text(&self, name: &str) -> io::Result<Option<String>> {
        let file = match fs::File::open(self.0.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound || error.kind() == ErrorKind::PermissionDenied => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(MAX_ATTRIBUTE).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_matches(|letter: char| letter.is_whitespace() || letter == '\0');
        Ok(Some(text).filter(|text| !text.is_empty()).map(str::to_owned))
    }

    fn number(&self, name: &str) -> io::Result<Option<u32>> {
        Ok(self.text(name)?.and_then(|text| text.parse().ok()))
    }

    /// The network device that belongs to this interface.
    fn device(&self) -> io::Result<Option<String>> {
        match fs::read_dir(self.0.join("device/net")) {
            Ok(mut names) => Ok(names.next().transpose()?.map(|name| name.file_name().to_string_lossy().into_owned())),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    pub(super) fn table(attributes: &[(&str, &str)]) -> TempDir {
        let sysfs = tempfile::tempdir().unwrap();
        for (name, value) in attributes {
            let path = sysfs.path().join("firmware/ibft").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{value}\n")).unwrap();
        }
        sysfs
    }

    const LEAST: [(&str, &str); 6] = [
        ("target0/flags", "3"),
        ("target0/target-name", "iqn.2001-04.com.example:disk1"),
        ("target0/ip-addr", "10.0.0.1"),
        ("target0/nic-assoc", "0"),
        ("ethernet0/flags", "3"),
        ("ethernet0/mac", "52:54:00:12:34:56"),
    ];

    fn read(attributes: &[(&str, &str)]) -> Vec<BootTarget> {
        targets(table(attributes).path()).unwrap().unwrap()
    }

    #[test]
    fn without_a_table_there_is_nothing() {
        assert_eq!(targets(tempfile::tempdir().unwrap().path()).unwrap(), None);
        assert_eq!(read(&[("acpi_header/signature", "iBFT")]), []);
    }

    #[test]
    fn an_entry_counts_with_a_name_an_address_and_an_interface() {
        let found = read(&LEAST);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].port, found[0].nic.dhcp, found[0].chap_type), (3260, false, ChapType::Unknown));
        for missing in LEAST {
            let less: Vec<_> = LEAST.into_iter().filter(|attribute| *attribute != missing).collect();
            assert_eq!(read(&less), [], "{missing:?}");
        }
        for (name, value) in [("target0/flags", "2"), ("ethernet0/flags", "0"), ("target0/nic-assoc", "1")] {
            assert_eq!(read(&[&LEAST[..], &[(name, value)]].concat()), [], "{name}");
        }
    }

    #[test]
    fn dhcp_is_told_by_its_server_or_by_where_the_address_is_from() {
        for (attribute, dhcp) in [
            (("ethernet0/dhcp", "10.0.0.9"), true),
            (("ethernet0/dhcp", "0.0.0.0"), false),
            (("ethernet0/origin", "3"), true),
            (("ethernet0/origin", "1"), false),
        ] {
            assert_eq!(read(&[&LEAST[..], &[attribute]].concat())[0].nic.dhcp, dhcp, "{attribute:?}");
        }
    }

    #[test]
    fn no_secret_is_in_debug_output() {
        let all = [&LEAST[..], &[("target0/chap-name", "joe"), ("target0/chap-secret", "joessecret12")]].concat();
        let printed = format!("{:?}", read(&all));
        assert!(printed.contains("joe") && !printed.contains("joessecret12"), "{printed}");
    }

    #[test]
    fn attributes_of_any_bytes_do_no_harm() {
        let sysfs = table(&LEAST);
        for bytes in [&b"\xff\xfe\0\0"[..], &[b'x'; 10_000], b"", b"\n\n", b"a\nb\nc"] {
            for (name, _) in LEAST {
                fs::write(sysfs.path().join("firmware/ibft").join(name), bytes).unwrap();
            }
            assert!(targets(sysfs.path()).unwrap().is_some());
        }
    }
}
