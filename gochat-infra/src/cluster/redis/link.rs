//! The one connection, and getting it back.
//!
//! All calls share one multiplexed connection, the only one of a pool: it is made, prepared and
//! timed by deadpool-redis and stays checked out while it works. One connection carries the
//! commands of all callers in one pipeline; a pool of exclusive ones would wait for a round trip
//! per caller and probe each connection before each use.
//!
//! When the connection breaks, or several calls in a row get no answer, it leaves the pool: from
//! then on calls fail at once instead of waiting one by one, and a task asks the pool for another
//! one with growing pauses. A new connection (rather than the reconnection of the library's
//! `ConnectionManager`) also gets past a host that vanished without a word, where the old socket
//! would stay silent for minutes.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use deadpool_redis::{Connection, Hook, HookError, Manager, Pool, PoolError, Runtime};
use gochat_core::error::Result;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, Pipeline, RedisError, RedisResult, Value};
use tokio::sync::watch;

use super::config::RedisConfig;
use super::script;
use crate::rpc::Backoff;

/// First pause before connecting again.
const RECONNECT_FIRST: Duration = Duration::from_millis(50);
/// Calls in a row without an answer until the connection is given up.
const SILENT_CALLS_MAX: u32 = 3;
/// Calls that may wait for their turn to be written.
const QUEUE: usize = 256;

/// The connection and its state.
pub(super) struct Link {
    pool: Pool,
    reconnect_max: Duration,
    state: Mutex<State>,
    up: watch::Sender<bool>,
}

struct State {
    connection: Option<Connection>,
    /// Counts connections, so that news about an old one change nothing.
    epoch: u64,
    silent_calls: u32,
    since: Instant,
}

impl Link {
    /// Starts to connect; a server that isn't there yet is no error.
    pub(super) fn start(config: &RedisConfig) -> Result<Arc<Self>> {
        let pool = pool(config)?;
        let state = State {
            connection: None,
            epoch: 0,
            silent_calls: 0,
            since: Instant::now(),
        };
        let link = Arc::new(Self {
            pool,
            reconnect_max: config.reconnect_max(),
            state: Mutex::new(state),
            up: watch::Sender::new(false),
        });
        tokio::spawn(recover(Arc::downgrade(&link), true));
        Ok(link)
    }

    /// The connection and its number, while there is one.
    pub(super) fn current(&self) -> Option<(MultiplexedConnection, u64)> {
        let state = self.state.lock();
        let connection: &MultiplexedConnection = state.connection.as_ref()?;
        Some((connection.clone(), state.epoch))
    }

    /// Follows whether there is a connection.
    pub(super) fn watch(&self) -> watch::Receiver<bool> {
        self.up.subscribe()
    }

    /// A call on this connection got its answer.
    pub(super) fn answered(&self, epoch: u64) {
        let mut state = self.state.lock();
        if state.epoch == epoch {
            state.silent_calls = 0;
        }
    }

    /// A call on this connection waited in vain.
    pub(super) fn unanswered(self: &Arc<Self>, epoch: u64) {
        let silent = {
            let mut state = self.state.lock();
            if state.epoch != epoch {
                return;
            }
            state.silent_calls += 1;
            state.silent_calls >= SILENT_CALLS_MAX
        };
        if silent {
            self.give_up(epoch, "no answers");
        }
    }

    /// This connection is of no use any more.
    pub(super) fn give_up(self: &Arc<Self>, epoch: u64, reason: &str) {
        let old = {
            let mut state = self.state.lock();
            if state.epoch != epoch {
                return;
            }
            let Some(old) = state.connection.take() else {
                return;
            };
            state.since = Instant::now();
            old
        };
        // Leaves the pool for good, which makes room for another one.
        drop(Connection::take(old));
        self.up.send_replace(false);
        metrics::gauge!("gochat_redis_up").set(0.0);
        tracing::warn!(reason, "Redis is away; calls fail until it is back");
        tokio::spawn(recover(Arc::downgrade(self), false));
    }

    fn restore(&self, connection: Connection) {
        let away_for = {
            let mut state = self.state.lock();
            state.connection = Some(connection);
            state.epoch += 1;
            state.silent_calls = 0;
            state.since.elapsed()
        };
        self.up.send_replace(true);
        metrics::gauge!("gochat_redis_up").set(1.0);
        metrics::counter!("gochat_redis_connections_total").increment(1);
        tracing::info!(away_ms = away_for.as_millis() as u64, "Redis is there");
    }
}

/// The pool of the one connection. It gives only connections to a server that is ready for writes.
fn pool(config: &RedisConfig) -> Result<Pool> {
    // Every call has a deadline of its own, which the library's response timeout would only repeat.
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(config.connect_timeout()))
        .set_response_timeout(None)
        .set_pipeline_buffer_size(QUEUE);
    let unusable = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "the settings of Redis can't be used");
        gochat_core::error::ErrorCode::InvalidParams
    };
    let manager = Manager::new_with_config(config.connection_info()?, settings)
        .map_err(|error| unusable(&error))?;
    let timeout = config.connect_timeout();
    let prepare = Hook::async_fn(move |connection: &mut MultiplexedConnection, _| {
        Box::pin(async move {
            let prepared = tokio::time::timeout(timeout, prepare(connection)).await;
            prepared
                .unwrap_or_else(|_| Err(RedisError::from((ErrorKind::Io, "no answer"))))
                .map_err(HookError::Backend)
        })
    });
    let pool = Pool::builder(manager)
        .runtime(Runtime::Tokio1)
        .max_size(1)
        .create_timeout(Some(timeout))
        .post_create(prepare)
        .build()
        .map_err(|error| unusable(&error))?;
    Ok(pool)
}

/// Refuses a server that can't be written to and gives it the scripts.
async fn prepare(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    refuse_replica(connection).await?;
    let mut scripts = Pipeline::new();
    for load in script::load_all() {
        scripts.add_command(load).ignore();
    }
    scripts.exec_async(connection).await
}

/// After a failover the old address may lead to a server that only copies another one.
async fn refuse_replica(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    let role = connection.send_packed_command(&redis::cmd("ROLE")).await?;
    let Value::Array(role) = role else {
        // Without the right to ask there is no answer, and no harm.
        return match role {
            Value::ServerError(error) if error.code() != "NOPERM" => Err(error.into()),
            _ => Ok(()),
        };
    };
    match role.first() {
        Some(Value::BulkString(name)) if name != b"master" => {
            Err(RedisError::from((ErrorKind::Io, "the server is a replica")))
        }
        _ => Ok(()),
    }
}

/// Connects again and again, until it works or nobody holds the link any more.
async fn recover(link: Weak<Link>, mut at_start: bool) {
    let Some(max) = link.upgrade().map(|link| link.reconnect_max) else {
        return;
    };
    let mut backoff = Backoff::new(RECONNECT_FIRST.min(max), max);
    loop {
        let Some(link) = link.upgrade() else {
            return;
        };
        match link.pool.get().await {
            Ok(connection) => return link.restore(connection),
            Err(error) if at_start => {
                at_start = false;
                let error = reason(&error);
                tracing::warn!(error, "Redis is away; calls fail until it is there");
            }
            Err(error) => tracing::debug!(error = reason(&error), "Redis is still away"),
        }
        drop(link);
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

/// What is wrong, without the words of the pool around it.
fn reason(error: &PoolError) -> String {
    match error {
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
            error.to_string()
        }
        error => error.to_string(),
    }
}
