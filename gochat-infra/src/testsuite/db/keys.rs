//! Signing keys.

use super::*;
use crate::port::db::SigningKeyRow;

fn key(generation: i64, kid: &str, at: u64) -> SigningKeyRow {
    SigningKeyRow {
        generation,
        kid: kid.to_owned(),
        algorithm: "EdDSA".to_owned(),
        public_key: format!("public {kid}"),
        sealed_key: format!("sealed {kid}"),
        created_at: NOW + at,
        signs_from: NOW + at + 30,
        retires_at: None,
    }
}

async fn add(db: &SharedDatabase, key: SigningKeyRow, previous_retires_at: u64) -> bool {
    db.add_signing_key(key, NOW + previous_retires_at)
        .await
        .expect("an outcome")
}

async fn kids(db: &SharedDatabase, at: u64) -> Vec<String> {
    let keys = db.signing_keys(NOW + at).await.expect("keys");
    keys.into_iter().map(|key| key.kid).collect()
}

/// Whatever many instances start at once with an empty table.
pub async fn of_racing_first_keys_one_stays(subject: Subject) {
    let db = subject.db();
    let racers: Vec<_> = (0..4)
        .map(|n| {
            let db = db.clone();
            tokio::spawn(async move { add(&db, key(1, &format!("k{n}"), 0), 0).await })
        })
        .collect();
    let mut winners = Vec::new();
    for (n, racer) in racers.into_iter().enumerate() {
        if racer.await.expect("no panic") {
            winners.push(format!("k{n}"));
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(kids(&db, 0).await, winners);
}

/// Both halves of a rotation happen, or none.
pub async fn a_new_key_retires_the_one_before(subject: Subject) {
    let db = subject.db();
    assert!(add(&db, key(1, "a", 0), 0).await);
    assert!(add(&db, key(2, "b", 100), 500).await);
    assert!(add(&db, key(2, "b", 100), 500).await, "a repeat");
    assert!(!add(&db, key(2, "c", 100), 600).await, "b was quicker");
    assert!(!add(&db, key(4, "d", 100), 600).await, "3 is missing");
    let keys = db.signing_keys(NOW + 499).await.expect("keys");
    let first = SigningKeyRow {
        retires_at: Some(NOW + 500),
        ..key(1, "a", 0)
    };
    assert_eq!(keys, [first, key(2, "b", 100)]);
    assert_eq!(kids(&db, 500).await, ["b"], "a has retired");
    assert!(add(&db, key(3, "e", 900), 1_000).await);
    assert_eq!(kids(&db, 0).await, ["b", "e"], "a is deleted");
}

/// A key retires when it is told to, and never later than it would have.
pub async fn a_key_retires_at_once_when_told_to(subject: Subject) {
    let db = subject.db();
    let retire = async |kid, at| db.retire_signing_key(kid, NOW + at).await.expect("judged");
    assert!(!retire("a", 50).await, "there is none");
    assert!(add(&db, key(1, "a", 0), 0).await);
    assert!(add(&db, key(2, "b", 100), 500).await);
    assert!(retire("a", 900).await);
    assert_eq!(kids(&db, 499).await, ["a", "b"]);
    assert_eq!(kids(&db, 500).await, ["b"], "not later than before");
    for _ in 0..2 {
        assert!(retire("a", 200).await);
        assert_eq!(kids(&db, 200).await, ["b"]);
    }
    assert!(retire("b", 300).await, "a key without an end gets one");
    assert!(kids(&db, 300).await.is_empty());
    assert!(add(&db, key(3, "c", 300), 300).await, "generations go on");
    assert_eq!(kids(&db, 300).await, ["c"]);
}
