//! HTTP that is malformed, too large or too slow.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use crate::raw::{Server, answer, head, is_closed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_requests_are_answered_or_closed() {
    let server = Server::start(&[]).await;
    let requests: [&[u8]; 9] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /api/auth/login HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /api/auth/login HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /api/auth/login HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /\x00 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /api/conversations/%ff%fe HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    ];
    for request in requests {
        let mut socket = server.tcp().await;
        socket.write_all(request).await.unwrap();
        socket.shutdown().await.unwrap();
        assert!(is_closed(&mut socket).await, "{}", request.escape_ascii());
    }
    server.serves_others().await;
    server.never_panicked();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_bounded_and_strangers_bodies_more_so() {
    let server = Server::start(&[]).await;
    let big = vec![b'x'; 100 << 10];
    let (status, reply) = server.http("POST /api/auth/login", &big).await;
    assert_eq!((status, &reply["code"]), (413, &"MESSAGE_TOO_LARGE".into()));
    // Without a token nobody reads the body at all.
    let (status, _) = server.http("POST /api/conversations", &big).await;
    assert_eq!(status, 401);
    let head = "POST /api/auth/login HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n";
    let mut socket = server.tcp().await;
    socket.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(
        answer(&mut socket).await.unwrap().0,
        413,
        "refused by what it claims"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_json_is_invalid_params_whatever_it_is() {
    let server = Server::start(&[]).await;
    let deep = "[".repeat(10_000);
    let bodies = [
        "",
        "{",
        "null",
        "[]",
        "7",
        "\"x\"",
        r#"{"username":7,"password":[]}"#,
        deep.as_str(),
        r#"{"username":"a","username":"b","password":"c"}"#,
    ];
    for body in bodies {
        let (status, reply) = server.http("POST /api/auth/login", body.as_bytes()).await;
        assert_eq!(
            (status, &reply["code"]),
            (400, &"INVALID_PARAMS".into()),
            "{body:.40}"
        );
    }
    let (status, reply) = server
        .http(
            "POST /api/auth/login",
            b"{\"username\":\"\xFF\xFE\",\"password\":\"x\"}",
        )
        .await;
    assert_eq!((status, &reply["code"]), (400, &"INVALID_PARAMS".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_is_too_large_or_too_slow_is_refused() {
    let server = Server::start(&["gateway.connections.header_timeout_ms=3000"]).await;
    let mut socket = server.tcp().await;
    let huge = format!(
        "GET /health HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n",
        "y".repeat(200 << 10)
    );
    let _ = socket.write_all(huge.as_bytes()).await;
    assert!(is_closed(&mut socket).await);

    let mut dripping = server.tcp().await;
    let drip = async {
        loop {
            if dripping.write_all(b"GET").await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::raw::PATIENCE, drip)
        .await
        .expect("the connection is closed");

    // Between two requests the same patience applies.
    let mut idle = server.tcp().await;
    idle.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    assert!(head(&mut idle).await.unwrap().starts_with("HTTP/1.1 200"));
    assert!(is_closed(&mut idle).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_never_comes_is_a_timeout() {
    let server = Server::start(&["gateway.http.request_timeout_ms=300"]).await;
    let mut socket = server.tcp().await;
    let request = "POST /api/auth/login HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{\"us";
    socket.write_all(request.as_bytes()).await.unwrap();
    let (status, reply) = answer(&mut socket).await.unwrap();
    assert_eq!((status, &reply["code"]), (504, &"TIMEOUT".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_handshakes_are_refused_before_the_upgrade() {
    let server = Server::start(&[]).await;
    let token = server.guest().await;
    let upgrade = "connection: Upgrade\r\nupgrade: websocket\r\n";
    let key = "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    let version = "sec-websocket-version: 13\r\n";
    let cases = [
        (
            format!("GET /ws?token={token}"),
            format!("{key}{version}"),
            426,
        ),
        (
            format!("GET /ws?token={token}"),
            format!("{upgrade}{version}"),
            400,
        ),
        (
            format!("GET /ws?token={token}"),
            format!("{upgrade}{key}sec-websocket-version: 8\r\n"),
            426,
        ),
        (
            "GET /ws".to_owned(),
            format!("{upgrade}{key}{version}"),
            401,
        ),
        (
            format!("GET /ws?token={}", "x".repeat(8_000)),
            format!("{upgrade}{key}{version}"),
            401,
        ),
        (
            format!("GET /ws?token={token}x"),
            format!("{upgrade}{key}{version}"),
            401,
        ),
        (
            "GET /ws".to_owned(),
            format!("authorization: Basic abc\r\n{upgrade}{key}{version}"),
            401,
        ),
    ];
    for (line, headers, expected) in cases {
        let mut socket = server.tcp().await;
        let request = format!("{line} HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let (status, reply) = answer(&mut socket).await.unwrap();
        assert_eq!(status, expected, "{reply}");
        assert_eq!(reply["success"], false);
    }
    server.serves_others().await;
}

/// A handshake that is right, with a line of headers added.
fn handshake(line: &str, more: &str) -> String {
    format!(
        "{line}\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{more}\r\n"
    )
}

/// Head of the answer to some bytes on a connection of their own.
async fn asked(server: &Server, request: &str) -> String {
    let mut socket = server.tcp().await;
    let sent = socket.write_all(request.as_bytes()).await;
    sent.expect("the request is sent");
    let answer = head(&mut socket).await.expect("an answer");
    answer.to_ascii_lowercase()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_handshake_may_not_be_is_named_with_what_it_should_be() {
    let server = Server::start(&[]).await;
    let token = server.guest().await;
    let plain = format!("GET /ws?token={token} HTTP/1.1\r\nhost: x\r\n\r\n");
    let plain = asked(&server, &plain).await;
    let old = handshake(&format!("GET /ws?token={token} HTTP/1.0"), "");
    let old = asked(&server, &old).await;
    for (what, head) in [("plain", &plain), ("HTTP/1.0", &old)] {
        assert_eq!(head.split(' ').nth(1), Some("426"), "{what}: {head}");
        assert!(
            head.contains("\r\nupgrade: websocket\r\n"),
            "{what}: {head}"
        );
        assert!(
            head.contains("\r\nsec-websocket-version: 13\r\n"),
            "{what}: {head}"
        );
    }
    let post = handshake(&format!("POST /ws?token={token} HTTP/1.1"), "");
    let post = asked(&server, &post).await;
    assert!(
        post.starts_with("http/1.1 405 ") && post.contains("\r\nallow: get\r\n"),
        "{post}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_authorization_does_not_spoil_a_token_that_was_named() {
    let server = Server::start(&["gateway.websocket.sessions_per_user=20"]).await;
    let token = server.guest().await;
    let line = format!("GET /ws?token={token} HTTP/1.1");
    for scheme in [
        "Basic dXNlcjpw",
        "Negotiate YII=",
        "Bearer ",
        "Bearer old.token.x",
    ] {
        let request = handshake(&line, &format!("authorization: {scheme}\r\n"));
        let head = asked(&server, &request).await;
        assert!(head.starts_with("http/1.1 101 "), "{scheme}: {head}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_may_be_a_subprotocol_and_never_comes_back() {
    let server = Server::start(&[]).await;
    let token = server.guest().await;
    let offer = |list: &str| {
        handshake(
            "GET /ws HTTP/1.1",
            &format!("sec-websocket-protocol: {list}\r\n"),
        )
    };
    let head = asked(&server, &offer(&format!("gochat.v1, bearer.{token}"))).await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(
        head.contains("\r\nsec-websocket-protocol: gochat.v1\r\n"),
        "{head}"
    );
    assert!(!head.contains("bearer"), "{head}");
    let alone = asked(&server, &offer(&format!("bearer.{token}"))).await;
    assert!(alone.starts_with("http/1.1 400 "), "{alone}");
    let bad = asked(&server, &offer("gochat.v1, bearer.a.b.c")).await;
    assert!(bad.starts_with("http/1.1 401 "), "{bad}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_extension_is_agreed() {
    let server = Server::start(&[]).await;
    let token = server.guest().await;
    let more = "sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n";
    let request = handshake(&format!("GET /ws?token={token} HTTP/1.1"), more);
    let head = asked(&server, &request).await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(!head.contains("sec-websocket-extensions"), "{head}");
}
