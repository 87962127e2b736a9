//! Waiting for rows that are on their way: the other half of "read your writes".
//!
//! A reader who was told of a number that isn't stored yet waits here, within bounds. Rows that
//! this process saves wake their readers at once. Rows that another process saves are found by one
//! watcher, which looks for the heads of *all* awaited conversations in one statement per round, so
//! that the cost doesn't grow with the number of readers. The watcher lives while anybody waits.
//!
//! The writers of rows collect messages while no reader waits. They keep a call of `AwaitReaders`
//! open here, which is answered when a reader begins to wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gochat_core::error::Result;
use gochat_core::ids::{ConversationId, SeqId, UserId};
use gochat_infra::port::db::{NewMessage, SharedDatabase};
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::config::Reads;
use crate::rpc::failed;

/// Pause between two looks of the watcher while rows come.
const PAUSE: Duration = Duration::from_millis(3);
/// Longest pause, after looks that found nothing.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
/// Conversations the watcher looks at in one statement.
const LOOK: usize = 1_000;

/// Longest time that a call of `AwaitReaders` stays open. A process that stops waits for the end of
/// open calls.
const LONGEST_AWAIT: Duration = Duration::from_secs(1);

/// A conversation and a number in it.
pub(crate) type Head = (ConversationId, SeqId);

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
    owed: SeqId,
    tell: oneshot::Sender<()>,
}

/// A place among the waiters; dropping it frees the place.
struct Place<'a> {
    heads: &'a Heads,
    head: Head,
    ticket: u64,
    reached: oneshot::Receiver<()>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.heads.waiting.lock();
        if let Some(list) = waiting.by_id.get_mut(&self.head.0) {
            let before = list.len();
            list.retain(|waiter| waiter.ticket != self.ticket);
            let gone = before - list.len();
            if list.is_empty() {
                waiting.by_id.remove(&self.head.0);
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
        let heads: HashMap<ConversationId, SeqId> = heads.into_iter().collect();
        let is_late = |(id, seq): &Head| heads.get(id).is_some_and(|head| head < seq);
        let late: Vec<Head> = owed.into_iter().filter(is_late).collect();
        if late.is_empty() {
            return Ok(late);
        }
        Ok(self.wait(late).await)
    }

    /// Waits until numbers that were not reached a moment ago are, and returns those that were not
    /// in time.
    pub(crate) async fn wait(self: &Arc<Self>, late: Vec<Head>) -> Vec<Head> {
        let began = Instant::now();
        let late = self.watched(late).await;
        let outcome = if late.is_empty() { "reached" } else { "behind" };
        metrics::counter!("gochat_repo_row_waits_total", "outcome" => outcome).increment(1);
        metrics::histogram!("gochat_repo_row_wait_seconds").record(began.elapsed());
        late
    }

    async fn watched(self: &Arc<Self>, late: Vec<Head>) -> Vec<Head> {
        if self.count.load(Ordering::Relaxed) + late.len() > self.most {
            metrics::counter!("gochat_repo_row_waits_refused_total").increment(1);
            return late;
        }
        let deadline = Instant::now() + self.longest;
        let places: Vec<Place<'_>> = late.into_iter().map(|head| self.enter(head)).collect();
        self.begun.one_more();
        self.watch();
        let mut behind = Vec::new();
        for mut place in places {
            let reached = tokio::time::timeout_at(deadline, &mut place.reached).await;
            if !matches!(reached, Ok(Ok(()))) {
                behind.push(place.head);
            }
        }
        behind
    }

    fn enter(&self, head: Head) -> Place<'_> {
        let (tell, reached) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        let ticket = waiting.next_ticket;
        waiting.next_ticket += 1;
        let (id, owed) = head;
        let waiter = Waiter { ticket, owed, tell };
        waiting.by_id.entry(id).or_default().push(waiter);
        self.count.fetch_add(1, Ordering::Relaxed);
        Place {
            heads: self,
            head,
            ticket,
            reached,
        }
    }

    /// Resolves with the number of reads that began to wait since the start, as soon as that number
    /// is another one than `seen`, and after a second in any case.
    pub(crate) async fn another_reader(&self, seen: i64) -> i64 {
        self.begun.other_than(seen).await
    }

    /// Heads that the messages will bring and somebody may wait for, before they are given away.
    /// Empty, and without cost, while nobody waits for anything.
    pub(crate) fn awaited(&self, messages: &[NewMessage]) -> Vec<Head> {
        if self.count.load(Ordering::Relaxed) == 0 {
            // A reader that enters after this is told by the watcher.
            return Vec::new();
        }
        let head = |message: &NewMessage| (message.conversation_id, message.seq_id);
        messages.iter().map(head).collect()
    }

    /// These numbers are stored: their readers go on.
    pub(crate) fn saved(&self, heads: &[Head]) {
        if heads.is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock();
        for (id, seq) in heads {
            let Some(list) = waiting.by_id.get_mut(id) else {
                continue;
            };
            let before = list.len();
            for waiter in list.extract_if(.., |waiter| waiter.owed <= *seq) {
                // A reader that has gone needs no answer.
                let _ = waiter.tell.send(());
            }
            self.count.fetch_sub(before - list.len(), Ordering::Relaxed);
            if list.is_empty() {
                waiting.by_id.remove(id);
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

/// Number of reads that began to wait since the start.
#[derive(Default)]
struct Begun(watch::Sender<i64>);

impl Begun {
    fn one_more(&self) {
        self.0.send_modify(|begun| *begun += 1);
    }

    /// Resolves with the number as soon as it is another one than `seen`, and after
    /// [`LONGEST_AWAIT`] in any case.
    async fn other_than(&self, seen: i64) -> i64 {
        let mut begun = self.0.subscribe();
        let other = begun.wait_for(|begun| *begun != seen);
        // The guard that `wait_for` resolves with holds a read lock, so it is dropped here. A
        // second read lock, taken while a writer waits, would deadlock both threads.
        let found = tokio::time::timeout(LONGEST_AWAIT, other)
            .await
            .is_ok_and(|told| told.is_ok());
        // The sender lives as long as `self`: only the time can run out.
        if found { *self.0.borrow() } else { seen }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn readers_that_begin_to_wait_meet_a_writer_that_asks() {
        const READERS: i64 = 300_000;
        let begun = Arc::new(Begun::default());
        let (done, is_done) = channel();
        let reader = Arc::clone(&begun);
        std::thread::spawn(move || (0..READERS).for_each(|_| reader.one_more()));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut seen = 0;
                while seen < READERS {
                    seen = begun.other_than(seen).await;
                }
            });
            done.send(()).unwrap();
        });
        let outcome = is_done.recv_timeout(Duration::from_secs(30));
        assert!(outcome.is_ok(), "both threads stand still");
    }
}
