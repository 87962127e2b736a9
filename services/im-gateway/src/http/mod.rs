//! HTTP: one file per resource, one for the objects they answer with.

mod announcement;
mod asks;
mod auth;
mod changes;
mod chat_page;
mod conversations;
mod docs;
mod document;
pub(crate) mod extract;
mod former;
mod friends;
mod health;
mod hidden;
mod input;
mod invitations;
mod links;
mod members;
mod messages;
pub(crate) mod middleware;
mod objects;
mod own_state;
mod reactions;
mod read_by;
pub(crate) mod reply;
mod sessions;
mod users;
mod version;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use gochat_core::error::ErrorCode;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Gw;
use reply::ApiError;

/// Largest body of the endpoints that need no token.
const AUTH_BODY_MAX: usize = 16 << 10;

/// Every HTTP route. `/ws` is answered before it gets here.
pub(crate) fn router(gw: Gw) -> Router {
    let api = Router::from(api()).merge(aliases());
    let mut router = Router::new()
        .nest("/api/v1", api.clone())
        .nest("/api", api)
        .merge(system());
    if gw.config.http.pages {
        router = router
            .route("/", get(chat_page::page))
            .route("/chat.css", get(chat_page::style))
            .route("/chat.js", get(chat_page::script))
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

/// The endpoints, each once: the router and the document are made of this list.
fn api() -> OpenApiRouter<Gw> {
    // Strangers may send here: what they send is small.
    let auth = OpenApiRouter::new()
        .routes(routes!(auth::register))
        .routes(routes!(auth::login))
        .routes(routes!(auth::challenge))
        .routes(routes!(auth::guest))
        .routes(routes!(auth::refresh))
        .routes(routes!(auth::logout))
        .routes(routes!(sessions::upgrade))
        .routes(routes!(sessions::change_password))
        .routes(routes!(sessions::delete_account))
        .layer(DefaultBodyLimit::max(AUTH_BODY_MAX));
    OpenApiRouter::new()
        .merge(auth)
        .routes(routes!(users::profile, users::update_profile))
        .routes(routes!(users::search))
        .routes(routes!(sessions::list, sessions::end_others))
        .routes(routes!(sessions::end))
        .routes(routes!(conversations::list, conversations::create))
        .routes(routes!(conversations::join_world))
        .routes(routes!(
            conversations::detail,
            conversations::update,
            conversations::remove
        ))
        .routes(routes!(messages::history, messages::send))
        .routes(routes!(changes::edit, changes::recall))
        .routes(routes!(changes::changes))
        .routes(routes!(hidden::clear))
        .routes(routes!(hidden::hidden))
        .routes(routes!(hidden::put))
        .routes(routes!(reactions::react, reactions::unreact))
        .routes(routes!(former::former_texts))
        .routes(routes!(reactions::reactions))
        .routes(routes!(reactions::pins))
        .routes(routes!(reactions::pin, reactions::unpin))
        .routes(routes!(messages::mark_read))
        .routes(routes!(read_by::read_by))
        .routes(routes!(own_state::update_my))
        .routes(routes!(announcement::read_announcement))
        .routes(routes!(announcement::announcement_readers))
        .routes(routes!(members::list, members::add))
        .routes(routes!(members::set_role, members::remove))
        .routes(routes!(members::mute))
        .routes(routes!(invitations::invitations))
        .routes(routes!(invitations::answer_invitation))
        .routes(routes!(asks::join_requests, asks::ask_to_join))
        .routes(routes!(asks::join_request, asks::answer_join_request))
        .routes(routes!(links::links, links::create_link))
        .routes(routes!(links::revoke_link))
        .routes(routes!(links::join_by_link))
        .routes(routes!(friends::requests, friends::ask))
        .routes(routes!(friends::handle))
        .routes(routes!(friends::list))
        .routes(routes!(friends::blocked))
        .routes(routes!(friends::remove))
        .routes(routes!(friends::block, friends::unblock))
}

/// Paths that go on working under an older name, for the document.
const ALIASES: [(&str, &str); 1] = [("/users/info", "/users/profile")];

/// The second names of endpoints.
fn aliases() -> Router<Gw> {
    let profile = get(users::profile).put(users::update_profile);
    Router::new().route("/users/info", profile)
}

/// What is described beside the API.
fn system() -> OpenApiRouter<Gw> {
    OpenApiRouter::new().routes(routes!(health::health))
}
