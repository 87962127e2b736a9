//! Tokens in use all the while: by HTTP and on sockets, through every gateway, also after the end
//! of their session.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hyper::Method;
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use tokio::time::timeout;

use super::history::{Answer, Request, Socket as Seen};
use super::holder::{Holder, Key};
use crate::bench::worker::upgrade::Refused;
use crate::check::socket::Socket;

/// Ended sessions whose tokens are tried again, the newest.
const TRIED: usize = 12;
/// Longest handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a socket of an ended session is watched: longer than it may stand.
const WATCH: Duration = Duration::from_secs(90);
/// How long an access token must still be good for a socket to be opened with it, in milliseconds.
const FRESH: u64 = 30_000;

fn is_over(holder: &Holder) -> bool {
    let control = &holder.control;
    control.quiet.load(Ordering::Relaxed) || control.stop.load(Ordering::Relaxed)
}

/// A session of the account, mostly a live one.
fn choose(holder: &Holder, random: &mut StdRng) -> Option<Key> {
    let state = holder.state();
    let (ended, live): (Vec<&Key>, Vec<&Key>) = state.keys.iter().partition(|key| key.has_ended);
    let ended = &ended[ended.len().saturating_sub(TRIED)..];
    let from = if random.random_bool(0.4) {
        ended
    } else {
        &live
    };
    from.choose(random).map(|key| (*key).clone())
}

/// Uses access tokens over HTTP until the load ends.
pub(super) async fn requests(holder: Holder, mut random: StdRng) {
    while !is_over(&holder) {
        if let Some(key) = choose(&holder, &mut random) {
            let call = (Method::GET, "/users/profile", None);
            let gate = random.random_range(0..64);
            holder.with(gate, &key, Request::Use(key.nth), call).await;
        }
        let pause = random.random_range(20..150);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// Holds a socket, one after the other, until the load ends.
pub(super) async fn sockets(holder: Holder, mut random: StdRng) {
    while !is_over(&holder) {
        let pause = random.random_range(50..500);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let Some(key) = choose(&holder, &mut random) else {
            continue;
        };
        if key.expires < holder.control.now() + FRESH {
            continue;
        }
        let gate = random.random_range(0..holder.scene.gates.len());
        let life = Duration::from_millis(random.random_range(500..15_000));
        if let Some(socket) = open(&holder, &key, gate).await {
            watch(&holder, &key, gate, socket, life).await;
        }
    }
}

async fn open(holder: &Holder, key: &Key, gate: usize) -> Option<Socket> {
    let sent = holder.control.now();
    let server = &holder.scene.gate(gate).server;
    let device = format!("session-{}", key.nth);
    let opening = Socket::open(server, &key.access, &device);
    let opened = timeout(HANDSHAKE, opening).await;
    let (answer, socket) = match opened {
        Ok(Ok(socket)) => (Answer::Done, Some(socket)),
        Ok(Err(error)) => (Refused::of(&error).map_or(Answer::Unknown, refused), None),
        Err(_) => (Answer::Unknown, None),
    };
    if answer == Answer::Refused {
        holder.end(key.nth);
    }
    holder.note(sent, gate, Request::Connect(key.nth), answer);
    socket
}

/// What a refused handshake says of the session.
fn refused(refusal: &Refused) -> Answer {
    match (refusal.status, refusal.code.as_str()) {
        (401, "TOKEN_EXPIRED") => Answer::NotRun,
        (401, _) => Answer::Refused,
        _ => Answer::Unknown,
    }
}

/// Reads until the server closes the socket, or its time is up while its session lives.
async fn watch(holder: &Holder, key: &Key, gate: usize, mut socket: Socket, life: Duration) {
    let (since, opened) = (holder.control.now(), Instant::now());
    let mut ended_since = None;
    loop {
        match timeout(Duration::from_millis(100), socket.next()).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => break,
            Err(_) => {
                let has_ended = holder.has_ended(key.nth);
                if has_ended {
                    let since = *ended_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > WATCH {
                        break;
                    }
                } else if opened.elapsed() > life || is_over(holder) {
                    break;
                }
            }
        }
    }
    let seen = Seen {
        session: key.nth,
        gate,
        since,
        until: holder.control.now(),
        code: socket.close_code(),
        expires: key.expires,
    };
    holder.state().history.sockets.push(seen);
}
