//! `riscsiadm read`: bytes of a LUN to a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use iscsi_initiator::Lun;
use iscsi_initiator::core::CommandError;
use tokio::task::JoinHandle;

use super::access::Access;
use super::progress::{Outcome, Progress};
use super::within;
use crate::cli::command::Read;
use crate::exit::Exit;
use crate::failure::Failure;

/// How much is read at once; the next piece is on its way while one is written.
const PIECE: u64 = 8 << 20;

pub(super) async fn run(args: Read) -> Result<(), Failure> {
    let access = Access::to(&args.url, &args.common)?;
    let session = access.session().await?;
    let outcome = within(session.clone(), async {
        let lun = access.open(&session).await?;
        let length = check(&lun, args.offset, args.length)?;
        let mut output = Output::open(&args.output)?;
        let outcome = copy(&lun, args.offset, length, &mut output).await?;
        output.keep()?;
        Ok(outcome)
    })
    .await?;
    outcome.report(args.common.json)
}

/// How much there is to read.
fn check(lun: &Lun, offset: u64, length: Option<u64>) -> Result<u64, Failure> {
    let size = lun.len();
    let length = length.unwrap_or_else(|| size.saturating_sub(offset));
    if offset.checked_add(length).is_none_or(|end| end > size) {
        return Err(CommandError::OutOfRange { offset, length, size }.into());
    }
    Ok(length)
}

async fn copy(lun: &Lun, offset: u64, length: u64, output: &mut Output) -> Result<Outcome, Failure> {
    let mut progress = Progress::new(Some(length));
    let mut next = (offset, length);
    let mut piece = start(lun, &mut next);
    while let Some(reading) = piece {
        let data = reading.await.map_err(|error| Failure::new(Exit::Internal, error))??;
        piece = start(lun, &mut next);
        // Writing blocks this thread of the runtime; the connection and the next piece are on others.
        tokio::task::block_in_place(|| output.write(&data))?;
        progress.add(data.len());
    }
    Ok(progress.finish("read", offset))
}

type Piece = JoinHandle<Result<Bytes, CommandError>>;

/// Starts to read the next piece, if there is one.
fn start(lun: &Lun, next: &mut (u64, u64)) -> Option<Piece> {
    let (offset, left) = *next;
    // Pieces end at multiples of their length, so that all but the first start on a block.
    let length = (PIECE - offset % PIECE).min(left);
    *next = (offset + length, left - length);
    let lun = lun.clone();
    (length != 0).then(|| tokio::spawn(async move { lun.read_at(offset, length as usize).await }))
}

/// Where the bytes go. A file that was made for them is taken away again unless it is kept.
struct Output {
    sink: Box<dyn Write + Send>,
    made: Option<PathBuf>,
}

impl Output {
    fn open(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Ok(Self { sink: Box::new(io::stdout()), made: None });
        }
        let failure = |error| Failure::new(Exit::Failure, format!("cannot write {}: {error}", path.display()));
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(file) => Ok(Self { sink: Box::new(file), made: Some(path.to_owned()) }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let file = File::create(path).map_err(failure)?;
                Ok(Self { sink: Box::new(file), made: None })
            }
            Err(error) => Err(failure(error)),
        }
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Failure> {
        self.sink.write_all(data).map_err(|error| Failure::from(error).during("cannot write the data"))
    }

    fn keep(&mut self) -> Result<(), Failure> {
        self.made = None;
        self.sink.flush().map_err(|error| Failure::from(error).during("cannot write the data"))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(path) = &self.made {
            // What is left of it is no copy, and whoever ran this knows from the error.
            let _ = fs::remove_file(path);
        }
    }
}
