//! Making, changing, hiding and dissolving conversations.

use gochat_core::account::check_avatar_url;
use gochat_core::conversation::{check_announcement, check_description, check_name};
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::{ConversationId, ConversationKind};
use gochat_core::membership::{GroupAct, Operator, Role};
use gochat_infra::port::db::{ConversationPatch, NewConversation};
use gochat_proto::im::repo::v1::*;

use super::ConversationApi;
use crate::rpc::failed;
use crate::{args, convert};

const MASK: [&str; 5] = [
    "name",
    "avatar_url",
    "description",
    "settings",
    "announcement",
];

impl ConversationApi {
    /// What the request asks for, checked.
    fn wanted(&self, request: CreateConversationRequest) -> Result<NewConversation> {
        let members = args::users(&request.member_ids, "member_ids")?;
        args::settings(&request.settings)?;
        let now = self.shared.now();
        match ConversationKind::from_i32(request.r#type) {
            Some(ConversationKind::Single) => {
                let [a, b] = members[..] else {
                    return Err(args::invalid("A single chat has two `member_ids`."));
                };
                let id = ConversationId::single(a, b)
                    .ok_or_else(|| args::invalid("A single chat has two different members."))?;
                if !request.id.is_empty() && args::conversation(&request.id)? != id {
                    return Err(args::invalid("`id` does not belong to these two members."));
                }
                Ok(NewConversation {
                    id,
                    creator: a,
                    members: Vec::new(),
                    name: String::new(),
                    avatar_url: String::new(),
                    description: String::new(),
                    settings: request.settings,
                    now,
                })
            }
            Some(ConversationKind::Group) => {
                check_name(&request.name)?;
                check_avatar_url(&request.avatar_url)?;
                check_description(&request.description)?;
                let id = match request.id.as_str() {
                    "" => args::new_group(self.shared.ids.next_id()?)?,
                    id => args::group(id, "id")?,
                };
                Ok(NewConversation {
                    id,
                    creator: args::user(&request.owner_id, "owner_id")?,
                    members,
                    name: request.name,
                    avatar_url: request.avatar_url,
                    description: request.description,
                    settings: request.settings,
                    now,
                })
            }
            _ => Err(args::invalid("`type` is 1 single or 2 group.")),
        }
    }

    pub(crate) async fn create_conversation(
        &self,
        request: CreateConversationRequest,
    ) -> Result<CreateConversationResponse> {
        let new = self.wanted(request)?;
        let id = new.id;
        let db = self.shared.db.clone();
        // Somebody may have asked for the id before: its absence is remembered.
        let creating = async move { db.create_conversation(new).await };
        let created = self.shared.conversations.change(vec![id], creating).await;
        let created = created.map_err(failed)?;
        Ok(CreateConversationResponse {
            conversation: Some(convert::conversation(&created.conversation)),
            already_existed: created.already_existed,
        })
    }

    pub(crate) async fn update_conversation(
        &self,
        request: UpdateConversationRequest,
    ) -> Result<UpdateConversationResponse> {
        let id = args::conversation(&request.conversation_id)?;
        let mask = args::Mask::new(&request.update_mask, &MASK)?;
        let patch = ConversationPatch {
            name: mask.pick("name", request.name),
            avatar_url: mask.pick("avatar_url", request.avatar_url),
            description: mask.pick("description", request.description),
            settings: mask.pick("settings", request.settings),
            announcement: mask.pick("announcement", request.announcement),
            // The caller knows seconds: the last millisecond of the one it saw.
            expected_updated_at: args::millis_or_none(request.expected_updated_at)
                .map(|second| second + 999),
            expected_version: request.expected_version.map(args::version),
            by: args::user_or_none(&request.operator_id, "operator_id")?,
        };
        if let Some(name) = &patch.name {
            check_name(name)?;
        }
        check_avatar_url(patch.avatar_url.as_deref().unwrap_or_default())?;
        check_description(patch.description.as_deref().unwrap_or_default())?;
        check_announcement(patch.announcement.as_deref().unwrap_or_default())?;
        args::settings(patch.settings.as_deref().unwrap_or_default())?;
        let now = self.shared.now();
        let db = self.shared.db.clone();
        let updating = async move { db.update_conversation(id, patch, now).await };
        let row = self.shared.conversations.change(vec![id], updating).await;
        let row = row.map_err(failed)?;
        Ok(UpdateConversationResponse {
            conversation: Some(convert::conversation(&row)),
        })
    }

    pub(super) async fn delete_conversation(
        &self,
        request: DeleteConversationRequest,
    ) -> Result<DeleteConversationResponse> {
        let id = args::group(&request.conversation_id, "conversation_id")?;
        let by = args::operator(&request.operator_id)?;
        self.command(id, by, GroupAct::Dissolve).await?;
        Ok(DeleteConversationResponse { success: true })
    }

    pub(super) async fn hide_conversation(
        &self,
        request: HideConversationRequest,
    ) -> Result<HideConversationResponse> {
        let user = args::user(&request.user_id, "user_id")?;
        let id = args::conversation(&request.conversation_id)?;
        if id.kind() != ConversationKind::Single {
            return Err(args::invalid("Only single chats can be hidden."));
        }
        self.shared
            .db
            .hide(id, user, self.shared.now())
            .await
            .map_err(failed)?;
        Ok(HideConversationResponse { success: true })
    }

    pub(super) async fn transfer_ownership(
        &self,
        request: TransferOwnershipRequest,
    ) -> Result<TransferOwnershipResponse> {
        let id = args::group(&request.conversation_id, "conversation_id")?;
        let from = args::user(&request.from_user_id, "from_user_id")?;
        let to = args::user(&request.to_user_id, "to_user_id")?;
        if from == to {
            return Err(Error::new(
                ErrorCode::InvalidParams,
                "The owner has the group already.",
            ));
        }
        let hand_over = GroupAct::SetRole(to, Role::Owner);
        let done = self.command(id, Operator::User(from), hand_over).await?;
        Ok(TransferOwnershipResponse {
            success: true,
            changes: convert::role_changes(&done.decision),
        })
    }
}
