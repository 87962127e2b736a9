//! Pages as they leave im-repo: bounded by bytes as well as by count, with a cursor to go on from.

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::{ConversationId, RequestId, UnixMillis};
use gochat_core::page::{Cursor, PAGE_BYTES, fitting};
use prost::Message;

/// Cuts a page that is too large in bytes; true when entries were cut off.
pub(crate) fn bound<T: Message>(entries: &mut Vec<T>) -> bool {
    // Two bytes of a tag and a length stand before each entry; four allow for long ones.
    let sizes = entries.iter().map(|entry| entry.encoded_len() + 4);
    let fits = fitting(sizes, PAGE_BYTES);
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
    fn a_cursor_of_another_list_is_refused() {
        let cursor = Cursor::Request {
            at: 1,
            id: RequestId::new(7).unwrap(),
        };
        assert!(request(&cursor.to_string()).unwrap().is_some());
        assert!(activity(&cursor.to_string()).is_err() && name(&cursor.to_string()).is_err());
        assert!(activity("").unwrap().is_none());
    }
}
