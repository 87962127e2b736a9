//! `ConversationService`.

mod announcement;
mod around;
mod asks;
mod changes;
mod consent;
pub(super) mod create;
pub(super) mod depart;
pub(super) mod history;
pub(super) mod info;
mod links;
mod list;
pub(super) mod members;
pub(super) mod mine;
mod own_state;
mod read;
mod read_by;
pub(super) mod view;
pub(super) mod visible;

use gochat_proto::im::logic::v1 as pb;
use pb::conversation_service_server::ConversationService;

super::service! {
    /// Everything about a conversation except sending.
    ConversationService {
        create_conversation(CreateConversationRequest) -> CreateConversationResponse = create::create;
        get_conversation(GetConversationRequest) -> GetConversationResponse = view::get;
        get_conversations(GetConversationsRequest) -> GetConversationsResponse = list::plain;
        get_conversations_optimized(GetConversationsOptimizedRequest)
            -> GetConversationsOptimizedResponse = list::optimized;
        search_conversations(SearchConversationsRequest) -> SearchConversationsResponse = list::search;
        update_conversation(UpdateConversationRequest) -> UpdateConversationResponse = info::update;
        delete_conversation(DeleteConversationRequest) -> DeleteConversationResponse = info::delete;
        add_members(AddMembersRequest) -> AddMembersResponse = members::add;
        remove_members(RemoveMembersRequest) -> RemoveMembersResponse = members::remove;
        update_member_role(UpdateMemberRoleRequest) -> UpdateMemberRoleResponse = members::change_role;
        get_invitations(GetInvitationsRequest) -> GetInvitationsResponse = consent::list;
        answer_invitation(AnswerInvitationRequest) -> AnswerInvitationResponse = consent::answer;
        create_invitation_link(CreateInvitationLinkRequest) -> CreateInvitationLinkResponse = links::create;
        list_invitation_links(ListInvitationLinksRequest) -> ListInvitationLinksResponse = links::list;
        revoke_invitation_link(RevokeInvitationLinkRequest) -> RevokeInvitationLinkResponse = links::revoke;
        use_invitation_link(UseInvitationLinkRequest) -> UseInvitationLinkResponse = links::join;
        ask_to_join(AskToJoinRequest) -> AskToJoinResponse = asks::ask;
        get_join_request(GetJoinRequestRequest) -> GetJoinRequestResponse = asks::get;
        list_join_requests(ListJoinRequestsRequest) -> ListJoinRequestsResponse = asks::list;
        answer_join_request(AnswerJoinRequestRequest) -> AnswerJoinRequestResponse = asks::answer;
        mute_member(MuteMemberRequest) -> MuteMemberResponse = members::mute;
        leave_conversation(LeaveConversationRequest) -> LeaveConversationResponse = members::leave;
        get_members(GetMembersRequest) -> GetMembersResponse = members::list;
        get_messages(GetMessagesRequest) -> GetMessagesResponse = history::get;
        list_changes(ListChangesRequest) -> ListChangesResponse = changes::list;
        mark_as_read(MarkAsReadRequest) -> MarkAsReadResponse = read::mark;
        update_own_state(UpdateOwnStateRequest) -> UpdateOwnStateResponse = own_state::update;
        hide_message(HideMessageRequest) -> HideMessageResponse = own_state::hide;
        clear_history(ClearHistoryRequest) -> ClearHistoryResponse = own_state::clear;
        list_hidden(ListHiddenRequest) -> ListHiddenResponse = own_state::hidden;
        read_announcement(ReadAnnouncementRequest) -> ReadAnnouncementResponse = announcement::read;
        list_announcement_readers(ListAnnouncementReadersRequest)
            -> ListAnnouncementReadersResponse = announcement::readers;
        get_read_by(GetReadByRequest) -> GetReadByResponse = read_by::get;
        get_unread_count(GetUnreadCountRequest) -> GetUnreadCountResponse = read::unread;
        join_world_chat(JoinWorldChatRequest) -> JoinWorldChatResponse = create::join_world;
    }
}
