use iscsi_proto::framer::FrameLimits;
use iscsi_proto::pdu::Stage;

/// The initiator's own text of one turn, sent in parts of at most 8192 bytes.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    rest: Vec<u8>,
    next: Option<Stage>,
}

/// What goes into one request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) data: Vec<u8>,
    /// C bit: more follows.
    pub(super) more: bool,
    /// The stage to propose, in the last part only.
    pub(super) next: Option<Stage>,
}

impl Outbox {
    /// Takes the text of the next turn and the stage to propose at its end.
    pub(super) fn fill(&mut self, text: Vec<u8>, next: Option<Stage>) {
        self.rest = text;
        self.next = next;
    }

    /// Whether a part is still to be sent.
    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next part; without any text, the empty one.
    pub(super) fn part(&mut self) -> Part {
        let limit = FrameLimits::LOGIN.max_data as usize;
        let rest = self.rest.split_off(self.rest.len().min(limit));
        let data = std::mem::replace(&mut self.rest, rest);
        let more = !self.rest.is_empty();
        Part { data, more, next: self.next.filter(|_| !more) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r113_text_goes_out_in_parts_of_8192_bytes() {
        for (len, parts) in [(0, 1), (1, 1), (8192, 1), (8193, 2), (16384, 2), (16385, 3)] {
            let mut outbox = Outbox { rest: vec![b'x'; len], next: Some(Stage::Operational) };
            let sent: Vec<Part> = (0..parts).map(|_| outbox.part()).collect();
            assert!(outbox.is_empty());
            assert_eq!(sent.iter().map(|part| part.data.len()).sum::<usize>(), len);
            assert!(sent.iter().all(|part| part.data.len() <= 8192));
        }
    }

    #[test]
    fn r039_no_part_but_the_last_proposes_a_stage() {
        let mut outbox = Outbox::default();
        outbox.fill(vec![b'x'; 20_000], Some(Stage::FullFeature));
        let flags = std::array::from_fn(|_| outbox.part()).map(|part| (part.more, part.next));
        assert_eq!(flags, [(true, None), (true, None), (false, Some(Stage::FullFeature))]);
    }
}
