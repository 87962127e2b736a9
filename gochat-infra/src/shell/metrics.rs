//! The metrics recorder of the process.

use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::task::JoinSet;

use super::build;

/// How often histograms are drained, so that they stay bounded when nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// The installed recorder. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Installs the global recorder and notes which build runs.
    ///
    /// # Errors
    /// When a recorder is installed already.
    pub fn install(service: &'static str) -> Result<Self, String> {
        let handle = PrometheusBuilder::new()
            .install_recorder()
            .map_err(|e| format!("metrics: {e}"))?;
        metrics::describe_gauge!(
            "gochat_build_info",
            "Which build runs; the value is always 1."
        );
        metrics::gauge!("gochat_build_info", "service" => service, "version" => build::VERSION, "commit" => build::COMMIT)
            .set(1.0);
        Ok(Self { handle })
    }

    /// All metrics in the text form of Prometheus.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Keeps histograms bounded until the set is dropped.
    pub fn spawn_upkeep(&self, tasks: &mut JoinSet<()>) {
        let handle = self.handle.clone();
        tasks.spawn(async move {
            let mut tick = tokio::time::interval(UPKEEP);
            loop {
                tick.tick().await;
                handle.run_upkeep();
            }
        });
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}
