use http::Request;

use super::*;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The head of a handshake that is right, with some headers put in place of its own.
fn head(changes: &[(&str, &str)]) -> Parts {
    let mut request = Request::get("/ws").body(()).unwrap();
    let base = [
        ("host", "chat.example"),
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", KEY),
    ];
    for (name, value) in base {
        let name = HeaderName::from_static(name);
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    for (name, value) in changes {
        let name: HeaderName = name.parse().unwrap();
        request.headers_mut().remove(&name);
        if !value.is_empty() {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
    }
    request.into_parts().0
}

fn status(parts: &Parts) -> u16 {
    check(parts).map_or_else(|refusal| refusal.status().as_u16(), |_| 101)
}

#[test]
fn the_handshake_of_the_standard_passes() {
    assert_eq!(
        check(&head(&[])).unwrap(),
        Offer {
            has_protocol: false
        }
    );
    assert_eq!(status(&head(&[("upgrade", "foo, websocket")])), 101);
    assert_eq!(status(&head(&[("content-length", "0")])), 101);
}

#[test]
fn every_header_that_is_required_is_missed() {
    for (name, expected) in [
        ("host", 400),
        ("connection", 426),
        ("upgrade", 426),
        ("sec-websocket-version", 426),
        ("sec-websocket-key", 400),
    ] {
        assert_eq!(status(&head(&[(name, "")])), expected, "{name}");
    }
}

#[test]
fn wrong_values_are_refused() {
    for (name, value, expected) in [
        ("connection", "keep-alive", 426),
        ("upgrade", "h2c", 426),
        ("upgrade", "websockets", 426),
        ("sec-websocket-version", "8", 426),
        ("sec-websocket-version", "13, 8", 426),
        ("sec-websocket-key", "abc", 400),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=", 400),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZR==", 400),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25j!Q==", 400),
        ("content-length", "5", 400),
        ("transfer-encoding", "chunked", 400),
        ("sec-websocket-protocol", "a, a", 400),
        ("sec-websocket-protocol", "a b", 400),
        ("sec-websocket-protocol", "bearer.a.b.c", 400),
    ] {
        assert_eq!(status(&head(&[(name, value)])), expected, "{name}: {value}");
    }
}

#[test]
fn a_header_that_comes_twice_is_refused() {
    for (name, value, expected) in [
        ("host", "other.example", 400),
        ("sec-websocket-key", KEY, 400),
        ("sec-websocket-version", "13", 426),
    ] {
        let mut parts = head(&[]);
        parts.headers.append(name, value.parse().unwrap());
        assert_eq!(status(&parts), expected, "{name}");
    }
}

#[test]
fn another_method_or_an_older_http_is_no_handshake() {
    let mut post = head(&[]);
    post.method = Method::POST;
    assert_eq!(status(&post), 405);
    let mut old = head(&[]);
    old.version = Version::HTTP_10;
    assert_eq!(status(&old), 426);
}

#[test]
fn a_token_may_be_offered_beside_the_protocol() {
    let offer = |list: &str| head(&[("sec-websocket-protocol", list)]);
    let parts = offer("gochat.v1, bearer.a-b_c.d.e");
    assert!(check(&parts).unwrap().has_protocol);
    assert_eq!(offered_token(&parts.headers), Some("a-b_c.d.e"));
    let other = offer("chat, superchat");
    assert!(!check(&other).unwrap().has_protocol);
    assert_eq!(offered_token(&other.headers), None);
    assert_eq!(offered_token(&offer("gochat.v1, bearer.").headers), None);
}
