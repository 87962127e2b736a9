//! What an earlier run of this gateway left behind when it was killed: sessions of sockets that are gone.
//!
//! Connection ids of this run are higher than all of that one, so that a call that comes late, or twice, never
//! touches a session of this run.

use gochat_core::ids::UserId;
use gochat_infra::rpc::Backoff;
use gochat_proto::im::repo::v1::DropGatewayRequest;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::state::Gw;

/// Removes the sessions of earlier runs; tries until it worked or the gateway stops.
pub(crate) async fn run(gw: Gw, stop: CancellationToken) {
    let mut backoff = Backoff::default();
    loop {
        let request = DropGatewayRequest {
            gateway_id: gw.id.to_string(),
            before_conn_id: gw.first_conn_id,
        };
        match gw.backend.drop_gateway(request).await {
            Ok(dropped) => {
                if dropped.dropped_count > 0 {
                    tracing::info!(
                        sessions = dropped.dropped_count,
                        "sessions of an earlier run removed"
                    );
                }
                return note_away(&gw, &dropped.user_ids);
            }
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "sessions of an earlier run can't be removed yet");
            }
            // An im-repo of before this call: they expire.
            Err(error) => {
                return tracing::warn!(%error, "sessions of an earlier run stay until they expire");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(backoff.next_delay()) => {}
        }
    }
}

/// Their clients are coming back, here or elsewhere; who hasn't in half a minute is offline.
fn note_away(gw: &Gw, users: &[String]) {
    let mut away = gw.presence.away.lock();
    let now = clock::now_ms();
    for user in users.iter().filter_map(|id| id.parse::<UserId>().ok()) {
        away.note_gone(now, user);
    }
}
