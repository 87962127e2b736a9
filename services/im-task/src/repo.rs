//! Calls to im-repo, each with a deadline and an error of the catalogue.

use std::future::Future;
use std::time::Duration;

use gochat_core::audience::{Audience, Roster};
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::UserId;
use gochat_infra::rpc::{Channel, busy, error_from};
use gochat_proto::im::repo::v1::audit_service_client::AuditServiceClient;
use gochat_proto::im::repo::v1::conversation_service_client::ConversationServiceClient;
use gochat_proto::im::repo::v1::friend_service_client::FriendServiceClient;
use gochat_proto::im::repo::v1::message_service_client::MessageServiceClient;
use gochat_proto::im::repo::v1::online_status_service_client::OnlineStatusServiceClient;
use gochat_proto::im::repo::v1::user_service_client::UserServiceClient;
use gochat_proto::im::repo::v1::*;
use hashbrown::HashMap;
use tonic::{Response, Status};

/// Users per lookup, as the contract says.
pub(crate) const LOOKUP: usize = 1_000;

/// im-repo. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Repo {
    channel: Channel,
    deadline: Duration,
}

/// Declares one method per RPC.
macro_rules! calls {
    ($($name:ident: $client:ident.$rpc:ident($request:ty) -> $response:ty;)*) => {
        $(
            pub(crate) async fn $name(&self, request: $request) -> Result<$response> {
                within(self.deadline, $client::new(self.channel.clone()).$rpc(request)).await
            }
        )*
    };
}

impl Repo {
    pub(crate) fn new(channel: Channel, deadline: Duration) -> Self {
        Self { channel, deadline }
    }

    /// Stores messages: the busiest call, made directly where im-repo is in the same process.
    pub(crate) async fn save_messages(
        &self,
        request: BatchSaveMessagesRequest,
    ) -> Result<BatchSaveMessagesResponse> {
        let far = |channel, request| async move {
            let mut client = MessageServiceClient::new(channel);
            client.batch_save_messages(request).await
        };
        let call = self.channel.call(busy::SAVE_MESSAGES, request, far);
        within(self.deadline, call).await
    }

    /// Reads arrivals, once per batch of messages.
    pub(crate) async fn arrivals(
        &self,
        request: ListArrivalsRequest,
    ) -> Result<ListArrivalsResponse> {
        let far = |channel, request| async move {
            let mut client = OnlineStatusServiceClient::new(channel);
            client.list_arrivals(request).await
        };
        let call = self.channel.call(busy::LIST_ARRIVALS, request, far);
        within(self.deadline, call).await
    }

    calls! {
        authors: MessageServiceClient.list_message_authors(ListMessageAuthorsRequest) -> ListMessageAuthorsResponse;
        facts: ConversationServiceClient.load_conversation_facts(LoadConversationFactsRequest) -> LoadConversationFactsResponse;
        conversations: ConversationServiceClient.batch_get_conversations(BatchGetConversationsRequest) -> BatchGetConversationsResponse;
        members: ConversationServiceClient.get_conversation_members(GetConversationMembersRequest) -> GetConversationMembersResponse;
        friends: FriendServiceClient.get_user_friends(GetUserFriendsRequest) -> GetUserFriendsResponse;
        users: UserServiceClient.get_users(GetUsersRequest) -> GetUsersResponse;
        delete_guests: UserServiceClient.delete_expired_guests(DeleteExpiredGuestsRequest) -> DeleteExpiredGuestsResponse;
        purge_audit: AuditServiceClient.purge_audit(PurgeAuditRequest) -> PurgeAuditResponse;
        clean_sessions: OnlineStatusServiceClient.cleanup_expired_status(CleanupExpiredStatusRequest) -> CleanupExpiredStatusResponse;
        gateways: OnlineStatusServiceClient.list_online_gateways(ListOnlineGatewaysRequest) -> ListOnlineGatewaysResponse;
        statuses: OnlineStatusServiceClient.get_users_online_status(GetUsersOnlineStatusRequest) -> GetUsersOnlineStatusResponse;
    }

    /// Gateways that hold a session.
    pub(crate) async fn live_gateways(&self) -> Result<Vec<String>> {
        let answer = self.gateways(ListOnlineGatewaysRequest {}).await?;
        Ok(answer.gateway_ids)
    }

    /// Who of these users is connected, and to which gateways. Any number of users.
    pub(crate) async fn gateways_of<'u>(
        &self,
        users: impl IntoIterator<Item = &'u str>,
    ) -> Result<HashMap<String, Vec<String>>> {
        let users: Vec<&str> = users.into_iter().collect();
        let mut online = HashMap::new();
        for chunk in users.chunks(LOOKUP) {
            let user_ids = chunk.iter().map(ToString::to_string).collect();
            let found = self
                .statuses(GetUsersOnlineStatusRequest { user_ids })
                .await?;
            let live = found.statuses.into_iter().filter(|s| s.is_online);
            online.extend(live.map(|s| (s.user_id, gateways(s.gateway_ids, s.gateway_id))));
        }
        Ok(online)
    }

    /// Who of an audience is connected, and to which gateways.
    pub(crate) async fn gateways_of_all(
        &self,
        audience: &Audience,
    ) -> Result<HashMap<String, Vec<String>>> {
        let ids: Vec<String> = audience.users().iter().map(UserId::to_string).collect();
        self.gateways_of(ids.iter().map(String::as_str)).await
    }

    /// Facts of conversations as they are now, never cached: with all members of those that have at
    /// most `max_members`, of larger ones with the asked users alone.
    pub(crate) async fn facts_now(
        &self,
        asked: impl IntoIterator<Item = (String, Vec<String>)>,
        max_members: i32,
    ) -> Result<Vec<ConversationFacts>> {
        let query = |(conversation_id, sender_ids)| FactsQuery {
            conversation_id,
            sender_ids,
            ..Default::default()
        };
        let mut queries: Vec<FactsQuery> = asked.into_iter().map(query).collect();
        let mut known = Vec::with_capacity(queries.len());
        // An answer that is full ends early.
        while !queries.is_empty() {
            let request = LoadConversationFactsRequest {
                queries: queries.clone(),
                max_members,
                ..Default::default()
            };
            let facts = self.facts(request).await?.facts;
            if facts.is_empty() {
                return Err(ErrorCode::Internal.into());
            }
            queries.drain(..facts.len().min(queries.len()));
            known.extend(facts);
        }
        Ok(known)
    }

    /// One page of members after a user id.
    pub(crate) async fn page(
        &self,
        conversation_id: &str,
        after_user_id: &str,
        limit: u32,
    ) -> Result<GetConversationMembersResponse> {
        let request = GetConversationMembersRequest {
            conversation_id: conversation_id.to_owned(),
            after_user_id: after_user_id.to_owned(),
            limit: i32::try_from(limit).unwrap_or(i32::MAX),
            ..Default::default()
        };
        self.members(request).await
    }
}

/// The members that facts name, as of the load.
pub(crate) fn roster(facts: &ConversationFacts) -> Roster {
    let ids = facts.members.iter().map(|member| member.user_id.parse());
    Roster::loaded(ids.filter_map(std::result::Result::ok))
}

/// The members of a page, as of the load.
pub(crate) fn roster_of_page(page: &GetConversationMembersResponse) -> Roster {
    let users = page
        .members
        .iter()
        .filter_map(|member| member.user.as_ref());
    Roster::loaded(users.filter_map(|user| user.id.parse().ok()))
}

/// Repositories of before the list name the newest gateway only.
fn gateways(all: Vec<String>, newest: String) -> Vec<String> {
    if all.is_empty() && !newest.is_empty() {
        vec![newest]
    } else {
        all
    }
}

/// Puts a deadline around a call and turns its status into an error.
pub(crate) async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = std::result::Result<Response<T>, Status>>,
) -> Result<T> {
    match tokio::time::timeout(deadline, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(error_from(&status)),
        Err(_) => Err(Error::from(ErrorCode::Timeout)),
    }
}
