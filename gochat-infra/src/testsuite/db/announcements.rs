//! Announcements of groups and their readers, on every adapter.

use gochat_core::conversation::Announcement;
use gochat_core::error::ErrorCode;
use gochat_core::membership::Role;

use super::*;
use crate::port::db::{
    AddMembers, AnnouncementOutcome, AnnouncementQuery, AnnouncementReads, ConversationPatch,
    ListQuery,
};

async fn announce(
    db: &SharedDatabase,
    by: u64,
    id: ConversationId,
    text: &str,
    at: UnixMillis,
) -> DbResult<Announcement> {
    let patch = ConversationPatch {
        announcement: Some(text.to_owned()),
        by: Some(user(by)),
        ..ConversationPatch::default()
    };
    Ok(db.update_conversation(id, patch, at).await?.announcement)
}

async fn read(db: &SharedDatabase, who: u64, id: ConversationId, seen: u64) -> AnnouncementOutcome {
    let done = db.read_announcement(id, user(who), seen, NOW + 100 + who);
    done.await.expect("it is noted")
}

async fn reads(db: &SharedDatabase, who: u64, id: ConversationId, of: u64) -> (u64, u32) {
    let reads = db.announcement_reads(id, user(who), of).await;
    let AnnouncementReads { version, readers } = reads.expect("what was read");
    (version, readers)
}

/// All readers of a version, page by page.
async fn readers(db: &SharedDatabase, id: ConversationId, version: u64, limit: u32) -> Vec<u64> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let query = AnnouncementQuery {
            conversation: id,
            version,
            after,
            limit,
        };
        let page = db.announcement_readers(query).await.expect("a page");
        assert!(page.readers.len() <= limit as usize);
        after = page.readers.last().map(|last| (last.read_at, last.user));
        all.extend(page.readers.iter().map(|reader| reader.user.get()));
        if !page.has_more {
            return all;
        }
    }
}

fn version(version: u64, is_read: bool, changed: bool) -> AnnouncementOutcome {
    AnnouncementOutcome {
        version,
        is_read,
        changed,
    }
}

/// A text is set and removed by an edit, counts its versions, and is news of the list.
pub async fn an_announcement_is_edited_with_the_conversation(subject: Subject) {
    let db = subject.db();
    let id = group(1);
    open(&db, id, 1, &[2]).await;
    let stored = db.conversation(id).await.expect("read").expect("a group");
    assert_eq!(stored.announcement, Announcement::default());
    let first = announce(&db, 1, id, "Tea at five é", NOW + 5_000).await;
    let first = first.expect("set");
    let expected = Announcement {
        text: "Tea at five é".to_owned(),
        version: 1,
        at: NOW + 5_000,
        by: Some(user(1)),
    };
    assert_eq!(first, expected);
    let listed = ListQuery {
        updated_after: Some(NOW + 4_000),
        ..ListQuery::first(user(2), 10)
    };
    let page = db.list_for_user(listed).await.expect("a page");
    let listed: Vec<_> = page.entries.iter().map(|e| &e.conversation).collect();
    assert_eq!((listed.len(), &listed[0].announcement), (1, &expected));
    // Another edit leaves it alone, the same text again as well.
    let rename = ConversationPatch {
        name: Some("other".to_owned()),
        by: Some(user(1)),
        ..ConversationPatch::default()
    };
    let renamed = db.update_conversation(id, rename, NOW + 6_000).await;
    assert_eq!(renamed.expect("renamed").announcement, expected);
    let same = announce(&db, 1, id, "Tea at five é", NOW + 7_000).await;
    assert_eq!(same.expect("as it was"), expected);
    let gone = announce(&db, 1, id, "", NOW + 9_000)
        .await
        .expect("removed");
    assert_eq!((gone.text.as_str(), gone.version), ("", 2));
    let by_member = announce(&db, 2, id, "mine", NOW + 9_500).await;
    assert_eq!(code(by_member), ErrorCode::InsufficientPermission);
    let stored = db.conversation(id).await.expect("read").expect("a group");
    assert_eq!(stored.announcement, gone);
}

/// What a member has read moves forward alone, and a new text is unread without a write.
pub async fn reading_an_announcement_counts_for_its_version(subject: Subject) {
    let db = subject.db();
    let id = group(1);
    open(&db, id, 1, &[2, 3]).await;
    let none = db.read_announcement(id, user(2), 1, NOW).await;
    assert_eq!(code(none), ErrorCode::InvalidParams);
    for text in ["one", "two"] {
        announce(&db, 1, id, text, NOW).await.expect("set");
    }
    assert_eq!(reads(&db, 2, id, 2).await, (0, 0));
    assert_eq!(read(&db, 2, id, 1).await, version(1, false, true));
    assert_eq!(reads(&db, 2, id, 2).await, (1, 0));
    assert_eq!(read(&db, 2, id, 2).await, version(2, true, true));
    assert_eq!(read(&db, 2, id, 2).await, version(2, true, false));
    assert_eq!(read(&db, 2, id, 1).await, version(2, true, false));
    assert_eq!(reads(&db, 3, id, 2).await, (0, 1));
    // Who set it has read it, and is no reader.
    assert_eq!(read(&db, 1, id, 2).await, version(0, true, false));
    for beyond in [0, 3] {
        let refused = db.read_announcement(id, user(3), beyond, NOW).await;
        assert_eq!(code(refused), ErrorCode::InvalidParams);
    }
    announce(&db, 1, id, "three", NOW).await.expect("set");
    assert_eq!(reads(&db, 2, id, 3).await, (2, 0));
    assert_eq!(read(&db, 2, id, 3).await, version(3, true, true));
    assert_eq!(reads(&db, 2, id, 2).await, (3, 0), "one row per member");
    let stranger = db.read_announcement(id, user(9), 3, NOW).await;
    assert_eq!(code(stranger), ErrorCode::NotConversationMember);
    let unknown = db.read_announcement(group(7), user(9), 3, NOW).await;
    assert!(unknown.is_err());
}

/// Readers are paged in the order in which they read, and end with their membership.
pub async fn readers_of_an_announcement_are_paged_and_leave(subject: Subject) {
    let db = subject.db();
    let (id, other) = (group(1), group(2));
    for place in [id, other] {
        open(&db, place, 1, &[2, 3, 4, 5, 6, 7]).await;
        announce(&db, 1, place, "news", NOW).await.expect("set");
    }
    read(&db, 7, other, 1).await;
    // The later user reads first; two at once come in the order of their ids.
    for (who, at) in [(6, 1), (5, 2), (4, 2), (2, 3), (3, 9)] {
        let done = db.read_announcement(id, user(who), 1, NOW + at).await;
        assert!(done.expect("it is noted").changed);
    }
    for limit in [1, 2, 100] {
        assert_eq!(readers(&db, id, 1, limit).await, [6, 4, 5, 2, 3]);
    }
    assert_eq!(readers(&db, id, 2, 5).await, [] as [u64; 0]);
    let removed = db.remove_member(id, user(4), NOW).await;
    assert!(removed.expect("removed").removed);
    assert_eq!(readers(&db, id, 1, 2).await, [6, 5, 2, 3]);
    assert_eq!(reads(&db, 4, id, 1).await, (0, 4));
    let again = AddMembers {
        conversation: id,
        users: vec![user(4)],
        role: Role::Member as i32,
        max_members: 0,
        now: NOW + 50,
    };
    db.add_members(again).await.expect("added");
    assert_eq!(read(&db, 4, id, 1).await, version(1, true, true));
    assert_eq!(readers(&db, other, 1, 2).await, [7]);
}

/// Reports of one member at once end at the newest version, and each reader is counted once.
pub async fn reports_of_reading_at_once_end_at_the_newest(subject: Subject) {
    let db = subject.db();
    let id = group(1);
    open(&db, id, 1, &[2, 3]).await;
    for text in ["a", "b", "c", "d"] {
        announce(&db, 1, id, text, NOW).await.expect("set");
    }
    let reports = (0..12_u64).map(|n| {
        let db = db.clone();
        tokio::spawn(async move {
            let (who, seen) = (2 + n % 2, 1 + n / 3);
            db.read_announcement(id, user(who), seen, NOW + n).await
        })
    });
    let reports: Vec<_> = reports.collect();
    for report in reports {
        report.await.expect("no panic").expect("it is noted");
    }
    for who in [2, 3] {
        assert_eq!(reads(&db, who, id, 4).await, (4, 2));
    }
}
