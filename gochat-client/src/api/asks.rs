//! Requests to join groups.

use gochat_core::ids::{ConversationId, RequestId, UserId};
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Api, Nothing, User};
use crate::Result;

/// State of a request to join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JoinStatus {
    /// Waits for an admin.
    Open,
    /// The asker became a member.
    Accepted,
    /// Refused.
    Rejected,
}

/// A request to join a group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinRequest {
    /// Identifier of the request.
    pub id: RequestId,
    /// Group to join.
    pub conversation_id: ConversationId,
    /// The asker.
    pub user_id: UserId,
    /// The asker in full, where requests are read.
    #[serde(default)]
    pub user: Option<User>,
    /// State.
    pub status: JoinStatus,
    /// Words of the asker.
    #[serde(default)]
    pub message: String,
    /// Unix seconds.
    #[serde(default)]
    pub created_at: i64,
    /// Unix seconds in which the request was made or answered.
    #[serde(default)]
    pub updated_at: i64,
}

/// A page of open requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JoinRequestPage {
    /// Requests of the page, in the order in which they were made.
    pub requests: Vec<JoinRequest>,
    /// True if another page follows.
    pub has_more: bool,
}

impl Api {
    /// Asks to join a group, with words to its admins. An open request stays as it is.
    pub async fn ask_to_join(&self, id: ConversationId, message: &str) -> Result<JoinRequest> {
        let path = format!("/conversations/{id}/join-requests");
        let body = json!({ "message": message });
        self.call(Method::POST, &path, Some(&body)).await
    }

    /// Open requests to join a group that the user manages, behind `after`.
    pub async fn join_requests(
        &self,
        id: ConversationId,
        after: Option<RequestId>,
    ) -> Result<JoinRequestPage> {
        let after = after.map(|id| format!("?after={id}")).unwrap_or_default();
        self.get(&format!("/conversations/{id}/join-requests{after}"))
            .await
    }

    /// The request of a user: one's own, or anybody's in a group that the user manages.
    pub async fn join_request(&self, id: ConversationId, asker: UserId) -> Result<JoinRequest> {
        self.get(&format!("/conversations/{id}/join-requests/{asker}"))
            .await
    }

    /// Accepts or rejects a request to join. Repeating it is safe.
    pub async fn answer_join_request(
        &self,
        id: ConversationId,
        asker: UserId,
        accept: bool,
    ) -> Result<()> {
        let path = format!("/conversations/{id}/join-requests/{asker}");
        let body = json!({ "action": if accept { "accept" } else { "reject" } });
        self.call::<Nothing>(Method::PUT, &path, Some(&body))
            .await
            .map(drop)
    }
}
