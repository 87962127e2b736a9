//! Stopping and starting on the same data.

use serde_json::json;

use crate::kit::{Server, User, seqs, texts};

async fn restarted(server: &mut Server, users: &[&User]) -> Vec<User> {
    server.restart().await;
    users.iter().map(|user| server.known(user)).collect()
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let Some(mut server) = Server::with(&[]).await else {
        return;
    };
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let group = a.group("lasting", &[&b]).await;
    a.befriend(&b).await;
    let mut socket = a.connect().await;
    for i in 0..20 {
        socket.say(&chat, &format!("m{i}"), &format!("c{i}")).await;
    }
    let mut acked = Vec::new();
    for i in 0..20 {
        acked.push(socket.acked(&format!("c{i}")).await);
    }
    a.say(&group, "in the group").await.data();
    a.say("world", "in the world").await.data();
    b.history_of(&chat, 20).await;
    b.put(&format!("/conversations/{chat}/read"), json!({"seqId": 7}))
        .await
        .data();

    let users = restarted(&mut server, &[&a, &b]).await;
    assert_eq!(socket.closed().await, 1001);
    let [a, b] = &users[..] else { unreachable!() };
    let stored = b.history(&chat).await;
    assert_eq!(texts(&stored, "id"), texts(&acked, "messageId"));
    assert_eq!(seqs(&stored), (1..=20).collect::<Vec<_>>());
    assert_eq!(b.unread(&chat).await, 13);
    assert_eq!(
        (
            b.history(&group).await.len(),
            b.history("world").await.len()
        ),
        (1, 1)
    );
    let friends = a.get("/friends").await.data();
    assert_eq!(friends["friends"][0]["friendId"], b.id);
    server
        .login(&a.name)
        .await
        .get("/users/profile")
        .await
        .data();
}

#[tokio::test]
async fn numbers_go_on_where_they_stopped() {
    let Some(mut server) = Server::with(&[]).await else {
        return;
    };
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let group = a.group("lasting", &[&b]).await;
    for round in 0..3 {
        let [a, b] = [server.known(&a), server.known(&b)];
        for conversation in [&chat, &group, &"world".to_owned()] {
            assert_eq!(
                a.say(conversation, "hi").await.data()["seqId"],
                2 * round + 1
            );
            assert_eq!(
                b.say(conversation, "hi").await.data()["seqId"],
                2 * round + 2
            );
        }
        server.restart().await;
    }
}

#[tokio::test]
async fn a_client_id_is_recognised_after_a_restart() {
    let Some(mut server) = Server::with(&[]).await else {
        return;
    };
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let first = a.say_as(&chat, "once", "c1").await.data();
    a.say_as(&chat, "more", "c2").await.data();

    let users = restarted(&mut server, &[&a, &b]).await;
    let again = users[0].say_as(&chat, "once", "c1").await.data_with(201);
    assert_eq!(
        (&again["id"], &again["seqId"]),
        (&first["id"], &first["seqId"])
    );
    assert_eq!(users[0].say_as(&chat, "new", "c3").await.data()["seqId"], 3);
    assert_eq!(users[1].history_of(&chat, 3).await.len(), 3);
}

#[tokio::test]
async fn a_client_is_told_to_move_on_and_finds_everything_when_it_is_back() {
    let Some(mut server) = Server::with(&[]).await else {
        return;
    };
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let mut socket = b.connect().await;
    a.say(&chat, "before").await.data();
    socket.hears("before").await;
    let users = restarted(&mut server, &[&a, &b]).await;
    assert_eq!(socket.closed().await, 1001);
    let mut socket = users[1].connect().await;
    users[0].say(&chat, "after").await.data();
    assert_eq!(socket.hears("after").await["seqId"], 2);
}

#[tokio::test]
async fn stopping_while_messages_are_in_flight_keeps_every_acknowledged_one() {
    let Some(mut server) = Server::with(&[]).await else {
        return;
    };
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let mut socket = a.connect().await;
    for i in 0..80 {
        socket.say(&chat, &format!("m{i}"), &format!("c{i}")).await;
    }
    let users = restarted(&mut server, &[&a, &b]).await;
    socket.closed().await;
    let deadline = tokio::time::Instant::now() + crate::kit::PATIENCE;
    let acked = socket.gather("message-ack", deadline).await;
    // Resending everything must give the acknowledged ones their numbers again.
    let mut socket = users[0].connect().await;
    for i in 0..80 {
        socket.say(&chat, &format!("m{i}"), &format!("c{i}")).await;
    }
    let mut again = Vec::new();
    for i in 0..80 {
        again.push(socket.acked(&format!("c{i}")).await);
    }
    for ack in &acked {
        let same = again
            .iter()
            .find(|other| other["client_msg_id"] == ack["client_msg_id"])
            .unwrap();
        assert_eq!(
            (&same["messageId"], &same["seqId"]),
            (&ack["messageId"], &ack["seqId"])
        );
    }
    let stored = users[1].history_of(&chat, 80).await;
    assert_eq!(seqs(&stored), (1..=80).collect::<Vec<_>>());
}
