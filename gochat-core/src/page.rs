//! Pages of lists: where the next one starts, and how large one may be.
//!
//! A cursor names the last entry of a page by its *key*, never by its place, so that rows that
//! come, go or move between two pages neither repeat nor skip another row. Clients treat it as
//! opaque text; it holds no secret and gives no right, and is checked for its form, its list and
//! its length only.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorCode};
use crate::ids::{ConversationId, RequestId, UnixMillis, UserId};

/// Maximum size of an encoded page in bytes; larger pages are cut and say that more follows. One
/// entry always fits. Services accept four times as much from each other.
pub const PAGE_BYTES: usize = 1 << 20;

/// Maximum length of a cursor in characters; longer ones are refused with `INVALID_PARAMS`.
pub const CURSOR_MAX_CHARS: usize = 1_024;

/// The last entry of a page.
///
/// ```
/// use gochat_core::ids::UserId;
/// use gochat_core::page::Cursor;
/// let last = Cursor::User(UserId::new(7).unwrap());
/// assert_eq!(last.to_string().parse::<Cursor>().unwrap(), last);
/// assert!("7".parse::<Cursor>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    /// Of a list of conversations: newest activity first, then by id downwards.
    Activity {
        /// When the conversation last changed.
        at: UnixMillis,
        /// The conversation.
        id: ConversationId,
    },
    /// Of what changed in a list of conversations: the entries in the order of
    /// [`Activity`](Self::Activity), and beside them the conversations that left the list, in the
    /// order of their ids' text. Either part is absent once all of it was told.
    Changes {
        /// The last entry.
        entry: Option<(UnixMillis, ConversationId)>,
        /// The last conversation that left the list.
        removed: Option<ConversationId>,
    },
    /// Of a list of members or friends: by user id upwards.
    User(UserId),
    /// Of a list of friend requests: last change first, then by id downwards.
    Request {
        /// When the request last changed.
        at: UnixMillis,
        /// The request.
        id: RequestId,
    },
    /// Of users found by name: those that begin with the query, then those that hold it, each by
    /// name upwards.
    Name {
        /// The query stands inside the name, not at its beginning.
        inside: bool,
        /// The name as it is compared.
        key: String,
    },
    /// Of readers of an announcement: in the order in which they read, then by user id upwards.
    Reader {
        /// Version of the announcement.
        version: u64,
        /// When the user read it.
        at: UnixMillis,
        /// The user.
        user: UserId,
    },
}

impl Cursor {
    /// What the text of the cursor stands for, without its check.
    fn plain(&self) -> String {
        match self {
            Self::Activity { at, id } => format!("a:{at}:{id}"),
            Self::Changes { entry, removed } => {
                let entry = entry.map(|(at, id)| format!("{at}:{id}"));
                let removed = removed.map(|id| id.to_string());
                let [entry, removed] = [entry, removed].map(Option::unwrap_or_default);
                format!("c:{removed}:{entry}")
            }
            Self::User(id) => format!("u:{id}"),
            Self::Request { at, id } => format!("r:{at}:{id}"),
            Self::Name { inside, key } => format!("n:{}:{key}", u8::from(*inside)),
            Self::Reader { version, at, user } => format!("v:{version}:{at}:{user}"),
        }
    }

    fn from_plain(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        if kind == "u" {
            return Some(Self::User(rest.parse().ok()?));
        }
        let (first, second) = rest.split_once(':')?;
        match kind {
            "c" => Some(Self::Changes {
                entry: part(second, |text| {
                    let (at, id) = text.split_once(':')?;
                    Some((at.parse().ok()?, id.parse().ok()?))
                })?,
                removed: part(first, |text| text.parse().ok())?,
            }),
            "a" => Some(Self::Activity {
                at: first.parse().ok()?,
                id: second.parse().ok()?,
            }),
            "r" => Some(Self::Request {
                at: first.parse().ok()?,
                id: second.parse().ok()?,
            }),
            "v" => {
                let (at, user) = second.split_once(':')?;
                Some(Self::Reader {
                    version: first.parse().ok()?,
                    at: at.parse().ok()?,
                    user: user.parse().ok()?,
                })
            }
            "n" => Some(Self::Name {
                inside: first == "1",
                key: second.to_owned(),
            }),
            _ => None,
        }
    }
}

/// A part of a cursor that may be absent; the outer `None` is a part that can't be read.
fn part<T>(text: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    match text {
        "" => Some(None),
        text => read(text).map(Some),
    }
}

/// FNV-1a: finds cursors that were cut or mistyped.
fn check(bytes: &[u8]) -> u32 {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(16_777_619);
    bytes.iter().fold(2_166_136_261, step)
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = self.plain();
        let check = check(plain.as_bytes()).to_be_bytes();
        for byte in check.iter().chain(plain.as_bytes()) {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        decode(text).ok_or(Error::new(
            ErrorCode::InvalidParams,
            "The cursor is none of this list's: start with the first page.",
        ))
    }
}

fn decode(text: &str) -> Option<Cursor> {
    let is_sound = text.len() <= CURSOR_MAX_CHARS && text.len().is_multiple_of(2);
    if !is_sound || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    let bytes: Vec<u8> = (0..text.len())
        .step_by(2)
        .map(byte)
        .collect::<Option<_>>()?;
    let (said, plain) = bytes.split_first_chunk::<4>()?;
    if u32::from_be_bytes(*said) != check(plain) {
        return None;
    }
    Cursor::from_plain(std::str::from_utf8(plain).ok()?)
}

/// How many of the entries, whose encoded sizes these are, a page holds: as many as fit into
/// `budget` bytes, and one at least.
///
/// ```
/// use gochat_core::page::fitting;
/// assert_eq!(fitting([400, 400, 400], 1_000), 2);
/// assert_eq!(fitting([4_000, 1], 1_000), 1);
/// assert_eq!(fitting([], 1_000), 0);
/// ```
pub fn fitting(sizes: impl IntoIterator<Item = usize>, budget: usize) -> usize {
    let mut used = 0_usize;
    let mut fits = 0;
    for size in sizes {
        used = used.saturating_add(size);
        if fits > 0 && used > budget {
            break;
        }
        fits += 1;
    }
    fits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::GroupId;

    fn cursor() -> impl Strategy<Value = Cursor> {
        let id = 1u64..=i64::MAX as u64;
        let time = 0u64..1 << 45;
        prop_oneof![
            (time.clone(), id.clone()).prop_map(|(at, id)| Cursor::Activity {
                at,
                id: ConversationId::Group(GroupId::new(id).unwrap()),
            }),
            time.clone().prop_map(|at| Cursor::Activity {
                at,
                id: ConversationId::World
            }),
            (
                prop::option::of((time.clone(), id.clone())),
                prop::option::of(id.clone())
            )
                .prop_map(|(entry, removed)| {
                    let group = |id| ConversationId::Group(GroupId::new(id).unwrap());
                    Cursor::Changes {
                        entry: entry.map(|(at, id)| (at, group(id))),
                        removed: removed.map(group),
                    }
                }),
            id.clone()
                .prop_map(|id| Cursor::User(UserId::new(id).unwrap())),
            (time.clone(), id.clone()).prop_map(|(at, id)| Cursor::Request {
                at,
                id: RequestId::new(id).unwrap(),
            }),
            (time.clone(), time, id).prop_map(|(version, at, id)| Cursor::Reader {
                version,
                at,
                user: UserId::new(id).unwrap(),
            }),
            (any::<bool>(), "\\PC{0,50}").prop_map(|(inside, key)| Cursor::Name { inside, key }),
        ]
    }

    proptest! {
        #[test]
        fn a_cursor_is_read_as_it_was_written(cursor in cursor()) {
            let text = cursor.to_string();
            prop_assert!(text.len() <= CURSOR_MAX_CHARS);
            prop_assert_eq!(text.parse::<Cursor>().unwrap(), cursor);
        }

        #[test]
        fn a_cursor_that_was_changed_is_refused(cursor in cursor(), at: prop::sample::Index) {
            let mut text = cursor.to_string().into_bytes();
            let at = at.index(text.len());
            text[at] = if text[at] == b'0' { b'1' } else { b'0' };
            prop_assert!(String::from_utf8(text).unwrap().parse::<Cursor>().is_err());
        }

        #[test]
        fn any_text_is_answered(text in "\\PC{0,200}") {
            let _ = text.parse::<Cursor>();
        }

        #[test]
        fn a_page_is_as_long_as_fits(sizes in prop::collection::vec(0usize..500, 0..50), budget in 0usize..5_000) {
            let fits = fitting(sizes.iter().copied(), budget);
            let used: usize = sizes[..fits].iter().sum();
            prop_assert!(fits <= 1 || used <= budget);
            prop_assert!(fits == sizes.len() || used + sizes[fits] > budget);
            prop_assert!(fits > 0 || sizes.is_empty());
        }
    }
}
