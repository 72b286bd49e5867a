//! `riscsiadm read`: bytes of a LUN to a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use iscsi_initiator::Lun;
use iscsi_initiator::core::CommandError;

use super::access::Access;
use super::progress::{Outcome, Progress};
use super::{aside, within};
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
        let mut output = Output::open(args.output).await?;
        let outcome = copy(&lun, args.offset, length, &output).await?;
        output.keep().await?;
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

async fn copy(lun: &Lun, offset: u64, length: u64, output: &Output) -> Result<Outcome, Failure> {
    let mut progress = Progress::new(Some(length));
    let end = offset + length;
    let (mut at, mut data) = piece(lun, offset, end).await?;
    while !data.is_empty() {
        let count = data.len();
        let (next, ()) = tokio::try_join!(piece(lun, at, end), output.write(data))?;
        progress.add(count);
        (at, data) = next;
    }
    Ok(progress.finish("read", offset))
}

/// Reads the piece that starts at `at`, and tells where it ends; empty at `end`. Pieces end at multiples of their length,
/// so that all but the first start on a block.
async fn piece(lun: &Lun, at: u64, end: u64) -> Result<(u64, Bytes), Failure> {
    let length = (PIECE - at % PIECE).min(end - at);
    if length == 0 {
        return Ok((at, Bytes::new()));
    }
    Ok((at + length, lun.read_at(at, length as usize).await?))
}

/// Where the bytes go. It is opened and written aside: a pipe may keep a writer waiting for ever. A file that was made
/// for them is taken away again unless it is kept.
struct Output {
    sink: Arc<Mutex<Box<dyn Write + Send>>>,
    made: Option<PathBuf>,
}

impl Output {
    async fn open(path: PathBuf) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Ok(Self::new(io::stdout(), None));
        }
        aside(move || {
            let failure = |error| Failure::new(Exit::Failure, format!("cannot write {}: {error}", path.display()));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => Ok(Self::new(file, Some(path))),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    Ok(Self::new(File::create(&path).map_err(failure)?, None))
                }
                Err(error) => Err(failure(error)),
            }
        })
        .await
    }

    fn new(sink: impl Write + Send + 'static, made: Option<PathBuf>) -> Self {
        Self { sink: Arc::new(Mutex::new(Box::new(sink))), made }
    }

    async fn write(&self, data: Bytes) -> Result<(), Failure> {
        self.with_sink(move |sink| sink.write_all(&data)).await
    }

    async fn keep(&mut self) -> Result<(), Failure> {
        self.made = None;
        self.with_sink(Write::flush).await
    }

    async fn with_sink(
        &self,
        work: impl FnOnce(&mut Box<dyn Write + Send>) -> io::Result<()> + Send + 'static,
    ) -> Result<(), Failure> {
        let sink = Arc::clone(&self.sink);
        aside(move || {
            let done = work(&mut sink.lock().unwrap_or_else(PoisonError::into_inner));
            done.map_err(|error| Failure::from(error).during("cannot write the data"))
        })
        .await
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
