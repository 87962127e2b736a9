//! Reactions and pins: who is told what, with which counts, and what history says.

use serde_json::{Value, json};

use crate::kit::{Server, Socket, User, list, text};

const THUMB: &str = "%F0%9F%91%8D";
const PARTY: &str = "%F0%9F%8E%89";

async fn react(user: &User, chat: &str, message: &Value, emoji: &str) -> crate::kit::Reply {
    let id = text(&message["id"]);
    let path = format!("/conversations/{chat}/messages/{id}/reactions/{emoji}");
    user.put(&path, json!({})).await
}

async fn take_back(user: &User, chat: &str, message: &Value, emoji: &str) -> crate::kit::Reply {
    let id = text(&message["id"]);
    let path = format!("/conversations/{chat}/messages/{id}/reactions/{emoji}");
    user.delete(&path).await
}

async fn told(socket: &mut Socket, rev: i64) -> Value {
    let is_it = |d: &Value| d["rev"] == rev;
    socket.expect_where("message-changed", is_it).await
}

fn reaction(emoji: &str, count: u32, mine: bool) -> Value {
    json!({"emoji": emoji, "count": count, "mine": mine})
}

#[tokio::test]
async fn a_reaction_is_counted_told_and_shown_with_whose_it_is() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let sent = a.say(&chat, "hi").await.data();
    let (mut own, mut other, mut peer) = (b.connect().await, b.connect().await, a.connect().await);
    let wish = json!({"conversationId": chat, "messageId": sent["id"], "emoji": "👍", "client_msg_id": "r1"});
    own.send("react", wish.clone()).await;
    let ack = own.expect("change-ack").await;
    assert_eq!((&ack["rev"], &ack["seqId"]), (&json!(2), &json!(1)));
    for socket in [&mut other, &mut peer] {
        let told = told(socket, 2).await;
        assert_eq!(
            (&told["kind"], &told["emoji"]),
            (&json!("reaction"), &json!("👍"))
        );
        assert_eq!(told["operatorId"], json!(b.id));
        let counts = &told["message"]["reactions"];
        assert_eq!(*counts, json!([{"emoji": "👍", "count": 1}]));
        assert!(
            told["message"]["content"].is_null(),
            "the text stays as it was"
        );
    }
    let shown = react(&a, &chat, &sent, THUMB).await.data_with(200);
    assert_eq!(
        (&shown["rev"], &shown["reactions"]),
        (&json!(3), &json!([reaction("👍", 2, true)]))
    );
    react(&a, &chat, &sent, PARTY).await.data_with(200);
    for (user, party) in [(&a, true), (&b, false)] {
        let seen = &user.history(&chat).await[0];
        let expected = json!([reaction("👍", 2, true), reaction("🎉", 1, party)]);
        assert_eq!(seen["reactions"], expected);
        assert_eq!((&seen["content"], &seen["rev"]), (&json!("hi"), &json!(4)));
        assert_eq!(user.unread(&chat).await, i64::from(user.id == b.id));
    }
    // The same once more, under the same id and under another: nothing is counted twice.
    own.send("react", wish).await;
    assert_eq!(own.expect("change-ack").await["rev"], 2);
    let again = react(&b, &chat, &sent, THUMB).await.data_with(200);
    assert_eq!(again["reactions"][0], reaction("👍", 2, true));
    let left = take_back(&b, &chat, &sent, THUMB).await.data_with(200);
    assert_eq!(left["reactions"][0], reaction("👍", 1, false));
    let left = take_back(&b, &chat, &sent, THUMB).await.data_with(200);
    assert_eq!(
        left["reactions"][0],
        reaction("👍", 1, false),
        "is gone already"
    );
}

#[tokio::test]
async fn who_reacted_is_listed_in_pages_and_a_recall_erases_it() {
    let server = Server::shared().await;
    let [a, b, c] = server.users().await;
    let group = a.group("reactions", &[&b, &c]).await;
    let sent = a.say(&group, "news").await.data();
    for (user, emoji) in [(&a, THUMB), (&b, THUMB), (&c, PARTY), (&c, THUMB)] {
        react(user, &group, &sent, emoji).await.data_with(200);
    }
    let path = format!(
        "/conversations/{group}/messages/{}/reactions",
        text(&sent["id"])
    );
    let first = b.get(&format!("{path}?limit=3")).await.data_with(200);
    let who = |page: &Value| -> Vec<(String, String)> {
        let entry = |r: &Value| (text(&r["userId"]), text(&r["emoji"]));
        list(&page["reactions"]).iter().map(entry).collect()
    };
    let expected =
        [(&a, "👍"), (&b, "👍"), (&c, "🎉")].map(|(u, e)| (u.id.to_string(), e.to_owned()));
    assert_eq!(
        (who(&first), &first["hasMore"]),
        (expected.to_vec(), &json!(true))
    );
    assert_eq!(list(&first["reactions"])[1]["user"]["id"], json!(b.id));
    let next = text(&first["nextCursor"]);
    let rest = b.get(&format!("{path}?cursor={next}")).await.data_with(200);
    assert_eq!((who(&rest).len(), &rest["hasMore"]), (1, &json!(false)));
    let party = b.get(&format!("{path}?emoji={PARTY}")).await.data_with(200);
    assert_eq!(who(&party), [(c.id.to_string(), "🎉".to_owned())]);
    a.delete(&format!(
        "/conversations/{group}/messages/{}",
        text(&sent["id"])
    ))
    .await
    .data_with(200);
    let gone = b.get(&path).await.data_with(200);
    assert_eq!(who(&gone), []);
    let seen = &b.history(&group).await[0];
    assert!(seen["reactions"].is_null() && seen["deleted"] == true);
    let late = react(&b, &group, &sent, THUMB).await;
    late.refused(409, "MESSAGE_RECALLED");
}

#[tokio::test]
async fn what_is_no_reaction_is_refused() {
    let server = Server::shared().await;
    let [a, b, c] = server.users().await;
    let group = a.group("refusals", &[&b]).await;
    let sent = a.say(&group, "news").await.data();
    for bad in [
        "hello%20there",
        "A",
        "%F0%9F%91%8D%F0%9F%91%8D",
        "parrot",
        "%00",
    ] {
        let refused = react(&b, &group, &sent, bad).await;
        refused.refused(400, "REACTION_NOT_ALLOWED");
    }
    react(&c, &group, &sent, THUMB)
        .await
        .refused(403, "NOT_CONVERSATION_MEMBER");
    let nowhere = react(&b, &group, &json!({"id": "5"}), THUMB).await;
    nowhere.refused(404, "MESSAGE_NOT_FOUND");
    for emoji in [THUMB, PARTY, "%F0%9F%98%80"] {
        react(&b, &group, &sent, emoji).await.data_with(200);
    }
    let fourth = react(&b, &group, &sent, "%F0%9F%94%A5").await;
    fourth.refused(409, "TOO_MANY_REACTIONS");
    // A group says with what is reacted, names of its own pictures among it.
    let settings = json!({"settings": {"group_settings": {"reactions": ["parrot", "👍"]}}});
    a.put(&format!("/conversations/{group}"), settings)
        .await
        .data_with(200);
    take_back(&b, &group, &sent, PARTY).await.data_with(200);
    react(&b, &group, &sent, "parrot").await.data_with(200);
    react(&a, &group, &sent, PARTY)
        .await
        .refused(400, "REACTION_NOT_ALLOWED");
}

#[tokio::test]
async fn a_flood_of_reactions_is_told_in_few_frames_with_exact_counts() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let sent = a.say(&chat, "vote").await.data();
    let (mut own, mut peer) = (b.connect().await, a.connect().await);
    for n in 0..100 {
        let wish = json!({
            "conversationId": chat, "messageId": sent["id"], "emoji": "👍", "remove": n % 2 == 1,
            "client_msg_id": format!("f{n}"),
        });
        own.send("react", wish).await;
    }
    own.expect_where("change-ack", |d| d["client_msg_id"] == "f99")
        .await;
    let mut frames = Vec::new();
    let mut revs = Vec::new();
    while revs.len() < 100 {
        let told = peer.expect("message-changed").await;
        match told["revs"].as_array() {
            None => revs.push(told["rev"].as_i64().unwrap()),
            Some(several) => revs.extend(several.iter().map(|rev| rev.as_i64().unwrap())),
        }
        frames.push(told);
    }
    assert_eq!(
        revs,
        (2..102).collect::<Vec<_>>(),
        "every number once, in order"
    );
    assert!(frames.len() < 50, "{} frames", frames.len());
    for frame in &frames {
        // Odd numbers took it back.
        let there = frame["rev"].as_i64().unwrap() % 2 == 0;
        let expected = if there {
            json!([{"emoji": "👍", "count": 1}])
        } else {
            json!([])
        };
        assert_eq!(frame["message"]["reactions"], expected, "{frame}");
    }
    // What comes after is told after.
    b.say(&chat, "done").await.data();
    peer.hears("done").await;
}

#[tokio::test]
async fn pins_are_listed_newest_first_and_counted() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let mut peer = a.connect().await;
    let mut sent = Vec::new();
    for n in 0..3 {
        sent.push(a.say(&chat, &format!("m{n}")).await.data());
    }
    let pins = format!("/conversations/{chat}/pins");
    let of = |n: usize| format!("{pins}/{}", text(&sent[n]["id"]));
    for n in [0, 2, 1] {
        a.put(&of(n), json!({})).await.data_with(200);
    }
    let first = told(&mut peer, 4).await;
    assert_eq!(
        (&first["kind"], &first["message"]["pinned"]),
        (&json!("pinned"), &json!(true))
    );
    let listed = async |user: &User| -> Vec<String> {
        let page = user.get(&pins).await.data_with(200);
        list(&page["pins"])
            .iter()
            .map(|m| text(&m["content"]))
            .collect()
    };
    assert_eq!(listed(&b).await, ["m1", "m2", "m0"]);
    // Both sides of a single chat pin; again puts it on top.
    b.put(&of(0), json!({})).await.data_with(200);
    assert_eq!(listed(&a).await, ["m0", "m1", "m2"]);
    assert_eq!(b.listed(&chat).await.unwrap()["pinnedCount"], 3);
    let off = b.delete(&of(1)).await.data_with(200);
    assert_eq!((&off["seqId"], &off["rev"]), (&json!(2), &json!(8)));
    assert_eq!(told(&mut peer, 8).await["kind"], "unpinned");
    b.delete(&of(1)).await.data_with(200);
    a.delete(&format!(
        "/conversations/{chat}/messages/{}",
        text(&sent[2]["id"])
    ))
    .await
    .data_with(200);
    assert_eq!(listed(&a).await, ["m0"], "a recall takes the pin off");
    assert_eq!(a.listed(&chat).await.unwrap()["pinnedCount"], 1);
    let pinned: Vec<bool> = a
        .history(&chat)
        .await
        .iter()
        .map(|m| m["pinned"] == true)
        .collect();
    assert_eq!(pinned, [true, false, false], "oldest first");
    let recalled = a.put(&of(2), json!({})).await;
    recalled.refused(409, "MESSAGE_RECALLED");
}

#[tokio::test]
async fn in_a_group_admins_pin_unless_it_says_that_all_may() {
    let server = Server::shared().await;
    let [a, b, c] = server.users().await;
    let group = a.group("pins", &[&b]).await;
    let sent = b.say(&group, "rules").await.data();
    let path = format!("/conversations/{group}/pins/{}", text(&sent["id"]));
    b.put(&path, json!({}))
        .await
        .refused(403, "INSUFFICIENT_PERMISSION");
    a.put(&path, json!({})).await.data_with(200);
    b.delete(&path)
        .await
        .refused(403, "INSUFFICIENT_PERMISSION");
    let settings = json!({"settings": {"group_settings": {"members_pin": true}}});
    a.put(&format!("/conversations/{group}"), settings)
        .await
        .data_with(200);
    b.delete(&path).await.data_with(200);
    let pins = format!("/conversations/{group}/pins");
    assert_eq!(b.get(&pins).await.data_with(200)["pins"], json!([]));
    c.get(&pins).await.refused(403, "NOT_CONVERSATION_MEMBER");
}
