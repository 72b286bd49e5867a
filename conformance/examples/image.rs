//! Makes the disk image of the quickstart: a FAT file system with one text file in it.
//!
//! Usage: `image PATH`

use std::error::Error;

use conformance::lab::image;

const SIZE: u64 = 32 << 20;
const TEXT: &str = "If you can read this, then a file system was read over iSCSI,\n\
                    by an ordinary program, without a kernel module and without root.\n";

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: image PATH")?;
    image::fat(path, SIZE, &[("HELLO.TXT", TEXT.as_bytes())])?;
    Ok(())
}
