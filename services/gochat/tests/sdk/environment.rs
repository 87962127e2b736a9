//! What an app's environment says: the certificate store of the system, and the proxy.

use std::path::Path;

use gochat_client::{Client, Connection, Credentials};
use tokio::process::Command;

use crate::connecting::talks;
use crate::kit::{Authority, ConnectProxy, Server, soon, until};

/// Runs in a process of its own: a process must not change its environment while it has threads.
#[tokio::test]
#[ignore = "the other test of this file runs it, with an environment"]
async fn an_app() {
    let builder = Client::builder("https://chat.test").credentials(Credentials::guest());
    let (client, _) = builder.start().expect("at once");
    let status = until(&client, "the first attempt", |status| {
        matches!(
            status.connection,
            Connection::Online | Connection::Offline { .. }
        )
    });
    assert_eq!(status.await.connection, Connection::Online);
    talks(&client).await;
}

/// Whether the app gets through with these roots and this proxy.
async fn gets_through(roots: &Path, variables: &[(&str, &str)]) -> bool {
    let mut app = Command::new(std::env::current_exe().expect("a program"));
    app.args(["--exact", "environment::an_app", "--ignored"])
        .env("SSL_CERT_FILE", roots)
        .env_remove("SSL_CERT_DIR");
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"] {
        app.env_remove(name).env_remove(name.to_lowercase());
    }
    app.envs(variables.iter().copied()).kill_on_drop(true);
    let output = soon("the app", app.output()).await.expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("1 passed") || said.contains("1 failed"),
        "{said}"
    );
    output.status.success()
}

#[tokio::test]
async fn the_roots_of_the_system_and_the_proxy_of_the_environment_are_used() {
    let dir = tempfile::tempdir().expect("a folder");
    let roots = |name: &str, authority: &Authority| {
        let path = dir.path().join(name);
        std::fs::write(&path, authority.pem()).expect("written");
        path
    };
    let authority = Authority::new();
    let known = roots("known.pem", &authority);
    let other = roots("other.pem", &Authority::new());
    let server = Server::start_tls(&authority, "chat.test").await;
    let proxy = ConnectProxy::start("chat.test:443", server.addr(), None).await;
    let proxy = proxy.url("http", "ann:s3cret@");
    let through: &[_] = &[("https_proxy", &*proxy)];
    assert!(gets_through(&known, through).await);
    assert!(gets_through(&known, &[("ALL_PROXY", &proxy)]).await);
    assert!(!gets_through(&other, through).await);
    // Beside the proxy there is no such host.
    let beside = [("HTTPS_PROXY", &*proxy), ("NO_PROXY", "test, other")];
    assert!(!gets_through(&known, &beside).await);
    server.stop().await;
}
