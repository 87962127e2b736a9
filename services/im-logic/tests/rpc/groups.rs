//! Groups: every change is written, announced to the sequencer and told.

use gochat_core::error::ErrorCode;
use gochat_proto::common::v1::ConversationMemberRole as Role;
use gochat_proto::im::logic::v1::*;

use crate::harness::{Logic, refusal};

fn add(operator: &str, group: &str, user: &str) -> AddMembersRequest {
    AddMembersRequest {
        operator_id: operator.into(),
        conversation_id: group.into(),
        user_ids: vec![user.into()],
        role: 0,
    }
}

fn remove(operator: &str, group: &str, user: &str) -> RemoveMembersRequest {
    RemoveMembersRequest {
        operator_id: operator.into(),
        conversation_id: group.into(),
        user_ids: vec![user.into()],
        reason: String::new(),
    }
}

fn read(user: &str, group: &str) -> GetMessagesRequest {
    GetMessagesRequest {
        user_id: user.into(),
        conversation_id: group.into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_created_group_is_told_to_everybody_and_its_members_are_invited() {
    let logic = Logic::start().await;
    let [ann, bob] = logic.people(["ann", "bob"]).await;
    let group = logic.group(&ann, &[&bob]).await;
    let [facts, told, ..] = logic.events().await;
    assert_eq!(facts, ["conversation.created"]);
    assert_eq!(told, ["conversation.invited"]);
    assert_eq!(logic.announced().await, [group]);
}

#[tokio::test]
async fn an_added_member_reads_and_a_removed_one_does_not() {
    let logic = Logic::start().await;
    let [ann, bob] = logic.people(["ann", "bob"]).await;
    let group = logic.group(&ann, &[]).await;
    let mut conversations = logic.conversations();
    let before = refusal(conversations.get_messages(read(&bob, &group)).await);
    assert_eq!(before, ErrorCode::NotConversationMember);

    let added = conversations
        .add_members(add(&ann, &group, &bob))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(added.added_user_ids, std::slice::from_ref(&bob));
    conversations
        .get_messages(read(&bob, &group))
        .await
        .unwrap();

    conversations
        .remove_members(remove(&ann, &group, &bob))
        .await
        .unwrap();
    let after = refusal(conversations.get_messages(read(&bob, &group)).await);
    assert_eq!(after, ErrorCode::NotConversationMember);

    assert_eq!(logic.announced().await.len(), 3, "created, added, removed");
    let [facts, told, ..] = logic.events().await;
    assert_eq!(
        facts,
        [
            "conversation.created",
            "conversation.member.added",
            "conversation.member.removed"
        ]
    );
    assert_eq!(
        told,
        [
            "group.member.joined",
            "conversation.invited",
            "group.member.removed"
        ]
    );
}

#[tokio::test]
async fn adding_again_names_the_reason_tells_nobody_and_is_announced_for_one_who_died_before() {
    let logic = Logic::start().await;
    let [ann, bob] = logic.people(["ann", "bob"]).await;
    let group = logic.group(&ann, &[&bob]).await;
    let before = logic.events().await;
    let answer = logic
        .conversations()
        .add_members(add(&ann, &group, &bob))
        .await
        .unwrap();
    let failed = &answer.get_ref().failed_users[0];
    assert_eq!(
        failed.error_code,
        ErrorCode::UserAlreadyInConversation.number()
    );
    assert_eq!(logic.events().await, before);
    assert_eq!(logic.announced().await.len(), 2);
}

#[tokio::test]
async fn handing_over_swaps_the_roles_and_then_the_old_owner_may_leave() {
    let logic = Logic::start().await;
    let [ann, bob] = logic.people(["ann", "bob"]).await;
    let group = logic.group(&ann, &[&bob]).await;
    let mut conversations = logic.conversations();
    let leave = LeaveConversationRequest {
        user_id: ann.clone(),
        conversation_id: group.clone(),
    };
    let stays = refusal(conversations.leave_conversation(leave.clone()).await);
    assert_eq!(stays, ErrorCode::CannotLeaveConversation);
    let transfer = UpdateMemberRoleRequest {
        operator_id: ann.clone(),
        conversation_id: group.clone(),
        target_user_id: bob.clone(),
        new_role: Role::Owner as i32,
    };
    conversations.update_member_role(transfer).await.unwrap();
    conversations.leave_conversation(leave).await.unwrap();
    let request = GetConversationRequest {
        user_id: bob.clone(),
        conversation_id: group,
        include_members: true,
        ..Default::default()
    };
    let seen = conversations
        .get_conversation(request)
        .await
        .unwrap()
        .into_inner();
    let conversation = seen.conversation.unwrap();
    assert_eq!((conversation.owner_id, conversation.member_count), (bob, 1));
    assert_eq!(seen.members[0].role(), Role::Owner);
}

#[tokio::test]
async fn new_settings_rule_the_next_decision() {
    let logic = Logic::start().await;
    let [ann, bob, cat] = logic.people(["ann", "bob", "cat"]).await;
    let group = logic.group(&ann, &[&bob]).await;
    let mut conversations = logic.conversations();
    let update = UpdateConversationRequest {
        user_id: ann.clone(),
        conversation_id: group.clone(),
        settings_json: r#"{"group_settings":{"max_members":2}}"#.into(),
        ..Default::default()
    };
    conversations.update_conversation(update).await.unwrap();
    let full = refusal(conversations.add_members(add(&ann, &group, &cat)).await);
    assert_eq!(full, ErrorCode::ConversationFull);
    assert_eq!(
        logic.announced().await.len(),
        2,
        "the sequencer hears of new settings"
    );
}

#[tokio::test]
async fn a_renamed_group_is_told_and_a_change_of_an_older_state_conflicts() {
    let logic = Logic::start().await;
    let [ann] = logic.people(["ann"]).await;
    let group = logic.group(&ann, &[]).await;
    let mut conversations = logic.conversations();
    let rename = |name: &str, expected| UpdateConversationRequest {
        user_id: ann.clone(),
        conversation_id: group.clone(),
        name: name.into(),
        expected_updated_at: expected,
        ..Default::default()
    };
    let renamed = conversations
        .update_conversation(rename("Coffee", 0))
        .await
        .unwrap();
    assert_eq!(renamed.into_inner().conversation.unwrap().name, "Coffee");
    let stale = refusal(conversations.update_conversation(rename("Milk", 1)).await);
    assert_eq!(stale, ErrorCode::VersionConflict);
    let [facts, ..] = logic.events().await;
    assert_eq!(facts, ["conversation.created", "conversation.info.updated"]);
}

#[tokio::test]
async fn a_dissolved_group_refuses_its_members_and_stays_unknown_to_strangers() {
    let logic = Logic::start().await;
    let [ann, bob] = logic.people(["ann", "bob"]).await;
    let group = logic.group(&ann, &[]).await;
    let mut conversations = logic.conversations();
    let delete = DeleteConversationRequest {
        user_id: ann.clone(),
        conversation_id: group.clone(),
        reason: String::new(),
    };
    conversations.delete_conversation(delete).await.unwrap();
    let own = refusal(conversations.get_messages(read(&ann, &group)).await);
    assert_eq!(own, ErrorCode::ConversationDissolved);
    let strange = refusal(conversations.get_messages(read(&bob, &group)).await);
    assert_eq!(strange, ErrorCode::NotConversationMember);
}

#[tokio::test]
async fn muting_goes_down_the_ranks_and_is_announced() {
    let logic = Logic::start().await;
    let [ann, bob] = logic.people(["ann", "bob"]).await;
    let group = logic.group(&ann, &[&bob]).await;
    let mute = |operator: &str, target: &str| MuteMemberRequest {
        operator_id: operator.into(),
        conversation_id: group.clone(),
        target_user_id: target.into(),
        muted: true,
        muted_until: 0,
    };
    let mut conversations = logic.conversations();
    let up = refusal(conversations.mute_member(mute(&bob, &ann)).await);
    assert_eq!(up, ErrorCode::InsufficientPermission);
    conversations.mute_member(mute(&ann, &bob)).await.unwrap();
    assert_eq!(logic.announced().await.len(), 2);
}
