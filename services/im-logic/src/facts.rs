//! Telling the sequencer that facts about a conversation changed, and waiting for rows that are on their way.

use std::sync::Arc;
use std::time::Duration;

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::ConversationId;
use gochat_core::partition::of_key;
use gochat_infra::port::mq::{self, Mq, MqResult, OutRecord, Producer, TopicPartition};
use gochat_infra::topics;
use gochat_proto::mq::v1::{UpstreamKind, UpstreamMessage};
use prost::Message as _;

use crate::{clock, trace};

/// Longest time a reader waits for rows that are on their way to the database.
const READER_WAIT: Duration = Duration::from_secs(1);

/// Announces changes. Cheap to clone.
#[derive(Clone)]
pub struct Announcer {
    mq: Arc<dyn Mq>,
    producer: Arc<dyn Producer>,
    timeout: Duration,
}

impl Announcer {
    /// Gives up after `timeout`.
    pub fn new(mq: Arc<dyn Mq>, timeout: Duration) -> Self {
        Self {
            producer: mq.producer(),
            mq,
            timeout,
        }
    }

    /// Puts a control record into the conversation's partition and waits until the partition's
    /// owner has passed it: from then on everything is judged by facts at least as new as those
    /// stored before this call.
    ///
    /// # Errors
    /// `TIMEOUT` when no owner passed it in time, `SERVICE_UNAVAILABLE` when the log is away. The
    /// stored change stands all the same.
    pub async fn announce(&self, conversation: ConversationId) -> Result<()> {
        let key = conversation.to_string();
        let news = UpstreamMessage {
            trace_id: trace::current().to_string(),
            conversation_id: key.clone(),
            timestamp: clock::now_s(),
            kind: UpstreamKind::FactsChanged as i32,
            ..Default::default()
        };
        let record = OutRecord::new(topics::UPSTREAM, key, news.encode_to_vec());
        tokio::time::timeout(self.timeout, self.pass(record))
            .await
            .unwrap_or_else(|_| Err(ErrorCode::Timeout.into()))
    }

    /// Waits until every message that has its place in the conversation's partition by now has its
    /// row, too: what im-repo says about heads is then as new as this call. Gives up silently after
    /// the time an announcement may take; the caller goes on with what is there.
    pub async fn rows_written(&self, conversation: ConversationId) {
        self.rows_written_within(conversation, self.timeout).await;
    }

    /// As [`rows_written`](Self::rows_written) for a reader, who is told soon that an answer is
    /// behind.
    pub async fn rows_written_soon(&self, conversation: ConversationId) {
        self.rows_written_within(conversation, READER_WAIT.min(self.timeout))
            .await;
    }

    async fn rows_written_within(&self, conversation: ConversationId, limit: Duration) {
        match tokio::time::timeout(limit, self.pass_rows(conversation)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "can't tell which rows are written"),
            Err(_) => tracing::warn!("rows are far behind the log"),
        }
    }

    async fn pass_rows(&self, conversation: ConversationId) -> MqResult<()> {
        let (topic, group) = (topics::PERSIST, topics::TASK_PERSIST_GROUP);
        let partitions = self.mq.partitions(topic)?;
        let partition = of_key(conversation.to_string().as_bytes(), partitions);
        let partition = TopicPartition::new(topic, partition);
        let end = self.mq.end_offset(&partition).await?;
        mq::passed(&*self.mq, group, &partition, end).await
    }

    async fn pass(&self, record: OutRecord) -> Result<()> {
        let placed = self
            .producer
            .send(vec![record])
            .await
            .map_err(Error::from)?;
        let Some(place) = placed.first() else {
            return Err(ErrorCode::Internal.into());
        };
        let partition = TopicPartition::new(topics::UPSTREAM, place.partition);
        let group = topics::LOGIC_UPSTREAM_GROUP;
        self.mq
            .wait_committed(group, &partition, place.offset + 1)
            .await
            .map_err(Error::from)
    }
}
