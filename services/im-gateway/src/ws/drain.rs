//! Saying goodbye to everybody without a storm: each client is told to come back after a delay of
//! its own.

use std::time::Duration;

use gochat_core::session::frame::Restarting;
use gochat_core::session::machine::CloseCode;

use crate::clock;
use crate::frames;
use crate::state::Gw;

/// Shortest delay a client is asked for.
const SHORTEST_MS: u64 = 500;
/// How far delays are spread: as far as one gateway needs to take over the connections of another.
const SPREAD_PER_CONN_US: u64 = 200;
/// Clients between two pauses of the goodbye.
const CHUNK: usize = 256;

/// Tells every connection to come back later and closes it with 1001, then waits until they are gone
/// or the time is up.
pub(crate) async fn drain(gw: &Gw, time: Duration) {
    let conns = gw.table.all();
    tracing::info!(connections = conns.len(), "draining");
    let spread_ms = (conns.len() as u64 * SPREAD_PER_CONN_US / 1_000).max(1_000);
    for (i, conn) in conns.iter().enumerate() {
        // Connection ids are consecutive: a multiplicative hash spreads them evenly.
        let jitter = conn.id().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let reconnect_in = SHORTEST_MS + ((jitter * spread_ms) >> 32);
        let words = frames::frame(&Restarting { reconnect_in }, clock::now_s());
        gw.close_with(conn, CloseCode::GoingAway, Some(&words), "draining");
        if i % CHUNK == CHUNK - 1 {
            tokio::task::yield_now().await;
        }
    }
    gw.conn_tasks.close();
    // The peers get a moment to answer the close frame; who doesn't is dropped.
    if tokio::time::timeout(time, gw.conn_tasks.wait())
        .await
        .is_err()
    {
        conns.iter().for_each(|conn| conn.kill());
        let _ = tokio::time::timeout(Duration::from_millis(500), gw.conn_tasks.wait()).await;
    }
}
