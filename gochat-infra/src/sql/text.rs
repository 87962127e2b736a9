//! SQL as text with names: statements, placeholders, values.
//!
//! The statements of the adapters are written by hand (one statement for a whole list page can't
//! be said in the query DSL), but must be as cheap as DSL queries: a [`Statement`] is a type, so
//! diesel finds its prepared form by type id and never looks for it by its text.
//!
//! In the text `?1`, `?2` … name the binds by position and may repeat.

use std::borrow::Cow;

use gochat_core::ids::{ConversationId, MessageId, RequestId, UnixMillis, UserId};
use gochat_core::token::SessionId;

/// A statement with a name: its type is the key of the prepared form.
pub(crate) trait Statement: 'static {
    /// The SQL.
    const TEXT: &'static str;
    /// Where its placeholders are, found at compile time.
    const PLACES: Places = Places::of(Self::TEXT);
}

/// Most placeholders of a statement, repeats counted.
const MAX_PLACES: usize = 48;

/// The placeholders of a text: from the `?` to behind the digits, and the number.
pub(crate) struct Places {
    places: [(usize, usize, usize); MAX_PLACES],
    len: usize,
}

impl Places {
    /// Finds them.
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

    /// Start, end and number of each.
    pub(crate) fn all(&self) -> &[(usize, usize, usize)] {
        &self.places[..self.len]
    }
}

/// Declares statements: `statements! { Name = "SQL"; … }`.
#[cfg(feature = "mysql")]
macro_rules! statements {
    ($($name:ident = $text:expr;)*) => {
        $(
            struct $name;
            impl $crate::sql::text::Statement for $name {
                const TEXT: &'static str = $text;
            }
        )*
    };
}
#[cfg(feature = "mysql")]
pub(crate) use statements;

/// A value for a placeholder.
#[derive(Debug, Clone)]
pub(crate) enum Bind<'a> {
    /// An integer, also for ids and booleans.
    Int(i64),
    /// An instant; a database that keeps times as integers takes it for one.
    Time(i64),
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

/// An instant, for databases with a type for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At(pub(crate) UnixMillis);

impl From<At> for Bind<'_> {
    fn from(at: At) -> Self {
        Bind::Time(i64::try_from(at.0).unwrap_or(i64::MAX))
    }
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

impl From<SessionId> for Bind<'_> {
    fn from(id: SessionId) -> Self {
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
        [$($crate::sql::text::Bind::from($value)),*]
    };
}
pub(crate) use binds;

/// A JSON array for a table function: many values through one placeholder.
pub(crate) fn json_array<T: std::fmt::Display>(values: impl IntoIterator<Item = T>) -> String {
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
pub(crate) fn json_ids(ids: impl IntoIterator<Item = ConversationId>) -> String {
    json_array(ids.into_iter().map(|id| format!("\"{id}\"")))
}
