//! MessageService: reactions and pins.

use std::time::Duration;

use gochat_core::error::ErrorCode;
use gochat_proto::common::v1::Reaction;
use gochat_proto::im::repo::v1::message_service_client::MessageServiceClient;
use gochat_proto::im::repo::v1::{
    BatchSaveMessagesRequest, BatchSaveMessagesResponse, FactsQuery, ListOwnReactionsRequest,
    ListPinsResponse, ListReactionsResponse, LoadConversationFactsRequest, ReactorQuery,
    RepoMessage, SaveMessageRequest,
};

use crate::call;
use crate::harness::{Repo, code, edit, message};

const REACT: i32 = 3;
const UNREACT: i32 = 4;
const PIN: i32 = 5;

fn counts(counts: &[(&str, u32)]) -> Vec<Reaction> {
    let count = |(emoji, count): &(&str, u32)| Reaction {
        emoji: (*emoji).to_owned(),
        count: *count,
        mine: false,
    };
    counts.iter().map(count).collect()
}

/// A reaction, or the end of one, after which the message has these.
fn reaction(
    (chat, sender): (&str, &str),
    (kind, seq, rev): (i32, i64, i64),
    emoji: &str,
    after: &[(&str, u32)],
) -> SaveMessageRequest {
    SaveMessageRequest {
        change: kind,
        content: emoji.into(),
        reactions: counts(after),
        edit_count: 0,
        ..edit(chat, sender, seq, rev)
    }
}

fn pin(chat: &str, sender: &str, seq: i64, rev: i64) -> SaveMessageRequest {
    SaveMessageRequest {
        change: PIN,
        pinned: true,
        ..edit(chat, sender, seq, rev)
    }
}

async fn save(repo: &Repo, messages: Vec<SaveMessageRequest>) -> BatchSaveMessagesResponse {
    let request = BatchSaveMessagesRequest { messages };
    let saved = repo.messages().batch_save_messages(request).await;
    saved.unwrap().into_inner()
}

async fn who(repo: &Repo, chat: &str, seq: i64, after: i64, limit: i32) -> ListReactionsResponse {
    let page = call!(
        repo.messages(),
        list_reactions,
        ListReactionsRequest {
            conversation_id: chat,
            message_id: message(chat, "1", seq).message_id,
            after_rev: after,
            limit,
        }
    );
    page.unwrap().into_inner()
}

async fn pins(repo: &Repo, chat: &str, told: i64) -> ListPinsResponse {
    let page = call!(
        repo.messages(),
        list_pins,
        ListPinsRequest {
            conversation_id: chat,
            at_least_rev: told,
        }
    );
    page.unwrap().into_inner()
}

async fn newest(repo: &Repo, chat: &str) -> Vec<RepoMessage> {
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

#[tokio::test]
async fn reactions_are_stored_and_told() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    let both = [("❤️", 2), ("👍", 1)];
    let batch = vec![
        message(&chat, &ann, 1),
        reaction((&chat, &bob), (REACT, 1, 2), "\u{2764}", &[("❤️", 1)]),
        reaction((&chat, &ann), (REACT, 1, 3), "❤️", &[("❤️", 2)]),
        reaction((&chat, &bob), (REACT, 1, 4), "👍", &both),
        edit(&chat, &ann, 1, 5),
    ];
    assert_eq!(save(&repo, batch.clone()).await.saved_message_ids.len(), 5);
    assert_eq!(save(&repo, batch).await.duplicates.len(), 5);
    let shown = newest(&repo, &chat).await.remove(0);
    assert_eq!(shown.reactions, counts(&both));
    assert_eq!((shown.content.as_str(), shown.rev), ("edit 5", 5));

    let page = who(&repo, &chat, 1, 0, 2).await;
    let told = |page: &ListReactionsResponse| -> Vec<(i64, String, String)> {
        let reactions = page.reactions.iter();
        let name = |r: &gochat_proto::im::repo::v1::UserReaction| {
            (r.rev, r.emoji.clone(), r.user.clone().unwrap().username)
        };
        reactions.map(name).collect()
    };
    let line = |rev, emoji: &str, name: &str| (rev, emoji.to_owned(), name.to_owned());
    assert_eq!(told(&page), [line(2, "❤️", "bob"), line(3, "❤️", "ann")]);
    assert!(page.has_more && page.reactions[0].created_at > 0);
    let rest = who(&repo, &chat, 1, 3, 2).await;
    assert_eq!(told(&rest), [line(4, "👍", "bob")]);
    assert!(!rest.has_more);
    let thumbs = call!(
        repo.messages(),
        list_reactions,
        ListReactionsRequest {
            conversation_id: chat.as_str(),
            message_id: message(&chat, &ann, 1).message_id,
            emoji: "👍",
        }
    );
    let thumbs = thumbs.unwrap().into_inner();
    assert_eq!(told(&thumbs), [line(4, "👍", "bob")]);

    let end = reaction((&chat, &bob), (UNREACT, 1, 6), "❤", &[("❤️", 1), ("👍", 1)]);
    save(&repo, vec![end]).await;
    let own = call!(
        repo.messages(),
        list_own_reactions,
        ListOwnReactionsRequest {
            conversation_id: chat.as_str(),
            user_id: bob.as_str(),
            message_ids: vec![message(&chat, &ann, 1).message_id, "77".to_owned()],
        }
    );
    let own = own.unwrap().into_inner().reactions;
    let own: Vec<_> = own.iter().map(|own| own.emoji.as_str()).collect();
    assert_eq!(own, ["👍"]);
}

#[tokio::test]
async fn what_is_no_reaction_is_refused() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    repo.fill(&chat, &ann, 1).await;
    let react = |content: &str, after: &[(&str, u32)]| {
        reaction((&chat, &bob), (REACT, 1, 2), content, after)
    };
    let one = async |request| code(repo.messages().save_message(request).await);
    assert_eq!(
        one(react("two words", &[])).await,
        ErrorCode::ReactionNotAllowed
    );
    assert_eq!(one(react("", &[])).await, ErrorCode::ReactionNotAllowed);
    let unknown = react("👍", &[("two words", 1)]);
    assert_eq!(one(unknown).await, ErrorCode::ReactionNotAllowed);
    let many = react("👍", &[("👍", 1); 21]);
    assert_eq!(one(many).await, ErrorCode::InvalidParams);
    let page = who(&repo, &chat, 1, 0, 10).await;
    assert!(page.reactions.is_empty() && !page.has_more);

    let filtered = call!(
        repo.messages(),
        list_reactions,
        ListReactionsRequest {
            conversation_id: chat.as_str(),
            message_id: "7",
            emoji: "two words",
        }
    );
    assert_eq!(code(filtered), ErrorCode::ReactionNotAllowed);
    let own = ListOwnReactionsRequest {
        conversation_id: chat.clone(),
        user_id: bob.clone(),
        message_ids: vec!["7".to_owned(); 201],
    };
    let refused = repo.messages().list_own_reactions(own.clone()).await;
    assert_eq!(code(refused), ErrorCode::InvalidParams);
    let none = ListOwnReactionsRequest {
        message_ids: Vec::new(),
        ..own
    };
    let none = repo.messages().list_own_reactions(none).await;
    assert!(none.unwrap().into_inner().reactions.is_empty());
}

#[tokio::test]
async fn pins_are_listed_counted_and_waited_for() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    repo.fill(&chat, &ann, 3).await;
    let counted = async || {
        let read = call!(
            repo.conversations(),
            get_conversation,
            GetConversationRequest {
                conversation_id: chat.as_str()
            }
        );
        read.unwrap()
            .into_inner()
            .conversation
            .unwrap()
            .pinned_count
    };
    assert_eq!(counted().await, 0);
    let batch = vec![pin(&chat, &bob, 1, 4), pin(&chat, &ann, 3, 5)];
    save(&repo, batch).await;
    assert_eq!(counted().await, 2, "a copy goes with a pin");
    let page = pins(&repo, &chat, 5).await;
    let seqs: Vec<_> = page.messages.iter().map(|m| m.seq_id).collect();
    assert_eq!((seqs, page.behind), (vec![3, 1], false));
    assert!(page.messages.iter().all(|message| message.pinned));
    assert_eq!(page.messages[0].sender.as_ref().unwrap().username, "ann");
    assert!(pins(&repo, &chat, 6).await.behind);

    let store = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let messages = vec![pin(&chat, &ann, 2, 6)];
        let mut elsewhere = MessageServiceClient::new(repo.without_memory().await);
        let request = BatchSaveMessagesRequest { messages };
        elsewhere.batch_save_messages(request).await.unwrap();
    };
    let (page, ()) = tokio::join!(pins(&repo, &chat, 6), store);
    assert_eq!((page.messages.len(), page.behind), (3, false));
    assert_eq!(page.messages[0].seq_id, 2);
}

#[tokio::test]
async fn facts_tell_what_reactions_and_pins_are_judged_by() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    repo.fill(&chat, &ann, 2).await;
    let both = [("👍", 1), ("🎉", 1)];
    let batch = vec![
        reaction((&chat, &bob), (REACT, 1, 3), "👍", &[("👍", 1)]),
        reaction((&chat, &bob), (REACT, 1, 4), "🎉", &both),
        pin(&chat, &ann, 1, 5),
    ];
    save(&repo, batch).await;
    let id = |seq| message(&chat, &ann, seq).message_id.parse::<i64>().unwrap();
    let asked = |message_id, user: &str| ReactorQuery {
        message_id,
        user_id: user.into(),
    };
    let load = async |reactors: Vec<ReactorQuery>| {
        let query = FactsQuery {
            conversation_id: chat.clone(),
            target_ids: vec![id(1), id(2)],
            reactors,
            ..Default::default()
        };
        let request = LoadConversationFactsRequest {
            queries: vec![query],
            ..Default::default()
        };
        repo.conversations().load_conversation_facts(request).await
    };
    let reactors = vec![asked(id(1), &bob), asked(id(1), &ann), asked(-1, &bob)];
    let facts = load(reactors).await.unwrap().into_inner().facts.remove(0);
    assert!(facts.reactions_answered);
    assert_eq!((facts.pinned_count, facts.last_rev), (1, 5));
    let [mut reactor] = <[_; 1]>::try_from(facts.reactors).unwrap();
    reactor.emoji.sort();
    assert_eq!((reactor.message_id, &reactor.user_id), (id(1), &bob));
    assert_eq!(reactor.emoji, ["🎉", "👍"]);
    let mut targets = facts.targets;
    targets.sort_by_key(|target| target.seq_id);
    assert_eq!(
        (&targets[0].reactions, targets[0].pinned),
        (&counts(&both), true)
    );
    assert!(targets[1].reactions.is_empty() && !targets[1].pinned);
    let many = vec![asked(id(1), &bob); 10_001];
    assert_eq!(code(load(many).await), ErrorCode::InvalidParams);
    let nobody = vec![asked(id(1), "")];
    assert_eq!(code(load(nobody).await), ErrorCode::InvalidParams);
}
