//! A consumer group: members, who owns which partition, committed offsets.
//!
//! The rules are a plain state machine ([`Members`]): time comes in as an argument, wake-ups go out through the members'
//! `Notify`. Rebalancing is cooperative: a partition stays with its owner until the owner asks for records again, leaves, or
//! has not polled for too long; only then the new owner may take it, and only once commits of the old owner that are already on
//! their way have ended. So a commit is either refused or finished before the successor reads the committed offset.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::topic::PartitionId;

/// A group by name; lives as long as the log.
pub(super) struct Group {
    pub(super) name: Arc<str>,
    pub(super) members: Mutex<Members>,
    committed: Mutex<HashMap<PartitionId, u64>>,
    changed: watch::Sender<()>,
}

impl Group {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            members: Mutex::default(),
            committed: Mutex::default(),
            changed: watch::Sender::new(()),
        }
    }

    pub(super) fn committed(&self, id: PartitionId) -> Option<u64> {
        self.committed.lock().get(&id).copied()
    }

    pub(super) fn all_committed(&self) -> Vec<(PartitionId, u64)> {
        self.committed
            .lock()
            .iter()
            .map(|(id, offset)| (*id, *offset))
            .collect()
    }

    /// Moves the committed offset forward (never back) and tells who waits for it.
    pub(super) fn commit(&self, id: PartitionId, offset: u64) {
        let mut committed = self.committed.lock();
        let at = committed.entry(id).or_insert(offset);
        *at = (*at).max(offset);
        drop(committed);
        self.changed.send_replace(());
    }

    /// Forgets a topic that was deleted.
    pub(super) fn forget_topic(&self, topic: u32) {
        self.committed.lock().retain(|id, _| id.topic != topic);
        self.changed.send_replace(());
    }

    /// Changes whenever an offset moves or waiting has become pointless.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Makes everybody who waits look again.
    pub(super) fn wake_all(&self) {
        self.changed.send_replace(());
        self.members.lock().wake_all();
    }
}

/// Who is in the group and who owns what.
#[derive(Default)]
pub(super) struct Members {
    members: BTreeMap<u64, Member>,
    owners: HashMap<PartitionId, Owner>,
    next_id: u64,
}

struct Member {
    partitions: HashSet<PartitionId>,
    target: HashSet<PartitionId>,
    owned: HashSet<PartitionId>,
    last_poll: Instant,
    max_poll_interval: Duration,
    wake: Arc<Notify>,
}

#[derive(Default)]
struct Owner {
    member: Option<u64>,
    /// Commits on their way to the journal.
    in_flight: u32,
    /// Somebody wants to know when there are none.
    awaited: bool,
}

/// What a member learns when it polls.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) revoked: Vec<PartitionId>,
    pub(super) assigned: Vec<PartitionId>,
}

impl Members {
    /// Adds a member; partitions arrive with [`poll`](Self::poll).
    pub(super) fn join(
        &mut self,
        partitions: impl IntoIterator<Item = PartitionId>,
        max_poll_interval: Duration,
        wake: Arc<Notify>,
        now: Instant,
    ) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let (target, owned) = (HashSet::new(), HashSet::new());
        let partitions = partitions.into_iter().collect();
        let member = Member {
            partitions,
            target,
            owned,
            last_poll: now,
            max_poll_interval,
            wake,
        };
        self.members.insert(id, member);
        self.rebalance();
        id
    }

    /// Removes a member; its partitions are free at once.
    pub(super) fn leave(&mut self, id: u64) {
        let Some(member) = self.members.remove(&id) else {
            return;
        };
        for partition in member.owned {
            self.owners.entry(partition).or_default().member = None;
        }
        self.rebalance();
    }

    /// A member asks for records: it gives up what has to move and takes what is free. `None`: it was thrown out.
    pub(super) fn poll(&mut self, id: u64, now: Instant) -> Option<Changes> {
        self.members.get_mut(&id)?.last_poll = now;
        self.expire(now);
        let member = self.members.get_mut(&id)?;
        let mut changes = Changes::default();
        changes
            .revoked
            .extend(member.owned.difference(&member.target));
        for partition in &changes.revoked {
            member.owned.remove(partition);
            self.owners.entry(*partition).or_default().member = None;
        }
        for partition in &member.target {
            let owner = self.owners.entry(*partition).or_default();
            if owner.member.is_none() && owner.in_flight == 0 {
                owner.member = Some(id);
                member.owned.insert(*partition);
                changes.assigned.push(*partition);
            }
        }
        changes.revoked.sort_unstable();
        changes.assigned.sort_unstable();
        if !changes.revoked.is_empty() {
            self.wake_all();
        }
        Some(changes)
    }

    /// Fencing: starts a commit if the member owns all the partitions.
    pub(super) fn begin_commit(&mut self, id: u64, partitions: &[PartitionId]) -> bool {
        let owned = |p: &PartitionId| {
            self.owners
                .get(p)
                .is_some_and(|owner| owner.member == Some(id))
        };
        if !partitions.iter().all(owned) {
            return false;
        }
        for partition in partitions {
            self.owners.entry(*partition).or_default().in_flight += 1;
        }
        true
    }

    /// Ends a commit, whatever became of it.
    pub(super) fn end_commit(&mut self, partitions: &[PartitionId]) {
        let mut wake = false;
        for partition in partitions {
            let owner = self.owners.entry(*partition).or_default();
            owner.in_flight = owner.in_flight.saturating_sub(1);
            let idle = owner.in_flight == 0;
            wake |= idle && (owner.member.is_none() || std::mem::take(&mut owner.awaited));
        }
        if wake {
            self.wake_all();
        }
    }

    /// Whether a commit of one of these is still on its way; if so, the members are woken when it has ended.
    pub(super) fn in_flight(&mut self, partitions: &[PartitionId]) -> bool {
        let mut any = false;
        for partition in partitions {
            let Some(owner) = self.owners.get_mut(partition) else {
                continue;
            };
            owner.awaited = owner.in_flight > 0;
            any |= owner.awaited;
        }
        any
    }

    fn wake_all(&self) {
        self.members
            .values()
            .for_each(|member| member.wake.notify_one());
    }

    fn expire(&mut self, now: Instant) {
        let late = |m: &Member| now.saturating_duration_since(m.last_poll) > m.max_poll_interval;
        let expired: Vec<u64> = self
            .members
            .iter()
            .filter(|(_, m)| late(m))
            .map(|(id, _)| *id)
            .collect();
        for id in expired {
            self.leave(id);
        }
    }

    /// Shares the partitions of every topic evenly; who owns a partition keeps it while its share allows.
    fn rebalance(&mut self) {
        self.members
            .values_mut()
            .for_each(|member| member.target.clear());
        let mut topics: BTreeMap<u32, Vec<PartitionId>> = BTreeMap::new();
        let all: HashSet<PartitionId> = self
            .members
            .values()
            .flat_map(|member| member.partitions.iter().copied())
            .collect();
        for partition in all {
            topics.entry(partition.topic).or_default().push(partition);
        }
        for mut partitions in topics.into_values() {
            partitions.sort_unstable();
            self.share(&partitions);
        }
        self.wake_all();
    }

    fn share(&mut self, partitions: &[PartitionId]) {
        let owns = |m: &Member| partitions.iter().filter(|p| m.owned.contains(*p)).count();
        let mut takers: Vec<u64> = self
            .members
            .iter()
            .filter(|(_, m)| m.partitions.contains(&partitions[0]))
            .map(|(id, _)| *id)
            .collect();
        takers.sort_by_key(|id| {
            let member = &self.members[id];
            (std::cmp::Reverse(owns(member)), member.target.len(), *id)
        });
        let (share, extra) = (
            partitions.len() / takers.len(),
            partitions.len() % takers.len(),
        );
        let mut room: Vec<(u64, usize)> = takers
            .iter()
            .enumerate()
            .map(|(i, id)| (*id, share + usize::from(i < extra)))
            .collect();
        let mut free = Vec::new();
        for partition in partitions {
            let owner = self.owners.get(partition).and_then(|owner| owner.member);
            match room
                .iter_mut()
                .find(|(id, left)| Some(*id) == owner && *left > 0)
            {
                Some((id, left)) => {
                    *left -= 1;
                    self.members
                        .get_mut(id)
                        .expect("takers are members")
                        .target
                        .insert(*partition);
                }
                None => free.push(*partition),
            }
        }
        let seats = room
            .into_iter()
            .flat_map(|(id, left)| std::iter::repeat_n(id, left));
        for (partition, id) in free.into_iter().zip(seats) {
            self.members
                .get_mut(&id)
                .expect("takers are members")
                .target
                .insert(partition);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);

    fn partitions(n: u32) -> Vec<PartitionId> {
        (0..n)
            .map(|partition| PartitionId {
                topic: 1,
                partition,
            })
            .collect()
    }

    struct World {
        members: Members,
        now: Instant,
    }

    impl World {
        fn new() -> Self {
            Self {
                members: Members::default(),
                now: Instant::now(),
            }
        }
        fn join(&mut self, n: u32) -> u64 {
            self.members
                .join(partitions(n), INTERVAL, Arc::default(), self.now)
        }
        fn poll(&mut self, id: u64) -> (usize, usize) {
            let changes = self.members.poll(id, self.now).expect("still a member");
            (changes.revoked.len(), changes.assigned.len())
        }
    }

    #[test]
    fn a_newcomer_gets_its_share_only_after_the_owner_let_go() {
        let mut w = World::new();
        let a = w.join(12);
        assert_eq!(w.poll(a), (0, 12));
        let b = w.join(12);
        assert_eq!(w.poll(b), (0, 0), "the owner has not polled yet");
        assert_eq!(w.poll(a), (6, 0));
        assert_eq!(w.poll(b), (0, 6));
    }

    #[test]
    fn a_commit_on_its_way_delays_the_successor() {
        let mut w = World::new();
        let a = w.join(1);
        w.poll(a);
        assert!(w.members.begin_commit(a, &partitions(1)));
        w.members.leave(a);
        let b = w.join(1);
        assert_eq!(w.poll(b), (0, 0));
        w.members.end_commit(&partitions(1));
        assert_eq!(w.poll(b), (0, 1));
    }

    #[test]
    fn who_does_not_poll_in_time_is_thrown_out_and_fenced() {
        let mut w = World::new();
        let (a, b) = (w.join(2), w.join(2));
        assert_eq!((w.poll(a), w.poll(b)), ((0, 1), (0, 1)));
        w.now += INTERVAL / 2;
        w.poll(b);
        w.now += INTERVAL / 2 + Duration::from_millis(1);
        assert_eq!(w.poll(b), (0, 1));
        assert!(!w.members.begin_commit(a, &partitions(1)));
        assert!(w.members.poll(a, w.now).is_none());
    }

    #[test]
    fn rebalancing_moves_as_little_as_possible() {
        let mut w = World::new();
        let ids: Vec<u64> = (0..3).map(|_| w.join(12)).collect();
        for _ in 0..2 {
            ids.iter().for_each(|id| {
                w.poll(*id);
            });
        }
        let d = w.join(12);
        let moved: usize = ids.iter().map(|id| w.poll(*id).0).sum();
        assert_eq!((moved, w.poll(d)), (3, (0, 3)));
        w.members.leave(d);
        assert!(ids.iter().all(|id| w.poll(*id) == (0, 1)));
    }
}
