//! ConversationService: read pointers and unread counts.

use gochat_core::error::ErrorCode;

use crate::call;
use crate::harness::{Repo, code};

#[tokio::test]
async fn a_pointer_moves_forward_to_the_head_at_most() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let id = repo.single(&ann, &bob).await;
    repo.fill(&id, &bob, 10).await;
    let read = |seq: i64| {
        let (mut client, ann, id) = (repo.conversations(), ann.clone(), id.clone());
        async move {
            let moved = call!(
                client,
                update_read_pointer,
                UpdateReadPointerRequest {
                    user_id: ann,
                    conversation_id: id,
                    seq_id: seq
                }
            );
            let moved = moved.unwrap().into_inner();
            (
                moved.previous_read_seq_id,
                moved.last_read_seq_id,
                moved.unread_count,
                moved.changed,
            )
        }
    };
    assert_eq!(read(4).await, (0, 4, 6, true));
    assert_eq!(read(2).await, (4, 4, 6, false));
    assert_eq!(read(99).await, (4, 10, 0, true));
    assert_eq!(read(0).await, (10, 10, 0, false));

    let pointer = call!(
        repo.conversations(),
        get_read_pointer,
        GetReadPointerRequest {
            user_id: ann.as_str(),
            conversation_id: id.as_str()
        }
    );
    let pointer = pointer.unwrap().into_inner().pointer.unwrap();
    assert_eq!(pointer.last_read_seq_id, 10);
    assert!(pointer.updated_at > 0);
}

#[tokio::test]
async fn success_says_whether_the_wish_is_fulfilled() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let id = repo.single(&ann, &bob).await;
    repo.fill(&id, &bob, 2).await;
    let early = call!(
        repo.conversations(),
        update_read_pointer,
        UpdateReadPointerRequest {
            user_id: ann.as_str(),
            conversation_id: id.as_str(),
            seq_id: 5
        }
    );
    let early = early.unwrap().into_inner();
    assert_eq!(
        (early.success, early.last_read_seq_id),
        (false, 2),
        "5 is not stored yet"
    );
    let negative = call!(
        repo.conversations(),
        update_read_pointer,
        UpdateReadPointerRequest {
            user_id: ann.as_str(),
            conversation_id: id.as_str(),
            seq_id: -1
        }
    );
    assert_eq!(code(negative), ErrorCode::InvalidParams);
    let unknown = call!(
        repo.conversations(),
        update_read_pointer,
        UpdateReadPointerRequest {
            user_id: ann.as_str(),
            conversation_id: "g_4"
        }
    );
    assert_eq!(code(unknown), ErrorCode::ConversationNotFound);
}

#[tokio::test]
async fn unread_is_head_minus_pointer_for_one_and_for_many() {
    let repo = Repo::start().await;
    let [ann, bob, eve] = repo.people(["ann", "bob", "eve"]).await;
    let chat = repo.single(&ann, &bob).await;
    let group = repo.group("Tea", &[&ann, &bob]).await;
    repo.fill(&chat, &bob, 3).await;
    repo.fill(&group, &bob, 5).await;
    let before = repo.db.statements_run();
    let counts = call!(
        repo.conversations(),
        batch_get_unread_counts,
        BatchGetUnreadCountsRequest {
            user_id: ann.as_str(),
            conversation_ids: vec![chat.clone(), group.clone()],
        }
    );
    let counts = counts.unwrap().into_inner().unread_counts;
    assert_eq!((counts[&chat], counts[&group]), (3, 5));
    assert_eq!(repo.db.statements_run() - before, 1);

    let one = |user: &str| {
        let (mut client, user, chat) = (repo.conversations(), user.to_owned(), chat.clone());
        async move {
            call!(
                client,
                get_unread_count,
                GetUnreadCountRequest {
                    user_id: user,
                    conversation_id: chat
                }
            )
        }
    };
    assert_eq!(one(&ann).await.unwrap().into_inner().unread_count, 3);
    assert_eq!(
        one(&bob).await.unwrap().into_inner().unread_count,
        0,
        "who writes has read"
    );
    assert_eq!(code(one(&eve).await), ErrorCode::NotConversationMember);
}

#[tokio::test]
async fn a_peers_pointer_and_the_readers_of_a_message_are_told() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let id = repo.single(&ann, &bob).await;
    repo.fill(&id, &ann, 4).await;
    let read = call!(
        repo.conversations(),
        update_read_pointer,
        UpdateReadPointerRequest {
            user_id: bob.as_str(),
            conversation_id: id.as_str(),
            seq_id: 3
        }
    );
    assert!(read.unwrap().into_inner().changed);
    for (user, with_peer, peer) in [
        (&ann, true, Some(3)),
        (&bob, true, Some(4)),
        (&ann, false, None),
    ] {
        let pointer = call!(
            repo.conversations(),
            get_read_pointer,
            GetReadPointerRequest {
                user_id: user.as_str(),
                conversation_id: id.as_str(),
                with_peer
            }
        );
        assert_eq!(pointer.unwrap().into_inner().peer_last_read_seq_id, peer);
    }
    for (seq, expected) in [(3, vec![bob.clone()]), (4, vec![])] {
        let readers = call!(
            repo.conversations(),
            list_readers,
            ListReadersRequest {
                conversation_id: id.as_str(),
                seq_id: seq,
                author_id: ann.as_str(),
                members_max: 200
            }
        );
        let readers = readers.unwrap().into_inner().readers;
        let users: Vec<_> = readers.into_iter().map(|r| r.user_id).collect();
        assert_eq!(users, expected);
    }
}
