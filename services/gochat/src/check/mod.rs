//! `gochat check`: drives load, kills the server, then proves that nothing acknowledged was
//! lost, doubled or reordered.
//!
//! Clients talk in single chats, groups and the world chat, leave and come back, and send again
//! what was not acknowledged under the same client id, now over the socket and now by HTTP.
//! They edit what they said and take some of it back (`changes`), and hold what they know of
//! messages by what they are pushed and caught up on, which must be the truth in the end. They answer
//! messages and name members (`references`), and delete messages for themselves (`deletions`).
//! Everything they are told is written down (`observe::Observed`); after the load every reader
//! pages through every conversation; `audit` compares the two. Some clients are the SDK, whose
//! timelines must come out complete by themselves. Beside the talk, groups of their own get
//! commands about members, roles and names, several at once, which half of them tell in their
//! timelines (`people`), and accounts of their own sign in and out, renew and lose their tokens
//! (`sessions`).
//!
//! A checker that can't fail proves nothing: `--plant` falsifies one observation before the
//! audit, and the run must then end with a violation.

mod audit;
mod audit_changes;
mod changes;
mod client;
mod cluster;
mod collect;
mod deletions;
mod disturbance;
mod load;
mod observe;
mod people;
mod plant;
mod references;
mod sdk;
mod server;
mod sessions;
mod socket;
mod system;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use crate::bench::{Result, tokens};
use crate::cli::{Failure, Outcome};
use cluster::ClusterArgs;
use load::{Control, Scene};
use plant::Plant;
use sessions::{Counts, Rules};
use system::System;

/// Violations that are printed in full.
const SHOWN: usize = 20;

/// Flags of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Running gateways of one system, separated by commas. Not with --spawn or --cluster.
    #[arg(long, default_value = "http://127.0.0.1:8080", value_delimiter = ',')]
    url: Vec<String>,
    /// Start a server of one's own in a temporary folder, and kill it at random moments.
    #[arg(long)]
    spawn: bool,
    /// With --spawn: how often to kill it.
    #[arg(long, default_value_t = 20)]
    kills: u32,
    /// Settings for servers of one's own; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Without --spawn and --cluster: how many seconds to drive load.
    #[arg(long, default_value_t = 10)]
    duration: u64,
    /// Clients.
    #[arg(long, default_value_t = 24)]
    clients: usize,
    /// Clients among them that are the SDK.
    #[arg(long, default_value_t = 4)]
    sdk_clients: usize,
    /// Groups, each with about half of the clients.
    #[arg(long, default_value_t = 4)]
    groups: usize,
    /// Groups at a time that get commands about members, roles, names and their end, up to five at
    /// once.
    #[arg(long, default_value_t = 6)]
    clubs: usize,
    /// Accounts whose sessions get commands: refreshes, ends, changed passwords, old tokens.
    #[arg(long, default_value_t = 3)]
    sessions: usize,
    /// Messages per second of each client.
    #[arg(long, default_value_t = 10.0)]
    rate: f64,
    /// Part of what plain clients do that changes a message: edits, recalls, reactions, pins.
    #[arg(long, default_value_t = 0.33)]
    changes: f64,
    /// Seconds after opening in which messages from before may be pushed after newer ones. Gateways do that for two seconds;
    /// on a busy machine frames wait in sockets.
    #[arg(long, default_value_t = 8.0)]
    settling: f64,
    /// Makes the run repeatable as far as the machine allows; default: a new one, printed.
    #[arg(long)]
    seed: Option<u64>,
    /// Falsify one observation: the run must then fail.
    #[arg(long, value_enum)]
    plant: Option<Plant>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

impl CheckArgs {
    /// Clients, of so many, that are not the SDK.
    const fn plain(&self, clients: usize) -> usize {
        clients.saturating_sub(self.sdk_clients)
    }
}

/// Runs the check; exit code 1 on a violation.
///
/// # Errors
/// When the server can't be started or reached.
pub async fn run(args: CheckArgs) -> Outcome {
    check(&args).await.map_err(|e| Failure::new(e.to_string()))
}

async fn check(args: &CheckArgs) -> Result<ExitCode> {
    let seed = args.seed.unwrap_or_else(rand::random);
    eprintln!("seed {seed}");
    let mut system = System::start(args).await?;
    let outcome = tokio::select! {
        outcome = examine(&mut system, args, seed) => outcome,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    // Whatever came of it, what was started here doesn't stay behind.
    let stopped = system.stop(matches!(outcome, Ok(true))).await;
    let clean = outcome?;
    stopped?;
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Load, faults, audit; prints the line of the run. `false`: rules were violated.
async fn examine(system: &mut System, args: &CheckArgs, seed: u64) -> Result<bool> {
    let started = Instant::now();
    let scene = Scene::build(system.urls(), args, seed).await?;
    let scene = Arc::new(scene);

    let control = Arc::new(Control::new(scene.users.len(), args.clubs + args.sessions));
    let tokens: Vec<_> = scene.users.iter().map(|user| user.tokens.clone()).collect();
    let apis = scene.gates.iter().map(|gate| gate.api.clone()).collect();
    let (renewed, _) = tokio::sync::mpsc::unbounded_channel();
    let _renewal = tokens::keep(apis, tokens, renewed);
    let clients = load::start(&scene, &control, args, seed);
    system.disturb(args, seed, &control).await?;
    eprintln!("load ends; waiting for what is still on its way");
    control.quiet.store(true, Ordering::Relaxed);
    let mut observed = load::finish(clients, &control).await?;
    eprintln!("reading everything back");
    collect::everything(&scene, &mut observed).await?;
    people::collect(&scene, &mut observed).await;
    let signed_out = scene.users.iter().filter(|user| user.tokens.is_refused());
    observed.signed_out = signed_out.map(|user| user.name.clone()).collect();
    observed.rules = Rules {
        late: sessions::late(args),
        disturbances: control.disturbances(),
        ..Rules::default()
    };
    if let Some(plant) = args.plant {
        plant::falsify(&mut observed, plant);
    }
    let violations = audit::audit(&observed);
    for violation in violations.iter().take(SHOWN) {
        eprintln!("VIOLATION {violation}");
    }
    let (late, skipped) = audit::late_and_skipped(&observed);
    let counts = Counts::of(&observed.histories);
    let told = observed.tales.iter().filter_map(|tale| tale.told.as_ref());
    let told: usize = told.map(Vec::len).sum();
    let (deleted, open_deletions, clears) = deletions::counts(&observed);
    let command: Vec<String> = std::env::args().skip(1).collect();
    let line = json!({
        "check": "messages", "command": format!("gochat {}", command.join(" ")), "seed": seed,
        "faults": system.faults(), "own_ends": system.own_ends(),
        "slowest_recovery_ms": system.slowest_recovery_ms(), "clients": args.clients,
        "conversations": scene.places.len(), "acknowledged": observed.acks.len(),
        "unacknowledged": observed.unknown.len(), "pushes": observed.pushed(),
        "changes": observed.changes.acks.len(), "changes_refused": observed.changes.refused.len(),
        "changes_unacknowledged": observed.changes.unknown.len(),
        "change_pushes": observed.connections.iter().map(|c| c.changes.len()).sum::<usize>(),
        "change_pages": observed.changes.pages, "references": observed.references.len(),
        "deletions": deleted, "deletions_unanswered": open_deletions, "clears": clears,
        "late_pushes": late, "push_gaps": skipped,
        "commands": observed.commands.done, "commands_refused": observed.commands.refused,
        "commands_not_run": observed.commands.not_run,
        "system_messages": told, "clubs_telling": observed.tales.len(),
        "commands_unanswered": observed.commands.unknown, "clubs": observed.crews.len(),
        "sign_ins": counts.sign_ins, "refreshes": counts.refreshes, "ends": counts.ends,
        "checks": counts.checks, "unanswered": counts.unknown,
        "reconnects": observed.connections.len(), "resent": observed.resent,
        "rows_read": observed.rows(), "seconds": started.elapsed().as_secs(),
        "violations": violations.len(), "first": violations.first(), "ok": violations.is_empty(),
    });
    println!("{line}");
    Ok(violations.is_empty())
}
