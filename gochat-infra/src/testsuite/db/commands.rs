//! Group commands of users: judged in the transaction that writes them.

use gochat_core::error::ErrorCode;
use gochat_core::membership::{GroupAct, GroupCommand, Mute, Role};

use super::*;
use crate::port::db::{ConversationPatch, GroupOutcome, UserPatch};

fn set_role(by: u64, whom: u64, role: Role) -> GroupCommand {
    GroupCommand::of(user(by), GroupAct::SetRole(user(whom), role))
}

fn remove(by: u64, whom: u64) -> GroupCommand {
    GroupCommand::of(user(by), GroupAct::Remove(user(whom)))
}

fn add(by: u64, whom: u64) -> GroupCommand {
    let act = GroupAct::Add {
        users: vec![user(whom)],
        role: Role::Member,
        capacity: None,
    };
    GroupCommand::of(user(by), act)
}

async fn run(
    db: &SharedDatabase,
    id: ConversationId,
    command: GroupCommand,
) -> DbResult<GroupOutcome> {
    db.command(id, command, NOW + 5).await
}

/// I14, and that the counts agree with the rows.
async fn assert_sound(db: &SharedDatabase, id: ConversationId) {
    let row = db.conversation(id).await.expect("read").expect("there");
    let members = db.members_of_many(&[id], 100).await.expect("read");
    assert_eq!(row.member_count as usize, members.len(), "{members:?}");
    if row.dissolved {
        return;
    }
    let owners = members.iter().filter(|m| m.role == Role::Owner as i32);
    let owners: Vec<_> = owners.map(|m| Some(m.user_id)).collect();
    assert_eq!(owners, [row.owner_id], "{members:?}");
}

/// Permissions are those of the rows at the moment of the write.
pub async fn a_command_is_judged_by_the_rows_it_meets(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[2, 3, 4]).await;
    let refusal = |command| async { code(run(&db, group(1), command).await) };
    let low = ErrorCode::InsufficientPermission;
    assert_eq!(refusal(remove(2, 3)).await, low);
    assert_eq!(refusal(set_role(2, 2, Role::Owner)).await, low);
    assert_eq!(
        refusal(remove(1, 1)).await,
        ErrorCode::CannotLeaveConversation
    );
    assert_eq!(
        refusal(remove(9, 3)).await,
        ErrorCode::NotConversationMember
    );

    let done = run(&db, group(1), set_role(1, 2, Role::Admin))
        .await
        .expect("the owner may");
    assert_eq!(
        done.decision.role_changes(),
        [(user(2), Role::Member, Role::Admin)]
    );
    run(&db, group(1), remove(2, 3))
        .await
        .expect("an admin may");
    let done = run(&db, group(1), set_role(1, 4, Role::Owner))
        .await
        .expect("handed over");
    assert_eq!(done.conversation.owner_id, Some(user(4)));
    assert_eq!(refusal(set_role(1, 2, Role::Member)).await, low);
    let mute = GroupCommand::of(user(2), GroupAct::Mute(user(4), Mute::Forever));
    assert_eq!(refusal(mute).await, low);
    assert_eq!(
        code(run(&db, group(9), remove(1, 2)).await),
        ErrorCode::ConversationNotFound
    );
    assert_sound(&db, group(1)).await;
}

/// The races of the house: two commands at once, on a group of owner 1, admin 2, members 3 and 4.
pub async fn racing_commands_leave_exactly_one_owner(subject: Subject) {
    type Race = fn() -> [GroupCommand; 2];
    const RACES: [Race; 9] = [
        || [set_role(1, 3, Role::Owner), remove(3, 3)],
        || [set_role(1, 3, Role::Owner), remove(2, 3)],
        || [set_role(1, 3, Role::Owner), set_role(1, 3, Role::Admin)],
        || [set_role(1, 2, Role::Owner), set_role(1, 2, Role::Member)],
        || [set_role(1, 3, Role::Owner), set_role(1, 4, Role::Owner)],
        || [remove(1, 2), remove(2, 3)],
        || [remove(1, 3), set_role(1, 3, Role::Admin)],
        || [remove(3, 3), add(2, 3)],
        || [GroupCommand::of(user(1), GroupAct::Dissolve), add(2, 5)],
    ];
    let db = subject.db();
    for (race, make) in RACES.iter().enumerate() {
        for round in 0..8 {
            let id = group(1 + (race * 8 + round) as u64);
            open(&db, id, 1, &[2, 3, 4]).await;
            run(&db, id, set_role(1, 2, Role::Admin))
                .await
                .expect("a member");
            let racers = make().map(|command| {
                let db = db.clone();
                tokio::spawn(async move { run(&db, id, command).await })
            });
            let mut carried_out = 0;
            for racer in racers {
                match racer.await.expect("no panic") {
                    Ok(_) => carried_out += 1,
                    Err(e) => assert!(!e.is_retryable(), "{e}"),
                }
            }
            assert!(carried_out > 0, "one of two is always first");
            assert_sound(&db, id).await;
        }
    }
}

/// A version that somebody else moved on refuses the edit, in the same second too.
pub async fn an_edit_of_an_older_version_is_refused(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[2]).await;
    let rename = |by: u64, version| ConversationPatch {
        name: Some("new".to_owned()),
        expected_version: Some(version),
        by: Some(user(by)),
        ..ConversationPatch::default()
    };
    let edit = |patch| db.update_conversation(group(1), patch, NOW + 1);
    assert_eq!(
        code(edit(rename(2, 0)).await),
        ErrorCode::InsufficientPermission
    );
    assert_eq!(edit(rename(1, 0)).await.expect("fresh").version, 1);
    assert_eq!(code(edit(rename(1, 0)).await), ErrorCode::VersionConflict);
    assert_eq!(edit(rename(1, 1)).await.expect("fresh").version, 2);
    save(&db, run_of(group(1), 1..=2, 1), NOW + 9).await;
    let row = db.conversation(group(1)).await.expect("read");
    assert_eq!(row.map(|row| row.version), Some(2), "messages don't count");
}

/// So two devices of one user don't overwrite each other.
pub async fn a_profile_edit_of_an_older_version_is_refused(subject: Subject) {
    let db = subject.db();
    add_user(&db, 1).await;
    let picture = |n: u64, version| UserPatch {
        avatar_url: Some(format!("https://example.org/{n}")),
        expected_version: version,
        ..UserPatch::default()
    };
    let edit = |patch| db.update_user(user(1), patch, NOW + 1, NOW + 2);
    assert_eq!(edit(picture(1, Some(0))).await.expect("fresh").version, 1);
    let late = edit(picture(2, Some(0))).await;
    assert_eq!(code(late), ErrorCode::VersionConflict);
    let blind = edit(picture(3, None)).await.expect("no version named");
    assert_eq!(blind.version, 2);
}
