//! Invitation links of groups.

use gochat_core::ids::{ConversationId, UserId};
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Api, Conversation, NO_BODY, Nothing};
use crate::Result;

/// An invitation link of a group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InvitationLink {
    /// Code of the link, as [`Api::join_by_link`] takes it.
    pub code: String,
    /// Address to give away.
    #[serde(default)]
    pub url: String,
    /// Group that the link leads to.
    pub conversation_id: ConversationId,
    /// Maker of the link.
    pub creator_id: UserId,
    /// Number of users who may join by the link; `None` = as many as the group has room for.
    #[serde(default)]
    pub max_uses: Option<u32>,
    /// Number of users who joined by the link.
    #[serde(default)]
    pub uses: u32,
    /// Unix seconds.
    #[serde(default)]
    pub created_at: i64,
    /// Unix seconds in which the link ends.
    #[serde(default)]
    pub expires_at: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Links {
    invitations: Vec<InvitationLink>,
}

/// Outcome of joining by a link.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct JoinedByLink {
    /// The group that the user is a member of now; `None` after a request.
    pub conversation: Option<Conversation>,
    /// An admin has to accept first: the user has an open request to join.
    pub requested: bool,
}

impl Api {
    /// Makes an invitation link of a group, for a number of users (`None`: as many as the group has
    /// room for), until a Unix second within a year (`None`: for 14 days).
    pub async fn create_invitation_link(
        &self,
        id: ConversationId,
        max_uses: Option<u32>,
        expires_at: Option<i64>,
    ) -> Result<InvitationLink> {
        let mut body = Map::new();
        if let Some(max_uses) = max_uses {
            body.insert("maxUses".to_owned(), Value::from(max_uses));
        }
        if let Some(at) = expires_at {
            body.insert("expiresAt".to_owned(), Value::from(at));
        }
        let path = format!("/conversations/{id}/invitations");
        self.call(Method::POST, &path, Some(&body)).await
    }

    /// Open invitation links of a group: all for admins, their own for members.
    pub async fn invitation_links(&self, id: ConversationId) -> Result<Vec<InvitationLink>> {
        let path = format!("/conversations/{id}/invitations");
        Ok(self.get::<Links>(&path).await?.invitations)
    }

    /// Revokes an invitation link: any for admins, their own for members.
    pub async fn revoke_invitation_link(&self, id: ConversationId, code: &str) -> Result<()> {
        let path = format!("/conversations/{id}/invitations/{code}");
        self.call::<Nothing>(Method::DELETE, &path, NO_BODY)
            .await
            .map(drop)
    }

    /// Joins a group by the code of an invitation link, or asks to join where that needs approval.
    /// Repeating it is safe.
    pub async fn join_by_link(&self, code: &str) -> Result<JoinedByLink> {
        let path = format!("/invitations/{code}/accept");
        self.call(Method::POST, &path, NO_BODY).await
    }
}
