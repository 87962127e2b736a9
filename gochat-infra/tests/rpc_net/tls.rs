//! TLS, mutual and not, and certificates that are renewed.

use gochat_infra::rpc::{Channel, ChannelConfig, ClientTls, ServerConfig, direct};

use crate::certificates::Authority;
use crate::server::{Server, config, until, who};

fn server(authority: &Authority, mutual: bool) -> Server {
    let config = ServerConfig {
        tls: Some(authority.server(mutual)),
        ..ServerConfig::default()
    };
    Server::start_with("a", config, |services| services)
}

fn channel(server: &Server, tls: ClientTls) -> Channel {
    let config = ChannelConfig {
        tls: Some(tls),
        ..config()
    };
    direct(&server.addr.to_string(), config).unwrap()
}

#[tokio::test]
async fn mutual_tls_lets_in_who_the_authority_knows() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let a = server(&ours, true);
    assert_eq!(who(&channel(&a, ours.client())).await.unwrap(), "a");

    let stranger = channel(&a, ours.stranger());
    assert!(who(&stranger).await.is_err(), "no certificate");
    let impostor = ClientTls {
        ca_file: ours.path("ca.pem"),
        ..theirs.client()
    };
    assert!(
        who(&channel(&a, impostor)).await.is_err(),
        "another authority's certificate"
    );
    let plain = direct(&a.addr.to_string(), config()).unwrap();
    assert!(who(&plain).await.is_err(), "no TLS at all");
    assert_eq!(
        who(&channel(&a, ours.client())).await.unwrap(),
        "a",
        "still there"
    );
}

#[tokio::test]
async fn clients_refuse_servers_they_have_no_reason_to_trust() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let a = server(&ours, false);
    assert_eq!(who(&channel(&a, ours.stranger())).await.unwrap(), "a");
    assert!(
        who(&channel(&a, theirs.stranger())).await.is_err(),
        "another authority"
    );
    let elsewhere = ClientTls {
        server_name: Some("im-repo".into()),
        ..ours.stranger()
    };
    assert!(who(&channel(&a, elsewhere)).await.is_err(), "another name");
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_over_while_the_server_runs() {
    let (old, new) = (Authority::new(), Authority::new());
    let tls = old.server(false);
    let folder = tls.cert_file.parent().unwrap().to_owned();
    let config = ServerConfig {
        tls: Some(tls),
        ..ServerConfig::default()
    };
    let a = Server::start_with("a", config, |services| services);
    let standing = channel(&a, old.stranger());
    assert_eq!(who(&standing).await.unwrap(), "a");
    assert!(who(&channel(&a, new.stranger())).await.is_err());

    // Half a file first: nothing changes.
    std::fs::write(folder.join("127.0.0.1.pem"), "half").unwrap();
    assert_eq!(who(&channel(&a, old.stranger())).await.unwrap(), "a");
    new.sign_into(&folder, "127.0.0.1");
    until("the new certificate is shown", || async {
        who(&channel(&a, new.stranger())).await.is_ok()
    })
    .await;
    assert_eq!(
        who(&standing).await.unwrap(),
        "a",
        "standing connections stay"
    );
}

#[tokio::test]
async fn files_that_cant_be_used_are_named() {
    let authority = Authority::new();
    let mut tls = authority.client();
    tls.key_file = Some(authority.path("no-such.key"));
    let config = ChannelConfig {
        tls: Some(tls),
        ..config()
    };
    let error = direct("127.0.0.1:1", config).unwrap_err();
    assert!(error.message.contains("no-such.key"), "{error}");
}
