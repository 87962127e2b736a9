//! `POST /auth/guest`, and what guests may and may not do.

use serde_json::json;

use crate::kit::Server;

#[tokio::test]
async fn a_guest_is_a_user_with_a_name_of_its_own_and_both_tokens() {
    let server = Server::shared().await;
    let data = server
        .call("POST", "/auth/guest", None)
        .await
        .data_with(201);
    assert_eq!(data["user"]["isGuest"], true);
    assert!(
        data["user"]["username"]
            .as_str()
            .unwrap()
            .starts_with("guest_")
    );
    assert!(data["accessToken"].is_string() && data["refreshToken"].is_string());
    assert!(data["expiresIn"].is_i64());
}

#[tokio::test]
async fn a_wished_name_is_made_unique() {
    let server = Server::shared().await;
    let wish = Some(json!({"guestName": "Ann"}));
    let first = server
        .call("POST", "/auth/guest", wish.clone())
        .await
        .data();
    let second = server.call("POST", "/auth/guest", wish).await.data();
    let names = [&first["user"]["username"], &second["user"]["username"]];
    assert_ne!(names[0], names[1]);
    assert!(
        names.iter().all(|n| n.as_str().unwrap().contains("Ann")),
        "{names:?}"
    );
}

#[tokio::test]
async fn guests_do_not_search_befriend_create_or_change_their_profile() {
    let server = Server::shared().await;
    let guest = server.guest().await;
    let user = server.user().await;
    let avatar = json!({"avatarUrl": "https://example.org/a.png"});
    guest
        .put("/users/profile", avatar)
        .await
        .refused(403, "GUEST_NOT_ALLOWED");
    guest
        .get("/users/search?q=u")
        .await
        .refused(403, "GUEST_NOT_ALLOWED");
    let request = json!({"targetUserId": user.id});
    guest
        .post("/friends/requests", request)
        .await
        .refused(403, "GUEST_NOT_ALLOWED");
    guest
        .get("/friends")
        .await
        .refused(403, "GUEST_NOT_ALLOWED");
    guest
        .get("/friends/requests")
        .await
        .refused(403, "GUEST_NOT_ALLOWED");
    let single = json!({"type": 1, "members": [user.id]});
    guest
        .post("/conversations", single)
        .await
        .refused(403, "GUEST_NOT_ALLOWED");
    let group = json!({"type": 2, "name": "guests", "members": []});
    guest
        .post("/conversations", group)
        .await
        .refused(403, "GUEST_NOT_ALLOWED");
}

#[tokio::test]
async fn a_guest_can_not_be_asked_for_friendship() {
    let server = Server::shared().await;
    let guest = server.guest().await;
    let user = server.user().await;
    let answer = user
        .post("/friends/requests", json!({"targetUserId": guest.id}))
        .await;
    assert_eq!(answer.status, 403, "{}", answer.body);
}

#[tokio::test]
async fn a_guest_writes_in_a_single_chat_somebody_else_opened() {
    let server = Server::shared().await;
    let guest = server.guest().await;
    let user = server.user().await;
    let chat = user.chat_with(&guest).await;
    let mut socket = user.connect().await;
    guest
        .say(&chat, "hello, I am new here")
        .await
        .data_with(201);
    let heard = socket.hears("hello, I am new here").await;
    assert_eq!(heard["senderId"], guest.id);
}

#[tokio::test]
async fn a_guest_has_the_world_chat_on_the_list_and_writes_in_it() {
    let server = Server::shared().await;
    let guest = server.guest().await;
    assert!(guest.listed("world").await.is_some());
    guest.say("world", "anybody here?").await.data_with(201);
}
