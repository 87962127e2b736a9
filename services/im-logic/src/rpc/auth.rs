//! `AuthService`.

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_proto::im::logic::v1 as pb;
use pb::auth_service_server::AuthService;

use super::conversation::depart;
use super::parse;
use super::trail::{self, recorded};
use crate::app::App;
use crate::audit::{Act, OK};
use crate::auth::{Client, Which};
use crate::budgets::Origin;

super::service! {
    /// Registration, sign-in and the life of tokens.
    AuthService {
        login(LoginRequest) -> LoginResponse = login;
        register(RegisterRequest) -> RegisterResponse = register;
        refresh_token(RefreshTokenRequest) -> RefreshTokenResponse = refresh;
        logout(LogoutRequest) -> LogoutResponse = logout;
        validate_token(ValidateTokenRequest) -> ValidateTokenResponse = validate;
        guest_login(GuestLoginRequest) -> GuestLoginResponse = guest;
        get_challenge(GetChallengeRequest) -> GetChallengeResponse = challenge;
        list_sessions(ListSessionsRequest) -> ListSessionsResponse = list_sessions;
        end_sessions(EndSessionsRequest) -> EndSessionsResponse = end_sessions;
        change_password(ChangePasswordRequest) -> ChangePasswordResponse = change_password;
        delete_account(DeleteAccountRequest) -> DeleteAccountResponse = delete_account;
        upgrade_guest(UpgradeGuestRequest) -> UpgradeGuestResponse = upgrade;
    }
}

/// Counts an attempt and why it failed.
fn counted<T>(kind: &'static str, outcome: Result<T>) -> Result<T> {
    metrics::counter!("gochat_auth_requests_total", "type" => kind).increment(1);
    if let Err(error) = &outcome {
        let reason = reason(error.code);
        metrics::counter!("gochat_auth_failures_total", "reason" => reason).increment(1);
    }
    outcome
}

/// The reason of a failure as alerts and dashboards name it.
fn reason(code: ErrorCode) -> String {
    match code {
        ErrorCode::InvalidCredentials => "invalid_password".to_owned(),
        ErrorCode::TokenExpired => "token_expired".to_owned(),
        other => other.code().to_ascii_lowercase(),
    }
}

/// Telling a missing token from a bad one helps whoever forgot it.
fn given(token: &str) -> Result<&str> {
    if token.is_empty() {
        return Err(Error::new(
            ErrorCode::InvalidParams,
            "The token is missing.",
        ));
    }
    Ok(token)
}

async fn register(app: &App, request: pb::RegisterRequest) -> Result<pb::RegisterResponse> {
    let pb::RegisterRequest {
        username,
        password,
        avatar_url,
        address,
        invitation,
    } = request;
    let origin = Origin {
        address: &address,
        ..Origin::default()
    };
    let outcome = app
        .auth
        .register(username, password, avatar_url, &invitation, origin);
    let user = counted("register", outcome.await)?;
    app.audit.note(Act {
        actor: user.id.clone(),
        action: "user.registered",
        target: user.id.clone(),
        outcome: OK,
        ..Act::default()
    });
    Ok(pb::RegisterResponse { user: Some(user) })
}

async fn login(app: &App, request: pb::LoginRequest) -> Result<pb::LoginResponse> {
    let pb::LoginRequest {
        username,
        password,
        client_info,
        address,
        device_id,
        device,
    } = request;
    let client = Client {
        info: client_info,
        device,
        address: address.clone(),
    };
    let origin = Origin {
        address: &address,
        device: &device_id,
    };
    let outcome = app.auth.login(username.clone(), password, &client, origin);
    let outcome = outcome.await;
    if let Err(error) = &outcome {
        trail::sign_in_refused(app, username, address.clone(), error);
    }
    let entry = counted("login", outcome)?;
    app.audit.note(trail::signed_in(
        &entry.user.id,
        false,
        &client.address,
        &client.device,
    ));
    Ok(pb::LoginResponse {
        access_token: entry.pair.access.text,
        refresh_token: entry.pair.refresh.text,
        expires_in: entry.pair.access.expires_at,
        user: Some(entry.user),
    })
}

async fn guest(app: &App, request: pb::GuestLoginRequest) -> Result<pb::GuestLoginResponse> {
    let client = Client {
        info: request.client_info,
        device: request.device,
        address: request.address.clone(),
    };
    let origin = Origin {
        address: &request.address,
        device: &request.device_id,
    };
    let (wish, proof) = (&request.guest_name, &request.proof);
    let outcome = app.auth.guest(wish, proof, &client, origin);
    let entry = counted("guest", outcome.await)?;
    app.audit.note(trail::signed_in(
        &entry.user.id,
        true,
        &client.address,
        &client.device,
    ));
    Ok(pb::GuestLoginResponse {
        access_token: entry.pair.access.text,
        refresh_token: entry.pair.refresh.text,
        expires_in: entry.pair.access.expires_at,
        user: Some(entry.user),
    })
}

async fn challenge(app: &App, _: pb::GetChallengeRequest) -> Result<pb::GetChallengeResponse> {
    let Some((challenge, text)) = app.auth.challenge()? else {
        return Ok(pb::GetChallengeResponse::default());
    };
    Ok(pb::GetChallengeResponse {
        challenge: text,
        difficulty: challenge.difficulty().into(),
        expires_at: i64::try_from(challenge.expires_at() / 1_000).unwrap_or(i64::MAX),
    })
}

async fn refresh(app: &App, request: pb::RefreshTokenRequest) -> Result<pb::RefreshTokenResponse> {
    let token = given(&request.refresh_token)?;
    let pair = counted("refresh", app.auth.refresh(token, &request.address).await)?;
    Ok(pb::RefreshTokenResponse {
        access_token: pair.access.text,
        refresh_token: pair.refresh.text,
        expires_in: pair.access.expires_at,
    })
}

async fn logout(app: &App, request: pb::LogoutRequest) -> Result<pb::LogoutResponse> {
    let user = parse::user(&request.user_id)?;
    let outcome = app.auth.logout(user, given(&request.access_token)?).await;
    let trail = trail::of(user, "session.signed_out", "", "");
    counted("logout", recorded(app, trail, outcome))?;
    Ok(pb::LogoutResponse { success: true })
}

async fn list_sessions(
    app: &App,
    request: pb::ListSessionsRequest,
) -> Result<pb::ListSessionsResponse> {
    let rows = app.auth.sessions(parse::user(&request.user_id)?).await?;
    let sessions = rows.into_iter().map(|row| pb::SessionInfo {
        session_id: row.session_id,
        device: row.device,
        client: row.client,
        address: row.address,
        created_at: row.created_at_ms / 1_000,
        last_used_at: row.last_used_at_ms / 1_000,
    });
    Ok(pb::ListSessionsResponse {
        sessions: sessions.collect(),
    })
}

async fn end_sessions(
    app: &App,
    request: pb::EndSessionsRequest,
) -> Result<pb::EndSessionsResponse> {
    let user = parse::user(&request.user_id)?;
    let which = if request.session_id.is_empty() {
        Which::AllBut(parse::session(
            &request.except_session_id,
            "except_session_id",
        )?)
    } else {
        Which::One(parse::session(&request.session_id, "session_id")?)
    };
    let trail = trail::of(user, "session.signed_out", "", "");
    let outcome = recorded(app, trail, app.auth.sign_out(user, which).await);
    counted("sign_out", outcome)?;
    Ok(pb::EndSessionsResponse {})
}

async fn change_password(
    app: &App,
    request: pb::ChangePasswordRequest,
) -> Result<pb::ChangePasswordResponse> {
    let user = parse::user(&request.user_id)?;
    let session = parse::session(&request.session_id, "session_id")?;
    let (old, new) = (request.old_password, request.new_password);
    let origin = Origin {
        address: &request.address,
        ..Origin::default()
    };
    let outcome = app.auth.change_password(user, session, old, new, origin);
    let (done, refused) = ("user.password_changed", "user.password_change_refused");
    let trail = trail::of(user, done, refused, &request.address);
    counted("change_password", recorded(app, trail, outcome.await))?;
    Ok(pb::ChangePasswordResponse {})
}

async fn delete_account(
    app: &App,
    request: pb::DeleteAccountRequest,
) -> Result<pb::DeleteAccountResponse> {
    let user = parse::user(&request.user_id)?;
    let outcome = async {
        let origin = Origin {
            address: &request.address,
            ..Origin::default()
        };
        match app.auth.may_delete(user, request.password, origin).await? {
            true => depart::delete(app, user).await,
            false => app.auth.delete(user).await,
        }
    };
    let trail = trail::of(
        user,
        "user.deleted",
        "user.delete_refused",
        &request.address,
    );
    counted("delete_account", recorded(app, trail, outcome.await))?;
    Ok(pb::DeleteAccountResponse {})
}

async fn upgrade(app: &App, request: pb::UpgradeGuestRequest) -> Result<pb::UpgradeGuestResponse> {
    let user = parse::user(&request.user_id)?;
    let session = parse::session(&request.session_id, "session_id")?;
    let (name, password) = (request.username, request.password);
    let outcome = app.auth.upgrade(user, session, name, password).await;
    let trail = trail::of(user, "user.upgraded", "", "");
    let entry = counted("upgrade", recorded(app, trail, outcome))?;
    Ok(pb::UpgradeGuestResponse {
        access_token: entry.pair.access.text,
        refresh_token: entry.pair.refresh.text,
        expires_in: entry.pair.access.expires_at,
        user: Some(entry.user),
    })
}

/// A bad token is an answer; only "it couldn't be found out" is an error.
async fn validate(
    app: &App,
    request: pb::ValidateTokenRequest,
) -> Result<pb::ValidateTokenResponse> {
    match app.auth.validate(&request.access_token).await {
        Ok((user, expires_at)) => Ok(pb::ValidateTokenResponse {
            valid: true,
            user: Some(user),
            expires_at,
            ..Default::default()
        }),
        Err(error) if is_verdict(&error) => Ok(pb::ValidateTokenResponse {
            error_code: error.code.number(),
            ..Default::default()
        }),
        Err(error) => Err(error),
    }
}

fn is_verdict(error: &Error) -> bool {
    use ErrorCode::{InvalidToken, TokenExpired, UserDisabled};
    matches!(error.code, InvalidToken | TokenExpired | UserDisabled)
}
