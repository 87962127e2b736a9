//! Messages in a group.

use crate::kit::{Server, Socket, User, seqs, texts};

#[tokio::test]
async fn every_member_hears_a_message_and_the_sending_connection_gets_the_ack() {
    let server = Server::shared().await;
    let [a, b, c] = server.users().await;
    let group = a.group("everybody", &[&b, &c]).await;
    let mut author = a.connect_device("phone").await;
    let mut others = [
        a.connect_device("laptop").await,
        b.connect().await,
        c.connect().await,
        c.connect().await,
    ];
    let ack = author.say_acked(&group, "hello all", "c1").await;
    assert_eq!(ack["seqId"], 1);
    for socket in &mut others {
        let heard = socket.hears("hello all").await;
        assert_eq!(
            (&heard["id"], &heard["seqId"]),
            (&ack["messageId"], &ack["seqId"])
        );
    }
    assert!(author.drain("new-message").await.is_empty());
}

async fn talk(user: &User, socket: &mut Socket, group: &str, count: usize) {
    for i in 0..count {
        let id = format!("{}-{i}", user.id);
        socket.say(group, &id, &id).await;
    }
    for i in 0..count {
        socket.acked(&format!("{}-{i}", user.id)).await;
    }
}

#[tokio::test]
async fn everybody_sees_the_same_message_under_the_same_number() {
    let server = Server::shared().await;
    let [a, b, c] = server.users().await;
    let group = a.group("order", &[&b, &c]).await;
    let mut watchers = [a.connect().await, b.connect().await, c.connect().await];
    let mut senders = [a.connect().await, b.connect().await, c.connect().await];
    let [sa, sb, sc] = &mut senders;
    tokio::join!(
        talk(&a, sa, &group, 20),
        talk(&b, sb, &group, 20),
        talk(&c, sc, &group, 20)
    );
    let stored = texts(&a.history_of(&group, 60).await, "id");
    for watcher in &mut watchers {
        let heard = watcher.take("new-message", 60).await;
        assert_eq!(seqs(&heard), (1..=60).collect::<Vec<_>>());
        assert_eq!(texts(&heard, "id"), stored);
    }
}

#[tokio::test]
async fn unread_counts_every_message_of_others() {
    let server = Server::shared().await;
    let [a, b, c] = server.users().await;
    let group = a.group("unread", &[&b, &c]).await;
    for i in 0..4 {
        a.say(&group, &format!("a{i}")).await.data();
    }
    for reader in [&b, &c] {
        reader.unread_becomes(&group, 4).await;
    }
    assert_eq!(a.unread(&group).await, 0);
}

#[tokio::test]
async fn a_replay_in_a_group_is_one_message() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let group = a.group("replay", &[&b]).await;
    let mut socket = a.connect().await;
    let first = socket.say_acked(&group, "once", "c1").await;
    let by_http = a.say_as(&group, "once", "c1").await.data();
    assert_eq!(
        (&by_http["id"], &by_http["seqId"]),
        (&first["messageId"], &first["seqId"])
    );
    a.say(&group, "end").await.data();
    assert_eq!(b.history_of(&group, 2).await.len(), 2);
}

/// The sequencer's list of gateways that hold sessions is read while there is none, and is old for
/// as long as it takes to connect.
#[tokio::test]
async fn the_first_who_connects_to_an_empty_server_hears_everything() {
    let Some(server) = Server::with(&[]).await else {
        return;
    };
    let [a, b] = server.users().await;
    let group = a.group("empty", &[&b]).await;
    a.say(&group, "nobody is here").await.data();
    let (mut reader, mut author) = (b.connect().await, a.connect().await);
    for i in 0..40 {
        author.say(&group, &format!("{i}"), &format!("c{i}")).await;
    }
    let last = reader.hears("39").await;
    let mut heard = seqs(&reader.drain("new-message").await);
    heard.extend(seqs(&[last]));
    heard.retain(|seq| *seq > 1);
    assert_eq!(heard, (2..=41).collect::<Vec<_>>());
}
