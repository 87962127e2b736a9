//! Identifiers. Parsed once at the edge, then carried as small `Copy` values.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text is not an identifier of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind} id")]
pub struct ParseIdError {
    /// Which kind of identifier was expected.
    pub kind: &'static str,
}

macro_rules! decimal_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(u64);

        impl $name {
            /// Wraps a raw value. `None` for values a signed 64-bit column can't hold.
            pub const fn new(raw: u64) -> Option<Self> {
                if raw <= i64::MAX as u64 { Some(Self(raw)) } else { None }
            }

            /// Wraps a value read from a signed 64-bit column.
            pub const fn from_i64(raw: i64) -> Option<Self> {
                if raw >= 0 { Some(Self(raw as u64)) } else { None }
            }

            /// The value as it is stored in the database.
            pub const fn as_i64(self) -> i64 {
                self.0 as i64
            }

            /// The raw value.
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            /// Accepts canonical decimal text only: digits, no sign, no leading zero.
            fn from_str(s: &str) -> Result<Self, ParseIdError> {
                parse_decimal(s).and_then(Self::new).ok_or(ParseIdError { kind: $kind })
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

decimal_id!(
    /// A user. A Snowflake; decimal text in JSON and protobuf.
    UserId,
    "user"
);
decimal_id!(
    /// A message. A Snowflake; decimal text in JSON and protobuf.
    MessageId,
    "message"
);
decimal_id!(
    /// A friend request. A Snowflake.
    RequestId,
    "request"
);
decimal_id!(
    /// A group, the number behind a `g_…` conversation id. A Snowflake.
    GroupId,
    "group"
);

fn parse_decimal(s: &str) -> Option<u64> {
    let canonical = !s.is_empty()
        && s.len() <= 19
        && s.bytes().all(|b| b.is_ascii_digit())
        && (s.len() == 1 || !s.starts_with('0'));
    if canonical { s.parse().ok() } else { None }
}

/// A conversation: `s_{smaller user}_{larger user}`, `g_{snowflake}` or `world`.
///
/// The text form is canonical: one conversation has exactly one spelling, so the
/// single chat of a pair is unique without a lock.
///
/// ```
/// use gochat_core::ids::{ConversationId, UserId};
/// let a = UserId::new(7).unwrap();
/// let b = UserId::new(3).unwrap();
/// let id = ConversationId::single(a, b).unwrap();
/// assert_eq!(id.to_string(), "s_3_7");
/// assert_eq!("s_3_7".parse(), Ok(id));
/// assert!("s_7_3".parse::<ConversationId>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConversationId {
    /// Two users; the smaller id first.
    Single(UserId, UserId),
    /// A group with member rows.
    Group(GroupId),
    /// The one conversation everybody is in.
    World,
}

impl ConversationId {
    /// The single chat of a pair, in either order. `None` when both are the same user.
    pub fn single(a: UserId, b: UserId) -> Option<Self> {
        match a.cmp(&b) {
            std::cmp::Ordering::Less => Some(Self::Single(a, b)),
            std::cmp::Ordering::Greater => Some(Self::Single(b, a)),
            std::cmp::Ordering::Equal => None,
        }
    }

    /// The other side of a single chat; `None` for other kinds and for strangers.
    pub fn peer_of(self, user: UserId) -> Option<UserId> {
        match self {
            Self::Single(a, b) if a == user => Some(b),
            Self::Single(a, b) if b == user => Some(a),
            _ => None,
        }
    }

    /// Which kind of conversation the id names.
    pub fn kind(self) -> ConversationKind {
        match self {
            Self::Single(..) => ConversationKind::Single,
            Self::Group(_) => ConversationKind::Group,
            Self::World => ConversationKind::World,
        }
    }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(a, b) => write!(f, "s_{a}_{b}"),
            Self::Group(id) => write!(f, "g_{id}"),
            Self::World => f.write_str("world"),
        }
    }
}

impl FromStr for ConversationId {
    type Err = ParseIdError;

    fn from_str(s: &str) -> Result<Self, ParseIdError> {
        const ERR: ParseIdError = ParseIdError {
            kind: "conversation",
        };
        if s == "world" {
            return Ok(Self::World);
        }
        if let Some(group) = s.strip_prefix("g_") {
            return group.parse().map(Self::Group).map_err(|_| ERR);
        }
        let (a, b) = s
            .strip_prefix("s_")
            .and_then(|pair| pair.split_once('_'))
            .ok_or(ERR)?;
        let (a, b) = (a.parse().map_err(|_| ERR)?, b.parse().map_err(|_| ERR)?);
        if a < b {
            Ok(Self::Single(a, b))
        } else {
            Err(ERR)
        }
    }
}

impl Serialize for ConversationId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ConversationId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Kind of a conversation; the numbers are those of the wire and the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum ConversationKind {
    /// Two users.
    Single = 1,
    /// A group with roles.
    Group = 2,
    /// Everybody.
    World = 3,
}

impl ConversationKind {
    /// The kind with this number.
    pub const fn from_i32(n: i32) -> Option<Self> {
        match n {
            1 => Some(Self::Single),
            2 => Some(Self::Group),
            3 => Some(Self::World),
            _ => None,
        }
    }
}

/// Identifies one socket of one gateway process run. Zero means "no socket" (an HTTP or gRPC caller).
pub type ConnId = u64;

/// Position of a message in its conversation: 1, 2, 3 … without gaps. Zero means "before the first".
pub type SeqId = u64;

/// Number over the messages of a conversation and their changes: 1, 2, 3 … without a gap.
pub type Rev = u64;

/// Unix time in milliseconds, passed in by the caller.
pub type UnixMillis = u64;
