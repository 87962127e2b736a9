//! Pages as they leave im-repo: bounded by bytes as well as by count, with a cursor to go on from.

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::{ConversationId, RequestId, UnixMillis, UserId};
use gochat_core::page::{Cursor, PAGE_BYTES, fitting};
use gochat_infra::port::db::ConversationEntry;
use prost::Message;

/// Cuts a page that is too large in bytes; true when entries were cut off.
pub(crate) fn bound<T: Message>(entries: &mut Vec<T>) -> bool {
    bound_to(entries, PAGE_BYTES)
}

/// The same for another size than that of pages.
pub(crate) fn bound_to<T: Message>(entries: &mut Vec<T>, bytes: usize) -> bool {
    // Two bytes of a tag and a length stand before each entry; four allow for long ones.
    let sizes = entries.iter().map(|entry| entry.encoded_len() + 4);
    let fits = fitting(sizes, bytes);
    let is_cut = fits < entries.len();
    if is_cut {
        metrics::counter!("gochat_repo_pages_cut_total").increment(1);
    }
    entries.truncate(fits);
    is_cut
}

/// A cursor of another list than the one it is used in.
fn foreign() -> Error {
    Error::new(
        ErrorCode::InvalidParams,
        "The cursor is none of this list's: start with the first page.",
    )
}

/// Where a page of a user's list starts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ListStart {
    /// The entry before the page.
    pub(crate) entry: Option<(UnixMillis, ConversationId)>,
    /// Whether entries are left.
    pub(crate) has_entries: bool,
    /// The conversation that left the list and was told last.
    pub(crate) removed: Option<ConversationId>,
    /// Whether conversations that left the list may be untold.
    pub(crate) has_removed: bool,
}

impl ListStart {
    pub(crate) fn of(cursor: &str) -> Result<Self> {
        let (entry, removed) = match parse(cursor)? {
            None => {
                return Ok(Self {
                    entry: None,
                    has_entries: true,
                    removed: None,
                    has_removed: true,
                });
            }
            Some(Cursor::Activity { at, id }) => (Some((at, id)), None),
            Some(Cursor::Changes { entry, removed }) => (entry, removed),
            Some(_) => return Err(foreign()),
        };
        Ok(Self {
            entry,
            has_entries: entry.is_some(),
            removed,
            has_removed: removed.is_some(),
        })
    }
}

/// Where a page of a user's list ends.
#[derive(Default)]
pub(crate) struct ListEnd<'a> {
    /// The last entry shown.
    pub(crate) entry: Option<&'a ConversationEntry>,
    pub(crate) has_more_entries: bool,
    /// The last removed conversation told.
    pub(crate) removed: Option<ConversationId>,
    pub(crate) has_more_removed: bool,
}

impl ListEnd<'_> {
    /// The cursor behind it; empty at the end of all.
    pub(crate) fn cursor(&self, of_changes: bool) -> String {
        let entry = self.entry.filter(|_| self.has_more_entries);
        let entry = entry.map(|last| (last.conversation.updated_at, last.conversation.id));
        let removed = self.removed.filter(|_| self.has_more_removed);
        match (entry, removed) {
            (None, None) => String::new(),
            (Some((at, id)), None) if !of_changes => Cursor::Activity { at, id }.to_string(),
            (entry, removed) => Cursor::Changes { entry, removed }.to_string(),
        }
    }
}

/// Where a page of conversations starts.
pub(crate) fn activity(cursor: &str) -> Result<Option<(UnixMillis, ConversationId)>> {
    match parse(cursor)? {
        None => Ok(None),
        Some(Cursor::Activity { at, id }) => Ok(Some((at, id))),
        Some(_) => Err(foreign()),
    }
}

/// Where a page of friend requests starts.
pub(crate) fn request(cursor: &str) -> Result<Option<(UnixMillis, RequestId)>> {
    match parse(cursor)? {
        None => Ok(None),
        Some(Cursor::Request { at, id }) => Ok(Some((at, id))),
        Some(_) => Err(foreign()),
    }
}

/// Where a page of users found by name starts.
pub(crate) fn name(cursor: &str) -> Result<Option<(bool, String)>> {
    match parse(cursor)? {
        None => Ok(None),
        Some(Cursor::Name { inside, key }) => Ok(Some((inside, key))),
        Some(_) => Err(foreign()),
    }
}

/// Where a page of readers of an announcement starts: the version they have read, and the reader
/// before the page.
pub(crate) fn reader(cursor: &str) -> Result<Option<(u64, UnixMillis, UserId)>> {
    match parse(cursor)? {
        None => Ok(None),
        Some(Cursor::Reader { version, at, user }) => Ok(Some((version, at, user))),
        Some(_) => Err(foreign()),
    }
}

/// The cursor behind a reader of an announcement.
pub(crate) fn after_reader(version: u64, at: UnixMillis, user: UserId) -> String {
    Cursor::Reader { version, at, user }.to_string()
}

fn parse(cursor: &str) -> Result<Option<Cursor>> {
    if cursor.is_empty() {
        return Ok(None);
    }
    cursor.parse().map(Some)
}

#[cfg(test)]
mod tests {
    use gochat_proto::common::v1::UserInfo;

    use super::*;

    fn entries(len: usize, count: usize) -> Vec<UserInfo> {
        let entry = UserInfo {
            username: "x".repeat(len),
            ..Default::default()
        };
        vec![entry; count]
    }

    #[test]
    fn a_page_is_cut_by_bytes_and_holds_one_entry_at_least() {
        let mut small = entries(100, 100);
        assert!(!bound(&mut small) && small.len() == 100);
        let mut large = entries(100_000, 100);
        assert!(bound(&mut large) && large.len() == 10);
        let mut huge = entries(3 * PAGE_BYTES, 2);
        assert!(bound(&mut huge) && huge.len() == 1);
    }

    #[test]
    fn either_part_of_a_sync_ends_by_itself() {
        let id = |n: u64| format!("g_{n}").parse::<ConversationId>().unwrap();
        let removed = |id, more| ListEnd {
            removed: Some(id),
            has_more_removed: more,
            ..Default::default()
        };
        assert_eq!(removed(id(1), false).cursor(true), "");
        let next = ListStart::of(&removed(id(1), true).cursor(true)).unwrap();
        let expected = ListStart {
            entry: None,
            has_entries: false,
            removed: Some(id(1)),
            has_removed: true,
        };
        assert_eq!(next, expected);
        let entries = Cursor::Changes {
            entry: Some((5, id(2))),
            removed: None,
        };
        let next = ListStart::of(&entries.to_string()).unwrap();
        let expected = ListStart {
            entry: Some((5, id(2))),
            has_entries: true,
            removed: None,
            has_removed: false,
        };
        assert_eq!(next, expected);
        // The cursor of a whole list, and of a sync that an older im-repo began.
        let entries = Cursor::Activity { at: 5, id: id(2) };
        assert_eq!(ListStart::of(&entries.to_string()).unwrap(), expected);
        let first = ListStart::of("").unwrap();
        assert!(first.has_entries && first.has_removed && first.entry.is_none());
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let cursor = Cursor::Request {
            at: 1,
            id: RequestId::new(7).unwrap(),
        };
        assert!(request(&cursor.to_string()).unwrap().is_some());
        assert!(activity(&cursor.to_string()).is_err() && name(&cursor.to_string()).is_err());
        assert!(activity("").unwrap().is_none());
        assert!(ListStart::of(&cursor.to_string()).is_err());
    }
}
