//! ConversationService: members.

use gochat_core::error::ErrorCode;
use gochat_proto::common::v1::ConversationMemberRole as Role;

use crate::call;
use crate::harness::{Repo, code, now};

#[tokio::test]
async fn members_are_added_once_and_counted() {
    let repo = Repo::start().await;
    let [ann, bob, eve] = repo.people(["ann", "bob", "eve"]).await;
    let id = repo.group("Tea", &[&ann]).await;
    let add = |users: Vec<String>, max: i32| {
        let (mut client, id) = (repo.conversations(), id.clone());
        async move {
            call!(
                client,
                add_conversation_member,
                AddConversationMemberRequest {
                    conversation_id: id,
                    user_ids: users,
                    max_members: max,
                }
            )
        }
    };
    let added = add(vec![bob.clone(), ann.clone()], 0)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (added.success, added.added_user_ids, added.member_count),
        (true, vec![bob], 2)
    );
    let full = add(vec![eve.clone()], 2).await;
    assert_eq!(code(full), ErrorCode::ConversationFull);
    assert_eq!(code(add(vec![], 0).await), ErrorCode::InvalidParams);

    let shown = call!(
        repo.conversations(),
        get_conversation,
        GetConversationRequest {
            conversation_id: id.as_str()
        }
    );
    assert_eq!(
        shown
            .unwrap()
            .into_inner()
            .conversation
            .unwrap()
            .member_count,
        2
    );
}

#[tokio::test]
async fn a_removed_member_is_none() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let id = repo.group("Tea", &[&ann, &bob]).await;
    let remove = || async {
        let removed = call!(
            repo.conversations(),
            remove_conversation_member,
            RemoveConversationMemberRequest {
                conversation_id: id.as_str(),
                user_id: bob.as_str()
            }
        );
        removed.unwrap().into_inner()
    };
    let first = remove().await;
    assert_eq!((first.success, first.member_count), (true, 1));
    let second = remove().await;
    assert_eq!((second.success, second.member_count), (false, 1));
    let member = call!(
        repo.conversations(),
        get_member,
        GetMemberRequest {
            conversation_id: id.as_str(),
            user_id: bob.as_str()
        }
    );
    assert_eq!(code(member), ErrorCode::NotFound);
}

#[tokio::test]
async fn roles_are_given_but_ownership_is_transferred() {
    let repo = Repo::start().await;
    let [ann, bob, eve] = repo.people(["ann", "bob", "eve"]).await;
    let id = repo.group("Tea", &[&ann, &bob]).await;
    let give = |user: &str, role: Role| {
        let (mut client, id, user) = (repo.conversations(), id.clone(), user.to_owned());
        async move {
            call!(
                client,
                update_member_role,
                UpdateMemberRoleRequest {
                    conversation_id: id,
                    user_id: user,
                    new_role: role
                }
            )
        }
    };
    let role = |user: &str| {
        let (mut client, id, user) = (repo.conversations(), id.clone(), user.to_owned());
        async move {
            let found = call!(
                client,
                get_member,
                GetMemberRequest {
                    conversation_id: id,
                    user_id: user
                }
            );
            found.unwrap().into_inner().member.unwrap().role()
        }
    };
    give(&bob, Role::Admin).await.unwrap();
    assert_eq!(role(&bob).await, Role::Admin);
    assert_eq!(
        code(give(&bob, Role::Owner).await),
        ErrorCode::InvalidParams
    );
    assert_eq!(
        code(give(&bob, Role::Unspecified).await),
        ErrorCode::InvalidParams
    );
    assert_eq!(
        code(give(&eve, Role::Admin).await),
        ErrorCode::NotConversationMember
    );

    let transfer = |from: &str, to: &str| {
        let (mut client, id) = (repo.conversations(), id.clone());
        let (from, to) = (from.to_owned(), to.to_owned());
        async move {
            call!(
                client,
                transfer_ownership,
                TransferOwnershipRequest {
                    conversation_id: id,
                    from_user_id: from,
                    to_user_id: to,
                }
            )
        }
    };
    assert_eq!(
        code(transfer(&bob, &ann).await),
        ErrorCode::InsufficientPermission
    );
    assert_eq!(code(transfer(&ann, &eve).await), ErrorCode::UserNotFound);
    transfer(&ann, &bob).await.unwrap();
    assert_eq!(
        (role(&ann).await, role(&bob).await),
        (Role::Admin, Role::Owner)
    );
}

#[tokio::test]
async fn a_mute_is_shown_with_its_end() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let id = repo.group("Tea", &[&ann, &bob]).await;
    let until = now() + 600;
    let mute = |muted: bool| {
        let (mut client, id, bob) = (repo.conversations(), id.clone(), bob.clone());
        async move {
            let set = call!(
                client,
                mute_member,
                MuteMemberRequest {
                    conversation_id: id.as_str(),
                    user_id: bob.as_str(),
                    muted,
                    muted_until: until,
                }
            );
            assert!(set.unwrap().into_inner().success);
            let found = call!(
                client,
                get_member,
                GetMemberRequest {
                    conversation_id: id,
                    user_id: bob
                }
            );
            let member = found.unwrap().into_inner().member.unwrap();
            (member.muted, member.muted_until)
        }
    };
    assert_eq!(mute(true).await, (true, until));
    assert_eq!(mute(false).await, (false, 0));
}

#[tokio::test]
async fn members_are_paged_by_offset_and_by_keyset() {
    let repo = Repo::start().await;
    let people = repo.people(["a01", "a02", "a03", "a04", "a05"]).await;
    let all: Vec<&String> = people.iter().collect();
    let id = repo.group("Tea", &all).await;
    let page = |offset: i32, after: &str, role: Role| {
        let (mut client, id, after) = (repo.conversations(), id.clone(), after.to_owned());
        async move {
            let page = call!(
                client,
                get_conversation_members,
                GetConversationMembersRequest {
                    conversation_id: id,
                    offset,
                    limit: 2,
                    after_user_id: after,
                    role_filter: role,
                }
            );
            let page = page.unwrap().into_inner();
            let names: Vec<_> = page
                .members
                .into_iter()
                .map(|m| m.user.unwrap().username)
                .collect();
            (names, page.total, page.has_more)
        }
    };
    let names = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        page(0, "", Role::Unspecified).await,
        (names(&["a01", "a02"]), 5, true)
    );
    assert_eq!(
        page(4, "", Role::Unspecified).await,
        (names(&["a05"]), 5, false)
    );
    let (keyset, _, more) = page(0, &people[2], Role::Unspecified).await;
    assert_eq!((keyset, more), (names(&["a04", "a05"]), false));
    assert_eq!(page(0, "", Role::Owner).await, (names(&["a01"]), 1, false));
}
