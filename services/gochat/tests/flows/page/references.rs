//! Replies, mentions and forwards.

use super::{Room, quoted};

#[tokio::test]
async fn a_quote_says_what_its_message_says_now_and_leads_to_it() {
    let Some(room) = Room::open().await else {
        return;
    };
    let (annas, bens) = (&room.annas, &room.bens);
    let message = annas.says("on Saturday?").await;
    bens.message("on Saturday?").await;
    bens.acts(&message, "reply").await;
    bens.reads("#replying", "on Saturday?").await;
    let answer = bens.says("yes").await;
    annas
        .reads(&format!("{answer} .quote"), "on Saturday?")
        .await;
    annas.acts(&message, "edit").await;
    annas.fills(".editor textarea", "on Sunday?").await;
    annas.press("Enter").await;
    for window in [annas, bens] {
        window.reads(&format!("{answer} .quote"), "edited").await;
        window
            .reads(&format!("{answer} .quote"), "on Sunday?")
            .await;
    }
    // A page that is loaded anew is told the same.
    bens.reload().await;
    bens.reads(&format!("{answer} .quote"), "on Sunday?").await;
    bens.click(&format!("{answer} .quote")).await;
    bens.until(&format!(
        "document.activeElement === document.querySelector({})",
        quoted(&message)
    ))
    .await;
    annas.acts(&message, "recall").await;
    for window in [annas, bens] {
        window
            .reads(&format!("{answer} .quote"), "taken back")
            .await;
    }
    room.close();
}

#[tokio::test]
async fn who_is_named_sees_it_in_the_list_and_in_the_message() {
    let Some(room) = Room::open().await else {
        return;
    };
    let (annas, bens) = (&room.annas, &room.bens);
    bens.eval("location.hash = 'world'").await;
    bens.until("document.getElementById('title').textContent !== 'Hikers'")
        .await;
    let row = format!("#list [data-id={}]", quoted(&room.group));
    annas.fills("#text", "who comes, @").await;
    annas.reads("#names:not([hidden]) li", "@all").await;
    annas.reads("#names:not([hidden]) li", &room.ben.name).await;
    annas.types(&room.ben.name[..room.ben.name.len() - 1]).await;
    annas
        .until("document.querySelectorAll('#names li').length === 1")
        .await;
    annas.press("Enter").await;
    let written = format!("who comes, @{} ", room.ben.name);
    annas
        .until(&format!(
            "document.getElementById('text').value === {}",
            quoted(&written)
        ))
        .await;
    annas.press("Enter").await;
    bens.sees(&format!("{row} .badge.at")).await;
    // The count is the server's: it is the same on a page that is loaded anew.
    bens.reload().await;
    bens.sees(&format!("{row} .badge.at")).await;
    bens.click(&row).await;
    let message = bens.message(written.trim()).await;
    bens.sees(&format!("{message}.named .mention.self")).await;
    bens.until(&format!(
        "!document.querySelector({})",
        quoted(&format!("{row} .badge.at"))
    ))
    .await;
    annas.sees(&format!("{message}:not(.named) .mention")).await;
    // Only admins name everybody.
    bens.fills("#text", "@").await;
    bens.reads("#names:not([hidden]) li", &room.anna.name).await;
    bens.until("!document.getElementById('names').textContent.includes('@all')")
        .await;
    annas.says("now @all of you").await;
    let all = bens.message("now @all of you").await;
    bens.sees(&format!("{all}.named")).await;
    room.close();
}

#[tokio::test]
async fn a_message_is_passed_on_under_the_name_of_its_author() {
    let Some(room) = Room::open().await else {
        return;
    };
    let (annas, bens) = (&room.annas, &room.bens);
    let chat = room.ben.chat_with(&room.server.user().await).await;
    bens.reload().await;
    bens.sees(&format!("#list [data-id='{chat}']")).await;
    annas.says("worth knowing").await;
    let message = bens.message("worth knowing").await;
    bens.acts(&message, "forward").await;
    bens.click(&format!("dialog .row[data-id='{chat}']")).await;
    bens.reads("#toast:not([hidden])", "Forwarded").await;
    bens.click(&format!("#list [data-id='{chat}']")).await;
    let copy = bens.message("worth knowing").await;
    bens.reads(&format!("{copy} .forwarded"), &room.anna.name)
        .await;
    room.close();
}
