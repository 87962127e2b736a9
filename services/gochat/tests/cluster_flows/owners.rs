//! Several im-logic and im-task share the partitions, and hand them over while messages flow.

use gochat_proto::im::logic::v1::SendMessageRequest;
use gochat_proto::im::logic::v1::message_service_client::MessageServiceClient;
use serde_json::json;

use crate::kit::{Socket, User, seqs, text};
use crate::rig::Cluster;

/// Enough for conversations in most partitions.
const CHATS: usize = 10;

async fn send(
    cluster: &Cluster,
    via: &str,
    user: &User,
    chat: &str,
    content: &str,
    id: &str,
) -> (i64, String) {
    let request = SendMessageRequest {
        user_id: user.id.clone(),
        conversation_id: chat.to_owned(),
        r#type: 1,
        content: content.to_owned(),
        client_msg_id: id.to_owned(),
        ..Default::default()
    };
    let mut client = MessageServiceClient::new(cluster.channel(via));
    let answer = client.send_message(request).await.unwrap().into_inner();
    let message = answer.message.unwrap();
    (message.seq_id, message.content)
}

#[tokio::test]
async fn whichever_instance_is_called_gets_the_ack_of_whichever_owner() {
    let cluster = Cluster::new().await;
    let a = cluster.user("gateway-1").await;
    let mut reader = Vec::new();
    for _ in 0..CHATS {
        let b = cluster.user("gateway-2").await;
        let chat = a.chat_with(&b).await;
        let mut socket = b.connect().await;
        for (seq, via) in [(1, "logic-1"), (2, "logic-2")] {
            let content = format!("by {via}");
            let sent = send(&cluster, via, &a, &chat, &content, via).await;
            assert_eq!(sent, (seq, content));
        }
        for (seq, gateway) in [(3, "gateway-1"), (4, "gateway-2")] {
            let sent = cluster.at(gateway, &a).say(&chat, gateway).await.data();
            assert_eq!(sent["seqId"], seq);
        }
        let mut heard = Vec::new();
        for content in ["by logic-1", "by logic-2", "gateway-1", "gateway-2"] {
            heard.push(socket.hears(content).await);
        }
        assert_eq!(seqs(&heard), [1, 2, 3, 4]);
        reader.push(socket);
    }
}

#[tokio::test]
async fn a_repeat_is_answered_with_the_original_whichever_way_it_comes() {
    let cluster = Cluster::new().await;
    let (a, b) = (
        cluster.user("gateway-1").await,
        cluster.user("gateway-2").await,
    );
    let chat = a.chat_with(&b).await;
    let first = a.say_as(&chat, "the original", "c1").await.data();
    let elsewhere = cluster.at("gateway-2", &a);
    let again = elsewhere
        .say_as(&chat, "another text", "c1")
        .await
        .data_with(201);
    for field in ["id", "seqId", "content", "createdAt"] {
        assert_eq!(again[field], first[field], "{field}");
    }
    for via in ["logic-1", "logic-2"] {
        let sent = send(&cluster, via, &a, &chat, "a third one", "c1").await;
        assert_eq!(sent, (1, "the original".to_owned()));
    }
    let ack = a.connect().await.say_acked(&chat, "a fourth", "c1").await;
    assert_eq!(ack["messageId"], first["id"]);
    assert_eq!(b.history_of(&chat, 1).await.len(), 1);
}

/// Authors that write one after the other in their chats while something happens to the services.
struct Load {
    author: User,
    socket: Socket,
    chats: Vec<(String, User, Socket)>,
    sent: usize,
}

impl Load {
    async fn new(cluster: &Cluster) -> Self {
        let author = cluster.user("gateway-1").await;
        let mut chats = Vec::new();
        for i in 0..CHATS {
            let edge = ["gateway-1", "gateway-2"][i % 2];
            let reader = cluster.user(edge).await;
            let chat = author.chat_with(&reader).await;
            let socket = reader.connect().await;
            chats.push((chat, reader, socket));
        }
        let socket = author.connect().await;
        Self {
            author,
            socket,
            chats,
            sent: 0,
        }
    }

    /// One message into every chat; nothing is waited for.
    async fn round(&mut self) {
        self.sent += 1;
        for (chat, ..) in &self.chats {
            let id = format!("{chat}-{}", self.sent);
            self.socket.say(chat, &format!("m{}", self.sent), &id).await;
        }
    }

    /// Every message has its ack, its row, and reached its reader in order.
    async fn prove(mut self) {
        let n = i64::try_from(self.sent).unwrap();
        for (chat, reader, socket) in &mut self.chats {
            for i in 1..=n {
                let ack = self.socket.acked(&format!("{chat}-{i}")).await;
                assert_eq!(ack["seqId"], i, "in the order it was sent");
            }
            let mut heard = vec![socket.hears(&format!("m{n}")).await];
            heard.extend(socket.drain("new-message").await);
            let mut numbers = seqs(&heard);
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers, (1..=n).collect::<Vec<_>>(), "{}", reader.name);
            let rows = reader.history_of(chat, self.sent).await;
            assert_eq!(seqs(&rows), (1..=n).collect::<Vec<_>>());
            let texts: Vec<_> = rows.iter().map(|m| text(&m["content"])).collect();
            let expected: Vec<_> = (1..=n).map(|i| format!("m{i}")).collect();
            assert_eq!(texts, expected);
        }
        let own = self.author.history(&self.chats[0].0).await;
        assert_eq!(own.len(), self.sent);
    }
}

#[tokio::test]
async fn sequencers_that_come_and_go_leave_no_gap_and_double_nothing() {
    let mut cluster = Cluster::new().await;
    let mut load = Load::new(&cluster).await;
    for step in 0..24 {
        load.round().await;
        match step {
            4 => cluster.start_logic("logic-3").await,
            8 => cluster.kill("logic-1").await,
            12 => cluster.start_logic("logic-1").await,
            16 => cluster.stop("logic-2").await,
            20 => cluster.kill("logic-3").await,
            _ => {}
        }
    }
    load.prove().await;
}

#[tokio::test]
async fn writers_that_come_and_go_write_every_row_once() {
    let mut cluster = Cluster::new().await;
    let mut load = Load::new(&cluster).await;
    for step in 0..24 {
        load.round().await;
        match step {
            4 => cluster.kill("task-1").await,
            8 => cluster.start_task("task-3").await,
            12 => cluster.stop("task-2").await,
            16 => cluster.kill("task-3").await,
            20 => cluster.start_task("task-1").await,
            _ => {}
        }
    }
    load.prove().await;
}

#[tokio::test]
async fn a_large_group_hears_everything_while_fan_out_changes_hands() {
    let mut cluster = Cluster::with(&["logic.pipeline.direct_max=2"]).await;
    let author = cluster.user("gateway-1").await;
    let mut members = Vec::new();
    for i in 0..6 {
        members.push(cluster.user(["gateway-1", "gateway-2"][i % 2]).await);
    }
    let all: Vec<&User> = members.iter().collect();
    let group = author.group("large", &all).await;
    let mut sockets = Vec::new();
    for member in &members {
        sockets.push(member.connect().await);
    }
    let mut socket = author.connect().await;
    for i in 1..=30 {
        socket.say(&group, &format!("m{i}"), &format!("c{i}")).await;
        match i {
            8 => cluster.kill("task-1").await,
            16 => cluster.start_task("task-3").await,
            24 => cluster.kill("task-2").await,
            _ => {}
        }
    }
    for socket in &mut sockets {
        for i in 1..=30 {
            let heard = socket.hears(&format!("m{i}")).await;
            assert_eq!(heard["seqId"], json!(i));
        }
    }
}
