//! The conversation list.

use gochat_core::ids::ConversationKind;

use super::*;
use crate::port::db::{ConversationEntry, ConversationHead, ListPage, ListQuery, SearchQuery};

pub(super) fn query(who: u64) -> ListQuery {
    ListQuery::first(user(who), 50)
}

fn ids(page: &ListPage) -> Vec<ConversationId> {
    page.entries.iter().map(|e| e.conversation.id).collect()
}

pub(super) async fn list(db: &SharedDatabase, query: ListQuery) -> ListPage {
    db.list_for_user(query).await.expect("a page")
}

/// However long the page is.
pub async fn the_list_is_one_statement(subject: Subject) {
    let db = subject.db();
    for n in 2..40 {
        open(&db, single(1, n), 1, &[]).await;
        save(&db, run_of(single(1, n), 1..=3, n), NOW + n).await;
    }
    let before = subject.statements();
    let page = list(&db, query(1)).await;
    let after = subject.statements();
    assert_eq!(page.entries.len(), 39);
    if let (Some(before), Some(after)) = (before, after) {
        assert_eq!(after - before, 1);
    }
}

/// Newest first; pages follow each other without gap or repeat.
pub async fn the_list_is_ordered_by_activity_and_cut_into_pages(subject: Subject) {
    let db = subject.db();
    for n in 1..=9 {
        open(&db, group(n), 1, &[]).await;
    }
    for (n, at) in [(3, 30), (7, 20), (5, 10), (1, 10)] {
        save(&db, run_of(group(n), [1], 1), NOW + at).await;
    }
    let mut met = Vec::new();
    for page in 0..4 {
        let page = list(
            &db,
            ListQuery {
                offset: page * 3,
                limit: 3,
                ..query(1)
            },
        )
        .await;
        assert_eq!(page.total, 10);
        met.extend(ids(&page));
    }
    assert_eq!(met[..4], [group(3), group(7), group(5), group(1)]);
    assert_eq!(
        met.last(),
        Some(&ConversationId::World),
        "nobody ever said anything there"
    );
    let distinct: std::collections::HashSet<_> = met.iter().collect();
    assert_eq!((met.len(), distinct.len()), (10, 10));
}

fn find(page: &ListPage, id: ConversationId) -> &ConversationEntry {
    page.entries
        .iter()
        .find(|e| e.conversation.id == id)
        .expect("in the list")
}

/// Everything a client draws.
pub async fn the_list_shows_the_last_message_the_peer_and_the_unread_count(subject: Subject) {
    let db = subject.db();
    for n in 1..=3 {
        add_user(&db, n).await;
    }
    open(&db, single(1, 2), 1, &[]).await;
    open(&db, group(1), 3, &[1, 2]).await;
    save(&db, run_of(single(1, 2), 1..=4, 2), NOW + 1).await;
    save(&db, run_of(group(1), 1..=2, 3), NOW + 2).await;
    db.advance_pointer(user(1), single(1, 2), 1, NOW)
        .await
        .expect("read");
    let page = list(&db, query(1)).await;

    let chat = find(&page, single(1, 2));
    assert_eq!(
        chat.peer.as_ref().map(|p| p.username.as_str()),
        Some("user2")
    );
    let last = chat.last_message.as_ref().expect("a last message");
    assert_eq!(
        (last.message.seq_id, last.message.content.as_str()),
        (4, "text 4")
    );
    assert_eq!(last.sender.as_ref().map(|s| s.id), Some(user(2)));
    assert_eq!((chat.last_read_seq_id, chat.unread), (1, 3));

    let talk = find(&page, group(1));
    assert_eq!((talk.peer.as_ref(), talk.unread), (None, 2));
    assert_eq!(talk.membership.as_ref().map(|m| m.role), Some(1));
    assert_eq!(talk.conversation.member_count, 3);

    db.recall(group(1), message(group(1), 2, 3).id, NOW + 9)
        .await
        .expect("recalled");
    let page = list(&db, query(1)).await;
    let last = find(&page, group(1))
        .last_message
        .as_ref()
        .expect("a marker");
    assert!(last.message.deleted && last.message.content.is_empty());
}

/// World is everybody's.
pub async fn the_list_merges_world_and_filters_by_kind(subject: Subject) {
    let db = subject.db();
    open(&db, single(1, 2), 1, &[]).await;
    open(&db, group(1), 1, &[2]).await;
    save(&db, run_of(ConversationId::World, 1..=3, 5), NOW + 9).await;
    let page = list(&db, query(1)).await;
    assert_eq!((page.total, ids(&page)[0]), (3, ConversationId::World));
    let world = find(&page, ConversationId::World);
    assert_eq!((world.membership.as_ref(), world.unread), (None, 0));
    let of = async |kind| {
        let page = list(
            &db,
            ListQuery {
                kind: Some(kind),
                ..query(1)
            },
        )
        .await;
        (page.total, ids(&page))
    };
    assert_eq!(of(ConversationKind::Single).await, (1, vec![single(1, 2)]));
    assert_eq!(of(ConversationKind::Group).await, (1, vec![group(1)]));
    assert_eq!(
        of(ConversationKind::World).await,
        (1, vec![ConversationId::World])
    );
}

/// For the one who hid it; the other never lost it.
pub async fn a_hidden_chat_shows_again_with_the_next_message(subject: Subject) {
    let db = subject.db();
    open(&db, single(1, 2), 1, &[]).await;
    let shown = async |who| ids(&list(&db, query(who)).await).contains(&single(1, 2));
    db.hide(single(1, 2), user(1), NOW + 1)
        .await
        .expect("hidden");
    assert_eq!((shown(1).await, shown(2).await), (false, true));
    save(&db, run_of(single(1, 2), [1], 2), NOW + 2).await;
    assert!(shown(1).await);
    db.hide(single(1, 2), user(1), NOW + 3)
        .await
        .expect("hidden");
    open(&db, single(1, 2), 2, &[]).await;
    assert!(!shown(1).await, "the peer's opening shows nothing to me");
    open(&db, single(1, 2), 1, &[]).await;
    assert!(shown(1).await);
    let stranger = db.hide(single(1, 2), user(3), NOW).await;
    assert_eq!(
        code(stranger),
        gochat_core::error::ErrorCode::NotConversationMember
    );
}

/// Only what changed, and what is gone.
pub async fn incremental_sync_reports_changes_and_removals(subject: Subject) {
    let db = subject.db();
    for n in 1..=6 {
        open(&db, group(n), 9, &[1]).await;
    }
    open(&db, single(1, 2), 1, &[]).await;
    let since = async |at| {
        let page = list(
            &db,
            ListQuery {
                updated_after: Some(at),
                removed_limit: 50,
                ..query(1)
            },
        )
        .await;
        let (mut changed, mut removed) = (ids(&page), page.removed.clone());
        changed.sort_unstable();
        removed.sort_unstable();
        assert_eq!(page.total, changed.len() as u64);
        (changed, removed)
    };
    assert_eq!(since(NOW).await, (vec![], vec![]));
    save(&db, run_of(group(1), 1..=2, 9), NOW + 10).await;
    db.set_role(group(2), user(1), 2, NOW + 11)
        .await
        .expect("a member");
    db.remove_member(group(3), user(1), NOW + 12)
        .await
        .expect("removed");
    db.dissolve(group(4), NOW + 13).await.expect("dissolved");
    db.hide(single(1, 2), user(1), NOW + 14)
        .await
        .expect("hidden");
    let (changed, removed) = since(NOW).await;
    assert_eq!(changed, [group(1), group(2)]);
    assert_eq!(removed, [single(1, 2), group(3), group(4)]);
    let (changed, removed) = since(NOW + 13).await;
    assert_eq!((changed, removed), (vec![], vec![single(1, 2)]));
    // Reading on another device changes the unread count.
    db.advance_pointer(user(1), group(1), 1, NOW + 20)
        .await
        .expect("read");
    assert_eq!(since(NOW + 14).await.0, [group(1)]);
    // Coming back is no removal any more.
    let add = crate::port::db::AddMembers {
        conversation: group(3),
        users: vec![user(1)],
        role: 1,
        max_members: 0,
        now: NOW + 30,
    };
    db.add_members(add).await.expect("added");
    assert_eq!(since(NOW).await.1, [single(1, 2), group(4)]);
    let full = ListQuery {
        removed_limit: 50,
        ..query(1)
    };
    assert!(
        list(&db, full).await.removed.is_empty(),
        "a full list removes nothing"
    );
}

/// However many conversations a user lost, every page of them is bounded, and all are told once.
pub async fn removed_conversations_have_pages(subject: Subject) {
    let db = subject.db();
    for n in 1..=10 {
        open(&db, group(n), 9, &[1]).await;
        db.remove_member(group(n), user(1), NOW + 5)
            .await
            .expect("removed");
    }
    open(&db, group(11), 9, &[1]).await;
    let (mut told, mut pages) = (Vec::new(), Vec::new());
    let mut query = ListQuery {
        updated_after: Some(NOW - 1),
        removed_limit: 4,
        limit: 0,
        ..query(1)
    };
    loop {
        let page = list(&db, query.clone()).await;
        assert_eq!((page.entries.len(), page.total), (0, 1));
        query.removed_after = page.removed.last().copied();
        pages.push(page.removed.len());
        told.extend(page.removed);
        if !page.has_more_removed {
            break;
        }
    }
    assert_eq!(pages, [4, 4, 2]);
    told.sort_unstable();
    assert_eq!(told, (1..=10).map(group).collect::<Vec<_>>());
    let untold = ListQuery {
        removed_limit: 0,
        ..query
    };
    let untold = list(&db, untold).await;
    assert!(untold.removed.is_empty() && !untold.has_more_removed);
}

/// Heads come with the page, of the user's own conversations, without another statement.
pub async fn the_list_tells_heads_of_the_same_moment(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[2]).await;
    open(&db, group(2), 3, &[]).await;
    for id in [group(1), group(2), ConversationId::World] {
        save(&db, run_of(id, 1..=4, 3), NOW).await;
    }
    let asked = vec![group(1), group(2), group(9), ConversationId::World];
    let heads = async |who: u64, limit| {
        let query = ListQuery {
            limit,
            heads_of: asked.clone(),
            ..query(who)
        };
        let mut heads = list(&db, query).await.heads;
        heads.sort_unstable();
        heads
    };
    let world = (ConversationId::World, 4);
    for limit in [0, 1, 50] {
        assert_eq!(heads(2, limit).await, [(group(1), 4), world]);
        assert_eq!(heads(7, limit).await, [world]);
    }
    assert!(list(&db, query(1)).await.heads.is_empty(), "none are asked");
}

/// So a client behind the end learns how far back to go.
pub async fn an_empty_page_still_knows_the_total(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    let page = list(
        &db,
        ListQuery {
            offset: 10,
            ..query(1)
        },
    )
    .await;
    assert_eq!((page.entries.len(), page.total), (0, 2));
}

/// A single chat is named by its other side.
pub async fn conversations_are_found_by_their_name_or_the_peers(subject: Subject) {
    let db = subject.db();
    for n in 1..=3 {
        add_user(&db, n).await;
    }
    open(&db, single(1, 2), 1, &[]).await;
    open(&db, single(1, 3), 1, &[]).await;
    let named = NewConversation {
        name: "Users of GoChat".to_owned(),
        ..conversation(group(1), 1, &[])
    };
    db.create_conversation(named).await.expect("made");
    let search = async |text: &str, who, kind| {
        let query = SearchQuery {
            user: user(who),
            query: text.to_owned(),
            kind,
            after: None,
            limit: 10,
        };
        let mut found: Vec<_> = db
            .search_conversations(query)
            .await
            .expect("found")
            .entries
            .iter()
            .map(|e| e.conversation.id)
            .collect();
        found.sort_unstable();
        found
    };
    assert_eq!(search("USER2", 1, None).await, [single(1, 2)]);
    assert_eq!(
        search("user", 1, None).await,
        [single(1, 2), single(1, 3), group(1)]
    );
    assert_eq!(
        search("user", 1, Some(ConversationKind::Group)).await,
        [group(1)]
    );
    assert_eq!(search("user", 2, None).await, [single(1, 2)]);
    assert!(
        search("gochat", 2, None).await.is_empty(),
        "others' groups stay unseen"
    );
}

/// Heads are told to anybody who may ask, and with a user only of that user's conversations.
pub async fn heads_are_told_of_ones_own_conversations(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[2]).await;
    open(&db, group(2), 3, &[]).await;
    for id in [group(1), group(2), ConversationId::World] {
        save(&db, run_of(id, 1..=4, 3), NOW).await;
    }
    let all = [
        group(1),
        group(2),
        group(9),
        ConversationId::World,
        group(1),
    ];
    let heads = async |member: Option<u64>| {
        let mut heads = db.heads(member.map(user), &all).await.expect("heads");
        heads.sort_unstable_by_key(|head| head.id);
        heads
    };
    let head = |id| ConversationHead { id, seq: 4, rev: 4 };
    let world = head(ConversationId::World);
    let groups = [head(group(1)), head(group(2))];
    assert_eq!(heads(None).await, [groups[0], groups[1], world]);
    assert_eq!(heads(Some(2)).await, [groups[0], world]);
    assert_eq!(heads(Some(7)).await, [world]);
    assert!(db.heads(None, &[]).await.expect("heads").is_empty());
}

fn key(entry: &ConversationEntry) -> (UnixMillis, ConversationId) {
    (entry.conversation.updated_at, entry.conversation.id)
}

/// Behind a cursor nothing is skipped or repeated, whatever leaves the list or moves to its top.
pub async fn a_walk_through_the_list_survives_changes(subject: Subject) {
    let db = subject.db();
    for n in 1..=9 {
        // The reader is no owner, who could not leave.
        open(&db, group(n), 2, &[1]).await;
    }
    // Several share an instant.
    for n in 1..=9 {
        save(&db, run_of(group(n), [1], 1), NOW + 10 * (n / 3)).await;
    }
    let (mut met, mut after) = (Vec::new(), None);
    for round in 0.. {
        let query = ListQuery {
            after,
            limit: 3,
            ..query(1)
        };
        let page = list(&db, query).await;
        met.extend(ids(&page));
        after = page.entries.last().map(key);
        if round == 0 {
            db.dissolve(met[0], NOW + 500).await.expect("dissolved");
            db.remove_member(met[1], user(1), NOW + 500)
                .await
                .expect("left");
            save(&db, run_of(met[2], [2], 1), NOW + 500).await;
        }
        if !page.has_more {
            break;
        }
    }
    let mut expected: Vec<_> = (1..=9).map(|n| (NOW + 10 * (n / 3), group(n))).collect();
    expected.sort_unstable();
    let mut expected: Vec<_> = expected.into_iter().rev().map(|(_, id)| id).collect();
    expected.push(ConversationId::World);
    assert_eq!(met, expected);
    let none = ListQuery {
        after: Some((0, ConversationId::Single(user(1), user(2)))),
        ..query(1)
    };
    let none = list(&db, none).await;
    assert_eq!(
        (none.entries.len(), none.has_more, none.total),
        (0, false, 8)
    );
}

/// A search goes on behind a cursor.
pub async fn a_search_for_conversations_has_pages(subject: Subject) {
    let db = subject.db();
    for n in 1..=5 {
        let named = NewConversation {
            name: format!("Team {n}"),
            ..conversation(group(n), 1, &[])
        };
        db.create_conversation(named).await.expect("made");
    }
    let (mut met, mut after) = (Vec::new(), None);
    loop {
        let query = SearchQuery {
            user: user(1),
            query: "team".to_owned(),
            kind: None,
            after,
            limit: 2,
        };
        let page = db.search_conversations(query).await.expect("found");
        met.extend(page.entries.iter().map(|e| e.conversation.id));
        after = page.entries.last().map(key);
        if !page.has_more {
            break;
        }
    }
    assert_eq!(met, (1..=5).rev().map(group).collect::<Vec<_>>());
}

/// A single chat shows its peer's name and picture, so it changes with them.
pub async fn a_changed_peer_is_in_the_sync(subject: Subject) {
    let db = subject.db();
    for n in 1..=3 {
        add_user(&db, n).await;
    }
    open(&db, single(1, 2), 1, &[]).await;
    open(&db, single(1, 3), 1, &[]).await;
    // Ids that differ in their last digit, on either side of the pair.
    let (low, high) = (i64::MAX as u64 - 1, i64::MAX as u64);
    for n in [low, high] {
        add_user(&db, n).await;
    }
    open(&db, single(low, high), low, &[]).await;
    let patch = crate::port::db::UserPatch {
        avatar_url: Some("https://example.org/new.png".to_owned()),
        ..Default::default()
    };
    db.update_user(user(2), patch, NOW + 50, NOW + 100_000)
        .await
        .expect("there");
    let since = ListQuery {
        updated_after: Some(NOW + 10),
        ..query(1)
    };
    assert_eq!(ids(&list(&db, since.clone()).await), [single(1, 2)]);
    for (changed, other) in [(low, high), (high, low)] {
        let patch = crate::port::db::UserPatch {
            avatar_url: Some(format!("https://example.org/{changed}.png")),
            ..Default::default()
        };
        let at = NOW + 60 + u64::from(changed == high);
        db.update_user(user(changed), patch, at, NOW + 100_000)
            .await
            .expect("there");
        let of = |who| ListQuery {
            user: user(who),
            updated_after: Some(at - 1),
            ..since.clone()
        };
        assert_eq!(ids(&list(&db, of(other)).await), [single(low, high)]);
        assert!(ids(&list(&db, of(changed)).await).is_empty());
    }
}
