//! Behind proxies: limits are charged to whom trusted ones name, and to nobody else.

use tokio::io::AsyncWriteExt as _;

use crate::raw::{Server, head};

/// Three requests per address, and 127.0.0.2 is a proxy.
fn settings(more: &'static str) -> [&'static str; 5] {
    [
        "gateway.rates.disabled=false",
        "gateway.rates.http.rate=0.001",
        "gateway.rates.http.capacity=3",
        r#"gateway.connections.trusted_proxies=["127.0.0.2/32"]"#,
        more,
    ]
}

/// Statuses of four requests from a loopback address, with something sent before each and a header
/// in it.
async fn four(server: &Server, last: u8, before: &[u8], header: &str) -> Vec<String> {
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let mut socket = server.tcp_from([0, last]).await;
        let request = format!("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\r\n");
        let all = [before, request.as_bytes()].concat();
        let _ = socket.write_all(&all).await;
        let head = head(&mut socket).await.unwrap_or_default();
        statuses.push(head.split(' ').nth(1).unwrap_or("-").to_owned());
    }
    statuses
}

const LIMITED: [&str; 4] = ["200", "200", "200", "429"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_proxy_names_its_clients() {
    let server = Server::start(&settings("gateway.connections.proxy_protocol=false")).await;
    for client in [
        "1.2.3.4",
        "6.6.6.6, 1.2.3.5:99",
        "[2001:db8::1]:7",
        "2001:db8:0:1::1",
    ] {
        let header = format!("x-forwarded-for: {client}\r\n");
        assert_eq!(four(&server, 2, b"", &header).await, LIMITED, "{client}");
    }
    // The same customer under another address, and a client that forges what stands left of it.
    let same = "x-forwarded-for: 2001:db8::ffff\r\n";
    assert_eq!(four(&server, 2, b"", same).await, ["429"; 4]);
    let forged = "x-forwarded-for: 9.9.9.9, 1.2.3.4\r\n";
    assert_eq!(four(&server, 2, b"", forged).await, ["429"; 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_names_nobody() {
    let server = Server::start(&settings("gateway.connections.proxy_protocol=true")).await;
    let answers = four(&server, 3, b"", "x-forwarded-for: 1.2.3.4\r\n").await;
    assert_eq!(answers, LIMITED);
    let another = four(&server, 3, b"", "x-forwarded-for: 1.2.3.5\r\n").await;
    assert_eq!(another, ["429"; 4], "the address is the peer's");
    let header = b"PROXY TCP4 1.2.3.4 127.0.0.1 80 80\r\n";
    let answers = four(&server, 4, header, "").await;
    assert_eq!(answers, ["400"; 4], "the header is no HTTP");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_versions_of_the_proxy_protocol_name_the_client() {
    let server = Server::start(&settings("gateway.connections.proxy_protocol=true")).await;
    let one = b"PROXY TCP4 1.2.3.4 127.0.0.1 80 80\r\n";
    assert_eq!(four(&server, 2, one, "").await, LIMITED);
    assert_eq!(four(&server, 2, one, "").await, ["429"; 4]);
    let mut two = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
    two.extend([1, 2, 3, 5, 127, 0, 0, 1, 0, 80, 0, 80]);
    assert_eq!(four(&server, 2, &two, "").await, LIMITED);
    // The client a proxy names is no proxy: its own headers count for nothing.
    let forged = "x-forwarded-for: 9.9.9.9\r\n";
    assert_eq!(four(&server, 2, &two, forged).await, ["429"; 4]);
    assert_eq!(
        four(&server, 2, b"", "").await,
        ["-"; 4],
        "without a header there is no answer"
    );
    server.never_panicked();
}
