//! Messages that say they may be repeats, from before the idempotency window.

use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, MessageId, SeqId};
use gochat_core::sequence::{Head, Recorded, WINDOW_MESSAGES};
use gochat_core::step::*;

use crate::support::*;

/// The head of a conversation without changes.
fn at(seq: SeqId) -> Head {
    Head { seq, rev: seq }
}

/// A group whose database holds `head` messages, none of which is inside the window.
fn old_group(bench: &mut Bench, head: SeqId) -> ConversationId {
    let g = bench.store_group(1, &[1, 2]);
    bench.stored.get_mut(&g).unwrap().head = at(head);
    g
}

/// Sends a message marked as a resend, with this answer of the database to the question what became of it.
fn resend(bench: &mut Bench, id: &str, found: Option<SeqId>) -> Result<SeqId, ErrorCode> {
    let record = bench.resend(group(1), 1, id);
    let Record::Submit(Submission { key, .. }) = record else {
        unreachable!()
    };
    let found = found.map(|seq| Recorded {
        key,
        message_id: MessageId::new(seq).unwrap(),
        seq,
        rev: seq,
        at: 0,
    });
    bench.stored.get_mut(&group(1)).unwrap().resends = vec![Looked { key, found }];
    bench.run(vec![record]).iter().find_map(outcome).unwrap()
}

#[test]
fn a_resend_from_before_the_window_is_looked_up() {
    let mut bench = Bench::new();
    let g = old_group(&mut bench, 20_000);
    bench.machine.begin([
        bench.submit(g, 1, "new"),
        bench.resend(g, 1, "a"),
        bench.resend(g, 2, "b"),
    ]);
    let needs = bench.machine.needs();
    assert_eq!(needs[0].resends, [1, 2]);
    bench.machine.aborted();

    assert_eq!(resend(&mut bench, "a", Some(5)), Ok(5));
    assert_eq!(resend(&mut bench, "b", None), Ok(20_001));
    bench
        .machine
        .begin([bench.resend(g, 1, "c"), bench.resend(g, 1, "b")]);
    let needs = bench.machine.needs();
    assert!(!needs[0].refresh && !needs[0].with_recent);
    assert_eq!(needs[0].resends, [0], "the window knows b by now");
}

#[test]
fn a_resend_waits_for_the_answer_and_other_messages_do_not() {
    let mut bench = Bench::new();
    let g = old_group(&mut bench, 20_000);
    assert_eq!(bench.send(g, 2, "known"), Ok(20_001));
    bench
        .machine
        .begin([bench.resend(g, 1, "a"), bench.submit(g, 1, "b")]);
    let effects = bench.decide_provided();
    let outcomes: Vec<_> = effects.iter().filter_map(outcome).take(2).collect();
    let expected = [Err(ErrorCode::ServiceUnavailable), Ok(20_002)];
    assert_eq!(outcomes, expected, "nobody answered");
}

#[test]
fn a_resend_between_what_is_stored_and_what_is_remembered_has_to_wait() {
    let mut bench = Bench::new();
    let g = old_group(&mut bench, 0);
    for n in 0..=WINDOW_MESSAGES {
        assert_eq!(bench.send(g, 2, &n.to_string()), Ok(n + 1));
    }
    // Message 1 left the window, and the database, which was not asked again, still holds none.
    assert_eq!(
        resend(&mut bench, "0", None),
        Err(ErrorCode::ServiceUnavailable)
    );
    bench.stored.get_mut(&g).unwrap().head = at(1);
    assert_eq!(resend(&mut bench, "x", None), Ok(WINDOW_MESSAGES + 2));
}

#[test]
fn a_resend_is_not_looked_up_while_the_window_holds_everything() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1]);
    assert_eq!(bench.send(g, 1, "a"), Ok(1));
    bench.machine.tick(bench.now);
    bench.machine.begin([bench.resend(g, 1, "b")]);
    assert!(bench.machine.needs().is_empty());
    assert_eq!(
        bench.decide_provided().iter().find_map(outcome),
        Some(Ok(2))
    );
}
