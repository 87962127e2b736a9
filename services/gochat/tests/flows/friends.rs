//! Friend requests and friends.

use serde_json::{Value, json};

use crate::kit::{Reply, Server, User, eventually, list, text, texts};

async fn ask(user: &User, other: &User) -> Reply {
    user.post(
        "/friends/requests",
        json!({"targetUserId": other.id, "message": "remember me?"}),
    )
    .await
}

async fn answer(user: &User, request: &str, action: Value) -> Reply {
    user.put(
        &format!("/friends/requests/{request}"),
        json!({"action": action}),
    )
    .await
}

async fn requests(user: &User, query: &str) -> Vec<Value> {
    let data = user
        .get(&format!("/friends/requests?{query}"))
        .await
        .data_with(200);
    list(&data["requests"]).clone()
}

#[tokio::test]
async fn a_request_reaches_the_other_on_the_socket_and_in_the_list() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let mut socket = b.connect().await;
    let data = ask(&a, &b).await.data_with(201);
    let request = &data["request"];
    assert_eq!(
        (&request["requesterId"], &request["targetId"]),
        (&json!(a.id), &json!(b.id))
    );
    assert_eq!(
        (&request["status"], &request["message"]),
        (&json!(0), &json!("remember me?"))
    );
    let frame = socket.expect("friend-request").await;
    assert_eq!(
        (&frame["requestId"], &frame["requesterId"]),
        (&request["id"], &json!(a.id))
    );
    assert_eq!(
        (&frame["requester"]["username"], &frame["message"]),
        (&json!(a.name), &json!("remember me?"))
    );
    let received = requests(&b, "type=received&status=0").await;
    assert_eq!((received.len(), &received[0]["id"]), (1, &request["id"]));
    assert_eq!(received[0]["requester"]["username"], a.name);
    let sent = requests(&a, "type=sent").await;
    assert_eq!((sent.len(), &sent[0]["id"]), (1, &request["id"]));
    assert_eq!(requests(&b, "").await.len(), 1, "received is the default");
    assert!(requests(&a, "").await.is_empty());
}

#[tokio::test]
async fn accepting_makes_friends_opens_a_chat_and_tells_both() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let (mut of_a, mut of_b) = (a.connect().await, b.connect().await);
    let request = a.ask(&b).await;
    let data = answer(&b, &request, json!("accept")).await.data_with(200);
    let chat = text(&data["conversation"]["id"]);
    for (socket, friend) in [(&mut of_a, &b), (&mut of_b, &a)] {
        let frame = socket.expect("friend-added").await;
        assert_eq!(
            (&frame["friendId"], &frame["conversationId"]),
            (&json!(friend.id), &json!(chat))
        );
        assert_eq!(frame["friend"]["username"], friend.name);
    }
    for (user, friend) in [(&a, &b), (&b, &a)] {
        let data = user.get("/friends").await.data_with(200);
        let friends = list(&data["friends"]);
        assert_eq!(texts(friends, "friendId"), [friend.id.as_str()]);
        assert_eq!(
            (&friends[0]["status"], &friends[0]["friend"]["username"]),
            (&json!(1), &json!(friend.name))
        );
        assert!(user.listed(&chat).await.is_some());
    }
    a.say(&chat, "hello friend").await.data();
    of_b.hears("hello friend").await;
    assert_eq!(requests(&b, "type=received&status=1").await.len(), 1);
    assert!(
        requests(&a, "type=received").await.is_empty(),
        "the mirrored row is nobody's request"
    );
    assert!(
        requests(&b, "type=sent").await.is_empty(),
        "the mirrored row is nobody's request"
    );
}

#[tokio::test]
async fn an_answer_may_be_a_word_a_number_or_a_number_in_words() {
    let server = Server::shared().await;
    let a = server.user().await;
    for action in [json!("accept"), json!(1), json!("1")] {
        let b = server.user().await;
        let request = a.ask(&b).await;
        let data = answer(&b, &request, action).await.data();
        assert!(data["conversation"]["id"].is_string());
    }
    for action in [json!("reject"), json!(2), json!("2")] {
        let b = server.user().await;
        let request = a.ask(&b).await;
        answer(&b, &request, action).await.data();
        assert!(list(&b.get("/friends").await.data()["friends"]).is_empty());
    }
    let b = server.user().await;
    let request = a.ask(&b).await;
    for action in [json!("maybe"), json!(3), json!(null)] {
        answer(&b, &request, action)
            .await
            .refused(400, "INVALID_PARAMS");
    }
}

#[tokio::test]
async fn one_who_was_rejected_is_not_told_and_may_ask_again_after_a_while() {
    let Some(server) = Server::with(&["logic.limits.request_cooldown_s=5"]).await else {
        return;
    };
    let [a, b] = server.users().await;
    let mut socket = a.connect().await;
    let request = a.ask(&b).await;
    answer(&b, &request, json!("reject")).await.data();
    ask(&a, &b).await.refused(429, "RATE_LIMITED");
    let back = b.ask(&a).await;
    assert!(!back.is_empty(), "the one who refused may ask at once");
    answer(&a, &back, json!("reject")).await.data();
    let again = eventually("the cool-down ends", || async {
        let reply = ask(&a, &b).await;
        (reply.status == 201).then(|| text(&reply.body["data"]["request"]["id"]))
    })
    .await;
    answer(&b, &again, json!("accept")).await.data();
    socket.expect("friend-added").await;
}

#[tokio::test]
async fn a_friendship_that_ends_is_told_to_both_and_leaves_the_chat() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = text(&a.befriend(&b).await["conversation"]["id"]);
    let (mut of_a, mut of_b) = (a.connect().await, b.connect().await);
    let path = format!("/friends/{}", b.id);
    a.delete(&path).await.data();
    assert_eq!(of_a.expect("friend-removed").await["friendId"], b.id);
    let told = of_b.expect("friend-removed").await;
    assert_eq!(
        (&told["friendId"], &told["blocked"]),
        (&json!(a.id), &json!(false))
    );
    for user in [&a, &b] {
        assert!(list(&user.get("/friends").await.data()["friends"]).is_empty());
    }
    a.delete(&path).await.refused(403, "NOT_FRIENDS");
    b.say(&chat, "still here").await.data();
    of_a.hears("still here").await;
    assert_eq!(ask(&b, &a).await.status, 201, "no refusal, no cool-down");
}

#[tokio::test]
async fn a_block_ends_every_contact_and_is_told_to_own_devices_only() {
    let server = Server::shared().await;
    let [a, b, owner] = server.users().await;
    let chat = text(&a.befriend(&b).await["conversation"]["id"]);
    a.say(&chat, "before").await.data();
    b.history_of(&chat, 1).await;
    let (mut of_a, mut of_b) = (a.connect().await, b.connect().await);
    of_b.drain("new-message").await;
    let path = format!("/friends/{}/block", b.id);
    a.post(&path, json!({})).await.data();
    let blocked = of_a
        .expect_where("friend-removed", |d| d["blocked"] == true)
        .await;
    assert_eq!(blocked["friendId"], b.id);

    b.say(&chat, "hello?").await.refused(403, "FORBIDDEN");
    a.say(&chat, "no").await.refused(403, "FORBIDDEN");
    ask(&b, &a).await.refused(403, "FORBIDDEN");
    b.post("/conversations", json!({"type": 1, "members": [a.id]}))
        .await
        .refused(403, "FORBIDDEN");
    b.post(
        "/conversations",
        json!({"type": 2, "name": "trap", "members": [a.id]}),
    )
    .await
    .refused(403, "FORBIDDEN");
    let group = b.group("trap", &[&owner]).await;
    let members = format!("/conversations/{group}/members");
    let added = b.post(&members, json!({"members": [a.id]})).await.data();
    assert_eq!(added["failedUsers"][0]["code"], "FORBIDDEN", "{added}");

    // What b reads and writes isn't seen.
    of_a.drain("message-read").await;
    let read = format!("/conversations/{chat}/read");
    b.put(&read, json!({})).await.data();
    of_b.send("typing", json!({"conversationId": chat})).await;
    of_b.flush().await;
    owner.group("fence", &[&a, &b]).await;
    of_a.expect("conversation-updated").await;
    assert!(of_a.drain("message-read").await.is_empty());
    assert!(of_a.drain("typing-indicator").await.is_empty());
    let told = of_b.drain("friend-removed").await;
    assert!(told.iter().all(|d| d["blocked"] == false), "{told:?}");

    let blocked = async |of: &User| of.get("/friends/blocked").await.data()["blocked"].clone();
    let listed = blocked(&a).await;
    assert_eq!(list(&listed).len(), 1, "{listed}");
    assert_eq!(listed[0]["friendId"], b.id);
    assert_eq!(listed[0]["friend"]["username"], b.name);
    assert_eq!(
        (&listed[0]["status"], &listed[0]["online"]),
        (&json!(3), &json!(false))
    );
    assert_eq!(blocked(&b).await, json!([]), "who blocked whom isn't told");

    a.delete(&path).await.data();
    assert_eq!(blocked(&a).await, json!([]));
    b.say(&chat, "friends again?").await.data();
    of_a.hears("friends again?").await;
    assert!(list(&a.get("/friends").await.data()["friends"]).is_empty());
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    ask(&a, &a).await.refused(400, "CANNOT_ADD_SELF_AS_FRIEND");
    a.post("/friends/requests", json!({"targetUserId": "123456"}))
        .await
        .refused(404, "USER_NOT_FOUND");
    a.post("/friends/requests", json!({}))
        .await
        .refused(400, "INVALID_PARAMS");
    let request = a.ask(&b).await;
    ask(&a, &b)
        .await
        .refused(409, "FRIEND_REQUEST_ALREADY_EXISTS");
    ask(&b, &a)
        .await
        .refused(409, "FRIEND_REQUEST_ALREADY_EXISTS");
    answer(&b, &request, json!("accept")).await.data();
    ask(&a, &b).await.refused(409, "ALREADY_FRIENDS");
    ask(&b, &a).await.refused(409, "ALREADY_FRIENDS");
}

#[tokio::test]
async fn only_the_one_who_was_asked_answers_and_only_once() {
    let server = Server::shared().await;
    let [a, b, stranger] = server.users().await;
    let request = a.ask(&b).await;
    answer(&a, &request, json!("accept"))
        .await
        .refused(403, "FORBIDDEN");
    let reply = answer(&stranger, &request, json!("accept")).await;
    assert!([403, 404].contains(&reply.status), "{}", reply.body);
    answer(&b, "123456", json!("accept"))
        .await
        .refused(404, "FRIEND_REQUEST_NOT_FOUND");
    answer(&b, &request, json!("accept")).await.data();
    answer(&b, &request, json!("accept"))
        .await
        .refused(409, "FRIEND_REQUEST_ALREADY_HANDLED");
    answer(&b, &request, json!("reject"))
        .await
        .refused(409, "FRIEND_REQUEST_ALREADY_HANDLED");
}

#[tokio::test]
async fn of_two_answers_at_once_one_counts() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let request = a.ask(&b).await;
    let (yes, no) = tokio::join!(
        answer(&b, &request, json!("accept")),
        answer(&b, &request, json!("reject"))
    );
    let accepted = yes.status == 200;
    assert_eq!(
        [yes.status, no.status]
            .iter()
            .filter(|s| **s == 200)
            .count(),
        1,
        "{yes:?} {no:?}"
    );
    let friends = a.get("/friends").await.data();
    assert_eq!(list(&friends["friends"]).len(), usize::from(accepted));
}

#[tokio::test]
async fn two_who_ask_each_other_at_once_leave_one_request() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let (x, y) = tokio::join!(ask(&a, &b), ask(&b, &a));
    let made = [&x, &y].iter().filter(|r| r.status == 201).count();
    assert_eq!(made, 1, "{} {}", x.body, y.body);
}

#[tokio::test]
async fn friends_who_had_a_chat_keep_it() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    a.say(&chat, "before").await.data();
    let data = a.befriend(&b).await;
    assert_eq!(data["conversation"]["id"], chat);
    assert_eq!(b.history_of(&chat, 1).await.len(), 1);
}
