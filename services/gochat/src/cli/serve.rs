//! `gochat serve`: everything in one process.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use gochat_infra::embedded::disk::DiskGuard;
use gochat_infra::shell::{
    Admin, Exporter, Health, LogOutput, Metrics, Need, health, init_logs, shutdown_on_signals,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{ConfigArgs, Failure, Outcome, runtime};
use crate::config::Config;
use crate::embedded::{self, Running};

/// How long a stop may take before the process gives up waiting.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// Flags of `serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print every setting with its value as JSON (secrets left out) and exit.
    #[arg(long)]
    dump_config: bool,
}

/// Serves until SIGTERM or SIGINT.
pub(super) fn run(args: ServeArgs) -> Outcome {
    let config = args.config.load()?;
    if args.dump_config {
        println!("{}", config.to_json());
        return Ok(ExitCode::SUCCESS);
    }
    // Logs go to stderr, so that stdout stays for answers.
    init_logs("gochat", &config.log, LogOutput::Stderr, Vec::new()).map_err(Failure::new)?;
    config
        .warnings
        .iter()
        .for_each(|what| tracing::warn!("{what}"));
    let metrics = Metrics::install("gochat").map_err(Failure::new)?;
    runtime()?.block_on(async {
        let shutdown = shutdown_on_signals()
            .map_err(|e| Failure::new(format!("can't listen for signals: {e}")))?;
        let (mut tasks, health) = serve_metrics(metrics, config.metrics_listen.as_deref()).await?;
        let traces = Exporter::start("gochat", &config.telemetry).map_err(Failure::new)?;
        let mut running = embedded::start(config.clone())
            .await
            .map_err(|e| Failure::new(e.to_string()))?;
        tasks.spawn(follow_disk(running.disk(), health));
        greet(&running, &config);
        let outcome = tokio::select! {
            () = shutdown.cancelled() => stop(running).await,
            error = running.failed() => Err(Failure::new(error.to_string())),
        };
        if let Some(traces) = traces {
            traces.stop().await;
        }
        outcome
    })
}

/// Serves `/metrics` on its own address; `None` = off. Runs until the set is dropped.
async fn serve_metrics(
    metrics: Metrics,
    listen: Option<&str>,
) -> Result<(JoinSet<()>, Health), Failure> {
    let mut tasks = JoinSet::new();
    let health = Health::new("gochat");
    metrics.spawn_upkeep(&mut tasks);
    if let Some(listen) = listen {
        let admin = Admin::bind(listen)
            .await
            .map_err(|e| Failure::new(format!("metrics_listen: {e}")))?;
        health.set_started();
        let routes = health::router(health.clone(), Some(metrics));
        tasks.spawn(async move {
            if let Err(error) = admin.run(routes, CancellationToken::new()).await {
                tracing::error!(error, "the metrics listener ended");
            }
        });
    }
    Ok((tasks, health))
}

/// Says on `/ready` of the metrics address whether the disk has room.
async fn follow_disk(disk: DiskGuard, health: Health) {
    let known = health.depend("disk", Need::Required(Duration::ZERO));
    loop {
        match disk.check() {
            Ok(()) => known.up(),
            Err(error) => known.down(error.message),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Stops in order; the deadline ends the wait.
async fn stop(running: Running) -> Outcome {
    match tokio::time::timeout(STOP_DEADLINE, running.stop()).await {
        Ok(Ok(())) => Ok(ExitCode::SUCCESS),
        Ok(Err(e)) => Err(Failure::new(format!("did not stop cleanly: {e}"))),
        Err(_) => Err(Failure::new("did not stop within 10 s")),
    }
}

/// Says where it listens and what to try. On stdout: this is the answer to the command.
fn greet(running: &Running, config: &Config) {
    let (http, ws) = if config.gateway.tls.is_on() {
        ("https", "wss")
    } else {
        ("http", "ws")
    };
    let url = format!("{http}://{}", running.addr());
    let greeting = format!(
        "GoChat {} is ready.\n\
         \n  chat page   {url}/\
         \n  API         {url}/api        docs {url}/api/docs\
         \n  WebSocket   {ws}://{}/ws?token=<accessToken>\
         \n  data        {}\
         \n\nTry:\n  curl -s -X POST {url}/api/auth/guest\
         \n\nCtrl-C stops it; nothing acknowledged is lost.\n",
        env!("CARGO_PKG_VERSION"),
        running.addr(),
        config.data_dir.display(),
    );
    // Nobody has to read it: a closed pipe must not end the server.
    let mut stdout = std::io::stdout();
    let written = stdout.write_all(greeting.as_bytes());
    if let Err(error) = written.and_then(|()| stdout.flush()) {
        tracing::debug!(%error, "the greeting was not read");
    }
}
