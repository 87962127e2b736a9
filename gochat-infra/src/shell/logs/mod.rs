//! Logs of the process: lines for people or for collectors, and a level that can change while it runs.

mod json;

use std::io::{self, IsTerminal as _};

use serde::{Deserialize, Serialize};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::fmt::time::ChronoUtc;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, reload};

use json::JsonLines;

/// A layer that is added to the logger, such as one that exports spans.
pub type ExtraLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Logging settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `debug`, `info`, `warn`, `error`, or a filter such as `info,im_logic=debug`.
    pub level: String,
    /// Form of a line.
    pub format: LogFormat,
    /// Whether JSON lines say which file and line they come from.
    pub add_source: bool,
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
            add_source: false,
        }
    }
}

impl LogConfig {
    /// The filter the level stands for.
    ///
    /// # Errors
    /// When the level is not a filter.
    pub fn filter(&self) -> Result<EnvFilter, String> {
        // The contract knows a level `fatal`; nothing logs above `error` here.
        let level = match self.level.trim() {
            "fatal" => "error",
            level => level,
        };
        if level.is_empty() {
            return Err("`log.level` is empty; use debug, info, warn or error".to_owned());
        }
        EnvFilter::try_new(level)
            .map_err(|e| format!("`log.level`: `{}` is not a log filter: {e}", self.level))
    }
}

/// Where lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogOutput {
    /// For programs whose stdout is the answer to the command.
    Stderr,
    /// For services: what a container's collector reads.
    Stdout,
}

impl LogOutput {
    fn writer(self) -> BoxMakeWriter {
        match self {
            Self::Stderr => BoxMakeWriter::new(io::stderr),
            Self::Stdout => BoxMakeWriter::new(io::stdout),
        }
    }

    fn is_terminal(self) -> bool {
        match self {
            Self::Stderr => io::stderr().is_terminal(),
            Self::Stdout => io::stdout().is_terminal(),
        }
    }
}

type Filtered = reload::Handle<EnvFilter, Registry>;

/// The installed logger. Cheap to clone.
#[derive(Clone)]
pub struct Logs {
    filter: Filtered,
}

impl Logs {
    /// Changes what is logged from now on.
    ///
    /// # Errors
    /// When the level is not a filter; the old one stays.
    pub fn set_level(&self, config: &LogConfig) -> Result<(), String> {
        let filter = config.filter()?;
        self.filter.reload(filter).map_err(|e| e.to_string())
    }
}

impl std::fmt::Debug for Logs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Logs")
    }
}

/// Installs the global logger of the service. A second call in one process (tests) keeps the first logger.
///
/// # Errors
/// When the level is not a filter.
pub fn init_logs(
    service: &'static str,
    config: &LogConfig,
    output: LogOutput,
    extra: Vec<ExtraLayer>,
) -> Result<Logs, String> {
    let (filter, handle) = reload::Layer::new(config.filter()?);
    let lines = tracing_subscriber::fmt::layer().with_writer(output.writer());
    let mut layers: Vec<ExtraLayer> = match config.format {
        LogFormat::Console => {
            let lines = lines
                .with_ansi(output.is_terminal())
                .with_timer(ChronoUtc::rfc_3339());
            vec![lines.with_filter(filter).boxed()]
        }
        LogFormat::Json => {
            let format = JsonLines::new(service, config.add_source);
            let lines = lines
                .with_ansi(false)
                .fmt_fields(JsonFields::new())
                .event_format(format);
            vec![lines.with_filter(filter).boxed()]
        }
    };
    layers.extend(extra);
    drop(tracing_subscriber::registry().with(layers).try_init());
    Ok(Logs { filter: handle })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(level: &str) -> LogConfig {
        LogConfig {
            level: level.into(),
            ..LogConfig::default()
        }
    }

    #[test]
    fn levels_and_filters_are_told_from_typing_errors() {
        for good in ["debug", "info,im_logic=debug", "fatal"] {
            assert!(level(good).filter().is_ok(), "{good}");
        }
        for bad in ["", "inf=o=1"] {
            assert!(level(bad).filter().is_err(), "{bad}");
        }
    }
}
