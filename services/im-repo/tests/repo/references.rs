//! What messages refer to: stored, shown with the present state of what is answered, and counted.

use gochat_core::error::ErrorCode;
use gochat_proto::common::v1::{Conversation, Forwarded, Message, MessageType, Quote};
use gochat_proto::im::repo::v1::{
    BatchSaveMessagesRequest, BatchSaveMessagesResponse, FactsQuery, GetReadPointerResponse,
    LoadConversationFactsRequest, RepoMessage, SaveMessageRequest,
};

use crate::call;
use crate::harness::{Repo, code, edit, message};

async fn save(repo: &Repo, messages: Vec<SaveMessageRequest>) -> BatchSaveMessagesResponse {
    let request = BatchSaveMessagesRequest { messages };
    let saved = repo.messages().batch_save_messages(request).await;
    saved.unwrap().into_inner()
}

/// What a message that answers another one is saved with.
fn reply(chat: &str, sender: &str, seq: i64) -> Option<Quote> {
    Some(Quote {
        message_id: message(chat, sender, seq).message_id,
        seq_id: seq,
        sender_id: sender.into(),
        ..Default::default()
    })
}

fn naming(chat: &str, sender: &str, seq: i64, names: &[&String]) -> SaveMessageRequest {
    SaveMessageRequest {
        mention_ids: names.iter().copied().cloned().collect(),
        ..message(chat, sender, seq)
    }
}

fn recall(chat: &str, sender: &str, seq: i64, rev: i64) -> SaveMessageRequest {
    SaveMessageRequest {
        change: 2,
        content: String::new(),
        ..edit(chat, sender, seq, rev)
    }
}

async fn history(repo: &Repo, chat: &str) -> Vec<RepoMessage> {
    let page = call!(
        repo.messages(),
        get_conversation_messages,
        GetConversationMessagesRequest {
            conversation_id: chat,
            ascending: true,
        }
    );
    page.unwrap().into_inner().messages
}

async fn one(repo: &Repo, chat: &str, seq: i64) -> RepoMessage {
    let found = call!(
        repo.messages(),
        get_message,
        GetMessageRequest {
            message_id: message(chat, "1", seq).message_id
        }
    );
    found.unwrap().into_inner().message.unwrap()
}

async fn changed(repo: &Repo, chat: &str, seq: i64) -> RepoMessage {
    let page = call!(
        repo.messages(),
        list_changes,
        ListChangesRequest {
            conversation_id: chat
        }
    );
    let messages = page.unwrap().into_inner().messages;
    let found = messages.into_iter().find(|message| message.seq_id == seq);
    found.unwrap()
}

async fn pinned(repo: &Repo, chat: &str) -> RepoMessage {
    let page = call!(
        repo.messages(),
        list_pins,
        ListPinsRequest {
            conversation_id: chat
        }
    );
    page.unwrap().into_inner().messages.remove(0)
}

/// The line of a conversation in a user's list.
async fn line(repo: &Repo, user: &str, chat: &str) -> Conversation {
    let page = call!(
        repo.conversations(),
        get_user_conversations_with_details,
        GetUserConversationsWithDetailsRequest {
            user_id: user,
            include_last_message: true,
        }
    );
    let lines = page.unwrap().into_inner().conversations;
    lines.into_iter().find(|line| line.id == chat).unwrap()
}

async fn pointer(repo: &Repo, user: &str, chat: &str) -> GetReadPointerResponse {
    let read = call!(
        repo.conversations(),
        get_read_pointer,
        GetReadPointerRequest {
            user_id: user,
            conversation_id: chat,
            with_own_state: true,
        }
    );
    read.unwrap().into_inner()
}

#[tokio::test]
async fn a_quote_is_shown_as_its_message_is_now() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    let answer = SaveMessageRequest {
        reply_to: reply(&chat, &ann, 1),
        ..message(&chat, &bob, 2)
    };
    let pin = SaveMessageRequest {
        change: 5,
        pinned: true,
        edit_count: 0,
        ..edit(&chat, &ann, 2, 3)
    };
    let saved = save(&repo, vec![message(&chat, &ann, 1), answer, pin]).await;
    assert_eq!(saved.saved_message_ids.len(), 3, "{:?}", saved.failed);

    let everywhere = async || {
        let shown = [
            history(&repo, &chat).await.remove(1),
            one(&repo, &chat, 2).await,
            changed(&repo, &chat, 2).await,
            pinned(&repo, &chat).await,
        ];
        let quotes = shown.map(|message| message.reply_to.unwrap());
        assert!(quotes.iter().all(|quote| *quote == quotes[0]), "{quotes:?}");
        let [quote, ..] = quotes;
        assert_eq!((quote.seq_id, &quote.sender_id), (1, &ann));
        assert_eq!(quote.message_id, message(&chat, &ann, 1).message_id);
        assert_eq!(quote.r#type, MessageType::Text as i32);
        assert!(quote.created_at > 0);
        (quote.excerpt, quote.edited, quote.recalled)
    };
    assert_eq!(everywhere().await, ("message 1".to_owned(), false, false));
    let long = SaveMessageRequest {
        content: "ö".repeat(300),
        ..edit(&chat, &ann, 1, 4)
    };
    save(&repo, vec![long]).await;
    assert_eq!(everywhere().await, ("ö".repeat(100), true, false));
    save(&repo, vec![recall(&chat, &ann, 1, 5)]).await;
    assert_eq!(everywhere().await, (String::new(), true, true));
    assert!(history(&repo, &chat).await[0].reply_to.is_none());

    // The list says which message is answered, and no more.
    let last = line(&repo, &ann, &chat).await.last_message.unwrap();
    assert_eq!(last.reply_to, reply(&chat, &ann, 1));
}

#[tokio::test]
async fn references_are_shown_until_the_recall() {
    let repo = Repo::start().await;
    let [ann, bob, eve] = repo.people(["ann", "bob", "eve"]).await;
    let chat = repo.group("Tea", &[&ann, &bob, &eve]).await;
    let from = Forwarded {
        message_id: "77".into(),
        conversation_id: "g_9".into(),
        sender_id: eve.clone(),
        sender_name: "eve".into(),
    };
    let full = SaveMessageRequest {
        reply_to: reply(&chat, &ann, 1),
        mention_all: true,
        forwarded_from: Some(from.clone()),
        ..naming(&chat, &ann, 2, &[&eve, &bob, &eve])
    };
    let saved = save(&repo, vec![message(&chat, &ann, 1), full]).await;
    assert_eq!(saved.saved_message_ids.len(), 2, "{:?}", saved.failed);
    let mut named = vec![bob.clone(), eve.clone()];
    named.sort_by_key(|id| id.parse::<u64>().unwrap());
    let shown = one(&repo, &chat, 2).await;
    assert_eq!((&shown.mention_ids, shown.mention_all), (&named, true));
    assert_eq!(shown.forwarded_from.as_ref(), Some(&from));
    let last = line(&repo, &bob, &chat).await.last_message.unwrap();
    assert_eq!((last.mention_ids, last.mention_all), (named, true));
    assert_eq!(last.forwarded_from, Some(from));

    save(&repo, vec![recall(&chat, &ann, 2, 3)]).await;
    let shown = one(&repo, &chat, 2).await;
    assert!(shown.reply_to.is_none() && shown.mention_ids.is_empty());
    assert!(!shown.mention_all && shown.forwarded_from.is_none());
    let last: Message = line(&repo, &bob, &chat).await.last_message.unwrap();
    assert!(last.reply_to.is_none() && last.forwarded_from.is_none() && !last.mention_all);
}

#[tokio::test]
async fn unread_mentions_are_told_with_the_list_and_the_pointer() {
    let repo = Repo::start().await;
    let [ann, bob, eve] = repo.people(["ann", "bob", "eve"]).await;
    let chat = repo.group("Tea", &[&ann, &bob, &eve]).await;
    let everybody = SaveMessageRequest {
        mention_all: true,
        ..message(&chat, &ann, 3)
    };
    let batch = vec![
        naming(&chat, &ann, 1, &[&bob]),
        naming(&chat, &ann, 2, &[&eve]),
        everybody,
        naming(&chat, &ann, 4, &[&bob]),
    ];
    save(&repo, batch).await;
    let told = async |user: &String| {
        let line = line(&repo, user, &chat).await;
        let pointer = pointer(&repo, user, &chat).await;
        assert_eq!(line.unread_mentions, pointer.unread_mentions);
        (line.unread_count, line.unread_mentions)
    };
    assert_eq!(told(&ann).await, (0, 0));
    assert_eq!(told(&bob).await, (4, 3));
    assert_eq!(told(&eve).await, (4, 2));
    let found = call!(
        repo.conversations(),
        search_conversations,
        SearchConversationsRequest {
            user_id: bob.as_str(),
            query: "tea",
        }
    );
    let found = found.unwrap().into_inner().conversations;
    assert_eq!(found[0].unread_mentions, 3);

    save(&repo, vec![recall(&chat, &ann, 4, 5)]).await;
    assert_eq!(told(&bob).await, (4, 2));
    call!(
        repo.conversations(),
        update_read_pointer,
        UpdateReadPointerRequest {
            user_id: bob.as_str(),
            conversation_id: chat.as_str(),
            seq_id: 2,
        }
    )
    .unwrap();
    assert_eq!(told(&bob).await, (2, 1));
    save(&repo, vec![naming("world", &ann, 1, &[&eve])]).await;
    assert_eq!(
        pointer(&repo, &eve, "world").await.unread_mentions,
        0,
        "who never opened the world chat has missed nothing in it"
    );
    assert_eq!(line(&repo, &eve, "world").await.unread_mentions, 0);
}

#[tokio::test]
async fn what_refers_to_nothing_that_can_be_is_refused() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    let answering = |change: fn(&mut Quote)| {
        let mut request = message(&chat, &ann, 2);
        request.reply_to = reply(&chat, &ann, 1);
        request.reply_to.as_mut().map(change);
        request
    };
    let passing_on = |name: usize, conversation: &str| SaveMessageRequest {
        forwarded_from: Some(Forwarded {
            message_id: "7".into(),
            conversation_id: conversation.into(),
            sender_id: ann.clone(),
            sender_name: "n".repeat(name),
        }),
        ..message(&chat, &ann, 2)
    };
    let bad = [
        answering(|quote| quote.seq_id = 0),
        answering(|quote| quote.seq_id = -1),
        answering(|quote| quote.message_id.clear()),
        answering(|quote| quote.sender_id = "x".into()),
        naming(&chat, &ann, 2, &[&"x".to_owned()]),
        naming(&chat, &ann, 2, &[&bob; 51]),
        passing_on(101, "g_1"),
        passing_on(1, "somewhere"),
    ];
    for request in bad {
        let refused = repo.messages().save_message(request.clone()).await;
        assert_eq!(code(refused), ErrorCode::InvalidParams, "{request:?}");
    }
    let good = passing_on(100, "");
    let saved = repo.messages().save_message(good).await.unwrap();
    let shown = saved.into_inner().message.unwrap().forwarded_from.unwrap();
    assert_eq!(
        (shown.conversation_id.as_str(), shown.sender_name.len()),
        ("", 100)
    );
}

#[tokio::test]
async fn facts_tell_messages_that_are_answered() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    repo.fill(&chat, &ann, 3).await;
    save(&repo, vec![recall(&chat, &ann, 3, 4)]).await;
    let id = |seq| message(&chat, &ann, seq).message_id.parse::<i64>().unwrap();
    let load = async |quote_ids: Vec<i64>| {
        let query = FactsQuery {
            conversation_id: chat.clone(),
            target_ids: vec![id(1), id(2)],
            quote_ids,
            ..Default::default()
        };
        let request = LoadConversationFactsRequest {
            queries: vec![query],
            ..Default::default()
        };
        repo.conversations().load_conversation_facts(request).await
    };
    let facts = load(vec![id(2), id(3), id(9), -1]).await.unwrap();
    let mut targets = facts.into_inner().facts.remove(0).targets;
    targets.sort_by_key(|target| target.seq_id);
    let told: Vec<_> = targets
        .iter()
        .map(|t| (t.seq_id, t.message_type, t.excerpt.as_str(), t.deleted))
        .collect();
    let text = MessageType::Text as i32;
    let expected = [
        (1, text, "", false),
        (2, text, "message 2", false),
        (3, text, "", true),
    ];
    assert_eq!(told, expected);
    assert_eq!(
        code(load(vec![id(1); 10_001]).await),
        ErrorCode::InvalidParams
    );
}
