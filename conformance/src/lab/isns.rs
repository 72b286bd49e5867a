use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::leash::Leash;
use super::port::on_free_port;
use super::{LabError, NotRun, tool};

/// The `isnsd` and `isnsadm` of open-isns (Debian packages open-isns-server and open-isns-utils).
pub fn isns() -> Result<IsnsSetup, NotRun> {
    Ok(IsnsSetup { isnsd: tool("isnsd", "open-isns-server")?, isnsadm: tool("isnsadm", "open-isns-utils")? })
}

/// An iSNS server that is to be started.
pub struct IsnsSetup {
    isnsd: PathBuf,
    isnsadm: PathBuf,
}

impl IsnsSetup {
    /// Runs `isnsd` on a free port of 127.0.0.1 with an empty database, and returns when it listens. Nodes that are in no
    /// discovery domain see each other.
    pub fn start(self) -> Result<Isns, LabError> {
        let dir = tempfile::Builder::new().prefix("isns-").tempdir().map_err(LabError::io("make a directory"))?;
        let log = dir.path().join("log");
        let said = || fs::read_to_string(&log).unwrap_or_default();
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let (leash, [server]) = on_free_port([address], said, |port| self.launch(dir.path(), port))?;
        Ok(Isns { leash, isnsadm: self.isnsadm, server, dir })
    }

    fn launch(&self, dir: &Path, port: u16) -> Result<Leash, LabError> {
        let (config, place) = (dir.join("isnsd.conf"), dir.display());
        let text = format!(
            "Database = {place}/db\nBindAddress = 127.0.0.1:{port}\nPIDFile = {place}/pid\n\
             ControlSocket = {place}/control\nDefaultDiscoveryDomain = 1\nSLPRegister = 0\nSecurity = 0\nESIRetries = 0\n"
        );
        fs::create_dir_all(dir.join("db")).map_err(LabError::io("make a directory"))?;
        fs::write(&config, text).map_err(LabError::io("write isnsd.conf"))?;
        let log = File::create(dir.join("log")).map_err(LabError::io("create the log of isnsd"))?;
        let mut command = Command::new(&self.isnsd);
        command.arg("-f").arg("-c").arg(config);
        Leash::start(&command, log).map_err(LabError::io("start isnsd"))
    }
}

/// A running `isnsd`. Dropping it kills the process and removes its files.
pub struct Isns {
    // Before the directory: fields are dropped in this order.
    leash: Leash,
    isnsadm: PathBuf,
    server: SocketAddr,
    dir: TempDir,
}

impl Isns {
    /// Address and port of the server.
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// The process id of `isnsd`.
    pub fn pid(&self) -> u32 {
        self.leash.pid()
    }

    /// Its version, such as `open-isns 0.101`.
    pub fn version(&self) -> String {
        let said = Command::new(&self.isnsadm).arg("--version").output();
        let said = said.map(|done| [done.stdout, done.stderr].concat()).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        let number = said.lines().find_map(|line| line.strip_prefix("Open-iSNS version "));
        format!("open-isns {}", number.unwrap_or_default().trim())
    }

    /// Registers targets with the portals at which all of them are, as one entity. A portal belongs to one entity only. The
    /// portal groups have the tag 1.
    pub fn register(&self, targets: &[&str], portals: &[SocketAddr]) -> Result<(), LabError> {
        let Some(first) = targets.first() else { return Ok(()) };
        let entity = format!("entity={first}.example").replace(':', ".");
        let names = targets.iter().map(|target| format!("target={target}"));
        let portals = portals.iter().map(|portal| format!("portal={portal}/tcp"));
        let objects: Vec<String> = [entity].into_iter().chain(names).chain(portals).collect();
        let objects: Vec<&str> = objects.iter().map(String::as_str).collect();
        self.isnsadm(first, &[&["--register"], &objects[..]].concat()).map(|_| ())
    }

    /// Puts nodes into a discovery domain: those in one see each other and nobody else.
    pub fn domain(&self, name: &str, members: &[&str]) -> Result<(), LabError> {
        let members = members.iter().map(|member| format!("member-name={member}"));
        let objects: Vec<String> = std::iter::once(format!("dd-name={name}")).chain(members).collect();
        let objects: Vec<&str> = objects.iter().map(String::as_str).collect();
        self.isnsadm("iqn.2026-01.org.example:control", &[&["--dd-register"], &objects[..]].concat()).map(|_| ())
    }

    /// Everything that the server lists to a node: `nodes`, `portals` or `dds`, in the words of `isnsadm`.
    pub fn list(&self, node: &str, what: &str) -> Result<String, LabError> {
        self.isnsadm(node, &["--list", what])
    }

    /// What `isnsadm` prints when a node calls it with these arguments.
    fn isnsadm(&self, node: &str, args: &[&str]) -> Result<String, LabError> {
        let config = self.dir.path().join("isnsadm.conf");
        let text = format!("ServerAddress = {}\nSourceName = {node}\nSecurity = 0\nSLPRegister = 0\n", self.server);
        fs::write(&config, text).map_err(LabError::io("write isnsadm.conf"))?;
        let done = Command::new(&self.isnsadm).arg("-c").arg(config).args(args).output();
        let done = done.map_err(LabError::io("run isnsadm"))?;
        let output = String::from_utf8_lossy(&done.stdout).into_owned();
        if done.status.success() {
            return Ok(output);
        }
        let output = output + &String::from_utf8_lossy(&done.stderr);
        Err(LabError::Tool { command: format!("isnsadm {}", args.join(" ")), status: done.status, output })
    }
}
