//! How data is cut into Data-In PDUs (RFC 7143, section 11.7).

use iscsi_proto::serial::Serial;
use iscsi_proto::tags::Ttt;

/// The rule by which data was cut, so that the same pieces can be made again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cut {
    /// DataSN of the first piece, and where in the data it starts.
    pub(super) first: Serial,
    pub(super) start: usize,
    /// Bytes of a piece at most.
    pub(super) segment: usize,
    /// Bytes of a sequence, whose last piece has the F bit.
    pub(super) burst: usize,
    /// What a DataACK has to name; reserved where none is asked for.
    pub(super) ttt: Ttt,
}

/// One Data-In PDU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    pub(super) data_sn: Serial,
    pub(super) offset: usize,
    pub(super) len: usize,
    /// Whether it ends a sequence.
    pub(super) fin: bool,
    /// Whether it ends the data.
    pub(super) last: bool,
}

impl Cut {
    /// The pieces of so many bytes.
    pub(super) fn pieces(self, total: usize) -> impl Iterator<Item = Piece> {
        let (mut offset, mut data_sn) = (self.start, self.first);
        std::iter::from_fn(move || {
            if offset >= total {
                return None;
            }
            let burst_left = self.burst - offset % self.burst;
            let len = self.segment.min(burst_left).min(total - offset);
            let last = offset + len == total;
            let piece = Piece { data_sn, offset, len, fin: last || len == burst_left, last };
            offset += len;
            data_sn = data_sn.next();
            Some(piece)
        })
    }

    /// The DataSN after the last piece of so many bytes.
    pub(super) fn next(self, total: usize) -> Serial {
        self.pieces(total).last().map_or(self.first, |piece| piece.data_sn.next())
    }

    /// Where the piece with this DataSN starts, or where the data ends.
    pub(super) fn offset(self, data_sn: Serial, total: usize) -> usize {
        self.pieces(total).find(|piece| piece.data_sn == data_sn).map_or(total, |piece| piece.offset)
    }

    /// The same data from a DataSN on, in pieces of another size.
    #[must_use]
    pub(super) fn again(self, data_sn: Serial, segment: usize, total: usize) -> Self {
        Self { first: data_sn, start: self.offset(data_sn, total), segment, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUT: Cut = Cut { first: Serial(0), start: 0, segment: 400, burst: 1000, ttt: Ttt::RESERVED };

    fn sizes(cut: Cut, total: usize) -> Vec<(u32, usize, usize, bool)> {
        cut.pieces(total).map(|piece| (piece.data_sn.0, piece.offset, piece.len, piece.fin)).collect()
    }

    #[test]
    fn sequences_end_at_their_length_and_with_the_data() {
        let expected = [
            (0, 0, 400, false),
            (1, 400, 400, false),
            (2, 800, 200, true),
            (3, 1000, 400, false),
            (4, 1400, 100, true),
        ];
        assert_eq!(sizes(CUT, 1500), expected);
        assert!(CUT.pieces(1500).map(|piece| piece.last).eq([false, false, false, false, true]));
        assert_eq!((CUT.next(1500), CUT.next(0)), (Serial(5), Serial(0)));
    }

    #[test]
    fn the_rest_can_be_cut_anew() {
        let again = CUT.again(Serial(3), 300, 1500);
        assert_eq!(sizes(again, 1500), [(3, 1000, 300, false), (4, 1300, 200, true)]);
        assert_eq!(CUT.again(Serial(5), 300, 1500).pieces(1500).count(), 0);
        assert_eq!(again.offset(Serial(4), 1500), 1300);
    }
}
