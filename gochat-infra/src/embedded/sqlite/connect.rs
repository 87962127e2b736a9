//! Opening connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use diesel::connection::{Connection, InstrumentationEvent, SimpleConnection};
use diesel::sqlite::SqliteConnection;

use super::options::{SqliteOptions, Synchronous};
use crate::port::db::{DbError, DbResult};

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Writer,
    Reader,
}

/// Opens a connection and sets it up. Every statement it runs is counted in `statements`.
pub(super) fn open(
    options: &SqliteOptions,
    role: Role,
    statements: &Arc<AtomicU64>,
) -> DbResult<SqliteConnection> {
    let path = options
        .path
        .to_str()
        .ok_or_else(|| DbError::internal("the path of the database is not UTF-8"))?;
    let mut conn = SqliteConnection::establish(path).map_err(|error| {
        DbError::unavailable(format!("can't open the database {path}: {error}"))
    })?;
    conn.batch_execute(&pragmas(options, role))
        .map_err(|error| DbError::unavailable(format!("can't use the database {path}: {error}")))?;
    let statements = Arc::clone(statements);
    conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if matches!(event, InstrumentationEvent::StartQuery { .. }) {
            statements.fetch_add(1, Ordering::Relaxed);
        }
    });
    Ok(conn)
}

fn pragmas(options: &SqliteOptions, role: Role) -> String {
    let common = format!(
        "PRAGMA busy_timeout = {busy};
         PRAGMA cache_size = -{cache};
         PRAGMA temp_store = MEMORY;
         PRAGMA foreign_keys = OFF;",
        busy = options.busy_timeout.as_millis(),
        cache = match role {
            Role::Writer => options.cache_kib,
            Role::Reader => options.cache_kib / 4,
        },
    );
    let special = match role {
        Role::Writer => format!(
            "PRAGMA page_size = {page};
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = {sync};
             PRAGMA wal_autocheckpoint = {checkpoint};",
            page = options.page_size,
            sync = match options.synchronous {
                Synchronous::Full => "FULL",
                Synchronous::Normal => "NORMAL",
            },
            checkpoint = options.checkpoint_pages,
        ),
        Role::Reader => "PRAGMA query_only = ON;".to_owned(),
    };
    common + &special
}
