//! What the disk may hold: for each block the writes that may have been the last.

use std::fmt;

/// Bytes of a block.
pub(super) const BLOCK: usize = 512;
const WORD: usize = 4;

/// A write's number; 0 stands for the zeros of a new disk.
pub(super) type Generation = u32;
/// A moment: starts and ends of operations are numbered through.
pub(super) type Moment = u64;

/// The history of every block.
#[derive(Debug)]
pub(super) struct Disk {
    seed: u64,
    blocks: Vec<Vec<Entry>>,
}

/// One write to a block.
#[derive(Clone, Copy, Debug)]
struct Entry {
    generation: Generation,
    start: Moment,
    end: End,
}

/// What is known of the end of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It may still be carried out.
    Open,
    /// It was acknowledged.
    Acknowledged(Moment),
    /// It was carried out as a whole, in part or not, and will not go on.
    Settled(Moment),
}

/// A block that holds what it cannot hold.
#[derive(Debug)]
pub(super) struct Corrupt {
    block: u64,
    word: usize,
    found: u32,
    may: Vec<Generation>,
    /// The write whose data it is, if it is that of any.
    is: Option<Generation>,
}

impl Disk {
    pub(super) fn new(seed: u64, blocks: u64) -> Self {
        let zeros = Entry { generation: 0, start: 0, end: End::Acknowledged(0) };
        Self { seed, blocks: (0..blocks).map(|_| vec![zeros]).collect() }
    }

    pub(super) fn len(&self) -> u64 {
        self.blocks.len() as u64
    }

    /// The content that a write puts into `count` blocks from `block` on.
    pub(super) fn content(&self, block: u64, count: u64, generation: Generation) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count as usize * BLOCK);
        for block in block..block + count {
            for word in 0..BLOCK / WORD {
                bytes.extend_from_slice(&stamp(self.seed, block, word, generation).to_be_bytes());
            }
        }
        bytes
    }

    /// A write was submitted.
    pub(super) fn begin(&mut self, block: u64, count: u64, generation: Generation, start: Moment) {
        for history in self.range(block, count) {
            history.push(Entry { generation, start, end: End::Open });
        }
    }

    /// It was acknowledged: from now on what ended before it began is gone.
    pub(super) fn acknowledge(&mut self, block: u64, count: u64, generation: Generation, end: Moment) {
        self.end(block, count, generation, End::Acknowledged(end));
    }

    /// It ended without success and will not be carried out any further.
    pub(super) fn settle(&mut self, block: u64, count: u64, generation: Generation, end: Moment) {
        self.end(block, count, generation, End::Settled(end));
    }

    /// It was certainly not carried out.
    pub(super) fn withdraw(&mut self, block: u64, count: u64, generation: Generation) {
        for history in self.range(block, count) {
            history.retain(|entry| entry.generation != generation);
        }
    }

    /// Nobody is left who could carry out anything.
    pub(super) fn settle_all(&mut self, end: Moment) {
        for entry in self.blocks.iter_mut().flatten().filter(|entry| entry.end == End::Open) {
            entry.end = End::Settled(end);
        }
    }

    /// Checks what a read returned that began at `start`. A block may be torn between writes that may both be its last,
    /// at any byte: bursts may have any length.
    pub(super) fn check(&self, first: u64, data: &[u8], start: Moment) -> Result<(), Corrupt> {
        for (block, content) in (first..).zip(data.chunks(BLOCK)) {
            let may = self.possible(block, start);
            for (word, bytes) in content.chunks(WORD).enumerate() {
                let found = bytes.first_chunk().copied().map_or(0, u32::from_be_bytes);
                let expected = |generation: &Generation| stamp(self.seed, block, word, *generation) == found;
                let torn = |shift: &u32| {
                    let byte = |word: u32| word >> shift & 0xff;
                    may.iter().any(|generation| byte(stamp(self.seed, block, word, *generation)) == byte(found))
                };
                let known = may.iter().any(expected) || (may.len() > 1 && [0, 8, 16, 24].iter().all(torn));
                if !known {
                    let is = self.generations(block).find(|generation| expected(generation));
                    return Err(Corrupt { block, word, found, may, is });
                }
            }
        }
        Ok(())
    }

    /// The writes that a read may see that began at `start` and ends now.
    fn possible(&self, block: u64, start: Moment) -> Vec<Generation> {
        let history = self.blocks.get(block as usize).map(Vec::as_slice).unwrap_or_default();
        let gone = |old: &Entry| {
            let (End::Acknowledged(old) | End::Settled(old)) = old.end else { return false };
            history.iter().any(|new| matches!(new.end, End::Acknowledged(end) if old < new.start && end < start))
        };
        history.iter().filter(|entry| !gone(entry)).map(|entry| entry.generation).collect()
    }

    fn generations(&self, block: u64) -> impl Iterator<Item = Generation> {
        self.blocks.get(block as usize).into_iter().flatten().map(|entry| entry.generation)
    }

    fn end(&mut self, block: u64, count: u64, generation: Generation, end: End) {
        let written = |entry: &&mut Entry| entry.generation == generation;
        for entry in self.range(block, count).iter_mut().flatten().filter(written) {
            entry.end = end;
        }
    }

    fn range(&mut self, block: u64, count: u64) -> &mut [Vec<Entry>] {
        self.blocks.get_mut(block as usize..(block + count) as usize).unwrap_or_default()
    }
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { block, word, found, may, is } = self;
        write!(f, "block {block} may hold writes {may:?}, and word {word} is {found:08x}")?;
        match is {
            Some(generation) => write!(f, ", which is of write {generation}"),
            None => write!(f, ", which is of none"),
        }
    }
}

/// A word that follows from where it is and who wrote it.
const fn stamp(seed: u64, block: u64, word: usize, generation: Generation) -> u32 {
    if generation == 0 {
        return 0;
    }
    let mut mixed = seed ^ (block << 40) ^ ((word as u64) << 32) ^ generation as u64;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(disk: &Disk, generation: Generation, start: Moment) -> bool {
        disk.check(2, &disk.content(2, 1, generation), start).is_ok()
    }

    #[test]
    fn an_acknowledged_write_hides_what_ended_before_it_began() {
        let mut disk = Disk::new(1, 4);
        assert!(holds(&disk, 0, 1) && !holds(&disk, 7, 1));
        disk.begin(1, 2, 7, 2);
        assert!(holds(&disk, 0, 3) && holds(&disk, 7, 3));
        disk.acknowledge(1, 2, 7, 4);
        assert!(holds(&disk, 0, 3) && holds(&disk, 7, 3), "this read began before");
        assert!(!holds(&disk, 0, 5) && holds(&disk, 7, 5));
        assert!(disk.check(3, &[0; BLOCK], 5).is_ok());
    }

    #[test]
    fn a_write_that_may_still_happen_is_not_hidden() {
        let mut disk = Disk::new(1, 4);
        disk.begin(2, 1, 7, 1);
        disk.begin(2, 1, 8, 2);
        disk.acknowledge(2, 1, 8, 3);
        assert!(holds(&disk, 7, 4) && holds(&disk, 8, 4) && !holds(&disk, 0, 4));
        disk.settle_all(4);
        disk.begin(2, 1, 9, 5);
        disk.acknowledge(2, 1, 9, 6);
        assert!(!holds(&disk, 7, 7) && !holds(&disk, 8, 7) && holds(&disk, 9, 7));
    }

    #[test]
    fn a_write_that_was_withdrawn_must_not_be_seen() {
        let mut disk = Disk::new(1, 4);
        disk.begin(2, 1, 7, 1);
        disk.withdraw(2, 1, 7);
        assert!(holds(&disk, 0, 2) && !holds(&disk, 7, 2));
    }

    #[test]
    fn data_of_another_place_or_another_seed_is_noticed() {
        let mut disk = Disk::new(1, 4);
        disk.begin(0, 4, 7, 1);
        let error = disk.check(2, &disk.content(1, 1, 7), 2).unwrap_err();
        assert!(error.to_string().starts_with("block 2 may hold writes [0, 7]"), "{error}");
        assert!(disk.check(2, &Disk::new(2, 4).content(2, 1, 7), 2).is_err());
        let mut torn = disk.content(2, 1, 7);
        torn[..100].fill(0);
        assert!(disk.check(2, &torn, 2).is_ok());
        torn[101] ^= 1;
        assert!(disk.check(2, &torn, 2).is_err());
    }
}
