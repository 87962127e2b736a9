//! ConversationService: making, changing, listing.

use gochat_core::error::ErrorCode;
use gochat_proto::common::v1::{ConversationHead, ConversationType, Pagination};
use gochat_proto::im::repo::v1::GetUserConversationsWithDetailsRequest;

use crate::call;
use crate::harness::{Repo, code, now};

#[tokio::test]
async fn a_single_chat_of_a_pair_is_made_once() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let first = repo.single(&ann, &bob).await;
    let again = call!(
        repo.conversations(),
        create_conversation,
        CreateConversationRequest {
            r#type: ConversationType::Single,
            member_ids: vec![bob.clone(), ann.clone()],
        }
    );
    let again = again.unwrap().into_inner();
    assert!(again.already_existed);
    assert_eq!(again.conversation.unwrap().id, first);
}

#[tokio::test]
async fn half_a_conversation_is_refused() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let make = |kind: ConversationType, name: &'static str, owner: &str, members: Vec<String>| {
        let mut client = repo.conversations();
        let owner = owner.to_owned();
        async move {
            call!(
                client,
                create_conversation,
                CreateConversationRequest {
                    r#type: kind,
                    name,
                    owner_id: owner,
                    member_ids: members,
                }
            )
        }
    };
    use ConversationType::{Group, Single, Unspecified, World};
    let invalid = ErrorCode::InvalidParams;
    assert_eq!(code(make(Single, "", "", vec![ann.clone()]).await), invalid);
    assert_eq!(
        code(make(Single, "", "", vec![ann.clone(), ann.clone()]).await),
        invalid
    );
    assert_eq!(code(make(Group, "g", "", vec![]).await), invalid);
    assert_eq!(
        code(make(Group, "", &ann, vec![]).await),
        ErrorCode::InvalidConversationName
    );
    assert_eq!(code(make(World, "w", &ann, vec![]).await), invalid);
    assert_eq!(code(make(Unspecified, "w", &ann, vec![bob]).await), invalid);
}

#[tokio::test]
async fn a_change_is_seen_at_once_and_a_stale_one_conflicts() {
    let repo = Repo::start().await;
    let [ann] = repo.people(["ann"]).await;
    let id = repo.group("Tea", &[&ann]).await;
    let read = || async {
        let found = call!(
            repo.conversations(),
            get_conversation,
            GetConversationRequest {
                conversation_id: id.as_str()
            }
        );
        found.unwrap().into_inner().conversation.unwrap()
    };
    assert_eq!(read().await.name, "Tea");
    let rename = call!(
        repo.conversations(),
        update_conversation,
        UpdateConversationRequest {
            conversation_id: id.as_str(),
            name: "Coffee"
        }
    );
    assert_eq!(
        rename.unwrap().into_inner().conversation.unwrap().name,
        "Coffee"
    );
    assert_eq!(read().await.name, "Coffee");

    let stale = call!(
        repo.conversations(),
        update_conversation,
        UpdateConversationRequest {
            conversation_id: id.as_str(),
            name: "Milk",
            expected_updated_at: now() - 100,
        }
    );
    assert_eq!(code(stale), ErrorCode::VersionConflict);
    let broken = call!(
        repo.conversations(),
        update_conversation,
        UpdateConversationRequest {
            conversation_id: id.as_str(),
            settings: "[1]"
        }
    );
    assert_eq!(code(broken), ErrorCode::InvalidParams);
    let unknown = call!(
        repo.conversations(),
        update_conversation,
        UpdateConversationRequest {
            conversation_id: "g_1",
            name: "Milk"
        }
    );
    assert_eq!(code(unknown), ErrorCode::ConversationNotFound);
}

#[tokio::test]
async fn a_dissolved_group_is_told_from_one_that_never_was() {
    let repo = Repo::start().await;
    let [ann] = repo.people(["ann"]).await;
    let id = repo.group("Tea", &[&ann]).await;
    let read = |id: String| {
        let mut client = repo.conversations();
        async move {
            call!(
                client,
                get_conversation,
                GetConversationRequest {
                    conversation_id: id
                }
            )
        }
    };
    read(id.clone()).await.unwrap();
    for _ in 0..2 {
        let gone = call!(
            repo.conversations(),
            delete_conversation,
            DeleteConversationRequest {
                conversation_id: id.as_str()
            }
        );
        assert!(gone.unwrap().into_inner().success, "also the second time");
    }
    assert_eq!(
        code(read(id.clone()).await),
        ErrorCode::ConversationDissolved
    );
    assert_eq!(
        code(read("g_5".into()).await),
        ErrorCode::ConversationNotFound
    );
    let batch = call!(
        repo.conversations(),
        batch_get_conversations,
        BatchGetConversationsRequest {
            conversation_ids: vec![id, "world".to_owned()]
        }
    );
    let ids: Vec<_> = batch
        .unwrap()
        .into_inner()
        .conversations
        .into_iter()
        .map(|c| c.id)
        .collect();
    assert_eq!(ids, ["world"]);
    let not_a_group = call!(
        repo.conversations(),
        delete_conversation,
        DeleteConversationRequest {
            conversation_id: "world"
        }
    );
    assert_eq!(code(not_a_group), ErrorCode::InvalidParams);
}

#[tokio::test]
async fn the_list_is_two_statements_at_most_and_shows_all_a_client_draws() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let single = repo.single(&ann, &bob).await;
    for n in 0..30 {
        repo.group(&format!("group {n}"), &[&bob, &ann]).await;
    }
    repo.fill(&single, &bob, 3).await;

    let before = repo.db.statements_run();
    let list = repo
        .conversations()
        .get_user_conversations_with_details(GetUserConversationsWithDetailsRequest {
            user_id: ann.clone(),
            pagination: Some(Pagination {
                page: 1,
                page_size: 500,
                ..Default::default()
            }),
            include_last_message: true,
            include_sender_info: true,
            ..Default::default()
        })
        .await
        .unwrap()
        .into_inner();
    let statements = repo.db.statements_run() - before;
    assert_eq!(
        statements, 2,
        "mentions are counted where something is unread"
    );
    let told = ConversationHead {
        conversation_id: single.clone(),
        seq_id: 3,
        rev: 0,
    };
    let before = repo.db.statements_run();
    let reached = repo
        .conversations()
        .get_user_conversations_with_details(GetUserConversationsWithDetailsRequest {
            user_id: ann.clone(),
            at_least: vec![told],
            ..Default::default()
        })
        .await
        .unwrap()
        .into_inner();
    assert!(!reached.behind);
    assert_eq!(
        repo.db.statements_run() - before,
        2,
        "what the reader was told of is checked on the way"
    );
    let before = repo.db.statements_run();
    let request = GetUserConversationsWithDetailsRequest {
        user_id: bob.clone(),
        ..Default::default()
    };
    let mut client = repo.conversations();
    let read = client.get_user_conversations_with_details(request).await;
    assert!(!read.unwrap().into_inner().conversations.is_empty());
    let statements = repo.db.statements_run() - before;
    assert_eq!(statements, 1, "who has read all has no unread mentions");

    let pagination = list.pagination.unwrap();
    assert_eq!(
        (pagination.page_size, pagination.total),
        (100, 32),
        "page sizes are capped"
    );
    assert!(!pagination.has_more);
    let chat = list.conversations.iter().find(|c| c.id == single).unwrap();
    assert_eq!(
        (chat.name.as_str(), chat.unread_count, chat.last_seq_id),
        ("bob", 3, 3)
    );
    assert_eq!(chat.peer.as_ref().unwrap().id, bob);
    let last = chat.last_message.as_ref().unwrap();
    assert_eq!(
        (last.seq_id, last.sender.as_ref().unwrap().username.as_str()),
        (3, "bob")
    );
    assert!(
        list.conversations
            .iter()
            .any(|c| c.id == "world" && c.my_membership.is_none())
    );
}

#[tokio::test]
async fn a_sync_tells_all_removed_conversations_page_by_page() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let since = now() - 5;
    let (mut left, mut kept) = (Vec::new(), Vec::new());
    for n in 0..1_020 {
        let group = repo.group(&format!("group {n}"), &[&bob, &ann]).await;
        if n % 102 == 0 {
            kept.push(group);
            continue;
        }
        call!(
            repo.conversations(),
            remove_conversation_member,
            RemoveConversationMemberRequest {
                conversation_id: group.as_str(),
                user_id: ann.as_str()
            }
        )
        .unwrap();
        left.push(group);
    }
    let (mut removed, mut changed, mut cursor) = (Vec::new(), Vec::new(), String::new());
    let mut pages = 0;
    loop {
        let page = repo
            .conversations()
            .get_user_conversations_with_details(GetUserConversationsWithDetailsRequest {
                user_id: ann.clone(),
                pagination: Some(Pagination {
                    page_size: 4,
                    ..Default::default()
                }),
                last_sync_time: since,
                cursor,
                ..Default::default()
            })
            .await
            .unwrap()
            .into_inner();
        pages += 1;
        assert!(page.removed_ids.len() <= 1_000 && page.conversations.len() <= 4);
        removed.extend(page.removed_ids);
        changed.extend(page.conversations.into_iter().map(|c| c.id));
        cursor = page.next_cursor;
        assert_eq!(page.pagination.unwrap().has_more, !cursor.is_empty());
        if cursor.is_empty() {
            break;
        }
    }
    removed.sort();
    left.sort();
    changed.sort();
    kept.sort();
    assert_eq!((removed, changed, pages), (left, kept, 3));
}

#[tokio::test]
async fn pages_follow_each_other_without_overlap() {
    let repo = Repo::start().await;
    let [ann] = repo.people(["ann"]).await;
    for n in 0..5 {
        repo.group(&format!("group {n}"), &[&ann]).await;
    }
    let mut seen = Vec::new();
    for page in 1.. {
        let answer = repo
            .conversations()
            .get_user_conversations_with_details(GetUserConversationsWithDetailsRequest {
                user_id: ann.clone(),
                pagination: Some(Pagination {
                    page,
                    page_size: 2,
                    ..Default::default()
                }),
                ..Default::default()
            })
            .await
            .unwrap()
            .into_inner();
        assert!(
            answer
                .conversations
                .iter()
                .all(|c| c.last_message.is_none())
        );
        seen.extend(answer.conversations.into_iter().map(|c| c.id));
        if !answer.pagination.unwrap().has_more {
            break;
        }
    }
    assert_eq!(seen.len(), 6);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 6, "five groups and the world");
}

#[tokio::test]
async fn ids_are_listed_beyond_one_page_of_the_store() {
    let repo = Repo::start().await;
    let [ann] = repo.people(["ann"]).await;
    for n in 0..120 {
        repo.group(&format!("group {n}"), &[&ann]).await;
    }
    let all = call!(
        repo.conversations(),
        get_user_conversations,
        GetUserConversationsRequest {
            user_id: ann.as_str(),
            limit: 1_000,
            type_filter: ConversationType::Group,
        }
    );
    let all = all.unwrap().into_inner();
    assert_eq!(
        (all.conversation_ids.len(), all.total, all.has_more),
        (120, 120, false)
    );
    let some = call!(
        repo.conversations(),
        get_user_conversations,
        GetUserConversationsRequest {
            user_id: ann.as_str(),
            offset: 100,
            limit: 10
        }
    );
    let some = some.unwrap().into_inner();
    assert_eq!((some.conversation_ids.len(), some.has_more), (10, true));
}

#[tokio::test]
async fn a_hidden_chat_leaves_the_list_until_the_next_message() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let single = repo.single(&ann, &bob).await;
    let listed = || async {
        let list = call!(
            repo.conversations(),
            get_user_conversations,
            GetUserConversationsRequest {
                user_id: ann.as_str()
            }
        );
        list.unwrap()
            .into_inner()
            .conversation_ids
            .contains(&single)
    };
    assert!(listed().await);
    let hide = call!(
        repo.conversations(),
        hide_conversation,
        HideConversationRequest {
            user_id: ann.as_str(),
            conversation_id: single.as_str()
        }
    );
    assert!(hide.unwrap().into_inner().success);
    assert!(!listed().await);
    repo.fill(&single, &bob, 1).await;
    assert!(listed().await);
    let group = call!(
        repo.conversations(),
        hide_conversation,
        HideConversationRequest {
            user_id: ann.as_str(),
            conversation_id: "world"
        }
    );
    assert_eq!(code(group), ErrorCode::InvalidParams);
}

#[tokio::test]
async fn a_search_finds_groups_by_name_and_chats_by_peer() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bobby"]).await;
    let single = repo.single(&ann, &bob).await;
    let group = repo.group("Bob's friends", &[&ann]).await;
    let found = call!(
        repo.conversations(),
        search_conversations,
        SearchConversationsRequest {
            user_id: ann.as_str(),
            query: "bob"
        }
    );
    let mut ids: Vec<_> = found
        .unwrap()
        .into_inner()
        .conversations
        .into_iter()
        .map(|c| c.id)
        .collect();
    ids.sort();
    let mut expected = vec![single, group];
    expected.sort();
    assert_eq!(ids, expected);
}
