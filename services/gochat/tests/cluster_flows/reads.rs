//! Read your writes over several gateways, and while the writers are away.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::kit::eventually;
use crate::rig::Cluster;

#[tokio::test]
async fn a_client_that_moves_says_its_number_and_finds_it() {
    let cluster = Cluster::with(&["task.persist.linger_ms=150", "repo.reads.wait_ms=5000"]).await;
    let (a, b) = (
        cluster.user("gateway-1").await,
        cluster.user("gateway-2").await,
    );
    let chat = a.chat_with(&b).await;
    let moved = cluster.at("gateway-2", &a);
    for round in (1..=11).step_by(2) {
        let sent = a.say(&chat, "mine").await.data();
        assert_eq!(sent["seqId"], round);
        let path = format!("/conversations/{chat}/messages?limit=1&at_least={round}");
        let page = moved.get(&path).await.data();
        assert_eq!(page["messages"][0]["seqId"], round, "{page}");
        a.say(&chat, "mine").await.data();
        let list = format!("/conversations?at_least={chat}:{}", round + 1);
        let list = moved.get(&list).await.data();
        assert_eq!(list["conversations"][0]["id"], chat);
        assert_eq!(list["conversations"][0]["lastSeqId"], round + 1);
    }
}

#[tokio::test]
async fn while_writers_are_away_answers_say_that_they_are_behind() {
    let cluster = Cluster::new().await;
    let (a, b) = (
        cluster.user("gateway-1").await,
        cluster.user("gateway-1").await,
    );
    let chat = a.chat_with(&b).await;
    let mut socket = b.connect().await;
    a.say(&chat, "stored").await.data();
    socket.hears("stored").await;
    a.history_of(&chat, 1).await;
    cluster.gates.hold("task", "BatchSaveMessages");
    assert_eq!(a.say(&chat, "on its way").await.data()["seqId"], 2);
    socket.hears("on its way").await;
    let path = format!("/conversations/{chat}/messages");
    for (user, unread) in [(&a, 0), (&b, 1)] {
        let began = Instant::now();
        let page = user.get(&path).await.data();
        assert!(
            began.elapsed() < Duration::from_secs(15),
            "the wait is bounded"
        );
        assert_eq!(
            (&page["behind"], &page["headSeqId"]),
            (&json!(true), &json!(2))
        );
        assert_eq!(page["messages"][0]["seqId"], 1, "history stays readable");
        let list = user.get("/conversations").await.data();
        let entry = list["conversations"]
            .as_array()
            .unwrap()
            .iter()
            .find(|c| c["id"] == chat);
        let entry = entry.unwrap();
        assert_eq!(
            (&list["behind"], &entry["behind"]),
            (&json!(true), &json!(true))
        );
        assert_eq!(
            (&entry["headSeqId"], &entry["unreadCount"]),
            (&json!(2), &json!(unread))
        );
    }
    let mark = format!("/conversations/{chat}/read");
    let read = b.put(&mark, json!({"seqId": 2})).await.data();
    assert_eq!(
        (&read["lastReadSeqId"], &read["behind"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(read["headSeqId"], 2);
    cluster.gates.open();
    let read = eventually("the row is written", || async {
        let read = b.put(&mark, json!({"seqId": 2})).await.data();
        (read["behind"] == Value::Null).then_some(read)
    });
    assert_eq!(read.await["lastReadSeqId"], 2);
    let page = a.get(&path).await.data();
    assert_eq!(
        (&page["messages"][0]["seqId"], &page["behind"]),
        (&json!(2), &Value::Null)
    );
}
