//! What the server's and the driver's errors mean.
//!
//! diesel keeps the text of an error and drops its number, so the texts are compared; sessions ask
//! for English ones (`lc_messages`).

use std::fmt;

use diesel::result::{DatabaseErrorKind, Error};

use crate::port::db::DbError;

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// 1213, 1205: the transaction lost against another one and is rolled back.
    Contention,
    /// 1290, 1836, 1792: this server is no primary (any more).
    ReadOnly,
    /// 2006, 2013 and what else ends a connection.
    Lost,
    /// The server is short of something: connections, disk, time.
    Busy,
    /// No connection came free in time, or the database was closed.
    NoConnection,
    /// 1062: a unique value is taken.
    Duplicate,
    /// 1615 and the like: the prepared form of a statement is out of date.
    Stale,
    /// A defect.
    Defect,
}

/// A failure with its class, as the source of a [`DbError`].
#[derive(Debug)]
pub(super) struct Fault {
    class: Class,
    /// It happened while the commit was on its way: the transaction may stand.
    at_commit: bool,
    text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Fault {}

/// Texts (lower case) and what they mean; the first that fits counts.
const TEXTS: [(&str, Class); 30] = [
    ("deadlock found", Class::Contention),
    ("lock wait timeout exceeded", Class::Contention),
    ("record has changed since last read", Class::Contention),
    ("read-only option", Class::ReadOnly),
    ("read-only mode", Class::ReadOnly),
    ("read only transaction", Class::ReadOnly),
    ("input/output error", Class::Lost),
    ("connection to the server is closed", Class::Lost),
    ("packet out of order", Class::Lost),
    ("unexpected packet", Class::Lost),
    ("pool was disconnected", Class::Lost),
    ("server has gone away", Class::Lost),
    ("lost connection", Class::Lost),
    ("connection was killed", Class::Lost),
    ("server shutdown", Class::Lost),
    ("reading communication packets", Class::Lost),
    ("writing communication packets", Class::Lost),
    ("wsrep has not yet prepared", Class::Lost),
    ("query execution was interrupted", Class::Busy),
    ("max_statement_time", Class::Busy),
    ("too many connections", Class::Busy),
    ("max_user_connections", Class::Busy),
    ("too many active concurrent transactions", Class::Busy),
    ("disk full", Class::Busy),
    ("no space left", Class::Busy),
    (" is full", Class::Busy),
    ("out of memory", Class::Busy),
    ("during commit", Class::Busy),
    ("needs to be re-prepared", Class::Stale),
    ("unknown prepared statement", Class::Stale),
];

fn class_of(text: &str) -> Class {
    let text = text.to_ascii_lowercase();
    let known = TEXTS.iter().find(|(part, _)| text.contains(part));
    known.map_or(Class::Defect, |(_, class)| *class)
}

/// A failed statement.
pub(super) fn of(e: Error) -> DbError {
    let class = match &e {
        Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => Class::Duplicate,
        Error::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _) => Class::ReadOnly,
        Error::DatabaseError(DatabaseErrorKind::ClosedConnection, _) => Class::Lost,
        Error::DatabaseError(_, info) => class_of(info.message()),
        _ => Class::Defect,
    };
    with(class, e.to_string())
}

/// A failure of known class.
pub(super) fn with(class: Class, text: impl Into<String>) -> DbError {
    let fault = Fault {
        class,
        at_commit: false,
        text: text.into(),
    };
    match class {
        Class::Duplicate | Class::Defect => DbError::internal(fault),
        _ => DbError::unavailable(fault),
    }
}

/// A failed commit: unless the server itself refused it, the transaction may stand.
pub(super) fn at_commit(e: Error) -> DbError {
    let text = e.to_string();
    let class = match class(&of(e)) {
        Class::Defect => Class::Busy,
        class => class,
    };
    DbError::unavailable(Fault {
        class,
        at_commit: class != Class::Contention,
        text,
    })
}

fn fault(e: &DbError) -> Option<&Fault> {
    std::error::Error::source(e)?.downcast_ref()
}

/// The class of an error; refusals of the port have none of ours and count as defects here.
pub(super) fn class(e: &DbError) -> Class {
    fault(e).map_or(Class::Defect, |fault| fault.class)
}

/// Whether an attempt may be repeated at once. `unsure` says whether that also holds when it may
/// have happened.
pub(super) fn may_repeat(e: &DbError, unsure: bool) -> bool {
    let Some(fault) = fault(e) else { return false };
    match fault.class {
        Class::Contention | Class::Stale => true,
        Class::ReadOnly | Class::Lost | Class::Busy => unsure || !fault.at_commit,
        Class::NoConnection | Class::Duplicate | Class::Defect => false,
    }
}

/// Whether the connection it happened on is of no use any more.
pub(super) fn spoils_connection(e: &DbError) -> bool {
    fault(e).is_some_and(|fault| {
        fault.at_commit || matches!(fault.class, Class::Lost | Class::ReadOnly | Class::Stale)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> Error {
        Error::DatabaseError(DatabaseErrorKind::Unknown, Box::new(text.to_owned()))
    }

    #[test]
    fn errors_are_told_apart_by_their_text() {
        for (text, expected) in [
            (
                "Deadlock found when trying to get lock; try restarting transaction",
                Class::Contention,
            ),
            (
                "The MariaDB server is running with the --read-only option so it cannot execute this statement",
                Class::ReadOnly,
            ),
            (
                "The MySQL server is running with the --super-read-only option so it cannot execute this statement",
                Class::ReadOnly,
            ),
            ("Running in read-only mode", Class::ReadOnly),
            ("Input/output error: Broken pipe (os error 32)", Class::Lost),
            (
                "Driver error: `Connection to the server is closed.'",
                Class::Lost,
            ),
            ("The table 'messages' is full", Class::Busy),
            ("Data too long for column 'content' at row 1", Class::Defect),
        ] {
            assert_eq!(class(&of(server(text))), expected, "{text}");
        }
    }

    #[test]
    fn a_lost_commit_is_repeated_only_when_that_changes_nothing() {
        let lost = at_commit(server("Input/output error: connection reset by peer"));
        assert!(may_repeat(&lost, true) && !may_repeat(&lost, false));
        assert!(lost.is_retryable() && spoils_connection(&lost));
        let deadlock = at_commit(server("Deadlock found when trying to get lock"));
        assert!(
            may_repeat(&deadlock, false),
            "refused, so it never happened"
        );
        let before = of(server("Lost connection to server during query"));
        assert!(may_repeat(&before, false), "the commit was never sent");
        let refusal = DbError::conflict();
        assert!(!may_repeat(&refusal, true));
    }
}
