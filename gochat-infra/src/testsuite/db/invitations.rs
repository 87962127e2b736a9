//! Uses of invitation codes.

use super::*;

/// Of racers as many get a use as there are, and one that is given back can be taken again.
pub async fn a_code_is_used_as_often_as_it_may(subject: Subject) {
    let db = subject.db();
    let racers = (0..10).map(|_| {
        let db = db.clone();
        tokio::spawn(async move { db.use_code("spring", 4).await.expect("an answer") })
    });
    let mut used = 0;
    for racer in racers.collect::<Vec<_>>() {
        used += u32::from(racer.await.expect("no panic"));
    }
    assert_eq!(used, 4);
    assert!(db.use_code("autumn", 1).await.expect("another code"));
    db.return_code("spring").await.expect("given back");
    db.return_code("unknown").await.expect("fine");
    assert!(db.use_code("spring", 4).await.expect("an answer"));
    assert!(!db.use_code("spring", 4).await.expect("an answer"));
    assert!(db.use_code("spring", 5).await.expect("a raised limit"));
}
