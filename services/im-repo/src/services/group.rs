//! GroupService: the same rows under the older names. A group id is a conversation id.

use gochat_core::error::Result;
use gochat_core::membership::Operator;
use gochat_proto::common::v1::ConversationType;
use gochat_proto::im::repo::v1::{group_service_server::GroupService, *};

use crate::args;
use crate::convert;
use crate::rpc::serve;
use crate::services::conversation::ConversationApi;
use crate::services::online::OnlineApi;
use crate::shared::Shared;

/// Groups, by way of the services that own the rows.
#[derive(Clone)]
pub(crate) struct GroupApi {
    shared: std::sync::Arc<Shared>,
    conversations: ConversationApi,
    online: OnlineApi,
}

serve!(impl GroupService => GroupApi {
    create_group(CreateGroupRequest) -> CreateGroupResponse;
    get_group(GetGroupRequest) -> GetGroupResponse;
    update_group(UpdateGroupRequest) -> UpdateGroupResponse;
    add_group_member(AddGroupMemberRequest) -> AddGroupMemberResponse;
    remove_group_member(RemoveGroupMemberRequest) -> RemoveGroupMemberResponse;
    get_group_members(GetGroupMembersRequest) -> GetGroupMembersResponse;
    get_members_online_status(GetMembersOnlineStatusRequest) -> GetMembersOnlineStatusResponse;
    update_member_role(GroupServiceUpdateMemberRoleRequest)
        -> GroupServiceUpdateMemberRoleResponse;
});

impl GroupApi {
    pub(crate) fn new(shared: std::sync::Arc<Shared>) -> Self {
        let conversations = ConversationApi::new(shared.clone());
        let online = OnlineApi::new(shared.clone());
        Self {
            shared,
            conversations,
            online,
        }
    }

    async fn create_group(&self, request: CreateGroupRequest) -> Result<CreateGroupResponse> {
        let create = CreateConversationRequest {
            r#type: ConversationType::Group as i32,
            id: request.group_id,
            name: request.name,
            avatar_url: request.avatar_url,
            description: request.description,
            owner_id: request.owner_id,
            ..Default::default()
        };
        let created = self.conversations.create_conversation(create).await?;
        Ok(CreateGroupResponse {
            group: created.conversation.map(convert::group),
        })
    }

    async fn get_group(&self, request: GetGroupRequest) -> Result<GetGroupResponse> {
        let id = args::group(&request.group_id, "group_id")?;
        let (conversation, from_cache) = self.shared.conversations.one(id).await?;
        Ok(GetGroupResponse {
            group: Some(convert::group(conversation)),
            from_cache,
        })
    }

    async fn update_group(&self, request: UpdateGroupRequest) -> Result<UpdateGroupResponse> {
        args::group(&request.group_id, "group_id")?;
        let update = UpdateConversationRequest {
            conversation_id: request.group_id,
            name: request.name,
            avatar_url: request.avatar_url,
            description: request.description,
            update_mask: request.update_mask,
            ..Default::default()
        };
        let updated = self.conversations.update_conversation(update).await?;
        Ok(UpdateGroupResponse {
            group: updated.conversation.map(convert::group),
        })
    }

    /// Adding a member again answers the standing membership.
    async fn add_group_member(
        &self,
        request: AddGroupMemberRequest,
    ) -> Result<AddGroupMemberResponse> {
        let id = args::group(&request.group_id, "group_id")?;
        let user = args::user(&request.user_id, "user_id")?;
        let add = AddConversationMemberRequest {
            conversation_id: request.group_id,
            user_ids: vec![request.user_id],
            role: request.role,
            ..Default::default()
        };
        self.conversations.add_conversation_member(add).await?;
        let member = self.conversations.member(id, user).await?;
        Ok(AddGroupMemberResponse {
            member: Some(convert::group_member(member)),
        })
    }

    async fn remove_group_member(
        &self,
        request: RemoveGroupMemberRequest,
    ) -> Result<RemoveGroupMemberResponse> {
        let remove = RemoveConversationMemberRequest {
            conversation_id: request.group_id,
            user_id: request.user_id,
            ..Default::default()
        };
        self.conversations
            .remove_conversation_member(remove)
            .await?;
        // Whether a row went or none was there: the user is no member now.
        Ok(RemoveGroupMemberResponse { success: true })
    }

    async fn get_group_members(
        &self,
        request: GetGroupMembersRequest,
    ) -> Result<GetGroupMembersResponse> {
        args::group(&request.group_id, "group_id")?;
        let list = GetConversationMembersRequest {
            conversation_id: request.group_id,
            offset: request.offset,
            limit: request.limit,
            role_filter: request.role_filter,
            ..Default::default()
        };
        let page = self.conversations.get_conversation_members(list).await?;
        Ok(GetGroupMembersResponse {
            members: page
                .members
                .into_iter()
                .map(convert::group_member)
                .collect(),
            total: page.total,
            has_more: page.has_more,
        })
    }

    async fn get_members_online_status(
        &self,
        request: GetMembersOnlineStatusRequest,
    ) -> Result<GetMembersOnlineStatusResponse> {
        let ask = GetUsersOnlineStatusRequest {
            user_ids: request.user_ids,
        };
        let statuses = self.online.get_users_online_status(ask).await?.statuses;
        Ok(GetMembersOnlineStatusResponse { statuses })
    }

    async fn update_member_role(
        &self,
        request: GroupServiceUpdateMemberRoleRequest,
    ) -> Result<GroupServiceUpdateMemberRoleResponse> {
        let (group, user) = (&request.group_id, &request.user_id);
        self.conversations
            .set_role(Operator::System, group, user, request.new_role)
            .await?;
        Ok(GroupServiceUpdateMemberRoleResponse { success: true })
    }
}
