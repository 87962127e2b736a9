//! Texts that people type: one normal form, nothing that shows nothing, names that can't be
//! mistaken.

use serde_json::json;

use crate::kit::{PASSWORD, Server, fresh_name, text};

/// Texts that show nothing.
const BLANK: [&str; 9] = [
    "   ", "\u{200b}", "\u{2060}", "\u{feff}", "\u{2800}", "\u{3164}", "\u{200e}", "\u{34f}",
    "\u{1}",
];

#[tokio::test]
async fn a_text_that_shows_nothing_is_empty() {
    let server = Server::shared().await;
    let user = server.user().await;
    let mut socket = user.connect().await;
    for (i, blank) in BLANK.into_iter().enumerate() {
        let blank = blank.repeat(3);
        user.say("world", &blank)
            .await
            .refused(400, "MESSAGE_EMPTY");
        let code = socket.say_refused("world", &blank, &format!("c{i}")).await;
        assert_eq!(code, "MESSAGE_EMPTY", "{blank:?}");
        let group = json!({"type": 2, "name": blank});
        user.post("/conversations", group)
            .await
            .refused(400, "INVALID_CONVERSATION_NAME");
    }
    let group = user.group("Team", &[]).await;
    for name in ["\u{200b}", "\u{202e}gnp.exe", "p\u{430}ypal"] {
        user.put(&format!("/conversations/{group}"), json!({"name": name}))
            .await
            .refused(400, "INVALID_CONVERSATION_NAME");
    }
}

#[tokio::test]
async fn texts_are_stored_in_one_normal_form() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let (typed, stored) = ("cafe\u{301}", "caf\u{e9}");
    assert_eq!(a.say(&chat, typed).await.data()["content"], stored);
    let mut socket = b.connect().await;
    let mut author = a.connect().await;
    author.say(&chat, typed, "c1").await;
    assert_eq!(socket.expect("new-message").await["content"], stored);
    for message in a.history_of(&chat, 2).await {
        assert_eq!(message["content"], stored);
    }
    let body = json!({"type": 2, "name": format!("  {typed}\u{3000}x "), "description": typed});
    let group = a.post("/conversations", body).await.data();
    assert_eq!(group["name"], format!("{stored} x"));
    assert_eq!(group["description"], stored);
}

#[tokio::test]
async fn a_name_is_one_name_in_every_spelling_and_look() {
    let server = Server::shared().await;
    let base = fresh_name();
    let composed = format!("{base}\u{e9}");
    let register = async |name: &str, password: &str| {
        let body = json!({"username": name, "password": password});
        server.call("POST", "/auth/register", Some(body)).await
    };
    let login = async |name: &str, password: &str| {
        let body = json!({"username": name, "password": password});
        server.call("POST", "/auth/login", Some(body)).await
    };
    register(&base, PASSWORD).await.data_with(201);
    let user = register(&composed, "p\u{e4}ssw\u{f6}rd 12")
        .await
        .data_with(201);
    assert_eq!(text(&user["user"]["username"]), composed);
    let decomposed = format!("{base}e\u{301}");
    login(&decomposed, "pa\u{308}sswo\u{308}rd\u{3000}12")
        .await
        .data();
    let wide: String = base
        .chars()
        .map(|c| char::from_u32(u32::from(c) + 0xfee0).unwrap())
        .collect();
    for (name, code) in [
        (decomposed.clone(), "USER_ALREADY_EXISTS"),
        (wide, "USER_ALREADY_EXISTS"),
        (format!("{base}\u{200b}"), "INVALID_USERNAME"),
        (format!("\u{feff}{base}"), "INVALID_USERNAME"),
        (format!("\u{202e}{base}"), "INVALID_USERNAME"),
        (format!("{base}\u{430}"), "INVALID_USERNAME"),
        ("\u{3164}".repeat(9), "INVALID_USERNAME"),
    ] {
        let reply = register(&name, PASSWORD).await;
        assert_eq!(reply.code(), code, "{name:?}: {}", reply.body);
    }
    // All letters of one script, and still the looks of another name.
    register("xocococo", PASSWORD).await;
    let cyrillic = "\u{445}\u{43e}\u{441}\u{43e}\u{441}\u{43e}\u{441}\u{43e}";
    register(cyrillic, PASSWORD)
        .await
        .refused(400, "USER_ALREADY_EXISTS");
}
