//! Names that a target tells (section 4.2.7, RFC 3722).

use iscsi_initiator::core::targets::Skipped;
use iscsi_proto::keys::text;

use crate::discovery::{asked, says_goodbye, tell};
use crate::support::world::ended;

/// The names that are taken of those that a target tells, and how many are set aside.
async fn taken(names: &[&str]) -> (Vec<String>, usize) {
    let answer = text::encode(names.iter().flat_map(|name| [("TargetName", *name), ("TargetAddress", "192.0.2.9,1")]));
    let (running, mut peer, request) = asked().await;
    tell(&mut peer, request.itt, &answer).await;
    says_goodbye(&mut peer).await;
    let found = ended(running).await.expect("an answer");
    assert!(found.skipped.iter().all(|skipped| matches!(skipped, Skipped::Name { .. })));
    (found.targets.iter().map(|target| target.name.to_string()).collect(), found.skipped.len())
}

/// one bad name hides no other.
#[tokio::test(start_paused = true)]
async fn names_that_are_none_are_set_aside() {
    let long = format!("iqn.2026-01.org.example:{}", "x".repeat(200));
    let good = "iqn.2026-01.org.example:good";
    for bad in [
        "iqn.2026-01.org.example:../../etc/passwd",
        "iqn.2026-01.org.example:a b",
        "iqn.2026-01.org.example:a[b",
        "iqn.2026-01.org.example:\u{1b}[2J",
        "iqn.2026-01.org.example:a\u{ff0f}b",
        "iqn.2026-01.org.example:a\u{3002}b",
        "iqn.2026-01.org.example:\u{202e}x",
        "iqn.2026-13.org.example:x",
        "eui.0123456789abcde",
        "naa.0123456789abcdef0",
        "disk",
        "",
        &long,
    ] {
        assert_eq!(taken(&[bad, good]).await, (vec![good.to_owned()], 1), "{bad:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn r139_a_name_of_223_bytes_is_taken_whole() {
    let name = format!("iqn.2026-01.org.example:{}", "x".repeat(223 - 24));
    assert_eq!(name.len(), 223);
    assert_eq!(taken(&[&name]).await, (vec![name], 0));
}

#[tokio::test(start_paused = true)]
async fn r142_names_that_differ_in_case_only_are_one_target() {
    let names = ["iqn.2026-01.ORG.example:Disk", "iqn.2026-01.org.example:disk", "IQN.2026-01.org.example:DISK"];
    let (taken, skipped) = taken(&names).await;
    assert_eq!((taken.len(), skipped), (1, 0), "{taken:?}");
}

#[tokio::test(start_paused = true)]
async fn r141_all_three_forms_are_taken() {
    let names = ["iqn.2026-01.org.example", "eui.0123456789abcdef", "naa.52004567ba64678d"];
    let expected = names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(taken(&names).await, (expected, 0));
}
