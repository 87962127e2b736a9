//! What failures of Redis mean to the callers of the ports.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use gochat_core::error::{Error, ErrorCode};
use redis::{ParsingError, ServerError, ServerErrorKind};

/// Seconds between two log lines about commands that Redis refuses.
const LOG_EVERY_S: u64 = 10;

/// Redis can't be reached right now.
pub(super) fn away() -> Error {
    ErrorCode::ServiceUnavailable.into()
}

/// An answer has another shape than the command promises.
pub(super) fn unexpected(error: ParsingError) -> Error {
    tracing::error!(%error, "Redis answered something unexpected");
    ErrorCode::Internal.into()
}

/// How a refusal by the server is dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The script isn't loaded (any more): load it and run it again.
    UnknownScript,
    /// This server doesn't take writes (any more): look for the one that does.
    WrongServer,
    /// It passes by itself: a dump is being loaded, memory or disk is full, a slow script runs.
    Passing,
    /// A mistake of ours, or rights that are missing.
    Mistake,
}

impl Refusal {
    pub(super) fn of(error: &ServerError) -> Self {
        match error.kind() {
            Some(ServerErrorKind::NoScript) => Self::UnknownScript,
            Some(ServerErrorKind::ReadOnly) => Self::WrongServer,
            Some(
                ServerErrorKind::BusyLoading
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::TryAgain,
            ) => Self::Passing,
            _ if matches!(error.code(), "OOM" | "BUSY" | "MISCONF" | "NOREPLICAS") => Self::Passing,
            _ => Self::Mistake,
        }
    }

    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Mistake => ErrorCode::Internal.into(),
            _ => away(),
        }
    }
}

/// Lets one log line pass every few seconds.
#[derive(Default)]
pub(super) struct Quietly(AtomicU64);

impl Quietly {
    /// Whether this line may be written.
    pub(super) fn may_log(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_secs());
        let last = self.0.load(Ordering::Relaxed);
        now.abs_diff(last) >= LOG_EVERY_S
            && self
                .0
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}
