//! One task for the timers of all connections: pings, silence, expired tokens, writes that make no
//! progress, presence heartbeats.

use std::sync::Arc;
use std::time::Duration;

use gochat_core::session::machine::{self, Beat, CloseCode};
use tokio_util::sync::CancellationToken;

use super::conn::Conn;
use super::io::ping;
use super::table::SHARDS;
use crate::clock;
use crate::metrics as names;
use crate::presence::{self, Gone};
use crate::state::Gw;
use crate::typing;

/// Connections looked at before other work gets its turn.
const CHUNK: usize = 512;

/// Connections that are looked at every second; more of them take turns.
const PER_ROUND: usize = 4_096;
/// Most turns, so the most seconds between two looks at a connection. A look costs a few cache misses: a million of them
/// every second are a third of a core.
const TURNS_MAX: usize = 4;

/// Looks at every connection once in one to four seconds until the gateway stops.
pub(crate) async fn run(gw: Gw, stop: CancellationToken) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut heartbeats = tokio::task::JoinSet::new();
    for round in 0usize.. {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let (mut due, canary) = sweep(&gw, shards(round, turns(gw.table.len()))).await;
        see_off(&gw);
        typing::sweep(&gw);
        gw.recents.sweep();
        gw.groups.memory().sweep();
        names::queued_bytes(gw.backlog.bytes());
        while heartbeats.try_join_next().is_some() {}
        // One is asked about every second: when presence has lost everything, it shows here first. It is the one whose last
        // report is oldest: those that registered since the loss are known.
        if due.is_empty() {
            due.extend(canary);
        }
        // A slow im-repo must not pile up calls; what is left out now is due again a minute later.
        if !due.is_empty() && heartbeats.is_empty() {
            heartbeats.spawn(presence::heartbeat(gw.clone(), due));
        }
    }
}

/// Turns that so many connections take.
fn turns(connections: usize) -> usize {
    connections.div_ceil(PER_ROUND).clamp(1, TURNS_MAX)
}

/// The part of the table whose turn it is.
fn shards(round: usize, turns: usize) -> impl Iterator<Item = usize> {
    (round % turns..SHARDS).step_by(turns)
}

/// One round; gives the connections presence should hear of, and of the others the one whose last report is oldest.
async fn sweep(
    gw: &Gw,
    shards: impl Iterator<Item = usize>,
) -> (Vec<Arc<Conn>>, Option<Arc<Conn>>) {
    let (mut due, mut canary) = (Vec::new(), None::<Arc<Conn>>);
    let mut conns = Vec::new();
    let ping = ping();
    for shard in shards {
        gw.table.snapshot(shard, &mut conns);
        let (now_s, unix_s) = (clock::ticks_s(), clock::now_s());
        for (i, conn) in conns.drain(..).enumerate() {
            look_at(gw, &conn, now_s, unix_s, &ping);
            if conn.take_report(now_s, gw.config.presence.heartbeat_s) {
                due.push(conn);
            } else if conn.socket().is_some()
                && canary
                    .as_ref()
                    .is_none_or(|c| conn.reported_s() < c.reported_s())
            {
                canary = Some(conn);
            }
            if i % CHUNK == CHUNK - 1 {
                tokio::task::yield_now().await;
            }
        }
    }
    (due, canary)
}

/// Drops those who don't answer a goodbye.
fn see_off(gw: &Gw) {
    let now_s = clock::ticks_s();
    gw.closing.lock().retain(|conn| {
        // The task has ended and the socket is closed.
        let Some(conn) = conn.upgrade() else {
            return false;
        };
        conn.enforce_deadlines(now_s, gw.config.websocket.write_timeout_s);
        !conn.is_dead()
    });
}

fn look_at(gw: &Gw, conn: &Arc<Conn>, now_s: u32, unix_s: i64, ping: &bytes::Bytes) {
    if conn.socket().is_none() {
        // Still shaking hands: the handshake has a deadline of its own.
        return;
    }
    if conn.enforce_deadlines(now_s, gw.config.websocket.write_timeout_s) {
        names::count(names::WS_CLOSED, "reason", "slow");
        return;
    }
    if conn.expires_at() <= unix_s {
        return gw.close(conn, CloseCode::TokenExpired, "expired");
    }
    // A trickle is a sign of life, and no reason to keep half a message for ever.
    if conn.partial_for_s(now_s) >= gw.config.websocket.message_timeout_s {
        return gw.close(conn, CloseCode::Policy, "partial");
    }
    match machine::beat(&gw.ws_rules, now_s, conn.heard_s(), conn.pinged_s()) {
        Beat::Wait => {}
        Beat::Ping => {
            conn.set_pinged_s(now_s);
            gw.send(conn, ping);
        }
        Beat::Dead => {
            conn.set_gone(Gone::Timeout);
            gw.close(conn, CloseCode::HeartbeatTimeout, "timeout");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_connections_are_looked_at_every_second_and_many_in_turns() {
        assert_eq!([0, 1, 4_096, 4_097, 1 << 20].map(turns), [1, 1, 1, 2, 4]);
        for turns in 1..=TURNS_MAX {
            let mut seen: Vec<_> = (7..7 + turns)
                .flat_map(|round| shards(round, turns))
                .collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..SHARDS).collect::<Vec<_>>());
        }
    }
}
