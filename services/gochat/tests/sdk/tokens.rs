//! Sessions that go on, and sessions that ended.

use gochat_client::{Client, Connection, Credentials, ErrorCode, ErrorKind, FileTokenStore, Proxy};

use crate::kit::stores::Store;
use crate::kit::{Edge, Server, guest, soon, until, until_online};

fn url(server: &Server) -> String {
    format!("http://{}", server.addr())
}

#[tokio::test]
async fn a_guest_is_the_same_one_when_the_app_starts_again() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("session.json");
    let start = || {
        guest(&url(&server))
            .device("phone")
            .token_store(FileTokenStore::new(&file))
    };
    let (first, _) = start().connect().await.expect("connected");
    let me = first.user_id();
    assert!(me.is_some());
    let token = first.api().session().await.expect("a session").access_token;
    assert!(!format!("{first:?} {:?}", first.api()).contains(&token));
    let sessions = first.api().sessions().await.expect("sessions");
    assert_eq!(sessions[0].device, "phone");
    assert!(sessions[0].client.starts_with("gochat-client/"));
    first.close().await;

    // Without credentials too: the store is enough.
    let again = Client::builder(&url(&server))
        .proxy(Proxy::none())
        .token_store(FileTokenStore::new(&file));
    let (second, _) = again.connect().await.expect("connected");
    assert_eq!(second.user_id(), me);
    let user = second.api().upgrade("ann", "a long password").await;
    assert_eq!(user.map(|u| Some(u.id)).expect("an account"), me);

    // Signed out is signed out: nothing is left to start with.
    second.sign_out().await.expect("signed out");
    assert!(!file.exists());
    let error = second.api().sessions().await.expect_err("signed out");
    assert_eq!(*error.kind(), ErrorKind::SignedOut);
    let by_name = start().credentials(Credentials::password("ann", "a long password"));
    let (third, _) = by_name.connect().await.expect("connected");
    assert_eq!(third.user_id(), me);
    third
        .api()
        .delete_account(Some("a long password"))
        .await
        .expect("deleted");
    assert!(!file.exists());
    server.stop().await;
}

#[tokio::test]
async fn a_client_with_nothing_to_sign_in_with_says_so() {
    let server = Server::start().await;
    let builder = Client::builder(&url(&server)).proxy(Proxy::none());
    let (client, mut events) = builder.start().expect("at once");
    let status = until(&client, "signed out", |s| s.connection.is_final()).await;
    let Connection::SignedOut { cause } = status.connection else {
        panic!("{status:?}")
    };
    assert_eq!(*cause.kind(), ErrorKind::SignedOut);
    soon("the end", async { while events.next().await.is_some() {} }).await;
    server.stop().await;
}

#[tokio::test]
async fn the_name_of_another_account_is_not_answered_with_the_stored_session() {
    let server = Server::start().await;
    let store = Store::default();
    let api = guest(&url(&server)).api().expect("an API");
    for name in ["ann", "ben"] {
        api.sign_up(name, "a long password").await.expect("made");
    }
    let sign_in = async |name: &str, password: &str| {
        let credentials = Credentials::password(name, password);
        let builder = guest(&url(&server)).credentials(credentials);
        let connected = builder.token_store(store.clone()).connect().await;
        connected.map(|(client, _)| client.user_id())
    };
    let ann = sign_in("ann", "a long password").await.expect("ann");
    // The session that is stored needs no password.
    let again = sign_in("ANN", "").await.expect("ann");
    assert_eq!(ann, again);
    let ben = sign_in("ben", "a long password").await.expect("ben");
    assert_ne!(ann, ben);
    assert_eq!(store.stored().and_then(|s| s.user_id), ben);
    let refused = sign_in("ann", "wrong").await.expect_err("refused");
    let code = refused.refusal().map(|r| r.code);
    assert_eq!(code, Some(ErrorCode::InvalidCredentials));
    assert_eq!(store.stored().and_then(|s| s.user_id), ben);
    server.stop().await;
}

#[tokio::test]
async fn a_session_that_was_ended_elsewhere_is_told_and_does_not_become_another_guest() {
    let server = Server::start().await;
    let store = Store::default();
    let start = || guest(&url(&server)).token_store(store.clone());
    let (client, _) = start().connect().await.expect("connected");
    let stored = store.stored().expect("a session");
    let elsewhere = Credentials::tokens(&stored.access_token, &stored.refresh_token);
    let elsewhere = guest(&url(&server)).credentials(elsewhere).api();
    elsewhere.expect("an API").logout().await.expect("ended");
    for client in [client, start().start().expect("at once").0] {
        let status = until(&client, "signed out", |s| s.connection.is_final()).await;
        let Connection::SignedOut { cause } = status.connection else {
            panic!("{status:?}")
        };
        let code = cause.refusal().map(|r| r.code);
        assert_eq!(code, Some(ErrorCode::InvalidToken), "{cause}");
    }
    assert_eq!(store.stored(), Some(stored), "the app decides");
    let (other, _) = guest(&url(&server)).start().expect("at once");
    until_online(&other).await;
    server.stop().await;
}

#[tokio::test]
async fn who_signs_out_is_not_signed_in_again_although_the_password_is_at_hand() {
    let server = Server::start().await;
    let edge = Edge::start(server.addr(), "", None).await;
    let store = Store::default();
    let url = format!("http://127.0.0.1:{}", edge.port());
    let builder = Client::builder(&url)
        .credentials(Credentials::password("ann-who-leaves", "correct horse"))
        .token_store(store.clone());
    let api = builder.api().expect("an API");
    api.sign_up("ann-who-leaves", "correct horse")
        .await
        .expect("an account");
    let (client, _) = builder.connect().await.expect("connected");
    assert!(store.stored().is_some());
    client.sign_out().await.expect("signed out");
    assert_eq!(store.stored(), None);
    assert_eq!(edge.requests("POST /api/auth/login"), 1);
    // Once more does no harm.
    client.sign_out().await.expect("signed out");
    server.stop().await;
}
