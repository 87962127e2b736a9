//! What the owner of an account does with its sessions.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::Method;
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::json;

use super::history::{Answer, Nth, Request};
use super::holder::{Holder, Key};

/// Live sessions of an account.
const LIVE: usize = 5;
/// Between two tries of a request without an answer.
const AGAIN: Duration = Duration::from_millis(250);
/// Tries of a request without an answer.
const TRIES: u32 = 600;

/// Gives commands until the load ends; what has no answer then is repeated until it has one.
pub(super) async fn run(holder: Holder, mut random: StdRng) {
    let is_over = || {
        let control = &holder.control;
        control.quiet.load(Ordering::Relaxed) || control.stop.load(Ordering::Relaxed)
    };
    while !is_over() {
        step(&holder, &mut random).await;
        let pause = random.random_range(50..400);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

async fn step(holder: &Holder, random: &mut StdRng) {
    let live = holder.live();
    let gate: usize = random.random_range(0..64);
    let Some(key) = live.choose(random).cloned() else {
        holder.sign_in(gate).await;
        return;
    };
    let other = live.iter().filter(|other| other.nth != key.nth);
    let other = other
        .collect::<Vec<_>>()
        .choose(random)
        .map(|k| (*k).clone());
    match (random.random_range(0..24), other) {
        (0..6, _) => refresh(holder, &key, gate, Refresh::Once).await,
        (6..9, _) => refresh(holder, &key, gate, Refresh::Twice).await,
        (9..12, _) => refresh(holder, &key, gate, Refresh::Repeated).await,
        (12..14, _) => reuse(holder, &key, gate).await,
        (14, _) => sign_out(holder, &key, gate).await,
        (15..17, Some(other)) => end(holder, &key, other.nth, gate).await,
        (17, Some(other)) => {
            // Both at once: whatever comes first, the pair of the refresh is dead afterwards.
            let renewed = refresh(holder, &other, gate + 1, Refresh::Once);
            tokio::join!(end(holder, &key, other.nth, gate), renewed);
        }
        (18, _) => end_others(holder, &key, gate).await,
        (19, _) => change_password(holder, &key, gate, random.random()).await,
        _ if live.len() < LIVE => drop(holder.sign_in(gate).await),
        _ => {}
    }
}

/// How a refresh token is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refresh {
    Once,
    /// Twice at once, through different gateways.
    Twice,
    /// Again after the answer, as if it had been lost.
    Repeated,
}

async fn refresh(holder: &Holder, key: &Key, gate: usize, how: Refresh) {
    let Some(token) = key.refresh.last().filter(|_| holder.is_rested(key)) else {
        return;
    };
    let present = |gate| holder.refresh(gate, key.nth, token.clone());
    let mut answer = if how == Refresh::Twice {
        let (a, b) = tokio::join!(present(gate), present(gate + 1));
        if is_open(&b) { b } else { a }
    } else {
        present(gate).await
    };
    if how == Refresh::Repeated && !is_open(&answer) {
        answer = present(gate + 1).await;
    }
    for n in 0..TRIES {
        if !is_open(&answer) {
            return;
        }
        tokio::time::sleep(AGAIN).await;
        answer = present(gate + n as usize).await;
    }
}

/// Whether a request must be repeated.
const fn is_open(answer: &Answer) -> bool {
    matches!(answer, Answer::Unknown | Answer::NotRun)
}

/// An old refresh token, as a thief would present it.
async fn reuse(holder: &Holder, key: &Key, gate: usize) {
    let old = key.refresh.len().checked_sub(3);
    if let Some(token) = old.and_then(|at| key.refresh.get(at)) {
        holder.refresh(gate, key.nth, token.clone()).await;
    }
}

async fn sign_out(holder: &Holder, key: &Key, gate: usize) {
    let call = (Method::POST, "/auth/logout".to_owned(), None);
    if until_answered(holder, key, Request::SignOut(key.nth), call, gate).await {
        holder.end(key.nth);
    }
}

async fn end(holder: &Holder, key: &Key, target: Nth, gate: usize) {
    let Some(sid) = holder.sid(target) else {
        return;
    };
    let request = Request::End {
        by: key.nth,
        target,
    };
    let call = (Method::DELETE, format!("/sessions/{sid}"), None);
    if until_answered(holder, key, request, call, gate).await {
        holder.end(target);
    }
}

async fn end_others(holder: &Holder, key: &Key, gate: usize) {
    let before = holder.live();
    let call = (Method::DELETE, "/sessions".to_owned(), None);
    if until_answered(holder, key, Request::EndOthers(key.nth), call, gate).await {
        end_all_but(holder, key, &before);
    }
}

async fn change_password(holder: &Holder, key: &Key, gate: usize, salt: u64) {
    let before = holder.live();
    let new = format!("password-{salt:x}");
    let old = {
        let mut state = holder.state();
        // Which of two passwords holds is found out by a sign-in first.
        if state.other_password.is_some() {
            return;
        }
        state.other_password = Some(new.clone());
        state.password.clone()
    };
    let body = json!({ "oldPassword": old, "newPassword": new });
    let call = (Method::PUT, "/users/password".to_owned(), Some(body));
    let request = Request::ChangePassword(key.nth);
    if until_answered(holder, key, request, call, gate).await {
        let mut state = holder.state();
        state.password = new;
        state.other_password = None;
        drop(state);
        end_all_but(holder, key, &before);
    }
}

fn end_all_but(holder: &Holder, key: &Key, before: &[Key]) {
    let others = before.iter().filter(|other| other.nth != key.nth);
    others.for_each(|other| holder.end(other.nth));
}

/// Asks until there is an answer; whether it was carried out.
async fn until_answered(
    holder: &Holder,
    key: &Key,
    request: Request,
    (method, path, body): (Method, String, Option<serde_json::Value>),
    gate: usize,
) -> bool {
    for n in 0..TRIES {
        let call = (method.clone(), path.as_str(), body.clone());
        match holder.with(gate + n as usize, key, request, call).await {
            Answer::Unknown | Answer::NotRun if holder.control.now() < key.expires => {
                tokio::time::sleep(AGAIN).await;
            }
            answer => return answer == Answer::Done,
        }
    }
    false
}
