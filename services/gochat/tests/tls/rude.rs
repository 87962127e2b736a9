//! Clients that don't keep to the rules, or don't read.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Got, Habits, Wss, connect, connect_with};
use crate::kit::{PATIENCE, Server};

/// What comes until the end, which must come.
async fn until_the_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    // A reset is an end too.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut all))
        .await
        .expect("the connection ends");
    all
}

#[tokio::test]
async fn plain_http_hears_what_to_do_instead() {
    let server = Server::start(&[]).await;
    let mut plain = TcpStream::connect(server.addr()).await.unwrap();
    plain
        .write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let answer = String::from_utf8(until_the_end(&mut plain).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("speaks HTTPS and WSS"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn who_does_not_finish_the_handshake_is_cut_off() {
    let server = Server::start(&["gateway.tls.handshake_timeout_ms=3000"]).await;
    let mut silent = TcpStream::connect(server.addr()).await.unwrap();
    let mut stops = TcpStream::connect(server.addr()).await.unwrap();
    stops.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    let mut garbage = TcpStream::connect(server.addr()).await.unwrap();
    garbage.write_all(&[0x16; 600]).await.unwrap();
    assert!(until_the_end(&mut silent).await.is_empty());
    assert!(until_the_end(&mut stops).await.is_empty());
    until_the_end(&mut garbage).await;
    let mut polite = Wss::open(server.addr(), server.client()).await;
    assert!(polite.is_alive().await);
    server.stop().await;
}

#[tokio::test]
async fn strangers_in_the_handshake_push_out_strangers_only() {
    let settings = ["gateway.connections.max_unauthenticated=4"];
    let server = Server::start(&settings).await;
    let mut known = Wss::open(server.addr(), server.client()).await;
    let mut strangers = Vec::new();
    for _ in 0..40 {
        strangers.push(TcpStream::connect(server.addr()).await.unwrap());
    }
    until_the_end(&mut strangers[0]).await;
    assert!(known.is_alive().await);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stops_reading_is_closed_and_the_others_miss_nothing() {
    let server = Server::start(&["gateway.websocket.queue_frames=64"]).await;
    let habits = Habits {
        receive_buffer: Some(4_096),
        ..Habits::default()
    };
    let mut stuck = Wss::open_with(server.addr(), server.client(), &habits).await;
    let mut reader = Wss::open(server.addr(), server.client()).await;
    let mut author = Wss::open(server.addr(), server.client()).await;
    // More than the kernel's buffers (about 4 MiB per socket) and the queue can hide.
    let content = "x".repeat(5_000);
    let rounds = 24;
    for round in 0..rounds {
        for i in 0..64 {
            author.say(&content, &format!("m{round}-{i}")).await;
        }
        for _ in 0..64 {
            author.wait_for("message-ack").await;
            reader.wait_for("new-message").await;
        }
    }
    // What was under way may still arrive, never the whole of it.
    let mut seen = 0;
    let code = loop {
        match stuck.read().await {
            Ok(Got::Text(_)) => seen += 1,
            Ok(Got::Close(code)) => break Some(code),
            Ok(Got::Control) => {}
            Err(_) => break None,
        }
    };
    assert!(seen < rounds * 64, "the slow reader got everything");
    assert!(matches!(code, Some(1013) | None), "{code:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_nobody_reads_end_the_connection_that_asked() {
    let settings = [
        "gateway.websocket.queue_frames=64",
        "gateway.websocket.write_timeout_s=1",
    ];
    let server = Server::start(&settings).await;
    let habits = Habits {
        receive_buffer: Some(4_096),
        ..Habits::default()
    };
    let mut client = Wss::open_with(server.addr(), server.client(), &habits).await;
    let asking = crate::client::masked(0x89, &[b'p'; 125]).repeat(1_000);
    let flood = async { while client.stream.write_all(&asking).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, flood)
        .await
        .expect("the connection is closed");
    server.stop().await;
}

#[tokio::test]
async fn handshakes_of_one_address_are_limited_before_anything_is_computed() {
    let settings = [
        "gateway.rates.disabled=false",
        "gateway.rates.connect.rate=0.001",
        "gateway.rates.connect.capacity=3",
    ];
    let server = Server::start(&settings).await;
    let mut done = 0;
    for _ in 0..20 {
        done += usize::from(connect(server.addr(), server.client()).await.is_ok());
    }
    assert_eq!(done, 3);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_under_tls_that_is_not_read_ends_with_its_connection() {
    let server = Server::start(&["gateway.connections.write_timeout_s=1"]).await;
    let habits = Habits {
        receive_buffer: Some(2_048),
        ..Habits::default()
    };
    let mut greedy = connect_with(server.addr(), server.client(), &habits)
        .await
        .unwrap();
    // Small answers, and more of them than buffers hold.
    let one = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    let asking = one.repeat(1_000);
    let flood = async { while greedy.write_all(&asking).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, flood)
        .await
        .expect("the connection is closed");
    server.stop().await;
}
