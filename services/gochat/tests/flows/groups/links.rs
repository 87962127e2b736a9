//! Invitation links: who makes them, what they admit, and what ends them.

use serde_json::{Value, json};

use crate::kit::{Reply, Server, User, list, now, text, texts};

async fn link(by: &User, group: &str, body: Value) -> Value {
    let path = format!("/conversations/{group}/invitations");
    by.post(&path, body).await.data_with(201)
}

async fn accept(user: &User, link: &Value) -> Reply {
    let path = format!("/invitations/{}/accept", text(&link["code"]));
    user.post(&path, json!({})).await
}

async fn links(user: &User, group: &str) -> Vec<String> {
    let path = format!("/conversations/{group}/invitations");
    let data = user.get(&path).await.data();
    texts(list(&data["invitations"]), "code")
}

#[tokio::test]
async fn who_has_a_link_joins_and_the_group_is_told() {
    let [owner, b, c] = Server::shared().await.users().await;
    let group = owner.group("by link", &[]).await;
    let mut socket = owner.connect().await;
    owner.say(&group, "before").await.data();
    let until = now() + 3_600;
    let made = link(&owner, &group, json!({"maxUses": 1, "expiresAt": until})).await;
    let code = text(&made["code"]);
    assert_eq!((&made["maxUses"], &made["uses"]), (&json!(1), &json!(0)));
    assert_eq!(made["expiresAt"], until);
    assert!(text(&made["url"]).ends_with(&code), "{made}");
    let joined = accept(&b, &made).await.data_with(200);
    assert_eq!(joined["conversation"]["id"], group);
    assert_eq!(joined["conversation"]["memberCount"], 2);
    let told = socket.expect("member-added").await;
    assert_eq!(told["userIds"], json!([b.id]));
    b.say(&group, "hello").await.data();
    // The repeat of a lost answer costs no use, and the only use is taken.
    accept(&b, &made).await.data_with(200);
    accept(&c, &made).await.refused(404, "INVITATION_NOT_FOUND");
    assert!(
        links(&owner, &group).await.is_empty(),
        "a used up link ended"
    );
}

#[tokio::test]
async fn members_see_and_revoke_their_own_links_and_admins_all() {
    let [owner, b, c] = Server::shared().await.users().await;
    let group = owner.group("of many", &[&b]).await;
    let of_owner = link(&owner, &group, json!({})).await;
    let of_member = link(&b, &group, json!({})).await;
    let path = |link: &Value| {
        let code = text(&link["code"]);
        format!("/conversations/{group}/invitations/{code}")
    };
    assert_eq!(links(&b, &group).await, [text(&of_member["code"])]);
    assert_eq!(links(&owner, &group).await.len(), 2);
    b.delete(&path(&of_owner))
        .await
        .refused(403, "INSUFFICIENT_PERMISSION");
    owner.delete(&path(&of_member)).await.data();
    owner.delete(&path(&of_member)).await.data();
    accept(&c, &of_member)
        .await
        .refused(404, "INVITATION_NOT_FOUND");
    accept(&c, &of_owner).await.data();
}

#[tokio::test]
async fn a_link_ends_with_the_permission_of_its_maker() {
    let [owner, b, c] = Server::shared().await.users().await;
    let group = owner.group("strict", &[&b]).await;
    let of_member = link(&b, &group, json!({})).await;
    let of_owner = link(&owner, &group, json!({})).await;
    let set = async |settings: Value| {
        let body = json!({"settings": {"group_settings": settings}});
        owner.put(&format!("/conversations/{group}"), body).await
    };
    set(json!({"invite_enabled": false})).await.data();
    accept(&c, &of_member)
        .await
        .refused(404, "INVITATION_NOT_FOUND");
    set(json!({"max_members": 2})).await.data();
    accept(&c, &of_owner)
        .await
        .refused(403, "CONVERSATION_FULL");
    set(json!({"join_approval_required": true})).await.data();
    accept(&c, &of_owner).await.data();
}

#[tokio::test]
async fn a_link_leads_neither_around_a_block_nor_beyond_the_limit_of_conversations() {
    let settings = ["logic.limits.conversations_per_user=1"];
    let Some(server) = Server::with(&settings).await else {
        return;
    };
    let [owner, b, c] = server.users().await;
    let group = owner.group("closed", &[]).await;
    let made = link(&owner, &group, json!({})).await;
    b.post(&format!("/friends/{}/block", owner.id), json!({}))
        .await
        .data();
    accept(&b, &made).await.refused(403, "FORBIDDEN");
    c.group("of c", &[]).await;
    accept(&c, &made)
        .await
        .refused(403, "TOO_MANY_CONVERSATIONS");
}

#[tokio::test]
async fn terms_and_numbers_are_bounded_and_guessing_is_slow() {
    let settings = [
        "logic.limits.invitation_links_per_group=2",
        "logic.budgets.invitation_codes.capacity=4",
        "logic.budgets.invitation_codes.rate=0.001",
        "gateway.rates.disabled=false",
    ];
    let Some(server) = Server::with(&settings).await else {
        return;
    };
    let [owner, b] = server.users().await;
    let group = owner.group("bounded", &[]).await;
    let path = format!("/conversations/{group}/invitations");
    for body in [
        json!({"maxUses": 0}),
        json!({"maxUses": 10_001}),
        json!({"expiresAt": now() - 1}),
        json!({"expiresAt": now() + 400 * 86_400}),
    ] {
        owner.post(&path, body).await.refused(400, "INVALID_PARAMS");
    }
    link(&owner, &group, json!({})).await;
    link(&owner, &group, json!({})).await;
    owner
        .post(&path, json!({}))
        .await
        .refused(409, "TOO_MANY_INVITATIONS");
    let wrong = json!({"code": "0123456789abcdef0123456789abcdef"});
    for _ in 0..4 {
        accept(&b, &wrong)
            .await
            .refused(404, "INVITATION_NOT_FOUND");
    }
    accept(&b, &wrong).await.refused(429, "RATE_LIMITED");
}
