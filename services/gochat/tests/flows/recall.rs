//! Taking a message back.

use serde_json::{Value, json};

use crate::kit::{Server, User, eventually, text};

async fn recall(user: &User, conversation: &str, message: &Value) -> crate::kit::Reply {
    user.delete(&format!(
        "/conversations/{conversation}/messages/{}",
        text(&message["id"])
    ))
    .await
}

#[tokio::test]
async fn an_author_recalls_and_the_others_are_told() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let mut socket = b.connect().await;
    let sent = a.say(&chat, "oh no").await.data();
    b.history_of(&chat, 1).await;
    recall(&a, &chat, &sent).await.data_with(200);
    let frame = socket.expect("message-recalled").await;
    assert_eq!(
        (&frame["conversationId"], &frame["messageId"]),
        (&json!(chat), &sent["id"])
    );
    assert_eq!(
        (&frame["seqId"], &frame["operatorId"]),
        (&json!(1), &json!(a.id))
    );
}

#[tokio::test]
async fn nobody_reads_a_recalled_text_again_and_its_number_stays_taken() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let sent = a.say(&chat, "a secret slipped").await.data();
    a.say(&chat, "next").await.data();
    b.history_of(&chat, 2).await;
    recall(&a, &chat, &sent).await.data();
    for user in [&a, &b] {
        let path = format!("/conversations/{chat}/messages?after_seq=0");
        let page = user.get(&path).await.data();
        assert!(!page.to_string().contains("a secret slipped"), "{page}");
        if let Some(blank) = page["messages"]
            .as_array()
            .unwrap()
            .iter()
            .find(|m| m["seqId"] == 1)
        {
            assert_eq!(
                (&blank["deleted"], &blank["content"]),
                (&json!(true), &json!(""))
            );
        }
    }
    assert_eq!(a.say(&chat, "third").await.data()["seqId"], 3);
}

#[tokio::test]
async fn a_recalled_last_message_is_blank_in_the_list() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let sent = a.say(&chat, "a slip of the tongue").await.data();
    b.history_of(&chat, 1).await;
    recall(&a, &chat, &sent).await.data();
    let listed = b.listed(&chat).await.unwrap();
    assert_eq!(listed["lastSeqId"], 1);
    assert!(
        !listed.to_string().contains("a slip of the tongue"),
        "{listed}"
    );
}

#[tokio::test]
async fn a_message_can_be_recalled_the_moment_it_was_acknowledged() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    for i in 0..5 {
        let sent = a.say(&chat, &format!("slip {i}")).await.data();
        recall(&a, &chat, &sent).await.data_with(200);
    }
}

#[tokio::test]
async fn others_do_not_recall_and_admins_of_the_group_do() {
    let server = Server::shared().await;
    let [owner, admin, c, d] = server.users().await;
    let group = owner.group("recalls", &[&admin, &c, &d]).await;
    owner
        .put(
            &format!("/conversations/{group}/members/{}", admin.id),
            json!({"role": 2}),
        )
        .await
        .data();
    let sent = c.say(&group, "rude").await.data();
    d.history_of(&group, 1).await;
    recall(&d, &group, &sent)
        .await
        .refused(403, "INSUFFICIENT_PERMISSION");
    recall(&admin, &group, &sent).await.data_with(200);
    let sent = d.say(&group, "ruder").await.data();
    d.history_of(&group, 1).await;
    recall(&owner, &group, &sent).await.data();
}

#[tokio::test]
async fn the_peer_of_a_single_chat_does_not_recall() {
    let server = Server::shared().await;
    let [a, b, stranger] = server.users().await;
    let chat = a.chat_with(&b).await;
    let sent = a.say(&chat, "mine").await.data();
    a.history_of(&chat, 1).await;
    recall(&b, &chat, &sent)
        .await
        .refused(403, "INSUFFICIENT_PERMISSION");
    recall(&stranger, &chat, &sent)
        .await
        .refused(403, "NOT_CONVERSATION_MEMBER");
}

#[tokio::test]
async fn a_second_recall_is_refused() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let sent = a.say(&chat, "once").await.data();
    recall(&a, &chat, &sent).await.data();
    recall(&a, &chat, &sent)
        .await
        .refused(409, "MESSAGE_RECALLED");
}

#[tokio::test]
async fn a_message_that_is_not_there_can_not_be_recalled() {
    let server = Server::shared().await;
    let [a, b, c] = server.users().await;
    let (chat, other) = (a.chat_with(&b).await, a.chat_with(&c).await);
    a.delete(&format!("/conversations/{chat}/messages/123456"))
        .await
        .refused(404, "MESSAGE_NOT_FOUND");
    let no_id = a.delete(&format!("/conversations/{chat}/messages/x")).await;
    assert!([400, 404].contains(&no_id.status), "{}", no_id.body);
    let elsewhere = a.say(&other, "elsewhere").await.data();
    a.history_of(&other, 1).await;
    recall(&a, &chat, &elsewhere)
        .await
        .refused(404, "MESSAGE_NOT_FOUND");
}

#[tokio::test]
async fn an_author_has_a_limited_time_and_an_admin_has_not() {
    let Some(server) = Server::with(&["logic.limits.recall_window_ms=1000"]).await else {
        return;
    };
    let [owner, b] = server.users().await;
    let group = owner.group("late", &[&b]).await;
    let sent = b.say(&group, "too late to regret").await.data();
    // Any message that is older than the window by the server's own clock.
    let at = sent["createdAt"].as_i64().unwrap();
    eventually("the window is over", || async {
        (crate::kit::now() > at + 2).then_some(())
    })
    .await;
    recall(&b, &group, &sent)
        .await
        .refused(400, "RECALL_TIME_EXCEEDED");
    recall(&owner, &group, &sent).await.data_with(200);
}
