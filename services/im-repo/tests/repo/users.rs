//! UserService.

use argon2::Argon2;
use argon2::password_hash::PasswordHasher;
use gochat_core::error::ErrorCode;
use gochat_proto::common::v1::UserStatus;

use crate::call;
use crate::harness::{Repo, code, now};

#[tokio::test]
async fn an_account_is_created_once_and_found_by_id_and_name() {
    let repo = Repo::start().await;
    let ann = repo.user("ann").await;
    assert_eq!(ann.status(), UserStatus::Normal);

    let by_id = call!(
        repo.users(),
        get_user,
        GetUserRequest {
            user_id: ann.id.as_str()
        }
    );
    assert_eq!(by_id.unwrap().into_inner().user.unwrap(), ann);
    let by_name = call!(
        repo.users(),
        get_user_by_username,
        GetUserByUsernameRequest { username: "ann" }
    );
    assert_eq!(by_name.unwrap().into_inner().user.unwrap(), ann);

    let again = call!(
        repo.users(),
        create_user,
        CreateUserRequest {
            username: "ann",
            password_hash: "x"
        }
    );
    assert_eq!(code(again), ErrorCode::UserAlreadyExists);
}

#[tokio::test]
async fn an_account_needs_a_name_and_a_hash_and_a_guest_has_none() {
    let repo = Repo::start().await;
    let no_name = call!(
        repo.users(),
        create_user,
        CreateUserRequest { password_hash: "x" }
    );
    assert_eq!(code(no_name), ErrorCode::InvalidParams);
    let no_hash = call!(
        repo.users(),
        create_user,
        CreateUserRequest { username: "ann" }
    );
    assert_eq!(code(no_hash), ErrorCode::InvalidParams);
    let long = "x".repeat(51);
    let long = call!(
        repo.users(),
        create_user,
        CreateUserRequest {
            username: long,
            password_hash: "x"
        }
    );
    assert_eq!(code(long), ErrorCode::InvalidParams);
    let guest = call!(
        repo.users(),
        create_user,
        CreateUserRequest {
            username: "guest_x",
            is_guest: true
        }
    );
    assert!(guest.unwrap().into_inner().user.unwrap().is_guest);
}

#[tokio::test]
async fn a_second_read_comes_from_the_cache_and_a_change_is_seen_at_once() {
    let repo = Repo::start().await;
    let ann = repo.user("ann").await;
    let read = || async {
        let found = call!(
            repo.users(),
            get_user,
            GetUserRequest {
                user_id: ann.id.as_str()
            }
        );
        found.unwrap().into_inner()
    };
    assert!(!read().await.from_cache);
    assert!(read().await.from_cache);

    let update = call!(
        repo.users(),
        update_user,
        UpdateUserRequest {
            user_id: ann.id.as_str(),
            avatar_url: "/ann.png"
        }
    );
    assert_eq!(
        update.unwrap().into_inner().user.unwrap().avatar_url,
        "/ann.png"
    );
    let fresh = read().await;
    assert_eq!(
        (fresh.from_cache, fresh.user.unwrap().avatar_url.as_str()),
        (false, "/ann.png")
    );
}

#[tokio::test]
async fn the_mask_says_what_is_written() {
    let repo = Repo::start().await;
    let ann = repo.user("ann").await;
    let update = |avatar: &'static str, status: UserStatus, mask: &'static [&str]| {
        let mut users = repo.users();
        let id = ann.id.clone();
        async move {
            let request = gochat_proto::im::repo::v1::UpdateUserRequest {
                user_id: id,
                avatar_url: avatar.into(),
                status: status as i32,
                update_mask: mask.iter().map(ToString::to_string).collect(),
                ..Default::default()
            };
            users.update_user(request).await
        }
    };
    let both = update("/a.png", UserStatus::Disabled, &[])
        .await
        .unwrap()
        .into_inner();
    assert_eq!(both.user.as_ref().unwrap().status(), UserStatus::Disabled);
    let cleared = update("", UserStatus::Normal, &["avatar_url"])
        .await
        .unwrap()
        .into_inner();
    let cleared = cleared.user.unwrap();
    assert_eq!(
        (cleared.avatar_url.as_str(), cleared.status()),
        ("", UserStatus::Disabled)
    );
    let unknown = update("", UserStatus::Normal, &["username"]).await;
    assert_eq!(code(unknown), ErrorCode::InvalidParams);
    let hostile = update("javascript:x", UserStatus::Normal, &[]).await;
    assert_eq!(code(hostile), ErrorCode::InvalidParams);
}

#[tokio::test]
async fn absence_is_remembered_until_the_account_is_made() {
    let repo = Repo::start().await;
    let missing = || async { call!(repo.users(), get_user, GetUserRequest { user_id: "77" }) };
    assert_eq!(code(missing().await), ErrorCode::UserNotFound);
    assert_eq!(code(missing().await), ErrorCode::UserNotFound);
    let made = call!(
        repo.users(),
        create_user,
        CreateUserRequest {
            id: "77",
            username: "ann",
            password_hash: "x"
        }
    );
    made.unwrap();
    assert!(missing().await.is_ok());
}

#[tokio::test]
async fn many_users_are_read_with_one_statement_and_strangers_left_out() {
    let repo = Repo::start().await;
    let mut ids = Vec::new();
    for n in 0..150 {
        ids.push(repo.user(&format!("user{n:03}")).await.id);
    }
    ids.push("123".into());
    let before = repo.db.statements_run();
    let found = call!(
        repo.users(),
        get_users,
        GetUsersRequest {
            user_ids: ids.clone()
        }
    );
    let found = found.unwrap().into_inner();
    assert_eq!((found.users.len(), found.cached_user_ids.len()), (150, 0));
    assert_eq!(repo.db.statements_run() - before, 1);
    let again = call!(repo.users(), get_users, GetUsersRequest { user_ids: ids }).unwrap();
    assert_eq!(again.into_inner().cached_user_ids.len(), 150);
    assert_eq!(
        repo.db.statements_run() - before,
        1,
        "absence is remembered too"
    );

    let too_many = vec!["1".to_owned(); 1_001];
    let refused = call!(
        repo.users(),
        get_users,
        GetUsersRequest { user_ids: too_many }
    );
    assert_eq!(code(refused), ErrorCode::InvalidParams);
}

#[tokio::test]
async fn only_the_right_password_is_valid() {
    let repo = Repo::start().await;
    let hash = Argon2::default()
        .hash_password(b"correct horse")
        .unwrap()
        .to_string();
    let ann = call!(
        repo.users(),
        create_user,
        CreateUserRequest {
            username: "ann",
            password_hash: hash
        }
    );
    let ann = ann.unwrap().into_inner().user.unwrap();
    let valid = |id: String, password: &'static str| {
        let mut users = repo.users();
        async move {
            let verdict = call!(
                users,
                verify_password,
                VerifyPasswordRequest {
                    user_id: id,
                    password
                }
            );
            verdict.unwrap().into_inner().valid
        }
    };
    assert!(valid(ann.id.clone(), "correct horse").await);
    assert!(!valid(ann.id.clone(), "battery staple").await);
    assert!(
        !valid("12345".into(), "correct horse").await,
        "unknown users are no error"
    );
}

#[tokio::test]
async fn a_search_finds_parts_of_names_without_guests_and_the_caller() {
    let repo = Repo::start().await;
    let [ann, _, _] = repo.people(["ann", "anna", "joanna"]).await;
    call!(
        repo.users(),
        create_user,
        CreateUserRequest {
            username: "guest_ann",
            is_guest: true
        }
    )
    .unwrap();
    let found = call!(
        repo.users(),
        search_users_by_username,
        SearchUsersByUsernameRequest {
            query: "ann",
            exclude_user_id: ann.as_str()
        }
    );
    let names: Vec<_> = found
        .unwrap()
        .into_inner()
        .users
        .into_iter()
        .map(|user| user.username)
        .collect();
    assert_eq!(names, ["anna", "joanna"]);
    let empty = call!(
        repo.users(),
        search_users_by_username,
        SearchUsersByUsernameRequest { query: "" }
    );
    assert_eq!(code(empty), ErrorCode::InvalidParams);
}

#[tokio::test]
async fn guests_that_were_not_seen_for_long_are_retired() {
    let repo = Repo::start().await;
    let guest = call!(
        repo.users(),
        create_user,
        CreateUserRequest {
            username: "guest_x",
            is_guest: true
        }
    );
    let guest = guest.unwrap().into_inner().user.unwrap();
    repo.user("ann").await;
    let gone = call!(
        repo.users(),
        delete_expired_guests,
        DeleteExpiredGuestsRequest {
            inactive_before: now() + 60,
            batch_size: 10
        }
    );
    let gone = gone.unwrap().into_inner();
    assert_eq!(
        (gone.deleted_count, gone.user_ids),
        (1, vec![guest.id.clone()])
    );
    let left = call!(
        repo.users(),
        get_user,
        GetUserRequest {
            user_id: guest.id.as_str()
        }
    );
    assert_eq!(
        left.unwrap().into_inner().user.unwrap().status(),
        UserStatus::Deleted
    );
    let unset = call!(
        repo.users(),
        delete_expired_guests,
        DeleteExpiredGuestsRequest { batch_size: 10 }
    );
    assert_eq!(code(unset), ErrorCode::InvalidParams);
}

#[tokio::test]
async fn a_malformed_id_is_refused_with_the_name_of_the_field() {
    let repo = Repo::start().await;
    for bad in ["", "x", "-1", "007"] {
        let refused = call!(repo.users(), get_user, GetUserRequest { user_id: bad });
        let error = crate::harness::refusal(refused);
        assert_eq!(error.code, ErrorCode::InvalidParams);
        assert!(error.message.contains("user_id"), "{error}");
    }
}
