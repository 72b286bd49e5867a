//! Comparing: VERIFY, WRITE AND VERIFY, COMPARE AND WRITE (SBC-4).

use bytes::Bytes;
use iscsi_proto::scsi::{ByteCheck, CompareAndWrite, SenseKey, Verify};

use super::Lun;
use super::send::named;
use crate::core::{CommandError, Payload};

impl Lun {
    /// Has the unit check that `length` bytes from `offset` on can be read from the medium (VERIFY). No data moves.
    ///
    /// Offset and length have to be whole blocks. A range that cannot be read is [`CommandError::Sense`] with a medium error;
    /// a unit that does not know the command, [`CommandError::Unsupported`].
    ///
    /// # Cancellation
    ///
    /// Commands that were sent run to their end on the target; nothing else is left behind.
    pub async fn verify(&self, offset: u64, length: u64) -> Result<(), CommandError> {
        let ranges = self.block_ranges(offset, length, self.unit.max_blocks.into())?;
        let commands = ranges.map(|(lba, blocks)| (Verify::new(lba, blocks).encode_verify(), Payload::default()));
        self.send_all(commands).await.map_err(|error| named(error, "VERIFY"))
    }

    /// Has the unit compare the medium with `data` (VERIFY with BYTCHK). Offset and length have to be whole blocks.
    ///
    /// A difference is [`CommandError::Miscompare`] with its place in `data`, if the unit told. Where a unit is known to say yes
    /// without looking, the blocks are read and compared here.
    ///
    /// # Cancellation
    ///
    /// As for [`Lun::verify`].
    pub async fn compare_at(&self, offset: u64, data: impl Into<Payload>) -> Result<(), CommandError> {
        let payload = data.into();
        self.check_alignment(offset, payload.len())?;
        self.check_range(offset, payload.len())?;
        if compares_nothing(&self.inquiry().vendor) {
            return self.compare_here(offset, payload).await;
        }
        // One after the other: the first difference is the one that counts.
        for (at, part) in self.parts(offset, payload) {
            let (lba, blocks) = self.block_range(at, part.len());
            let command = Verify { check: ByteCheck::Compare, ..Verify::new(lba, blocks) };
            let result = self.write_all([(command.encode_verify(), part)]).await;
            result.map_err(|error| miscompare(named(error, "VERIFY with a comparison"), at - offset))?;
        }
        Ok(())
    }

    async fn compare_here(&self, offset: u64, payload: Payload) -> Result<(), CommandError> {
        for (at, part) in self.parts(offset, payload) {
            let data = self.read_at(at, part.len()).await?;
            if let Some(place) = difference(&data, &part) {
                return Err(CommandError::Miscompare { offset: Some(at - offset + place) });
            }
        }
        Ok(())
    }

    /// Writes whole blocks onto the medium and has the unit read them back (WRITE AND VERIFY). Done means on the medium.
    ///
    /// After an error, any part of the range may hold old or new data.
    ///
    /// # Cancellation
    ///
    /// As for [`Lun::write_at`].
    pub async fn write_and_verify(&self, offset: u64, data: impl Into<Payload>) -> Result<(), CommandError> {
        let payload = data.into();
        self.check_alignment(offset, payload.len())?;
        self.check_range(offset, payload.len())?;
        let commands = self.parts(offset, payload).map(|(at, part)| {
            let (lba, blocks) = self.block_range(at, part.len());
            (Verify::new(lba, blocks).encode_write(), part)
        });
        self.write_all(commands).await.map_err(|error| named(error, "WRITE AND VERIFY"))
    }

    /// Most bytes of a [`Lun::compare_and_write`]; 0 if the unit says that it does not know it (VPD page B0h).
    pub fn max_compare_and_write(&self) -> usize {
        let blocks = self.limits().map_or(u8::MAX, |limits| limits.compare_and_write);
        usize::from(blocks) * self.block_size() as usize
    }

    /// Writes `new` at `offset` if the medium holds `expected` there, in one step that no other command comes between
    /// (COMPARE AND WRITE). Both have to be the same number of whole blocks, at least one, and at most
    /// [`Lun::max_compare_and_write`] bytes.
    ///
    /// If it holds something else, nothing is written, and the error is [`CommandError::Miscompare`] with the first byte that
    /// differs, counted in `expected`.
    ///
    /// It is sent again only where the unit said that it did not execute it: after a lost connection it is not known whether
    /// the write took place; read the blocks to find out.
    ///
    /// # Cancellation
    ///
    /// A command that was sent runs to its end on the target.
    pub async fn compare_and_write(&self, offset: u64, expected: Bytes, new: Bytes) -> Result<(), CommandError> {
        if expected.len() != new.len() || new.is_empty() {
            return Err(CommandError::Invalid("what is compared and what is written must have the same length, not 0"));
        }
        self.check_alignment(offset, new.len())?;
        self.check_range(offset, new.len())?;
        match self.max_compare_and_write() {
            0 => return Err(CommandError::Unsupported("COMPARE AND WRITE")),
            most if new.len() > most => {
                return Err(CommandError::Invalid("more blocks than the unit can compare and write in one step"));
            }
            _ => {}
        }
        let (lba, blocks) = self.block_range(offset, new.len());
        let command = CompareAndWrite { lba, blocks: blocks as u8, ..CompareAndWrite::default() };
        let result = self.send(command.encode(), vec![expected, new]).await;
        result.map_err(|error| miscompare(named(error, "COMPARE AND WRITE"), 0))
    }
}

/// The target of Linux (LIO) answers GOOD to every VERIFY that brings data, and looks at none of it, where SBC-4 demands
/// MISCOMPARE for a difference. Its residual does not tell either. Only the vendor does; units that pass a real disk through
/// bear that disk's vendor.
fn compares_nothing(vendor: &str) -> bool {
    vendor.trim_end() == "LIO-ORG"
}

/// Where the payload differs from what is on the medium first.
fn difference(medium: &[u8], payload: &Payload) -> Option<u64> {
    let mut at = 0;
    for slice in payload.slices(0, payload.len()) {
        let there = medium.get(at..).unwrap_or_default();
        let place = slice.iter().zip(there).position(|(one, other)| one != other);
        if let Some(place) = place.or((there.len() < slice.len()).then_some(there.len())) {
            return Some((at + place) as u64);
        }
        at += slice.len();
    }
    None
}

/// Gives a MISCOMPARE its place in the whole, where the part that was sent began at `base`.
fn miscompare(error: CommandError, base: u64) -> CommandError {
    match error {
        CommandError::Sense(sense) if sense.key == SenseKey::Miscompare => {
            CommandError::Miscompare { offset: sense.information.and_then(|at| at.checked_add(base)) }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use iscsi_proto::scsi::Sense;

    use super::*;

    #[test]
    fn a_difference_is_counted_from_the_start_of_the_whole() {
        for (sense, base, offset) in [
            (Sense::MISCOMPARE.with_information(7), 512, Some(519)),
            (Sense::MISCOMPARE, 512, None),
            (Sense::MISCOMPARE.with_information(u64::MAX), 1, None),
        ] {
            let error = miscompare(CommandError::Sense(sense), base);
            assert!(matches!(error, CommandError::Miscompare { offset: found } if found == offset));
        }
        let other = miscompare(CommandError::Sense(Sense::READ_ERROR), 0);
        assert!(matches!(other, CommandError::Sense(_)));
    }

    #[test]
    fn only_the_target_of_linux_is_taken_for_one_that_compares_nothing() {
        assert!(compares_nothing("LIO-ORG ") && compares_nothing("LIO-ORG"));
        assert!(!compares_nothing("IET     ") && !compares_nothing("LIO-ORGX") && !compares_nothing(""));
    }

    #[test]
    fn the_first_difference_is_found_across_buffers() {
        let payload = Payload::from(vec![Bytes::from_static(b"abc"), Bytes::new(), Bytes::from_static(b"def")]);
        assert_eq!(difference(b"abcdef", &payload), None);
        assert_eq!(difference(b"abcdeX", &payload), Some(5));
        assert_eq!(difference(b"aXcXef", &payload), Some(1));
        assert_eq!(difference(b"abcd", &payload), Some(4));
        assert_eq!(difference(b"", &Payload::default()), None);
    }
}
