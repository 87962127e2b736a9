//! What messages refer to: answers, users they name, messages that are passed on.

use serde_json::{Value, json};

use crate::kit::{Reply, Server, User, eventually, text};

async fn send(user: &User, chat: &str, body: Value) -> Reply {
    user.post(&format!("/conversations/{chat}/messages"), body)
        .await
}

fn says(text: &str, more: Value) -> Value {
    let mut body = json!({"messageType": 1, "content": text});
    let fields = body.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    body
}

/// The newest message of history.
async fn newest(user: &User, chat: &str) -> Value {
    user.history(chat).await.pop().expect("a message")
}

async fn allow(owner: &User, group: &str, settings: Value) {
    let body = json!({"settings": {"group_settings": settings}});
    let path = format!("/conversations/{group}");
    owner.put(&path, body).await.data();
}

#[tokio::test]
async fn an_answer_shows_what_it_answers_as_that_is_now() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let first = a.say(&chat, &"ä".repeat(150)).await.data();
    let quote = |excerpt: Option<&str>, state: &str| {
        let mut quote = json!({"messageId": first["id"], "seqId": 1, "senderId": a.id, "messageType": 1, "state": state});
        if let Some(excerpt) = excerpt {
            quote["excerpt"] = json!(excerpt);
        }
        quote
    };
    let whole = quote(Some(&"ä".repeat(100)), "normal");
    let mut reader = a.connect().await;
    // Read first: its row is there, and pushes show what it says.
    assert_eq!(b.history_of(&chat, 1).await.len(), 1);
    let answer = says("so it is", json!({"replyTo": first["id"]}));
    let sent = send(&b, &chat, answer).await.data_with(201);
    assert_eq!(sent["replyTo"], whole);
    assert_eq!(reader.hears("so it is").await["replyTo"], whole);
    for user in [&a, &b] {
        assert_eq!(newest(user, &chat).await["replyTo"], whole);
    }
    let path = format!("/conversations/{chat}/messages/{}", text(&first["id"]));
    a.put(&path, json!({"content": "better"})).await.data();
    assert_eq!(
        newest(&b, &chat).await["replyTo"],
        quote(Some("better"), "edited")
    );
    let mut own = b.connect().await;
    let wish = json!({"conversationId": chat, "content": "indeed", "messageType": 1,
        "client_msg_id": "r", "replyTo": first["id"]});
    own.send("send-message", wish).await;
    own.acked("r").await;
    let pushed = reader.hears("indeed").await;
    assert_eq!(pushed["replyTo"], quote(Some("better"), "edited"));
    a.delete(&path).await.data();
    let recalled = quote(None, "recalled");
    assert_eq!(newest(&b, &chat).await["replyTo"], recalled);
    let changes = format!("/conversations/{chat}/changes?after_rev=0");
    let changes = b.get(&changes).await.data();
    assert!(
        changes["messages"]
            .as_array()
            .unwrap()
            .iter()
            .any(|m| m["replyTo"] == recalled)
    );
    // An answer that is taken back refers to nothing.
    let path = format!("/conversations/{chat}/messages/{}", text(&sent["id"]));
    b.delete(&path).await.data();
    let gone = b
        .history(&chat)
        .await
        .into_iter()
        .find(|m| m["id"] == sent["id"]);
    assert!(gone.unwrap()["replyTo"].is_null());
}

#[tokio::test]
async fn only_messages_of_the_same_conversation_are_answered() {
    let server = Server::shared().await;
    let [a, b, c] = server.users().await;
    let (chat, other) = (a.chat_with(&b).await, a.chat_with(&c).await);
    let elsewhere = a.say(&other, "elsewhere").await.data();
    for id in [elsewhere["id"].clone(), json!("12345"), json!("no id")] {
        let answer = says("what?", json!({"replyTo": id}));
        send(&b, &chat, answer)
            .await
            .refused(404, "MESSAGE_NOT_FOUND");
    }
    assert!(b.history(&chat).await.is_empty());
    let now = a.say(&chat, "now").await.data();
    // Its row may be on its way: the answer stands all the same.
    let answer = says("then", json!({"replyTo": now["id"]}));
    let sent = send(&b, &chat, answer).await.data();
    assert_eq!(sent["replyTo"]["seqId"], 1);
    assert_eq!(newest(&a, &chat).await["replyTo"]["excerpt"], "now");
}

#[tokio::test]
async fn members_are_named_and_counted_until_they_read() {
    let server = Server::shared().await;
    let [a, b, c, stranger] = server.users().await;
    let group = a.group("names", &[&b, &c]).await;
    let mut reader = b.connect().await;
    let named = json!({"mentions": [b.id, stranger.id, a.id]});
    let sent = send(&a, &group, says("@b", named)).await.data();
    let mut members = [&a.id, &b.id].map(|id| id.parse::<u64>().unwrap());
    members.sort_unstable();
    let members = json!(members.map(|id| id.to_string()));
    assert_eq!(sent["mentions"], members);
    assert_eq!(reader.hears("@b").await["mentions"], members);
    a.say(&group, "plain").await.data();
    let mentions = async |user: &User| user.listed(&group).await.unwrap()["unreadMentions"].clone();
    // Who wasn't told of a message may read the list before its row is there.
    let count_becomes = async |user: &User, count: i64| {
        let is_it = async || (mentions(user).await == count).then_some(());
        eventually(&format!("{count} unread mentions"), is_it).await;
    };
    b.unread_becomes(&group, 2).await;
    c.unread_becomes(&group, 2).await;
    assert_eq!(mentions(&b).await, 1);
    assert_eq!(
        (mentions(&c).await, mentions(&a).await),
        (json!(0), json!(0))
    );
    // Everybody: by the owner, not by members, unless the group says so.
    let everybody = |text: &str| says(text, json!({"mentionAll": true, "mentions": [b.id]}));
    let refused = send(&b, &group, everybody("@all")).await;
    refused.refused(403, "INSUFFICIENT_PERMISSION");
    let all = send(&a, &group, everybody("@all")).await.data();
    assert_eq!(all["mentionAll"], true);
    assert_eq!(reader.hears("@all").await["mentionAll"], true);
    b.unread_becomes(&group, 3).await;
    assert_eq!(mentions(&b).await, 2);
    count_becomes(&c, 1).await;
    allow(&a, &group, json!({"members_mention_all": true})).await;
    send(&b, &group, everybody("me too")).await.data();
    count_becomes(&c, 2).await;
    let detail = c.get(&format!("/conversations/{group}")).await.data();
    assert_eq!(detail["unreadMentions"], 2);
    // What is taken back names nobody.
    let path = format!("/conversations/{group}/messages/{}", text(&all["id"]));
    a.delete(&path).await.data();
    count_becomes(&c, 1).await;
    let read = format!("/conversations/{group}/read");
    c.put(&read, json!({})).await.data();
    assert_eq!(mentions(&c).await, 0);
}

#[tokio::test]
async fn too_many_and_nobody_are_refused_as_names() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let many: Vec<String> = (1..=51).map(|id| id.to_string()).collect();
    let refused = send(&a, &chat, says("all of you", json!({"mentions": many}))).await;
    refused.refused(400, "INVALID_PARAMS");
    let refused = send(&a, &chat, says("you", json!({"mentions": ["me"]}))).await;
    refused.refused(404, "USER_NOT_FOUND");
    for place in [&*chat, "world"] {
        let refused = send(&a, place, says("all", json!({"mentionAll": true}))).await;
        refused.refused(403, "INSUFFICIENT_PERMISSION");
    }
    let mut socket = a.connect().await;
    let wish = json!({"conversationId": chat, "content": "you", "messageType": 1,
        "client_msg_id": "m", "mentions": "all"});
    socket.send("send-message", wish).await;
    let error = socket.expect("error").await;
    assert_eq!(error["message"], "`mentions` must be a list of texts.");
}

#[tokio::test]
async fn a_message_is_passed_on_by_who_may_read_it() {
    let server = Server::shared().await;
    let [a, b, c, d] = server.users().await;
    let group = a.group("source", &[&b]).await;
    let (chat, last) = (b.chat_with(&c).await, c.chat_with(&d).await);
    let body = json!({"messageType": 2, "content": "{\"url\":\"x\"}", "extra": "{\"w\":1}"});
    let source = send(&a, &group, body).await.data();
    let pass_on = |from: &str, id: &Value| json!({"forwardedFrom": {"conversationId": from, "messageId": id}});
    let mut reader = c.connect().await;
    let sent = send(&b, &chat, pass_on(&group, &source["id"])).await.data();
    let origin = json!({"messageId": source["id"], "conversationId": group, "senderId": a.id, "senderName": a.name});
    let expected = (
        json!(2),
        json!("{\"url\":\"x\"}"),
        json!("{\"w\":1}"),
        origin,
    );
    let of = |m: &Value| {
        let of = |field: &str| m[field].clone();
        (
            of("messageType"),
            of("content"),
            of("extra"),
            of("forwardedFrom"),
        )
    };
    assert_eq!(of(&sent), expected);
    assert_eq!(sent["senderId"], json!(b.id));
    assert_eq!(of(&reader.expect("new-message").await), expected);
    assert_eq!(of(&newest(&c, &chat).await), expected);
    // Once more, by socket: the first author is named, and no single chat.
    let mut socket = c.connect().await;
    let wish = json!({"conversationId": last, "client_msg_id": "f",
        "forwardedFrom": {"conversationId": chat, "messageId": sent["id"]}});
    socket.send("send-message", wish.clone()).await;
    socket.acked("f").await;
    let origin = json!({"messageId": sent["id"], "senderId": a.id, "senderName": a.name});
    assert_eq!(newest(&d, &last).await["forwardedFrom"], origin);
    socket.send("send-message", wish).await;
    assert_eq!(socket.acked("f").await["seqId"], 1);
    // Nobody passes on what they can't read, or what was taken back.
    let refused = send(&d, &last, pass_on(&group, &source["id"])).await;
    refused.refused(403, "NOT_CONVERSATION_MEMBER");
    let wish = json!({"conversationId": last, "client_msg_id": "g",
        "forwardedFrom": {"conversationId": group, "messageId": source["id"]}});
    socket.send("send-message", wish).await;
    let is_it = |e: &Value| e["details"]["client_msg_id"] == "g";
    let error = socket.expect_where("error", is_it).await;
    assert_eq!(error["code"], "NOT_CONVERSATION_MEMBER");
    let mut once = pass_on(&group, &source["id"]);
    once["client_msg_id"] = json!("once");
    let first = send(&b, &chat, once.clone()).await.data_with(201);
    let path = format!("/conversations/{group}/messages/{}", text(&source["id"]));
    a.delete(&path).await.data();
    // What was accepted before is acknowledged again.
    let again = send(&b, &chat, once).await.data_with(201);
    assert_eq!(
        (&again["id"], &again["seqId"]),
        (&first["id"], &first["seqId"])
    );
    let refused = send(&b, &chat, pass_on(&group, &source["id"])).await;
    refused.refused(409, "MESSAGE_RECALLED");
    // What was passed on stays.
    assert_eq!(of(&newest(&c, &chat).await), expected);
}

#[tokio::test]
async fn newcomers_see_no_quote_of_what_they_may_not_read() {
    let server = Server::shared().await;
    let [a, b, c] = server.users().await;
    let group = a.group("hidden", &[&b]).await;
    allow(&a, &group, json!({"allow_member_view_history": false})).await;
    let secret = a.say(&group, "secret").await.data();
    // Seconds tell what was before.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let members = format!("/conversations/{group}/members");
    a.post(&members, json!({"members": [c.id]})).await.data();
    let mut reader = c.connect().await;
    let answer = says("it is", json!({"replyTo": secret["id"]}));
    let sent = send(&b, &group, answer).await.data();
    let pushed = reader.hears("it is").await;
    let shown = newest(&c, &group).await;
    for message in [&pushed, &shown] {
        assert_eq!(message["replyTo"]["messageId"], secret["id"]);
        assert!(message["replyTo"]["excerpt"].is_null(), "{message}");
    }
    let changes = format!("/conversations/{group}/changes?after_rev=0");
    let changes = c.get(&changes).await.data().to_string();
    assert!(changes.contains("it is") && !changes.contains("secret"));
    let around = format!("/conversations/{group}/messages?around_seq=2");
    assert!(!c.get(&around).await.body.to_string().contains("secret"));
    // Admins and the owner read all of it.
    assert_eq!(newest(&a, &group).await["replyTo"]["excerpt"], "secret");
    let pass_on = json!({"forwardedFrom": {"conversationId": group, "messageId": secret["id"]}});
    let own = c.chat_with(&a).await;
    let refused = send(&c, &own, pass_on).await;
    refused.refused(404, "MESSAGE_NOT_FOUND");
    assert_eq!(sent["seqId"], 2);
}
