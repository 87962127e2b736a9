//! Readers of a message.

use axum::extract::State;
use gochat_core::ids::ConversationId;
use gochat_proto::im::logic::v1 as pb;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Auth, Id, Params, Trace};
use super::reply::{ApiError, ApiResult, Envelope, ErrorBody, Reply};
use crate::state::Gw;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ReadByParams {
    /// The seqId of the message.
    #[serde(alias = "seqId", alias = "seq_id")]
    seq: i64,
}

/// Readers of a message, without its author.
#[derive(Serialize, ToSchema)]
pub(super) struct ReadByData {
    count: usize,
    /// In the order in which they read last.
    users: Vec<Reader>,
}

/// A member who has read a message or an announcement.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reader {
    user_id: String,
    /// Unix seconds at which it was read; of a message, at which the member's read pointer last
    /// moved, so that it was read by then.
    read_at: i64,
}

impl From<pb::Reader> for Reader {
    fn from(reader: pb::Reader) -> Self {
        Self {
            user_id: reader.user_id,
            read_at: reader.read_at,
        }
    }
}

/// Lists the readers of a message: members whose read pointer is at or beyond it. For single chats
/// and groups of up to 200 members.
#[utoipa::path(get, path = "/conversations/{conversationId}/read-by", tag = "messages",
    params(("conversationId" = String, Path), ReadByParams), security(("bearer" = [])), responses(
    (status = 200, body = Envelope<ReadByData>), (status = 400, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn read_by(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Id(id): Id<ConversationId>,
    Params(params): Params<ReadByParams>,
) -> ApiResult<ReadByData> {
    if params.seq < 1 {
        return Err(ApiError::invalid(
            "`seq` is the seqId of a message, from 1.",
        ));
    }
    let request = pb::GetReadByRequest {
        user_id: me.user.to_string(),
        conversation_id: id.to_string(),
        seq_id: params.seq,
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .read(clients, &trace.0, request, |mut c, r| async move {
            c.get_read_by(r).await
        });
    let users: Vec<Reader> = call.await?.readers.into_iter().map(Into::into).collect();
    Ok(Reply::ok(ReadByData {
        count: users.len(),
        users,
    }))
}
