//! Work on its way to a connection's thread, and its answer on the way back.

use std::panic::{AssertUnwindSafe, catch_unwind};

use diesel::sqlite::SqliteConnection;
use tokio::sync::oneshot;

use crate::port::db::{DbError, DbErrorKind, DbResult};

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

    /// Runs it and keeps the answer.
    fn run(&mut self, conn: &mut SqliteConnection) -> Verdict;

    /// Hands the answer to the caller. `committed` is false when the transaction didn't commit:
    /// what the job wrote is gone (or in doubt), and a good answer must not leave.
    fn answer(self: Box<Self>, committed: bool);
}

/// A closure and the way back to its caller.
pub(super) struct Call<T, F> {
    weight: usize,
    work: Option<F>,
    result: Option<DbResult<T>>,
    reply: oneshot::Sender<DbResult<T>>,
}

/// A job for a closure, and where its answer arrives.
pub(super) fn call<T, F>(weight: usize, work: F) -> (Box<dyn Job>, oneshot::Receiver<DbResult<T>>)
where
    T: Send + 'static,
    F: FnOnce(&mut SqliteConnection) -> DbResult<T> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let job = Call {
        weight,
        work: Some(work),
        result: None,
        reply,
    };
    (Box::new(job), answer)
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

    fn run(&mut self, conn: &mut SqliteConnection) -> Verdict {
        let Some(work) = self.work.take() else {
            return Verdict::Undo;
        };
        // A panic is a defect of one job; it must not take the thread and all later jobs along.
        let result = catch_unwind(AssertUnwindSafe(|| work(conn)))
            .unwrap_or_else(|_| Err(DbError::internal("a database operation panicked")));
        let verdict = match &result {
            Ok(_) => Verdict::Keep,
            Err(e) if e.kind() == DbErrorKind::Unavailable => Verdict::Abort,
            Err(_) => Verdict::Undo,
        };
        self.result = Some(result);
        verdict
    }

    fn answer(self: Box<Self>, committed: bool) {
        let result = match self.result {
            Some(Err(e)) => Err(e),
            Some(Ok(value)) if committed => Ok(value),
            _ => Err(DbError::unavailable("the transaction was rolled back")),
        };
        // The caller may be gone; the write stands all the same.
        let _ = self.reply.send(result);
    }
}
