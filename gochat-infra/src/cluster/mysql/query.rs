//! Statements through diesel-async with its prepared-statement cache.

use std::marker::PhantomData;

use diesel::deserialize::FromSql;
use diesel::mysql::data_types::MysqlTime;
use diesel::mysql::{Mysql, MysqlType};
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::row::{Field as _, Row};
use diesel::sql_types::{BigInt, Datetime, Nullable, Text, Untyped};
use diesel_async::{AsyncConnectionCore as _, AsyncMysqlConnection, SimpleAsyncConnection as _};
use futures_util::TryStreamExt as _;

use super::{fault, time};
use crate::port::db::{DbError, DbResult};
use crate::sql::row::{FromRow, Reader, Source};
pub(super) use crate::sql::text::{At, Bind, Statement, binds, json_array, json_ids, statements};

/// A connection.
pub(super) type Conn = AsyncMysqlConnection;

/// A value as it is sent.
enum Value<'a> {
    Int(i64),
    Text(&'a str),
    Time(MysqlTime),
    Null,
}

static NULL: Option<i64> = None;

impl<'a> Value<'a> {
    fn of(bind: &'a Bind<'_>) -> Self {
        match bind {
            Bind::Int(value) => Self::Int(*value),
            Bind::Text(text) => Self::Text(text),
            Bind::Time(at) => Self::Time(time::to_mysql(*at)),
            Bind::Null => Self::Null,
        }
    }

    fn push<'b>(&'b self, out: &mut AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        match self {
            Self::Int(value) => out.push_bind_param::<BigInt, i64>(value),
            Self::Text(text) => out.push_bind_param::<Text, str>(text),
            Self::Time(at) => out.push_bind_param::<Datetime, MysqlTime>(at),
            Self::Null => out.push_bind_param::<Nullable<BigInt>, Option<i64>>(&NULL),
        }
    }
}

/// A statement with its values.
struct Bound<'a, S> {
    values: Vec<Value<'a>>,
    statement: PhantomData<fn() -> S>,
}

impl<'a, S> Bound<'a, S> {
    fn new(binds: &'a [Bind<'_>]) -> Self {
        Self {
            values: binds.iter().map(Value::of).collect(),
            statement: PhantomData,
        }
    }
}

impl<S: Statement> QueryFragment<Mysql> for Bound<'_, S> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        let places = const { &S::PLACES };
        let mut done = 0;
        for &(start, end, number) in places.all() {
            out.push_sql(&S::TEXT[done..start]);
            done = end;
            let value = self.values.get(number).ok_or_else(|| {
                diesel::result::Error::QueryBuilderError(
                    format!("no value for ?{}", number + 1).into(),
                )
            })?;
            value.push(&mut out)?;
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

/// One statement for many rows: `head (…), (…) tail`.
pub(super) struct Rows {
    /// `INSERT INTO … VALUES `.
    pub(super) head: &'static str,
    /// `(?, ?)`.
    pub(super) row: &'static str,
    /// ` ON DUPLICATE KEY UPDATE …`, or nothing.
    pub(super) tail: &'static str,
}

/// [`Rows`] with the values of its rows, one after another.
struct BoundRows<'a> {
    rows: &'a Rows,
    count: usize,
    values: Vec<Value<'a>>,
}

impl QueryFragment<Mysql> for BoundRows<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql(self.rows.head);
        let mut values = self.values.iter();
        for n in 0..self.count {
            if n > 0 {
                out.push_sql(", ");
            }
            let mut parts = self.rows.row.split('?');
            out.push_sql(parts.next().unwrap_or_default());
            for part in parts {
                let value = values.next().ok_or_else(|| {
                    diesel::result::Error::QueryBuilderError("too few values".into())
                })?;
                value.push(&mut out)?;
                out.push_sql(part);
            }
        }
        out.push_sql(self.rows.tail);
        Ok(())
    }
}

impl Query for BoundRows<'_> {
    type SqlType = Untyped;
}

impl QueryId for BoundRows<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

/// How many rows a statement holds. A connection keeps the prepared form of each, so there are few
/// of them, and any number is put together from a handful.
const SIZES: [usize; 10] = [1_000, 500, 250, 100, 50, 25, 10, 5, 2, 1];

/// Most bytes of text one statement carries (one row may be longer): well below the packet limit
/// of a server with defaults.
const MAX_BYTES: usize = 4 << 20;

/// How many of the next rows go into one statement; `bytes` are their sizes.
fn take(bytes: impl Iterator<Item = usize>) -> usize {
    let mut total = 0;
    let mut fit = 0;
    for size in bytes {
        total += size;
        if fit > 0 && total > MAX_BYTES {
            break;
        }
        fit += 1;
    }
    SIZES.into_iter().find(|size| *size <= fit).unwrap_or(1)
}

fn bytes_of(binds: &[Bind<'_>]) -> usize {
    let size = |bind: &Bind<'_>| match bind {
        Bind::Text(text) => text.len() + 4,
        _ => 12,
    };
    binds.iter().map(size).sum()
}

/// Runs `rows` for as many of the first rows of `values` (`width` values each) as go into one
/// statement; returns how many.
pub(super) async fn execute_some(
    conn: &mut Conn,
    rows: &Rows,
    width: usize,
    values: &[Bind<'_>],
) -> DbResult<usize> {
    let count = take(values.chunks(width).map(bytes_of));
    let statement = BoundRows {
        rows,
        count,
        values: values[..count * width].iter().map(Value::of).collect(),
    };
    let done = conn.execute_returning_count(statement).await;
    done.map(|_| count).map_err(fault::of)
}

/// Runs `rows` for all of `values` in as few statements as fit.
pub(super) async fn execute_rows(
    conn: &mut Conn,
    rows: &Rows,
    width: usize,
    mut values: &[Bind<'_>],
) -> DbResult<()> {
    while !values.is_empty() {
        let count = execute_some(conn, rows, width, values).await?;
        values = &values[count * width..];
    }
    Ok(())
}

/// Runs `rows`, of which each is one column of the row that is answered, for all of `values`. The
/// last one is repeated up to the next size of a statement.
pub(super) async fn one_row<T: FromRow>(
    conn: &mut Conn,
    rows: &Rows,
    width: usize,
    values: &[Bind<'_>],
) -> DbResult<Vec<T>> {
    let wanted = values.len() / width;
    if wanted == 0 {
        return Ok(Vec::new());
    }
    let count = SIZES.into_iter().rev().find(|size| *size >= wanted);
    let count = count.unwrap_or(wanted);
    let last = &values[(wanted - 1) * width..];
    let filled = values.iter().chain(last.iter().cycle());
    let statement = BoundRows {
        rows,
        count,
        values: filled.take(count * width).map(Value::of).collect(),
    };
    let mut stream = conn.load(statement).await.map_err(fault::of)?;
    let row = stream.try_next().await.map_err(fault::of)?;
    let row = MysqlRow(row.ok_or_else(|| DbError::internal("a row was expected"))?);
    Reader::read_all(&row, wanted)
}

/// A row as MySQL delivers it.
struct MysqlRow<R>(R);

impl<'a, R: Row<'a, Mysql>> Source for MysqlRow<R> {
    fn int(&self, at: usize) -> DbResult<Option<i64>> {
        let field = self.0.get(at);
        let Some(value) = field.as_ref().and_then(|field| field.value()) else {
            return Ok(None);
        };
        let number = match value.value_type() {
            MysqlType::DateTime | MysqlType::Timestamp => {
                <MysqlTime as FromSql<Datetime, Mysql>>::from_sql(value)
                    .map(|t| time::from_mysql(&t))
            }
            _ => <i64 as FromSql<BigInt, Mysql>>::from_sql(value),
        };
        number.map(Some).map_err(DbError::internal)
    }

    fn text(&self, at: usize) -> DbResult<Option<String>> {
        let field = self.0.get(at);
        let Some(value) = field.as_ref().and_then(|field| field.value()) else {
            return Ok(None);
        };
        <String as FromSql<Text, Mysql>>::from_sql(value)
            .map(Some)
            .map_err(DbError::internal)
    }

    fn is_null(&self, at: usize) -> bool {
        self.0.get(at).is_none_or(|field| field.is_null())
    }
}

/// Runs a text as it stands: transaction control and data definition.
pub(super) async fn batch(conn: &mut Conn, text: &str) -> DbResult<()> {
    conn.batch_execute(text).await.map_err(fault::of)
}

/// Runs a statement that answers nothing; returns how many rows it met (updates) or made.
pub(super) async fn execute<S: Statement>(conn: &mut Conn, binds: &[Bind<'_>]) -> DbResult<usize> {
    let done = conn.execute_returning_count(Bound::<S>::new(binds)).await;
    done.map_err(fault::of)
}

/// Runs a statement and reads every row.
pub(super) async fn rows<S: Statement, T: FromRow>(
    conn: &mut Conn,
    binds: &[Bind<'_>],
) -> DbResult<Vec<T>> {
    let mut stream = conn.load(Bound::<S>::new(binds)).await.map_err(fault::of)?;
    let mut found = Vec::new();
    while let Some(row) = stream.try_next().await.map_err(fault::of)? {
        found.push(Reader::read(&MysqlRow(row))?);
    }
    Ok(found)
}

/// Runs a statement and reads its first row.
pub(super) async fn first<S: Statement, T: FromRow>(
    conn: &mut Conn,
    binds: &[Bind<'_>],
) -> DbResult<Option<T>> {
    Ok(rows::<S, T>(conn, binds).await?.into_iter().next())
}

/// Runs a statement that always answers one row.
pub(super) async fn one<S: Statement, T: FromRow>(
    conn: &mut Conn,
    binds: &[Bind<'_>],
) -> DbResult<T> {
    first::<S, T>(conn, binds)
        .await?
        .ok_or_else(|| DbError::internal("a row was expected"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_rows_takes_few_statements() {
        let mut left = 777;
        let mut sizes = Vec::new();
        while left > 0 {
            let count = take(vec![100; left].into_iter());
            sizes.push(count);
            left -= count;
        }
        assert_eq!(sizes, [500, 250, 25, 2]);
    }

    #[test]
    fn long_rows_are_sent_in_small_statements() {
        assert_eq!(take(vec![1 << 20; 100].into_iter()), 2);
        assert_eq!(take(vec![1 << 30; 3].into_iter()), 1);
    }
}
