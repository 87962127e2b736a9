//! The way up: accepted messages are collected and written to the log in batches.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use gochat_core::error::{Error, ErrorCode};
use gochat_core::ids::{ConnId, ConversationId, UserId};
use gochat_core::message::{ChangeForm, Draft, DraftLimits, Refers, Writer};
use gochat_core::session::frame::{ChangeMessage, Forward, SendMessage};
use gochat_core::text;
use gochat_infra::port::mq::{Headers, MqError, OutRecord, Producer};
use gochat_infra::telemetry::{self, Kind, Span};
use gochat_proto::im::logic::v1::{
    ForwardSource, ReadForwardSourceRequest, ReadForwardSourceResponse,
};
use gochat_proto::mq::v1::{Forwarded, UpstreamKind, UpstreamMessage};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::frames;
use crate::metrics as names;
use crate::state::Gw;

/// Who gets the answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) user: UserId,
    /// 0 = an HTTP caller that waits by trace id.
    pub(crate) conn_id: ConnId,
}

/// A message on its way to the log, and the span that ends when the log has it.
pub(crate) struct Queued {
    record: OutRecord,
    /// Boxed: nearly all messages have none.
    span: Option<Box<Span>>,
}

/// The first span of a traced message: from here until the log has it. HTTP requests were decided on before.
fn receive(gw: &Gw, origin: Origin, trace: &str) -> Option<Span> {
    let mut span = match origin.conn_id {
        0 => Span::child(telemetry::current()?, "receive", Kind::Producer),
        _ => telemetry::root("receive", Kind::Producer, trace)?,
    };
    let transport = if origin.conn_id == 0 {
        "http"
    } else {
        "websocket"
    };
    span.set("gochat.transport", transport);
    span.set("gochat.gateway", gw.id.to_string());
    Some(span)
}

/// A new trace id: a UUID v7 from the clock, a counter and a seed, without a system call.
pub(crate) fn new_trace() -> String {
    static SEED: OnceLock<u64> = OnceLock::new();
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let seed = *SEED.get_or_init(|| ahash::RandomState::new().hash_one(clock::now_ms()));
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let mixed = (seed ^ count).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut random = [0u8; 10];
    random[..8].copy_from_slice(&mixed.to_be_bytes());
    random[8..].copy_from_slice(&(seed as u16).to_be_bytes());
    uuid::Builder::from_unix_timestamp_millis(clock::now_ms(), &random)
        .into_uuid()
        .to_string()
}

/// Checks a message and queues it for the log.
///
/// # Errors
/// The form rules' refusals, `RATE_LIMITED`, `SERVICE_UNAVAILABLE` when the queue is full.
pub(crate) fn accept(
    gw: &Gw,
    origin: Origin,
    message: SendMessage<'_>,
    trace: String,
) -> Result<(), Error> {
    let client_msg_id = own_id(message.client_msg_id);
    let extra = message.extra.unwrap_or_default();
    let content = normal(message.content);
    Draft::check(
        message.message_type,
        &content,
        &client_msg_id,
        &extra,
        Writer::Client,
        &DraftLimits::default(),
    )?;
    let record = UpstreamMessage {
        message_type: message.message_type,
        content: content.into_owned(),
        client_msg_id,
        extra: extra.into_owned(),
        resend: message.resend,
        ..referring(message.refers.as_deref())
    };
    submit(gw, origin, message.conversation_id, record, trace)
}

/// A record with what its message refers to.
fn referring(refers: Option<&Refers>) -> UpstreamMessage {
    let Some(refers) = refers else {
        return UpstreamMessage::default();
    };
    UpstreamMessage {
        reply_to: refers.reply_to.map_or(0, |id| id.as_i64()),
        mention_ids: refers.mentions.iter().map(|user| user.get()).collect(),
        mention_all: refers.mention_all,
        ..Default::default()
    }
}

/// Reads the message that is passed on, where it stands and as its reader may see it, and queues it
/// for the log. Returns what it says; nothing when it can't be read any more: then the log knows
/// whether it is a repeat.
///
/// # Errors
/// `SERVICE_UNAVAILABLE` while too many are being read, retryable ones of reading it, and those of
/// [`accept`].
pub(crate) async fn accept_forward(
    gw: &Gw,
    origin: Origin,
    message: SendMessage<'_>,
    source: Forward,
    trace: String,
) -> Result<ReadForwardSourceResponse, Error> {
    // Paid for before it is read: reading costs more than writing.
    admit(gw, origin, message.conversation_id)?;
    let Ok(_permit) = gw.forwards.try_acquire() else {
        return Err(ErrorCode::ServiceUnavailable.into());
    };
    let client_msg_id = own_id(message.client_msg_id);
    let limits = DraftLimits::default();
    Draft::check_client_id(&client_msg_id, &limits)?;
    let (source, only_repeat) = match read_source(gw, origin, source, &trace).await {
        Ok(source) => (source, ""),
        Err(error) if error.is_retryable() => return Err(error),
        Err(error) => (ReadForwardSourceResponse::default(), error.code.code()),
    };
    let from = source.forwarded.clone().map(|from| Forwarded {
        message_id: from.message_id.parse().unwrap_or_default(),
        conversation_id: from.conversation_id,
        sender_id: from.sender_id,
        sender_name: from.sender_name,
    });
    let record = UpstreamMessage {
        message_type: source.r#type,
        content: source.content.clone(),
        client_msg_id,
        extra: source.extra.clone(),
        resend: message.resend,
        forwarded: from,
        only_repeat: only_repeat.to_owned(),
        ..referring(message.refers.as_deref())
    };
    enqueue(gw, origin, message.conversation_id, record, trace)?;
    Ok(source)
}

async fn read_source(
    gw: &Gw,
    origin: Origin,
    source: Forward,
    trace: &str,
) -> Result<ReadForwardSourceResponse, Error> {
    let request = ReadForwardSourceRequest {
        user_id: origin.user.to_string(),
        source: Some(ForwardSource {
            conversation_id: source.conversation_id.to_string(),
            message_id: source.message_id.to_string(),
        }),
    };
    let clients = &gw.backend.messages;
    let read = gw
        .backend
        .read(clients, trace, request, |mut c, r| async move {
            c.read_forward_source(r).await
        });
    read.await
}

/// Checks a change of a message and queues it for the log.
///
/// # Errors
/// As [`accept`].
pub(crate) fn accept_change(
    gw: &Gw,
    origin: Origin,
    change: ChangeMessage<'_>,
    trace: String,
) -> Result<(), Error> {
    let client_msg_id = own_id(change.client_msg_id);
    let limits = DraftLimits::default();
    let (content, extra) = (normal(change.content), change.extra.unwrap_or_default());
    let form = Draft::check_change(change.kind, &content, &client_msg_id, &extra, &limits)?;
    let (content, extra) = match form {
        ChangeForm::Edit(_) => (content.into_owned(), extra.into_owned()),
        ChangeForm::Reaction(emoji) => (emoji.to_string(), String::new()),
        ChangeForm::Plain => (String::new(), String::new()),
    };
    let record = UpstreamMessage {
        kind: UpstreamKind::Change as i32,
        change: change.kind.as_i32(),
        target_id: change.message_id.as_i64(),
        content,
        client_msg_id,
        extra,
        resend: change.resend,
        ..Default::default()
    };
    submit(gw, origin, change.conversation_id, record, trace)
}

/// The client's own id, or a new one.
fn own_id(chosen: Option<Cow<'_, str>>) -> String {
    match chosen {
        Some(id) if !id.is_empty() => id.into_owned(),
        _ => new_trace(),
    }
}

/// The text in the form that is stored.
fn normal(content: Cow<'_, str>) -> Cow<'_, str> {
    match text::nfc(&content) {
        Cow::Borrowed(_) => content,
        Cow::Owned(normal) => normal.into(),
    }
}

/// Charges the author for a record, and refuses it while the gateway drains.
fn admit(gw: &Gw, origin: Origin, conversation: ConversationId) -> Result<(), Error> {
    if gw.health.is_draining() {
        return Err(ErrorCode::ServiceUnavailable.into());
    }
    gw.limits
        .admit_send(origin.user, conversation, clock::now_ms())
}

/// Admits a record whose form is right, and queues it.
fn submit(
    gw: &Gw,
    origin: Origin,
    conversation: ConversationId,
    record: UpstreamMessage,
    trace: String,
) -> Result<(), Error> {
    admit(gw, origin, conversation)?;
    enqueue(gw, origin, conversation, record, trace)
}

/// Queues a record with what every record has.
fn enqueue(
    gw: &Gw,
    origin: Origin,
    conversation: ConversationId,
    record: UpstreamMessage,
    trace: String,
) -> Result<(), Error> {
    let span = receive(gw, origin, &trace);
    let conversation_id = conversation.to_string();
    let key = Bytes::copy_from_slice(conversation_id.as_bytes());
    let record = UpstreamMessage {
        trace_id: trace,
        user_id: origin.user.to_string(),
        gateway_id: gw.id.to_string(),
        conversation_id,
        timestamp: clock::now_s(),
        conn_id: origin.conn_id,
        ..record
    };
    let mut record = OutRecord::new(gw.upstream_topic.clone(), key, record.encode_to_vec());
    if let Some(span) = &span {
        record.record.headers = span.context().on(Headers::none());
    }
    let span = span.map(Box::new);
    gw.upstream.try_send(Queued { record, span }).map_err(|_| {
        names::add(names::SEND_FAILED, 1);
        ErrorCode::ServiceUnavailable.into()
    })
}

/// Writes what is queued until the gateway stops and the queue is empty.
///
/// A few writes may be in flight; each takes its place in the log's order when it is first polled,
/// which is why finished writes are looked at before a new one is begun.
pub(crate) async fn run(gw: Gw, mut queue: mpsc::Receiver<Queued>, stop: CancellationToken) {
    let producer = gw.mq.producer();
    let limits = &gw.config.backend;
    let mut in_flight = FuturesUnordered::new();
    let mut batch = Vec::new();
    let mut open = true;
    while open || !in_flight.is_empty() {
        tokio::select! {
            biased;
            Some(()) = in_flight.next(), if !in_flight.is_empty() => {}
            () = stop.cancelled(), if open && !queue.is_closed() => queue.close(),
            n = queue.recv_many(&mut batch, limits.upstream_batch),
                if open && in_flight.len() < limits.upstream_in_flight =>
            {
                open = n > 0;
                if open {
                    in_flight.push(write(&gw, producer.as_ref(), std::mem::take(&mut batch)));
                }
            }
        }
    }
}

async fn write(gw: &Gw, producer: &dyn Producer, mut queued: Vec<Queued>) {
    let spans = queued.iter_mut().filter_map(|q| q.span.take());
    let spans: Vec<Box<Span>> = spans.collect();
    let batch: Vec<OutRecord> = queued.into_iter().map(|q| q.record).collect();
    let count = batch.len();
    // Records share their bytes: this copy is a list of references.
    let Err(error) = producer.send(batch.clone()).await else {
        spans.into_iter().for_each(|span| span.end());
        return names::add(names::SENT, count);
    };
    for span in spans {
        span.fail(error.kind.as_str());
    }
    if !error.is_retryable() && count > 1 {
        // One record the log can never take must not take the others down with it.
        for record in batch {
            match producer.send(vec![record.clone()]).await {
                Ok(_) => names::add(names::SENT, 1),
                Err(error) => refuse(gw, &record, &error),
            }
        }
        return;
    }
    for record in &batch {
        refuse(gw, record, &error);
    }
}

/// Tells the author that the log did not take the message; sending again with the same id is safe.
fn refuse(gw: &Gw, record: &OutRecord, error: &MqError) {
    names::add(names::SEND_FAILED, 1);
    tracing::warn!(%error, "a message could not be written to the log");
    let Ok(message) = UpstreamMessage::decode(record.record.value.clone()) else {
        return;
    };
    let error = Error::from(error.clone());
    if message.conn_id == 0 {
        gw.waiters.settle(
            &message.trace_id,
            &message.user_id,
            &message.client_msg_id,
            Err(error),
        );
        return;
    }
    let conn = message
        .user_id
        .parse()
        .ok()
        .and_then(|user| gw.table.find(user, message.conn_id));
    if let Some(conn) = conn {
        gw.send(&conn, &frames::error(&error, Some(&message.client_msg_id)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_ids_are_different_uuids() {
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| new_trace()).collect();
        assert_eq!(ids.len(), 10_000);
        let id: uuid::Uuid = ids.iter().next().unwrap().parse().unwrap();
        assert_eq!(id.get_version_num(), 7);
    }
}
