//! `riscsiadm write`: a file to a LUN.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use iscsi_initiator::Lun;
use iscsi_initiator::core::CommandError;

use super::access::Access;
use super::progress::{Outcome, Progress};
use super::{aside, within};
use crate::cli::command::Write;
use crate::exit::Exit;
use crate::failure::Failure;

/// How much is written at once; the next piece is read while one is on its way.
const PIECE: u64 = 8 << 20;

pub(super) async fn run(args: Write) -> Result<(), Failure> {
    let access = Access::to(&args.url, &args.common)?;
    let input = Input::open(args.input).await?;
    let session = access.session().await?;
    let outcome = within(session.clone(), async {
        let lun = access.open(&session).await?;
        check(&lun, args.offset, input.length)?;
        let outcome = copy(&lun, args.offset, &input).await?;
        lun.flush().await.map_err(|error| Failure::from(error).during("the data was written but not flushed"))?;
        Ok(outcome)
    })
    .await?;
    outcome.report(args.common.json)
}

/// Refuses before the first byte what cannot end well.
fn check(lun: &Lun, offset: u64, length: Option<u64>) -> Result<(), Failure> {
    if lun.is_read_only() {
        return Err(Failure::new(Exit::Failure, format!("LUN {} is write protected", lun.number())));
    }
    let (length, size) = (length.unwrap_or(0), lun.len());
    if offset.checked_add(length).is_none_or(|end| end > size) {
        return Err(CommandError::OutOfRange { offset, length, size }.into());
    }
    Ok(())
}

async fn copy(lun: &Lun, offset: u64, input: &Input) -> Result<Outcome, Failure> {
    let mut progress = Progress::new(input.length);
    let mut at = offset;
    let mut piece = input.piece(at).await?;
    while !piece.is_empty() {
        let end = at + piece.len() as u64;
        let writing = async { Ok::<(), Failure>(lun.write_unaligned_at(at, piece.clone()).await?) };
        // A write that fails does not wait for input; input that fails lets the write end first.
        let ((), next) = tokio::try_join!(writing, async { Ok(input.piece(end).await) })?;
        progress.add(piece.len());
        (at, piece) = (end, next?);
    }
    Ok(progress.finish("written", offset))
}

/// Where the bytes come from. It is opened and read aside: a pipe may keep a reader waiting for ever.
struct Input {
    source: Arc<Mutex<Box<dyn Read + Send>>>,
    /// How many there are, if that is known before they have been read.
    length: Option<u64>,
}

impl Input {
    async fn open(path: PathBuf) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Ok(Self::new(io::stdin(), None));
        }
        aside(move || {
            let failure =
                |error: io::Error| Failure::new(Exit::Failure, format!("cannot read {}: {error}", path.display()));
            let file = File::open(&path).map_err(failure)?;
            let metadata = file.metadata().map_err(failure)?;
            Ok(Self::new(file, metadata.is_file().then_some(metadata.len())))
        })
        .await
    }

    fn new(source: impl Read + Send + 'static, length: Option<u64>) -> Self {
        Self { source: Arc::new(Mutex::new(Box::new(source))), length }
    }

    /// The next piece, for offset `at`; empty at the end. Pieces end at multiples of their length, so that all but the
    /// first start on a block.
    async fn piece(&self, at: u64) -> Result<Bytes, Failure> {
        let source = Arc::clone(&self.source);
        aside(move || {
            let mut source = source.lock().unwrap_or_else(PoisonError::into_inner);
            let mut piece = Vec::new();
            let read = source.by_ref().take(PIECE - at % PIECE).read_to_end(&mut piece);
            read.map_err(|error| Failure::from(error).during("cannot read the data"))?;
            Ok(piece.into())
        })
        .await
    }
}
