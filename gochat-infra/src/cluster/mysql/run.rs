//! Connections, transactions and repetition: how one operation of the port is run.
//!
//! Every operation runs in a task of its own that the caller awaits. A dropped caller changes
//! nothing: the task goes on to its commit or rollback. A connection goes back to the pool only
//! when nothing is open on it; in any other case it is closed, and the server rolls back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use diesel_async::SimpleAsyncConnection as _;
use diesel_async::pooled_connection::deadpool::{Object, Pool};
use futures_util::future::BoxFuture;
use tokio::time::{sleep, timeout};

use super::fault::{self, Class};
use super::query::{Conn, batch};
use super::replica::Key;
use super::{Inner, MysqlDatabase};
use crate::port::db::{DbError, DbResult};

/// An operation: it may run several times.
pub(super) type Work<A, T> = for<'c> fn(&'c mut Conn, &'c A) -> BoxFuture<'c, DbResult<T>>;

/// `work!(f)` → a [`Work`] of an `async fn f(conn: &mut Conn, args: &A) -> DbResult<T>`.
macro_rules! work {
    ($f:expr) => {
        |conn, args| Box::pin($f(conn, args))
    };
}
pub(super) use work;

/// What surrounds an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Around {
    /// Nothing: it is one statement, or its statements need not agree.
    Nothing,
    /// A transaction that reads one snapshot.
    Snapshot,
    /// A transaction that writes. When the connection is lost during the commit, the operation is
    /// run again only if `again`: the second run must answer what the first would have.
    Write { again: bool },
}

/// A server with its connections.
pub(super) struct Server {
    pub(super) pool: Pool<Conn>,
    pub(super) acquire: Duration,
}

/// A connection in use. Closed when dropped, unless it was [given back](Self::give_back).
struct Lease(Option<Object<Conn>>);

impl Lease {
    fn conn(&mut self) -> DbResult<&mut Conn> {
        let conn = self.0.as_deref_mut();
        conn.ok_or_else(|| DbError::internal("a connection was given back too early"))
    }

    fn give_back(mut self) {
        self.0.take();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

impl Server {
    async fn lease(&self) -> DbResult<Lease> {
        use diesel_async::pooled_connection::deadpool::PoolError;
        let started = Instant::now();
        let got = timeout(self.acquire, self.pool.get()).await;
        metrics::histogram!("gochat_db_acquire_seconds").record(started.elapsed().as_secs_f64());
        match got {
            Ok(Ok(object)) => Ok(Lease(Some(object))),
            Ok(Err(PoolError::Closed)) => {
                Err(fault::with(Class::NoConnection, "the database is closed"))
            }
            Ok(Err(e)) => Err(fault::with(Class::Lost, format!("no connection: {e}"))),
            Err(_) => {
                metrics::counter!("gochat_db_pool_exhausted_total").increment(1);
                let text = "no connection came free in time";
                Err(fault::with(Class::NoConnection, text))
            }
        }
    }

    /// Runs an operation once.
    async fn once<A, T>(&self, around: Around, args: &A, work: Work<A, T>) -> DbResult<T> {
        let mut lease = self.lease().await?;
        let begin = match around {
            Around::Nothing => None,
            Around::Snapshot => Some(
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; \
                 START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
            ),
            Around::Write { .. } => Some("START TRANSACTION"),
        };
        if let Some(begin) = begin {
            batch(lease.conn()?, begin).await?;
        }
        let result = work(lease.conn()?, args).await;
        match (result, around) {
            (Ok(value), Around::Nothing) => {
                lease.give_back();
                Ok(value)
            }
            (Ok(value), _) => {
                let committed = lease.conn()?.batch_execute("COMMIT").await;
                committed.map_err(fault::at_commit)?;
                lease.give_back();
                Ok(value)
            }
            (Err(e), _) => {
                if !fault::spoils_connection(&e)
                    && (begin.is_none() || batch(lease.conn()?, "ROLLBACK").await.is_ok())
                {
                    lease.give_back();
                }
                Err(e)
            }
        }
    }

    /// The connections that are idle now are as dead as the one that was just met.
    fn forget_idle(&self) {
        self.pool.retain(|_, _| false);
    }
}

/// How long a change of the schema may take.
const SCHEMA_TIMEOUT: Duration = Duration::from_secs(3_600);

/// Runs an operation until it succeeds, is refused or has used up its attempts.
async fn attempts<A, T>(
    inner: &Inner,
    server: &Server,
    limit: Duration,
    around: Around,
    args: &A,
    work: Work<A, T>,
) -> DbResult<T> {
    let unsure = around != Around::Write { again: false };
    let mut attempt = 1;
    loop {
        let once = timeout(limit, server.once(around, args, work));
        let result = once.await.unwrap_or_else(|_| {
            metrics::counter!("gochat_db_timeouts_total").increment(1);
            Err(DbError::unavailable("the database did not answer in time"))
        });
        let Err(e) = result else { return result };
        let class = fault::class(&e);
        if matches!(class, Class::Lost | Class::ReadOnly) {
            server.forget_idle();
        }
        if attempt >= inner.attempts || !fault::may_repeat(&e, unsure) {
            return Err(e);
        }
        metrics::counter!("gochat_db_repeats_total", "reason" => reason(class)).increment(1);
        tracing::debug!(error = %e, attempt, "a database operation is run again");
        sleep(pause(attempt)).await;
        attempt += 1;
    }
}

fn reason(class: Class) -> &'static str {
    match class {
        Class::Contention => "contention",
        Class::ReadOnly => "read_only",
        Class::Lost => "lost",
        Class::Busy => "busy",
        _ => "other",
    }
}

/// 10 ms, 20 ms, 40 ms …, up to half of it less, so that those who met don't meet again.
fn pause(attempt: u32) -> Duration {
    let full = 10_u64 << attempt.saturating_sub(1).min(6);
    Duration::from_millis(full - rand::random_range(0..=full / 2))
}

impl MysqlDatabase {
    /// Reads on the primary.
    pub(super) async fn read<A, T>(&self, args: A, work: Work<A, T>) -> DbResult<T>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.run(self.primary(), Around::Nothing, args, work).await
    }

    /// Reads one snapshot on the primary with several statements.
    pub(super) async fn snapshot<A, T>(&self, args: A, work: Work<A, T>) -> DbResult<T>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.run(self.primary(), Around::Snapshot, args, work).await
    }

    /// Reads what may be a little late: on a replica that isn't far behind, unless what `key`
    /// names was written by this process a moment ago. A replica that fails is passed over.
    pub(super) async fn read_late<A, T>(
        &self,
        key: Key,
        around: Around,
        args: A,
        work: Work<A, T>,
    ) -> DbResult<T>
    where
        A: Clone + Send + Sync + 'static,
        T: Send + 'static,
    {
        if let Some(replica) = self.inner.replicas.choose(key) {
            match self
                .run(self.replica(replica), around, args.clone(), work)
                .await
            {
                Err(e) if e.is_retryable() => {
                    tracing::warn!(error = %e, "a replica failed; the primary is asked");
                    self.inner.replicas.put_aside(replica);
                }
                other => return other,
            }
        }
        self.run(self.primary(), around, args, work).await
    }

    /// Changes the schema, which may take as long as it takes to copy a large table.
    pub(super) async fn slow<A, T>(&self, args: A, work: Work<A, T>) -> DbResult<T>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        let place = (None, SCHEMA_TIMEOUT);
        self.run(place, Around::Nothing, args, work).await
    }

    /// Reads on a replica, however late it is.
    pub(super) async fn read_on<A, T>(&self, at: usize, args: A, work: Work<A, T>) -> DbResult<T>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.run(self.replica(at), Around::Nothing, args, work)
            .await
    }

    /// Writes in a transaction. `again`: a second run would answer the same as the first. `keys`
    /// are what later reads of this process must not read late.
    pub(super) async fn write<A, T>(
        &self,
        again: bool,
        keys: &[Key],
        args: A,
        work: Work<A, T>,
    ) -> DbResult<T>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.inner.replicas.written(keys);
        let result = self
            .run(self.primary(), Around::Write { again }, args, work)
            .await;
        self.inner.replicas.written(keys);
        result
    }

    /// Later reads of this process must not read these late.
    pub(super) fn wrote(&self, keys: &[Key]) {
        self.inner.replicas.written(keys);
    }

    fn primary(&self) -> (Option<usize>, Duration) {
        (None, self.inner.call_timeout)
    }

    fn replica(&self, at: usize) -> (Option<usize>, Duration) {
        (Some(at), self.inner.call_timeout)
    }

    async fn run<A, T>(
        &self,
        (replica, limit): (Option<usize>, Duration),
        around: Around,
        args: A,
        work: Work<A, T>,
    ) -> DbResult<T>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        if self.inner.closed.load(Ordering::Acquire) {
            return Err(fault::with(Class::NoConnection, "the database is closed"));
        }
        let inner = Arc::clone(&self.inner);
        let task = self.inner.tasks.spawn(async move {
            let server = match replica.and_then(|at| inner.replicas.server(at)) {
                Some(server) => server,
                None => &inner.primary,
            };
            attempts(&inner, server, limit, around, &args, work).await
        });
        match task.await {
            Ok(result) => result,
            Err(e) if e.is_panic() => Err(DbError::internal("a database operation panicked")),
            Err(_) => Err(DbError::unavailable("the runtime is shutting down")),
        }
    }
}
