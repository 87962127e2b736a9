//! MessageService: changes of messages.

use std::time::Duration;

use gochat_core::error::ErrorCode;
use gochat_proto::common::v1::ConversationHead;
use gochat_proto::im::repo::v1::message_service_client::MessageServiceClient;
use gochat_proto::im::repo::v1::{
    BatchSaveMessagesRequest, BatchSaveMessagesResponse, GetConversationRequest,
    ListChangesResponse, SaveMessageRequest,
};

use crate::call;
use crate::harness::{Repo, code, edit, message};

fn recall(conversation: &str, sender: &str, seq: i64, rev: i64) -> SaveMessageRequest {
    SaveMessageRequest {
        change: 2,
        ..edit(conversation, sender, seq, rev)
    }
}

async fn save(repo: &Repo, messages: Vec<SaveMessageRequest>) -> BatchSaveMessagesResponse {
    let request = BatchSaveMessagesRequest { messages };
    let saved = repo.messages().batch_save_messages(request).await;
    saved.unwrap().into_inner()
}

async fn changes(repo: &Repo, id: &str, after: i64, limit: i32, told: i64) -> ListChangesResponse {
    let page = call!(
        repo.messages(),
        list_changes,
        ListChangesRequest {
            conversation_id: id,
            after_rev: after,
            limit,
            at_least_rev: told,
        }
    );
    page.unwrap().into_inner()
}

/// (rev, seq, content) of a page.
fn shown(page: &ListChangesResponse) -> Vec<(i64, i64, &str)> {
    let messages = page.messages.iter();
    messages
        .map(|m| (m.rev, m.seq_id, m.content.as_str()))
        .collect()
}

#[tokio::test]
async fn a_batch_of_messages_and_changes_is_stored_in_their_order() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    let last = SaveMessageRequest {
        rev: 5,
        ..message(&chat, &bob, 3)
    };
    let batch = vec![
        message(&chat, &ann, 1),
        message(&chat, &ann, 2),
        edit(&chat, &ann, 1, 3),
        recall(&chat, &ann, 2, 4),
        last,
        edit(&chat, &ann, 1, 6),
    ];
    let saved = save(&repo, batch.clone()).await;
    assert_eq!((saved.saved_message_ids.len(), saved.failed.len()), (6, 0));
    let again = save(&repo, batch).await;
    assert_eq!((again.duplicates.len(), again.failed.len()), (6, 0));

    let page = changes(&repo, &chat, 0, 10, 0).await;
    let expected = [(4, 2, ""), (5, 3, "message 3"), (6, 1, "edit 6")];
    assert_eq!(shown(&page), expected);
    assert_eq!((page.complete_to, page.head_rev), (6, 6));
    assert!(!page.has_more && !page.behind);
    let edited = &page.messages[2];
    assert!(edited.edited_at > 0 && edited.edit_count == 1 && !edited.deleted);
    assert_eq!(
        edited.client_msg_id, "c-1",
        "of the message, not of its change"
    );
    assert_eq!(edited.sender.as_ref().unwrap().username, "ann");
    assert!(page.messages[0].deleted && page.messages[0].edited_at == 0);

    let first = changes(&repo, &chat, 0, 2, 0).await;
    assert_eq!((first.complete_to, first.has_more), (5, true));
    let rest = changes(&repo, &chat, first.complete_to, 2, 0).await;
    assert_eq!(shown(&rest), expected[2..]);
    let nothing = changes(&repo, &chat, 9, 2, 0).await;
    assert_eq!((nothing.messages.len(), nothing.complete_to), (0, 9));
}

#[tokio::test]
async fn one_change_is_answered_with_its_message() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    let first = repo.messages().save_message(message(&chat, &ann, 1)).await;
    assert_eq!(first.unwrap().into_inner().message.unwrap().rev, 1);
    let change = edit(&chat, &ann, 1, 2);
    for _ in 0..2 {
        let saved = repo.messages().save_message(change.clone()).await;
        let saved = saved.unwrap().into_inner().message.unwrap();
        assert_eq!((saved.rev, saved.content.as_str()), (2, "edit 2"));
    }
    let unknown = repo.messages().save_message(edit(&chat, &ann, 5, 3)).await;
    assert_eq!(code(unknown), ErrorCode::MessageNotFound);
}

#[tokio::test]
async fn what_can_never_be_stored_is_refused_alone() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    let good = edit(&chat, &ann, 1, 3);
    let numberless = SaveMessageRequest {
        rev: 0,
        ..good.clone()
    };
    let of_later_version = SaveMessageRequest {
        change: 77,
        rev: 4,
        ..good.clone()
    };
    let long = SaveMessageRequest {
        content: "x".repeat(65_536),
        rev: 5,
        ..good.clone()
    };
    let missing = edit(&chat, &ann, 9, 6);
    let batch = vec![
        message(&chat, &ann, 1),
        numberless,
        of_later_version,
        long,
        missing.clone(),
        good,
    ];
    let saved = save(&repo, batch).await;
    assert_eq!(saved.saved_message_ids.len(), 2);
    assert_eq!(saved.failed.len(), 4);
    assert!(saved.failed.iter().all(|failed| !failed.retryable));
    assert_eq!(saved.failed[3].message_id, missing.message_id);
    let page = changes(&repo, &chat, 0, 10, 0).await;
    assert_eq!(shown(&page), [(3, 1, "edit 3")]);
}

#[tokio::test]
async fn a_reader_who_was_told_of_a_change_waits_for_it() {
    let repo = Repo::patient().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    repo.fill(&chat, &ann, 3).await;
    let late = changes(&repo, &chat, 3, 10, 4).await;
    assert!(late.behind && late.messages.is_empty());
    assert_eq!((late.complete_to, late.head_rev), (3, 3));

    // Another instance stores it, or this one.
    let other = repo.without_memory().await;
    for (rev, elsewhere) in [(4, true), (5, false)] {
        let store = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let messages = vec![edit(&chat, &ann, 2, rev)];
            let mut client = match elsewhere {
                true => MessageServiceClient::new(other.clone()),
                false => repo.messages(),
            };
            let request = BatchSaveMessagesRequest { messages };
            client.batch_save_messages(request).await.unwrap();
        };
        let (page, ()) = tokio::join!(changes(&repo, &chat, 3, 10, rev), store);
        assert!(!page.behind, "{rev}");
        assert_eq!((page.messages[0].rev, page.complete_to), (rev, rev));
    }
    let full = changes(&repo, &chat, 0, 1, 99).await;
    assert!(!full.behind, "a full page lacks nothing");
}

#[tokio::test]
async fn a_list_waits_for_a_change_its_reader_was_told_of() {
    let repo = Repo::patient().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    repo.fill(&chat, &ann, 3).await;
    let list = || async {
        let told = ConversationHead {
            conversation_id: chat.clone(),
            seq_id: 3,
            rev: 4,
        };
        let list = call!(
            repo.conversations(),
            get_user_conversations_with_details,
            GetUserConversationsWithDetailsRequest {
                user_id: bob.as_str(),
                include_last_message: true,
                at_least: vec![told],
            }
        );
        let list = list.unwrap().into_inner();
        let last = list.conversations[0].last_message.clone().unwrap();
        (list.behind, last.content)
    };
    assert_eq!(list().await, (true, "message 3".to_owned()));
    let store = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        save(&repo, vec![edit(&chat, &ann, 3, 4)]).await
    };
    let (seen, _) = tokio::join!(list(), store);
    assert_eq!(seen, (false, "edit 4".to_owned()));
}

#[tokio::test]
async fn a_copy_of_a_conversation_is_held_to_a_change_that_another_instance_stores() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    repo.fill(&chat, &ann, 3).await;
    let read = |told: i64| {
        let request = GetConversationRequest {
            conversation_id: chat.clone(),
            at_least_seq_id: 3,
            at_least_rev: told,
            ..Default::default()
        };
        let mut client = repo.conversations();
        async move {
            let read = client.get_conversation(request).await.unwrap();
            let conversation = read.into_inner().conversation.unwrap();
            (conversation.last_rev, conversation.awaited_seq_id)
        }
    };
    assert_eq!(read(0).await, (3, 0));
    assert_eq!(read(4).await, (3, 3), "it says that it is behind");
    let change = BatchSaveMessagesRequest {
        messages: vec![edit(&chat, &ann, 3, 4)],
    };
    let mut elsewhere = MessageServiceClient::new(repo.without_memory().await);
    elsewhere.batch_save_messages(change).await.unwrap();
    assert_eq!(read(4).await, (4, 0));
}

#[tokio::test]
async fn a_copy_of_a_conversation_goes_with_a_change() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let group = repo.group("Tea", &[&ann, &bob]).await;
    let last_rev = || async {
        let read = call!(
            repo.conversations(),
            get_conversation,
            GetConversationRequest {
                conversation_id: group.as_str()
            }
        );
        read.unwrap().into_inner().conversation.unwrap().last_rev
    };
    repo.fill(&group, &ann, 2).await;
    assert_eq!(last_rev().await, 2);
    save(&repo, vec![edit(&group, &ann, 1, 3)]).await;
    assert_eq!(last_rev().await, 3);
    let list = call!(
        repo.conversations(),
        get_user_conversations_with_details,
        GetUserConversationsWithDetailsRequest {
            user_id: ann.as_str(),
            include_last_message: true,
        }
    );
    let list = list.unwrap().into_inner().conversations;
    let line = list.iter().find(|line| line.id == group).unwrap();
    let last = line.last_message.as_ref().unwrap();
    assert_eq!((line.last_rev, last.rev, last.edit_count), (3, 2, 0));
}

#[tokio::test]
async fn a_page_is_bounded_by_its_bytes() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    let large = |seq| SaveMessageRequest {
        content: "x".repeat(65_535),
        ..message(&chat, &ann, seq)
    };
    save(&repo, (1..=40).map(large).collect()).await;
    let (mut met, mut after, mut pages) = (0, 0, 0);
    loop {
        let page = changes(&repo, &chat, after, 200, 0).await;
        met += page.messages.len();
        pages += 1;
        assert_eq!(
            page.complete_to,
            if page.has_more { met as i64 } else { 40 }
        );
        after = page.complete_to;
        if !page.has_more {
            break;
        }
    }
    assert!(met == 40 && pages > 1, "{met} in {pages}");
}
