//! Frames that break the protocol or a limit.

use crate::raw::{Got, Server, masked};

/// Expects an error of this code.
async fn refused(client: &mut crate::raw::Raw, code: &str) {
    assert_eq!(client.wait_for("error").await["data"]["code"], code);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_beyond_the_limit_is_refused_by_its_header_alone() {
    let server = Server::start(&[]).await;
    for claimed in [(1u64 << 20) + 1, 1 << 40, i64::MAX as u64] {
        let mut client = server.open(None).await;
        let mut head = vec![0x81, 0x80 | 127];
        head.extend_from_slice(&claimed.to_be_bytes());
        head.extend_from_slice(&[0; 4]);
        client.write(&head).await.unwrap();
        refused(&mut client, "MESSAGE_TOO_LARGE").await;
        assert_eq!(client.end().await, Some(1009), "{claimed}");
    }
    server.serves_others().await;
    server.never_panicked();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_length_that_lies_is_a_protocol_error() {
    let server = Server::start(&[]).await;
    // Not the shortest form, and the top bit.
    let lies: [&[u8]; 3] = [
        &[0x81, 0x80 | 126, 0, 5, 0, 0, 0, 0],
        &[0x81, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0],
        &[0x81, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    for lie in lies {
        let mut client = server.open(None).await;
        client.write(lie).await.unwrap();
        assert_eq!(client.end().await, Some(1002), "{lie:?}");
    }
    server.never_panicked();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_fragments_end() {
    let server = Server::start(&["gateway.websocket.max_fragments=100"]).await;
    let mut client = server.open(None).await;
    client.write(&masked(0x01, b"")).await.unwrap();
    for _ in 0..200 {
        // The server may have closed already.
        let _ = client.write(&masked(0x00, b"")).await;
    }
    assert_eq!(client.end().await, Some(4008));
    let mut client = server.open(None).await;
    client.write(&masked(0x01, b"x")).await.unwrap();
    for _ in 0..10 {
        let _ = client.write(&masked(0x00, &[b'x'; 200 << 10])).await;
    }
    assert!(matches!(client.end().await, Some(1009) | None));
    server.serves_others().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_that_is_no_text_is_a_data_error() {
    let server = Server::start(&[]).await;
    let bad: [&[u8]; 4] = [
        b"\xFF",
        b"\xC0\xAF",
        b"\xED\xA0\x80",
        b"{\"type\":\"\xF5ping\"}",
    ];
    for bytes in bad {
        let mut client = server.open(None).await;
        client.write(&masked(0x81, bytes)).await.unwrap();
        assert_eq!(client.end().await, Some(1007), "{bytes:?}");
    }
    // A character cut in two by a fragment is fine once it is whole.
    let mut client = server.open(None).await;
    client
        .write(&masked(0x01, b"{\"type\":\"ping\",\"note\":\"\xC3"))
        .await
        .unwrap();
    client.write(&masked(0x80, b"\xA9\"}")).await.unwrap();
    client.wait_for("pong").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deep_and_long_json_is_refused_and_the_connection_stays() {
    let server = Server::start(&[]).await;
    let mut client = server.open(None).await;
    let nested = |open: &str, n| format!(r#"{{"type":"send-message","data":{}"#, open.repeat(n));
    let texts = [
        nested("[", 500_000),
        nested(r#"{"a":"#, 150_000),
        format!(r#"{{"type":"{}"}}"#, "x".repeat(500_000)),
        format!("[{}", "\"a\",".repeat(200_000)),
        format!(r#"{{"type":"ping","n":1e{}}}"#, "9".repeat(100_000)),
    ];
    for text in &texts {
        client.write(&masked(0x81, text.as_bytes())).await.unwrap();
    }
    // A number out of range may be skipped or refused; either way something is answered, and the end is not it.
    for _ in &texts {
        assert!(matches!(client.read().await.unwrap(), Got::Text(_)));
    }
    client.say("and now for something else", "c").await;
    client.wait_for("message-ack").await;
    server.never_panicked();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_ids_and_extras_beyond_their_limits_are_refused() {
    let server = Server::start(&[]).await;
    let mut client = server.open(None).await;
    client.say(&"x".repeat(5_001), "a").await;
    refused(&mut client, "MESSAGE_TOO_LARGE").await;
    client.say("x", &"i".repeat(65)).await;
    refused(&mut client, "INVALID_PARAMS").await;
    client.say(" \n ", "c").await;
    refused(&mut client, "MESSAGE_EMPTY").await;
    let frame = serde_json::json!({"type": "send-message", "data": {"conversationId": "world",
        "content": "x", "messageType": 1, "client_msg_id": "d", "extra": "{not json"}});
    client
        .write(&masked(0x81, frame.to_string().as_bytes()))
        .await
        .unwrap();
    refused(&mut client, "INVALID_PARAMS").await;
    client.say("x", "e").await;
    assert_eq!(client.wait_for("message-ack").await["data"]["seqId"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_pings_is_closed_with_4008() {
    let settings = [
        "gateway.rates.disabled=false",
        "gateway.websocket.rate=10",
        "gateway.websocket.burst=20",
    ];
    let server = Server::start(&settings).await;
    let mut client = server.open(None).await;
    let many = masked(0x89, b"are you there?").repeat(2_000);
    // The server may close before it has taken all of it.
    let _ = client.write(&many).await;
    assert!(matches!(client.end().await, Some(4008) | None));
    server.serves_others().await;
}
