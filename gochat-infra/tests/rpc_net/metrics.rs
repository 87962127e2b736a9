//! The metrics exist and move.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};

use gochat_infra::rpc::direct;
use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

use crate::server::{Server, config, until, who};

/// Remembers what moved.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeSet<String>>>);

struct One(Seen, String);

impl One {
    fn moved(&self) {
        self.0.0.lock().unwrap().insert(self.1.clone());
    }
}

impl CounterFn for One {
    fn increment(&self, _value: u64) {
        self.moved();
    }

    fn absolute(&self, _value: u64) {
        self.moved();
    }
}

impl HistogramFn for One {
    fn record(&self, _value: f64) {
        self.moved();
    }
}

impl Seen {
    fn one(&self, key: &Key) -> Arc<One> {
        let labels = key.labels().map(|l| format!("{}={}", l.key(), l.value()));
        let labels: Vec<_> = labels.collect();
        Arc::new(One(
            self.clone(),
            format!("{}{{{}}}", key.name(), labels.join(",")),
        ))
    }
}

impl Recorder for Seen {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.one(key))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.one(key))
    }
}

static SEEN: OnceLock<Seen> = OnceLock::new();

#[tokio::test]
async fn calls_are_counted_and_timed_on_both_sides() {
    let seen = SEEN.get_or_init(|| {
        let seen = Seen::default();
        metrics::set_global_recorder(seen.clone()).unwrap();
        seen
    });
    let a = Server::start("a");
    let channel = direct(&a.addr.to_string(), config()).unwrap();
    who(&channel).await.unwrap();
    let labels = "grpc_service=im.gateway.v1.PusherService,grpc_method=PushToUsers";
    for wanted in [
        format!("grpc_client_handled_total{{{labels},grpc_code=OK}}"),
        format!("grpc_client_handling_seconds{{{labels}}}"),
        format!("grpc_server_handled_total{{{labels},grpc_code=OK}}"),
        format!("grpc_server_handling_seconds{{{labels}}}"),
        "breaker_calls_total{name=im.gateway.v1.PusherService/PushToUsers,result=success}".into(),
    ] {
        until(&wanted, || async {
            seen.0.lock().unwrap().contains(&wanted)
        })
        .await;
    }
}
