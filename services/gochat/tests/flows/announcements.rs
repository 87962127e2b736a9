//! Announcement of a group: set and removed like other info, read by its members.

use gochat_proto::im::repo::v1::AddConversationMemberRequest;
use gochat_proto::im::repo::v1::conversation_service_client::ConversationServiceClient;
use serde_json::{Value, json};

use crate::kit::{Reply, Server, User, eventually, list, now, texts};

async fn announce(user: &User, group: &str, text: &str) -> Reply {
    let path = format!("/conversations/{group}");
    user.put(&path, json!({"announcement": text})).await
}

async fn detail(user: &User, group: &str) -> Value {
    user.get(&format!("/conversations/{group}")).await.data()
}

async fn announcement(user: &User, group: &str) -> Value {
    detail(user, group).await["announcement"].clone()
}

async fn read(user: &User, group: &str, version: i64) -> Reply {
    let path = format!("/conversations/{group}/announcement/read");
    user.put(&path, json!({"version": version})).await
}

async fn readers(user: &User, group: &str, query: &str) -> Reply {
    user.get(&format!(
        "/conversations/{group}/announcement/readers{query}"
    ))
    .await
}

/// What a user sees of having read it: `read`, `readCount`.
fn reads(announcement: &Value) -> (bool, i64) {
    let read = announcement["read"].as_bool().expect("said");
    (read, announcement["readCount"].as_i64().expect("a count"))
}

#[tokio::test]
async fn admins_announce_members_hear_of_it_and_who_was_away_finds_it() {
    let server = Server::shared().await;
    let [a, b, stranger] = server.users().await;
    // A new group has none yet.
    let early = json!({"group_settings": {"announcement": "At noon"}});
    let body = json!({"type": 2, "name": "early", "settings": early});
    a.post("/conversations", body)
        .await
        .refused(400, "INVALID_PARAMS");
    let group = a.group("news", &[&b]).await;
    assert!(announcement(&b, &group).await.is_null());
    let before = now();
    eventually("two later seconds", || async {
        (now() > before + 1).then_some(())
    })
    .await;
    let since = now();
    let mut socket = b.connect().await;
    let version = detail(&a, &group).await["version"].as_i64().unwrap();
    let set = announce(&a, &group, "Tea at five").await.data();
    assert_eq!(set["version"], version + 1, "an edit like others");
    let expected = |read: bool| {
        json!({"text": "Tea at five", "operatorId": a.id, "version": 1,
               "updatedAt": set["announcement"]["updatedAt"], "read": read, "readCount": 0})
    };
    assert_eq!(set["announcement"], expected(true));
    assert_eq!(announcement(&b, &group).await, expected(false));
    let told = socket
        .expect_where("conversation-updated", |d| {
            d["updatedFields"] == json!(["announcement"])
        })
        .await;
    let pushed = &told["conversation"]["announcement"];
    assert_eq!(
        (&pushed["text"], &pushed["version"], &told["operatorId"]),
        (&json!("Tea at five"), &json!(1), &json!(a.id))
    );
    let sync = format!("/conversations?type=2&last_sync={since}");
    let synced = b.get(&sync).await.data();
    let entries = list(&synced["conversations"]);
    assert_eq!(texts(entries, "id"), [group.as_str()], "{synced}");
    assert_eq!(entries[0]["announcement"]["text"], "Tea at five");
    assert!(entries[0]["announcement"]["read"].is_null());

    let by_member = announce(&b, &group, "mine").await;
    by_member.refused(403, "INSUFFICIENT_PERMISSION");
    let by_stranger = announce(&stranger, &group, "mine").await;
    by_stranger.refused(403, "NOT_CONVERSATION_MEMBER");
    let chat = a.chat_with(&b).await;
    announce(&a, &chat, "here?").await.refused(403, "FORBIDDEN");
    let long = announce(&a, &group, &"x".repeat(2_001)).await;
    long.refused(400, "INVALID_PARAMS");
    let stale = json!({"announcement": "late", "version": version});
    let stale = a.put(&format!("/conversations/{group}"), stale).await;
    stale.refused(409, "VERSION_CONFLICT");
    // The same text is no news; other edits leave it alone.
    announce(&a, &group, "Tea at five").await.data();
    let rename = json!({"name": "other news"});
    a.put(&format!("/conversations/{group}"), rename)
        .await
        .data();
    assert_eq!(announcement(&b, &group).await["version"], 1);
    let gone = announce(&a, &group, "").await.data();
    assert!(gone["announcement"].is_null());
    assert!(announcement(&b, &group).await.is_null());
    let told = socket
        .expect_where("conversation-updated", |d| {
            d["updatedFields"] == json!(["announcement"])
        })
        .await;
    assert!(told["conversation"]["announcement"].is_null());
}

#[tokio::test]
async fn settings_of_older_clients_set_it_and_do_not_keep_it() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let group = a.group("older", &[&b]).await;
    let old = json!({"settings": {"group_settings": {"mute_all": true, "announcement": "Hello"}}});
    let set = a.put(&format!("/conversations/{group}"), old).await.data();
    assert_eq!(set["announcement"]["text"], "Hello");
    let stored = &set["settings"]["group_settings"];
    assert_eq!(
        (&stored["mute_all"], &stored["announcement"]),
        (&json!(true), &Value::Null)
    );
    let later = json!({"settings": {"group_settings": {"mute_all": false}}});
    a.put(&format!("/conversations/{group}"), later)
        .await
        .data();
    assert_eq!(announcement(&b, &group).await["text"], "Hello");
}

#[tokio::test]
async fn a_member_reads_a_version_on_every_device_and_never_back() {
    let server = Server::shared().await;
    let [a, b, c, stranger] = server.users().await;
    let group = a.group("reading", &[&b, &c]).await;
    read(&b, &group, 1).await.refused(400, "INVALID_PARAMS");
    announce(&a, &group, "one").await.data();
    announce(&a, &group, "two").await.data();
    let mut phone = b.connect_device("phone").await;
    let mut other = c.connect().await;
    let answer = read(&b, &group, 1).await.data_with(200);
    assert_eq!(
        answer,
        json!({"version": 1, "read": false}),
        "that one alone"
    );
    assert_eq!(reads(&announcement(&b, &group).await), (false, 0));
    let answer = read(&b, &group, 2).await.data_with(200);
    assert_eq!(answer, json!({"version": 2, "read": true}));
    for version in [1, 2] {
        let device = phone
            .expect_where("conversation-state", |d| d["announcementRead"] == version)
            .await;
        assert_eq!(device["conversationId"], group);
        assert_eq!(device["my"]["version"], 0, "nothing else changed");
    }
    for older in [1, 2] {
        let answer = read(&b, &group, older).await.data_with(200);
        assert_eq!(answer, json!({"version": 2, "read": true}), "never back");
    }
    assert_eq!(reads(&announcement(&b, &group).await), (true, 1));
    assert_eq!(reads(&announcement(&c, &group).await), (false, 1));
    assert_eq!(reads(&announcement(&a, &group).await), (true, 1));
    // Who set it is no reader.
    let own = read(&a, &group, 2).await.data_with(200);
    assert_eq!(own, json!({"read": true}));
    for beyond in [0, 3] {
        read(&c, &group, beyond)
            .await
            .refused(400, "INVALID_PARAMS");
    }
    read(&stranger, &group, 2)
        .await
        .refused(403, "NOT_CONVERSATION_MEMBER");
    announce(&a, &group, "three").await.data();
    assert_eq!(reads(&announcement(&b, &group).await), (false, 0));
    assert_eq!(read(&b, &group, 2).await.data()["read"], false);
    other.flush().await;
    assert!(other.drain("conversation-state").await.is_empty());
    phone.flush().await;
    assert!(phone.drain("conversation-state").await.is_empty());
}

#[tokio::test]
async fn who_has_read_it_is_paged_and_ends_with_the_membership() {
    let server = Server::shared().await;
    let [a, b, c, d, stranger] = server.users().await;
    let group = a.group("readers", &[&b, &c, &d]).await;
    let none = readers(&b, &group, "").await.data();
    assert_eq!(none, json!({"users": [], "hasMore": false}));
    announce(&a, &group, "read me").await.data();
    let before = now();
    for user in [&d, &b, &c] {
        read(user, &group, 1).await.data();
    }
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = readers(&b, &group, &format!("?limit=2&cursor={cursor}"))
            .await
            .data();
        assert_eq!(page["version"], 1);
        let users = list(&page["users"]);
        assert!(
            users
                .iter()
                .all(|u| u["readAt"].as_i64().unwrap() >= before)
        );
        ids.extend(texts(users, "userId"));
        if page["hasMore"] == false {
            assert!(page["nextCursor"].is_null());
            break;
        }
        cursor = page["nextCursor"].as_str().expect("a cursor").to_owned();
    }
    assert_eq!(ids, [&d.id, &b.id, &c.id].map(String::as_str));
    readers(&stranger, &group, "")
        .await
        .refused(403, "NOT_CONVERSATION_MEMBER");
    for (query, user) in [("?limit=0", &b), ("?cursor=nonsense", &b)] {
        let refused = readers(user, &group, query).await;
        refused.refused(400, "INVALID_PARAMS");
    }
    let path = format!("/conversations/{group}/members/{}", d.id);
    a.delete(&path).await.data();
    let left = readers(&a, &group, "").await.data();
    let left = texts(list(&left["users"]), "userId");
    assert_eq!(left, [&b.id, &c.id].map(String::as_str));
    assert_eq!(reads(&announcement(&a, &group).await), (true, 2));
    // A page of a text that was replaced is asked for anew.
    announce(&a, &group, "read me again").await.data();
    let stale = readers(&a, &group, &format!("?cursor={cursor}")).await;
    stale.refused(409, "VERSION_CONFLICT");
    let fresh = readers(&a, &group, "").await.data();
    assert_eq!(
        (&fresh["version"], &fresh["users"]),
        (&json!(2), &json!([]))
    );
}

#[tokio::test]
async fn members_of_large_groups_do_not_list_readers_and_admins_do() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let Some(repo) = server.repo() else {
        return;
    };
    let group = a.group("large", &[&b]).await;
    // Signing up so many would take long, and who they are doesn't matter.
    let add = AddConversationMemberRequest {
        conversation_id: group.clone(),
        user_ids: (1..=199).map(|n: u64| n.to_string()).collect(),
        ..Default::default()
    };
    let mut repo = ConversationServiceClient::new(repo);
    repo.add_conversation_member(add).await.unwrap();
    assert_eq!(detail(&a, &group).await["memberCount"], 201);
    announce(&a, &group, "all of you").await.data();
    read(&b, &group, 1).await.data();
    readers(&b, &group, "")
        .await
        .refused(400, "TOO_MANY_MEMBERS");
    let shown = readers(&a, &group, "").await.data();
    assert_eq!(texts(list(&shown["users"]), "userId"), [b.id.as_str()]);
    assert_eq!(reads(&announcement(&b, &group).await), (true, 1));
}

#[tokio::test]
async fn the_sdk_announces_reads_and_lists() {
    use gochat_client::Credentials;
    use gochat_client::api::Api;

    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let group = a.group("sdk", &[&b]).await;
    let api = |user: &User| {
        let credentials = Credentials::password(&user.name, crate::kit::PASSWORD);
        Api::new(server.http().base(), credentials).expect("an address")
    };
    let (owner, member) = (api(&a), api(&b));
    let id = group.parse().unwrap();
    let set = owner.announce(id, "from the SDK").await.unwrap();
    assert_eq!(set.announcement.unwrap().text, "from the SDK");
    let shown = member.conversation(id).await.unwrap().announcement.unwrap();
    assert_eq!((shown.read, shown.read_count), (Some(false), Some(0)));
    let answer = member.read_announcement(id, shown.version).await.unwrap();
    assert_eq!((answer.version, answer.read), (1, true));
    let page = owner.announcement_readers(id, None, 10).await.unwrap();
    let users: Vec<String> = page.users.iter().map(|r| r.user_id.to_string()).collect();
    assert_eq!((page.version, users), (1, vec![b.id.clone()]));
}
