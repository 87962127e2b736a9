//! `AdminService`: acts of operators.
//!
//! Callers are trusted; the service is reachable on the internal gRPC port and on the socket in
//! the data folder only. Each act is written to the audit records before it takes effect.

use std::future::Future;

use gochat_core::account::check_password;
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::UserId;
use gochat_core::token::EndReason;
use gochat_core::token::keys as rules;
use gochat_proto::common::v1::{User, UserStatus};
use gochat_proto::im::logic::v1 as pb;
use gochat_proto::im::repo::v1 as repo;
use pb::admin_service_server::AdminService;
use serde_json::json;

use super::conversation::depart;
use crate::app::App;
use crate::audit::{Act, BEGUN, OK, REASON_MAX_CHARS};
use crate::auth::{Key, signing_key};
use crate::clock;
use crate::repo::present;

/// Longest name of a key in characters.
const KID_MAX_CHARS: usize = 64;
/// Longest name of an operator in characters.
const OPERATOR_MAX_CHARS: usize = 64;

super::service! {
    /// What an operator may do.
    AdminService {
        show_user(ShowUserRequest) -> ShowUserResponse = show_user;
        disable_user(DisableUserRequest) -> DisableUserResponse = disable_user;
        enable_user(EnableUserRequest) -> EnableUserResponse = enable_user;
        sign_out_user(SignOutUserRequest) -> SignOutUserResponse = sign_out_user;
        delete_user(DeleteUserRequest) -> DeleteUserResponse = delete_user;
        reset_password(ResetPasswordRequest) -> ResetPasswordResponse = reset_password;
        rotate_keys(RotateKeysRequest) -> RotateKeysResponse = rotate_keys;
        revoke_key(RevokeKeyRequest) -> RevokeKeyResponse = revoke_key;
        list_keys(ListKeysRequest) -> ListKeysResponse = list_keys;
        list_audit(ListAuditRequest) -> ListAuditResponse = list_audit;
    }
}

/// An act of an operator: written down, done, and its outcome written down.
async fn act<T>(
    app: &App,
    operator: &str,
    action: &'static str,
    target: &str,
    reason: &str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let begun = Act {
        actor: operator.to_owned(),
        action,
        target: target.to_owned(),
        address: String::new(),
        outcome: BEGUN,
        detail: (!reason.is_empty()).then(|| json!({ "reason": reason })),
    };
    app.audit.write(begun.clone()).await?;
    let outcome = work.await;
    app.audit.note(Act {
        outcome: outcome.as_ref().err().map_or(OK, |e| e.code.code()),
        ..begun
    });
    outcome
}

/// The name of an operator as audit records have it.
fn operator(name: &str) -> Result<String> {
    let plain = |c: char| c.is_alphanumeric() || "._-@".contains(c);
    if name.is_empty() || name.chars().count() > OPERATOR_MAX_CHARS || !name.chars().all(plain) {
        return Err(wrong(
            "`operator` is 1 to 64 letters, digits, dots, dashes, underscores and @.",
        ));
    }
    Ok(format!("operator:{name}"))
}

fn reason(text: &str) -> Result<&str> {
    if text.len() > 4 * REASON_MAX_CHARS || text.chars().count() > REASON_MAX_CHARS {
        return Err(wrong("`reason` has at most 200 characters."));
    }
    Ok(text)
}

fn wrong(text: &'static str) -> Error {
    Error::new(ErrorCode::InvalidParams, text)
}

/// The account that a selector names, whatever its status.
async fn find(app: &App, selector: Option<pb::UserSelector>) -> Result<(UserId, User)> {
    let selector = selector.unwrap_or_default();
    let user = match (selector.username.is_empty(), selector.user_id.is_empty()) {
        (false, _) => {
            let request = repo::GetUserByUsernameRequest {
                username: selector.username,
            };
            match app.repo.user_by_name(request).await {
                Err(error) if error.code == ErrorCode::NotFound => {
                    return Err(ErrorCode::UserNotFound.into());
                }
                found => present(found?.user)?,
            }
        }
        (true, false) => {
            app.repo
                .user(super::parse::user(&selector.user_id)?)
                .await?
        }
        (true, true) => return Err(wrong("`user` names no account.")),
    };
    let id = user.id.parse().map_err(|_| ErrorCode::Internal)?;
    Ok((id, user))
}

async fn show_user(app: &App, request: pb::ShowUserRequest) -> Result<pb::ShowUserResponse> {
    operator(&request.operator)?;
    let (id, user) = find(app, request.user).await?;
    let sessions = app.auth.sessions(id).await?;
    let online = app.repo.online_among(&[id]).await?.contains(&id);
    Ok(pb::ShowUserResponse {
        user: Some(user),
        online,
        live_sessions: i32::try_from(sessions.len()).unwrap_or(i32::MAX),
    })
}

async fn disable_user(
    app: &App,
    request: pb::DisableUserRequest,
) -> Result<pb::DisableUserResponse> {
    let operator = operator(&request.operator)?;
    let reason = reason(&request.reason)?;
    let (id, user) = find(app, request.user).await?;
    if user.status() == UserStatus::Deleted {
        return Err(deleted());
    }
    let work = app.auth.set_status(id, UserStatus::Disabled);
    let user = act(
        app,
        &operator,
        "admin.user_disabled",
        &user.id,
        reason,
        work,
    )
    .await?;
    Ok(pb::DisableUserResponse { user: Some(user) })
}

async fn enable_user(app: &App, request: pb::EnableUserRequest) -> Result<pb::EnableUserResponse> {
    let operator = operator(&request.operator)?;
    let reason = reason(&request.reason)?;
    let (id, user) = find(app, request.user).await?;
    if user.status() == UserStatus::Deleted {
        return Err(deleted());
    }
    let work = app.auth.set_status(id, UserStatus::Normal);
    let user = act(app, &operator, "admin.user_enabled", &user.id, reason, work).await?;
    Ok(pb::EnableUserResponse { user: Some(user) })
}

fn deleted() -> Error {
    Error::new(
        ErrorCode::UserNotFound,
        "This account was deleted; that can't be undone.",
    )
}

async fn sign_out_user(
    app: &App,
    request: pb::SignOutUserRequest,
) -> Result<pb::SignOutUserResponse> {
    let operator = operator(&request.operator)?;
    let reason = reason(&request.reason)?;
    let (id, user) = find(app, request.user).await?;
    let work = app.auth.end_sessions_of(id, EndReason::Operator);
    act(
        app,
        &operator,
        "admin.user_signed_out",
        &user.id,
        reason,
        work,
    )
    .await?;
    Ok(pb::SignOutUserResponse { user: Some(user) })
}

async fn delete_user(app: &App, request: pb::DeleteUserRequest) -> Result<pb::DeleteUserResponse> {
    let operator = operator(&request.operator)?;
    let reason = reason(&request.reason)?;
    let (id, user) = find(app, request.user).await?;
    let work = depart::delete(app, id);
    let acting = act(app, &operator, "admin.user_deleted", &user.id, reason, work);
    Box::pin(acting).await?;
    let user = app.repo.user(id).await?;
    Ok(pb::DeleteUserResponse { user: Some(user) })
}

async fn reset_password(
    app: &App,
    request: pb::ResetPasswordRequest,
) -> Result<pb::ResetPasswordResponse> {
    let operator = operator(&request.operator)?;
    let reason = reason(&request.reason)?;
    let (id, user) = find(app, request.user).await?;
    if user.is_guest {
        return Err(ErrorCode::GuestNotAllowed.into());
    }
    if user.status() == UserStatus::Deleted {
        return Err(deleted());
    }
    let made = if request.new_password.is_empty() {
        random_password()
    } else {
        String::new()
    };
    let password = match made.is_empty() {
        true => request.new_password,
        false => made.clone(),
    };
    check_password(&password)?;
    let work = app.auth.reset_password(id, password);
    act(
        app,
        &operator,
        "admin.password_reset",
        &user.id,
        reason,
        work,
    )
    .await?;
    Ok(pb::ResetPasswordResponse {
        user: Some(user),
        password: made,
    })
}

/// 20 characters without look-alikes: about 98 bits.
fn random_password() -> String {
    const ALPHABET: &[u8; 31] = b"abcdefghijkmnpqrstuvwxyz2345678";
    (0..20)
        .map(|_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())]))
        .collect()
}

async fn rotate_keys(app: &App, request: pb::RotateKeysRequest) -> Result<pb::RotateKeysResponse> {
    let operator = operator(&request.operator)?;
    let work = app.auth.keys().rotate();
    let key = act(app, &operator, "admin.keys_rotated", "", "", work).await?;
    let state = state(&key, None);
    Ok(pb::RotateKeysResponse {
        key: Some(info(&key, state)),
    })
}

async fn revoke_key(app: &App, request: pb::RevokeKeyRequest) -> Result<pb::RevokeKeyResponse> {
    let operator = operator(&request.operator)?;
    let reason = reason(&request.reason)?;
    let kid = request.kid.as_str();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if kid.is_empty() || kid.len() > KID_MAX_CHARS || !kid.chars().all(plain) {
        return Err(wrong("`kid` is 1 to 64 letters, digits and dashes."));
    }
    let work = app.auth.revoke_key(kid);
    let successor = act(app, &operator, "admin.key_revoked", kid, reason, work).await?;
    let keys = app.auth.keys().current().await?;
    let signs = signing_key(&keys).map(|key| key.kid.as_str());
    Ok(pb::RevokeKeyResponse {
        successor: successor.map(|key| info(&key, state(&key, signs))),
    })
}

async fn list_keys(app: &App, request: pb::ListKeysRequest) -> Result<pb::ListKeysResponse> {
    operator(&request.operator)?;
    let keys = app.auth.keys();
    if keys.is_shared_secret() {
        let key = pb::KeyInfo {
            algorithm: "HS256".to_owned(),
            state: "signing".to_owned(),
            ..Default::default()
        };
        return Ok(pb::ListKeysResponse { keys: vec![key] });
    }
    let keys = keys.current().await?;
    let signs = signing_key(&keys).map(|key| key.kid.as_str());
    let keys = keys.iter().map(|key| info(key, state(key, signs)));
    Ok(pb::ListKeysResponse {
        keys: keys.collect(),
    })
}

fn state(key: &Key, signs: Option<&str>) -> &'static str {
    if signs == Some(key.kid.as_str()) {
        "signing"
    } else if key.signer.is_none() {
        "unreadable"
    } else if key.times.signs_from > clock::now_ms() {
        "waiting"
    } else if rules::verifies(&key.times, clock::now_ms()) {
        "verifying"
    } else {
        "retired"
    }
}

fn info(key: &Key, state: &'static str) -> pb::KeyInfo {
    let seconds = |ms: u64| i64::try_from(ms / 1_000).unwrap_or(i64::MAX);
    pb::KeyInfo {
        kid: key.kid.clone(),
        algorithm: "EdDSA".to_owned(),
        created_at: seconds(key.created_at),
        signs_from: seconds(key.times.signs_from),
        retires_at: key.times.retires_at.map_or(0, seconds),
        state: state.to_owned(),
    }
}

async fn list_audit(app: &App, request: pb::ListAuditRequest) -> Result<pb::ListAuditResponse> {
    operator(&request.operator)?;
    let subject = match request.user {
        Some(selector) => find(app, Some(selector)).await?.1.id,
        None => String::new(),
    };
    let request = repo::ListAuditRequest {
        subject,
        action: request.action,
        since_ms: request.since.saturating_mul(1_000),
        before_id: request.before_id,
        limit: request.limit,
    };
    let page = app.repo.list_audit(request).await?;
    let records = page.records.into_iter().map(|r| pb::AuditEntry {
        id: r.id,
        at_ms: r.at_ms,
        actor: r.actor,
        action: r.action,
        target: r.target,
        address: r.address,
        outcome: r.outcome,
        detail: r.detail,
    });
    Ok(pb::ListAuditResponse {
        records: records.collect(),
        next_before_id: page.next_before_id,
    })
}
