//! Audit records: who did what, to whom, when, and with which outcome.
//!
//! Records of users' acts go through a bounded queue and are written in batches: they cost a
//! request nothing, and wait out an absence of im-repo. Records that do not fit are dropped and
//! counted. Acts of operators are written before they take effect and are refused when that fails.
//! No record holds a password, a token, or the text of a message.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gochat_core::error::Result;
use gochat_core::ratelimit::{Rule, TokenBucket};
use gochat_infra::rpc::Backoff;
use gochat_proto::im::repo::v1 as pb;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::clock;
use crate::repo::Repo;

/// Maximum number of records that wait; further ones are dropped and counted.
const QUEUE: usize = 10_000;
/// Maximum number of records in one append.
const BATCH: usize = 200;
/// Maximum number of characters of a reason that an operator gives.
pub(crate) const REASON_MAX_CHARS: usize = 200;
/// Longest wait of a stop for records that are not written yet.
const FLUSH: Duration = Duration::from_secs(2);
/// Refused sign-ins that are recorded per instance: strangers can make as many as they like. Those
/// beyond are dropped and counted.
const REFUSALS: Rule = Rule::new(20.0, 200.0);

/// Outcome of an act that took effect.
pub(crate) const OK: &str = "ok";
/// Outcome of an operator's act that is about to take effect.
pub(crate) const BEGUN: &str = "begun";

/// One act.
#[derive(Debug, Clone, Default)]
pub(crate) struct Act {
    /// A user id, `operator:NAME` or `system`.
    pub(crate) actor: String,
    /// What was done: a family, a dot, and a verb in the past.
    pub(crate) action: &'static str,
    /// Whom or what it concerned.
    pub(crate) target: String,
    /// Network address of the client.
    pub(crate) address: String,
    /// `ok`, `begun`, or the code of the refusal.
    pub(crate) outcome: &'static str,
    /// An object, or nothing.
    pub(crate) detail: Option<Value>,
}

enum Message {
    Record(pb::AuditRecord),
    Flush(oneshot::Sender<()>),
}

/// Writes audit records. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Audit {
    queue: mpsc::Sender<Message>,
    repo: Repo,
    shared: Arc<Shared>,
}

struct Shared {
    count: AtomicU64,
    refusals: Mutex<TokenBucket>,
}

impl Audit {
    /// Starts the writer, which ends when the last handle is dropped.
    pub(crate) fn start(repo: Repo) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(write(repo.clone(), waiting));
        Self {
            queue,
            repo,
            shared: Arc::new(Shared {
                count: AtomicU64::new(rand::random()),
                refusals: Mutex::default(),
            }),
        }
    }

    /// Queues the record of an act that has happened.
    pub(crate) fn note(&self, act: Act) {
        let record = self.record(act);
        if self.queue.try_send(Message::Record(record)).is_err() {
            dropped("full", 1);
        }
    }

    /// Queues the record of a refused sign-in, unless there were too many of them just now.
    pub(crate) fn note_refusal(&self, act: Act) {
        if self.admits_refusal() {
            self.note(act);
        }
    }

    /// Whether one more refused sign-in is recorded.
    pub(crate) fn admits_refusal(&self) -> bool {
        let taken = self
            .shared
            .refusals
            .lock()
            .try_take(REFUSALS, clock::now_ms());
        if taken.is_err() {
            dropped("rate", 1);
        }
        taken.is_ok()
    }

    /// Writes the record of an act that is about to happen.
    ///
    /// # Errors
    /// Those of im-repo: the act must not happen then.
    pub(crate) async fn write(&self, act: Act) -> Result<()> {
        let records = vec![self.record(act)];
        let request = pb::AppendAuditRequest { records };
        self.repo.append_audit(request).await.map(drop)
    }

    /// Waits, within a bound, until everything queued so far was written.
    pub(crate) async fn flush(&self) {
        let (done, written) = oneshot::channel();
        let flushed = async {
            if self.queue.send(Message::Flush(done)).await.is_ok() {
                let _ = written.await;
            }
        };
        if tokio::time::timeout(FLUSH, flushed).await.is_err() {
            tracing::warn!("audit records were not written in time");
        }
    }

    fn record(&self, act: Act) -> pb::AuditRecord {
        let at = clock::now_ms();
        // Time first, so that ids are in the order of time; 20 bits tell records of one
        // millisecond apart, and begin anywhere, so that instances rarely meet.
        let count = self.shared.count.fetch_add(1, Ordering::Relaxed) & 0xf_ffff;
        let id = (at << 20 | count) & u64::MAX >> 1;
        pb::AuditRecord {
            id: i64::try_from(id).unwrap_or(i64::MAX),
            at_ms: i64::try_from(at).unwrap_or(i64::MAX),
            actor: act.actor,
            action: act.action.to_owned(),
            target: act.target,
            address: act.address,
            outcome: act.outcome.to_owned(),
            detail: act.detail.map(|d| d.to_string()).unwrap_or_default(),
        }
    }
}

fn dropped(reason: &'static str, count: u64) {
    metrics::counter!("gochat_audit_dropped_total", "reason" => reason).increment(count);
}

/// Writes what is queued until the queue is closed and empty.
async fn write(repo: Repo, mut waiting: mpsc::Receiver<Message>) {
    let mut messages = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut messages, BATCH).await > 0 {
        let mut records = Vec::with_capacity(messages.len());
        let mut flushes = Vec::new();
        for message in messages.drain(..) {
            match message {
                Message::Record(record) => records.push(record),
                Message::Flush(done) => flushes.push(done),
            }
        }
        append(&repo, records).await;
        for done in flushes {
            // Whoever waited may be gone.
            let _ = done.send(());
        }
    }
}

/// Appends records, however long im-repo is away: the queue bounds what waits meanwhile.
async fn append(repo: &Repo, records: Vec<pb::AuditRecord>) {
    let count = records.len() as u64;
    if count == 0 {
        return;
    }
    let request = pb::AppendAuditRequest { records };
    let mut backoff = Backoff::default();
    loop {
        match repo.append_audit(request.clone()).await {
            Ok(_) => {
                metrics::counter!("gochat_audit_records_total").increment(count);
                return;
            }
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "audit records can't be written; trying again");
                tokio::time::sleep(backoff.next_delay()).await;
            }
            Err(error) => {
                tracing::error!(%error, count, "audit records were refused and are lost");
                return dropped("refused", count);
            }
        }
    }
}
