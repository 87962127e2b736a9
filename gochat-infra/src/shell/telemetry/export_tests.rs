//! The exporter against a collector, and against none.

use std::sync::Arc;
use std::time::Instant;

use metrics_exporter_prometheus::PrometheusBuilder;
use parking_lot::Mutex;

use super::super::collector::Collector;
use super::*;
use crate::rpc::{ServerConfig, serve};
use crate::telemetry::{Context, Kind, Value};

fn span() -> Finished {
    let parent = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let at = std::time::SystemTime::now();
    Finished {
        context: Context::parse(parent).unwrap(),
        parent: 7,
        name: "step".into(),
        kind: Kind::Consumer,
        start: at,
        end: at,
        attributes: vec![("n", Value::Number(3))],
        error: Some("broken off".into()),
    }
}

fn config(endpoint: String) -> TelemetryConfig {
    TelemetryConfig {
        endpoint,
        linger_ms: 1,
        timeout_ms: 300,
        ..TelemetryConfig::default()
    }
}

/// What a test's process logs.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_collector_that_is_away_costs_spans_and_one_line_and_no_time() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _metrics = metrics::set_default_local_recorder(&recorder);
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_writer(move || writer.clone())
        .finish();
    let _logs = tracing::subscriber::set_default(subscriber);

    // A port that nobody listens on.
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = config(format!("http://{}", free.local_addr().unwrap()));
    drop(free);
    let (tx, waiting) = mpsc::channel(2);
    let queue = Queue(tx);
    let mut sender = Sender::new("test", &config).unwrap();
    sender.send(vec![span(), span()]).await;
    sender.send(vec![span()]).await;

    let began = Instant::now();
    (0..5).for_each(|_| queue.take(span()));
    assert!(began.elapsed() < Duration::from_millis(100), "nobody waits");
    let stop = CancellationToken::new();
    stop.cancel();
    let last = tokio::time::timeout(Duration::from_secs(5), sender.run(waiting, stop));
    last.await.expect("the end is bounded");

    let page = recorder.handle().render();
    assert!(page.contains("{result=\"full\"} 3"), "{page}");
    assert!(page.contains("{result=\"failed\"} 5"), "{page}");
    let log = String::from_utf8(lines.0.lock().clone()).unwrap();
    assert_eq!(log.matches("can't be exported").count(), 1, "{log}");
}

#[tokio::test]
async fn what_waits_at_the_end_is_sent_with_everything_that_is_known() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _metrics = metrics::set_default_local_recorder(&recorder);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = config(format!("http://{}", listener.local_addr().unwrap()));
    let (collector, ended) = (Collector::default(), CancellationToken::new());
    let served = serve(
        listener,
        collector.routes(),
        ServerConfig::default(),
        ended.clone(),
    );
    let served = tokio::spawn(served);

    let (tx, waiting) = mpsc::channel(8);
    Queue(tx).take(span());
    let stop = CancellationToken::new();
    stop.cancel();
    let sender = Sender::new("test", &config).unwrap();
    sender.run(waiting, stop).await;
    let [received] = &collector.spans()[..] else {
        panic!("one span was sent");
    };
    assert_eq!((&*received.service, &*received.name), ("test", "step"));
    assert_eq!(received.trace, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(
        (&*received.id, &*received.parent),
        ("00f067aa0ba902b7", "0000000000000007")
    );
    assert_eq!(received.attribute("n"), Some("3"));
    assert_eq!(received.error.as_deref(), Some("broken off"));
    let page = recorder.handle().render();
    assert!(page.contains("{result=\"exported\"} 1"), "{page}");
    ended.cancel();
    served.await.unwrap().unwrap();
}
