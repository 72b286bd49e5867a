//! Test disks whose blocks know where they belong.
//!
//! Every 512-byte piece starts with its own number and a seed, and goes on with bytes that follow from both. So a piece that
//! was read from the wrong place, or that is a leftover of an earlier test with another seed, is told from the right one.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use thiserror::Error;

/// The size of a stamped piece in bytes. It divides every block size in use.
pub const PIECE: usize = 512;
const HEAD: usize = 16;

/// A piece that does not hold what belongs there.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StampError {
    /// A stamp of another place or another seed.
    #[error("piece {place} holds the data of piece {found}, seed {seed}")]
    Misplaced {
        /// The number of the piece that was looked at.
        place: u64,
        /// The number in it.
        found: u64,
        /// The seed in it.
        seed: u64,
    },
    /// The right stamp, with other bytes behind it.
    #[error("piece {place} is damaged")]
    Damaged {
        /// The number of the piece that was looked at.
        place: u64,
    },
    /// The data ends inside a piece.
    #[error("{length} bytes are no whole number of {PIECE}-byte pieces")]
    Length {
        /// Bytes that were given.
        length: usize,
    },
}

/// The content of `count` pieces from number `first` on.
pub fn pieces(first: u64, count: usize, seed: u64) -> Vec<u8> {
    (first..).take(count).flat_map(|place| piece(place, seed)).collect()
}

/// Checks data that was read from number `first` on; a fault names the first piece that is wrong.
pub fn check(data: &[u8], first: u64, seed: u64) -> Result<(), StampError> {
    if !data.len().is_multiple_of(PIECE) {
        return Err(StampError::Length { length: data.len() });
    }
    data.chunks(PIECE).zip(first..).try_for_each(|(found, place)| compare(found, place, seed))
}

/// Makes a file of `size` bytes, a multiple of [`PIECE`], that is stamped from piece 0 on.
pub fn file(path: impl AsRef<Path>, size: u64, seed: u64) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for place in 0..size / PIECE as u64 {
        file.write_all(&piece(place, seed))?;
    }
    file.flush()
}

fn piece(place: u64, seed: u64) -> [u8; PIECE] {
    let mut bytes = [0; PIECE];
    let (head, body) = bytes.split_at_mut(HEAD);
    head.copy_from_slice(&stamp(place, seed));
    // The multiplier spreads neighbouring numbers, so that no two (place, seed) pairs of one test share a body.
    StdRng::seed_from_u64(place ^ seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)).fill_bytes(body);
    bytes
}

fn stamp(place: u64, seed: u64) -> [u8; HEAD] {
    (u128::from(place) << 64 | u128::from(seed)).to_be_bytes()
}

fn compare(found: &[u8], place: u64, seed: u64) -> Result<(), StampError> {
    if found == piece(place, seed) {
        return Ok(());
    }
    let head = found.first_chunk().copied().map(u128::from_be_bytes).unwrap_or_default();
    let (other, other_seed) = ((head >> 64) as u64, head as u64);
    if (other, other_seed) == (place, seed) {
        return Err(StampError::Damaged { place });
    }
    Err(StampError::Misplaced { place, found: other, seed: other_seed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_back_as_stamped() {
        let file_ = tempfile::NamedTempFile::new().unwrap();
        file(file_.path(), 64 << 10, 5).unwrap();
        let data = std::fs::read(file_.path()).unwrap();
        assert_eq!(data.len(), 64 << 10);
        assert_eq!(data, pieces(0, 128, 5));
        assert_eq!(check(&data, 0, 5), Ok(()));
        assert_eq!(check(&data[3 * PIECE..], 3, 5), Ok(()));
    }

    #[test]
    fn misplaced_stale_damaged_and_cut_pieces_are_told_apart() {
        let data = pieces(8, 4, 1);
        let misplaced = StampError::Misplaced { place: 9, found: 8, seed: 1 };
        assert_eq!(check(&data, 9, 1), Err(misplaced));
        let stale = StampError::Misplaced { place: 8, found: 8, seed: 1 };
        assert_eq!(check(&data, 8, 2), Err(stale));
        assert_eq!(check(&data[1..], 8, 1), Err(StampError::Length { length: 4 * PIECE - 1 }));

        let mut damaged = data;
        damaged[3 * PIECE - 1] ^= 1;
        assert_eq!(check(&damaged, 8, 1), Err(StampError::Damaged { place: 10 }));
    }

    #[test]
    fn pieces_share_no_content() {
        let bodies = |seed| (0..64).map(move |place| piece(place, seed)[HEAD..].to_vec());
        let mut all: Vec<_> = bodies(1).chain(bodies(2)).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 128);
    }
}
