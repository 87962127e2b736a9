//! ConversationService: conversations, members, read pointers and the sequencer's facts.

mod announcement;
mod asks;
mod change;
mod facts;
mod invitations;
mod links;
mod list;
mod members;
mod owed;
mod own_state;
mod read;

use gochat_proto::im::repo::v1::{conversation_service_server::ConversationService, *};

use crate::rpc::serve;
use crate::services::api;

api!(
    /// Conversations.
    ConversationApi
);

serve!(impl ConversationService => ConversationApi {
    get_user_conversations_with_details(GetUserConversationsWithDetailsRequest)
        -> GetUserConversationsWithDetailsResponse;
    create_conversation(CreateConversationRequest) -> CreateConversationResponse;
    get_conversation(GetConversationRequest) -> GetConversationResponse;
    update_conversation(UpdateConversationRequest) -> UpdateConversationResponse;
    delete_conversation(DeleteConversationRequest) -> DeleteConversationResponse;
    get_user_conversations(GetUserConversationsRequest) -> GetUserConversationsResponse;
    batch_get_conversations(BatchGetConversationsRequest) -> BatchGetConversationsResponse;
    update_read_pointer(UpdateReadPointerRequest) -> UpdateReadPointerResponse;
    change_own_state(ChangeOwnStateRequest) -> ChangeOwnStateResponse;
    hide_message(HideMessageRequest) -> HideMessageResponse;
    clear_history(ClearHistoryRequest) -> ClearHistoryResponse;
    list_hidden(ListHiddenRequest) -> ListHiddenResponse;
    read_announcement(ReadAnnouncementRequest) -> ReadAnnouncementResponse;
    list_announcement_readers(ListAnnouncementReadersRequest) -> ListAnnouncementReadersResponse;
    list_readers(ListReadersRequest) -> ListReadersResponse;
    get_read_pointer(GetReadPointerRequest) -> GetReadPointerResponse;
    get_unread_count(GetUnreadCountRequest) -> GetUnreadCountResponse;
    batch_get_unread_counts(BatchGetUnreadCountsRequest) -> BatchGetUnreadCountsResponse;
    add_conversation_member(AddConversationMemberRequest) -> AddConversationMemberResponse;
    remove_conversation_member(RemoveConversationMemberRequest)
        -> RemoveConversationMemberResponse;
    update_member_role(UpdateMemberRoleRequest) -> UpdateMemberRoleResponse;
    get_conversation_members(GetConversationMembersRequest) -> GetConversationMembersResponse;
    get_member(GetMemberRequest) -> GetMemberResponse;
    load_conversation_facts(LoadConversationFactsRequest) -> LoadConversationFactsResponse;
    hide_conversation(HideConversationRequest) -> HideConversationResponse;
    transfer_ownership(TransferOwnershipRequest) -> TransferOwnershipResponse;
    search_conversations(SearchConversationsRequest) -> SearchConversationsResponse;
    create_invitations(CreateInvitationsRequest) -> CreateInvitationsResponse;
    list_invitations(ListInvitationsRequest) -> ListInvitationsResponse;
    answer_invitation(AnswerInvitationRequest) -> AnswerInvitationResponse;
    create_invitation_link(CreateInvitationLinkRequest) -> CreateInvitationLinkResponse;
    get_invitation_link(GetInvitationLinkRequest) -> GetInvitationLinkResponse;
    list_invitation_links(ListInvitationLinksRequest) -> ListInvitationLinksResponse;
    revoke_invitation_link(RevokeInvitationLinkRequest) -> RevokeInvitationLinkResponse;
    use_invitation_link(UseInvitationLinkRequest) -> UseInvitationLinkResponse;
    ask_to_join(AskToJoinRequest) -> AskToJoinResponse;
    get_join_request(GetJoinRequestRequest) -> GetJoinRequestResponse;
    list_join_requests(ListJoinRequestsRequest) -> ListJoinRequestsResponse;
    answer_join_request(AnswerJoinRequestRequest) -> AnswerJoinRequestResponse;
    count_conversations(CountConversationsRequest) -> CountConversationsResponse;
    mute_member(MuteMemberRequest) -> MuteMemberResponse;
    list_owed_messages(ListOwedMessagesRequest) -> ListOwedMessagesResponse;
    settle_owed_messages(SettleOwedMessagesRequest) -> SettleOwedMessagesResponse;
});
