//! Pages: nothing is skipped or shown twice, whatever moves between two of them, and every page is
//! bounded by bytes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::kit::{Server, User, list, now, text, texts};

/// Reads all pages of a list by cursor; `between` runs after the first one.
async fn walk(
    user: &User,
    path: &str,
    key: &str,
    between: impl AsyncFnOnce(&[Value]),
) -> Vec<Value> {
    let mut all = Vec::new();
    let mut next = path.to_owned();
    let mut between = Some(between);
    loop {
        let page = user.get(&next).await.data();
        all.extend(list(&page[key]).iter().cloned());
        if let Some(between) = between.take() {
            between(&all).await;
        }
        assert_eq!(
            page["hasMore"] == true,
            page["nextCursor"].is_string(),
            "{page}"
        );
        if page["hasMore"] != true {
            return all;
        }
        let separator = if path.contains('?') { '&' } else { '?' };
        next = format!("{path}{separator}cursor={}", text(&page["nextCursor"]));
    }
}

async fn nothing(_: &[Value]) {}

#[tokio::test]
async fn numbered_pages_skip_nobody_when_a_row_before_them_goes() {
    let server = Server::shared().await;
    let users: [User; 9] = server.users().await;
    let [owner, others @ ..] = &users;
    let others: Vec<&User> = others.iter().collect();
    let group = owner.group("Team", &others).await;
    let path = format!("/conversations/{group}/members");
    let first = owner.get(&format!("{path}?page=1&size=4")).await.data();
    let first = texts(list(&first["members"]), "userId");
    let gone = first.iter().find(|id| **id != owner.id).unwrap();
    owner.delete(&format!("{path}/{gone}")).await.data();
    let mut met: BTreeSet<String> = first.into_iter().collect();
    for page in 2.. {
        let data = owner
            .get(&format!("{path}?page={page}&size=4"))
            .await
            .data();
        met.extend(texts(list(&data["members"]), "userId"));
        if data["hasMore"] != true {
            break;
        }
    }
    assert_eq!(met, users.iter().map(|u| u.id.clone()).collect());
}

#[tokio::test]
async fn numbered_pages_of_the_list_skip_nothing_when_a_group_is_dissolved() {
    let server = Server::shared().await;
    let owner = server.user().await;
    let mut groups = BTreeSet::new();
    for n in 0..9 {
        groups.insert(owner.group(&format!("group {n}"), &[]).await);
    }
    let path = "/conversations?type=2&size=4&page=";
    let first = owner.get(&format!("{path}1")).await.data();
    let mut met: BTreeSet<String> = texts(list(&first["conversations"]), "id")
        .into_iter()
        .collect();
    let gone = met.first().unwrap().clone();
    owner.delete(&format!("/conversations/{gone}")).await.data();
    for page in 2.. {
        let data = owner.get(&format!("{path}{page}")).await.data();
        met.extend(texts(list(&data["conversations"]), "id"));
        if data["hasMore"] != true {
            break;
        }
    }
    assert_eq!(met, groups);
}

#[tokio::test]
async fn a_walk_by_cursor_meets_every_conversation_once() {
    let server = Server::shared().await;
    let [owner, b] = server.users().await;
    for n in 0..7 {
        owner.group(&format!("group {n}"), &[&b]).await;
    }
    let met = walk(
        &owner,
        "/conversations?size=3",
        "conversations",
        async |first| {
            // What was shown may move to the top again, or go.
            owner.say(&text(&first[1]["id"]), "up").await.data();
            owner
                .delete(&format!("/conversations/{}", text(&first[0]["id"])))
                .await
                .data();
        },
    );
    let met = texts(&met.await, "id");
    let distinct: BTreeSet<_> = met.iter().collect();
    assert_eq!(
        (met.len(), distinct.len()),
        (8, 8),
        "seven groups and the world: {met:?}"
    );
    let found = walk(
        &owner,
        "/conversations?type=2&size=2",
        "conversations",
        nothing,
    )
    .await;
    assert_eq!(found.len(), 6);
}

#[tokio::test]
async fn friends_requests_and_found_users_have_pages() {
    let server = Server::shared().await;
    let users: [User; 6] = server.users().await;
    let [me, others @ ..] = &users;
    for other in others {
        other.ask(me).await;
    }
    let asked = walk(me, "/friends/requests?limit=2", "requests", nothing).await;
    assert_eq!(asked.len(), 5);
    for request in &asked {
        let path = format!("/friends/requests/{}", text(&request["id"]));
        me.put(&path, json!({"action": "accept"})).await.data();
    }
    let friends = walk(me, "/friends?limit=2", "friends", nothing).await;
    let ids: BTreeSet<_> = texts(&friends, "friendId").into_iter().collect();
    let expected: BTreeSet<_> = others.iter().map(|u| u.id.clone()).collect();
    assert_eq!(ids, expected);
    for other in others {
        let path = format!("/friends/{}/block", other.id);
        me.post(&path, json!({})).await.data();
    }
    let blocked = walk(me, "/friends/blocked?limit=2", "blocked", nothing).await;
    assert_eq!(
        texts(&blocked, "friendId")
            .into_iter()
            .collect::<BTreeSet<_>>(),
        ids
    );
    let prefix: String = others[0].name.chars().take(3).collect();
    let search = format!("/users/search?q={prefix}&limit=2");
    let found = walk(me, &search, "users", nothing).await;
    let found = texts(&found, "id");
    let distinct: BTreeSet<_> = found.iter().collect();
    assert_eq!(found.len(), distinct.len());
    assert!(
        others
            .iter()
            .all(|u| !u.name.starts_with(&prefix) || distinct.contains(&u.id))
    );
}

#[tokio::test]
async fn a_cursor_that_is_none_is_refused() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let group = a.group("team", &[&b]).await;
    let members = format!("/conversations/{group}/members?size=1");
    let page = a.get(&members).await.data();
    let foreign = text(&page["nextCursor"]);
    let long = "a".repeat(4_000);
    for path in [
        members.as_str(),
        "/conversations?size=1",
        "/friends?limit=1",
        "/friends/requests?limit=1",
        "/friends/blocked?limit=1",
    ] {
        for wrong in ["1", "zz", long.as_str(), &foreign[..foreign.len() - 1]] {
            let answer = a.get(&format!("{path}&cursor={wrong}")).await;
            answer.refused(400, "INVALID_PARAMS");
        }
    }
    let answer = a.get(&format!("/conversations?cursor={foreign}")).await;
    answer.refused(400, "INVALID_PARAMS");
}

#[tokio::test]
async fn a_page_of_the_largest_entries_is_cut_by_bytes_and_loses_none() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    // Four bytes in UTF-8, and every text as long as it may be.
    let (content, picture) = (
        "\u{1F642}".repeat(5_000),
        format!("https://e.org/{}", "p".repeat(200)),
    );
    a.put("/users/profile", json!({"avatarUrl": picture}))
        .await
        .data();
    let extra = format!("{{\"x\":\"{}\"}}", "e".repeat(3_000));
    let mut groups = BTreeSet::new();
    for n in 0..60 {
        let body = json!({"type": 2, "name": "\u{1F642}".repeat(90), "description": "d".repeat(400),
            "avatarUrl": picture, "members": [b.id]});
        let group = text(&a.post("/conversations", body).await.data()["id"]);
        let body = json!({"messageType": 1, "content": content, "extra": extra, "client_msg_id": format!("c{n}")});
        a.post(&format!("/conversations/{group}/messages"), body)
            .await
            .data();
        groups.insert(group);
    }
    let met = walk(&a, "/conversations?size=100", "conversations", nothing).await;
    let met: BTreeSet<_> = texts(&met, "id")
        .into_iter()
        .filter(|id| id != "world")
        .collect();
    assert_eq!(met, groups);
    let first = a.get("/conversations?size=100").await.data();
    assert!(
        list(&first["conversations"]).len() < 61 && first["hasMore"] == true,
        "the page is cut"
    );
    assert!(first.to_string().len() < 2 << 20);
    // Numbered pages go on where the cut page ended.
    let mut met = BTreeSet::new();
    for page in 1.. {
        let data = a
            .get(&format!("/conversations?size=50&page={page}"))
            .await
            .data();
        met.extend(texts(list(&data["conversations"]), "id"));
        if data["hasMore"] != true {
            break;
        }
    }
    assert_eq!(met.len(), 61);

    let chat = a.chat_with(&b).await;
    for n in 1..=60 {
        let body = json!({"messageType": 1, "content": content, "extra": extra, "client_msg_id": format!("m{n}")});
        a.post(&format!("/conversations/{chat}/messages"), body)
            .await
            .data();
    }
    let path = format!("/conversations/{chat}/messages?limit=100");
    let page = a.get(&path).await.data();
    assert!(list(&page["messages"]).len() < 60 && page["hasMore"] == true);
    assert_eq!(a.history(&chat).await.len(), 60, "oldest first");
    let (mut cursor, mut met) = (i64::MAX, 0);
    while cursor > 1 {
        let page = a.get(&format!("{path}&cursor={cursor}")).await.data();
        met += list(&page["messages"]).len();
        cursor = page["nextCursor"].as_i64().unwrap();
    }
    assert_eq!(met, 60, "newest first");
}

#[tokio::test]
async fn a_sync_tells_every_change_once_and_a_second_sync_nothing_new() {
    let server = Server::shared().await;
    let [me, b, c, d] = server.users().await;
    let single = me.chat_with(&b).await;
    let (kept, left, removed) = (
        me.group("kept", &[&b, &c]).await,
        b.group("left", &[&me]).await,
        b.group("removed", &[&me]).await,
    );
    let (dissolved, quiet) = (
        b.group("dissolved", &[&me]).await,
        me.group("quiet", &[&c]).await,
    );
    me.befriend(&b).await;
    let first = me.get("/conversations").await.data();
    // Answers overlap by some seconds: wait until the present is behind the overlap.
    let since = now() + 1;
    crate::kit::eventually("a later second", || async { (now() > since).then_some(()) }).await;
    assert!(first["syncTime"].as_i64().unwrap() < since);
    let picture = "https://example.org/new.png";
    b.put("/users/profile", json!({"avatarUrl": picture}))
        .await
        .data();
    me.delete(&format!("/conversations/{left}/members/{}", me.id))
        .await
        .data();
    b.delete(&format!("/conversations/{removed}/members/{}", me.id))
        .await
        .data();
    b.delete(&format!("/conversations/{dissolved}"))
        .await
        .data();
    me.put(
        &format!("/conversations/{kept}/members/{}", c.id),
        json!({"role": 2}),
    )
    .await
    .data();
    me.post(
        &format!("/conversations/{kept}/members"),
        json!({"members": [d.id]}),
    )
    .await
    .data();
    me.delete(&format!("/conversations/{kept}/members/{}", b.id))
        .await
        .data();
    d.ask(&me).await;

    let list_of = me
        .get(&format!("/conversations?last_sync={since}"))
        .await
        .data();
    let changed = texts(list(&list_of["conversations"]), "id");
    assert!(
        changed.contains(&kept) && changed.contains(&single),
        "{changed:?}"
    );
    assert!(
        !changed.contains(&quiet) && !changed.contains(&left),
        "{changed:?}"
    );
    let mut gone: Vec<_> = list(&list_of["removedIds"]).iter().map(text).collect();
    gone.sort();
    let mut expected = vec![left.clone(), removed.clone(), dissolved.clone()];
    expected.sort();
    assert_eq!(gone, expected, "left, removed and dissolved ones");
    let entry = list(&list_of["conversations"])
        .iter()
        .find(|e| e["id"] == single)
        .unwrap();
    assert_eq!(entry["avatarUrl"], picture, "the peer's profile");

    let members = me
        .get(&format!("/conversations/{kept}/members?last_sync={since}"))
        .await
        .data();
    let ids: BTreeSet<_> = texts(list(&members["members"]), "userId")
        .into_iter()
        .collect();
    assert_eq!(
        ids,
        [c.id.clone(), d.id.clone()].into(),
        "a new role and a new member"
    );
    assert_eq!(members["removedUserIds"], json!([b.id]));
    let friends = me.get(&format!("/friends?last_sync={since}")).await.data();
    assert_eq!(
        texts(list(&friends["friends"]), "friendId"),
        std::slice::from_ref(&b.id),
        "a changed profile"
    );
    let requests = me
        .get(&format!("/friends/requests?last_sync={since}"))
        .await
        .data();
    assert_eq!(list(&requests["requests"]).len(), 1);

    let later = now() + 1;
    crate::kit::eventually("a later second", || async { (now() > later).then_some(()) }).await;
    let again = me
        .get(&format!("/conversations?last_sync={later}"))
        .await
        .data();
    assert!(
        list(&again["conversations"]).is_empty() && again["removedIds"] == Value::Null,
        "{again}"
    );
}
