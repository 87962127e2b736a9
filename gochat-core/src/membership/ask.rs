//! Requests to join a group, and the answers of its admins.
//!
//! A setting of the group says whether strangers may ask; by default they may not. A link whose
//! maker may not admit members directly makes a request as well.

use super::{Action, GroupFacts, Standing};
use crate::error::{Error, ErrorCode, Result};
use crate::ids::UnixMillis;

/// Longest text of a request, in characters.
pub const JOIN_TEXT_MAX_CHARS: usize = 200;

/// State of a request; the numbers are those of the wire and the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum JoinStatus {
    /// Waits for an admin.
    Open = 0,
    /// The asker became a member.
    Accepted = 1,
    /// Refused; the asker may ask again after a while.
    Rejected = 2,
}

impl JoinStatus {
    /// The status with this number.
    pub const fn from_i32(n: i32) -> Option<Self> {
        match n {
            0 => Some(Self::Open),
            1 => Some(Self::Accepted),
            2 => Some(Self::Rejected),
            _ => None,
        }
    }
}

/// A stored request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JoinRequest {
    /// State.
    pub status: JoinStatus,
    /// Time at which the request was made or answered.
    pub changed_at: UnixMillis,
    /// Time at which an open request ends by itself.
    pub expires_at: UnixMillis,
}

impl JoinRequest {
    /// Returns true while the request waits for an answer.
    pub const fn is_open(&self, now: UnixMillis) -> bool {
        matches!(self.status, JoinStatus::Open) && now < self.expires_at
    }
}

/// Limits on open requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskLimits {
    /// Open requests of the user, and their maximum.
    pub of_user: (u32, u32),
    /// Open requests of the group, and their maximum.
    pub of_group: (u32, u32),
    /// Time after a refusal in which the same user doesn't ask again, in milliseconds.
    pub cooldown: UnixMillis,
}

/// Outcome of asking to join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// There is an open request already; it stays as it is.
    Keep,
    /// A request is written.
    Make,
}

/// Judges the text of a request.
///
/// # Errors
/// `INVALID_PARAMS`.
pub fn check_join_text(text: &str) -> Result<()> {
    match text.chars().count() <= JOIN_TEXT_MAX_CHARS {
        true => Ok(()),
        false => Err(Error::new(
            ErrorCode::InvalidParams,
            "The text has at most 200 characters.",
        )),
    }
}

/// Judges the wish to join. `by_link` says that a good link leads here.
///
/// # Errors
/// `USER_ALREADY_IN_CONVERSATION` for members, `INSUFFICIENT_PERMISSION` where nobody may ask,
/// `CONVERSATION_FULL`, `RATE_LIMITED` after a refusal and beyond the limits.
pub fn decide_ask(
    group: &GroupFacts,
    user: Standing,
    by_link: bool,
    current: Option<&JoinRequest>,
    limits: &AskLimits,
    now: UnixMillis,
) -> Result<Ask> {
    let group = group.alive()?;
    user.may(Action::AskToJoin)?;
    if !by_link && group.settings.allow_join_requests != Some(true) {
        return Err(Error::new(
            ErrorCode::InsufficientPermission,
            "This group takes no requests to join.",
        ));
    }
    if current.is_some_and(|request| request.is_open(now)) {
        return Ok(Ask::Keep);
    }
    let refused = current.filter(|request| request.status == JoinStatus::Rejected);
    let again = refused.map_or(0, |r| r.changed_at.saturating_add(limits.cooldown));
    if again > now {
        let text = "This group has refused you; ask again later.";
        return Err(Error::new(ErrorCode::RateLimited, text).after(again - now));
    }
    if group.room() == 0 {
        return Err(ErrorCode::ConversationFull.into());
    }
    let is_full = |(count, cap): (u32, u32)| count >= cap;
    if is_full(limits.of_user) || is_full(limits.of_group) {
        let text = "There are too many open requests; ask again later.";
        return Err(Error::new(ErrorCode::RateLimited, text));
    }
    Ok(Ask::Make)
}

/// Effect of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinAnswer {
    /// The asker becomes a member.
    Admit,
    /// The request is refused.
    Refuse,
    /// The request was answered like this before.
    Nothing,
}

/// Judges the answer to a request.
///
/// # Errors
/// The refusals of the permission matrix, `JOIN_REQUEST_NOT_FOUND`, `JOIN_REQUEST_HANDLED` when the
/// request was answered otherwise before.
pub fn decide_join_answer(
    group: &GroupFacts,
    operator: Standing,
    current: Option<&JoinRequest>,
    accept: bool,
    now: UnixMillis,
) -> Result<JoinAnswer> {
    group.alive()?;
    operator.may(Action::AnswerJoin)?;
    let current = current.ok_or(ErrorCode::JoinRequestNotFound)?;
    match (current.status, accept) {
        (JoinStatus::Open, _) if !current.is_open(now) => {
            Err(ErrorCode::JoinRequestNotFound.into())
        }
        (JoinStatus::Open, true) => Ok(JoinAnswer::Admit),
        (JoinStatus::Open, false) => Ok(JoinAnswer::Refuse),
        (JoinStatus::Accepted, true) | (JoinStatus::Rejected, false) => Ok(JoinAnswer::Nothing),
        (JoinStatus::Accepted, false) | (JoinStatus::Rejected, true) => {
            Err(ErrorCode::JoinRequestHandled.into())
        }
    }
}

#[cfg(test)]
mod tests;
