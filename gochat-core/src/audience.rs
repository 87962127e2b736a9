//! Who is told something.
//!
//! Every push names an [`Audience`], and an audience is made only here: from those who are members
//! of a conversation when it is pushed ([`Roster`]), from the friends of a user when it is pushed
//! ([`Friends`]), or from the user whom the news is about. A list of users from anywhere else, for
//! example the authors of old messages, is only an intention: [`Roster::among`] keeps those of it
//! who are members (I5).
//!
//! ```
//! use gochat_core::audience::Roster;
//! use gochat_core::ids::UserId;
//! let [ann, bob, eve] = [1, 2, 3].map(|n| UserId::new(n).unwrap());
//! let roster = Roster::loaded([ann, bob]);
//! // Eve wrote in the group and was removed since.
//! assert_eq!(roster.among([eve, bob]).users(), [bob]);
//! ```
//!
//! A list can't be pushed to:
//!
//! ```compile_fail
//! use gochat_core::audience::Audience;
//! let audience = Audience { users: vec![] };
//! ```

use crate::ids::UserId;

/// Users who are told something, each once, by ascending id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audience {
    users: Vec<UserId>,
}

impl Audience {
    /// Nobody.
    pub const NOBODY: Self = Self { users: Vec::new() };

    /// All sessions of one user, who is told about the user's own affairs: what another device did,
    /// a request that arrived, a group that the user is no longer in.
    pub fn own(user: UserId) -> Self {
        Self { users: vec![user] }
    }

    /// The users.
    pub fn users(&self) -> &[UserId] {
        &self.users
    }

    /// True if the audience contains the user.
    pub fn contains(&self, user: UserId) -> bool {
        self.users.binary_search(&user).is_ok()
    }

    /// Whether it is nobody.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The same without one user.
    #[must_use]
    pub fn without(mut self, user: UserId) -> Self {
        self.users.retain(|other| *other != user);
        self
    }

    /// The same and another audience.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.users.extend(other.users);
        Self::of(self.users)
    }

    fn of(mut users: Vec<UserId>) -> Self {
        users.sort_unstable();
        users.dedup();
        Self { users }
    }
}

/// Members of a conversation as a store answered at the time of the push: all of them, one page of
/// them, or those among the users it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    /// Sorted, each once; `None` = everybody, as in the world chat.
    members: Option<Vec<UserId>>,
}

impl Roster {
    /// The members that a store has just answered.
    pub fn loaded(members: impl IntoIterator<Item = UserId>) -> Self {
        let Audience { users } = Audience::of(members.into_iter().collect());
        Self {
            members: Some(users),
        }
    }

    /// The two members of a single chat: its id names them, and nobody else ever joins.
    pub fn pair(one: UserId, other: UserId) -> Self {
        Self::loaded([one, other])
    }

    /// The members of the world chat.
    pub const fn world() -> Self {
        Self { members: None }
    }

    /// Whether a user is a member.
    pub fn contains(&self, user: UserId) -> bool {
        let among = |members: &Vec<UserId>| members.binary_search(&user).is_ok();
        self.members.as_ref().is_none_or(among)
    }

    /// All listed members; nobody for the world chat, which is told by broadcast.
    pub fn everyone(self) -> Audience {
        Audience {
            users: self.members.unwrap_or_default(),
        }
    }

    /// Those of the intended users who are members.
    pub fn among(&self, intended: impl IntoIterator<Item = UserId>) -> Audience {
        let intended = intended.into_iter();
        Audience::of(intended.filter(|user| self.contains(*user)).collect())
    }
}

/// Friends of a user as a store answered at the time of the push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Friends(Vec<UserId>);

impl Friends {
    /// The friends that a store has just answered.
    pub fn loaded(friends: impl IntoIterator<Item = UserId>) -> Self {
        Self(friends.into_iter().collect())
    }

    /// All listed friends.
    pub fn everyone(self) -> Audience {
        Audience::of(self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn user(n: u64) -> UserId {
        UserId::new(n).unwrap()
    }

    proptest! {
        #[test]
        fn an_audience_of_a_conversation_holds_intended_members_only(
            members in prop::collection::vec(1_u64..20, 0..10),
            intended in prop::collection::vec(1_u64..20, 0..10),
        ) {
            let roster = Roster::loaded(members.iter().copied().map(user));
            let audience = roster.among(intended.iter().copied().map(user));
            for told in audience.users() {
                prop_assert!(members.contains(&told.get()) && intended.contains(&told.get()));
            }
            for wanted in intended {
                let is_told = audience.users().contains(&user(wanted));
                prop_assert_eq!(audience.contains(user(wanted)), is_told);
                prop_assert_eq!(is_told, members.contains(&wanted));
            }
        }

        #[test]
        fn nobody_is_told_twice(intended in prop::collection::vec(1_u64..9, 0..20)) {
            let audience = Roster::world().among(intended.into_iter().map(user));
            let mut once = audience.users().to_vec();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), audience.users().len());
        }
    }

    #[test]
    fn audiences_are_joined_without_repeats() {
        let both = Roster::pair(user(1), user(2)).everyone();
        assert_eq!(both.clone().and(Audience::own(user(2))), both);
        assert_eq!(both.clone().without(user(1)), Audience::own(user(2)));
        assert!(Audience::NOBODY.and(Audience::NOBODY).is_empty());
    }
}
