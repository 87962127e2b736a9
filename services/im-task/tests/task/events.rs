//! Facts about reactions to events.

use gochat_core::signal::Signal;
use gochat_infra::topics::*;
use gochat_proto::common::v1::ConversationType::{Group, Single};
use gochat_proto::mq::v1::{
    ConversationEvent, DownstreamMessage, FriendEvent, MessageEvent, NotificationEvent, UserEvent,
};
use prost::Message as _;
use serde_json::{Value, json};

use crate::world::{World, message, sorted};

const NOW: i64 = 1_700_000_000;

fn user_event(id: &str, kind: &str, user: &str, payload: Value) -> UserEvent {
    UserEvent {
        event_id: id.into(),
        event_type: kind.into(),
        timestamp: NOW,
        user_id: user.into(),
        payload: payload.to_string(),
    }
}

fn message_event(kind: &str, chat: &str, by: &str, payload: Value) -> MessageEvent {
    MessageEvent {
        event_id: format!("{kind}-{chat}-{payload}"),
        event_type: kind.into(),
        timestamp: NOW,
        conversation_id: chat.into(),
        operator_id: by.into(),
        payload: payload.to_string(),
    }
}

fn notification(
    kind: &str,
    chat: &str,
    by: &str,
    target: &str,
    payload: Value,
) -> NotificationEvent {
    NotificationEvent {
        event_id: format!("{kind}-{chat}-{payload}"),
        event_type: kind.into(),
        timestamp: NOW,
        target_user_id: target.into(),
        conversation_id: chat.into(),
        operator_id: by.into(),
        payload: payload.to_string(),
    }
}

fn data(text: &str) -> Value {
    serde_json::from_str::<Value>(text).unwrap()["data"].take()
}

fn kind_of(text: &str) -> String {
    serde_json::from_str::<Value>(text).unwrap()["type"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn all_done(world: &World) {
    world.done(TASK_EVENTS_GROUP, &EVENT_TOPICS).await;
}

#[tokio::test]
async fn connected_friends_see_who_comes_and_goes() {
    let world = World::new().await;
    let [a, b, c, stranger] = world.people(["ada", "bob", "cleo", "dan"]).await;
    world.befriend(&a, &b).await;
    world.befriend(&c, &a).await;
    world.online(&b, "g1").await;
    world.online(&stranger, "g1").await;
    let online = user_event("1", "user.online", &a, json!({ "gateway_id": "g1" }));
    world.produce(USER_EVENTS, &a, &online).await;
    let offline = user_event(
        "2",
        "user.offline",
        &a,
        json!({ "last_seen": 77, "reason": "disconnect" }),
    );
    world.produce(USER_EVENTS, &a, &offline).await;
    let told = world.signalled("g1", 2).await;
    assert_eq!(
        (told[0].0, &told[0].1),
        (Signal::FriendStatusChanged, &vec![b])
    );
    assert_eq!(data(&told[0].2), json!({ "userId": a, "status": "online" }));
    assert_eq!(
        data(&told[1].2),
        json!({ "userId": a, "status": "offline", "lastSeen": 77 })
    );
    all_done(&world).await;
    assert!(world.signals("g2").is_empty());
}

#[tokio::test]
async fn a_repeated_event_is_told_once() {
    let world = World::new().await;
    let [a, b] = world.people(["ada", "bob"]).await;
    world.befriend(&a, &b).await;
    world.online(&b, "g1").await;
    for id in ["1", "1", "2", "1"] {
        world
            .produce(
                USER_EVENTS,
                &a,
                &user_event(id, "user.online", &a, json!({})),
            )
            .await;
    }
    all_done(&world).await;
    assert_eq!(world.signals("g1").len(), 2);
}

#[tokio::test]
async fn an_own_state_is_told_to_the_devices_of_its_user_alone() {
    let world = World::new().await;
    let [a, b] = world.people(["ada", "bob"]).await;
    let chat = world.conversation(Single, &[a.clone(), b.clone()]).await;
    for user in [&a, &b] {
        world.online(user, "g1").await;
    }
    let my = json!({ "pinned": true, "archived": false, "markedUnread": false, "version": 3 });
    let event = notification("conversation.state", &chat, &a, &a, json!({ "my": my }));
    world.produce(NOTIFICATIONS, &a, &event).await;
    all_done(&world).await;
    let told = world.signals("g1");
    assert_eq!(
        (told.len(), told[0].0, &told[0].1),
        (1, Signal::ConversationState, &vec![a])
    );
    assert_eq!(kind_of(&told[0].2), "conversation-state");
    assert_eq!(
        data(&told[0].2),
        json!({ "conversationId": chat, "my": my })
    );
}

#[tokio::test]
async fn in_a_single_chat_the_peer_and_the_readers_other_devices_see_a_read() {
    let world = World::new().await;
    let [a, b] = world.people(["ada", "bob"]).await;
    let chat = world.conversation(Single, &[a.clone(), b.clone()]).await;
    world.online(&a, "g1").await;
    world.online(&b, "g1").await;
    let moved = json!({ "message_id": 0, "seq_id": 5, "previous_seq_id": 2, "read_at": 88 });
    world
        .produce(
            MESSAGE_EVENTS,
            &chat,
            &message_event("message.read", &chat, &b, moved),
        )
        .await;
    let still = json!({ "message_id": 0, "seq_id": 5, "previous_seq_id": 5 });
    world
        .produce(
            MESSAGE_EVENTS,
            &chat,
            &message_event("message.read", &chat, &b, still),
        )
        .await;
    all_done(&world).await;
    let told = world.signals("g1");
    assert_eq!(told.len(), 1, "a pointer that did not move is not told");
    assert_eq!(
        (told[0].0, &told[0].1),
        (Signal::MessageReceiptUpdated, &sorted(vec![a, b.clone()]))
    );
    let expected = json!({ "conversationId": chat, "userId": b, "seqId": 5, "readAt": 88 });
    assert_eq!(data(&told[0].2), expected);
}

#[tokio::test]
async fn in_a_group_those_whose_messages_were_read_are_told_unless_it_is_large() {
    let mut world = World::quiet().await;
    let [a, b, c, d] = world.people(["ada", "bob", "cleo", "dan"]).await;
    let members = [a.clone(), b.clone(), c.clone(), d.clone()];
    let group = world.conversation(Group, &members).await;
    for member in &members {
        world.online(member, "g1").await;
    }
    world.start().await;
    for (seq, author) in [(1, &a), (2, &b), (3, &c), (4, &d)] {
        world
            .produce(PERSIST, &group, &message(&group, author, seq))
            .await;
    }
    world.done(TASK_PERSIST_GROUP, &[PERSIST]).await;
    let read = |seq: i64| {
        let payload = json!({ "seq_id": seq, "previous_seq_id": 1 });
        message_event("message.read", &group, &d, payload)
    };
    world.produce(MESSAGE_EVENTS, &group, &read(3)).await;
    all_done(&world).await;
    assert_eq!(world.signals("g1")[0].1, sorted(vec![b, c, d.clone()]));
    world.stop().await;
    world.config.events.receipt_members_max = 3;
    world.start().await;
    world.produce(MESSAGE_EVENTS, &group, &read(4)).await;
    all_done(&world).await;
    assert_eq!(
        world.signals("g1")[1].1,
        [d],
        "only the reader's own devices"
    );
}

#[tokio::test]
async fn a_recall_is_told_to_all_members() {
    let world = World::new().await;
    let [a, b, c] = world.people(["ada", "bob", "cleo"]).await;
    let group = world.conversation(Group, &[a.clone(), b.clone(), c]).await;
    world.online(&a, "g1").await;
    world.online(&b, "g2").await;
    let payload = json!({ "message_id": 42, "seq_id": 7, "reason": "" });
    world
        .produce(
            MESSAGE_EVENTS,
            &group,
            &message_event("message.recalled", &group, &a, payload),
        )
        .await;
    let told = world.signalled("g2", 1).await;
    assert_eq!((told[0].0, &told[0].1), (Signal::MessageRecalled, &vec![b]));
    let expected = json!({ "conversationId": group, "messageId": "42", "seqId": 7, "rev": 0, "operatorId": a });
    assert_eq!(data(&told[0].2), expected);
    all_done(&world).await;
    assert_eq!(world.signals("g1")[0].1, [a]);
}

/// Signals on a gateway's topic: type, targets, whether it is for everybody.
async fn written(world: &World, gateway: &str) -> Vec<(String, Vec<String>, bool)> {
    let records = world.records(&downstream(gateway)).await.into_iter();
    let signal = |r: gochat_infra::port::mq::InRecord| {
        DownstreamMessage::decode(r.record.value).unwrap().signal
    };
    let told = records.filter_map(signal);
    told.map(|s| (s.signal_type, s.target_user_ids, s.broadcast))
        .collect()
}

#[tokio::test]
async fn a_recall_in_a_group_of_several_pages_is_written_to_the_gateways_that_hold_members() {
    let mut world = World::quiet().await;
    world.config.events.members_page = 2;
    world.start().await;
    let members = world.people(["ada", "bob", "cleo", "dan", "eve"]).await;
    let group = world.conversation(Group, &members).await;
    for (member, gateway) in members.iter().zip(["g1", "g2", "g1", "g2"]) {
        world.online(member, gateway).await;
    }
    let payload = json!({ "message_id": 42, "seq_id": 7, "reason": "" });
    let event = message_event("message.recalled", &group, &members[0], payload);
    world.produce(MESSAGE_EVENTS, &group, &event).await;
    all_done(&world).await;
    for (gateway, mut expected) in [
        ("g1", vec![&members[0], &members[2]]),
        ("g2", vec![&members[1], &members[3]]),
    ] {
        let told = written(&world, gateway).await;
        assert!(
            told.iter()
                .all(|(kind, _, all)| kind == "message.recalled" && !all)
        );
        let mut users: Vec<_> = told.iter().flat_map(|(_, users, _)| users).collect();
        users.sort();
        expected.sort();
        assert_eq!(users, expected);
        assert!(world.signals(gateway).is_empty(), "nobody is called");
    }
}

#[tokio::test]
async fn a_recall_in_the_world_is_written_once_to_every_gateway_that_lives() {
    let world = World::new().await;
    let [a, b] = world.people(["ada", "bob"]).await;
    world.online(&b, "g2").await;
    let payload = json!({ "message_id": 42, "seq_id": 7, "reason": "" });
    let event = message_event("message.recalled", "world", &a, payload);
    world.produce(MESSAGE_EVENTS, "world", &event).await;
    all_done(&world).await;
    let told = written(&world, "g2").await;
    assert_eq!(told, [("message.recalled".to_owned(), vec![], true)]);
    assert!(written(&world, "g1").await.is_empty());
}

#[tokio::test]
async fn who_was_away_when_their_gateway_stopped_is_offline_half_a_minute_later_unless_they_came_back()
 {
    let mut world = World::quiet().await;
    let [a, gone, back] = world.people(["ada", "bob", "cleo"]).await;
    for friend in [&gone, &back] {
        world.befriend(&a, friend).await;
    }
    world.online(&a, "g1").await;
    world.online(&back, "g2").await;
    world.start().await;
    for user in [&gone, &back] {
        let event = UserEvent {
            event_id: format!("away-{user}"),
            event_type: "user.away".into(),
            timestamp: 1_700_000_000,
            user_id: user.clone(),
            payload: json!({ "gateway_id": "g3", "delay_ms": 30_000 }).to_string(),
        };
        world.produce(USER_EVENTS, user, &event).await;
    }
    let told = world.signalled("g1", 1).await;
    assert_eq!(told[0].0, Signal::FriendStatusChanged);
    assert_eq!(data(&told[0].2)["userId"], json!(gone));
    assert_eq!(data(&told[0].2)["status"], json!("offline"));
    all_done(&world).await;
    assert_eq!(world.signals("g1").len(), 1);
}

#[tokio::test]
async fn members_see_who_joined_and_who_is_gone_and_so_does_the_one_who_is_gone() {
    let world = World::new().await;
    let [a, b, gone] = world.people(["ada", "bob", "cleo"]).await;
    let group = world.conversation(Group, &[a.clone(), b.clone()]).await;
    for user in [&a, &b, &gone] {
        world.online(user, "g1").await;
    }
    let joined =
        json!({ "group_id": group, "user_ids": [b], "operator_id": a, "group_name": "Tea" });
    world
        .produce(
            NOTIFICATIONS,
            &group,
            &notification("group.member.joined", &group, &a, "", joined),
        )
        .await;
    let told = world.signalled("g1", 1).await;
    assert_eq!(
        (kind_of(&told[0].2).as_str(), &told[0].1),
        ("member-added", &sorted(vec![a.clone(), b.clone()]))
    );
    let added = data(&told[0].2);
    assert_eq!(added["members"][0]["userId"], b);
    assert_eq!(added["members"][0]["user"]["username"], "bob");
    assert_eq!(
        (&added["userIds"], &added["added"]),
        (&json!([b]), &json!(1))
    );
    assert_eq!(
        (&added["memberCount"], &added["operatorId"]),
        (&json!(2), &json!(a))
    );

    let removed =
        json!({ "group_id": group, "user_id": gone, "operator_id": a, "reason": "removed" });
    world
        .produce(
            NOTIFICATIONS,
            &group,
            &notification("group.member.removed", &group, &a, "", removed),
        )
        .await;
    let told = world.signalled("g1", 3).await;
    assert!(told[1..].iter().all(|t| kind_of(&t.2) == "member-removed"));
    let mut hearers: Vec<String> = told[1..].iter().flat_map(|t| t.1.clone()).collect();
    hearers.sort();
    assert_eq!(hearers, sorted(vec![a, b, gone.clone()]));
    assert_eq!(data(&told[1].2)["userId"], gone);
}

#[tokio::test]
async fn a_new_conversation_and_new_values_reach_its_members() {
    let world = World::new().await;
    let [a, b] = world.people(["ada", "bob"]).await;
    let group = world.conversation(Group, &[a.clone(), b.clone()]).await;
    world.online(&b, "g1").await;
    let event = |kind: &str, payload: Value| ConversationEvent {
        event_id: kind.into(),
        event_type: kind.into(),
        timestamp: NOW,
        conversation_id: group.clone(),
        operator_id: a.clone(),
        payload: payload.to_string(),
    };
    world
        .produce(
            CONVERSATION_EVENTS,
            &group,
            &event("conversation.created", json!({})),
        )
        .await;
    let fields = json!({ "updated_fields": ["name"], "new_values": { "name": "Tea" } });
    world
        .produce(
            CONVERSATION_EVENTS,
            &group,
            &event("conversation.info.updated", fields),
        )
        .await;
    let role = json!({ "user_id": b, "old_role": 1, "new_role": 2 });
    world
        .produce(
            CONVERSATION_EVENTS,
            &group,
            &event("conversation.member.role.updated", role),
        )
        .await;
    let added = json!({ "added_user_ids": [b], "added_by": a });
    world
        .produce(
            CONVERSATION_EVENTS,
            &group,
            &event("conversation.member.added", added),
        )
        .await;
    all_done(&world).await;
    let told = world.signals("g1");
    assert_eq!(told.len(), 3, "additions are told from notifications");
    assert!(
        told.iter()
            .all(|t| kind_of(&t.2) == "conversation-updated" && t.1 == [b.clone()])
    );
    let created = data(&told[0].2);
    assert_eq!(
        (
            &created["conversation"]["name"],
            &created["conversation"]["type"]
        ),
        (&json!("Tea"), &json!(2))
    );
    let renamed = data(&told[1].2);
    assert_eq!(renamed["updatedFields"], json!(["name"]));
    assert_eq!(
        renamed["conversation"].get("ownerId"),
        None,
        "only what changed"
    );
    let role = data(&told[2].2);
    assert_eq!(
        (&role["change"], &role["members"][0]["role"]),
        (&json!("role"), &json!(2))
    );
}

#[tokio::test]
async fn an_invited_user_sees_the_conversation() {
    let world = World::new().await;
    let [a, b] = world.people(["ada", "bob"]).await;
    let group = world.conversation(Group, &[a.clone(), b.clone()]).await;
    world.online(&b, "g1").await;
    let payload = json!({ "conversation_id": group, "conversation_name": "Tea", "inviter_id": a });
    world
        .produce(
            NOTIFICATIONS,
            &group,
            &notification("conversation.invited", &group, &a, &b, payload),
        )
        .await;
    let told = world.signalled("g1", 1).await;
    assert_eq!(
        (told[0].0, &told[0].1),
        (Signal::ConversationUpdated, &vec![b])
    );
    assert_eq!(data(&told[0].2)["updatedFields"], json!(["created"]));
}

#[tokio::test]
async fn a_friend_request_reaches_the_one_who_was_asked_and_a_friendship_both() {
    let world = World::new().await;
    let [a, b] = world.people(["ada", "bob"]).await;
    world.online(&a, "g1").await;
    world.online(&b, "g2").await;
    let event = |kind: &str, payload: Value| FriendEvent {
        event_id: kind.into(),
        event_type: kind.into(),
        timestamp: NOW,
        user_id: a.clone(),
        friend_id: b.clone(),
        payload: payload.to_string(),
    };
    let asked = json!({ "request_id": "9", "message": "hi" });
    world
        .produce(FRIEND_EVENTS, &a, &event("friend.request.sent", asked))
        .await;
    let told = world.signalled("g2", 1).await;
    assert_eq!(
        (told[0].0, &told[0].1),
        (Signal::FriendRequestReceived, &vec![b.clone()])
    );
    let request = data(&told[0].2);
    assert_eq!(
        (&request["requester"]["username"], &request["message"]),
        (&json!("ada"), &json!("hi"))
    );
    world
        .produce(
            FRIEND_EVENTS,
            &a,
            &event("friend.added", json!({ "conversation_id": "s_1_2" })),
        )
        .await;
    let told = world.signalled("g2", 2).await;
    assert_eq!(
        (told[1].0, &data(&told[1].2)["friendId"]),
        (Signal::FriendAdded, &json!(a))
    );
    let told = world.signalled("g1", 1).await;
    assert_eq!(data(&told[0].2)["friend"]["username"], "bob");
    assert_eq!(data(&told[0].2)["conversationId"], "s_1_2");
}

#[tokio::test]
async fn presence_that_is_away_delays_signals_and_an_unreachable_gateway_holds_nobody_up() {
    let mut world = World::quiet().await;
    let [a, b, c] = world.people(["ada", "bob", "cleo"]).await;
    world.befriend(&a, &b).await;
    world.befriend(&a, &c).await;
    world.online(&b, "g1").await;
    world.online(&c, "g2").await;
    world.gateways.down.lock().push("g1");
    world.cut.off("GetUsersOnlineStatus");
    world.start().await;
    world
        .produce(
            USER_EVENTS,
            &a,
            &user_event("1", "user.online", &a, json!({})),
        )
        .await;
    world.ready(false).await;
    assert!(world.signals("g2").is_empty());
    world.cut.heal();
    assert_eq!(world.signalled("g2", 1).await[0].1, [c]);
    all_done(&world).await;
    assert!(world.signals("g1").is_empty());
}

#[tokio::test]
async fn events_that_make_no_sense_go_to_the_dead_letters_and_unknown_ones_are_left_alone() {
    let world = World::new().await;
    let [a] = world.people(["ada"]).await;
    world.raw(USER_EVENTS, &a, vec![0xff; 4]).await;
    world
        .produce(
            USER_EVENTS,
            &a,
            &user_event("", "user.online", &a, json!({})),
        )
        .await;
    world
        .produce(
            USER_EVENTS,
            &a,
            &user_event("3", "user.profile.updated", &a, json!({})),
        )
        .await;
    world
        .produce(
            MESSAGE_EVENTS,
            "s_1_2",
            &message_event("message.read", "s_1_2", &a, json!([])),
        )
        .await;
    all_done(&world).await;
    assert_eq!(
        world.records(&dead_letters(TASK_EVENTS_GROUP)).await.len(),
        3
    );
}

#[tokio::test]
async fn who_wrote_and_is_gone_hears_no_receipt() {
    let mut world = World::quiet().await;
    let [a, b, c] = world.people(["ada", "bob", "cleo"]).await;
    let members = [a.clone(), b.clone(), c.clone()];
    let group = world.conversation(Group, &members).await;
    for member in &members {
        world.online(member, "g1").await;
    }
    world.start().await;
    for (seq, author) in [(1, &a), (2, &b)] {
        world
            .produce(PERSIST, &group, &message(&group, author, seq))
            .await;
    }
    world.done(TASK_PERSIST_GROUP, &[PERSIST]).await;
    world.remove(&group, &b).await;
    let payload = json!({ "seq_id": 2, "previous_seq_id": 0 });
    let read = message_event("message.read", &group, &c, payload);
    world.produce(MESSAGE_EVENTS, &group, &read).await;
    all_done(&world).await;
    assert_eq!(world.signals("g1")[0].1, sorted(vec![a, c]));
}
