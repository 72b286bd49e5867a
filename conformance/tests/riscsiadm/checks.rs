//! What has to hold whichever target it is.

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use conformance::lab::{Ran, Riscsiadm, stamp};
use tempfile::TempDir;

pub(crate) const DISK: &str = "iqn.2026-01.org.example:disk";
pub(crate) const CHAP: &str = "iqn.2026-01.org.example:chap";
pub(crate) const MUTUAL: &str = "iqn.2026-01.org.example:mutual";
pub(crate) const USER: (&str, &str) = ("alice", "alicesecret12");
pub(crate) const TARGET_USER: (&str, &str) = ("tgtuser", "tgtsecret1234");

/// The logical units of [`DISK`], by what they are.
#[derive(Clone, Copy)]
pub(crate) struct Units {
    /// The image of [`Bench::image`], 512-byte blocks.
    pub(crate) image: u64,
    /// 16 MiB in 4096-byte blocks.
    pub(crate) large_blocks: u64,
    /// Write protected.
    pub(crate) read_only: u64,
    /// Not there.
    pub(crate) absent: u64,
}

/// A target to check, and what to check it with.
pub(crate) struct Bench {
    pub(crate) portal: SocketAddr,
    pub(crate) units: Units,
    pub(crate) tool: Riscsiadm,
    pub(crate) dir: TempDir,
}

/// The backing files of a bench.
pub(crate) struct Files {
    pub(crate) dir: TempDir,
    pub(crate) image: PathBuf,
    pub(crate) large_blocks: PathBuf,
    pub(crate) read_only: PathBuf,
}

/// An image that takes many commands, and one that takes few.
pub(crate) const LONG: u64 = 256 << 20;
pub(crate) const SHORT: u64 = 1 << 20;
pub(crate) const LARGE: u64 = 16 << 20;

/// Backing files, that of the image of so many bytes.
pub(crate) fn files(image_size: u64) -> Files {
    let dir = tempfile::tempdir().unwrap();
    let [image, large_blocks, read_only] = ["image", "large", "ro"].map(|name| dir.path().join(name));
    noise(&image, image_size);
    stamp::file(&large_blocks, LARGE, 2).unwrap();
    stamp::file(&read_only, 1 << 20, 3).unwrap();
    Files { dir, image, large_blocks, read_only }
}

/// Makes a file of random bytes. Those of the kernel come faster than what an unoptimised generator makes.
fn noise(path: &Path, size: u64) {
    let mut random = File::open("/dev/urandom").unwrap().take(size);
    io::copy(&mut random, &mut File::create(path).unwrap()).unwrap();
}

impl Bench {
    pub(crate) fn new(portal: SocketAddr, units: Units) -> Self {
        Self { portal, units, tool: Riscsiadm::new().unwrap(), dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn url(&self, lun: u64) -> String {
        format!("iscsi://{}/{DISK}/{lun}", self.portal)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.tool.run(args).unwrap()
    }

    /// Runs a command that has to succeed and say nothing on standard error; gives standard output.
    pub(crate) fn succeed(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{args:?}: {ran:?}");
        ran.stdout
    }

    /// Runs a command that has to fail with this code and one line that holds all of `words`.
    pub(crate) fn fail(&self, args: &[&str], code: i32, words: &[&str]) {
        let ran = self.run(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{args:?}: {ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{args:?}: {ran:?}");
        assert!(ran.stderr.starts_with("riscsiadm: "), "{ran:?}");
        for word in words {
            assert!(ran.stderr.contains(word), "{word:?} is not in {ran:?}");
        }
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A whole image read and written back is the same to the byte; with both digests too.
pub(crate) fn an_image_is_read_and_written_to_the_byte(bench: &Bench, backing: &Path) {
    let (url, copy) = (bench.url(bench.units.image), bench.file("copy"));
    bench.succeed(&["read", &url, "-o", path(&copy)]);
    assert!(fs::read(&copy).unwrap() == fs::read(backing).unwrap());

    let other = bench.file("other");
    noise(&other, LONG);
    bench.succeed(&["write", &url, "-i", path(&other)]);
    assert!(fs::read(backing).unwrap() == fs::read(&other).unwrap());

    let digests = format!("{url}?header_digest=crc32c&data_digest=crc32c");
    bench.succeed(&["write", &digests, "-i", path(&copy)]);
    assert!(fs::read(backing).unwrap() == fs::read(&copy).unwrap());
    let back = bench.tool.bytes(&["read", &digests, "--offset", "128MiB"]).unwrap();
    assert!(back == fs::read(&copy).unwrap()[128 << 20..]);
}

/// Blocks of 4096 bytes, and ranges that do not keep to them.
pub(crate) fn any_range_can_be_read_and_written(bench: &Bench, backing: &Path) {
    let url = bench.url(bench.units.large_blocks);
    let mut expected = fs::read(backing).unwrap();
    for (offset, length) in [(0, 1), (4095, 2), (4096, 4096), (12_345, 100_000), (LARGE as usize - 1, 1), (5, 4091)] {
        let [at, count] = [offset, length].map(|number: usize| number.to_string());
        let read = bench.tool.bytes(&["read", &url, "--offset", &at, "--length", &count]).unwrap();
        assert!(read == expected[offset..offset + length], "{offset} {length}");

        let noise: Vec<u8> = (0..length).map(|i| (i * 7 + offset) as u8).collect();
        let input = bench.file("noise");
        fs::write(&input, &noise).unwrap();
        bench.succeed(&["write", &url, "--offset", &at, "-i", path(&input)]);
        expected[offset..offset + length].copy_from_slice(&noise);
        assert!(fs::read(backing).unwrap() == expected, "{offset} {length}");
    }
}

pub(crate) fn what_cannot_be_is_refused_clearly(bench: &Bench) {
    let units = bench.units;
    let image = bench.url(units.image);
    let end = SHORT.to_string();
    bench.fail(&["read", &image, "--offset", &end, "--length", "1"], 7, &["reach beyond the end", &end]);
    bench.fail(&["read", &image, "--offset", "1024PiB", "--length", "15000P"], 7, &["reach beyond the end"]);
    bench.fail(&["read", &bench.url(units.absent)], 7, &["no logical unit"]);
    bench.fail(&["inquiry", &format!("iscsi://{}/{DISK}", bench.portal)], 7, &["names no LUN"]);
    bench.fail(&["read", &format!("iscsi://{}", bench.portal)], 7, &["names no target"]);

    let input = bench.file("block");
    fs::write(&input, [1; 512]).unwrap();
    bench.fail(&["write", &bench.url(units.read_only), "-i", path(&input)], 1, &["write protected"]);
    bench.fail(&["write", &image, "--offset", &end, "-i", path(&input)], 7, &["reach beyond the end"]);

    let output = bench.file("partial");
    bench.fail(&["read", &bench.url(units.absent), "-o", path(&output)], 7, &[]);
    assert!(!output.exists());

    let missing = format!("iscsi://{}/iqn.2026-01.org.example:none/0", bench.portal);
    bench.fail(&["ls", &missing], 19, &["target not found", "02/03"]);
}

/// CHAP: right, wrong, missing, both ways.
pub(crate) fn chap_lets_in_who_knows_the_secret(bench: &Bench, lun: u64) {
    let (user, secret) = USER;
    let (target_user, target_secret) = TARGET_USER;
    let plain = format!("iscsi://{}/{CHAP}/{lun}", bench.portal);
    let with = |target: &str, tail: &str| format!("iscsi://{user}@{}/{target}/{lun}{tail}", bench.portal);
    let as_user = |secret: &str, target_secret: &str, url: &str| {
        let mut command = bench.tool.command();
        command.env("RISCSI_SECRET", secret).env("RISCSI_TARGET_SECRET", target_secret);
        Ran::from(command.args(["inquiry", url]).output().unwrap())
    };

    bench.fail(&["inquiry", &plain], 24, &["authentication failure", "give a user and a secret"]);
    bench.fail(&["inquiry", &with(CHAP, "")], 7, &["no secret for the user", "--secret-file"]);
    assert_eq!(as_user(secret, "", &with(CHAP, "")).code, 0);
    let wrong = as_user("alicesecret13", "", &with(CHAP, ""));
    assert_eq!(wrong.code, 24, "{wrong:?}");
    assert!(wrong.stderr.contains("check the user and the secret"), "{wrong:?}");

    let mutual = with(MUTUAL, &format!("?target_user={target_user}"));
    assert_eq!(as_user(secret, target_secret, &mutual).code, 0);
    let impostor = as_user(secret, "tgtsecret1235", &mutual);
    assert_eq!(impostor.code, 19, "{impostor:?}");
    assert!(impostor.stderr.contains("the target did not prove itself"), "{impostor:?}");

    let file = bench.file("secrets");
    fs::write(&file, format!("{secret}\n{target_secret}\n")).unwrap();
    bench.succeed(&["inquiry", &mutual, "--secret-file", path(&file)]);

    // One side would prove nothing although its secret is there.
    let one_way = with(CHAP, "");
    bench.fail(&["inquiry", &one_way, "--secret-file", path(&file)], 7, &["line 2 of the secret file", "target_user"]);
    let ran = as_user(secret, target_secret, &one_way);
    assert_eq!(ran.code, 7, "{ran:?}");
    assert!(ran.stderr.contains("RISCSI_TARGET_SECRET holds a secret"), "{ran:?}");
}

/// A peer that takes connections and says nothing.
pub(crate) fn a_silent_peer_is_given_up(bench: &Bench) {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let portal = silent.local_addr().unwrap().to_string();
    bench.fail(&["ls", &portal, "--timeout", "200ms"], 11, &["timed out after 200ms", "does not answer"]);
    drop(silent);
    bench.fail(&["ls", &portal], 4, &["Connection refused", &portal]);
}

/// The lines that scripts for iscsiadm look for, and the records behind them.
pub(crate) fn targets_are_discovered_and_recorded(bench: &Bench, targets: &[&str]) {
    let portal = bench.portal.to_string();
    let lines_of = |targets: &[&str]| {
        let lines: Vec<String> = targets.iter().map(|target| format!("{portal},1 {target}\n")).collect();
        lines.concat()
    };
    let lines = lines_of(targets);
    assert_eq!(bench.succeed(&["-m", "discovery", "-t", "st", "-p", &portal]), lines);
    assert_eq!(bench.succeed(&["--mode", "discovery", "--type", "sendtargets", "--portal", &portal]), lines);

    let mut sorted = targets.to_vec();
    sorted.sort_unstable();
    assert_eq!(bench.succeed(&["-m", "node"]), lines_of(&sorted));

    let node = ["-m", "node", "-T", DISK, "-p", &portal];
    let with = |more: &[&str]| bench.succeed(&[&node[..], more].concat());
    assert!(with(&[]).contains(&format!("node.name = {DISK}\n")));
    assert!(with(&[]).contains("node.startup = manual\n"));
    assert_eq!(with(&["-o", "update", "-n", "node.startup", "-v", "automatic"]), "");
    bench.succeed(&["-m", "discovery", "-t", "st", "-p", &portal]);
    assert!(with(&["-o", "show"]).contains("node.startup = automatic\n"));
    assert_eq!(with(&["-o", "delete"]), "");
    let gone = bench.run(&node);
    assert_eq!((gone.code, gone.stdout.as_str()), (21, ""));
    assert!(gone.stderr.ends_with("No records found\n"), "{gone:?}");
}
