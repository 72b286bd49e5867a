//! Tables for people, with aligned columns.

use iscsi_proto::name::IscsiName;
use iscsi_proto::portal::TargetAddress;
use tabled::builder::Builder;
use tabled::settings::{Padding, Style};

use super::escape;
use super::node::{address, portal};

/// A target with what it offers, as `ls` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetView {
    /// The target.
    pub name: IscsiName,
    /// Where it is.
    pub portals: Vec<TargetAddress>,
    /// Its logical units, if it was asked for them.
    pub luns: Vec<DeviceView>,
    /// Why it could not be asked.
    pub error: Option<String>,
}

/// A logical unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceView {
    /// Its number.
    pub lun: u64,
    /// The type of device, such as `disk`.
    pub kind: String,
    /// The vendor, as the device gives it.
    pub vendor: String,
    /// The product, as the device gives it.
    pub product: String,
    /// Its size in bytes, if it has blocks.
    pub size: Option<u64>,
    /// The size of a block in bytes, if it has blocks.
    pub block_size: Option<u32>,
    /// Whether it refuses writes.
    pub read_only: bool,
    /// Why it could not be asked.
    pub error: Option<String>,
}

const HEADER: [&str; 7] = ["TARGET", "PORTAL", "LUN", "SIZE", "BLOCK", "TYPE", "DEVICE"];

/// Targets, portals and logical units. Without any target there is no header either.
pub fn targets(targets: &[TargetView]) -> String {
    if targets.is_empty() {
        return String::new();
    }
    let mut builder = Builder::default();
    builder.push_record(HEADER);
    for row in targets.iter().flat_map(rows) {
        builder.push_record(row);
    }
    let mut table = builder.build();
    table.with(Style::empty()).with(Padding::new(0, 2, 0, 0));
    let text = table.to_string();
    text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

/// A size as people say it, in powers of 1024 with one digit behind the point, rounded down.
pub fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let power = (bytes.max(1).ilog2() / 10) as usize;
    let unit = units.get(power).copied().unwrap_or_default();
    if power == 0 {
        return format!("{bytes} {unit}");
    }
    let tenths = (u128::from(bytes) * 10) >> (10 * power);
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// As many lines as there are portals or logical units, whichever are more.
fn rows(target: &TargetView) -> Vec<[String; 7]> {
    let count = target.portals.len().max(target.luns.len()).max(1);
    (0..count).map(|index| row(target, index)).collect()
}

fn row(target: &TargetView, index: usize) -> [String; 7] {
    let first = index == 0;
    let name = if first { escape(target.name.as_written()).into_owned() } else { String::new() };
    let there = target.portals.get(index).map_or_else(String::new, place);
    let [lun, size, block, kind, device] = target.luns.get(index).map_or_else(Default::default, device);
    let error = target.error.as_deref().filter(|_| first).map(escape);
    [name, there, lun, size, block, kind, error.map_or(device, std::borrow::Cow::into_owned)]
}

fn place(there: &TargetAddress) -> String {
    there.tag.map_or_else(|| portal(&there.portal), |tag| address(&there.portal, Some(tag)))
}

fn device(device: &DeviceView) -> [String; 5] {
    let words = [device.vendor.trim(), device.product.trim(), if device.read_only { "(read-only)" } else { "" }];
    let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let text = device.error.clone().unwrap_or_else(|| words.join(" "));
    let optional = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    [
        device.lun.to_string(),
        optional(device.size.map(size)),
        optional(device.block_size.map(|bytes| bytes.to_string())),
        escape(&device.kind).into_owned(),
        escape(&text).into_owned(),
    ]
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::output) fn target() -> TargetView {
        TargetView {
            name: "iqn.2001-04.com.example:disk1".parse().unwrap(),
            portals: vec!["10.0.0.1:3260,1".parse().unwrap(), "[fd00::5]:3260".parse().unwrap()],
            luns: vec![
                DeviceView {
                    lun: 0,
                    kind: "disk".to_owned(),
                    vendor: "IET     ".to_owned(),
                    product: "VIRTUAL-DISK    ".to_owned(),
                    size: Some(256 << 20),
                    block_size: Some(512),
                    ..DeviceView::default()
                },
                DeviceView { lun: 1, kind: "cd".to_owned(), read_only: true, ..DeviceView::default() },
                DeviceView { lun: 10, error: Some("not ready".to_owned()), ..DeviceView::default() },
            ],
            error: None,
        }
    }

    #[test]
    fn columns_are_aligned() {
        let closed = TargetView {
            name: "iqn.2001-04.com.example:b".parse().unwrap(),
            portals: Vec::new(),
            luns: Vec::new(),
            error: Some("login was refused".to_owned()),
        };
        let expected = [
            "TARGET                         PORTAL            LUN  SIZE       BLOCK  TYPE  DEVICE",
            "iqn.2001-04.com.example:disk1  10.0.0.1:3260,1   0    256.0 MiB  512    disk  IET VIRTUAL-DISK",
            "                               [fd00::5]:3260    1    -          -      cd    (read-only)",
            "                                                 10   -          -            not ready",
            "iqn.2001-04.com.example:b                                                     login was refused",
        ];
        let text = targets(&[target(), closed]);
        let lines: Vec<_> = text.lines().collect();
        let squeeze = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(lines.iter().map(|line| squeeze(line)).collect::<Vec<_>>(), expected.map(squeeze));
        let column = |line: &str, word: &str| line.find(word).unwrap();
        assert_eq!(column(lines[1], "IET"), column(lines[0], "DEVICE"));
        assert_eq!(column(lines[4], "login"), column(lines[0], "DEVICE"));
        assert_eq!(column(lines[2], "[fd00"), column(lines[0], "PORTAL"));
        assert!(lines.iter().all(|line| !line.ends_with(' ')));
    }

    #[test]
    fn nothing_has_no_header() {
        assert_eq!(targets(&[]), "");
    }

    #[test]
    fn r302_what_a_device_says_of_itself_is_escaped() {
        let mut there = target();
        there.luns[0].vendor = "\u{1b}[31m".to_owned();
        there.luns[0].product = "a\nb".to_owned();
        let text = targets(&[there]);
        assert!(text.contains("\\x1b[31m a\\x0ab"), "{text}");
        assert_eq!(text.lines().count(), 4);
    }

    #[test]
    fn sizes_are_rounded_down() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1535, "1.4 KiB"),
            (1536, "1.5 KiB"),
            ((1 << 20) - 1, "1023.9 KiB"),
            (1 << 20, "1.0 MiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
