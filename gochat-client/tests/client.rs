//! The SDK against a small server on a real socket.
#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails is a test that fails"
)]

mod support;

use std::time::Duration;

use gochat_client::{
    Builder, Changed, Client, Credentials, ErrorCode, ErrorKind, Event, Events, Item, Message,
    Quote, QuoteState, State, WORLD,
};
use support::Server;

/// How long anything may take that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something that must come.
async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("in vain: {what}"),
    }
}

/// Takes events until there are no more.
async fn until_the_end(events: &mut Events) {
    let end = async { while events.next().await.is_some() {} };
    soon("the end of the events", end).await;
}

fn builder(server: &Server) -> Builder {
    Client::builder(&server.url).credentials(Credentials::guest())
}

async fn connect(server: &Server) -> (Client, Events) {
    Client::connect(&server.url, Credentials::guest())
        .await
        .unwrap()
}

/// The contents of the next `n` messages.
async fn messages(events: &mut Events, n: usize) -> Vec<String> {
    let mut out = Vec::new();
    let read = async {
        while out.len() < n {
            match events.next().await {
                Some(Item::Event(Event::Message(message))) => out.push(message.content),
                Some(_) => {}
                None => panic!("closed after {out:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, read)
        .await
        .unwrap_or_default();
    out
}

#[tokio::test]
async fn a_message_is_acknowledged_and_reaches_the_other_side() {
    let server = Server::start().await;
    let (ann, mut at_ann) = connect(&server).await;
    let (ben, mut at_ben) = connect(&server).await;
    assert_eq!(ann.send(WORLD, "one").await.unwrap().seq_id, 1);
    assert_eq!(ben.send(WORLD, "two").await.unwrap().seq_id, 2);
    assert_eq!(messages(&mut at_ann, 2).await, ["one", "two"]);
    assert_eq!(messages(&mut at_ben, 2).await, ["one", "two"]);
    assert_eq!(ann.state(), State::Ready);
}

#[tokio::test]
async fn history_from_before_the_connection_is_loaded_first() {
    let server = Server::start().await;
    server.say("early");
    let (_ann, mut at_ann) = connect(&server).await;
    server.say("late");
    assert_eq!(messages(&mut at_ann, 2).await, ["early", "late"]);
}

#[tokio::test]
async fn a_lost_acknowledgement_does_not_double_the_message() {
    let server = Server::start().await;
    let (ann, mut at_ann) = connect(&server).await;
    server.model().swallow_acks = 1;
    let first = ann.send(WORLD, "one");
    let second = ann.send(WORLD, "two");
    assert_eq!(first.await.unwrap().seq_id, 1);
    assert_eq!(second.await.unwrap().seq_id, 2);
    assert_eq!(server.model().log.len(), 2);
    assert_eq!(messages(&mut at_ann, 2).await, ["one", "two"]);
}

#[tokio::test]
async fn what_was_missed_while_away_is_fetched_after_reconnecting() {
    let server = Server::start().await;
    let (ann, mut at_ann) = connect(&server).await;
    server.model().swallow_pushes = true;
    server.say("unseen");
    server.close_all(1001);
    assert_eq!(messages(&mut at_ann, 1).await, ["unseen"]);
    server.model().swallow_pushes = false;
    let mut state = ann.watch_state();
    let ready = state.wait_for(|s| *s == State::Ready);
    soon("ready again", ready).await.unwrap();
    server.say("seen");
    assert_eq!(messages(&mut at_ann, 1).await, ["seen"]);
    assert_eq!(server.model().handshakes, 2);
}

#[tokio::test]
async fn what_came_after_a_gap_waits_for_the_late_row_and_says_so() {
    let server = Server::start().await;
    let (ann, mut at_ann) = connect(&server).await;
    let mut gaps = ann.watch_gaps();
    server.model().hide_rows = true;
    server.model().swallow_pushes = true;
    server.say("late");
    server.model().swallow_pushes = false;
    server.say("prompt");
    let gap = gaps.wait_for(|gaps| *gaps == 1);
    soon("the gap is said", gap).await.unwrap();
    server.model().hide_rows = false;
    assert_eq!(messages(&mut at_ann, 2).await, ["late", "prompt"]);
    let filled = gaps.wait_for(|gaps| *gaps == 0);
    soon("the gap is filled", filled).await.unwrap();
}

/// The next `n` changes: place and content.
async fn changes(events: &mut Events, n: usize) -> Vec<(u64, String)> {
    let mut out = Vec::new();
    let read = async {
        while out.len() < n {
            match events.next().await {
                Some(Item::Event(Event::MessageChanged { change, .. })) => {
                    out.push((change.seq_id, change.content.unwrap()));
                }
                Some(_) => {}
                None => panic!("closed after {out:?}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read)
        .await
        .unwrap_or_default();
    out
}

#[tokio::test]
async fn edits_are_told_whether_pushed_or_made_while_away() {
    let server = Server::start().await;
    ["a", "b", "c"].iter().for_each(|text| server.say(text));
    let (ann, mut at_ann) = connect(&server).await;
    assert_eq!(messages(&mut at_ann, 3).await, ["a", "b", "c"]);
    server.edit(2, "B");
    assert_eq!(changes(&mut at_ann, 1).await, [(2, "B".to_owned())]);
    assert_eq!(server.model().catch_ups, 0);
    server.model().swallow_pushes = true;
    server.edit(1, "A");
    server.edit(3, "x");
    server.edit(3, "C");
    server.close_all(1001);
    let told = changes(&mut at_ann, 2).await;
    assert_eq!(told, [(1, "A".to_owned()), (3, "C".to_owned())]);
    assert_eq!(server.model().catch_ups, 1);
    ann.close().await;
}

/// The next event that is one of these.
async fn next<T>(events: &mut Events, which: impl Fn(Event) -> Option<T>) -> T {
    let next = async {
        loop {
            let Some(item) = events.next().await else {
                panic!("closed")
            };
            if let Item::Event(event) = item
                && let Some(found) = which(event)
            {
                return found;
            }
        }
    };
    soon("an event", next).await
}

async fn message(events: &mut Events) -> Message {
    let which = |event| match event {
        Event::Message(message) => Some(message),
        _ => None,
    };
    next(events, which).await
}

async fn change(events: &mut Events) -> Changed {
    let which = |event| match event {
        Event::MessageChanged { change, .. } => Some(change),
        _ => None,
    };
    next(events, which).await
}

#[tokio::test]
async fn an_answer_is_told_with_its_quote_on_both_sides_and_follows_its_message() {
    let server = Server::start().await;
    let (ann, mut at_ann) = connect(&server).await;
    let (_ben, mut at_ben) = connect(&server).await;
    server.say("tee?");
    let question = message(&mut at_ann).await;
    // The answer waits through a lost acknowledgement with what it refers to.
    server.model().swallow_acks = 1;
    let answer = Client::text(WORLD, "yes").reply_to(question.id);
    assert_eq!(ann.send_message(answer).await.unwrap().seq_id, 2);
    message(&mut at_ben).await;
    let mut answers = [message(&mut at_ann).await, message(&mut at_ben).await];
    server.edit(1, "tea?");
    for (answer, events) in answers.iter_mut().zip([&mut at_ann, &mut at_ben]) {
        assert_eq!(answer.reply_to, Some(Quote::of(&question)));
        assert!(answer.apply_to_quote(&change(events).await));
        let quote = answer.reply_to.as_ref().unwrap();
        assert_eq!(
            (quote.excerpt.as_deref(), quote.state),
            (Some("tea?"), QuoteState::Edited)
        );
    }
}

#[tokio::test]
async fn what_a_message_refers_to_is_sent_and_read_by_http() {
    let server = Server::start().await;
    let (ann, mut at_ann) = connect(&server).await;
    server.say("tee?");
    let question = message(&mut at_ann).await;
    let answer = Client::text(WORLD, "yes, all")
        .reply_to(question.id)
        .mention([ann.user_id().unwrap(), question.sender_id])
        .mention_all();
    let answer = ann.api().send(&answer).await.unwrap();
    assert_eq!(answer.reply_to, Some(Quote::of(&question)));
    assert_eq!(
        answer.mentions,
        [ann.user_id().unwrap(), question.sender_id]
    );
    assert!(answer.mention_all && answer.forwarded_from.is_none());
    let forward = ann.api().forward(WORLD, WORLD, question.id, "f-1");
    let from = forward.await.unwrap().forwarded_from.unwrap();
    assert_eq!((from.message_id, &*from.sender_name), (question.id, "ann"));
    let asked = server.model().forwards.pop().unwrap();
    let source = serde_json::json!({ "conversationId": "world", "messageId": question.id });
    assert_eq!(asked["forwardedFrom"], source);
    assert!(asked["content"].is_null() && asked["client_msg_id"] == "f-1");
    let list = ann.api().conversations(1, 10).await.unwrap();
    let world = &list.conversations[0];
    assert_eq!((world.unread_count, world.unread_mentions), (2, 1));
}

#[tokio::test]
async fn a_later_client_goes_on_where_an_earlier_one_left() {
    let server = Server::start().await;
    server.say("a");
    let (ann, mut at_ann) = connect(&server).await;
    let progress = loop {
        if let Some(Item::Event(Event::Progress {
            complete_to,
            complete_rev,
            ..
        })) = at_ann.next().await
        {
            break (complete_to, complete_rev);
        }
    };
    assert_eq!(progress, (1, 1));
    ann.close().await;
    server.edit(1, "A");
    server.say("b");
    let connecting = builder(&server).resume(WORLD, progress.0, progress.1);
    let (_ann, mut at_ann) = connecting.connect().await.unwrap();
    assert_eq!(changes(&mut at_ann, 1).await, [(1, "A".to_owned())]);
    assert_eq!(messages(&mut at_ann, 1).await, ["b"]);
}

#[tokio::test]
async fn an_expired_token_is_renewed_without_the_user_noticing() {
    let server = Server::start().await;
    let (ann, _events) = connect(&server).await;
    server.model().tokens.clear();
    server.close_all(4002);
    assert_eq!(ann.send(WORLD, "still here").await.unwrap().seq_id, 1);
    assert_eq!(server.model().refreshes, 1);
    server.model().tokens.clear();
    let calls = (
        ann.api().history_after(WORLD, 0, 10),
        ann.api().conversations(1, 10),
    );
    let (history, list) = tokio::join!(calls.0, calls.1);
    assert_eq!(
        (
            history.unwrap().messages.len(),
            list.unwrap().conversations.len()
        ),
        (1, 1)
    );
    assert_eq!(server.model().refreshes, 2, "two calls share one renewal");
}

#[tokio::test]
async fn bad_credentials_fail_at_once() {
    let server = Server::start().await;
    let error = Client::connect(&server.url, Credentials::password("ann", "wrong")).await;
    let error = error.map(drop).unwrap_err();
    assert_eq!(error.refusal().unwrap().code, ErrorCode::InvalidCredentials);
    assert!(
        Client::connect(&server.url, Credentials::password("ann", "right"))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn an_unreachable_server_is_a_timeout() {
    let answer = Client::builder("http://127.0.0.1:9")
        .credentials(Credentials::guest())
        .ready_timeout(Duration::from_millis(200))
        .connect()
        .await;
    let error = answer.map(drop).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Timeout);
    let cause = std::error::Error::source(&error).unwrap();
    assert_eq!(cause.to_string(), "the server can't be reached");
}

#[tokio::test]
async fn a_replaced_connection_does_not_fight_back() {
    let server = Server::start().await;
    let (ann, mut events) = connect(&server).await;
    server.close_all(4001);
    until_the_end(&mut events).await;
    assert_eq!(ann.state(), State::Closed);
    assert_eq!(
        *ann.send(WORLD, "?").await.unwrap_err().kind(),
        ErrorKind::Closed
    );
    assert_eq!(server.model().handshakes, 1);
}

#[tokio::test]
async fn closing_ends_events_and_fails_what_waits() {
    let server = Server::start().await;
    let (ann, mut events) = connect(&server).await;
    server.model().swallow_acks = usize::MAX;
    let waiting = ann.send(WORLD, "never acknowledged");
    ann.close().await;
    assert!(soon("the failure", waiting).await.is_err());
    until_the_end(&mut events).await;
    assert_eq!(ann.state(), State::Closed);
}

#[tokio::test]
async fn a_receiver_that_sleeps_is_told_how_much_it_missed() {
    let server = Server::start().await;
    let builder = builder(&server).event_capacity(4);
    let (ann, mut events) = builder.connect().await.unwrap();
    for n in 0..20 {
        ann.send(WORLD, format!("{n}")).await.unwrap();
    }
    assert!(matches!(events.next().await, Some(Item::Lagged(n)) if n > 10));
    assert!(matches!(events.next().await, Some(Item::Event(_))));
}
