//! What handles are told of where the client stands.

use std::time::Duration;

use gochat_core::error::{Error as Refusal, ErrorCode};
use gochat_core::sync::State;

use super::Driver;
use crate::status::{Connection, Status};
use crate::{Cause, Error, ErrorKind};

impl Driver {
    /// Notes why a connection ended.
    pub(super) fn note_disconnected(&mut self, code: Option<u16>) {
        let sentence = code.map_or_else(
            || "the connection broke".to_owned(),
            |code| format!("the server closed the connection with code {code}"),
        );
        self.cause = Some(Error::transport(sentence).into());
    }

    /// Notes the last thing that the server refused, which may be why the session ends.
    pub(super) fn note_refusal(&mut self, refusal: &Refusal) {
        let is_known = self.cause.as_ref().is_some_and(|cause| cause.is_final());
        if self.session.state() == State::Closed && !is_known {
            self.cause = Some(Error::from(refusal.clone()).into());
        }
    }

    pub(super) fn tell_status(&mut self) {
        let status = Status {
            connection: self.connection(),
            unsaved: self.unsaved.borrow_and_update().clone(),
        };
        self.status.send_if_modified(|known| {
            let is_new = *known != status;
            *known = status;
            is_new
        });
    }

    fn connection(&mut self) -> Connection {
        match self.session.state() {
            State::Authenticating | State::Connecting => Connection::Connecting,
            State::Syncing => Connection::Syncing,
            State::Ready => Connection::Online,
            State::BackingOff => Connection::Offline {
                cause: self.cause_or(ErrorKind::Timeout),
                next_attempt: self
                    .session
                    .next_attempt()
                    .map(|at| (self.started + Duration::from_millis(at)).into_std()),
            },
            State::Closed if self.is_closing => Connection::Closed,
            State::Closed => {
                let cause = self.cause_or(ErrorKind::SignedOut);
                let code = cause.refusal().map(|refusal| refusal.code);
                if code == Some(ErrorCode::ConnectionReplaced) {
                    Connection::Replaced
                } else {
                    Connection::SignedOut { cause }
                }
            }
        }
    }

    /// Why there is no connection; by default that the server fell silent.
    fn cause_or(&mut self, kind: ErrorKind) -> Cause {
        self.cause
            .get_or_insert_with(|| Error::from(kind).into())
            .clone()
    }
}
