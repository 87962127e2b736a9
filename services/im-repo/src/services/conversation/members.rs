//! Members: adding, removing, roles, mutes, listing.

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::{ConversationId, UserId};
use gochat_core::membership::{FailedUser, GroupAct, GroupCommand, Mute, Operator};
use gochat_infra::port::db::{GroupOutcome, MembersQuery, PageStart};
use gochat_proto::common::v1::ConversationMember;
use gochat_proto::im::repo::v1::*;

use super::ConversationApi;
use crate::rpc::failed;
use crate::{args, convert, pages};

/// Members of a page when the caller names no size.
const PAGE_DEFAULT: u32 = 50;
/// Most members of a page.
const PAGE_MAX: u32 = 1_000;

impl ConversationApi {
    /// Runs a command that is judged in the transaction that writes it.
    pub(super) async fn command(
        &self,
        id: ConversationId,
        by: Operator,
        act: GroupAct,
    ) -> Result<GroupOutcome> {
        let command = GroupCommand { by, act };
        let now = self.shared.now();
        let db = self.shared.db.clone();
        let judged = async move { db.command(id, command, now).await };
        let done = self.shared.conversations.change(vec![id], judged).await;
        done.map_err(failed)
    }

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
        let by = args::operator(&request.operator_id)?;
        let act = if users.iter().all(|user| by == Operator::User(*user)) {
            GroupAct::Join
        } else {
            let capacity = match u32::try_from(request.max_members) {
                Ok(max) if max > 0 => max,
                _ => u32::MAX,
            };
            GroupAct::Add {
                users,
                role: args::giveable_role(request.role)?,
                capacity: Some(capacity),
            }
        };
        let GroupOutcome {
            conversation,
            decision,
        } = self.command(id, by, act).await?;
        let full = |f: &FailedUser| f.error.code == ErrorCode::ConversationFull;
        let no_room = decision.failed.iter().any(full);
        if no_room && decision.failed.iter().all(full) && decision.writes.is_empty() {
            return Err(ErrorCode::ConversationFull.into());
        }
        Ok(AddConversationMemberResponse {
            success: !no_room,
            added_user_ids: decision.added().iter().map(ToString::to_string).collect(),
            member_count: convert::narrow(conversation.member_count),
            failures: decision.failed.iter().map(convert::failure).collect(),
        })
    }

    pub(crate) async fn remove_conversation_member(
        &self,
        request: RemoveConversationMemberRequest,
    ) -> Result<RemoveConversationMemberResponse> {
        let id = args::group(&request.conversation_id, "conversation_id")?;
        let user = args::user(&request.user_id, "user_id")?;
        let by = args::operator(&request.operator_id)?;
        let done = self.command(id, by, GroupAct::Remove(user)).await?;
        Ok(RemoveConversationMemberResponse {
            success: !done.decision.writes.is_empty(),
            member_count: convert::narrow(done.conversation.member_count),
        })
    }

    pub(super) async fn update_member_role(
        &self,
        request: UpdateMemberRoleRequest,
    ) -> Result<UpdateMemberRoleResponse> {
        let by = args::operator(&request.operator_id)?;
        let (group, user) = (&request.conversation_id, &request.user_id);
        let done = self.set_role(by, group, user, request.new_role).await?;
        Ok(UpdateMemberRoleResponse {
            success: true,
            changes: convert::role_changes(&done.decision),
        })
    }

    /// Gives a role other than owner; the role must be named.
    pub(crate) async fn set_role(
        &self,
        by: Operator,
        group: &str,
        user: &str,
        role: i32,
    ) -> Result<GroupOutcome> {
        let id = args::group(group, "conversation_id")?;
        let user = args::user(user, "user_id")?;
        args::role(role)?;
        let role = args::giveable_role(role)?;
        self.command(id, by, GroupAct::SetRole(user, role)).await
    }

    pub(super) async fn mute_member(
        &self,
        request: MuteMemberRequest,
    ) -> Result<MuteMemberResponse> {
        let id = args::group(&request.conversation_id, "conversation_id")?;
        let user = args::user(&request.user_id, "user_id")?;
        let by = args::operator(&request.operator_id)?;
        let until = args::millis_or_none(request.muted_until).filter(|_| request.muted);
        let mute = Mute::from_columns(request.muted, until.unwrap_or(0));
        self.command(id, by, GroupAct::Mute(user, mute)).await?;
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
            updated_after: args::changed_since(request.updated_after),
        };
        let page = self.shared.db.members(query).await.map_err(failed)?;
        let mut members: Vec<_> = page.members.iter().map(convert::member_entry).collect();
        let mut next = page.next;
        let mut removed = page.removed;
        if pages::bound(&mut members) {
            next = page.members[..members.len()]
                .last()
                .map(|m| m.member.user_id);
            removed.retain(|user| next.is_some_and(|next| *user <= next));
        }
        Ok(GetConversationMembersResponse {
            members,
            total: convert::wide(page.total),
            has_more: next.is_some(),
            removed_user_ids: removed.iter().map(ToString::to_string).collect(),
            next_after_user_id: next.map(|user| user.to_string()).unwrap_or_default(),
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
