//! Leaving: batched removal of sessions, and the half minute until friends are told.

use std::time::Duration;

use gochat_core::ids::UserId;
use gochat_infra::rpc::Backoff;
use gochat_proto::im::repo::v1::{
    GetUsersOnlineStatusRequest, SetUserOfflineRequest, SetUsersOfflineRequest,
};
use tokio_util::sync::CancellationToken;

use super::{CALL_MAX, Gone, Leaver, events};
use crate::clock;
use crate::state::Gw;

/// Users judged in one call.
const JUDGE_MAX: usize = 1_000;

/// Removes sessions and publishes `user.offline` until the gateway stops, then settles what is open.
pub(crate) async fn run(gw: Gw, stop: CancellationToken) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = gw.presence.left.notified() => remove(&gw).await,
            _ = tick.tick() => {
                let due = gw.presence.away.lock().poll_due(clock::now_ms());
                judge(&gw, due).await;
            }
        }
    }
    // Nobody will be here to count the half minute down: im-task does it. Most are on their way to
    // another gateway, and nobody should see them leave.
    remove(&gw).await;
    let away = gw.presence.away.lock().drain();
    let left = away
        .into_iter()
        .map(|(user, due)| events::away(&gw, user, due));
    events::publish(&gw, left.collect()).await;
}

async fn remove(gw: &Gw) {
    let leavers = std::mem::take(&mut *gw.presence.leavers.lock());
    for chunk in leavers.chunks(CALL_MAX) {
        let mut backoff = Backoff::default();
        // A session that can't be removed expires by itself: a few attempts are enough.
        for _ in 0..3 {
            match remove_chunk(gw, chunk).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::warn!(%error, sessions = chunk.len(), "sessions could not be removed");
                    tokio::time::sleep(backoff.next_delay()).await;
                }
            }
        }
    }
}

async fn remove_chunk(gw: &Gw, chunk: &[Leaver]) -> Result<(), gochat_core::error::Error> {
    let sessions = chunk
        .iter()
        .map(|l| SetUserOfflineRequest {
            user_id: l.user.to_string(),
            gateway_id: gw.id.to_string(),
            conn_id: l.conn_id,
        })
        .collect();
    let response = gw
        .backend
        .set_users_offline(SetUsersOfflineRequest { sessions })
        .await?;
    let mut at_once = Vec::new();
    {
        let mut away = gw.presence.away.lock();
        for (leaver, result) in chunk.iter().zip(response.results) {
            if !result.success || result.still_online {
                continue;
            }
            if leaver.why == Gone::Logout {
                away.note_back(&leaver.user);
                at_once.push(events::offline(gw, leaver.user, leaver.why));
            } else {
                away.note_gone(clock::now_ms(), leaver.user);
            }
        }
    }
    events::publish(gw, at_once).await;
    Ok(())
}

/// Publishes `user.offline` for those who are not connected anywhere.
async fn judge(gw: &Gw, users: Vec<UserId>) {
    for chunk in users.chunks(JUDGE_MAX) {
        let user_ids = chunk.iter().map(UserId::to_string).collect();
        let request = GetUsersOnlineStatusRequest { user_ids };
        let statuses = match gw.backend.get_users_online_status(request).await {
            Ok(response) => response.statuses,
            Err(error) => {
                tracing::warn!(%error, users = chunk.len(), "presence can't be read; asking again later");
                let mut away = gw.presence.away.lock();
                chunk
                    .iter()
                    .for_each(|user| away.note_gone(clock::now_ms(), *user));
                continue;
            }
        };
        let gone = chunk
            .iter()
            .zip(&statuses)
            .filter(|(_, status)| !status.is_online)
            .map(|(user, _)| events::offline(gw, *user, Gone::Disconnect))
            .collect();
        events::publish(gw, gone).await;
    }
}
