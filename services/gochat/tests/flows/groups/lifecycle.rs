//! Changing and ending a group.

use serde_json::json;

use crate::kit::{Server, eventually, now};

#[tokio::test]
async fn a_change_is_told_to_the_members_with_the_fields_that_changed() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let group = a.group("old name", &[&b]).await;
    let mut socket = b.connect().await;
    let body = json!({"name": "new name", "description": "what for"});
    let data = a
        .put(&format!("/conversations/{group}"), body)
        .await
        .data_with(200);
    assert_eq!(
        (&data["name"], &data["description"]),
        (&json!("new name"), &json!("what for"))
    );
    let renamed = |d: &serde_json::Value| {
        d["conversationId"] == group && d["conversation"]["name"] == "new name"
    };
    let frame = socket.expect_where("conversation-updated", renamed).await;
    let fields = frame["updatedFields"].as_array().unwrap();
    assert!(
        fields.contains(&json!("name")) && fields.contains(&json!("description")),
        "{frame}"
    );
    assert_eq!(frame["operatorId"], a.id);
    assert_eq!(b.listed(&group).await.unwrap()["name"], "new name");
}

#[tokio::test]
async fn a_change_of_an_older_version_is_a_conflict() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let group = a.group("versions", &[&b]).await;
    let path = format!("/conversations/{group}");
    let version = a.get(&path).await.data()["updatedAt"].as_i64().unwrap();
    // Versions are whole seconds.
    eventually("the next second", || async {
        (now() > version).then_some(())
    })
    .await;
    a.put(&path, json!({"name": "first", "updatedAt": version}))
        .await
        .data_with(200);
    a.put(&path, json!({"name": "second", "updatedAt": version}))
        .await
        .refused(409, "VERSION_CONFLICT");
    assert_eq!(a.get(&path).await.data()["name"], "first");
}

#[tokio::test]
async fn a_name_that_breaks_the_rules_is_refused() {
    let server = Server::shared().await;
    let a = server.user().await;
    let group = a.group("names", &[]).await;
    for name in [String::new(), "x".repeat(101), "  ".to_owned()] {
        let reply = a
            .post(
                "/conversations",
                json!({"type": 2, "name": name, "members": []}),
            )
            .await;
        reply.refused(400, "INVALID_CONVERSATION_NAME");
    }
    let reply = a
        .put(
            &format!("/conversations/{group}"),
            json!({"name": "x".repeat(101)}),
        )
        .await;
    reply.refused(400, "INVALID_CONVERSATION_NAME");
}

#[tokio::test]
async fn a_dissolved_group_is_gone_for_everybody() {
    let server = Server::shared().await;
    let [owner, b] = server.users().await;
    let group = owner.group("short lived", &[&b]).await;
    let mut socket = b.connect().await;
    b.say(&group, "hello").await.data();
    b.delete(&format!("/conversations/{group}"))
        .await
        .refused(403, "INSUFFICIENT_PERMISSION");
    owner
        .delete(&format!("/conversations/{group}"))
        .await
        .data_with(200);
    for user in [&owner, &b] {
        assert!(user.listed(&group).await.is_none());
        user.say(&group, "anybody?")
            .await
            .refused(404, "CONVERSATION_DISSOLVED");
    }
    assert_eq!(
        socket.say_refused(&group, "anybody?", "c1").await,
        "CONVERSATION_DISSOLVED"
    );
    let reply = owner
        .post(
            &format!("/conversations/{group}/members"),
            json!({"members": [b.id]}),
        )
        .await;
    assert_eq!(reply.status, 404, "{}", reply.body);
}

#[tokio::test]
async fn dissolving_takes_effect_while_messages_are_in_flight() {
    let server = Server::shared().await;
    let [owner, b] = server.users().await;
    let group = owner.group("ends", &[&b]).await;
    let mut socket = b.connect().await;
    for i in 0..30 {
        socket.say(&group, "still here", &format!("c{i}")).await;
    }
    owner
        .delete(&format!("/conversations/{group}"))
        .await
        .data();
    assert_eq!(
        socket.say_refused(&group, "too late", "late").await,
        "CONVERSATION_DISSOLVED"
    );
}
