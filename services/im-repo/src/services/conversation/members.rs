//! Members: adding, removing, roles, mutes, listing.

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::{ConversationId, UserId};
use gochat_infra::port::db::{AddMembers, MembersQuery, Mute, PageStart};
use gochat_proto::common::v1::ConversationMember;
use gochat_proto::im::repo::v1::*;

use super::ConversationApi;
use crate::rpc::failed;
use crate::{args, convert};

/// Members of a page when the caller names no size.
const PAGE_DEFAULT: u32 = 50;
/// Most members of a page.
const PAGE_MAX: u32 = 1_000;

impl ConversationApi {
    /// Users who found no room are left out; when nobody did, the call is refused.
    pub(crate) async fn add_conversation_member(
        &self,
        request: AddConversationMemberRequest,
    ) -> Result<AddConversationMemberResponse> {
        let id = args::group(&request.conversation_id, "conversation_id")?;
        let users = args::users(&request.user_ids, "user_ids")?;
        if users.is_empty() {
            return Err(args::invalid("`user_ids` is missing."));
        }
        let add = AddMembers {
            conversation: id,
            users,
            role: args::giveable_role(request.role)? as i32,
            max_members: u32::try_from(request.max_members).unwrap_or(0),
            now: self.shared.now(),
        };
        let outcome = self.shared.db.add_members(add).await.map_err(failed)?;
        self.shared.conversations.forget(&[id]).await;
        if !outcome.no_room.is_empty() && outcome.added.is_empty() && outcome.already.is_empty() {
            return Err(ErrorCode::ConversationFull.into());
        }
        Ok(AddConversationMemberResponse {
            success: outcome.no_room.is_empty(),
            added_user_ids: outcome.added.iter().map(ToString::to_string).collect(),
            member_count: convert::narrow(outcome.member_count),
        })
    }

    pub(crate) async fn remove_conversation_member(
        &self,
        request: RemoveConversationMemberRequest,
    ) -> Result<RemoveConversationMemberResponse> {
        let id = args::group(&request.conversation_id, "conversation_id")?;
        let user = args::user(&request.user_id, "user_id")?;
        let now = self.shared.now();
        let outcome = self
            .shared
            .db
            .remove_member(id, user, now)
            .await
            .map_err(failed)?;
        self.shared.conversations.forget(&[id]).await;
        Ok(RemoveConversationMemberResponse {
            success: outcome.removed,
            member_count: convert::narrow(outcome.member_count),
        })
    }

    pub(super) async fn update_member_role(
        &self,
        request: UpdateMemberRoleRequest,
    ) -> Result<UpdateMemberRoleResponse> {
        self.set_role(&request.conversation_id, &request.user_id, request.new_role)
            .await?;
        Ok(UpdateMemberRoleResponse { success: true })
    }

    /// Gives a role other than owner; the role must be named.
    pub(crate) async fn set_role(&self, group: &str, user: &str, role: i32) -> Result<()> {
        let id = args::group(group, "conversation_id")?;
        let user = args::user(user, "user_id")?;
        args::role(role)?;
        let role = args::giveable_role(role)? as i32;
        self.shared
            .db
            .set_role(id, user, role, self.shared.now())
            .await
            .map_err(failed)?;
        Ok(())
    }

    pub(super) async fn mute_member(
        &self,
        request: MuteMemberRequest,
    ) -> Result<MuteMemberResponse> {
        let id = args::group(&request.conversation_id, "conversation_id")?;
        let user = args::user(&request.user_id, "user_id")?;
        let until = args::millis_or_none(request.muted_until).filter(|_| request.muted);
        let mute = Mute {
            muted: request.muted,
            until,
        };
        self.shared
            .db
            .set_mute(id, user, mute, self.shared.now())
            .await
            .map_err(failed)?;
        Ok(MuteMemberResponse { success: true })
    }

    pub(crate) async fn get_conversation_members(
        &self,
        request: GetConversationMembersRequest,
    ) -> Result<GetConversationMembersResponse> {
        let start = match args::user_or_none(&request.after_user_id, "after_user_id")? {
            Some(after) => PageStart::After(after),
            None => PageStart::Offset(args::offset(request.offset)),
        };
        let query = MembersQuery {
            conversation: args::conversation(&request.conversation_id)?,
            start,
            limit: args::limit(request.limit, PAGE_DEFAULT, PAGE_MAX),
            role: args::role_filter(request.role_filter)?,
        };
        let page = self.shared.db.members(query).await.map_err(failed)?;
        Ok(GetConversationMembersResponse {
            members: page.members.iter().map(convert::member_entry).collect(),
            total: convert::wide(page.total),
            has_more: page.has_more,
        })
    }

    pub(super) async fn get_member(&self, request: GetMemberRequest) -> Result<GetMemberResponse> {
        let id = args::conversation(&request.conversation_id)?;
        let user = args::user(&request.user_id, "user_id")?;
        Ok(GetMemberResponse {
            member: Some(self.member(id, user).await?),
        })
    }

    /// One membership with its user; `NOT_FOUND` for non-members, as the contract says.
    pub(crate) async fn member(
        &self,
        id: ConversationId,
        user: UserId,
    ) -> Result<ConversationMember> {
        let row = self.shared.db.member(id, user).await.map_err(failed)?;
        let row = row.ok_or(Error::new(ErrorCode::NotFound, "There is no such member."))?;
        let account = self.shared.users.one(user).await?;
        Ok(convert::member(
            &row,
            account.map(|found| convert::info_of(&found.user)),
        ))
    }
}
