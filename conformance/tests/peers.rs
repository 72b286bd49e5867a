//! Other people's initiators against the bundled target: the tools of libiscsi (Debian package libiscsi-bin), and
//! qemu-img where its iSCSI driver is installed.
//!
//! A tool that is missing is named, and with `REQUIRE_ALL=1` its test fails.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use conformance::lab::{self, NotRun};
use conformance::target::config::{Chap, Config, Credentials, LunConfig, TargetConfig};
use conformance::target::server::Server;
use tokio::runtime::Runtime;

const OPEN: &str = "iqn.2025-01.example:open";
const CLOSED: &str = "iqn.2025-01.example:closed";

/// A served node and the runtime that serves it.
struct Served {
    server: Option<Server>,
    runtime: Runtime,
}

impl Served {
    fn new(targets: Vec<TargetConfig>) -> Self {
        let runtime = Runtime::new().unwrap();
        let config = Config { targets, ..Config::default() };
        let server = runtime.block_on(Server::bind(config, "127.0.0.1:0")).unwrap();
        Self { server: Some(server), runtime }
    }

    fn open(luns: Vec<LunConfig>) -> Self {
        let mut target = TargetConfig::new(OPEN.parse().unwrap());
        target.luns = luns;
        Self::new(vec![target])
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    fn portal(&self) -> String {
        self.server().local_addr().to_string()
    }

    fn url(&self, lun: usize) -> String {
        format!("iscsi://{}/{OPEN}/{lun}", self.portal())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.shutdown());
        }
    }
}

/// A tool of libiscsi, or nothing after a word about it.
fn tool(name: &str) -> Option<PathBuf> {
    lab::require(lab::tool(name, "libiscsi-bin"))
}

/// Runs a tool for a minute at most.
fn run(tool: &Path, args: &[&str]) -> Output {
    Command::new("timeout").arg("60").arg(tool).args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn iscsi_ls_lists_targets_and_units() {
    let Some(ls) = tool("iscsi-ls") else { return };
    let served = Served::open(vec![LunConfig::memory(1 << 20), LunConfig::null(5 << 30)]);
    // It takes the last block for the number of blocks, and so shows one less.
    let text = stdout(&run(&ls, &["-s", &format!("iscsi://{}", served.portal())]));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], format!("Target:{OPEN} Portal:{},1", served.portal()));
    assert!(lines[1].starts_with("Lun:0") && lines[1].contains("DIRECT_ACCESS (Size:1023k)"), "{text}");
    assert!(lines[2].starts_with("Lun:1") && lines[2].contains("DIRECT_ACCESS (Size:4G)"), "{text}");
    assert_eq!(served.server().counters().rejects(), 0);
}

#[test]
fn iscsi_inq_and_readcapacity16_read_the_unit() {
    let (Some(inq), Some(capacity)) = (tool("iscsi-inq"), tool("iscsi-readcapacity16")) else { return };
    let served = Served::open(vec![LunConfig::memory(8 << 20).block_size(4096).thin()]);
    let standard = stdout(&run(&inq, &[&served.url(0)]));
    assert!(standard.contains("Peripheral Qualifier:CONNECTED") && standard.contains("Vendor:RISCSI"), "{standard}");
    let pages = stdout(&run(&inq, &["-e", "1", "-c", "0", &served.url(0)]));
    assert_eq!(pages.matches("Page:0x").count(), 6, "{pages}");
    let size = stdout(&run(&capacity, &[&served.url(0)]));
    for line in ["RETURNED LOGICAL BLOCK ADDRESS:2047", "LOGICAL BLOCK LENGTH IN BYTES:4096", "LBPME:1 LBPRZ:1"] {
        assert!(size.contains(line), "{size}");
    }
}

#[test]
fn chap_admits_who_knows_the_secrets() {
    let Some(inq) = tool("iscsi-inq") else { return };
    let chap = Chap::new(Credentials::new("user", "secretsecret")).mutual(Credentials::new("disk", "othersecret1"));
    let target = TargetConfig::new(CLOSED.parse().unwrap()).lun(LunConfig::memory(1 << 20)).chap(chap);
    let served = Served::new(vec![target]);
    for (user, query, ok) in [
        ("user%secretsecret@", "", true),
        ("user%secretsecret@", "?target_user=disk&target_password=othersecret1", true),
        ("user%secretsecret@", "?target_user=disk&target_password=wrong", false),
        ("user%wrong@", "", false),
        ("", "", false),
    ] {
        let url = format!("iscsi://{user}{}/{CLOSED}/0{query}", served.portal());
        let output = run(&inq, &[&url]);
        let answered = String::from_utf8_lossy(&output.stdout).contains("Vendor:RISCSI");
        assert_eq!(answered, ok, "{url}: {output:?}");
    }
    assert_eq!(served.server().counters().refused(), 2);
}

#[test]
fn iscsi_perf_reads_for_a_while() {
    let Some(perf) = tool("iscsi-perf") else { return };
    let served = Served::open(vec![LunConfig::memory(64 << 20)]);
    let text = stdout(&run(&perf, &["-m", "32", "-b", "8", "-t", "1", &served.url(0)]));
    assert!(text.contains("iops average"), "{text}");
    assert!(served.server().counters().commands() > 1000, "{}", served.server().counters().commands());
}

/// Parts of the reasons for which iscsi-test-cu may skip a test here: commands that the target does not offer.
const ABSENT: [&str; 12] = [
    "EXTENDEDCOPY is not implemented",
    "RECEIVECOPYRESULT is not implemented",
    "RECEIVE_COPY_RESULTS is not implemented",
    "READDEFECTDATA1",
    "RESERVE6 is not implemented",
    "WRITEATOMIC16 is not implemented",
    "does not support 0-blocks",
    "--allow-sanitize flag is not set",
    "is not removable",
    "is not write-protected",
    "LBPPB < 2",
    "Multipath unavailable",
];

/// Runs a family of tests; all have to pass, and what is skipped has to be absent for one of these reasons.
fn test_cu(args: &[&str], reasons: &[&str]) {
    let Some(tool) = tool("iscsi-test-cu") else { return };
    let output = run(&tool, &[&["-d", "-f"], args].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    let failed: Vec<&str> = text.lines().filter(|line| line.contains("FAILED") || line.contains("CU_")).collect();
    assert!(output.status.success(), "{failed:#?}");
    let summary = |kind: &str| -> Vec<String> {
        let line = text.lines().find(|line| line.trim_start().starts_with(kind)).unwrap_or_else(|| panic!("{text}"));
        line.split_whitespace().skip(1).map(str::to_owned).collect()
    };
    let [total, ran, passed, failed, ..] = &summary("tests")[..] else { panic!("{text}") };
    assert_eq!((ran, passed, failed.as_str()), (total, total, "0"));
    assert_eq!(summary("asserts")[3], "0");
    let skipped = text.lines().filter_map(|line| line.split_once("[SKIPPED] ")).map(|(_, reason)| reason);
    for reason in skipped {
        assert!(reasons.iter().any(|known| reason.contains(known)), "skipped: {reason}");
    }
}

#[test]
fn iscsi_test_cu_passes_on_a_thin_unit() {
    let served = Served::open(vec![LunConfig::memory(64 << 20).thin()]);
    test_cu(&["-t", "ALL", &served.url(0)], &ABSENT);
}

#[test]
fn iscsi_test_cu_passes_on_a_thick_unit_with_large_blocks() {
    let served = Served::open(vec![LunConfig::memory(64 << 20).block_size(4096)]);
    let reasons = [&ABSENT[..], &["fully provisioned", "UNMAP is not implemented"]].concat();
    test_cu(&["-t", "ALL", &served.url(0)], &reasons);
}

#[test]
fn iscsi_test_cu_passes_on_a_file_with_header_digests() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(64 << 20).unwrap();
    let served = Served::open(vec![LunConfig::file(file.path()).thin()]);
    test_cu(&["-t", "ALL", &format!("{}?header_digest=crc32c", served.url(0))], &ABSENT);
}

#[test]
fn iscsi_test_cu_finds_a_read_only_unit_read_only() {
    let served = Served::open(vec![LunConfig::memory(16 << 20).thin().read_only()]);
    test_cu(&["-t", "SCSI.ReadOnly", &served.url(0)], &ABSENT[..10]);
}

#[test]
fn iscsi_test_cu_passes_over_two_paths() {
    let served = Served::open(vec![LunConfig::memory(64 << 20)]);
    test_cu(&["-t", "SCSI.MultipathIO", &served.url(0), &served.url(0)], &[]);
}

/// qemu-img, if it has the iSCSI driver, which is in a package of its own.
fn qemu_img() -> Result<PathBuf, NotRun> {
    let path = lab::tool("qemu-img", "qemu-utils")?;
    let help = stdout(&run(&path, &["--help"]));
    let formats = help.lines().find(|line| line.starts_with("Supported formats:")).unwrap_or_default();
    if formats.split_whitespace().any(|format| format == "iscsi") {
        return Ok(path);
    }
    Err(NotRun::new("qemu-img has no iSCSI driver (Debian package qemu-block-extra)"))
}

#[test]
fn qemu_img_copies_an_image_there_and_back() {
    let Some(qemu) = lab::require(qemu_img()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let (image, copy) = (dir.path().join("image"), dir.path().join("copy"));
    let bytes: Vec<u8> = (0..16u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(&image, &bytes).unwrap();
    let served = Served::open(vec![LunConfig::memory(16 << 20).thin()]);
    let (image, copy, url) = (image.to_str().unwrap(), copy.to_str().unwrap(), served.url(0));
    stdout(&run(&qemu, &["convert", "-n", "-f", "raw", "-O", "raw", image, &url]));
    stdout(&run(&qemu, &["convert", "-f", "raw", "-O", "raw", &url, copy]));
    assert!(std::fs::read(copy).unwrap() == bytes);
    assert_eq!(served.server().counters().rejects(), 0);
}
