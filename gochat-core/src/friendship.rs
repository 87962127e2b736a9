//! Friend requests as a state machine.
//!
//! A relation is stored as up to two rows, one per direction. A request is the row
//! requester → target. Accepting it makes both directions [`Status::Accepted`], so a friend
//! list is one look-up by one column; the second row is *mirrored*: it was nobody's request.

use crate::error::{Error, ErrorCode, Result};
use crate::ids::{RequestId, UnixMillis, UserId};
use crate::reach::{Contact, may_reach};

/// State of one direction; the numbers are those of the wire and the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Status {
    /// Waits for the target's answer.
    Pending = 0,
    /// Friends.
    Accepted = 1,
    /// Refused; may be asked again.
    Rejected = 2,
    /// The requester of this row blocked its target.
    Blocked = 3,
}

impl Status {
    /// The status with this number.
    pub const fn from_i32(n: i32) -> Option<Self> {
        match n {
            0 => Some(Self::Pending),
            1 => Some(Self::Accepted),
            2 => Some(Self::Rejected),
            3 => Some(Self::Blocked),
            _ => None,
        }
    }
}

/// Who asks or is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub id: UserId,
    /// Guests have no friends.
    pub is_guest: bool,
    /// Whether the account exists and is neither disabled nor deleted.
    pub active: bool,
}

/// One stored direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Id of the request.
    pub id: RequestId,
    /// Who asked.
    pub requester: UserId,
    /// Who was asked.
    pub target: UserId,
    /// State.
    pub status: Status,
    /// Written by accepting the opposite request; not a request by itself.
    pub mirrored: bool,
    /// When the row last changed.
    pub changed_at: UnixMillis,
}

/// Both directions between two users, seen by the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pair {
    /// From the viewer to the other.
    pub outgoing: Option<Row>,
    /// From the other to the viewer.
    pub incoming: Option<Row>,
}

impl Pair {
    /// Whether they are friends.
    pub fn are_friends(&self) -> bool {
        self.any(Status::Accepted)
    }

    /// Whether one of them blocked the other.
    pub fn is_blocked(&self) -> bool {
        self.any(Status::Blocked)
    }

    /// The same relation, seen by the other.
    #[must_use]
    pub fn flipped(self) -> Self {
        Self {
            outgoing: self.incoming,
            incoming: self.outgoing,
        }
    }

    fn any(&self, status: Status) -> bool {
        let is = |row: &Option<Row>| row.is_some_and(|r| r.status == status);
        is(&self.outgoing) || is(&self.incoming)
    }
}

/// An accepted wish to become friends: what to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A new row.
    New,
    /// The row of an earlier, refused request is pending again.
    Again(RequestId),
}

/// The target's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Answer {
    /// Become friends.
    Accept = 1,
    /// Don't.
    Reject = 2,
}

impl Answer {
    /// The answer with this number.
    pub const fn from_i32(n: i32) -> Option<Self> {
        match n {
            1 => Some(Self::Accept),
            2 => Some(Self::Reject),
            _ => None,
        }
    }

    /// The status the request gets.
    pub const fn status(self) -> Status {
        match self {
            Self::Accept => Status::Accepted,
            Self::Reject => Status::Rejected,
        }
    }
}

/// An accepted answer: what to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// New status of the request.
    pub status: Status,
    /// The opposite direction becomes `Accepted` and mirrored in the same step.
    pub mirror: bool,
}

/// Longest text sent along with a request, in characters.
pub const MESSAGE_MAX_CHARS: usize = 200;

/// How long a user who was refused waits before asking the same user again, unless a setting says
/// otherwise: 24 hours.
pub const REQUEST_COOLDOWN_MS: UnixMillis = 24 * 3_600 * 1_000;

/// When a request is made, and how long a refusal of the target holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asking {
    /// Now.
    pub now: UnixMillis,
    /// Time after a refusal in which the same user isn't asked again; 0 = none.
    pub cooldown: UnixMillis,
}

/// Decides a friend request. `pair` is seen by the requester.
///
/// # Errors
/// The refusals of [`may_reach`]; `ALREADY_FRIENDS`, `FRIEND_REQUEST_ALREADY_EXISTS`;
/// `RATE_LIMITED` while the refusal of an earlier request holds.
pub fn decide_request(
    requester: Person,
    target: Person,
    text: &str,
    pair: Pair,
    asking: Asking,
) -> Result<Asked> {
    if requester.id == target.id {
        return Err(ErrorCode::CannotAddSelfAsFriend.into());
    }
    may_reach(requester, target, pair, Contact::Request)?;
    if text.chars().count() > MESSAGE_MAX_CHARS {
        return Err(Error::new(
            ErrorCode::InvalidParams,
            "The text of a friend request has at most 200 characters.",
        ));
    }
    if pair.are_friends() {
        return Err(ErrorCode::AlreadyFriends.into());
    }
    if pair.any(Status::Pending) {
        return Err(ErrorCode::FriendRequestAlreadyExists.into());
    }
    let refused = pair
        .outgoing
        .filter(|row| row.status == Status::Rejected && !row.mirrored);
    // Without a cool-down, the clock of another instance that is ahead refuses no request.
    let until = refused
        .filter(|_| asking.cooldown > 0)
        .map(|row| row.changed_at.saturating_add(asking.cooldown));
    if until.is_some_and(|until| asking.now < until) {
        return Err(Error::new(
            ErrorCode::RateLimited,
            "This user turned a request of yours down; ask again later.",
        ));
    }
    Ok(pair.outgoing.map_or(Asked::New, |row| Asked::Again(row.id)))
}

/// Decides an answer to a request: only by the target, only while it is pending.
pub fn decide_answer(handler: UserId, request: &Row, answer: Answer) -> Result<Answered> {
    if request.mirrored || (handler != request.target && handler != request.requester) {
        return Err(ErrorCode::FriendRequestNotFound.into());
    }
    if handler != request.target {
        return Err(Error::new(
            ErrorCode::Forbidden,
            "Only the user who was asked may answer.",
        ));
    }
    if request.status != Status::Pending {
        return Err(ErrorCode::FriendRequestAlreadyHandled.into());
    }
    Ok(Answered {
        status: answer.status(),
        mirror: answer == Answer::Accept,
    })
}

#[cfg(test)]
mod tests;
