//! The one thread that writes.
//!
//! SQLite has one writer at a time, so there is one connection that writes, on a thread of its
//! own. It takes everything that waits (up to a number of rows) into **one** transaction: a commit
//! costs a sync of the disk, and so many small writes share one. Each job runs in a savepoint, so
//! a refused one undoes only itself; answers leave after the commit. Saved messages go further:
//! they need no savepoint, and what they mean for their conversations is written once per commit.
//!
//! While nothing is written the connection holds no pages in memory.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use diesel::connection::{
    AnsiTransactionManager, Connection, SimpleConnection as _, TransactionManager,
};
use diesel::sqlite::SqliteConnection;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::job::{Job, Verdict};
use super::save;
use crate::embedded::disk::DiskGuard;
use crate::port::db::{DbError, DbResult};
use crate::sql::batch::Pending;

/// Runs jobs until every sender is gone, then closes the connection. `reopen` replaces a
/// connection that can neither commit nor roll back any more; `clock` keeps this thread's time.
pub(super) fn run(
    mut conn: SqliteConnection,
    reopen: impl Fn() -> DbResult<SqliteConnection>,
    mut queue: mpsc::Receiver<Box<dyn Job>>,
    commit_rows: usize,
    disk: Option<&DiskGuard>,
    clock: &Runtime,
) {
    step_back();
    let mut emptied = Instant::now();
    let mut group = VecDeque::new();
    while let Some(job) = next(&mut queue, &mut conn, clock) {
        let mut rows = job.weight();
        group.push_back(job);
        while rows < commit_rows {
            let Ok(job) = queue.try_recv() else { break };
            rows += job.weight();
            group.push_back(job);
        }
        let started = Instant::now();
        let committed = commit(&mut conn, &mut group);
        metrics::histogram!("gochat_db_commit_seconds").record(started.elapsed().as_secs_f64());
        metrics::counter!("gochat_db_written_rows_total").increment(rows as u64);
        for job in group.drain(..) {
            job.answer(committed);
        }
        if emptied.elapsed() >= EMPTY_EVERY && disk.is_some_and(DiskGuard::is_low) {
            emptied = Instant::now();
            empty_wal(&mut conn);
        }
        if !committed && AnsiTransactionManager::is_broken_transaction_manager(&mut conn) {
            match reopen() {
                Ok(fresh) => conn = fresh,
                Err(e) => tracing::error!(error = %e, "the database can't be opened again"),
            }
        }
    }
}

/// Time without a job after which the pages in memory are given back. A later job finds them in
/// the page cache of the operating system.
const REST: Duration = Duration::from_secs(10);

/// The next job. Gives the connection's memory back when none comes for a while.
fn next(
    queue: &mut mpsc::Receiver<Box<dyn Job>>,
    conn: &mut SqliteConnection,
    clock: &Runtime,
) -> Option<Box<dyn Job>> {
    if let Ok(job) = queue.try_recv() {
        return Some(job);
    }
    let soon = clock.block_on(async { tokio::time::timeout(REST, queue.recv()).await });
    soon.unwrap_or_else(|_nothing_came| {
        if let Err(e) = conn.batch_execute("PRAGMA shrink_memory") {
            tracing::debug!(error = %e, "the pages in memory are kept");
        }
        queue.blocking_recv()
    })
}

/// On a full disk the write-ahead log is emptied this often at most.
const EMPTY_EVERY: Duration = Duration::from_secs(5);

/// Copies the write-ahead log into the file and cuts it: on a full disk the room it takes is
/// needed.
fn empty_wal(conn: &mut SqliteConnection) {
    if let Err(e) = conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)") {
        tracing::warn!(error = %e, "the write-ahead log could not be emptied");
    }
}

/// Niceness of the writing thread.
const NICE: i32 = 10;

/// Lets the threads that sequence and deliver go first when the cores are busy. Nobody waits for these rows: an
/// acknowledgement needs the log only, and the log keeps what is not written yet.
fn step_back() {
    let thread = rustix::thread::gettid();
    if let Err(e) = rustix::process::setpriority_process(Some(thread), NICE) {
        tracing::debug!(error = %e, "the database writer keeps the normal priority");
    }
}

/// Why a transaction was given up.
struct Abort;

impl From<DbError> for Abort {
    fn from(e: DbError) -> Self {
        tracing::warn!(error = %e, "the database refused a transaction");
        Self
    }
}

impl From<diesel::result::Error> for Abort {
    fn from(e: diesel::result::Error) -> Self {
        DbError::from(e).into()
    }
}

fn commit(conn: &mut SqliteConnection, group: &mut VecDeque<Box<dyn Job>>) -> bool {
    let alone = group.len() == 1;
    let mut pending = Pending::default();
    conn.immediate_transaction(|conn| {
        for job in group.iter_mut() {
            let verdict = if alone || !job.stands_alone() {
                job.run(conn, &mut pending)
            } else {
                save::flush(conn, &mut pending)?;
                in_savepoint(conn, job.as_mut(), &mut pending)?
            };
            match verdict {
                Verdict::Keep => {}
                Verdict::Undo if !alone => {}
                Verdict::Undo | Verdict::Abort => return Err(Abort),
            }
        }
        Ok(save::flush(conn, &mut pending)?)
    })
    .is_ok()
}

/// Runs a job so that it can be undone alone.
fn in_savepoint(
    conn: &mut SqliteConnection,
    job: &mut dyn Job,
    pending: &mut Pending,
) -> Result<Verdict, Abort> {
    struct Undone(Verdict);
    impl From<diesel::result::Error> for Undone {
        fn from(_: diesel::result::Error) -> Self {
            Self(Verdict::Abort)
        }
    }
    let done = conn.transaction(|conn| match job.run(conn, pending) {
        Verdict::Keep => Ok(()),
        other => Err(Undone(other)),
    });
    match done {
        Ok(()) => Ok(Verdict::Keep),
        Err(Undone(Verdict::Abort)) => Err(Abort),
        Err(Undone(verdict)) => Ok(verdict),
    }
}
