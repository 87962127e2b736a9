use proptest::prelude::*;

use crate::error::{Error, ErrorCode};
use crate::ids::{ConversationId, MessageId, UserId};
use crate::sync::{Outbox, OutboxFull, OutboxLimits, Outgoing};

fn conversation(n: u64) -> ConversationId {
    ConversationId::single(UserId::new(1).unwrap(), UserId::new(n + 2).unwrap()).unwrap()
}

fn message(id: &str, to: u64) -> Outgoing {
    // Repetitions are compared as a whole, with what the message refers to.
    Outgoing::text(id, conversation(to), format!("content of {id}"))
        .reply_to(MessageId::new(to + 1).unwrap())
        .mention([UserId::new(9).unwrap()])
}

fn outbox() -> Outbox {
    Outbox::new(OutboxLimits::default(), 1)
}

fn sent(outbox: &mut Outbox, now: u64) -> Vec<String> {
    std::iter::from_fn(|| outbox.poll_send(now).map(|m| m.client_msg_id.clone())).collect()
}

#[test]
fn one_message_per_conversation_is_on_its_way() {
    let mut outbox = outbox();
    for (id, to) in [("a", 0), ("b", 0), ("c", 1)] {
        outbox.push(message(id, to), 0).unwrap();
    }
    assert_eq!(sent(&mut outbox, 0), ["a", "c"]);
    assert!(outbox.handle_ack("a", 5).unwrap().result.is_ok());
    assert_eq!(outbox.handle_ack("a", 5), None);
    assert_eq!(sent(&mut outbox, 5), ["b"]);
}

#[test]
fn no_answer_for_five_seconds_sends_the_same_id_again() {
    let mut outbox = outbox();
    outbox.push(message("a", 0), 0).unwrap();
    assert_eq!(sent(&mut outbox, 0), ["a"]);
    assert_eq!(outbox.poll_timeout(), Some(5000));
    assert_eq!(sent(&mut outbox, 4999), [""; 0]);
    assert_eq!(sent(&mut outbox, 5000), ["a"]);
}

#[test]
fn a_new_connection_repeats_at_once() {
    let mut outbox = outbox();
    outbox.push(message("a", 0), 0).unwrap();
    assert_eq!(sent(&mut outbox, 0), ["a"]);
    outbox.handle_disconnected(100);
    assert_eq!(sent(&mut outbox, 100), ["a"]);
}

#[test]
fn a_retryable_refusal_delays_and_keeps_the_order() {
    let mut outbox = outbox();
    outbox.push(message("a", 0), 0).unwrap();
    outbox.push(message("b", 0), 0).unwrap();
    sent(&mut outbox, 0);
    assert_eq!(
        outbox.handle_error("a", ErrorCode::RateLimited.into(), 0),
        None
    );
    assert_eq!(sent(&mut outbox, 999), [""; 0]);
    assert_eq!(sent(&mut outbox, 1250), ["a"]);
}

#[test]
fn a_final_refusal_ends_the_wait_and_lets_the_next_go() {
    let mut outbox = outbox();
    outbox.push(message("a", 0), 0).unwrap();
    outbox.push(message("b", 0), 0).unwrap();
    sent(&mut outbox, 0);
    let settled = outbox
        .handle_error("a", ErrorCode::MemberMuted.into(), 1)
        .unwrap();
    assert_eq!(settled.result, Err(Error::from(ErrorCode::MemberMuted)));
    assert_eq!(sent(&mut outbox, 1), ["b"]);
}

#[test]
fn a_message_is_given_up_long_before_the_server_forgets_its_id() {
    let mut outbox = outbox();
    outbox.push(message("a", 0), 0).unwrap();
    let half_a_day = 12 * 3600 * 1000;
    assert_eq!(outbox.poll_expired(half_a_day - 1), None);
    let settled = outbox.poll_expired(half_a_day).unwrap();
    assert_eq!(settled.result.unwrap_err().code, ErrorCode::Timeout);
    assert!(outbox.is_empty());
}

#[test]
fn nobody_can_acknowledge_what_never_left() {
    let mut outbox = outbox();
    outbox.push(message("a", 0), 0).unwrap();
    assert_eq!(outbox.handle_ack("a", 0), None);
    assert_eq!(
        outbox.handle_error("a", ErrorCode::Forbidden.into(), 0),
        None
    );
    assert_eq!(outbox.len(), 1);
}

#[test]
fn it_is_bounded_and_takes_an_id_once() {
    let limits = OutboxLimits {
        capacity: 2,
        ..OutboxLimits::default()
    };
    let mut outbox = Outbox::new(limits, 1);
    outbox.push(message("a", 0), 0).unwrap();
    outbox.push(message("a", 0), 0).unwrap();
    outbox.push(message("b", 0), 0).unwrap();
    assert_eq!(outbox.push(message("c", 0), 0), Err(OutboxFull));
    assert_eq!(outbox.len(), 2);
}

#[derive(Debug, Clone)]
enum Op {
    Push(u8, u8),
    Poll,
    Ack(u8),
    Retryable(u8),
    Final(u8),
    Disconnect,
    Wait(u16),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0..30u8, 0..3u8).prop_map(|(id, to)| Op::Push(id, to)),
        Just(Op::Poll),
        Just(Op::Poll),
        (0..30u8).prop_map(Op::Ack),
        (0..30u8).prop_map(Op::Retryable),
        (0..30u8).prop_map(Op::Final),
        Just(Op::Disconnect),
        (0..9000u16).prop_map(Op::Wait),
    ]
}

proptest! {
    #[test]
    fn every_message_settles_once_under_its_one_id_and_in_order(
        ops in prop::collection::vec(op(), 1..200),
    ) {
        let (mut outbox, mut now) = (outbox(), 0);
        let mut pushed: Vec<Outgoing> = Vec::new();
        let mut settled: Vec<String> = Vec::new();
        let mut sent: Vec<String> = Vec::new();
        for op in ops {
            let done = match op {
                Op::Push(id, to) => {
                    let message = message(&format!("m{id}"), to.into());
                    // An application makes every id once.
                    if pushed.iter().all(|m| m.client_msg_id != message.client_msg_id) {
                        outbox.push(message.clone(), now).unwrap();
                        pushed.push(message);
                    }
                    None
                }
                Op::Poll => {
                    if let Some(message) = outbox.poll_send(now) {
                        let first_open = pushed.iter().find(|m| {
                            m.conversation_id == message.conversation_id
                                && !settled.contains(&m.client_msg_id)
                        });
                        // A repetition says that it is one, and nothing else does.
                        let first_open = first_open.cloned().map(|mut m| {
                            m.resend = sent.contains(&m.client_msg_id);
                            m
                        });
                        sent.push(message.client_msg_id.clone());
                        prop_assert_eq!(Some(message), first_open.as_ref());
                    }
                    None
                }
                Op::Ack(id) => outbox.handle_ack(&format!("m{id}"), now),
                Op::Retryable(id) => {
                    outbox.handle_error(&format!("m{id}"), ErrorCode::Timeout.into(), now)
                }
                Op::Final(id) => {
                    outbox.handle_error(&format!("m{id}"), ErrorCode::Forbidden.into(), now)
                }
                Op::Disconnect => {
                    outbox.handle_disconnected(now);
                    None
                }
                Op::Wait(ms) => {
                    now += u64::from(ms);
                    None
                }
            };
            if let Some(done) = done {
                prop_assert!(pushed.iter().any(|m| m.client_msg_id == done.message.client_msg_id));
                prop_assert!(!settled.contains(&done.message.client_msg_id));
                settled.push(done.message.client_msg_id);
            }
            prop_assert_eq!(outbox.len(), pushed.len() - settled.len());
        }
    }
}
