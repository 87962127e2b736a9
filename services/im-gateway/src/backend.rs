//! The services behind the gateway: clients, deadlines, retries.

use std::future::Future;
use std::time::Duration;

use gochat_core::error::{Error, ErrorCode};
use gochat_infra::rpc::{Channel, error_from, with_retry};
use gochat_proto::im::logic::v1::auth_service_client::AuthServiceClient;
use gochat_proto::im::logic::v1::conversation_service_client::ConversationServiceClient;
use gochat_proto::im::logic::v1::friend_service_client::FriendServiceClient;
use gochat_proto::im::logic::v1::key_service_client::KeyServiceClient;
use gochat_proto::im::logic::v1::message_service_client::MessageServiceClient;
use gochat_proto::im::logic::v1::{GetPublicKeysRequest, GetPublicKeysResponse};
use gochat_proto::im::repo::v1 as repo;
use gochat_proto::im::repo::v1::conversation_service_client::ConversationServiceClient as RepoConversations;
use gochat_proto::im::repo::v1::message_service_client::MessageServiceClient as RepoMessages;
use gochat_proto::im::repo::v1::online_status_service_client::OnlineStatusServiceClient;
use gochat_proto::im::repo::v1::rate_limit_service_client::RateLimitServiceClient;
use gochat_proto::im::repo::v1::session_service_client::SessionServiceClient;
use tonic::{Request, Response, Status};

use crate::config;

/// Largest answer taken from a service, as the contract says.
const MAX_MESSAGE: usize = 4 << 20;

/// Clients of every service the gateway calls. Cheap to clone.
pub(crate) struct Backend {
    pub(crate) auth: AuthServiceClient<Channel>,
    pub(crate) conversations: ConversationServiceClient<Channel>,
    pub(crate) messages: MessageServiceClient<Channel>,
    pub(crate) friends: FriendServiceClient<Channel>,
    keys: KeyServiceClient<Channel>,
    presence: OnlineStatusServiceClient<Channel>,
    sessions: SessionServiceClient<Channel>,
    facts: RepoConversations<Channel>,
    messages_stored: RepoMessages<Channel>,
    rate_limits: RateLimitServiceClient<Channel>,
    timeout: Duration,
    read_attempts: u32,
}

macro_rules! repo_calls {
    ($($(#[$doc:meta])* $method:ident: $client:ident($request:ident) -> $response:ident;)*) => {
        impl Backend {
            $(
                $(#[$doc])*
                pub(crate) async fn $method(
                    &self,
                    request: repo::$request,
                ) -> Result<repo::$response, Error> {
                    self.read(&self.$client, "", request, |mut c, r| async move { c.$method(r).await })
                        .await
                }
            )*
        }
    };
}

repo_calls! {
    /// Registers sessions; safe to repeat.
    set_users_online: presence(SetUsersOnlineRequest) -> SetUsersOnlineResponse;
    /// Removes sessions; safe to repeat.
    set_users_offline: presence(SetUsersOfflineRequest) -> SetUsersOfflineResponse;
    /// Refreshes sessions.
    update_heartbeats: presence(UpdateHeartbeatsRequest) -> UpdateHeartbeatsResponse;
    /// Removes what earlier runs of this gateway left; safe to repeat.
    drop_gateway: presence(DropGatewayRequest) -> DropGatewayResponse;
    /// Who is connected, and where.
    get_users_online_status: presence(GetUsersOnlineStatusRequest) -> GetUsersOnlineStatusResponse;
    /// A page of ended sessions.
    list_ended_sessions: sessions(ListEndedSessionsRequest) -> ListEndedSessionsResponse;
    /// A stored message.
    get_message: messages_stored(GetMessageRequest) -> GetMessageResponse;
    /// Members of conversations.
    load_conversation_facts: facts(LoadConversationFactsRequest) -> LoadConversationFactsResponse;
}

impl Backend {
    pub(crate) fn new(logic: Channel, repo: Channel, config: &config::Backend) -> Self {
        Self {
            auth: AuthServiceClient::new(logic.clone()).max_decoding_message_size(MAX_MESSAGE),
            conversations: ConversationServiceClient::new(logic.clone())
                .max_decoding_message_size(MAX_MESSAGE),
            messages: MessageServiceClient::new(logic.clone())
                .max_decoding_message_size(MAX_MESSAGE),
            keys: KeyServiceClient::new(logic.clone()).max_decoding_message_size(MAX_MESSAGE),
            friends: FriendServiceClient::new(logic).max_decoding_message_size(MAX_MESSAGE),
            presence: OnlineStatusServiceClient::new(repo.clone())
                .max_decoding_message_size(MAX_MESSAGE),
            sessions: SessionServiceClient::new(repo.clone())
                .max_decoding_message_size(MAX_MESSAGE),
            facts: RepoConversations::new(repo.clone()).max_decoding_message_size(MAX_MESSAGE),
            messages_stored: RepoMessages::new(repo.clone()).max_decoding_message_size(MAX_MESSAGE),
            rate_limits: RateLimitServiceClient::new(repo).max_decoding_message_size(MAX_MESSAGE),
            timeout: config.rpc_timeout(),
            read_attempts: config.read_attempts,
        }
    }

    /// Takes a token from a bucket that all gateways share: one attempt, a repeat could take two.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub(crate) async fn allow(
        &self,
        trace: &str,
        request: repo::AllowRequest,
    ) -> Result<repo::AllowResponse, Error> {
        let clients = &self.rate_limits;
        self.call(clients, trace, request, |mut c, r| async move {
            c.allow(r).await
        })
        .await
    }

    /// The keys whose tokens are accepted.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub(crate) async fn get_public_keys(
        &self,
        request: GetPublicKeysRequest,
    ) -> Result<GetPublicKeysResponse, Error> {
        self.read(&self.keys, "", request, |mut c, r| async move {
            c.get_public_keys(r).await
        })
        .await
    }

    /// A call that may have effects: one attempt, with a deadline.
    ///
    /// # Errors
    /// What the service refused with; `TIMEOUT` after the deadline.
    pub(crate) async fn call<C, Q, A, F, Fut>(
        &self,
        client: &C,
        trace: &str,
        request: Q,
        call: F,
    ) -> Result<A, Error>
    where
        C: Clone,
        F: FnOnce(C, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<A>, Status>>,
    {
        let call = Box::pin(call(client.clone(), traced(request, trace)));
        match tokio::time::timeout(self.timeout, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(error_from(&status)),
            Err(_) => Err(ErrorCode::Timeout.into()),
        }
    }

    /// A call that is safe to repeat: a few attempts while the error says a retry can help.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub(crate) async fn read<C, Q, A, F, Fut>(
        &self,
        client: &C,
        trace: &str,
        request: Q,
        call: F,
    ) -> Result<A, Error>
    where
        C: Clone,
        Q: Clone,
        F: Fn(C, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<A>, Status>>,
    {
        let attempts = with_retry(self.read_attempts, || {
            self.call(client, trace, request.clone(), &call)
        });
        match tokio::time::timeout(self.timeout, attempts).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ErrorCode::Timeout.into()),
        }
    }
}

/// The request with its trace id.
fn traced<Q>(request: Q, trace: &str) -> Request<Q> {
    let mut request = Request::new(request);
    if let Ok(value) = trace.parse() {
        request.metadata_mut().insert("x-trace-id", value);
    }
    request
}
