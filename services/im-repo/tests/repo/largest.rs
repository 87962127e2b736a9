//! Answers about the largest rows there can be: each fits what services accept from each other,
//! says when it is cut, and leaves nothing out.

use std::collections::BTreeSet;

use gochat_proto::common::v1::{ConversationType, Pagination};
use gochat_proto::im::repo::v1::*;
use prost::Message;

use crate::harness::{Repo, message};

const GROUPS: usize = 140;
/// What services accept from each other, in bytes.
const ACCEPTED: usize = 4 << 20;

/// Groups whose every text is as long as it may be; their ids.
async fn groups(repo: &Repo, owner: &str) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for _ in 0..GROUPS {
        let request = CreateConversationRequest {
            r#type: ConversationType::Group as i32,
            name: "\u{1F642}".repeat(90),
            description: "\u{1F642}".repeat(490),
            avatar_url: format!("https://example.org/{}", "p".repeat(200)),
            settings: format!("{{\"x\":\"{}\"}}", "s".repeat(16_000)),
            owner_id: owner.into(),
            member_ids: vec![owner.into()],
            ..Default::default()
        };
        let made = repo.conversations().create_conversation(request).await;
        ids.insert(made.unwrap().into_inner().conversation.unwrap().id);
    }
    ids
}

/// Stores messages whose every text is as long as it may be.
async fn fill(repo: &Repo, conversation: &str, sender: &str, count: i64) {
    let large = |seq| SaveMessageRequest {
        content: "x".repeat(65_535),
        extra: "y".repeat(65_535),
        client_msg_id: format!("{seq:064}"),
        ..message(conversation, sender, seq)
    };
    for seq in 1..=count {
        let messages = vec![large(seq)];
        let request = BatchSaveMessagesRequest { messages };
        let saved = repo.messages().batch_save_messages(request).await.unwrap();
        assert!(saved.into_inner().failed.is_empty());
    }
}

fn check(answer: &impl Message) {
    let size = answer.encoded_len();
    assert!(size < ACCEPTED, "{size} bytes");
}

#[tokio::test]
async fn conversations_are_answered_in_parts() {
    let repo = Repo::start().await;
    let [ann] = repo.people(["ann"]).await;
    let ids = groups(&repo, &ann).await;

    let (mut met, mut asked, mut calls) = (BTreeSet::new(), Vec::from_iter(ids.clone()), 0);
    while !asked.is_empty() {
        let request = BatchGetConversationsRequest {
            conversation_ids: asked,
        };
        let answer = repo.conversations().batch_get_conversations(request).await;
        let answer = answer.unwrap().into_inner();
        check(&answer);
        met.extend(answer.conversations.into_iter().map(|c| c.id));
        asked = answer.left_ids;
        calls += 1;
    }
    assert!(met == ids && calls > 1, "{calls}");

    let query = |id: &String| FactsQuery {
        conversation_id: id.clone(),
        sender_ids: vec![ann.clone()],
        with_recent: true,
        ..Default::default()
    };
    let (mut met, mut asked, mut calls) = (BTreeSet::new(), Vec::from_iter(ids.clone()), 0);
    while !asked.is_empty() {
        let request = LoadConversationFactsRequest {
            queries: asked.iter().map(query).collect(),
            max_members: 10,
            recent_limit: 10_000,
            ..Default::default()
        };
        let answer = repo.conversations().load_conversation_facts(request).await;
        let answer = answer.unwrap().into_inner();
        check(&answer);
        asked.drain(..answer.facts.len());
        met.extend(answer.facts.into_iter().map(|facts| facts.conversation_id));
        calls += 1;
    }
    assert!(met == ids && calls > 1, "{calls}");

    let (mut met, mut cursor, mut calls) = (BTreeSet::new(), String::new(), 0);
    loop {
        let request = GetUserConversationsWithDetailsRequest {
            user_id: ann.clone(),
            pagination: Some(Pagination {
                page_size: 100,
                ..Default::default()
            }),
            type_filter: ConversationType::Group as i32,
            cursor,
            ..Default::default()
        };
        let mut client = repo.conversations();
        let answer = client.get_user_conversations_with_details(request).await;
        let answer = answer.unwrap().into_inner();
        check(&answer);
        met.extend(answer.conversations.into_iter().map(|c| c.id));
        calls += 1;
        cursor = answer.next_cursor;
        if cursor.is_empty() {
            break;
        }
    }
    assert!(met == ids && calls > 2, "{calls}");
}

#[tokio::test]
async fn messages_are_answered_in_parts() {
    let repo = Repo::start().await;
    let [ann, bob, eve] = repo.people(["ann", "bob", "eve"]).await;
    let chats = [
        repo.single(&ann, &bob).await,
        repo.single(&ann, &eve).await,
        repo.single(&bob, &eve).await,
    ];
    for chat in &chats {
        fill(&repo, chat, chat.split('_').nth(1).unwrap(), 6).await;
    }
    let (mut met, mut asked) = (Vec::new(), chats.to_vec());
    while !asked.is_empty() {
        let request = GetLatestMessagesRequest {
            conversation_ids: asked,
            limit_per_conversation: 6,
        };
        let answer = repo.messages().get_latest_messages(request).await;
        let answer = answer.unwrap().into_inner();
        check(&answer);
        met.extend(answer.messages.into_iter().map(|m| m.conversation_id));
        asked = answer.left_ids;
    }
    let of = |chat: &String| met.iter().filter(|id| *id == chat).count();
    assert_eq!(chats.each_ref().map(of), [6; 3]);

    let (mut met, mut start, mut calls) = (0, 0, 0);
    loop {
        let request = GetConversationMessagesRequest {
            conversation_id: chats[0].clone(),
            start_seq_id: start,
            limit: 100,
            ascending: true,
            ..Default::default()
        };
        let answer = repo.messages().get_conversation_messages(request).await;
        let answer = answer.unwrap().into_inner();
        check(&answer);
        met += answer.messages.len();
        calls += 1;
        start = answer.next_seq_id;
        if !answer.has_more {
            break;
        }
    }
    assert_eq!((met, calls), (6, 1), "six of 128 KiB are below 1 MiB");
}
