//! Form checks of a message that wants to be sent.

use serde::de::IgnoredAny;

use super::system::{SYSTEM_BYTES_MAX, SYSTEM_ID_PREFIX};
use super::{ChangeKind, Emoji, MessageType};
use crate::error::{Error, ErrorCode, Result};

/// Sizes a message may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DraftLimits {
    /// Most Unicode scalar values of content.
    pub content_chars: usize,
    /// Most bytes of a client message id. The database column holds 64 characters.
    pub client_id_bytes: usize,
    /// Most bytes of `extra`.
    pub extra_bytes: usize,
    /// Most Unicode scalar values of a guest's content; whether the author is a guest is judged
    /// later.
    pub guest_chars: usize,
}

impl Default for DraftLimits {
    /// 5000 characters, 64 bytes, 8 KiB, 1000 characters of guests.
    fn default() -> Self {
        Self {
            content_chars: 5000,
            client_id_bytes: 64,
            extra_bytes: 8 * 1024,
            guest_chars: 1_000,
        }
    }
}

/// Who writes a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// A user's client: system messages are refused, and so are client ids of the system.
    Client,
    /// The server itself, which writes nothing but system messages, under client ids of its own.
    Server,
}

/// A message whose form is right. Borrows the text it was made of.
///
/// ```
/// use gochat_core::error::ErrorCode;
/// use gochat_core::message::{Draft, DraftLimits, MessageType, Writer};
/// let limits = DraftLimits::default();
/// let draft = Draft::check(1, "hello", "c-1", "", Writer::Client, &limits).unwrap();
/// assert_eq!(draft.kind, MessageType::Text);
/// let refused = Draft::check(4, "hello", "c-1", "", Writer::Client, &limits).unwrap_err();
/// assert_eq!(refused.code, ErrorCode::UnsupportedMessageType);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draft<'a> {
    /// How to read the content.
    pub kind: MessageType,
    /// Shows something, at most [`DraftLimits::content_chars`] scalar values.
    pub content: &'a str,
    /// Visible characters only, at most [`DraftLimits::client_id_bytes`] bytes.
    pub client_msg_id: &'a str,
    /// JSON text, when there is any.
    pub extra: Option<&'a str>,
}

/// A change whose form is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeForm<'a> {
    /// What the message says from now on.
    Edit(Draft<'a>),
    /// A reaction, put or taken back.
    Reaction(Emoji),
    /// A change that says nothing.
    Plain,
}

impl<'a> Draft<'a> {
    /// Whether the content is longer than guests may write.
    pub fn is_long(&self, limits: &DraftLimits) -> bool {
        !fits(self.content, limits.guest_chars)
    }

    /// Checks the form of a change: an edit may say what a text message may say, whatever the type
    /// of its message, the content of a reaction is its emoji, and the others have no form but
    /// their client id.
    ///
    /// ```
    /// use gochat_core::message::{ChangeForm, ChangeKind, Draft, DraftLimits};
    /// let check = |kind, text| Draft::check_change(kind, text, "c-1", "", &DraftLimits::default());
    /// let Ok(ChangeForm::Edit(draft)) = check(ChangeKind::Edit, "better") else { panic!() };
    /// assert_eq!(draft.content, "better");
    /// assert!(check(ChangeKind::Edit, " ").is_err());
    /// assert_eq!(check(ChangeKind::React, "👍"), Ok(ChangeForm::Reaction("👍".parse().unwrap())));
    /// assert!(check(ChangeKind::React, "yes!").is_err());
    /// assert_eq!(check(ChangeKind::Recall, ""), Ok(ChangeForm::Plain));
    /// ```
    ///
    /// # Errors
    /// Those of [`check`](Self::check), and `REACTION_NOT_ALLOWED`.
    pub fn check_change(
        kind: ChangeKind,
        content: &'a str,
        client_msg_id: &'a str,
        extra: &'a str,
        limits: &DraftLimits,
    ) -> Result<ChangeForm<'a>> {
        if kind == ChangeKind::Edit {
            let (text, by) = (MessageType::Text.as_i32(), Writer::Client);
            let draft = Self::check(text, content, client_msg_id, extra, by, limits);
            return draft.map(ChangeForm::Edit);
        }
        check_client_id(client_msg_id, limits.client_id_bytes)?;
        match kind.is_reaction() {
            true => content.parse().map(ChangeForm::Reaction),
            false => Ok(ChangeForm::Plain),
        }
    }

    /// Checks the client id of a client's message alone.
    ///
    /// # Errors
    /// `INVALID_PARAMS`.
    pub fn check_client_id(client_msg_id: &str, limits: &DraftLimits) -> Result<()> {
        check_client_id(client_msg_id, limits.client_id_bytes)?;
        check_owner(client_msg_id, Writer::Client)
    }

    /// Checks type, content, client id and extra; an empty `extra` means there is none.
    ///
    /// # Errors
    /// `UNSUPPORTED_MESSAGE_TYPE`, `MESSAGE_EMPTY`, `MESSAGE_TOO_LARGE`, or
    /// `INVALID_PARAMS` for a bad client id or an `extra` that isn't JSON. No retry helps.
    pub fn check(
        message_type: i32,
        content: &'a str,
        client_msg_id: &'a str,
        extra: &'a str,
        writer: Writer,
        limits: &DraftLimits,
    ) -> Result<Self> {
        let kind = MessageType::from_i32(message_type)
            .filter(|kind| (*kind == MessageType::System) == (writer == Writer::Server))
            .ok_or(ErrorCode::UnsupportedMessageType)?;
        let most = match writer {
            Writer::Client => limits.content_chars,
            Writer::Server => SYSTEM_BYTES_MAX,
        };
        check_content(content, most)?;
        check_client_id(client_msg_id, limits.client_id_bytes)?;
        check_owner(client_msg_id, writer)?;
        let extra = check_extra(extra, limits.extra_bytes)?;
        Ok(Self {
            kind,
            content,
            client_msg_id,
            extra,
        })
    }
}

fn check_content(content: &str, most: usize) -> Result<()> {
    if crate::text::is_blank(content) {
        return Err(ErrorCode::MessageEmpty.into());
    }
    if fits(content, most) {
        Ok(())
    } else {
        Err(ErrorCode::MessageTooLarge.into())
    }
}

/// A scalar value has one to four bytes: counting is rarely needed.
fn fits(content: &str, most: usize) -> bool {
    content.len() <= most
        || (content.len() <= most.saturating_mul(4) && content.chars().count() <= most)
}

fn check_client_id(id: &str, most: usize) -> Result<()> {
    let visible = |c: char| !c.is_control() && !c.is_whitespace();
    if id.is_empty() || id.len() > most || !id.chars().all(visible) {
        return Err(Error::new(
            ErrorCode::InvalidParams,
            "The client message id must have 1 to 64 bytes of visible characters.",
        ));
    }
    Ok(())
}

/// The system's client ids are its own: a client that took the next one would be acknowledged, and
/// the system's message would count as its repeat and never be written.
fn check_owner(id: &str, writer: Writer) -> Result<()> {
    match id.starts_with(SYSTEM_ID_PREFIX) == (writer == Writer::Server) {
        true => Ok(()),
        false => Err(Error::new(
            ErrorCode::InvalidParams,
            "Client message ids that begin with `system:` are the server's.",
        )),
    }
}

fn check_extra(extra: &str, most: usize) -> Result<Option<&str>> {
    if extra.is_empty() {
        return Ok(None);
    }
    if extra.len() > most {
        return Err(Error::new(
            ErrorCode::MessageTooLarge,
            "The field extra is too long.",
        ));
    }
    match serde_json::from_str::<IgnoredAny>(extra) {
        Ok(_) => Ok(Some(extra)),
        Err(_) => Err(Error::new(
            ErrorCode::InvalidParams,
            "The field extra must be JSON text.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: i32, content: &str, id: &str, extra: &str) -> Result<(), ErrorCode> {
        Draft::check(
            kind,
            content,
            id,
            extra,
            Writer::Client,
            &DraftLimits::default(),
        )
        .map(|_| ())
        .map_err(|e| e.code)
    }

    #[test]
    fn content_is_counted_in_characters_not_bytes() {
        assert_eq!(check(1, &"ü".repeat(5000), "c", ""), Ok(()));
        assert_eq!(check(1, &"😀".repeat(5000), "c", ""), Ok(()));
        assert_eq!(
            check(1, &"x".repeat(5001), "c", ""),
            Err(ErrorCode::MessageTooLarge)
        );
        assert_eq!(
            check(1, &"😀".repeat(5001), "c", ""),
            Err(ErrorCode::MessageTooLarge)
        );
    }

    #[test]
    fn blank_content_is_empty() {
        assert_eq!(check(1, "", "c", ""), Err(ErrorCode::MessageEmpty));
        assert_eq!(check(1, " \n\t", "c", ""), Err(ErrorCode::MessageEmpty));
    }

    #[test]
    fn clients_may_send_all_types_but_system() {
        for kind in MessageType::ALL {
            let expected = match kind {
                MessageType::System => Err(ErrorCode::UnsupportedMessageType),
                _ => Ok(()),
            };
            assert_eq!(check(kind.as_i32(), "x", "c", ""), expected);
        }
        assert_eq!(
            check(0, "x", "c", ""),
            Err(ErrorCode::UnsupportedMessageType)
        );
        let limits = DraftLimits::default();
        let by_server = |kind, id| Draft::check(kind, "x", id, "", Writer::Server, &limits).is_ok();
        assert!(by_server(4, "system:1-1"));
        assert!(!by_server(1, "system:1-1") && !by_server(4, "c"));
    }

    #[test]
    fn client_ids_of_the_system_are_refused_to_clients() {
        let invalid = Err(ErrorCode::InvalidParams);
        assert_eq!(check(1, "x", "system:1-1", ""), invalid);
        let alone = Draft::check_client_id("system:1-1", &DraftLimits::default());
        assert_eq!(alone.map_err(|error| error.code), invalid);
        assert_eq!(check(1, "x", "system", ""), Ok(()));
    }

    #[test]
    fn client_ids_are_short_and_visible() {
        assert_eq!(check(1, "x", &"c".repeat(64), ""), Ok(()));
        for bad in ["", "a b", "a\nb", "a\u{0}", &"c".repeat(65)] {
            assert_eq!(
                check(1, "x", bad, ""),
                Err(ErrorCode::InvalidParams),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn extra_is_json_within_its_cap() {
        assert_eq!(check(1, "x", "c", r#"{"a":[1,2]}"#), Ok(()));
        assert_eq!(check(1, "x", "c", "{"), Err(ErrorCode::InvalidParams));
        assert_eq!(check(1, "x", "c", "{} {}"), Err(ErrorCode::InvalidParams));
        let long = format!("\"{}\"", "x".repeat(9000));
        assert_eq!(check(1, "x", "c", &long), Err(ErrorCode::MessageTooLarge));
        assert_eq!(
            check(1, "x", "c", &"[".repeat(8000)),
            Err(ErrorCode::InvalidParams)
        );
    }
}
