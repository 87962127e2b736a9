//! `bench pipeline`: messages per second and latency, end to end.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Result;
use super::api::{Account, Api};
use super::args::PipelineArgs;
use super::plan::{Lane, Order, Plan};
use super::procfs;
use super::readback::{ReadBack, Seen};
use super::report::{self, round};
use super::swarm::{self, Swarm};
use super::worker::now_micros;
use super::{seed, stats::Counts};

/// How long the last messages may take after the end of the timetable.
const GRACE: Duration = Duration::from_secs(5);
/// Time for all workers to be told before the timetable begins.
const LEAD: Duration = Duration::from_millis(300);

/// Who talks to whom.
struct Cast {
    /// One connection each; senders first.
    users: Vec<Account>,
    lanes: Vec<Lane>,
    /// Deliveries per message.
    receivers: u64,
}

pub(super) async fn run(args: PipelineArgs) -> Result<ExitCode> {
    let api = Api::new(&args.target.url);
    let run = seed::run_id();
    let cast = if args.groups > 0 {
        groups(&api, run, args.groups, args.group_size).await?
    } else {
        pairs(
            &api,
            run,
            args.pairs,
            args.conversations.unwrap_or(args.pairs),
        )
        .await?
    };
    let reader = match args.read_back > 0.0 {
        true => Some(ReadBack::prepare(&api, run).await?),
        false => None,
    };
    let receivers = cast.receivers;
    let connections = cast.users.len();
    seed::freshen(&api, &cast.users).await;
    let plan = Plan {
        run,
        lanes: cast.lanes,
        rate: args.rate,
        window: if args.rate > 0.0 {
            0
        } else {
            args.window.max(1)
        },
        size: args.size,
        edit_every: args.edit_every,
        ..seed::connecting(&args.target, &cast.users, 1, connections)?
    };
    let workers = swarm::processes(args.target.processes, connections);
    let mut swarm = Swarm::start(swarm::split(plan, workers)).await?;
    swarm.keep_tokens(&api, &cast.users);
    let connected = swarm.connect(connections).await?;
    if connected.failed > 0 {
        return Err(format!("{} connections failed", connected.failed).into());
    }

    let before = procfs::usage(&args.target.server_pid);
    let (warmup, duration) = (args.warmup, args.duration);
    let start = now_micros() + micros(LEAD);
    let measure = start + micros(warmup);
    let end = measure + micros(duration);
    swarm
        .tell_all(&Order::Go {
            start,
            measure,
            end,
        })
        .await?;
    let (rate, first) = (args.read_back, Instant::now() + LEAD + warmup);
    let reading = reader.map(|reader| tokio::spawn(reader.run(rate, first, duration)));
    swarm.watch(LEAD + warmup + duration).await?;
    let after = procfs::usage(&args.target.server_pid);
    swarm.watch(GRACE).await?;
    let total = swarm.finish().await?;

    let seen = match reading {
        Some(reading) => Some(reading.await??),
        None => None,
    };

    let counts = &total.done.counts;
    let seconds = duration.as_secs_f64();
    let body = json!({
        "acked_per_second": round(total.done.acked_measured as f64 / seconds),
        "delivered_per_second": round(total.done.delivered_measured as f64 / seconds),
        "ack_ms": total.ack.summary(),
        "delivery_ms": total.delivery.summary(),
        "read_back": seen.as_ref().map(Seen::body),
        "counts": counts,
        "unacknowledged_edits": counts.edits.saturating_sub(counts.edits_acked),
        "unacknowledged": counts.sent.saturating_sub(counts.acked),
        "undelivered": (counts.acked * receivers).saturating_sub(counts.delivered),
        "server": procfs::compare(before, after),
        "generator": report::generator(&total, workers, (warmup + duration).as_secs_f64(), args.rate),
    });
    Ok(report::print(
        "pipeline",
        &args,
        violations(counts, receivers) + seen.as_ref().map_or(0, Seen::missed),
        body,
    ))
}

/// What must be zero on a server that was not killed: disorder, gaps and losses.
pub(super) const fn violations(counts: &Counts, receivers: u64) -> u64 {
    counts.violations()
        + counts.closed
        + counts.edits.saturating_sub(counts.edits_acked)
        + (counts.acked * receivers).saturating_sub(counts.delivered)
        + counts.sent.saturating_sub(counts.acked + counts.errors)
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Sender `i` and receiver `i` are neighbours, so that a worker holds both.
async fn pairs(api: &Api, run: u64, pairs: usize, conversations: usize) -> Result<Cast> {
    let pairs = pairs.max(1);
    let conversations = conversations.clamp(1, pairs * pairs);
    let senders = Arc::new(seed::members(api, run, pairs).await?);
    let receivers = Arc::new(seed::guests(api, pairs).await?);
    let ids = seed::chats(api, &senders, &receivers, conversations).await?;
    let lanes = ids.into_iter().enumerate().map(|(c, conversation)| {
        let (sender, _) = seed::pair(c, pairs, pairs);
        Ok(Lane {
            index: u32::try_from(c)?,
            conversation,
            connection: 2 * sender,
        })
    });
    let users = senders
        .iter()
        .zip(receivers.iter())
        .flat_map(|(s, r)| [s.clone(), r.clone()]);
    Ok(Cast {
        users: users.collect(),
        lanes: lanes.collect::<Result<_>>()?,
        receivers: 1,
    })
}

async fn groups(api: &Api, run: u64, groups: usize, size: usize) -> Result<Cast> {
    let others = size.max(2) - 1;
    let owners = seed::members(api, run, groups).await?;
    // Guests may not be in groups. Every group needs members of its own, each with one connection.
    let members = seed::members(api, run + (1 << 40), groups * others).await?;
    let (mut users, mut lanes) = (Vec::new(), Vec::new());
    for (index, (owner, members)) in owners.iter().zip(members.chunks(others)).enumerate() {
        let name = format!("bench {run:x} {index}");
        let conversation = seed::group(api, name, owner, members).await?;
        lanes.push(Lane {
            index: u32::try_from(index)?,
            conversation,
            connection: users.len(),
        });
        users.push(owner.clone());
        users.extend_from_slice(members);
    }
    Ok(Cast {
        users,
        lanes,
        receivers: others as u64,
    })
}
