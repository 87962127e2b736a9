//! A running im-task and short ways to set the scene.

use std::sync::Arc;

use gochat_core::session::frame::ServerFrame;
use gochat_core::signal::{Change, Signal};
use gochat_infra::embedded::log::{EmbeddedLog, LogConfig};
use gochat_infra::port::mq::{InRecord, Mq, OutRecord, TopicPartition};
use gochat_infra::rpc::Channel;
use gochat_infra::topics;
use gochat_proto::common::v1::ConversationType;
use gochat_proto::im::gateway::v1::PushToUsersRequest;
use gochat_proto::im::repo::v1::conversation_service_client::ConversationServiceClient;
use gochat_proto::im::repo::v1::friend_service_client::FriendServiceClient;
use gochat_proto::im::repo::v1::message_service_client::MessageServiceClient;
use gochat_proto::im::repo::v1::online_status_service_client::OnlineStatusServiceClient;
use gochat_proto::im::repo::v1::user_service_client::UserServiceClient;
use gochat_proto::im::repo::v1::*;
use gochat_proto::mq::v1::{ChangeKind, DownstreamMessage, PersistenceMessage};
use im_task::{Config, Coord, Ports, Service};
use prost::Message;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::harness::{Cut, Gateways, LIMIT, eventually, repo};

pub(crate) const PARTITIONS: u32 = 4;

/// Everything around im-task; it runs once [`World::start`] was called.
pub(crate) struct World {
    pub(crate) log: Arc<EmbeddedLog>,
    pub(crate) repo: Channel,
    pub(crate) cut: Cut,
    pub(crate) gateways: Gateways,
    pub(crate) config: Config,
    pub(crate) coord: Option<Coord>,
    running: Option<(
        CancellationToken,
        JoinHandle<gochat_core::error::Result<()>>,
    )>,
    ready: Option<Box<dyn Fn() -> bool>>,
    _folder: TempDir,
}

impl World {
    /// The scene without im-task.
    pub(crate) async fn quiet() -> Self {
        let folder = TempDir::new().unwrap();
        let log = EmbeddedLog::open(LogConfig::new(folder.path().join("log"))).unwrap();
        let mut specs = topics::specs(PARTITIONS);
        specs.extend(["g1", "g2"].map(topics::downstream_spec));
        log.ensure_topics(&specs).await.unwrap();
        let mut config = Config {
            retry_first_ms: 5,
            retry_max_ms: 20,
            ..Config::default()
        };
        config.cleanup.sessions_every_s = 100_000;
        Self {
            log: Arc::new(log),
            repo: repo(folder.path()).await,
            cut: Cut::default(),
            gateways: Gateways::new(&["g1", "g2"]),
            config,
            coord: None,
            running: None,
            ready: None,
            _folder: folder,
        }
    }

    /// The scene with im-task at work.
    pub(crate) async fn new() -> Self {
        let mut world = Self::quiet().await;
        world.start().await;
        world
    }

    /// Starts an instance.
    pub(crate) async fn start(&mut self) {
        let ports = Ports {
            mq: self.log.clone(),
            repo: self.cut.over(self.repo.clone()),
            repos: None,
            pushers: Arc::new(self.gateways.clone()),
            coord: self.coord.clone(),
        };
        let service = Service::bind(self.config.clone(), ports).await.unwrap();
        self.ready = Some(Box::new(service.readiness()));
        let shutdown = CancellationToken::new();
        let run = tokio::spawn(service.run(shutdown.clone()));
        self.running = Some((shutdown, run));
    }

    /// Waits until im-task says that it is ready, or that it is not.
    pub(crate) async fn ready(&self, expected: bool) {
        let ready = self.ready.as_ref().expect("it runs");
        eventually("readiness", || async {
            (ready() == expected).then_some(())
        })
        .await;
    }

    /// Stops it in an orderly way.
    pub(crate) async fn stop(&mut self) {
        let (shutdown, run) = self.running.take().expect("it runs");
        shutdown.cancel();
        tokio::time::timeout(LIMIT, run)
            .await
            .expect("it stops in time")
            .unwrap()
            .unwrap();
    }

    pub(crate) async fn produce(
        &self,
        topic: &'static str,
        key: &str,
        value: &impl Message,
    ) -> TopicPartition {
        self.raw(topic, key, value.encode_to_vec()).await
    }

    pub(crate) async fn raw(
        &self,
        topic: &'static str,
        key: &str,
        value: Vec<u8>,
    ) -> TopicPartition {
        let record = OutRecord::new(topic, key.to_owned(), value);
        let placed = self.log.producer().send(vec![record]).await.unwrap();
        TopicPartition::new(topic, placed[0].partition)
    }

    /// Waits until a group has done everything in these topics.
    pub(crate) async fn done(&self, group: &str, topics: &[&str]) {
        for topic in topics {
            for partition in 0..self.log.partitions(topic).unwrap() {
                let tp = TopicPartition::new(*topic, partition);
                eventually(&format!("{group} passed {tp}"), || async {
                    let end = self.log.end_offset(&tp).await.unwrap();
                    let committed = self.log.committed(group, &tp).await.unwrap().unwrap_or(0);
                    (committed >= end).then_some(())
                })
                .await;
            }
        }
    }

    pub(crate) async fn records(&self, topic: &str) -> Vec<InRecord> {
        let mut all = Vec::new();
        for partition in 0..self.log.partitions(topic).unwrap() {
            let tp = TopicPartition::new(topic, partition);
            // A read may end where the records in memory begin.
            let mut from = 0;
            loop {
                let records = self.log.read(&tp, from, 10_000).await.unwrap();
                let Some(last) = records.last() else { break };
                from = last.offset + 1;
                all.extend(records);
            }
        }
        all
    }

    /// What was written for a gateway: (seq, targets) in order.
    pub(crate) async fn downstream(&self, gateway: &str) -> Vec<(i64, Vec<String>)> {
        let bodies = self.bodies(gateway).await.into_iter();
        bodies.map(|m| (m.seq_id, m.target_user_ids)).collect()
    }

    /// The records that were written for a gateway, in order.
    pub(crate) async fn bodies(&self, gateway: &str) -> Vec<DownstreamMessage> {
        let records = self.records(&topics::downstream(gateway)).await;
        let decode = |r: InRecord| DownstreamMessage::decode(r.record.value).unwrap();
        records.into_iter().map(decode).collect()
    }

    pub(crate) async fn user(&self, name: &str) -> String {
        let request = CreateUserRequest {
            username: name.into(),
            password_hash: "$argon2id$unused".into(),
            ..Default::default()
        };
        let created = UserServiceClient::new(self.repo.clone())
            .create_user(request)
            .await
            .unwrap();
        created.into_inner().user.unwrap().id
    }

    pub(crate) async fn people<const N: usize>(&self, names: [&str; N]) -> [String; N] {
        let mut ids = Vec::new();
        for name in names {
            ids.push(self.user(name).await);
        }
        ids.try_into().unwrap()
    }

    pub(crate) async fn conversation(&self, kind: ConversationType, members: &[String]) -> String {
        let group = kind == ConversationType::Group;
        let request = CreateConversationRequest {
            r#type: kind as i32,
            name: if group { "Tea".into() } else { String::new() },
            owner_id: if group {
                members[0].clone()
            } else {
                String::new()
            },
            member_ids: members.to_vec(),
            ..Default::default()
        };
        let mut client = ConversationServiceClient::new(self.repo.clone());
        client
            .create_conversation(request)
            .await
            .unwrap()
            .into_inner()
            .conversation
            .unwrap()
            .id
    }

    /// Removes a member, as im-logic would.
    pub(crate) async fn remove(&self, group: &str, user: &str) {
        let request = RemoveConversationMemberRequest {
            conversation_id: group.into(),
            user_id: user.into(),
            ..Default::default()
        };
        let mut client = ConversationServiceClient::new(self.repo.clone());
        client.remove_conversation_member(request).await.unwrap();
    }

    pub(crate) async fn befriend(&self, a: &str, b: &str) {
        let mut client = FriendServiceClient::new(self.repo.clone());
        let ask = CreateFriendRequestRequest {
            requester_id: a.into(),
            target_id: b.into(),
            ..Default::default()
        };
        let request_id = client
            .create_friend_request(ask)
            .await
            .unwrap()
            .into_inner()
            .request
            .unwrap()
            .id;
        let accept = UpdateFriendRequestRequest {
            request_id,
            status: 1,
            handler_id: b.into(),
        };
        client.update_friend_request(accept).await.unwrap();
    }

    pub(crate) async fn online(&self, user: &str, gateway: &str) {
        let request = SetUserOnlineRequest {
            user_id: user.into(),
            gateway_id: gateway.into(),
            conn_id: user.bytes().map(u64::from).sum::<u64>() + 1,
            connected_at: 1_700_000_000,
            ..Default::default()
        };
        OnlineStatusServiceClient::new(self.repo.clone())
            .set_user_online(request)
            .await
            .unwrap();
    }

    /// The contents of a conversation, oldest first.
    pub(crate) async fn history(&self, conversation_id: &str) -> Vec<String> {
        let request = GetConversationMessagesRequest {
            conversation_id: conversation_id.into(),
            limit: 100,
            ascending: true,
            ..Default::default()
        };
        let mut client = MessageServiceClient::new(self.repo.clone());
        let page = client
            .get_conversation_messages(request)
            .await
            .unwrap()
            .into_inner();
        page.messages
            .into_iter()
            .map(|message| message.content)
            .collect()
    }

    /// Signals a gateway was told, as the frames its clients see: (signal, users, frame text).
    pub(crate) fn signals(&self, gateway: &str) -> Vec<(Signal, Vec<String>, String)> {
        self.gateways.all[gateway]
            .told()
            .iter()
            .map(frame)
            .collect()
    }

    /// Waits for that many signals at a gateway.
    pub(crate) async fn signalled(
        &self,
        gateway: &str,
        n: usize,
    ) -> Vec<(Signal, Vec<String>, String)> {
        eventually(&format!("{n} signals at {gateway}"), || async {
            let all = self.signals(gateway);
            (all.len() >= n).then_some(all)
        })
        .await
    }
}

/// What im-gateway makes of a signal.
fn frame(request: &PushToUsersRequest) -> (Signal, Vec<String>, String) {
    let signal = Signal::from_name(&request.signal_type).unwrap();
    let payload: serde_json::Value = serde_json::from_slice(&request.payload).unwrap();
    let change: Option<Change> = payload
        .get("change")
        .map(|change| serde_json::from_value(change.clone()).unwrap());
    let kind = signal.frame(change).unwrap();
    let text = format!(
        r#"{{"type":"{kind}","data":{payload},"timestamp":{}}}"#,
        request.timestamp
    );
    ServerFrame::parse(&text).expect("clients understand it");
    assert!(
        request.forwarded,
        "told straight to the gateway that holds them"
    );
    let mut users = request.target_user_ids.clone();
    users.sort();
    (signal, users, text)
}

/// A sequenced message.
pub(crate) fn message(conversation: &str, sender: &str, seq: i64) -> PersistenceMessage {
    let place: i64 = conversation.bytes().map(i64::from).sum();
    PersistenceMessage {
        trace_id: format!("trace-{seq}"),
        message_id: place * 1_000_000 + seq,
        conversation_id: conversation.into(),
        sender_id: sender.into(),
        message_type: 1,
        content: format!("message {seq}"),
        seq_id: seq,
        client_msg_id: format!("c-{seq}"),
        timestamp: 1_700_000_000,
        rev: seq,
        ..Default::default()
    }
}

/// A sequenced change of a [`message`].
pub(crate) fn change(
    kind: ChangeKind,
    conversation: &str,
    operator: &str,
    seq: i64,
    rev: i64,
) -> PersistenceMessage {
    PersistenceMessage {
        trace_id: format!("trace-x{rev}"),
        message_type: 0,
        content: format!("edit {rev}"),
        client_msg_id: format!("x-{rev}"),
        timestamp: 1_700_000_060,
        rev,
        change: kind as i32,
        author_id: operator.into(),
        sent_at: 1_700_000_000,
        edit_count: 3,
        ..message(conversation, operator, seq)
    }
}

pub(crate) fn sorted(mut users: Vec<String>) -> Vec<String> {
    users.sort();
    users
}
