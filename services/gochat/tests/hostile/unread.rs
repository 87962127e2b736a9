//! Answers that nobody reads: they end, and are bounded meanwhile.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use crate::raw::{PATIENCE, Server, head, is_closed, resident};

/// A guest with a history of the world chat that is larger than what kernels buffer. Gives the
/// token.
async fn history(server: &Server) -> String {
    let token = server.guest().await;
    let mut author = server.try_open(&token, None).await.expect("a socket");
    let content = "x".repeat(4_900);
    for i in 0..100 {
        author.say(&content, &format!("big-{i}")).await;
    }
    for _ in 0..100 {
        author.wait_for("message-ack").await;
    }
    token
}

/// A connection whose receive buffer holds next to nothing, and which asks for the history several
/// times in a row.
async fn greedy(server: &Server, token: &str, requests: usize) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(2_048).expect("a small buffer");
    let connected = socket.connect(server.addr()).await;
    let mut socket = connected.expect("a connection");
    let one = format!(
        "GET /api/conversations/world/messages?limit=100 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    let sent = socket.write_all(one.repeat(requests).as_bytes()).await;
    sent.expect("the requests are sent");
    socket
}

/// Waits until the history is there in full.
async fn settled(server: &Server, token: &str) {
    let began = Instant::now();
    loop {
        let line = format!(
            "GET /api/conversations/world/messages?limit=100 HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        let mut socket = server.tcp().await;
        let sent = socket.write_all(line.as_bytes()).await;
        sent.expect("the request is sent");
        let mut all = Vec::new();
        let read = socket.read_to_end(&mut all).await;
        read.expect("the whole answer");
        if all.len() > 400_000 {
            return;
        }
        assert!(began.elapsed() < 2 * PATIENCE, "{} bytes", all.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_nobody_reads_end_with_their_connection() {
    let server = Server::start(&["gateway.connections.write_timeout_s=1"]).await;
    let token = history(&server).await;
    settled(&server, &token).await;
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.push(greedy(&server, &token, 12).await);
    }
    let began = Instant::now();
    // Nothing is read until the time is up: what the kernel has may then still come, and must end.
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    for socket in &mut sockets {
        assert!(is_closed(socket).await);
    }
    assert!(began.elapsed() < 2 * PATIENCE);
    server.serves_others().await;
    server.never_panicked();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_in_memory_are_bounded_and_the_refusal_says_so() {
    // Room for two answers of an address: two that nobody reads use it up, and stay.
    let server = Server::start_alone(&[
        "gateway.connections.write_timeout_s=60",
        "gateway.http.max_held_bytes_per_address=1200000",
    ])
    .await;
    let token = history(&server).await;
    settled(&server, &token).await;
    let before = resident();
    let mut sockets = Vec::new();
    for _ in 0..8 {
        sockets.push(greedy(&server, &token, 12).await);
    }
    // A further one of this address is refused while they hold what there is.
    let refusal = async {
        loop {
            let mut socket = greedy(&server, &token, 1).await;
            let head = head(&mut socket).await.unwrap();
            if head.starts_with("HTTP/1.1 503 ") {
                return head.to_ascii_lowercase();
            }
            sockets.push(socket);
        }
    };
    let refusal = tokio::time::timeout(PATIENCE, refusal)
        .await
        .expect("a refusal");
    assert!(refusal.contains("\r\nretry-after: "), "{refusal}");
    let grown = resident().saturating_sub(before);
    assert!(grown < 200 << 20, "grown by {grown} bytes");
    drop(sockets);
    // And it is all given back.
    settled(&server, &token).await;
    server.serves_others().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_no_answer_that_is_not_read() {
    let server = Server::start(&["gateway.drain_timeout_ms=1000"]).await;
    let token = history(&server).await;
    settled(&server, &token).await;
    let mut sockets = Vec::new();
    for _ in 0..10 {
        sockets.push(greedy(&server, &token, 12).await);
    }
    server.stop().await;
    for socket in &mut sockets {
        assert!(is_closed(socket).await);
    }
}
