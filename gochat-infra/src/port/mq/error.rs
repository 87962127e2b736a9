//! What can go wrong with the log.

use std::borrow::Cow;

/// Result of this port.
pub type MqResult<T> = Result<T, MqError>;

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MqErrorKind {
    /// The log can't be reached or is overloaded right now.
    Unavailable,
    /// The bound of the disk is reached until consumers catch up.
    Full,
    /// The caller is not the owner of a partition any more.
    Fenced,
    /// A record is larger than [`MAX_RECORD_BYTES`](super::MAX_RECORD_BYTES).
    TooLarge,
    /// There is no such topic or partition.
    UnknownTopic,
    /// The log was closed.
    Closed,
    /// Stored data that was reported durable can't be read back.
    Corrupt,
    /// A write to disk failed; the log refuses everything until it is opened again.
    Poisoned,
    /// Another process uses the directory.
    Locked,
    /// The call makes no sense in this state (a bug of the caller).
    Invalid,
}

impl MqErrorKind {
    /// Whether nothing but a new start of the process can help. Everything else passes, or is mended by a new
    /// consumer: a service goes on through it.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Closed | Self::Corrupt | Self::Poisoned | Self::Locked
        )
    }

    /// Stable name for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Full => "full",
            Self::Fenced => "fenced",
            Self::TooLarge => "too_large",
            Self::UnknownTopic => "unknown_topic",
            Self::Closed => "closed",
            Self::Corrupt => "corrupt",
            Self::Poisoned => "poisoned",
            Self::Locked => "locked",
            Self::Invalid => "invalid",
        }
    }
}

/// Error of this port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("log {}: {message}", kind.as_str())]
pub struct MqError {
    /// What to decide on.
    pub kind: MqErrorKind,
    /// What to read.
    pub message: Cow<'static, str>,
}

impl MqError {
    /// Makes an error.
    pub fn new(kind: MqErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// There is no topic of this name.
    pub fn unknown_topic(topic: &str) -> Self {
        Self::new(
            MqErrorKind::UnknownTopic,
            format!("there is no topic or partition {topic}"),
        )
    }

    /// Whether the same call can work later without anybody changing it.
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind, MqErrorKind::Unavailable | MqErrorKind::Full)
    }
}

impl From<MqError> for gochat_core::error::Error {
    fn from(error: MqError) -> Self {
        use gochat_core::error::ErrorCode;
        match error.kind {
            MqErrorKind::TooLarge => ErrorCode::MessageTooLarge.into(),
            MqErrorKind::Full => Self::new(ErrorCode::ServiceUnavailable, error.message),
            MqErrorKind::Unavailable
            | MqErrorKind::Fenced
            | MqErrorKind::Closed
            | MqErrorKind::Poisoned => ErrorCode::ServiceUnavailable.into(),
            _ => ErrorCode::Internal.into(),
        }
    }
}
