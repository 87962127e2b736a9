//! Announcements of groups.

use gochat_core::ids::ConversationId;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Api, Conversation, Reader};
use crate::Result;

/// The announcement of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Announcement {
    /// The text, at most 2000 characters.
    pub text: String,
    /// Unix seconds.
    pub updated_at: i64,
    /// User that set the text.
    pub operator_id: Option<String>,
    /// Number of texts so far.
    pub version: u64,
    /// Whether the user has read this text, or set it; `None` in lists.
    pub read: Option<bool>,
    /// Number of members that have read this text, without the one who set it; `None` in lists.
    pub read_count: Option<u64>,
}

/// What the user has read of an announcement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AnnouncementRead {
    /// The newest version that the user has read; 0 when there is none.
    pub version: u64,
    /// Whether the user has read the present text.
    pub read: bool,
}

/// One page of the readers of the present announcement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AnnouncementReaders {
    /// The version that they have read; 0 when there is no announcement.
    pub version: u64,
    /// In the order in which they read.
    pub users: Vec<Reader>,
    /// Where the next page starts; `None` at the end.
    pub next_cursor: Option<String>,
    /// Whether another page follows.
    pub has_more: bool,
}

impl Api {
    /// Sets the announcement of a group; the empty text removes it. For admins and the owner.
    pub async fn announce(&self, id: ConversationId, text: &str) -> Result<Conversation> {
        let body = json!({ "announcement": text });
        self.call(Method::PUT, &format!("/conversations/{id}"), Some(&body))
            .await
    }

    /// Reports that the user has read a version of the announcement. The user's other devices hear
    /// of it as [`Event::OwnStateChanged`](crate::Event::OwnStateChanged).
    pub async fn read_announcement(
        &self,
        id: ConversationId,
        version: u64,
    ) -> Result<AnnouncementRead> {
        let path = format!("/conversations/{id}/announcement/read");
        let body = json!({ "version": version });
        self.call(Method::PUT, &path, Some(&body)).await
    }

    /// Lists who has read the present announcement, at most 100 a page. When the text is replaced
    /// between two pages, `VERSION_CONFLICT` asks to start anew.
    pub async fn announcement_readers(
        &self,
        id: ConversationId,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<AnnouncementReaders> {
        let mut path = format!("/conversations/{id}/announcement/readers?limit={limit}");
        if let Some(cursor) = cursor {
            path.push_str("&cursor=");
            path.push_str(cursor);
        }
        self.get(&path).await
    }
}
