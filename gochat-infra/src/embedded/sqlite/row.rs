//! Rows of the database → values of the port.

use diesel::row::Row;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::sqlite::Sqlite;
use gochat_core::ids::{ConversationId, MessageId, RequestId, UserId};

use crate::port::db::{
    ConversationRow, DbError, DbResult, FriendRequestRow, FriendStatus, MemberEntry, MemberRow,
    MessageEntry, MessageRow, UserBrief, UserRow, UserStatus,
};

/// Reads the columns of one row from left to right.
pub(super) struct Reader<'r, R> {
    row: &'r R,
    at: usize,
}

/// A value that is read from consecutive columns, in the order its columns are listed by the
/// matching constant in [`columns`].
pub(super) trait FromRow: Sized {
    /// How many columns it takes.
    const WIDTH: usize;

    /// Reads it.
    fn from_row<'a, R: Row<'a, Sqlite>>(reader: &mut Reader<'_, R>) -> DbResult<Self>;
}

impl<'r, 'a, R: Row<'a, Sqlite>> Reader<'r, R> {
    /// Reads a whole row.
    pub(super) fn read<T: FromRow>(row: &'r R) -> DbResult<T> {
        T::from_row(&mut Self { row, at: 0 })
    }

    fn next<T: FromRow>(&mut self) -> DbResult<T> {
        T::from_row(self)
    }

    fn int(&mut self) -> DbResult<Option<i64>> {
        let at = self.advance();
        self.row
            .get_value::<Nullable<BigInt>, Option<i64>, _>(at)
            .map_err(DbError::internal)
    }

    fn text(&mut self) -> DbResult<Option<String>> {
        let at = self.advance();
        self.row
            .get_value::<Nullable<Text>, Option<String>, _>(at)
            .map_err(DbError::internal)
    }

    fn advance(&mut self) -> usize {
        self.at += 1;
        self.at - 1
    }

    fn is_null(&self) -> bool {
        use diesel::row::Field as _;
        self.row.get(self.at).is_none_or(|field| field.is_null())
    }
}

fn undecodable(what: &'static str) -> DbError {
    DbError::internal(format!("undecodable {what} in a row"))
}

macro_rules! from_int {
    ($($ty:ty, $what:literal, $raw:ident => $value:expr;)*) => {
        $(impl FromRow for $ty {
            const WIDTH: usize = 1;
            fn from_row<'a, R: Row<'a, Sqlite>>(reader: &mut Reader<'_, R>) -> DbResult<Self> {
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
    FriendStatus, "friend status", v => i32::try_from(v).ok().and_then(FriendStatus::from_i32);
}

impl FromRow for String {
    const WIDTH: usize = 1;
    fn from_row<'a, R: Row<'a, Sqlite>>(reader: &mut Reader<'_, R>) -> DbResult<Self> {
        reader.text()?.ok_or_else(|| undecodable("text"))
    }
}

impl FromRow for ConversationId {
    const WIDTH: usize = 1;
    fn from_row<'a, R: Row<'a, Sqlite>>(reader: &mut Reader<'_, R>) -> DbResult<Self> {
        reader.next::<String>()?.parse().map_err(DbError::internal)
    }
}

/// An outer join: nothing when its first column is NULL.
impl<T: FromRow> FromRow for Option<T> {
    const WIDTH: usize = T::WIDTH;
    fn from_row<'a, R: Row<'a, Sqlite>>(reader: &mut Reader<'_, R>) -> DbResult<Self> {
        if reader.is_null() {
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
            fn from_row<'a, R: Row<'a, Sqlite>>(reader: &mut Reader<'_, R>) -> DbResult<Self> {
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

/// Reads a struct field by field; the order of the fields is the order of the columns.
macro_rules! from_row_struct {
    ($ty:ident, $width:literal, { $($field:ident),* $(,)? }) => {
        impl FromRow for $ty {
            const WIDTH: usize = $width;
            fn from_row<'a, R: Row<'a, Sqlite>>(reader: &mut Reader<'_, R>) -> DbResult<Self> {
                Ok(Self { $($field: reader.next()?),* })
            }
        }
    };
}

from_row_struct!(UserRow, 7, {
    id, username, avatar_url, is_guest, status, created_at, updated_at,
});
from_row_struct!(UserBrief, 4, { id, username, avatar_url, is_guest });
from_row_struct!(ConversationRow, 12, {
    id, name, avatar_url, description, owner_id, member_count, settings, last_message_id,
    last_seq_id, dissolved, created_at, updated_at,
});
from_row_struct!(MemberRow, 8, {
    conversation_id, user_id, role, muted, muted_until, hidden, joined_at, updated_at,
});
from_row_struct!(MemberEntry, 12, { member, user });
from_row_struct!(MessageEntry, 15, { message, sender });
from_row_struct!(FriendRequestRow, 9, {
    id, requester_id, target_id, status, message, remark, mirrored, created_at, updated_at,
});

impl FromRow for MessageRow {
    const WIDTH: usize = 11;
    fn from_row<'a, R: Row<'a, Sqlite>>(reader: &mut Reader<'_, R>) -> DbResult<Self> {
        let mut message = Self {
            id: reader.next()?,
            conversation_id: reader.next()?,
            seq_id: reader.next()?,
            sender_id: reader.next()?,
            message_type: reader.next()?,
            content: reader.next()?,
            client_msg_id: reader.next()?,
            extra: reader.next()?,
            deleted: reader.next()?,
            created_at: reader.next()?,
            updated_at: reader.next()?,
        };
        if message.deleted {
            message.content = String::new();
            message.extra = None;
        }
        Ok(message)
    }
}

/// Column lists that match the [`FromRow`] of their type, for `concat!`: the argument is the alias
/// of the table.
macro_rules! columns {
    (user $a:literal) => {
        concat!(
            $a,
            ".id, ",
            $a,
            ".username, ",
            $a,
            ".avatar_url, ",
            $a,
            ".is_guest, ",
            $a,
            ".status, ",
            $a,
            ".created_at, ",
            $a,
            ".updated_at"
        )
    };
    (brief $a:literal) => {
        concat!(
            $a,
            ".id, ",
            $a,
            ".username, ",
            $a,
            ".avatar_url, ",
            $a,
            ".is_guest"
        )
    };
    (conversation $a:literal) => {
        concat!(
            $a,
            ".id, ",
            $a,
            ".name, ",
            $a,
            ".avatar_url, ",
            $a,
            ".description, ",
            $a,
            ".owner_id, ",
            $a,
            ".member_count, ",
            $a,
            ".settings, ",
            $a,
            ".last_message_id, ",
            $a,
            ".last_seq_id, ",
            $a,
            ".dissolved, ",
            $a,
            ".created_at, ",
            $a,
            ".updated_at"
        )
    };
    (member $a:literal) => {
        concat!(
            $a,
            ".conversation_id, ",
            $a,
            ".user_id, ",
            $a,
            ".role, ",
            $a,
            ".muted, ",
            $a,
            ".muted_until, ",
            $a,
            ".hidden, ",
            $a,
            ".joined_at, ",
            $a,
            ".updated_at"
        )
    };
    (message $a:literal) => {
        concat!(
            $a,
            ".id, ",
            $a,
            ".conversation_id, ",
            $a,
            ".seq_id, ",
            $a,
            ".sender_id, ",
            $a,
            ".message_type, ",
            $a,
            ".content, ",
            $a,
            ".client_msg_id, ",
            $a,
            ".extra, ",
            $a,
            ".deleted, ",
            $a,
            ".created_at, ",
            $a,
            ".updated_at"
        )
    };
    (request $a:literal) => {
        concat!(
            $a,
            ".id, ",
            $a,
            ".requester_id, ",
            $a,
            ".target_id, ",
            $a,
            ".status, ",
            $a,
            ".message, ",
            $a,
            ".requester_remarks, ",
            $a,
            ".mirrored, ",
            $a,
            ".created_at, ",
            $a,
            ".updated_at"
        )
    };
}
pub(super) use columns;
