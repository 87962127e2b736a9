//! Started without a network, and networks that break.

use gochat_client::{Connection, ErrorKind, MemoryTokenStore, Proxy, WORLD};

use crate::kit::{Authority, ConnectProxy, Server, guest, next_message, soon, until, until_online};

fn is_offline(connection: &Connection) -> bool {
    matches!(
        connection,
        Connection::Offline {
            next_attempt: Some(_),
            ..
        }
    )
}

#[tokio::test]
async fn a_message_handed_over_before_there_is_a_network_arrives_once_there_is_one() {
    let authority = Authority::new();
    let server = Server::start_tls(&authority, "chat.test").await;
    let proxy = ConnectProxy::start("chat.test:443", server.addr(), None).await;
    let through = Proxy::new(&proxy.url("http", "ann:s3cret@")).expect("a proxy");
    let builder = guest("https://chat.test")
        .tls(authority.trusted())
        .proxy(through);
    proxy.cut(true);
    let (ann, _) = builder.clone().device("phone").start().expect("at once");
    let sending = ann.send(WORLD, "from the tunnel");
    let status = until(&ann, "offline", |s| is_offline(&s.connection)).await;
    let Connection::Offline { cause, .. } = status.connection else {
        panic!("{status:?}")
    };
    assert_eq!(*cause.kind(), ErrorKind::Proxy);
    assert_eq!(ann.user_id(), None);
    proxy.cut(false);
    soon("the message", sending).await.expect("sent");
    until_online(&ann).await;
    assert!(ann.user_id().is_some());

    // The same in the middle of a conversation.
    let bens = builder.token_store(MemoryTokenStore::default());
    let (ben, mut at_ben) = bens.connect().await.expect("connected");
    assert_eq!(next_message(&mut at_ben).await, "from the tunnel");
    proxy.cut(true);
    until(&ann, "offline", |s| is_offline(&s.connection)).await;
    let sendings = ["one", "two", "three"].map(|text| ann.send(WORLD, text));
    proxy.cut(false);
    for sending in sendings {
        soon("a message", sending).await.expect("sent");
    }
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(next_message(&mut at_ben).await);
    }
    assert_eq!(seen, ["one", "two", "three"]);
    let newest = ben.api().history_after(WORLD, 0, 100).await;
    assert_eq!(newest.expect("history").messages.len(), 4);
    server.stop().await;
}

#[tokio::test]
async fn the_app_closes_a_client_that_is_offline() {
    let builder = guest("http://127.0.0.1:9");
    let (client, mut events) = builder.start().expect("at once");
    until(&client, "offline", |s| is_offline(&s.connection)).await;
    let waiting = client.send(WORLD, "never sent");
    soon("the end", client.close()).await;
    assert!(soon("the failure", waiting).await.is_err());
    assert_eq!(client.status().connection, Connection::Closed);
    soon("the last event", async {
        while events.next().await.is_some() {}
    })
    .await;
}
