//! A client that is the SDK: it must come out with complete timelines by itself, and with the state
//! of every message.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gochat_client::{
    Changed, Client, Credentials, Event, Item, Message, Outgoing, Reaction, State,
};
use rand::Rng as _;
use rand::rngs::StdRng;
use tokio::task::JoinSet;

use super::changes::Counts;
use super::client::BACKLOG;
use super::load::{Control, Scene};
use super::observe::{Ack, Observed, Place, Row, Who};
use crate::bench::Result;

/// Silence after which nothing more is expected.
const SETTLED: Duration = Duration::from_secs(4);

/// Runs until the load ends, everything is acknowledged and nothing more arrives.
pub(super) async fn run(
    who: Who,
    scene: Arc<Scene>,
    control: Arc<Control>,
    rate: f64,
    mut random: StdRng,
) -> Result<Observed> {
    let account = &scene.users[who];
    let tokens = scene.sdk_tokens.get(&who);
    let (access, refresh) = tokens.ok_or("the client has no session for the SDK")?;
    let credentials = Credentials::tokens(access.clone(), refresh.clone());
    let builder = Client::builder(&scene.gate(who).url)
        .credentials(credentials)
        .device("sdk")
        .initial_history(u64::MAX)
        .event_capacity(1 << 16)
        .ready_timeout(Duration::from_secs(120));
    let (client, mut events) = builder.connect().await?;
    let (state, gaps) = (client.watch_state(), client.watch_gaps());
    let mut observed = Observed::default();
    let mut timeline: BTreeMap<Place, Vec<Row>> = BTreeMap::new();
    let places = scene.places_of(who);
    let mut sends: JoinSet<(Place, String, gochat_client::Result<gochat_client::Sent>)> =
        JoinSet::new();
    let mut tick = tokio::time::interval(Duration::from_secs_f64(1.0 / rate.max(0.1)));
    let (mut made, mut last, mut written) = (0u64, Instant::now(), false);
    while !control.stop.load(Ordering::Relaxed) {
        let quiet = control.quiet.load(Ordering::Relaxed);
        // A client that waits to connect or to fetch again, up to 30 s after many kills, is silent and not done.
        if *state.borrow() != State::Ready || *gaps.borrow() > 0 {
            last = Instant::now();
        }
        if quiet && sends.is_empty() && !written {
            written = true;
            control.writing.fetch_sub(1, Ordering::Relaxed);
        }
        // What others still have on its way belongs into this timeline too.
        if control.writing.load(Ordering::Relaxed) > 0 {
            last = Instant::now();
        }
        if written && last.elapsed() > SETTLED {
            break;
        }
        tokio::select! {
            item = events.next() => match item {
                Some(Item::Event(Event::Message(message))) => {
                    last = Instant::now();
                    let others = message.sender_id.to_string() != account.id;
                    if let Some(place) = note(&scene, &mut timeline, message).filter(|_| others) {
                        control.note_message(who, place);
                    }
                }
                Some(Item::Event(Event::MessageChanged { conversation_id, change, .. })) => {
                    last = Instant::now();
                    if let Some(place) = scene.place_of.get(&conversation_id.to_string()) {
                        apply(timeline.entry(*place).or_default(), &change);
                    }
                }
                Some(Item::Lagged(n)) => return Err(format!("the checker was {n} events behind").into()),
                Some(_) => {}
                None => return Err("the SDK gave up".into()),
            },
            Some(done) = sends.join_next() => {
                last = Instant::now();
                let (place, client_id, sent) = done?;
                match sent {
                    Ok(sent) => {
                        control.acknowledged.fetch_add(1, Ordering::Relaxed);
                        let message_id = sent.message_id.to_string();
                        observed.acks.push(Ack { place, client_id, message_id, seq: sent.seq_id });
                    }
                    Err(_) => drop(observed.unknown.insert(client_id)),
                }
            }
            _ = tick.tick(), if !quiet && sends.len() < BACKLOG => {
                made += 1;
                let place = places[random.random_range(0..places.len())];
                let message = compose(&scene, who, made, place)?;
                observed.sent.insert(message.client_msg_id.clone(), message.content.clone());
                let (id, sending) = (message.client_msg_id.clone(), client.send_message(message));
                sends.spawn(async move { (place, id, sending.await) });
            }
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
    }
    client.close().await;
    observed.timelines.push((who, timeline));
    Ok(observed)
}

fn compose(scene: &Scene, who: Who, made: u64, place: Place) -> Result<Outgoing> {
    Ok(Outgoing::text(
        format!("{:x}-{who}-{made}", scene.run),
        scene.places[place].0.parse()?,
        format!("{who} says number {made} by SDK"),
    ))
}

/// Writes a message down and says where it belongs.
fn note(
    scene: &Scene,
    timeline: &mut BTreeMap<Place, Vec<Row>>,
    message: Message,
) -> Option<Place> {
    let place = *scene.place_of.get(&message.conversation_id.to_string())?;
    timeline.entry(place).or_default().push(Row {
        seq: message.seq_id,
        rev: message.rev,
        deleted: message.deleted,
        edits: message.edit_count.into(),
        reactions: counts(&message.reactions),
        pinned: message.pinned,
        hidden: message.hidden,
        message_id: message.id.to_string(),
        sender: message.sender_id.to_string(),
        client_id: message.client_msg_id,
        content: message.content,
        references: Default::default(),
        quote: None,
    });
    Some(place)
}

/// Makes a message what it is after a change.
fn apply(rows: &mut [Row], change: &Changed) {
    let Ok(at) = rows.binary_search_by_key(&change.seq_id, |row| row.seq) else {
        return;
    };
    let row = &mut rows[at];
    if change.rev > row.rev {
        (row.rev, row.deleted, row.edits) = (change.rev, change.deleted, change.edit_count.into());
        if let Some(content) = &change.content {
            row.content.clone_from(content);
        }
        if let Some(reactions) = &change.reactions {
            row.reactions = counts(reactions);
        }
        row.pinned = change.pinned.unwrap_or(row.pinned);
        if row.deleted {
            (row.reactions, row.pinned) = (Counts::new(), false);
        }
    }
}

fn counts(reactions: &[Reaction]) -> Counts {
    let count = |r: &Reaction| (r.emoji.clone(), u64::from(r.count));
    reactions.iter().map(count).collect()
}
