//! Statements through diesel with its prepared-statement cache.

use std::marker::PhantomData;

use diesel::connection::{Connection, LoadConnection};
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::row::{Field as _, Row};
use diesel::sql_types::{BigInt, Nullable, Text, Untyped};
use diesel::sqlite::{Sqlite, SqliteConnection};

use crate::port::db::{DbError, DbResult};
use crate::sql::row::{FromRow, Reader, Source};
pub(super) use crate::sql::text::{Bind, Statement, binds, json_array, json_ids};

/// Refuses to compile `LIMIT ?1`: since 3.47 SQLite looks at the value of such a limit when it
/// plans, and so prepares the statement anew whenever another value is bound, which costs more
/// than running it. `LIMIT 0 + ?1` is opaque to the planner.
pub(super) const fn has_bare_limit(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'?' && ends_with_limit(bytes, at) {
            return true;
        }
        at += 1;
    }
    false
}

/// Whether `LIMIT ` stands right before `at`.
const fn ends_with_limit(bytes: &[u8], at: usize) -> bool {
    let word = b"LIMIT ";
    if at < word.len() {
        return false;
    }
    let mut n = 0;
    while n < word.len() {
        if bytes[at - word.len() + n] != word[n] {
            return false;
        }
        n += 1;
    }
    true
}

/// Declares statements: `statements! { Name = "SQL"; … }`.
macro_rules! statements {
    ($($name:ident = $text:expr;)*) => {
        $(
            struct $name;
            impl $crate::sql::text::Statement for $name {
                const TEXT: &'static str = {
                    assert!(
                        !$crate::embedded::sqlite::query::has_bare_limit($text),
                        "write LIMIT 0 + ?n"
                    );
                    $text
                };
            }
        )*
    };
}
pub(super) use statements;

/// A row as SQLite delivers it.
struct SqliteRow<R>(R);

impl<'a, R: Row<'a, Sqlite>> Source for SqliteRow<R> {
    fn int(&self, at: usize) -> DbResult<Option<i64>> {
        self.0
            .get_value::<Nullable<BigInt>, Option<i64>, _>(at)
            .map_err(DbError::internal)
    }

    fn text(&self, at: usize) -> DbResult<Option<String>> {
        self.0
            .get_value::<Nullable<Text>, Option<String>, _>(at)
            .map_err(DbError::internal)
    }

    fn is_null(&self, at: usize) -> bool {
        self.0.get(at).is_none_or(|field| field.is_null())
    }
}

/// A statement with its values.
struct Bound<'a, S> {
    binds: &'a [Bind<'a>],
    statement: PhantomData<S>,
}

impl<'a, S> Bound<'a, S> {
    const fn new(binds: &'a [Bind<'a>]) -> Self {
        Self {
            binds,
            statement: PhantomData,
        }
    }
}

static NULL: Option<i64> = None;

impl<S: Statement> QueryFragment<Sqlite> for Bound<'_, S> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let places = const { &S::PLACES };
        let mut done = 0;
        for &(start, end, number) in places.all() {
            out.push_sql(&S::TEXT[done..start]);
            done = end;
            let bind = self.binds.get(number).ok_or_else(|| {
                diesel::result::Error::QueryBuilderError(
                    format!("no value for ?{}", number + 1).into(),
                )
            })?;
            match bind {
                Bind::Int(value) | Bind::Time(value) => {
                    out.push_bind_param::<BigInt, i64>(value)?;
                }
                Bind::Text(value) => out.push_bind_param::<Text, str>(value)?,
                Bind::Null => out.push_bind_param::<Nullable<BigInt>, Option<i64>>(&NULL)?,
            }
        }
        out.push_sql(&S::TEXT[done..]);
        Ok(())
    }
}

impl<S: Statement> QueryId for Bound<'_, S> {
    type QueryId = S;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<S> Query for Bound<'_, S> {
    type SqlType = Untyped;
}

/// Runs a statement that answers nothing; returns how many rows it changed.
pub(super) fn execute<S: Statement>(
    conn: &mut SqliteConnection,
    binds: &[Bind<'_>],
) -> DbResult<usize> {
    Ok(conn.execute_returning_count(&Bound::<S>::new(binds))?)
}

/// Runs a statement and reads every row.
pub(super) fn rows<S: Statement, T: FromRow>(
    conn: &mut SqliteConnection,
    binds: &[Bind<'_>],
) -> DbResult<Vec<T>> {
    let mut found = Vec::new();
    for row in conn.load(Bound::<S>::new(binds))? {
        found.push(Reader::read(&SqliteRow(row?))?);
    }
    Ok(found)
}

/// Runs a statement and reads its first row.
pub(super) fn first<S: Statement, T: FromRow>(
    conn: &mut SqliteConnection,
    binds: &[Bind<'_>],
) -> DbResult<Option<T>> {
    match conn.load(Bound::<S>::new(binds))?.next() {
        Some(row) => Reader::read(&SqliteRow(row?)).map(Some),
        None => Ok(None),
    }
}

/// Runs a statement that always answers one row.
pub(super) fn one<S: Statement, T: FromRow>(
    conn: &mut SqliteConnection,
    binds: &[Bind<'_>],
) -> DbResult<T> {
    first::<S, T>(conn, binds)?.ok_or_else(|| DbError::internal("a row was expected"))
}

impl From<diesel::result::Error> for DbError {
    /// What SQLite says about locks, disks and closed files passes; anything else is a defect.
    fn from(e: diesel::result::Error) -> Self {
        use diesel::result::{DatabaseErrorKind, Error};
        const PASSING: [&str; 7] = [
            "lock",
            "busy",
            "disk",
            "i/o",
            "full",
            "unable to open",
            "out of memory",
        ];
        match &e {
            Error::BrokenTransactionManager
            | Error::AlreadyInTransaction
            | Error::NotInTransaction
            | Error::RollbackErrorOnCommit { .. } => Self::unavailable(e),
            Error::DatabaseError(DatabaseErrorKind::ClosedConnection, _) => Self::unavailable(e),
            Error::DatabaseError(DatabaseErrorKind::Unknown, info) => {
                let text = info.message().to_ascii_lowercase();
                if PASSING.iter().any(|word| text.contains(word)) {
                    Self::unavailable(e)
                } else {
                    Self::internal(e)
                }
            }
            _ => Self::internal(e),
        }
    }
}
