//! Clients connect and leave while messages are on their way to them.
//!
//! In every round each reader leaves its old connection, opens a new one at about the moment a message is sent, and
//! reads history once. What was not in history has to be pushed: presence may have been looked up before the reader
//! registered, and history read before the row was written.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::time::{Duration, Instant};

use super::{SOON, jitter};
use crate::kit::{FEW_ARE_MANY, LISTED, Server, Socket, User, text};

const ROUNDS: i64 = 30;
const BURST: i64 = 3;

/// One device of somebody, and what it knows of a conversation.
struct Reader {
    user: User,
    socket: Option<Socket>,
    known: BTreeMap<i64, String>,
}

impl Reader {
    fn new(user: &User) -> Self {
        Self {
            user: user.apart(),
            socket: None,
            known: BTreeMap::new(),
        }
    }

    /// Leaves, comes back, and reads history after the new connection stands.
    async fn reconnect(&mut self, conversation: &str) {
        jitter(4_000).await;
        self.socket = None;
        jitter(1_000).await;
        self.socket = Some(self.user.connect().await);
        for message in self
            .user
            .history_after(conversation, self.complete_up_to())
            .await
        {
            self.learn(&message);
        }
    }

    /// Takes pushes in until everything up to `head` is known.
    async fn wait_for(&mut self, conversation: &str, head: i64) {
        let deadline = Instant::now() + SOON;
        while self.complete_up_to() < head {
            let left = deadline.saturating_duration_since(Instant::now());
            let here = |d: &Value| d["conversationId"] == conversation;
            let socket = self.socket.as_mut().expect("connected");
            let Some(message) = socket.find_within("new-message", &here, left).await else {
                panic!(
                    "{} stays at {} of {head} without a further message",
                    conversation,
                    self.complete_up_to()
                );
            };
            self.learn(&message);
        }
    }

    fn complete_up_to(&self) -> i64 {
        let mut expected = 1;
        for seq in self.known.keys() {
            if *seq != expected {
                break;
            }
            expected += 1;
        }
        expected - 1
    }

    fn learn(&mut self, message: &Value) {
        let (seq, id) = (
            message["seqId"].as_i64().expect("a seqId"),
            text(&message["id"]),
        );
        let before = self.known.insert(seq, id.clone());
        assert!(
            before.is_none_or(|old| old == id),
            "two messages under number {seq}"
        );
    }
}

/// One round: everybody reconnects while the author sends; returns the new head.
async fn round(author: &mut Socket, readers: &mut [Reader], conversation: &str, head: i64) -> i64 {
    let send = async {
        jitter(4_000).await;
        for i in 1..=BURST {
            author
                .say(conversation, "on its way", &format!("c{}", head + i))
                .await;
            jitter(1_000).await;
        }
        let mut last = 0;
        for i in 1..=BURST {
            last = author.acked(&format!("c{}", head + i)).await["seqId"]
                .as_i64()
                .expect("a seqId");
        }
        last
    };
    let come =
        futures_util::future::join_all(readers.iter_mut().map(|r| r.reconnect(conversation)));
    let (head, _) = tokio::join!(send, come);
    futures_util::future::join_all(readers.iter_mut().map(|r| r.wait_for(conversation, head)))
        .await;
    head
}

async fn everybody_misses_nothing(author: &User, readers: &[&User], conversation: &str) {
    miss_nothing_for(ROUNDS, author, readers, conversation).await;
}

/// Plays so many rounds.
pub(super) async fn miss_nothing_for(
    rounds: i64,
    author: &User,
    readers: &[&User],
    conversation: &str,
) {
    let mut socket = author.connect().await;
    let mut readers: Vec<Reader> = readers.iter().map(|user| Reader::new(user)).collect();
    let mut head = 0;
    for _ in 0..rounds {
        head = round(&mut socket, &mut readers, conversation, head).await;
    }
    assert_eq!(head, rounds * BURST);
    let first = &readers[0].known;
    assert!(
        readers.iter().all(|r| r.known == *first),
        "everybody knows the same"
    );
}

#[tokio::test]
async fn who_connects_while_a_message_is_on_its_way_has_it_within_a_second_in_a_single_chat() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    everybody_misses_nothing(&a, &[&b], &chat).await;
}

#[tokio::test]
async fn who_connects_while_a_message_is_on_its_way_has_it_within_a_second_in_a_group() {
    let server = Server::shared().await;
    let [a, b, c, d] = server.users().await;
    let group = a.group("direct", &[&b, &c, &d]).await;
    everybody_misses_nothing(&a, &[&b, &c, &d], &group).await;
}

#[tokio::test]
async fn who_connects_while_a_message_is_on_its_way_has_it_within_a_second_in_a_large_group() {
    let Some(server) = Server::with(&[FEW_ARE_MANY]).await else {
        return;
    };
    let users: [User; 6] = server.users().await;
    let others: Vec<&User> = users[1..].iter().collect();
    let group = users[0].group("deferred", &others).await;
    everybody_misses_nothing(&users[0], &others[..3], &group).await;
}

#[tokio::test]
async fn who_connects_while_a_message_is_on_its_way_has_it_within_a_second_in_a_listed_group() {
    let Some(server) = Server::with(&[LISTED]).await else {
        return;
    };
    let [a, b, c, d] = server.users().await;
    let group = a.group("listed", &[&b, &c, &d]).await;
    // The author's other device, too.
    everybody_misses_nothing(&a, &[&a, &b, &c, &d], &group).await;
}

#[tokio::test]
async fn who_connects_while_a_message_is_on_its_way_has_it_within_a_second_in_the_world() {
    let Some(server) = Server::with(&[]).await else {
        return;
    };
    let [a, b, c] = server.users().await;
    everybody_misses_nothing(&a, &[&b, &c], "world").await;
}

#[tokio::test]
async fn a_second_device_that_connects_meanwhile_misses_nothing_either() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    // The other device makes the user look online all the time.
    let _always_there = b.connect().await;
    everybody_misses_nothing(&a, &[&b, &b], &chat).await;
}

#[tokio::test]
async fn the_author_s_own_devices_miss_nothing_either() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    everybody_misses_nothing(&a, &[&a], &chat).await;
}

#[tokio::test]
async fn a_storm_of_clients_that_come_and_go_ends_with_complete_timelines() {
    let server = Server::shared().await;
    let [a, b, c, d] = server.users().await;
    let group = a.group("storm", &[&b, &c, &d]).await;
    let mut author = a.connect().await;
    let mut readers = [Reader::new(&b), Reader::new(&c), Reader::new(&d)];
    let until = Instant::now() + Duration::from_secs(2);
    let sender = async {
        let mut sent = 0;
        while Instant::now() < until {
            sent += 1;
            author.say_acked(&group, "storm", &format!("c{sent}")).await;
        }
        sent
    };
    let churn = futures_util::future::join_all(readers.iter_mut().map(|reader| async {
        while Instant::now() < until {
            reader.reconnect(&group).await;
        }
    }));
    let (head, _) = tokio::join!(sender, churn);
    for reader in &mut readers {
        reader.wait_for(&group, head).await;
    }
}
