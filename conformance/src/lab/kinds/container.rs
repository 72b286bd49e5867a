use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rand::RngExt;

use crate::lab::{Disk, Lab, LabError, NotRun, Offer, Role, tool};

const IMAGE: &str = "localhost/iscsi-tgt";
const BASE: &str = "iqn.2026-01.org.example";
const USER: (&str, &str) = ("user", "secret-of-host");
const SIZE: u64 = 64 << 20;
/// The container ends after this many seconds, even if its owner was killed.
const LIFETIME: &str = "1800";
const CONF: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/targets/tgt/containers.conf");
const ATTEMPTS: usize = 150;
const PAUSE: Duration = Duration::from_millis(100);

/// `tgtd` in a container with two networks, which make two portals.
struct Running {
    podman: Podman,
    name: String,
    addresses: [[u8; 4]; 2],
}

pub(super) fn prepare() -> Result<(), LabError> {
    Podman::find()?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/targets/tgt/build");
    let done = Command::new(script).env_remove("LD_LIBRARY_PATH").output().map_err(LabError::io("build the image"))?;
    if done.status.success() {
        return Ok(());
    }
    let output = String::from_utf8_lossy(&done.stderr).into_owned();
    Err(LabError::Tool { command: script.to_owned(), status: done.status, output })
}

pub(super) fn start() -> Result<Box<dyn Lab>, LabError> {
    let podman = Podman::find()?;
    if podman.run(&["image", "exists", IMAGE]).is_err() {
        let why = format!("there is no image {IMAGE}: conformance/targets/tgt/build makes it");
        return Err(NotRun::new(why).into());
    }
    let (second, third) = (rand::rng().random_range(64..=250), rand::rng().random_range(0..=250));
    let name = format!("lab-{second}-{third}");
    // Dropping it removes whatever there is by then.
    let running = Running { podman, name, addresses: [[10, second, third, 10], [10, second, third + 1, 10]] };
    running.launch()?;
    running.wait_until_ready()?;
    Ok(Box::new(running))
}

struct Podman {
    program: PathBuf,
    own_conf: bool,
}

impl Podman {
    fn find() -> Result<Self, NotRun> {
        if !rustix::process::geteuid().is_root() {
            return Err(NotRun::new("containers with addresses of their own need root"));
        }
        let program = tool("podman", "podman runc netavark nftables iptables")?;
        // The settings for machines that an ordinary podman does not work on are harmless, but need runc.
        Ok(Self { program, own_conf: tool("runc", "runc").is_ok() })
    }

    fn run(&self, args: &[&str]) -> Result<String, LabError> {
        let mut command = Command::new(&self.program);
        // The toolbox of the build has libraries of its own.
        command.env_remove("LD_LIBRARY_PATH").args(args);
        if self.own_conf {
            command.env("CONTAINERS_CONF", CONF);
        }
        let done = command.output().map_err(LabError::io("run podman"))?;
        let output = [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        if done.status.success() {
            return Ok(output.concat());
        }
        let command = format!("podman {}", args.first().unwrap_or(&""));
        Err(LabError::Tool { command, status: done.status, output: output.concat() })
    }
}

impl Running {
    fn launch(&self) -> Result<(), LabError> {
        let mut args =
            ["run", "--detach", "--rm", "--timeout", LIFETIME, "--name", &self.name].map(str::to_owned).to_vec();
        for ([a, b, c, d], network) in self.addresses.into_iter().zip(self.networks()) {
            self.podman.run(&[
                "network",
                "create",
                "--disable-dns",
                "--subnet",
                &format!("{a}.{b}.{c}.0/24"),
                &network,
            ])?;
            args.extend(["--network".to_owned(), format!("{network}:ip={a}.{b}.{c}.{d}")]);
        }
        args.push(IMAGE.to_owned());
        self.podman.run(&args.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(())
    }

    fn networks(&self) -> [String; 2] {
        ["one", "two"].map(|network| format!("{}-{network}", self.name))
    }

    fn wait_until_ready(&self) -> Result<(), LabError> {
        for _ in 0..ATTEMPTS {
            if self.podman.run(&["logs", &self.name])?.lines().any(|line| line == "ready") {
                return Ok(());
            }
            thread::sleep(PAUSE);
        }
        Err(LabError::NotReady { why: self.podman.run(&["logs", &self.name])? })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // What is not there cannot be removed; there is nobody to tell.
        let _ = self.podman.run(&["rm", "--force", "--time", "0", &self.name]);
        for network in self.networks() {
            let _ = self.podman.run(&["network", "rm", &network]);
        }
    }
}

impl Lab for Running {
    fn version(&self) -> String {
        let said = self.podman.run(&["exec", &self.name, "tgtadm", "-V"]).unwrap_or_default();
        format!("tgt {} in a container", said.trim())
    }

    fn offers(&self) -> Vec<Offer> {
        // Each portal announces itself alone; the other is reached all the same.
        let [one, _] = self.addresses.map(|address| (address, 3260).into());
        let offer = |role, name| Offer::new(role, &format!("{BASE}:{name}"), &[one]).disk(Disk::new(1, SIZE));
        vec![offer(Role::Open, "open"), offer(Role::Chap, "chap").chap(USER.0, USER.1)]
    }

    fn reach(&self) -> String {
        let [_, [a, b, c, d]] = self.addresses;
        let offers: String = self.offers().iter().map(Offer::to_string).collect();
        format!("{offers}The same at {a}.{b}.{c}.{d}:3260\n")
    }

    fn log(&self) -> String {
        self.podman.run(&["logs", "--tail", "20", &self.name]).unwrap_or_default()
    }
}
