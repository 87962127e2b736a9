//! Everything around the pipeline, and short ways to look at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gochat_core::ratelimit::RuleTable;
use gochat_infra::embedded::cache::MemoryCache;
use gochat_infra::embedded::counter::{MemoryCounters, MemoryLimiter, MemoryOnce};
use gochat_infra::embedded::log::{EmbeddedLog, LogConfig};
use gochat_infra::embedded::presence::MemoryPresence;
use gochat_infra::embedded::sqlite::{SqliteDatabase, SqliteOptions};
use gochat_infra::ids::SnowflakeIds;
use gochat_infra::port::mq::{Consumer, ConsumerConfig, Mq, MqResult, OutRecord, TopicPartition};
use gochat_infra::rpc::Channel;
use gochat_infra::topics;
use gochat_proto::common::v1::{ConversationMemberRole, ConversationType};
use gochat_proto::im::repo::v1 as repo;
use gochat_proto::mq::v1::{DownstreamMessage, PersistenceMessage, UpstreamMessage};
use im_logic::pipeline::{self, PaceConfig, PipelineConfig, PipelinePorts};
use prost::Message as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// RPCs that can be made to fail.
pub(crate) const FACTS: u32 = 1;
pub(crate) const PRESENCE: u32 = 2;
pub(crate) const USERS: u32 = 4;

/// The log, im-repo and switches.
pub(crate) struct World {
    pub(crate) mq: Arc<dyn Mq>,
    pub(crate) repo: Channel,
    pub(crate) config: PipelineConfig,
    ids: Arc<SnowflakeIds>,
    broken: Arc<AtomicU32>,
    asked: Arc<AtomicU32>,
    _folder: tempfile::TempDir,
}

/// A running pipeline.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<MqResult<()>>,
}

impl Running {
    /// Stops it the orderly way.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// Drops it in the middle of whatever it does.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = SqliteOptions::new(folder.path().join("gochat.db"));
        let ids = Arc::new(SnowflakeIds::new(1, CancellationToken::new()).unwrap());
        let ports = im_repo::Ports {
            db: Arc::new(
                SqliteDatabase::open(SqliteOptions {
                    readers: 2,
                    ..database
                })
                .unwrap(),
            ),
            cache: Arc::new(MemoryCache::new(4 << 20)),
            presence: Arc::new(MemoryPresence::new()),
            once: Arc::new(MemoryOnce::new(100)),
            counters: Arc::new(MemoryCounters::new(100)),
            limiter: Arc::new(MemoryLimiter::new(RuleTable::default(), 100)),
            ids: ids.clone(),
        };
        let service = im_repo::Service::bind(im_repo::Config::default(), ports)
            .await
            .unwrap();
        let log = EmbeddedLog::open(LogConfig::new(folder.path().join("log"))).unwrap();
        log.ensure_topics(&topics::specs(3)).await.unwrap();
        Self {
            mq: Arc::new(log),
            repo: Channel::in_process(service.routes()),
            config: PipelineConfig {
                // The same on every machine.
                workers: 2,
                facts_grace_ms: 60_000,
                pace: PaceConfig {
                    disabled: true,
                    ..PaceConfig::default()
                },
                ..PipelineConfig::default()
            },
            ids,
            broken: Arc::default(),
            asked: Arc::default(),
            _folder: folder,
        }
    }

    /// Makes these RPCs fail, and all others work.
    pub(crate) fn break_calls(&self, calls: u32) {
        self.broken.store(calls, Ordering::Relaxed);
    }

    /// How many calls failed so far.
    pub(crate) fn failed_calls(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }

    fn faulty_repo(&self) -> Channel {
        let (repo, broken, asked) = (self.repo.clone(), self.broken.clone(), self.asked.clone());
        Channel::new(tower::service_fn(
            move |request: http::Request<tonic::body::Body>| {
                let call = match request.uri().path().rsplit('/').next().unwrap_or_default() {
                    "LoadConversationFacts" => FACTS,
                    "GetUsersOnlineStatus" => PRESENCE,
                    "GetUsers" => USERS,
                    _ => 0,
                };
                let (repo, fail) = (repo.clone(), broken.load(Ordering::Relaxed) & call != 0);
                asked.fetch_add(u32::from(fail), Ordering::Relaxed);
                async move {
                    match fail {
                        true => Ok(tonic::Status::unavailable("broken by the test").into_http()),
                        false => repo.oneshot(request).await,
                    }
                }
            },
        ))
    }

    pub(crate) fn start(&self) -> Running {
        let ports = PipelinePorts {
            mq: self.mq.clone(),
            repo: self.faulty_repo(),
            ids: self.ids.clone(),
            instance: "1".into(),
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(pipeline::run(self.config.clone(), ports, stop.clone()));
        Running { stop, task }
    }

    pub(crate) async fn users(&self, ids: impl IntoIterator<Item = u64>) {
        let mut client = repo::user_service_client::UserServiceClient::new(self.repo.clone());
        for id in ids {
            let request = repo::CreateUserRequest {
                id: id.to_string(),
                username: format!("user{id}"),
                password_hash: "x".into(),
                ..Default::default()
            };
            client.create_user(request).await.unwrap();
        }
    }

    fn conversations(
        &self,
    ) -> repo::conversation_service_client::ConversationServiceClient<Channel> {
        repo::conversation_service_client::ConversationServiceClient::new(self.repo.clone())
    }

    pub(crate) async fn single(&self, a: u64, b: u64) -> String {
        let request = repo::CreateConversationRequest {
            id: format!("s_{a}_{b}"),
            r#type: ConversationType::Single as i32,
            member_ids: vec![a.to_string(), b.to_string()],
            ..Default::default()
        };
        self.conversations()
            .create_conversation(request)
            .await
            .unwrap();
        format!("s_{a}_{b}")
    }

    pub(crate) async fn group(&self, n: u64, members: &[u64]) -> String {
        let request = repo::CreateConversationRequest {
            id: format!("g_{n}"),
            r#type: ConversationType::Group as i32,
            name: "Tea".into(),
            owner_id: members[0].to_string(),
            member_ids: members.iter().map(u64::to_string).collect(),
            ..Default::default()
        };
        self.conversations()
            .create_conversation(request)
            .await
            .unwrap();
        format!("g_{n}")
    }

    pub(crate) async fn remove_member(&self, group: &str, user: u64) {
        let request = repo::RemoveConversationMemberRequest {
            conversation_id: group.into(),
            user_id: user.to_string(),
            ..Default::default()
        };
        self.conversations()
            .remove_conversation_member(request)
            .await
            .unwrap();
    }

    pub(crate) async fn add_member(&self, group: &str, user: u64) {
        let request = repo::AddConversationMemberRequest {
            conversation_id: group.into(),
            user_ids: vec![user.to_string()],
            role: ConversationMemberRole::Member as i32,
            max_members: 0,
            ..Default::default()
        };
        self.conversations()
            .add_conversation_member(request)
            .await
            .unwrap();
    }

    /// Registers a session and opens the gateway's topic.
    pub(crate) async fn online(&self, user: u64, gateway: &str) {
        let request = repo::SetUserOnlineRequest {
            user_id: user.to_string(),
            gateway_id: gateway.into(),
            conn_id: user,
            connected_at: 1,
            ..Default::default()
        };
        let mut client =
            repo::online_status_service_client::OnlineStatusServiceClient::new(self.repo.clone());
        client.set_user_online(request).await.unwrap();
    }

    /// A gateway that listens from now on.
    pub(crate) async fn gateway(&self, name: &str) -> Gateway {
        self.mq
            .ensure_topics(&[topics::downstream_spec(name)])
            .await
            .unwrap();
        let config = ConsumerConfig::tail([topics::downstream(name)]);
        Gateway {
            consumer: self.mq.consumer(config).await.unwrap(),
            got: Vec::new(),
        }
    }

    /// From user `sender`, through `gateway-1`.
    pub(crate) fn message(&self, conversation: &str, sender: u64, id: &str) -> UpstreamMessage {
        UpstreamMessage {
            trace_id: format!("trace-{id}"),
            user_id: sender.to_string(),
            gateway_id: "gateway-1".into(),
            conversation_id: conversation.into(),
            message_type: 1,
            content: format!("content of {id}"),
            client_msg_id: id.into(),
            conn_id: sender,
            ..Default::default()
        }
    }

    pub(crate) async fn produce(&self, messages: &[UpstreamMessage]) {
        let record = |m: &UpstreamMessage| {
            OutRecord::new(
                topics::UPSTREAM,
                m.conversation_id.clone(),
                m.encode_to_vec(),
            )
        };
        self.mq
            .producer()
            .send(messages.iter().map(record).collect())
            .await
            .unwrap();
    }

    /// Everything in `persist`, partition by partition.
    pub(crate) async fn persisted(&self) -> Vec<PersistenceMessage> {
        let records = self.values(topics::PERSIST).await;
        records
            .into_iter()
            .map(|value| PersistenceMessage::decode(value).unwrap())
            .collect()
    }

    pub(crate) async fn values(&self, topic: &str) -> Vec<bytes::Bytes> {
        let mut values = Vec::new();
        for partition in 0..self.mq.partitions(topic).unwrap() {
            let tp = TopicPartition::new(topic, partition);
            // A read may end where the records in memory begin.
            let mut from = 0;
            loop {
                let records = self.mq.read(&tp, from, 20_000).await.unwrap();
                let Some(last) = records.last() else { break };
                from = last.offset + 1;
                values.extend(records.into_iter().map(|record| record.record.value));
            }
        }
        values
    }

    /// What im-task does: rows into the database, then the offset.
    pub(crate) async fn save_all(&self) {
        let config = ConsumerConfig::group(topics::TASK_PERSIST_GROUP, [topics::PERSIST]);
        let mut consumer = self.mq.consumer(config).await.unwrap();
        let mut client = repo::message_service_client::MessageServiceClient::new(self.repo.clone());
        loop {
            let poll = consumer
                .poll(1_000, Duration::from_millis(50))
                .await
                .unwrap();
            if poll.is_empty() {
                break;
            }
            let records = poll.batches.iter().flat_map(|batch| &batch.records);
            let messages: Vec<_> = records
                .map(|record| {
                    let m = PersistenceMessage::decode(record.record.value.clone()).unwrap();
                    repo::SaveMessageRequest {
                        message_id: m.message_id.to_string(),
                        conversation_id: m.conversation_id,
                        sender_id: m.sender_id,
                        message_type: m.message_type,
                        content: m.content,
                        seq_id: m.seq_id,
                        client_msg_id: m.client_msg_id,
                        extra: m.extra,
                        created_at: m.timestamp,
                        rev: m.rev,
                        change: m.change,
                        edit_count: m.edit_count,
                        pinned: m.pinned,
                        reactions: m.reactions.into_iter().map(reaction).collect(),
                        ..Default::default()
                    }
                })
                .collect();
            if !messages.is_empty() {
                let request = repo::BatchSaveMessagesRequest { messages };
                client.batch_save_messages(request).await.unwrap();
            }
            let done = poll
                .batches
                .iter()
                .filter_map(|batch| batch.progress())
                .collect();
            consumer.commit(done).await.unwrap();
        }
        consumer.close().await.unwrap();
    }
}

/// The consuming end of a gateway's topic.
pub(crate) struct Gateway {
    consumer: Box<dyn Consumer>,
    got: Vec<DownstreamMessage>,
}

impl Gateway {
    /// The next record.
    pub(crate) async fn next(&mut self) -> DownstreamMessage {
        let wait = async {
            while self.got.is_empty() {
                let poll = self
                    .consumer
                    .poll(100, Duration::from_secs(1))
                    .await
                    .unwrap();
                let records = poll.batches.into_iter().flat_map(|batch| batch.records);
                self.got
                    .extend(records.map(|r| DownstreamMessage::decode(r.record.value).unwrap()));
            }
            self.got.remove(0)
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .expect("a record for this gateway")
    }

    /// The number of the next ack, or the code of the next refusal.
    pub(crate) async fn answer(&mut self) -> Result<i64, String> {
        loop {
            let record = self.next().await;
            if record.origin.is_some() {
                break match record.error {
                    Some(error) => Err(error.code),
                    None => Ok(record.seq_id),
                };
            }
        }
    }
}

fn reaction(count: gochat_proto::mq::v1::ReactionCount) -> gochat_proto::common::v1::Reaction {
    gochat_proto::common::v1::Reaction {
        emoji: count.emoji,
        count: count.count,
        mine: false,
    }
}
