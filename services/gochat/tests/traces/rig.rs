//! A collector, and the exporter of this process that sends to it.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use gochat_infra::rpc::{ServerConfig, serve};
use gochat_infra::shell::collector::{Collector, Received, tree};
use gochat_infra::shell::{Exporter, TelemetryConfig};
use gochat_infra::telemetry::{self, Sampling};
use tokio::sync::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

use crate::kit::eventually;

/// What is sampled is one setting of the process, so tests take turns.
static TURN: Mutex<()> = Mutex::const_new(());
static COLLECTOR: OnceLock<Collector> = OnceLock::new();
/// Ids of the traces of which a span was forgotten.
static FORGOTTEN: parking_lot::Mutex<BTreeSet<String>> = parking_lot::Mutex::new(BTreeSet::new());

/// The spans of this process, for one test at a time.
pub struct Traces {
    collector: Collector,
    /// Moment of the last [`forget`](Self::forget), in Unix nanoseconds.
    since: AtomicU64,
    _turn: MutexGuard<'static, ()>,
}

/// Takes the turn, and samples so much.
pub async fn sampling(ratio: f64, accept_parent: bool) -> Traces {
    let turn = TURN.lock().await;
    let collector = COLLECTOR.get_or_init(start).clone();
    let traces = Traces {
        collector,
        since: AtomicU64::new(0),
        _turn: turn,
    };
    traces.sample(ratio, accept_parent);
    traces
}

/// Serves the collector and runs the exporter on a runtime that outlives the tests' own.
fn start() -> Collector {
    let collector = Collector::default();
    let routes = collector.routes();
    let (ready, is_ready) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let config = TelemetryConfig {
                endpoint: format!("http://{}", listener.local_addr().unwrap()),
                linger_ms: 20,
                ..TelemetryConfig::default()
            };
            assert_eq!(config.check(), Vec::<String>::new());
            let _exporter = Exporter::start("gochat", &config).unwrap().unwrap();
            ready.send(()).unwrap();
            let never = CancellationToken::new();
            serve(listener, routes, ServerConfig::default(), never)
                .await
                .unwrap();
        });
    });
    is_ready.recv().unwrap();
    collector
}

impl Traces {
    /// Forgets everything that arrived so far, and samples so much from now on.
    pub fn sample(&self, ratio: f64, accept_parent: bool) {
        self.forget();
        telemetry::set_sampling(&Sampling {
            ratio,
            accept_parent,
        });
    }

    /// Everything that arrived so far.
    pub fn spans(&self) -> Vec<Received> {
        self.collector.spans()
    }

    /// Forgets everything that arrived so far, and the traces that have begun.
    pub fn forget(&self) {
        let taken = self.collector.take();
        FORGOTTEN
            .lock()
            .extend(taken.into_iter().map(|span| span.trace));
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let since = u64::try_from(since.as_nanos()).unwrap();
        self.since.store(since, Ordering::Relaxed);
    }

    /// Spans of the traces that began after the last [`forget`](Self::forget). Spans of earlier
    /// traces, those of another test too, may arrive at any time.
    pub fn fresh(&self) -> Vec<Received> {
        let (spans, since) = (self.spans(), self.since.load(Ordering::Relaxed));
        let mut earlier = FORGOTTEN.lock().clone();
        let begun = spans.iter().filter(|span| span.start < since);
        earlier.extend(begun.map(|span| span.trace.clone()));
        let fresh = spans.into_iter();
        fresh
            .filter(|span| !earlier.contains(&span.trace))
            .collect()
    }

    /// The trace of the first message since the last [`forget`](Self::forget), once it has so many spans of these names.
    pub async fn of_message(&self, wanted: &[(&str, usize)]) -> Trace {
        let mut last = String::new();
        let waited = eventually("a whole trace", async || {
            let spans = self.fresh();
            let receive = spans.iter().find(|span| span.name == "receive")?;
            let trace = Trace(self.collector.trace(&receive.trace));
            let drawn = tree(&trace.0);
            if drawn != last {
                println!("{drawn}");
                last = drawn;
            }
            let count = |name: &str| trace.all(name).len();
            let whole = wanted.iter().all(|(name, n)| count(name) == *n);
            whole.then_some(trace)
        });
        waited.await
    }
}

/// The spans of one trace, by start.
pub struct Trace(pub Vec<Received>);

impl Trace {
    /// All spans of a name, but for repeats: whoever connected a moment before the message has it pushed again.
    pub fn all(&self, name: &str) -> Vec<&Received> {
        let first = |span: &&Received| span.attribute("gochat.again").is_none();
        let named = self.0.iter().filter(|span| span.name == name);
        named.filter(first).collect()
    }

    /// The only span of a name.
    #[track_caller]
    pub fn one(&self, name: &str) -> &Received {
        match self.all(name)[..] {
            [one] => one,
            ref other => panic!("{} spans are called {name}\n{}", other.len(), tree(&self.0)),
        }
    }

    /// The span above another one.
    #[track_caller]
    pub fn above(&self, span: &Received) -> &Received {
        let parent = self.0.iter().find(|other| other.id == span.parent);
        parent.unwrap_or_else(|| panic!("nothing is above {}\n{}", span.name, tree(&self.0)))
    }

    /// Nothing failed, every span is below one that is there, none ended before it began, and no text is in any of them.
    #[track_caller]
    pub fn is_sound(&self, root: &str, secrets: &[&str]) {
        for span in &self.0 {
            assert_eq!(span.error, None, "{}", span.name);
            assert!(span.start <= span.end, "{}", span.name);
            if span.name == root {
                assert_eq!(span.parent, "", "{root} is the first");
            } else {
                assert!(self.above(span).start <= span.start, "{}", span.name);
            }
            for secret in secrets {
                let all = format!("{span:?}");
                assert!(!all.contains(secret), "{secret} in {all}");
            }
        }
    }
}
