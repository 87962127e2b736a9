//! Friends.

use gochat_core::error::ErrorCode;

use super::*;
use crate::port::db::{
    FriendEntry, FriendPage, FriendQuery, FriendRequestRow, FriendStatus, NewFriendRequest,
    RequestQuery, RequestSide, Respond, UserPatch,
};

pub(super) async fn ask(
    db: &SharedDatabase,
    id: u64,
    from: u64,
    to: u64,
) -> DbResult<FriendRequestRow> {
    let new = NewFriendRequest {
        id: request_id(id),
        requester: user(from),
        target: user(to),
        message: format!("hello {id}"),
        cooldown: 0,
        now: NOW + id,
    };
    db.create_request(new).await
}

async fn answer(
    db: &SharedDatabase,
    id: u64,
    handler: u64,
    accept: bool,
) -> DbResult<FriendRequestRow> {
    let respond = Respond {
        request: request_id(id),
        handler: user(handler),
        accept,
        mirror_id: request_id(id + 1_000),
        now: NOW + id + 100,
    };
    db.respond(respond).await
}

pub(super) async fn befriend(db: &SharedDatabase, id: u64, a: u64, b: u64) {
    ask(db, id, a, b).await.expect("asked");
    answer(db, id, b, true).await.expect("accepted");
}

async fn people(db: &SharedDatabase, n: u64) {
    for n in 1..=n {
        add_user(db, n).await;
    }
}

pub(super) fn of(who: u64) -> FriendQuery {
    FriendQuery {
        user: user(who),
        status: FriendStatus::Accepted,
        updated_after: None,
        after: None,
        limit: 100,
    }
}

pub(super) async fn friends(db: &SharedDatabase, query: FriendQuery) -> FriendPage {
    db.friends(query).await.expect("a page")
}

fn ids(page: &FriendPage) -> Vec<u64> {
    page.friends.iter().map(|f| f.friend_id.get()).collect()
}

/// Either side's list is one look-up.
pub async fn accepting_makes_friends_of_both(subject: Subject) {
    let db = subject.db();
    people(&db, 2).await;
    let asked = ask(&db, 1, 1, 2).await.expect("asked");
    assert_eq!(
        (asked.status, asked.message.as_str()),
        (FriendStatus::Pending, "hello 1")
    );
    assert!(!db.are_friends(user(1), user(2)).await.expect("read"));
    let accepted = answer(&db, 1, 2, true).await.expect("accepted");
    assert_eq!(accepted.status, FriendStatus::Accepted);
    assert!(db.are_friends(user(2), user(1)).await.expect("read"));
    let page = friends(&db, of(1)).await;
    assert_eq!(ids(&page), [2]);
    assert_eq!(
        page.friends[0].user.as_ref().map(|u| u.username.as_str()),
        Some("user2")
    );
    assert_eq!(ids(&friends(&db, of(2)).await), [1]);
    assert_eq!(code(ask(&db, 2, 2, 1).await), ErrorCode::AlreadyFriends);
}

/// The second finds the first.
pub async fn two_who_ask_each_other_at_once_make_one_request(subject: Subject) {
    let db = subject.db();
    people(&db, 2).await;
    let racers = (1..=8_u64).map(|n| {
        let db = db.clone();
        tokio::spawn(async move { ask(&db, n, 1 + n % 2, 2 - n % 2).await })
    });
    let mut made = 0;
    for racer in racers.collect::<Vec<_>>() {
        match racer.await.expect("no panic") {
            Ok(_) => made += 1,
            Err(e) => assert_eq!(e.code(), ErrorCode::FriendRequestAlreadyExists),
        }
    }
    assert_eq!(made, 1);
    assert_eq!(
        code(ask(&db, 20, 1, 1).await),
        ErrorCode::CannotAddSelfAsFriend
    );
    assert_eq!(code(ask(&db, 21, 1, 77).await), ErrorCode::UserNotFound);
}

/// A late click changes nothing.
pub async fn only_the_target_answers_and_only_once(subject: Subject) {
    let db = subject.db();
    people(&db, 3).await;
    ask(&db, 1, 1, 2).await.expect("asked");
    assert_eq!(code(answer(&db, 1, 1, true).await), ErrorCode::Forbidden);
    assert_eq!(
        code(answer(&db, 9, 2, true).await),
        ErrorCode::FriendRequestNotFound
    );
    answer(&db, 1, 2, false).await.expect("rejected");
    assert_eq!(
        code(answer(&db, 1, 2, true).await),
        ErrorCode::FriendRequestAlreadyHandled
    );
    assert!(!db.are_friends(user(1), user(2)).await.expect("read"));
}

/// The same row, pending, with new words.
pub async fn a_rejected_request_can_be_made_again(subject: Subject) {
    let db = subject.db();
    people(&db, 2).await;
    ask(&db, 1, 1, 2).await.expect("asked");
    answer(&db, 1, 2, false).await.expect("rejected");
    let again = ask(&db, 2, 1, 2).await.expect("asked again");
    assert_eq!(
        (again.id, again.message.as_str()),
        (request_id(1), "hello 2")
    );
    assert_eq!(again.status, FriendStatus::Pending);
    answer(&db, 1, 2, false).await.expect("rejected");
    let turned = ask(&db, 3, 2, 1).await.expect("the other side asks");
    assert_eq!(turned.id, request_id(3));
    answer(&db, 3, 1, true).await.expect("accepted");
    assert_eq!(ids(&friends(&db, of(1)).await), [2]);
}

/// People see what they asked and were asked.
pub async fn mirrors_are_not_listed_as_requests(subject: Subject) {
    let db = subject.db();
    people(&db, 4).await;
    befriend(&db, 1, 1, 2).await;
    ask(&db, 2, 3, 2).await.expect("asked");
    ask(&db, 3, 2, 4).await.expect("asked");
    let list = async |who, side, status| {
        let query = RequestQuery {
            user: user(who),
            side,
            status,
            updated_since: None,
            after: None,
            limit: 10,
        };
        let found = db.requests(query).await.expect("read").requests;
        found.iter().map(|r| r.request.id.get()).collect::<Vec<_>>()
    };
    use RequestSide::{Received, Sent};
    assert_eq!(list(2, Received, None).await, [1, 2]);
    assert_eq!(list(2, Received, Some(FriendStatus::Pending)).await, [2]);
    assert_eq!(
        list(2, Sent, None).await,
        [3],
        "the mirror of 1 is nobody's request"
    );
    let query = RequestQuery {
        user: user(4),
        side: Received,
        status: None,
        updated_since: None,
        after: None,
        limit: 10,
    };
    let found = db.requests(query).await.expect("read").requests;
    assert_eq!(found[0].requester.as_ref().map(|u| u.id), Some(user(2)));
    assert_eq!(found[0].target.as_ref().map(|u| u.id), Some(user(4)));
    assert_eq!(
        code(answer(&db, 1_001, 1, true).await),
        ErrorCode::FriendRequestNotFound
    );
    let mirror = db
        .request_between(user(2), user(1))
        .await
        .expect("read")
        .expect("there");
    assert!(mirror.mirrored);
    assert_eq!(
        db.request(request_id(2)).await.expect("read").map(|r| r.id),
        Some(request_id(2))
    );
}

/// By id, and by what changed.
pub async fn friends_are_paged_and_synced(subject: Subject) {
    let db = subject.db();
    people(&db, 8).await;
    for n in 2..=8 {
        befriend(&db, n, 1, n).await;
    }
    let mut met = Vec::new();
    let mut after = None;
    loop {
        let page = friends(
            &db,
            FriendQuery {
                after,
                limit: 3,
                ..of(1)
            },
        )
        .await;
        after = page.friends.last().map(|f| f.friend_id);
        met.extend(ids(&page));
        if !page.has_more {
            break;
        }
    }
    assert_eq!(met, (2..=8).collect::<Vec<_>>());
    ask(&db, 50, 2, 3).await.expect("asked");
    answer(&db, 50, 3, false).await.expect("rejected");
    let refused = friends(
        &db,
        FriendQuery {
            updated_after: Some(NOW),
            ..of(2)
        },
    )
    .await;
    assert_eq!(
        (ids(&refused), refused.removed),
        (vec![1], vec![]),
        "who never was one isn't gone"
    );
    let changed = friends(
        &db,
        FriendQuery {
            updated_after: Some(NOW + 106),
            ..of(1)
        },
    )
    .await;
    assert_eq!((ids(&changed), changed.removed), (vec![7, 8], vec![]));
}

/// Both rows end; unblocking makes no friends.
pub async fn a_block_ends_a_friendship_and_stops_requests(subject: Subject) {
    let db = subject.db();
    people(&db, 3).await;
    befriend(&db, 1, 1, 2).await;
    db.set_blocked(user(2), user(1), true, request_id(50), NOW + 500)
        .await
        .expect("blocked");
    assert!(db.are_blocked(user(1), user(2)).await.expect("read"));
    assert!(!db.are_friends(user(1), user(2)).await.expect("read"));
    let synced = friends(
        &db,
        FriendQuery {
            updated_after: Some(NOW + 400),
            ..of(1)
        },
    )
    .await;
    assert_eq!((ids(&synced), synced.removed), (vec![], vec![user(2)]));
    assert_eq!(code(ask(&db, 2, 1, 2).await), ErrorCode::Forbidden);
    db.set_blocked(user(2), user(1), false, request_id(51), NOW + 600)
        .await
        .expect("lifted");
    assert!(!db.are_blocked(user(1), user(2)).await.expect("read"));
    assert!(!db.are_friends(user(1), user(2)).await.expect("read"));
    ask(&db, 3, 1, 2).await.expect("asking is possible again");
    db.set_blocked(user(1), user(3), true, request_id(52), NOW + 700)
        .await
        .expect("blocked");
    assert_eq!(code(ask(&db, 4, 3, 1).await), ErrorCode::Forbidden);
}

/// Both rows go, and sync tells both.
pub async fn an_ended_friendship_is_told_to_both(subject: Subject) {
    let db = subject.db();
    people(&db, 3).await;
    befriend(&db, 1, 1, 2).await;
    let at = NOW + 10_000;
    assert!(
        db.end_friendship(user(2), user(1), at)
            .await
            .expect("ended")
    );
    assert!(
        !db.end_friendship(user(1), user(2), at)
            .await
            .expect("nothing")
    );
    assert!(!db.are_friends(user(1), user(2)).await.expect("read"));
    for (who, other) in [(1, 2), (2, 1)] {
        let query = FriendQuery {
            updated_after: Some(at - 1),
            ..of(who)
        };
        let page = friends(&db, query).await;
        assert_eq!((page.friends.len(), page.removed), (0, vec![user(other)]));
    }
    ask(&db, 20_000, 1, 2).await.expect("may ask again");
}

/// One look for many.
pub async fn relations_are_read_in_both_directions(subject: Subject) {
    let db = subject.db();
    people(&db, 4).await;
    ask(&db, 1, 1, 2).await.expect("asked");
    ask(&db, 2, 3, 1).await.expect("asked");
    let rows = db
        .relations(user(1), &[user(2), user(3), user(4)])
        .await
        .expect("read");
    let mut pairs: Vec<_> = rows
        .iter()
        .map(|r| (r.requester_id.get(), r.target_id.get()))
        .collect();
    pairs.sort_unstable();
    assert_eq!(pairs, [(1, 2), (3, 1)]);
    assert!(db.relations(user(4), &[]).await.expect("read").is_empty());
}

/// The store judges the cool-down by the row it meets.
pub async fn a_refused_request_has_a_cool_down(subject: Subject) {
    let db = subject.db();
    people(&db, 2).await;
    ask(&db, 1, 1, 2).await.expect("asked");
    answer(&db, 1, 2, false).await.expect("rejected");
    let again = |now| NewFriendRequest {
        id: request_id(9),
        requester: user(1),
        target: user(2),
        message: String::new(),
        cooldown: 5_000,
        now,
    };
    let early = db.create_request(again(NOW + 3_000)).await;
    assert_eq!(early.expect_err("a refusal").code(), ErrorCode::RateLimited);
    db.create_request(again(NOW + 60_000)).await.expect("later");
}

/// Requests go on behind a cursor, and a sync tells only those that changed.
pub async fn requests_have_pages_and_are_synced(subject: Subject) {
    let db = subject.db();
    people(&db, 8).await;
    for n in 2..=8 {
        ask(&db, n, n, 1).await.expect("asked");
    }
    answer(&db, 3, 1, false).await.expect("rejected");
    let walk = async |updated_since| {
        let (mut met, mut after) = (Vec::new(), None);
        loop {
            let query = RequestQuery {
                user: user(1),
                side: RequestSide::Received,
                status: None,
                updated_since,
                after,
                limit: 3,
            };
            let page = db.requests(query).await.expect("a page");
            met.extend(page.requests.iter().map(|r| r.request.id.get()));
            after = page
                .requests
                .last()
                .map(|r| (r.request.updated_at, r.request.id));
            if !page.has_more {
                return met;
            }
        }
    };
    assert_eq!(walk(None).await, [3, 8, 7, 6, 5, 4, 2]);
    assert_eq!(
        walk(Some(NOW + 7)).await,
        [3, 8, 7],
        "the instant itself belongs to it"
    );
}

/// Friends whose account changed, and friends that were lost, page by page.
pub async fn friend_deltas_tell_profiles_and_losses(subject: Subject) {
    let db = subject.db();
    people(&db, 9).await;
    for n in 2..=9 {
        befriend(&db, n, 1, n).await;
    }
    let patch = UserPatch {
        avatar_url: Some("https://example.org/new.png".to_owned()),
        ..UserPatch::default()
    };
    db.update_user(user(6), patch, NOW + 500, NOW + 100_000)
        .await
        .expect("there");
    for n in [3, 5, 8] {
        db.set_blocked(user(1), user(n), true, request_id(900 + n), NOW + 500)
            .await
            .expect("blocked");
    }
    for limit in [1, 2, 100] {
        let (mut changed, mut removed, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let query = FriendQuery {
                updated_after: Some(NOW + 400),
                after,
                limit,
                ..of(1)
            };
            let page = friends(&db, query).await;
            changed.extend(ids(&page));
            removed.extend(page.removed.iter().map(|user| user.get()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!((changed, removed), (vec![6], vec![3, 5, 8]));
    }
}

/// Users who are blocked are listed by key, with their accounts, to the one who blocked them only.
pub async fn blocked_users_are_listed_page_by_page(subject: Subject) {
    let db = subject.db();
    people(&db, 9).await;
    befriend(&db, 2, 1, 2).await;
    let block = async |by, whom, blocked, id| {
        let done = db.set_blocked(user(by), user(whom), blocked, request_id(id), NOW + id);
        done.await.expect("done")
    };
    for n in [2, 3, 5, 8] {
        block(1, n, true, 900 + n).await;
    }
    block(4, 1, true, 950).await;
    block(1, 5, false, 951).await;
    for limit in [1, 2, 100] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let query = FriendQuery {
                status: FriendStatus::Blocked,
                // Friendships that ended are no news of this list.
                updated_after: Some(NOW),
                after,
                limit,
                ..of(1)
            };
            let page = friends(&db, query).await;
            assert!(page.removed.is_empty());
            let named = |f: &FriendEntry| f.user.is_some() && f.status == FriendStatus::Blocked;
            assert!(page.friends.iter().all(named));
            found.extend(ids(&page));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, vec![2, 3, 8]);
    }
    assert!(ids(&friends(&db, of(1)).await).is_empty());
}
