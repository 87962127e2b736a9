//! Messages per second through the sequencing pipeline alone: embedded log, real im-repo on
//! SQLite, no sockets. Prints one line of JSON.
//!
//! `cargo run --release -p im-logic --example pipeline_bench -- [messages] [chats]`
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that can't go on should stop"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use gochat_core::ratelimit::RuleTable;
use gochat_infra::embedded::cache::MemoryCache;
use gochat_infra::embedded::counter::{MemoryCounters, MemoryLimiter, MemoryOnce};
use gochat_infra::embedded::log::{EmbeddedLog, LogConfig};
use gochat_infra::embedded::presence::MemoryPresence;
use gochat_infra::embedded::sqlite::{SqliteDatabase, SqliteOptions};
use gochat_infra::ids::SnowflakeIds;
use gochat_infra::port::mq::{ConsumerConfig, Mq, OutRecord};
use gochat_infra::rpc::Channel;
use gochat_infra::topics;
use gochat_proto::common::v1::ConversationType;
use gochat_proto::im::repo::v1 as repo;
use gochat_proto::mq::v1::UpstreamMessage;
use im_logic::pipeline::{self, PipelineConfig, PipelinePorts};
use prost::Message as _;
use repo::conversation_service_client::ConversationServiceClient;
use repo::online_status_service_client::OnlineStatusServiceClient;
use repo::user_service_client::UserServiceClient;
use tokio_util::sync::CancellationToken;

/// Records of one produce call, as a gateway batches them.
const CHUNK: usize = 64;
/// Calls to produce that are under way at the same time.
const PRODUCERS: usize = 16;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let number = |n: usize, or: u64| std::env::args().nth(n).map_or(or, |a| a.parse().unwrap());
    let (messages, chats) = (number(1, 200_000), number(2, 1_000));
    let folder = tempfile::tempdir().unwrap();
    let ids = Arc::new(SnowflakeIds::new(1, CancellationToken::new()).unwrap());
    let options = SqliteOptions::new(folder.path().join("gochat.db"));
    let ports = im_repo::Ports {
        db: Arc::new(SqliteDatabase::open(options).unwrap()),
        cache: Arc::new(MemoryCache::new(64 << 20)),
        presence: Arc::new(MemoryPresence::new()),
        once: Arc::new(MemoryOnce::new(100)),
        counters: Arc::new(MemoryCounters::new(100)),
        limiter: Arc::new(MemoryLimiter::new(RuleTable::default(), 100)),
        ids: ids.clone(),
    };
    let service = im_repo::Service::bind(im_repo::Config::default(), ports)
        .await
        .unwrap();
    let repo = Channel::in_process(service.routes());
    let log = EmbeddedLog::open(LogConfig::new(folder.path().join("log"))).unwrap();
    let mq: Arc<dyn Mq> = Arc::new(log);
    mq.ensure_topics(&topics::specs(4)).await.unwrap();
    mq.ensure_topics(&[topics::downstream_spec("gateway-1")])
        .await
        .unwrap();
    prepare(&repo, chats).await;

    let config = ConsumerConfig::tail([topics::downstream("gateway-1")]);
    let mut gateway = mq.consumer(config).await.unwrap();
    let stop = CancellationToken::new();
    let ports = PipelinePorts {
        mq: mq.clone(),
        repo,
        ids,
        instance: "1".into(),
    };
    let running = tokio::spawn(pipeline::run(
        PipelineConfig::default(),
        ports,
        stop.clone(),
    ));

    let (start, cpu) = (Instant::now(), cpu_seconds());
    for lane in 0..PRODUCERS as u64 {
        tokio::spawn(produce(mq.clone(), lane, messages, chats));
    }
    let mut received = 0;
    while received < messages {
        received += gateway
            .poll(4_096, Duration::from_secs(5))
            .await
            .unwrap()
            .len() as u64;
    }
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    stop.cancel();
    running.await.unwrap().unwrap();
    println!(
        r#"{{"bench":"pipeline","messages":{messages},"chats":{chats},"seconds":{seconds:.3},"per_second":{:.0},"cpu_us_each":{:.2}}}"#,
        messages as f64 / seconds,
        cpu * 1e6 / messages as f64,
    );
}

async fn prepare(repo: &Channel, chats: u64) {
    for n in 0..2 * chats {
        let request = repo::CreateUserRequest {
            id: (n + 1).to_string(),
            username: format!("user{n}"),
            password_hash: "x".into(),
            ..Default::default()
        };
        UserServiceClient::new(repo.clone())
            .create_user(request)
            .await
            .unwrap();
        let request = repo::SetUserOnlineRequest {
            user_id: (n + 1).to_string(),
            gateway_id: "gateway-1".into(),
            conn_id: n + 1,
            connected_at: 1,
            ..Default::default()
        };
        OnlineStatusServiceClient::new(repo.clone())
            .set_user_online(request)
            .await
            .unwrap();
    }
    for n in 0..chats {
        let request = repo::CreateConversationRequest {
            id: chat(n),
            r#type: ConversationType::Single as i32,
            member_ids: vec![(2 * n + 1).to_string(), (2 * n + 2).to_string()],
            ..Default::default()
        };
        ConversationServiceClient::new(repo.clone())
            .create_conversation(request)
            .await
            .unwrap();
    }
}

fn chat(n: u64) -> String {
    format!("s_{}_{}", 2 * n + 1, 2 * n + 2)
}

async fn produce(mq: Arc<dyn Mq>, lane: u64, messages: u64, chats: u64) {
    let (producer, mine) = (mq.producer(), (lane..messages).step_by(PRODUCERS));
    let content = "x".repeat(200);
    let mut chunk = Vec::with_capacity(CHUNK);
    for n in mine {
        let conversation_id = chat(n % chats);
        let message = UpstreamMessage {
            trace_id: format!("0192f0c4-7e3a-7b1c-9d2e-{n:012x}"),
            user_id: (2 * (n % chats) + 1).to_string(),
            gateway_id: "gateway-1".into(),
            conversation_id: conversation_id.clone(),
            message_type: 1,
            content: content.clone(),
            client_msg_id: format!("0192f0c4-7e3a-7b1c-9d2e-{n:012x}"),
            conn_id: n + 1,
            ..Default::default()
        };
        chunk.push(OutRecord::new(
            topics::UPSTREAM,
            conversation_id,
            message.encode_to_vec(),
        ));
        if chunk.len() == CHUNK {
            producer.send(std::mem::take(&mut chunk)).await.unwrap();
        }
    }
    producer.send(chunk).await.unwrap();
}

/// CPU time of this process so far; 0 where it can't be told.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    let ticks = |n: usize| {
        fields
            .get(n)
            .and_then(|f| f.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) / 100.0
}
