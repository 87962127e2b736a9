//! HTTP: one file per resource, one for the objects they answer with.

mod auth;
mod conversations;
mod docs;
pub(crate) mod extract;
mod friends;
mod health;
mod members;
mod messages;
pub(crate) mod middleware;
mod objects;
pub(crate) mod reply;
mod users;
mod version;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post, put};
use gochat_core::error::ErrorCode;
use http::StatusCode;

use crate::state::Gw;
use reply::ApiError;

/// Largest body of the endpoints that need no token.
const AUTH_BODY_MAX: usize = 16 << 10;

/// Every HTTP route. `/ws` is answered before it gets here.
pub(crate) fn router(gw: Gw) -> Router {
    let api = api();
    let mut router = Router::new()
        .nest("/api/v1", api.clone())
        .nest("/api", api)
        .route("/health", get(health::health));
    if gw.config.http.pages {
        router = router
            .route("/", get(docs::chat_page))
            .route("/api/docs", get(docs::api_page))
            .route("/api/openapi.json", get(docs::openapi));
    }
    router
        .fallback(async || ApiError::from(ErrorCode::NotFound))
        .method_not_allowed_fallback(async || {
            ApiError::from(ErrorCode::InvalidParams).with_status(StatusCode::METHOD_NOT_ALLOWED)
        })
        .layer(axum::middleware::from_fn_with_state(
            gw.clone(),
            middleware::guard,
        ))
        .layer(DefaultBodyLimit::max(gw.config.http.max_body_bytes))
        .with_state(gw)
}

fn api() -> Router<Gw> {
    // Strangers may send here: what they send is small.
    let auth = Router::new()
        .route("/auth/register", post(auth::register))
        .route("/auth/login", post(auth::login))
        .route("/auth/guest", post(auth::guest))
        .route("/auth/refresh", post(auth::refresh))
        .route("/auth/logout", post(auth::logout))
        .layer(DefaultBodyLimit::max(AUTH_BODY_MAX));
    Router::new()
        .merge(auth)
        .route(
            "/users/profile",
            get(users::profile).put(users::update_profile),
        )
        .route(
            "/users/info",
            get(users::profile).put(users::update_profile),
        )
        .route("/users/search", get(users::search))
        .route(
            "/conversations",
            get(conversations::list).post(conversations::create),
        )
        .route("/conversations/world/join", post(conversations::join_world))
        .route(
            "/conversations/{conversationId}",
            get(conversations::detail)
                .put(conversations::update)
                .delete(conversations::remove),
        )
        .route(
            "/conversations/{conversationId}/messages",
            get(messages::history).post(messages::send),
        )
        .route(
            "/conversations/{conversationId}/messages/{messageId}",
            delete(messages::recall),
        )
        .route(
            "/conversations/{conversationId}/read",
            put(messages::mark_read),
        )
        .route(
            "/conversations/{conversationId}/members",
            get(members::list).post(members::add),
        )
        .route(
            "/conversations/{conversationId}/members/{userId}",
            put(members::set_role).delete(members::remove),
        )
        .route(
            "/friends/requests",
            get(friends::requests).post(friends::ask),
        )
        .route("/friends/requests/{requestId}", put(friends::handle))
        .route("/friends", get(friends::list))
        .route("/friends/{userId}", delete(friends::remove))
        .route(
            "/friends/{userId}/block",
            post(friends::block).delete(friends::unblock),
        )
}
