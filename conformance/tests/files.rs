//! File systems of other crates work on a LUN of a real target, through the blocking skin.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::error::Error;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use conformance::lab::{self, Lun, Setup, Target, Tgt, image};
use ext4_view::{Ext4, Ext4Read};
use fatfs::{FileSystem, FsOptions};
use iscsi_initiator::{Initiator, Session, blocking};

const DISK: &str = "iqn.2026-01.org.example:disk";
const SIZE: u64 = 8 << 20;
const TEXT: &[u8] = b"Hello from a LUN.\n";

fn serve(setup: Setup, disk: Lun) -> Tgt {
    setup.target(Target::new(DISK).lun(disk)).start().unwrap()
}

fn connect(tgt: &Tgt) -> blocking::Session {
    let initiator = Initiator::new("iqn.2026-01.org.example:host".parse().unwrap());
    let portal = tgt.portal().to_string().parse().unwrap();
    blocking::Session::connect(Session::builder(&initiator, DISK.parse().unwrap()).portal(portal)).unwrap()
}

fn fat_file(disk: impl Read + Write + Seek, name: &str) -> Vec<u8> {
    let volume = FileSystem::new(disk, FsOptions::new()).unwrap();
    let mut content = Vec::new();
    volume.root_dir().open_file(name).unwrap().read_to_end(&mut content).unwrap();
    content
}

fn open(path: &Path) -> std::fs::File {
    std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// What an ext4 crate asks of a disk, on a LUN.
struct Disk(blocking::Lun);

impl Ext4Read for Disk {
    fn read(&mut self, start: u64, buffer: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0.seek(SeekFrom::Start(start))?;
        Ok(self.0.read_exact(buffer)?)
    }
}

#[test]
fn a_file_on_fat_reads_back_from_a_read_only_lun() {
    let Some(setup) = lab::require(lab::tgt()) else { return };
    let backing = tempfile::NamedTempFile::new().unwrap();
    image::fat(backing.path(), SIZE, &[("HELLO.TXT", TEXT)]).unwrap();
    let tgt = serve(setup, Lun::file(backing.path()).read_only());
    let session = connect(&tgt);
    assert_eq!(fat_file(session.open(1.into()).unwrap(), "HELLO.TXT"), TEXT);
    session.logout().unwrap();
    assert_eq!(tgt.connections(DISK).unwrap(), []);
}

#[test]
fn a_file_written_to_fat_on_a_lun_is_in_the_backing_file() {
    let Some(setup) = lab::require(lab::tgt()) else { return };
    let backing = tempfile::NamedTempFile::new().unwrap();
    image::fat(backing.path(), SIZE, &[]).unwrap();
    let tgt = serve(setup, Lun::file(backing.path()));
    let session = connect(&tgt);
    let content: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();

    let volume = FileSystem::new(session.open(1.into()).unwrap(), FsOptions::new()).unwrap();
    volume.root_dir().create_file("new.bin").unwrap().write_all(&content).unwrap();
    volume.unmount().unwrap();
    session.open(1.into()).unwrap().flush().unwrap();
    session.logout().unwrap();
    assert_eq!(fat_file(open(backing.path()), "new.bin"), content);
}

#[test]
fn a_file_on_ext4_with_4096_byte_blocks_reads_back() {
    let Some(setup) = lab::require(lab::tgt()) else { return };
    if lab::require(lab::tool("mke2fs", "e2fsprogs")).is_none() {
        return;
    }
    let backing = tempfile::NamedTempFile::new().unwrap();
    image::ext4(backing.path(), SIZE, &[("hello.txt", TEXT)]).unwrap();
    let tgt = serve(setup, Lun::file(backing.path()).block(4096));
    let session = connect(&tgt);
    let volume = Ext4::load(Box::new(Disk(session.open(1.into()).unwrap()))).unwrap();
    assert_eq!(volume.read("/hello.txt").unwrap(), TEXT);
    session.logout().unwrap();
}
