//! A bot: answers messages of the world chat that begin with `!`.
//!
//! ```text
//! bot http://127.0.0.1:8080
//! ```
//!
//! What to notice: it answers a message once even when its connection breaks in between,
//! because the answer's client id is made from the question's id, so that a repetition is
//! recognised as the same answer.

use gochat_client::{Client, Credentials, Event, Item, Message, Outgoing, Result, UserId, WORLD};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let url = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
    let credentials = Credentials::Guest {
        name: Some("bot".to_owned()),
    };
    // A bot answers what is said from now on.
    let builder = Client::builder(&url)
        .credentials(credentials)
        .device("bot")
        .initial_history(0);
    let (client, mut events) = builder.connect().await?;
    let me = client.api().me().await?.id;
    println!("bot {me} listens to the world chat");
    while let Some(item) = events.next().await {
        let Item::Event(Event::Message(message)) = item else {
            continue;
        };
        if let Some(answer) = answer(&message, me) {
            // The acknowledgement is awaited beside the loop: a bot that waits hears nothing.
            let sending = client.send_message(answer);
            tokio::spawn(async move {
                if let Err(error) = sending.await {
                    eprintln!("not sent: {error}");
                }
            });
        }
    }
    Ok(())
}

/// What to say to a message, if anything.
fn answer(message: &Message, me: UserId) -> Option<Outgoing> {
    if message.conversation_id != WORLD || message.sender_id == me {
        return None;
    }
    let command = message.content.strip_prefix('!')?;
    let content = match command.split_once(' ').unwrap_or((command, "")) {
        ("echo", text) if !text.is_empty() => text.to_owned(),
        ("count", text) => format!("{} characters", text.chars().count()),
        ("seq", _) => format!("that was number {}", message.seq_id),
        _ => "I know !echo <text>, !count <text> and !seq".to_owned(),
    };
    let answer = Outgoing::text(format!("answer-{}", message.id), WORLD, content);
    Some(answer.reply_to(message.id))
}
