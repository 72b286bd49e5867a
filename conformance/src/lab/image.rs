//! Disk images with a file system and files in them, made without root.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};

use super::{LabError, tool};

/// Makes a FAT image of `size` bytes with files in its root directory. Needs no tool.
///
/// The FAT type follows from the size; below about 4 MiB it is FAT12.
pub fn fat(path: impl AsRef<Path>, size: u64, files: &[(&str, &[u8])]) -> io::Result<()> {
    let mut disk = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    disk.set_len(size)?;
    fatfs::format_volume(&mut disk, FormatVolumeOptions::new().volume_label(*b"RISCSI     "))?;
    let volume = FileSystem::new(disk, FsOptions::new())?;
    for (name, content) in files {
        volume.root_dir().create_file(name)?.write_all(content)?;
    }
    volume.unmount()
}

/// Makes an ext4 image of `size` bytes with files in its root directory, by `mke2fs` of e2fsprogs.
///
/// Ask [`require`](super::require) for `tool("mke2fs", "e2fsprogs")` first; without it this is an error.
pub fn ext4(path: impl AsRef<Path>, size: u64, files: &[(&str, &[u8])]) -> Result<(), LabError> {
    let mke2fs = tool("mke2fs", "e2fsprogs").map_err(|why| LabError::NotReady { why: why.to_string() })?;
    let source = tempfile::tempdir().map_err(LabError::io("make a directory"))?;
    for (name, content) in files {
        fs::write(source.path().join(name), content).map_err(LabError::io("write a file for the image"))?;
    }
    let disk = File::create(&path).map_err(LabError::io("create the image"))?;
    disk.set_len(size).map_err(LabError::io("size the image"))?;

    let mut command = Command::new(mke2fs);
    command.args(["-q", "-F", "-t", "ext4", "-d"]).arg(source.path()).arg(path.as_ref());
    let done = command.output().map_err(LabError::io("run mke2fs"))?;
    if done.status.success() {
        return Ok(());
    }
    let output = String::from_utf8_lossy(&done.stderr).into_owned();
    Err(LabError::Tool { command: "mke2fs".to_owned(), status: done.status, output })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::super::require;
    use super::*;

    const TEXT: &[u8] = b"Hello from a LUN.\n";

    #[test]
    fn a_fat_image_gives_its_file_back() {
        let image = tempfile::NamedTempFile::new().unwrap();
        fat(image.path(), 4 << 20, &[("HELLO.TXT", TEXT), ("A longer name.md", b"x")]).unwrap();
        assert_eq!(image.path().metadata().unwrap().len(), 4 << 20);

        let disk = OpenOptions::new().read(true).write(true).open(image.path()).unwrap();
        let volume = FileSystem::new(disk, FsOptions::new()).unwrap();
        let mut content = Vec::new();
        volume.root_dir().open_file("hello.txt").unwrap().read_to_end(&mut content).unwrap();
        assert_eq!(content, TEXT);
        assert_eq!(volume.root_dir().iter().filter(|entry| entry.as_ref().unwrap().is_file()).count(), 2);
    }

    #[test]
    fn an_ext4_image_gives_its_file_back() {
        if require(tool("mke2fs", "e2fsprogs")).is_none() {
            return;
        }
        let image = tempfile::NamedTempFile::new().unwrap();
        ext4(image.path(), 4 << 20, &[("hello.txt", TEXT)]).unwrap();
        let volume = ext4_view::Ext4::load_from_path(image.path()).unwrap();
        assert_eq!(volume.read("/hello.txt").unwrap(), TEXT);
    }
}
