//! Reading: alone or as a member of a group.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::group::{Changes, Group};
use super::queue::{Commit, CommitGuard};
use super::read::{self, Cursor, Range};
use super::shared::{NewRequest, Shared};
use super::topic::{Partition, PartitionId, TailRead};
use crate::port::mq::{
    Batch, Consumer, ConsumerConfig, InRecord, MqError, MqErrorKind, MqResult, OutRecord, Poll,
    Progress, Start, TopicPartition,
};

/// A consumer; dropping it leaves its group.
pub(super) struct LogConsumer {
    shared: Arc<Shared>,
    config: ConsumerConfig,
    wake: Arc<Notify>,
    subscribed: Vec<Arc<Partition>>,
    group: Option<(Arc<Group>, u64)>,
    owned: Vec<Owned>,
    /// Where the next poll begins to look, so that a busy partition can't starve the others.
    turn: usize,
    /// Changes that no poll has reported yet.
    news: Poll,
    /// Partitions of a `transact` whose outcome is not known (its future was dropped, or it failed).
    in_doubt: Vec<PartitionId>,
}

struct Owned {
    partition: Arc<Partition>,
    position: u64,
    /// Where reading started when the group had no committed offset.
    origin: u64,
    cursor: Option<Cursor>,
}

/// Records of one partition on their way out, and where reading continues once they are handed out.
struct Pending {
    slot: usize,
    batch: Batch,
    position: u64,
    cursor: Option<Cursor>,
}

impl LogConsumer {
    pub(super) fn new(shared: Arc<Shared>, config: ConsumerConfig) -> MqResult<Self> {
        let mut subscribed = Vec::new();
        for topic in &config.topics {
            subscribed.extend(shared.topic(topic)?.partitions.iter().cloned());
        }
        let wake = Arc::new(Notify::new());
        subscribed
            .iter()
            .for_each(|partition| partition.watch(&wake));
        let group = config.group.as_ref().map(|name| {
            let group = shared.group(name);
            let ids = subscribed.iter().map(|partition| partition.id);
            let id = group.members.lock().join(
                ids,
                config.max_poll_interval,
                wake.clone(),
                Instant::now(),
            );
            (group, id)
        });
        let (owned, news, in_doubt) = (Vec::new(), Poll::default(), Vec::new());
        let mut consumer = Self {
            shared,
            config,
            wake,
            subscribed,
            group,
            owned,
            turn: 0,
            news,
            in_doubt,
        };
        if consumer.group.is_none() {
            let all = consumer
                .subscribed
                .iter()
                .map(|partition| partition.id)
                .collect();
            consumer.assign(all);
        }
        Ok(consumer)
    }

    /// Exchanges news with the group.
    fn sync_membership(&mut self) {
        let Some((group, id)) = self.group.clone() else {
            return;
        };
        let now = Instant::now();
        let changes = group.members.lock().poll(id, now);
        match changes {
            Some(Changes { revoked, assigned }) => {
                self.revoke(&revoked);
                self.assign(assigned);
            }
            None => {
                tracing::warn!(group = %group.name, "consumer did not poll in time and lost its partitions");
                metrics::counter!("gochat_log_consumers_expired_total").increment(1);
                let all: Vec<_> = self.owned.iter().map(|owned| owned.partition.id).collect();
                self.revoke(&all);
                let ids = self.subscribed.iter().map(|partition| partition.id);
                let id = group.members.lock().join(
                    ids,
                    self.config.max_poll_interval,
                    self.wake.clone(),
                    now,
                );
                self.group = Some((group, id));
                self.wake.notify_one();
            }
        }
    }

    fn revoke(&mut self, ids: &[PartitionId]) {
        for id in ids {
            let Some(at) = self
                .owned
                .iter()
                .position(|owned| owned.partition.id == *id)
            else {
                continue;
            };
            let tp = self.owned.remove(at).partition.tp.clone();
            self.in_doubt.retain(|doubt| doubt != id);
            match self
                .news
                .assigned
                .iter()
                .position(|progress| progress.tp == tp)
            {
                Some(unreported) => drop(self.news.assigned.remove(unreported)),
                None => self.news.revoked.push(tp),
            }
        }
    }

    fn assign(&mut self, ids: Vec<PartitionId>) {
        for id in ids {
            let Some(partition) = self.subscribed.iter().find(|p| p.id == id).cloned() else {
                continue;
            };
            let position = self.start_of(&partition);
            self.news.assigned.push(Progress {
                tp: partition.tp.clone(),
                offset: position,
            });
            self.owned.push(Owned {
                partition,
                position,
                origin: position,
                cursor: None,
            });
        }
    }

    /// The committed offset, or what the configuration says. A group that starts at the end commits that place, so
    /// that what arrives from now on is not skipped by the next assignment.
    fn start_of(&self, partition: &Arc<Partition>) -> u64 {
        let group = self.group.as_ref().map(|(group, _)| group);
        if let Some(offset) = group.and_then(|group| group.committed(partition.id)) {
            return offset;
        }
        let (first, end) = partition.bounds();
        match (self.config.start, group) {
            (Start::Earliest, _) => first,
            (Start::Latest, None) => end,
            (Start::Latest, Some(group)) => {
                group.commit(partition.id, end);
                if !partition.is_memory() {
                    let (group, partition) = (group.clone(), partition.clone());
                    self.shared.submit_commit(Commit {
                        group,
                        partition,
                        offset: end,
                    });
                }
                end
            }
        }
    }

    /// After a step of unknown outcome: once it has ended, reads again from the committed offset. `false`: not ended yet.
    fn settle(&mut self) -> bool {
        let Some((group, _)) = &self.group else {
            return true;
        };
        if self.in_doubt.is_empty() {
            return true;
        }
        if group.members.lock().in_flight(&self.in_doubt) {
            return false;
        }
        for id in std::mem::take(&mut self.in_doubt) {
            if let Some(owned) = self.owned.iter_mut().find(|owned| owned.partition.id == id) {
                owned.position = group.committed(id).unwrap_or(owned.origin);
                owned.cursor = None;
            }
        }
        true
    }

    /// Reads from all owned partitions in turn. Moves nothing: positions advance when the records are handed out.
    async fn collect(&self, max: usize) -> MqResult<Vec<Pending>> {
        let (mut left, mut left_bytes) = (max, self.config.max_poll_bytes);
        let mut found = Vec::new();
        for i in 0..self.owned.len() {
            if left == 0 || (left_bytes == 0 && !found.is_empty()) {
                break;
            }
            let slot = (self.turn + i) % self.owned.len();
            let owned = &self.owned[slot];
            if owned.partition.is_deleted() {
                return Err(MqError::unknown_topic(&owned.partition.tp.to_string()));
            }
            let read = read_at(
                &self.shared,
                &owned.partition,
                owned.position,
                left,
                left_bytes,
                owned.cursor,
            );
            let Read {
                records,
                skipped,
                cursor,
            } = read.await?;
            if records.is_empty() && skipped == 0 {
                continue;
            }
            left -= records.len();
            let bytes: usize = records.iter().map(|r| r.record.size()).sum();
            left_bytes = left_bytes.saturating_sub(bytes);
            let position = records
                .last()
                .map_or(owned.position + skipped, |last| last.offset + 1);
            found.push(Pending {
                slot,
                batch: Batch {
                    tp: owned.partition.tp.clone(),
                    records,
                    skipped,
                },
                position,
                cursor,
            });
        }
        Ok(found)
    }

    /// No await from here to the caller: what is handed out is handed out.
    fn hand_out(&mut self, pending: Vec<Pending>) -> Poll {
        let mut poll = std::mem::take(&mut self.news);
        for Pending {
            slot,
            batch,
            position,
            cursor,
        } in pending
        {
            if batch.skipped > 0 {
                metrics::counter!("gochat_log_skipped_records_total").increment(batch.skipped);
                tracing::warn!(tp = %batch.tp, skipped = batch.skipped, "consumer fell behind a bounded topic");
            }
            let owned = &mut self.owned[slot];
            (owned.position, owned.cursor) = (position, cursor);
            if self.group.is_none() && owned.partition.is_memory() {
                owned.partition.note_read(&self.wake, position);
            }
            poll.batches.push(batch);
        }
        self.turn = self.turn.wrapping_add(1);
        poll
    }

    /// Checks ownership and names what a commit touches.
    fn begin(&self, offsets: &[Progress]) -> MqResult<(Vec<Commit>, CommitGuard)> {
        let Some((group, id)) = &self.group else {
            return Err(MqError::new(
                MqErrorKind::Invalid,
                "a consumer without a group can't commit",
            ));
        };
        let mut commits = Vec::with_capacity(offsets.len());
        for Progress { tp, offset } in offsets {
            let partition = self.owned(tp)?.partition.clone();
            commits.push(Commit {
                group: group.clone(),
                partition,
                offset: *offset,
            });
        }
        let partitions: Vec<PartitionId> =
            commits.iter().map(|commit| commit.partition.id).collect();
        if !group.members.lock().begin_commit(*id, &partitions) {
            return Err(fenced());
        }
        Ok((
            commits,
            CommitGuard {
                group: group.clone(),
                partitions,
            },
        ))
    }

    fn owned(&self, tp: &TopicPartition) -> MqResult<&Owned> {
        self.owned
            .iter()
            .find(|owned| owned.partition.tp == *tp)
            .ok_or_else(fenced)
    }

    /// Commits that touch memory topics only need no journal.
    fn commit_memory(commits: &[Commit]) -> bool {
        let memory = commits.iter().all(|commit| commit.partition.is_memory());
        if memory {
            commits
                .iter()
                .for_each(|commit| commit.group.commit(commit.partition.id, commit.offset));
        }
        memory
    }

    async fn write(&mut self, outputs: Vec<OutRecord>, offsets: &[Progress]) -> MqResult<()> {
        self.shared.check()?;
        let records = self.shared.route(outputs)?;
        let mut request = NewRequest::records(records);
        self.shared.check_room(request.bytes, true)?;
        let (commits, guard) = self.begin(offsets)?;
        if request.records.iter().all(|r| r.partition.is_memory()) && Self::commit_memory(&commits)
        {
            Shared::append_memory(request.records);
            return Ok(());
        }
        request.want_places = false;
        (request.commits, request.guard) = (commits, Some(guard));
        self.shared.submit(request).await.map(drop)
    }
}

#[async_trait]
impl Consumer for LogConsumer {
    async fn poll(&mut self, max: usize, wait: Duration) -> MqResult<Poll> {
        let deadline = tokio::time::Instant::now() + wait;
        // Often enough that a long wait doesn't look like a dead consumer.
        let beat = self.config.max_poll_interval / 3;
        loop {
            self.shared.check()?;
            self.sync_membership();
            let settled = self.settle();
            let pending = if settled && max > 0 {
                self.collect(max).await?
            } else {
                Vec::new()
            };
            if !pending.is_empty() || !self.news.is_empty() {
                return Ok(self.hand_out(pending));
            }
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            if left.is_zero() {
                return Ok(Poll::default());
            }
            let _woken_or_time = tokio::time::timeout(left.min(beat), self.wake.notified()).await;
        }
    }

    async fn commit(&mut self, offsets: Vec<Progress>) -> MqResult<()> {
        self.shared.check()?;
        let (commits, guard) = self.begin(&offsets)?;
        if Self::commit_memory(&commits) {
            return Ok(());
        }
        let mut request = NewRequest::records(Vec::new());
        (request.commits, request.guard, request.sync) = (commits, Some(guard), false);
        self.shared.submit(request).await.map(drop)
    }

    async fn transact(&mut self, outputs: Vec<OutRecord>, offsets: Vec<Progress>) -> MqResult<()> {
        if self.config.transactional.is_none() {
            return Err(MqError::new(
                MqErrorKind::Invalid,
                "the consumer was made without a transactional id",
            ));
        }
        let ids = offsets
            .iter()
            .filter_map(|p| self.owned(&p.tp).ok())
            .map(|owned| owned.partition.id);
        self.in_doubt = ids.collect();
        self.write(outputs, &offsets).await?;
        self.in_doubt.clear();
        Ok(())
    }

    fn seek(&mut self, positions: &[Progress]) -> MqResult<()> {
        for Progress { tp, offset } in positions {
            let owned = self
                .owned
                .iter_mut()
                .find(|owned| owned.partition.tp == *tp)
                .ok_or_else(fenced)?;
            (owned.position, owned.cursor) = (*offset, None);
        }
        Ok(())
    }

    async fn close(self: Box<Self>) -> MqResult<()> {
        Ok(())
    }
}

impl Drop for LogConsumer {
    fn drop(&mut self) {
        self.subscribed
            .iter()
            .for_each(|partition| partition.unwatch(&self.wake));
        if let Some((group, id)) = &self.group {
            group.members.lock().leave(*id);
        }
    }
}

fn fenced() -> MqError {
    MqError::new(
        MqErrorKind::Fenced,
        "the partition belongs to another consumer now",
    )
}

/// Answer of [`read_at`].
#[derive(Default)]
pub(super) struct Read {
    pub(super) records: Vec<InRecord>,
    pub(super) skipped: u64,
    pub(super) cursor: Option<Cursor>,
}

/// Reads from memory, or on a blocking thread from disk.
pub(super) async fn read_at(
    shared: &Arc<Shared>,
    partition: &Arc<Partition>,
    from: u64,
    max: usize,
    max_bytes: usize,
    mut cursor: Option<Cursor>,
) -> MqResult<Read> {
    const ATTEMPTS: usize = 3;
    let (mut attempts, mut tried) = (0, None);
    while attempts < ATTEMPTS {
        let (at, upto, skipped) = match partition.read(from, max, max_bytes) {
            TailRead::Found { records, skipped } => {
                return Ok(Read {
                    records,
                    skipped,
                    cursor: None,
                });
            }
            TailRead::OnDisk {
                from,
                upto,
                skipped,
            } => (from, upto, skipped),
        };
        let range = Range {
            id: partition.id,
            from: at,
            upto,
            max,
            max_bytes,
        };
        let shared = shared.clone();
        let blocking = move || read::read(&shared.dir, &shared.index, range, cursor);
        let found = tokio::task::spawn_blocking(blocking).await;
        let found = found.map_err(|_| {
            MqError::new(MqErrorKind::Unavailable, "the reader thread was stopped")
        })??;
        if let Some((records, cursor)) = found {
            return Ok(Read {
                records,
                skipped,
                cursor,
            });
        }
        // The segment was deleted meanwhile: the partition starts later now. Several may go one
        // after the other.
        attempts = if tried == Some(at) { attempts + 1 } else { 0 };
        (cursor, tried) = (None, Some(at));
    }
    Err(MqError::new(
        MqErrorKind::Corrupt,
        "records that should be on disk are not there",
    ))
}
