//! Announcement of a group: reports of reading it, and who has read it.

use axum::extract::State;
use gochat_core::ids::ConversationId;
use gochat_proto::im::logic::v1 as pb;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Auth, Body, Id, Params, Trace};
use super::read_by::Reader;
use super::reply::{ApiError, ApiResult, Envelope, ErrorBody, Reply};
use crate::state::Gw;

const LIMIT_DEFAULT: i32 = 50;
const LIMIT_MAX: i32 = 100;

/// A version of the announcement that was read.
#[derive(Deserialize, ToSchema)]
pub(super) struct AnnouncementReadBody {
    /// `version` of the announcement that was shown.
    #[schema(minimum = 1)]
    version: i64,
}

/// What you have read now.
#[derive(Serialize, ToSchema)]
pub(super) struct AnnouncementReadData {
    /// The newest version that you have read; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    /// True when you have read the present text.
    read: bool,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AnnouncementReadersParams {
    /// `nextCursor` of the page before. Opaque.
    cursor: Option<String>,
    /// 1 to 100, default 50.
    limit: Option<i32>,
}

/// Readers of the present announcement.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AnnouncementReadersData {
    /// The version that they have read; absent when there is no announcement.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    /// In the order in which they read.
    users: Vec<Reader>,
    /// `cursor` of the next page; with `hasMore` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    has_more: bool,
}

/// Reports that you have read a version of the announcement. Repeating it changes nothing; an older
/// version counts for itself alone.
#[utoipa::path(put, path = "/conversations/{conversationId}/announcement/read", tag = "conversations",
    params(("conversationId" = String, Path)), request_body = AnnouncementReadBody,
    security(("bearer" = [])), responses(
    (status = 200, body = Envelope<AnnouncementReadData>), (status = 400, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn read_announcement(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Id(id): Id<ConversationId>,
    Body(body): Body<AnnouncementReadBody>,
) -> ApiResult<AnnouncementReadData> {
    if body.version < 1 {
        return Err(ApiError::invalid("Versions of announcements start at 1."));
    }
    let request = pb::ReadAnnouncementRequest {
        user_id: me.user.to_string(),
        conversation_id: id.to_string(),
        version: body.version,
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .read(clients, &trace.0, request, |mut c, r| async move {
            c.read_announcement(r).await
        });
    let r = call.await?;
    Ok(Reply::ok(AnnouncementReadData {
        version: (r.version > 0).then_some(r.version),
        read: r.read,
    }))
}

/// Lists who has read the present announcement: for admins and the owner; for all members in groups
/// of up to 200.
#[utoipa::path(get, path = "/conversations/{conversationId}/announcement/readers", tag = "conversations",
    params(("conversationId" = String, Path), AnnouncementReadersParams),
    security(("bearer" = [])), responses(
    (status = 200, body = Envelope<AnnouncementReadersData>), (status = 400, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody)))]
pub(super) async fn announcement_readers(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Id(id): Id<ConversationId>,
    Params(params): Params<AnnouncementReadersParams>,
) -> ApiResult<AnnouncementReadersData> {
    let limit = params.limit.unwrap_or(LIMIT_DEFAULT);
    if limit < 1 {
        return Err(ApiError::invalid("Limits start at 1."));
    }
    let request = pb::ListAnnouncementReadersRequest {
        user_id: me.user.to_string(),
        conversation_id: id.to_string(),
        cursor: params.cursor.unwrap_or_default(),
        limit: limit.min(LIMIT_MAX),
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .read(clients, &trace.0, request, |mut c, r| async move {
            c.list_announcement_readers(r).await
        });
    let r = call.await?;
    Ok(Reply::ok(AnnouncementReadersData {
        version: (r.version > 0).then_some(r.version),
        users: r.readers.into_iter().map(Into::into).collect(),
        has_more: !r.next_cursor.is_empty(),
        next_cursor: Some(r.next_cursor).filter(|cursor| !cursor.is_empty()),
    }))
}
