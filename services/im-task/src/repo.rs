//! im-repo, as im-task sees it. Every call may be repeated, so callers just try again.

use std::future::Future;
use std::time::Duration;

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_infra::rpc::{Channel, error_from};
use gochat_proto::im::repo::v1 as pb;
use pb::conversation_service_client::ConversationServiceClient;
use pb::friend_service_client::FriendServiceClient;
use pb::message_service_client::MessageServiceClient;
use pb::online_status_service_client::OnlineStatusServiceClient;
use pb::user_service_client::UserServiceClient;
use tonic::{Request, Response, Status};

/// Largest answer taken: a page of a thousand members with names fits.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// Users asked about in one presence call.
const PRESENCE_PAGE: usize = 1_000;

/// Clients of im-repo's services. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Repo {
    users: UserServiceClient<Channel>,
    conversations: ConversationServiceClient<Channel>,
    messages: MessageServiceClient<Channel>,
    friends: FriendServiceClient<Channel>,
    presence: OnlineStatusServiceClient<Channel>,
    timeout: Duration,
}

impl Repo {
    pub(crate) fn new(channel: &Channel, timeout: Duration) -> Self {
        let c = || channel.clone();
        Self {
            users: UserServiceClient::new(c()).max_decoding_message_size(MAX_ANSWER_BYTES),
            conversations: ConversationServiceClient::new(c()).max_decoding_message_size(MAX_ANSWER_BYTES),
            messages: MessageServiceClient::new(c()).max_encoding_message_size(MAX_ANSWER_BYTES),
            friends: FriendServiceClient::new(c()).max_decoding_message_size(MAX_ANSWER_BYTES),
            presence: OnlineStatusServiceClient::new(c()).max_decoding_message_size(MAX_ANSWER_BYTES),
            timeout,
        }
    }

    async fn within<T>(&self, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(error_from(&status)),
            Err(_) => Err(ErrorCode::Timeout.into()),
        }
    }

    /// Sessions of users; offline ones are left out.
    pub(crate) async fn online(&self, users: &[String]) -> Result<Vec<pb::OnlineStatus>> {
        let mut online = Vec::new();
        for page in users.chunks(PRESENCE_PAGE) {
            let request = pb::GetUsersOnlineStatusRequest { user_ids: page.to_vec() };
            let mut client = self.presence.clone();
            let answer = self.within(client.get_users_online_status(Request::new(request))).await?;
            online.extend(answer.statuses.into_iter().filter(|s| s.is_online));
        }
        Ok(online)
    }
}

macro_rules! calls {
    ($($client:ident.$rpc:ident($request:ident) -> $answer:ident;)*) => {
        impl Repo {
            $(pub(crate) async fn $rpc(&self, request: pb::$request) -> Result<pb::$answer, Error> {
                let mut client = self.$client.clone();
                self.within(client.$rpc(Request::new(request))).await
            })*
        }
    };
}

calls! {
    messages.batch_save_messages(BatchSaveMessagesRequest) -> BatchSaveMessagesResponse;
}
