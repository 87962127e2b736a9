//! From the command line to a running service, and to an exit code.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::args::{self, Flags};
use super::connect::{self, LateEtcd};
use super::live;
use super::process::Process;
use super::program::Program;
use super::source::{Source, dump};
use crate::port::coord::ConfigCenter;
use crate::rpc::Breakers;
use crate::shell::{
    ConfigError, EXIT_SETTINGS, Exporter, Failed, Health, LogOutput, Logs, Metrics, Need, Probe,
    TelemetryConfig, because, init_logs, shutdown_on_signals,
};
use crate::telemetry;

/// Why the process ends badly.
enum Exit {
    Settings(ConfigError),
    Failed(Failed),
}

impl From<ConfigError> for Exit {
    fn from(error: ConfigError) -> Self {
        Self::Settings(error)
    }
}

impl From<Failed> for Exit {
    fn from(error: Failed) -> Self {
        Self::Failed(error)
    }
}

/// Runs a service as a process: the whole `main` of its binary.
///
/// Exit codes: 0 = stopped as told, 1 = could not start, go on or stop cleanly, 64 = settings that can't be used.
pub fn main<P: Program>() -> ExitCode {
    crate::shell::raise_file_limit();
    crate::shell::use_small_pages();
    let flags = args::parse::<P>();
    match run::<P>(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Exit::Settings(error)) => {
            eprintln!("{}: {error}", P::NAME);
            ExitCode::from(EXIT_SETTINGS)
        }
        Err(Exit::Failed(error)) => {
            tracing::error!(%error, "ended");
            eprintln!("{}: {error}", P::NAME);
            ExitCode::FAILURE
        }
    }
}

fn run<P: Program>(flags: &Flags) -> Result<(), Exit> {
    let source = Source::read::<P>(flags, std::env::vars().collect());
    let settings = source.settings::<P>()?;
    if flags.dump_config {
        println!("{}", dump::<P>(&settings));
        return Ok(());
    }
    let ignored = source.warnings();
    if flags.check_config {
        ignored
            .iter()
            .for_each(|what| eprintln!("{}: {what}", P::NAME));
        println!("{}: the settings can be used", P::NAME);
        return Ok(());
    }
    let logs = init_logs(P::NAME, &settings.shared.log, LogOutput::Stdout, Vec::new())
        .map_err(ConfigError::one)?;
    ignored.iter().for_each(|what| tracing::warn!("{what}"));
    let metrics = Metrics::install(P::NAME).map_err(because("start"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(because("runtime"))?;
    runtime.block_on(start::<P>(source, logs, metrics))?;
    // What is still asked of a server that doesn't answer must not hold up the end.
    runtime.shutdown_timeout(Duration::from_millis(200));
    Ok(())
}

async fn start<P: Program>(source: Source, logs: Logs, metrics: Metrics) -> Result<(), Exit> {
    let shutdown = shutdown_on_signals().map_err(because("signals"))?;
    let mut background = JoinSet::new();
    metrics.spawn_upkeep(&mut background);

    let first = source.settings::<P>()?;
    let coord_settings = &first.shared.coord;
    let patience = Duration::from_millis(coord_settings.load_timeout_ms);
    let loading = async {
        let coord = connect::coord(coord_settings, &mut background).await;
        let state = live::load(&coord, &first.shared.env, P::NAME, patience).await;
        (Arc::new(coord), state)
    };
    let (coord, state) = tokio::select! {
        () = shutdown.cancelled() => return Ok(()),
        loaded = loading => loaded,
    };
    let loaded = source.with_center::<P>(&state.unwrap_or_default(), &[])?;
    live::tell_rejected(&loaded.rejected);
    // What was left out at the start stays old; the log level may have changed.
    if let Err(error) = logs.set_level(&loaded.settings.shared.log) {
        tracing::error!(error, "the old log level stays");
    }

    let health = Health::new(P::NAME);
    watch_etcd(&coord, &health, &mut background, &shutdown);
    let settings = Arc::new(loaded.settings);
    let (sender, live) = watch::channel(settings.clone());
    let following = live::follow::<P>(coord.clone(), source, sender, shutdown.clone());
    background.spawn(following);
    background.spawn(follow_level(live.clone(), logs));
    let traces = Exporter::start(P::NAME, &settings.shared.telemetry).map_err(ConfigError::one)?;
    background.spawn(follow_sampling(live.clone()));
    let breakers = Breakers::default();
    let prefix = format!("/config/{}/{}/breakers/", settings.shared.env, P::NAME);
    let policies = breakers.clone();
    let (center, stop) = (coord.clone(), shutdown.clone());
    background.spawn(async move { policies.follow(center, prefix, stop).await });

    let process = Process::<P>::new(
        settings, live, health, metrics, shutdown, coord, breakers, background,
    );
    tracing::info!(
        env = process.settings.shared.env,
        version = crate::shell::build::VERSION,
        "starting"
    );
    let outcome = P::run(process).await.map_err(Exit::Failed);
    if let Some(traces) = traces {
        traces.stop().await;
    }
    outcome
}

/// etcd only degrades: whoever knows its neighbours goes on without.
fn watch_etcd(
    coord: &Arc<LateEtcd>,
    health: &Health,
    background: &mut JoinSet<()>,
    shutdown: &tokio_util::sync::CancellationToken,
) {
    let etcd = health.depend("etcd", Need::Helpful);
    let center = coord.clone();
    let ask = move || {
        let center = center.clone();
        async move {
            let asked = ConfigCenter::get(&*center, "/config/probe").await;
            asked.map(drop).map_err(|e| e.to_string())
        }
    };
    background.spawn(Probe::default().run(etcd, shutdown.clone(), ask));
}

/// Applies changes of how much is traced.
async fn follow_sampling<C>(mut live: live::Live<C>) {
    let mut known = live.borrow().shared.telemetry.clone();
    while live.changed().await.is_ok() {
        let new = live.borrow_and_update().shared.telemetry.clone();
        // Without an endpoint nobody takes spans: that one changes with the next start.
        if known.is_on() && new.sampling() != known.sampling() {
            let sampling = new.sampling();
            telemetry::set_sampling(&sampling);
            tracing::warn!(ratio = sampling.ratio, "the share of traces changed");
            known = TelemetryConfig {
                endpoint: known.endpoint,
                ..new
            };
        }
    }
}

/// Applies changes of the log level.
async fn follow_level<C>(mut live: live::Live<C>, logs: Logs) {
    let mut level = live.borrow().shared.log.clone();
    while live.changed().await.is_ok() {
        let new = live.borrow_and_update().shared.log.clone();
        if new.level == level.level {
            continue;
        }
        match logs.set_level(&new) {
            Ok(()) => tracing::warn!(old = level.level, new = new.level, "the log level changed"),
            Err(error) => tracing::error!(error, "the old log level stays"),
        }
        level = new;
    }
}
