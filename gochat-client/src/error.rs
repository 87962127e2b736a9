//! What can go wrong, and whether trying again helps.

use std::fmt;

use gochat_core::error::Error as Refusal;

/// Result with the SDK's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// What kind of failure it was.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The server refused, with a code and a sentence.
    Refused(Refusal),
    /// The server could not be reached, or the connection broke.
    Transport,
    /// The server did not answer in time.
    Timeout,
    /// The server's answer can't be understood.
    BadAnswer,
    /// The address isn't `http://host[:port]` (or `ws://`).
    BadUrl,
    /// Too many messages wait to be sent.
    OutboxFull,
    /// The client was closed.
    Closed,
}

/// A failure: its kind, and what caused it.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    source: Option<Source>,
}

impl Error {
    pub(crate) fn with_source(kind: ErrorKind, source: impl Into<Source>) -> Self {
        Self {
            kind,
            source: Some(source.into()),
        }
    }

    pub(crate) fn transport(source: impl Into<Source>) -> Self {
        Self::with_source(ErrorKind::Transport, source)
    }

    /// What kind of failure it was.
    pub const fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The server's refusal, if that is what it was.
    pub const fn refusal(&self) -> Option<&Refusal> {
        match &self.kind {
            ErrorKind::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Whether the same request can succeed later without a change by the caller.
    pub const fn is_retryable(&self) -> bool {
        match &self.kind {
            ErrorKind::Refused(refusal) => refusal.is_retryable(),
            ErrorKind::Transport | ErrorKind::Timeout | ErrorKind::OutboxFull => true,
            ErrorKind::BadAnswer | ErrorKind::BadUrl | ErrorKind::Closed => false,
        }
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        ErrorKind::Refused(refusal).into()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ErrorKind::Refused(refusal) => write!(f, "refused: {refusal}"),
            ErrorKind::Transport => f.write_str("the server can't be reached"),
            ErrorKind::Timeout => f.write_str("the server did not answer in time"),
            ErrorKind::BadAnswer => f.write_str("the server's answer can't be understood"),
            ErrorKind::BadUrl => f.write_str("the address must read http://host[:port]"),
            ErrorKind::OutboxFull => f.write_str("too many messages wait to be sent"),
            ErrorKind::Closed => f.write_str("the client is closed"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_ref()
            .map(|s| &**s as &(dyn std::error::Error + 'static))
    }
}
