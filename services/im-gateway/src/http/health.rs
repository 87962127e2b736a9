//! `/health`.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::reply::json_response;
use crate::clock;
use crate::state::Gw;

/// The state of this instance.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`, `read_only` (the disk is full: reading works, new messages and accounts are refused)
    /// or `unavailable`.
    status: &'static str,
    /// Unix seconds.
    time: i64,
}

/// Whether this instance takes new clients.
#[utoipa::path(get, path = "/health", tag = "health", responses(
    (status = 200, body = Health), (status = 503, body = Health)))]
pub(super) async fn health(State(gw): State<Gw>) -> Response {
    let ready = gw
        .health
        .is_ready(gw.revocations.is_loaded() && gw.verifier.has_keys());
    let (code, status) = if ready && gw.health.is_read_only() {
        // Taking the instance out of service would end reading, too.
        (StatusCode::OK, "read_only")
    } else if ready {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    };
    json_response(
        code,
        &Health {
            status,
            time: clock::now_s(),
        },
    )
}
