//! Which segments may go.

use std::io;
use std::sync::atomic::Ordering;

use super::journal::{Journal, now_ms};
use super::segment::{Index, Segment};
use super::shared::Shared;
use super::topic::{PartitionId, Topic};

/// Drops closed segments from the oldest on, as long as nobody needs their records any more.
pub(super) fn drop_consumed(shared: &Shared, journal: &mut Journal) -> io::Result<()> {
    while let Some(starts) = starts_behind_oldest(shared) {
        // Before the segment goes: a reader must not look for what is deleted.
        for (id, start) in starts {
            let topics = shared.topics.read();
            let partition = topics.values().filter(|t| t.is_disk() && t.id == id.topic);
            partition
                .flat_map(|t| t.partitions.get(id.partition as usize))
                .for_each(|p| p.raise_start(start));
        }
        journal.drop_oldest()?;
        metrics::counter!("gochat_log_segments_dropped_total").increment(1);
    }
    let bytes = shared.index.read().disk_bytes();
    shared.disk_bytes.store(bytes, Ordering::Relaxed);
    metrics::gauge!("gochat_log_disk_bytes").set(bytes as f64);
    Ok(())
}

/// Where partitions begin without the oldest segment, if it is closed and its records are not
/// needed any more.
fn starts_behind_oldest(shared: &Shared) -> Option<Vec<(PartitionId, u64)>> {
    let index = shared.index.read();
    let (oldest, next) = (index.segments.front()?, index.segments.get(1)?);
    let heads = || next.heads.iter().map(|(id, next)| (*id, *next)).collect();
    is_done(shared, &index, oldest, next).then(heads)
}

fn is_done(shared: &Shared, index: &Index, oldest: &Segment, next: &Segment) -> bool {
    let pressed = index.disk_bytes() > shared.config.max_disk_bytes / 10 * 9;
    let age_ms = now_ms().saturating_sub(oldest.written_ms);
    let holds = |id: &PartitionId| next.heads.get(id) > oldest.heads.get(id).or(Some(&0));
    shared
        .topics
        .read()
        .values()
        .filter(|topic| topic.is_disk())
        .all(|topic| {
            let mut ids = topic.partitions.iter().map(|p| p.id).filter(|id| holds(id));
            match topic.spec.consumers.is_empty() {
                true => ids.next().is_none() || pressed || too_old(topic, age_ms),
                false => ids.all(|id| consumed(shared, topic, id, next.heads[&id])),
            }
        })
}

/// Records nobody consumes (dead letters) are kept for the retention time, but give way when the disk bound is near.
fn too_old(topic: &Topic, age_ms: i64) -> bool {
    age_ms as u128 > topic.spec.retention.as_millis()
}

fn consumed(shared: &Shared, topic: &Topic, id: PartitionId, end: u64) -> bool {
    let groups = shared.groups.read();
    topic.spec.consumers.iter().all(|name| {
        groups
            .get(name)
            .and_then(|group| group.committed(id))
            .is_some_and(|offset| offset >= end)
    })
}
