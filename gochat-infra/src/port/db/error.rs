//! Why a database operation failed.

use std::error::Error as StdError;
use std::fmt;

use gochat_core::error::{Error, ErrorCode};

/// Result of a database operation.
pub type DbResult<T> = Result<T, DbError>;

/// The class of a [`DbError`]: what the caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DbErrorKind {
    /// The database is away, busy or closed. Repeat later; whether a write happened is unknown.
    Unavailable,
    /// The row changed since the caller read it.
    Conflict,
    /// The row the operation is about does not exist.
    NotFound,
    /// A unique value is taken.
    Duplicate,
    /// The state of the rows forbids the operation; repeating it changes nothing.
    Refused,
    /// A defect: an undecodable row, a broken schema, a statement that doesn't compile.
    Internal,
}

/// A failed database operation.
///
/// ```
/// use gochat_core::error::{Error, ErrorCode};
/// use gochat_infra::port::db::{DbError, DbErrorKind};
/// let e = DbError::not_found(ErrorCode::UserNotFound);
/// assert_eq!(e.kind(), DbErrorKind::NotFound);
/// assert!(!e.is_retryable());
/// assert_eq!(Error::from(e).code, ErrorCode::UserNotFound);
/// ```
#[derive(Debug)]
pub struct DbError {
    kind: DbErrorKind,
    code: ErrorCode,
    /// What a client is told instead of the code's own sentence.
    sentence: Option<&'static str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl DbError {
    /// The database can't be reached right now.
    pub fn unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            kind: DbErrorKind::Unavailable,
            code: ErrorCode::ServiceUnavailable,
            sentence: None,
            source: Some(source.into()),
        }
    }

    /// There is no room for new rows right now; `sentence` is for the client.
    pub fn full(sentence: &'static str) -> Self {
        Self {
            sentence: Some(sentence),
            ..Self::unavailable(sentence)
        }
    }

    /// A defect in code, schema or data.
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            kind: DbErrorKind::Internal,
            code: ErrorCode::Internal,
            sentence: None,
            source: Some(source.into()),
        }
    }

    /// The row changed in the meantime.
    pub const fn conflict() -> Self {
        Self {
            kind: DbErrorKind::Conflict,
            code: ErrorCode::VersionConflict,
            sentence: None,
            source: None,
        }
    }

    /// The row is not there; `code` names what is missing.
    pub const fn not_found(code: ErrorCode) -> Self {
        Self {
            kind: DbErrorKind::NotFound,
            code,
            sentence: None,
            source: None,
        }
    }

    /// A unique value is taken; `code` names which.
    pub const fn duplicate(code: ErrorCode) -> Self {
        Self {
            kind: DbErrorKind::Duplicate,
            code,
            sentence: None,
            source: None,
        }
    }

    /// The stored state forbids it; `code` says why.
    pub const fn refused(code: ErrorCode) -> Self {
        Self {
            kind: DbErrorKind::Refused,
            code,
            sentence: None,
            source: None,
        }
    }

    /// The class of the failure.
    pub const fn kind(&self) -> DbErrorKind {
        self.kind
    }

    /// The code a client gets.
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// Whether the same call can succeed later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind, DbErrorKind::Unavailable)
    }
}

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "database: {}", self.code)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl StdError for DbError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|s| s as &(dyn StdError + 'static))
    }
}

impl From<DbError> for Error {
    /// Keeps the code and drops the source: the text of a driver is for logs, not for clients.
    fn from(e: DbError) -> Self {
        match e.sentence {
            Some(sentence) => Self::new(e.code, sentence),
            None => Self::from(e.code),
        }
    }
}
