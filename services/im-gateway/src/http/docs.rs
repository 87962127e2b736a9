//! The API's description, a page that shows it, and a small chat page. No page loads anything from
//! elsewhere.

use std::sync::OnceLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{auth, conversations, friends, health, members, messages, users};

/// Scripts and styles of the page itself, requests to this server, nothing else.
const CSP: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self' ws: wss:; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "GoChat",
        description = "HTTP API of im-gateway. Every success is `{success, message, data}`, every refusal `{success, message, code, traceId, details}`. Ids are decimal text, times are Unix seconds, order is by seqId. Live messages come over the WebSocket `/ws?token=…`."
    ),
    servers((url = "/api")),
    modifiers(&Bearer),
    paths(
        auth::register, auth::login, auth::guest, auth::refresh, auth::logout,
        users::profile, users::update_profile, users::search,
        conversations::list, conversations::create, conversations::detail, conversations::update,
        conversations::remove, conversations::join_world,
        messages::history, messages::send, messages::recall, messages::mark_read,
        members::list, members::add, members::remove, members::set_role,
        friends::requests, friends::ask, friends::handle, friends::list,
        friends::remove, friends::block, friends::unblock,
        health::health,
    )
)]
struct Api;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .build();
        let components = api.components.get_or_insert_with(Default::default);
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
        // The one path outside `/api`.
        if let Some(item) = api.paths.paths.get_mut("/health") {
            item.servers = Some(vec![utoipa::openapi::Server::new("/")]);
        }
    }
}

/// `/api/openapi.json`.
pub(super) async fn openapi() -> Response {
    static JSON: OnceLock<Bytes> = OnceLock::new();
    let json = JSON.get_or_init(|| {
        let mut api = Api::openapi();
        env!("CARGO_PKG_VERSION").clone_into(&mut api.info.version);
        serde_json::to_vec(&api).unwrap_or_default().into()
    });
    (
        [(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        )],
        json.clone(),
    )
        .into_response()
}

/// `/api/docs`.
pub(super) async fn api_page() -> Response {
    page(include_str!("../../assets/docs.html"))
}

/// `/`.
pub(super) async fn chat_page() -> Response {
    page(include_str!("../../assets/chat.html"))
}

fn page(html: &'static str) -> Response {
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (header::CONTENT_SECURITY_POLICY, CSP),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
    ];
    (headers, html).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_of_the_contract_is_described() {
        let api = serde_json::to_value(Api::openapi()).unwrap();
        let paths = api["paths"].as_object().unwrap();
        let operations: usize = paths
            .values()
            .map(|p| {
                let methods = ["get", "post", "put", "delete"];
                methods.iter().filter(|m| p.get(**m).is_some()).count()
            })
            .sum();
        assert_eq!(operations, 27);
        for path in [
            "/auth/login",
            "/conversations/{conversationId}/messages",
            "/friends/requests/{requestId}",
        ] {
            assert!(paths.contains_key(path), "{path}");
        }
        assert!(api["components"]["schemas"]["Message"]["properties"]["seqId"].is_object());
    }

    #[test]
    fn pages_load_nothing_from_elsewhere() {
        for html in [
            include_str!("../../assets/docs.html"),
            include_str!("../../assets/chat.html"),
        ] {
            assert!(!html.contains("http://") && !html.contains("https://"));
            assert!(!html.contains("innerHTML"), "text goes in as text");
        }
    }
}
