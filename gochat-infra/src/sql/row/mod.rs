//! Rows of a database → values of the port, whatever the database.

mod columns;
mod entities;

use gochat_core::ids::{ConversationId, MessageId, RequestId, UserId};
use gochat_core::membership::JoinStatus;
use gochat_core::reach::AddedBy;
use gochat_core::token::{EndReason, SessionId};

pub(crate) use self::columns::columns;
pub(crate) use self::entities::Entry;
use crate::port::db::{DbError, DbResult, FriendStatus, UserStatus};

/// One row as a driver delivers it. Times are integers, too: Unix milliseconds.
pub(crate) trait Source {
    /// The integer in a column; `None` for NULL.
    fn int(&self, at: usize) -> DbResult<Option<i64>>;

    /// The text in a column; `None` for NULL.
    fn text(&self, at: usize) -> DbResult<Option<String>>;

    /// Whether a column is NULL or missing.
    fn is_null(&self, at: usize) -> bool;
}

/// Reads the columns of one row from left to right.
pub(crate) struct Reader<'r, S> {
    row: &'r S,
    at: usize,
}

/// A value that is read from consecutive columns, in the order its columns are listed by the
/// matching arm of [`columns!`].
pub(crate) trait FromRow: Sized {
    /// How many columns it takes.
    const WIDTH: usize;

    /// Reads it.
    fn from_row<S: Source>(reader: &mut Reader<'_, S>) -> DbResult<Self>;
}

impl<'r, S: Source> Reader<'r, S> {
    /// Reads a whole row.
    pub(crate) fn read<T: FromRow>(row: &'r S) -> DbResult<T> {
        T::from_row(&mut Self { row, at: 0 })
    }

    /// Reads a row of `count` values of one kind.
    #[cfg(feature = "mysql")]
    pub(crate) fn read_all<T: FromRow>(row: &'r S, count: usize) -> DbResult<Vec<T>> {
        let mut reader = Self { row, at: 0 };
        (0..count).map(|_| T::from_row(&mut reader)).collect()
    }

    fn next<T: FromRow>(&mut self) -> DbResult<T> {
        T::from_row(self)
    }

    fn int(&mut self) -> DbResult<Option<i64>> {
        self.at += 1;
        self.row.int(self.at - 1)
    }

    fn text(&mut self) -> DbResult<Option<String>> {
        self.at += 1;
        self.row.text(self.at - 1)
    }
}

fn undecodable(what: &'static str) -> DbError {
    DbError::internal(format!("undecodable {what} in a row"))
}

macro_rules! from_int {
    ($($ty:ty, $what:literal, $raw:ident => $value:expr;)*) => {
        $(impl FromRow for $ty {
            const WIDTH: usize = 1;
            fn from_row<S: Source>(reader: &mut Reader<'_, S>) -> DbResult<Self> {
                let $raw = reader.int()?.ok_or_else(|| undecodable($what))?;
                ($value).ok_or_else(|| undecodable($what))
            }
        })*
    };
}

from_int! {
    i64, "integer", v => Some(v);
    u64, "integer", v => u64::try_from(v).ok();
    u32, "integer", v => u32::try_from(v).ok();
    i32, "integer", v => i32::try_from(v).ok();
    bool, "flag", v => Some(v != 0);
    UserId, "user id", v => UserId::from_i64(v);
    MessageId, "message id", v => MessageId::from_i64(v);
    RequestId, "request id", v => RequestId::from_i64(v);
    UserStatus, "user status", v => i32::try_from(v).ok().and_then(UserStatus::from_i32);
    EndReason, "reason", v => i32::try_from(v).ok().and_then(EndReason::from_i32);
    AddedBy, "who adds", v => i32::try_from(v).ok().and_then(AddedBy::from_i32);
    JoinStatus, "request status", v => i32::try_from(v).ok().and_then(JoinStatus::from_i32);
    FriendStatus, "friend status", v => i32::try_from(v).ok().and_then(FriendStatus::from_i32);
}

impl FromRow for String {
    const WIDTH: usize = 1;
    fn from_row<S: Source>(reader: &mut Reader<'_, S>) -> DbResult<Self> {
        reader.text()?.ok_or_else(|| undecodable("text"))
    }
}

impl FromRow for SessionId {
    const WIDTH: usize = 1;
    fn from_row<S: Source>(reader: &mut Reader<'_, S>) -> DbResult<Self> {
        reader.next::<String>()?.parse().map_err(DbError::internal)
    }
}

impl FromRow for ConversationId {
    const WIDTH: usize = 1;
    fn from_row<S: Source>(reader: &mut Reader<'_, S>) -> DbResult<Self> {
        reader.next::<String>()?.parse().map_err(DbError::internal)
    }
}

/// An outer join: nothing when its first column is NULL.
impl<T: FromRow> FromRow for Option<T> {
    const WIDTH: usize = T::WIDTH;
    fn from_row<S: Source>(reader: &mut Reader<'_, S>) -> DbResult<Self> {
        if reader.row.is_null(reader.at) {
            reader.at += T::WIDTH;
            return Ok(None);
        }
        T::from_row(reader).map(Some)
    }
}

macro_rules! from_row_tuple {
    ($($t:ident),*) => {
        impl<$($t: FromRow),*> FromRow for ($($t,)*) {
            const WIDTH: usize = 0 $(+ $t::WIDTH)*;
            fn from_row<S: Source>(reader: &mut Reader<'_, S>) -> DbResult<Self> {
                Ok(($(reader.next::<$t>()?,)*))
            }
        }
    };
}

from_row_tuple!(A, B);
from_row_tuple!(A, B, C);
from_row_tuple!(A, B, C, D);
from_row_tuple!(A, B, C, D, E);
from_row_tuple!(A, B, C, D, E, F);
