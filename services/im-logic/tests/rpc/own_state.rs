//! Own state of a conversation.

use gochat_core::error::ErrorCode;
use gochat_proto::common::v1::{OwnState, OwnStateChange};
use gochat_proto::im::logic::v1::*;

use crate::harness::{Logic, refusal};

fn change(user: &str, conversation: &str, change: OwnStateChange) -> UpdateOwnStateRequest {
    UpdateOwnStateRequest {
        user_id: user.into(),
        conversation_id: conversation.into(),
        change: Some(change),
    }
}

#[tokio::test]
async fn a_state_that_changed_is_told_once_and_reading_ends_the_mark() {
    let logic = Logic::start().await;
    let [ann, bob, cat] = logic.people(["ann", "bob", "cat"]).await;
    let group = logic.group(&ann, &[&bob]).await;
    let mut conversations = logic.conversations();
    let mark = OwnStateChange {
        marked_unread: Some(true),
        mute_until: Some(0),
        ..Default::default()
    };
    let marked = OwnState {
        marked_unread: true,
        mute_until: Some(0),
        version: 1,
        ..Default::default()
    };
    for _ in 0..2 {
        let answer = conversations
            .update_own_state(change(&bob, &group, mark.clone()))
            .await
            .unwrap();
        assert_eq!(answer.into_inner().my, Some(marked.clone()));
    }
    let told = |kinds: &[String]| kinds.iter().filter(|k| *k == "conversation.state").count();
    let [_, notifications, ..] = logic.events().await;
    assert_eq!(told(&notifications), 1, "a repeat is no news");
    let read = MarkAsReadRequest {
        user_id: bob.clone(),
        conversation_id: group.clone(),
        ..Default::default()
    };
    conversations.mark_as_read(read).await.unwrap();
    let [_, notifications, ..] = logic.events().await;
    assert_eq!(told(&notifications), 2, "other devices follow");
    let unmute = OwnStateChange {
        mute_until: Some(-1),
        ..Default::default()
    };
    let answer = conversations
        .update_own_state(change(&bob, &group, unmute.clone()))
        .await
        .unwrap();
    let after = OwnState {
        version: 3,
        ..Default::default()
    };
    assert_eq!(answer.into_inner().my, Some(after));
    let nothing = change(&bob, &group, OwnStateChange::default());
    let nothing = refusal(conversations.update_own_state(nothing).await);
    assert_eq!(nothing, ErrorCode::InvalidParams);
    let stranger = change(&cat, &group, unmute);
    let stranger = refusal(conversations.update_own_state(stranger).await);
    assert_eq!(stranger, ErrorCode::NotConversationMember);
}
