//! Members change through one im-logic while another one owns the conversation.

use serde_json::json;

use crate::kit::{Socket, User};
use crate::rig::Cluster;

/// Enough for conversations of both owners.
const GROUPS: usize = 12;

/// Nothing that is sequenced after an answered removal reaches the removed one, nor is anything accepted from them.
async fn remove_and_prove(owner: &mut Socket, [a, c]: [&User; 2], out: &mut Socket, group: &str) {
    a.delete(&format!("/conversations/{group}/members/{}", c.id))
        .await
        .data();
    let after = format!("after-{group}");
    let own = format!("own-{group}");
    let code = out.say_refused(group, &own, &own).await;
    assert_eq!(code, "NOT_CONVERSATION_MEMBER");
    c.say(group, &own)
        .await
        .refused(403, "NOT_CONVERSATION_MEMBER");
    owner.say_acked(group, &after, &after).await;
    out.flush().await;
}

#[tokio::test]
async fn after_an_answered_removal_nothing_reaches_the_removed_whoever_owns_the_conversation() {
    let cluster = Cluster::new().await;
    let (a, b, c) = (
        cluster.user("gateway-1").await,
        cluster.user("gateway-1").await,
        cluster.user("gateway-2").await,
    );
    let mut owner = a.connect().await;
    let mut out = c.connect().await;
    let mut groups = Vec::new();
    for i in 0..GROUPS {
        let group = a.group(&format!("g{i}"), &[&b, &c]).await;
        // The owner of the conversation has the facts in memory.
        owner.say_acked(&group, "before", &group).await;
        groups.push(group);
    }
    for group in &groups {
        // Calls go to both im-logic in turn.
        remove_and_prove(&mut owner, [&a, &c], &mut out, group).await;
    }
    let heard = out.drain("new-message").await;
    let late: Vec<_> = heard.iter().filter(|m| m["content"] != "before").collect();
    assert!(late.is_empty(), "{late:?}");
    assert_eq!(heard.len(), GROUPS, "what came before the removal came");
}

#[tokio::test]
async fn the_answer_waits_out_a_change_of_the_owner() {
    let mut cluster = Cluster::new().await;
    let (a, b, c) = (
        cluster.user("gateway-1").await,
        cluster.user("gateway-1").await,
        cluster.user("gateway-2").await,
    );
    let mut owner = a.connect().await;
    let mut out = c.connect().await;
    let mut groups = Vec::new();
    for i in 0..GROUPS {
        let group = a.group(&format!("g{i}"), &[&b, &c]).await;
        owner.say_acked(&group, "before", &group).await;
        groups.push(group);
    }
    for (i, group) in groups.iter().enumerate() {
        match i % 4 {
            1 => cluster.kill("logic-2").await,
            3 => cluster.start_logic("logic-2").await,
            _ => {}
        }
        remove_and_prove(&mut owner, [&a, &c], &mut out, group).await;
    }
    let heard = out.drain("new-message").await;
    assert!(heard.iter().all(|m| m["content"] == "before"), "{heard:?}");
}

#[tokio::test]
async fn who_was_added_through_another_instance_is_in_at_once() {
    let cluster = Cluster::new().await;
    let (a, b, c) = (
        cluster.user("gateway-1").await,
        cluster.user("gateway-1").await,
        cluster.user("gateway-2").await,
    );
    let mut owner = a.connect().await;
    let mut new = c.connect().await;
    for i in 0..GROUPS {
        let group = a.group(&format!("g{i}"), &[&b]).await;
        owner.say_acked(&group, "before", &group).await;
        new.say_refused(&group, "let me in", "early").await;
        let members = json!({"members": [c.id]});
        a.post(&format!("/conversations/{group}/members"), members)
            .await
            .data();
        let ack = new.say_acked(&group, "hello", "hello").await;
        assert_eq!(ack["seqId"], 2);
        owner.hears("hello").await;
        let text = format!("welcome-{i}");
        owner.say_acked(&group, &text, &text).await;
        new.hears(&text).await;
    }
}
