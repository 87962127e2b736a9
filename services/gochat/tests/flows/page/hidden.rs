//! Messages deleted for oneself, and a chat that is cleared: gone in one's own windows alone.

use super::{Room, quoted, sign_in};

#[tokio::test]
async fn what_is_deleted_for_me_goes_in_my_windows_alone() {
    let Some(room) = Room::open().await else {
        return;
    };
    let (annas, bens) = (&room.annas, &room.bens);
    let message = bens.says("a slip").await;
    annas.message("a slip").await;
    bens.says("the rest").await;
    annas.message("the rest").await;
    annas.acts(&message, "hide").await;
    let is_gone = format!("!document.querySelector({})", quoted(&message));
    annas.until(&is_gone).await;
    bens.message("a slip").await;
    // Later changes bring nothing back.
    bens.acts(&message, "edit").await;
    bens.fills(".editor textarea", "the slip").await;
    bens.press("Enter").await;
    bens.message("the slip").await;
    bens.says("a third").await;
    annas.message("a third").await;
    assert_eq!(annas.eval(&is_gone).await, true);
    // Nor does signing in anew.
    let again = sign_in(&room.browser, &room.server, &room.anna, &room.group).await;
    again.message("the rest").await;
    assert_eq!(again.eval(&is_gone).await, true);
    // The newest one on the list says so.
    let newest = annas.message("a third").await;
    again.message("a third").await;
    annas.acts(&newest, "hide").await;
    for window in [annas, &again] {
        window
            .reads(
                "#list [aria-current=page] .preview",
                "You deleted this message",
            )
            .await;
    }
    room.close();
}

#[tokio::test]
async fn a_cleared_chat_is_empty_for_who_cleared_it() {
    let Some(room) = Room::open().await else {
        return;
    };
    let (annas, bens) = (&room.annas, &room.bens);
    for text in ["one", "two", "three"] {
        bens.says(text).await;
    }
    annas.message("three").await;
    annas.click("#clear").await;
    annas.reads("#dialog", "The others keep theirs").await;
    annas.press("Escape").await;
    annas.message("three").await;
    annas.click("#clear").await;
    annas.click("#dialog .primary").await;
    annas.reads("#log", "No messages yet").await;
    annas
        .until("!document.querySelector('article[data-id]') && !document.getElementById('dialog').open")
        .await;
    bens.message("one").await;
    bens.says("afterwards").await;
    annas.message("afterwards").await;
    let shown = annas
        .eval("document.querySelectorAll('article[data-id]').length")
        .await;
    assert_eq!(shown, 1);
    room.close();
}
