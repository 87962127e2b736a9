//! Tokens that end while sockets are open or opening.

use std::time::Duration;

use super::{SOON, jitter};
use crate::kit::{PATIENCE, Server};

#[tokio::test]
async fn a_socket_is_closed_within_a_second_of_the_revocation() {
    let server = Server::shared().await;
    for _ in 0..5 {
        let user = server.user().await;
        let mut sockets = [
            user.connect_device("phone").await,
            user.connect_device("laptop").await,
        ];
        user.call("POST", "/auth/logout", None).await.data();
        for socket in &mut sockets {
            assert_eq!(socket.closed_within(SOON).await, 4002);
        }
    }
}

#[tokio::test]
async fn a_socket_that_opens_during_the_logout_does_not_survive_it() {
    let server = Server::shared().await;
    for _ in 0..20 {
        let user = server.user().await;
        let apart = user.apart();
        let connect = async {
            jitter(3_000).await;
            apart.try_connect("").await
        };
        let logout = async {
            jitter(3_000).await;
            user.call("POST", "/auth/logout", None).await.data()
        };
        let (socket, _) = tokio::join!(connect, logout);
        match socket {
            Ok(mut socket) => assert_eq!(socket.closed_within(SOON).await, 4002),
            Err(status) => assert_eq!(status, 401),
        }
    }
}

#[tokio::test]
async fn nothing_is_sent_with_a_token_whose_logout_was_answered() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let apart = a.apart();
    let flood = async {
        let (mut last, mut i, began) = (0, 0, tokio::time::Instant::now());
        loop {
            assert!(began.elapsed() < PATIENCE, "the token was never refused");
            i += 1;
            let reply = apart.say_as(&chat, "still me", &format!("c{i}")).await;
            if reply.status == 401 {
                reply.refused(401, "INVALID_TOKEN");
                return last;
            }
            last = reply.data()["seqId"].as_i64().unwrap();
        }
    };
    let logout = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        a.call("POST", "/auth/logout", None).await.data();
        a.say_as(&chat, "after the logout", "late")
            .await
            .refused(401, "INVALID_TOKEN");
    };
    let (accepted, ()) = tokio::join!(flood, logout);
    let head = b.say(&chat, "marker").await.data()["seqId"]
        .as_i64()
        .unwrap();
    assert_eq!(head, accepted + 1);
}
