//! Accounts whose sessions get commands while processes are killed: sign-ins, refreshes (also twice
//! at once, repeated, and with old tokens), sign-outs, ends of one and of all others, and changed
//! passwords; their tokens are in use all the while, through every gateway. Everything is written
//! down ([`history`]); [`judge`] says afterwards what could not have happened.

mod commands;
mod ending;
mod fate;
mod history;
mod holder;
mod judge;
#[cfg(test)]
mod tests;
mod token;
mod uses;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::Method;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;

pub(super) use self::history::{Act, Answer, Counts, History, Line, Request, Socket};
use self::holder::Holder;
pub(super) use self::judge::{Rules, judge};
use super::CheckArgs;
use super::disturbance::Millis;
use super::load::{Control, Scene};
use super::observe::Observed;
use crate::bench::Result;

/// Time within which an end holds on every gateway: the promise of the contract.
pub(super) const WITHIN: Millis = 1_000;
/// Time during which a used refresh token may be presented again: the promise of the contract.
pub(super) const REPEAT: Millis = 60_000;

/// Life of access tokens of servers of the checker's own, in seconds: short enough to be renewed
/// under kills, and longer than an outage.
pub(super) const TOKENS_LIVE_S: u64 = 240;

/// Time during which a request without an answer may still be carried out by one process: its own
/// deadlines are below.
const LATE: Millis = 10_000;
/// The same in a cluster, where a paused process may hold the request and wake up.
const LATE_IN_CLUSTER: Millis = 60_000;

/// How long a request without an answer may still be carried out.
pub(super) const fn late(args: &CheckArgs) -> Millis {
    if args.cluster.cluster {
        LATE_IN_CLUSTER
    } else {
        LATE
    }
}

/// Keeps the sessions of account `n` busy until the load ends, and looks at them once more. `late`
/// is the time during which a request without an answer may still be carried out.
pub(super) async fn run(
    scene: Arc<Scene>,
    control: Arc<Control>,
    n: usize,
    late: Millis,
    mut random: StdRng,
) -> Result<Observed> {
    let account = format!("check_{:x}_{n}", scene.run);
    let password = format!("password-{:x}", random.random::<u64>());
    register(&scene, &control, &account, &password).await;
    let holder = Holder::new(scene, control.clone(), late, account, password);
    let mut tasks = tokio::task::JoinSet::new();
    let mut part = || StdRng::seed_from_u64(random.random());
    tasks.spawn(commands::run(holder.clone(), part()));
    tasks.spawn(uses::requests(holder.clone(), part()));
    for _ in 0..2 {
        tasks.spawn(uses::sockets(holder.clone(), part()));
    }
    while let Some(done) = tasks.join_next().await {
        done?;
    }
    control.writing.fetch_sub(1, Ordering::Relaxed);
    ending::look(&holder).await;
    let history = std::mem::take(&mut holder.state().history);
    Ok(Observed {
        histories: vec![history],
        ..Observed::default()
    })
}

/// Registers an account, through kills; a repeat finds the name taken by the first try.
async fn register(scene: &Scene, control: &Control, account: &str, password: &str) {
    let body = json!({ "username": account, "password": password });
    for gate in 0.. {
        let call = (Method::POST, "/auth/register", "", Some(&body));
        let api = &scene.gate(gate).api;
        let answer = api.once(call.0, call.1, call.2, call.3).await;
        let is_done = matches!(answer, Ok((200..=299 | 400..=499, _)));
        if is_done || control.stop.load(Ordering::Relaxed) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
