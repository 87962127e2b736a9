//! What messages said before they were edited.

use gochat_core::ids::{ConversationId, MessageId};
use serde::Deserialize;

use super::Api;
use crate::Result;

/// A text that a message no longer says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FormerText {
    /// The edit that made the text; 0 for the text that was sent.
    pub edit_no: u32,
    /// The text.
    pub content: String,
    /// JSON text.
    pub extra: Option<String>,
    /// Unix seconds at which the message began to say it.
    pub written_at: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FormerTexts {
    former_texts: Vec<FormerText>,
}

impl Api {
    /// What a message of a group said before it was edited, by ascending number, where the group
    /// keeps that (`keep_former_texts` in its settings). For admins and the owner.
    pub async fn former_texts(
        &self,
        id: ConversationId,
        message: MessageId,
    ) -> Result<Vec<FormerText>> {
        let path = format!("/conversations/{id}/messages/{message}/former-texts");
        let kept: FormerTexts = self.get(&path).await?;
        Ok(kept.former_texts)
    }
}
