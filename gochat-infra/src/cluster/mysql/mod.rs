//! The database port on MySQL 8 and MariaDB.
//!
//! * Every operation runs in a task of its own, in a transaction when it writes; a dropped caller
//!   leaves nothing open (`run`). Deadlocks, lost connections and primaries that turned read-only
//!   are met with a bounded number of new attempts, then with a retryable error (`fault`).
//! * Every transaction takes its locks in one order: messages, conversations (by id), then
//!   members and read pointers (by conversation, then user). So batches that meet wait; they don't
//!   deadlock.
//! * Transactions that write run at READ COMMITTED: what they judge by they lock. Reads of several
//!   statements share a snapshot.
//! * Reads that may be a little late can go to replicas (`replica`).
//! * Physical layout and the reasons for it: `docs/data-model.md`.
//!
//! Deliberately absent: the world chat's tables by month (all messages are in `messages`), and
//! shards.
//!
//! ```no_run
//! # async fn start() -> gochat_infra::port::db::DbResult<()> {
//! use gochat_infra::cluster::mysql::{MysqlConfig, MysqlDatabase};
//! use gochat_infra::port::db::Migrator;
//! let config = MysqlConfig::from_url("mysql://gochat:secret@127.0.0.1:3306/gochat_dev");
//! let db = MysqlDatabase::connect(config).await?;
//! db.migrate_up(1_700_000_000_000).await?;
//! # Ok(()) }
//! ```

mod announcements;
mod audit;
mod changes;
mod config;
mod connect;
mod conversations;
mod facts;
mod fault;
mod former;
mod friends;
mod group_invitations;
mod groups;
mod invitations;
mod join_requests;
mod keys;
mod links;
mod list;
mod members;
mod mentions;
mod messages;
mod migrate;
mod owed_messages;
mod own_states;
mod places;
mod pointers;
mod query;
mod reactions;
mod replica;
mod run;
mod save;
mod sessions;
mod time;
mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::task::TaskTracker;

#[doc(hidden)]
pub use self::announcements::announcement_statements;
#[doc(hidden)]
pub use self::changes::changes_statement;
pub use self::config::{MysqlConfig, MysqlTls};
#[doc(hidden)]
pub use self::mentions::mention_statements;
pub use self::migrate::dump;
#[doc(hidden)]
pub use self::reactions::reaction_statements;

use self::query::{Conn, one, statements};
use self::replica::Replicas;
use self::run::{Server, work};
use crate::port::db::{Database, DbError, DbResult};

/// A database on MySQL or MariaDB. Cheap to clone; the connections end when
/// [`Database::close`] was called or the last clone is gone.
#[derive(Clone)]
pub struct MysqlDatabase {
    inner: Arc<Inner>,
}

/// What the clones share.
struct Inner {
    primary: Server,
    replicas: Replicas,
    /// Operations on their way.
    tasks: TaskTracker,
    closed: AtomicBool,
    attempts: u32,
    call_timeout: Duration,
    statements: Arc<AtomicU64>,
}

statements! {
    Ping = "SELECT 1";
}

async fn ping(conn: &mut Conn, _: &()) -> DbResult<()> {
    one::<Ping, i64>(conn, &[]).await.map(|_| ())
}

impl MysqlDatabase {
    /// Connects and sees that the server answers. Applies no migrations: call
    /// [`migrate_up`](crate::port::db::Migrator::migrate_up).
    ///
    /// # Errors
    ///
    /// `Unavailable` when the primary can't be reached (replicas need not be); `Internal` for
    /// settings that can't be used.
    pub async fn connect(config: MysqlConfig) -> DbResult<Self> {
        let opts = config.primary()?;
        if config.create_database {
            connect::create_database(&opts, config::millis(config.connect_timeout_ms)).await?;
        }
        let statements = Arc::new(AtomicU64::new(0));
        let primary = connect::server(&config, opts, config.max_connections, &statements)?;
        let replicas = config
            .replica_opts()?
            .into_iter()
            .map(|opts| connect::server(&config, opts, config.replica_max_connections, &statements))
            .collect::<DbResult<Vec<_>>>()?;
        let inner = Arc::new(Inner {
            primary,
            replicas: Replicas::new(replicas, config::millis(config.replica_max_lag_ms)),
            tasks: TaskTracker::new(),
            closed: AtomicBool::new(false),
            attempts: config.attempts.max(1),
            call_timeout: config::millis(config.call_timeout_ms),
            statements,
        });
        let db = Self { inner };
        db.ping().await?;
        replica::watch(&db.inner);
        Ok(db)
    }

    /// SQL statements run so far on all connections, transaction control included. For tests and
    /// metrics.
    pub fn statements_run(&self) -> u64 {
        self.inner.statements.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Database for MysqlDatabase {
    async fn ping(&self) -> DbResult<()> {
        self.read((), work!(ping)).await
    }

    async fn close(&self) -> DbResult<()> {
        self.inner.closed.store(true, Ordering::Release);
        self.inner.tasks.close();
        // What was handed over ends by itself within its time limits.
        let limit = self.inner.call_timeout * self.inner.attempts.saturating_add(1);
        let finished = tokio::time::timeout(limit, self.inner.tasks.wait()).await;
        self.inner.primary.pool.close();
        self.inner
            .replicas
            .all()
            .for_each(|server| server.pool.close());
        finished.map_err(|_| DbError::unavailable("operations were still running"))
    }
}
