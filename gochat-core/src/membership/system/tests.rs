use super::*;
use crate::conversation::Settings;
use crate::ids::ConversationKind;
use crate::membership::Role;

fn user(n: u64) -> UserId {
    UserId::new(n).unwrap()
}

fn written(writes: Vec<GroupWrite>) -> GroupDecision {
    GroupDecision {
        writes,
        failed: Vec::new(),
    }
}

fn info(name: &str, settings: &str) -> Info {
    let settings = format!(r#"{{"group_settings":{settings}}}"#);
    Info {
        name: name.to_owned(),
        avatar_url: String::new(),
        description: String::new(),
        announcement: String::new(),
        settings: Settings::parse(ConversationKind::Group, &settings).unwrap(),
    }
}

#[test]
fn who_comes_in_says_how() {
    let users = vec![user(3)];
    let add = GroupAct::Add {
        users: users.clone(),
        role: Role::Member,
        capacity: None,
    };
    let came = written(vec![GroupWrite::Insert(users.clone(), Role::Member)]);
    let joined = |by, how| Some((user(by), SystemMessage::joined(&users, how)));
    let added = told(&GroupCommand::of(user(1), add.clone()), &came, None);
    assert_eq!(added, joined(1, Entrance::Added));
    let open = told(&GroupCommand::of(user(3), GroupAct::Join), &came, None);
    assert_eq!(open, joined(3, Entrance::Open));
    let system = GroupCommand::system(add);
    for how in [Entrance::Link, Entrance::Request, Entrance::Invitation] {
        assert_eq!(told(&system, &came, Some((user(2), how))), joined(2, how));
    }
    assert_eq!(told(&system, &came, None), None);
}

#[test]
fn handing_a_group_over_is_one_thing() {
    let hand_over = GroupCommand::of(user(1), GroupAct::SetRole(user(2), Role::Owner));
    let writes = vec![
        GroupWrite::Role(user(1), Role::Owner, Role::Admin),
        GroupWrite::Role(user(2), Role::Member, Role::Owner),
        GroupWrite::Owner(user(2)),
    ];
    let owner = SystemMessage::Owner { user: user(2) };
    let found = told(&hand_over, &written(writes), None);
    assert_eq!(found, Some((user(1), owner)));
}

#[test]
fn leaving_and_being_removed_differ() {
    let gone = |departure| written(vec![GroupWrite::Delete(user(3), departure)]);
    let command = |by| GroupCommand::of(user(by), GroupAct::Remove(user(3)));
    let left = told(&command(3), &gone(Departure::Left), None);
    assert_eq!(left, Some((user(3), SystemMessage::Left)));
    let removed = told(&command(1), &gone(Departure::Removed), None);
    let expected = SystemMessage::removed(&[user(3)]);
    assert_eq!(removed, Some((user(1), expected)));
}

#[test]
fn a_dissolved_group_takes_no_message() {
    let dissolve = GroupCommand::of(user(1), GroupAct::Dissolve);
    let done = written(vec![GroupWrite::Dissolve]);
    assert_eq!(told(&dissolve, &done, None), None);
}

#[test]
fn an_edit_tells_each_thing_that_differs() {
    let before = info("A", "{}");
    assert_eq!(told_of_edit(&before, &before), []);
    let settings = r#"{"mute_all":true,"slow_mode":5,"max_members":9}"#;
    let after = Info {
        avatar_url: "https://example.org/a.png".to_owned(),
        description: "About".to_owned(),
        announcement: "Hi".to_owned(),
        ..info("B", settings)
    };
    let all = SystemMessage::muted(None, Mute::Forever);
    let changed = ["description", "max_members", "slow_mode"];
    let expected = [
        SystemMessage::renamed("B"),
        SystemMessage::Avatar { removed: false },
        SystemMessage::Announcement { removed: false },
        all,
        SystemMessage::Settings {
            changed: changed.map(str::to_owned).into(),
        },
    ];
    assert_eq!(told_of_edit(&before, &after), expected);
    let back = told_of_edit(&after, &before);
    assert_eq!(back[1], SystemMessage::Avatar { removed: true });
    assert_eq!(back[2], SystemMessage::Announcement { removed: true });
    assert_eq!(back[3], SystemMessage::Unmuted { user: None });
}
