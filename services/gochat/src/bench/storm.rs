//! `bench reconnect`: everybody comes back at once.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::Result;
use super::api::Api;
use super::args::StormArgs;
use super::hold;
use super::procfs;
use super::report::{self, round};
use super::swarm::{self, Swarm};

pub(super) async fn run(args: StormArgs) -> Result<ExitCode> {
    let target = &args.target;
    let (plan, users) = hold::plan(target, args.connections, args.per_user).await?;
    let workers = swarm::processes(target.processes, args.connections);
    let mut swarm = Swarm::start(swarm::split(plan, workers)).await?;
    swarm.keep_tokens(&Api::new(&target.url), &users);
    // The first time the server meets these users is not a reconnect.
    let mut failed = swarm.connect(args.connections).await?.failed;
    let before = procfs::usage(&target.server_pid);
    let mut rounds = Vec::new();
    for round_number in 1..=args.rounds.max(1) {
        swarm.disconnect().await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let storm = swarm.connect(args.connections).await?;
        failed += storm.failed;
        eprintln!(
            "round {round_number}: {} back in {:.2} s",
            storm.open, storm.seconds
        );
        rounds.push(json!({
            "open": storm.open, "failed": storm.failed, "retried": storm.retried,
            "seconds": round(storm.seconds),
            "handshakes_per_second": round(storm.open as f64 / storm.seconds.max(1e-6)),
            "handshake_ms": storm.latency.summary(),
        }));
    }
    let after = procfs::usage(&target.server_pid);
    let total = swarm.finish().await?;
    let body = json!({
        "rounds": rounds,
        "server": procfs::compare(before, after),
        "generator": { "workers": workers, "cpu_seconds": round(total.done.cpu) },
    });
    Ok(report::print("reconnect", &args, failed as u64, body))
}
