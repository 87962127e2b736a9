//! History, sending, reading.

use std::borrow::Cow;
use std::time::Duration;

use axum::extract::State;
use gochat_core::error::{Error, ErrorCode};
use gochat_core::ids::{ConversationId, UserId};
use gochat_core::message::{MessageType, Refers};
use gochat_core::session::frame::{Forward, SendMessage};
use gochat_core::text;
use gochat_proto::im::logic::v1::{GetMessagesRequest, MarkAsReadRequest};
use gochat_proto::im::repo::v1::GetMessageRequest;
use gochat_proto::mq::v1::DownstreamMessage;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::extract::{Auth, Body, Id, OptionalBody, Params, Trace};
use super::objects::{Message, Quote, UserBrief};
use super::reply::{ApiError, ApiResult, Envelope, ErrorBody, Reply};
use crate::state::Gw;
use crate::upstream::{self, Origin};

const LIMIT_DEFAULT: i32 = 50;
const LIMIT_MAX: i32 = 100;
/// Pause between two looks for a row that is on its way.
const ROW_PAUSE: Duration = Duration::from_millis(40);

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryParams {
    /// Messages before this seqId, newest first; absent = from the newest.
    cursor: Option<i64>,
    /// Messages after this seqId, oldest first; wins over `cursor`.
    #[serde(alias = "afterSeq")]
    after_seq: Option<i64>,
    /// About half of the page before and half after this seqId, oldest first; not together with
    /// `cursor` or `after_seq`. A number beyond the newest stands for the newest.
    #[serde(alias = "aroundSeq")]
    around_seq: Option<i64>,
    /// 1 to 100, default 50.
    #[serde(alias = "size", alias = "pageSize", alias = "page_size")]
    limit: Option<i32>,
    /// A seqId you know of: the answer reaches it, or says that it is behind. This gateway knows
    /// what it told you itself; say it when you come from another one.
    #[serde(alias = "atLeast")]
    at_least: Option<i64>,
    /// A `rev` of a change you know of: messages are shown as they are since then, or the answer says
    /// that it is behind.
    #[serde(alias = "atLeastRev")]
    at_least_rev: Option<i64>,
}

/// A stretch of history.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct HistoryData {
    messages: Vec<Message>,
    /// Cursor of the next page; 0 when nothing is left. Give it back as `cursor`, or as
    /// `after_seq` when the page is oldest first.
    next_cursor: i64,
    /// `cursor` of the messages before the page, 0 when there are none; with `around_seq` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_cursor: Option<i64>,
    has_more: bool,
    /// The newest message known of, on this page or not.
    head_seq_id: i64,
    /// True when messages up to `headSeqId` are on their way to the database and may be missing
    /// here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    behind: bool,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct SendBody {
    /// 1 text, 2 image, 3 file, 5 voice, 6 video; names are understood too. Must be there, but with
    /// `forwardedFrom`.
    #[serde(rename = "messageType", alias = "message_type", default)]
    message_type: Option<TypeField>,
    /// Must be there, but with `forwardedFrom`.
    #[serde(default)]
    content: Option<String>,
    /// Your own id for the message, at most 64 bytes: sending again with it is harmless.
    #[serde(rename = "client_msg_id", default)]
    client_msg_id: Option<String>,
    /// Another spelling of `client_msg_id`.
    #[serde(rename = "clientMsgId", alias = "tempMessageId", default)]
    client_msg_id_camel: Option<String>,
    /// JSON text that travels along.
    #[serde(default)]
    extra: Option<String>,
    /// Say `true` whenever it may have been sent before with this id: it is stored once, however long ago that was.
    #[serde(default)]
    resend: Option<bool>,
    /// Id of a message of the same conversation that this one answers.
    #[serde(rename = "replyTo", default)]
    reply_to: Option<String>,
    /// Ids of the users that it names, at most 50; who isn't a member is left out.
    #[serde(default)]
    mentions: Option<Vec<String>>,
    /// It names everybody: for admins and the owner, or for all where the group says so.
    #[serde(rename = "mentionAll", default)]
    mention_all: Option<bool>,
    /// A message to pass on: type, content and extra are taken from there.
    #[serde(rename = "forwardedFrom", default)]
    forwarded_from: Option<SourceBody>,
}

/// A message to pass on. You must be able to read it.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SourceBody {
    conversation_id: String,
    message_id: String,
}

impl SourceBody {
    fn read(&self) -> Result<Forward, ApiError> {
        let conversation = self.conversation_id.parse();
        let message = self.message_id.parse();
        Ok(Forward {
            conversation_id: conversation.map_err(|_| ErrorCode::ConversationNotFound)?,
            message_id: message.map_err(|_| ErrorCode::MessageNotFound)?,
        })
    }
}

impl SendBody {
    fn refers(&self) -> Result<Option<Box<Refers>>, ApiError> {
        let reply_to = self.reply_to.as_deref().filter(|id| !id.is_empty());
        let reply_to = reply_to.map(str::parse).transpose();
        let mentions = self.mentions.iter().flatten().map(|id| id.parse());
        let mentions = mentions.collect::<Result<Vec<UserId>, _>>();
        let refers = Refers::check(
            reply_to.map_err(|_| ErrorCode::MessageNotFound)?,
            mentions.map_err(|_| ErrorCode::UserNotFound)?,
            self.mention_all.unwrap_or(false),
        )?;
        Ok(refers.map(Box::new))
    }

    /// Type and content of a message that is written here.
    fn said(&mut self) -> Result<(i32, String), ApiError> {
        let kind = self.message_type.as_ref().map(TypeField::number);
        let kind = kind.ok_or_else(|| ApiError::invalid("`messageType` is missing."))?;
        let content = self.content.take();
        let content = content.ok_or_else(|| ApiError::invalid("`content` is missing."))?;
        Ok((kind, text::into_nfc(content)))
    }
}

/// A message type as number or name.
#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "the number or the name of a message type")]
enum TypeField {
    Number(i32),
    Name(String),
}

impl TypeField {
    fn number(&self) -> i32 {
        match self {
            Self::Number(number) => *number,
            Self::Name(name) => MessageType::from_name(name).map_or(0, MessageType::as_i32),
        }
    }
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ReadBody {
    /// Newest message seen; absent = the newest there is.
    #[serde(alias = "seq_id")]
    seq_id: Option<i64>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReadData {
    unread_count: i64,
    /// The pointer now; it never moves back.
    last_read_seq_id: i64,
    /// True when the message you read is on its way to the database: the pointer stopped before it.
    /// Say it again later.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    behind: bool,
    /// Where the pointer should have got to; with `behind` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    head_seq_id: Option<i64>,
}

/// Messages of a conversation.
#[utoipa::path(get, path = "/conversations/{conversationId}/messages", tag = "messages",
    params(("conversationId" = String, Path), HistoryParams), security(("bearer" = [])), responses(
    (status = 200, body = Envelope<HistoryData>), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn history(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Id(id): Id<ConversationId>,
    Params(params): Params<HistoryParams>,
) -> ApiResult<HistoryData> {
    let wish = Wish::of(&params)?;
    let request = GetMessagesRequest {
        user_id: me.user.to_string(),
        conversation_id: id.to_string(),
        start_seq_id: wish.start,
        end_seq_id: wish.end,
        limit: wish.limit,
        ascending: wish.ascending,
        type_filter: vec![],
        at_least_seq_id: gw.told_of(id, params.at_least),
        around_seq_id: wish.around,
        at_least_rev: gw.told_change_of(id).max(params.at_least_rev.unwrap_or(0)),
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .read(clients, &trace.0, request, |mut c, r| async move {
            c.get_messages(r).await
        });
    let r = call.await?;
    // The number before which a client goes on stands on the page: cursors bound from outside.
    let prev_cursor = (r.prev_seq_id > 0).then(|| r.prev_seq_id + 1);
    let messages: Vec<Message> = r.messages.into_iter().map(Into::into).collect();
    let has_more = r.has_more && !wish.is_exhausted;
    let last = messages.last().map(|m| m.seq_id);
    let next_cursor = match (wish.ascending, has_more) {
        // A client that syncs goes on from here also when nothing is left for now.
        (true, _) => last.unwrap_or((wish.start - 1).max(0)),
        (false, true) => last.unwrap_or(0),
        (false, false) => 0,
    };
    Ok(Reply::ok(HistoryData {
        messages,
        next_cursor,
        prev_cursor: (wish.around > 0).then(|| prev_cursor.unwrap_or(0)),
        has_more,
        head_seq_id: r.head_seq_id,
        behind: r.behind,
    }))
}

/// Query parameters as bounds on seqIds.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    start: i64,
    end: i64,
    limit: i32,
    ascending: bool,
    /// The middle of the page; 0 = none.
    around: i64,
    /// The cursor stands before the first message: nothing can follow.
    is_exhausted: bool,
}

impl Wish {
    fn of(params: &HistoryParams) -> Result<Self, ApiError> {
        let limit = params.limit.unwrap_or(LIMIT_DEFAULT);
        let positions = [
            params.cursor,
            params.after_seq,
            params.around_seq,
            params.at_least,
            params.at_least_rev,
        ];
        if limit < 1 || positions.iter().flatten().any(|seq| *seq < 0) {
            return Err(ApiError::invalid("Limits start at 1, positions at 0."));
        }
        let limit = limit.min(LIMIT_MAX);
        if let Some(around) = params.around_seq {
            if around < 1 || params.after_seq.is_some() || params.cursor.is_some() {
                return Err(ApiError::invalid(
                    "`around_seq` is a seqId from 1, without `cursor` and `after_seq`.",
                ));
            }
            return Ok(Self {
                start: 0,
                end: 0,
                limit,
                ascending: true,
                around,
                is_exhausted: false,
            });
        }
        Ok(match (params.after_seq, params.cursor) {
            (Some(after), _) => Self {
                start: after.saturating_add(1),
                end: 0,
                limit,
                ascending: true,
                around: 0,
                is_exhausted: false,
            },
            // 0 bounds nothing on the wire: "before the first" is asked as the empty stretch 1 down to 2.
            (None, Some(0 | 1)) => Self {
                start: 1,
                end: 2,
                limit,
                ascending: false,
                around: 0,
                is_exhausted: true,
            },
            (None, cursor) => Self {
                start: cursor.map_or(0, |c| c - 1),
                end: 0,
                limit,
                ascending: false,
                around: 0,
                is_exhausted: false,
            },
        })
    }
}

/// Sends a message and answers once it is durable. Sending again with the same client id gives the
/// original.
#[utoipa::path(post, path = "/conversations/{conversationId}/messages", tag = "messages",
    params(("conversationId" = String, Path)), request_body = SendBody, security(("bearer" = [])),
    responses((status = 201, body = Envelope<Message>), (status = 400, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 429, body = ErrorBody),
    (status = 504, body = ErrorBody)))]
pub(super) async fn send(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Id(id): Id<ConversationId>,
    headers: HeaderMap,
    Body(mut body): Body<SendBody>,
) -> ApiResult<Message> {
    let refers = body.refers()?;
    let forward = body.forwarded_from.as_ref().map(SourceBody::read);
    let forward = forward.transpose()?;
    let (mut kind, mut content) = match forward {
        Some(_) => (0, String::new()),
        None => body.said()?,
    };
    let header = || {
        headers
            .get("x-idempotency-key")
            .and_then(|v| v.to_str().ok())
            .map(str::to_owned)
    };
    let client_msg_id = body
        .client_msg_id
        .or(body.client_msg_id_camel)
        .or_else(header)
        .filter(|id| !id.is_empty())
        .unwrap_or_else(upstream::new_trace);
    let mut ticket = gw
        .waiters
        .enter(&trace.0, me.user.to_string(), client_msg_id.clone())?;
    let draft = SendMessage {
        conversation_id: id,
        content: Cow::Borrowed(&content),
        message_type: kind,
        client_msg_id: Some(client_msg_id.into()),
        extra: body.extra.as_deref().map(Cow::Borrowed),
        resend: body.resend.unwrap_or(false),
        refers,
        forward,
    };
    let origin = Origin {
        user: me.user,
        conn_id: 0,
    };
    let deadline = Instant::now() + Duration::from_millis(gw.config.http.send_timeout_ms);
    let its_trace = ticket.trace.clone();
    match forward {
        None => upstream::accept(&gw, origin, draft, its_trace)?,
        Some(source) => {
            let read = upstream::accept_forward(&gw, origin, draft, source, its_trace);
            let read = tokio::time::timeout_at(deadline, read).await;
            let read = read.map_err(|_| ErrorCode::Timeout)??;
            (kind, content) = (read.r#type, read.content);
            body.extra = Some(read.extra);
        }
    }
    let answer = tokio::time::timeout_at(deadline, &mut ticket.answer)
        .await
        .map_err(|_| ErrorCode::Timeout)?
        .map_err(|_| ErrorCode::ServiceUnavailable)??;
    if answer.replay {
        let original = tokio::time::timeout_at(deadline, original(&gw, answer)).await;
        return Ok(Reply::created(original.map_err(|_| ErrorCode::Timeout)??));
    }
    let mut message = message_of(answer);
    // An answer may carry only the places; the rest is what was sent.
    if message.message_type == 0 {
        message.message_type = kind;
    }
    if message.content.is_empty() {
        (message.content, message.extra) = (content, body.extra.filter(|e| !e.is_empty()));
    }
    Ok(Reply::created(message))
}

/// What was sent under this client id before, which may not be what was sent now. Its row may still be on its
/// way; the caller sets the deadline.
async fn original(gw: &Gw, answer: DownstreamMessage) -> Result<Message, Error> {
    let request = GetMessageRequest {
        message_id: answer.message_id.to_string(),
        conversation_id: answer.conversation_id,
        reader_id: String::new(),
    };
    loop {
        match gw.backend.get_message(request.clone()).await {
            Ok(found) => {
                return found
                    .message
                    .map(Message::from)
                    .ok_or(ErrorCode::Internal.into());
            }
            Err(error) if is_late(&error) => tokio::time::sleep(ROW_PAUSE).await,
            Err(error) => return Err(error),
        }
    }
}

fn is_late(error: &Error) -> bool {
    matches!(error.code, ErrorCode::NotFound | ErrorCode::MessageNotFound)
}

/// A downstream record as the API shows messages.
fn message_of(m: DownstreamMessage) -> Message {
    let sender = m
        .sender_info
        .map(|s| UserBrief::new(s.id, s.username, s.avatar_url, s.is_guest));
    let references = m.references.unwrap_or_default();
    let mentions = references.mention_ids.iter();
    Message {
        id: m.message_id.to_string(),
        conversation_id: m.conversation_id,
        sender_id: m.sender_id,
        sender,
        message_type: m.message_type,
        content: m.content,
        seq_id: m.seq_id,
        client_msg_id: (!m.client_msg_id.is_empty()).then_some(m.client_msg_id),
        deleted: false,
        extra: (!m.extra.is_empty()).then_some(m.extra),
        created_at: m.timestamp,
        updated_at: m.timestamp,
        rev: m.rev,
        edited_at: None,
        edit_count: 0,
        reactions: Vec::new(),
        pinned: false,
        reply_to: references.reply_to.map(Quote::pushed),
        mentions: mentions.map(ToString::to_string).collect(),
        mention_all: references.mention_all,
        forwarded_from: references.forwarded.map(Into::into),
        hidden: false,
    }
}

/// Moves your read pointer forward.
#[utoipa::path(put, path = "/conversations/{conversationId}/read", tag = "messages",
    params(("conversationId" = String, Path)), request_body = Option<ReadBody>, security(("bearer" = [])),
    responses((status = 200, body = Envelope<ReadData>), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn mark_read(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Id(id): Id<ConversationId>,
    OptionalBody(body): OptionalBody<ReadBody>,
) -> ApiResult<ReadData> {
    if body.seq_id.is_some_and(|seq| seq < 0) {
        return Err(ApiError::invalid("seqId starts at 0."));
    }
    let clients = &gw.backend.conversations;
    let request = MarkAsReadRequest {
        user_id: me.user.to_string(),
        conversation_id: id.to_string(),
        seq_id: body.seq_id.unwrap_or(0),
        at_least_seq_id: gw.told_of(id, None),
    };
    let call = gw
        .backend
        .read(clients, &trace.0, request, |mut c, r| async move {
            c.mark_as_read(r).await
        });
    let r = call.await?;
    Ok(Reply::ok(ReadData {
        unread_count: r.unread_count,
        last_read_seq_id: r.last_read_seq_id,
        behind: r.behind,
        head_seq_id: r.behind.then_some(r.head_seq_id),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(cursor: Option<i64>, after_seq: Option<i64>) -> Wish {
        Wish::of(&HistoryParams {
            cursor,
            after_seq,
            around_seq: None,
            limit: None,
            at_least: None,
            at_least_rev: None,
        })
        .unwrap()
    }

    fn around(around_seq: i64, cursor: Option<i64>, after_seq: Option<i64>) -> Option<i64> {
        let wish = Wish::of(&HistoryParams {
            cursor,
            after_seq,
            around_seq: Some(around_seq),
            limit: None,
            at_least: None,
            at_least_rev: None,
        });
        wish.ok().map(|wish| wish.around)
    }

    #[test]
    fn a_page_around_a_number_has_no_other_start() {
        assert_eq!(around(9, None, None), Some(9));
        assert_eq!(around(9, Some(4), None), None);
        assert_eq!(around(9, None, Some(4)), None);
        assert_eq!(around(0, None, None), None);
        assert_eq!(around(-1, None, None), None);
    }

    #[test]
    fn a_cursor_is_an_exclusive_upper_bound() {
        assert_eq!(
            (wish(None, None).start, wish(None, None).ascending),
            (0, false)
        );
        assert_eq!(wish(Some(51), None).start, 50);
        let first = wish(Some(1), None);
        assert!(
            first.is_exhausted && first.start < first.end,
            "an empty stretch"
        );
    }

    #[test]
    fn after_seq_reads_upwards() {
        let w = wish(Some(9), Some(0));
        assert_eq!((w.start, w.ascending), (1, true));
    }

    #[test]
    fn negative_positions_are_refused() {
        for (cursor, after_seq, limit) in [
            (Some(-1), None, None),
            (None, Some(-1), None),
            (None, None, Some(0)),
        ] {
            assert!(
                Wish::of(&HistoryParams {
                    cursor,
                    after_seq,
                    around_seq: None,
                    limit,
                    at_least: None,
                    at_least_rev: None,
                })
                .is_err()
            );
        }
    }

    #[test]
    fn message_types_come_as_number_or_name() {
        let number = |json: &str| {
            serde_json::from_str::<SendBody>(json)
                .unwrap()
                .message_type
                .unwrap()
                .number()
        };
        assert_eq!(number(r#"{"messageType":2,"content":"x"}"#), 2);
        assert_eq!(number(r#"{"message_type":"voice","content":"x"}"#), 5);
        assert_eq!(number(r#"{"messageType":"spell","content":"x"}"#), 0);
    }
}
