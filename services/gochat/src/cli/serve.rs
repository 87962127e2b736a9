//! `gochat serve`: everything in one process.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{ConfigArgs, Failure, Outcome, runtime};
use crate::config::Config;
use crate::embedded::{self, Running};
use crate::telemetry;

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
    telemetry::init_logs(&config.log).map_err(Failure::new)?;
    let metrics = telemetry::init_metrics().map_err(Failure::new)?;
    runtime()?.block_on(async {
        let _metrics = telemetry::serve_metrics(metrics, config.metrics_listen.as_deref())
            .await
            .map_err(Failure::new)?;
        let mut running = embedded::start(config.clone())
            .await
            .map_err(|e| Failure::new(e.to_string()))?;
        greet(&running, &config);
        tokio::select! {
            signal = wait_for_signal() => tracing::info!(signal = signal?, "stopping"),
            error = running.failed() => return Err(Failure::new(error.to_string())),
        }
        stop(running).await
    })
}

async fn wait_for_signal() -> Result<&'static str, Failure> {
    let cant = |e: std::io::Error| Failure::new(format!("can't listen for signals: {e}"));
    let mut term = signal(SignalKind::terminate()).map_err(cant)?;
    let mut int = signal(SignalKind::interrupt()).map_err(cant)?;
    Ok(tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    })
}

/// Stops in order; a second signal or the deadline ends the wait.
async fn stop(running: Running) -> Outcome {
    tokio::select! {
        outcome = running.stop() => match outcome {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(e) => Err(Failure::new(format!("did not stop cleanly: {e}"))),
        },
        second = wait_for_signal() => Err(Failure::new(format!("stopped at once by a second {}", second?))),
        () = tokio::time::sleep(STOP_DEADLINE) => Err(Failure::new("did not stop within 10 s")),
    }
}

/// Says where it listens and what to try. On stdout: this is the answer to the command.
fn greet(running: &Running, config: &Config) {
    let url = format!("http://{}", running.addr());
    println!(
        "GoChat {} is ready.\n\
         \n  chat page   {url}/\
         \n  API         {url}/api        docs {url}/api/docs\
         \n  WebSocket   ws://{}/ws?token=<accessToken>\
         \n  data        {}\
         \n\nTry:\n  curl -s -X POST {url}/api/auth/guest\
         \n\nCtrl-C stops it; nothing acknowledged is lost.",
        env!("CARGO_PKG_VERSION"),
        running.addr(),
        config.data_dir.display(),
    );
}
