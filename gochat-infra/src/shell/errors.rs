//! Everything that is wrong with the settings, at once.

use std::fmt;

/// Exit code of a process whose settings can't be used.
pub const EXIT_SETTINGS: u8 = 64;

/// Everything that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(Vec<String>);

impl ConfigError {
    /// From complaints; at least one.
    pub fn new(complaints: Vec<String>) -> Self {
        Self(complaints)
    }

    /// One complaint.
    pub fn one(complaint: impl Into<String>) -> Self {
        Self(vec![complaint.into()])
    }

    /// The complaints.
    pub fn complaints(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "these settings can't be used:")?;
        self.0.iter().try_for_each(|e| write!(f, "\n  - {e}"))
    }
}

impl std::error::Error for ConfigError {}
