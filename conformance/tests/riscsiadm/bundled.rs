use std::path::Path;

use conformance::lab::Bundled;

use crate::checks::{self, Bench, CHAP, DISK, Files, MUTUAL, TARGET_USER, USER, Units};

const UNITS: Units = Units { image: 0, large_blocks: 1, read_only: 2, absent: 9 };

fn start(files: &Files) -> (Bundled, Bench) {
    let file = |path: &Path, options: &str| format!("file:{}{options}", path.display());
    let [image, large, read_only] =
        [file(&files.image, ""), file(&files.large_blocks, ",block=4096"), file(&files.read_only, ",ro")];
    let [user, target_user] = [USER, TARGET_USER].map(|(user, secret)| format!("{user}:{secret}"));
    let target = Bundled::start(&[
        "--target",
        DISK,
        "--lun",
        &image,
        "--lun",
        &large,
        "--lun",
        &read_only,
        "--target",
        CHAP,
        "--lun",
        "ram:1MiB",
        "--chap",
        &user,
        "--target",
        MUTUAL,
        "--lun",
        "ram:1MiB",
        "--chap",
        &user,
        "--mutual-chap",
        &target_user,
    ]);
    let target = target.unwrap();
    let bench = Bench::new(target.portal(), UNITS);
    (target, bench)
}

#[test]
fn an_image_is_read_and_written_to_the_byte() {
    let files = checks::files(checks::LONG);
    let (_target, bench) = start(&files);
    checks::an_image_is_read_and_written_to_the_byte(&bench, &files.image);
}

#[test]
fn ranges_refusals_and_chap() {
    let files = checks::files(checks::SHORT);
    let (_target, bench) = start(&files);
    checks::targets_are_discovered_and_recorded(&bench, &[DISK, CHAP, MUTUAL]);
    checks::any_range_can_be_read_and_written(&bench, &files.large_blocks);
    checks::what_cannot_be_is_refused_clearly(&bench);
    checks::chap_lets_in_who_knows_the_secret(&bench, 0);
    checks::a_silent_peer_is_given_up(&bench);
}
