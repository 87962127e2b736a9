//! Accounts and tokens.

use axum::extract::State;
use gochat_core::error::ErrorCode;
use gochat_proto::im::logic::v1::{
    GetChallengeRequest, GuestLoginRequest, LoginRequest, LogoutRequest, RefreshTokenRequest,
    RegisterRequest,
};
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{Auth, Body, Network, OptionalBody, Trace, bearer};
use super::objects::User;
use super::reply::{ApiResult, Envelope, ErrorBody, Nothing, Reply};
use crate::revocations;
use crate::state::Gw;

/// How much of `User-Agent` is told to im-logic.
const CLIENT_INFO_MAX: usize = 256;
/// Longest name of a device that is told to im-logic.
const DEVICE_ID_MAX: usize = 128;

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RegisterBody {
    /// 3 to 50 characters, unique.
    username: String,
    /// 8 to 128 characters.
    password: String,
    #[serde(default)]
    avatar_url: Option<String>,
    /// Invitation code, where registration is by invitation.
    #[serde(default)]
    invitation: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LoginBody {
    username: String,
    password: String,
    /// A random name that the client keeps for its device, 16 to 128 characters: strangers who try
    /// passwords for the account then don't hold it up.
    #[serde(default, alias = "device_id")]
    device_id: Option<String>,
    /// Name of the device, for the list of sessions; at most 64 characters are kept.
    #[serde(default)]
    device: Option<String>,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct GuestBody {
    /// Base of the name; always made unique.
    #[serde(alias = "guest_name")]
    guest_name: Option<String>,
    /// A random name that the client keeps for its device.
    #[serde(alias = "device_id")]
    device_id: Option<String>,
    /// Name of the device, for the list of sessions; at most 64 characters are kept.
    device: Option<String>,
    /// Proof of work, where guests need one: a challenge of `/auth/challenge`, a dot, and a decimal
    /// counter such that the SHA-256 of this text begins with `difficulty` zero bits. Good once.
    proof: Option<String>,
}

/// A task for a guest.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChallengeData {
    /// Zero bits that the SHA-256 of a proof begins with; 0 where guests need no proof.
    difficulty: i32,
    /// 98 hexadecimal digits; absent where guests need no proof.
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<String>,
    /// Unix seconds at which a proof is no longer taken; absent where guests need none.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RefreshBody {
    /// The newest one. Presented again within 60 seconds, it gives the same successor.
    #[serde(alias = "refresh_token")]
    refresh_token: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct UserData {
    user: User,
}

/// Tokens of a session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionData {
    pub(super) access_token: String,
    pub(super) refresh_token: String,
    /// Unix seconds at which the access token expires.
    pub(super) expires_in: i64,
    pub(super) user: User,
}

/// Tokens that replace older ones.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenData {
    access_token: String,
    refresh_token: String,
    /// Unix seconds at which the access token expires.
    expires_in: i64,
}

/// Creates an account.
#[utoipa::path(post, path = "/auth/register", tag = "auth", request_body = RegisterBody, responses(
    (status = 201, body = Envelope<UserData>), (status = 400, body = ErrorBody)))]
pub(super) async fn register(
    State(gw): State<Gw>,
    trace: Trace,
    network: Network,
    Body(body): Body<RegisterBody>,
) -> ApiResult<UserData> {
    let request = RegisterRequest {
        username: body.username,
        password: body.password,
        avatar_url: body.avatar_url.unwrap_or_default(),
        address: network.0,
        invitation: body.invitation.unwrap_or_default(),
    };
    let call = gw
        .backend
        .call(&gw.backend.auth, &trace.0, request, |mut c, r| async move {
            c.register(r).await
        });
    let user = call.await?.user.ok_or(ErrorCode::Internal)?;
    Ok(Reply::created(UserData { user: user.into() }))
}

/// Trades a name and a password for tokens.
#[utoipa::path(post, path = "/auth/login", tag = "auth", request_body = LoginBody, responses(
    (status = 200, body = Envelope<SessionData>), (status = 401, body = ErrorBody), (status = 423, body = ErrorBody)))]
pub(super) async fn login(
    State(gw): State<Gw>,
    trace: Trace,
    network: Network,
    headers: HeaderMap,
    Body(body): Body<LoginBody>,
) -> ApiResult<SessionData> {
    let request = LoginRequest {
        username: body.username,
        password: body.password,
        client_info: client_info(&headers),
        address: network.0,
        device_id: device(body.device_id),
        device: body.device.unwrap_or_default(),
    };
    let call = gw
        .backend
        .call(&gw.backend.auth, &trace.0, request, |mut c, r| async move {
            c.login(r).await
        });
    let r = call.await?;
    let user = r.user.ok_or(ErrorCode::Internal)?.into();
    let (access_token, refresh_token, expires_in) = (r.access_token, r.refresh_token, r.expires_in);
    Ok(Reply::ok(SessionData {
        access_token,
        refresh_token,
        expires_in,
        user,
    }))
}

/// Creates a guest account and signs it in.
#[utoipa::path(post, path = "/auth/guest", tag = "auth", request_body = Option<GuestBody>, responses(
    (status = 201, body = Envelope<SessionData>), (status = 403, body = ErrorBody)))]
pub(super) async fn guest(
    State(gw): State<Gw>,
    trace: Trace,
    network: Network,
    headers: HeaderMap,
    OptionalBody(body): OptionalBody<GuestBody>,
) -> ApiResult<SessionData> {
    let request = GuestLoginRequest {
        client_info: client_info(&headers),
        guest_name: body.guest_name.unwrap_or_default(),
        address: network.0,
        device_id: device(body.device_id),
        device: body.device.unwrap_or_default(),
        proof: body.proof.unwrap_or_default(),
    };
    let call = gw
        .backend
        .call(&gw.backend.auth, &trace.0, request, |mut c, r| async move {
            c.guest_login(r).await
        });
    let r = call.await?;
    let user = r.user.ok_or(ErrorCode::Internal)?.into();
    let (access_token, refresh_token, expires_in) = (r.access_token, r.refresh_token, r.expires_in);
    Ok(Reply::created(SessionData {
        access_token,
        refresh_token,
        expires_in,
        user,
    }))
}

/// A challenge whose proof makes a guest, where the settings ask for one. A challenge is for one
/// guest.
#[utoipa::path(get, path = "/auth/challenge", tag = "auth", responses(
    (status = 200, body = Envelope<ChallengeData>)))]
pub(super) async fn challenge(State(gw): State<Gw>, trace: Trace) -> ApiResult<ChallengeData> {
    let request = GetChallengeRequest {};
    let call = gw
        .backend
        .call(&gw.backend.auth, &trace.0, request, |mut c, r| async move {
            c.get_challenge(r).await
        });
    let r = call.await?;
    let is_needed = r.difficulty > 0;
    Ok(Reply::ok(ChallengeData {
        difficulty: r.difficulty,
        challenge: is_needed.then_some(r.challenge),
        expires_at: is_needed.then_some(r.expires_at),
    }))
}

/// Trades a refresh token for new tokens. A repeat within 60 seconds gives the same ones; a token
/// that was used before that ends its session.
#[utoipa::path(post, path = "/auth/refresh", tag = "auth", request_body = RefreshBody, responses(
    (status = 200, body = Envelope<TokenData>), (status = 401, body = ErrorBody)))]
pub(super) async fn refresh(
    State(gw): State<Gw>,
    trace: Trace,
    network: Network,
    Body(body): Body<RefreshBody>,
) -> ApiResult<TokenData> {
    let request = RefreshTokenRequest {
        refresh_token: body.refresh_token,
        address: network.0,
    };
    let call = gw
        .backend
        .call(&gw.backend.auth, &trace.0, request, |mut c, r| async move {
            c.refresh_token(r).await
        });
    let r = call.await?;
    let (access_token, refresh_token, expires_in) = (r.access_token, r.refresh_token, r.expires_in);
    Ok(Reply::ok(TokenData {
        access_token,
        refresh_token,
        expires_in,
    }))
}

/// Ends the session: every token of it is refused, every socket closed.
#[utoipa::path(post, path = "/auth/logout", tag = "auth", security(("bearer" = [])), responses(
    (status = 200, body = Envelope<Nothing>), (status = 401, body = ErrorBody)))]
pub(super) async fn logout(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    headers: HeaderMap,
) -> ApiResult<Nothing> {
    let access_token = bearer(&headers)?.unwrap_or_default().to_owned();
    let request = LogoutRequest {
        user_id: me.user.to_string(),
        access_token,
    };
    let call = gw
        .backend
        .call(&gw.backend.auth, &trace.0, request, |mut c, r| async move {
            c.logout(r).await
        });
    call.await?;
    // The event tells every gateway, this one too; but what was answered here holds here at once.
    revocations::sign_out(&gw, &me);
    Ok(Reply::done())
}

/// The device as the client names it; absurd names are none.
fn device(id: Option<String>) -> String {
    id.filter(|id| id.len() <= DEVICE_ID_MAX)
        .unwrap_or_default()
}

fn client_info(headers: &HeaderMap) -> String {
    let agent = headers
        .get(header::USER_AGENT)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    agent.chars().take(CLIENT_INFO_MAX).collect()
}
