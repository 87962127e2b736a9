//! Who owns a group when the account of its owner goes.

use super::Role;
use crate::ids::{UnixMillis, UserId};

/// A member who may become owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidacy {
    /// The member.
    pub user: UserId,
    /// Role of the member now.
    pub role: Role,
    /// When the member joined.
    pub joined_at: UnixMillis,
}

/// The member who becomes owner: the longest-serving admin, else the longest-serving member. Of two
/// who joined at once, the smaller id. `None` when nobody is left: the group is dissolved.
pub fn heir(members: impl IntoIterator<Item = Candidacy>) -> Option<UserId> {
    let rank = |c: &Candidacy| (c.role < Role::Admin, c.joined_at, c.user);
    members.into_iter().min_by_key(rank).map(|c| c.user)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(id: u64, role: Role, joined_at: UnixMillis) -> Candidacy {
        Candidacy {
            user: UserId::new(id).unwrap(),
            role,
            joined_at,
        }
    }

    #[test]
    fn admins_come_before_members_and_veterans_before_newcomers() {
        let members = [
            member(1, Role::Member, 1),
            member(2, Role::Admin, 9),
            member(3, Role::Admin, 5),
            member(4, Role::Admin, 5),
        ];
        assert_eq!(heir(members), UserId::new(3));
        assert_eq!(heir([members[0]]), UserId::new(1));
        assert_eq!(heir([]), None);
    }

    proptest! {
        #[test]
        fn the_heir_does_not_depend_on_the_order(
            raw in proptest::collection::vec((0..50_u64, any::<bool>(), 0..9_u64), 0..20),
            turn in 0..20_usize,
        ) {
            let members: Vec<_> = raw
                .iter()
                .map(|(id, admin, at)| {
                    let role = if *admin { Role::Admin } else { Role::Member };
                    member(*id, role, *at)
                })
                .collect();
            let mut turned = members.clone();
            if !turned.is_empty() {
                let by = turn % turned.len();
                turned.rotate_left(by);
            }
            let chosen = heir(members.iter().copied());
            prop_assert_eq!(chosen, heir(turned));
            prop_assert_eq!(chosen.is_none(), members.is_empty());
            let has_admin = members.iter().any(|c| c.role == Role::Admin);
            if has_admin {
                let is_admin = members
                    .iter()
                    .any(|c| Some(c.user) == chosen && c.role == Role::Admin);
                prop_assert!(is_admin);
            }
        }
    }
}
