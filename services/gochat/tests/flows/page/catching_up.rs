//! What a page missed: while it was away, and where a push was lost.

use serde_json::json;

use super::{Room, quoted};
use crate::kit::text;

#[tokio::test]
async fn a_page_that_was_away_shows_messages_as_they_are_now() {
    let Some(room) = Room::open().await else {
        return;
    };
    let (group, bens) = (&room.group, &room.bens);
    let sent = [
        "to be edited",
        "to be taken back",
        "to be liked",
        "to be pinned",
    ];
    let mut ids = Vec::new();
    for content in sent {
        let message = room.anna.say(group, content).await.data_with(201);
        ids.push(text(&message["id"]));
        bens.message(content).await;
    }
    bens.eval("network.away = true; network.cut()").await;
    bens.reads("#state", "offline").await;
    let path = |rest: &str| format!("/conversations/{group}/{rest}");
    let edited = path(&format!("messages/{}", ids[0]));
    room.anna
        .put(&edited, json!({"content": "edited"}))
        .await
        .data_with(200);
    room.anna
        .delete(&path(&format!("messages/{}", ids[1])))
        .await
        .data_with(200);
    let reaction = path(&format!("messages/{}/reactions/%F0%9F%91%8D", ids[2]));
    room.anna.put(&reaction, json!({})).await.data_with(200);
    room.ben.put(&reaction, json!({})).await.data_with(200);
    room.anna
        .put(&path(&format!("pins/{}", ids[3])), json!({}))
        .await
        .data_with(200);
    room.anna.say(group, "and a new one").await.data_with(201);
    bens.eval("network.away = false").await;
    bens.message("and a new one").await;
    let of = |at: usize, rest: &str| format!("article[data-id='{}']{rest}", ids[at]);
    bens.reads(&of(0, " .text"), "edited").await;
    bens.sees(&of(0, " .edited")).await;
    bens.reads(&of(1, ".gone"), "taken back").await;
    bens.reads(&of(2, " .chip[aria-pressed=true]"), "2").await;
    bens.sees(&of(3, ".pinned")).await;
    bens.reads("#pins:not([hidden])", "1").await;
    // A handshake that was refused on purpose is all that may have failed.
    let complaints = bens.complaints();
    assert!(
        complaints.iter().all(|c| c.contains("/nowhere")),
        "{complaints:?}"
    );
}

#[tokio::test]
async fn a_push_that_was_lost_is_noticed_by_the_next_one() {
    let Some(room) = Room::open().await else {
        return;
    };
    let (annas, bens) = (&room.annas, &room.bens);
    let message = annas.says("before").await;
    bens.message("before").await;
    bens.eval("network.deaf = true").await;
    annas.acts(&message, "edit").await;
    annas.fills(".editor textarea", "after").await;
    annas.press("Enter").await;
    annas.reads(&format!("{message} .text"), "after").await;
    bens.until("network.missed > 0").await;
    let shown = format!(
        "document.querySelector({}).textContent",
        quoted(&format!("{message} .text"))
    );
    assert_eq!(bens.eval(&shown).await, "before");
    bens.eval("network.deaf = false").await;
    annas.says("next").await;
    bens.reads(&format!("{message} .text"), "after").await;
    room.close();
}

#[tokio::test]
async fn reads_that_fail_are_repeated() {
    let Some(room) = Room::open().await else {
        return;
    };
    let bens = &room.bens;
    // A conversation that is opened for the first time.
    let other = room.anna.group("Climbers", &[&room.ben]).await;
    room.anna.say(&other, "up there").await.data_with(201);
    let row = format!("#list [data-id={}]", quoted(&other));
    bens.reads(&row, "up there").await;
    bens.eval("network.failing = 3").await;
    bens.click(&row).await;
    bens.message("up there").await;
    // What a page was not pushed, read after a connect.
    bens.eval("network.deaf = true").await;
    room.anna.say(&other, "not heard").await.data_with(201);
    bens.until("network.missed > 0").await;
    bens.eval("network.failing = 2; network.cut()").await;
    bens.message("not heard").await;
    bens.until("!document.getElementById('state').textContent")
        .await;
    room.close();
}

#[tokio::test]
async fn a_connection_that_says_nothing_any_more_is_replaced() {
    let Some(room) = Room::open().await else {
        return;
    };
    let (annas, bens) = (&room.annas, &room.bens);
    bens.eval("network.deaf = true").await;
    annas.says("anybody there?").await;
    bens.until("network.missed > 0").await;
    // The device comes back to its network.
    bens.eval("network.before = network.sockets.length; window.dispatchEvent(new Event('online'))")
        .await;
    bens.until("network.sockets.length > network.before").await;
    bens.message("anybody there?").await;
    bens.eval("network.deaf = false").await;
    annas.says("now?").await;
    bens.message("now?").await;
    room.close();
}

#[tokio::test]
async fn a_page_asks_before_it_is_closed_with_messages_that_were_not_sent() {
    let Some(room) = Room::open().await else {
        return;
    };
    let (annas, bens) = (&room.annas, &room.bens);
    let asks = "(e => { window.dispatchEvent(e); return e.defaultPrevented; })(new Event('beforeunload', {cancelable: true}))";
    assert_eq!(bens.eval(asks).await, false);
    bens.eval("network.away = true; network.cut()").await;
    bens.reads("#state", "offline").await;
    bens.fills("#text", "on its way").await;
    bens.press("Enter").await;
    bens.reads("article.pending", "on its way").await;
    assert_eq!(bens.eval(asks).await, true);
    bens.eval("network.away = false").await;
    annas.message("on its way").await;
    bens.message("on its way").await;
    bens.until(&format!("!{asks}")).await;
}
