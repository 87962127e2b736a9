//! The database port on SQLite: one file, no server.
//!
//! * One thread writes (`writer`), a few threads read (`reader`); the async side only sends
//!   jobs and awaits answers, so the runtime never blocks, and a dropped future leaves no
//!   transaction open: the job runs to its end on its thread.
//! * WAL mode: readers see the last commit and never wait for the writer.
//! * An answered write is on the disk ([`Synchronous::Full`]).
//! * Physical layout and the reasons for it: `docs/data-model.md`.
//!
//! ```no_run
//! # async fn start() -> gochat_infra::port::db::DbResult<()> {
//! use gochat_infra::embedded::sqlite::{SqliteDatabase, SqliteOptions};
//! use gochat_infra::port::db::Migrator;
//! let db = SqliteDatabase::open(SqliteOptions::new("gochat.db"))?;
//! db.migrate_up(1_700_000_000_000).await?;
//! # Ok(()) }
//! ```

mod announcements;
mod audit;
mod changes;
mod connect;
mod conversations;
mod facts;
mod former;
mod friends;
mod group_invitations;
mod groups;
mod invitations;
mod job;
mod join_requests;
mod keys;
mod links;
mod list;
mod members;
mod mentions;
mod messages;
mod migrate;
mod options;
mod owed_messages;
mod own_states;
mod places;
#[cfg(test)]
mod plan;
mod pointers;
mod query;
mod reactions;
mod reader;
mod save;
mod sessions;
mod users;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use diesel::sqlite::SqliteConnection;
use gochat_core::ids::UnixMillis;
use gochat_core::snowflake::Parts;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

pub use migrate::dump;
pub use options::{SqliteOptions, Synchronous};

use self::connect::Role;
use self::job::Job;
use crate::embedded::disk::{DiskGuard, REFUSAL};
use crate::port::db::{Database, DbError, DbResult, NewChange, NewMessage, SaveOutcome};

/// The database in one SQLite file. Cheap to clone; the threads end when [`Database::close`] was
/// called or the last clone is gone.
#[derive(Clone)]
pub struct SqliteDatabase {
    lanes: Arc<Mutex<Option<Lanes>>>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
    statements: Arc<AtomicU64>,
    disk: Option<DiskGuard>,
}

/// The ways in to the threads.
#[derive(Clone)]
struct Lanes {
    write: mpsc::Sender<Box<dyn Job>>,
    read: mpsc::Sender<Box<dyn Job>>,
}

impl SqliteDatabase {
    /// Opens or creates the file and starts the threads. Applies no migrations: call
    /// [`migrate_up`](crate::port::db::Migrator::migrate_up).
    ///
    /// # Errors
    ///
    /// `Unavailable` when the file can't be opened; `Internal` for options SQLite doesn't take.
    pub fn open(options: SqliteOptions) -> DbResult<Self> {
        let statements = Arc::new(AtomicU64::new(0));
        let mut threads = Vec::new();

        let writer = connect::open(&options, Role::Writer, &statements)?;
        let (write, jobs) = mpsc::channel(options.write_queue.max(1));
        let rows = options.commit_rows.max(1);
        let (again, count) = (options.clone(), Arc::clone(&statements));
        let disk = options.disk.clone();
        let reopen = move || connect::open(&again, Role::Writer, &count);
        let clock = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(DbError::unavailable)?;
        threads.push(spawn("db-writer", move || {
            writer::run(writer, reopen, jobs, rows, disk.as_ref(), &clock)
        })?);

        let (read, jobs) = mpsc::channel(options.read_queue.max(1));
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..options.readers.max(1) {
            let conn = connect::open(&options, Role::Reader, &statements)?;
            let jobs = Arc::clone(&jobs);
            threads.push(spawn("db-reader", move || reader::run(conn, &jobs))?);
        }
        Ok(Self {
            lanes: Arc::new(Mutex::new(Some(Lanes { write, read }))),
            threads: Arc::new(Mutex::new(threads)),
            statements,
            disk: options.disk,
        })
    }

    /// SQL statements run so far on all connections, transaction control included. For tests and
    /// metrics.
    pub fn statements_run(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// The time in the newest id of a stored row; `None` in a file without a schema or rows.
    pub async fn newest_id_time(&self) -> Option<UnixMillis> {
        query::statements! {
            NewestId = "SELECT max(coalesce((SELECT max(id) FROM messages), 0), \
                coalesce((SELECT max(id) FROM users), 0), \
                coalesce((SELECT max(id) FROM friendship_requests), 0))";
        }
        let found = self.read(|conn| query::one::<NewestId, i64>(conn, &[]));
        let id = found.await.ok().and_then(|id| u64::try_from(id).ok());
        id.filter(|id| *id > 0).map(|id| Parts::of(id).at)
    }

    /// Runs `work` on a reading connection.
    async fn read<T, F>(&self, work: F) -> DbResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut SqliteConnection) -> DbResult<T> + Send + 'static,
    {
        let (job, answer) = job::call(0, work);
        send(self.lanes()?.read, job, answer).await
    }

    /// Runs `work` in a transaction on the writing connection. `weight` = rows, roughly.
    async fn write<T, F>(&self, weight: usize, work: F) -> DbResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut SqliteConnection) -> DbResult<T> + Send + 'static,
    {
        let (job, answer) = job::call(weight, work);
        send(self.lanes()?.write, job, answer).await
    }

    /// Runs `work`, which adds what strangers could fill the disk with, as [`write`](Self::write)
    /// does.
    async fn grow<T, F>(&self, weight: usize, work: F) -> DbResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut SqliteConnection) -> DbResult<T> + Send + 'static,
    {
        if self.disk.as_ref().is_some_and(DiskGuard::is_low) {
            return Err(DbError::full(REFUSAL));
        }
        self.write(weight, work).await
    }

    /// Stores messages and changes on the writing connection.
    async fn write_messages(
        &self,
        messages: Vec<NewMessage>,
        changes: Vec<NewChange>,
        now: UnixMillis,
    ) -> DbResult<Vec<SaveOutcome>> {
        let (job, answer) = job::save(messages, changes, now);
        send(self.lanes()?.write, job, answer).await
    }

    fn lanes(&self) -> DbResult<Lanes> {
        self.lanes.lock().clone().ok_or_else(job::closed)
    }
}

async fn send<T>(
    lane: mpsc::Sender<Box<dyn Job>>,
    job: Box<dyn Job>,
    answer: oneshot::Receiver<DbResult<T>>,
) -> DbResult<T> {
    lane.send(job).await.map_err(|_| job::closed())?;
    // The lane must not stay open while we wait: it would keep a closing database alive.
    drop(lane);
    answer.await.map_err(|_| job::closed())?
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> DbResult<JoinHandle<()>> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(DbError::unavailable)
}

#[async_trait]
impl Database for SqliteDatabase {
    async fn ping(&self) -> DbResult<()> {
        query::statements! { Ping = "SELECT count(*) FROM (SELECT 1 FROM sqlite_schema LIMIT 1)"; }
        self.read(|conn| query::one::<Ping, i64>(conn, &[]).map(|_| ()))
            .await
    }

    async fn close(&self) -> DbResult<()> {
        self.lanes.lock().take();
        let threads = std::mem::take(&mut *self.threads.lock());
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().all(|thread| thread.join().is_ok())
        });
        match joined.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(DbError::internal("a database thread panicked")),
            Err(e) => Err(DbError::unavailable(e)),
        }
    }
}
