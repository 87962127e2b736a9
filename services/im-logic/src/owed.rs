//! System messages that changes of groups owe to their timelines.
//!
//! im-repo writes a row for each in the transaction of the change. From there on nothing is lost
//! and nothing is said twice:
//!
//! * The row is deleted once its message has a place, and not before. Whoever dies in between
//!   leaves it to the next sweep of any instance.
//! * A row is always sent under the client id that its number gives, and as a resend: the sequencer
//!   gives it a number only when its window and the database together prove that it has none. So
//!   it doesn't matter how many instances send it, how often, or how long after the change.
//! * Messages of one group are sent one after the other, in the order of their changes.

mod groups;

use std::sync::Arc;
use std::time::Duration;

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::ConversationId;
use gochat_proto::im::repo::v1 as repo;
use hashbrown::HashSet;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::app::SendMessage;
use crate::clock;
use crate::facts::Announcer;
use crate::repo::Repo;
use groups::Groups;

/// Maximum number of groups that wait to be served; a sweep finds those beyond it.
const WAITING_MAX: usize = 4_096;
/// Maximum number of groups that are served at the same time.
const SERVED_MAX: usize = 16;
/// Rows of one call.
const PAGE: i32 = 100;
/// Maximum number of pages of one sweep.
const SWEEP_PAGES: usize = 10;
/// Minimum time between two sweeps.
const SWEEP_MIN: Duration = Duration::from_millis(100);

/// Groups that are to be served. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Owed {
    queue: mpsc::Sender<ConversationId>,
    groups: Arc<Mutex<Groups>>,
}

/// Sends owed messages.
pub(crate) struct Outbox {
    owed: Owed,
    queue: mpsc::Receiver<ConversationId>,
    sender: Sender,
    /// Time between two sweeps, and the age from which rows are swept.
    sweep: Duration,
}

/// What sending takes.
#[derive(Clone)]
struct Sender {
    repo: Repo,
    facts: Announcer,
    messages: Arc<dyn SendMessage>,
    /// Age from which the change of a row may be one that no instance has announced.
    unannounced: Duration,
}

impl Owed {
    /// Has what a group owes sent soon, and doesn't wait for it. Called once the sequencer has
    /// passed the change, so that new members are told and former ones aren't.
    pub(crate) fn settle(&self, group: ConversationId) {
        let is_group = matches!(group, ConversationId::Group(_));
        if is_group && self.groups.lock().queue(group, Instant::now()) {
            let queued = self.queue.try_send(group);
            if queued.is_err() {
                self.groups.lock().unqueue(group);
            }
        }
    }

    fn begin(&self, group: ConversationId) -> bool {
        self.groups.lock().begin(group)
    }

    fn end(&self, group: ConversationId, is_settled: bool) {
        let owes_more = self.groups.lock().end(group, is_settled, Instant::now());
        if owes_more {
            self.settle(group);
        }
    }
}

impl Outbox {
    /// An outbox and its way in; nothing is sent before [`run`](Self::run).
    pub(crate) fn new(
        repo: Repo,
        facts: Announcer,
        messages: Arc<dyn SendMessage>,
        sweep: Duration,
    ) -> (Owed, Self) {
        let (send, queue) = mpsc::channel(WAITING_MAX);
        let owed = Owed {
            queue: send,
            groups: Arc::default(),
        };
        let sender = Sender {
            repo,
            facts,
            messages,
            unannounced: sweep.min(Duration::from_secs(1)),
        };
        let outbox = Self {
            owed: owed.clone(),
            queue,
            sender,
            sweep: sweep.max(SWEEP_MIN),
        };
        (owed, outbox)
    }

    /// Sends until `shutdown`. What isn't sent by then stays in the database.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let places = Arc::new(Semaphore::new(SERVED_MAX));
        let mut serving = JoinSet::new();
        let mut sweep = tokio::time::interval(self.sweep);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut after_id = 0;
        loop {
            let group = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                Some(_) = serving.join_next() => continue,
                // Before the queue, which may never be empty.
                _ = sweep.tick() => {
                    self.sweep(&mut after_id).await;
                    continue;
                }
                Some(group) = self.queue.recv() => group,
            };
            if !self.owed.begin(group) {
                continue;
            }
            let place = tokio::select! {
                () = shutdown.cancelled() => return,
                place = Arc::clone(&places).acquire_owned() => place,
            };
            let (sender, owed) = (self.sender.clone(), self.owed.clone());
            serving.spawn(async move {
                let _place = place;
                let outcome = sender.serve(group).await;
                if let Err(error) = &outcome {
                    tracing::warn!(%group, %error, "system messages wait for a later sweep");
                }
                owed.end(group, outcome.is_ok());
            });
        }
    }

    /// Queues groups whose changes are long ago, until there are no more or enough for once.
    async fn sweep(&self, after_id: &mut i64) {
        for _ in 0..SWEEP_PAGES {
            let old = self.left_behind(after_id).await;
            old.into_iter().for_each(|group| self.owed.settle(group));
            if *after_id == 0 {
                return;
            }
        }
    }

    /// Groups with rows whose change is long ago: the next page of them.
    async fn left_behind(&self, after_id: &mut i64) -> HashSet<ConversationId> {
        let age = u64::try_from(self.sweep.as_millis()).unwrap_or(u64::MAX);
        let before = clock::now_ms().saturating_sub(age);
        let request = repo::ListOwedMessagesRequest {
            conversation_id: String::new(),
            after_id: *after_id,
            before_ms: i64::try_from(before).unwrap_or(i64::MAX).max(1),
            limit: PAGE,
        };
        let rows = match self.sender.repo.owed_messages(request).await {
            Ok(answer) => answer.messages,
            Err(error) => {
                tracing::warn!(%error, "owed system messages can't be listed");
                return HashSet::new();
            }
        };
        // Rows that can't be sent don't keep a sweep from those behind them.
        let is_full = rows.len() >= usize::try_from(PAGE).unwrap_or(0);
        *after_id = rows.last().filter(|_| is_full).map_or(0, |row| row.id);
        let groups = rows.iter().map(|row| row.conversation_id.parse());
        groups.filter_map(Result::ok).collect()
    }
}

impl Sender {
    /// Sends what a group owes, in order, and stops at the first message that can't be sent now.
    async fn serve(&self, group: ConversationId) -> Result<()> {
        let mut after_id = 0;
        loop {
            let request = repo::ListOwedMessagesRequest {
                conversation_id: group.to_string(),
                after_id,
                before_ms: 0,
                limit: PAGE,
            };
            let rows = self.repo.owed_messages(request).await?.messages;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            after_id = last.id;
            // A row among them may be of a change that no instance has announced.
            if rows.len() > 1 || self.is_old(last) {
                self.facts.announce(group).await?;
            }
            let mut ids = Vec::new();
            let outcome = self.send(&rows, &mut ids).await;
            if !ids.is_empty() {
                let settled = repo::SettleOwedMessagesRequest { ids };
                self.repo.settle_owed(settled).await?;
            }
            outcome?;
            // Who changed the group since then has queued it again.
            if rows.len() < usize::try_from(PAGE).unwrap_or(0) {
                return Ok(());
            }
        }
    }

    /// Whether a change is older than one that is announced at once.
    fn is_old(&self, row: &repo::OwedMessage) -> bool {
        let at = u64::try_from(row.created_at_ms).unwrap_or(0);
        u128::from(clock::now_ms().saturating_sub(at)) >= self.unannounced.as_millis()
    }

    async fn send(&self, rows: &[repo::OwedMessage], ids: &mut Vec<i64>) -> Result<()> {
        for row in rows {
            let outcome = self.messages.system(row).await;
            count(&outcome);
            match outcome {
                Ok(()) => {}
                Err(error) if may_pass(&error) => return Err(error),
                // The group is gone, and with it its timeline.
                Err(error) if is_gone(&error) => {
                    tracing::info!(id = row.id, %error, "a system message is dropped");
                }
                // Nothing is dropped for a reason that nobody thought of.
                Err(error) => {
                    tracing::warn!(id = row.id, %error, "a system message stays unsent");
                    continue;
                }
            }
            ids.push(row.id);
        }
        Ok(())
    }
}

/// Whether a later try may succeed. A sequencer from before system messages refuses their type,
/// until a newer one owns the partition.
fn may_pass(error: &Error) -> bool {
    error.is_retryable() || error.code == ErrorCode::UnsupportedMessageType
}

fn is_gone(error: &Error) -> bool {
    matches!(
        error.code,
        ErrorCode::ConversationDissolved | ErrorCode::ConversationNotFound
    )
}

fn count(outcome: &Result<()>) {
    let outcome = match outcome {
        Ok(()) => "sent",
        Err(error) if is_gone(error) => "dropped",
        Err(_) => "put_off",
    };
    metrics::counter!("gochat_logic_system_messages_total", "outcome" => outcome).increment(1);
}
