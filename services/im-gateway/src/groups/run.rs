//! Writing pushes to connections.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use gochat_infra::telemetry::Span;
use tokio_util::sync::CancellationToken;

use super::{Item, Push, Queue};
use crate::metrics as names;
use crate::state::Gw;
use crate::ws::conn::{Conn, Sent};
use crate::ws::newest::Spot;

/// Pushes taken from the queue at a time.
const TAKE: usize = 128;
/// Messages merged into one write.
const MERGE: usize = 64;
/// Bytes merged into one write.
const MERGE_BYTES: usize = 64 << 10;
/// Users looked up, and sockets written, before other work gets its turn.
const CHUNK: usize = 128;

/// Writes pushes until the gateway stops.
pub(crate) async fn run(gw: Gw, mut queue: Queue, stop: CancellationToken) {
    let mut batch: Vec<Item> = Vec::new();
    loop {
        let n = tokio::select! {
            () = stop.cancelled() => return,
            n = queue.recv_many(&mut batch, TAKE) => n,
        };
        if n == 0 {
            return;
        }
        while !batch.is_empty() {
            let (pushes, spans) = take_run(&mut batch);
            spread(&gw, &pushes).await;
            gw.groups.written(&pushes);
            spans.into_iter().for_each(Span::end);
        }
    }
}

/// Takes the first push and those that can be written with it: of the same group, for the same
/// members. A signal is written alone, behind what came before it and before what came after.
fn take_run(batch: &mut Vec<Item>) -> (Vec<Push>, Vec<Span>) {
    let (mut run, mut spans): (Vec<Push>, Vec<Span>) = (Vec::new(), Vec::new());
    let (mut rest, mut bytes, mut is_closed) = (Vec::new(), 0, false);
    for (push, span) in batch.drain(..) {
        let fits = match run.first() {
            None => true,
            Some(first) => {
                let is_same = !is_closed && !first.is_signal() && first.goes_with(&push);
                is_same && run.len() < MERGE && bytes + push.frame.len() <= MERGE_BYTES
            }
        };
        if fits {
            bytes += push.frame.len();
            run.push(push);
            spans.extend(span);
            continue;
        }
        let is_of_group = |first: &Push| first.about.conversation == push.about.conversation;
        is_closed |= push.is_signal() || run.first().is_some_and(is_of_group);
        rest.push((push, span));
    }
    *batch = rest;
    (run, spans)
}

/// The frames of a run as one.
fn merged(run: &[Push]) -> Bytes {
    if let [single] = run {
        return single.frame.clone();
    }
    let mut all = BytesMut::with_capacity(run.iter().map(|push| push.frame.len()).sum());
    run.iter()
        .for_each(|push| all.extend_from_slice(&push.frame));
    all.freeze()
}

/// Writes a run to every connection of its audience.
async fn spread(gw: &Gw, run: &[Push]) {
    let Some(first) = run.first() else { return };
    {
        let mut memory = gw.groups.memory();
        run.iter()
            .filter(|push| !push.again)
            .for_each(|push| memory.keep(push));
    }
    let all = merged(run);
    // The newest message of the run; changes have no place in the order of messages.
    let messages = run.iter().filter(|push| push.about.message >= 0);
    let newest = messages.max_by_key(|push| push.about.seq);
    let spot = newest.map_or(Spot::NONE, |push| push.about.spot(false));
    let mut conns = Vec::new();
    let mut delivered = 0;
    for users in first.audience.users().chunks(CHUNK) {
        for user in users {
            gw.table
                .with_user(*user, |found| conns.extend_from_slice(found));
        }
        for conn in conns.drain(..) {
            let is_for_all = |push: &Push| push.skip != conn.id() && !push.again;
            let (sent, count) = if run.iter().all(is_for_all) {
                (conn.send_message(&all, gw.queue, spot), run.len())
            } else {
                send_parts(gw, run, &conn)
            };
            match sent {
                Sent::Accepted => delivered += count,
                Sent::Overflow => gw.note_overflow(&conn),
                Sent::Closed => {}
            }
        }
        tokio::task::yield_now().await;
    }
    names::add(names::DELIVERED, delivered);
    // Signals carry no number.
    if first.about.message > 0 && !first.again {
        names::fanned_out(names::FANOUT, first.about.message);
    }
}

/// Writes the frames of a run one by one, without what came from the connection or was given to it.
fn send_parts(gw: &Gw, run: &[Push], conn: &Arc<Conn>) -> (Sent, usize) {
    let (mut sent, mut count) = (Sent::Accepted, 0);
    for push in run.iter().filter(|push| push.skip != conn.id()) {
        let message = push.about.message;
        if push.again && gw.had(conn.user(), message) {
            continue;
        }
        let spot = push.about.spot(push.again);
        sent = conn.send_message(&push.frame, gw.queue, spot);
        if sent != Sent::Accepted {
            break;
        }
        count += 1;
    }
    (sent, count)
}

#[cfg(test)]
mod tests {
    use gochat_core::audience::Roster;
    use gochat_core::ids::UserId;

    use super::*;
    use crate::recents::About;

    fn item(conversation: u64, seq: i64, members: &[u64]) -> Item {
        let roster = Roster::loaded(members.iter().filter_map(|n| UserId::new(*n)));
        let push = Push {
            about: About {
                message: seq,
                seq,
                conversation,
            },
            again: false,
            frame: Bytes::from(seq.to_string()),
            skip: 0,
            audience: Arc::new(roster.everyone()),
        };
        (push, None)
    }

    fn runs(mut batch: Vec<Item>) -> Vec<Vec<i64>> {
        let mut runs = Vec::new();
        while !batch.is_empty() {
            let (run, _) = take_run(&mut batch);
            runs.push(run.iter().map(|push| push.about.seq).collect());
        }
        runs
    }

    #[test]
    fn messages_of_a_group_are_merged_and_stay_in_order() {
        let batch = vec![
            item(1, 1, &[1, 2]),
            item(2, 7, &[1]),
            item(1, 2, &[1, 2]),
            // A member was removed: whoever is left gets it apart.
            item(1, 3, &[1]),
            item(1, 4, &[1, 2]),
            item(2, 8, &[1]),
        ];
        let expected: [&[i64]; 4] = [&[1, 2], &[7, 8], &[3], &[4]];
        assert_eq!(runs(batch), expected);
    }

    #[test]
    fn a_signal_stays_between_what_came_before_and_after() {
        let batch = vec![
            item(1, 1, &[1]),
            item(0, 5, &[1]),
            item(1, 2, &[1]),
            item(0, 6, &[1]),
        ];
        assert_eq!(runs(batch), [[1], [5], [2], [6]]);
    }

    #[test]
    fn runs_are_bounded() {
        let batch: Vec<_> = (0..MERGE as i64 + 3).map(|n| item(1, n, &[1])).collect();
        let lengths: Vec<_> = runs(batch).iter().map(Vec::len).collect();
        assert_eq!(lengths, [MERGE, 3]);
        let big = Bytes::from(vec![0; MERGE_BYTES / 2 + 1]);
        let batch = (0..3).map(|n| {
            let (push, span) = item(1, n, &[1]);
            let frame = big.clone();
            (Push { frame, ..push }, span)
        });
        assert_eq!(runs(batch.collect()), [[0], [1], [2]]);
        let (run, _) = take_run(&mut vec![item(1, 1, &[1]), item(1, 2, &[1])]);
        assert_eq!(&merged(&run)[..], b"12");
    }
}
