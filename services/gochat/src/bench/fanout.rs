//! `bench fanout`: one world-chat message to every connection.

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Result;
use super::api::Api;
use super::args::FanoutArgs;
use super::hold;
use super::pipeline::{micros, violations};
use super::plan::{Order, Word};
use super::procfs;
use super::report::{self, round};
use super::swarm::{self, Swarm};
use super::worker::now_micros;

pub(super) async fn run(args: FanoutArgs) -> Result<ExitCode> {
    let target = &args.target;
    let (mut plan, users) = hold::plan(target, args.connections, args.per_user).await?;
    (plan.rate, plan.size) = (args.rate, args.size);
    let workers = swarm::processes(target.processes, args.connections);
    let mut swarm = Swarm::start(swarm::split(plan, workers)).await?;
    swarm.keep_tokens(&Api::new(&target.url), &users);
    let connected = swarm.connect(args.connections).await?;
    if connected.failed > 0 {
        return Err(format!("{} connections failed", connected.failed).into());
    }
    let receivers = args.connections as u64 - 1;
    let before = procfs::usage(&target.server_pid);
    let seconds = if args.rate > 0.0 {
        timetable(&mut swarm, &args).await?
    } else {
        back_to_back(&mut swarm, &args).await?
    };
    let after = procfs::usage(&target.server_pid);
    let total = swarm.finish().await?;

    let counts = &total.done.counts;
    let per_second = total.done.delivered_measured as f64 / seconds;
    let server_cpu = before.zip(after).map(|(b, a)| a.cpu - b.cpu);
    let bare = if args.bare {
        Some(super::bare::measure(args.connections, args.size).await?)
    } else {
        None
    };
    let body = json!({
        "deliveries_per_second": round(per_second),
        "messages_per_second": round(per_second / receivers.max(1) as f64),
        "delivery_ms": total.delivery.summary(),
        "ack_ms": total.ack.summary(),
        "server_cpu_us_per_delivery":
            server_cpu.map(|cpu| round(cpu * 1e6 / counts.delivered.max(1) as f64)),
        "bare_writes_per_second": bare.map(round),
        "ratio_to_bare": bare.map(|bare| round(per_second / bare)),
        "counts": counts,
        "undelivered": (counts.acked * receivers).saturating_sub(counts.delivered),
        "server": procfs::compare(before, after),
        "generator": report::generator(&total, workers, seconds, args.rate),
    });
    Ok(report::print(
        "fanout",
        &args,
        violations(counts, receivers),
        body,
    ))
}

/// Messages at a fixed rate; gives the measured seconds.
async fn timetable(swarm: &mut Swarm, args: &FanoutArgs) -> Result<f64> {
    let start = now_micros() + 300_000;
    let measure = start + micros(args.warmup);
    let end = measure + micros(args.duration);
    swarm
        .tell_all(&Order::Go {
            start,
            measure,
            end,
        })
        .await?;
    swarm
        .watch(args.warmup + args.duration + Duration::from_secs(3))
        .await?;
    Ok(args.duration.as_secs_f64())
}

/// The next message as soon as an earlier one has reached everybody; gives the measured seconds.
async fn back_to_back(swarm: &mut Swarm, args: &FanoutArgs) -> Result<f64> {
    let measure = now_micros() + micros(args.warmup);
    let end = measure + micros(args.duration);
    swarm
        .tell_all(&Order::Go {
            start: measure,
            measure,
            end,
        })
        .await?;
    let begun = Instant::now();
    let until = args.warmup + args.duration;
    let (mut reached, mut flying) = (HashMap::<u64, usize>::new(), 0usize);
    let (mut shown, mut rounds) = (Instant::now(), 0u64);
    while flying > 0 || begun.elapsed() < until {
        while flying < args.in_flight.max(1) && begun.elapsed() < until {
            swarm.tell_first(&Order::Send).await?;
            flying += 1;
        }
        let word = tokio::time::timeout(Duration::from_secs(30), swarm.next()).await;
        let Ok(word) = word else {
            eprintln!("a message did not reach everybody within 30 s");
            break;
        };
        if let (_, Word::Reached { number }) = word? {
            let workers = reached.entry(number).or_default();
            *workers += 1;
            if *workers == swarm.len() {
                reached.remove(&number);
                flying -= 1;
                rounds += 1;
            }
        }
        if shown.elapsed() > Duration::from_secs(1) {
            shown = Instant::now();
            eprintln!("{rounds} messages have reached everybody");
        }
    }
    Ok(args.duration.as_secs_f64())
}
