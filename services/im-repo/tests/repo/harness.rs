//! A running im-repo and short ways to talk to it.

use std::sync::Arc;

use gochat_core::error::{Error, ErrorCode};
use gochat_core::ratelimit::RuleTable;
use gochat_infra::embedded::cache::MemoryCache;
use gochat_infra::embedded::counter::{MemoryCounters, MemoryLimiter, MemoryOnce};
use gochat_infra::embedded::presence::MemoryPresence;
use gochat_infra::embedded::sqlite::{SqliteDatabase, SqliteOptions};
use gochat_infra::ids::{SnowflakeIds, now_ms};
use gochat_infra::rpc::{Channel, error_from};
use gochat_proto::common::v1::{ConversationType, User};
use gochat_proto::im::repo::v1::conversation_service_client::ConversationServiceClient;
use gochat_proto::im::repo::v1::friend_service_client::FriendServiceClient;
use gochat_proto::im::repo::v1::group_service_client::GroupServiceClient;
use gochat_proto::im::repo::v1::idempotency_service_client::IdempotencyServiceClient;
use gochat_proto::im::repo::v1::message_service_client::MessageServiceClient;
use gochat_proto::im::repo::v1::online_status_service_client::OnlineStatusServiceClient;
use gochat_proto::im::repo::v1::sequence_service_client::SequenceServiceClient;
use gochat_proto::im::repo::v1::session_service_client::SessionServiceClient;
use gochat_proto::im::repo::v1::user_service_client::UserServiceClient;
use gochat_proto::im::repo::v1::*;
use im_repo::{Config, Ports, Service};
use tokio_util::sync::CancellationToken;

/// A running im-repo; its files go when it is dropped.
pub(crate) struct Repo {
    pub(crate) channel: Channel,
    pub(crate) db: SqliteDatabase,
    pub(crate) ports: Ports,
    config: Config,
    _folder: tempfile::TempDir,
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    i64::try_from(now_ms() / 1_000).unwrap()
}

impl Repo {
    pub(crate) async fn start() -> Self {
        Self::with(Config::default()).await
    }

    /// An im-repo whose reads wait long enough for a row that a busy machine stores meanwhile.
    pub(crate) async fn patient() -> Self {
        let mut config = Config::default();
        config.reads.wait_ms = 4_000;
        Self::with(config).await
    }

    async fn with(config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions {
            readers: 2,
            ..SqliteOptions::new(folder.path().join("gochat.db"))
        };
        let db = SqliteDatabase::open(options).unwrap();
        let ports = Ports {
            db: Arc::new(db.clone()),
            cache: Arc::new(MemoryCache::new(4 * 1024 * 1024)),
            presence: Arc::new(MemoryPresence::new()),
            once: Arc::new(MemoryOnce::new(1_000)),
            counters: Arc::new(MemoryCounters::new(1_000)),
            limiter: Arc::new(MemoryLimiter::new(RuleTable::default(), 1_000)),
            ids: Arc::new(SnowflakeIds::new(1, CancellationToken::new()).unwrap()),
        };
        let service = Service::bind(config.clone(), ports.clone()).await.unwrap();
        let channel = Channel::in_process(service.routes());
        Self {
            channel,
            db,
            ports,
            config,
            _folder: folder,
        }
    }

    /// The same database behind an empty cache: a restart, or a lost cache.
    pub(crate) async fn without_memory(&self) -> Channel {
        let ports = Ports {
            cache: Arc::new(MemoryCache::new(1024 * 1024)),
            presence: Arc::new(MemoryPresence::new()),
            ..self.ports.clone()
        };
        let service = Service::bind(self.config.clone(), ports).await.unwrap();
        Channel::in_process(service.routes())
    }

    pub(crate) fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.channel.clone())
    }

    pub(crate) fn conversations(&self) -> ConversationServiceClient<Channel> {
        ConversationServiceClient::new(self.channel.clone())
    }

    pub(crate) fn messages(&self) -> MessageServiceClient<Channel> {
        MessageServiceClient::new(self.channel.clone())
    }

    pub(crate) fn online(&self) -> OnlineStatusServiceClient<Channel> {
        OnlineStatusServiceClient::new(self.channel.clone())
    }

    pub(crate) fn friends(&self) -> FriendServiceClient<Channel> {
        FriendServiceClient::new(self.channel.clone())
    }

    pub(crate) fn groups(&self) -> GroupServiceClient<Channel> {
        GroupServiceClient::new(self.channel.clone())
    }

    pub(crate) fn sequences(&self) -> SequenceServiceClient<Channel> {
        SequenceServiceClient::new(self.channel.clone())
    }

    pub(crate) fn claims(&self) -> IdempotencyServiceClient<Channel> {
        IdempotencyServiceClient::new(self.channel.clone())
    }

    pub(crate) fn sessions(&self) -> SessionServiceClient<Channel> {
        SessionServiceClient::new(self.channel.clone())
    }

    /// An account with this name.
    pub(crate) async fn user(&self, name: &str) -> User {
        let request = CreateUserRequest {
            username: name.into(),
            password_hash: "$argon2id$unused".into(),
            ..Default::default()
        };
        let created = self.users().create_user(request).await.unwrap();
        created.into_inner().user.unwrap()
    }

    /// Accounts with these names; their ids.
    pub(crate) async fn people<const N: usize>(&self, names: [&str; N]) -> [String; N] {
        let mut ids = Vec::new();
        for name in names {
            ids.push(self.user(name).await.id);
        }
        ids.try_into().unwrap()
    }

    /// A group of these members, the first its owner; its id.
    pub(crate) async fn group(&self, name: &str, members: &[&String]) -> String {
        let request = CreateConversationRequest {
            r#type: ConversationType::Group as i32,
            name: name.into(),
            owner_id: members[0].clone(),
            member_ids: members.iter().copied().cloned().collect(),
            ..Default::default()
        };
        let created = self
            .conversations()
            .create_conversation(request)
            .await
            .unwrap();
        created.into_inner().conversation.unwrap().id
    }

    /// The single chat of two people; its id.
    pub(crate) async fn single(&self, a: &str, b: &str) -> String {
        let request = CreateConversationRequest {
            r#type: ConversationType::Single as i32,
            member_ids: vec![a.into(), b.into()],
            ..Default::default()
        };
        let created = self
            .conversations()
            .create_conversation(request)
            .await
            .unwrap();
        created.into_inner().conversation.unwrap().id
    }

    /// Stores messages 1 to `count` by one author.
    pub(crate) async fn fill(&self, conversation: &str, sender: &str, count: i64) {
        let messages = (1..=count)
            .map(|seq| message(conversation, sender, seq))
            .collect();
        let request = BatchSaveMessagesRequest { messages };
        let saved = self
            .messages()
            .batch_save_messages(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(
            saved.saved_message_ids.len() as i64,
            count,
            "{:?}",
            saved.failed
        );
    }
}

/// A message whose id follows from its place.
pub(crate) fn message(conversation: &str, sender: &str, seq: i64) -> SaveMessageRequest {
    let place: i64 = conversation.bytes().map(i64::from).sum();
    SaveMessageRequest {
        message_id: (place * 1_000_000 + seq).to_string(),
        conversation_id: conversation.into(),
        sender_id: sender.into(),
        message_type: 1,
        content: format!("message {seq}"),
        seq_id: seq,
        client_msg_id: format!("c-{seq}"),
        extra: String::new(),
        created_at: now(),
        rev: seq,
        ..Default::default()
    }
}

/// An edit of a [`message`].
pub(crate) fn edit(conversation: &str, sender: &str, seq: i64, rev: i64) -> SaveMessageRequest {
    SaveMessageRequest {
        message_type: 0,
        content: format!("edit {rev}"),
        client_msg_id: format!("x-{rev}"),
        rev,
        change: 1,
        edit_count: 1,
        ..message(conversation, sender, seq)
    }
}

/// The refusal of a call.
pub(crate) fn refusal<T: std::fmt::Debug>(
    outcome: Result<tonic::Response<T>, tonic::Status>,
) -> Error {
    error_from(&outcome.expect_err("the call is refused"))
}

/// The code of a refusal.
pub(crate) fn code<T: std::fmt::Debug>(
    outcome: Result<tonic::Response<T>, tonic::Status>,
) -> ErrorCode {
    refusal(outcome).code
}

/// Calls an RPC with a request in short form and takes the answer out of its envelope.
#[macro_export]
macro_rules! call {
    (@value $field:ident) => { $field.into() };
    (@value $field:ident $value:expr) => { $value.into() };
    ($client:expr, $method:ident, $request:ident { $($field:ident $(: $value:expr)?),* $(,)? }) => {
        $client
            .$method(gochat_proto::im::repo::v1::$request {
                $($field: $crate::call!(@value $field $($value)?),)*
                ..Default::default()
            })
            .await
    };
}
