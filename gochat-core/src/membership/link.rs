//! Invitation links: codes that make members of those who present them.
//!
//! A link stands for its maker: it is good while the maker may add members. So the links of a member
//! who was removed, or who may no longer invite, end with the permission.

use super::group::may_add;
use super::{Action, GroupFacts, Role, Standing};
use crate::error::{Error, ErrorCode, Result};
use crate::ids::{UnixMillis, UserId};

/// Maximum number of uses that a link may be limited to.
pub const LINK_USES_MAX: u32 = 10_000;
/// Longest life of a link in milliseconds: a year.
pub const LINK_LIFE_MAX_MS: u64 = 365 * 86_400_000;
/// Length of a code in characters: 128 random bits as 32 hexadecimal digits.
pub const LINK_CODE_CHARS: usize = 32;

/// Bounds of a link: number of uses, and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkTerms {
    /// Number of users who may join by the link; 0 = as many as the group has room for.
    pub max_uses: u32,
    /// The moment in which the link ends.
    pub expires_at: UnixMillis,
}

/// A link as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Maker of the link.
    pub creator: UserId,
    /// Bounds of the link.
    pub terms: LinkTerms,
    /// Number of users who joined by the link.
    pub used: u32,
}

impl Link {
    /// Returns true if the link has neither ended nor been used up.
    pub const fn is_open(&self, now: UnixMillis) -> bool {
        let is_left = self.terms.max_uses == 0 || self.used < self.terms.max_uses;
        is_left && now < self.terms.expires_at
    }
}

/// Returns true if a text has the form of a code. Other texts are not looked up.
pub fn is_link_code(text: &str) -> bool {
    text.len() == LINK_CODE_CHARS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Judges the wish to make a link. `open` is the number of open links of the group, `cap` their
/// maximum.
///
/// # Errors
/// `INVALID_PARAMS` for terms out of range, `TOO_MANY_INVITATIONS` at the cap, and the refusals of
/// adding members.
pub fn decide_link(
    group: &GroupFacts,
    operator: Standing,
    terms: LinkTerms,
    (open, cap): (u32, u32),
    now: UnixMillis,
) -> Result<()> {
    may_add(group, operator, Role::Member, 1)?;
    let invalid = |text: &'static str| Err(Error::new(ErrorCode::InvalidParams, text));
    if terms.max_uses > LINK_USES_MAX {
        return invalid("A link is good for at most 10000 users.");
    }
    if terms.expires_at <= now || terms.expires_at > now.saturating_add(LINK_LIFE_MAX_MS) {
        return invalid("A link ends in the future, within a year.");
    }
    match open < cap {
        true => Ok(()),
        false => Err(ErrorCode::TooManyInvitations.into()),
    }
}

/// Judges the wish to revoke a link: the maker's own, or anybody's for those who may always add.
///
/// # Errors
/// The refusals of the permission matrix.
pub fn decide_revoke(operator: UserId, standing: Standing, creator: UserId) -> Result<()> {
    standing.may(if operator == creator {
        Action::Read
    } else {
        Action::AddMembers
    })
}

/// Returns true if a member may see links that other members made.
pub fn sees_all_links(standing: Standing) -> bool {
    standing.may(Action::AddMembers).is_ok()
}

/// Way into the group that a link opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// As a member at once.
    Join,
    /// By a request that an admin answers: joining needs approval, and the maker is no admin.
    Ask,
}

/// Judges the use of a link. `creator` and `user` are the standings of the maker and of the one who
/// presents the code.
///
/// # Errors
/// `USER_ALREADY_IN_CONVERSATION` for members, `INVITATION_NOT_FOUND` for a link that has ended for
/// whatever reason, `CONVERSATION_FULL`.
pub fn decide_link_use(
    group: &GroupFacts,
    link: &Link,
    creator: Standing,
    user: Standing,
    now: UnixMillis,
) -> Result<Entry> {
    user.may(Action::JoinWhenOpen)?;
    if !link.is_open(now) || may_add(group, creator, Role::Member, 1).is_err() {
        return Err(ErrorCode::InvitationNotFound.into());
    }
    if group.room() == 0 {
        return Err(ErrorCode::ConversationFull.into());
    }
    let admits = creator.may(Action::AddMembers).is_ok();
    match group.settings.join_approval_required && !admits {
        true => Ok(Entry::Ask),
        false => Ok(Entry::Join),
    }
}

#[cfg(test)]
mod tests;
