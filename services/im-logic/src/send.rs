//! Messages and changes that come as calls: the same way as those from a socket.
//!
//! The message is produced to `upstream`; its answer comes back on a downstream topic of this
//! instance's own, `gochat.messages.downstream.logic-{instance}`, and finds the waiting call by
//! its trace id. An answer that comes too late is dropped: the caller was told that the outcome is
//! unknown, and a repeat with the same client id is safe.

mod waiting;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::{ConversationId, UserId};
use gochat_core::message::{
    ChangeForm, Draft, DraftLimits, MessageType, Refers, Writer, system_client_id,
};
use gochat_core::text;
use gochat_infra::port::mq::{
    self, Batch, Consumer, Headers, Mq, MqError, MqErrorKind, MqResult, OutRecord, Producer,
    Progress, TopicSpec,
};
use gochat_infra::rpc::Backoff;
use gochat_infra::telemetry::{self, Kind, Span};
use gochat_infra::topics;
use gochat_proto::common::v1::{self, Message, UserInfo};
use gochat_proto::im::logic::v1::{SendMessageRequest, SendMessageResponse};
use gochat_proto::im::repo::v1::OwedMessage;
use gochat_proto::mq::v1::{
    self as wire, DownstreamKind, DownstreamMessage, Forwarded, UpstreamKind, UpstreamMessage,
};
use prost::Message as _;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::app::{ChangeWish, Changed, SendMessage};
use crate::clock;
use waiting::Waiting;

/// Answers taken from the log at once.
const POLL_MOST: usize = 1_024;
/// Longest wait of an idle poll.
const IDLE: Duration = Duration::from_millis(500);

/// Settings of the gRPC way to send.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct SendConfig {
    /// Longest wait for the ack, in milliseconds. Default 5,000.
    pub timeout_ms: u64,
    /// Calls that may wait at the same time; beyond them calls are refused with a retryable
    /// error. Default 10,000.
    pub waiting: usize,
}

impl Default for SendConfig {
    fn default() -> Self {
        Self {
            timeout_ms: 5_000,
            waiting: 10_000,
        }
    }
}

/// Sends messages and waits for their acks.
pub struct SendPath {
    producer: Arc<dyn Producer>,
    gateway_id: String,
    waiting: Arc<Waiting>,
    timeout: Duration,
    limits: DraftLimits,
}

/// Reads the answers of a [`SendPath`]; without it every call times out.
pub struct AckReader {
    mq: Arc<dyn Mq>,
    topic: TopicSpec,
    consumer: Box<dyn Consumer>,
    /// Where it has read to, by partition.
    read_to: Vec<Progress>,
    waiting: Arc<Waiting>,
}

impl SendPath {
    /// Opens the way of this instance; `limits` are those of the pipeline. Answers are read from now on, so a restart under the same
    /// instance id never sees the answers of the run before.
    ///
    /// # Errors
    /// Those of the log.
    pub async fn open(
        mq: &Arc<dyn Mq>,
        instance: &str,
        config: &SendConfig,
        limits: DraftLimits,
    ) -> MqResult<(Self, AckReader)> {
        let gateway_id = format!("logic-{instance}");
        let topic = topics::downstream_spec(&gateway_id);
        let consumer = follow(&**mq, &topic).await?;
        let waiting = Arc::new(Waiting::new(config.waiting));
        let path = Self {
            producer: mq.producer(),
            gateway_id,
            waiting: Arc::clone(&waiting),
            timeout: Duration::from_millis(config.timeout_ms),
            limits,
        };
        let reader = AckReader {
            mq: Arc::clone(mq),
            topic,
            consumer,
            read_to: Vec::new(),
            waiting,
        };
        Ok((path, reader))
    }

    async fn exchange(&self, message: UpstreamMessage) -> Result<DownstreamMessage> {
        let answer = self.waiting.register(&message.trace_id)?;
        let key = message.conversation_id.clone();
        let mut record = OutRecord::new(topics::UPSTREAM, key, message.encode_to_vec());
        let span = receive(&message.trace_id);
        if let Some(span) = &span {
            record.record.headers = span.context().on(Headers::none());
        }
        let exchange = async {
            self.producer.send(vec![record]).await?;
            if let Some(span) = span {
                span.end();
            }
            answer.wait().await
        };
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(answer) => answer,
            Err(_) => {
                metrics::counter!("gochat_logic_send_timeouts_total").increment(1);
                Err(ErrorCode::Timeout.into())
            }
        }
    }

    /// A trace id nobody waits under: the caller's, unless it has two sends under way.
    fn trace_id(&self, wish: &str) -> String {
        if wish.is_empty() || self.waiting.is_taken(wish) {
            uuid::Uuid::now_v7().to_string()
        } else {
            wish.to_owned()
        }
    }
}

#[async_trait]
impl SendMessage for SendPath {
    async fn send(
        &self,
        mut request: SendMessageRequest,
        forwarded: Option<Result<v1::Forwarded>>,
        trace_id: &str,
    ) -> Result<SendMessageResponse> {
        if request.client_msg_id.is_empty() {
            request.client_msg_id = uuid::Uuid::now_v7().to_string();
        }
        request.content = text::into_nfc(request.content);
        let (forwarded, unreadable) = match forwarded {
            Some(Err(error)) => (None, Some(error)),
            Some(Ok(from)) => (Some(from), None),
            None => (None, None),
        };
        match &unreadable {
            None => check(&request, &self.limits)?,
            Some(_) => check_ids(&request)?,
        }
        let refers = refers(&request)?.unwrap_or_default();
        let only_repeat = unreadable.as_ref().map(|error| error.code.code());
        let message = UpstreamMessage {
            only_repeat: only_repeat.unwrap_or_default().to_owned(),
            reply_to: refers.reply_to.map_or(0, |id| id.as_i64()),
            mention_ids: refers.mentions.iter().map(|user| user.get()).collect(),
            mention_all: refers.mention_all,
            forwarded: forwarded.map(|from| Forwarded {
                message_id: from.message_id.parse().unwrap_or_default(),
                conversation_id: from.conversation_id,
                sender_id: from.sender_id,
                sender_name: from.sender_name,
            }),
            trace_id: self.trace_id(trace_id),
            user_id: request.user_id.clone(),
            gateway_id: self.gateway_id.clone(),
            conversation_id: request.conversation_id.clone(),
            message_type: request.r#type,
            content: request.content.clone(),
            client_msg_id: request.client_msg_id.clone(),
            timestamp: clock::now_s(),
            extra: request.extra.clone(),
            resend: request.resend,
            ..Default::default()
        };
        let answer = self.exchange(message).await?;
        accepted(answer).map(|answer| response(request, answer))
    }

    /// Always as a resend: an instance that died may have sent it.
    async fn system(&self, owed: &OwedMessage) -> Result<()> {
        let number = |n: i64| u64::try_from(n).unwrap_or(0);
        let message = UpstreamMessage {
            trace_id: self.trace_id(""),
            user_id: owed.sender_id.clone(),
            gateway_id: self.gateway_id.clone(),
            conversation_id: owed.conversation_id.clone(),
            message_type: MessageType::System.as_i32(),
            content: owed.content.clone(),
            client_msg_id: system_client_id(number(owed.id), number(owed.created_at_ms)),
            timestamp: clock::now_s(),
            resend: true,
            system: true,
            ..Default::default()
        };
        accepted(self.exchange(message).await?).map(drop)
    }

    async fn change(&self, wish: ChangeWish, trace_id: &str) -> Result<Changed> {
        let client_msg_id = match wish.client_msg_id.is_empty() {
            true => uuid::Uuid::now_v7().to_string(),
            false => wish.client_msg_id,
        };
        let content = text::into_nfc(wish.content);
        let (extra, limits) = (&wish.extra, &self.limits);
        let form = Draft::check_change(wish.kind, &content, &client_msg_id, extra, limits)?;
        let content = match form {
            ChangeForm::Reaction(emoji) => emoji.to_string(),
            ChangeForm::Edit(_) | ChangeForm::Plain => content,
        };
        let message = UpstreamMessage {
            trace_id: self.trace_id(trace_id),
            user_id: wish.operator.to_string(),
            gateway_id: self.gateway_id.clone(),
            conversation_id: wish.conversation.to_string(),
            content,
            client_msg_id,
            timestamp: clock::now_s(),
            extra: wish.extra,
            kind: UpstreamKind::Change as i32,
            resend: wish.resend,
            change: wish.kind.as_i32(),
            target_id: wish.target.as_i64(),
            ..Default::default()
        };
        let target = message.target_id;
        let answer = accepted(self.exchange(message).await?)?;
        if answer.message_id != target {
            return Err(Error::new(
                ErrorCode::InvalidParams,
                "This client id was used for a change of another message.",
            ));
        }
        Ok(Changed {
            seq: answer.seq_id.unsigned_abs(),
            rev: answer.rev.unsigned_abs(),
        })
    }
}

/// The answer, or the refusal in it.
fn accepted(answer: DownstreamMessage) -> Result<DownstreamMessage> {
    match answer.error {
        Some(refusal) if answer.kind == DownstreamKind::Error as i32 => {
            let code = ErrorCode::from_code(&refusal.code).unwrap_or(ErrorCode::Internal);
            Err(Error::new(code, refusal.message).after(u64::from(refusal.retry_after_ms)))
        }
        error => Ok(DownstreamMessage { error, ..answer }),
    }
}

/// The span of a traced message until the log has it. A traced call was decided on before; for others this is where
/// messages come in.
fn receive(trace_id: &str) -> Option<Span> {
    let mut span = match telemetry::current() {
        Some(parent) => Span::child(parent, "receive", Kind::Producer),
        None => telemetry::root("receive", Kind::Producer, trace_id)?,
    };
    span.set("gochat.transport", "grpc");
    Some(span)
}

impl AckReader {
    /// Hands answers to their calls until `shutdown`.
    ///
    /// # Errors
    /// When the log is lost for good.
    pub async fn run(mut self, shutdown: CancellationToken) -> MqResult<()> {
        let mut backoff = Backoff::default();
        loop {
            let polled = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                polled = self.consumer.poll(POLL_MOST, IDLE) => polled,
            };
            match polled {
                Ok(poll) => {
                    backoff.reset();
                    for batch in poll.batches {
                        self.note_position(&batch);
                        let records = batch.records.into_iter();
                        records.for_each(|record| self.take(record.record.value));
                    }
                }
                Err(error) if error.kind.is_final() => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "acks can't be read right now");
                    tokio::time::sleep(backoff.next_delay()).await;
                    if !error.is_retryable() {
                        self.reopen(&error).await;
                    }
                }
            }
        }
        self.consumer.close().await
    }

    /// Puts a new consumer where this one was, so that no answer is missed.
    async fn reopen(&mut self, error: &MqError) {
        match follow(&*self.mq, &self.topic).await {
            Ok(mut consumer) => {
                // A topic that was deleted begins anew.
                let same = error.kind != MqErrorKind::UnknownTopic;
                if same && let Err(error) = consumer.seek(&self.read_to) {
                    tracing::warn!(%error, "answers of the last moments are lost");
                }
                self.consumer = consumer;
            }
            Err(error) => tracing::warn!(%error, "acks can't be followed yet"),
        }
    }

    fn note_position(&mut self, batch: &Batch) {
        let Some(progress) = batch.progress() else {
            return;
        };
        match self.read_to.iter_mut().find(|p| p.tp == progress.tp) {
            Some(known) => known.offset = progress.offset,
            None => self.read_to.push(progress),
        }
    }

    fn take(&self, value: bytes::Bytes) {
        match DownstreamMessage::decode(value) {
            Ok(answer) => self.waiting.answer(answer),
            Err(error) => tracing::warn!(%error, "an answer can't be read"),
        }
    }
}

/// Stands at the end of the topic of answers: before anything is sent, or answers would be missed.
async fn follow(mq: &dyn Mq, topic: &TopicSpec) -> MqResult<Box<dyn Consumer>> {
    mq.ensure_topics(std::slice::from_ref(topic)).await?;
    let (consumer, _) = mq::tail(mq, [topic.name.clone()]).await?;
    Ok(consumer)
}

/// What can be refused at once; the sequencer judges the rest.
fn check(request: &SendMessageRequest, limits: &DraftLimits) -> Result<()> {
    let SendMessageRequest {
        r#type,
        content,
        client_msg_id,
        extra,
        ..
    } = request;
    Draft::check(
        *r#type,
        content,
        client_msg_id,
        extra,
        Writer::Client,
        limits,
    )?;
    check_ids(request)
}

fn check_ids(request: &SendMessageRequest) -> Result<()> {
    let invalid = |text| Error::new(ErrorCode::InvalidParams, text);
    request
        .user_id
        .parse::<UserId>()
        .map_err(|_| invalid("A user id is a decimal number."))?;
    request
        .conversation_id
        .parse::<ConversationId>()
        .map(drop)
        .map_err(|_| ErrorCode::ConversationNotFound.into())
}

/// What the message refers to, as far as form goes.
fn refers(request: &SendMessageRequest) -> Result<Option<Refers>> {
    let reply_to = match request.reply_to.as_str() {
        "" => None,
        id => Some(id.parse().map_err(|_| ErrorCode::MessageNotFound)?),
    };
    let mentions = request.mention_ids.iter().map(|id| id.parse());
    let mentions = mentions.collect::<Result<Vec<UserId>, _>>();
    let mentions = mentions.map_err(|_| ErrorCode::UserNotFound)?;
    Refers::check(reply_to, mentions, request.mention_all)
}

/// What a message refers to, as it was judged.
fn references(message: &mut Message, references: Option<wire::References>) {
    let Some(references) = references else {
        return;
    };
    message.reply_to = references.reply_to.map(|quoted| v1::Quote {
        message_id: quoted.message_id.to_string(),
        seq_id: quoted.seq_id,
        sender_id: quoted.sender_id,
        r#type: quoted.message_type,
        excerpt: quoted.excerpt,
        edited: quoted.edited,
        recalled: quoted.recalled,
        created_at: 0,
    });
    let mentions = references.mention_ids.iter();
    message.mention_ids = mentions.map(ToString::to_string).collect();
    message.mention_all = references.mention_all;
    message.forwarded_from = references.forwarded.map(|from| v1::Forwarded {
        message_id: from.message_id.to_string(),
        conversation_id: from.conversation_id,
        sender_id: from.sender_id,
        sender_name: from.sender_name,
    });
}

fn response(request: SendMessageRequest, answer: DownstreamMessage) -> SendMessageResponse {
    let sender = match answer.sender_info {
        Some(info) => UserInfo {
            id: info.id,
            username: info.username,
            avatar_url: info.avatar_url,
            is_guest: info.is_guest,
        },
        None => UserInfo {
            id: request.user_id,
            ..Default::default()
        },
    };
    let mut message = Message {
        id: answer.message_id.to_string(),
        conversation_id: request.conversation_id,
        sender: Some(sender),
        r#type: request.r#type,
        content: request.content,
        seq_id: answer.seq_id,
        client_msg_id: request.client_msg_id.clone(),
        deleted: false,
        extra: request.extra,
        created_at: answer.timestamp,
        updated_at: answer.timestamp,
        rev: answer.rev,
        ..Default::default()
    };
    references(&mut message, answer.references);
    SendMessageResponse {
        message: Some(message),
        client_msg_id: request.client_msg_id,
        replayed: answer.replay,
    }
}
