//! Texts of messages from before their edits, kept where the group says so.

use serde_json::{Value, json};

use crate::kit::{Reply, Server, User, list, text};

async fn keep(owner: &User, group: &str, keeps: bool) {
    let body = json!({"settings": {"group_settings": {"keep_former_texts": keeps}}});
    let path = format!("/conversations/{group}");
    owner.put(&path, body).await.data();
}

async fn edit(user: &User, group: &str, message: &str, body: Value) -> Value {
    let path = format!("/conversations/{group}/messages/{message}");
    user.put(&path, body).await.data()
}

async fn former(user: &User, group: &str, message: &str) -> Reply {
    let path = format!("/conversations/{group}/messages/{message}/former-texts");
    user.get(&path).await
}

/// Number and content of what is kept.
async fn kept(user: &User, group: &str, message: &str) -> Vec<(i64, String)> {
    let data = former(user, group, message).await.data_with(200);
    assert!(data["behind"].is_null());
    let line = |t: &Value| (t["editNo"].as_i64().expect("a number"), text(&t["content"]));
    list(&data["formerTexts"]).iter().map(line).collect()
}

fn line(number: i64, content: &str) -> (i64, String) {
    (number, content.to_owned())
}

#[tokio::test]
async fn former_texts_are_for_admins_where_the_group_keeps_them() {
    let server = Server::shared().await;
    let [a, b, admin, stranger] = server.users().await;
    let group = a.group("kept", &[&b, &admin]).await;
    let role = format!("/conversations/{group}/members/{}", admin.id);
    a.put(&role, json!({"role": 2})).await.data();
    let sent = b.say(&group, "first").await.data();
    let message = text(&sent["id"]);
    edit(&b, &group, &message, json!({"content": "second"})).await;
    assert_eq!(kept(&a, &group, &message).await, [], "off by default");
    keep(&a, &group, true).await;
    let extra = json!({"content": "third", "extra": "{\"n\":3}"});
    edit(&b, &group, &message, extra).await;
    edit(&b, &group, &message, json!({"content": "fourth"})).await;
    let expected = [line(1, "second"), line(2, "third")];
    for user in [&a, &admin] {
        assert_eq!(kept(user, &group, &message).await, expected);
    }
    let shown = former(&a, &group, &message).await.data();
    let shown = list(&shown["formerTexts"]);
    assert!(shown[0]["extra"].is_null());
    assert_eq!(shown[1]["extra"], "{\"n\":3}");
    assert!(shown[0]["writtenAt"].as_i64() >= sent["createdAt"].as_i64());
    let denied = [
        (&b, "INSUFFICIENT_PERMISSION"),
        (&stranger, "NOT_CONVERSATION_MEMBER"),
    ];
    for (user, code) in denied {
        former(user, &group, &message).await.refused(403, code);
    }
    former(&a, &group, "12345")
        .await
        .refused(404, "MESSAGE_NOT_FOUND");
    // Nobody else is shown any of it.
    let history = b.history(&group).await;
    assert!(!json!(history).to_string().contains("second"));
    // What was kept stays when the group keeps no more.
    keep(&a, &group, false).await;
    edit(&b, &group, &message, json!({"content": "fifth"})).await;
    assert_eq!(kept(&a, &group, &message).await, expected);
    let path = format!("/conversations/{group}/messages/{message}");
    // Who deleted the message for themselves is told nothing of it.
    admin.delete(&format!("{path}?for=me")).await.data();
    assert_eq!(kept(&admin, &group, &message).await, []);
    assert_eq!(kept(&a, &group, &message).await, expected);
    b.delete(&path).await.data();
    assert_eq!(kept(&a, &group, &message).await, []);
}

#[tokio::test]
async fn single_chats_keep_nothing_and_show_nothing() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let sent = a.say(&chat, "first").await.data();
    let message = text(&sent["id"]);
    edit(&a, &chat, &message, json!({"content": "second"})).await;
    for user in [&a, &b] {
        former(user, &chat, &message)
            .await
            .refused(403, "INSUFFICIENT_PERMISSION");
    }
}

#[tokio::test]
async fn a_message_keeps_its_newest_twenty_former_texts_and_repeats_keep_none() {
    use gochat_client::Credentials;
    use gochat_client::api::Api;

    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let group = a.group("many", &[&b]).await;
    keep(&a, &group, true).await;
    let sent = b.say(&group, "text 0").await.data();
    let message = text(&sent["id"]);
    for n in 1..=23 {
        let body = json!({"content": format!("text {n}"), "client_msg_id": format!("e{n}")});
        edit(&b, &group, &message, body.clone()).await;
        edit(&b, &group, &message, body).await;
    }
    let expected: Vec<_> = (3..23).map(|n| line(n, &format!("text {n}"))).collect();
    assert_eq!(kept(&a, &group, &message).await, expected);
    let credentials = Credentials::password(&a.name, crate::kit::PASSWORD);
    let api = Api::new(server.http().base(), credentials).expect("an address");
    let ids = (group.parse().unwrap(), message.parse().unwrap());
    let texts = api.former_texts(ids.0, ids.1).await.unwrap();
    let texts = texts.into_iter().map(|t| (t.edit_no.into(), t.content));
    assert_eq!(texts.collect::<Vec<(i64, String)>>(), expected);
}
