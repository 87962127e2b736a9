//! Tokens.

use super::*;
use crate::port::db::{ConsumeOutcome, ConsumeRefresh, RefreshRecord, Revocation, RevocationKey};

fn record(hash: &str, who: u64) -> RefreshRecord {
    RefreshRecord {
        hash: hash.to_owned(),
        user_id: user(who),
        client_info: "phone".to_owned(),
        created_at: NOW,
        expires_at: NOW + 1_000,
        access_hash: format!("access of {hash}"),
        access_jti: format!("jti of {hash}"),
        access_expires_at: NOW + 100,
    }
}

async fn consume(db: &SharedDatabase, hash: &str, now: UnixMillis) -> ConsumeOutcome {
    let asked = ConsumeRefresh {
        hash: hash.to_owned(),
        now,
        revoke_until: now + 500,
    };
    db.consume_refresh(asked).await.expect("an outcome")
}

/// Never by both.
pub async fn a_refresh_token_is_consumed_by_one_of_two_racers(subject: Subject) {
    let db = subject.db();
    db.store_refresh(record("r", 1)).await.expect("stored");
    let racers = [(); 2].map(|()| {
        let db = db.clone();
        tokio::spawn(async move { consume(&db, "r", NOW + 1).await })
    });
    let mut outcomes = Vec::new();
    for racer in racers {
        outcomes.push(racer.await.expect("no panic"));
    }
    assert!(outcomes.contains(&ConsumeOutcome::Consumed(record("r", 1))));
    assert!(outcomes.contains(&ConsumeOutcome::Reused { user_id: user(1) }));
}

/// A stolen token ends every session.
pub async fn reuse_revokes_everything_of_the_user(subject: Subject) {
    let db = subject.db();
    for (hash, who) in [("a", 1), ("b", 1), ("c", 2)] {
        db.store_refresh(record(hash, who)).await.expect("stored");
    }
    assert!(matches!(
        consume(&db, "a", NOW + 5).await,
        ConsumeOutcome::Consumed(_)
    ));
    assert_eq!(
        consume(&db, "a", NOW + 6).await,
        ConsumeOutcome::Reused { user_id: user(1) }
    );
    assert_eq!(consume(&db, "b", NOW + 7).await, ConsumeOutcome::Unknown);
    assert!(matches!(
        consume(&db, "c", NOW + 7).await,
        ConsumeOutcome::Consumed(_)
    ));
    let revoked = async |who, issued| {
        db.is_revoked("x", user(who), issued, NOW + 10)
            .await
            .expect("an answer")
    };
    assert!(
        revoked(1, NOW + 6).await,
        "everything issued up to the reuse"
    );
    assert!(!revoked(1, NOW + 7).await, "what is issued later is good");
    assert!(!revoked(2, NOW).await);
}

/// A client is told which.
pub async fn expired_and_unknown_tokens_are_told_apart(subject: Subject) {
    let db = subject.db();
    db.store_refresh(record("r", 1)).await.expect("stored");
    db.store_refresh(record("r", 1))
        .await
        .expect("stored again");
    assert_eq!(
        consume(&db, "r", NOW + 1_000).await,
        ConsumeOutcome::Expired
    );
    assert_eq!(consume(&db, "q", NOW).await, ConsumeOutcome::Unknown);
    assert_eq!(db.purge_tokens(NOW + 1_000, 10).await.expect("purged"), 1);
    assert_eq!(
        consume(&db, "r", NOW + 1_000).await,
        ConsumeOutcome::Unknown
    );
}

/// By either half; revoking a user tells how many sessions ended.
pub async fn logout_forgets_the_pair(subject: Subject) {
    let db = subject.db();
    for hash in ["a", "b", "c", "d", "e"] {
        db.store_refresh(record(hash, 1)).await.expect("stored");
    }
    db.delete_refresh("a").await.expect("gone");
    db.delete_refresh("a").await.expect("still gone");
    db.delete_refresh_of_access("access of b")
        .await
        .expect("gone");
    db.delete_refresh_of_access("").await.expect("nothing");
    assert_eq!(consume(&db, "a", NOW).await, ConsumeOutcome::Unknown);
    assert_eq!(consume(&db, "b", NOW).await, ConsumeOutcome::Unknown);
    assert!(matches!(
        consume(&db, "c", NOW).await,
        ConsumeOutcome::Consumed(_)
    ));
    assert_eq!(
        db.revoke_user(user(1), NOW + 5, NOW + 500)
            .await
            .expect("revoked"),
        2
    );
    assert_eq!(consume(&db, "d", NOW + 6).await, ConsumeOutcome::Unknown);
}

fn revocation(key: RevocationKey, at: u64, until: u64) -> Revocation {
    Revocation {
        key,
        revoked_at: NOW + at,
        expires_at: NOW + until,
    }
}

/// One token, or all of a user up to an instant.
pub async fn revocations_hit_tokens_and_users(subject: Subject) {
    let db = subject.db();
    let token = RevocationKey::Token("t".to_owned());
    db.add_revocation(revocation(token, 5, 100))
        .await
        .expect("added");
    let everything = RevocationKey::User(user(1));
    db.add_revocation(revocation(everything.clone(), 9, 100))
        .await
        .expect("added");
    db.add_revocation(revocation(everything, 7, 50))
        .await
        .expect("the later times stay");
    let revoked = async |hash: &str, who, issued, now| {
        db.is_revoked(hash, user(who), NOW + issued, NOW + now)
            .await
            .expect("an answer")
    };
    assert!(revoked("t", 2, 50, 60).await);
    assert!(!revoked("u", 2, 0, 60).await);
    assert!(revoked("u", 1, 9, 60).await);
    assert!(!revoked("u", 1, 10, 60).await);
    assert!(
        !revoked("t", 1, 0, 100).await,
        "an expired revocation is over"
    );
}

/// Each once, in pages.
pub async fn revocations_are_listed_in_pages_until_they_expire(subject: Subject) {
    let db = subject.db();
    for n in 0..10 {
        let key = RevocationKey::Token(format!("{n}"));
        db.add_revocation(revocation(key, 1, 100 + n))
            .await
            .expect("added");
    }
    let user_wide = RevocationKey::User(user(5));
    db.add_revocation(revocation(user_wide.clone(), 1, 200))
        .await
        .expect("added");
    let mut met = Vec::new();
    let mut after = None;
    loop {
        let page = db
            .revocations(NOW + 103, after.clone(), 3)
            .await
            .expect("a page");
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        met.extend(page.into_iter().map(|r| r.key));
    }
    met.sort_unstable();
    let mut expected: Vec<_> = (4..10)
        .map(|n| RevocationKey::Token(format!("{n}")))
        .collect();
    expected.push(user_wide);
    assert_eq!(met, expected);
    assert_eq!(
        db.purge_tokens(NOW + 103, 3).await.expect("purged"),
        3,
        "in bounded steps"
    );
    assert_eq!(db.purge_tokens(NOW + 103, 3).await.expect("purged"), 1);
}
