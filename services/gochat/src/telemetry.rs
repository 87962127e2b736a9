//! Logs and metrics of the process.

use std::io::IsTerminal as _;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::ChronoUtc;

/// Logging settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `debug`, `info`, `warn`, `error`, or a filter such as `info,im_logic=debug`.
    pub level: String,
    /// Form of a line.
    pub format: LogFormat,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Console,
    /// One JSON object a line, for collectors.
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: "info".into(),
            format: LogFormat::Console,
        }
    }
}

/// Installs the global logger. Logs go to stderr, so that stdout stays for answers.
///
/// # Errors
/// When the level is not a filter.
pub fn init_logs(config: &LogConfig) -> Result<(), String> {
    let filter = EnvFilter::try_new(&config.level)
        .map_err(|e| format!("log.level: `{}` is not a log filter: {e}", config.level))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .with_timer(ChronoUtc::rfc_3339());
    let outcome = match config.format {
        LogFormat::Console => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // A second call in one process (tests) keeps the first logger.
    drop(outcome);
    Ok(())
}

/// Installs the global metrics recorder and returns the handle that renders it.
///
/// # Errors
/// When a recorder is installed already.
pub fn init_metrics() -> Result<PrometheusHandle, String> {
    PrometheusBuilder::new()
        .install_recorder()
        .map_err(|e| e.to_string())
}

/// Serves `/metrics` for Prometheus on its own address; `None` = off. Upkeep runs either way, so that histograms
/// stay bounded when nobody scrapes.
///
/// # Errors
/// When the address can't be bound.
pub async fn serve_metrics(
    handle: PrometheusHandle,
    listen: Option<&str>,
) -> Result<MetricsServer, String> {
    let upkeep = handle.clone();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        let mut tick = tokio::time::interval(std::time::Duration::from_secs(5));
        loop {
            tick.tick().await;
            upkeep.run_upkeep();
        }
    });
    if let Some(listen) = listen {
        let listener = tokio::net::TcpListener::bind(listen)
            .await
            .map_err(|e| format!("metrics_listen: can't listen on {listen}: {e}"))?;
        let render = move || {
            let text = handle.render();
            async move { text }
        };
        let app = axum::Router::new().route("/metrics", axum::routing::get(render));
        tasks.spawn(async move {
            if let Err(e) = axum::serve(listener, app).await {
                tracing::error!(error = %e, "the metrics listener ended");
            }
        });
    }
    Ok(MetricsServer { _tasks: tasks })
}

/// Runs the metrics tasks until dropped.
pub struct MetricsServer {
    _tasks: tokio::task::JoinSet<()>,
}
