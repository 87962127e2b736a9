//! Adding, removing, leaving.

use serde_json::json;

use crate::kit::{Server, list, set, texts};

#[tokio::test]
async fn a_new_group_is_announced_to_its_members() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let mut socket = b.connect().await;
    let group = a.group("the announced", &[&b]).await;
    let frame = socket
        .expect_where("conversation-updated", |d| d["conversationId"] == group)
        .await;
    assert_eq!(frame["operatorId"], a.id);
    assert_eq!(frame["conversation"]["name"], "the announced");
}

#[tokio::test]
async fn the_creator_owns_the_group_and_the_others_are_members() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let body = json!({"type": 2, "name": "mine", "members": [b.id], "description": "about it", "avatarUrl": "https://example.org/g.png"});
    let data = a.post("/conversations", body).await.data_with(201);
    let id = data["id"].as_str().unwrap();
    assert!(id.starts_with("g_"), "{id}");
    assert_eq!(
        (&data["ownerId"], &data["memberCount"]),
        (&json!(a.id), &json!(2))
    );
    let detail = b.get(&format!("/conversations/{id}")).await.data();
    assert_eq!(
        (&detail["name"], &detail["description"]),
        (&json!("mine"), &json!("about it"))
    );
    assert_eq!(detail["avatarUrl"], "https://example.org/g.png");
    assert_eq!(detail["myMembership"]["role"], 1);
    let roles = |user: &str| {
        let member = list(&detail["members"])
            .iter()
            .find(|m| m["userId"] == user)
            .unwrap();
        (member["role"].as_i64().unwrap(), member["muted"] == true)
    };
    assert_eq!((roles(&a.id), roles(&b.id)), ((3, false), (1, false)));
}

#[tokio::test]
async fn everybody_is_told_who_was_added_and_the_new_one_can_read_and_write() {
    let server = Server::shared().await;
    let [a, b, c] = server.users().await;
    let group = a.group("grows", &[&b]).await;
    a.say(&group, "before").await.data();
    let mut sockets = [a.connect().await, b.connect().await, c.connect().await];
    let added = a
        .post(
            &format!("/conversations/{group}/members"),
            json!({"members": [c.id]}),
        )
        .await
        .data_with(201);
    assert_eq!(added["addedUserIds"], json!([c.id]));
    for socket in &mut sockets {
        let frame = socket
            .expect_where("member-added", |d| d["conversationId"] == group)
            .await;
        assert_eq!(texts(list(&frame["members"]), "userId"), [c.id.as_str()]);
        assert_eq!(
            (&frame["operatorId"], &frame["memberCount"]),
            (&json!(a.id), &json!(3))
        );
    }
    assert_eq!(
        c.unread(&group).await,
        0,
        "what was said before does not count"
    );
    c.say(&group, "thank you").await.data_with(201);
    sockets[1].hears("thank you").await;
    sockets[0].hears("thank you").await;
}

#[tokio::test]
async fn those_who_can_not_be_added_are_named_with_the_reason() {
    let server = Server::shared().await;
    let [a, b, c] = server.users().await;
    let guest = server.guest().await;
    let group = a.group("picky", &[&b]).await;
    let body = json!({"members": [b.id, c.id, guest.id, "123456789"]});
    let data = a
        .post(&format!("/conversations/{group}/members"), body)
        .await
        .data_with(201);
    assert_eq!(data["addedUserIds"], json!([c.id]));
    let mut failed: Vec<_> = list(&data["failedUsers"])
        .iter()
        .map(|f| (f["userId"].clone(), f["code"].clone()))
        .collect();
    failed.sort_by_key(|f| f.0.to_string());
    let mut expected = vec![
        (json!(b.id), json!("USER_ALREADY_IN_CONVERSATION")),
        (json!(guest.id), json!("GUEST_NOT_ALLOWED")),
        (json!("123456789"), json!("USER_NOT_FOUND")),
    ];
    expected.sort_by_key(|f| f.0.to_string());
    assert_eq!(failed, expected);
}

#[tokio::test]
async fn a_removed_member_is_told_and_hears_reads_and_writes_nothing_more() {
    let server = Server::shared().await;
    let [a, b, c] = server.users().await;
    let group = a.group("shrinks", &[&b, &c]).await;
    let (mut stays, mut goes) = (b.connect().await, c.connect().await);
    a.delete(&format!("/conversations/{group}/members/{}", c.id))
        .await
        .data_with(200);
    for socket in [&mut stays, &mut goes] {
        let frame = socket
            .expect_where("member-removed", |d| d["conversationId"] == group)
            .await;
        assert_eq!(
            (&frame["userId"], &frame["operatorId"]),
            (&json!(c.id), &json!(a.id))
        );
        assert_eq!(
            (&frame["reason"], &frame["memberCount"]),
            (&json!("removed"), &json!(2))
        );
    }
    a.say(&group, "without c").await.data();
    stays.hears("without c").await;
    assert!(goes.drain("new-message").await.is_empty());
    c.say(&group, "let me back in")
        .await
        .refused(403, "NOT_CONVERSATION_MEMBER");
    c.get(&format!("/conversations/{group}/messages"))
        .await
        .refused(403, "NOT_CONVERSATION_MEMBER");
    c.put(&format!("/conversations/{group}/read"), json!({"seqId": 1}))
        .await
        .refused(403, "NOT_CONVERSATION_MEMBER");
    assert!(c.listed(&group).await.is_none());
}

#[tokio::test]
async fn one_who_leaves_is_gone_and_the_others_are_told() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let group = a.group("left", &[&b]).await;
    let mut owner = a.connect().await;
    b.delete(&format!("/conversations/{group}/members/{}", b.id))
        .await
        .data_with(200);
    let frame = owner
        .expect_where("member-removed", |d| d["conversationId"] == group)
        .await;
    assert_eq!(
        (&frame["userId"], &frame["reason"]),
        (&json!(b.id), &json!("left"))
    );
    b.say(&group, "I am gone")
        .await
        .refused(403, "NOT_CONVERSATION_MEMBER");
    let detail = a.get(&format!("/conversations/{group}")).await.data();
    assert_eq!(detail["memberCount"], 1);
}

#[tokio::test]
async fn one_who_was_removed_may_be_added_again_and_reads_from_there() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let group = a.group("back", &[&b]).await;
    a.delete(&format!("/conversations/{group}/members/{}", b.id))
        .await
        .data();
    a.say(&group, "missed").await.data();
    a.history_of(&group, 1).await;
    a.post(
        &format!("/conversations/{group}/members"),
        json!({"members": [b.id]}),
    )
    .await
    .data();
    assert_eq!(b.unread(&group).await, 0);
    let mut socket = b.connect().await;
    a.say(&group, "welcome back").await.data();
    socket.hears("welcome back").await;
    b.unread_becomes(&group, 1).await;
}

#[tokio::test]
async fn a_group_takes_as_many_members_as_its_settings_say() {
    let server = Server::shared().await;
    let [a, b, c, d] = server.users().await;
    let Some(logic) = server.logic() else { return };
    let group = a.group("small", &[&b]).await;
    set(logic, &a, &group, r#"{"group_settings":{"max_members":3}}"#).await;
    let members = format!("/conversations/{group}/members");
    let data = a
        .post(&members, json!({"members": [c.id, d.id]}))
        .await
        .data_with(201);
    assert_eq!(list(&data["addedUserIds"]).len(), 1);
    assert_eq!(data["failedUsers"][0]["code"], "CONVERSATION_FULL");
    a.post(&members, json!({"members": [d.id]}))
        .await
        .refused(403, "CONVERSATION_FULL");
}

#[tokio::test]
async fn two_admins_who_add_at_once_do_not_overfill_a_group() {
    let server = Server::shared().await;
    let [a, b, c, d] = server.users().await;
    let Some(logic) = server.logic() else { return };
    let group = a.group("race", &[&b]).await;
    set(logic, &a, &group, r#"{"group_settings":{"max_members":3}}"#).await;
    let members = format!("/conversations/{group}/members");
    let add = |who: &str| a.post(&members, json!({"members": [who]}));
    let (_, _) = tokio::join!(add(&c.id), add(&d.id));
    let detail = a.get(&format!("/conversations/{group}")).await.data();
    assert_eq!(
        (
            detail["memberCount"].as_i64(),
            list(&detail["members"]).len()
        ),
        (Some(3), 3)
    );
}

#[tokio::test]
async fn members_invite_unless_the_group_says_otherwise() {
    let server = Server::shared().await;
    let [a, b, c, d] = server.users().await;
    let Some(logic) = server.logic() else { return };
    let group = a.group("inviting", &[&b]).await;
    let members = format!("/conversations/{group}/members");
    b.post(&members, json!({"members": [c.id]}))
        .await
        .data_with(201);
    set(
        logic,
        &a,
        &group,
        r#"{"group_settings":{"invite_enabled":false}}"#,
    )
    .await;
    b.post(&members, json!({"members": [d.id]}))
        .await
        .refused(403, "INSUFFICIENT_PERMISSION");
    a.post(&members, json!({"members": [d.id]}))
        .await
        .data_with(201);
}

#[tokio::test]
async fn members_can_be_listed_by_role() {
    let server = Server::shared().await;
    let [a, b, c] = server.users().await;
    let group = a.group("roles", &[&b, &c]).await;
    a.put(
        &format!("/conversations/{group}/members/{}", b.id),
        json!({"role": 2}),
    )
    .await
    .data();
    for (role, user) in [(1, &c), (2, &b), (3, &a)] {
        let data = c
            .get(&format!("/conversations/{group}/members?role={role}"))
            .await
            .data();
        let members = list(&data["members"]);
        assert_eq!(texts(members, "userId"), [user.id.as_str()], "role {role}");
        assert_eq!(members[0]["user"]["username"], user.name);
    }
}

#[tokio::test]
async fn a_new_group_is_on_everybody_s_list_at_once() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    a.conversations().await;
    b.conversations().await;
    let group = a.group("at once", &[&b]).await;
    assert!(a.listed(&group).await.is_some());
    assert!(b.listed(&group).await.is_some());
    a.delete(&format!("/conversations/{group}/members/{}", b.id))
        .await
        .data();
    assert!(b.listed(&group).await.is_none());
    assert_eq!(a.listed(&group).await.unwrap()["memberCount"], 1);
}

#[tokio::test]
async fn who_was_removed_hears_neither_receipts_nor_typing_of_the_group() {
    let [owner, gone, reader] = Server::shared().await.users().await;
    let group = owner.group("receipts", &[&gone, &reader]).await;
    let (mut socket, mut of_reader) = (gone.connect().await, reader.connect().await);
    gone.say(&group, "mine").await.data();
    reader.history_of(&group, 1).await;
    let path = format!("/conversations/{group}/members/{}", gone.id);
    owner.delete(&path).await.data();
    socket.expect("member-removed").await;
    let read = format!("/conversations/{group}/read");
    reader.put(&read, json!({})).await.data();
    of_reader
        .send("typing", json!({"conversationId": group}))
        .await;
    of_reader.expect("message-read").await;
    // The fence: what is told later on the same ways arrives.
    let fence = owner.group("fence", &[&gone]).await;
    let is_fence = |d: &serde_json::Value| d["conversationId"] == fence.as_str();
    socket.expect_where("conversation-updated", is_fence).await;
    let of_group = |frames: Vec<serde_json::Value>| {
        let about = frames
            .into_iter()
            .filter(|d| d["conversationId"] == group.as_str());
        about.collect::<Vec<_>>()
    };
    for kind in ["message-read", "typing-indicator"] {
        let heard = of_group(socket.drain(kind).await);
        assert!(heard.is_empty(), "{kind} after the removal: {heard:?}");
    }
}
