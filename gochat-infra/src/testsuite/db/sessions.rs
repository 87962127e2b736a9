//! Sessions.

use gochat_core::token::{
    EndReason, FIRST_GENERATION, Policy, RefreshOutcome, Session, SessionId, Successor,
};

use super::*;
use crate::port::db::{EndSessions, EndedAfter, NewSession, RefreshSession, Which};

const POLICY: Policy = Policy {
    repeat_ms: Policy::REPEAT_MS,
    refresh_ttl_ms: 1_000_000,
};
/// Cap of the sessions made here.
const CAP: u32 = 3;
/// How long access tokens of an ended session are remembered.
const REMEMBERED: u64 = 500;

pub(super) fn sid(n: u64) -> SessionId {
    SessionId::new(u128::from(n))
}

fn session(n: u64, who: u64, now: UnixMillis) -> Session {
    Session {
        id: sid(n),
        user: user(who),
        device: "phone".to_owned(),
        client: "tests".to_owned(),
        address: "192.0.2.1".to_owned(),
        created_at: now,
        last_used_at: now,
        expires_at: now + POLICY.refresh_ttl_ms,
        generation: FIRST_GENERATION,
        rotated_at: now,
        refresh_hash: "hash 1".to_owned(),
        ended: None,
    }
}

/// A session of an account whose password was never changed.
pub(super) async fn open_session(
    db: &SharedDatabase,
    n: u64,
    who: u64,
    now: UnixMillis,
) -> DbResult<Vec<SessionId>> {
    let new = NewSession {
        session: session(n, who, now),
        password_version: Some(0),
        cap: CAP,
        tokens_expire_at: now + REMEMBERED,
    };
    db.create_session(new).await
}

fn ask(n: u64, who: u64, generation: u64, now: UnixMillis) -> RefreshSession {
    RefreshSession {
        id: sid(n),
        user: user(who),
        generation,
        now,
        policy: POLICY,
        refresh_hash: format!("hash {}", generation + 1),
        address: String::new(),
        tokens_expire_at: now + REMEMBERED,
    }
}

async fn refresh(
    db: &SharedDatabase,
    n: u64,
    generation: u64,
    now: UnixMillis,
) -> Option<RefreshOutcome> {
    db.refresh_session(ask(n, 1, generation, now))
        .await
        .expect("an outcome")
}

fn end(which: Which, now: UnixMillis) -> EndSessions {
    EndSessions {
        user: user(1),
        which,
        reason: EndReason::Logout,
        now,
        tokens_expire_at: now + REMEMBERED,
    }
}

/// The account is judged in the same step.
pub async fn a_session_is_made_only_for_an_account_in_use(subject: Subject) {
    let db = subject.db();
    add_user(&db, 1).await;
    add_guest(&db, 2, NOW).await;
    for _ in 0..2 {
        let evicted = open_session(&db, 1, 1, NOW).await.expect("stored");
        assert_eq!(evicted, [], "a repeat changes nothing");
    }
    let stored = db.session(sid(1)).await.expect("read").expect("there");
    assert_eq!(stored, session(1, 1, NOW));
    let guests = NewSession {
        session: session(2, 2, NOW),
        password_version: None,
        cap: CAP,
        tokens_expire_at: NOW + REMEMBERED,
    };
    db.create_session(guests).await.expect("stored");
    assert_eq!(
        code(open_session(&db, 3, 9, NOW).await),
        ErrorCode::UserNotFound
    );
    assert_eq!(db.session(sid(3)).await.expect("read"), None);
}

/// Two tabs, or a repeat after a lost answer.
pub async fn of_two_that_present_one_token_both_get_its_successor(subject: Subject) {
    let db = subject.db();
    add_user(&db, 1).await;
    open_session(&db, 1, 1, NOW).await.expect("stored");
    let racers: Vec<_> = (1..=4)
        .map(|n| {
            let db = db.clone();
            tokio::spawn(async move { refresh(&db, 1, 1, NOW + n).await })
        })
        .collect();
    let (mut rotated, mut given) = (0, Vec::new());
    for racer in racers {
        match racer.await.expect("no panic").expect("a session") {
            RefreshOutcome::Rotated(to) => {
                rotated += 1;
                given.push(to);
            }
            RefreshOutcome::Repeat(to) => given.push(to),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((rotated, given.len()), (1, 4));
    assert!(given.iter().all(|to| *to == given[0]), "{given:?}");
    let row = db.session(sid(1)).await.expect("read").expect("there");
    assert_eq!((row.generation, row.refresh_hash.as_str()), (2, "hash 2"));
    assert_eq!(row.rotated_at, given[0].rotated_at);
    assert_eq!(row.expires_at, row.rotated_at + POLICY.refresh_ttl_ms);
    assert_eq!(row.address, "192.0.2.1", "an empty address changes nothing");
}

/// Other sessions of the user go on.
pub async fn an_old_token_ends_its_session_only(subject: Subject) {
    let db = subject.db();
    add_user(&db, 1).await;
    for n in 1..=2 {
        open_session(&db, n, 1, NOW).await.expect("stored");
    }
    refresh(&db, 1, 1, NOW + 1).await;
    let late = NOW + 2 + POLICY.repeat_ms;
    assert_eq!(refresh(&db, 1, 1, late).await, Some(RefreshOutcome::Reuse));
    let ended = Some(RefreshOutcome::Ended(EndReason::Reuse));
    assert_eq!(refresh(&db, 1, 2, late + 1).await, ended);
    let live = db.sessions_of(user(1), late + 2).await.expect("read");
    assert_eq!(live.iter().map(|s| s.id).collect::<Vec<_>>(), [sid(2)]);
    let strangers = db.refresh_session(ask(2, 7, 1, late)).await;
    assert_eq!(strangers.expect("an answer"), None);
    assert_eq!(refresh(&db, 5, 1, late).await, None);
    // A row that a backup has put back follows the token.
    let ahead = Successor {
        generation: 10,
        rotated_at: late + 3,
    };
    let outcome = refresh(&db, 2, 9, late + 3).await;
    assert_eq!(outcome, Some(RefreshOutcome::Rotated(ahead)));
}

/// Whichever comes first.
pub async fn a_refresh_after_the_end_opens_nothing(subject: Subject) {
    let db = subject.db();
    add_user(&db, 1).await;
    for n in 1..=CAP {
        let n = u64::from(n);
        open_session(&db, n, 1, NOW).await.expect("stored");
        let (ending, renewing) = (db.clone(), db.clone());
        let ender = tokio::spawn(async move {
            let asked = end(Which::One(sid(n)), NOW + 5);
            ending.end_sessions(asked).await.expect("ended")
        });
        let racer = tokio::spawn(async move { refresh(&renewing, n, 1, NOW + 5).await });
        assert_eq!(ender.await.expect("no panic"), [sid(n)]);
        racer.await.expect("no panic");
        for generation in 1..=2 {
            let after = refresh(&db, n, generation, NOW + 6).await;
            assert_eq!(after, Some(RefreshOutcome::Ended(EndReason::Logout)));
        }
        let row = db.session(sid(n)).await.expect("read").expect("there");
        assert!(!row.is_live(NOW + 6));
        assert_eq!(row.expires_at, NOW + 5 + REMEMBERED);
    }
}

/// A repeat of the sign-in names it again.
pub async fn beyond_the_cap_the_least_recently_used_session_ends(subject: Subject) {
    let db = subject.db();
    add_user(&db, 1).await;
    for n in 1..=3 {
        assert_eq!(open_session(&db, n, 1, NOW + n).await.expect("stored"), []);
    }
    refresh(&db, 1, 1, NOW + 10).await;
    for _ in 0..2 {
        let evicted = open_session(&db, 4, 1, NOW + 11).await.expect("stored");
        assert_eq!(evicted, [sid(2)]);
    }
    let live = db.sessions_of(user(1), NOW + 12).await.expect("read");
    let live: Vec<_> = live.iter().map(|s| s.id).collect();
    assert_eq!(live, [sid(4), sid(1), sid(3)], "the last used first");
    let row = db.session(sid(2)).await.expect("read").expect("there");
    assert_eq!(row.ended.map(|end| end.reason), Some(EndReason::Evicted));
}

/// So that an event that could not be told is told by the repeat.
pub async fn ends_are_answered_again_while_tokens_live(subject: Subject) {
    let db = subject.db();
    add_user(&db, 1).await;
    for n in 1..=3 {
        open_session(&db, n, 1, NOW + n).await.expect("stored");
    }
    let ended = async |which, now| {
        let mut ids = db.end_sessions(end(which, now)).await.expect("ended");
        ids.sort_unstable();
        ids
    };
    for now in [NOW + 10, NOW + 11] {
        assert_eq!(ended(Which::AllBut(sid(1)), now).await, [sid(2), sid(3)]);
        assert_eq!(ended(Which::One(sid(2)), now).await, [sid(2)]);
        assert_eq!(ended(Which::One(sid(9)), now).await, []);
    }
    assert_eq!(ended(Which::All, NOW + 20).await, [sid(1), sid(2), sid(3)]);
    let row = db.session(sid(2)).await.expect("read").expect("there");
    assert_eq!(
        row.ended.map(|end| end.at),
        Some(NOW + 10),
        "the first end stays"
    );
    let late = NOW + 10 + REMEMBERED;
    assert_eq!(ended(Which::All, late).await, [sid(1)]);
}

/// Each once, in pages.
pub async fn ended_sessions_are_listed_in_pages_until_their_tokens_expired(subject: Subject) {
    let db = subject.db();
    for n in 1..=9 {
        add_user(&db, n).await;
        open_session(&db, n, n, NOW).await.expect("stored");
    }
    for n in 1..=8 {
        // Some end in one millisecond.
        let asked = EndSessions {
            user: user(n),
            ..end(Which::All, NOW + 10 + n / 3)
        };
        db.end_sessions(asked).await.expect("ended");
    }
    let now = NOW + 10 + REMEMBERED;
    let (mut met, mut after) = (Vec::new(), None);
    loop {
        let page = db.ended_sessions(now, after, 2).await.expect("a page");
        let Some(last) = page.last() else { break };
        after = Some(EndedAfter {
            ended_at: last.ended_at,
            id: last.id,
        });
        assert!(page.iter().all(|e| e.expires_at > now));
        met.extend(page.iter().map(|e| (e.id, e.user)));
    }
    let expected: Vec<_> = (3..=8).map(|n| (sid(n), user(n))).collect();
    assert_eq!(met, expected);
    assert_eq!(db.purge_sessions(now, 1).await.expect("purged"), 1);
    assert_eq!(db.purge_sessions(now, 9).await.expect("purged"), 1);
    assert_eq!(db.purge_sessions(now, 9).await.expect("purged"), 0);
    assert!(db.session(sid(9)).await.expect("read").is_some());
}
