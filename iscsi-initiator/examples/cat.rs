//! Prints a file of a FAT file system on a LUN.
//!
//! Usage: `cat iscsi://HOST[:PORT]/TARGET/LUN FILE`
//!
//! The file system crate knows nothing of iSCSI: it gets something with `Read`, `Write` and `Seek`.

use std::error::Error;
use std::io;

use fatfs::{FileSystem, FsOptions};
use iscsi_initiator::url::IscsiUrl;
use iscsi_initiator::{Initiator, Session, blocking};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(url), Some(file), None) = (args.next(), args.next(), args.next()) else {
        return Err("usage: cat iscsi://HOST[:PORT]/TARGET/LUN FILE".into());
    };
    let url: IscsiUrl = url.parse()?;
    let auth = url.auth()?;
    let (Some(target), Some(lun)) = (url.target, url.lun) else {
        return Err("the URL names no target and LUN".into());
    };

    let initiator = Initiator::new("iqn.2026-01.org.example:cat".parse()?);
    let builder = Session::builder(&initiator, target).portal(url.portal).auth(auth);
    let session = blocking::Session::connect(builder)?;
    print(session.open(lun)?, &file)?;
    session.logout()?;
    Ok(())
}

fn print(disk: blocking::Lun, file: &str) -> io::Result<()> {
    let volume = FileSystem::new(disk, FsOptions::new())?;
    let mut file = volume.root_dir().open_file(file)?;
    io::copy(&mut file, &mut io::stdout())?;
    Ok(())
}
