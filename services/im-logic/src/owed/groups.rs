//! Which groups are to be served, and when.

use std::time::Duration;

use gochat_core::ids::ConversationId;
use gochat_infra::rpc::Backoff;
use hashbrown::{HashMap, HashSet};
use tokio::time::Instant;

/// Pause after a group's first try that failed; each further one waits twice as long.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Maximum number of groups whose pauses are remembered; beyond it all are forgotten, and tried
/// again.
const PAUSED_MAX: usize = 10_000;

/// Where groups stand: none is in the queue twice, none is served twice at a time, and one whose
/// last try failed has a pause: each try costs the sequencer, which may have no time, as much as a
/// message.
#[derive(Default)]
pub(super) struct Groups {
    waiting: HashSet<ConversationId>,
    served: HashSet<ConversationId>,
    /// Served groups that owe more since.
    again: HashSet<ConversationId>,
    paused: HashMap<ConversationId, Pause>,
}

struct Pause {
    until: Instant,
    backoff: Backoff,
}

impl Groups {
    /// Whether to queue the group: it isn't queued yet, and it has no pause. A sweep comes back to
    /// it.
    pub(super) fn queue(&mut self, group: ConversationId, now: Instant) -> bool {
        let is_paused = self
            .paused
            .get(&group)
            .is_some_and(|pause| now < pause.until);
        !is_paused && self.waiting.insert(group)
    }

    /// There was no room in the queue.
    pub(super) fn unqueue(&mut self, group: ConversationId) {
        self.waiting.remove(&group);
    }

    /// Takes a group from the queue; false when it is being served, and will be once more.
    pub(super) fn begin(&mut self, group: ConversationId) -> bool {
        self.waiting.remove(&group);
        let is_free = self.served.insert(group);
        if !is_free {
            self.again.insert(group);
        }
        is_free
    }

    /// The group was served, or couldn't be; whether it owes more since.
    pub(super) fn end(&mut self, group: ConversationId, is_settled: bool, now: Instant) -> bool {
        self.served.remove(&group);
        if is_settled {
            self.paused.remove(&group);
        } else {
            self.pause(group, now);
        }
        self.again.remove(&group)
    }

    fn pause(&mut self, group: ConversationId, now: Instant) {
        if self.paused.len() >= PAUSED_MAX {
            self.paused.clear();
        }
        let pause = self.paused.entry(group).or_insert_with(|| Pause {
            until: now,
            backoff: Backoff::new(PAUSE_MIN, PAUSE_MAX),
        });
        pause.until = now + pause.backoff.next_delay();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_queued_once_and_served_by_one_at_a_time() {
        let (mut groups, now) = (Groups::default(), Instant::now());
        let g: ConversationId = "g_1".parse().unwrap();
        assert!(groups.queue(g, now) && !groups.queue(g, now));
        assert!(groups.begin(g));
        assert!(groups.queue(g, now), "it owes more since");
        assert!(!groups.begin(g));
        assert!(groups.end(g, true, now), "once more");
        assert!(groups.queue(g, now) && groups.begin(g));
        assert!(!groups.end(g, true, now));
    }

    #[test]
    fn a_group_that_cant_be_served_has_longer_and_longer_pauses_until_it_can() {
        let (mut groups, mut now) = (Groups::default(), Instant::now());
        let [g, other]: [ConversationId; 2] = ["g_1", "g_2"].map(|id| id.parse().unwrap());
        for most in [1, 2, 4, 8, 16, 30, 30] {
            assert!(groups.queue(g, now) && groups.begin(g));
            groups.end(g, false, now);
            assert!(!groups.queue(g, now + Duration::from_millis(most * 1_000 / 2 - 1)));
            assert!(groups.queue(other, now) && groups.begin(other));
            groups.end(other, true, now);
            now += Duration::from_secs(most);
        }
        assert!(groups.queue(g, now) && groups.begin(g));
        groups.end(g, true, now);
        assert!(
            groups.queue(g, now),
            "all is said: the next change is told at once"
        );
    }
}
