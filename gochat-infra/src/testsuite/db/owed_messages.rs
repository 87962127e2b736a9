//! The outbox of system messages: written with the change it tells of, or not at all.

use gochat_core::membership::{GroupAct, GroupCommand, LinkTerms, Mute, Role};
use gochat_core::message::{ChangeKind, Entrance, MessageType, SystemMessage, Tally};

use super::*;
use crate::port::db::{
    ConversationPatch, NewChange, NewInvitation, NewJoinRequest, NewLink, OwedMessage, OwedQuery,
};

async fn owed(db: &SharedDatabase, query: OwedQuery) -> Vec<OwedMessage> {
    db.owed_messages(query).await.expect("owed messages")
}

fn all_of(n: u64) -> OwedQuery {
    OwedQuery {
        conversation: Some(group(n)),
        after_id: 0,
        before: NOW + 1_000_000,
        limit: 100,
    }
}

/// Takes out what the group owes: authors and messages, in order.
async fn told(db: &SharedDatabase, n: u64) -> Vec<(u64, SystemMessage)> {
    let found = owed(db, all_of(n)).await;
    let ids: Vec<u64> = found.iter().map(|row| row.id).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    let settled = db.settle_owed(&ids).await.expect("settled");
    assert_eq!(settled as usize, ids.len());
    let read = |row: &OwedMessage| {
        let message = SystemMessage::parse(&row.content).expect("a system message");
        (row.sender_id.get(), message)
    };
    found.iter().map(read).collect()
}

async fn run(db: &SharedDatabase, by: u64, act: GroupAct) -> DbResult<()> {
    let command = GroupCommand::of(user(by), act);
    db.command(group(1), command, NOW + 5).await.map(drop)
}

fn add(whom: &[u64]) -> GroupAct {
    GroupAct::Add {
        users: whom.iter().copied().map(user).collect(),
        role: Role::Member,
        capacity: None,
    }
}

fn joined(whom: &[u64], how: Entrance) -> SystemMessage {
    let users: Vec<UserId> = whom.iter().copied().map(user).collect();
    SystemMessage::joined(&users, how)
}

/// Owner 1, members 2 and 3; users 4 to 6 are strangers. What the creation owes is settled.
async fn stage(db: &SharedDatabase) {
    for n in 1..=6 {
        add_user(db, n).await;
    }
    open(db, group(1), 1, &[2, 3]).await;
    let created = SystemMessage::created("name of g_1", &[user(2), user(3)]);
    assert_eq!(told(db, 1).await, [(1, created)]);
}

/// Each kind, in the order of the changes, in the name of who made them.
pub async fn a_change_of_a_group_owes_its_message(subject: Subject) {
    let db = subject.db();
    stage(&db).await;
    let act = |by, act| run(&db, by, act);
    act(2, add(&[4])).await.expect("added");
    act(1, GroupAct::SetRole(user(2), Role::Admin))
        .await
        .expect("an admin");
    let until = Mute::Until(NOW + 60_000);
    act(2, GroupAct::Mute(user(3), until)).await.expect("muted");
    act(2, GroupAct::Mute(user(3), Mute::None))
        .await
        .expect("unmuted");
    act(2, GroupAct::Remove(user(3))).await.expect("removed");
    act(4, GroupAct::Remove(user(4))).await.expect("left");
    act(1, GroupAct::SetRole(user(2), Role::Owner))
        .await
        .expect("handed over");
    let patch = ConversationPatch {
        name: Some("Hikers".to_owned()),
        settings: Some(r#"{"group_settings":{"slow_mode":5,"mute_all":true}}"#.to_owned()),
        by: Some(user(2)),
        ..ConversationPatch::default()
    };
    let edit = db.update_conversation(group(1), patch, NOW + 6).await;
    edit.expect("edited");
    let user_2 = SystemMessage::Role {
        user: user(2),
        role: Role::Admin,
    };
    let expected = [
        (2, joined(&[4], Entrance::Added)),
        (1, user_2),
        (2, SystemMessage::muted(Some(user(3)), until)),
        (2, SystemMessage::muted(Some(user(3)), Mute::None)),
        (2, SystemMessage::removed(&[user(3)])),
        (4, SystemMessage::Left),
        (1, SystemMessage::Owner { user: user(2) }),
        (2, SystemMessage::renamed("Hikers")),
        (2, SystemMessage::muted(None, Mute::Forever)),
        (
            2,
            SystemMessage::Settings {
                changed: vec!["slow_mode".to_owned()],
            },
        ),
    ];
    assert_eq!(told(&db, 1).await, expected);
    act(2, GroupAct::Dissolve).await.expect("dissolved");
    assert_eq!(told(&db, 1).await, []);
}

/// The row stands and falls with its change.
pub async fn a_change_that_is_refused_or_repeated_owes_nothing(subject: Subject) {
    let db = subject.db();
    stage(&db).await;
    let mute = GroupAct::Mute(user(3), Mute::Forever);
    for by in [2, 5] {
        assert!(run(&db, by, GroupAct::Remove(user(3))).await.is_err());
        assert!(run(&db, by, mute.clone()).await.is_err());
    }
    assert_eq!(told(&db, 1).await, []);
    let rename = ConversationPatch {
        name: Some("Hikers".to_owned()),
        by: Some(user(1)),
        ..ConversationPatch::default()
    };
    for _ in 0..2 {
        run(&db, 1, mute.clone()).await.expect("muted");
        let role = GroupAct::SetRole(user(2), Role::Admin);
        run(&db, 1, role).await.expect("an admin");
        run(&db, 1, add(&[4])).await.expect("added");
        let edit = db.update_conversation(group(1), rename.clone(), NOW + 6);
        edit.await.expect("renamed");
        open(&db, group(1), 1, &[2, 3]).await;
    }
    let role = SystemMessage::Role {
        user: user(2),
        role: Role::Admin,
    };
    let expected = [
        (1, SystemMessage::muted(Some(user(3)), Mute::Forever)),
        (1, role),
        (1, joined(&[4], Entrance::Added)),
        (1, SystemMessage::renamed("Hikers")),
    ];
    assert_eq!(told(&db, 1).await, expected);
}

/// By a link, by a request and by an invitation; a command of the system has no author.
pub async fn who_brings_users_in_tells_it(subject: Subject) {
    let db = subject.db();
    stage(&db).await;
    let link = NewLink {
        code: format!("{:032x}", 1),
        conversation: group(1),
        creator: user(2),
        terms: LinkTerms {
            max_uses: 9,
            expires_at: NOW + 10_000,
        },
        cap: 3,
        now: NOW,
    };
    let code = link.code.clone();
    db.create_link(link).await.expect("made");
    for _ in 0..2 {
        db.use_link(&code, user(4), NOW).await.expect("used");
    }
    let settings =
        r#"{"group_settings":{"join_approval_required":true,"allow_join_requests":true}}"#;
    let patch = ConversationPatch {
        settings: Some(settings.to_owned()),
        ..ConversationPatch::default()
    };
    let edit = db.update_conversation(group(1), patch, NOW + 1).await;
    edit.expect("edited by the system");
    let ask = NewJoinRequest {
        id: request_id(1),
        conversation: group(1),
        user: user(5),
        text: String::new(),
        link: None,
        cap_user: 10,
        cap_group: 10,
        cooldown: 0,
        now: NOW,
        expires_at: NOW + 10_000,
    };
    db.ask_to_join(ask).await.expect("asked");
    for _ in 0..2 {
        let answer = db.answer_join_request(group(1), user(5), user(1), true, NOW);
        answer.await.expect("accepted");
    }
    let invitation = NewInvitation {
        id: request_id(2),
        conversation: group(1),
        user: user(6),
        inviter: user(2),
        cap: 10,
        now: NOW,
        expires_at: NOW + 10_000,
    };
    db.invite(invitation).await.expect("invited");
    let accept = db.answer_invitation(request_id(2), user(6), true, NOW);
    accept.await.expect("accepted");
    let remove = GroupCommand::system(GroupAct::Remove(user(3)));
    db.command(group(1), remove, NOW).await.expect("removed");
    let expected = [
        (4, joined(&[4], Entrance::Link)),
        (1, joined(&[5], Entrance::Request)),
        (6, joined(&[6], Entrance::Invitation)),
    ];
    assert_eq!(told(&db, 1).await, expected);
}

/// The setting as it is after the change decides. Single chats tell nothing.
pub async fn a_group_that_tells_nothing_owes_nothing(subject: Subject) {
    let db = subject.db();
    let quiet = r#"{"group_settings":{"system_messages":false}}"#;
    let new = NewConversation {
        settings: quiet.to_owned(),
        ..conversation(group(1), 1, &[2])
    };
    db.create_conversation(new).await.expect("made");
    open(&db, single(1, 2), 1, &[]).await;
    run(&db, 1, GroupAct::Remove(user(2)))
        .await
        .expect("removed");
    let set = |name: &str, settings: &str| ConversationPatch {
        name: Some(name.to_owned()),
        settings: Some(settings.to_owned()),
        by: Some(user(1)),
        ..ConversationPatch::default()
    };
    let edit = db.update_conversation(group(1), set("A", "{}"), NOW).await;
    edit.expect("switched on");
    let edit = db.update_conversation(group(1), set("B", quiet), NOW).await;
    edit.expect("switched off");
    let changed = SystemMessage::Settings {
        changed: vec!["system_messages".to_owned()],
    };
    let expected = [(1, SystemMessage::renamed("A")), (1, changed)];
    assert_eq!(told(&db, 1).await, expected);
}

/// By conversation or all, by age, page by page; what is settled is gone, and only that.
pub async fn owed_messages_are_listed_and_settled(subject: Subject) {
    let db = subject.db();
    for n in 1..=3 {
        let new = NewConversation {
            now: NOW + n,
            ..conversation(group(n), 1, &[])
        };
        db.create_conversation(new).await.expect("made");
    }
    let places = |rows: &[OwedMessage]| rows.iter().map(|r| r.conversation_id).collect::<Vec<_>>();
    let all = OwedQuery {
        conversation: None,
        ..all_of(1)
    };
    let found = owed(&db, all).await;
    assert_eq!(places(&found), [group(1), group(2), group(3)]);
    assert_eq!(found[1].created_at, NOW + 2);
    let old = OwedQuery {
        before: NOW + 3,
        ..all
    };
    assert_eq!(places(&owed(&db, old).await), [group(1), group(2)]);
    let page = OwedQuery {
        after_id: found[0].id,
        limit: 1,
        ..all
    };
    assert_eq!(places(&owed(&db, page).await), [group(2)]);
    assert_eq!(owed(&db, all_of(2)).await, [found[1].clone()]);
    let ids = [found[0].id, found[2].id, 1_000_000];
    assert_eq!(db.settle_owed(&ids).await.expect("settled"), 2);
    assert_eq!(db.settle_owed(&ids).await.expect("a repeat"), 0);
    assert_eq!(db.settle_owed(&[]).await.expect("nothing"), 0);
    assert_eq!(owed(&db, all).await, [found[1].clone()]);
}

/// Else a later message would count as the repeat of an earlier one.
pub async fn numbers_of_owed_messages_are_never_given_again(subject: Subject) {
    let db = subject.db();
    stage(&db).await;
    let mut seen = Vec::new();
    for whom in [4, 5, 6] {
        run(&db, 1, add(&[whom])).await.expect("added");
        let found = owed(&db, all_of(1)).await;
        seen.extend(found.iter().map(|row| row.id));
        told(&db, 1).await;
    }
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
}

/// A system message is read by its author where they had read all before, and by nobody else; who
/// has left gets no pointer by it.
pub async fn a_system_message_is_read_by_who_had_read_all_before(subject: Subject) {
    let db = subject.db();
    stage(&db).await;
    run(&db, 3, GroupAct::Remove(user(3))).await.expect("left");
    let system = |seq, sender, content: SystemMessage| NewMessage {
        message_type: MessageType::System.as_i32(),
        content: content.to_content(),
        ..message(group(1), seq, sender)
    };
    let messages = vec![
        system(1, 3, SystemMessage::Left),
        system(2, 1, SystemMessage::renamed("B")),
    ];
    save(&db, messages, NOW + 10).await;
    let pointer = |n| {
        let db = db.clone();
        async move {
            let found = db.pointer(user(n), group(1)).await.expect("read");
            found.map_or(0, |(seq, _)| seq)
        }
    };
    assert_eq!((pointer(3).await, pointer(1).await), (0, 0));
    db.advance_pointer(user(1), group(1), 0, NOW + 20)
        .await
        .expect("read");
    let messages = vec![
        system(3, 1, SystemMessage::renamed("C")),
        system(4, 1, SystemMessage::renamed("D")),
        system(5, 3, SystemMessage::renamed("E")),
    ];
    save(&db, messages, NOW + 30).await;
    assert_eq!((pointer(3).await, pointer(1).await), (0, 4));
    assert_eq!(unread(&db, 2, group(1)).await, Some(5));
}

/// A pin that is to be told owes one message, however often it is stored.
pub async fn a_pin_owes_one_message(subject: Subject) {
    let db = subject.db();
    stage(&db).await;
    save(&db, run_of(group(1), 1..=2, 2), NOW).await;
    let pin = |rev, seq, tells| NewChange {
        conversation_id: group(1),
        rev,
        kind: ChangeKind::Pin,
        message_id: message(group(1), seq, 2).id,
        seq_id: seq,
        sender_id: user(1),
        client_msg_id: Some(format!("p{rev}")),
        content: String::new(),
        extra: None,
        edit_count: 0,
        keeps_former: false,
        tells,
        pinned: true,
        reactions: Tally::default(),
        created_at: NOW,
    };
    let pins = [pin(3, 1, true), pin(4, 2, false), pin(5, 1, false)];
    for _ in 0..2 {
        let saved = db.save_batch(Vec::new(), pins.to_vec(), NOW + 9).await;
        saved.expect("stored");
    }
    let pinned = SystemMessage::Pinned {
        message_id: message(group(1), 1, 2).id,
        seq_id: 1,
    };
    assert_eq!(told(&db, 1).await, [(1, pinned)]);
}
