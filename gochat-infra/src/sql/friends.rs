//! Rows of friendships as core judges them, and its refusals as the port says them.

use gochat_core::error::{Error, ErrorCode};
use gochat_core::friendship::{Asking, Person, Row};
use gochat_core::ids::UserId;

use crate::port::db::{DbError, FriendRequestRow, NewFriendRequest, UserRow, UserStatus};

/// A refusal of core, as the port says it.
pub(crate) fn refused(e: Error) -> DbError {
    match e.code {
        ErrorCode::FriendRequestNotFound | ErrorCode::UserNotFound => DbError::not_found(e.code),
        code => DbError::refused(code),
    }
}

/// A row as core sees it.
pub(crate) fn as_core(row: &FriendRequestRow) -> Row {
    Row {
        id: row.id,
        requester: row.requester_id,
        target: row.target_id,
        status: row.status,
        mirrored: row.mirrored,
        changed_at: row.updated_at,
    }
}

/// An account, or the lack of one, as core sees it.
pub(crate) fn as_person(id: UserId, user: Option<&UserRow>) -> Person {
    Person {
        id,
        is_guest: user.is_some_and(|u| u.is_guest),
        active: user.is_some_and(|u| u.status == UserStatus::Normal),
    }
}

/// The time of a request, and how long a refusal holds.
pub(crate) fn asking(new: &NewFriendRequest) -> Asking {
    Asking {
        now: new.now,
        cooldown: new.cooldown,
    }
}
