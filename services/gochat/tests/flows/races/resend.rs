//! The same client id from everywhere at once.

use crate::kit::{Server, seqs, texts};

#[tokio::test]
async fn a_message_sent_by_two_devices_and_http_at_once_is_one_message() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let (mut phone, mut laptop, mut reader) = (
        a.connect_device("phone").await,
        a.connect_device("laptop").await,
        b.connect().await,
    );
    let mut acked = Vec::new();
    for round in 1..=25 {
        let id = format!("c{round}");
        let (one, two, three, four) = tokio::join!(
            phone.say_acked(&chat, "everywhere", &id),
            laptop.say_acked(&chat, "everywhere", &id),
            a.say_as(&chat, "everywhere", &id),
            a.say_as(&chat, "everywhere", &id),
        );
        assert_eq!(one["seqId"], round);
        assert_eq!(
            (&two["messageId"], &two["seqId"]),
            (&one["messageId"], &one["seqId"])
        );
        for reply in [three, four] {
            let message = reply.data_with(201);
            assert_eq!(
                (&message["id"], &message["seqId"]),
                (&one["messageId"], &one["seqId"])
            );
        }
        acked.push(one);
    }
    let stored = b.history_of(&chat, 25).await;
    assert_eq!(texts(&stored, "id"), texts(&acked, "messageId"));
    let mut heard = Vec::new();
    for _ in 0..25 {
        heard.push(reader.expect("new-message").await);
    }
    assert_eq!(seqs(&heard), (1..=25).collect::<Vec<_>>());
    assert!(reader.drain("new-message").await.is_empty(), "pushed once");
}

#[tokio::test]
async fn a_sender_who_vanishes_before_the_ack_learns_it_by_resending() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let mut acked = Vec::new();
    for round in 1..=20 {
        let id = format!("c{round}");
        let mut lost = a.connect().await;
        lost.say(&chat, "did you get it?", &id).await;
        drop(lost);
        let mut socket = a.connect().await;
        acked.push(socket.say_acked(&chat, "did you get it?", &id).await);
    }
    assert_eq!(seqs(&acked), (1..=20).collect::<Vec<_>>());
    let stored = b.history_of(&chat, 20).await;
    assert_eq!(texts(&stored, "id"), texts(&acked, "messageId"));
}

#[tokio::test]
async fn a_resend_that_overtakes_a_queue_of_messages_keeps_its_first_number() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let mut socket = a.connect().await;
    for i in 0..50 {
        socket.say(&chat, "in a row", &format!("c{i}")).await;
    }
    let ahead = a.say_as(&chat, "in a row", "c49").await.data_with(201);
    let mut acks = Vec::new();
    for i in 0..50 {
        acks.push(socket.acked(&format!("c{i}")).await);
    }
    assert_eq!(
        (&acks[49]["messageId"], &acks[49]["seqId"]),
        (&ahead["id"], &ahead["seqId"])
    );
    let mut numbers = seqs(&acks);
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=50).collect::<Vec<_>>());
    assert_eq!(b.history_of(&chat, 50).await.len(), 50);
}
