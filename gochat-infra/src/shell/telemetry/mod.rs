//! Traces leave the process: settings, and with the feature `otel` an exporter that speaks OTLP over gRPC.
//!
//! Nothing here may hold up a service: spans wait in a bounded queue, what doesn't fit is dropped and counted, and a
//! collector that is away costs the spans and one line in the log.

#[cfg(feature = "otel")]
pub mod collector;
#[cfg(feature = "otel")]
mod convert;
#[cfg(feature = "otel")]
mod export;
#[cfg(not(feature = "otel"))]
mod without;

use serde::{Deserialize, Serialize};

use crate::telemetry::Sampling;

#[cfg(feature = "otel")]
pub use export::Exporter;
#[cfg(not(feature = "otel"))]
pub use without::Exporter;

/// Environment variables of the OpenTelemetry standard, and the settings they stand for.
pub const TELEMETRY_VARIABLES: [(&str, &str); 4] = [
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry.endpoint"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "telemetry.endpoint"),
    ("OTEL_TRACES_SAMPLER", "telemetry.sampler"),
    ("OTEL_TRACES_SAMPLER_ARG", "telemetry.ratio"),
];

/// What is traced, and where the traces go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Collector that takes OTLP over gRPC, such as `http://127.0.0.1:4317`. Empty (the default): nothing is traced.
    pub endpoint: String,
    /// How it is decided what is traced: `always_on`, `always_off`, or `trace_id_ratio` (the default).
    pub sampler: Sampler,
    /// Share of messages and requests that `trace_id_ratio` takes, 0 to 1. Default 0.01.
    pub ratio: f64,
    /// Whether a client's own `traceparent` with the sampled flag has its request traced, whatever the ratio. Default false:
    /// any client could have everything traced. For networks whose edge sets the header.
    pub accept_parent: bool,
    /// Spans that wait for the collector at most; more are dropped and counted. Default 8,192.
    pub queue: usize,
    /// Most spans per call of the collector. Default 512.
    pub batch: usize,
    /// How long a batch may fill, in milliseconds. Default 1,000.
    pub linger_ms: u64,
    /// How long the collector may take for a batch, and for the last ones at the end of the process, in milliseconds.
    /// Default 3,000.
    pub timeout_ms: u64,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            sampler: Sampler::TraceIdRatio,
            ratio: 0.01,
            accept_parent: false,
            queue: 8_192,
            batch: 512,
            linger_ms: 1_000,
            timeout_ms: 3_000,
        }
    }
}

/// How it is decided what is traced. The names of the contract, and those of OpenTelemetry; a parent's decision counts
/// always, `parentbased` or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampler {
    /// Everything.
    #[serde(alias = "const", alias = "parentbased_always_on")]
    AlwaysOn,
    /// Nothing but what a parent decided.
    #[serde(alias = "parentbased_always_off")]
    AlwaysOff,
    /// A share.
    #[serde(alias = "traceidratio", alias = "parentbased_traceidratio")]
    TraceIdRatio,
}

impl TelemetryConfig {
    /// How much is traced.
    pub fn sampling(&self) -> Sampling {
        let ratio = match self.sampler {
            Sampler::AlwaysOn => 1.0,
            Sampler::AlwaysOff => 0.0,
            Sampler::TraceIdRatio => self.ratio,
        };
        Sampling {
            ratio,
            accept_parent: self.accept_parent,
        }
    }

    /// Whether spans leave the process.
    pub fn is_on(&self) -> bool {
        !self.endpoint.is_empty()
    }

    /// What no single field can tell.
    pub fn check(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut must = |good: bool, sentence: &str| {
            if !good {
                wrong.push(sentence.to_owned());
            }
        };
        let has_host = |uri: &http::Uri| uri.scheme_str() == Some("http") && uri.host().is_some();
        let plain = self.endpoint.parse().is_ok_and(|uri| has_host(&uri));
        must(
            !self.is_on() || plain,
            "`telemetry.endpoint` must be http://HOST:PORT of a collector that takes OTLP over gRPC; for TLS, put a collector beside this process",
        );
        must(
            !self.is_on() || cfg!(feature = "otel"),
            "`telemetry.endpoint`: this program was built without OpenTelemetry; build it with `--features otel`",
        );
        must(
            (0.0..=1.0).contains(&self.ratio),
            "`telemetry.ratio` must be 0 to 1",
        );
        must(
            self.queue > 0 && self.batch > 0,
            "`telemetry.queue` and `telemetry.batch` must be above 0",
        );
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_that_can_t_be_used_and_shares_beyond_all_are_refused() {
        let with = |endpoint: &str, ratio| TelemetryConfig {
            endpoint: endpoint.to_owned(),
            ratio,
            ..TelemetryConfig::default()
        };
        assert!(TelemetryConfig::default().check().is_empty());
        let built = cfg!(feature = "otel");
        assert_eq!(with("http://127.0.0.1:4317", 0.5).check().is_empty(), built);
        for endpoint in ["https://a:4317", "a:4317", "http://"] {
            assert!(!with(endpoint, 0.5).check().is_empty(), "{endpoint}");
        }
        assert!(!with("", 1.5).check().is_empty());
        assert!(!with("", f64::NAN).check().is_empty());
    }

    #[test]
    fn samplers_have_the_contract_s_names_and_opentelemetry_s() {
        let ratio = |name: &str| {
            let sampler = serde_json::from_value(name.into()).unwrap();
            let config = TelemetryConfig {
                sampler,
                ..TelemetryConfig::default()
            };
            config.sampling().ratio
        };
        for (name, expected) in [
            ("always_on", 1.0),
            ("const", 1.0),
            ("parentbased_always_on", 1.0),
            ("always_off", 0.0),
            ("trace_id_ratio", 0.01),
            ("parentbased_traceidratio", 0.01),
        ] {
            assert!((ratio(name) - expected).abs() < 1e-9, "{name}");
        }
    }
}
