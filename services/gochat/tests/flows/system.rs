//! System messages: what happens to a group stands in its timeline, once, for every member.

use gochat_proto::im::logic::v1::SendMessageRequest;
use gochat_proto::im::repo::v1::conversation_service_client::ConversationServiceClient;
use gochat_proto::im::repo::v1::{AddConversationMemberRequest, ListOwedMessagesRequest};
use prost::Message as _;
use serde_json::{Value, json};

use crate::kit::{Server, User, call_rpc, eventually, list, now, seqs, text};

/// A group that tells what happens to it.
async fn group(by: &User, name: &str, members: &[&User]) -> String {
    let ids: Vec<&str> = members.iter().map(|m| m.id.as_str()).collect();
    let settings = json!({"group_settings": {"system_messages": true}});
    let body = json!({"type": 2, "name": name, "members": ids, "settings": settings});
    text(&by.post("/conversations", body).await.data()["id"])
}

/// What a message tells, with its author.
fn told(message: &Value) -> (String, Value) {
    assert_eq!(message["messageType"], 4, "{message}");
    let content = serde_json::from_str(&text(&message["content"]));
    let author = message["senderId"]
        .as_str()
        .or(message["sender"]["id"].as_str());
    let author = author.expect("an author").to_owned();
    (author, content.expect("JSON text"))
}

/// The history of a group that is known to hold so many messages, each told.
async fn history(user: &User, group: &str, count: usize) -> Vec<(String, Value)> {
    let all = eventually("the history holds them", || async {
        let all = user.history(group).await;
        (all.len() >= count).then_some(all)
    });
    let all = all.await;
    let numbers: Vec<i64> = (1..).take(count).collect();
    assert_eq!(seqs(&all), numbers, "{all:?}");
    all.iter().map(told).collect()
}

async fn edit(by: &User, group: &str, body: Value) {
    by.put(&format!("/conversations/{group}"), body)
        .await
        .data();
}

#[tokio::test]
async fn each_change_is_told_once_in_order_to_members_who_are_there_and_who_were_away() {
    let [a, b, c, d] = Server::shared().await.users().await;
    let g = group(&a, "Tea", &[&b]).await;
    let of = |rest: &str| format!("/conversations/{g}{rest}");
    let member = |user: &User| of(&format!("/members/{}", user.id));
    let mut socket = b.connect().await;
    a.post(&of("/members"), json!({"members": [c.id]}))
        .await
        .data_with(201);
    edit(&a, &g, json!({"name": "Hikers"})).await;
    edit(&a, &g, json!({"avatarUrl": "https://example.org/g.png"})).await;
    let settings = json!({"announcement": "At noon", "slow_mode": 1});
    edit(&a, &g, json!({"settings": {"group_settings": settings}})).await;
    a.put(&member(&c), json!({"role": 2})).await.data();
    let until = now() + 3_600;
    a.put(
        &of(&format!("/members/{}/mute", b.id)),
        json!({"until": until}),
    )
    .await
    .data();
    a.put(
        &of(&format!("/members/{}/mute", b.id)),
        json!({"until": null}),
    )
    .await
    .data();
    let link = a.post(&of("/invitations"), json!({})).await.data_with(201);
    let accept = format!("/invitations/{}/accept", text(&link["code"]));
    d.post(&accept, json!({})).await.data();
    d.delete(&member(&d)).await.data();
    a.delete(&member(&c)).await.data();
    a.put(&member(&b), json!({"role": 3})).await.data();
    let expected = [
        (
            &a,
            json!({"kind": "created", "title": "Tea", "users": [b.id], "count": 1}),
        ),
        (
            &a,
            json!({"kind": "joined", "users": [c.id], "count": 1, "how": "added"}),
        ),
        (&a, json!({"kind": "renamed", "title": "Hikers"})),
        (&a, json!({"kind": "avatar"})),
        (&a, json!({"kind": "announcement"})),
        (&a, json!({"kind": "settings", "changed": ["slow_mode"]})),
        (&a, json!({"kind": "role", "user": c.id, "role": "admin"})),
        (&a, json!({"kind": "muted", "user": b.id, "until": until})),
        (&a, json!({"kind": "unmuted", "user": b.id})),
        (
            &d,
            json!({"kind": "joined", "users": [d.id], "count": 1, "how": "link"}),
        ),
        (&d, json!({"kind": "left"})),
        (&a, json!({"kind": "removed", "users": [c.id], "count": 1})),
        (&a, json!({"kind": "owner", "user": b.id})),
    ];
    let expected = expected.map(|(by, what)| (by.id.clone(), what));
    assert_eq!(history(&a, &g, expected.len()).await, expected);
    assert_eq!(history(&b, &g, expected.len()).await, expected, "away");
    // The first one may have been before the socket was there.
    let mut pushed = Vec::new();
    while pushed.last() != Some(&expected[12]) {
        let frame = socket.expect("new-message").await;
        pushed.push(told(&frame));
    }
    assert_eq!(pushed, expected[expected.len() - pushed.len()..]);
    assert!(pushed.len() >= 12, "{pushed:?}");
}

#[tokio::test]
async fn a_new_member_sees_who_came_and_who_was_removed_sees_nothing_later() {
    let [a, b, c] = Server::shared().await.users().await;
    let g = group(&a, "Tea", &[&c]).await;
    history(&a, &g, 1).await;
    let (mut new, mut gone) = (b.connect().await, c.connect().await);
    let path = format!("/conversations/{g}/members");
    a.delete(&format!("{path}/{}", c.id)).await.data();
    history(&a, &g, 2).await;
    a.post(&path, json!({"members": [b.id]})).await.data();
    let frame = new.expect("new-message").await;
    let joined = json!({"kind": "joined", "users": [b.id], "count": 1, "how": "added"});
    assert_eq!(told(&frame), (a.id.clone(), joined));
    assert_eq!(frame["seqId"], 3);
    history(&b, &g, 3).await;
    assert_eq!(b.unread(&g).await, 1, "it joined behind the removal");
    assert_eq!(a.unread(&g).await, 0, "what one did is read");
    gone.flush().await;
    let heard = gone.drain("new-message").await;
    assert_eq!(heard, [] as [Value; 0]);
}

#[tokio::test]
async fn a_repeat_and_a_quiet_group_tell_nothing() {
    let [a, b, c] = Server::shared().await.users().await;
    let g = group(&a, "Tea", &[&b]).await;
    let path = format!("/conversations/{g}/members");
    for _ in 0..2 {
        // The second one finds the member there already.
        a.post(&path, json!({"members": [c.id]})).await;
        edit(&a, &g, json!({"name": "Hikers"})).await;
        a.put(&format!("{path}/{}", b.id), json!({"role": 2}))
            .await
            .data();
        let mute = format!("{path}/{}/mute", c.id);
        a.put(&mute, json!({"until": 0})).await.data();
    }
    let all = history(&a, &g, 5).await;
    let kinds: Vec<_> = all.iter().map(|(_, what)| text(&what["kind"])).collect();
    assert_eq!(kinds, ["created", "joined", "renamed", "role", "muted"]);
    let quiet = json!({"group_settings": {"system_messages": false}});
    edit(&a, &g, json!({"settings": quiet})).await;
    a.delete(&format!("{path}/{}", c.id)).await.data();
    // Settings without the key leave it as it is.
    edit(
        &a,
        &g,
        json!({"settings": {"group_settings": {"slow_mode": 1}}}),
    )
    .await;
    let sent = a.say(&g, "and so on").await.data();
    assert_eq!(sent["seqId"], 6, "{sent}");
}

/// Over HTTP, by socket and by gRPC; neither the type nor the client ids of the server are theirs.
#[tokio::test]
async fn a_client_writes_no_system_message() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let g = a.group("Tea", &[&b]).await;
    let path = format!("/conversations/{g}/messages");
    let content = r#"{"kind":"renamed","title":"Mine"}"#;
    let forged = json!({"messageType": 4, "content": content});
    a.post(&path, forged.clone())
        .await
        .refused(400, "UNSUPPORTED_MESSAGE_TYPE");
    let id = "system:1-1700000000000";
    a.say_as(&g, "hello", id)
        .await
        .refused(400, "INVALID_PARAMS");
    let mut socket = a.connect().await;
    for (kind, client_id, code) in [
        (4, "c-1", "UNSUPPORTED_MESSAGE_TYPE"),
        (1, id, "INVALID_PARAMS"),
        (4, id, "UNSUPPORTED_MESSAGE_TYPE"),
    ] {
        let data = json!({"conversationId": g, "messageType": kind, "content": content, "client_msg_id": client_id});
        socket.send("send-message", data).await;
        assert_eq!(socket.expect("error").await["code"], code);
    }
    if let Some(logic) = server.logic() {
        for (kind, client_id, code) in [
            (4, "c-1", "UNSUPPORTED_MESSAGE_TYPE"),
            (1, id, "INVALID_PARAMS"),
        ] {
            let request = SendMessageRequest {
                user_id: a.id.clone(),
                conversation_id: g.clone(),
                r#type: kind,
                content: content.to_owned(),
                client_msg_id: client_id.to_owned(),
                ..Default::default()
            };
            let send = "/im.logic.v1.MessageService/SendMessage";
            let answer = call_rpc(logic.clone(), send, request.encode_to_vec()).await;
            assert_eq!(answer.unwrap_err().code, code);
        }
    }
    assert_eq!(a.say(&g, "hello").await.data()["seqId"], 1);
}

#[tokio::test]
async fn nobody_changes_a_system_message() {
    let [a, b] = Server::shared().await.users().await;
    let g = group(&a, "Tea", &[&b]).await;
    history(&a, &g, 1).await;
    let id = text(&a.history(&g).await[0]["id"]);
    let at = format!("/conversations/{g}/messages/{id}");
    let code = "UNSUPPORTED_MESSAGE_TYPE";
    a.put(&at, json!({"content": "Mine"}))
        .await
        .refused(400, code);
    a.delete(&at).await.refused(400, code);
    let emoji = format!("{at}/reactions/%F0%9F%91%8D");
    b.put(&emoji, json!({})).await.refused(400, code);
    let pin = format!("/conversations/{g}/pins/{id}");
    a.put(&pin, json!({})).await.refused(400, code);
    let passed = json!({"forwardedFrom": {"conversationId": g, "messageId": id}});
    let chat = a.chat_with(&b).await;
    a.post(&format!("/conversations/{chat}/messages"), passed)
        .await
        .refused(400, code);
    let answer = json!({"messageType": 1, "content": "well done", "replyTo": id});
    let answer = a
        .post(&format!("/conversations/{g}/messages"), answer)
        .await;
    let quote = &answer.data()["replyTo"];
    assert_eq!(
        (&quote["messageType"], &quote["excerpt"]),
        (&json!(4), &Value::Null)
    );
}

/// An instance that died between the commit of a command and its message leaves a row: here
/// im-repo is told of the command by nobody who would send it.
#[tokio::test]
async fn what_was_left_behind_is_sent_once_by_a_sweep() {
    let quick = ["logic.limits.system_sweep_ms=200"];
    let Some(server) = Server::with(&quick).await else {
        return;
    };
    let [a, b, c] = server.users().await;
    let g = group(&a, "Tea", &[&b]).await;
    history(&a, &g, 1).await;
    let mut repo = ConversationServiceClient::new(server.repo().unwrap());
    for user in [&c.id, &c.id] {
        let add = AddConversationMemberRequest {
            conversation_id: g.clone(),
            user_ids: vec![user.clone()],
            operator_id: a.id.clone(),
            ..Default::default()
        };
        repo.add_conversation_member(add).await.unwrap();
    }
    let all = history(&a, &g, 2).await;
    let joined = json!({"kind": "joined", "users": [c.id], "count": 1, "how": "added"});
    assert_eq!(all[1], (a.id.clone(), joined));
    eventually("nothing is owed any more", || async {
        let mut repo = repo.clone();
        let owed = repo.list_owed_messages(ListOwedMessagesRequest::default());
        owed.await
            .unwrap()
            .into_inner()
            .messages
            .is_empty()
            .then_some(())
    })
    .await;
    // The sweep announced the new facts as well: the new member may speak.
    assert_eq!(c.say(&g, "thank you").await.data()["seqId"], 3);
    let listed = list(&a.get(&format!("/conversations/{g}/members")).await.data()["members"]).len();
    assert_eq!(listed, 3);
}

/// Rows of a server that stopped in between are sent by the next one, under the same ids.
#[tokio::test]
async fn what_a_restart_interrupts_is_told_once() {
    let Some(mut server) = Server::with(&["logic.limits.system_sweep_ms=3600000"]).await else {
        return;
    };
    let [a, b] = server.users().await;
    let g = group(&a, "Tea", &[&b]).await;
    for n in 0..8 {
        edit(&a, &g, json!({"name": format!("Tea {n}")})).await;
    }
    server.restart().await;
    // No sweep comes in this test: the next change of the group takes along what is still owed.
    let a = server.known(&a);
    edit(&a, &g, json!({"name": "Coffee"})).await;
    let titles: Vec<_> = history(&a, &g, 10).await;
    let titles: Vec<_> = titles
        .iter()
        .map(|(_, what)| text(&what["title"]))
        .collect();
    let mut expected = vec!["Tea".to_owned()];
    expected.extend((0..8).map(|n| format!("Tea {n}")));
    expected.push("Coffee".to_owned());
    assert_eq!(titles, expected);
}

#[tokio::test]
async fn a_pin_is_told_once_whoever_made_it_how() {
    let [a, b] = Server::shared().await.users().await;
    let g = group(&a, "Tea", &[&b]).await;
    history(&b, &g, 1).await;
    let sent = a.say(&g, "look").await.data();
    let other = a.say(&g, "here").await.data();
    let pin = |message: &Value| format!("/conversations/{g}/pins/{}", text(&message["id"]));
    a.put(&pin(&sent), json!({})).await.data();
    let mut socket = a.connect().await;
    let wish = json!({"conversationId": g, "messageId": other["id"], "client_msg_id": "p"});
    socket.send("pin-message", wish).await;
    socket.expect("change-ack").await;
    // On top again, and off: no news.
    a.put(&pin(&sent), json!({})).await.data();
    a.delete(&pin(&sent)).await.data();
    let told = async || {
        let all = b.history(&g).await;
        let system = all.iter().filter(|m| m["messageType"] == 4).map(told);
        let pins = system.filter(|(_, content)| content["kind"] == "pinned");
        let pins = pins.map(|(by, content)| (by, text(&content["messageId"])));
        pins.collect::<Vec<_>>()
    };
    let all = eventually("both are told", || async {
        let all = told().await;
        (all.len() >= 2).then_some(all)
    });
    let mut all = all.await;
    all.sort();
    let mut expected = [&sent, &other].map(|m| (a.id.clone(), text(&m["id"])));
    expected.sort();
    assert_eq!(all, expected);
}
