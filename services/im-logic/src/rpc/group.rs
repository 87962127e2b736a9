//! `GroupService`: the same groups under older names.

use gochat_core::error::{ErrorCode, Result};
use gochat_core::ids::{ConversationId, UserId};
use gochat_core::membership::Role;
use gochat_proto::common::v1::{Conversation, ConversationMember, ConversationType};
use gochat_proto::im::logic::v1 as pb;
use pb::group_service_server::GroupService;

use super::conversation::{create, info, members, view};
use super::parse;
use crate::app::App;
use crate::repo::present;

super::service! {
    /// A facade over the conversation service; a group id is a conversation id.
    GroupService {
        create_group(CreateGroupRequest) -> CreateGroupResponse = create_group;
        get_group(GetGroupRequest) -> GetGroupResponse = get;
        join_group(JoinGroupRequest) -> JoinGroupResponse = join;
        leave_group(LeaveGroupRequest) -> LeaveGroupResponse = leave;
        get_group_members(GetGroupMembersRequest) -> GetGroupMembersResponse = list_members;
        update_group(UpdateGroupRequest) -> UpdateGroupResponse = update;
        set_member_role(SetMemberRoleRequest) -> SetMemberRoleResponse = set_role;
        remove_member(RemoveMemberRequest) -> RemoveMemberResponse = remove;
        add_group_member(AddGroupMemberRequest) -> AddGroupMemberResponse = add;
    }
}

fn group(c: Conversation) -> pb::Group {
    pb::Group {
        id: c.id,
        name: c.name,
        avatar_url: c.avatar_url,
        description: c.description,
        owner_id: c.owner_id,
        member_count: c.member_count,
        created_at: c.created_at,
        updated_at: c.updated_at,
    }
}

fn group_member(group_id: &str, m: ConversationMember) -> pb::GroupMember {
    pb::GroupMember {
        user_id: m
            .user
            .as_ref()
            .map(|user| user.id.clone())
            .unwrap_or_default(),
        group_id: group_id.to_owned(),
        role: m.role,
        joined_at: m.joined_at,
        user: m.user,
    }
}

async fn create_group(
    app: &App,
    request: pb::CreateGroupRequest,
) -> Result<pb::CreateGroupResponse> {
    let request = pb::CreateConversationRequest {
        creator_id: request.creator_id,
        r#type: ConversationType::Group as i32,
        name: request.name,
        avatar_url: request.avatar_url,
        description: request.description,
        member_ids: request.member_ids,
        settings_json: String::new(),
    };
    let created = present(create::create(app, request).await?.conversation)?;
    Ok(pb::CreateGroupResponse {
        group: Some(group(created)),
    })
}

/// Members see the group; others too where anybody may join, so that they know what they join.
async fn get(app: &App, request: pb::GetGroupRequest) -> Result<pb::GetGroupResponse> {
    let (user, id) = (
        parse::user(&request.user_id)?,
        parse::group(&request.group_id)?,
    );
    let facts = app.repo.facts(id, &[user]).await?;
    let role = facts.role_of(user);
    if role.is_none() && facts.group.settings.join_approval_required {
        return Err(ErrorCode::NotConversationMember.into());
    }
    if facts.group.dissolved {
        return Err(ErrorCode::ConversationDissolved.into());
    }
    Ok(pb::GetGroupResponse {
        group: Some(group(view::stored(app, id).await?)),
        user_role: role.map_or(0, |role: Role| role as i32),
    })
}

async fn join(app: &App, request: pb::JoinGroupRequest) -> Result<pb::JoinGroupResponse> {
    let (user, id): (UserId, ConversationId) = (
        parse::user(&request.user_id)?,
        parse::group(&request.group_id)?,
    );
    members::join(app, id, user).await?;
    let joined = view::stored(app, id).await?;
    Ok(pb::JoinGroupResponse {
        success: true,
        group: Some(group(joined)),
    })
}

async fn leave(app: &App, request: pb::LeaveGroupRequest) -> Result<pb::LeaveGroupResponse> {
    let request = pb::LeaveConversationRequest {
        user_id: request.user_id,
        conversation_id: request.group_id,
    };
    let success = members::leave(app, request).await?.success;
    Ok(pb::LeaveGroupResponse { success })
}

async fn list_members(
    app: &App,
    request: pb::GetGroupMembersRequest,
) -> Result<pb::GetGroupMembersResponse> {
    let group_id = request.group_id;
    parse::group(&group_id)?;
    let page = members::list(
        app,
        pb::GetMembersRequest {
            user_id: request.user_id,
            conversation_id: group_id.clone(),
            page: request.page,
            page_size: request.page_size,
            role_filter: request.role_filter,
            ..Default::default()
        },
    )
    .await?;
    Ok(pb::GetGroupMembersResponse {
        members: page
            .members
            .into_iter()
            .map(|m| group_member(&group_id, m))
            .collect(),
        total: page.total,
        page: page.page,
        page_size: page.page_size,
    })
}

async fn update(app: &App, request: pb::UpdateGroupRequest) -> Result<pb::UpdateGroupResponse> {
    parse::group(&request.group_id)?;
    let request = pb::UpdateConversationRequest {
        user_id: request.user_id,
        conversation_id: request.group_id,
        name: request.name,
        avatar_url: request.avatar_url,
        description: request.description,
        ..Default::default()
    };
    let updated = present(info::update(app, request).await?.conversation)?;
    Ok(pb::UpdateGroupResponse {
        success: true,
        group: Some(group(updated)),
    })
}

async fn set_role(
    app: &App,
    request: pb::SetMemberRoleRequest,
) -> Result<pb::SetMemberRoleResponse> {
    let request = pb::UpdateMemberRoleRequest {
        operator_id: request.operator_id,
        conversation_id: request.group_id,
        target_user_id: request.target_user_id,
        new_role: request.new_role,
    };
    let success = members::change_role(app, request).await?.success;
    Ok(pb::SetMemberRoleResponse { success })
}

async fn remove(app: &App, request: pb::RemoveMemberRequest) -> Result<pb::RemoveMemberResponse> {
    let request = pb::RemoveMembersRequest {
        operator_id: request.operator_id,
        conversation_id: request.group_id,
        user_ids: vec![request.target_user_id],
        reason: request.reason,
    };
    let success = members::remove(app, request).await?.success;
    Ok(pb::RemoveMemberResponse { success })
}

async fn add(app: &App, request: pb::AddGroupMemberRequest) -> Result<pb::AddGroupMemberResponse> {
    let request = pb::AddMembersRequest {
        operator_id: request.operator_id,
        conversation_id: request.group_id,
        user_ids: request.user_ids,
        role: 0,
    };
    let outcome = members::add(app, request).await?;
    Ok(pb::AddGroupMemberResponse {
        success: outcome.success,
        added_user_ids: outcome.added_user_ids,
        failed_users: outcome.failed_users,
    })
}
