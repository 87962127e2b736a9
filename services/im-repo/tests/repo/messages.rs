//! MessageService.

use gochat_core::error::ErrorCode;
use gochat_proto::im::repo::v1::{BatchSaveMessagesRequest, SaveMessageRequest};

use crate::call;
use crate::harness::{Repo, code, message};

#[tokio::test]
async fn a_saved_message_is_read_back_and_saving_it_again_is_a_success() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    let wanted = message(&chat, &ann, 1);
    let first = repo
        .messages()
        .save_message(wanted.clone())
        .await
        .unwrap()
        .into_inner();
    let second = repo
        .messages()
        .save_message(wanted.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(first, second);

    let read = call!(
        repo.messages(),
        get_message,
        GetMessageRequest {
            message_id: wanted.message_id.as_str()
        }
    );
    let read = read.unwrap().into_inner().message.unwrap();
    assert_eq!(
        (read.content, read.client_msg_id),
        (wanted.content, wanted.client_msg_id)
    );
    assert_eq!(read.sender.unwrap().username, "ann");
    let elsewhere = call!(
        repo.messages(),
        get_message,
        GetMessageRequest {
            message_id: wanted.message_id.as_str(),
            conversation_id: "world"
        }
    );
    assert_eq!(code(elsewhere), ErrorCode::MessageNotFound);
}

#[tokio::test]
async fn a_different_message_under_a_taken_number_is_refused() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    repo.fill(&chat, &ann, 1).await;
    let other = SaveMessageRequest {
        message_id: "99".into(),
        ..message(&chat, &bob, 1)
    };
    let refused = crate::harness::refusal(repo.messages().save_message(other).await);
    assert_eq!(refused.code, ErrorCode::VersionConflict);
    assert!(!refused.is_retryable());
}

#[tokio::test]
async fn a_batch_answers_for_each_message() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    repo.fill(&chat, &ann, 1).await;
    let batch = vec![
        message(&chat, &ann, 1),
        message(&chat, &ann, 2),
        SaveMessageRequest {
            message_id: "99".into(),
            ..message(&chat, &bob, 1)
        },
        SaveMessageRequest {
            message_id: "98".into(),
            seq_id: 0,
            ..message(&chat, &bob, 1)
        },
        SaveMessageRequest {
            message_id: "97".into(),
            message_type: 9,
            ..message(&chat, &bob, 3)
        },
        SaveMessageRequest {
            sender_id: "x".into(),
            ..message("world", &bob, 1)
        },
    ];
    let ids: Vec<String> = batch.iter().map(|m| m.message_id.clone()).collect();
    let request = BatchSaveMessagesRequest { messages: batch };
    let answer = repo
        .messages()
        .batch_save_messages(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.duplicates, ids[..1]);
    assert_eq!(answer.saved_message_ids, ids[1..2]);
    let mut failed: Vec<_> = answer.failed.iter().map(|f| f.message_id.clone()).collect();
    failed.sort();
    let mut expected = ids[2..].to_vec();
    expected.sort();
    assert_eq!(failed, expected);
    assert!(
        answer
            .failed
            .iter()
            .all(|f| !f.retryable && !f.reason.is_empty())
    );

    let many = vec![message(&chat, &ann, 1); 1_001];
    let refused = repo
        .messages()
        .batch_save_messages(BatchSaveMessagesRequest { messages: many })
        .await;
    assert_eq!(code(refused), ErrorCode::InvalidParams);
}

#[tokio::test]
async fn saving_moves_the_head_that_others_read() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    let head = || async {
        let found = call!(
            repo.conversations(),
            get_conversation,
            GetConversationRequest {
                conversation_id: chat.as_str()
            }
        );
        found
            .unwrap()
            .into_inner()
            .conversation
            .unwrap()
            .last_seq_id
    };
    assert_eq!(head().await, 0);
    repo.fill(&chat, &ann, 7).await;
    assert_eq!(head().await, 7, "the cached row went with the save");
}

#[tokio::test]
async fn history_is_read_from_either_end_within_bounds() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    repo.fill(&chat, &ann, 130).await;
    let read = |start: i64, end: i64, limit: i32, ascending: bool| {
        let (mut client, chat) = (repo.messages(), chat.clone());
        async move {
            let page = call!(
                client,
                get_conversation_messages,
                GetConversationMessagesRequest {
                    conversation_id: chat,
                    start_seq_id: start,
                    end_seq_id: end,
                    limit,
                    ascending,
                }
            );
            let page = page.unwrap().into_inner();
            let seqs: Vec<i64> = page.messages.iter().map(|m| m.seq_id).collect();
            (seqs, page.has_more, page.next_seq_id)
        }
    };
    assert_eq!(read(0, 0, 3, false).await, (vec![130, 129, 128], true, 127));
    assert_eq!(read(127, 126, 5, false).await, (vec![127, 126], false, 0));
    assert_eq!(read(5, 0, 2, true).await, (vec![5, 6], true, 7));
    assert_eq!(read(129, 0, 9, true).await, (vec![129, 130], false, 0));
    assert_eq!(read(0, 0, 0, false).await.0.len(), 20, "the default");
    assert_eq!(read(0, 0, 1_000, false).await.0.len(), 100, "the cap");
}

#[tokio::test]
async fn the_newest_messages_of_several_conversations_come_at_once() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    let group = repo.group("Tea", &[&ann]).await;
    repo.fill(&chat, &ann, 3).await;
    repo.fill(&group, &ann, 2).await;
    let before = repo.db.statements_run();
    let latest = call!(
        repo.messages(),
        get_latest_messages,
        GetLatestMessagesRequest {
            conversation_ids: vec![chat.clone(), group.clone()],
            limit_per_conversation: 2,
        }
    );
    assert_eq!(repo.db.statements_run() - before, 1);
    let mut found: Vec<_> = latest
        .unwrap()
        .into_inner()
        .messages
        .into_iter()
        .map(|m| (m.conversation_id, m.seq_id))
        .collect();
    found.sort();
    let mut expected = vec![
        (chat.clone(), 2),
        (chat.clone(), 3),
        (group.clone(), 1),
        (group.clone(), 2),
    ];
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_recalled_message_keeps_its_place_and_loses_its_content() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    repo.fill(&chat, &ann, 1).await;
    let id = message(&chat, &ann, 1).message_id;
    for place in ["", chat.as_str()] {
        let recalled = call!(
            repo.messages(),
            delete_message,
            DeleteMessageRequest {
                message_id: id.as_str(),
                operator_id: ann.as_str(),
                conversation_id: place,
            }
        );
        let recalled = recalled.unwrap().into_inner();
        let row = recalled.message.unwrap();
        assert!(recalled.success && row.deleted);
        assert_eq!((row.content.as_str(), row.seq_id), ("", 1));
    }
    let unknown = call!(
        repo.messages(),
        delete_message,
        DeleteMessageRequest {
            message_id: "5",
            operator_id: ann.as_str()
        }
    );
    assert_eq!(code(unknown), ErrorCode::MessageNotFound);
}

#[tokio::test]
async fn authors_of_a_range_are_named_once() {
    let repo = Repo::start().await;
    let [ann, bob, eve] = repo.people(["ann", "bob", "eve"]).await;
    let group = repo.group("Tea", &[&ann, &bob, &eve]).await;
    let by = [&ann, &bob, &ann, &eve];
    let messages = by
        .iter()
        .enumerate()
        .map(|(n, sender)| message(&group, sender, n as i64 + 1))
        .collect();
    repo.messages()
        .batch_save_messages(BatchSaveMessagesRequest { messages })
        .await
        .unwrap();
    let authors = call!(
        repo.messages(),
        list_message_authors,
        ListMessageAuthorsRequest {
            conversation_id: group.as_str(),
            after_seq_id: 0,
            up_to_seq_id: 3,
            limit: 10,
        }
    );
    let mut authors = authors.unwrap().into_inner().user_ids;
    authors.sort();
    let mut expected = vec![ann, bob];
    expected.sort();
    assert_eq!(authors, expected);
}

#[tokio::test]
async fn a_client_id_is_claimed_once_per_sender_and_conversation() {
    let repo = Repo::start().await;
    let check = |sender: &'static str, message_id: &'static str| {
        let mut client = repo.messages();
        async move {
            let answer = call!(
                client,
                check_message_idempotency,
                CheckMessageIdempotencyRequest {
                    client_msg_id: "c-1",
                    sender_id: sender,
                    conversation_id: "world",
                    message_id,
                    seq_id: 4,
                }
            );
            answer.unwrap().into_inner()
        }
    };
    assert!(!check("1", "10").await.exists);
    let repeat = check("1", "11").await;
    assert_eq!(
        (
            repeat.exists,
            repeat.existing_message_id.as_str(),
            repeat.existing_seq_id
        ),
        (true, "10", 4)
    );
    assert!(
        !check("2", "12").await.exists,
        "another sender may use the same client id"
    );
}
