//! Sessions, the password, and what a guest becomes.

use axum::extract::State;
use gochat_core::error::ErrorCode;
use gochat_core::token::SessionId;
use gochat_proto::im::logic::v1::{
    ChangePasswordRequest, DeleteAccountRequest, EndSessionsRequest, ListSessionsRequest,
    SessionInfo, UpgradeGuestRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::SessionData;
use super::extract::{Auth, Body, Id, Network, OptionalBody, Registered, Trace};
use super::reply::{ApiResult, Envelope, ErrorBody, Nothing, Reply};
use crate::revocations;
use crate::state::Gw;

/// A sign-in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Session {
    id: String,
    /// Name of the device, as the client gave it; may be empty.
    device: String,
    /// Software of the client; may be empty.
    client: String,
    /// Network address of the sign-in or of the last refresh; may be empty.
    address: String,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds of the last refresh.
    last_used_at: i64,
    /// Whether the request came with a token of this session.
    current: bool,
}

impl Session {
    fn new(info: SessionInfo, current: SessionId) -> Self {
        Self {
            current: info.session_id == current.to_string(),
            id: info.session_id,
            device: info.device,
            client: info.client,
            address: info.address,
            created_at: info.created_at,
            last_used_at: info.last_used_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct SessionsData {
    /// The most recently used first.
    sessions: Vec<Session>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PasswordBody {
    #[serde(alias = "old_password")]
    old_password: String,
    /// 8 to 128 characters.
    #[serde(alias = "new_password")]
    new_password: String,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
pub(super) struct DeleteBody {
    /// Guests have none.
    password: Option<String>,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct UpgradeBody {
    /// 3 to 50 characters, unique.
    username: String,
    /// 8 to 128 characters.
    password: String,
}

/// Your sessions.
#[utoipa::path(get, path = "/sessions", tag = "sessions", security(("bearer" = [])), responses(
    (status = 200, body = Envelope<SessionsData>), (status = 401, body = ErrorBody)))]
pub(super) async fn list(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
) -> ApiResult<SessionsData> {
    let request = ListSessionsRequest {
        user_id: me.user.to_string(),
    };
    let call = gw
        .backend
        .read(&gw.backend.auth, &trace.0, request, |mut c, r| async move {
            c.list_sessions(r).await
        });
    let rows = call.await?.sessions.into_iter();
    let sessions = rows.map(|info| Session::new(info, me.session)).collect();
    Ok(Reply::ok(SessionsData { sessions }))
}

/// Ends one of your sessions: every token of it is refused, every socket closed.
#[utoipa::path(delete, path = "/sessions/{sessionId}", tag = "sessions", security(("bearer" = [])),
    params(("sessionId" = String, Path)), responses(
    (status = 200, body = Envelope<Nothing>), (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody)))]
pub(super) async fn end(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Id(session): Id<SessionId>,
) -> ApiResult<Nothing> {
    let request = EndSessionsRequest {
        user_id: me.user.to_string(),
        session_id: session.to_string(),
        ..Default::default()
    };
    end_sessions(&gw, &trace, request).await?;
    // The event tells every gateway, this one too; but what was answered here holds here at once.
    revocations::end_here(&gw, me.user, session);
    Ok(Reply::done())
}

/// Ends all your other sessions.
#[utoipa::path(delete, path = "/sessions", tag = "sessions", security(("bearer" = [])), responses(
    (status = 200, body = Envelope<Nothing>), (status = 401, body = ErrorBody)))]
pub(super) async fn end_others(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
) -> ApiResult<Nothing> {
    let request = EndSessionsRequest {
        user_id: me.user.to_string(),
        except_session_id: me.session.to_string(),
        ..Default::default()
    };
    end_sessions(&gw, &trace, request).await?;
    Ok(Reply::done())
}

/// Repeating it is safe.
async fn end_sessions(
    gw: &Gw,
    trace: &Trace,
    request: EndSessionsRequest,
) -> Result<(), super::reply::ApiError> {
    let call = gw
        .backend
        .read(&gw.backend.auth, &trace.0, request, |mut c, r| async move {
            c.end_sessions(r).await
        });
    call.await?;
    Ok(())
}

/// Changes your password and ends all your other sessions.
#[utoipa::path(put, path = "/users/password", tag = "sessions", security(("bearer" = [])),
    request_body = PasswordBody, responses(
    (status = 200, body = Envelope<Nothing>), (status = 400, body = ErrorBody),
    (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
    (status = 409, body = ErrorBody)))]
pub(super) async fn change_password(
    State(gw): State<Gw>,
    trace: Trace,
    Registered(me): Registered,
    Network(address): Network,
    Body(body): Body<PasswordBody>,
) -> ApiResult<Nothing> {
    let request = ChangePasswordRequest {
        user_id: me.user.to_string(),
        session_id: me.session.to_string(),
        old_password: body.old_password,
        new_password: body.new_password,
        address,
    };
    let call = gw
        .backend
        .call(&gw.backend.auth, &trace.0, request, |mut c, r| async move {
            c.change_password(r).await
        });
    call.await?;
    Ok(Reply::done())
}

/// Deletes your account. Your messages stay as those of a deleted user; the groups you own go on to
/// their longest-serving admin, else member. A guest needs no password.
#[utoipa::path(delete, path = "/users/account", tag = "sessions", security(("bearer" = [])),
    request_body = Option<DeleteBody>, responses(
    (status = 200, body = Envelope<Nothing>), (status = 400, body = ErrorBody),
    (status = 401, body = ErrorBody)))]
pub(super) async fn delete_account(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Network(address): Network,
    OptionalBody(body): OptionalBody<DeleteBody>,
) -> ApiResult<Nothing> {
    let request = DeleteAccountRequest {
        user_id: me.user.to_string(),
        password: body.password.unwrap_or_default(),
        address,
    };
    let call = gw
        .backend
        .call(&gw.backend.auth, &trace.0, request, |mut c, r| async move {
            c.delete_account(r).await
        });
    call.await?;
    // The event tells every gateway, this one too; but what was answered here holds here at once.
    revocations::end_here(&gw, me.user, me.session);
    Ok(Reply::done())
}

/// Makes an account of a guest, who keeps id, chats and history. Answers tokens of the same session
/// that name the account.
#[utoipa::path(post, path = "/auth/upgrade", tag = "auth", security(("bearer" = [])),
    request_body = UpgradeBody, responses(
    (status = 200, body = Envelope<SessionData>), (status = 400, body = ErrorBody),
    (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
    (status = 409, body = ErrorBody)))]
pub(super) async fn upgrade(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Body(body): Body<UpgradeBody>,
) -> ApiResult<SessionData> {
    let request = UpgradeGuestRequest {
        user_id: me.user.to_string(),
        session_id: me.session.to_string(),
        username: body.username,
        password: body.password,
    };
    let call = gw
        .backend
        .call(&gw.backend.auth, &trace.0, request, |mut c, r| async move {
            c.upgrade_guest(r).await
        });
    let r = call.await?;
    Ok(Reply::ok(SessionData {
        access_token: r.access_token,
        refresh_token: r.refresh_token,
        expires_in: r.expires_in,
        user: r.user.ok_or(ErrorCode::Internal)?.into(),
    }))
}
