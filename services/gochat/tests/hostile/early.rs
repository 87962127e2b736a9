//! Answers to requests that are still coming: they arrive, whatever the client sends meanwhile.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use crate::raw::{PATIENCE, Server, answer, is_closed};

/// More than the buffers of both ends take while nobody reads.
const BIG: usize = 3 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_arrives_although_the_body_is_still_coming() {
    let server = Server::start(&[]).await;
    let body = vec![b'x'; BIG];
    let mut chunked = format!("{:x}\r\n", body.len()).into_bytes();
    chunked.extend(&body);
    chunked.extend(b"\r\n0\r\n\r\n");
    let sized = format!("content-length: {BIG}\r\n");
    for (line, headers, body, expected) in [
        ("POST /api/conversations", &*sized, &body, 413),
        ("POST /api/auth/login", &sized, &body, 413),
        ("PUT /api/nowhere", &sized, &body, 413),
        ("POST /ws", &sized, &body, 405),
        (
            "POST /api/conversations",
            "transfer-encoding: chunked\r\n",
            &chunked,
            401,
        ),
        (
            "POST /api/auth/login",
            "transfer-encoding: chunked\r\n",
            &chunked,
            413,
        ),
    ] {
        for _ in 0..3 {
            let mut socket = server.tcp().await;
            let head = format!("{line} HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
            socket.write_all(head.as_bytes()).await.unwrap();
            // All of it goes out before the answer is looked at, as simple clients do.
            socket.write_all(body).await.expect("the server reads on");
            let (status, _) = answer(&mut socket).await.expect("the answer arrives");
            assert_eq!(status, expected, "{line} {headers}");
            assert!(is_closed(&mut socket).await);
        }
    }
    server.serves_others().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_on_has_bounds() {
    let server = Server::start(&[
        "gateway.http.linger_bytes=100000",
        "gateway.http.linger_ms=300",
    ])
    .await;
    let head = "POST /api/conversations HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n";
    let mut endless = server.tcp().await;
    endless.write_all(head.as_bytes()).await.unwrap();
    let began = Instant::now();
    let flood = async { while endless.write_all(&[b'x'; 65_536]).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, flood)
        .await
        .expect("the connection is closed");
    let mut silent = server.tcp().await;
    silent.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut silent).await.unwrap().0, 413);
    assert!(is_closed(&mut silent).await);
    assert!(began.elapsed() < Duration::from_secs(10));
    server.serves_others().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_stops_coming_is_refused_long_before_the_request_s_time_is_up() {
    let server = Server::start(&["gateway.connections.read_timeout_s=1"]).await;
    let mut socket = server.tcp().await;
    let began = Instant::now();
    let request = "POST /api/auth/login HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{\"us";
    socket.write_all(request.as_bytes()).await.unwrap();
    let (status, reply) = answer(&mut socket).await.unwrap();
    assert_eq!(
        (status, &reply["code"]),
        (408, &"TIMEOUT".into()),
        "{reply}"
    );
    assert!(began.elapsed() < Duration::from_secs(20));
    drop(socket);
    server.serves_others().await;
}
