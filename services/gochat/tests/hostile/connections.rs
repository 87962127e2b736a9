//! Too many connections, and connections that never say who they are.

use futures_util::future::join_all;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use crate::raw::{PATIENCE, Server, is_closed, resident};

const SILENT: usize = 3_000;
const ALLOWED: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_strangers_push_out_strangers_and_nobody_else() {
    let server = Server::start_alone(&["gateway.connections.max_unauthenticated=200"]).await;
    let mut known = server.open(None).await;
    let before = resident();
    let mut silent = Vec::with_capacity(SILENT);
    for i in 0..SILENT {
        let mut socket = server.tcp().await;
        // Some begin a request, none ends it.
        if i % 3 == 0 {
            let _ = socket
                .write_all(b"GET /ws?token=abc HTTP/1.1\r\nhost: x\r\n")
                .await;
        }
        silent.push(socket);
    }
    // In the middle of it somebody signs in, connects and sends.
    server.serves_others().await;
    known.say("I was here before", "k").await;
    known.wait_for("message-ack").await;
    let grown = resident().saturating_sub(before);
    assert!(grown < 200 << 20, "grown by {grown} bytes");

    let oldest = silent.drain(..SILENT - 2 * ALLOWED);
    let closed =
        join_all(oldest.map(|mut socket| async move { is_closed(&mut socket).await })).await;
    assert!(
        closed.iter().all(|closed| *closed),
        "those who waited longest are gone"
    );
    server.serves_others().await;
    server.never_panicked();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_gateway_says_so_and_answers_everything_else() {
    let server = Server::start(&[
        "gateway.connections.max=8",
        "gateway.websocket.sessions_per_user=20",
    ])
    .await;
    let (token, began) = (server.guest().await, Instant::now());
    let mut taken = Vec::new();
    loop {
        match server.try_open(&token, None).await {
            Ok(client) => taken.push(client),
            Err(head) if taken.len() == 8 => {
                assert!(head.starts_with("HTTP/1.1 503"), "{head}");
                break;
            }
            // Another connection of this test is about to end.
            Err(_) => {}
        }
        assert!(began.elapsed() < PATIENCE, "{} of 8", taken.len());
    }
    let (status, answer) = server.http("GET /ws", b"").await;
    assert_eq!(
        (status, &answer["code"]),
        (503, &"SERVICE_UNAVAILABLE".into()),
        "{answer}"
    );
    for client in &mut taken {
        client
            .write(&crate::raw::masked(0x81, br#"{"type":"ping"}"#))
            .await
            .unwrap();
        client.wait_for("pong").await;
    }
    server.guest().await;
    drop(taken.pop());
    while server.try_open(&token, None).await.is_err() {
        assert!(began.elapsed() < PATIENCE);
    }
    server.never_panicked();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_the_impolite() {
    let server = Server::start(&["gateway.drain_timeout_ms=2000"]).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(server.open(Some(4_096)).await);
    }
    let mut half = server.tcp().await;
    half.write_all(b"POST /api/auth/login HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n")
        .await
        .unwrap();
    // Nobody reads, nobody answers the goodbye.
    server.stop().await;
    assert_eq!(
        clients[0].wait_for("restarting").await["type"],
        "restarting"
    );
    assert_eq!(clients[0].end().await, Some(1001));
}
