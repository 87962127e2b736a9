//! FriendService.

use gochat_core::error::ErrorCode;
use gochat_proto::im::repo::v1::{FriendRequest, GetUserFriendRequestsRequest};

use crate::call;
use crate::harness::{Repo, code, now};

async fn ask(repo: &Repo, from: &str, to: &str) -> FriendRequest {
    let asked = call!(
        repo.friends(),
        create_friend_request,
        CreateFriendRequestRequest {
            requester_id: from,
            target_id: to,
            message: "hello"
        }
    );
    asked.unwrap().into_inner().request.unwrap()
}

#[tokio::test]
async fn an_accepted_request_makes_friends_of_both() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let request = ask(&repo, &ann, &bob).await;
    assert_eq!((request.status, request.message.as_str()), (0, "hello"));
    assert_eq!(request.requester.as_ref().unwrap().username, "ann");
    assert_eq!(request.target.as_ref().unwrap().username, "bob");

    let accept = call!(
        repo.friends(),
        update_friend_request,
        UpdateFriendRequestRequest {
            request_id: request.id.as_str(),
            handler_id: bob.as_str(),
            status: 1
        }
    );
    assert_eq!(accept.unwrap().into_inner().request.unwrap().status, 1);
    for (user, friend) in [(&ann, "bob"), (&bob, "ann")] {
        let friends = call!(
            repo.friends(),
            get_user_friends,
            GetUserFriendsRequest {
                user_id: user.as_str(),
                status: 1
            }
        );
        let friends = friends.unwrap().into_inner();
        assert_eq!(friends.friends.len(), 1);
        assert_eq!(friends.friends[0].user.as_ref().unwrap().username, friend);
        assert!(!friends.has_more);
    }
    let again = call!(
        repo.friends(),
        create_friend_request,
        CreateFriendRequestRequest {
            requester_id: bob.as_str(),
            target_id: ann.as_str()
        }
    );
    assert_eq!(code(again), ErrorCode::AlreadyFriends);
}

#[tokio::test]
async fn refusals_of_requests() {
    let repo = Repo::start().await;
    let [ann, bob, eve] = repo.people(["ann", "bob", "eve"]).await;
    let make = |from: &str, to: &str| {
        let (mut client, from, to) = (repo.friends(), from.to_owned(), to.to_owned());
        async move {
            call!(
                client,
                create_friend_request,
                CreateFriendRequestRequest {
                    requester_id: from,
                    target_id: to
                }
            )
        }
    };
    assert_eq!(
        code(make(&ann, &ann).await),
        ErrorCode::CannotAddSelfAsFriend
    );
    assert_eq!(code(make(&ann, "").await), ErrorCode::InvalidParams);
    let request = ask(&repo, &ann, &bob).await;
    assert_eq!(
        code(make(&ann, &bob).await),
        ErrorCode::FriendRequestAlreadyExists
    );

    let answer = |id: &str, handler: &str, status: i32| {
        let (mut client, id, handler) = (repo.friends(), id.to_owned(), handler.to_owned());
        async move {
            call!(
                client,
                update_friend_request,
                UpdateFriendRequestRequest {
                    request_id: id,
                    handler_id: handler,
                    status
                }
            )
        }
    };
    assert_eq!(
        code(answer("5", &bob, 1).await),
        ErrorCode::FriendRequestNotFound
    );
    assert_eq!(
        code(answer(&request.id, &bob, 7).await),
        ErrorCode::InvalidParams
    );
    assert_eq!(
        code(answer(&request.id, &bob, 0).await),
        ErrorCode::InvalidParams
    );
    assert!(
        answer(&request.id, &eve, 1).await.is_err(),
        "only the target answers"
    );
    assert!(
        answer(&request.id, &ann, 1).await.is_err(),
        "not even who asked"
    );
    answer(&request.id, &bob, 2).await.unwrap();
    assert_eq!(
        code(answer(&request.id, &bob, 1).await),
        ErrorCode::FriendRequestAlreadyHandled
    );
}

#[tokio::test]
async fn a_blocked_requester_can_not_ask_again_and_blocking_twice_is_fine() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let request = ask(&repo, &ann, &bob).await;
    for _ in 0..2 {
        let block = call!(
            repo.friends(),
            update_friend_request,
            UpdateFriendRequestRequest {
                request_id: request.id.as_str(),
                handler_id: bob.as_str(),
                status: 3,
            }
        );
        block.unwrap();
    }
    let again = call!(
        repo.friends(),
        create_friend_request,
        CreateFriendRequestRequest {
            requester_id: ann.as_str(),
            target_id: bob.as_str()
        }
    );
    assert_eq!(code(again), ErrorCode::Forbidden);
}

#[tokio::test]
async fn requests_are_listed_by_side_and_status() {
    let repo = Repo::start().await;
    let [ann, bob, eve] = repo.people(["ann", "bob", "eve"]).await;
    let from_ann = ask(&repo, &ann, &bob).await;
    ask(&repo, &eve, &bob).await;
    let reject = call!(
        repo.friends(),
        update_friend_request,
        UpdateFriendRequestRequest {
            request_id: from_ann.id.as_str(),
            handler_id: bob.as_str(),
            status: 2,
        }
    );
    reject.unwrap();
    let list = |user: &str, side: i32, status: Option<i32>| {
        let (mut client, user_id) = (repo.friends(), user.to_owned());
        async move {
            let request = GetUserFriendRequestsRequest {
                user_id,
                r#type: side,
                status,
                limit: 10,
                ..Default::default()
            };
            client.get_user_friend_requests(request).await
        }
    };
    let count = |side, status| {
        let list = list(&bob, side, status);
        async move { list.await.unwrap().into_inner().requests.len() }
    };
    assert_eq!(count(1, None).await, 2);
    assert_eq!(count(1, Some(-1)).await, 2);
    assert_eq!(count(1, Some(0)).await, 1);
    assert_eq!(count(2, None).await, 0);
    assert_eq!(code(list(&bob, 3, None).await), ErrorCode::InvalidParams);
    assert_eq!(code(list(&bob, 1, Some(9)).await), ErrorCode::InvalidParams);
}

#[tokio::test]
async fn a_pair_is_looked_up_in_both_directions() {
    let repo = Repo::start().await;
    let [ann, bob, eve] = repo.people(["ann", "bob", "eve"]).await;
    let request = ask(&repo, &ann, &bob).await;
    let check = |a: &str, b: &str| {
        let (mut client, a, b) = (repo.friends(), a.to_owned(), b.to_owned());
        async move {
            let found = call!(
                client,
                check_existing_friend_request,
                CheckExistingFriendRequestRequest {
                    requester_id: a,
                    target_id: b
                }
            );
            let found = found.unwrap().into_inner();
            found.exists.then_some(found.request_id)
        }
    };
    assert_eq!(check(&ann, &bob).await, Some(request.id.clone()));
    assert_eq!(check(&bob, &ann).await, Some(request.id));
    assert_eq!(check(&bob, &eve).await, None);
}

#[tokio::test]
async fn a_sync_lists_what_changed_since() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let request = ask(&repo, &ann, &bob).await;
    let accept = call!(
        repo.friends(),
        update_friend_request,
        UpdateFriendRequestRequest {
            request_id: request.id.as_str(),
            handler_id: bob.as_str(),
            status: 1
        }
    );
    accept.unwrap();
    let since = |at: i64| {
        let (mut client, ann) = (repo.friends(), ann.clone());
        async move {
            let page = call!(
                client,
                get_user_friends_with_sync,
                GetUserFriendsWithSyncRequest {
                    user_id: ann,
                    updated_after: at
                }
            );
            let page = page.unwrap().into_inner();
            (page.friends.len(), page.removed_friend_ids)
        }
    };
    assert_eq!(since(0).await, (1, vec![]));
    assert_eq!(since(now() + 60).await, (0, vec![]));
    // A block ends the friendship.
    let block = call!(
        repo.friends(),
        update_friend_request,
        UpdateFriendRequestRequest {
            request_id: request.id.as_str(),
            handler_id: bob.as_str(),
            status: 3
        }
    );
    block.unwrap();
    assert_eq!(since(now() - 60).await, (0, vec![bob.clone()]));
    let pending = call!(
        repo.friends(),
        get_user_friends,
        GetUserFriendsRequest {
            user_id: ann.as_str(),
            status: 2
        }
    );
    assert_eq!(code(pending), ErrorCode::InvalidParams);
}
