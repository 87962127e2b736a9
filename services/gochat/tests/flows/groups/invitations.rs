//! Consent: who is added at once, who is invited, and what becomes of invitations.

use serde_json::{Value, json};

use crate::kit::{Server, User, list, text};

async fn prefer(user: &User, word: &str) {
    let body = json!({"addedBy": word});
    let profile = user.put("/users/profile", body).await.data();
    assert_eq!(profile["addedBy"], word);
}

async fn add(by: &User, group: &str, whom: &User) -> Value {
    let path = format!("/conversations/{group}/members");
    by.post(&path, json!({"members": [whom.id]})).await.data()
}

async fn invitations(user: &User) -> Vec<Value> {
    list(&user.get("/invitations").await.data()["invitations"]).clone()
}

async fn answer(user: &User, id: &str, action: &str) -> crate::kit::Reply {
    let path = format!("/invitations/{id}");
    user.put(&path, json!({"action": action})).await
}

#[tokio::test]
async fn who_wants_to_be_asked_is_invited_and_joins_by_accepting() {
    let [owner, shy] = Server::shared().await.users().await;
    prefer(&shy, "nobody").await;
    let group = owner.group("the inviting", &[]).await;
    let mut socket = shy.connect().await;
    let added = add(&owner, &group, &shy).await;
    assert_eq!(added["failedUsers"][0]["code"], "INVITED", "{added}");
    assert!(list(&added["addedUserIds"]).is_empty());
    let told = socket.expect("group-invitation").await;
    assert_eq!(
        (&told["conversationId"], &told["name"]),
        (&json!(group), &json!("the inviting"))
    );
    shy.get(&format!("/conversations/{group}"))
        .await
        .refused(403, "NOT_CONVERSATION_MEMBER");
    let open = invitations(&shy).await;
    assert_eq!((open.len(), &open[0]["id"]), (1, &told["invitationId"]));
    assert_eq!(open[0]["inviter"]["username"], owner.name);

    let id = text(&told["invitationId"]);
    answer(&owner, &id, "accept")
        .await
        .refused(404, "INVITATION_NOT_FOUND");
    let joined = answer(&shy, &id, "accept").await.data();
    assert_eq!(joined["conversation"]["memberCount"], 2);
    shy.say(&group, "hello").await.data();
    assert!(invitations(&shy).await.is_empty());
    answer(&shy, &id, "accept")
        .await
        .refused(404, "INVITATION_NOT_FOUND");
}

#[tokio::test]
async fn a_rejected_invitation_is_gone_and_changes_nothing() {
    let [owner, shy] = Server::shared().await.users().await;
    prefer(&shy, "nobody").await;
    // Members who want to be asked are invited to a new group as well.
    let group = owner.group("fresh", &[&shy]).await;
    let detail = owner.get(&format!("/conversations/{group}")).await.data();
    assert_eq!(detail["memberCount"], 1);
    let id = text(&invitations(&shy).await[0]["id"]);
    answer(&shy, &id, "reject").await.data();
    assert!(invitations(&shy).await.is_empty());
    shy.say(&group, "hello")
        .await
        .refused(403, "NOT_CONVERSATION_MEMBER");
}

#[tokio::test]
async fn friends_add_directly_where_friends_may() {
    let [friend, stranger, user] = Server::shared().await.users().await;
    friend.befriend(&user).await;
    prefer(&user, "friends").await;
    let group = friend.group("of friends", &[&stranger]).await;
    assert_eq!(
        add(&friend, &group, &user).await["addedUserIds"][0],
        user.id
    );
    let other = stranger.group("of strangers", &[]).await;
    let added = add(&stranger, &other, &user).await;
    assert_eq!(added["failedUsers"][0]["code"], "INVITED");
    prefer(&user, "everybody").await;
    assert_eq!(
        add(&stranger, &other, &user).await["addedUserIds"][0],
        user.id
    );
}

#[tokio::test]
async fn beyond_the_strangers_budget_a_user_is_invited() {
    // Budgets are off where the rates of the gateway are.
    let settings = [
        "logic.limits.strangers_adds_per_day=2",
        "gateway.rates.disabled=false",
    ];
    let Some(server) = Server::with(&settings).await else {
        return;
    };
    let [stranger, user] = server.users().await;
    let mut outcomes = Vec::new();
    for n in 0..3 {
        let group = stranger.group(&format!("group {n}"), &[]).await;
        let added = add(&stranger, &group, &user).await;
        outcomes.push(list(&added["addedUserIds"]).len());
    }
    assert_eq!(outcomes, [1, 1, 0]);
    assert_eq!(invitations(&user).await.len(), 1);
}

#[tokio::test]
async fn a_user_is_in_a_bounded_number_of_conversations() {
    let settings = ["logic.limits.conversations_per_user=2"];
    let Some(server) = Server::with(&settings).await else {
        return;
    };
    let [maker, other, user] = server.users().await;
    let groups = [
        maker.group("one", &[&user]).await,
        maker.group("two", &[&user]).await,
    ];
    let third = other.group("three", &[]).await;
    let added = add(&other, &third, &user).await;
    assert_eq!(added["failedUsers"][0]["code"], "TOO_MANY_CONVERSATIONS");
    let body = json!({"type": 2, "name": "mine", "members": []});
    user.post("/conversations", body)
        .await
        .refused(403, "TOO_MANY_CONVERSATIONS");
    let leave = format!("/conversations/{}/members/{}", groups[0], user.id);
    user.delete(&leave).await.data();
    assert_eq!(add(&other, &third, &user).await["addedUserIds"][0], user.id);
}
