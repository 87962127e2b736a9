//! The last look at an account: its list, and every token once more.

use std::time::Duration;

use hyper::Method;

use super::history::{Answer, Request};
use super::holder::{Holder, Key};

/// Time for what is still on its way.
const SETTLE: Duration = Duration::from_secs(4);
/// Ended sessions whose tokens are tried once more, the newest.
const TRIED: usize = 30;
/// Tries of what must be answered.
const TRIES: usize = 100;

/// Asks for the list, tries every token at every gateway, and asks again.
pub(super) async fn look(holder: &Holder) {
    tokio::time::sleep(SETTLE).await;
    list(holder).await;
    let keys = holder.state().keys.clone();
    let ended = keys.iter().filter(|key| key.has_ended).count();
    let skipped = ended.saturating_sub(TRIED);
    let old = keys.iter().filter(|key| key.has_ended).skip(skipped);
    for key in keys.iter().filter(|key| !key.has_ended).chain(old) {
        try_everywhere(holder, key).await;
    }
    list(holder).await;
}

async fn try_everywhere(holder: &Holder, key: &Key) {
    for gate in 0..holder.scene.gates.len() {
        let call = (Method::GET, "/users/profile", None);
        holder.with(gate, key, Request::Use(key.nth), call).await;
    }
    // A refresh that had no answer and no repeat may still be on its way.
    if let Some(token) = key.refresh.last().filter(|_| holder.is_rested(key)) {
        for gate in 0..TRIES {
            if holder.refresh(gate, key.nth, token.clone()).await != Answer::Unknown {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// `GET /sessions` by a live session, a new one if there is none.
async fn list(holder: &Holder) {
    for gate in 0..TRIES {
        let Some(key) = holder.live().into_iter().next_back() else {
            holder.sign_in(gate).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let call = (Method::GET, "/sessions", None);
        match holder.with(gate, &key, Request::List(key.nth), call).await {
            Answer::Sessions(_) => return,
            // An access token that has expired.
            Answer::NotRun => drop(holder.sign_in(gate).await),
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
