//! Random and almost right bytes, from seeds that can be run again.

use crate::raw::{Dice, Server, masked};
use tokio::io::AsyncWriteExt as _;

/// Valid frames to spoil.
fn frames() -> Vec<Vec<u8>> {
    let texts = [
        r#"{"type":"ping"}"#,
        r#"{"type":"typing","data":{"conversationId":"world"}}"#,
        r#"{"type":"mark-read","data":{"conversationId":"world","seqId":1}}"#,
        r#"{"type":"send-message","data":{"conversationId":"world","content":"hé","messageType":1,"client_msg_id":"c"}}"#,
    ];
    let mut frames: Vec<_> = texts
        .iter()
        .map(|text| masked(0x81, text.as_bytes()))
        .collect();
    frames.push(masked(0x89, b"ping"));
    frames.push(masked(0x88, &[0x03, 0xE8]));
    frames
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_with_spoiled_bytes_harm_nobody() {
    let server = Server::start(&["gateway.websocket.sessions_per_user=100"]).await;
    let frames = frames();
    let mut dice = Dice::new(7);
    for round in 0..120 {
        let mut client = server.open(None).await;
        for _ in 0..20 {
            let mut frame = frames[dice.below(frames.len())].clone();
            for _ in 0..dice.below(4) {
                let at = dice.below(frame.len());
                frame[at] ^= 1 << dice.below(8);
            }
            if dice.below(8) == 0 {
                frame.truncate(dice.below(frame.len()));
            }
            if client.write(&frame).await.is_err() {
                break;
            }
        }
        drop(client);
        if round % 40 == 0 {
            server.serves_others().await;
        }
    }
    server.serves_others().await;
    server.never_panicked();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_bytes_before_and_after_the_handshake_harm_nobody() {
    let server = Server::start(&[]).await;
    let mut dice = Dice::new(11);
    for _ in 0..150 {
        let len = 1 + dice.below(3_000);
        let noise = dice.bytes(len);
        let mut stranger = server.tcp().await;
        let _ = stranger.write_all(&noise).await;
        if dice.below(3) == 0 {
            let mut client = server.open(None).await;
            let _ = client.write(&noise).await;
        }
    }
    server.serves_others().await;
    server.never_panicked();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_with_spoiled_bytes_harm_nobody() {
    let server = Server::start(&[]).await;
    let token = server.guest().await;
    let requests = [
        format!("GET /api/conversations?page=1&size=20 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"),
        format!("GET /api/conversations/world/messages?cursor=5&limit=3 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"),
        "POST /api/auth/login HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 37\r\n\r\n{\"username\":\"somebody\",\"password\":\"x\"}".to_owned(),
    ];
    let mut dice = Dice::new(13);
    for _ in 0..200 {
        let mut request = requests[dice.below(requests.len())].clone().into_bytes();
        for _ in 0..1 + dice.below(5) {
            let at = dice.below(request.len());
            request[at] = dice.roll() as u8;
        }
        let mut socket = server.tcp().await;
        let _ = socket.write_all(&request).await;
        let _ = socket.shutdown().await;
        assert!(
            crate::raw::is_closed(&mut socket).await,
            "{}",
            request.escape_ascii()
        );
    }
    server.serves_others().await;
    server.never_panicked();
}
