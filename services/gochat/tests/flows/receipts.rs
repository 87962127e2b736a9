//! Read pointers of other users, for clients that were away: in the list, its sync, the detail,
//! and message by message.

use gochat_proto::im::repo::v1::UpdateConversationRequest;
use gochat_proto::im::repo::v1::conversation_service_client::ConversationServiceClient;
use serde_json::{Value, json};

use crate::kit::{Server, User, eventually, list, now, texts};

async fn read_up_to(user: &User, conversation: &str, seq: i64) {
    let path = format!("/conversations/{conversation}/read");
    user.put(&path, json!({"seqId": seq})).await.data_with(200);
}

async fn say_n(user: &User, conversation: &str, count: usize) {
    for i in 0..count {
        user.say(conversation, &format!("m{i}")).await.data();
    }
}

async fn read_by(user: &User, conversation: &str, seq: i64) -> Value {
    let path = format!("/conversations/{conversation}/read-by?seq={seq}");
    let data = user.get(&path).await.data_with(200);
    assert_eq!(data["count"], list(&data["users"]).len());
    data
}

/// The peer's pointer as the list and the detail tell it.
async fn peer_pointers(user: &User, conversation: &str) -> [Value; 2] {
    let listed = user.listed(conversation).await.expect("it is on the list");
    let detail = user.get(&format!("/conversations/{conversation}")).await;
    let of = |c: &Value| c["peerLastReadSeqId"].clone();
    [of(&listed), of(&detail.data())]
}

#[tokio::test]
async fn who_was_away_learns_how_far_the_peer_has_read() {
    let server = Server::shared().await;
    let [a, b, c] = server.users().await;
    let (chat, other) = (a.chat_with(&b).await, a.chat_with(&c).await);
    say_n(&a, &chat, 3).await;
    say_n(&a, &other, 1).await;
    b.history_of(&chat, 3).await;
    assert_eq!(peer_pointers(&a, &chat).await, [json!(0), json!(0)]);
    let before = now();
    eventually("two later seconds", || async {
        (now() > before + 1).then_some(())
    })
    .await;
    let since = now();
    read_up_to(&b, &chat, 2).await;
    let sync = format!("/conversations?type=1&last_sync={since}");
    let synced = a.get(&sync).await.data();
    let entries = list(&synced["conversations"]);
    assert_eq!(texts(entries, "id"), [chat.as_str()], "{synced}");
    assert_eq!(entries[0]["peerLastReadSeqId"], 2);
    assert_eq!(peer_pointers(&a, &chat).await, [json!(2), json!(2)]);
    let whole = a.get("/conversations?type=1").await.data();
    let order = texts(list(&whole["conversations"]), "id");
    assert_eq!(order, [other, chat], "reading is no activity");
}

#[tokio::test]
async fn groups_have_no_peer_and_a_blocked_pair_no_receipts() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let (chat, group) = (a.chat_with(&b).await, a.group("no peer", &[&b]).await);
    for id in [&chat, &group] {
        say_n(&a, id, 1).await;
        b.history_of(id, 1).await;
        read_up_to(&b, id, 1).await;
    }
    assert_eq!(peer_pointers(&a, &group).await, [Value::Null, Value::Null]);
    assert_eq!(peer_pointers(&a, &chat).await, [json!(1), json!(1)]);
    let block = format!("/friends/{}/block", b.id);
    a.call("POST", &block, None).await.data();
    for user in [&a, &b] {
        assert_eq!(peer_pointers(user, &chat).await, [Value::Null, Value::Null]);
    }
    assert_eq!(read_by(&a, &chat, 1).await["count"], 0);
    let own = read_by(&b, &chat, 1).await;
    assert_eq!(own["users"][0]["userId"], b.id, "one's own is no secret");
    a.delete(&block).await.data();
    assert_eq!(peer_pointers(&a, &chat).await, [json!(1), json!(1)]);
}

#[tokio::test]
async fn a_chat_may_be_set_to_show_no_receipts() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let Some(repo) = server.repo() else { return };
    let chat = a.chat_with(&b).await;
    say_n(&a, &chat, 1).await;
    b.history_of(&chat, 1).await;
    read_up_to(&b, &chat, 1).await;
    let request = UpdateConversationRequest {
        conversation_id: chat.clone(),
        settings: r#"{"single_settings":{"show_read_status":false}}"#.to_owned(),
        update_mask: vec!["settings".into()],
        ..Default::default()
    };
    let mut client = ConversationServiceClient::new(repo);
    client.update_conversation(request).await.expect("stored");
    assert_eq!(peer_pointers(&a, &chat).await, [Value::Null, Value::Null]);
    assert_eq!(read_by(&a, &chat, 1).await["count"], 0);
}

#[tokio::test]
async fn readers_of_a_message_are_told_its_author_aside() {
    let server = Server::shared().await;
    let [a, b, c, late] = server.users().await;
    let group = a.group("readers", &[&b, &c]).await;
    say_n(&a, &group, 3).await;
    b.history_of(&group, 3).await;
    assert_eq!(read_by(&a, &group, 1).await["users"], json!([]));
    read_up_to(&b, &group, 2).await;
    read_up_to(&c, &group, 1).await;
    let readers = |data: &Value| {
        let mut ids = texts(list(&data["users"]), "userId");
        ids.sort();
        ids
    };
    let mut both = [b.id.clone(), c.id.clone()];
    both.sort();
    for asker in [&a, &b] {
        assert_eq!(readers(&read_by(asker, &group, 1).await), both);
        let second = read_by(asker, &group, 2).await;
        assert_eq!(readers(&second), [b.id.as_str()]);
        assert!(second["users"][0]["readAt"].as_i64().unwrap() >= now() - 60);
        assert_eq!(read_by(asker, &group, 3).await["count"], 0);
    }
    let add = json!({"members": [late.id]});
    let members = format!("/conversations/{group}/members");
    a.post(&members, add).await.data();
    assert_eq!(
        readers(&read_by(&a, &group, 2).await),
        [b.id.as_str()],
        "who joined later has read nothing"
    );
    let chat = a.chat_with(&b).await;
    say_n(&a, &chat, 1).await;
    b.history_of(&chat, 1).await;
    read_up_to(&b, &chat, 1).await;
    assert_eq!(readers(&read_by(&a, &chat, 1).await), [b.id.as_str()]);
}

#[tokio::test]
async fn questions_about_readers_are_refused_with_a_reason() {
    let server = Server::shared().await;
    let [a, stranger] = server.users().await;
    let group = a.group("small", &[]).await;
    say_n(&a, &group, 1).await;
    let path = |id: &str, seq: &str| format!("/conversations/{id}/read-by{seq}");
    a.get(&path(&group, "?seq=2"))
        .await
        .refused(404, "MESSAGE_NOT_FOUND");
    for wrong in ["", "?seq=0", "?seq=-1", "?seq=x"] {
        a.get(&path(&group, wrong))
            .await
            .refused(400, "INVALID_PARAMS");
    }
    stranger
        .get(&path(&group, "?seq=1"))
        .await
        .refused(403, "NOT_CONVERSATION_MEMBER");
    a.get(&path("world", "?seq=1"))
        .await
        .refused(400, "TOO_MANY_MEMBERS");
}
