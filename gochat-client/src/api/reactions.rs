//! Reactions and pins.

use gochat_core::ids::{ConversationId, MessageId, UserId};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde::Deserialize;

use super::{Api, Message, NO_BODY, Nothing, Reaction, User};
use crate::Result;

/// Who reacted to a message: one page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReactionsPage {
    /// In the order in which they were made.
    pub reactions: Vec<UserReaction>,
    /// Where the next page starts; `None` at the end.
    pub next_cursor: Option<String>,
    /// Whether another page follows.
    pub has_more: bool,
}

/// A reaction of a user.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserReaction {
    /// One emoji, or a name that the group allows.
    pub emoji: String,
    /// The user.
    pub user_id: UserId,
    /// The user, in full, when the server knows.
    #[serde(default)]
    pub user: Option<User>,
    /// Unix seconds.
    #[serde(default)]
    pub created_at: i64,
}

#[derive(Deserialize)]
struct Reacted {
    #[serde(default)]
    reactions: Vec<Reaction>,
}

#[derive(Deserialize)]
struct Pins {
    #[serde(default)]
    pins: Vec<Message>,
}

impl Api {
    /// Puts an emoji under a message; gives the reactions as they are now. Trying again is safe: it
    /// counts once.
    pub async fn react(
        &self,
        id: ConversationId,
        message: MessageId,
        emoji: &str,
        client_msg_id: &str,
    ) -> Result<Vec<Reaction>> {
        self.change_reaction(Method::PUT, id, message, emoji, client_msg_id)
            .await
    }

    /// Takes the user's emoji away from a message; gives the reactions as they are now. Trying
    /// again is safe.
    pub async fn take_reaction_back(
        &self,
        id: ConversationId,
        message: MessageId,
        emoji: &str,
        client_msg_id: &str,
    ) -> Result<Vec<Reaction>> {
        self.change_reaction(Method::DELETE, id, message, emoji, client_msg_id)
            .await
    }

    async fn change_reaction(
        &self,
        method: Method,
        id: ConversationId,
        message: MessageId,
        emoji: &str,
        client_msg_id: &str,
    ) -> Result<Vec<Reaction>> {
        let (emoji, client) = (percent(emoji), percent(client_msg_id));
        let path = format!(
            "/conversations/{id}/messages/{message}/reactions/{emoji}?client_msg_id={client}"
        );
        let reacted: Reacted = self.call(method, &path, NO_BODY).await?;
        Ok(reacted.reactions)
    }

    /// Lists who reacted to a message, with any emoji or with one; at most 100 a page.
    pub async fn reactions(
        &self,
        id: ConversationId,
        message: MessageId,
        emoji: Option<&str>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<ReactionsPage> {
        let mut path = format!("/conversations/{id}/messages/{message}/reactions?limit={limit}");
        for (name, value) in [("emoji", emoji), ("cursor", cursor)] {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={}", percent(value)));
            }
        }
        self.get(&path).await
    }

    /// The pinned messages of a conversation, the one that was pinned last first.
    pub async fn pins(&self, id: ConversationId) -> Result<Vec<Message>> {
        let pins: Pins = self.get(&format!("/conversations/{id}/pins")).await?;
        Ok(pins.pins)
    }

    /// Pins a message; pinning it again puts it on top.
    pub async fn pin(&self, id: ConversationId, message: MessageId) -> Result<()> {
        let path = format!("/conversations/{id}/pins/{message}");
        let done = self.call::<Nothing>(Method::PUT, &path, NO_BODY);
        done.await.map(drop)
    }

    /// Takes a message off the pins.
    pub async fn unpin(&self, id: ConversationId, message: MessageId) -> Result<()> {
        let path = format!("/conversations/{id}/pins/{message}");
        let done = self.call::<Nothing>(Method::DELETE, &path, NO_BODY);
        done.await.map(drop)
    }
}

/// A text as a part of a path or a query.
fn percent(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}
