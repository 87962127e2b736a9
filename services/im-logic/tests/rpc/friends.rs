//! Friend requests and what follows from them.

use gochat_core::error::ErrorCode;
use gochat_proto::im::logic::v1::*;

use crate::harness::{Logic, refusal};

async fn ask(logic: &Logic, requester: &str, target: &str) -> Result<String, ErrorCode> {
    let request = SendFriendRequestRequest {
        requester_id: requester.into(),
        target_id: target.into(),
        message: "hi".into(),
    };
    match logic.friends().send_friend_request(request).await {
        Ok(answer) => Ok(answer.into_inner().request.unwrap().id),
        refused => Err(refusal(refused)),
    }
}

async fn answer(
    logic: &Logic,
    handler: &str,
    request: &str,
    action: i32,
) -> Result<HandleFriendRequestResponse, ErrorCode> {
    let request = HandleFriendRequestRequest {
        request_id: request.into(),
        handler_id: handler.into(),
        action,
    };
    match logic.friends().handle_friend_request(request).await {
        Ok(answer) => Ok(answer.into_inner()),
        refused => Err(refusal(refused)),
    }
}

#[tokio::test]
async fn accepting_makes_friends_of_both_and_opens_their_chat() {
    let logic = Logic::start().await;
    let [ann, bob] = logic.people(["ann", "bob"]).await;
    let request = ask(&logic, &ann, &bob).await.unwrap();
    let accepted = answer(&logic, &bob, &request, 1).await.unwrap();
    assert_eq!(accepted.request.unwrap().status, 1);
    assert!(accepted.conversation.unwrap().id.starts_with("s_"));
    for (user, friend) in [(&ann, &bob), (&bob, &ann)] {
        let request = GetFriendsRequest {
            user_id: user.clone(),
            ..Default::default()
        };
        let friends = logic
            .friends()
            .get_friends(request)
            .await
            .unwrap()
            .into_inner()
            .friends;
        assert_eq!(friends.len(), 1);
        assert_eq!(friends[0].friend_id, *friend);
        assert!(friends[0].friend.is_some());
    }
    let [facts, told, _, friends, _] = logic.events().await;
    assert_eq!(facts, ["conversation.created"]);
    assert_eq!(told, ["friend.request.new"]);
    assert_eq!(
        friends,
        [
            "friend.request.sent",
            "friend.request.accepted",
            "friend.added"
        ]
    );
}

#[tokio::test]
async fn a_refused_request_has_to_cool_down() {
    let logic = Logic::start().await;
    let [ann, bob] = logic.people(["ann", "bob"]).await;
    let request = ask(&logic, &ann, &bob).await.unwrap();
    answer(&logic, &bob, &request, 2).await.unwrap();
    assert_eq!(ask(&logic, &ann, &bob).await, Err(ErrorCode::RateLimited));
    // The refusal binds who was refused.
    assert!(ask(&logic, &bob, &ann).await.is_ok());
}

#[tokio::test]
async fn a_refused_request_may_be_made_again() {
    let logic = Logic::with(|config| config.limits.request_cooldown_s = 0).await;
    let [ann, bob] = logic.people(["ann", "bob"]).await;
    let request = ask(&logic, &ann, &bob).await.unwrap();
    let rejected = answer(&logic, &bob, &request, 2).await.unwrap();
    assert!(rejected.conversation.is_none());
    assert_eq!(
        ask(&logic, &ann, &bob).await,
        Ok(request),
        "the same row, pending again"
    );
}

#[tokio::test]
async fn senseless_requests_are_refused() {
    let logic = Logic::start().await;
    let [ann, bob, cat] = logic.people(["ann", "bob", "cat"]).await;
    assert_eq!(
        ask(&logic, &ann, &ann).await,
        Err(ErrorCode::CannotAddSelfAsFriend)
    );
    assert_eq!(
        ask(&logic, &ann, "123456").await,
        Err(ErrorCode::UserNotFound)
    );
    let request = ask(&logic, &ann, &bob).await.unwrap();
    for (one, other) in [(&ann, &bob), (&bob, &ann)] {
        let twice = ask(&logic, one, other).await;
        assert_eq!(twice, Err(ErrorCode::FriendRequestAlreadyExists));
    }
    let by_asker = answer(&logic, &ann, &request, 1).await.unwrap_err();
    assert_eq!(by_asker, ErrorCode::Forbidden);
    let by_stranger = answer(&logic, &cat, &request, 1).await.unwrap_err();
    assert_eq!(by_stranger, ErrorCode::FriendRequestNotFound);
    answer(&logic, &bob, &request, 1).await.unwrap();
    assert_eq!(
        ask(&logic, &bob, &ann).await,
        Err(ErrorCode::AlreadyFriends)
    );
    let again = answer(&logic, &bob, &request, 1).await.unwrap_err();
    assert_eq!(again, ErrorCode::FriendRequestAlreadyHandled);
}

#[tokio::test]
async fn guests_have_no_friends_and_open_no_chats_but_are_written_to() {
    let logic = Logic::start().await;
    let [ann] = logic.people(["ann"]).await;
    let guest = logic
        .auth()
        .guest_login(GuestLoginRequest::default())
        .await
        .unwrap();
    let guest = guest.into_inner().user.unwrap().id;
    assert_eq!(
        ask(&logic, &guest, &ann).await,
        Err(ErrorCode::GuestNotAllowed)
    );
    assert_eq!(
        ask(&logic, &ann, &guest).await,
        Err(ErrorCode::GuestNotAllowed)
    );
    let open = |creator: &str, member: &str| CreateConversationRequest {
        creator_id: creator.into(),
        r#type: 1,
        member_ids: vec![member.into()],
        ..Default::default()
    };
    let mut conversations = logic.conversations();
    let refused = refusal(conversations.create_conversation(open(&guest, &ann)).await);
    assert_eq!(refused, ErrorCode::GuestNotAllowed);
    let first = conversations
        .create_conversation(open(&ann, &guest))
        .await
        .unwrap()
        .into_inner();
    assert!(!first.already_existed);
    let again = conversations
        .create_conversation(open(&ann, &guest))
        .await
        .unwrap()
        .into_inner();
    assert!(again.already_existed);
    let (first, again) = (first.conversation.unwrap(), again.conversation.unwrap());
    assert_eq!(first.id, again.id);
    assert!(first.name.starts_with("guest_"), "named after the peer");
}
