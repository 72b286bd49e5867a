use conformance::lab::{self, Lun, Target, Tgt};

use crate::checks::{self, Bench, CHAP, DISK, Files, MUTUAL, TARGET_USER, USER, Units};

const UNITS: Units = Units { image: 1, large_blocks: 2, read_only: 3, absent: 9 };
const ACL: &str = "iqn.2026-01.org.example:acl";
const ADMITTED: &str = "iqn.2026-01.org.example:admitted";

fn start(files: &Files) -> Option<(Tgt, Bench)> {
    let setup = lab::require(lab::tgt())?;
    let small = files.dir.path().join("small");
    lab::stamp::file(&small, 1 << 20, 4).unwrap();
    let disk = Target::new(DISK)
        .lun(Lun::file(&files.image))
        .lun(Lun::file(&files.large_blocks).block(4096))
        .lun(Lun::file(&files.read_only).read_only())
        .param("HeaderDigest", "CRC32C,None")
        .param("DataDigest", "CRC32C,None");
    let (user, secret) = USER;
    let (target_user, target_secret) = TARGET_USER;
    let chap = Target::new(CHAP).lun(Lun::file(&small)).chap(user, secret);
    let mutual = Target::new(MUTUAL).lun(Lun::file(&small)).chap(user, secret).mutual_chap(target_user, target_secret);
    let acl = Target::new(ACL).lun(Lun::file(&small)).admit(ADMITTED);
    let tgt = setup.target(disk).target(chap).target(mutual).target(acl).start().unwrap();
    let bench = Bench::new(tgt.portal(), UNITS);
    Some((tgt, bench))
}

#[test]
fn an_image_is_read_and_written_to_the_byte() {
    let files = checks::files(checks::LONG);
    let Some((_tgt, bench)) = start(&files) else { return };
    checks::an_image_is_read_and_written_to_the_byte(&bench, &files.image);
}

#[test]
fn ranges_refusals_and_chap() {
    let files = checks::files(checks::SHORT);
    let Some((_tgt, bench)) = start(&files) else { return };
    checks::targets_are_discovered_and_recorded(&bench, &[DISK, CHAP, MUTUAL]);
    checks::any_range_can_be_read_and_written(&bench, &files.large_blocks);
    checks::what_cannot_be_is_refused_clearly(&bench);
    checks::chap_lets_in_who_knows_the_secret(&bench, 1);
}

#[test]
fn an_initiator_that_is_not_admitted_is_told_to_look_at_its_name() {
    let files = checks::files(checks::SHORT);
    let Some((_tgt, bench)) = start(&files) else { return };
    let url = format!("iscsi://{}/{ACL}", bench.portal);
    bench.fail(&["ls", &url], 19, &["02/03", "access list", "by name"]);
    bench.fail(&["ls", &url, "--initiator-name", DISK], 19, &["02/03"]);
    let listed = bench.succeed(&["ls", &url, "--initiator-name", ADMITTED]);
    assert!(listed.contains(ACL) && listed.contains("1.0 MiB"), "{listed}");
}

#[test]
fn discovery_that_demands_chap_says_how_to_give_it() {
    let Some(setup) = lab::require(lab::tgt()) else { return };
    let files = checks::files(checks::SHORT);
    let (user, secret) = USER;
    let disk = Target::new(DISK).lun(Lun::file(&files.image));
    let tgt = setup.target(disk).discovery_chap(user, secret).start().unwrap();
    let bench = Bench::new(tgt.portal(), UNITS);
    let portal = bench.portal.to_string();
    let discovery = ["-m", "discovery", "-t", "st", "-p", &portal];
    let refused = bench.run(&discovery);
    assert_eq!((refused.code, refused.stdout.as_str()), (24, ""), "{refused:?}");
    assert!(refused.stderr.contains("discovery.sendtargets.auth.username -v USER"), "{refused:?}");

    let db = ["-m", "discoverydb", "-t", "st", "-p", &portal];
    bench.succeed(&[&db[..], &["-o", "new"]].concat());
    for (key, value) in [("authmethod", "CHAP"), ("username", user), ("password", secret)] {
        let key = format!("discovery.sendtargets.auth.{key}");
        bench.succeed(&[&db[..], &["-o", "update", "-n", &key, "-v", value]].concat());
    }
    let found = bench.succeed(&[&db[..], &["--discover"]].concat());
    assert_eq!(found, format!("{portal},1 {DISK}\n"));
}
