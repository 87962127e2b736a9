//! The conversation list, details, hiding.

use serde_json::json;

use crate::kit::{Server, eventually, list, now, texts};

#[tokio::test]
async fn opening_a_single_chat_twice_gives_the_same_one() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let body = json!({"type": 1, "members": [b.id]});
    let first = a.post("/conversations", body.clone()).await.data_with(201);
    let again = a.post("/conversations", body).await.data_with(200);
    let by_peer = b
        .post("/conversations", json!({"type": 1, "members": [a.id]}))
        .await
        .data_with(200);
    assert_eq!(first["id"], again["id"]);
    assert_eq!(first["id"], by_peer["id"]);
}

#[tokio::test]
async fn a_single_chat_shows_the_peer() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    a.say(&chat, "hello").await.data();
    let listed = b.listed(&chat).await.unwrap();
    assert_eq!(
        (&listed["type"], &listed["name"]),
        (&json!(1), &json!(a.name))
    );
    assert_eq!(
        (&listed["peer"]["id"], &listed["peer"]["username"]),
        (&json!(a.id), &json!(a.name))
    );
    assert_eq!(listed["memberCount"], 2);
    let detail = a
        .get(&format!("/conversations/{chat}"))
        .await
        .data_with(200);
    assert_eq!(detail["name"], b.name);
    let mut members = texts(list(&detail["members"]), "userId");
    members.sort();
    let mut both = [a.id, b.id];
    both.sort();
    assert_eq!(members, both);
}

#[tokio::test]
async fn the_list_shows_the_newest_activity_first_with_its_last_message() {
    let server = Server::shared().await;
    let [me, b, c] = server.users().await;
    let (with_b, with_c) = (me.chat_with(&b).await, me.chat_with(&c).await);
    let order = |first: String| {
        let me = &me;
        let chats = [with_b.clone(), with_c.clone()];
        async move {
            let ids = texts(&me.conversations().await, "id");
            let ours: Vec<_> = ids.into_iter().filter(|id| chats.contains(id)).collect();
            assert!(
                ours.len() == 2 && ours[0] == first,
                "newest activity first: {ours:?}"
            );
        }
    };
    me.say(&with_b, "to b").await.data();
    b.history_of(&with_b, 1).await;
    // Activity is told in whole seconds; the next one has to be in a later second.
    let second = now();
    eventually("the next second", || async {
        (now() > second).then_some(())
    })
    .await;
    c.say(&with_c, "from c").await.data();
    // Whoever was told finds the row, and everybody else with it.
    c.listed(&with_c).await.unwrap();
    order(with_c.clone()).await;
    let second = now();
    eventually("the next second", || async {
        (now() > second).then_some(())
    })
    .await;
    b.say(&with_b, "from b").await.data();
    b.listed(&with_b).await.unwrap();
    order(with_b.clone()).await;
    let listed = me.listed(&with_b).await.unwrap();
    assert_eq!(
        (
            &listed["lastMessage"]["content"],
            &listed["lastMessage"]["seqId"]
        ),
        (&json!("from b"), &json!(2))
    );
    assert_eq!(listed["lastMessage"]["senderId"], b.id);
    assert_eq!(
        (&listed["lastSeqId"], &listed["unreadCount"]),
        (&json!(2), &json!(1))
    );
}

#[tokio::test]
async fn the_list_can_be_filtered_by_type() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let group = a.group("filter", &[&b]).await;
    let ids = |kind: i32| {
        let a = &a;
        async move {
            texts(
                list(&a.get(&format!("/conversations?type={kind}")).await.data()["conversations"]),
                "id",
            )
        }
    };
    assert_eq!(ids(1).await, [chat]);
    assert_eq!(ids(2).await, [group]);
    assert_eq!(ids(3).await, ["world"]);
}

#[tokio::test]
async fn everybody_has_the_world_chat() {
    let server = Server::shared().await;
    let user = server.user().await;
    let world = user.listed("world").await.unwrap();
    assert_eq!(world["type"], 3);
    assert!(!world["name"].as_str().unwrap().is_empty());
    let detail = user.get("/conversations/world").await.data_with(200);
    assert!(
        detail["members"].as_array().is_none_or(Vec::is_empty),
        "never the members: {detail}"
    );
    let joined = user
        .call("POST", "/conversations/world/join", None)
        .await
        .data_with(200);
    assert!(
        joined["id"] == "world" || joined["conversation"]["id"] == "world",
        "{joined}"
    );
}

#[tokio::test]
async fn the_list_comes_in_pages() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let mut expected = vec!["world".to_owned()];
    for i in 0..4 {
        expected.push(a.group(&format!("page {i}"), &[&b]).await);
    }
    let mut seen = Vec::new();
    for page in 1..=3 {
        let data = a
            .get(&format!("/conversations?page={page}&size=2"))
            .await
            .data();
        assert_eq!(data["hasMore"], page < 3, "page {page}: {data}");
        seen.extend(texts(list(&data["conversations"]), "id"));
    }
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_sync_returns_what_changed_and_what_is_gone() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let (left, quiet, lively) = (
        b.group("left", &[&a]).await,
        b.group("quiet", &[&a]).await,
        b.group("lively", &[&a]).await,
    );
    let before = now();
    eventually("two later seconds", || async {
        (now() > before + 1).then_some(())
    })
    .await;
    let since = now();
    a.delete(&format!("/conversations/{left}/members/{}", a.id))
        .await
        .data();
    b.say(&lively, "news").await.data();
    eventually("the change is in the sync", || async {
        let data = a
            .get(&format!("/conversations?last_sync={}", since - 1))
            .await
            .data();
        let ids = texts(list(&data["conversations"]), "id");
        assert!(!ids.contains(&quiet), "nothing changed there: {data}");
        assert!(!ids.contains(&left), "not a member any more: {data}");
        let removed = data["removedIds"]
            .as_array()
            .is_some_and(|r| r.contains(&json!(left)));
        (ids.contains(&lively) && removed).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_hidden_single_chat_comes_back_with_the_next_message() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    b.say(&chat, "before").await.data();
    a.unread_becomes(&chat, 1).await;
    a.delete(&format!("/conversations/{chat}"))
        .await
        .data_with(200);
    assert!(a.listed(&chat).await.is_none());
    assert!(
        b.listed(&chat).await.is_some(),
        "hidden for the caller only"
    );
    b.say(&chat, "still there?").await.data();
    // The one who wrote finds the row, and everybody else with it.
    b.listed(&chat).await.unwrap();
    assert!(a.listed(&chat).await.is_some(), "the chat is back");
    assert_eq!(a.history_of(&chat, 2).await.len(), 2, "nothing was deleted");
}

#[tokio::test]
async fn the_world_chat_can_not_be_deleted_or_changed() {
    let server = Server::shared().await;
    let user = server.user().await;
    user.delete("/conversations/world")
        .await
        .refused(403, "FORBIDDEN");
    let reply = user
        .put("/conversations/world", json!({"name": "mine"}))
        .await;
    assert_eq!(reply.status, 403, "{}", reply.body);
}

#[tokio::test]
async fn a_picture_of_the_peer_follows_the_peer() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    assert!(a.listed(&chat).await.is_some());
    b.put(
        "/users/profile",
        json!({"avatarUrl": "https://example.org/b.png"}),
    )
    .await
    .data();
    let listed = a.listed(&chat).await.unwrap();
    assert_eq!(listed["avatarUrl"], "https://example.org/b.png");
}

#[tokio::test]
async fn the_detail_shows_the_last_message_as_the_list_does() {
    let server = Server::shared().await;
    let [a, b, late] = server.users().await;
    let group = a.group("detail", &[&b]).await;
    let path = format!("/conversations/{group}");
    let same = |user: &crate::kit::User| {
        let (user, group, path) = (user.clone(), group.clone(), path.clone());
        async move {
            let listed = user.listed(&group).await.expect("it is listed");
            let shown = user.get(&path).await.data();
            assert_eq!(shown["lastMessage"], listed["lastMessage"]);
            shown["lastMessage"].clone()
        }
    };
    assert!(same(&a).await.is_null(), "nothing was said yet");
    let first = a.say(&group, "tea?").await.data();
    assert_eq!(same(&a).await["content"], "tea?");
    let answer = json!({"messageType": 1, "content": "yes", "replyTo": first["id"]});
    let answer = b
        .post(&format!("{path}/messages"), answer)
        .await
        .data_with(201);
    let shown = same(&b).await;
    assert_eq!(
        (&shown["content"], &shown["sender"]["id"]),
        (&json!("yes"), &json!(b.id))
    );
    let quote = &shown["replyTo"];
    assert_eq!(quote["messageId"], first["id"]);
    assert!(quote["state"].is_null() && quote["excerpt"].is_null());
    // What was acknowledged is shown, a change of the last message too.
    let one = format!("{path}/messages/{}", crate::kit::text(&answer["id"]));
    b.put(&one, json!({"content": "no"})).await.data();
    let edited = same(&b).await;
    assert_eq!(
        (&edited["content"], &edited["editCount"]),
        (&json!("no"), &json!(1))
    );

    let hidden = json!({"settings": {"group_settings": {"allow_member_view_history": false}}});
    a.put(&path, hidden).await.data();
    let second = now();
    eventually("the next second", || async {
        (now() > second).then_some(())
    })
    .await;
    let added = json!({"userIds": [late.id]});
    a.post(&format!("{path}/members"), added).await.data();
    assert!(same(&late).await.is_null(), "said before the member joined");
    assert_eq!(same(&a).await["content"], "no");
    b.delete(&one).await.data();
    let recalled = same(&b).await;
    assert_eq!(
        (&recalled["deleted"], &recalled["content"]),
        (&json!(true), &json!(""))
    );
    assert!(recalled["replyTo"].is_null());

    // What the reader deleted for themselves says nothing, and what was cleared away isn't there.
    let other = b.say(&group, "only for b").await.data();
    let other = format!("{path}/messages/{}", crate::kit::text(&other["id"]));
    a.delete(&format!("{other}?for=me")).await.data();
    let gone = same(&a).await;
    assert_eq!(
        (&gone["hidden"], &gone["content"]),
        (&json!(true), &json!(""))
    );
    a.delete(&format!("{path}/history")).await.data();
    assert!(same(&a).await.is_null());
    assert_eq!(same(&b).await["content"], "only for b");
}
