//! `GET`, `DELETE /sessions`, `PUT /users/password`, `POST /auth/upgrade`: what people defend
//! themselves with.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::kit::{PASSWORD, Server, User, eventually, fresh_name, list, text};

async fn sessions(user: &User) -> Vec<Value> {
    list(&user.get("/sessions").await.data()["sessions"]).clone()
}

async fn is_out(user: &User) {
    eventually("the session is refused", async || {
        (user.get("/users/profile").await.code() == "INVALID_TOKEN").then_some(())
    })
    .await;
    assert_eq!(user.try_connect("").await.err(), Some(401));
    let body = json!({"refreshToken": user.refresh_token});
    user.http
        .call("POST", "/auth/refresh", None, Some(body))
        .await
        .refused(401, "INVALID_TOKEN");
}

#[tokio::test]
async fn sessions_are_listed_with_what_is_known_of_them() {
    let server = Server::shared().await;
    let user = server.user().await;
    let body = json!({"username": user.name, "password": PASSWORD, "device": "Ann's phone"});
    let phone = server.call("POST", "/auth/login", Some(body)).await.data();
    let phone = user.renewed(&phone);
    let rows = sessions(&phone).await;
    assert_eq!(rows.len(), 2);
    let current: Vec<_> = rows.iter().filter(|s| s["current"] == true).collect();
    assert_eq!(current.len(), 1);
    assert_eq!(current[0]["device"], "Ann's phone");
    assert_eq!(current[0]["address"], "127.0.0.1");
    assert!(current[0]["createdAt"].is_i64() && current[0]["lastUsedAt"].is_i64());
    assert!(rows.iter().all(|s| s.get("refreshHash").is_none()));
    assert_ne!(phone.session().await, user.session().await);
}

#[tokio::test]
async fn one_session_is_ended_from_another() {
    let server = Server::shared().await;
    let user = server.user().await;
    let lost = server.login(&user.name).await;
    let mut socket = lost.connect().await;
    let id = lost.session().await;
    for _ in 0..2 {
        user.delete(&format!("/sessions/{id}")).await.data_with(200);
    }
    // Within a second on a quiet machine; `gochat check` holds servers to that.
    let soon = Duration::from_secs(10);
    assert_eq!(socket.closed_within(soon).await, 4002);
    is_out(&lost).await;
    user.get("/users/profile").await.data();
    assert_eq!(sessions(&user).await.len(), 1);
    for id in ["nonsense", "0123456789abcdef0123456789abcdef"] {
        user.delete(&format!("/sessions/{id}"))
            .await
            .refused(404, "NOT_FOUND");
    }
    let stranger = server.user().await;
    stranger
        .delete(&format!("/sessions/{}", user.session().await))
        .await
        .refused(404, "NOT_FOUND");
    user.get("/users/profile").await.data();
}

#[tokio::test]
async fn signing_out_everywhere_spares_the_session_that_asks() {
    let server = Server::shared().await;
    let user = server.user().await;
    let [a, b] = [
        server.login(&user.name).await,
        server.login(&user.name).await,
    ];
    let (mut here, mut there) = (user.connect().await, a.connect().await);
    user.delete("/sessions").await.data_with(200);
    assert_eq!(there.closed().await, 4002);
    is_out(&a).await;
    is_out(&b).await;
    here.flush().await;
    assert_eq!(sessions(&user).await.len(), 1);
    server.login(&user.name).await;
}

#[tokio::test]
async fn a_new_password_asks_for_the_old_one_and_ends_the_other_sessions() {
    let server = Server::shared().await;
    let user = server.user().await;
    let other = server.login(&user.name).await;
    let mut socket = other.connect().await;
    let change = |old: &str, new: &str| {
        user.put(
            "/users/password",
            json!({"oldPassword": old, "newPassword": new}),
        )
    };
    change("not the password", "battery staple")
        .await
        .refused(401, "AUTH_INVALID_CREDENTIALS");
    change(PASSWORD, "short")
        .await
        .refused(400, "WEAK_PASSWORD");
    other.get("/users/profile").await.data();
    // A repeat whose first answer was lost.
    for _ in 0..2 {
        change(PASSWORD, "battery staple").await.data_with(200);
    }
    assert_eq!(socket.closed().await, 4002);
    is_out(&other).await;
    user.get("/users/profile").await.data();
    let login = async |password: &str| {
        let body = json!({"username": user.name, "password": password});
        server.call("POST", "/auth/login", Some(body)).await
    };
    login(PASSWORD)
        .await
        .refused(401, "AUTH_INVALID_CREDENTIALS");
    login("battery staple").await.data_with(200);
}

#[tokio::test]
async fn a_guest_becomes_an_account_and_keeps_id_chats_and_history() {
    let server = Server::shared().await;
    let guest = server.guest().await;
    let friend = server.user().await;
    let chat = friend.chat_with(&guest).await;
    guest.say(&chat, "before").await.data_with(201);
    guest.history_of(&chat, 1).await;
    let name = fresh_name();
    let body = json!({"username": name, "password": PASSWORD});
    guest
        .post(
            "/auth/upgrade",
            json!({"username": friend.name, "password": PASSWORD}),
        )
        .await
        .refused(400, "USER_ALREADY_EXISTS");
    let mut data = Value::Null;
    for _ in 0..2 {
        data = guest
            .post("/auth/upgrade", body.clone())
            .await
            .data_with(200);
        assert_eq!(data["user"]["id"], guest.id);
        assert_eq!(
            (&data["user"]["username"], &data["user"]["isGuest"]),
            (&json!(name), &json!(false))
        );
    }
    let account = guest.renewed(&data);
    account.get("/users/search?q=someone").await.data();
    assert_eq!(text(&account.history(&chat).await[0]["content"]), "before");
    let elsewhere = server.login(&name).await;
    assert_eq!(elsewhere.id, guest.id);
    assert_eq!(
        sessions(&elsewhere).await.len(),
        2,
        "the guest's session goes on"
    );
    let renewed = json!({"refreshToken": guest.refresh_token});
    server
        .call("POST", "/auth/refresh", Some(renewed))
        .await
        .data();
    friend
        .post(
            "/auth/upgrade",
            json!({"username": fresh_name(), "password": PASSWORD}),
        )
        .await
        .refused(403, "FORBIDDEN");
}

#[tokio::test]
async fn a_disabled_user_is_out() {
    let server = Server::shared().await;
    let Some(repo) = server.repo() else { return };
    let user = server.user().await;
    let request = gochat_proto::im::repo::v1::UpdateUserRequest {
        user_id: user.id.clone(),
        status: gochat_proto::common::v1::UserStatus::Disabled.into(),
        update_mask: vec!["status".into()],
        ..Default::default()
    };
    let mut users = gochat_proto::im::repo::v1::user_service_client::UserServiceClient::new(repo);
    users.update_user(request).await.unwrap();
    // The row decides about every refresh, whoever tells the gateways.
    let body = json!({"refreshToken": user.refresh_token});
    let refused = server.call("POST", "/auth/refresh", Some(body)).await;
    assert_eq!(refused.status, 423, "{}", refused.body);
}

#[tokio::test]
async fn beyond_the_cap_the_least_recently_used_session_ends() {
    let Some(server) = Server::with(&["logic.auth.sessions_per_user=3"]).await else {
        return;
    };
    let first = server.user().await;
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(server.login(&first.name).await);
    }
    is_out(&first).await;
    for user in &others {
        user.get("/users/profile").await.data();
    }
}

#[tokio::test]
async fn with_room_for_few_ends_every_end_is_still_refused() {
    let Some(server) = Server::with(&["gateway.auth.max_revocations=4"]).await else {
        return;
    };
    let mut user = server.user().await;
    let mut gone = Vec::new();
    for _ in 0..12 {
        // What was issued in the second of the widest end must be renewed: by then it is over.
        tokio::time::sleep(Duration::from_millis(400)).await;
        let mut session = server.login(&user.name).await;
        while session.get("/users/profile").await.code() == "TOKEN_EXPIRED" {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let body = json!({"refreshToken": session.refresh_token});
            let pair = server.call("POST", "/auth/refresh", Some(body)).await;
            session = session.renewed(&pair.data());
        }
        session.call("POST", "/auth/logout", None).await.data();
        gone.push(session);
    }
    // A session that goes on renews its tokens, and is let in.
    let body = json!({"refreshToken": user.refresh_token});
    let pair = server
        .call("POST", "/auth/refresh", Some(body))
        .await
        .data();
    user = user.renewed(&pair);
    eventually("the session that goes on is let in", async || {
        (user.get("/users/profile").await.status == 200).then_some(())
    })
    .await;
    for session in &gone {
        let reply = session.get("/users/profile").await;
        assert_eq!(reply.status, 401, "{}", reply.body);
        let body = json!({"refreshToken": session.refresh_token});
        server
            .call("POST", "/auth/refresh", Some(body))
            .await
            .refused(401, "INVALID_TOKEN");
    }
}

#[tokio::test]
async fn a_socket_lives_as_long_as_the_newest_token_of_its_session() {
    let Some(server) = Server::with(&["logic.auth.access_ttl_s=8"]).await else {
        return;
    };
    let user = server.user().await;
    let [stranger, elsewhere] = [server.user().await, server.login(&user.name).await];
    let mut socket = user.connect().await;
    for other in [&stranger.token, &elsewhere.token, "nonsense"] {
        socket.send("authenticate", json!({"token": other})).await;
        let error = socket.expect("error").await;
        assert_eq!(error["code"], "INVALID_TOKEN");
    }
    let mut newest = user.clone();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        let body = json!({"refreshToken": newest.refresh_token});
        let pair = server
            .call("POST", "/auth/refresh", Some(body))
            .await
            .data();
        newest = newest.renewed(&pair);
        socket
            .send("authenticate", json!({"token": newest.token}))
            .await;
        let told = socket.expect("authenticated").await;
        assert_eq!(told["expiresAt"], pair["expiresIn"]);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    socket.flush().await;
    newest.call("POST", "/auth/logout", None).await.data();
    assert_eq!(socket.closed().await, 4002);
}

#[tokio::test]
async fn a_deleted_account_leaves_its_messages_and_no_group_without_an_owner() {
    let server = Server::shared().await;
    let [user, admin, member] = server.users().await;
    let other = server.login(&user.name).await;
    let group = user.group("Tea", &[&member, &admin]).await;
    let path = format!("/conversations/{group}/members/{}", admin.id);
    user.put(&path, json!({"role": 2})).await.data();
    let alone = user.group("Alone", &[]).await;
    let theirs = member.group("Theirs", &[&user]).await;
    user.say(&group, "before I go").await.data_with(201);
    member.history_of(&group, 1).await;
    let mut socket = other.connect().await;
    let delete = |password: &str| {
        user.call(
            "DELETE",
            "/users/account",
            Some(json!({"password": password})),
        )
    };
    delete("not the password")
        .await
        .refused(401, "AUTH_INVALID_CREDENTIALS");
    user.get("/users/profile").await.data();
    delete(PASSWORD).await.data_with(200);
    assert_eq!(socket.closed().await, 4002);
    is_out(&user).await;
    is_out(&other).await;

    let detail = admin.get(&format!("/conversations/{group}")).await.data();
    assert_eq!(detail["ownerId"], admin.id);
    for group in [&group, &theirs] {
        let members = member
            .get(&format!("/conversations/{group}/members"))
            .await
            .data();
        let ids: Vec<_> = list(&members["members"])
            .iter()
            .map(|m| text(&m["userId"]))
            .collect();
        assert!(!ids.contains(&user.id), "{ids:?}");
    }
    let history = member.history(&group).await;
    let said = history
        .iter()
        .find(|m| m["content"] == "before I go")
        .unwrap();
    assert_eq!(said["senderId"], user.id);
    assert_ne!(
        said["sender"]["username"], user.name,
        "the profile is blank"
    );
    let gone = member.get(&format!("/conversations/{alone}")).await;
    assert!(gone.status == 403 || gone.status == 404, "{}", gone.body);

    let body = json!({"username": user.name, "password": PASSWORD});
    server
        .call("POST", "/auth/login", Some(body.clone()))
        .await
        .refused(401, "AUTH_INVALID_CREDENTIALS");
    server
        .call("POST", "/auth/register", Some(body))
        .await
        .refused(400, "USER_ALREADY_EXISTS");
}

#[tokio::test]
async fn a_deleted_account_is_nobodys_friend_and_asks_nobody() {
    let server = Server::shared().await;
    let [user, friend, asked] = server.users().await;
    user.befriend(&friend).await;
    let request = user.ask(&asked).await;
    let since = friend.get("/friends").await.data()["syncTime"].clone();
    let mut socket = friend.connect().await;
    let body = json!({"password": PASSWORD});
    user.call("DELETE", "/users/account", Some(body))
        .await
        .data_with(200);
    let told = socket.expect("friend-removed").await;
    assert_eq!(told["friendId"], user.id);
    let friends = friend.get("/friends").await.data();
    assert_eq!(friends["friends"], json!([]));
    let delta = friend.get(&format!("/friends?last_sync={since}")).await;
    assert_eq!(delta.data()["removedFriendIds"], json!([user.id]));
    let open = asked.get("/friends/requests?status=0").await.data();
    assert_eq!(open["requests"], json!([]));
    asked
        .put(
            &format!("/friends/requests/{request}"),
            json!({"action": "accept"}),
        )
        .await
        .refused(409, "FRIEND_REQUEST_ALREADY_HANDLED");
}

#[tokio::test]
async fn a_guest_deletes_itself_without_a_password() {
    let server = Server::shared().await;
    let guest = server.guest().await;
    guest.delete("/users/account").await.data_with(200);
    is_out(&guest).await;
}
