//! Requests to join a group: who may ask, who answers, and who is told.

use serde_json::{Value, json};

use crate::kit::{Reply, Server, User, list, text};

async fn group_with(owner: &User, name: &str, members: &[&User], settings: Value) -> String {
    let group = owner.group(name, members).await;
    let body = json!({"settings": {"group_settings": settings}});
    owner
        .put(&format!("/conversations/{group}"), body)
        .await
        .data();
    group
}

async fn ask(user: &User, group: &str, message: &str) -> Reply {
    let path = format!("/conversations/{group}/join-requests");
    user.post(&path, json!({"message": message})).await
}

async fn answer(by: &User, group: &str, asker: &User, action: &str) -> Reply {
    let path = format!("/conversations/{group}/join-requests/{}", asker.id);
    by.put(&path, json!({"action": action})).await
}

async fn open(by: &User, group: &str) -> Vec<Value> {
    let path = format!("/conversations/{group}/join-requests");
    list(&by.get(&path).await.data()["requests"]).clone()
}

#[tokio::test]
async fn who_asks_joins_when_an_admin_accepts() {
    let [owner, b, asker] = Server::shared().await.users().await;
    let settings = json!({"allow_join_requests": true});
    let group = group_with(&owner, "asking", &[&b], settings).await;
    let (mut admin, mut own) = (owner.connect().await, asker.connect().await);
    let made = ask(&asker, &group, "let me in").await.data_with(201);
    assert_eq!(
        (&made["status"], &made["userId"]),
        (&json!("open"), &json!(asker.id))
    );
    let told = admin.expect("join-request").await;
    assert_eq!(told["conversationId"], group);
    assert_eq!(
        (&told["userId"], &told["message"]),
        (&json!(asker.id), &json!("let me in"))
    );
    // Asking again keeps the request.
    let again = ask(&asker, &group, "please").await.data_with(201);
    assert_eq!(again["id"], made["id"]);
    let listed = open(&owner, &group).await;
    assert_eq!(
        (listed.len(), &listed[0]["user"]["username"]),
        (1, &json!(asker.name))
    );
    assert_eq!(listed[0]["message"], "let me in");

    answer(&b, &group, &asker, "accept")
        .await
        .refused(403, "INSUFFICIENT_PERMISSION");
    answer(&owner, &group, &asker, "accept").await.data();
    answer(&owner, &group, &asker, "accept").await.data();
    answer(&owner, &group, &asker, "reject")
        .await
        .refused(409, "JOIN_REQUEST_HANDLED");
    let told = own.expect("join-request-answered").await;
    assert_eq!(
        (&told["conversationId"], &told["accepted"]),
        (&json!(group), &json!(true))
    );
    let added = admin.expect("member-added").await;
    assert_eq!(added["userIds"], json!([asker.id]));
    asker.say(&group, "thanks").await.data();
    assert!(open(&owner, &group).await.is_empty());
}

#[tokio::test]
async fn nobody_asks_where_the_group_does_not_allow_it() {
    let [owner, asker] = Server::shared().await.users().await;
    let group = owner.group("silent", &[]).await;
    ask(&asker, &group, "")
        .await
        .refused(403, "INSUFFICIENT_PERMISSION");
    answer(&owner, &group, &asker, "accept")
        .await
        .refused(404, "JOIN_REQUEST_NOT_FOUND");
    assert!(open(&owner, &group).await.is_empty());
}

#[tokio::test]
async fn who_was_refused_is_told_and_waits() {
    let [owner, asker, other] = Server::shared().await.users().await;
    let settings = json!({"allow_join_requests": true});
    let group = group_with(&owner, "picky", &[], settings).await;
    ask(&asker, &group, &"x".repeat(201))
        .await
        .refused(400, "INVALID_PARAMS");
    ask(&asker, &group, "").await.data();
    let mut socket = asker.connect().await;
    answer(&owner, &group, &asker, "reject").await.data();
    answer(&owner, &group, &asker, "reject").await.data();
    let told = socket.expect("join-request-answered").await;
    assert_eq!(told["accepted"], false);
    let mine = format!("/conversations/{group}/join-requests/{}", asker.id);
    assert_eq!(asker.get(&mine).await.data()["status"], "rejected");
    other
        .get(&mine)
        .await
        .refused(403, "NOT_CONVERSATION_MEMBER");
    let again = ask(&asker, &group, "").await;
    again.refused(429, "RATE_LIMITED");
    asker
        .say(&group, "hello")
        .await
        .refused(403, "NOT_CONVERSATION_MEMBER");
}

#[tokio::test]
async fn open_requests_are_bounded_and_come_in_pages() {
    let settings = [
        "logic.limits.join_requests_per_user=1",
        "logic.limits.join_requests_per_group=2",
    ];
    let Some(server) = Server::with(&settings).await else {
        return;
    };
    let [owner, b, c, d] = server.users().await;
    let allowed = || json!({"allow_join_requests": true});
    let group = group_with(&owner, "small", &[], allowed()).await;
    let other = group_with(&owner, "other", &[], allowed()).await;
    ask(&b, &group, "").await.data();
    ask(&b, &other, "").await.refused(429, "RATE_LIMITED");
    ask(&c, &group, "").await.data();
    ask(&d, &group, "").await.refused(429, "RATE_LIMITED");
    let path = format!("/conversations/{group}/join-requests?limit=1");
    let page = owner.get(&path).await.data();
    assert_eq!(
        (&page["hasMore"], &page["requests"][0]["userId"]),
        (&json!(true), &json!(b.id))
    );
    let after = text(&page["requests"][0]["id"]);
    let page = owner.get(&format!("{path}&after={after}")).await.data();
    assert_eq!(
        (&page["hasMore"], &page["requests"][0]["userId"]),
        (&json!(false), &json!(c.id))
    );
}

#[tokio::test]
async fn a_link_of_a_plain_member_asks_where_approval_is_needed() {
    let [owner, b, asker, other] = Server::shared().await.users().await;
    let settings = json!({"join_approval_required": true});
    let group = group_with(&owner, "guarded", &[&b], settings).await;
    let path = format!("/conversations/{group}/invitations");
    let of_member = b.post(&path, json!({"maxUses": 1})).await.data();
    let of_owner = owner.post(&path, json!({})).await.data();
    let accept = |code: &Value| format!("/invitations/{}/accept", text(code));
    let asked = asker.post(&accept(&of_member["code"]), json!({})).await;
    let asked = asked.data_with(200);
    assert_eq!(asked["requested"], true, "{asked}");
    assert!(asked.get("conversation").is_none());
    asker
        .say(&group, "hello")
        .await
        .refused(403, "NOT_CONVERSATION_MEMBER");
    // The request took the only use of the link; a repeat finds the open request.
    other
        .post(&accept(&of_member["code"]), json!({}))
        .await
        .refused(404, "INVITATION_NOT_FOUND");
    other
        .post(&accept(&of_owner["code"]), json!({}))
        .await
        .data();
    answer(&owner, &group, &asker, "accept").await.data();
    asker.say(&group, "hello").await.data();
}
