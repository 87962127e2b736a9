//! A chat in the terminal.
//!
//! ```text
//! chat                                        as a guest, in the world chat of a local server
//! chat http://127.0.0.1:8080 ann 'a long password'     with an account (made at the first use)
//! ```
//!
//! Lines are sent; `/open <user id>` opens a single chat, `/list` shows conversations, `/quit` leaves.

use std::io::{BufRead, stdin};

use gochat_client::api::Api;
use gochat_client::{
    Client, ConversationId, Credentials, ErrorCode, Event, Events, Item, Message, WORLD,
};
use tokio::sync::mpsc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let url = args
        .next()
        .unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
    let credentials = match (args.next(), args.next()) {
        (Some(name), Some(password)) => sign_up(&url, name, password).await?,
        _ => Credentials::guest(),
    };
    let (client, events) = Client::connect(&url, credentials).await?;
    let me = client.api().me().await?;
    println!(
        "You are {} ({}). You are in the world chat; /quit leaves.",
        me.username, me.id
    );
    let printer = tokio::spawn(print_events(events));
    talk(&client).await?;
    client.close().await;
    printer.await?;
    Ok(())
}

/// Makes the account unless it exists.
async fn sign_up(url: &str, name: String, password: String) -> Result<Credentials, Failure> {
    match Api::register(url, &name, &password).await {
        Ok(_) => {}
        Err(e)
            if e.refusal()
                .is_some_and(|r| r.code == ErrorCode::UserAlreadyExists) => {}
        Err(e) => return Err(e.into()),
    }
    Ok(Credentials::password(name, password))
}

async fn talk(client: &Client) -> Result<(), Failure> {
    let mut lines = read_lines();
    let mut place = WORLD;
    while let Some(line) = lines.recv().await {
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("/quit", _) => break,
            ("/list", _) => list(client).await,
            ("/open", user) => match open(client, user).await {
                Ok(id) => place = id,
                Err(e) => eprintln!("! {e}"),
            },
            _ if line.is_empty() => {}
            _ => {
                if let Err(e) = client.send(place, line).await {
                    eprintln!("! {e}");
                }
            }
        }
    }
    Ok(())
}

async fn open(client: &Client, user: &str) -> Result<ConversationId, Failure> {
    let chat = client.api().open_chat(user.trim().parse()?).await?;
    println!("-- {}", chat.name.unwrap_or_else(|| chat.id.to_string()));
    Ok(chat.id)
}

async fn list(client: &Client) {
    match client.api().conversations(1, 50).await {
        Ok(page) => {
            for c in page.conversations {
                println!(
                    "-- {} ({} unread) {}",
                    c.id,
                    c.unread_count,
                    c.name.unwrap_or_default()
                );
            }
        }
        Err(e) => eprintln!("! {e}"),
    }
}

async fn print_events(mut events: Events) {
    while let Some(item) = events.next().await {
        match item {
            Item::Event(Event::Message(message)) => print_message(&message),
            Item::Event(Event::MessageChanged {
                conversation_id,
                change,
                ..
            }) => {
                let place = format!("[{conversation_id} #{}]", change.seq_id);
                match change.content {
                    Some(content) if !change.deleted => println!("{place} now: {content}"),
                    _ => println!("{place} was changed or recalled"),
                }
            }
            Item::Event(Event::State(state)) => println!("-- {state:?}"),
            Item::Event(Event::Error(error)) => eprintln!("! {error}"),
            Item::Lagged(n) => println!("-- {n} events were too much at once"),
            Item::Event(_) => {}
        }
    }
}

fn print_message(message: &Message) {
    let sender = message
        .sender_name
        .clone()
        .unwrap_or_else(|| message.sender_id.to_string());
    println!(
        "[{} #{}] {sender}: {}",
        message.conversation_id, message.seq_id, message.content
    );
}

/// Lines of standard input. Reading blocks, so it happens on a thread of its own.
fn read_lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
