//! Two do the same thing at once.

use serde_json::json;

use crate::kit::{Server, User};

async fn open(user: &User, other: &User) -> (u16, String) {
    let reply = user
        .post("/conversations", json!({"type": 1, "members": [other.id]}))
        .await;
    let status = reply.status;
    (status, crate::kit::text(&reply.data()["id"]))
}

#[tokio::test]
async fn two_who_open_a_chat_with_each_other_at_once_share_it() {
    let server = Server::shared().await;
    for _ in 0..10 {
        let [a, b] = server.users().await;
        let ((status_a, by_a), (status_b, by_b)) = tokio::join!(open(&a, &b), open(&b, &a));
        assert_eq!(by_a, by_b);
        let mut both = [status_a, status_b];
        both.sort_unstable();
        assert_eq!(both, [200, 201]);
        a.say(&by_a, "hello").await.data_with(201);
    }
}

#[tokio::test]
async fn reading_on_two_devices_at_once_ends_at_the_further_one() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    for i in 0..20 {
        a.say(&chat, &format!("m{i}")).await.data();
    }
    b.history_of(&chat, 20).await;
    let read = |seq: i64| {
        let (b, path) = (b.clone(), format!("/conversations/{chat}/read"));
        async move { b.put(&path, json!({"seqId": seq})).await.data() }
    };
    let (_, _, _, _) = tokio::join!(read(3), read(15), read(7), read(11));
    assert_eq!(b.listed(&chat).await.unwrap()["lastReadSeqId"], 15);
    b.unread_becomes(&chat, 5).await;
}

#[tokio::test]
async fn of_connections_of_one_device_that_open_at_once_one_survives() {
    let server = Server::shared().await;
    for _ in 0..5 {
        let user = server.user().await;
        let connect = || user.connect_device("phone");
        let (one, two, three) = tokio::join!(connect(), connect(), connect());
        let mut alive = 0;
        let mut ends = Vec::new();
        let deadline = tokio::time::Instant::now() + super::SOON;
        let mut sockets = [one, two, three];
        // Two of them end; the one that doesn't still answers.
        while ends.len() < 2 && tokio::time::Instant::now() < deadline {
            for (i, socket) in sockets.iter_mut().enumerate() {
                if !ends.contains(&i)
                    && socket.is_closed(std::time::Duration::from_millis(20)).await
                {
                    ends.push(i);
                }
            }
        }
        for (i, socket) in sockets.iter_mut().enumerate() {
            if ends.contains(&i) {
                assert_eq!(socket.closed().await, 4001);
            } else {
                socket.flush().await;
                alive += 1;
            }
        }
        assert_eq!(alive, 1);
    }
}

#[tokio::test]
async fn a_handover_and_a_role_change_at_once_leave_one_owner() {
    let server = Server::shared().await;
    for _ in 0..5 {
        let [owner, b, c] = server.users().await;
        let group = owner.group("heirs", &[&b, &c]).await;
        let give = |heir: &User| {
            let path = format!("/conversations/{group}/members/{}", heir.id);
            let owner = owner.clone();
            async move { owner.put(&path, json!({"role": 3})).await.status }
        };
        let (x, y) = tokio::join!(give(&b), give(&c));
        assert!([x, y].contains(&200), "{x} {y}");
        let data = owner
            .get(&format!("/conversations/{group}/members?role=3"))
            .await
            .data();
        assert_eq!(data["members"].as_array().unwrap().len(), 1);
        let detail = owner.get(&format!("/conversations/{group}")).await.data();
        assert_eq!(data["members"][0]["userId"], detail["ownerId"]);
    }
}
