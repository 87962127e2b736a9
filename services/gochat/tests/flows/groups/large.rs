//! Groups that are served by lists of members, and those above `fanout.direct_max` members, to
//! which im-task delivers: nobody misses anything.

use serde_json::json;

use crate::kit::{FEW_ARE_MANY, LISTED, Server, User, seqs, texts};

/// A server on which groups of more than three members are large.
pub async fn low_threshold() -> Option<Server> {
    Server::with(&[FEW_ARE_MANY]).await
}

#[tokio::test]
async fn every_member_of_a_large_group_gets_every_message_in_order() {
    everybody_hears(FEW_ARE_MANY).await;
}

#[tokio::test]
async fn every_member_on_the_list_gets_every_message_in_order() {
    everybody_hears(LISTED).await;
}

async fn everybody_hears(setting: &str) {
    let Some(server) = Server::with(&[setting]).await else {
        return;
    };
    let users: [User; 8] = server.users().await;
    let others: Vec<&User> = users[1..].iter().collect();
    let group = users[0].group("large", &others).await;
    let mut watchers = Vec::new();
    for user in &users {
        watchers.push(user.connect().await);
    }
    let mut author = users[0].connect().await;
    for i in 1..=25 {
        author.say(&group, &format!("m{i}"), &format!("c{i}")).await;
    }
    for i in 1..=25 {
        assert_eq!(author.acked(&format!("c{i}")).await["seqId"], i);
    }
    let stored = texts(&users[3].history_of(&group, 25).await, "id");
    for watcher in &mut watchers {
        let mut heard = Vec::new();
        for _ in 0..25 {
            heard.push(watcher.expect("new-message").await);
        }
        heard.sort_by_key(|m| m["seqId"].as_i64());
        assert_eq!(seqs(&heard), (1..=25).collect::<Vec<_>>());
        assert_eq!(texts(&heard, "id"), stored);
    }
    assert!(
        author.drain("new-message").await.is_empty(),
        "the sending connection got its acks"
    );
}

/// Bob is removed and Carl added while messages are on their way: what is sequenced after the
/// answer reaches whom it is for, and nobody else.
#[tokio::test]
async fn who_was_removed_from_the_list_hears_nothing_more_and_who_was_added_does() {
    let Some(server) = Server::with(&[LISTED]).await else {
        return;
    };
    let [owner, ann, bob, carl]: [User; 4] = server.users().await;
    let group = owner.group("listed", &[&ann, &bob]).await;
    let mut author = owner.connect().await;
    let (mut hears, mut removed, mut added) = (
        ann.connect().await,
        bob.connect().await,
        carl.connect().await,
    );
    author.say_acked(&group, "all three", "c1").await;
    for watcher in [&mut hears, &mut removed] {
        assert_eq!(watcher.hears("all three").await["seqId"], 1);
    }
    owner
        .delete(&format!("/conversations/{group}/members/{}", bob.id))
        .await
        .data();
    author.say_acked(&group, "without bob", "c2").await;
    owner
        .post(
            &format!("/conversations/{group}/members"),
            json!({"members": [carl.id]}),
        )
        .await
        .data();
    author.say_acked(&group, "with carl", "c3").await;
    assert_eq!(hears.hears("without bob").await["seqId"], 2);
    assert_eq!(added.hears("with carl").await["seqId"], 3);
    assert_eq!(hears.hears("with carl").await["seqId"], 3);
    assert!(removed.drain("new-message").await.is_empty());
    assert!(added.drain("new-message").await.is_empty());
}

#[tokio::test]
async fn a_large_group_judges_senders_like_a_small_one() {
    let Some(server) = low_threshold().await else {
        return;
    };
    let users: [User; 6] = server.users().await;
    let [owner, a, b, c, d, stranger] = &users;
    let group = owner.group("large", &[a, b, c, d]).await;
    stranger
        .say(&group, "me too")
        .await
        .refused(403, "NOT_CONVERSATION_MEMBER");
    d.say(&group, "I am in").await.data();
    owner
        .delete(&format!("/conversations/{group}/members/{}", d.id))
        .await
        .data();
    d.say(&group, "I am out")
        .await
        .refused(403, "NOT_CONVERSATION_MEMBER");
    crate::kit::mute(server.logic().unwrap(), owner, &group, c, true).await;
    c.say(&group, "psst").await.refused(403, "MEMBER_MUTED");
    owner
        .post(
            &format!("/conversations/{group}/members"),
            json!({"members": [stranger.id]}),
        )
        .await
        .data();
    assert_eq!(stranger.say(&group, "now me").await.data()["seqId"], 2);
}

#[tokio::test]
async fn a_group_that_crosses_the_threshold_loses_nothing() {
    let Some(server) = low_threshold().await else {
        return;
    };
    let users: [User; 5] = server.users().await;
    let [owner, a, b, c, d] = &users;
    let group = owner.group("growing", &[a, b]).await;
    let mut watcher = a.connect().await;
    let mut author = owner.connect().await;
    author.say_acked(&group, "small", "c1").await;
    owner
        .post(
            &format!("/conversations/{group}/members"),
            json!({"members": [c.id, d.id]}),
        )
        .await
        .data();
    author.say_acked(&group, "large", "c2").await;
    owner
        .delete(&format!("/conversations/{group}/members/{}", c.id))
        .await
        .data();
    owner
        .delete(&format!("/conversations/{group}/members/{}", d.id))
        .await
        .data();
    author.say_acked(&group, "small again", "c3").await;
    for (text, seq) in [("small", 1), ("large", 2), ("small again", 3)] {
        assert_eq!(watcher.hears(text).await["seqId"], seq);
    }
}
