//! Certificates that change while the server runs.

use crate::client::{Wss, connect};
use crate::kit::{Server, counted, eventually};

#[tokio::test]
async fn a_new_certificate_is_used_without_dropping_anybody_and_a_bad_one_changes_nothing() {
    let server = Server::start(&[]).await;
    let mut old = Wss::open(server.addr(), server.client()).await;

    let believes_the_new = server.new_certificate();
    eventually("the new certificate", async || {
        connect(server.addr(), believes_the_new.clone()).await.ok()
    })
    .await;
    assert!(old.is_alive().await, "open connections are kept");
    connect(server.addr(), server.client())
        .await
        .expect_err("the old one is gone");

    let refused = r#"gochat_tls_reloads_total{result="refused"}"#;
    let before = counted(refused);
    server.spoil_certificate("this is no certificate");
    eventually("the refusal", async || {
        (counted(refused) > before).then_some(())
    })
    .await;
    let mut new = Wss::open(server.addr(), believes_the_new).await;
    assert!(new.is_alive().await && old.is_alive().await);
    server.stop().await;
}
