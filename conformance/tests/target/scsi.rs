use std::sync::Arc;

use conformance::target::config::{LunConfig, TargetConfig};
use conformance::target::core::Node;
use iscsi_proto::pdu::{Residual, ScsiCommand};
use iscsi_proto::scsi::{
    BlockLimits, ByteCheck, Capacity, Cdb, Command, CompareAndWrite, Control, DeviceId, GetLbaStatus, Inquiry,
    InquiryData, KeyList, LbaRange, LbaState, LbaStatus, Lun, LunList, ModeData, ModeSelect, ModeSense, OpcodeList,
    OpcodeQuery, OpcodeReport, Peripheral, PortGroups, PreFetch, Provisioning, ReadCapacity16, RegistrantList,
    ReportLuns, ReportOpcodes, ReportPortGroups, RequestSense, ReservationReport, ReservationType, ReserveIn,
    ReserveInAction, ReserveOut, ReserveOutAction, ReserveOutList, Sense, SenseKey, Status, SupportedPages, SyncCache,
    Transfer, UnitSerial, Unmap, UnmapList, Verify, WriteSame,
};

use crate::peer::{BLOCK, Done, Peer, data_out, done, node, node_with, pattern};

type Code = (SenseKey, u8, u8);

const OUT_OF_RANGE: Code = (SenseKey::IllegalRequest, 0x21, 0);
const INVALID_FIELD: Code = (SenseKey::IllegalRequest, 0x24, 0);
const INVALID_OPCODE: Code = (SenseKey::IllegalRequest, 0x20, 0);
const PROTECTED: Code = (SenseKey::DataProtect, 0x27, 0);

fn thin() -> Arc<Node> {
    node_with(|target| target.luns = vec![LunConfig::memory(1 << 20).thin()])
}

fn code(done: &Done) -> Option<Code> {
    assert_eq!(done.status == Status::CHECK_CONDITION, done.sense.is_some());
    done.sense.map(|sense| sense.code())
}

fn at(peer: &mut Peer, lun: Lun, command: Command, len: usize) -> Done {
    let command = ScsiCommand { lun, read: len != 0, ..peer.command(command.encode(), len) };
    done(&peer.send(command, &[]))
}

fn ask(peer: &mut Peer, command: Command) -> Vec<u8> {
    let done = peer.read(command.encode(), 8192);
    assert_eq!(done.status, Status::GOOD, "{command:?}: {:?}", done.sense);
    done.data
}

fn send(peer: &mut Peer, command: Command, data: &[u8]) -> Done {
    peer.write(command.encode(), data, usize::MAX)
}

#[test]
fn the_first_command_of_a_nexus_meets_unit_attention() {
    let node = node_with(|target| target.unit_attention = true);
    for n in 0..2 {
        let mut peer = Peer::new(&node);
        peer.isid.0[5] = n;
        peer.log_in(&[]);
        ask(&mut peer, Command::Inquiry(Inquiry { page: None, allocation: 36 }));
        ask(&mut peer, Command::ReportLuns(ReportLuns { select: 0, allocation: 64 }));
        assert_eq!(code(&peer.read(Cdb::read(0, 1), BLOCK)), Some((SenseKey::UnitAttention, 0x29, 0)));
        assert_eq!(peer.read(Cdb::read(0, 1), BLOCK).status, Status::GOOD);
    }
}

#[test]
fn request_sense_takes_the_attention_away() {
    let node = node_with(|target| target.unit_attention = true);
    let mut peer = Peer::logged_in(&node, &[]);
    for (descriptors, expected) in [(true, (SenseKey::UnitAttention, 0x29, 0)), (false, (SenseKey::NoSense, 0, 0))] {
        let data = ask(&mut peer, Command::RequestSense(RequestSense { descriptors, allocation: 252 }));
        assert_eq!(data[0], if descriptors { 0x72 } else { 0x70 });
        assert_eq!(Sense::parse(&data).unwrap().code(), expected);
    }
}

#[test]
fn a_number_without_a_unit_says_so() {
    let mut peer = Peer::logged_in(&node(), &[]);
    for lun in [Lun::from(1), Lun::from_number(300).unwrap(), Lun::from_bytes([0xc1, 1, 0, 0, 0, 0, 0, 0])] {
        let inquiry = at(&mut peer, lun, Command::Inquiry(Inquiry { page: None, allocation: 96 }), 96);
        assert_eq!(InquiryData::parse(&inquiry.data).unwrap().peripheral, Peripheral::ABSENT);
        let luns = at(&mut peer, lun, Command::ReportLuns(ReportLuns { select: 0, allocation: 64 }), 64);
        assert_eq!(LunList::parse(&luns.data).unwrap().luns, [Lun::ZERO]);
        let missing = (SenseKey::IllegalRequest, 0x25, 0);
        let sense = at(&mut peer, lun, Command::RequestSense(RequestSense { descriptors: false, allocation: 18 }), 18);
        assert_eq!(Sense::parse(&sense.data).unwrap().code(), missing);
        assert_eq!(code(&at(&mut peer, lun, Command::TestUnitReady, 0)), Some(missing));
    }
    let flat = Lun::from_bytes([0x40, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(at(&mut peer, flat, Command::TestUnitReady, 0).status, Status::GOOD);
}

#[test]
fn inquiry_and_its_pages_tell_a_stable_identity() {
    let identity = || {
        let mut peer = Peer::logged_in(&thin(), &[]);
        let mut page = |page| ask(&mut peer, Command::Inquiry(Inquiry { page: Some(page), allocation: 512 }));
        let pages = SupportedPages::parse(&page(0)).unwrap();
        assert_eq!(pages.0, [0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2]);
        let limits = BlockLimits::parse(&page(0xb0)).unwrap();
        assert_eq!((limits.max_transfer, limits.write_same, limits.compare_and_write), (32768, 32768, 128));
        assert!(limits.unmap_descriptors == 256 && limits.write_same_non_zero);
        assert!(Provisioning::parse(&page(0xb2)).unwrap().reads_zeroes());
        (UnitSerial::parse(&page(0x80)).unwrap(), DeviceId::parse(&page(0x83)).unwrap().preferred().cloned())
    };
    assert_eq!(identity(), identity());
    let mut peer = Peer::logged_in(&node(), &[]);
    let standard = InquiryData::parse(&ask(&mut peer, Command::Inquiry(Inquiry { page: None, allocation: 96 })));
    assert_eq!(standard.unwrap().peripheral, Peripheral::DISK);
    let absent = peer.read(Command::Inquiry(Inquiry { page: Some(0xb7), allocation: 64 }).encode(), 64);
    assert_eq!(code(&absent), Some(INVALID_FIELD));
}

#[test]
fn units_of_one_target_have_different_identities() {
    let node = node_with(|target| target.luns.push(LunConfig::memory(1 << 20)));
    let mut peer = Peer::logged_in(&node, &[]);
    let mut serial = |lun| {
        let inquiry = Command::Inquiry(Inquiry { page: Some(0x80), allocation: 64 });
        UnitSerial::parse(&at(&mut peer, Lun::from(lun), inquiry, 64).data).unwrap()
    };
    assert_ne!(serial(0), serial(1));
}

#[test]
fn capacity_is_told_in_blocks() {
    for (config, blocks, block_len) in [
        (LunConfig::memory(1 << 20), 2048, 512),
        (LunConfig::memory((1 << 20) + 511), 2048, 512),
        (LunConfig::memory(1 << 20).block_size(4096), 256, 4096),
        (LunConfig::null(3 << 40), 3 << 31, 512),
    ] {
        let node = node_with(|target| target.luns = vec![config]);
        let mut peer = Peer::logged_in(&node, &[]);
        let long = ask(&mut peer, Command::ReadCapacity16(ReadCapacity16 { allocation: 32 }));
        assert_eq!(Capacity::parse16(&long), Ok(Capacity::new(blocks, block_len)));
        let short = Capacity::parse10(&ask(&mut peer, Command::ReadCapacity10)).unwrap();
        assert_eq!(short.map(|short| short.blocks()), Some(blocks).filter(|blocks| *blocks < 1 << 32));
    }
}

#[test]
fn blocks_past_the_end_and_protection_are_refused() {
    let mut peer = Peer::logged_in(&node(), &[]);
    for (lba, blocks, ok) in
        [(2047, 1, true), (2047, 2, false), (2048, 1, false), (2048, 0, false), (u64::MAX, 1, false), (0, 0, true)]
    {
        let read = peer.read(Cdb::read16(lba, blocks), blocks as usize * BLOCK);
        assert_eq!(code(&read), (!ok).then_some(OUT_OF_RANGE), "read {lba} {blocks}");
        let data = vec![1; blocks as usize * BLOCK];
        let write = peer.write(Cdb::write16(lba, blocks), &data, usize::MAX);
        assert_eq!(code(&write), (!ok).then_some(OUT_OF_RANGE), "write {lba} {blocks}");
        let verify = peer.read(Command::Verify(Verify::new(lba, blocks)).encode(), 0);
        assert_eq!(code(&verify), (!ok).then_some(OUT_OF_RANGE), "verify {lba} {blocks}");
        let sync = peer.read(Command::SyncCache(SyncCache::new(lba, blocks)).encode(), 0);
        assert_eq!(code(&sync), (!ok).then_some(OUT_OF_RANGE), "sync {lba} {blocks}");
    }
    let protected = Cdb::from_bytes(&[0x28, 0x20, 0, 0, 0, 0, 0, 0, 1, 0]).unwrap();
    assert_eq!(code(&peer.read(protected, BLOCK)), Some(INVALID_FIELD));
    let unknown = Cdb::from_bytes(&[0x86; 16]).unwrap();
    assert_eq!(code(&peer.read(unknown, 0)), Some(INVALID_OPCODE));
}

#[test]
fn a_transfer_beyond_the_limit_is_refused() {
    let node = node_with(|target| target.luns = vec![LunConfig::null(1 << 30)]);
    let mut peer = Peer::logged_in(&node, &[]);
    assert_eq!(code(&peer.read(Cdb::read16(0, 32769), 512)), Some(INVALID_FIELD));
    assert_eq!(peer.read(Cdb::read16(0, 32768), 512).status, Status::GOOD);
}

#[test]
fn a_read_only_unit_refuses_every_change() {
    let node = node_with(|target| target.luns = vec![LunConfig::memory(1 << 20).read_only().thin()]);
    let mut peer = Peer::logged_in(&node, &[]);
    let list = UnmapList(vec![LbaRange { lba: 0, blocks: 1 }]);
    for (command, len) in [
        (Command::Write(Transfer::new(0, 1)), 512),
        (Command::WriteAndVerify(Verify::new(0, 1)), 512),
        (Command::OrWrite(Transfer::new(0, 1)), 512),
        (Command::WriteSame(WriteSame::new(0, 1)), 512),
        (Command::CompareAndWrite(CompareAndWrite { blocks: 1, ..CompareAndWrite::default() }), 1024),
        (Command::Unmap(Unmap::new(&list)), 24),
    ] {
        assert_eq!(code(&send(&mut peer, command, &vec![0; len])), Some(PROTECTED), "{command:?}");
    }
    let mode = ModeData::parse(&ask(&mut peer, Command::ModeSense(ModeSense::new(0x3f))), false).unwrap();
    assert!(mode.write_protected);
    assert_eq!(peer.read(Cdb::read(0, 1), BLOCK).status, Status::GOOD);
}

#[test]
fn verify_compares_what_is_sent() {
    let mut peer = Peer::logged_in(&node(), &[]);
    let data = pattern(4 * BLOCK, 3);
    peer.write(Cdb::write(0, 4), &data, usize::MAX);
    let whole = |check| Command::Verify(Verify { check, ..Verify::new(0, 4) });
    assert_eq!(send(&mut peer, whole(ByteCheck::Compare), &data).status, Status::GOOD);
    let mut wrong = data.clone();
    wrong[1500] ^= 1;
    let sense = send(&mut peer, whole(ByteCheck::Compare), &wrong).sense.unwrap();
    assert_eq!((sense.code(), sense.information), ((SenseKey::Miscompare, 0x1d, 0), Some(1500)));
    peer.write(Cdb::write(0, 4), &data[..512].repeat(4), usize::MAX);
    assert_eq!(send(&mut peer, whole(ByteCheck::CompareOne), &data[..512]).status, Status::GOOD);
    let miscompare = send(&mut peer, whole(ByteCheck::CompareOne), &wrong[1024..1536]);
    assert_eq!(code(&miscompare), Some((SenseKey::Miscompare, 0x1d, 0)));
    let written = send(&mut peer, Command::WriteAndVerify(Verify::new(9, 1)), &data[..512]);
    assert_eq!(written.status, Status::GOOD);
    assert_eq!(peer.read(Cdb::read(9, 1), BLOCK).data, data[..512]);
}

#[test]
fn or_write_adds_bits_and_pre_fetch_meets_its_condition() {
    let mut peer = Peer::logged_in(&thin(), &[]);
    let (old, new) = (pattern(300 * BLOCK, 1), pattern(300 * BLOCK, 2));
    assert_eq!(peer.write(Cdb::write(5, 300), &old, 0).status, Status::GOOD);
    let or = |lba, blocks| Command::OrWrite(Transfer { fua: true, ..Transfer::new(lba, blocks) });
    assert_eq!(peer.write(or(5, 300).encode(), &new, 0).status, Status::GOOD);
    let both: Vec<u8> = old.iter().zip(&new).map(|(one, two)| one | two).collect();
    assert!(peer.read(Cdb::read(5, 300), 300 * BLOCK).data == both);
    let end = (1 << 20) / BLOCK as u64;
    assert_eq!(code(&send(&mut peer, or(end - 1, 2), &new[..2 * BLOCK])), Some(OUT_OF_RANGE));
    for (lba, blocks, status) in
        [(0, 8, Status::CONDITION_MET), (end - 1, 0, Status::CONDITION_MET), (end, 1, Status::CHECK_CONDITION)]
    {
        let done = peer.read(Command::PreFetch(PreFetch::new(lba, blocks)).encode(), 0);
        assert_eq!(done.status, status, "{lba} {blocks}");
    }
}

#[test]
fn compare_and_write_writes_only_what_matches() {
    let mut peer = Peer::logged_in(&node(), &[]);
    let (old, new) = (pattern(2 * BLOCK, 1), pattern(2 * BLOCK, 2));
    peer.write(Cdb::write(5, 2), &old, usize::MAX);
    let swap = |blocks| Command::CompareAndWrite(CompareAndWrite { lba: 5, blocks, ..CompareAndWrite::default() });
    assert_eq!(send(&mut peer, swap(2), &[&old[..], &new].concat()).status, Status::GOOD);
    let again = send(&mut peer, swap(2), &[&old[..], &old].concat()).sense.unwrap();
    assert_eq!((again.code(), again.information.is_some()), ((SenseKey::Miscompare, 0x1d, 0), true));
    assert_eq!(peer.read(Cdb::read(5, 2), new.len()).data, new);
    assert_eq!(code(&send(&mut peer, swap(129), &[])), Some(INVALID_FIELD));
    assert_eq!(send(&mut peer, swap(0), &[]).status, Status::GOOD, "no blocks are none of them wrong");
    for (blocks, data) in [(2, &new[..]), (2, &[0; 2049]), (0, &[0; 512])] {
        let wrong = send(&mut peer, swap(blocks), data);
        assert_eq!((code(&wrong), wrong.residual), (Some(INVALID_FIELD), Residual::Underflow(data.len() as u32)));
    }
}

#[test]
fn write_same_repeats_one_block() {
    let mut peer = Peer::logged_in(&node(), &[]);
    let block = pattern(BLOCK, 9);
    assert_eq!(send(&mut peer, Command::WriteSame(WriteSame::new(3, 300)), &block).status, Status::GOOD);
    assert_eq!(peer.read(Cdb::read(3, 300), 300 * BLOCK).data, block.repeat(300));
    assert_eq!(peer.read(Cdb::read(2, 1), BLOCK).data, [0; 512]);
    assert_eq!(peer.read(Cdb::read(303, 1), BLOCK).data, [0; 512]);
    let zero = WriteSame { no_data: true, ..WriteSame::new(4, 1) };
    assert_eq!(peer.read(Command::WriteSame(zero).encode(), 0).status, Status::GOOD);
    assert_eq!(peer.read(Cdb::read(4, 1), BLOCK).data, [0; 512]);
    for refused in [
        WriteSame::new(0, 0),
        WriteSame { unmap: true, ..WriteSame::new(0, 1) },
        WriteSame { anchor: true, ..WriteSame::new(0, 1) },
    ] {
        assert_eq!(code(&send(&mut peer, Command::WriteSame(refused), &block)), Some(INVALID_FIELD), "{refused:?}");
    }
    for len in [511, 513] {
        let wrong = send(&mut peer, Command::WriteSame(WriteSame::new(0, 1)), &vec![0; len]);
        assert_eq!(code(&wrong), Some(INVALID_FIELD), "{len}");
    }
}

fn extents(peer: &mut Peer, lba: u64) -> Vec<(u64, u32, bool)> {
    let data = ask(peer, Command::GetLbaStatus(GetLbaStatus { lba, allocation: 8192, report: 0 }));
    let LbaStatus(extents) = LbaStatus::parse(&data).unwrap();
    extents.iter().map(|one| (one.range.lba, one.range.blocks, one.state == LbaState::Deallocated)).collect()
}

#[test]
fn a_thin_unit_gives_blocks_back() {
    let mut peer = Peer::logged_in(&thin(), &[]);
    assert_eq!(extents(&mut peer, 0), [(0, 2048, true)]);
    peer.write(Cdb::write(0, 512), &pattern(512 * BLOCK, 1), 0);
    assert_eq!(extents(&mut peer, 0), [(0, 512, false), (512, 1536, true)]);
    let list = UnmapList(vec![LbaRange { lba: 128, blocks: 128 }, LbaRange { lba: 0, blocks: 1 }]);
    assert_eq!(send(&mut peer, Command::Unmap(Unmap::new(&list)), &list.encode()).status, Status::GOOD);
    assert_eq!(extents(&mut peer, 1), [(1, 127, false), (128, 128, true), (256, 256, false), (512, 1536, true)]);
    assert_eq!(peer.read(Cdb::read(0, 1), BLOCK).data, [0; 512]);
    let zeros = Command::WriteSame(WriteSame { unmap: true, ..WriteSame::new(256, 256) });
    assert_eq!(send(&mut peer, zeros, &[0; 512]).status, Status::GOOD);
    assert_eq!(extents(&mut peer, 128), [(128, 1920, true)]);
    let ones = Command::WriteSame(WriteSame { unmap: true, ..WriteSame::new(256, 1) });
    assert_eq!(send(&mut peer, ones, &[1; 512]).status, Status::GOOD);
    assert_eq!(peer.read(Cdb::read(256, 1), BLOCK).data, [1; 512], "data that is not zero is written");
}

#[test]
fn unmap_is_checked_whole_before_anything_is_done() {
    let mut peer = Peer::logged_in(&thin(), &[]);
    peer.write(Cdb::write(0, 1), &[7; 512], usize::MAX);
    let list = UnmapList(vec![LbaRange { lba: 0, blocks: 1 }, LbaRange { lba: 2048, blocks: 1 }]);
    assert_eq!(code(&send(&mut peer, Command::Unmap(Unmap::new(&list)), &list.encode())), Some(OUT_OF_RANGE));
    assert_eq!(peer.read(Cdb::read(0, 1), BLOCK).data, [7; 512]);
    let many = UnmapList(vec![LbaRange { lba: 1, blocks: 1 }; 257]);
    let refused = send(&mut peer, Command::Unmap(Unmap::new(&many)), &many.encode());
    assert_eq!(code(&refused), Some((SenseKey::IllegalRequest, 0x26, 0)));
    let cut = send(&mut peer, Command::Unmap(Unmap { length: 7, ..Unmap::default() }), &[0; 7]);
    assert_eq!(code(&cut), Some((SenseKey::IllegalRequest, 0x1a, 0)));
    assert_eq!(send(&mut peer, Command::Unmap(Unmap::default()), &[]).status, Status::GOOD);
    let mut thick = Peer::logged_in(&node(), &[]);
    assert_eq!(code(&send(&mut thick, Command::Unmap(Unmap::new(&list)), &list.encode())), Some(INVALID_OPCODE));
    assert_eq!(extents(&mut thick, 5), [(5, 2043, false)]);
}

#[test]
fn mode_pages_say_what_holds_and_what_can_change() {
    let mut peer = Peer::logged_in(&node(), &[]);
    for ten in [false, true] {
        let all = ModeSense { ten, no_descriptors: false, ..ModeSense::new(0x3f) };
        let data = ModeData::parse(&ask(&mut peer, Command::ModeSense(all)), ten).unwrap();
        assert_eq!(data.descriptor.map(|one| (one.blocks, one.block_len)), Some((2048, 512)));
        assert!(data.dpofua && !data.write_protected && !data.caching().unwrap().write_cache());
        assert_eq!(data.control().unwrap().queue_algorithm(), 1);
    }
    let saved = ModeSense { control: iscsi_proto::scsi::PageControl::Saved, ..ModeSense::new(0x0a) };
    let refused = peer.read(Command::ModeSense(saved).encode(), 252);
    assert_eq!(code(&refused), Some((SenseKey::IllegalRequest, 0x39, 0)));
    let unknown = peer.read(Command::ModeSense(ModeSense::new(0x1c)).encode(), 252);
    assert_eq!(code(&unknown), Some(INVALID_FIELD));
}

fn select(peer: &mut Peer, data: &ModeData) -> Done {
    let list = data.encode_select(false).unwrap();
    let command = ModeSelect { page_format: true, save: false, length: list.len() as u16, ten: false };
    send(peer, Command::ModeSelect(command), &list)
}

#[test]
fn software_write_protection_is_set_and_told() {
    let node = node();
    let (mut peer, mut other) = (Peer::logged_in(&node, &[]), Peer::new(&node));
    other.isid.0[5] = 50;
    other.log_in(&[]);
    let data = ModeData::parse(&ask(&mut peer, Command::ModeSense(ModeSense::new(0x0a))), false).unwrap();
    let mut control = data.control().unwrap();
    control.set_software_protect(true);
    let protect = ModeData { pages: vec![control.to_page()], ..ModeData::default() };
    assert_eq!(select(&mut peer, &protect).status, Status::GOOD);
    assert_eq!(code(&other.read(Cdb::read(0, 1), BLOCK)), Some((SenseKey::UnitAttention, 0x2a, 0x01)));
    let refused = (SenseKey::DataProtect, 0x27, 0x02);
    assert_eq!(code(&other.write(Cdb::write(0, 1), &[1; 512], 512)), Some(refused));
    control.set_task_aborted_status(true);
    let wrong = ModeData { pages: vec![control.to_page()], ..ModeData::default() };
    assert_eq!(code(&select(&mut peer, &wrong)), Some((SenseKey::IllegalRequest, 0x26, 0)));
    let open = ModeData { pages: vec![Control::from_page(&data.pages[0]).unwrap().to_page()], ..ModeData::default() };
    assert_eq!(select(&mut peer, &open).status, Status::GOOD);
    assert_eq!(peer.write(Cdb::write(0, 1), &[1; 512], 512).status, Status::GOOD);
}

#[test]
fn supported_commands_are_listed_and_described() {
    let query = |query| Command::ReportOpcodes(ReportOpcodes { query, timeouts: true, allocation: 8192 });
    for (node, unmap) in [(node(), false), (thin(), true)] {
        let mut peer = Peer::logged_in(&node, &[]);
        let all = OpcodeList::parse(&ask(&mut peer, query(OpcodeQuery::All))).unwrap();
        assert!(all.contains(0x28, None) && all.contains(0x5f, Some(6)) && all.contains(0x9e, Some(0x12)));
        assert_eq!(all.contains(0x42, None), unmap);
        for entry in &all.commands {
            let each = OpcodeQuery::Either(entry.opcode, entry.action.unwrap_or(0));
            let one = OpcodeReport::parse(&ask(&mut peer, query(each))).unwrap();
            assert!(one.support.is_supported() && one.timeouts.is_some());
            assert_eq!((one.usage.len(), one.usage[0]), (entry.cdb_len.into(), entry.opcode));
        }
    }
    let mut peer = Peer::logged_in(&node(), &[]);
    let absent = OpcodeReport::parse(&ask(&mut peer, query(OpcodeQuery::Opcode(0x83)))).unwrap();
    assert!(!absent.support.is_supported());
    for wrong in [OpcodeQuery::Opcode(0x5e), OpcodeQuery::Action(0x28, 0)] {
        assert_eq!(code(&peer.read(query(wrong).encode(), 512)), Some(INVALID_FIELD), "{wrong:?}");
    }
}

#[test]
fn the_port_group_is_the_one_of_the_login() {
    let node = node_with(|target: &mut TargetConfig| target.portal_group = 9);
    let mut peer = Peer::logged_in(&node, &[]);
    for extended in [false, true] {
        let command = Command::ReportPortGroups(ReportPortGroups { extended, allocation: 255 });
        let groups = PortGroups::parse(&ask(&mut peer, command)).unwrap();
        assert_eq!((groups.groups.len(), groups.transition_time.is_some()), (1, extended));
        assert_eq!((groups.groups[0].group, &groups.groups[0].ports[..]), (9, &[1][..]));
    }
}

/// Two initiators with one unit between them.
struct Pair {
    a: Peer,
    b: Peer,
}

impl Pair {
    fn new() -> Self {
        let node = node();
        let mut b = Peer::new(&node);
        b.isid.0[5] = 77;
        b.log_in(&[]);
        Self { a: Peer::logged_in(&node, &[]), b }
    }

    fn registered() -> Self {
        let mut pair = Self::new();
        assert_eq!(change(&mut pair.a, ReserveOutAction::Register, 0, 1), Status::GOOD);
        assert_eq!(change(&mut pair.b, ReserveOutAction::Register, 0, 2), Status::GOOD);
        pair
    }
}

fn change(peer: &mut Peer, action: ReserveOutAction, key: u64, action_key: u64) -> Status {
    let list = ReserveOutList { key, action_key, ..ReserveOutList::default() }.encode();
    let command = Command::ReserveOut(ReserveOut { action, length: list.len() as u32 });
    send(peer, command, &list).status
}

fn report(peer: &mut Peer, action: ReserveInAction) -> Vec<u8> {
    ask(peer, Command::ReserveIn(ReserveIn { action, allocation: 4096 }))
}

fn keys(peer: &mut Peer) -> Vec<u64> {
    KeyList::parse(&report(peer, ReserveInAction::Keys)).unwrap().keys
}

fn attention(peer: &mut Peer) -> Option<Code> {
    code(&peer.read(Command::TestUnitReady.encode(), 0))
}

#[test]
fn keys_are_registered_changed_and_removed() {
    use ReserveOutAction::{Register, RegisterAndIgnore};
    let mut pair = Pair::new();
    for (action, key, new, status, left) in [
        (Register, 5, 1, Status::RESERVATION_CONFLICT, &[][..]),
        (Register, 0, 1, Status::GOOD, &[1]),
        (Register, 0, 2, Status::RESERVATION_CONFLICT, &[1]),
        (Register, 1, 2, Status::GOOD, &[2]),
        (RegisterAndIgnore, 99, 3, Status::GOOD, &[3]),
        (Register, 3, 0, Status::GOOD, &[]),
        (Register, 0, 0, Status::GOOD, &[]),
    ] {
        assert_eq!(change(&mut pair.a, action, key, new), status, "{action:?} {key} {new}");
        assert_eq!(keys(&mut pair.b), left);
    }
    let generation = KeyList::parse(&report(&mut pair.a, ReserveInAction::Keys)).unwrap().generation;
    assert_eq!(generation, 4);
}

#[test]
fn reservations_keep_others_out_by_their_type() {
    use ReservationType::{
        ExclusiveAccess, ExclusiveAccessAll, ExclusiveAccessRegistrants, WriteExclusive, WriteExclusiveAll,
        WriteExclusiveRegistrants,
    };
    for (kind, registrant, stranger) in [
        (WriteExclusive, (true, false), (true, false)),
        (ExclusiveAccess, (false, false), (false, false)),
        (WriteExclusiveRegistrants, (true, true), (true, false)),
        (ExclusiveAccessRegistrants, (true, true), (false, false)),
        (WriteExclusiveAll, (true, true), (true, false)),
        (ExclusiveAccessAll, (true, true), (false, false)),
    ] {
        let may = |peer: &mut Peer| {
            let read = peer.read(Cdb::read(0, 1), BLOCK).status;
            let write = peer.write(Cdb::write(0, 1), &[1; 512], 512).status;
            for status in [read, write] {
                assert!(matches!(status, Status::GOOD | Status::RESERVATION_CONFLICT));
            }
            (read == Status::GOOD, write == Status::GOOD)
        };
        let mut pair = Pair::registered();
        assert_eq!(change(&mut pair.a, ReserveOutAction::Reserve(kind), 1, 0), Status::GOOD);
        assert_eq!(may(&mut pair.a), (true, true), "{kind} holder");
        assert_eq!(may(&mut pair.b), registrant, "{kind} registrant");
        let all = matches!(kind, WriteExclusiveAll | ExclusiveAccessAll);
        let held = ReservationReport::parse(&report(&mut pair.b, ReserveInAction::Reservation)).unwrap().holder;
        assert_eq!(held, Some((u64::from(!all), kind)));
        let full = RegistrantList::parse(&report(&mut pair.b, ReserveInAction::FullStatus)).unwrap();
        assert_eq!(full.registrants.iter().filter(|one| one.holds.is_some()).count(), if all { 2 } else { 1 });
        assert_eq!(change(&mut pair.b, ReserveOutAction::Register, 2, 0), Status::GOOD);
        assert_eq!(may(&mut pair.b), stranger, "{kind} stranger");
        assert_eq!(pair.b.read(Command::TestUnitReady.encode(), 0).status, Status::GOOD);
        assert_eq!(change(&mut pair.a, ReserveOutAction::Release(kind), 1, 0), Status::GOOD);
        assert_eq!(may(&mut pair.b), (true, true), "{kind} released");
    }
}

#[test]
fn who_may_reserve_and_release() {
    use ReservationType::{ExclusiveAccess, WriteExclusive};
    use ReserveOutAction::{Release, Reserve};
    let mut pair = Pair::registered();
    assert_eq!(change(&mut pair.a, Reserve(WriteExclusive), 9, 0), Status::RESERVATION_CONFLICT, "wrong key");
    assert_eq!(change(&mut pair.a, Release(WriteExclusive), 1, 0), Status::GOOD, "nothing to release");
    assert_eq!(change(&mut pair.a, Reserve(WriteExclusive), 1, 0), Status::GOOD);
    assert_eq!(change(&mut pair.a, Reserve(WriteExclusive), 1, 0), Status::GOOD, "once more");
    assert_eq!(change(&mut pair.a, Reserve(ExclusiveAccess), 1, 0), Status::RESERVATION_CONFLICT);
    assert_eq!(change(&mut pair.b, Reserve(WriteExclusive), 2, 0), Status::RESERVATION_CONFLICT);
    assert_eq!(change(&mut pair.b, Release(WriteExclusive), 2, 0), Status::GOOD, "not the holder: no effect");
    assert_eq!(change(&mut pair.a, Release(ExclusiveAccess), 1, 0), Status::CHECK_CONDITION);
    assert_eq!(pair.b.write(Cdb::write(0, 1), &[1; 512], 512).status, Status::RESERVATION_CONFLICT);
    assert_eq!(change(&mut pair.a, ReserveOutAction::Register, 1, 0), Status::GOOD, "the holder leaves");
    assert_eq!(pair.b.write(Cdb::write(0, 1), &[1; 512], 512).status, Status::GOOD);
}

#[test]
fn preempting_takes_over_and_tells_the_loser() {
    use ReservationType::{ExclusiveAccess, WriteExclusive};
    use ReserveOutAction::{Preempt, PreemptAndAbort, Reserve};
    let mut pair = Pair::registered();
    change(&mut pair.a, Reserve(WriteExclusive), 1, 0);
    assert_eq!(change(&mut pair.b, Preempt(ExclusiveAccess), 2, 5), Status::RESERVATION_CONFLICT, "nobody's key");
    assert_eq!(change(&mut pair.b, Preempt(ExclusiveAccess), 2, 0), Status::CHECK_CONDITION);
    let command = ScsiCommand { write: true, ..pair.a.command(Cdb::write(0, 1), BLOCK) };
    let itt = command.itt;
    let answers = pair.a.send(command, &[]);
    let [crate::peer::Answer { pdu: iscsi_proto::pdu::Pdu::R2t(r2t), .. }] = &answers[..] else { panic!() };
    assert_eq!(change(&mut pair.b, PreemptAndAbort(ExclusiveAccess), 2, 1), Status::GOOD);
    assert!(pair.a.send(data_out(itt, r2t.ttt, 0, 0, true), &[4; 512]).is_empty(), "its tasks are gone");
    assert_eq!(attention(&mut pair.a), Some((SenseKey::UnitAttention, 0x2a, 0x05)));
    assert_eq!(pair.a.read(Cdb::read(0, 1), BLOCK).status, Status::RESERVATION_CONFLICT);
    assert_eq!(keys(&mut pair.a), [2]);
    let held = ReservationReport::parse(&report(&mut pair.a, ReserveInAction::Reservation)).unwrap().holder;
    assert_eq!(held, Some((2, ExclusiveAccess)));
    assert_eq!(pair.b.read(Cdb::read(0, 1), BLOCK).data, [0; 512]);
}

#[test]
fn clearing_and_releasing_tell_the_other_registrants() {
    let mut pair = Pair::registered();
    let kind = ReservationType::WriteExclusiveRegistrants;
    change(&mut pair.a, ReserveOutAction::Reserve(kind), 1, 0);
    change(&mut pair.a, ReserveOutAction::Release(kind), 1, 0);
    assert_eq!(attention(&mut pair.b), Some((SenseKey::UnitAttention, 0x2a, 0x04)));
    assert_eq!(change(&mut pair.a, ReserveOutAction::Clear, 1, 0), Status::GOOD);
    assert_eq!(attention(&mut pair.b), Some((SenseKey::UnitAttention, 0x2a, 0x03)));
    assert!(keys(&mut pair.a).is_empty());
}

#[test]
fn reservations_outlive_sessions_and_resets() {
    use iscsi_proto::pdu::TaskFunction;
    let mut pair = Pair::registered();
    change(&mut pair.a, ReserveOutAction::Reserve(ReservationType::WriteExclusive), 1, 0);
    pair.b.manage(TaskFunction::LogicalUnitReset, iscsi_proto::tags::Itt::RESERVED, iscsi_proto::serial::Serial(0));
    attention(&mut pair.b);
    drop(pair.a);
    assert_eq!(pair.b.write(Cdb::write(0, 1), &[1; 512], 512).status, Status::RESERVATION_CONFLICT);
    assert_eq!(keys(&mut pair.b), [1, 2]);
}
