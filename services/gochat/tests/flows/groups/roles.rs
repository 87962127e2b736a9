//! Roles and ownership.

use serde_json::json;

use crate::kit::{Server, User};

async fn role_of(user: &User, group: &str) -> i64 {
    let detail = user.get(&format!("/conversations/{group}")).await.data();
    detail["myMembership"]["role"].as_i64().unwrap()
}

fn member(group: &str, user: &User) -> String {
    format!("/conversations/{group}/members/{}", user.id)
}

#[tokio::test]
async fn an_admin_may_rename_and_remove_members_but_no_admins() {
    let server = Server::shared().await;
    let [owner, admin, other, c] = server.users().await;
    let group = owner.group("admins", &[&admin, &other, &c]).await;
    owner
        .put(&member(&group, &admin), json!({"role": 2}))
        .await
        .data_with(200);
    owner
        .put(&member(&group, &other), json!({"role": 2}))
        .await
        .data();
    assert_eq!(role_of(&admin, &group).await, 2);
    admin
        .put(
            &format!("/conversations/{group}"),
            json!({"name": "renamed"}),
        )
        .await
        .data_with(200);
    admin.delete(&member(&group, &c)).await.data();
    admin
        .delete(&member(&group, &other))
        .await
        .refused(403, "INSUFFICIENT_PERMISSION");
    admin
        .delete(&member(&group, &owner))
        .await
        .refused(403, "INSUFFICIENT_PERMISSION");
    admin
        .put(&member(&group, &other), json!({"role": 1}))
        .await
        .refused(403, "INSUFFICIENT_PERMISSION");
}

#[tokio::test]
async fn a_role_change_takes_effect_at_once_and_is_told() {
    let server = Server::shared().await;
    let [owner, b] = server.users().await;
    let group = owner.group("promotion", &[&b]).await;
    b.put(&format!("/conversations/{group}"), json!({"name": "x"}))
        .await
        .refused(403, "INSUFFICIENT_PERMISSION");
    let mut socket = b.connect().await;
    owner
        .put(&member(&group, &b), json!({"role": 2}))
        .await
        .data();
    b.put(
        &format!("/conversations/{group}"),
        json!({"name": "mine now"}),
    )
    .await
    .data();
    socket
        .expect_where("conversation-updated", |d| d["conversationId"] == group)
        .await;
    owner
        .put(&member(&group, &b), json!({"role": 1}))
        .await
        .data();
    b.put(&format!("/conversations/{group}"), json!({"name": "y"}))
        .await
        .refused(403, "INSUFFICIENT_PERMISSION");
}

#[tokio::test]
async fn handing_the_group_over_makes_the_old_owner_an_admin() {
    let server = Server::shared().await;
    let [owner, heir] = server.users().await;
    let group = owner.group("heritage", &[&heir]).await;
    owner
        .put(&member(&group, &heir), json!({"role": 3}))
        .await
        .data_with(200);
    assert_eq!(
        (role_of(&owner, &group).await, role_of(&heir, &group).await),
        (2, 3)
    );
    let detail = heir.get(&format!("/conversations/{group}")).await.data();
    assert_eq!(detail["ownerId"], heir.id);
    owner.delete(&member(&group, &owner)).await.data();
    heir.delete(&member(&group, &heir))
        .await
        .refused(403, "CANNOT_LEAVE_CONVERSATION");
}

#[tokio::test]
async fn roles_that_do_not_exist_are_refused() {
    let server = Server::shared().await;
    let [owner, b, stranger] = server.users().await;
    let group = owner.group("nonsense", &[&b]).await;
    for role in [json!(0), json!(4), json!("boss"), json!(null)] {
        owner
            .put(&member(&group, &b), json!({"role": role}))
            .await
            .refused(400, "INVALID_PARAMS");
    }
    let reply = owner
        .put(&member(&group, &stranger), json!({"role": 2}))
        .await;
    assert!([403, 404].contains(&reply.status), "{}", reply.body);
}

#[tokio::test]
async fn a_single_chat_has_no_roles_and_no_changes() {
    let server = Server::shared().await;
    let [a, b, c] = server.users().await;
    let chat = a.chat_with(&b).await;
    let members = format!("/conversations/{chat}/members");
    for reply in [
        a.post(&members, json!({"members": [c.id]})).await,
        a.delete(&member(&chat, &b)).await,
        a.put(&member(&chat, &b), json!({"role": 2})).await,
        a.put(&format!("/conversations/{chat}"), json!({"name": "x"}))
            .await,
    ] {
        assert!(
            [400, 403].contains(&reply.status),
            "{} {}",
            reply.status,
            reply.body
        );
    }
}
