//! The sequencing half of im-logic: upstream records in, one atomic step per batch out.
//!
//! ```text
//! poll → decode → needs ─▶ im-repo ─▶ decide → encode → transact → committed
//! ```
//!
//! Each worker is a member of `logic.upstream.group` with partitions of its own and one
//! [`PartitionMachine`](gochat_core::step::PartitionMachine) per partition; the machine decides,
//! the worker fetches and writes. RPCs are per batch, never per message.
//!
//! # What happens when something is away
//!
//! | away | effect |
//! |---|---|
//! | the log | nothing is consumed; back-off 100 ms to 5 s; the batch comes again |
//! | im-repo, conversation in memory | goes on: authors without names, pushes to every gateway |
//! | im-repo, conversation not in memory | held back for `facts_grace_ms`, then refused with a retryable error |
//! | the clock (ids) | the batch is held back and tried again |
//!
//! A step whose outcome is unknown throws the partition's machine away; the next batch builds a new
//! one from `persist` and the database, exactly as a new owner would. Records that can never
//! succeed go to the dead-letter topic within the same step. Nothing is ever skipped.
//!
//! Records of the hot path carry no headers: the trace id is a field of every payload, and a
//! topic has one type. Only those of a sampled message have one, `traceparent`, which goes from the record that came in
//! to all that are made of it (see `spans`).

mod batch;
mod config;
mod context;
mod decode;
mod encode;
mod gateways;
mod lag;
mod lookup;
mod outage;
mod people;
mod recovery;
mod spans;
mod stats;
mod wire;
mod worker;
mod world;

use std::sync::Arc;

use gochat_core::fanout::GatewayTable;
use gochat_core::message::DraftLimits;
use gochat_core::step::Record;
use gochat_infra::ids::IdSource;
use gochat_infra::port::mq::{ConsumerConfig, Mq, MqError, MqErrorKind, MqResult};
use gochat_infra::rpc::Channel;
use gochat_infra::topics;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use config::{LiveNumber, PaceConfig, PipelineConfig};
use worker::Worker;

/// What the pipeline needs from the world.
#[derive(Clone)]
pub struct PipelinePorts {
    /// The log; the topics of [`topics::specs`] must exist.
    pub mq: Arc<dyn Mq>,
    /// im-repo.
    pub repo: Channel,
    /// Message ids.
    pub ids: Arc<dyn IdSource>,
    /// Id of this im-logic instance, unique among the living ones.
    pub instance: Arc<str>,
}

/// Whether the bytes of an upstream record are a message that can be sequenced, as a worker judges
/// them. For fuzzing.
#[doc(hidden)]
pub fn is_submission(bytes: &[u8]) -> bool {
    let place = decode::Place {
        partition: 0,
        partitions: 1,
    };
    let mut gateways = GatewayTable::default();
    let message = decode::Upstream::decode(bytes);
    let limits = DraftLimits::default();
    let record = decode::record(message.as_ref(), place, &limits, |name| {
        gateways.intern(name)
    });
    matches!(record, Record::Submit(_))
}

/// Runs the workers until `shutdown`; each finishes and commits the batch in hand, then leaves the
/// group.
///
/// # Errors
/// The first error a worker can't mend, such as a log that must be opened again. The others are
/// stopped then.
pub async fn run(
    config: PipelineConfig,
    ports: PipelinePorts,
    shutdown: CancellationToken,
) -> MqResult<()> {
    let stop = shutdown.child_token();
    let mut workers = JoinSet::new();
    for number in 0..config.workers() {
        let id = format!("logic-{}-{number}", ports.instance);
        let consumer = ConsumerConfig::group(topics::LOGIC_UPSTREAM_GROUP, [topics::UPSTREAM])
            .transactional(id);
        let (config, ports, stop) = (config.clone(), ports.clone(), stop.clone());
        workers.spawn(async move {
            match Worker::join(&config, &ports, consumer, &stop).await? {
                Some(worker) => Box::pin(worker.run(stop)).await,
                None => Ok(()),
            }
        });
    }
    let mut outcome = Ok(());
    while let Some(ended) = workers.join_next().await {
        let ended = ended.unwrap_or_else(|_| {
            Err(MqError::new(
                MqErrorKind::Invalid,
                "a sequencing worker panicked",
            ))
        });
        stop.cancel();
        outcome = outcome.and(ended);
    }
    outcome
}
