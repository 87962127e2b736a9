//! Places that users signed in from.

use super::*;
use crate::port::db::PLACES_PER_USER;

async fn known(db: &SharedDatabase, who: u64, places: &[&str], since: UnixMillis) -> Vec<String> {
    let asked = places.iter().map(|place| (*place).to_owned()).collect();
    let found = db
        .known_places(user(who), asked, since)
        .await
        .expect("a read");
    found.into_iter().map(|(place, _)| place).collect()
}

/// A place is known to its user alone, until it wasn't used for long.
pub async fn a_place_is_known_after_a_sign_in(subject: Subject) {
    let db = subject.db();
    db.note_place(user(1), "home", NOW).await.expect("a write");
    db.note_place(user(1), "home", NOW + 5)
        .await
        .expect("a repeat");
    db.note_place(user(1), "home", NOW - 5)
        .await
        .expect("a late one");
    assert_eq!(known(&db, 1, &["away", "home"], 0).await, ["home"]);
    assert!(known(&db, 2, &["home"], 0).await.is_empty());
    let found = db.known_places(user(1), vec!["home".into()], NOW + 4).await;
    assert_eq!(found.expect("a read"), [("home".to_owned(), NOW + 5)]);
    assert!(known(&db, 1, &["home"], NOW + 5).await.is_empty());
    assert_eq!(db.purge_places(NOW + 4, 10).await.expect("a purge"), 0);
    assert_eq!(db.purge_places(NOW + 5, 10).await.expect("a purge"), 1);
    assert!(known(&db, 1, &["home"], 0).await.is_empty());
}

/// The newest places stay, whoever signs in from however many.
pub async fn places_of_a_user_are_bounded(subject: Subject) {
    let db = subject.db();
    db.note_place(user(2), "other", NOW).await.expect("a write");
    for n in 0..u64::from(PLACES_PER_USER) + 3 {
        let place = format!("place{n}");
        db.note_place(user(1), &place, NOW + n)
            .await
            .expect("a write");
    }
    assert!(
        known(&db, 1, &["place0", "place1", "place2"], 0)
            .await
            .is_empty()
    );
    assert_eq!(
        known(&db, 1, &["place3", "place22"], 0).await,
        ["place3", "place22"]
    );
    assert_eq!(known(&db, 2, &["other"], 0).await, ["other"]);
}
