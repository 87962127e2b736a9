//! TLS, prefixes and proxies.

use gochat_client::{Client, Connection, ErrorKind, Proxy, TlsOptions, WORLD};

use crate::kit::{Authority, ConnectProxy, Edge, Server, guest, next_message, soon, until, words};

/// Sends a message over the socket and reads it by HTTP: both ways are open.
pub(crate) async fn talks(client: &Client) {
    let text = format!("said {}", rand::random::<u64>());
    let sent = soon("an acknowledgement", client.send(WORLD, &text)).await;
    let seq = sent.expect("sent").seq_id;
    let page = client.api().history_after(WORLD, seq - 1, 1).await;
    assert_eq!(page.expect("history").messages[0].content, text);
}

#[tokio::test]
async fn two_clients_chat_over_tls_with_an_authority_of_its_own() {
    let authority = Authority::new();
    let server = Server::start_tls(&authority, "localhost").await;
    let url = format!("wss://localhost:{}/ws", server.addr().port());
    let connect = || guest(&url).tls(authority.trusted()).connect();
    let (ann, _) = connect().await.expect("connected");
    let (ben, mut at_ben) = connect().await.expect("connected");
    // Longer than a record of TLS, which takes 16 KiB.
    let text = "🍵".repeat(4_500);
    ann.send(WORLD, &text).await.expect("sent");
    assert_eq!(next_message(&mut at_ben).await, text);
    talks(&ben).await;
    assert_eq!(ann.user_id(), Some(ann.api().me().await.expect("ann").id));
    server.stop().await;
}

/// The roots of the system, if there are any, and another authority.
fn beside_the_system() -> TlsOptions {
    let pem = Authority::new().pem();
    let options = TlsOptions::default().trust_pem(pem.as_bytes());
    options.expect("a certificate")
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_refused_with_the_reason() {
    let authority = Authority::new();
    let server = Server::start_tls(&authority, "localhost").await;
    let port = server.addr().port();
    let attempts = [
        ("localhost", Authority::new().trusted(), "UnknownIssuer"),
        ("localhost", beside_the_system(), "UnknownIssuer"),
        ("127.0.0.1", authority.trusted(), "not valid for name"),
    ];
    for (host, tls, reason) in attempts {
        let url = format!("https://{host}:{port}");
        let builder = guest(&url).tls(tls);
        let error = soon("a refusal", builder.clone().connect()).await;
        let error = error.map(drop).expect_err("no trust");
        assert_eq!(*error.kind(), ErrorKind::UntrustedServer);
        assert!(words(&error).contains(reason), "{}", words(&error));
        // A client that was started goes on trying and says why it isn't connected.
        let (client, _) = builder.start().expect("good settings");
        until(&client, "the reason", |status| {
            matches!(&status.connection, Connection::Offline { cause, next_attempt: Some(_) }
                if *cause.kind() == ErrorKind::UntrustedServer)
        })
        .await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_told_from_one_that_is_away() {
    let server = Server::start().await;
    let url = format!("https://localhost:{}", server.addr().port());
    let answer = guest(&url).tls(Authority::new().trusted()).connect();
    let error = soon("a failure", answer).await.map(drop);
    assert_eq!(*error.expect_err("no TLS").kind(), ErrorKind::Tls);
    server.stop().await;
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_servers_that_ask_for_it() {
    let authority = Authority::new();
    let server = Server::start().await;
    let versions: [&[&rustls::SupportedProtocolVersion]; 2] =
        [&[&rustls::version::TLS12], rustls::ALL_VERSIONS];
    let (chain, key) = authority.sign("ann's phone");
    for versions in versions {
        let tls = authority.mutual("localhost", versions);
        let edge = Edge::start(server.addr(), "", Some(tls)).await;
        let url = format!("https://localhost:{}", edge.port());
        let known = authority.trusted();
        let known = known.identity_pem(chain.as_bytes(), key.as_bytes());
        let builder = guest(&url).tls(known.expect("a certificate"));
        let (client, _) = builder.connect().await.expect("connected");
        talks(&client).await;
    }
    // In TLS 1.3 the refusal comes after the handshake, and may be lost to the request that
    // crosses it.
    let tls = authority.mutual("localhost", versions[0]);
    let edge = Edge::start(server.addr(), "", Some(tls)).await;
    let stranger = guest(&format!("https://localhost:{}", edge.port()));
    let error = soon("a refusal", stranger.tls(authority.trusted()).connect()).await;
    let error = error.map(drop).expect_err("no certificate");
    assert_eq!(*error.kind(), ErrorKind::Tls, "{}", words(&error));
    server.stop().await;
}

#[tokio::test]
async fn a_server_below_a_path_is_found_and_another_path_is_refused() {
    let authority = Authority::new();
    let server = Server::start().await;
    let tls = authority.acceptor("localhost");
    let edge = Edge::start(server.addr(), "/apps/im", Some(tls)).await;
    let url = format!("https://localhost:{}/apps/im/", edge.port());
    let builder = guest(&url).tls(authority.trusted());
    let (client, _) = builder.connect().await.expect("connected");
    talks(&client).await;
    assert_eq!(edge.requests("GET /ws?"), 1);
    let other = guest(&format!("https://localhost:{}/other", edge.port()));
    let error = soon("a refusal", other.tls(authority.trusted()).connect()).await;
    assert_eq!(
        *error.map(drop).expect_err("nothing there").kind(),
        ErrorKind::BadAnswer
    );
    server.stop().await;
}

#[tokio::test]
async fn http_and_the_socket_go_through_the_proxy() {
    let authority = Authority::new();
    let server = Server::start_tls(&authority, "chat.test").await;
    let plain = Server::start().await;
    // Names that only the proxy knows: a connection beside it would fail.
    let (secure_name, plain_name) = ("chat.test:443", "plain.test:80");
    let cases = [
        ("http", "https://chat.test", secure_name, server.addr()),
        ("https", "https://chat.test", secure_name, server.addr()),
        ("http", "ws://plain.test", plain_name, plain.addr()),
    ];
    for (scheme, url, host, upstream) in cases {
        let tls = (scheme == "https").then(|| authority.acceptor("localhost"));
        let proxy = ConnectProxy::start(host, upstream, tls).await;
        let through = Proxy::new(&proxy.url(scheme, "ann:s3cret@")).expect("a proxy");
        let builder = guest(url).tls(authority.trusted()).proxy(through);
        let (client, _) = builder.connect().await.expect("connected");
        talks(&client).await;
        assert!(proxy.tunnels() >= 2, "{}", proxy.tunnels());
    }
    server.stop().await;
    plain.stop().await;
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_as_the_reason() {
    let authority = Authority::new();
    let nowhere = "127.0.0.1:9".parse().expect("an address");
    let proxy = ConnectProxy::start("chat.test:443", nowhere, None).await;
    let gone = Proxy::new("http://127.0.0.1:9").expect("a proxy");
    let stranger = Proxy::new(&proxy.url("http", "")).expect("a proxy");
    for through in [stranger, gone] {
        let builder = guest("https://chat.test").tls(authority.trusted());
        let error = soon("a refusal", builder.proxy(through).connect()).await;
        let error = error.map(drop).expect_err("refused");
        assert_eq!(*error.kind(), ErrorKind::Proxy, "{}", words(&error));
        assert!(!words(&error).contains("s3cret"));
    }
}
