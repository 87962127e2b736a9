//! What can go wrong, and whether trying again helps.

use std::fmt;
use std::sync::Arc;

use gochat_core::error::Error as Refusal;

use crate::UrlProblem;

/// Result with the SDK's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn std::error::Error + Send + Sync>;
type SharedSource = Arc<dyn std::error::Error + Send + Sync>;

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
    /// The address of the server can't be used.
    BadUrl(UrlProblem),
    /// A setting can't be used; the sentence names it.
    BadOption(String),
    /// The address asks for TLS, and the SDK was built without its feature `tls`.
    TlsNotBuilt,
    /// The TLS handshake failed, for example because the server asks for a client certificate.
    Tls,
    /// The server's certificate isn't trusted: its authority is unknown, it is for another name,
    /// or it has expired.
    UntrustedServer,
    /// The proxy can't be reached, or refuses to connect to the server.
    Proxy,
    /// The [`TokenStore`](crate::TokenStore) failed to load or to keep the user's session.
    Storage,
    /// There is no session: the token store is empty and no credentials were given, or the user
    /// signed out.
    SignedOut,
    /// Too many messages wait to be sent.
    OutboxFull,
    /// The client was closed.
    Closed,
}

/// A failure: its kind, and what caused it.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    source: Option<SharedSource>,
    is_unsent: bool,
}

impl Error {
    pub(crate) fn with_source(kind: ErrorKind, source: impl Into<Source>) -> Self {
        Self {
            kind,
            source: Some(source.into().into()),
            is_unsent: false,
        }
    }

    /// The same, of a request that certainly didn't reach the server.
    pub(crate) const fn unsent(mut self) -> Self {
        self.is_unsent = true;
        self
    }

    /// Whether the request certainly didn't reach the server, because there was no connection.
    pub(crate) const fn is_unsent(&self) -> bool {
        self.is_unsent
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
            ErrorKind::Transport
            | ErrorKind::Timeout
            | ErrorKind::OutboxFull
            | ErrorKind::Proxy
            | ErrorKind::Storage => true,
            ErrorKind::BadAnswer
            | ErrorKind::BadUrl(_)
            | ErrorKind::BadOption(_)
            | ErrorKind::TlsNotBuilt
            | ErrorKind::Tls
            | ErrorKind::UntrustedServer
            | ErrorKind::SignedOut
            | ErrorKind::Closed => false,
        }
    }

    /// Whether it stays so until the application changes something. A network that interferes,
    /// such as the sign-in page of a hotel, doesn't count: the network may be another one soon.
    pub(crate) const fn is_final(&self) -> bool {
        match &self.kind {
            ErrorKind::Refused(refusal) => !refusal.is_retryable(),
            ErrorKind::BadUrl(_)
            | ErrorKind::BadOption(_)
            | ErrorKind::TlsNotBuilt
            | ErrorKind::SignedOut
            | ErrorKind::Closed => true,
            _ => false,
        }
    }
}

/// An error that several places know of; equal to itself, and to no other occurrence.
#[derive(Debug, Clone)]
pub struct Cause(Arc<Error>);

impl std::ops::Deref for Cause {
    type Target = Error;

    fn deref(&self) -> &Error {
        &self.0
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for Cause {
    /// Whether it is the same occurrence.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        Self(Arc::new(error))
    }
}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Self {
        (*cause.0).clone()
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self {
            kind,
            source: None,
            is_unsent: false,
        }
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
            ErrorKind::BadUrl(problem) => {
                write!(f, "the server's address can't be used: {problem}")
            }
            ErrorKind::BadOption(sentence) => f.write_str(sentence),
            ErrorKind::TlsNotBuilt => {
                f.write_str("https and wss need the feature `tls` of gochat-client")
            }
            ErrorKind::Tls => f.write_str("the TLS handshake with the server failed"),
            ErrorKind::UntrustedServer => f.write_str("the server's certificate isn't trusted"),
            ErrorKind::Proxy => f.write_str("the proxy doesn't connect to the server"),
            ErrorKind::Storage => f.write_str("the token store failed"),
            ErrorKind::SignedOut => f.write_str("the user isn't signed in"),
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
