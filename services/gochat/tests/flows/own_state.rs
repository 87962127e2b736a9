//! Own state of a conversation: silence, pin, archive, mark as unread, draft.

use serde_json::{Value, json};

use crate::kit::{Server, Socket, User, eventually, list, now, texts};

async fn put_my(user: &User, conversation: &str, body: Value) -> Value {
    let path = format!("/conversations/{conversation}/my");
    user.put(&path, body).await.data_with(200)
}

/// The state as list and detail tell it.
async fn states(user: &User, conversation: &str) -> [Value; 2] {
    let listed = user.listed(conversation).await.expect("it is on the list");
    let detail = user.get(&format!("/conversations/{conversation}")).await;
    [listed["my"].clone(), detail.data()["my"].clone()]
}

async fn told(socket: &mut Socket, conversation: &str, version: i64) -> Value {
    let frame = socket
        .expect_where("conversation-state", |d| d["my"]["version"] == version)
        .await;
    assert_eq!(frame["conversationId"], conversation);
    frame["my"].clone()
}

#[tokio::test]
async fn a_change_names_what_it_changes_and_answers_the_whole_state() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let (chat, group) = (a.chat_with(&b).await, a.group("mine", &[&b]).await);
    let until = now() + 3_600;
    for id in [chat.as_str(), &group, "world"] {
        let fresh =
            json!({"pinned": false, "archived": false, "markedUnread": false, "version": 0});
        assert_eq!(states(&a, id).await, [fresh.clone(), fresh]);
        let first = put_my(&a, id, json!({"pinned": true, "draft": "I wanted"})).await;
        assert_eq!(
            first,
            json!({"pinned": true, "archived": false, "markedUnread": false,
                   "draft": "I wanted", "version": 1})
        );
        let repeat = put_my(&a, id, json!({"pinned": true, "draft": "I wanted"})).await;
        assert_eq!(repeat, first, "repeating changes nothing");
        let more = json!({"muteUntil": until, "archived": true, "markedUnread": true});
        let second = put_my(&a, id, more).await;
        assert_eq!(
            second,
            json!({"muteUntil": until, "pinned": true, "archived": true, "markedUnread": true,
                   "draft": "I wanted", "version": 2})
        );
        assert_eq!(states(&a, id).await, [second.clone(), second]);
        let cleared = put_my(&a, id, json!({"muteUntil": null, "draft": null})).await;
        assert!(cleared["muteUntil"].is_null() && cleared["draft"].is_null());
        assert_eq!(
            (&cleared["pinned"], &cleared["version"]),
            (&json!(true), &json!(3))
        );
        assert_eq!(
            put_my(&a, id, json!({"muteUntil": 0})).await["muteUntil"],
            0
        );
        assert_eq!(states(&b, id).await[0]["version"], 0, "of the user alone");
    }
}

#[tokio::test]
async fn other_devices_are_told_and_who_was_away_finds_it_in_the_sync() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let quiet = a.group("quiet", &[&b]).await;
    let before = now();
    eventually("two later seconds", || async {
        (now() > before + 1).then_some(())
    })
    .await;
    let since = now();
    let mut phone = a.connect_device("phone").await;
    let mut laptop = a.connect_device("laptop").await;
    let mut other = b.connect().await;
    let state = put_my(&a, &chat, json!({"pinned": true, "draft": "hel"})).await;
    for socket in [&mut phone, &mut laptop] {
        assert_eq!(told(socket, &chat, 1).await, state);
    }
    let sync = a
        .get(&format!("/conversations?last_sync={since}"))
        .await
        .data();
    let entries = list(&sync["conversations"]);
    assert_eq!(texts(entries, "id"), [chat.as_str()], "{sync}");
    assert_eq!(entries[0]["my"], state);
    let other_sync = b
        .get(&format!("/conversations?last_sync={since}"))
        .await
        .data();
    assert_eq!(other_sync["conversations"], json!([]), "no news of others");
    other.flush().await;
    assert!(other.drain("conversation-state").await.is_empty());
    let whole = a.conversations().await;
    let order = texts(&whole, "id");
    assert_eq!(order[..2], [quiet, chat], "the order is that of activity");
}

#[tokio::test]
async fn reading_ends_the_mark_and_a_message_leaves_the_archive_alone() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    b.say(&chat, "read me").await.data();
    a.history_of(&chat, 1).await;
    let read = async |user: &User| {
        let path = format!("/conversations/{chat}/read");
        user.put(&path, json!({"seqId": 1})).await.data_with(200);
    };
    read(&a).await;
    let mut socket = a.connect().await;
    put_my(&a, &chat, json!({"markedUnread": true, "archived": true})).await;
    assert_eq!(told(&mut socket, &chat, 1).await["markedUnread"], true);
    read(&b).await;
    assert_eq!(states(&a, &chat).await[0]["markedUnread"], true);
    read(&a).await;
    let after = told(&mut socket, &chat, 2).await;
    assert_eq!(
        (&after["markedUnread"], &after["archived"]),
        (&json!(false), &json!(true))
    );
    b.say(&chat, "again").await.data();
    a.history_of(&chat, 2).await;
    let [listed, detail] = states(&a, &chat).await;
    assert_eq!((&listed, &detail), (&after, &after));
    put_my(&a, &chat, json!({"markedUnread": true})).await;
    socket
        .send("mark-read", json!({"conversationId": chat, "seqId": 2}))
        .await;
    assert_eq!(told(&mut socket, &chat, 4).await["markedUnread"], false);
}

#[tokio::test]
async fn a_state_has_bounds() {
    let server = Server::shared().await;
    let [a, stranger] = server.users().await;
    let group = a.group("bounds", &[]).await;
    let path = format!("/conversations/{group}/my");
    for wrong in [
        json!({}),
        json!({"pinned": null}),
        json!({"pinned": 1}),
        json!({"muteUntil": -1}),
        json!({"muteUntil": 999_999_999_999_i64}),
        json!({"muteUntil": "soon"}),
        json!({"draft": 5}),
    ] {
        let refused = a.put(&path, wrong).await;
        refused.refused(400, "INVALID_PARAMS");
    }
    let long = json!({"draft": "é".repeat(5_001)});
    a.put(&path, long).await.refused(400, "MESSAGE_TOO_LARGE");
    let full = "é".repeat(5_000);
    let stored = put_my(&a, &group, json!({"draft": full})).await;
    assert_eq!(stored["draft"], full);
    let past = put_my(&a, &group, json!({"muteUntil": now() - 5})).await;
    assert!(
        past["muteUntil"].is_null(),
        "a silence that is over is none"
    );
    stranger
        .put(&path, json!({"pinned": true}))
        .await
        .refused(403, "NOT_CONVERSATION_MEMBER");
    a.put("/conversations/g_1234567890/my", json!({"pinned": true}))
        .await
        .refused(404, "CONVERSATION_NOT_FOUND");
}
