//! The shell of a process: settings in layers, logs, metrics, health, signals, and parts that stop in order.
//!
//! Nothing here knows what a service does. `gochat` and the four services of a cluster start the same way:
//! settings (all errors at once) → logs → metrics → bind → ready → wait for a signal → drain with a deadline.

mod admin;
pub mod build;
mod errors;
mod files;
pub mod health;
mod layers;
mod logs;
mod metric_names;
mod metrics;
mod pages;
mod secret;
#[cfg(feature = "cluster")]
pub mod service;
mod signals;
mod stages;
mod telemetry;

pub use admin::Admin;
pub use errors::{ConfigError, EXIT_SETTINGS};
pub use files::raise_file_limit;
pub use health::{Dependency, Health, Need, Probe};
pub use layers::{ENV_PREFIX, Layers, Merged};
pub use logs::{ExtraLayer, LogConfig, LogFormat, LogOutput, Logs, init_logs};
pub use metrics::Metrics;
pub use pages::use_small_pages;
pub use secret::{JWT_SECRET_MIN_BYTES, is_placeholder};
pub use signals::shutdown_on_signals;
pub use stages::{Failed, Stages, because};
#[cfg(feature = "otel")]
pub use telemetry::collector;
pub use telemetry::{Exporter, Sampler, TELEMETRY_VARIABLES, TelemetryConfig};
