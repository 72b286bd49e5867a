//! The command window, the round trip and what digests cost.

use std::time::Duration;

use iscsi_initiator::core::DigestOffer;
use iscsi_initiator::{Lun, Session};
use iscsi_proto::name::IscsiName;
use tokio::time::Instant;

use super::super::access::Access;
use super::finding::{Finding, Stage};
use super::{goodbye, milliseconds};
use crate::output::table::size;

/// Pings for the round trip.
const PINGS: usize = 10;
/// A median from here on limits what is done one after the other.
const FAR: Duration = Duration::from_millis(5);
/// A window below this many commands leaves a fast disk idle.
const NARROW: u32 = 8;
/// Bytes of one read, and of all reads of one measurement.
const PIECE: u64 = 256 << 10;
const MOST: u64 = 4 << 20;
/// How long one measurement starts new reads.
const TIME: Duration = Duration::from_millis(250);
/// Measurements of each kind; the best counts.
const ROUNDS: usize = 2;

/// How many commands may be under way at once.
pub(super) async fn window(session: &Session) -> Finding {
    let room = match session.stats().await {
        Ok(stats) => stats.room,
        Err(error) => return Finding::command(Stage::Window, "the session ended", error),
    };
    let text = format!("the target takes {room} commands at once");
    if room >= NARROW {
        return Finding::ok(Stage::Window, text);
    }
    Finding::note(Stage::Window, text).advise(
        "more would let slow disks and long ways work in parallel: look for a queue \
                                               depth in the target's setup",
    )
}

/// How long a NOP takes there and back.
pub(super) async fn round_trip(session: &Session) -> Finding {
    let mut times = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let begin = Instant::now();
        if let Err(error) = session.ping().await {
            return Finding::command(Stage::RoundTrip, "the target does not answer a NOP", error);
        }
        times.push(begin.elapsed());
    }
    judge(times)
}

fn judge(mut times: Vec<Duration>) -> Finding {
    times.sort_unstable();
    let at = |index: usize| times.get(index).copied().unwrap_or_default();
    let (least, median, most) = (at(0), at(times.len() / 2), at(times.len().saturating_sub(1)));
    let text = format!(
        "{} at best, {} in the median, {} at worst of {} NOPs",
        milliseconds(least),
        milliseconds(median),
        milliseconds(most),
        times.len()
    );
    if median < FAR {
        return Finding::ok(Stage::RoundTrip, text);
    }
    Finding::note(Stage::RoundTrip, text).advise(
        "a long way or a busy target: programs that do one thing after the other \
                                                  will be slow, however fast the disk is",
    )
}

/// What digests cost when the unit is read, if the target leaves the choice.
pub(super) async fn digests(access: &Access, target: &IscsiName, unit: &Lun) -> Option<Finding> {
    let with = variant(access, target, DigestOffer::PreferCrc32c).await?;
    let negotiated = &with.info().negotiated;
    if !negotiated.header_digest && !negotiated.data_digest {
        goodbye(&with).await;
        return Some(Finding::ok(Stage::Digests, "the target has none; the checksum of TCP guards the data alone"));
    }
    let Some(without) = variant(access, target, DigestOffer::None).await else {
        goodbye(&with).await;
        return Some(Finding::ok(Stage::Digests, "the target insists on them"));
    };
    let measured = compare(&without, &with, unit).await;
    goodbye(&without).await;
    goodbye(&with).await;
    measured
}

/// A session that differs in its digests alone.
async fn variant(access: &Access, target: &IscsiName, digest: DigestOffer) -> Option<Session> {
    let mut access = access.clone();
    access.config.offer.header_digest = digest;
    access.config.offer.data_digest = digest;
    access.connect(target.clone(), [access.url.portal.clone()]).await.ok()
}

async fn compare(without: &Session, with: &Session, unit: &Lun) -> Option<Finding> {
    let [without, with] = [without.open(unit.number()).await.ok()?, with.open(unit.number()).await.ok()?];
    let (mut plain, mut checked) = (0, 0);
    for _ in 0..ROUNDS {
        plain = plain.max(rate(&without).await?);
        checked = checked.max(rate(&with).await?);
    }
    let text = format!("reading at {}/s without them and at {}/s with CRC32C", size(plain), size(checked));
    Some(Finding::ok(Stage::Digests, text))
}

/// Bytes read in a second, one read after the other.
async fn rate(unit: &Lun) -> Option<u64> {
    let piece = PIECE.min(unit.len());
    let begin = Instant::now();
    let mut done = 0;
    while done < MOST && begin.elapsed() < TIME {
        let offset = if done + piece <= unit.len() { done } else { 0 };
        unit.read_at(offset, piece as usize).await.ok()?;
        done += piece;
    }
    let micros = begin.elapsed().as_micros().max(1);
    u64::try_from(u128::from(done) * 1_000_000 / micros).ok()
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    #[test]
    fn the_round_trip_is_told_by_its_middle() {
        let times = (1..=10).rev().map(|ms| Duration::from_micros(ms * 100)).collect();
        let finding = judge(times);
        let text = "0.10 ms at best, 0.60 ms in the median, 1.00 ms at worst of 10 NOPs";
        assert_eq!((finding.status, finding.text.as_str()), (Status::Ok, text));
        for (median, status) in [(4_999, Status::Ok), (5_000, Status::Note)] {
            assert_eq!(judge(vec![Duration::from_micros(median)]).status, status, "{median}");
        }
    }
}
