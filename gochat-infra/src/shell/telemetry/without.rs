//! The exporter of a program that was built without OpenTelemetry: there is none.

use super::TelemetryConfig;

/// Sends spans to a collector.
#[derive(Debug)]
pub struct Exporter {}

impl Exporter {
    /// Nothing, for settings that were [checked](TelemetryConfig::check) ask for nothing.
    ///
    /// # Errors
    /// When an endpoint is set all the same.
    pub fn start(_service: &'static str, config: &TelemetryConfig) -> Result<Option<Self>, String> {
        match config.is_on() {
            true => Err(config.check().join("; ")),
            false => Ok(None),
        }
    }

    /// Nothing is left to send.
    pub async fn stop(self) {}
}
