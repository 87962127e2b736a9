//! Waiting for rows that are on their way: the other half of "read your writes".
//!
//! A reader who was told of a number that isn't stored yet waits here, within bounds. Rows that
//! this process saves wake their readers at once. Rows that another process saves are found by one
//! watcher, which looks for the heads of *all* awaited conversations in one statement per round, so
//! that the cost doesn't grow with the number of readers. The watcher lives while anybody waits.
//!
//! The writers of rows collect messages while no reader waits. They keep a call of `AwaitReaders`
//! open here, which is answered when a reader begins to wait.

mod begun;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gochat_core::error::Result;
use gochat_core::ids::{ConversationId, Rev, SeqId, UserId};
use gochat_infra::port::db::{ConversationHead, NewChange, NewMessage, SharedDatabase};
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::begun::Begun;
use crate::config::Reads;
use crate::rpc::failed;

/// Pause between two looks of the watcher while rows come.
const PAUSE: Duration = Duration::from_millis(3);
/// Longest pause, after looks that found nothing.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
/// Conversations the watcher looks at in one statement.
const LOOK: usize = 1_000;

/// A conversation and a number in it.
pub(crate) type Head = (ConversationId, SeqId);

/// What a reader waits for in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owed {
    /// A message.
    Seq(SeqId),
    /// A message or a change of one.
    Rev(Rev),
}

impl Owed {
    fn is_reached(self, head: &ConversationHead) -> bool {
        match self {
            Self::Seq(seq) => head.seq >= seq,
            Self::Rev(rev) => head.rev >= rev,
        }
    }
}

/// Readers by the conversation they wait for.
pub(crate) struct Heads {
    db: SharedDatabase,
    waiting: Mutex<Waiting>,
    /// Number of waiters, to be read without the lock.
    count: AtomicUsize,
    begun: Begun,
    most: usize,
    longest: Duration,
}

#[derive(Default)]
struct Waiting {
    by_id: HashMap<ConversationId, Vec<Waiter>>,
    next_ticket: u64,
    is_watched: bool,
}

struct Waiter {
    ticket: u64,
    owed: Owed,
    tell: oneshot::Sender<()>,
}

/// A place among the waiters; dropping it frees the place.
struct Place<'a> {
    heads: &'a Heads,
    id: ConversationId,
    ticket: u64,
    reached: oneshot::Receiver<()>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.heads.waiting.lock();
        if let Some(list) = waiting.by_id.get_mut(&self.id) {
            let before = list.len();
            list.retain(|waiter| waiter.ticket != self.ticket);
            let gone = before - list.len();
            if list.is_empty() {
                waiting.by_id.remove(&self.id);
            }
            self.heads.count.fetch_sub(gone, Ordering::Relaxed);
        }
    }
}

impl Heads {
    pub(crate) fn new(db: SharedDatabase, config: &Reads) -> Self {
        Self {
            db,
            waiting: Mutex::default(),
            count: AtomicUsize::new(0),
            begun: Begun::default(),
            most: config.most,
            longest: Duration::from_millis(config.wait_ms),
        }
    }

    /// Waits until every conversation has reached its number, and returns those that didn't in
    /// time. With `member`, conversations this user isn't in are left out: their heads are not the
    /// user's business.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) async fn reach(
        self: &Arc<Self>,
        member: Option<UserId>,
        owed: Vec<Head>,
    ) -> Result<Vec<Head>> {
        let owed: Vec<Head> = owed.into_iter().filter(|(_, seq)| *seq > 0).collect();
        if owed.is_empty() {
            return Ok(owed);
        }
        let ids: Vec<ConversationId> = owed.iter().map(|(id, _)| *id).collect();
        let heads = self.db.heads(member, &ids).await.map_err(failed)?;
        let heads: HashMap<_, SeqId> = heads.into_iter().map(|head| (head.id, head.seq)).collect();
        let is_late = |(id, seq): &Head| heads.get(id).is_some_and(|head| head < seq);
        let late: Vec<Head> = owed.into_iter().filter(is_late).collect();
        if late.is_empty() {
            return Ok(late);
        }
        Ok(self.wait(late).await)
    }

    /// Waits until a conversation has reached a number over messages and changes; whether it did in
    /// time.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) async fn reach_rev(self: &Arc<Self>, id: ConversationId, rev: Rev) -> Result<bool> {
        self.reach_revs(None, &[(id, rev)]).await
    }

    /// The same for several conversations. With `member`, conversations this user isn't in are left
    /// out.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) async fn reach_revs(
        self: &Arc<Self>,
        member: Option<UserId>,
        told: &[(ConversationId, Rev)],
    ) -> Result<bool> {
        if told.is_empty() {
            return Ok(true);
        }
        let ids: Vec<ConversationId> = told.iter().map(|(id, _)| *id).collect();
        let heads = self.db.heads(member, &ids).await.map_err(failed)?;
        let owed = told.iter().map(|(id, rev)| (*id, Owed::Rev(*rev)));
        let is_late = |(id, owed): &(ConversationId, Owed)| {
            let head = heads.iter().find(|head| head.id == *id);
            head.is_some_and(|head| !owed.is_reached(head))
        };
        let late: Vec<_> = owed.filter(is_late).collect();
        if late.is_empty() {
            return Ok(true);
        }
        Ok(self
            .wait_for(&late)
            .await
            .into_iter()
            .all(|reached| reached))
    }

    /// Waits until numbers that were not reached a moment ago are, and returns those that were not
    /// in time.
    pub(crate) async fn wait(self: &Arc<Self>, mut late: Vec<Head>) -> Vec<Head> {
        let owed: Vec<_> = late
            .iter()
            .map(|(id, seq)| (*id, Owed::Seq(*seq)))
            .collect();
        let mut reached = self.wait_for(&owed).await.into_iter();
        late.retain(|_| !reached.next().unwrap_or(false));
        late
    }

    /// Waits for numbers; whether each was reached in time.
    async fn wait_for(self: &Arc<Self>, late: &[(ConversationId, Owed)]) -> Vec<bool> {
        let began = Instant::now();
        let reached = self.watched(late).await;
        let all = reached.iter().all(|is_reached| *is_reached);
        let outcome = if all { "reached" } else { "behind" };
        metrics::counter!("gochat_repo_row_waits_total", "outcome" => outcome).increment(1);
        metrics::histogram!("gochat_repo_row_wait_seconds").record(began.elapsed());
        reached
    }

    async fn watched(self: &Arc<Self>, late: &[(ConversationId, Owed)]) -> Vec<bool> {
        if self.count.load(Ordering::Relaxed) + late.len() > self.most {
            metrics::counter!("gochat_repo_row_waits_refused_total").increment(1);
            return vec![false; late.len()];
        }
        let deadline = Instant::now() + self.longest;
        let places = late.iter().map(|(id, owed)| self.enter(*id, *owed));
        let places: Vec<Place<'_>> = places.collect();
        self.begun.one_more();
        self.watch();
        let mut reached = Vec::with_capacity(late.len());
        for mut place in places {
            let told = tokio::time::timeout_at(deadline, &mut place.reached).await;
            reached.push(matches!(told, Ok(Ok(()))));
        }
        reached
    }

    fn enter(&self, id: ConversationId, owed: Owed) -> Place<'_> {
        let (tell, reached) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        let ticket = waiting.next_ticket;
        waiting.next_ticket += 1;
        let waiter = Waiter { ticket, owed, tell };
        waiting.by_id.entry(id).or_default().push(waiter);
        self.count.fetch_add(1, Ordering::Relaxed);
        Place {
            heads: self,
            id,
            ticket,
            reached,
        }
    }

    /// Resolves with the number of reads that began to wait since the start, as soon as that number
    /// is another one than `seen`, and after a second in any case.
    pub(crate) async fn another_reader(&self, seen: i64) -> i64 {
        self.begun.other_than(seen).await
    }

    /// Heads that a batch will bring and a reader may wait for, before it is given away. Empty, and
    /// without cost, while no reader waits for anything.
    pub(crate) fn awaited(
        &self,
        messages: &[NewMessage],
        changes: &[NewChange],
    ) -> Vec<ConversationHead> {
        if self.count.load(Ordering::Relaxed) == 0 {
            // A reader that enters after this is told by the watcher.
            return Vec::new();
        }
        let of_message = |message: &NewMessage| ConversationHead {
            id: message.conversation_id,
            seq: message.seq_id,
            // One that comes without a number gets this one or a greater one.
            rev: message.rev.max(message.seq_id),
        };
        let of_change = |change: &NewChange| ConversationHead {
            id: change.conversation_id,
            seq: 0,
            rev: change.rev,
        };
        let messages = messages.iter().map(of_message);
        messages.chain(changes.iter().map(of_change)).collect()
    }

    /// These numbers are stored: their readers go on.
    pub(crate) fn saved(&self, heads: &[ConversationHead]) {
        if heads.is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock();
        for head in heads {
            let Some(list) = waiting.by_id.get_mut(&head.id) else {
                continue;
            };
            let before = list.len();
            for waiter in list.extract_if(.., |waiter| waiter.owed.is_reached(head)) {
                // A reader that has gone needs no answer.
                let _ = waiter.tell.send(());
            }
            self.count.fetch_sub(before - list.len(), Ordering::Relaxed);
            if list.is_empty() {
                waiting.by_id.remove(&head.id);
            }
        }
    }

    /// Sees to it that somebody looks for rows other processes save.
    fn watch(self: &Arc<Self>) {
        if std::mem::replace(&mut self.waiting.lock().is_watched, true) {
            return;
        }
        let heads = Arc::clone(self);
        tokio::spawn(async move {
            let mut pause = PAUSE;
            while let Some(ids) = heads.awaited_ids() {
                let before = heads.count.load(Ordering::Relaxed);
                for ids in ids.chunks(LOOK) {
                    // A database that is away says nothing; the readers give up by themselves.
                    if let Ok(found) = heads.db.heads(None, ids).await {
                        heads.saved(&found);
                    }
                }
                if heads.count.load(Ordering::Relaxed) < before {
                    pause = PAUSE;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
    }

    /// The conversations that are waited for; `None` ends the watch.
    fn awaited_ids(&self) -> Option<Vec<ConversationId>> {
        let mut waiting = self.waiting.lock();
        if waiting.by_id.is_empty() {
            waiting.is_watched = false;
            return None;
        }
        Some(waiting.by_id.keys().copied().collect())
    }
}
