//! `bench connections`: idle connections and what each costs the server.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::Result;
use super::api::{Account, Api};
use super::args::HoldArgs;
use super::plan::{Lane, Order, Plan, Word};
use super::procfs::{self, Usage};
use super::report::{self, round};
use super::swarm::{self, Swarm};
use super::{args::Target, seed};

/// How long memory may settle before it is measured.
const SETTLE: Duration = Duration::from_secs(2);

/// How long a message may take to get everywhere.
const REACH: Duration = Duration::from_secs(120);

/// A plan that only connects; its first connection may send to the world chat.
pub(super) async fn plan(
    target: &Target,
    n: usize,
    per_user: usize,
) -> Result<(Plan, Vec<Account>)> {
    let api = Api::new(&target.url);
    let users = seed::guests(&api, n.div_ceil(per_user.max(1))).await?;
    // Making many of them takes its time.
    seed::freshen(&api, &users).await;
    let plan = Plan {
        run: seed::run_id(),
        lanes: vec![Lane {
            index: 0,
            conversation: "world".into(),
            connection: 0,
        }],
        size: 200,
        one_conversation: true,
        ..seed::connecting(target, &users, per_user, n)?
    };
    Ok((plan, users))
}

pub(super) async fn run(args: HoldArgs) -> Result<ExitCode> {
    let target = &args.target;
    let pids = &target.server_pid;
    let (plan, users) = plan(target, args.connections, args.per_user).await?;
    let workers = swarm::processes(target.processes, args.connections);
    let mut swarm = Swarm::start(swarm::split(plan, workers)).await?;
    swarm.keep_tokens(&Api::new(&target.url), &users);
    let before = procfs::usage(pids);

    let first = args.first.min(args.connections);
    eprintln!("connecting {first} of {}", args.connections);
    let warm = swarm.connect(first).await?;
    tokio::time::sleep(SETTLE).await;
    let low = procfs::usage(pids);
    eprintln!("connecting the rest");
    let rest = swarm.connect(args.connections - first).await?;
    tokio::time::sleep(SETTLE).await;
    let high = procfs::usage(pids);
    tokio::time::sleep(args.duration).await;
    let after = procfs::usage(pids);

    let open = warm.open + rest.open;
    let after_ms = if args.reach {
        reach(&mut swarm).await?
    } else {
        None
    };
    let total = swarm.finish().await?;
    let closed = total.done.counts.closed;
    // The sender gets an acknowledgement instead.
    let reached = total.done.counts.delivered + total.done.counts.acked;
    let unreached = if args.reach {
        (open as u64).saturating_sub(reached)
    } else {
        0
    };
    let missing = args.connections as u64 - open as u64 + closed.max(unreached);
    let body = json!({
        "open": open, "failed": warm.failed + rest.failed, "closed_early": closed,
        "connect_seconds": round(warm.seconds + rest.seconds),
        "handshake_ms": rest.latency.summary(),
        "per_connection": slope(low, high, rest.open),
        "server": procfs::compare(before, after),
        "idle_cpu_seconds": cpu_between(high, after),
        "reached": args.reach.then_some(reached), "reached_all_after_ms": after_ms,
    });
    Ok(report::print("connections", &args, missing, body))
}

/// Sends one message and waits until every worker has seen it everywhere; milliseconds. `None` when it did not get
/// everywhere in time: the counters tell how far it came.
async fn reach(swarm: &mut Swarm) -> Result<Option<f64>> {
    eprintln!("sending one message to all");
    let started = std::time::Instant::now();
    swarm.tell_first(&Order::Send).await?;
    let mut left = swarm.len();
    while left > 0 {
        if let (_, Word::Reached { .. }) = swarm.next().await? {
            left -= 1;
        }
        if started.elapsed() > REACH {
            eprintln!("it did not reach everybody within {} s", REACH.as_secs());
            return Ok(None);
        }
    }
    Ok(Some(round(started.elapsed().as_secs_f64() * 1000.0)))
}

/// Bytes of server memory per connection between the two measurements.
fn slope(low: Option<Usage>, high: Option<Usage>, connections: usize) -> Value {
    let (Some(low), Some(high)) = (low, high) else {
        return Value::Null;
    };
    if connections == 0 {
        return Value::Null;
    }
    let per = |low: u64, high: u64| round((high as f64 - low as f64) / connections as f64);
    json!({ "rss_bytes": per(low.rss, high.rss), "pss_bytes": per(low.pss, high.pss) })
}

fn cpu_between(before: Option<Usage>, after: Option<Usage>) -> Option<f64> {
    Some(round(after?.cpu - before?.cpu))
}
