//! ConversationService: what the sequencer loads.

use gochat_core::error::ErrorCode;
use gochat_proto::im::repo::v1::{
    BatchSaveMessagesRequest, FactsQuery, LoadConversationFactsRequest, ResendQuery,
};

use crate::harness::{Repo, code, edit};

fn query(id: &str, senders: &[&str], with_recent: bool) -> FactsQuery {
    FactsQuery {
        conversation_id: id.into(),
        sender_ids: senders.iter().map(ToString::to_string).collect(),
        with_recent,
        ..Default::default()
    }
}

#[tokio::test]
async fn facts_come_in_the_order_of_the_queries_with_windows_where_asked() {
    let repo = Repo::start().await;
    let [ann, bob, eve] = repo.people(["ann", "bob", "eve"]).await;
    let chat = repo.single(&ann, &bob).await;
    let group = repo.group("Tea", &[&ann, &bob, &eve]).await;
    repo.fill(&chat, &bob, 4).await;
    repo.fill(&group, &ann, 2).await;

    let request = LoadConversationFactsRequest {
        queries: vec![
            query(&group, &[&bob], false),
            query("g_404", &[&bob], true),
            query(&chat, &[&ann], true),
            query("world", &[&ann], false),
        ],
        max_members: 2,
        recent_since: 0,
        recent_limit: 3,
    };
    let facts = repo
        .conversations()
        .load_conversation_facts(request)
        .await
        .unwrap();
    let [large, missing, small, world] = facts.into_inner().facts.try_into().unwrap();

    assert_eq!(
        (large.conversation_id.as_str(), large.found),
        (group.as_str(), true)
    );
    assert!(
        !large.members_complete,
        "three members are more than the two asked for"
    );
    assert_eq!(large.members.len(), 1);
    assert_eq!(large.members[0].user_id, bob);
    assert_eq!((large.last_seq_id, large.recent.len()), (2, 0));

    assert!(!missing.found && missing.members.is_empty());
    assert_eq!(missing.conversation_id, "g_404");

    assert!(small.members_complete && small.members.len() == 2);
    let recent: Vec<_> = small
        .recent
        .iter()
        .map(|m| (m.seq_id, m.client_msg_id.as_str()))
        .collect();
    assert_eq!(recent, [(4, "c-4"), (3, "c-3"), (2, "c-2")], "newest first");
    assert_eq!(small.last_seq_id, 4);
    assert!(small.last_message_at > 0);
    assert!(world.found);
}

#[tokio::test]
async fn resends_are_looked_for_without_a_window() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    repo.fill(&chat, &bob, 4).await;
    let resend = |sender: &str, id: &str| ResendQuery {
        sender_id: sender.into(),
        client_msg_id: id.into(),
        is_change: false,
    };
    let load = async |resends: Vec<ResendQuery>| {
        let queries = vec![FactsQuery {
            resends,
            ..query(&chat, &[], false)
        }];
        let request = LoadConversationFactsRequest {
            queries,
            ..Default::default()
        };
        repo.conversations().load_conversation_facts(request).await
    };
    let asked = vec![resend(&bob, "c-2"), resend(&ann, "c-2"), resend(&bob, "x")];
    let facts = load(asked).await.unwrap().into_inner().facts.remove(0);
    assert!(facts.resends_answered && facts.recent.is_empty());
    let found: Vec<_> = facts
        .resends
        .iter()
        .map(|m| (m.seq_id, &m.sender_id))
        .collect();
    assert_eq!((found, facts.last_seq_id), (vec![(2, &bob)], 4));
    for bad in [vec![resend(&bob, "")], vec![resend(&bob, "x"); 10_001]] {
        assert_eq!(code(load(bad).await), ErrorCode::InvalidParams);
    }
}

#[tokio::test]
async fn changes_are_in_the_window_and_their_targets_are_told() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    repo.fill(&chat, &bob, 2).await;
    let change = edit(&chat, &bob, 1, 3);
    let target: i64 = change.message_id.parse().unwrap();
    let request = BatchSaveMessagesRequest {
        messages: vec![change],
    };
    repo.messages().batch_save_messages(request).await.unwrap();
    let load = async |query: FactsQuery| {
        let request = LoadConversationFactsRequest {
            queries: vec![query],
            recent_limit: 2,
            ..Default::default()
        };
        repo.conversations().load_conversation_facts(request).await
    };
    let resends = vec![ResendQuery {
        sender_id: bob.clone(),
        client_msg_id: "x-3".into(),
        is_change: true,
    }];
    let asked = FactsQuery {
        resends,
        target_ids: vec![target, target + 77, -1, 0],
        ..query(&chat, &[], true)
    };
    let facts = load(asked).await.unwrap().into_inner().facts.remove(0);
    assert_eq!((facts.last_seq_id, facts.last_rev), (2, 3));
    let recent = facts.recent.iter();
    let recent: Vec<_> = recent.map(|m| (m.rev, m.seq_id, m.is_change)).collect();
    assert_eq!(recent, [(3, 1, true), (2, 2, false)], "newest first");
    assert_eq!(facts.recent[0].client_msg_id, "x-3");
    let resends = facts.resends.iter();
    let resends: Vec<_> = resends.map(|m| (m.rev, m.is_change)).collect();
    assert_eq!(resends, [(3, true)]);
    assert!(facts.targets_answered);
    let [told] = facts.targets.try_into().unwrap();
    assert_eq!(
        (told.message_id, told.seq_id, told.edit_count),
        (target, 1, 1)
    );
    assert_eq!((told.sender_id, told.deleted), (bob, false));
    let too_many = FactsQuery {
        target_ids: vec![1; 10_001],
        ..query(&chat, &[], false)
    };
    assert_eq!(code(load(too_many).await), ErrorCode::InvalidParams);
}

#[tokio::test]
async fn facts_see_a_change_at_once() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let group = repo.group("Tea", &[&ann, &bob]).await;
    let load = || async {
        let request = LoadConversationFactsRequest {
            queries: vec![query(&group, &[], true)],
            max_members: 500,
            ..Default::default()
        };
        let facts = repo
            .conversations()
            .load_conversation_facts(request)
            .await
            .unwrap();
        facts.into_inner().facts.remove(0)
    };
    assert_eq!(load().await.members.len(), 2);
    crate::call!(
        repo.conversations(),
        remove_conversation_member,
        RemoveConversationMemberRequest {
            conversation_id: group.as_str(),
            user_id: bob.as_str()
        }
    )
    .unwrap();
    assert_eq!(load().await.members.len(), 1);
}

#[tokio::test]
async fn too_many_queries_are_refused() {
    let repo = Repo::start().await;
    let request = LoadConversationFactsRequest {
        queries: vec![query("world", &[], false); 1_001],
        ..Default::default()
    };
    let refused = repo.conversations().load_conversation_facts(request).await;
    assert_eq!(code(refused), ErrorCode::InvalidParams);
}
