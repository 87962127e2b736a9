//! SQL as text with names, run through diesel with its prepared-statement cache.
//!
//! The statements of this adapter are written by hand (one statement for a whole list page can't
//! be said in the query DSL), but must be as cheap as DSL queries: a [`Statement`] is a type, so
//! diesel finds its prepared form by type id and never builds the text twice.
//!
//! In the text `?1`, `?2` … name the binds by position and may repeat.

use std::borrow::Cow;
use std::marker::PhantomData;

use diesel::connection::{Connection, LoadConnection};
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{BigInt, Nullable, Text, Untyped};
use diesel::sqlite::{Sqlite, SqliteConnection};
use gochat_core::ids::{ConversationId, MessageId, RequestId, UserId};

use super::row::{FromRow, Reader};
use crate::port::db::{DbError, DbResult};

/// A statement with a name: its type is the key of the prepared form.
pub(super) trait Statement: 'static {
    /// The SQL.
    const TEXT: &'static str;
    /// Where its placeholders are, found at compile time.
    const PLACES: Places = Places::of(Self::TEXT);
}

/// Most placeholders of a statement, repeats counted.
const MAX_PLACES: usize = 32;

/// The placeholders of a text: from the `?` to behind the digits, and the number.
pub(super) struct Places {
    places: [(usize, usize, usize); MAX_PLACES],
    len: usize,
}

impl Places {
    /// Refuses to compile `LIMIT ?1`: since 3.47 SQLite looks at the value of such a limit when it
    /// plans, and so prepares the statement anew whenever another value is bound, which costs more
    /// than running it. `LIMIT 0 + ?1` is opaque to the planner.
    const fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut found = Self {
            places: [(0, 0, 0); MAX_PLACES],
            len: 0,
        };
        let mut at = 0;
        while at < bytes.len() {
            if bytes[at] != b'?' {
                at += 1;
                continue;
            }
            assert!(!ends_with_limit(bytes, at), "write LIMIT 0 + ?n");
            let start = at;
            let mut number = 0;
            at += 1;
            while at < bytes.len() && bytes[at].is_ascii_digit() {
                number = number * 10 + (bytes[at] - b'0') as usize;
                at += 1;
            }
            assert!(number > 0, "placeholders are numbered from 1");
            found.places[found.len] = (start, at, number - 1);
            found.len += 1;
        }
        found
    }
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
            impl $crate::embedded::sqlite::query::Statement for $name {
                const TEXT: &'static str = $text;
            }
        )*
    };
}
pub(super) use statements;

/// A value for a placeholder.
pub(super) enum Bind<'a> {
    /// An integer, also for ids, times and booleans.
    Int(i64),
    /// A text, also for conversation ids and JSON.
    Text(Cow<'a, str>),
    /// NULL.
    Null,
}

macro_rules! bind_int {
    ($($ty:ty: $value:ident => $int:expr;)*) => {
        $(impl From<$ty> for Bind<'_> {
            fn from($value: $ty) -> Self {
                Bind::Int($int)
            }
        })*
    };
}

bind_int! {
    i64: v => v;
    i32: v => i64::from(v);
    u32: v => i64::from(v);
    bool: v => i64::from(v);
    u64: v => i64::try_from(v).unwrap_or(i64::MAX);
    usize: v => i64::try_from(v).unwrap_or(i64::MAX);
    UserId: v => v.as_i64();
    MessageId: v => v.as_i64();
    RequestId: v => v.as_i64();
}

impl<'a> From<&'a str> for Bind<'a> {
    fn from(text: &'a str) -> Self {
        Bind::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for Bind<'a> {
    fn from(text: &'a String) -> Self {
        Bind::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Bind<'_> {
    fn from(text: String) -> Self {
        Bind::Text(Cow::Owned(text))
    }
}

impl From<ConversationId> for Bind<'_> {
    fn from(id: ConversationId) -> Self {
        Bind::Text(Cow::Owned(id.to_string()))
    }
}

impl<'a, T: Into<Bind<'a>>> From<Option<T>> for Bind<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Bind::Null, Into::into)
    }
}

/// `binds![a, b]` → `[Bind::from(a), Bind::from(b)]`.
macro_rules! binds {
    ($($value:expr),* $(,)?) => {
        [$($crate::embedded::sqlite::query::Bind::from($value)),*]
    };
}
pub(super) use binds;

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
        for &(start, end, number) in &places.places[..places.len] {
            out.push_sql(&S::TEXT[done..start]);
            done = end;
            let bind = self.binds.get(number).ok_or_else(|| {
                diesel::result::Error::QueryBuilderError(
                    format!("no value for ?{}", number + 1).into(),
                )
            })?;
            match bind {
                Bind::Int(value) => out.push_bind_param::<BigInt, i64>(value)?,
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
        found.push(Reader::read(&row?)?);
    }
    Ok(found)
}

/// Runs a statement and reads its first row.
pub(super) fn first<S: Statement, T: FromRow>(
    conn: &mut SqliteConnection,
    binds: &[Bind<'_>],
) -> DbResult<Option<T>> {
    match conn.load(Bound::<S>::new(binds))?.next() {
        Some(row) => Reader::read(&row?).map(Some),
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

/// A JSON array for `json_each`: many values through one placeholder.
pub(super) fn json_array<T: std::fmt::Display>(values: impl IntoIterator<Item = T>) -> String {
    use std::fmt::Write as _;
    let mut text = String::from("[");
    for value in values {
        if text.len() > 1 {
            text.push(',');
        }
        // Writing to a string can't fail.
        let _ = write!(text, "{value}");
    }
    text.push(']');
    text
}

/// [`json_array`] of texts that need no escapes (ids).
pub(super) fn json_ids(ids: impl IntoIterator<Item = ConversationId>) -> String {
    json_array(ids.into_iter().map(|id| format!("\"{id}\"")))
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
