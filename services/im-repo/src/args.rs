//! Arguments of requests: parsed once, refused with `INVALID_PARAMS` and the field's name.

use std::str::FromStr;

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::{
    ConversationId, ConversationKind, GroupId, MessageId, RequestId, Rev, SeqId, UnixMillis, UserId,
};
use gochat_core::membership::{Operator, Role};
use gochat_core::message::Emoji;
use gochat_core::reach::AddedBy;
use gochat_core::token::SessionId;
use gochat_proto::common::v1::ConversationHead;

/// Most entries of a batch, and most ids of a question.
pub(crate) const MAX_BATCH: usize = 1_000;
/// Most numbers a reader names in one question.
const MAX_HEADS: usize = 64;
/// Longest JSON text of settings, in bytes.
const MAX_SETTINGS_BYTES: usize = 16 * 1024;

/// A refusal because of an argument.
pub(crate) fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorCode::InvalidParams, message)
}

fn id<T: FromStr>(text: &str, field: &str) -> Result<T> {
    if text.is_empty() {
        return Err(invalid(format!("`{field}` is missing.")));
    }
    text.parse()
        .map_err(|_| invalid(format!("`{field}` is not an id.")))
}

/// A required user id.
pub(crate) fn user(text: &str, field: &str) -> Result<UserId> {
    id(text, field)
}

/// A user id that may be empty.
pub(crate) fn user_or_none(text: &str, field: &str) -> Result<Option<UserId>> {
    if text.is_empty() {
        Ok(None)
    } else {
        user(text, field).map(Some)
    }
}

/// A required session id.
pub(crate) fn session(text: &str, field: &str) -> Result<SessionId> {
    id(text, field)
}

/// A session id that may be empty.
pub(crate) fn session_or_none(text: &str, field: &str) -> Result<Option<SessionId>> {
    if text.is_empty() {
        Ok(None)
    } else {
        session(text, field).map(Some)
    }
}

/// Required user ids, at most [`MAX_BATCH`].
pub(crate) fn users(texts: &[String], field: &str) -> Result<Vec<UserId>> {
    batch(texts.len(), field)?;
    texts.iter().map(|text| user(text, field)).collect()
}

/// A required message id.
pub(crate) fn message(text: &str) -> Result<MessageId> {
    id(text, "message_id")
}

/// Required message ids, at most `most`.
pub(crate) fn messages(texts: &[String], most: usize) -> Result<Vec<MessageId>> {
    if texts.len() > most {
        return Err(invalid(format!(
            "`message_ids` has at most {most} entries."
        )));
    }
    texts.iter().map(|text| id(text, "message_ids")).collect()
}

/// The emoji of a reaction, or a name that stands for one; refused with `REACTION_NOT_ALLOWED`.
pub(crate) fn emoji(text: &str) -> Result<Emoji> {
    text.parse()
}

/// An emoji used as a filter; empty means all.
pub(crate) fn emoji_filter(text: &str) -> Result<Option<Emoji>> {
    (!text.is_empty()).then(|| emoji(text)).transpose()
}

/// A required friend request id.
pub(crate) fn request(text: &str) -> Result<RequestId> {
    id(text, "request_id")
}

/// A required conversation id.
pub(crate) fn conversation(text: &str) -> Result<ConversationId> {
    id(text, "conversation_id")
}

/// Required conversation ids, at most `most`.
pub(crate) fn conversations(texts: &[String], most: usize) -> Result<Vec<ConversationId>> {
    if texts.len() > most {
        return Err(invalid(format!(
            "`conversation_ids` has at most {most} entries."
        )));
    }
    texts.iter().map(|text| conversation(text)).collect()
}

/// Numbers a reader was told of, at most [`MAX_HEADS`].
pub(crate) fn heads(told: &[ConversationHead]) -> Result<Vec<(ConversationId, SeqId)>> {
    if told.len() > MAX_HEADS {
        return Err(invalid(format!(
            "`at_least` has at most {MAX_HEADS} entries."
        )));
    }
    let head = |head: &ConversationHead| {
        let id = conversation(&head.conversation_id)?;
        Ok((id, seq(head.seq_id, "at_least")?))
    };
    told.iter().map(head).collect()
}

/// Changes of messages that a reader was told of, beside its [`heads`].
pub(crate) fn changes(told: &[ConversationHead]) -> Result<Vec<(ConversationId, Rev)>> {
    let changed = told.iter().filter(|head| head.rev != 0);
    let change = |head: &ConversationHead| {
        let id = conversation(&head.conversation_id)?;
        Ok((id, seq(head.rev, "at_least")?))
    };
    changed.map(change).collect()
}

/// A conversation id that must name a group.
pub(crate) fn group(text: &str, field: &str) -> Result<ConversationId> {
    match id(text, field)? {
        group @ ConversationId::Group(_) => Ok(group),
        _ => Err(invalid(format!("`{field}` is not the id of a group."))),
    }
}

/// The code of an invitation link. A text of another form is the code of no link.
pub(crate) fn link_code(text: &str) -> Result<&str> {
    match gochat_core::membership::is_link_code(text) {
        true => Ok(text),
        false => Err(ErrorCode::InvitationNotFound.into()),
    }
}

/// Who gives a command; empty is the system.
pub(crate) fn operator(text: &str) -> Result<Operator> {
    let user = user_or_none(text, "operator_id")?;
    Ok(user.map_or(Operator::System, Operator::User))
}

/// Who adds a user to groups without asking.
pub(crate) fn added_by(number: i32) -> Result<AddedBy> {
    AddedBy::from_i32(number).ok_or_else(|| invalid("`added_by` is 0, 1 or 2."))
}

/// The version an edit was made on. A negative one matches no version.
pub(crate) fn version(raw: i64) -> u64 {
    u64::try_from(raw).unwrap_or(u64::MAX)
}

/// Wraps a new number as a group's id.
pub(crate) fn new_group(raw: u64) -> Result<ConversationId> {
    GroupId::new(raw)
        .map(ConversationId::Group)
        .ok_or(Error::from(ErrorCode::Internal))
}

/// Refuses batches beyond [`MAX_BATCH`].
pub(crate) fn batch(len: usize, field: &str) -> Result<()> {
    if len > MAX_BATCH {
        return Err(invalid(format!(
            "`{field}` has at most {MAX_BATCH} entries."
        )));
    }
    Ok(())
}

/// A page length: absent means `default`, more than `cap` is cut.
pub(crate) fn limit(wanted: i32, default: u32, cap: u32) -> u32 {
    match u32::try_from(wanted) {
        Ok(0) | Err(_) => default,
        Ok(wanted) => wanted.min(cap),
    }
}

/// A number of entries to skip; negative means none.
pub(crate) fn offset(wanted: i32) -> u32 {
    u32::try_from(wanted).unwrap_or(0)
}

/// A sequence number; 0 is allowed and means what the field says.
pub(crate) fn seq(raw: i64, field: &str) -> Result<SeqId> {
    SeqId::try_from(raw).map_err(|_| invalid(format!("`{field}` must not be negative.")))
}

/// Unix seconds as milliseconds; negative counts as 0.
pub(crate) fn millis(seconds: i64) -> UnixMillis {
    UnixMillis::try_from(seconds)
        .unwrap_or(0)
        .saturating_mul(1_000)
}

/// Unix seconds as milliseconds, or `None` for 0: "not given".
pub(crate) fn millis_or_none(seconds: i64) -> Option<UnixMillis> {
    (seconds > 0).then(|| millis(seconds))
}

/// Unix milliseconds, or `None` for 0 and below: "not given".
pub(crate) fn exact_millis(millis: i64) -> Option<UnixMillis> {
    UnixMillis::try_from(millis).ok().filter(|at| *at > 0)
}

/// Everything that changed in this Unix second or later, as an instant before it: rows of the
/// second itself belong to the answer. `None` for 0: "not given".
pub(crate) fn changed_since(seconds: i64) -> Option<UnixMillis> {
    millis_or_none(seconds).map(|at| at - 1)
}

/// A kind of conversation used as a filter; 0 means all.
pub(crate) fn kind_filter(number: i32) -> Result<Option<ConversationKind>> {
    match number {
        0 => Ok(None),
        n => match ConversationKind::from_i32(n) {
            Some(kind) => Ok(Some(kind)),
            None => Err(invalid("`type` is not a kind of conversation.")),
        },
    }
}

/// A role used as a filter; 0 means all.
pub(crate) fn role_filter(number: i32) -> Result<Option<i32>> {
    match number {
        0 => Ok(None),
        n => role(n).map(|role| Some(role as i32)),
    }
}

/// A role.
pub(crate) fn role(number: i32) -> Result<Role> {
    Role::from_i32(number).ok_or_else(|| invalid("There is no such role."))
}

/// A role that may be given: unspecified means member, and owners are made by transfer only.
pub(crate) fn giveable_role(number: i32) -> Result<Role> {
    match number {
        0 => Ok(Role::Member),
        n => match role(n)? {
            Role::Owner => Err(invalid("Ownership is transferred, not given as a role.")),
            role => Ok(role),
        },
    }
}

/// A text that must not be empty.
pub(crate) fn text<'a>(text: &'a str, field: &str, max_chars: usize) -> Result<&'a str> {
    if text.is_empty() {
        return Err(invalid(format!("`{field}` is missing.")));
    }
    optional_text(text, field, max_chars)
}

/// A text of bounded length.
pub(crate) fn optional_text<'a>(text: &'a str, field: &str, max_chars: usize) -> Result<&'a str> {
    // Bytes first: nobody makes us count the characters of megabytes.
    if text.len() > 4 * max_chars || text.chars().count() > max_chars {
        return Err(invalid(format!(
            "`{field}` has at most {max_chars} characters."
        )));
    }
    Ok(text)
}

/// Settings: empty, or a JSON object.
pub(crate) fn settings(text: &str) -> Result<()> {
    let fits = text.len() <= MAX_SETTINGS_BYTES;
    let object = || serde_json::from_str::<serde_json::Map<_, _>>(text).is_ok();
    if text.is_empty() || (fits && object()) {
        Ok(())
    } else {
        Err(invalid("`settings` is not a JSON object."))
    }
}

/// Which fields of an update to write: those named by `mask`, without a mask those that are
/// not empty.
pub(crate) struct Mask<'a> {
    named: &'a [String],
}

impl<'a> Mask<'a> {
    /// Refuses names that are not in `known`.
    pub(crate) fn new(named: &'a [String], known: &[&str]) -> Result<Self> {
        match named.iter().find(|name| !known.contains(&name.as_str())) {
            Some(stranger) => Err(invalid(format!("`update_mask` names `{stranger:.40}`."))),
            None => Ok(Self { named }),
        }
    }

    /// Whether the field is to be written.
    pub(crate) fn wants(&self, field: &str, is_empty: bool) -> bool {
        if self.named.is_empty() {
            !is_empty
        } else {
            self.named.iter().any(|n| n == field)
        }
    }

    /// The value when it is to be written.
    pub(crate) fn pick(&self, field: &str, value: String) -> Option<String> {
        self.wants(field, value.is_empty()).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_length_is_defaulted_and_capped() {
        assert_eq!(limit(0, 20, 100), 20);
        assert_eq!(limit(-5, 20, 100), 20);
        assert_eq!(limit(7, 20, 100), 7);
        assert_eq!(limit(i32::MAX, 20, 100), 100);
    }

    #[test]
    fn a_refusal_names_the_field() {
        assert_eq!(
            user("", "user_id").unwrap_err().message,
            "`user_id` is missing."
        );
        assert_eq!(
            user("x", "user_id").unwrap_err().message,
            "`user_id` is not an id."
        );
        assert!(group("s_1_2", "group_id").is_err());
    }

    #[test]
    fn without_a_mask_the_fields_that_are_set_are_written() {
        let none: Vec<String> = Vec::new();
        let mask = Mask::new(&none, &["name"]).unwrap();
        assert_eq!(mask.pick("name", "x".into()), Some("x".into()));
        assert_eq!(mask.pick("name", String::new()), None);
        let named = vec!["name".to_owned()];
        let mask = Mask::new(&named, &["name", "avatar_url"]).unwrap();
        assert_eq!(mask.pick("name", String::new()), Some(String::new()));
        assert_eq!(mask.pick("avatar_url", "x".into()), None);
        assert!(Mask::new(&named, &["avatar_url"]).is_err());
    }
}
