//! GroupService: the facade over the rows of ConversationService.

use gochat_core::error::ErrorCode;
use gochat_proto::common::v1::ConversationMemberRole as Role;

use crate::call;
use crate::harness::{Repo, code};

#[tokio::test]
async fn a_group_lives_through_the_facade() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let made = call!(
        repo.groups(),
        create_group,
        CreateGroupRequest {
            name: "Tea",
            owner_id: ann.as_str()
        }
    );
    let group = made.unwrap().into_inner().group.unwrap();
    assert_eq!(
        (group.member_count, group.owner_id.as_str()),
        (1, ann.as_str())
    );

    let add = || async {
        let added = call!(
            repo.groups(),
            add_group_member,
            AddGroupMemberRequest {
                group_id: group.id.as_str(),
                user_id: bob.as_str()
            }
        );
        added.unwrap().into_inner().member.unwrap()
    };
    let member = add().await;
    assert_eq!(
        (
            member.user.clone().unwrap().username.as_str(),
            member.role()
        ),
        ("bob", Role::Member)
    );
    assert_eq!(
        add().await,
        member,
        "adding again answers the standing membership"
    );

    let promote = call!(
        repo.groups(),
        update_member_role,
        GroupServiceUpdateMemberRoleRequest {
            group_id: group.id.as_str(),
            user_id: bob.as_str(),
            new_role: Role::Admin,
        }
    );
    assert!(promote.unwrap().into_inner().success);
    let members = call!(
        repo.groups(),
        get_group_members,
        GetGroupMembersRequest {
            group_id: group.id.as_str(),
            role_filter: Role::Admin
        }
    );
    let members = members.unwrap().into_inner();
    assert_eq!(
        (members.total, members.members[0].user_id.as_str()),
        (1, bob.as_str())
    );

    let rename = call!(
        repo.groups(),
        update_group,
        UpdateGroupRequest {
            group_id: group.id.as_str(),
            name: "Coffee"
        }
    );
    assert_eq!(rename.unwrap().into_inner().group.unwrap().name, "Coffee");
    let read = || async {
        let found = call!(
            repo.groups(),
            get_group,
            GetGroupRequest {
                group_id: group.id.as_str()
            }
        );
        found.unwrap().into_inner()
    };
    let first = read().await;
    assert_eq!(
        (first.from_cache, first.group.unwrap().member_count),
        (false, 2)
    );
    assert!(read().await.from_cache);

    let remove = call!(
        repo.groups(),
        remove_group_member,
        RemoveGroupMemberRequest {
            group_id: group.id.as_str(),
            user_id: bob.as_str()
        }
    );
    assert!(remove.unwrap().into_inner().success);
    assert_eq!(read().await.group.unwrap().member_count, 1);
}

#[tokio::test]
async fn a_chat_of_two_is_no_group() {
    let repo = Repo::start().await;
    let [ann, bob] = repo.people(["ann", "bob"]).await;
    let chat = repo.single(&ann, &bob).await;
    let read = call!(
        repo.groups(),
        get_group,
        GetGroupRequest {
            group_id: chat.as_str()
        }
    );
    assert_eq!(code(read), ErrorCode::InvalidParams);
    let add = call!(
        repo.groups(),
        add_group_member,
        AddGroupMemberRequest {
            group_id: chat.as_str(),
            user_id: ann.as_str()
        }
    );
    assert_eq!(code(add), ErrorCode::InvalidParams);
    let unknown = call!(
        repo.groups(),
        get_group,
        GetGroupRequest { group_id: "g_1" }
    );
    assert_eq!(code(unknown), ErrorCode::ConversationNotFound);
    let taken = call!(
        repo.groups(),
        create_group,
        CreateGroupRequest {
            group_id: "world",
            name: "x",
            owner_id: ann.as_str()
        }
    );
    assert_eq!(code(taken), ErrorCode::InvalidParams);
}

#[tokio::test]
async fn the_status_of_members_is_that_of_the_users() {
    let repo = Repo::start().await;
    call!(
        repo.online(),
        set_user_online,
        SetUserOnlineRequest {
            user_id: "1",
            gateway_id: "gw-1",
            conn_id: 1u64
        }
    )
    .unwrap();
    let statuses = call!(
        repo.groups(),
        get_members_online_status,
        GetMembersOnlineStatusRequest {
            user_ids: vec!["1".to_owned(), "2".to_owned()]
        }
    );
    let online: Vec<_> = statuses
        .unwrap()
        .into_inner()
        .statuses
        .into_iter()
        .map(|s| s.is_online)
        .collect();
    assert_eq!(online, [true, false]);
}
