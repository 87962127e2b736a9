//! What users were told of: "read your writes" begins where a number leaves the gateway.
//!
//! An acknowledgement or a push names a number before the row is stored. The gateway remembers the
//! highest number it named in each conversation, and sends it along with every read: whoever
//! answers waits for the row, or says that the answer is behind. Memory is per conversation, not
//! per user; which conversations a *list* is about is found in the connections of the user (what
//! was pushed) and in a small table of authors (what was acknowledged, also over HTTP).
//!
//! Numbers are kept in two generations. The older one is dropped once im-task has committed
//! everything that was in the log when the generation was closed: then its rows are stored. So
//! numbers outlive an outage of the writers, however long; only the bound on conversations makes
//! the gateway forget.

use std::time::Duration;

use gochat_core::ids::{ConversationId, UserId};
use gochat_infra::port::mq::{self, MqResult, TopicPartition};
use gochat_infra::rpc::Backoff;
use gochat_infra::topics;
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::metrics as names;
use crate::state::Gw;

/// Locks the table is split into.
const SHARDS: usize = 64;
/// Conversations remembered per author; an author of more finds the last ones.
const PER_AUTHOR: usize = 16;
/// Conversations a list is held to; the contract of `at_least` allows no more.
pub(crate) const MOST_OF_LIST: usize = 64;

/// The highest numbers named in a conversation.
#[derive(Debug, Clone, Copy)]
struct Head {
    id: ConversationId,
    seq: i64,
    rev: i64,
    /// `rev` of the newest change of a message: what history shows otherwise since then.
    changed: i64,
}

impl Head {
    fn numbers(self) -> Numbers {
        Numbers {
            seq: self.seq,
            rev: self.rev,
            changed: self.changed,
        }
    }
}

/// Numbers that are named, or were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// Of messages.
    pub(crate) seq: i64,
    /// Of messages and changes.
    pub(crate) rev: i64,
    /// Of changes alone.
    pub(crate) changed: i64,
}

/// The conversations an author was acknowledged in, as hashes; the oldest is overwritten.
#[derive(Debug, Clone, Copy, Default)]
struct Recent {
    conversations: [u64; PER_AUTHOR],
    next: u8,
}

impl Recent {
    fn add(&mut self, conversation: u64) {
        if !self.conversations.contains(&conversation) {
            self.conversations[usize::from(self.next) % PER_AUTHOR] = conversation;
            self.next = (self.next + 1) % PER_AUTHOR as u8;
        }
    }
}

type Map<K, V> = HashMap<K, V, ahash::RandomState>;

/// One generation of one shard.
#[derive(Default)]
struct Generation {
    heads: Map<u64, Head>,
    authors: Map<UserId, Recent>,
}

#[derive(Default)]
struct Shard {
    now: Generation,
    before: Generation,
}

/// See the module. Conversations and authors are spread over the same shards by their hashes.
pub(crate) struct Told {
    shards: Vec<Mutex<Shard>>,
    most: usize,
}

impl Told {
    pub(crate) fn new(config: &config::Told) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            most: config.conversations.div_ceil(SHARDS),
        }
    }

    fn of_conversation(&self, hash: u64) -> &Mutex<Shard> {
        &self.shards[(hash >> 58) as usize]
    }

    fn of_author(&self, user: UserId) -> &Mutex<Shard> {
        let mixed = user.get().wrapping_mul(0x9E37_79B9_7F4A_7C15);
        &self.shards[(mixed >> 58) as usize]
    }

    /// Notes numbers that are about to be named. `hash` is that of `id`.
    pub(crate) fn note(&self, hash: u64, id: &str, numbers: Numbers) {
        let Numbers { seq, rev, changed } = numbers;
        if seq <= 0 {
            return;
        }
        let mut shard = self.of_conversation(hash).lock();
        let heads = &mut shard.now.heads;
        if let Some(head) = heads.get_mut(&hash) {
            head.seq = head.seq.max(seq);
            head.rev = head.rev.max(rev);
            head.changed = head.changed.max(changed);
        } else if heads.len() >= self.most {
            names::add(names::TOLD_DROPPED, 1);
        } else if let Ok(id) = id.parse() {
            let head = Head {
                id,
                seq,
                rev,
                changed,
            };
            heads.insert(hash, head);
        }
    }

    /// Notes that a user was acknowledged in a conversation.
    pub(crate) fn note_author(&self, user: UserId, conversation: u64) {
        let mut shard = self.of_author(user).lock();
        let authors = &mut shard.now.authors;
        if let Some(recent) = authors.get_mut(&user) {
            recent.add(conversation);
        } else if authors.len() < self.most {
            authors.entry(user).or_default().add(conversation);
        } else {
            names::add(names::TOLD_DROPPED, 1);
        }
    }

    /// The highest numbers of a conversation that may not be stored yet; 0 = none.
    pub(crate) fn head(&self, hash: u64) -> Numbers {
        self.find(hash).map(Head::numbers).unwrap_or_default()
    }

    fn find(&self, hash: u64) -> Option<Head> {
        let shard = self.of_conversation(hash).lock();
        let (now, before) = (shard.now.heads.get(&hash), shard.before.heads.get(&hash));
        // Of two generations the higher numbers rule: pushes of one conversation may be repeated
        // late.
        now.into_iter().chain(before).copied().reduce(|a, b| Head {
            seq: a.seq.max(b.seq),
            rev: a.rev.max(b.rev),
            changed: a.changed.max(b.changed),
            ..a
        })
    }

    /// What the list of a user must reach: conversations of `pushed` and those the user was
    /// acknowledged in, as far as their numbers may not be stored yet.
    pub(crate) fn to_user(
        &self,
        user: UserId,
        mut pushed: Vec<u64>,
    ) -> Vec<(ConversationId, Numbers)> {
        let shard = self.of_author(user).lock();
        let acknowledged = [&shard.now, &shard.before].map(|g| g.authors.get(&user).copied());
        drop(shard);
        let acknowledged = acknowledged.into_iter().flatten();
        pushed.extend(acknowledged.flat_map(|recent| recent.conversations));
        pushed.sort_unstable();
        pushed.dedup();
        let heads = pushed.into_iter().filter(|hash| *hash != 0);
        let heads = heads.filter_map(|hash| self.find(hash));
        let heads = heads.take(MOST_OF_LIST);
        heads.map(|head| (head.id, head.numbers())).collect()
    }

    /// Closes the present generation; false when it is empty. To be called when the older one is
    /// gone.
    fn close(&self) -> bool {
        let mut any = false;
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.before = std::mem::take(&mut shard.now);
            any |= !shard.before.heads.is_empty();
        }
        any
    }

    /// Drops the older generation: its rows are stored.
    fn drop_stored(&self) {
        for shard in &self.shards {
            let stored = std::mem::take(&mut shard.lock().before);
            drop(stored);
        }
    }
}

/// Drops numbers once their rows are stored, until the gateway stops.
pub(crate) async fn run(gw: Gw, stop: CancellationToken) {
    let pause = Duration::from_millis(gw.config.told.check_ms.max(100));
    let work = async {
        loop {
            tokio::time::sleep(pause).await;
            if !gw.told.close() {
                continue;
            }
            let mut backoff = Backoff::default();
            while let Err(error) = stored(&gw).await {
                tracing::debug!(%error, "can't tell which rows are stored");
                tokio::time::sleep(backoff.next_delay()).await;
            }
            gw.told.drop_stored();
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

/// Resolves once every message that has its place by now has its row.
async fn stored(gw: &Gw) -> MqResult<()> {
    let mut ends = Vec::new();
    for partition in 0..gw.mq.partitions(topics::PERSIST)? {
        let tp = TopicPartition::new(topics::PERSIST, partition);
        let end = gw.mq.end_offset(&tp).await?;
        ends.push((tp, end));
    }
    for (tp, end) in ends {
        mq::passed(&*gw.mq, topics::TASK_PERSIST_GROUP, &tp, end).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(seq: i64) -> Numbers {
        Numbers {
            seq,
            rev: seq,
            changed: 0,
        }
    }

    fn user(n: u64) -> UserId {
        UserId::new(n).unwrap()
    }

    fn told(conversations: usize) -> Told {
        Told::new(&config::Told {
            conversations,
            ..config::Told::default()
        })
    }

    /// Hashes that fall into one shard.
    fn hash(n: u64) -> u64 {
        n | 1
    }

    #[test]
    fn the_highest_number_counts_and_outlives_one_generation() {
        let told = told(1_000);
        told.note(hash(2), "world", message(9));
        told.note(hash(2), "world", message(7));
        assert_eq!(told.head(hash(2)).seq, 9);
        assert!(told.close());
        assert_eq!(told.head(hash(2)).seq, 9, "its row may not be stored yet");
        told.note(hash(2), "world", message(8));
        assert_eq!(told.head(hash(2)).seq, 9);
        told.drop_stored();
        assert_eq!(
            told.head(hash(2)).seq,
            8,
            "a generation that is younger stays"
        );
        assert!(told.close());
        told.drop_stored();
        assert_eq!(told.head(hash(2)).seq, 0);
        assert!(!told.close(), "nothing was told");
    }

    #[test]
    fn a_list_is_held_to_what_was_pushed_and_to_what_was_acknowledged() {
        let told = told(1_000);
        told.note(hash(2), "g_2", message(20));
        told.note(hash(4), "g_4", message(40));
        told.note(hash(6), "g_6", message(60));
        told.note_author(user(7), hash(4));
        told.close();
        told.note_author(user(7), hash(8));
        let mut list = told.to_user(user(7), vec![hash(2)]);
        list.sort_unstable_by_key(|(_, numbers)| numbers.seq);
        let seqs = list.iter().map(|(id, n)| (id.to_string(), n.seq));
        let ids: Vec<(String, i64)> = seqs.collect();
        assert_eq!(ids, [("g_2".to_owned(), 20), ("g_4".to_owned(), 40)]);
        assert!(told.to_user(user(8), vec![]).is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let told = told(SHARDS * 2);
        for n in 0..100 {
            told.note(hash(n * 2), &format!("g_{}", n + 1), message(1));
            told.note_author(user(1), hash(n * 2));
        }
        let shard = told.of_conversation(hash(0)).lock();
        assert_eq!(shard.now.heads.len(), 2);
        drop(shard);
        let authors = told.of_author(user(1)).lock().now.authors[&user(1)];
        assert!(
            authors.conversations.contains(&hash(198)),
            "the last ones stay"
        );
        assert!(!authors.conversations.contains(&hash(0)));
    }

    #[test]
    fn numbers_that_are_none_are_not_noted() {
        let told = told(1_000);
        told.note(hash(2), "world", message(0));
        told.note(hash(4), "not an id", message(3));
        assert_eq!((told.head(hash(2)).seq, told.head(hash(4)).seq), (0, 0));
    }

    #[test]
    fn a_change_is_owed_until_its_generation_goes_whatever_is_said_meanwhile() {
        let told = Told::new(&config::Told::default());
        let change = Numbers {
            seq: 3,
            rev: 15,
            changed: 15,
        };
        told.note(hash(2), "g_2", change);
        assert!(told.close());
        told.note(hash(2), "g_2", message(16));
        let head = told.head(hash(2));
        assert_eq!((head.seq, head.rev, head.changed), (16, 16, 15));
        let list = told.to_user(user(7), vec![hash(2)]);
        assert_eq!(list, [("g_2".parse().unwrap(), head)]);
        told.drop_stored();
        assert_eq!(told.head(hash(2)).changed, 0);
    }
}
