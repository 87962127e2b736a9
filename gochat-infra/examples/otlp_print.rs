//! Takes traces over OTLP and prints each as a tree once nothing more of it came for a while.
//!
//! ```text
//! cargo run -p gochat-infra --features otel --example otlp_print            # listens on 127.0.0.1:4317
//! OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317 OTEL_TRACES_SAMPLER=always_on gochat
//! ```

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gochat_infra::rpc::{ServerConfig, serve};
use gochat_infra::shell::collector::{Collector, Received, tree};
use tokio_util::sync::CancellationToken;

/// A trace is printed when so long nothing of it came.
const QUIET: Duration = Duration::from_secs(3);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listen = std::env::args().nth(1);
    let listen = listen.unwrap_or_else(|| "127.0.0.1:4317".to_owned());
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    println!("waiting for traces on http://{}", listener.local_addr()?);
    let collector = Collector::default();
    let printing = tokio::spawn(print(collector.clone()));
    let shutdown = CancellationToken::new();
    serve(
        listener,
        collector.routes(),
        ServerConfig::default(),
        shutdown,
    )
    .await?;
    printing.abort();
    Ok(())
}

/// Prints traces, the oldest first.
async fn print(collector: Collector) {
    let mut open: BTreeMap<String, (Instant, Vec<Received>)> = BTreeMap::new();
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        for span in collector.take() {
            let (seen, spans) = open
                .entry(span.trace.clone())
                .or_insert_with(|| (Instant::now(), Vec::new()));
            *seen = Instant::now();
            spans.push(span);
        }
        open.retain(|_, (seen, spans)| {
            let quiet = seen.elapsed() >= QUIET;
            if quiet {
                println!("{}", tree(spans));
            }
            !quiet
        });
    }
}
