//! History, reading and recalling.

use gochat_core::error::ErrorCode;
use gochat_core::message::ChangeKind;
use gochat_core::snowflake::EPOCH;
use gochat_infra::ids::now_ms;
use gochat_infra::topics;
use gochat_proto::im::logic::v1::*;
use gochat_proto::im::repo::v1 as repo;
use gochat_proto::mq::v1::MessageEvent;
use prost::Message as _;

use crate::harness::{Logic, refusal};

/// Writes messages 1 to `count` of `author`, `age_s` seconds old; the id of the last.
async fn store(logic: &Logic, group: &str, author: &str, count: i64, age_s: u64) -> String {
    let at = now_ms() - 1_000 * age_s;
    let id = |seq: i64| (((at - EPOCH) << 22) + seq.unsigned_abs()).to_string();
    let message = |seq_id| repo::SaveMessageRequest {
        message_id: id(seq_id),
        conversation_id: group.into(),
        sender_id: author.into(),
        message_type: 1,
        content: format!("m{seq_id}"),
        seq_id,
        client_msg_id: format!("c{seq_id}"),
        created_at: i64::try_from(at / 1_000).unwrap(),
        ..Default::default()
    };
    let batch = repo::BatchSaveMessagesRequest {
        messages: (1..=count).map(message).collect(),
    };
    logic.stored().batch_save_messages(batch).await.unwrap();
    id(count)
}

fn page(user: &str, group: &str, start: i64, limit: i32, ascending: bool) -> GetMessagesRequest {
    GetMessagesRequest {
        user_id: user.into(),
        conversation_id: group.into(),
        start_seq_id: start,
        limit,
        ascending,
        ..Default::default()
    }
}

#[tokio::test]
async fn history_is_read_in_both_directions() {
    let logic = Logic::start().await;
    let [ann] = logic.people(["ann"]).await;
    let group = logic.group(&ann, &[]).await;
    store(&logic, &group, &ann, 7, 0).await;
    let mut conversations = logic.conversations();
    let seqs = |m: &GetMessagesResponse| m.messages.iter().map(|m| m.seq_id).collect::<Vec<_>>();

    let newest = conversations
        .get_messages(page(&ann, &group, 0, 3, false))
        .await
        .unwrap();
    let newest = newest.into_inner();
    assert_eq!((seqs(&newest), newest.has_more), (vec![7, 6, 5], true));
    assert_eq!((newest.next_seq_id, newest.prev_seq_id), (4, 0));

    let older = page(&ann, &group, newest.next_seq_id, 10, false);
    let older = conversations
        .get_messages(older)
        .await
        .unwrap()
        .into_inner();
    assert_eq!((seqs(&older), older.has_more), (vec![4, 3, 2, 1], false));
    assert_eq!((older.next_seq_id, older.prev_seq_id), (0, 5));

    let after = conversations
        .get_messages(page(&ann, &group, 6, 10, true))
        .await
        .unwrap();
    assert_eq!(seqs(after.get_ref()), [6, 7]);
    assert_eq!(
        after.get_ref().messages[0]
            .sender
            .as_ref()
            .unwrap()
            .username,
        "ann"
    );
}

#[tokio::test]
async fn a_page_around_a_number_is_filled_from_the_other_side() {
    let logic = Logic::start().await;
    let [ann, bob] = logic.people(["ann", "bob"]).await;
    let group = logic.group(&ann, &[]).await;
    store(&logic, &group, &ann, 7, 0).await;
    let mut conversations = logic.conversations();
    for (around, expected, prev, next) in [
        (4, [3, 4, 5], 2, 6),
        (1, [1, 2, 3], 0, 4),
        (7, [5, 6, 7], 4, 0),
        (900, [5, 6, 7], 4, 0),
    ] {
        let wish = GetMessagesRequest {
            around_seq_id: around,
            ..page(&ann, &group, 0, 3, false)
        };
        let found = conversations.get_messages(wish).await.unwrap().into_inner();
        let seqs: Vec<_> = found.messages.iter().map(|m| m.seq_id).collect();
        assert_eq!(seqs, expected);
        assert_eq!((found.prev_seq_id, found.next_seq_id), (prev, next));
        assert_eq!((found.has_more, found.head_seq_id), (next > 0, 7));
    }
    let stranger = GetMessagesRequest {
        around_seq_id: 4,
        ..page(&bob, &group, 0, 3, false)
    };
    let refused = refusal(conversations.get_messages(stranger).await);
    assert_eq!(refused, ErrorCode::NotConversationMember);
}

#[tokio::test]
async fn reading_is_told_once_and_never_goes_back() {
    let logic = Logic::start().await;
    let [ann, bob] = logic.people(["ann", "bob"]).await;
    let group = logic.group(&ann, &[&bob]).await;
    store(&logic, &group, &ann, 5, 0).await;
    let mark = async |seq_id| {
        let request = MarkAsReadRequest {
            user_id: bob.clone(),
            conversation_id: group.clone(),
            seq_id,
            ..Default::default()
        };
        let answer = logic
            .conversations()
            .mark_as_read(request)
            .await
            .unwrap()
            .into_inner();
        (answer.last_read_seq_id, answer.unread_count)
    };
    assert_eq!(mark(2).await, (2, 3));
    assert_eq!(mark(1).await, (2, 3));
    assert_eq!(mark(2).await, (2, 3));
    assert_eq!(mark(0).await, (5, 0), "0 is the newest");
    let told: Vec<_> = logic.values(topics::MESSAGE_EVENTS).await;
    let payloads: Vec<serde_json::Value> = told
        .into_iter()
        .map(|value| MessageEvent::decode(value).unwrap())
        .map(|event| serde_json::from_str(&event.payload).unwrap())
        .collect();
    let moves: Vec<_> = payloads
        .iter()
        .map(|p| (&p["previous_seq_id"], &p["seq_id"]))
        .collect();
    assert_eq!(moves, [(&0.into(), &2.into()), (&2.into(), &5.into())]);
}

#[tokio::test]
async fn unread_counts_are_for_members() {
    let logic = Logic::start().await;
    let [ann, bob, cat] = logic.people(["ann", "bob", "cat"]).await;
    let group = logic.group(&ann, &[&bob]).await;
    store(&logic, &group, &ann, 4, 0).await;
    let count = |user: &str| GetUnreadCountRequest {
        user_id: user.into(),
        conversation_id: group.clone(),
        ..Default::default()
    };
    let mut conversations = logic.conversations();
    let unread = conversations
        .get_unread_count(count(&bob))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(unread.unread_count, 4);
    let stranger = refusal(conversations.get_unread_count(count(&cat)).await);
    assert_eq!(stranger, ErrorCode::NotConversationMember);
}

#[tokio::test]
async fn recalls_and_edits_go_the_way_of_messages() {
    let logic = Logic::start().await;
    let [ann, bob] = logic.people(["ann", "bob"]).await;
    let group = logic.group(&ann, &[&bob]).await;
    let message = store(&logic, &group, &bob, 1, 0).await;
    let mut messages = logic.messages();
    let recall = DeleteMessageRequest {
        message_id: message.clone(),
        operator_id: bob.clone(),
        conversation_id: group.clone(),
        reason: "x".repeat(300),
        client_msg_id: "c-9".into(),
        resend: true,
    };
    let recalled = messages.delete_message(recall.clone()).await.unwrap();
    let recalled = recalled.into_inner();
    assert!(recalled.success && (recalled.seq_id, recalled.rev) == (1, 1));
    // A caller of before changes may leave the conversation out.
    let older = DeleteMessageRequest {
        conversation_id: String::new(),
        ..recall
    };
    messages.delete_message(older).await.unwrap();
    let edit = EditMessageRequest {
        message_id: message.clone(),
        operator_id: bob.clone(),
        conversation_id: group.clone(),
        content: "better".into(),
        ..Default::default()
    };
    let edited = messages.edit_message(edit.clone()).await.unwrap();
    assert_eq!(edited.into_inner().message.unwrap().id, message);
    let nowhere = EditMessageRequest {
        message_id: "x".into(),
        ..edit
    };
    let refused = refusal(messages.edit_message(nowhere).await);
    assert_eq!(refused, ErrorCode::InvalidParams);

    let wishes = logic.wishes.lock();
    let kinds: Vec<_> = wishes.iter().map(|wish| wish.kind).collect();
    use ChangeKind::{Edit, Recall};
    assert_eq!(kinds, [Recall, Recall, Edit]);
    assert!(wishes.iter().all(|w| w.conversation.to_string() == group));
    assert!(wishes.iter().all(|w| w.target.to_string() == message));
    let first = &wishes[0];
    assert!(first.resend && first.client_msg_id == "c-9");
    assert_eq!(first.content.len(), 200, "a reason is bounded");
    assert_eq!(wishes[2].content, "better");
}

#[tokio::test]
async fn reactions_and_pins_go_the_way_of_messages() {
    let logic = Logic::start().await;
    let [ann, bob] = logic.people(["ann", "bob"]).await;
    let group = logic.group(&ann, &[&bob]).await;
    let message = store(&logic, &group, &bob, 1, 0).await;
    let mut messages = logic.messages();
    let react = |remove| ReactRequest {
        conversation_id: group.clone(),
        message_id: message.clone(),
        operator_id: ann.clone(),
        emoji: "👍".into(),
        remove,
        ..Default::default()
    };
    let reacted = messages.react(react(false)).await.unwrap().into_inner();
    assert_eq!((reacted.seq_id, reacted.rev), (1, 1));
    messages.react(react(true)).await.unwrap();
    let pin = |remove| PinMessageRequest {
        conversation_id: group.clone(),
        message_id: message.clone(),
        operator_id: ann.clone(),
        remove,
        client_msg_id: "p-1".into(),
        resend: true,
    };
    messages.pin_message(pin(false)).await.unwrap();
    messages.pin_message(pin(true)).await.unwrap();
    let wishes = logic.wishes.lock();
    let kinds: Vec<_> = wishes.iter().map(|wish| wish.kind).collect();
    use ChangeKind::{Pin, React, Unpin, Unreact};
    assert_eq!(kinds, [React, Unreact, Pin, Unpin]);
    assert_eq!(wishes[0].content, "👍");
    assert!(wishes[2].resend && wishes[2].client_msg_id == "p-1");
    assert!(wishes.iter().all(|w| w.operator.to_string() == ann));
}

#[tokio::test]
async fn who_reacted_and_what_is_pinned_is_told_to_members() {
    let logic = Logic::start().await;
    let [ann, bob, cat] = logic.people(["ann", "bob", "cat"]).await;
    let group = logic.group(&ann, &[&bob]).await;
    let message = store(&logic, &group, &bob, 1, 0).await;
    let count = |emoji: &str, count| gochat_proto::common::v1::Reaction {
        emoji: emoji.into(),
        count,
        mine: false,
    };
    let change = |rev, change: ChangeKind, sender: &str, reactions| repo::SaveMessageRequest {
        message_id: message.clone(),
        conversation_id: group.clone(),
        sender_id: sender.into(),
        content: "👍".into(),
        seq_id: 1,
        client_msg_id: format!("x{rev}"),
        rev,
        change: change.as_i32(),
        reactions,
        pinned: change == ChangeKind::Pin,
        ..Default::default()
    };
    let batch = repo::BatchSaveMessagesRequest {
        messages: vec![
            change(2, ChangeKind::React, &bob, vec![count("👍", 1)]),
            change(3, ChangeKind::React, &ann, vec![count("👍", 2)]),
            change(4, ChangeKind::Pin, &ann, vec![count("👍", 2)]),
        ],
    };
    let saved = logic.stored().batch_save_messages(batch).await.unwrap();
    assert!(saved.into_inner().failed.is_empty());
    let mut messages = logic.messages();
    let list = |user: &str, cursor: &str| ListReactionsRequest {
        user_id: user.into(),
        conversation_id: group.clone(),
        message_id: message.clone(),
        cursor: cursor.into(),
        limit: 1,
        ..Default::default()
    };
    let first = messages
        .list_reactions(list(&ann, ""))
        .await
        .unwrap()
        .into_inner();
    assert!(first.has_more);
    let rest = messages
        .list_reactions(list(&ann, &first.next_cursor))
        .await
        .unwrap();
    let rest = rest.into_inner();
    let who = |page: &ListReactionsResponse| page.reactions[0].user.clone().unwrap().id;
    assert_eq!(
        (who(&first), who(&rest), rest.has_more),
        (bob.clone(), ann.clone(), false)
    );
    let stranger = refusal(messages.list_reactions(list(&cat, "")).await);
    assert_eq!(stranger, ErrorCode::NotConversationMember);
    let bad = refusal(messages.list_reactions(list(&ann, "x")).await);
    assert_eq!(bad, ErrorCode::InvalidParams);
    let pins = ListPinsRequest {
        user_id: bob.clone(),
        conversation_id: group.clone(),
        at_least_rev: 0,
    };
    let pins = messages
        .list_pins(pins)
        .await
        .unwrap()
        .into_inner()
        .messages;
    assert!(pins.len() == 1 && pins[0].pinned);
    let mut conversations = logic.conversations();
    for (user, mine) in [(&ann, true), (&bob, true), (&cat, false)] {
        let read = conversations
            .get_messages(page(user, &group, 1, 10, true))
            .await;
        let Ok(read) = read else {
            assert!(!mine);
            continue;
        };
        let shown = &read.into_inner().messages[0].reactions;
        assert_eq!((shown[0].count, shown[0].mine), (2, mine));
    }
}
