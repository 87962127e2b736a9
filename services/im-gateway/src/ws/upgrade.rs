//! What a request for `/ws` must carry before the connection may become a WebSocket: RFC 6455
//! section 4.2.1.

use gochat_core::error::{Error, ErrorCode};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode, Version, header};

use crate::http::reply::ApiError;

/// Subprotocol of the frames this gateway speaks. A client may offer it; a browser that offers its
/// token must.
pub(super) const PROTOCOL: &str = "gochat.v1";
/// Prefix of a subprotocol that carries an access token: `bearer.<token>`.
const BEARER: &str = "bearer.";
/// Only version of the WebSocket protocol that exists as a standard.
const VERSION: &str = "13";
/// Length of a key in base64: 16 bytes.
const KEY_LEN: usize = 24;
/// Maximum number of subprotocols a client may offer; more are refused with 400.
const PROTOCOLS_MAX: usize = 16;

/// Headers of an answer that names what would be understood (RFC 9110 section 15.5.22, RFC 6455
/// section 4.4).
const UNDERSTOOD: &[(HeaderName, &str)] = &[
    (header::UPGRADE, "websocket"),
    (header::CONNECTION, "upgrade"),
    (header::SEC_WEBSOCKET_VERSION, VERSION),
];
/// Header of an answer to another method.
const ALLOWED: &[(HeaderName, &str)] = &[(header::ALLOW, "GET")];

/// What a valid handshake offers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Offer {
    /// Whether the client offered [`PROTOCOL`], which the answer then names.
    pub(super) has_protocol: bool,
}

/// Checks the request's head.
///
/// # Errors
/// The refusal with its status: 405 for another method, 426 for a request that asks for no upgrade
/// or for another version, 400 for a header that breaks the rules.
pub(super) fn check(parts: &Parts) -> Result<Offer, ApiError> {
    let headers = &parts.headers;
    if parts.method != Method::GET {
        let refusal = refused("A WebSocket begins with GET.");
        return Err(refusal
            .with_status(StatusCode::METHOD_NOT_ALLOWED)
            .with_headers(ALLOWED));
    }
    if parts.version != Version::HTTP_11 {
        return Err(upgrade_required(
            "A WebSocket needs HTTP/1.1. A proxy in front may have to be told (nginx: proxy_http_version 1.1).",
        ));
    }
    let asks = lists(headers, &header::CONNECTION, "upgrade")
        && lists(headers, &header::UPGRADE, "websocket");
    if !asks {
        return Err(upgrade_required("This path speaks WebSocket only."));
    }
    if only(headers, &header::SEC_WEBSOCKET_VERSION) != Some(VERSION) {
        return Err(upgrade_required(
            "Version 13 of the WebSocket protocol is spoken here.",
        ));
    }
    if only(headers, &header::HOST).is_none_or(str::is_empty) {
        return Err(refused("A handshake needs one Host header."));
    }
    if !only(headers, &header::SEC_WEBSOCKET_KEY).is_some_and(is_key) {
        return Err(refused(
            "Sec-WebSocket-Key must be 16 bytes in base64, once.",
        ));
    }
    if has_body(headers) {
        return Err(refused("A handshake has no body."));
    }
    let offered = protocols(headers).ok_or_else(|| {
        refused("Sec-WebSocket-Protocol must be a list of different names, 16 at most.")
    })?;
    let has_protocol = offered.contains(&PROTOCOL);
    // A browser gives up when none of the names it offered comes back, and the token never does.
    if !has_protocol && offered.iter().any(|name| name.starts_with(BEARER)) {
        return Err(refused(
            "A token offered as a subprotocol needs gochat.v1 beside it.",
        ));
    }
    Ok(Offer { has_protocol })
}

/// The token that stands among the offered subprotocols.
pub(crate) fn offered_token(headers: &HeaderMap) -> Option<&str> {
    let token = protocols(headers)?
        .into_iter()
        .find_map(|name| name.strip_prefix(BEARER))?;
    (!token.is_empty()).then_some(token)
}

/// The offered subprotocols; `None` for a list that breaks the rules.
fn protocols(headers: &HeaderMap) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    for value in headers.get_all(header::SEC_WEBSOCKET_PROTOCOL) {
        for name in value.to_str().ok()?.split(',').map(str::trim) {
            // An empty element of a list is to be ignored (RFC 9110 section 5.6.1).
            if name.is_empty() {
                continue;
            }
            if !name.bytes().all(is_token) || names.contains(&name) || names.len() == PROTOCOLS_MAX
            {
                return None;
            }
            names.push(name);
        }
    }
    Some(names)
}

/// Whether a byte may stand in a token of RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether the text is 16 bytes in base64: 22 digits, the last of which carries 2 bits, and the
/// padding.
fn is_key(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_digit = |b: &u8| b.is_ascii_alphanumeric() || *b == b'+' || *b == b'/';
    bytes.len() == KEY_LEN
        && bytes.ends_with(b"==")
        && bytes[..KEY_LEN - 3].iter().all(is_digit)
        && b"AQgw".contains(&bytes[KEY_LEN - 3])
}

/// Whether the request announces a body, whose bytes would be taken for frames.
fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    headers.contains_key(header::TRANSFER_ENCODING)
        || length.is_some_and(|value| value.as_bytes() != b"0")
}

/// The value of a header that must stand there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    value.to_str().ok().map(str::trim)
}

/// Whether a comma-separated header holds a word, in any case.
fn lists(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(word))
}

fn refused(sentence: &'static str) -> ApiError {
    Error::new(ErrorCode::InvalidParams, sentence).into()
}

fn upgrade_required(sentence: &'static str) -> ApiError {
    refused(sentence)
        .with_status(StatusCode::UPGRADE_REQUIRED)
        .with_headers(UNDERSTOOD)
}

#[cfg(test)]
#[path = "upgrade_tests.rs"]
mod tests;
