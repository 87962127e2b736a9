//! Refreshes whose answers are lost on the way, before the store and within it.

use gochat_client::api::Api;
use gochat_client::{Connection, ErrorKind};

use crate::kit::stores::{Mood, Store};
use crate::kit::{Edge, PATIENCE, Server, guest, soon, until, until_online};

/// A guest behind an edge, whose access token the server refuses from now on.
async fn stale_guest() -> (Server, Edge, Store) {
    let server = Server::start().await;
    let edge = Edge::start(server.addr(), "", None).await;
    let store = Store::default();
    let (client, _) = guest(&url(&edge))
        .token_store(store.clone())
        .connect()
        .await
        .expect("connected");
    client.close().await;
    store.spoil();
    (server, edge, store)
}

fn url(edge: &Edge) -> String {
    format!("http://127.0.0.1:{}", edge.port())
}

fn api(edge: &Edge, store: &Store) -> Api {
    let builder = guest(&url(edge)).token_store(store.clone());
    builder.api().expect("an API")
}

const REFRESH: &str = "POST /api/auth/refresh";

#[tokio::test]
async fn a_refresh_whose_answer_is_lost_is_asked_for_again_until_there_is_one() {
    let (server, edge, store) = stale_guest().await;
    let before = store.stored().expect("a session");
    edge.swallow_refreshes(2);
    let api = api(&edge, &store);
    let error = api.sessions().await.expect_err("the answer was lost");
    assert_eq!(*error.kind(), ErrorKind::Transport);
    // Without a further call of the app.
    let kept = async {
        while store.stored().as_ref() == Some(&before) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    soon("the pair in the store", kept).await;
    assert_eq!(edge.requests(REFRESH), 3);
    let sessions = api.sessions().await.expect("still signed in");
    assert_eq!((sessions.len(), sessions[0].current), (1, true));
    assert_eq!(edge.requests(REFRESH), 3);
    assert_eq!(edge.requests("POST /api/auth/guest"), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_client_takes_over_what_another_one_on_its_store_has_renewed() {
    let (server, edge, store) = stale_guest().await;
    let (one, other) = (api(&edge, &store), api(&edge, &store));
    // Both hold the token that the server refuses.
    for api in [&one, &other] {
        assert_eq!(api.session().await.ok(), store.stored());
    }
    for api in [&one, &other] {
        assert_eq!(api.sessions().await.expect("signed in").len(), 1);
        assert_eq!(api.session().await.ok(), store.stored());
    }
    assert_eq!(edge.requests(REFRESH), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_caller_that_stops_waiting_loses_no_pair() {
    let (server, edge, store) = stale_guest().await;
    let before = store.stored().expect("a session");
    let api = api(&edge, &store);
    // Dropped as soon as the refresh has left.
    let call = async {
        while edge.requests(REFRESH) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = api.sessions() => {}
        () = call => {}
    }
    let sessions = api.sessions().await.expect("still signed in");
    assert_eq!(sessions.len(), 1);
    assert_ne!(store.stored(), Some(before));
    assert_eq!(edge.requests(REFRESH), 1, "the answer wasn't lost");
    server.stop().await;
}

#[tokio::test]
async fn a_pair_that_can_not_be_kept_is_not_used_and_the_app_hears_of_it() {
    let (server, edge, store) = stale_guest().await;
    let before = store.stored().expect("a session");
    store.set(Mood::Fails);
    let builder = guest(&url(&edge)).token_store(store.clone());
    let (client, _) = builder.start().expect("at once");
    let status = until(&client, "the failure", |s| {
        s.unsaved.is_some() && matches!(s.connection, Connection::Offline { .. })
    })
    .await;
    let cause = status.unsaved.expect("a reason");
    assert_eq!(*cause.kind(), ErrorKind::Storage);
    let source = std::error::Error::source(&*cause).expect("what the store said");
    assert_eq!(source.to_string(), "the disk is full");
    let error = client.api().sessions().await.expect_err("not kept");
    assert_eq!(*error.kind(), ErrorKind::Storage);
    let newer = store.lost().expect("a pair");
    assert_eq!(store.stored(), Some(before));
    assert!(!edge.saw_token(&newer.access_token));

    store.set(Mood::Works);
    until_online(&client).await;
    assert_eq!(client.status().unsaved, None);
    assert_eq!(store.stored(), Some(newer.clone()));
    assert!(edge.saw_token(&newer.access_token));
    assert_eq!(edge.requests(REFRESH), 1, "the pair in hand was kept");
    server.stop().await;
}

#[test]
fn a_process_that_stops_before_the_store_has_the_pair_leaves_a_user_who_is_signed_in() {
    let first = tokio::runtime::Runtime::new().expect("a runtime");
    let (server, edge, store) = first.block_on(stale_guest());
    let user = store.stored().expect("a session").user_id;
    store.set(Mood::Stops);
    // The app's own runtime, which ends with the process.
    let app = tokio::runtime::Runtime::new().expect("a runtime");
    let stopped = api(&edge, &store);
    app.spawn(async move { stopped.sessions().await });
    first.block_on(soon("the save", async {
        while store.lost().is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }));
    app.shutdown_timeout(PATIENCE);
    store.set(Mood::Works);
    first.block_on(async {
        let builder = guest(&url(&edge)).token_store(store.clone());
        let (client, _) = builder.connect().await.expect("signed in");
        assert_eq!(client.user_id(), user);
        // The server gave the same pair again.
        assert_eq!(edge.requests(REFRESH), 2);
        assert_eq!(store.stored(), store.lost());
        assert_eq!(edge.requests("POST /api/auth/guest"), 1);
        server.stop().await;
    });
}
