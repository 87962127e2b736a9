//! What is done with messages, from the menu and by keys.

use super::{Room, quoted};

#[tokio::test]
async fn an_edit_shows_in_both_windows_and_can_be_given_up() {
    let Some(room) = Room::open().await else {
        return;
    };
    let (annas, bens) = (&room.annas, &room.bens);
    let message = annas.says("helo").await;
    bens.message("helo").await;
    annas.acts(&message, "edit").await;
    annas.fills(".editor textarea", "given up").await;
    annas.press("Escape").await;
    annas.until("!document.querySelector('.editor')").await;
    annas.message("helo").await;
    annas.acts(&message, "edit").await;
    annas.fills(".editor textarea", "hello").await;
    annas.press("Enter").await;
    for window in [annas, bens] {
        window.reads(&format!("{message} .text"), "hello").await;
        let mark = format!(
            "document.querySelector({}).title",
            quoted(&format!("{message} .edited"))
        );
        window.until(&format!("{mark}.startsWith('Edited ')")).await;
    }
    // Whoever didn't write a message isn't offered to edit it.
    bens.click_right(&format!("{message} .bubble")).await;
    bens.sees("#menu [data-act=reply]").await;
    assert_eq!(
        bens.eval("document.querySelectorAll('#menu [data-act=edit]').length")
            .await,
        0
    );
    // The arrow in an empty field leads to the last message of one's own.
    annas.fills("#text", "").await;
    annas.press("ArrowUp").await;
    annas.until("document.activeElement.closest('.editor')?.querySelector('textarea').value === 'hello'").await;
    room.close();
}

#[tokio::test]
async fn reactions_are_counted_and_a_click_takes_the_own_one_back() {
    let Some(room) = Room::open().await else {
        return;
    };
    let (annas, bens) = (&room.annas, &room.bens);
    let message = annas.says("to the ridge?").await;
    bens.message("to the ridge?").await;
    let chip = format!("{message} [data-emoji='👍']");
    let is = |count: u32, mine: bool| {
        let chip = quoted(&chip);
        format!(
            "(n => n?.textContent === '👍{count}' && n.ariaPressed === '{mine}')(document.querySelector({chip}))"
        )
    };
    bens.click_right(&format!("{message} .bubble")).await;
    bens.click("#menu .emojis button").await;
    bens.until(&is(1, true)).await;
    annas.until(&is(1, false)).await;
    annas.click(&chip).await;
    annas.until(&is(2, true)).await;
    bens.until(&is(2, true)).await;
    bens.click(&chip).await;
    bens.until(&is(1, false)).await;
    annas.until(&is(1, true)).await;
    // Any emoji may be typed.
    bens.click_right(&format!("{message} .bubble")).await;
    bens.fills("#menu input", "🦜").await;
    bens.press("Enter").await;
    annas.sees(&format!("{message} [data-emoji='🦜']")).await;
    // What is no emoji is refused with a sentence.
    bens.click_right(&format!("{message} .bubble")).await;
    bens.fills("#menu input", "no way").await;
    bens.press("Enter").await;
    bens.reads("#toast:not([hidden])", "one emoji").await;
    annas.click(&chip).await;
    for window in [annas, bens] {
        window
            .until(&format!("!document.querySelector({})", quoted(&chip)))
            .await;
    }
    room.close();
}

#[tokio::test]
async fn pins_are_listed_and_lead_to_messages_that_are_not_on_the_page() {
    let Some(room) = Room::open().await else {
        return;
    };
    let (annas, bens) = (&room.annas, &room.bens);
    let message = annas.says("where we meet").await;
    annas.acts(&message, "pin").await;
    bens.reads("#pins:not([hidden])", "1").await;
    for n in 0..120 {
        room.anna
            .say(&room.group, &format!("number {n}"))
            .await
            .data_with(201);
    }
    bens.message("number 119").await;
    bens.reload().await;
    bens.message("number 119").await;
    let is_there = format!("!!document.querySelector({})", quoted(&message));
    assert_eq!(
        bens.eval(&is_there).await,
        false,
        "the page holds the newest messages only"
    );
    bens.click("#pins").await;
    bens.reads("dialog[open]", "where we meet").await;
    bens.click("dialog li .row").await;
    bens.until(&format!(
        "document.activeElement === document.querySelector({})",
        quoted(&message)
    ))
    .await;
    // What is said meanwhile waits behind the button.
    room.anna
        .say(&room.group, "the last one")
        .await
        .data_with(201);
    bens.reads("#list", "the last one").await;
    bens.click("#newest button").await;
    bens.message("the last one").await;
    // Members don't take pins off in a group that leaves that to its admins.
    bens.click("#pins").await;
    bens.sees("dialog[open] li").await;
    assert_eq!(
        bens.eval("document.querySelectorAll('dialog li').length")
            .await,
        1
    );
    assert_eq!(
        bens.eval("document.querySelectorAll('dialog li button').length")
            .await,
        1
    );
    annas.click("#pins").await;
    annas.click("dialog li button:last-child").await;
    bens.until("document.getElementById('pins').hidden").await;
    room.close();
}

#[tokio::test]
async fn a_message_that_was_taken_back_leaves_a_place() {
    let Some(room) = Room::open().await else {
        return;
    };
    let (annas, bens) = (&room.annas, &room.bens);
    let message = bens.says("oops").await;
    annas.message("oops").await;
    bens.acts(&message, "recall").await;
    for window in [annas, bens] {
        window.reads(&format!("{message}.gone"), "taken back").await;
        window
            .until("!document.getElementById('log').textContent.includes('oops')")
            .await;
        window.reads("#list", "taken back").await;
    }
    room.close();
}

#[tokio::test]
async fn keys_alone_do_everything() {
    let Some(room) = Room::open().await else {
        return;
    };
    let (annas, bens) = (&room.annas, &room.bens);
    let first = annas.says("one").await;
    let second = annas.says("two").await;
    bens.message("two").await;
    let has_focus = |selector: &str| {
        format!(
            "document.activeElement === document.querySelector({})",
            quoted(selector)
        )
    };
    // The newest message is in the order of the Tab key; arrows lead to others.
    bens.eval("document.querySelector('#log article[tabindex=\"0\"]').focus()")
        .await;
    bens.until(&has_focus(&second)).await;
    bens.press("ArrowUp").await;
    bens.until(&has_focus(&first)).await;
    bens.press("Enter").await;
    bens.sees("#menu:popover-open").await;
    bens.press("Escape").await;
    bens.until("!document.querySelector('#menu:popover-open')")
        .await;
    bens.until(&has_focus(&first)).await;
    bens.press("Enter").await;
    bens.press("ArrowDown").await;
    bens.until(&has_focus("#menu [data-act=reply]")).await;
    bens.press("Enter").await;
    bens.until(&has_focus("#text")).await;
    bens.reads("#replying", "one").await;
    bens.press("Escape").await;
    bens.until("document.getElementById('replying').hidden")
        .await;
    room.close();
}

#[tokio::test]
async fn a_text_is_only_text() {
    let Some(room) = Room::open().await else {
        return;
    };
    let evil =
        "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>";
    room.annas.says(evil).await;
    room.bens.message(evil).await;
    let made = room
        .bens
        .eval("document.querySelectorAll('#log img, #log script').length")
        .await;
    assert_eq!(made, 0);
    assert_ne!(room.bens.eval("document.title").await, "taken");
    room.close();
    // The browser itself refuses to make elements of text, whatever a script tries.
    let refused = "(() => { try { document.body.innerHTML = '<b>x</b>'; return false; } catch { return true; } })()";
    assert_eq!(room.bens.eval(refused).await, true);
}
