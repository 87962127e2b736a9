//! Reading the timelines of groups that tell what happens to them.

use std::time::{Duration, Instant};

use hyper::Method;
use tokio::time::timeout;

use super::PATIENCE;
use super::told::{Said, Tale};
use crate::check::load::Scene;
use crate::check::observe::Who;

/// Longest wait for a timeline to tell everything. Servers that were down pause for half a minute
/// between two tries, and a slow machine takes as long to get over its faults.
const PATIENCE_TOLD: Duration = Duration::from_secs(300);
/// Longer than the time after which a server sends what is left of its system messages.
const SWEEP: Duration = Duration::from_secs(6);

/// Reads the timeline of a group that tells until it tells everything that was acknowledged, for
/// [`PATIENCE_TOLD`] at most, and then once more: what is sent by a sweep comes late, and a message
/// that a sweep doubles later still.
pub(super) async fn hear(scene: &Scene, tale: &mut Tale, cast: &[Who]) {
    let deadline = Instant::now() + PATIENCE_TOLD;
    while Instant::now() < deadline {
        tale.told = timeline(scene, &tale.group, cast)
            .await
            .or(tale.told.take());
        if tale.fault().is_none() {
            tokio::time::sleep(SWEEP).await;
            tale.told = timeline(scene, &tale.group, cast)
                .await
                .or(tale.told.take());
            if tale.fault().is_none() {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The timeline as the first of the cast reads it who may.
async fn timeline(scene: &Scene, id: &str, cast: &[Who]) -> Option<Vec<(u64, Said)>> {
    for who in cast {
        let (api, token) = (&scene.gate(*who).api, scene.users[*who].token());
        let mut all: Vec<(u64, Said)> = Vec::new();
        loop {
            let after = all.last().map_or(0, |(seq, _)| *seq);
            let path = format!("/conversations/{id}/messages?after_seq={after}&limit=100");
            let call = api.once(Method::GET, &path, &token, None);
            let Ok(Ok((200, answer))) = timeout(PATIENCE, call).await else {
                break;
            };
            let page = Tale::read(&answer["data"]);
            let is_end = page.is_empty() || answer["data"]["hasMore"] != true;
            all.extend(page);
            if is_end {
                return Some(all);
            }
        }
    }
    None
}
