//! From the texts and numbers of a request to checked values.

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::{ConversationId, ConversationKind, MessageId, SeqId, UserId};
use gochat_core::membership::{Role, USERS_PER_COMMAND};
use gochat_core::page::Cursor;
use gochat_core::token::SessionId;

/// How far `sync_time` reaches back, in seconds.
const SYNC_OVERLAP_S: i64 = 10;

fn invalid(text: &'static str) -> Error {
    Error::new(ErrorCode::InvalidParams, text)
}

/// A user id.
pub(super) fn user(text: &str) -> Result<UserId> {
    text.parse()
        .map_err(|_| invalid("A user id is a decimal number."))
}

/// A session id; `field` names it in a refusal.
pub(super) fn session(text: &str, field: &'static str) -> Result<SessionId> {
    text.parse().map_err(|_| {
        Error::new(
            ErrorCode::InvalidParams,
            format!("`{field}` is no session id."),
        )
    })
}

/// A conversation id.
pub(super) fn conversation(text: &str) -> Result<ConversationId> {
    text.parse()
        .map_err(|_| invalid("This is no conversation id."))
}

/// A message id.
pub(super) fn message(text: &str) -> Result<MessageId> {
    text.parse()
        .map_err(|_| invalid("A message id is a decimal number."))
}

/// The id of a group; other kinds of conversations have no members to manage.
pub(super) fn group(text: &str) -> Result<ConversationId> {
    let id = conversation(text)?;
    if id.kind() == ConversationKind::Group {
        Ok(id)
    } else {
        Err(Error::new(ErrorCode::Forbidden, "Only groups can do this."))
    }
}

/// User ids without repeats, in order, a bounded number of them.
pub(super) fn users(texts: &[String]) -> Result<Vec<UserId>> {
    if texts.len() > USERS_PER_COMMAND {
        return Err(invalid("Name at most 1000 users."));
    }
    let mut seen = hashbrown::HashSet::new();
    let parsed: Vec<UserId> = texts.iter().map(|text| user(text)).collect::<Result<_>>()?;
    Ok(parsed.into_iter().filter(|id| seen.insert(*id)).collect())
}

/// A role that must be given.
pub(super) fn role(number: i32) -> Result<Role> {
    Role::from_i32(number).ok_or_else(|| invalid("A role is 1, 2 or 3."))
}

/// A number that must not be negative.
pub(super) fn seq(number: i64) -> Result<SeqId> {
    u64::try_from(number).map_err(|_| invalid("A sequence number is not negative."))
}

/// The user id in a cursor of a list of members or friends; empty for an empty cursor.
pub(super) fn after_user(cursor: &str) -> Result<String> {
    if cursor.is_empty() {
        return Ok(String::new());
    }
    match cursor.parse()? {
        Cursor::User(user) => Ok(user.to_string()),
        _ => Err(invalid("The cursor is none of this list's.")),
    }
}

/// The cursor behind a user, who may be none.
pub(super) fn cursor_after(user: &str) -> String {
    let user = user.parse().ok().map(Cursor::User);
    user.map(|cursor| cursor.to_string()).unwrap_or_default()
}

/// `last_sync_time` of the next incremental question of a client that is answered now. Rows are
/// stamped before they are committed, and clocks of services differ: the overlap repeats a few rows
/// and skips none.
pub(super) fn sync_time() -> i64 {
    (crate::clock::now_s() - SYNC_OVERLAP_S).max(1)
}

/// Page from 1 and size with a default and a cap.
pub(super) fn page(page: i32, size: i32, default: i32, cap: i32) -> (i32, i32) {
    let size = if size <= 0 { default } else { size.min(cap) };
    (page.max(1), size)
}

/// Whether a field is to be written: named in the mask, or not empty when there is no mask.
pub(super) fn masked(mask: &[String], names: &[&str], value: &str) -> Option<String> {
    let wanted = if mask.is_empty() {
        !value.is_empty()
    } else {
        mask.iter().any(|entry| names.contains(&entry.as_str()))
    };
    wanted.then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_mask_empty_fields_stay_and_with_one_they_are_cleared() {
        let mask = ["avatar_url".to_owned()];
        assert_eq!(masked(&[], &["avatar_url"], ""), None);
        assert_eq!(masked(&mask, &["avatar_url"], ""), Some(String::new()));
        assert_eq!(masked(&mask, &["name"], "x"), None);
    }

    #[test]
    fn pages_start_at_one_and_sizes_are_capped() {
        assert_eq!(page(0, 0, 20, 100), (1, 20));
        assert_eq!(page(3, 1_000, 20, 100), (3, 100));
    }

    #[test]
    fn repeated_users_count_once() {
        let ids = ["3".to_owned(), "1".to_owned(), "3".to_owned()];
        let parsed: Vec<_> = users(&ids).unwrap().iter().map(|id| id.get()).collect();
        assert_eq!(parsed, [3, 1]);
        assert!(users(&["x".to_owned()]).is_err());
    }
}
