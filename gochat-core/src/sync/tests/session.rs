use proptest::prelude::*;

use super::world::alice;
use crate::error::ErrorCode;
use crate::ids::{ConversationId, MessageId, UserId};
use crate::message::{MENTIONS_MAX, QuoteState};
use crate::sync::{
    Action, AuthFailure, ChangesPage, ClientSession, ConnectFailure, Event, HistoryPage, Listed,
    ListedConversation, Message, Options, Outgoing, State,
};

fn actions(session: &mut ClientSession, now: u64) -> Vec<Action> {
    std::iter::from_fn(|| session.poll_action(now)).collect()
}

fn events(session: &mut ClientSession) -> Vec<Event> {
    std::iter::from_fn(|| session.poll_event()).collect()
}

/// A session that has just connected; its first listing isn't answered yet.
fn connected() -> ClientSession {
    let mut session = ClientSession::new(Options::default(), 1);
    assert_eq!(
        actions(&mut session, 0),
        [Action::Authenticate { renew: false }]
    );
    session.handle_authenticated(alice());
    assert_eq!(actions(&mut session, 0), [Action::Connect]);
    session.handle_connected(0);
    session
}

fn ready() -> ClientSession {
    let mut session = connected();
    let listing = Action::ListConversations {
        ticket: 1,
        cursor: None,
        last_sync: None,
    };
    assert_eq!(actions(&mut session, 0), [listing]);
    session.handle_listed(1, Listed::default(), 0);
    assert_eq!(session.state(), State::Ready);
    events(&mut session);
    session
}

fn push(seq: u64) -> String {
    format!(
        r#"{{"type":"new-message","data":{{"id":"{seq}","conversationId":"world","sender":{{"id":"9"}},"content":"c{seq}","messageType":1,"seqId":{seq},"createdAt":1}},"timestamp":5000}}"#
    )
}

fn draft(id: &str) -> Outgoing {
    Outgoing::text(id, ConversationId::World, "hello")
}

#[test]
fn it_is_ready_once_the_listing_is_read_and_the_gaps_are_fetched() {
    let mut session = connected();
    actions(&mut session, 0);
    let world = ListedConversation {
        id: ConversationId::World,
        last_seq: 2,
        last_recalled: false,
        last_rev: 0,
        cleared_up_to: 0,
    };
    let page = |next: Option<&str>| Listed {
        conversations: vec![world],
        next_cursor: next.map(str::to_owned),
        ..Listed::default()
    };
    session.handle_listed(1, page(Some("after-1")), 0);
    let fetch = Action::FetchMessages {
        conversation_id: ConversationId::World,
        after_seq: 0,
        limit: 100,
        at_least: 2,
        at_least_rev: 0,
    };
    let second = Action::ListConversations {
        ticket: 1,
        cursor: Some("after-1".to_owned()),
        last_sync: None,
    };
    assert_eq!(actions(&mut session, 0), [second, fetch]);
    session.handle_listed(1, page(None), 0);
    assert_eq!(session.state(), State::Syncing);
    session.handle_fetched(ConversationId::World, 0, HistoryPage::default(), 0);
    assert_eq!(
        session.state(),
        State::Ready,
        "a row that is late doesn't hold up the rest"
    );
    assert!(session.poll_timeout().unwrap() <= 125);
}

#[test]
fn a_listing_of_an_earlier_connection_is_ignored() {
    let mut session = connected();
    actions(&mut session, 0);
    session.handle_disconnected(None, 10);
    let again = session.poll_timeout().unwrap();
    assert!((1010..=1260).contains(&again));
    assert_eq!(session.next_attempt(), Some(again));
    assert_eq!(actions(&mut session, again), [Action::Connect]);
    assert_eq!(session.next_attempt(), None);
    session.handle_connected(again);
    session.handle_listed(1, Listed::default(), again);
    assert_eq!(session.state(), State::Syncing);
    session.handle_listed(2, Listed::default(), again);
    assert_eq!(session.state(), State::Ready);
}

#[test]
fn a_message_that_waits_for_a_connection_wakes_nobody() {
    let mut session = ready();
    session.send(draft("a"), 0).unwrap();
    session.handle_disconnected(None, 10);
    let again = session.poll_timeout().unwrap();
    assert!(again >= 1010, "not before the next attempt");
    assert_eq!(actions(&mut session, again), [Action::Connect]);
    let later = session.poll_timeout().unwrap();
    assert!(
        later > again + 3_600_000,
        "an attempt under way ends by itself: only age counts"
    );
}

#[test]
fn later_listings_ask_only_for_what_changed() {
    let mut session = ready();
    session.handle_text(r#"{"type":"pong","timestamp":5000}"#, 1);
    session.handle_disconnected(None, 20_000);
    let again = session.poll_timeout().unwrap();
    actions(&mut session, again);
    session.handle_connected(again);
    let listing = Action::ListConversations {
        ticket: 2,
        cursor: None,
        last_sync: Some(4400),
    };
    assert_eq!(actions(&mut session, again), [listing]);
}

#[test]
fn back_off_climbs_and_a_stable_connection_resets_it() {
    let mut session = ready();
    let (mut now, mut delays) = (0, Vec::new());
    for _ in 0..7 {
        session.handle_disconnected(None, now);
        let until = session.poll_timeout().unwrap();
        delays.push((until - now) / 1000);
        now = until;
        actions(&mut session, now);
        session.handle_connected(now);
    }
    for (delay, base) in delays.iter().zip([1, 2, 4, 8, 15, 30, 30]) {
        assert!((base..=base + base / 4 + 1).contains(delay), "{delays:?}");
    }
    now += 10_000;
    session.handle_disconnected(None, now);
    assert!(session.poll_timeout().unwrap() - now <= 1250);
}

#[test]
fn bad_credentials_close_and_an_unreachable_server_does_not() {
    let mut session = ClientSession::new(Options::default(), 1);
    actions(&mut session, 0);
    session.handle_auth_failed(AuthFailure::Unavailable, 0);
    assert_eq!(session.state(), State::BackingOff);
    let until = session.poll_timeout().unwrap();
    assert_eq!(
        actions(&mut session, until),
        [Action::Authenticate { renew: false }]
    );
    session.handle_auth_failed(
        AuthFailure::Refused(ErrorCode::InvalidCredentials.into()),
        until,
    );
    assert_eq!(session.state(), State::Closed);
}

#[test]
fn a_refused_token_is_renewed_but_not_for_ever() {
    let mut session = ClientSession::new(Options::default(), 1);
    let (mut now, mut renewals) = (0, 0);
    while session.state() != State::Closed {
        for action in actions(&mut session, now) {
            match action {
                Action::Authenticate { renew } => {
                    renewals += u32::from(renew);
                    session.handle_authenticated(alice());
                }
                Action::Connect => {
                    session.handle_connect_failed(ConnectFailure::Unauthorized, now);
                }
                other => panic!("{other:?}"),
            }
        }
        now = session.poll_timeout().unwrap_or(now);
    }
    assert_eq!(renewals, 3);
}

#[test]
fn an_expired_token_is_renewed_at_once_and_a_replaced_connection_stays_away() {
    let mut session = ready();
    session.handle_disconnected(Some(4002), 1);
    assert_eq!(
        actions(&mut session, 1),
        [Action::Authenticate { renew: true }]
    );
    let mut session = ready();
    session.send(draft("a"), 0).unwrap();
    session.handle_disconnected(Some(4001), 1);
    assert_eq!(session.state(), State::Closed);
    assert!(matches!(
        events(&mut session)[..],
        [Event::Refused { .. }, Event::Error(_), _]
    ));
    assert_eq!(session.poll_timeout(), None);
}

#[test]
fn a_restarting_server_is_left_alone_for_as_long_as_it_asks() {
    let mut session = ready();
    let text = r#"{"type":"restarting","data":{"reconnectIn":333},"timestamp":1}"#;
    session.handle_text(text, 5);
    session.handle_disconnected(Some(1001), 10);
    assert_eq!(session.poll_timeout(), Some(343));
}

#[test]
fn silence_is_pinged_and_then_ends_the_connection() {
    let mut session = ready();
    assert_eq!(session.poll_timeout(), Some(30_000));
    let ping = Action::Send(r#"{"type":"ping"}"#.into());
    assert_eq!(actions(&mut session, 30_000), [ping]);
    assert_eq!(actions(&mut session, 60_000).len(), 1);
    assert_eq!(actions(&mut session, 70_000), [Action::Disconnect]);
    assert_eq!(session.state(), State::BackingOff);
}

#[test]
fn an_acknowledged_message_is_in_the_timeline_of_its_author() {
    let mut session = ready();
    session.send(draft("a"), 0).unwrap();
    assert_eq!(actions(&mut session, 0).len(), 1);
    let ack = r#"{"type":"message-ack","data":{"client_msg_id":"a","messageId":"77","conversationId":"world","seqId":1,"status":"success","createdAt":9},"timestamp":9}"#;
    session.handle_text(ack, 1);
    let events = events(&mut session);
    let [Event::Message(message), Event::Sent { seq_id: 1, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(
        (message.id.get(), message.sender_id, message.seq_id),
        (77, alice(), 1)
    );
    session.handle_text(ack, 2);
    assert_eq!(session.poll_event(), None);
}

#[test]
fn removal_ends_the_timeline() {
    let mut session = ready();
    session.handle_text(&push(60), 1);
    let removed = format!(
        r#"{{"type":"member-removed","data":{{"conversationId":"world","userId":"{}"}},"timestamp":1}}"#,
        alice()
    );
    session.handle_text(&removed, 2);
    assert!(events(&mut session).contains(&Event::Left(ConversationId::World)));
    assert_eq!(session.complete_to(ConversationId::World), None);
}

#[test]
fn a_session_takes_up_where_an_earlier_one_left() {
    let mut session = ClientSession::new(Options::default(), 1);
    session.resume(ConversationId::World, 100, 0);
    actions(&mut session, 0);
    session.handle_authenticated(alice());
    session.handle_connected(0);
    session.handle_text(&push(102), 1);
    actions(&mut session, 1);
    let fetch = Action::FetchMessages {
        conversation_id: ConversationId::World,
        after_seq: 100,
        limit: 100,
        at_least: 102,
        at_least_rev: 0,
    };
    session.handle_fetch_failed(ConversationId::World, false, 1);
    let again = session.poll_timeout().unwrap();
    assert_eq!(actions(&mut session, again), [fetch]);
}

proptest! {
    #[test]
    fn hostile_frames_never_panic(
        frames in prop::collection::vec((any::<prop::sample::Index>(), any::<char>()), 1..30),
    ) {
        let mut session = ready();
        for (now, (at, with)) in frames.into_iter().enumerate() {
            let mut chars: Vec<char> = push(u64::MAX).chars().collect();
            let at = at.index(chars.len());
            chars[at] = with;
            session.handle_text(&chars.into_iter().collect::<String>(), now as u64);
            let _ = (actions(&mut session, now as u64), events(&mut session));
        }
    }
}

#[test]
fn a_token_is_renewed_ahead_of_its_end_and_given_to_the_open_connection() {
    let mut session = connected();
    session.handle_token_life(900_000, 0);
    actions(&mut session, 0);
    let now = loop {
        let at = session.poll_timeout().unwrap();
        session.handle_alive(at);
        if actions(&mut session, at).contains(&Action::RenewToken) {
            break at;
        }
        assert!(at < 600_000);
    };
    assert!((510_000..=600_000).contains(&now), "{now}");
    assert!(
        !actions(&mut session, now + 1).contains(&Action::RenewToken),
        "once"
    );
    session.handle_renew_failed(&AuthFailure::Unavailable, now);
    session.handle_alive(now + 10_000);
    assert!(actions(&mut session, now + 10_000).contains(&Action::RenewToken));
    session.handle_renewed("a.b.c", Some(900_000), now + 10_000);
    let frame = Action::Send(r#"{"type":"authenticate","data":{"token":"a.b.c"}}"#.into());
    assert!(actions(&mut session, now + 10_000).contains(&frame));
    assert_eq!(session.state(), State::Syncing);
}

fn frame(kind: &str, data: &str) -> String {
    format!(r#"{{"type":"{kind}","data":{{"conversationId":"world",{data}}},"timestamp":5000}}"#)
}

fn id(n: u64) -> MessageId {
    MessageId::new(n).unwrap()
}

fn read(seq: u64, rev: u64, content: &str) -> Message {
    Message {
        seq_id: seq,
        content: content.into(),
        created_at: 1,
        rev,
        ..Message::new(ConversationId::World, id(seq), alice())
    }
}

/// A session that holds the messages 1 and 2 of the world chat as of `rev` 5.
fn holding() -> ClientSession {
    let mut session = connected();
    actions(&mut session, 0);
    let world = ListedConversation {
        id: ConversationId::World,
        last_seq: 2,
        last_recalled: false,
        last_rev: 5,
        cleared_up_to: 0,
    };
    let listed = Listed {
        conversations: vec![world],
        ..Listed::default()
    };
    session.handle_listed(1, listed, 0);
    let fetch = Action::FetchMessages {
        conversation_id: ConversationId::World,
        after_seq: 0,
        limit: 100,
        at_least: 2,
        at_least_rev: 5,
    };
    assert_eq!(actions(&mut session, 0), [fetch]);
    let page = HistoryPage {
        messages: vec![read(1, 1, "one"), read(2, 5, "two")],
        behind: false,
    };
    session.handle_fetched(ConversationId::World, 0, page, 0);
    assert_eq!(session.state(), State::Ready);
    assert_eq!(session.complete_rev(ConversationId::World), Some(5));
    events(&mut session);
    session
}

fn changes_after(after_rev: u64, at_least: u64) -> [Action; 1] {
    [Action::FetchChanges {
        conversation_id: ConversationId::World,
        after_rev,
        limit: 100,
        at_least,
    }]
}

/// The time until a gap may be fetched that is new: nothing is asked for before.
fn after_a_moment(session: &mut ClientSession, now: u64) -> u64 {
    assert_eq!(actions(session, now), []);
    assert_eq!(session.poll_timeout(), Some(now + 100));
    assert_eq!(actions(session, now + 99), []);
    now + 100
}

#[test]
fn a_gap_that_closes_in_time_is_not_asked_for() {
    let mut session = holding();
    // Reactions to two messages that the server told together.
    let reaction = |seq: u64, revs: [u64; 2]| {
        let data = format!(
            r#""messageId":"{seq}","seqId":{seq},"rev":{},"revs":{revs:?},"kind":"reaction","message":{{"id":"{seq}","reactions":[{{"emoji":"x","count":2}}]}}"#,
            revs[1]
        );
        frame("message-changed", &data)
    };
    session.handle_text(&reaction(1, [6, 8]), 10);
    let at = after_a_moment(&mut session, 10);
    session.handle_text(&reaction(2, [7, 9]), at - 1);
    assert_eq!(actions(&mut session, at), []);
    assert_eq!(session.complete_rev(ConversationId::World), Some(9));
    // The next gap is new again, and it doesn't close.
    session.handle_text(&reaction(1, [11, 12]), at);
    let later = after_a_moment(&mut session, at);
    assert_eq!(actions(&mut session, later), changes_after(9, 12));
}

#[test]
fn a_gap_behind_one_that_closed_gets_its_own_time() {
    let mut session = holding();
    for rev in [7, 9] {
        session.handle_text(&pin(rev), 10);
    }
    after_a_moment(&mut session, 10);
    session.handle_text(&pin(6), 100);
    let at = after_a_moment(&mut session, 100);
    assert_eq!(actions(&mut session, at), changes_after(7, 9));
}

fn pin(rev: u64) -> String {
    let data = format!(
        r#""messageId":"1","seqId":1,"rev":{rev},"kind":"pinned","message":{{"id":"1","pinned":true}}"#
    );
    frame("message-changed", &data)
}

fn ack(id: &str, seq: u64, rev: u64) -> String {
    let data = format!(
        r#""client_msg_id":"{id}","messageId":"{seq}","seqId":{seq},"rev":{rev},"status":"success""#
    );
    frame("message-ack", &data)
}

#[test]
fn what_a_message_refers_to_arrives_with_it() {
    let mut session = holding();
    let data = r#""id":"3","sender":{"id":"9"},"content":"yes","messageType":1,"seqId":3,"rev":6,"createdAt":1,"replyTo":{"messageId":"1","seqId":1,"senderId":"1","state":"normal","later":1},"mentions":["1","no id","5"],"forwardedFrom":{"messageId":"77","senderId":"8","senderName":"ann"}"#;
    session.handle_text(&frame("new-message", data), 1);
    let told = events(&mut session);
    let [Event::Message(message), ..] = &told[..] else {
        panic!("{told:?}")
    };
    let quote = message.reply_to.as_ref().unwrap();
    assert_eq!((quote.seq_id, quote.state), (1, QuoteState::Normal));
    // The push didn't say so: the message was not in the database yet.
    assert_eq!(quote.excerpt.as_deref(), Some("one"));
    assert!(message.mentions(alice()));
    let from = message.forwarded_from.as_ref().unwrap();
    assert_eq!((from.message_id, &*from.sender_name), (id(77), "ann"));
    assert_eq!(from.conversation_id, None);
    let bad = r#""id":"4","sender":{"id":"9"},"content":"no","messageType":1,"seqId":4,"rev":7,"createdAt":1,"replyTo":{"messageId":"none","seqId":1}"#;
    session.handle_text(&frame("new-message", bad), 1);
    let told = events(&mut session);
    assert!(
        matches!(&told[0], Event::Message(m) if m.reply_to.is_none() && m.seq_id == 4),
        "{told:?}"
    );
}

#[test]
fn an_answer_is_sent_again_with_what_it_refers_to_and_told_with_its_quote() {
    let mut session = holding();
    session.send(draft("a").reply_to(id(1)), 1).unwrap();
    let text = |resend: &str| {
        Action::Send(format!(
            r#"{{"type":"send-message","data":{{"conversationId":"world","content":"hello","messageType":1,"client_msg_id":"a"{resend},"replyTo":"1"}}}}"#
        ))
    };
    assert_eq!(actions(&mut session, 1), [text("")]);
    session.handle_disconnected(None, 2);
    let again = session.poll_timeout().unwrap();
    actions(&mut session, again);
    session.handle_connected(again);
    let sent = actions(&mut session, again);
    assert!(sent.contains(&text(r#","resend":true"#)), "{sent:?}");
    events(&mut session);
    session.handle_text(&ack("a", 3, 6), again);
    let told = events(&mut session);
    let [Event::Message(message), ..] = &told[..] else {
        panic!("{told:?}")
    };
    let quote = message.reply_to.as_ref().unwrap();
    assert_eq!(quote.excerpt.as_deref(), Some("one"));
}

#[test]
fn what_only_the_server_knows_of_ones_own_message_is_read() {
    let stranger = UserId::new(77).unwrap();
    for message in [
        draft("a").mention([alice(), stranger]),
        draft("a").reply_to(id(99)),
    ] {
        let mut session = holding();
        session.send(message, 1).unwrap();
        actions(&mut session, 1);
        session.handle_text(&ack("a", 3, 6), 1);
        let told = events(&mut session);
        assert!(matches!(&told[..], [Event::Sent { .. }]), "{told:?}");
        assert_eq!(actions(&mut session, 1), changes_after(5, 6));
    }
}

#[test]
fn more_names_than_the_server_takes_are_refused_at_once() {
    let mut session = holding();
    let users = |n: usize| (1..=n as u64).map(|n| UserId::new(n).unwrap());
    session
        .send(draft("a").mention(users(MENTIONS_MAX + 1)), 1)
        .unwrap();
    let told = events(&mut session);
    assert!(
        matches!(&told[..], [Event::Refused { error, .. }] if error.code == ErrorCode::InvalidParams),
        "{told:?}"
    );
    assert_eq!(session.unacknowledged(), 0);
    session
        .send(draft("b").mention(users(MENTIONS_MAX)), 1)
        .unwrap();
    assert_eq!(session.unacknowledged(), 1);
}

#[test]
fn a_pushed_change_is_told_with_what_it_made_of_the_message() {
    let mut session = holding();
    let edit = r#""messageId":"1","seqId":1,"rev":6,"kind":"edited","operatorId":"1","message":{"id":"1","content":"uno","editedAt":9,"editCount":1}"#;
    session.handle_text(&frame("message-changed", edit), 1);
    let told = events(&mut session);
    let [
        Event::MessageChanged { change, .. },
        Event::Progress {
            complete_rev: 6, ..
        },
    ] = &told[..]
    else {
        panic!("{told:?}")
    };
    let mut message = read(1, 1, "one");
    assert!(message.apply(change));
    assert_eq!((&*message.content, message.edited_at), ("uno", Some(9)));
    assert!(!message.apply(change), "once");
    let recall = r#""messageId":"1","seqId":1,"rev":7,"kind":"recalled","operatorId":"1","message":{"id":"1","content":"","deleted":true}"#;
    session.handle_text(&frame("message-changed", recall), 1);
    session.handle_text(&frame("message-recalled", recall), 1);
    let told = events(&mut session);
    assert!(
        matches!(&told[..], [Event::MessageChanged { change, .. }, Event::Recalled { seq_id: 1, .. }, Event::Progress { .. }] if change.deleted),
        "{told:?}"
    );
    assert_eq!(actions(&mut session, 1), []);
}

#[test]
fn a_change_of_which_only_the_number_is_told_is_fetched() {
    for (kind, data) in [
        (
            "change-ack",
            r#""client_msg_id":"c","messageId":"1","seqId":1,"rev":6"#,
        ),
        ("message-recalled", r#""messageId":"1","seqId":1,"rev":6"#),
        (
            "message-changed",
            r#""messageId":"1","seqId":1,"rev":6,"kind":"edited","message":{"id":"1"}"#,
        ),
        (
            "message-changed",
            r#""messageId":"1","seqId":1,"rev":6,"kind":"turned","message":{"id":"1","content":"?"}"#,
        ),
    ] {
        let mut session = holding();
        session.handle_text(&frame(kind, data), 1);
        assert_eq!(events(&mut session), [], "{data}");
        let at = after_a_moment(&mut session, 1);
        assert_eq!(actions(&mut session, at), changes_after(5, 6), "{data}");
        let page = ChangesPage {
            messages: vec![read(1, 6, "uno")],
            complete_to: 6,
            head_rev: 6,
            has_more: false,
        };
        session.handle_changes(ConversationId::World, 5, page, 1);
        let told = events(&mut session);
        assert!(
            matches!(&told[0], Event::MessageChanged { change, .. } if change.kind.is_none()),
            "{told:?}"
        );
        assert_eq!(session.gaps(), 0);
    }
}

#[test]
fn a_change_that_is_pushed_while_the_list_is_read_is_not_forgotten() {
    let mut session = connected();
    actions(&mut session, 0);
    session.handle_text(
        &frame(
            "change-ack",
            r#""client_msg_id":"c","messageId":"1","seqId":1,"rev":6"#,
        ),
        0,
    );
    let world = ListedConversation {
        id: ConversationId::World,
        last_seq: 2,
        last_recalled: false,
        last_rev: 5,
        cleared_up_to: 0,
    };
    let listed = Listed {
        conversations: vec![world],
        ..Listed::default()
    };
    session.handle_listed(1, listed, 0);
    actions(&mut session, 0);
    let page = HistoryPage {
        messages: vec![read(1, 1, "one"), read(2, 5, "two")],
        behind: false,
    };
    session.handle_fetched(ConversationId::World, 0, page, 0);
    let at = after_a_moment(&mut session, 0);
    assert_eq!(actions(&mut session, at), changes_after(5, 6));
}

#[test]
fn a_late_push_of_a_message_does_not_bring_back_what_it_said() {
    let mut session = holding();
    // Message 3 was sent as 6, edited as 7 and pushed only now: the page of changes was first.
    session.handle_text(
        &frame(
            "change-ack",
            r#""client_msg_id":"c","messageId":"2","seqId":2,"rev":8"#,
        ),
        1,
    );
    let at = after_a_moment(&mut session, 1);
    assert_eq!(actions(&mut session, at), changes_after(5, 8));
    let page = ChangesPage {
        messages: vec![read(4, 8, "four")],
        complete_to: 8,
        head_rev: 8,
        has_more: false,
    };
    session.handle_changes(ConversationId::World, 5, page, 1);
    let late = r#""id":"3","sender":{"id":"9"},"content":"thre","messageType":1,"seqId":3,"rev":6,"createdAt":1"#;
    session.handle_text(&frame("new-message", late), 1);
    let fetch = Action::FetchMessages {
        conversation_id: ConversationId::World,
        after_seq: 2,
        limit: 100,
        at_least: 4,
        at_least_rev: 8,
    };
    assert_eq!(actions(&mut session, 1), [fetch]);
    let stale = HistoryPage {
        messages: vec![read(3, 6, "thre")],
        behind: true,
    };
    session.handle_fetched(ConversationId::World, 2, stale, 1);
    let told = events(&mut session);
    assert!(
        !told.iter().any(|e| matches!(e, Event::Message(_))),
        "{told:?}"
    );
    let again = session.poll_timeout().unwrap();
    assert_eq!(actions(&mut session, again).len(), 1);
    let page = HistoryPage {
        messages: vec![read(3, 7, "three"), read(4, 8, "four")],
        behind: false,
    };
    session.handle_fetched(ConversationId::World, 2, page, again);
    let told = events(&mut session);
    assert!(
        matches!(&told[..], [Event::Message(three), Event::Message(_)] if three.content == "three"),
        "{told:?}"
    );
}

#[test]
fn a_conversation_that_was_cleared_to_its_end_is_complete() {
    let mut session = connected();
    actions(&mut session, 0);
    let world = ListedConversation {
        id: ConversationId::World,
        last_seq: 70,
        last_recalled: false,
        last_rev: 0,
        cleared_up_to: 70,
    };
    let listed = Listed {
        conversations: vec![world],
        ..Listed::default()
    };
    session.handle_listed(1, listed, 0);
    assert_eq!(actions(&mut session, 0), [], "nothing is there to be read");
    assert_eq!(session.complete_to(ConversationId::World), Some(70));
}

#[test]
fn what_another_device_cleared_is_waited_for_no_longer() {
    let mut session = holding();
    let push = |seq: u64, text: &str| {
        let data = format!(
            r#""id":"{seq}","sender":{{"id":"2","username":"b"}},"messageType":1,"content":"{text}","seqId":{seq},"rev":{},"createdAt":1"#,
            seq + 3
        );
        frame("new-message", &data)
    };
    // Three doesn't come.
    session.handle_text(&push(4, "four"), 1);
    let state = r#""my":{"clearedUpTo":3,"version":1}"#;
    session.handle_text(&frame("conversation-state", state), 2);
    let told = events(&mut session);
    let cleared = |event: &&Event| matches!(event, Event::OwnStateChanged { state, .. } if state.cleared_up_to == 3);
    assert_eq!(told.iter().filter(cleared).count(), 1, "{told:?}");
    assert_eq!(session.complete_to(ConversationId::World), Some(4));
}
