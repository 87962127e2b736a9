//! Clients that speak TLS as it is meant, and strangely but within the rules.

use rustls::RootCertStore;
use tokio::io::AsyncReadExt as _;

use crate::client::{Got, Habits, Wss, connect, guest, https};
use crate::kit::{Server, client_config};

#[tokio::test]
async fn a_message_goes_from_https_to_wss_and_both_ends_agree() {
    let server = Server::start(&[]).await;
    let mut reader = Wss::open(server.addr(), server.client()).await;
    let token = guest(server.addr(), server.client()).await;
    let (status, reply) = https(
        server.addr(),
        server.client(),
        "POST /api/conversations/world/messages",
        &format!("authorization: Bearer {token}\r\n"),
        r#"{"messageType":1,"content":"sealed"}"#,
    )
    .await;
    assert_eq!(status, 201, "{reply}");
    let message = reader.wait_for("new-message").await;
    assert_eq!(message["data"]["content"], "sealed");
    server.stop().await;
}

#[tokio::test]
async fn tls_1_2_is_spoken_too_and_a_client_that_wants_only_http_2_is_refused() {
    let server = Server::start(&[]).await;
    let mut old = server.client();
    old.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut socket = Wss::open(server.addr(), old).await;
    let (_, session) = socket.stream.get_ref();
    assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(
        session.protocol_version(),
        Some(rustls::ProtocolVersion::TLSv1_3)
    );
    assert!(socket.is_alive().await);

    let mut wants_h2 = server.client();
    wants_h2.alpn_protocols = vec![b"h2".to_vec()];
    connect(server.addr(), wants_h2)
        .await
        .expect_err("there is no HTTP/2 here");

    let trusting_nobody = client_config(&[&rustls::version::TLS12], RootCertStore::empty());
    connect(server.addr(), trusting_nobody)
        .await
        .expect_err("an unknown issuer");
    let version_1_2 = server.client_of(&[&rustls::version::TLS12]);
    let mut socket = Wss::open(server.addr(), version_1_2).await;
    let version = socket.stream.get_ref().1.protocol_version();
    assert_eq!(version, Some(rustls::ProtocolVersion::TLSv1_2));
    assert!(socket.is_alive().await);
    server.stop().await;
}

#[tokio::test]
async fn records_that_arrive_in_crumbs_and_messages_of_many_records_are_whole() {
    let server = Server::start(&[]).await;
    let mut config = server.client();
    config.max_fragment_size = Some(64);
    let habits = Habits {
        crumbs: 7,
        ..Habits::default()
    };
    let mut author = Wss::open_with(server.addr(), config, &habits).await;
    let mut reader = Wss::open(server.addr(), server.client()).await;
    // Longer than one record of TLS either way.
    let long = "😀".repeat(5_000);
    author.say(&long, "crumbs").await;
    assert_eq!(
        author.wait_for("message-ack").await["data"]["client_msg_id"],
        "crumbs"
    );
    assert_eq!(
        reader.wait_for("new-message").await["data"]["content"],
        long.as_str()
    );
    server.stop().await;
}

#[tokio::test]
async fn a_goodbye_is_answered_and_the_end_is_meant() {
    let server = Server::start(&[]).await;
    let mut socket = Wss::open(server.addr(), server.client()).await;
    socket.write(0x88, &1000u16.to_be_bytes()).await.unwrap();
    assert!(matches!(socket.read().await.unwrap(), Got::Close(1000)));
    // Without the notice of TLS this were `UnexpectedEof`.
    assert_eq!(socket.stream.read(&mut [0; 8]).await.unwrap(), 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_frames_for_many_readers_arrive_once_and_in_order() {
    let server = Server::start(&[]).await;
    let mut readers = Vec::new();
    for _ in 0..8 {
        readers.push(Wss::open(server.addr(), server.client()).await);
    }
    let mut author = Wss::open(server.addr(), server.client()).await;
    for i in 0..40 {
        author.say(&i.to_string(), &format!("n{i}")).await;
    }
    for reader in &mut readers {
        for i in 0..40 {
            let frame = reader.wait_for("new-message").await;
            assert_eq!(frame["data"]["content"], i.to_string());
        }
    }
    server.stop().await;
}
