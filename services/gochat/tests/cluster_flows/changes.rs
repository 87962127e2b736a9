//! Edits and recalls while owners of conversations change, through several gateways, and in groups
//! that are paged.

use serde_json::{Value, json};

use crate::kit::{Socket, User, list, text};
use crate::rig::Cluster;

/// Enough for conversations in most partitions.
const CHATS: usize = 6;

const SAVE: &str = "BatchSaveMessages";

fn wish(chat: &str, message: &Value, content: &str, id: &str) -> Value {
    json!({
        "conversationId": chat, "messageId": message["messageId"], "content": content,
        "client_msg_id": id, "resend": true,
    })
}

/// Sends a change and waits for its ack: the rev.
async fn change(socket: &mut Socket, kind: &str, wish: Value) -> i64 {
    let id = wish["client_msg_id"].clone();
    socket.send(kind, wish).await;
    let answers = |d: &Value| d["client_msg_id"] == id;
    let ack = socket.expect_where("change-ack", answers).await;
    ack["rev"].as_i64().unwrap()
}

async fn refusal(socket: &mut Socket, kind: &str, wish: Value) -> String {
    let id = wish["client_msg_id"].clone();
    socket.send(kind, wish).await;
    let answers = |d: &Value| d["details"]["client_msg_id"] == id;
    text(&socket.expect_where("error", answers).await["code"])
}

async fn hears_change(socket: &mut Socket, chat: &str, rev: i64) -> Value {
    let fits = |d: &Value| d["conversationId"] == chat && d["rev"] == rev;
    socket.expect_where("message-changed", fits).await
}

async fn changes(user: &User, chat: &str, query: &str) -> Value {
    let path = format!("/conversations/{chat}/changes?{query}");
    user.get(&path).await.data_with(200)
}

/// A chat with an edited message, rev 3, and a recalled one, rev 4.
struct Chat {
    id: String,
    edited: Value,
    recalled: Value,
    peer: Socket,
}

impl Chat {
    async fn new(author: &User, own: &mut Socket, reader: &User) -> Self {
        let id = author.chat_with(reader).await;
        let mut peer = reader.connect().await;
        let edited = own.say_acked(&id, "one", &format!("{id}-1")).await;
        let recalled = own.say_acked(&id, "two", &format!("{id}-2")).await;
        let edit = wish(&id, &edited, "first", &format!("{id}-e"));
        assert_eq!(change(own, "edit-message", edit).await, 3);
        let recall = wish(&id, &recalled, "", &format!("{id}-r"));
        assert_eq!(change(own, "recall-message", recall).await, 4);
        for rev in [3, 4] {
            hears_change(&mut peer, &id, rev).await;
        }
        Self {
            id,
            edited,
            recalled,
            peer,
        }
    }

    /// Whoever owns the conversation by now, asked through another gateway, knows what happened.
    async fn prove(&mut self, elsewhere: &mut Socket) {
        let id = self.id.as_str();
        let again = wish(id, &self.edited, "first", &format!("{id}-e"));
        assert_eq!(change(elsewhere, "edit-message", again).await, 3);
        let again = wish(id, &self.recalled, "", &format!("{id}-r"));
        assert_eq!(change(elsewhere, "recall-message", again).await, 4);
        let late = wish(id, &self.recalled, "back", &format!("{id}-late"));
        let code = refusal(elsewhere, "edit-message", late).await;
        assert_eq!(code, "MESSAGE_RECALLED");
        let next = wish(id, &self.edited, "second", &format!("{id}-e2"));
        assert_eq!(change(elsewhere, "edit-message", next).await, 5);
        let told = hears_change(&mut self.peer, id, 5).await;
        assert_eq!(told["message"]["content"], "second");
        assert_eq!(told["message"]["editCount"], 2);
        let more = self.peer.drain("message-changed").await;
        assert!(more.is_empty(), "repeats are told to nobody: {more:?}");
    }
}

/// No conversation keeps its owner.
async fn replace_owners(cluster: &mut Cluster) {
    cluster.kill("logic-1").await;
    cluster.start_logic("logic-3").await;
    cluster.kill("logic-2").await;
}

async fn another_owner_knows(rows_are_held: bool) {
    let mut cluster = Cluster::new().await;
    let author = cluster.user("gateway-1").await;
    let mut own = author.connect().await;
    let mut chats = Vec::new();
    if rows_are_held {
        cluster.gates.hold("task", SAVE);
    }
    for n in 0..CHATS {
        let reader = cluster.user(["gateway-1", "gateway-2"][n % 2]).await;
        chats.push(Chat::new(&author, &mut own, &reader).await);
    }
    replace_owners(&mut cluster).await;
    let moved = cluster.at("gateway-2", &author);
    let mut elsewhere = moved.connect().await;
    for chat in &mut chats {
        chat.prove(&mut elsewhere).await;
    }
    cluster.gates.open();
    for chat in &chats {
        let page = changes(&moved, &chat.id, "after_rev=0&at_least=5").await;
        let shown: Vec<_> = list(&page["messages"])
            .iter()
            .map(|m| (&m["seqId"], &m["rev"], &m["content"], &m["deleted"]))
            .collect();
        let expected = [
            (&json!(2), &json!(4), &json!(""), &json!(true)),
            (&json!(1), &json!(5), &json!("second"), &json!(false)),
        ];
        assert_eq!(shown, expected);
        assert_eq!(page["completeTo"], 5);
    }
}

#[tokio::test]
async fn another_owner_refuses_and_repeats_what_the_killed_one_decided() {
    another_owner_knows(false).await;
}

#[tokio::test]
async fn another_owner_knows_changes_that_are_not_stored_yet() {
    another_owner_knows(true).await;
}

#[tokio::test]
async fn a_change_is_read_at_once_where_it_was_told_and_elsewhere_by_its_rev() {
    let cluster = Cluster::with(&["task.persist.linger_ms=150", "repo.reads.wait_ms=5000"]).await;
    let (a, b) = (
        cluster.user("gateway-1").await,
        cluster.user("gateway-2").await,
    );
    let chat = a.chat_with(&b).await;
    let moved = cluster.at("gateway-2", &a);
    let (mut own, mut peer) = (a.connect().await, b.connect().await);
    let said = own.say_acked(&chat, "version 1", "c1").await;
    for rev in 2..=9 {
        let content = format!("version {rev}");
        let edit = wish(&chat, &said, &content, &format!("e{rev}"));
        assert_eq!(change(&mut own, "edit-message", edit).await, rev);
        // Each kind of read comes first in its turn: it waits, and the next one need not.
        match rev % 4 {
            0 => {
                let query = format!("after_rev={}&at_least={rev}", rev - 1);
                let page = changes(&moved, &chat, &query).await;
                assert_eq!(page["messages"][0]["content"], content, "{page}");
                assert_eq!(page["completeTo"], rev);
            }
            1 => {
                let listed = a.listed(&chat).await.unwrap();
                assert_eq!(listed["lastMessage"]["content"], content);
                assert_eq!(listed["lastRev"], rev);
            }
            2 => {
                let detail = a.get(&format!("/conversations/{chat}")).await.data();
                assert_eq!(detail["lastRev"], rev);
            }
            _ => assert_eq!(a.history(&chat).await[0]["content"], content),
        }
        hears_change(&mut peer, &chat, rev).await;
        let listed = b.listed(&chat).await.unwrap();
        assert_eq!(listed["lastMessage"]["content"], content);
        let page = changes(&b, &chat, &format!("after_rev={}", rev - 1)).await;
        assert_eq!(page["messages"][0]["content"], content);
    }
}

/// A group that im-task serves by pages, with sockets of all members on both gateways.
struct Paged {
    id: String,
    members: Vec<Socket>,
    /// Of the first member and of the owner.
    author: Socket,
    owner: Socket,
}

impl Paged {
    async fn new(cluster: &Cluster) -> Self {
        let owner = cluster.user("gateway-2").await;
        let mut users = Vec::new();
        for n in 0..6 {
            users.push(cluster.user(["gateway-1", "gateway-2"][n % 2]).await);
        }
        let all: Vec<&User> = users.iter().collect();
        let id = owner.group("large", &all).await;
        let mut members = Vec::new();
        for user in users.iter().chain([&owner]) {
            members.push(user.connect().await);
        }
        let second_device = cluster.at("gateway-2", &users[0]).connect().await;
        members.push(second_device);
        let author = users[0].connect().await;
        let owner = owner.connect().await;
        Self {
            id,
            members,
            author,
            owner,
        }
    }

    /// Everybody is told of this change, and of nothing else, with these words behind it.
    async fn told_once(&mut self, rev: i64, kind: &str, words: &str) {
        for socket in &mut self.members {
            let told = hears_change(socket, &self.id, rev).await;
            assert_eq!(told["kind"], kind);
        }
        self.author.say_acked(&self.id, words, words).await;
        let others = self.members.iter_mut().chain([&mut self.owner]);
        for socket in others {
            socket.hears(words).await;
        }
        for socket in &mut self.members {
            let more = socket.drain("message-changed").await;
            assert!(more.is_empty(), "{rev}: {more:?}");
        }
    }
}

#[tokio::test]
async fn members_of_a_paged_group_are_told_of_a_change_once_on_every_gateway() {
    let cluster = Cluster::with(&["logic.pipeline.direct_max=2"]).await;
    let mut group = Paged::new(&cluster).await;
    let id = group.id.clone();
    let said = group.author.say_acked(&id, "one", "c1").await;
    let edit = wish(&id, &said, "first", "e1");
    let rev = change(&mut group.author, "edit-message", edit).await;
    group.told_once(rev, "edited", "after-the-edit").await;
    let own = group.author.drain("message-changed").await;
    assert!(own.is_empty(), "it had its ack: {own:?}");
    // The owner's devices are left out by the pages as the author of the change.
    let recall = wish(&id, &said, "", "r1");
    let rev = change(&mut group.owner, "recall-message", recall).await;
    group.told_once(rev, "recalled", "after-the-recall").await;
    let authors = group.author.drain("message-changed").await;
    assert_eq!(authors.len(), 1, "{authors:?}");
}

#[tokio::test]
async fn a_paged_change_whose_row_is_late_is_told_once_all_the_same() {
    let cluster = Cluster::with(&["logic.pipeline.direct_max=2"]).await;
    let mut group = Paged::new(&cluster).await;
    let id = group.id.clone();
    let said = group.author.say_acked(&id, "one", "c1").await;
    cluster.gates.hold("task", SAVE);
    let edit = wish(&id, &said, "first", "e1");
    let rev = change(&mut group.author, "edit-message", edit).await;
    for socket in &mut group.members {
        let told = hears_change(socket, &id, rev).await;
        assert_eq!(told["message"]["content"], "first");
    }
    // Pages of the change go out again, for who came meanwhile, when the row is there.
    cluster.gates.open();
    let next = wish(&id, &said, "second", "e2");
    let rev = change(&mut group.author, "edit-message", next).await;
    group.told_once(rev, "edited", "the-end").await;
}
