//! Users.

use gochat_core::error::ErrorCode;

use super::sessions::{open_session, sid};
use super::*;
use crate::port::db::{
    DbErrorKind, DeleteUser, SetPassword, UpgradeGuest, UserPatch, UserSearch, UserStatus,
};

fn named(n: u64, name: &str) -> NewUser {
    NewUser {
        id: user(n),
        username: name.to_owned(),
        password_hash: "hash".to_owned(),
        avatar_url: String::new(),
        is_guest: false,
        now: NOW,
    }
}

/// Names that differ only in case are one name.
pub async fn a_username_is_taken_once_whatever_its_spelling(subject: Subject) {
    let db = subject.db();
    db.create_user(named(1, "Alice")).await.expect("free");
    let e = db.create_user(named(2, "aLICE")).await.expect_err("taken");
    assert_eq!(
        (e.kind(), e.code()),
        (DbErrorKind::Duplicate, ErrorCode::UserAlreadyExists)
    );
    assert_eq!(db.user(user(2)).await.expect("read"), None);
}

/// The unique index decides the race.
pub async fn of_two_creators_of_a_username_one_wins(subject: Subject) {
    let db = subject.db();
    let racers = (1..=8).map(|n| {
        let db = db.clone();
        tokio::spawn(async move { db.create_user(named(n, "alice")).await })
    });
    let mut won = 0;
    for racer in racers.collect::<Vec<_>>() {
        match racer.await.expect("no panic") {
            Ok(_) => won += 1,
            Err(e) => assert_eq!(e.code(), ErrorCode::UserAlreadyExists),
        }
    }
    assert_eq!(won, 1);
}

/// Names are unique by what they look like.
pub async fn a_name_that_looks_like_another_is_taken(subject: Subject) {
    let db = subject.db();
    db.create_user(named(1, "alice")).await.expect("free");
    for name in [
        "\u{430}lice",
        "a\u{200b}lice",
        "\u{ff21}lice",
        "al\u{456}ce",
    ] {
        let e = db.create_user(named(2, name)).await.expect_err(name);
        assert_eq!(
            (e.kind(), e.code()),
            (DbErrorKind::Duplicate, ErrorCode::UserAlreadyExists),
            "{name}"
        );
    }
    db.create_user(named(2, "alicia")).await.expect("free");
}

/// Width, case and normal form of a typed name don't matter.
pub async fn a_name_is_found_in_every_normal_form(subject: Subject) {
    let db = subject.db();
    let row = db.create_user(named(1, "Ren\u{e9}")).await.expect("free");
    for name in ["rene\u{301}", "REN\u{c9}", "\u{ff32}en\u{e9}"] {
        let found = db.user_by_username(name).await.expect("read");
        assert_eq!(found.as_ref(), Some(&row), "{name}");
    }
    let found = db.search_users(UserSearch {
        exclude: None,
        ..search("NE\u{301}")
    });
    assert_eq!(found.await.expect("search").users, [row]);
}

/// Rows of an older program get their skeletons in bounded steps.
pub async fn names_from_before_skeletons_are_completed(subject: Subject) {
    let db = subject.db();
    for (n, name) in [(1, "alice"), (2, "ren"), (3, "bob")] {
        db.create_user(named(n, name)).await.expect("free");
    }
    assert_eq!(db.complete_names(10).await.expect("nothing to do"), 0);
    let look_alike =
        "UPDATE users SET username = 'b\u{43e}b', username_key = 'b\u{43e}b' WHERE id = 2";
    subject.run_sql(look_alike).await;
    subject
        .run_sql("UPDATE users SET name_skeleton = NULL")
        .await;
    let mut steps = Vec::new();
    while steps.last() != Some(&0) {
        steps.push(db.complete_names(2).await.expect("completed"));
    }
    assert_eq!(steps, [2, 1, 0]);
    for (name, id) in [("bob", 3), ("b\u{43e}b", 2)] {
        let found = db.user_by_username(name).await.expect("read");
        assert_eq!(found.expect("usable").id, user(id), "{name}");
    }
    let e = db
        .create_user(named(4, "\u{430}lice"))
        .await
        .expect_err("taken");
    assert_eq!(e.code(), ErrorCode::UserAlreadyExists);
}

/// A lost answer may be asked for again.
pub async fn creating_a_user_again_returns_the_first_row(subject: Subject) {
    let db = subject.db();
    let first = db.create_user(named(1, "alice")).await.expect("free");
    let again = NewUser {
        now: NOW + 5,
        ..named(1, "alice")
    };
    assert_eq!(db.create_user(again).await.expect("the same"), first);
}

/// Look-ups by id, ids and name.
pub async fn users_are_found_by_id_and_by_name(subject: Subject) {
    let db = subject.db();
    let (a, b) = (add_user(&db, 1).await, add_user(&db, 2).await);
    assert_eq!(db.user(user(1)).await.expect("read"), Some(a.clone()));
    assert_eq!(
        db.user_by_username("USER2").await.expect("read"),
        Some(b.clone())
    );
    assert_eq!(db.user_by_username("user").await.expect("read"), None);
    let mut many = db
        .users(&[user(2), user(9), user(1), user(2)])
        .await
        .expect("read");
    many.sort_by_key(|u| u.id);
    assert_eq!(many, [a, b]);
}

fn search(query: &str) -> UserSearch {
    UserSearch {
        query: query.to_owned(),
        exclude: Some(user(1)),
        include_guests: false,
        after: None,
        limit: 20,
    }
}

/// Prefix matches first; caller, guests and retired accounts are left out.
pub async fn search_finds_parts_of_names_but_neither_the_caller_nor_guests(subject: Subject) {
    let db = subject.db();
    for (n, name) in [
        (1, "annabel"),
        (2, "Anna"),
        (3, "Joanna"),
        (4, "Bob"),
        (5, "annalocked"),
    ] {
        db.create_user(named(n, name)).await.expect("free");
    }
    let guest = NewUser {
        is_guest: true,
        ..named(6, "annaguest")
    };
    db.create_user(guest).await.expect("free");
    let lock = UserPatch {
        status: Some(UserStatus::Disabled),
        ..UserPatch::default()
    };
    db.update_user(user(5), lock, NOW, NOW)
        .await
        .expect("there");

    let found = db.search_users(search("aNNa")).await.expect("search").users;
    let names: Vec<_> = found.iter().map(|u| u.username.as_str()).collect();
    assert_eq!(names, ["Anna", "Joanna"]);
    let with_guests = UserSearch {
        include_guests: true,
        ..search("anna")
    };
    let found = db.search_users(with_guests).await.expect("search");
    assert_eq!((found.users.len(), found.next), (3, None));
    let one = UserSearch {
        limit: 1,
        ..search("anna")
    };
    let found = db.search_users(one).await.expect("search");
    assert_eq!(
        (found.users.len(), found.next),
        (1, Some((false, "Anna".to_owned())))
    );
    assert!(
        db.search_users(search(""))
            .await
            .expect("search")
            .users
            .is_empty()
    );
}

/// `%` and `_` are characters like others.
pub async fn search_takes_wildcards_literally(subject: Subject) {
    let db = subject.db();
    db.create_user(named(2, "a_b")).await.expect("free");
    db.create_user(named(3, "axb")).await.expect("free");
    let found = db.search_users(search("_")).await.expect("search").users;
    assert_eq!(found.iter().map(|u| u.id).collect::<Vec<_>>(), [user(2)]);
    assert!(
        db.search_users(search("%"))
            .await
            .expect("search")
            .users
            .is_empty()
    );
}

/// Fields that are not named stay.
pub async fn updates_change_only_what_is_named(subject: Subject) {
    let db = subject.db();
    let before = add_user(&db, 1).await;
    let avatar = UserPatch {
        avatar_url: Some("http://a".to_owned()),
        ..UserPatch::default()
    };
    let after = db
        .update_user(user(1), avatar, NOW + 7, NOW + 9)
        .await
        .expect("there");
    assert_eq!(after.avatar_url, "http://a");
    assert_eq!((after.status, after.updated_at), (before.status, NOW + 7));
    let status = UserPatch {
        status: Some(UserStatus::Disabled),
        ..UserPatch::default()
    };
    let after = db
        .update_user(user(1), status, NOW + 8, NOW + 9)
        .await
        .expect("there");
    assert_eq!(
        (after.avatar_url.as_str(), after.status),
        ("http://a", UserStatus::Disabled)
    );
    let nobody = db
        .update_user(user(9), UserPatch::default(), NOW, NOW)
        .await;
    assert_eq!(code(nobody), ErrorCode::UserNotFound);
}

/// A guest can't sign in with an empty password.
pub async fn guests_have_no_password_hash(subject: Subject) {
    let db = subject.db();
    add_user(&db, 1).await;
    add_guest(&db, 2, NOW).await;
    let stored = db
        .password(user(1))
        .await
        .expect("read")
        .expect("a password");
    assert_eq!((stored.hash.as_str(), stored.version), ("hash1", 0));
    assert!(db.password(user(2)).await.expect("read").is_none());
    assert!(db.password(user(3)).await.expect("read").is_none());
}

/// Reading and refreshing are signs of life; the retired keep their row.
pub async fn only_idle_guests_expire(subject: Subject) {
    let db = subject.db();
    add_user(&db, 1).await;
    for n in 2..=4 {
        add_guest(&db, n, NOW).await;
    }
    add_guest(&db, 5, NOW + 100).await;
    db.advance_pointer(user(2), ConversationId::World, 0, NOW + 60)
        .await
        .expect("world");
    db.advance_pointer(user(4), ConversationId::World, 0, NOW + 10)
        .await
        .expect("world");
    open_session(&db, 3, 3, NOW + 60).await.expect("stored");

    let gone = db
        .delete_expired_guests(NOW + 50, NOW + 200, 10)
        .await
        .expect("retired");
    assert_eq!(gone, [user(4)]);
    let row = db.user(user(4)).await.expect("read").expect("still there");
    assert_eq!(
        (row.status, row.username.as_str()),
        (UserStatus::Deleted, "guest_4")
    );
    assert!(
        db.delete_expired_guests(NOW + 50, NOW + 200, 10)
            .await
            .expect("none")
            .is_empty()
    );
}

fn new_password(who: u64, version: u64) -> SetPassword {
    SetPassword {
        user: user(who),
        hash: format!("new{version}"),
        version: Some(version),
        keep: Some(sid(1)),
        now: NOW + 10,
        tokens_expire_at: NOW + 500,
    }
}

/// Another judgement of the same password loses, and other sessions end.
pub async fn a_password_is_changed_by_who_judged_the_newest_one(subject: Subject) {
    let db = subject.db();
    add_user(&db, 1).await;
    for n in 1..=3 {
        open_session(&db, n, 1, NOW).await.expect("stored");
    }
    db.set_password(new_password(1, 0)).await.expect("changed");
    let late = db.set_password(new_password(1, 0)).await;
    assert_eq!(code(late), ErrorCode::VersionConflict);
    let stored = db.password(user(1)).await.expect("read").expect("one");
    assert_eq!((stored.hash.as_str(), stored.version), ("new0", 1));
    let live = db.sessions_of(user(1), NOW + 11).await.expect("read");
    assert_eq!(live.iter().map(|s| s.id).collect::<Vec<_>>(), [sid(1)]);
    // A sign-in that the old password let in comes too late.
    let late = open_session(&db, 4, 1, NOW + 12).await;
    assert_eq!(code(late), ErrorCode::InvalidCredentials);
    assert_eq!(
        code(db.set_password(new_password(9, 0)).await),
        ErrorCode::UserNotFound
    );
}

/// Others get the name only afterwards.
pub async fn a_deleted_account_keeps_its_row_and_its_name_until_it_is_released(subject: Subject) {
    let db = subject.db();
    add_user(&db, 1).await;
    open_session(&db, 1, 1, NOW).await.expect("stored");
    let asked = DeleteUser {
        user: user(1),
        now: NOW + 10,
        tokens_expire_at: NOW + 500,
    };
    for _ in 0..2 {
        let row = db.delete_user(asked.clone()).await.expect("deleted");
        assert_eq!(row.status, UserStatus::Deleted);
        assert_eq!(
            (row.username.as_str(), row.avatar_url.as_str()),
            ("deleted_1", "")
        );
    }
    assert!(db.password(user(1)).await.expect("read").is_none());
    assert!(
        db.sessions_of(user(1), NOW + 11)
            .await
            .expect("read")
            .is_empty()
    );
    assert_eq!(
        code(open_session(&db, 2, 1, NOW + 12).await),
        ErrorCode::InvalidCredentials
    );
    let again = NewUser {
        id: user(2),
        ..named(2, "user1")
    };
    let taken = db.create_user(again.clone()).await;
    assert_eq!(code(taken), ErrorCode::UserAlreadyExists);
    assert_eq!(db.release_names(NOW + 9, 10).await.expect("released"), 0);
    assert_eq!(db.release_names(NOW + 10, 10).await.expect("released"), 1);
    assert_eq!(db.release_names(NOW + 10, 10).await.expect("released"), 0);
    db.create_user(again).await.expect("free");
    let nobody = DeleteUser {
        user: user(9),
        ..asked
    };
    assert_eq!(code(db.delete_user(nobody).await), ErrorCode::UserNotFound);
}

/// Repeats answer the row; whoever is no guest is refused.
pub async fn a_guest_becomes_an_account_once(subject: Subject) {
    let db = subject.db();
    add_user(&db, 1).await;
    add_guest(&db, 2, NOW).await;
    let ask = |who: u64, name: &str| UpgradeGuest {
        user: user(who),
        username: name.to_owned(),
        hash: "h".to_owned(),
        now: NOW + 5,
    };
    let taken = db.upgrade_guest(ask(2, "USER1")).await;
    assert_eq!(code(taken), ErrorCode::UserAlreadyExists);
    for _ in 0..2 {
        let row = db.upgrade_guest(ask(2, "Ann")).await.expect("upgraded");
        assert_eq!(
            (row.id, row.username.as_str(), row.is_guest),
            (user(2), "Ann", false)
        );
    }
    assert_eq!(
        code(db.upgrade_guest(ask(2, "Bob")).await),
        ErrorCode::Forbidden
    );
    assert_eq!(
        code(db.upgrade_guest(ask(1, "Bob")).await),
        ErrorCode::Forbidden
    );
    assert_eq!(
        code(db.upgrade_guest(ask(9, "Bob")).await),
        ErrorCode::UserNotFound
    );
    let found = db
        .user_by_username("ann")
        .await
        .expect("read")
        .expect("there");
    assert_eq!(found.id, user(2));
    assert_eq!(
        db.password(user(2)).await.expect("read").map(|p| p.hash),
        Some("h".into())
    );
}

/// In one step with the status.
pub async fn a_disabled_account_has_no_live_sessions(subject: Subject) {
    let db = subject.db();
    add_user(&db, 1).await;
    open_session(&db, 1, 1, NOW).await.expect("stored");
    let status = |status| UserPatch {
        status: Some(status),
        ..UserPatch::default()
    };
    let disabled = status(UserStatus::Disabled);
    db.update_user(user(1), disabled, NOW + 5, NOW + 500)
        .await
        .expect("there");
    assert!(
        db.sessions_of(user(1), NOW + 6)
            .await
            .expect("read")
            .is_empty()
    );
    assert_eq!(
        code(open_session(&db, 2, 1, NOW + 7).await),
        ErrorCode::UserDisabled
    );
    let enabled = status(UserStatus::Normal);
    db.update_user(user(1), enabled, NOW + 8, NOW + 500)
        .await
        .expect("there");
    assert!(
        db.sessions_of(user(1), NOW + 9)
            .await
            .expect("read")
            .is_empty()
    );
    open_session(&db, 2, 1, NOW + 10)
        .await
        .expect("in use again");
}

/// Names that begin with the query, then names that hold it; each once.
pub async fn a_search_goes_on_behind_the_last_name(subject: Subject) {
    let db = subject.db();
    let names = ["ann3", "ann1", "xann2", "ann2", "xann1", "Ann0"];
    for (n, name) in (2..).zip(names) {
        db.create_user(named(n, name)).await.expect("free");
    }
    for limit in 1..=6 {
        let (mut met, mut after) = (Vec::new(), None);
        loop {
            let query = UserSearch {
                limit,
                after,
                ..search("ann")
            };
            let page = db.search_users(query).await.expect("search");
            met.extend(page.users.into_iter().map(|u| u.username));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(met, ["Ann0", "ann1", "ann2", "ann3", "xann1", "xann2"]);
    }
}
