//! Readers that don't read.

use crate::raw::{Got, Server, resident};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stops_reading_is_closed_and_the_others_miss_nothing() {
    let server = Server::start_alone(&["gateway.websocket.queue_frames=64"]).await;
    let mut stuck = Vec::new();
    for _ in 0..10 {
        stuck.push(server.open(Some(4_096)).await);
    }
    let mut reader = server.open(None).await;
    let mut author = server.open(None).await;
    let before = resident();
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
    let grown = resident().saturating_sub(before);
    assert!(grown < 400 << 20, "grown by {grown} bytes");
    for client in &mut stuck {
        // What was under way may still arrive, never the whole of it.
        let mut seen = 0;
        let code = loop {
            match client.read().await {
                Ok(Got::Text(_)) => seen += 1,
                Ok(Got::Close(code)) => break Some(code),
                Ok(Got::Control) => {}
                Err(_) => break None,
            }
        };
        assert!(
            seen < rounds * 64,
            "the slow reader got everything: nothing was slow"
        );
        assert!(matches!(code, Some(1013) | None), "{code:?}");
    }
    server.serves_others().await;
    server.never_panicked();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_nobody_reads_end_the_connection_that_asked() {
    let settings = [
        "gateway.websocket.queue_frames=64",
        "gateway.websocket.write_timeout_s=1",
    ];
    let server = Server::start(&settings).await;
    let mut client = server.open(Some(4_096)).await;
    let asking = crate::raw::masked(0x89, &[b'p'; 125]).repeat(1_000);
    let flood = async { while client.write(&asking).await.is_ok() {} };
    tokio::time::timeout(crate::raw::PATIENCE, flood)
        .await
        .expect("the connection is closed");
    server.serves_others().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_never_ends_is_closed_however_alive_its_sender_is() {
    let server = Server::start(&["gateway.websocket.message_timeout_s=1"]).await;
    let mut dripping = server.open(None).await;
    let mut fragments = server.open(None).await;
    let mut polite = server.open(None).await;
    let frame = crate::raw::masked(0x81, &[b'x'; 60_000]);
    fragments
        .write(&crate::raw::masked(0x01, b"begun"))
        .await
        .unwrap();
    let drip = async {
        for byte in frame {
            if dripping.write(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(crate::raw::PATIENCE, drip)
        .await
        .expect("the connection ends");
    assert_eq!(fragments.end().await, Some(4008));
    // Between messages nobody is in a hurry.
    polite.say("still here", "p").await;
    polite.wait_for("message-ack").await;
}
