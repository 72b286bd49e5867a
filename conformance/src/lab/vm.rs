//! A small virtual machine: a stock Linux kernel with the scripts of `conformance/targets/lio` in it, under QEMU.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use base64ct::{Base64, Encoding};
use rand::RngExt;
use tempfile::TempDir;

use super::program::target_dir;
use super::tool::search;
use super::{LabError, Leash, NotRun};

const QEMU: &str = "qemu-system-x86_64";
/// What the guest is asked for in one go takes no longer, its start included.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(20);
/// A loopback network that is taken is seen when QEMU ends at once.
const ATTEMPTS: usize = 5;
/// Bytes of the disk that host and guest share.
pub(super) const DISK: u64 = 64 << 20;
const KERNEL_LINE: &str = "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off nokaslr audit=0 apparmor=0 \
     random.trust_cpu=on nowatchdog";

/// The parts of the machine, as `conformance/targets/lio/build` has left them beside the build.
#[derive(Clone, Debug)]
pub struct Image {
    folder: PathBuf,
    qemu: PathBuf,
}

/// Finds the parts of the machine.
pub fn vm() -> Result<Image, NotRun> {
    if std::env::var_os("LABS").is_some_and(|value| value == "off") {
        return Err(NotRun::new("LABS=off"));
    }
    let folder = folder()?;
    let qemu = search(QEMU).unwrap_or_else(|| folder.join("host/usr/bin").join(QEMU));
    let missing =
        [qemu.clone(), folder.join("kernel"), folder.join("initramfs")].into_iter().find(|part| !part.exists());
    match missing {
        None => Ok(Image { folder, qemu }),
        Some(part) => {
            let why =
                format!("{} is missing: conformance/targets/lio/build makes it from Debian packages", part.display());
            Err(NotRun::new(why))
        }
    }
}

/// Makes the parts of the machine that are missing, out of Debian packages. Takes a minute the first time.
pub fn build_vm() -> Result<(), LabError> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/targets/lio/build");
    let done = Command::new(script).arg(folder()?).output().map_err(LabError::io("run the build of the machine"))?;
    if done.status.success() {
        return Ok(());
    }
    let output = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    Err(LabError::Tool { command: script.to_owned(), status: done.status, output })
}

fn folder() -> Result<PathBuf, NotRun> {
    Ok(target_dir().map_err(|error| NotRun::new(error.to_string()))?.join("vm"))
}

/// A loopback network that is the guest's own: what the target there tells of its address is true on the host.
#[derive(Clone, Copy, Debug)]
struct Net([u8; 3]);

impl Net {
    fn pick() -> Self {
        let mut rng = rand::rng();
        Self([127, rng.random_range(1..=254), rng.random_range(0..=255)])
    }

    fn address(self, last: u8) -> Ipv4Addr {
        let [a, b, c] = self.0;
        Ipv4Addr::new(a, b, c, last)
    }

    /// What comes to the guest's addresses goes to the guest, and nothing comes out of it.
    fn option(self, portals: &[(u8, u16)]) -> String {
        let [a, b, c] = self.0;
        let net = format!("user,id=net,restrict=on,net={a}.{b}.{c}.0/24,host={a}.{b}.{c}.2,dns={a}.{b}.{c}.3");
        portals.iter().fold(format!("{net},dhcpstart={a}.{b}.{c}.100"), |option, (last, port)| {
            let address = self.address(*last);
            format!("{option},hostfwd=tcp:{address}:{port}-{address}:{port}")
        })
    }
}

impl Image {
    /// Boots the guest and returns when `setup`, a script in `conformance/targets/lio`, has configured it. `portals` are the last bytes of its addresses and their ports.
    pub fn boot(&self, setup: &str, portals: &[(u8, u16)]) -> Result<Vm, LabError> {
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            match self.attempt(setup, Net::pick(), portals)? {
                Ok(vm) => return Ok(vm),
                Err(why) => last = why,
            }
        }
        Err(LabError::NotReady { why: last })
    }

    /// The inner error is one that another network may not meet.
    fn attempt(&self, setup: &str, net: Net, portals: &[(u8, u16)]) -> Result<Result<Vm, String>, LabError> {
        let dir = tempfile::Builder::new().prefix("vm-").tempdir().map_err(LabError::io("make a directory"))?;
        let disk = File::create(dir.path().join("disk")).and_then(|file| file.set_len(DISK));
        disk.map_err(LabError::io("make a disk"))?;
        let log = dir.path().join("log");
        let file = File::create(&log).map_err(LabError::io("create a log"))?;
        let mut leash =
            Leash::start(&self.command(&dir, setup, net, portals), file).map_err(LabError::io("start QEMU"))?;
        let Some(control) = connect(&dir.path().join("control"), &mut leash) else {
            return Ok(Err(fs::read_to_string(&log).unwrap_or_default()));
        };
        let vm = Vm { leash, control: Mutex::new(control), net, dir };
        match vm.run("cat /run/setup.log; exit $(cat /run/setup.status)") {
            Ok(_) => Ok(Ok(vm)),
            Err(error) => Err(LabError::NotReady { why: format!("{error}\n{}", vm.console()) }),
        }
    }

    fn command(&self, dir: &TempDir, setup: &str, net: Net, portals: &[(u8, u16)]) -> Command {
        let mut command = Command::new(&self.qemu);
        self.own_libraries(&mut command);
        let accel = fs::read_to_string(self.folder.join("accel")).unwrap_or_else(|_| "tcg".to_owned());
        command.args(["-accel", accel.trim(), "-cpu", "max", "-m", "512", "-nodefaults", "-no-user-config"]);
        command.args(["-display", "none", "-no-reboot"]);
        command.arg("-kernel").arg(self.folder.join("kernel")).arg("-initrd").arg(self.folder.join("initramfs"));
        let [a, b, c] = net.0;
        command.arg("-append").arg(format!("{KERNEL_LINE} lab.net={a}.{b}.{c} lab.setup={setup}"));
        command.args(["-netdev", &net.option(portals), "-device", "virtio-net-pci,netdev=net,romfile="]);
        let dir = dir.path().display();
        command.arg("-serial").arg(format!("file:{dir}/console"));
        command.arg("-chardev").arg(format!("socket,id=control,path={dir}/control,server=on,wait=off"));
        command.args(["-device", "virtio-serial", "-device", "virtserialport,chardev=control"]);
        command.arg("-drive").arg(format!("file={dir}/disk,format=raw,if=none,id=disk,discard=unmap"));
        command.args(["-device", "virtio-blk-pci,drive=disk"]);
        command
    }

    /// A QEMU that was unpacked and not installed brings its libraries and firmware with it.
    fn own_libraries(&self, command: &mut Command) {
        let host = self.folder.join("host");
        if !self.qemu.starts_with(&host) {
            return;
        }
        let libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"].map(|folder| host.join(folder));
        let [usr, lib] = &libraries;
        command.env("LD_LIBRARY_PATH", format!("{}:{}", usr.display(), lib.display()));
        command.env("QEMU_MODULE_DIR", usr.join("qemu"));
        for firmware in ["usr/share/qemu", "usr/share/seabios"] {
            command.arg("-L").arg(host.join(firmware));
        }
    }
}

fn connect(socket: &Path, leash: &mut Leash) -> Option<BufReader<UnixStream>> {
    loop {
        if let Ok(control) = UnixStream::connect(socket) {
            control.set_read_timeout(Some(PATIENCE)).ok()?;
            return Some(BufReader::new(control));
        }
        if !leash.is_running() {
            return None;
        }
        thread::sleep(PAUSE);
    }
}

/// A running machine. Dropping it kills QEMU and removes its files; so does the end of its owner.
pub struct Vm {
    // Before the directory: fields are dropped in this order.
    leash: Leash,
    control: Mutex<BufReader<UnixStream>>,
    net: Net,
    dir: TempDir,
}

impl Vm {
    /// One of the guest's addresses, by its last byte.
    pub fn address(&self, last: u8, port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.net.address(last)), port)
    }

    /// The process id of QEMU.
    pub fn pid(&self) -> u32 {
        self.leash.pid()
    }

    /// The file behind the guest's disk `/dev/vda`. What the guest has written there is in it at once.
    pub fn disk(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    /// What the guest's kernel has said.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.path().join("console")).unwrap_or_default()).into_owned()
    }

    /// Runs a shell script in the guest as root, and gives what it printed on both streams. A NUL is lost.
    ///
    /// A status other than 0 is an error; so is a silence of two minutes.
    pub fn run(&self, script: &str) -> Result<String, LabError> {
        let (status, output) = self.ask(script)?;
        if status == 0 { Ok(output) } else { Err(LabError::Guest { status, output }) }
    }

    /// Runs a shell script in the guest, and gives its status and what it printed.
    pub fn ask(&self, script: &str) -> Result<(i32, String), LabError> {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let line = Base64::encode_string(script.as_bytes()) + "\n";
        control.get_mut().write_all(line.as_bytes()).map_err(LabError::io("speak to the guest"))?;
        let mut answer = String::new();
        control.read_line(&mut answer).map_err(LabError::io("hear the guest"))?;
        let printed = Base64::decode_vec(answer.trim_end()).unwrap_or_default();
        let printed = String::from_utf8_lossy(&printed).into_owned();
        let (output, status) = printed.trim_end().rsplit_once('\n').unwrap_or(("", printed.trim_end()));
        let status = status.parse().map_err(|_| LabError::NotReady { why: "the guest has ended".to_owned() })?;
        Ok((status, output.to_owned()))
    }

    /// Bytes of a file in the guest.
    pub fn read(&self, path: &str, offset: u64, length: usize) -> Result<Vec<u8>, LabError> {
        let encoded = self.run(&format!("tail -c +{} {path} | head -c {length} | base64 -w 0", offset + 1))?;
        Base64::decode_vec(encoded.trim())
            .map_err(|_| LabError::NotReady { why: "no base64 from the guest".to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guests_network_takes_what_comes_to_its_portals_and_lets_nothing_out() {
        let net = Net([127, 9, 8]);
        let option = net.option(&[(15, 3260), (16, 3261)]);
        assert!(option.starts_with("user,id=net,restrict=on,net=127.9.8.0/24,"), "{option}");
        let forwards = "hostfwd=tcp:127.9.8.15:3260-127.9.8.15:3260,hostfwd=tcp:127.9.8.16:3261-127.9.8.16:3261";
        assert!(option.ends_with(forwards), "{option}");
    }

    #[test]
    fn networks_are_those_of_the_loopback() {
        for _ in 0..100 {
            let address = Net::pick().address(15);
            assert!(address.is_loopback() && address.octets()[1] != 0, "{address}");
        }
    }
}
