//! Blocks that say where they belong and when they were written.

/// The stamp repeats this often, in bytes: no part of a block of a disk can be exchanged unnoticed.
const PIECE: usize = 512;
const LEN: usize = 24;
const MAGIC: u64 = 0x7269_7363_7369_7066;

/// Fills `block`, which belongs at byte `offset`, for the `generation`-th time.
pub(super) fn fill(block: &mut [u8], offset: u64, generation: u64) {
    for (index, piece) in block.chunks_mut(PIECE).enumerate() {
        let at = offset + (index * PIECE) as u64;
        let stamp = [MAGIC, at, generation].map(u64::to_be_bytes).concat();
        for (to, from) in piece.iter_mut().zip(stamp) {
            *to = from;
        }
    }
}

/// Whether `block` is what [`fill`] made of it.
pub(super) fn is_right(block: &[u8], offset: u64, generation: u64) -> bool {
    block.chunks(PIECE).enumerate().all(|(index, piece)| {
        let at = offset + (index * PIECE) as u64;
        piece.iter().take(LEN).copied().eq([MAGIC, at, generation].map(u64::to_be_bytes).concat())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_and_misplaced_blocks_are_noticed() {
        let mut block = [0; 1024];
        fill(&mut block, 4096, 7);
        assert!(is_right(&block, 4096, 7));
        assert!(!is_right(&block, 4096, 6));
        assert!(!is_right(&block, 4608, 7));
        block.copy_within(..512, 512);
        assert!(!is_right(&block, 4096, 7));
    }
}
