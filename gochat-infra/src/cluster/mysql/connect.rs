//! Opening connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use diesel::connection::InstrumentationEvent;
use diesel::result::ConnectionError;
use diesel_async::pooled_connection::deadpool::{Hook, HookError, Pool};
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
};
use diesel_async::{AsyncConnection as _, AsyncMysqlConnection, SimpleAsyncConnection as _};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Opts, OptsBuilder};
use tokio::time::timeout;

use super::config::{MysqlConfig, millis};
use super::fault::{self, Class};
use super::query::Conn;
use super::run::Server;
use crate::port::db::{DbError, DbResult};

/// A pool of connections to one server. Opens none yet.
pub(super) fn server(
    config: &MysqlConfig,
    opts: Opts,
    size: usize,
    statements: &Arc<AtomicU64>,
) -> DbResult<Server> {
    let (setup, statements) = (Arc::<str>::from(session(config)), Arc::clone(statements));
    let limit = millis(config.connect_timeout_ms);
    let mut manager = ManagerConfig::default();
    // What was idle for long is replaced below; what breaks in between is met, and met again.
    manager.recycling_method = RecyclingMethod::Fast;
    manager.custom_setup = Box::new(move |_| {
        let (opts, setup) = (opts.clone(), Arc::clone(&setup));
        let statements = Arc::clone(&statements);
        Box::pin(async move {
            let opened = timeout(limit, open(opts, &setup, statements)).await;
            opened.unwrap_or_else(|_| {
                Err(ConnectionError::BadConnection(
                    "connecting took too long".into(),
                ))
            })
        })
    });
    let idle = millis(config.idle_timeout_ms);
    let manager = AsyncDieselConnectionManager::<Conn>::new_with_config("", manager);
    let pool = Pool::builder(manager)
        .max_size(size.max(1))
        .pre_recycle(Hook::sync_fn(move |_, metrics| {
            if metrics.last_used() > idle {
                return Err(HookError::message("idle for too long"));
            }
            Ok(())
        }))
        .build()
        .map_err(DbError::internal)?;
    Ok(Server {
        pool,
        acquire: millis(config.acquire_timeout_ms),
    })
}

async fn open(
    opts: Opts,
    setup: &str,
    statements: Arc<AtomicU64>,
) -> Result<Conn, ConnectionError> {
    let bad = |e: mysql_async::Error| ConnectionError::BadConnection(e.to_string());
    let conn = mysql_async::Conn::new(opts).await.map_err(bad)?;
    let mut conn = AsyncMysqlConnection::try_from(conn).await?;
    let ready = conn.batch_execute(setup).await;
    ready.map_err(ConnectionError::CouldntSetupConfiguration)?;
    conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if matches!(event, InstrumentationEvent::StartQuery { .. }) {
            statements.fetch_add(1, Ordering::Relaxed);
        }
    });
    Ok(conn)
}

/// What every session is set to, whatever the server's defaults.
fn session(config: &MysqlConfig) -> String {
    let lock = config.lock_timeout_s.max(1);
    format!(
        "SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci; \
         SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
         SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', \
             SESSION autocommit = 1, SESSION lc_messages = 'en_US', \
             SESSION innodb_lock_wait_timeout = {lock}, SESSION lock_wait_timeout = {lock}"
    )
}

/// Creates the database named in `opts` when it isn't there.
pub(super) async fn create_database(opts: &Opts, limit: Duration) -> DbResult<()> {
    let Some(name) = opts.db_name() else {
        return Err(DbError::internal("the settings of MySQL name no database"));
    };
    let statement = format!(
        "CREATE DATABASE IF NOT EXISTS `{}` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci",
        name.replace('`', "``")
    );
    let server = OptsBuilder::from_opts(opts.clone()).db_name(None::<String>);
    let create = async {
        let mut conn = mysql_async::Conn::new(server).await?;
        conn.query_drop(statement).await?;
        conn.disconnect().await
    };
    match timeout(limit, create).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(e)) => Err(DbError::unavailable(e)),
        Err(_) => Err(fault::with(Class::Lost, "connecting took too long")),
    }
}
