//! A running im-logic over im-repo on SQLite, and short ways to talk to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gochat_core::error::{Error, ErrorCode};
use gochat_core::ratelimit::RuleTable;
use gochat_infra::embedded::cache::MemoryCache;
use gochat_infra::embedded::counter::{MemoryCounters, MemoryLimiter, MemoryOnce};
use gochat_infra::embedded::log::{EmbeddedLog, LogConfig};
use gochat_infra::embedded::presence::MemoryPresence;
use gochat_infra::embedded::sqlite::{SqliteDatabase, SqliteOptions};
use gochat_infra::ids::{SnowflakeIds, now_ms};
use gochat_infra::port::mq::{ConsumerConfig, Mq, TopicPartition};
use gochat_infra::rpc::{Channel, error_from};
use gochat_infra::topics;
use gochat_proto::common::v1::{ConversationType, Forwarded, User};
use gochat_proto::im::logic::v1::auth_service_client::AuthServiceClient;
use gochat_proto::im::logic::v1::conversation_service_client::ConversationServiceClient;
use gochat_proto::im::logic::v1::friend_service_client::FriendServiceClient;
use gochat_proto::im::logic::v1::message_service_client::MessageServiceClient;
use gochat_proto::im::logic::v1::*;
use gochat_proto::im::repo::v1::message_service_client::MessageServiceClient as StoredMessages;
use gochat_proto::mq::v1::{
    ConversationEvent, FriendEvent, MessageEvent, NotificationEvent, UpstreamKind, UpstreamMessage,
    UserEvent,
};
use im_logic::{Api, ChangeWish, Changed, Config, Ports, SendMessage};
use parking_lot::Mutex;
use prost::Message as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// A running im-logic; its files go when it is dropped.
pub(crate) struct Logic {
    pub(crate) mq: Arc<dyn Mq>,
    pub(crate) repo: Channel,
    channel: Channel,
    clock_ahead: Arc<AtomicU64>,
    /// Changes that were asked for.
    pub(crate) wishes: Arc<Mutex<Vec<ChangeWish>>>,
    _owner: AbortOnDropHandle<()>,
    _folder: tempfile::TempDir,
}

/// These tests send nothing: that is the business of the pipeline's. Wishes for changes are kept.
#[derive(Default)]
pub(crate) struct Nowhere {
    pub(crate) wishes: Arc<Mutex<Vec<ChangeWish>>>,
}

#[async_trait]
impl SendMessage for Nowhere {
    async fn send(
        &self,
        _: SendMessageRequest,
        _: Option<Result<Forwarded, Error>>,
        _: &str,
    ) -> Result<SendMessageResponse, Error> {
        Err(ErrorCode::ServiceUnavailable.into())
    }

    async fn system(&self, _: &gochat_proto::im::repo::v1::OwedMessage) -> Result<(), Error> {
        Err(ErrorCode::ServiceUnavailable.into())
    }

    async fn change(&self, wish: ChangeWish, _: &str) -> Result<Changed, Error> {
        self.wishes.lock().push(wish);
        Ok(Changed { seq: 1, rev: 1 })
    }
}

/// im-repo's ports on this database, with a memory of their own.
pub(crate) fn repo_ports(db: Arc<SqliteDatabase>) -> im_repo::Ports {
    im_repo::Ports {
        db,
        cache: Arc::new(MemoryCache::new(4 << 20)),
        presence: Arc::new(MemoryPresence::new()),
        once: Arc::new(MemoryOnce::new(100)),
        counters: Arc::new(MemoryCounters::new(100)),
        limiter: Arc::new(MemoryLimiter::new(RuleTable::default(), 100)),
        ids: Arc::new(SnowflakeIds::new(1, CancellationToken::new()).unwrap()),
    }
}

/// A log with every topic in this folder.
pub(crate) async fn log_in(folder: &std::path::Path) -> Arc<dyn Mq> {
    let mq: Arc<dyn Mq> = Arc::new(EmbeddedLog::open(LogConfig::new(folder.join("log"))).unwrap());
    mq.ensure_topics(&topics::specs(2)).await.unwrap();
    mq
}

impl Logic {
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// Starts with settings of the test's own.
    pub(crate) async fn with(set: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions {
            readers: 2,
            ..SqliteOptions::new(folder.path().join("gochat.db"))
        };
        let ports = repo_ports(Arc::new(SqliteDatabase::open(options).unwrap()));
        let repo = im_repo::Service::bind(im_repo::Config::default(), ports)
            .await
            .unwrap();
        let repo = Channel::in_process(repo.routes());
        let mq = log_in(folder.path()).await;

        let mut config = Config::default();
        config.auth.secret = "a secret of the tests, long enough".into();
        (config.passwords.memory_kib, config.passwords.passes) = (64, 1);
        set(&mut config);
        let ports = Ports {
            mq: Arc::clone(&mq),
            repo: repo.clone(),
            signed: None,
        };
        let clock_ahead = Arc::new(AtomicU64::new(0));
        let clock = {
            let ahead = Arc::clone(&clock_ahead);
            Arc::new(move || now_ms() + ahead.load(Ordering::Relaxed))
        };
        let nowhere = Nowhere::default();
        let wishes = nowhere.wishes.clone();
        let api = Api::with_clock(&config, &ports, Arc::new(nowhere), clock).unwrap();
        let owner = tokio::spawn(own_upstream(Arc::clone(&mq)));
        Self {
            wishes,
            mq,
            repo,
            channel: Channel::in_process(api.routes()),
            clock_ahead,
            _owner: AbortOnDropHandle::new(owner),
            _folder: folder,
        }
    }

    /// Lets so many milliseconds pass for sessions and tokens.
    pub(crate) fn turn_clock(&self, ms: u64) {
        self.clock_ahead.fetch_add(ms, Ordering::Relaxed);
    }

    pub(crate) fn auth(&self) -> AuthServiceClient<Channel> {
        AuthServiceClient::new(self.channel.clone())
    }

    pub(crate) fn conversations(&self) -> ConversationServiceClient<Channel> {
        ConversationServiceClient::new(self.channel.clone())
    }

    pub(crate) fn friends(&self) -> FriendServiceClient<Channel> {
        FriendServiceClient::new(self.channel.clone())
    }

    pub(crate) fn messages(&self) -> MessageServiceClient<Channel> {
        MessageServiceClient::new(self.channel.clone())
    }

    pub(crate) fn stored(&self) -> StoredMessages<Channel> {
        StoredMessages::new(self.repo.clone())
    }

    /// An account with this name.
    pub(crate) async fn user(&self, name: &str) -> User {
        let request = RegisterRequest {
            username: name.into(),
            password: "correct horse".into(),
            ..Default::default()
        };
        self.auth()
            .register(request)
            .await
            .unwrap()
            .into_inner()
            .user
            .unwrap()
    }

    /// Ids of new accounts.
    pub(crate) async fn people<const N: usize>(&self, names: [&str; N]) -> [String; N] {
        let mut ids = names.map(String::from);
        for id in &mut ids {
            *id = self.user(id).await.id;
        }
        ids
    }

    /// Signs in.
    pub(crate) async fn login(&self, name: &str) -> LoginResponse {
        let request = LoginRequest {
            username: name.into(),
            password: "correct horse".into(),
            client_info: "test".into(),
            ..Default::default()
        };
        self.auth().login(request).await.unwrap().into_inner()
    }

    /// A group of `owner` and `members`; its id.
    pub(crate) async fn group(&self, owner: &str, members: &[&String]) -> String {
        let request = CreateConversationRequest {
            creator_id: owner.into(),
            r#type: ConversationType::Group as i32,
            name: "Tea".into(),
            member_ids: members.iter().map(|id| (*id).clone()).collect(),
            ..Default::default()
        };
        let created = self
            .conversations()
            .create_conversation(request)
            .await
            .unwrap();
        created.into_inner().conversation.unwrap().id
    }

    /// Names of all events so far, by topic: conversation, notification, message, friend, user.
    pub(crate) async fn events(&self) -> [Vec<String>; 5] {
        [
            self.names::<ConversationEvent>(topics::CONVERSATION_EVENTS, |e| e.event_type)
                .await,
            self.names::<NotificationEvent>(topics::NOTIFICATIONS, |e| e.event_type)
                .await,
            self.names::<MessageEvent>(topics::MESSAGE_EVENTS, |e| e.event_type)
                .await,
            self.names::<FriendEvent>(topics::FRIEND_EVENTS, |e| e.event_type)
                .await,
            self.names::<UserEvent>(topics::USER_EVENTS, |e| e.event_type)
                .await,
        ]
    }

    async fn names<E>(&self, topic: &str, name: fn(E) -> String) -> Vec<String>
    where
        E: prost::Message + Default,
    {
        let values = self.values(topic).await;
        values
            .into_iter()
            .map(|value| name(E::decode(value).unwrap()))
            .collect()
    }

    /// Values of all records of a topic, partition by partition.
    pub(crate) async fn values(&self, topic: &str) -> Vec<bytes::Bytes> {
        let mut values = Vec::new();
        for partition in 0..self.mq.partitions(topic).unwrap() {
            let tp = TopicPartition::new(topic, partition);
            // A read may end where the records in memory begin.
            let mut from = 0;
            loop {
                let records = self.mq.read(&tp, from, 1_000).await.unwrap();
                let Some(last) = records.last() else { break };
                from = last.offset + 1;
                values.extend(records.into_iter().map(|r| r.record.value));
            }
        }
        values
    }

    /// Conversations whose changed facts were announced, in order of partitions.
    pub(crate) async fn announced(&self) -> Vec<String> {
        let records = self.values(topics::UPSTREAM).await;
        let news = records
            .into_iter()
            .map(|value| UpstreamMessage::decode(value).unwrap());
        news.filter(|m| m.kind() == UpstreamKind::FactsChanged)
            .map(|m| m.conversation_id)
            .collect()
    }
}

/// Stands for the sequencer: passes every upstream record.
async fn own_upstream(mq: Arc<dyn Mq>) {
    let config = ConsumerConfig::group(topics::LOGIC_UPSTREAM_GROUP, [topics::UPSTREAM]);
    let mut consumer = mq.consumer(config).await.unwrap();
    loop {
        let poll = consumer.poll(100, Duration::from_secs(1)).await.unwrap();
        let done = poll
            .batches
            .iter()
            .filter_map(|batch| batch.progress())
            .collect::<Vec<_>>();
        if !done.is_empty() {
            consumer.commit(done).await.unwrap();
        }
    }
}

/// The code of a refusal; panics on success.
pub(crate) fn refusal<T>(answer: Result<tonic::Response<T>, tonic::Status>) -> ErrorCode {
    match answer {
        Ok(_) => panic!("this should have been refused"),
        Err(status) => error_from(&status).code,
    }
}
