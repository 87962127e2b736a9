//! `AuthService`.

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_proto::im::logic::v1 as pb;
use pb::auth_service_server::AuthService;

use super::parse;
use crate::app::App;
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
        ..
    } = request;
    let origin = Origin {
        address: &address,
        ..Origin::default()
    };
    let outcome = app.auth.register(username, password, avatar_url, origin);
    let user = counted("register", outcome.await)?;
    Ok(pb::RegisterResponse { user: Some(user) })
}

async fn login(app: &App, request: pb::LoginRequest) -> Result<pb::LoginResponse> {
    let pb::LoginRequest {
        username,
        password,
        client_info,
        address,
        device_id,
    } = request;
    let origin = Origin {
        address: &address,
        device: &device_id,
    };
    let outcome = app.auth.login(username, password, &client_info, origin);
    let entry = counted("login", outcome.await)?;
    Ok(pb::LoginResponse {
        access_token: entry.pair.access.text,
        refresh_token: entry.pair.refresh.text,
        expires_in: entry.pair.access.expires_at,
        user: Some(entry.user),
    })
}

async fn guest(app: &App, request: pb::GuestLoginRequest) -> Result<pb::GuestLoginResponse> {
    let origin = Origin {
        address: &request.address,
        device: &request.device_id,
    };
    let (wish, client_info) = (&request.guest_name, &request.client_info);
    let outcome = app.auth.guest(wish, client_info, origin);
    let entry = counted("guest", outcome.await)?;
    Ok(pb::GuestLoginResponse {
        access_token: entry.pair.access.text,
        refresh_token: entry.pair.refresh.text,
        expires_in: entry.pair.access.expires_at,
        user: Some(entry.user),
    })
}

async fn refresh(app: &App, request: pb::RefreshTokenRequest) -> Result<pb::RefreshTokenResponse> {
    let pair = counted(
        "refresh",
        app.auth.refresh(given(&request.refresh_token)?).await,
    )?;
    Ok(pb::RefreshTokenResponse {
        access_token: pair.access.text,
        refresh_token: pair.refresh.text,
        expires_in: pair.access.expires_at,
    })
}

async fn logout(app: &App, request: pb::LogoutRequest) -> Result<pb::LogoutResponse> {
    let user = parse::user(&request.user_id)?;
    counted(
        "logout",
        app.auth.logout(user, given(&request.access_token)?).await,
    )?;
    Ok(pb::LogoutResponse { success: true })
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
