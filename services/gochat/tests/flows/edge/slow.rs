//! A client that does not read: it is cut off, nobody else notices, nothing is lost.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::kit::{PATIENCE, Server, User, eventually};

/// Frames of 20 kB; together more than kernel buffers and the connection's queue hold.
const MESSAGES: usize = 500;

/// Opens a socket with a tiny receive buffer, by hand, so that nothing reads in the background.
async fn connect_and_never_read(user: &User) -> TcpStream {
    let host = user.http.base().trim_start_matches("http://").to_owned();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(host.parse().unwrap()).await.unwrap();
    let request = format!(
        "GET /ws?token={}&device=sleepy HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        user.token
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(
        head.starts_with(b"HTTP/1.1 101"),
        "{}",
        String::from_utf8_lossy(&head)
    );
    stream
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off_and_misses_nothing_when_it_is_back() {
    let Some(server) = Server::with(&[]).await else {
        return;
    };
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let mut sleepy = connect_and_never_read(&b).await;
    let (mut author, mut awake) = (a.connect().await, b.connect_device("awake").await);
    let long = "😀".repeat(5000);
    for first in (0..MESSAGES).step_by(50) {
        for i in first..first + 50 {
            author.say(&chat, &long, &format!("c{i}")).await;
        }
        for i in first..first + 50 {
            author.acked(&format!("c{i}")).await;
        }
    }
    for _ in 0..MESSAGES {
        awake.expect("new-message").await;
    }
    let mut left = vec![0; 1 << 20];
    eventually("the end of the slow connection", async || {
        let read = tokio::time::timeout(PATIENCE, sleepy.read(&mut left)).await;
        matches!(read.expect("data or the end"), Ok(0) | Err(_)).then_some(())
    })
    .await;
    let mut back = b.connect_device("sleepy").await;
    back.flush().await;
    assert_eq!(b.history_of(&chat, MESSAGES).await.len(), MESSAGES);
    let listed: Value = b.listed(&chat).await.unwrap();
    assert_eq!(listed["lastSeqId"], MESSAGES);
}
