//! Work on its way to a connection's thread, and its answer on the way back.

use std::panic::{AssertUnwindSafe, catch_unwind};

use diesel::sqlite::SqliteConnection;
use tokio::sync::oneshot;

use super::save;
use crate::port::db::{DbError, DbErrorKind, DbResult, NewChange, NewMessage, SaveOutcome};
use crate::sql::batch::Pending;
use gochat_core::ids::UnixMillis;

/// How a job went, as far as the transaction around it must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Keep its writes.
    Keep,
    /// Undo its writes; others may go on.
    Undo,
    /// The connection is in doubt: undo everything.
    Abort,
}

/// A job of any answer type.
pub(super) trait Job: Send {
    /// Rows it writes, roughly.
    fn weight(&self) -> usize;

    /// Whether its writes may have to be undone alone, and whether it must see what saved
    /// messages mean for their conversations.
    fn stands_alone(&self) -> bool;

    /// Runs it and keeps the answer. What saved messages mean for their conversations is added to
    /// `pending`.
    fn run(&mut self, conn: &mut SqliteConnection, pending: &mut Pending) -> Verdict;

    /// Hands the answer to the caller. `committed` is false when the transaction didn't commit:
    /// what the job wrote is gone (or in doubt), and a good answer must not leave.
    fn answer(self: Box<Self>, committed: bool);
}

/// The answer of a job and the way back to its caller.
struct Reply<T> {
    result: Option<DbResult<T>>,
    caller: oneshot::Sender<DbResult<T>>,
}

impl<T> Reply<T> {
    fn new() -> (Self, oneshot::Receiver<DbResult<T>>) {
        let (caller, answer) = oneshot::channel();
        (
            Self {
                result: None,
                caller,
            },
            answer,
        )
    }

    /// Runs `work` and keeps what it answers. A panic is a defect of one job; it must not take the
    /// thread and all later jobs along.
    fn fill(&mut self, work: impl FnOnce() -> DbResult<T>) -> Verdict {
        let result = catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|_| Err(DbError::internal("a database operation panicked")));
        let verdict = match &result {
            Ok(_) => Verdict::Keep,
            Err(e) if e.kind() == DbErrorKind::Unavailable => Verdict::Abort,
            Err(_) => Verdict::Undo,
        };
        self.result = Some(result);
        verdict
    }

    fn send(self, committed: bool) {
        let result = match self.result {
            Some(Err(e)) => Err(e),
            Some(Ok(value)) if committed => Ok(value),
            _ => Err(DbError::unavailable("the transaction was rolled back")),
        };
        // The caller may be gone; the write stands all the same.
        let _ = self.caller.send(result);
    }
}

/// Any operation, as a closure.
struct Call<T, F> {
    weight: usize,
    work: Option<F>,
    reply: Reply<T>,
}

/// Storing messages and changes: jobs of this kind share more than the commit.
struct Save {
    messages: Vec<NewMessage>,
    changes: Vec<NewChange>,
    now: UnixMillis,
    reply: Reply<Vec<SaveOutcome>>,
}

/// A job for a closure, and where its answer arrives.
pub(super) fn call<T, F>(weight: usize, work: F) -> (Box<dyn Job>, oneshot::Receiver<DbResult<T>>)
where
    T: Send + 'static,
    F: FnOnce(&mut SqliteConnection) -> DbResult<T> + Send + 'static,
{
    let (reply, answer) = Reply::new();
    (
        Box::new(Call {
            weight,
            work: Some(work),
            reply,
        }),
        answer,
    )
}

/// A job that stores messages and changes, and where its answer arrives.
pub(super) fn save(
    messages: Vec<NewMessage>,
    changes: Vec<NewChange>,
    now: UnixMillis,
) -> (Box<dyn Job>, oneshot::Receiver<DbResult<Vec<SaveOutcome>>>) {
    let (reply, answer) = Reply::new();
    (
        Box::new(Save {
            messages,
            changes,
            now,
            reply,
        }),
        answer,
    )
}

/// The error of a database that was closed or is being closed.
pub(super) fn closed() -> DbError {
    DbError::unavailable("the database is closed")
}

impl<T, F> Job for Call<T, F>
where
    T: Send,
    F: FnOnce(&mut SqliteConnection) -> DbResult<T> + Send,
{
    fn weight(&self) -> usize {
        self.weight
    }

    fn stands_alone(&self) -> bool {
        true
    }

    fn run(&mut self, conn: &mut SqliteConnection, _: &mut Pending) -> Verdict {
        let Some(work) = self.work.take() else {
            return Verdict::Undo;
        };
        self.reply.fill(|| work(conn))
    }

    fn answer(self: Box<Self>, committed: bool) {
        self.reply.send(committed);
    }
}

impl Job for Save {
    fn weight(&self) -> usize {
        self.messages.len() + self.changes.len()
    }

    fn stands_alone(&self) -> bool {
        false
    }

    /// Refusals are outcomes; so an error is never about this job alone.
    fn run(&mut self, conn: &mut SqliteConnection, pending: &mut Pending) -> Verdict {
        match self
            .reply
            .fill(|| save::store(conn, &self.messages, &self.changes, self.now, pending))
        {
            Verdict::Keep => Verdict::Keep,
            Verdict::Undo | Verdict::Abort => Verdict::Abort,
        }
    }

    fn answer(self: Box<Self>, committed: bool) {
        self.reply.send(committed);
    }
}
