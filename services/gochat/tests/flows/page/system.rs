//! What happens to a group, in words.

use serde_json::json;

use super::Room;
use super::browser::{Window, quoted};

impl Window {
    /// Waits for a line of the timeline that says this.
    async fn tells(&self, sentence: &str) {
        let find = format!(
            "[...document.querySelectorAll('#log .system')].some(n => n.textContent === {})",
            quoted(sentence)
        );
        self.until(&find).await;
    }
}

#[tokio::test]
async fn what_happens_to_a_group_is_told_in_words() {
    let Some(room) = Room::open().await else {
        return;
    };
    let (anna, ben, at) = (
        &room.anna,
        &room.ben,
        format!("/conversations/{}", room.group),
    );
    let settings = json!({"group_settings": {"system_messages": true}});
    anna.put(&at, json!({"settings": settings})).await.data();
    room.annas.tells("You changed the settings").await;
    room.bens
        .tells(&format!("{} changed the settings", anna.name))
        .await;
    let name = "<b>Tea</b>";
    anna.put(&at, json!({"name": name})).await.data();
    room.bens
        .tells(&format!("{} named the group “{name}”", anna.name))
        .await;
    let carl = room.server.user().await;
    anna.post(&format!("{at}/members"), json!({"members": [carl.id]}))
        .await
        .data();
    anna.put(&format!("{at}/members/{}", ben.id), json!({"role": 2}))
        .await
        .data();
    room.annas
        .tells(&format!("You made {} an admin", ben.name))
        .await;
    room.bens
        .tells(&format!("{} made you an admin", anna.name))
        .await;
    // Messages of people go on below, with their author's name.
    let sent = room.annas.says("welcome").await;
    room.bens.reads(&format!("{sent} .who"), &anna.name).await;
    room.close();
}
