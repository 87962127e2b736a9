//! History around a number.

use serde_json::{Value, json};

use crate::kit::{Server, User, eventually, list, now, seqs};

async fn chat_of(a: &User, b: &User, count: usize) -> String {
    let chat = a.chat_with(b).await;
    for i in 0..count {
        a.say(&chat, &format!("m{i}")).await.data();
    }
    chat
}

async fn page(user: &User, conversation: &str, query: &str) -> Value {
    let path = format!("/conversations/{conversation}/messages?{query}");
    user.get(&path).await.data_with(200)
}

fn numbers(page: &Value) -> Vec<i64> {
    seqs(list(&page["messages"]))
}

#[tokio::test]
async fn a_page_around_a_number_leads_on_in_both_directions() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = chat_of(&a, &b, 12).await;
    b.history_of(&chat, 12).await;
    let middle = page(&b, &chat, "around_seq=6&limit=5").await;
    assert_eq!(numbers(&middle), [4, 5, 6, 7, 8]);
    assert_eq!(
        (&middle["hasMore"], &middle["headSeqId"]),
        (&json!(true), &json!(12))
    );
    let newer = page(
        &b,
        &chat,
        &format!("after_seq={}&limit=3", middle["nextCursor"]),
    )
    .await;
    assert_eq!(numbers(&newer), [9, 10, 11]);
    let older = page(
        &b,
        &chat,
        &format!("cursor={}&limit=10", middle["prevCursor"]),
    )
    .await;
    assert_eq!(numbers(&older), [3, 2, 1]);
    assert!(
        older["prevCursor"].is_null(),
        "of pages around a number only"
    );
}

#[tokio::test]
async fn an_end_is_filled_from_the_other_side() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = chat_of(&a, &b, 6).await;
    b.history_of(&chat, 6).await;
    let first = page(&b, &chat, "around_seq=1&limit=4").await;
    assert_eq!(numbers(&first), [1, 2, 3, 4]);
    assert_eq!(
        (&first["prevCursor"], &first["hasMore"]),
        (&json!(0), &json!(true))
    );
    for seq in [6, 99] {
        let last = page(&b, &chat, &format!("around_seq={seq}&limit=4")).await;
        assert_eq!(numbers(&last), [3, 4, 5, 6]);
        assert_eq!(
            (&last["prevCursor"], &last["hasMore"]),
            (&json!(3), &json!(false))
        );
        assert_eq!(last["nextCursor"], 6, "where a client that syncs goes on");
    }
    let whole = page(&b, &chat, "around_seq=3").await;
    assert_eq!(numbers(&whole), [1, 2, 3, 4, 5, 6]);
    assert_eq!(
        (&whole["prevCursor"], &whole["hasMore"]),
        (&json!(0), &json!(false))
    );
}

#[tokio::test]
async fn who_was_told_of_a_number_finds_it_in_the_middle_at_once() {
    let Some(server) = Server::with(&["task.persist.linger_ms=150"]).await else {
        return;
    };
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    for seq in 1..=4 {
        a.say(&chat, "mine").await.data();
        let found = page(&a, &chat, &format!("around_seq={seq}&limit=3")).await;
        assert_eq!(numbers(&found).last(), Some(&seq), "{found}");
        assert!(found["behind"].is_null());
    }
    let known = page(&b, &chat, "around_seq=4&at_least=4").await;
    assert_eq!(numbers(&known), [1, 2, 3, 4]);
}

#[tokio::test]
async fn what_was_said_before_joining_stays_hidden() {
    let server = Server::shared().await;
    let [owner, late] = server.users().await;
    let group = owner.group("private past", &[]).await;
    let hide = json!({"settings": {"group_settings": {"allow_member_view_history": false}}});
    let path = format!("/conversations/{group}");
    owner.put(&path, hide).await.data();
    for i in 0..4 {
        owner.say(&group, &format!("before {i}")).await.data();
    }
    let before = now();
    eventually("another second", || async {
        (now() > before).then_some(())
    })
    .await;
    let add = json!({"members": [late.id]});
    owner.post(&format!("{path}/members"), add).await.data();
    for i in 0..3 {
        owner.say(&group, &format!("after {i}")).await.data();
    }
    owner.history_of(&group, 7).await;
    for seq in [1, 5, 7] {
        let seen = page(
            &late,
            &group,
            &format!("around_seq={seq}&limit=4&at_least=7"),
        )
        .await;
        assert_eq!(numbers(&seen), [5, 6, 7], "around {seq}: {seen}");
        assert_eq!(seen["prevCursor"], 0);
    }
    let all = page(&owner, &group, "around_seq=4&limit=4").await;
    assert_eq!(numbers(&all), [3, 4, 5, 6]);
}

#[tokio::test]
async fn a_page_has_one_start() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = chat_of(&a, &b, 1).await;
    for wrong in [
        "around_seq=1&cursor=2",
        "around_seq=1&after_seq=0",
        "around_seq=0",
        "around_seq=-3",
        "around_seq=x",
    ] {
        a.get(&format!("/conversations/{chat}/messages?{wrong}"))
            .await
            .refused(400, "INVALID_PARAMS");
    }
    let stranger = server.user().await;
    stranger
        .get(&format!("/conversations/{chat}/messages?around_seq=1"))
        .await
        .refused(403, "NOT_CONVERSATION_MEMBER");
}
