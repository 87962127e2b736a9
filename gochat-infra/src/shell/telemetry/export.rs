//! The bounded way out: a queue, and a task that sends what is in it.

use std::time::Duration;

use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::TelemetryConfig;
use super::convert::Converter;
use crate::shell::build;
use crate::telemetry::{self, Finished, Sink};

/// Spans by what became of them: `exported`, `full` (the queue was), `failed` (the collector did not take them).
const SPANS: &str = "gochat_trace_spans_total";

/// Sends spans to a collector.
#[derive(Debug)]
pub struct Exporter {
    sending: JoinHandle<()>,
    stop: CancellationToken,
    patience: Duration,
}

impl Exporter {
    /// Starts to sample and to send; `None` when no endpoint is set, or the process has an exporter already. The
    /// collector need not be there. Needs a runtime, which must outlive the exporter.
    ///
    /// # Errors
    /// An endpoint that can't be used.
    pub fn start(service: &'static str, config: &TelemetryConfig) -> Result<Option<Self>, String> {
        if !config.is_on() {
            return Ok(None);
        }
        let (queue, waiting) = mpsc::channel(config.queue);
        let stop = CancellationToken::new();
        let patience = Duration::from_millis(config.timeout_ms);
        let sender = Sender::new(service, config)?;
        if !telemetry::install(Queue(queue), &config.sampling()) {
            return Ok(None);
        }
        let endpoint = &config.endpoint;
        tracing::info!(
            endpoint,
            ratio = config.sampling().ratio,
            "traces are exported"
        );
        let sending = tokio::spawn(sender.run(waiting, stop.clone()));
        Ok(Some(Self {
            sending,
            stop,
            patience,
        }))
    }

    /// Sends what waits, for as long as one batch may take.
    pub async fn stop(self) {
        self.stop.cancel();
        let aborter = self.sending.abort_handle();
        match tokio::time::timeout(self.patience, self.sending).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the exporter of traces ended badly"),
            Err(_) => {
                aborter.abort();
                tracing::warn!("the last spans were not exported in time");
            }
        }
    }
}

/// The process's end of the queue.
struct Queue(mpsc::Sender<Finished>);

impl Sink for Queue {
    fn take(&self, span: Finished) {
        if self.0.try_send(span).is_err() {
            count("full", 1);
        }
    }
}

fn count(result: &'static str, spans: usize) {
    metrics::counter!(SPANS, "result" => result).increment(spans as u64);
}

/// The collector's end of the queue.
struct Sender {
    exporter: opentelemetry_otlp::SpanExporter,
    converter: Converter,
    batch: usize,
    linger: Duration,
    timeout: Duration,
    /// The last batch did not arrive: that is said once, not per batch.
    failing: bool,
}

impl Sender {
    fn new(service: &'static str, config: &TelemetryConfig) -> Result<Self, String> {
        let timeout = Duration::from_millis(config.timeout_ms);
        let mut exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&config.endpoint)
            .with_timeout(timeout)
            .build()
            .map_err(|e| format!("`telemetry.endpoint`: {e}"))?;
        // Also what OTEL_RESOURCE_ATTRIBUTES says.
        let resource = Resource::builder().with_service_name(service);
        let version = opentelemetry::KeyValue::new("service.version", build::VERSION);
        exporter.set_resource(&resource.with_attribute(version).build());
        Ok(Self {
            exporter,
            converter: Converter::new(),
            batch: config.batch,
            linger: Duration::from_millis(config.linger_ms),
            timeout,
            failing: false,
        })
    }

    /// Sends until told to stop, then what still waits.
    async fn run(mut self, mut waiting: mpsc::Receiver<Finished>, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(self.batch);
        while !stop.is_cancelled() {
            let fill = fill(&mut waiting, &mut batch, self.batch, self.linger);
            tokio::select! {
                () = stop.cancelled() => {}
                () = fill => self.send(std::mem::take(&mut batch)).await,
            }
        }
        waiting.close();
        loop {
            // Nothing comes of a queue that is closed and empty.
            waiting.recv_many(&mut batch, self.batch).await;
            if batch.is_empty() {
                return;
            }
            self.send(std::mem::take(&mut batch)).await;
        }
    }

    async fn send(&mut self, batch: Vec<Finished>) {
        let spans = batch.len();
        let batch = batch.into_iter().map(|span| self.converter.span(span));
        let call = self.exporter.export(batch.collect());
        let outcome = match tokio::time::timeout(self.timeout, call).await {
            Ok(outcome) => outcome.map_err(|e| e.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        };
        match outcome {
            Ok(()) => {
                count("exported", spans);
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the collector takes spans again");
                }
            }
            Err(error) => {
                count("failed", spans);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(
                        error,
                        "spans can't be exported; they are dropped until the collector is back"
                    );
                }
            }
        }
    }
}

/// Waits for a span, then a little for more. Cancel-safe: what was taken is in the batch.
async fn fill(
    waiting: &mut mpsc::Receiver<Finished>,
    batch: &mut Vec<Finished>,
    most: usize,
    linger: Duration,
) {
    if batch.is_empty() && waiting.recv_many(batch, most).await == 0 {
        // The queue lives as long as the process.
        return std::future::pending().await;
    }
    let full = async {
        while batch.len() < most && waiting.recv_many(batch, most - batch.len()).await > 0 {}
    };
    // Whether it is full or not, it goes now.
    drop(tokio::time::timeout(linger, full).await);
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;
