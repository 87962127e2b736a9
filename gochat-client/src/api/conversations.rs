//! Conversations.

use gochat_core::ids::{ConversationId, SeqId, UserId};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Api, Conversation, NO_BODY, Nothing, OwnState};
use crate::Result;

/// One page of conversations, newest activity first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConversationPage {
    /// What the page holds.
    pub conversations: Vec<Conversation>,
    /// Whether another page follows.
    pub has_more: bool,
    /// Where the next page starts; `None` at the end.
    pub next_cursor: Option<String>,
    /// Conversations the user has left, in answers to an incremental question.
    pub removed_ids: Vec<ConversationId>,
    /// `last_sync` of the next incremental question, once all pages of this one were read.
    pub sync_time: i64,
    /// Rows the user was told of are on their way: entries may be older than they should.
    pub behind: bool,
}

/// Which page of conversations to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConversationQuery<'a> {
    /// `next_cursor` of the page before; `None` for the first page.
    pub cursor: Option<&'a str>,
    /// Only what changed in this Unix second or later; `None` for everything.
    pub last_sync: Option<i64>,
    /// Entries per page, at most 100.
    pub size: u32,
    /// Newest messages the caller knows of, at most 64: the answer reaches them, or says that it is
    /// behind.
    pub at_least: &'a [(ConversationId, SeqId)],
}

/// A group to be made; the maker becomes its owner.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewGroup {
    /// Name, 1–100 characters.
    pub name: String,
    /// Members besides the owner.
    pub members: Vec<UserId>,
    /// Description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
    /// Settings that the group begins with, such as
    /// `{"group_settings": {"system_messages": false}}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<serde_json::Value>,
}

#[derive(Serialize)]
struct GroupBody<'a> {
    #[serde(rename = "type")]
    kind: u8,
    #[serde(flatten)]
    group: &'a NewGroup,
}

/// Change of the user's own state of a conversation; `None` leaves a field alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnChange {
    /// Unix seconds until which the conversation is silent, 0 for good; the inner `None` ends the
    /// silence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mute_until: Option<Option<i64>>,
    /// On top of the user's list; at most 100 conversations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
    /// Put away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
    /// To be shown as unread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marked_unread: Option<bool>,
    /// A text that was begun, at most 5000 characters; the empty text removes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draft: Option<String>,
}

impl Api {
    /// A page of the user's conversations, from page 1, at most 100 each.
    pub async fn conversations(&self, page: u32, size: u32) -> Result<ConversationPage> {
        self.get(&format!("/conversations?page={page}&size={size}"))
            .await
    }

    /// The same, only those that changed since `last_sync` (Unix seconds).
    pub async fn conversations_since(
        &self,
        last_sync: i64,
        page: u32,
        size: u32,
    ) -> Result<ConversationPage> {
        self.get(&format!(
            "/conversations?last_sync={last_sync}&page={page}&size={size}"
        ))
        .await
    }

    /// A page of the user's conversations. Pages by cursor neither repeat nor skip a conversation,
    /// whatever changes between them.
    pub async fn list_conversations(
        &self,
        query: &ConversationQuery<'_>,
    ) -> Result<ConversationPage> {
        let mut path = format!("/conversations?size={}", query.size);
        if let Some(cursor) = query.cursor {
            path.push_str("&cursor=");
            path.push_str(cursor);
        }
        if let Some(since) = query.last_sync {
            path.push_str(&format!("&last_sync={since}"));
        }
        if !query.at_least.is_empty() {
            let known = query.at_least.iter().map(|(id, seq)| format!("{id}:{seq}"));
            path.push_str("&at_least=");
            path.push_str(&known.collect::<Vec<_>>().join(","));
        }
        self.get(&path).await
    }

    /// One conversation with its members (none for the world chat).
    pub async fn conversation(&self, id: ConversationId) -> Result<Conversation> {
        self.get(&format!("/conversations/{id}")).await
    }

    /// Opens the single chat with a user; the existing one when there is one.
    pub async fn open_chat(&self, with: UserId) -> Result<Conversation> {
        let body = json!({ "type": 1, "members": [with] });
        self.call(Method::POST, "/conversations", Some(&body)).await
    }

    /// Makes a group.
    pub async fn create_group(&self, group: &NewGroup) -> Result<Conversation> {
        let body = GroupBody { kind: 2, group };
        self.call(Method::POST, "/conversations", Some(&body)).await
    }

    /// Renames a group; for admins.
    pub async fn rename_group(&self, id: ConversationId, name: &str) -> Result<Conversation> {
        let body = json!({ "name": name });
        self.call(Method::PUT, &format!("/conversations/{id}"), Some(&body))
            .await
    }

    /// Changes what the user keeps about a conversation alone; gives the whole state. The user's
    /// other devices hear of it as [`Event::OwnStateChanged`](crate::Event::OwnStateChanged).
    pub async fn change_own_state(
        &self,
        id: ConversationId,
        change: &OwnChange,
    ) -> Result<OwnState> {
        let path = format!("/conversations/{id}/my");
        self.call(Method::PUT, &path, Some(change)).await
    }

    /// Dissolves a group (owner), or hides a single chat.
    pub async fn delete_conversation(&self, id: ConversationId) -> Result<()> {
        let path = format!("/conversations/{id}");
        self.call::<Nothing>(Method::DELETE, &path, NO_BODY)
            .await
            .map(drop)
    }
}
