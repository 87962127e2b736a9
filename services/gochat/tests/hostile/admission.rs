//! The limits before every entry: whatever is asked, by whatever method and path, the address is
//! asked first.

use std::collections::BTreeSet;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::raw::{PATIENCE, Server};

/// Requests an address has in these tests.
const BURST: usize = 3;

/// A server whose addresses have [`BURST`] requests and no more.
async fn strict(more: &[&str]) -> Server {
    let mut settings = vec![
        "gateway.rates.disabled=false",
        "gateway.rates.http.rate=0.001",
        "gateway.rates.http.capacity=3",
        "gateway.rates.probe.rate=0.001",
        "gateway.rates.probe.capacity=3",
    ];
    settings.extend(more);
    Server::start(&settings).await
}

fn status(head: &str) -> u16 {
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    code.unwrap_or(0)
}

/// Every entry there is: what the served document lists under both of its names, the pages, the
/// socket, preflights, methods nobody serves, and paths that don't exist.
fn entries(document: &Value) -> BTreeSet<(String, String)> {
    let mut entries = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("operations").keys() {
            let path = path.replace(['{', '}'], "");
            for base in ["/api", "/api/v1"] {
                entries.insert((method.to_uppercase(), format!("{base}{path}")));
                entries.insert(("OPTIONS".to_owned(), format!("{base}{path}")));
            }
        }
    }
    for path in [
        "/",
        "/health",
        "/ws",
        "/api/docs",
        "/api/openapi.json",
        "/nowhere",
        "/api/nowhere",
    ] {
        for method in ["GET", "HEAD", "OPTIONS", "POST", "BREW"] {
            entries.insert((method.to_owned(), path.to_owned()));
        }
    }
    entries.insert(("OPTIONS".to_owned(), "*".to_owned()));
    entries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_entry_is_behind_the_limit_of_its_address() {
    let server = strict(&[
        "gateway.rates.instance.rate=100000",
        "gateway.rates.instance.capacity=100000",
    ])
    .await;
    let (_, document) = server.http("GET /api/openapi.json", b"").await;
    let entries = entries(&document);
    assert!(entries.len() > 80, "{}", entries.len());
    let mut open = Vec::new();
    for (i, (method, path)) in entries.iter().enumerate() {
        // Each has an address of its own.
        let from = [1 + (i / 250) as u8, 1 + (i % 250) as u8];
        let line = format!("{method} {path}");
        let mut answers = Vec::new();
        for _ in 0..=BURST {
            answers.push(status(&server.ask_from(from, &line, "").await));
        }
        // Doors have buckets of their own, which may be smaller.
        let last = answers.pop();
        if last != Some(429) || answers.first() == Some(&429) {
            open.push(format!("{line}: {answers:?}, then {last:?}"));
        }
    }
    assert!(open.is_empty(), "without a limit:\n{}", open.join("\n"));
    server.never_panicked();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_were_never_good_cost_more_than_requests() {
    let server = Server::start(&[
        "gateway.rates.disabled=false",
        "gateway.rates.http.rate=0.001",
        "gateway.rates.http.capacity=100",
    ])
    .await;
    let upgrade = "upgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nconnection: upgrade\r\n";
    let mut judged = 0;
    for i in 0..100 {
        let line = format!("GET /ws?token=guess-{i}");
        judged += usize::from(status(&server.ask_from([0, 2], &line, upgrade).await) == 401);
    }
    assert_eq!(judged, 10, "a guess costs ten requests");
    let head = server.ask_from([0, 2], "GET /", "").await;
    assert_eq!(status(&head), 429);
    assert!(
        head.to_ascii_lowercase().contains("\r\nretry-after: "),
        "{head}"
    );
    assert_eq!(
        status(&server.ask_from([0, 3], "GET /", "").await),
        200,
        "another address"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_that_are_wrong_cost_more_than_requests() {
    let server = Server::start(&[
        "gateway.rates.disabled=false",
        "gateway.rates.http.rate=0.001",
        "gateway.rates.http.capacity=50",
        "gateway.rates.login.rate=1000",
        "gateway.rates.login.capacity=1000",
    ])
    .await;
    let mut judged = 0;
    for i in 0..20 {
        let body = format!(r#"{{"username":"nobody{i}","password":"a wrong one"}}"#);
        let (status, _) = server.http("POST /api/auth/login", body.as_bytes()).await;
        judged += usize::from(status == 401);
    }
    assert_eq!(judged, 5, "a guess costs ten requests");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_at_many_addresses_do_not_use_up_what_members_need() {
    let server = Server::start(&[
        "gateway.rates.disabled=false",
        "gateway.rates.instance.rate=0.001",
        "gateway.rates.instance.capacity=80",
    ])
    .await;
    let token = server.guest().await;
    let mut strangers = 0;
    for i in 0..120 {
        let from = [1 + i % 30, 1];
        strangers += usize::from(status(&server.ask_from(from, "GET /", "").await) == 200);
    }
    assert!(
        (15..=20).contains(&strangers),
        "{strangers} of 80 are for strangers"
    );
    // Signing in has room beyond theirs, and members beyond both.
    server.guest().await;
    let bearer = format!("authorization: Bearer {token}\r\n");
    for _ in 0..40 {
        let head = server
            .ask_from([0, 9], "GET /api/conversations", &bearer)
            .await;
        assert_eq!(status(&head), 200, "{head}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_has_its_number_of_connections_and_new_ones() {
    let server = Server::start(&[
        "gateway.rates.disabled=false",
        "gateway.connections.max_per_address=4",
    ])
    .await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(server.tcp_from([0, 5]).await);
    }
    let ask = |from| server.ask_from(from, "GET /health", "");
    assert_eq!(ask([0, 5]).await, "", "closed at once");
    assert_eq!(status(&ask([0, 6]).await), 200);
    drop(held);
    let again = async {
        while status(&ask([0, 5]).await) != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again)
        .await
        .expect("places come back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_of_one_address_push_out_only_their_own() {
    let server = Server::start(&[
        "gateway.rates.disabled=false",
        "gateway.connections.max_unauthenticated_per_address=10",
    ])
    .await;
    let mut other = server.tcp_from([0, 7]).await;
    let mut silent = Vec::new();
    for _ in 0..60 {
        silent.push(server.tcp_from([0, 8]).await);
    }
    for socket in &mut silent[..50] {
        assert!(crate::raw::is_closed(socket).await);
    }
    let kept = tokio::time::timeout(std::time::Duration::from_millis(100), other.read_u8());
    assert!(kept.await.is_err(), "the other one still waits");
    server.never_panicked();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_has_so_many_requests_under_way() {
    let server = Server::start(&[
        "gateway.rates.disabled=false",
        "gateway.rates.account.capacity=1000",
        "gateway.http.max_in_flight_per_account=3",
    ])
    .await;
    let bearer = format!("authorization: Bearer {}\r\n", server.guest().await);
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut socket = server.tcp().await;
        let head = format!(
            "PUT /api/conversations/world/read HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\nexpect: 100-continue\r\n{bearer}\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        // The body is asked for once the request is under way.
        let asked = crate::raw::head(&mut socket).await.unwrap();
        assert_eq!(status(&asked), 100, "{asked}");
        socket.write_all(b"{").await.unwrap();
        slow.push(socket);
    }
    let ask = || async {
        let head = server.ask_from([0, 1], "GET /api/conversations", &bearer);
        status(&head.await)
    };
    let until = async |expected| {
        while ask().await != expected {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let refused = tokio::time::timeout(PATIENCE, until(429));
    refused.await.expect("a fourth is refused");
    drop(slow);
    let served = tokio::time::timeout(PATIENCE, until(200));
    served.await.expect("places come back");
}
