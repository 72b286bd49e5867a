//! `riscsiadm write`: a file to a LUN.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use iscsi_initiator::Lun;
use iscsi_initiator::core::CommandError;

use super::access::Access;
use super::progress::{Outcome, Progress};
use super::within;
use crate::cli::command::Write;
use crate::exit::Exit;
use crate::failure::Failure;

/// How much is written at once; the next piece is read while one is on its way.
const PIECE: u64 = 8 << 20;

pub(super) async fn run(args: Write) -> Result<(), Failure> {
    let access = Access::to(&args.url, &args.common)?;
    let mut input = Input::open(&args.input)?;
    let session = access.session().await?;
    let outcome = within(session.clone(), async {
        let lun = access.open(&session).await?;
        check(&lun, args.offset, input.length)?;
        let outcome = copy(&lun, args.offset, &mut input).await?;
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

async fn copy(lun: &Lun, offset: u64, input: &mut Input) -> Result<Outcome, Failure> {
    let mut progress = Progress::new(input.length);
    let mut at = offset;
    let mut piece = input.piece(at)?;
    while !piece.is_empty() {
        let (lun, data, to) = (lun.clone(), piece.clone(), at);
        let writing = tokio::spawn(async move { lun.write_unaligned_at(to, data).await });
        at += piece.len() as u64;
        // Reading blocks this thread of the runtime; the connection is on another.
        let next = tokio::task::block_in_place(|| input.piece(at));
        writing.await.map_err(|error| Failure::new(Exit::Internal, error))??;
        progress.add(piece.len());
        piece = next?;
    }
    Ok(progress.finish("written", offset))
}

/// Where the bytes come from.
struct Input {
    source: Box<dyn Read + Send>,
    /// How many there are, if that is known before they have been read.
    length: Option<u64>,
}

impl Input {
    fn open(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Ok(Self { source: Box::new(io::stdin()), length: None });
        }
        let open = || {
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            Ok((file, metadata))
        };
        let (file, metadata) = open().map_err(|error: io::Error| {
            Failure::new(Exit::Failure, format!("cannot read {}: {error}", path.display()))
        })?;
        let length = metadata.is_file().then_some(metadata.len());
        Ok(Self { source: Box::new(file), length })
    }

    /// The next piece, for offset `at`; empty at the end. Pieces end at multiples of their length, so that all but the
    /// first start on a block.
    fn piece(&mut self, at: u64) -> Result<Bytes, Failure> {
        let mut piece = Vec::new();
        let read = self.source.by_ref().take(PIECE - at % PIECE).read_to_end(&mut piece);
        read.map_err(|error| Failure::from(error).during("cannot read the data"))?;
        Ok(piece.into())
    }
}
