//! im-repo, as im-logic sees it: one method per RPC, errors of the catalogue, deadlines, and
//! retries for the calls that may be repeated.

mod facts;
mod people;
mod relations;

use std::future::Future;
use std::time::Duration;

pub(crate) use facts::Facts;
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_infra::rpc::{Channel, error_from, with_retry};
use gochat_proto::im::repo::v1 as pb;
use pb::audit_service_client::AuditServiceClient;
use pb::conversation_service_client::ConversationServiceClient;
use pb::friend_service_client::FriendServiceClient;
use pb::key_service_client::KeyServiceClient;
use pb::message_service_client::MessageServiceClient;
use pb::online_status_service_client::OnlineStatusServiceClient;
use pb::rate_limit_service_client::RateLimitServiceClient;
use pb::session_service_client::SessionServiceClient;
use pb::user_service_client::UserServiceClient;
pub(crate) use people::{People, is_active};
pub(crate) use relations::person;
use tonic::{Request, Response, Status};

use crate::{config, trace};

/// Largest answer we take, in bytes: a page of a thousand long messages fits.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Clients of im-repo's services. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Repo {
    users: UserServiceClient<Channel>,
    conversations: ConversationServiceClient<Channel>,
    messages: MessageServiceClient<Channel>,
    friends: FriendServiceClient<Channel>,
    presence: OnlineStatusServiceClient<Channel>,
    sessions: SessionServiceClient<Channel>,
    keys: KeyServiceClient<Channel>,
    limits: RateLimitServiceClient<Channel>,
    audits: AuditServiceClient<Channel>,
    timeout: Duration,
    attempts: u32,
}

impl Repo {
    pub(crate) fn new(channel: &Channel, config: &config::Repo) -> Self {
        let c = || channel.clone();
        Self {
            users: UserServiceClient::new(c()),
            conversations: ConversationServiceClient::new(c())
                .max_decoding_message_size(MAX_ANSWER_BYTES),
            messages: MessageServiceClient::new(c()).max_decoding_message_size(MAX_ANSWER_BYTES),
            friends: FriendServiceClient::new(c()),
            presence: OnlineStatusServiceClient::new(c()),
            sessions: SessionServiceClient::new(c()),
            keys: KeyServiceClient::new(c()),
            limits: RateLimitServiceClient::new(c()),
            audits: AuditServiceClient::new(c()),
            timeout: config.timeout(),
            attempts: config.attempts,
        }
    }

    async fn within_deadline<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(error_from(&status)),
            Err(_) => Err(ErrorCode::Timeout.into()),
        }
    }
}

fn traced<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    trace::inject(request.metadata_mut());
    request
}

/// `once` for calls whose repetition could do something else, `again` for those that may be
/// repeated while the error says so.
macro_rules! calls {
    ($($mode:ident $client:ident.$rpc:ident($request:ident) -> $answer:ident as $name:ident;)*) => {
        impl Repo {
            $(calls!(@$mode $client $rpc $request $answer $name);)*
        }
    };
    (@once $client:ident $rpc:ident $request:ident $answer:ident $name:ident) => {
        pub(crate) async fn $name(&self, request: pb::$request) -> Result<pb::$answer> {
            let mut client = self.$client.clone();
            self.within_deadline(client.$rpc(traced(request))).await
        }
    };
    (@again $client:ident $rpc:ident $request:ident $answer:ident $name:ident) => {
        pub(crate) async fn $name(&self, request: pb::$request) -> Result<pb::$answer> {
            with_retry(self.attempts, || {
                let (mut client, request) = (self.$client.clone(), request.clone());
                async move { self.within_deadline(client.$rpc(traced(request))).await }
            })
            .await
        }
    };
}

calls! {
    once users.create_user(CreateUserRequest) -> CreateUserResponse as create_user;
    again users.get_user(GetUserRequest) -> GetUserResponse as get_user;
    again users.get_users(GetUsersRequest) -> GetUsersResponse as get_users;
    once users.update_user(UpdateUserRequest) -> UpdateUserResponse as update_user;
    once users.use_invitation(UseInvitationRequest) -> UseInvitationResponse as use_invitation;
    once users.return_invitation(ReturnInvitationRequest) -> ReturnInvitationResponse as return_invitation;
    once users.verify_password(VerifyPasswordRequest) -> VerifyPasswordResponse as verify_password;
    again users.delete_user(DeleteUserRequest) -> DeleteUserResponse as delete_user;
    once users.set_password(SetPasswordRequest) -> SetPasswordResponse as set_password;
    again users.upgrade_guest(UpgradeGuestRequest) -> UpgradeGuestResponse as upgrade_guest;
    again users.get_user_by_username(GetUserByUsernameRequest) -> GetUserByUsernameResponse as user_by_name;
    again users.search_users_by_username(SearchUsersByUsernameRequest) -> SearchUsersByUsernameResponse as search_users;

    again conversations.get_user_conversations_with_details(GetUserConversationsWithDetailsRequest)
        -> GetUserConversationsWithDetailsResponse as list_conversations;
    once conversations.create_conversation(CreateConversationRequest) -> CreateConversationResponse as create_conversation;
    again conversations.get_conversation(GetConversationRequest) -> GetConversationResponse as get_conversation;
    once conversations.update_conversation(UpdateConversationRequest) -> UpdateConversationResponse as update_conversation;
    again conversations.delete_conversation(DeleteConversationRequest) -> DeleteConversationResponse as delete_conversation;
    again conversations.hide_conversation(HideConversationRequest) -> HideConversationResponse as hide_conversation;
    again conversations.update_read_pointer(UpdateReadPointerRequest) -> UpdateReadPointerResponse as update_read_pointer;
    again conversations.get_read_pointer(GetReadPointerRequest) -> GetReadPointerResponse as get_read_pointer;
    again conversations.change_own_state(ChangeOwnStateRequest) -> ChangeOwnStateResponse as change_own_state;
    again conversations.hide_message(HideMessageRequest) -> HideMessageResponse as hide_message;
    again conversations.clear_history(ClearHistoryRequest) -> ClearHistoryResponse as clear_history;
    again conversations.list_hidden(ListHiddenRequest) -> ListHiddenResponse as list_hidden;
    again conversations.read_announcement(ReadAnnouncementRequest) -> ReadAnnouncementResponse as read_announcement;
    again conversations.list_announcement_readers(ListAnnouncementReadersRequest)
        -> ListAnnouncementReadersResponse as announcement_readers;
    again conversations.list_readers(ListReadersRequest) -> ListReadersResponse as list_readers;
    again conversations.batch_get_unread_counts(BatchGetUnreadCountsRequest) -> BatchGetUnreadCountsResponse as unread_counts;
    once conversations.add_conversation_member(AddConversationMemberRequest) -> AddConversationMemberResponse as add_members;
    once conversations.remove_conversation_member(RemoveConversationMemberRequest)
        -> RemoveConversationMemberResponse as remove_member;
    again conversations.update_member_role(UpdateMemberRoleRequest) -> UpdateMemberRoleResponse as update_role;
    once conversations.transfer_ownership(TransferOwnershipRequest) -> TransferOwnershipResponse as transfer_ownership;
    again conversations.create_invitations(CreateInvitationsRequest) -> CreateInvitationsResponse as invite;
    again conversations.list_invitations(ListInvitationsRequest) -> ListInvitationsResponse as list_invitations;
    once conversations.answer_invitation(AnswerInvitationRequest) -> AnswerInvitationResponse as answer_invitation;
    again conversations.create_invitation_link(CreateInvitationLinkRequest) -> CreateInvitationLinkResponse as create_link;
    again conversations.get_invitation_link(GetInvitationLinkRequest) -> GetInvitationLinkResponse as get_link;
    again conversations.list_invitation_links(ListInvitationLinksRequest) -> ListInvitationLinksResponse as list_links;
    again conversations.revoke_invitation_link(RevokeInvitationLinkRequest) -> RevokeInvitationLinkResponse as revoke_link;
    once conversations.use_invitation_link(UseInvitationLinkRequest) -> UseInvitationLinkResponse as use_link;
    again conversations.ask_to_join(AskToJoinRequest) -> AskToJoinResponse as ask_to_join;
    again conversations.get_join_request(GetJoinRequestRequest) -> GetJoinRequestResponse as get_join_request;
    again conversations.list_join_requests(ListJoinRequestsRequest) -> ListJoinRequestsResponse as list_join_requests;
    once conversations.answer_join_request(AnswerJoinRequestRequest) -> AnswerJoinRequestResponse as answer_join_request;
    again conversations.count_conversations(CountConversationsRequest) -> CountConversationsResponse as count_conversations;
    again conversations.list_owed_messages(ListOwedMessagesRequest) -> ListOwedMessagesResponse as owed_messages;
    again conversations.settle_owed_messages(SettleOwedMessagesRequest) -> SettleOwedMessagesResponse as settle_owed;
    again conversations.mute_member(MuteMemberRequest) -> MuteMemberResponse as mute_member;
    again conversations.get_conversation_members(GetConversationMembersRequest)
        -> GetConversationMembersResponse as get_members;
    again conversations.get_member(GetMemberRequest) -> GetMemberResponse as get_member;
    again conversations.load_conversation_facts(LoadConversationFactsRequest)
        -> LoadConversationFactsResponse as load_facts;
    again conversations.search_conversations(SearchConversationsRequest)
        -> SearchConversationsResponse as search_conversations;

    again messages.list_reactions(ListReactionsRequest) -> ListReactionsResponse as reactions;
    again messages.list_own_reactions(ListOwnReactionsRequest) -> ListOwnReactionsResponse as own_reactions;
    again messages.list_pins(ListPinsRequest) -> ListPinsResponse as pins;
    again messages.list_former_texts(ListFormerTextsRequest) -> ListFormerTextsResponse as former_texts;
    again messages.get_message(GetMessageRequest) -> GetMessageResponse as get_message;
    again messages.get_conversation_messages(GetConversationMessagesRequest)
        -> GetConversationMessagesResponse as get_messages;
    again messages.list_changes(ListChangesRequest) -> ListChangesResponse as list_changes;

    again friends.get_user_friends_with_sync(GetUserFriendsWithSyncRequest)
        -> GetUserFriendsWithSyncResponse as get_friends;
    once friends.create_friend_request(CreateFriendRequestRequest) -> CreateFriendRequestResponse as create_request;
    again friends.get_relations(GetRelationsRequest) -> GetRelationsResponse as get_relations;
    again friends.set_blocked(SetBlockedRequest) -> SetBlockedResponse as set_blocked;
    again friends.remove_friend(RemoveFriendRequest) -> RemoveFriendResponse as remove_friend;
    once friends.update_friend_request(UpdateFriendRequestRequest) -> UpdateFriendRequestResponse as answer_request;
    again friends.get_user_friend_requests(GetUserFriendRequestsRequest)
        -> GetUserFriendRequestsResponse as get_requests;

    again presence.get_users_online_status(GetUsersOnlineStatusRequest) -> GetUsersOnlineStatusResponse as online;

    once limits.allow(AllowRequest) -> AllowResponse as allow;
    once limits.guess(GuessRequest) -> GuessResponse as guess;
    once limits.confirm_guess(ConfirmGuessRequest) -> ConfirmGuessResponse as confirm_guess;
    once limits.use_proof(UseProofRequest) -> UseProofResponse as use_proof;

    again sessions.create_session(CreateSessionRequest) -> CreateSessionResponse as create_session;
    again sessions.refresh_session(RefreshSessionRequest) -> RefreshSessionResponse as refresh_session;
    again sessions.get_session(GetSessionRequest) -> GetSessionResponse as get_session;
    again sessions.list_sessions(ListSessionsRequest) -> ListSessionsResponse as list_sessions;
    again sessions.end_sessions(EndSessionsRequest) -> EndSessionsResponse as end_sessions;

    again keys.list_signing_keys(ListSigningKeysRequest) -> ListSigningKeysResponse as signing_keys;
    again keys.add_signing_key(AddSigningKeyRequest) -> AddSigningKeyResponse as add_signing_key;
    again keys.retire_signing_key(RetireSigningKeyRequest) -> RetireSigningKeyResponse as retire_signing_key;

    again audits.append_audit(AppendAuditRequest) -> AppendAuditResponse as append_audit;
    again audits.list_audit(ListAuditRequest) -> ListAuditResponse as list_audit;
}

/// The inner message of an answer that must have one.
pub(crate) fn present<T>(inner: Option<T>) -> Result<T> {
    inner.ok_or_else(|| {
        tracing::error!("im-repo answered without the message it promises");
        Error::from(ErrorCode::Internal)
    })
}
