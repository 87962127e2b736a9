//! Messages that a user deleted for themselves, and conversations that a user cleared.

use gochat_client::Credentials;
use gochat_client::api::Api;
use gochat_core::ids::{ConversationId, MessageId};
use serde_json::{Value, json};

use crate::kit::{PASSWORD, Reply, Server, Socket, User, list, text};

async fn delete_for_me(user: &User, chat: &str, message: &Value) -> Reply {
    let id = text(&message["id"]);
    user.delete(&format!("/conversations/{chat}/messages/{id}?for=me"))
        .await
}

async fn clear(user: &User, chat: &str, query: &str) -> Value {
    let path = format!("/conversations/{chat}/history{query}");
    user.delete(&path).await.data_with(200)
}

async fn get(user: &User, path: &str) -> Value {
    user.get(path).await.data()
}

/// Places and contents of history, oldest first; a hidden message says nothing.
async fn said(user: &User, chat: &str) -> Vec<(u64, String)> {
    let place = |m: &Value| {
        let seq = m["seqId"].as_u64().expect("a place");
        (seq, m["content"].as_str().expect("a text").to_owned())
    };
    user.history(chat).await.iter().map(place).collect()
}

fn whole(all: &[(u64, &str)]) -> Vec<(u64, String)> {
    all.iter().map(|(seq, s)| (*seq, (*s).to_owned())).collect()
}

async fn told(socket: &mut Socket, chat: &str, version: u64) -> Value {
    let frame = socket
        .expect_where("conversation-state", |d| d["my"]["version"] == version)
        .await;
    assert_eq!(frame["conversationId"], chat);
    frame
}

#[tokio::test]
async fn a_message_deleted_for_me_says_nothing_to_me_anywhere() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let secret = a.say(&chat, "secret").await.data();
    let body = json!({"messageType": 1, "content": "an answer", "replyTo": secret["id"]});
    let messages = format!("/conversations/{chat}/messages");
    b.history_of(&chat, 1).await;
    a.post(&messages, body).await.data();
    a.history_of(&chat, 2).await;
    let secret_id = text(&secret["id"]);
    let pin = format!("/conversations/{chat}/pins/{secret_id}");
    b.put(&pin, json!({})).await.data_with(200);
    let react = format!("{messages}/{secret_id}/reactions/%F0%9F%91%8D");
    b.put(&react, json!({})).await.data_with(200);
    let mut phone = b.connect_device("phone").await;
    let mut peer = a.connect().await;

    let gone = delete_for_me(&b, &chat, &secret).await.data_with(200);
    assert_eq!(
        (&gone["messageId"], &gone["seqId"]),
        (&secret["id"], &json!(1))
    );
    let frame = told(&mut phone, &chat, 1).await;
    let hidden = json!({"messageId": secret["id"], "seqId": 1});
    assert_eq!(
        (&frame["hidden"], &frame["my"]["hiddenCount"]),
        (&hidden, &json!(1))
    );
    let repeat = delete_for_me(&b, &chat, &secret).await.data_with(200);
    assert_eq!(repeat, gone);
    let other = b.say(&chat, "go on").await.data();
    b.history_of(&chat, 3).await;

    let left = whole(&[(1, ""), (2, "an answer"), (3, "go on")]);
    assert_eq!(said(&b, &chat).await, left);
    let history = b.history(&chat).await;
    assert_eq!(history[0]["hidden"], true);
    assert!(history[0]["reactions"].is_null() && history[0]["pinned"].is_null());
    assert!(history[1]["replyTo"]["excerpt"].is_null(), "{}", history[1]);
    assert_eq!(history[1]["replyTo"]["seqId"], 1);
    let changes = get(&b, &format!("/conversations/{chat}/changes?after_rev=0")).await;
    let again = list(&changes["messages"]).iter().find(|m| m["seqId"] == 1);
    let again = again.expect("it keeps its place");
    assert_eq!(
        (&again["content"], &again["hidden"]),
        (&json!(""), &json!(true))
    );
    let around = get(&b, &format!("{messages}?around_seq=1")).await;
    assert_eq!(list(&around["messages"])[0]["hidden"], true);
    let pins = get(&b, &format!("/conversations/{chat}/pins")).await;
    assert_eq!(pins["pins"], json!([]));
    let reactions = format!("{messages}/{secret_id}/reactions");
    b.get(&reactions).await.refused(404, "MESSAGE_NOT_FOUND");
    let forward = json!({"forwardedFrom": {"conversationId": chat, "messageId": secret["id"]}});
    b.post(&messages, forward)
        .await
        .refused(404, "MESSAGE_NOT_FOUND");

    // Of the one user alone.
    let everything = whole(&[(1, "secret"), (2, "an answer"), (3, "go on")]);
    assert_eq!(said(&a, &chat).await, everything);
    let pins = get(&a, &format!("/conversations/{chat}/pins")).await;
    assert_eq!(list(&pins["pins"]).len(), 1);
    peer.flush().await;
    assert!(peer.drain("conversation-state").await.is_empty());

    // The newest one on the list.
    delete_for_me(&b, &chat, &other).await.data_with(200);
    let listed = b.listed(&chat).await.expect("on the list");
    assert_eq!(
        (
            &listed["lastMessage"]["content"],
            &listed["lastMessage"]["hidden"]
        ),
        (&json!(""), &json!(true))
    );
    let page = get(&b, &format!("/conversations/{chat}/hidden?after_version=1")).await;
    let expected = json!([{"messageId": other["id"], "seqId": 3, "version": 2}]);
    assert_eq!(
        (&page["messages"], &page["hasMore"]),
        (&expected, &json!(false))
    );
    let first = get(&b, &format!("/conversations/{chat}/hidden?limit=1")).await;
    assert_eq!(
        (&list(&first["messages"])[0]["seqId"], &first["hasMore"]),
        (&json!(1), &json!(true))
    );
}

#[tokio::test]
async fn a_cleared_conversation_begins_behind_what_was_cleared() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let mut sent = Vec::new();
    for n in 1..=6 {
        sent.push(a.say(&chat, &format!("m{n}")).await.data());
    }
    b.history_of(&chat, 6).await;
    delete_for_me(&b, &chat, &sent[1]).await.data_with(200);
    let mut phone = b.connect_device("phone").await;
    let mut peer = a.connect().await;
    let my = clear(&b, &chat, "?up_to_seq=4").await;
    assert_eq!(
        (&my["clearedUpTo"], &my["version"], &my["hiddenCount"]),
        (&json!(4), &json!(2), &Value::Null)
    );
    assert_eq!(told(&mut phone, &chat, 2).await["my"], my);
    let read = peer.expect("message-read").await;
    assert_eq!(read["seqId"], 4);
    assert_eq!(said(&b, &chat).await, whole(&[(5, "m5"), (6, "m6")]));
    let listed = b.listed(&chat).await.expect("on the list");
    assert_eq!(listed["unreadCount"], 2);
    assert_eq!(listed["my"], my);

    // From any side the pages end where the conversation begins for this user.
    let page = async |query: &str| {
        let path = format!("/conversations/{chat}/messages?{query}");
        let page = get(&b, &path).await;
        let seqs = list(&page["messages"]).iter().map(|m| m["seqId"].clone());
        (Value::from_iter(seqs), page["hasMore"].clone())
    };
    assert_eq!(page("after_seq=0&limit=10").await.0, json!([5, 6]));
    assert_eq!(page("cursor=5").await, (json!([]), json!(false)));
    assert_eq!(page("around_seq=2&limit=2").await.0, json!([5, 6]));
    let changes = get(&b, &format!("/conversations/{chat}/changes?after_rev=0")).await;
    let seqs = list(&changes["messages"]).iter().map(|m| &m["seqId"]);
    assert_eq!(seqs.collect::<Vec<_>>(), [5, 6]);
    assert_eq!(changes["completeTo"], changes["headRev"]);
    let path = format!("/conversations/{chat}/messages/{}", text(&sent[0]["id"]));
    let reactions = format!("{path}/reactions");
    b.get(&reactions).await.refused(404, "MESSAGE_NOT_FOUND");
    // Nothing comes back by a change of what went, and nothing by clearing less.
    let edit = json!({"content": "new words"});
    a.put(&path, edit).await.data_with(200);
    assert_eq!(clear(&b, &chat, "?up_to_seq=1").await, my);
    assert_eq!(said(&b, &chat).await, whole(&[(5, "m5"), (6, "m6")]));
    assert_eq!(said(&a, &chat).await.len(), 6);

    // Without a place everything goes, what was acknowledged a moment ago with it.
    a.say(&chat, "m7").await.data();
    let my = clear(&b, &chat, "").await;
    assert_eq!(my["clearedUpTo"], 7);
    assert!(said(&b, &chat).await.is_empty());
    let listed = b.listed(&chat).await.expect("it stays on the list");
    assert!(listed["lastMessage"].is_null(), "{listed}");
    assert_eq!(listed["unreadCount"], 0);
    a.say(&chat, "hello again").await.data();
    b.history_of(&chat, 1).await;
    assert_eq!(said(&b, &chat).await, whole(&[(8, "hello again")]));
}

#[tokio::test]
async fn only_members_delete_for_themselves_and_only_what_there_is() {
    let server = Server::shared().await;
    let [a, b, stranger] = server.users().await;
    let group = a.group("ours", &[&b]).await;
    let sent = a.say(&group, "hello").await.data();
    let strangers = "NOT_CONVERSATION_MEMBER";
    delete_for_me(&stranger, &group, &sent)
        .await
        .refused(403, strangers);
    let history = format!("/conversations/{group}/history");
    stranger.delete(&history).await.refused(403, strangers);
    let unknown = json!({"id": "1"});
    delete_for_me(&b, &group, &unknown)
        .await
        .refused(404, "MESSAGE_NOT_FOUND");
    let path = format!(
        "/conversations/{group}/messages/{}?for=them",
        text(&sent["id"])
    );
    b.delete(&path).await.refused(400, "INVALID_PARAMS");
    for query in ["?up_to_seq=0", "?up_to_seq=-1", "?up_to_seq=x"] {
        let path = format!("{history}{query}");
        b.delete(&path).await.refused(400, "INVALID_PARAMS");
    }
    // `for=everybody` is what it was without the word.
    let path = format!(
        "/conversations/{group}/messages/{}?for=everybody",
        text(&sent["id"])
    );
    a.delete(&path).await.data_with(200);
    assert_eq!(b.history_of(&group, 1).await[0]["deleted"], true);
    // The world chat too, for one alone.
    clear(&b, "world", "").await;
    // Who comes again sees again what members may read.
    clear(&b, &group, "").await;
    assert!(said(&b, &group).await.is_empty());
    let me = format!("/conversations/{group}/members/{}", b.id);
    b.delete(&me).await.data();
    let again = json!({"members": [b.id]});
    a.post(&format!("/conversations/{group}/members"), again)
        .await
        .data();
    assert_eq!(said(&b, &group).await.len(), 1);
}

#[tokio::test]
async fn the_sdk_deletes_for_its_user() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let mut sent = Vec::new();
    for text in ["one", "two", "three"] {
        sent.push(a.say(&chat, text).await.data());
    }
    let credentials = Credentials::password(&b.name, PASSWORD);
    let api = Api::new(b.http.base(), credentials).expect("a good address");
    let id: ConversationId = chat.parse().expect("an id");
    let second: MessageId = text(&sent[1]["id"]).parse().expect("an id");
    api.delete_for_me(id, second).await.expect("deleted");
    let page = api.hidden(id, 0, 10).await.expect("a page");
    let gone = page.messages.first().expect("one");
    assert_eq!((gone.message_id, gone.seq_id, gone.version), (second, 2, 1));
    let state = api.clear_history(id, Some(1)).await.expect("cleared");
    assert_eq!((state.cleared_up_to, state.hidden_count), (1, 1));
    let history = api.history_after(id, 0, 10).await.expect("a page");
    let left = history.messages.iter().map(|m| (m.seq_id, m.hidden));
    assert_eq!(left.collect::<Vec<_>>(), [(2, true), (3, false)]);
    let state = api.clear_history(id, None).await.expect("cleared");
    assert_eq!((state.cleared_up_to, state.hidden_count), (3, 0));
}
