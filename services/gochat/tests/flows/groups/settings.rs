//! Settings that are stored are obeyed: each is switched, and the difference is seen.

use std::time::Duration;

use gochat_proto::im::logic::v1::JoinGroupRequest;
use gochat_proto::im::logic::v1::group_service_client::GroupServiceClient;
use gochat_proto::im::repo::v1::UpdateConversationRequest;
use gochat_proto::im::repo::v1::conversation_service_client::ConversationServiceClient;
use serde_json::json;

use crate::kit::{Server, User, now, set, texts};

/// Waits until the clock shows another second: joining is known to the second.
async fn next_second() {
    let began = now();
    while now() == began {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn read(user: &User, group: &str, query: &str) -> Vec<String> {
    let path = format!("/conversations/{group}/messages?{query}");
    let page = user.get(&path).await.data();
    texts(page["messages"].as_array().unwrap(), "content")
}

#[tokio::test]
async fn members_read_earlier_messages_only_where_they_may() {
    let server = Server::shared().await;
    let [owner, late] = server.users().await;
    let Some(logic) = server.logic() else { return };
    let group = owner.group("history", &[]).await;
    for n in 1..=5 {
        owner.say(&group, &format!("early {n}")).await.data();
    }
    owner.history_of(&group, 5).await;
    next_second().await;
    let add = json!({"members": [late.id]});
    owner
        .post(&format!("/conversations/{group}/members"), add)
        .await
        .data();
    assert_eq!(
        read(&late, &group, "after_seq=0").await.len(),
        5,
        "open by default"
    );

    let hide = r#"{"group_settings":{"allow_member_view_history":false}}"#;
    set(logic.clone(), &owner, &group, hide).await;
    for query in ["", "after_seq=0", "after_seq=0&limit=2", "cursor=4"] {
        assert!(read(&late, &group, query).await.is_empty(), "{query}");
    }
    let detail = late.get(&format!("/conversations/{group}")).await.data();
    assert!(detail["lastMessage"].is_null(), "{detail}");
    owner.say(&group, "for all").await.data();
    owner.history_of(&group, 6).await;
    for query in ["", "after_seq=0", "after_seq=0&limit=2"] {
        assert_eq!(read(&late, &group, query).await, ["for all"], "{query}");
    }
    assert_eq!(
        read(&owner, &group, "after_seq=0").await.len(),
        6,
        "the owner reads all"
    );

    let show = r#"{"group_settings":{"allow_member_view_history":true}}"#;
    set(logic, &owner, &group, show).await;
    assert_eq!(read(&late, &group, "after_seq=0").await.len(), 6);
}

#[tokio::test]
async fn a_single_chat_may_forbid_or_shorten_recalls() {
    let server = Server::shared().await;
    let a = server.user().await;
    let Some(repo) = server.repo() else { return };
    // Nobody announces what is written past im-logic: each is there before the first message.
    let chat_with = async |settings: &str| {
        let chat = a.chat_with(&server.user().await).await;
        let request = UpdateConversationRequest {
            conversation_id: chat.clone(),
            settings: settings.to_owned(),
            update_mask: vec!["settings".into()],
            ..Default::default()
        };
        let mut client = ConversationServiceClient::new(repo.clone());
        client.update_conversation(request).await.expect("stored");
        chat
    };
    let recall = async |settings: &str| {
        let chat = chat_with(settings).await;
        let sent = a.say(&chat, "oops").await.data();
        next_second().await;
        let id = sent["id"].as_str().unwrap().to_owned();
        a.delete(&format!("/conversations/{chat}/messages/{id}"))
            .await
    };
    let forbidden = recall(r#"{"single_settings":{"allow_recall":false}}"#).await;
    forbidden.refused(403, "FORBIDDEN");
    let too_late = recall(r#"{"single_settings":{"recall_time_limit":0}}"#).await;
    too_late.refused(400, "RECALL_TIME_EXCEEDED");
    recall(r#"{"single_settings":{}}"#).await.data();
}

#[tokio::test]
async fn strangers_join_a_group_only_where_no_approval_is_asked() {
    let server = Server::shared().await;
    let [owner, stranger] = server.users().await;
    let Some(logic) = server.logic() else { return };
    let group = owner.group("open", &[]).await;
    let join = async || {
        let request = JoinGroupRequest {
            user_id: stranger.id.clone(),
            group_id: group.clone(),
            ..Default::default()
        };
        GroupServiceClient::new(logic.clone())
            .join_group(request)
            .await
    };
    let closed = r#"{"group_settings":{"join_approval_required":true}}"#;
    set(logic.clone(), &owner, &group, closed).await;
    assert!(join().await.is_err());
    let open = r#"{"group_settings":{"join_approval_required":false}}"#;
    set(logic.clone(), &owner, &group, open).await;
    join().await.expect("anybody joins");
}

#[tokio::test]
async fn in_slow_mode_a_plain_member_waits_between_two_messages() {
    let [owner, b] = Server::shared().await.users().await;
    let group = owner.group("slow", &[&b]).await;
    let path = format!("/conversations/{group}");
    let slow = |seconds: u32| json!({"settings": {"group_settings": {"slow_mode": seconds}}});
    owner
        .put(&path, slow(3_601))
        .await
        .refused(400, "INVALID_PARAMS");
    owner.put(&path, slow(3_600)).await.data();
    let first = b.say_as(&group, "first", "c1").await.data();
    let refused = b.say_as(&group, "second", "c2").await;
    refused.refused(429, "SLOW_MODE");
    let wait: u32 = refused.header("retry-after").parse().expect("seconds");
    assert!((3_400..=3_600).contains(&wait), "{wait}");
    let again = b.say_as(&group, "first", "c1").await.data();
    assert_eq!(again["id"], first["id"], "a repeat costs nothing");
    for text in ["one", "two"] {
        owner.say(&group, text).await.data();
    }
    owner.put(&path, slow(0)).await.data();
    b.say_as(&group, "second", "c2").await.data();
}
