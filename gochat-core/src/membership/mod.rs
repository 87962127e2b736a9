//! Who may do what in a conversation, and how groups change.
//!
//! [`Standing::may`] answers from one table. Group commands are pure functions: a store loads the
//! [`GroupState`] under the group's lock, calls [`decide`] and writes the [`GroupDecision`], so
//! that concurrent commands end as one of their orders would. The service in front refuses early
//! with the `decide_…` of the command and publishes the [`GroupEvent`]s.

mod ask;
mod command;
mod event;
mod group;
mod heir;
mod link;
mod matrix;
mod system;

pub use ask::{
    Ask, AskLimits, JOIN_TEXT_MAX_CHARS, JoinAnswer, JoinRequest, JoinStatus, check_join_text,
    decide_ask, decide_join_answer,
};
pub use command::{
    GroupAct, GroupCommand, GroupDecision, GroupState, GroupWrite, Operator, decide,
};
pub use event::{Departure, EventTopic, GroupEvent};
pub use group::{
    AddPlan, Candidate, CreatePlan, FailedUser, GroupFacts, MuteChange, RemovePlan, RoleChange,
    USERS_PER_COMMAND, decide_add, decide_create, decide_dissolve, decide_join, decide_leave,
    decide_mute, decide_remove, decide_role,
};
pub use heir::{Candidacy, heir};
pub use link::{
    Entry, LINK_CODE_CHARS, LINK_LIFE_MAX_MS, LINK_USES_MAX, Link, LinkTerms, decide_link,
    decide_link_use, decide_revoke, is_link_code, sees_all_links,
};
pub use matrix::{Action, Standing};
pub use system::{told, told_of_edit};

use crate::ids::UnixMillis;

/// Role of a member; the numbers are those of the wire and the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum Role {
    /// Ordinary member.
    Member = 1,
    /// Manages members and info.
    Admin = 2,
    /// One per group; everything.
    Owner = 3,
}

impl Role {
    /// The role with this number.
    pub const fn from_i32(n: i32) -> Option<Self> {
        match n {
            1 => Some(Self::Member),
            2 => Some(Self::Admin),
            3 => Some(Self::Owner),
            _ => None,
        }
    }

    /// The word used in system messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

/// Whether a member may not write for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Mute {
    /// May write.
    #[default]
    None,
    /// Until somebody lifts it.
    Forever,
    /// Until this moment.
    Until(UnixMillis),
}

impl Mute {
    /// From the stored columns: a flag, and a moment in which the mute ends (0 = none).
    pub const fn from_columns(muted: bool, until: UnixMillis) -> Self {
        match (muted, until) {
            (true, 0) => Self::Forever,
            (_, 0) => Self::None,
            (_, until) => Self::Until(until),
        }
    }

    /// The stored columns: a flag, and the moment in which the mute ends (0 = none).
    pub const fn to_columns(self) -> (bool, UnixMillis) {
        match self {
            Self::None => (false, 0),
            Self::Forever => (true, 0),
            Self::Until(until) => (true, until),
        }
    }

    /// Whether it is in force.
    pub const fn is_active(self, now: UnixMillis) -> bool {
        match self {
            Self::None => false,
            Self::Forever => true,
            Self::Until(until) => now < until,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mute_ends_at_its_moment() {
        assert!(Mute::from_columns(false, 10).is_active(9));
        assert!(!Mute::from_columns(true, 10).is_active(10));
        assert!(Mute::from_columns(true, 0).is_active(u64::MAX));
        assert!(!Mute::from_columns(false, 0).is_active(0));
    }

    #[test]
    fn a_mute_survives_its_columns() {
        for mute in [Mute::None, Mute::Forever, Mute::Until(10)] {
            let (muted, until) = mute.to_columns();
            assert_eq!(Mute::from_columns(muted, until), mute);
        }
    }

    #[test]
    fn role_numbers_are_those_of_the_wire() {
        for role in [Role::Member, Role::Admin, Role::Owner] {
            assert_eq!(Role::from_i32(role as i32), Some(role));
        }
        assert_eq!(Role::from_i32(0), None);
        assert!(Role::Owner > Role::Admin && Role::Admin > Role::Member);
    }
}
