//! Members of groups.

use gochat_core::ids::{ConversationId, RequestId, UserId};
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Api, ConversationMember, NO_BODY, Nothing, Role};
use crate::Result;

/// One page of members.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MemberPage {
    /// What the page holds.
    pub members: Vec<ConversationMember>,
    /// Whether another page follows.
    pub has_more: bool,
    /// Where the next page starts; `None` at the end.
    pub next_cursor: Option<String>,
    /// No longer members, in answers to an incremental question.
    pub removed_user_ids: Vec<UserId>,
    /// `last_sync` of the next incremental question, once all pages of this one were read.
    pub sync_time: i64,
}

/// What became of an invitation of several users.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Added {
    /// Members now.
    pub added_user_ids: Vec<UserId>,
    /// Not added, and why.
    pub failed_users: Vec<FailedMember>,
}

/// A user who could not be added.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedMember {
    /// Who.
    pub user_id: String,
    /// In words.
    #[serde(default)]
    pub reason: String,
    /// Stable code.
    #[serde(default)]
    pub code: String,
}

/// An invitation to a group.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invitation {
    /// Identifier of the invitation.
    pub id: RequestId,
    /// To which group.
    pub conversation_id: ConversationId,
    /// The group's name.
    #[serde(default)]
    pub name: String,
    /// Unix seconds at which the invitation ends.
    #[serde(default)]
    pub expires_at: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Invitations {
    invitations: Vec<Invitation>,
}

impl Api {
    /// The user's open invitations to groups, in the order they were made, behind `after`.
    pub async fn invitations(&self, after: Option<RequestId>) -> Result<Vec<Invitation>> {
        let after = after.map(|id| format!("?after={id}")).unwrap_or_default();
        let path = format!("/invitations{after}");
        Ok(self.get::<Invitations>(&path).await?.invitations)
    }

    /// Accepts or rejects an invitation to a group.
    pub async fn answer_invitation(&self, invitation: RequestId, accept: bool) -> Result<()> {
        let body = json!({ "action": if accept { "accept" } else { "reject" } });
        let path = format!("/invitations/{invitation}");
        self.call::<Nothing>(Method::PUT, &path, Some(&body))
            .await
            .map(drop)
    }

    /// A page of members, from page 1, at most 100 each.
    pub async fn members(&self, id: ConversationId, page: u32, size: u32) -> Result<MemberPage> {
        self.get(&format!(
            "/conversations/{id}/members?page={page}&size={size}"
        ))
        .await
    }

    /// A page of members behind a cursor (none: from the first), at most 100 each; with `last_sync`
    /// only who changed in that Unix second or later, and who left.
    pub async fn list_members(
        &self,
        id: ConversationId,
        cursor: Option<&str>,
        last_sync: Option<i64>,
        size: u32,
    ) -> Result<MemberPage> {
        let mut path = format!("/conversations/{id}/members?size={size}");
        if let Some(cursor) = cursor {
            path.push_str("&cursor=");
            path.push_str(cursor);
        }
        if let Some(since) = last_sync {
            path.push_str(&format!("&last_sync={since}"));
        }
        self.get(&path).await
    }

    /// Adds users to a group.
    pub async fn add_members(&self, id: ConversationId, users: &[UserId]) -> Result<Added> {
        let body = json!({ "members": users });
        self.call(
            Method::POST,
            &format!("/conversations/{id}/members"),
            Some(&body),
        )
        .await
    }

    /// Removes a user from a group; one's own id means leaving.
    pub async fn remove_member(&self, id: ConversationId, user: UserId) -> Result<()> {
        let path = format!("/conversations/{id}/members/{user}");
        self.call::<Nothing>(Method::DELETE, &path, NO_BODY)
            .await
            .map(drop)
    }

    /// Sets a member's role; [`Role::Owner`] hands the group over.
    pub async fn set_role(&self, id: ConversationId, user: UserId, role: Role) -> Result<()> {
        let path = format!("/conversations/{id}/members/{user}");
        let body = json!({ "role": role as i32 });
        self.call::<Nothing>(Method::PUT, &path, Some(&body))
            .await
            .map(drop)
    }

    /// Mutes a member until a Unix second, or without an end for 0; `None` lifts the mute.
    pub async fn mute_member(
        &self,
        id: ConversationId,
        user: UserId,
        until: Option<i64>,
    ) -> Result<()> {
        let path = format!("/conversations/{id}/members/{user}/mute");
        let body = json!({ "until": until });
        self.call::<Nothing>(Method::PUT, &path, Some(&body))
            .await
            .map(drop)
    }
}
