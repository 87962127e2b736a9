//! The metrics recorder of the process.

use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::task::JoinSet;

use super::build;

/// How often histograms are drained, so that they stay bounded when nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// Upper bounds of the buckets of every histogram, in seconds. Buckets add up over instances, which the
/// quantiles of one process do not; alerts and dashboards are written on them.
const BUCKETS: [f64; 16] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0,
];

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
        let handle = builder()?
            .install_recorder()
            .map_err(|e| format!("metrics: {e}"))?;
        super::metric_names::describe();
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

fn builder() -> Result<PrometheusBuilder, String> {
    PrometheusBuilder::new()
        .set_buckets(&BUCKETS)
        .map_err(|e| format!("metrics: {e}"))
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_come_as_buckets_that_add_up_over_instances() {
        let recorder = builder().unwrap().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            metrics::histogram!("took_seconds").record(0.3);
        });
        let page = recorder.handle().render();
        assert!(
            page.contains("took_seconds_bucket{le=\"0.25\"} 0"),
            "{page}"
        );
        assert!(page.contains("took_seconds_bucket{le=\"0.5\"} 1"), "{page}");
    }
}
