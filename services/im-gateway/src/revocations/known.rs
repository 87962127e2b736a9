//! Which sessions have ended, as far as tokens of theirs may still live. Bounded: what there is no
//! room for is replaced by a wider refusal, never forgotten.

use gochat_core::error::ErrorCode;
use gochat_core::ids::UserId;
use gochat_core::token::SessionId;
use hashbrown::HashMap;

use crate::metrics as names;
use crate::tokens::Identity;

/// How far the clocks of im-logic's instances may differ, in seconds.
const SKEW_S: i64 = 5;

/// What an end covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One session.
    Session(SessionId),
    /// Every token of one user issued before a Unix second.
    User(UserId, i64),
    /// Every token issued before a Unix second.
    Everyone(i64),
}

/// When a session ended and until when it must be remembered; Unix seconds.
#[derive(Debug, Clone, Copy)]
struct Ended {
    at: i64,
    expires_at: i64,
}

/// Tokens issued before a Unix second must be renewed.
#[derive(Debug, Clone, Copy, Default)]
struct Cut {
    issued_before: i64,
    expires_at: i64,
}

impl Cut {
    fn widen(&mut self, issued_before: i64, expires_at: i64) {
        self.issued_before = self.issued_before.max(issued_before);
        self.expires_at = self.expires_at.max(expires_at);
    }
}

/// The ends that still matter.
pub(super) struct Known {
    sessions: HashMap<SessionId, Ended, ahash::RandomState>,
    users: HashMap<UserId, Cut, ahash::RandomState>,
    everyone: Cut,
    max: usize,
}

impl Known {
    /// Room for so many entries.
    pub(super) fn new(max: usize) -> Self {
        Self {
            sessions: HashMap::default(),
            users: HashMap::default(),
            everyone: Cut::default(),
            max: max.max(1),
        }
    }

    /// `INVALID_TOKEN` for a token of an ended session, `TOKEN_EXPIRED` for one that must be
    /// renewed before it is believed: the session's row decides then.
    pub(super) fn refusal(&self, identity: &Identity) -> Option<ErrorCode> {
        if self.sessions.contains_key(&identity.session) {
            return Some(ErrorCode::InvalidToken);
        }
        let cut = self.users.get(&identity.user);
        let before = cut.map_or(0, |cut| cut.issued_before);
        (identity.issued_at < before.max(self.everyone.issued_before))
            .then_some(ErrorCode::TokenExpired)
    }

    /// Remembers an end that came at `at` until `expires_at`.
    pub(super) fn add(&mut self, scope: Scope, at: i64, expires_at: i64, now: i64) {
        self.make_room(now);
        match scope {
            Scope::Session(id) => {
                let ended = self.sessions.entry(id).or_insert(Ended { at, expires_at });
                ended.expires_at = ended.expires_at.max(expires_at);
            }
            Scope::User(user, before) => {
                self.users
                    .entry(user)
                    .or_default()
                    .widen(before, expires_at);
            }
            Scope::Everyone(before) => self.everyone.widen(before, expires_at),
        }
    }

    /// Forgets what no living token is about.
    pub(super) fn forget(&mut self, now: i64) {
        self.sessions.retain(|_, ended| ended.expires_at > now);
        self.users.retain(|_, cut| cut.expires_at > now);
        if self.everyone.expires_at <= now {
            self.everyone = Cut::default();
        }
    }

    fn len(&self) -> usize {
        self.sessions.len() + self.users.len()
    }

    fn make_room(&mut self, now: i64) {
        if self.len() < self.max {
            return;
        }
        self.forget(now);
        if self.len() >= self.max {
            self.widen(now);
        }
    }

    /// Replaces the older half of the sessions, or all cuts of users, by one cut for everyone.
    fn widen(&mut self, now: i64) {
        if self.users.len() > self.sessions.len() {
            for (_, cut) in self.users.drain() {
                self.everyone.widen(cut.issued_before, cut.expires_at);
            }
        } else {
            let mut times: Vec<i64> = self.sessions.values().map(|ended| ended.at).collect();
            let middle = times.len() / 2;
            let (_, &mut median, _) = times.select_nth_unstable(middle);
            // Tokens of the running second stay good, unless an end of this second is dropped.
            let before = (median + 1 + SKEW_S).min(now).max(median + 1);
            let everyone = &mut self.everyone;
            self.sessions.retain(|_, ended| {
                let stays = ended.at > median;
                if !stays {
                    everyone.widen(before, ended.expires_at);
                }
                stays
            });
        }
        metrics::counter!(names::ENDS_WIDENED).increment(1);
        tracing::warn!(
            max = self.max,
            issued_before = self.everyone.issued_before,
            "too many sessions have ended to remember each: older tokens must be renewed"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(user: u64, session: u128, issued_at: i64) -> Identity {
        Identity {
            user: UserId::new(user).unwrap(),
            guest: false,
            username: None,
            session: SessionId::new(session),
            issued_at,
            expires_at: i64::MAX,
        }
    }

    fn session(n: u128) -> Scope {
        Scope::Session(SessionId::new(n))
    }

    #[test]
    fn tokens_of_an_ended_session_are_refused_whenever_they_were_issued() {
        let mut known = Known::new(10);
        known.add(session(1), 100, 1_000, 100);
        for issued in [1, 100, 500] {
            let refusal = known.refusal(&identity(1, 1, issued));
            assert_eq!(refusal, Some(ErrorCode::InvalidToken));
        }
        assert_eq!(known.refusal(&identity(1, 2, 1)), None);
        known.forget(1_000);
        assert_eq!(
            known.refusal(&identity(1, 1, 500)),
            None,
            "all have expired"
        );
    }

    #[test]
    fn a_cut_asks_for_the_renewal_of_older_tokens() {
        let mut known = Known::new(10);
        let user = UserId::new(1).unwrap();
        known.add(Scope::User(user, 100), 99, 1_000, 99);
        let late = Some(ErrorCode::TokenExpired);
        assert_eq!(known.refusal(&identity(1, 1, 99)), late);
        assert_eq!(known.refusal(&identity(1, 1, 100)), None);
        assert_eq!(known.refusal(&identity(2, 1, 99)), None);
        known.add(Scope::Everyone(50), 49, 1_000, 99);
        assert_eq!(known.refusal(&identity(2, 1, 49)), late);
        assert_eq!(known.refusal(&identity(2, 1, 50)), None);
    }

    #[test]
    fn beyond_the_bound_ends_are_widened_and_none_is_dropped() {
        for max in [1, 2, 3, 10, 1_000] {
            let mut known = Known::new(max);
            for n in 0..1_010_u128 {
                let at = 10_000 + i64::try_from(n).unwrap() / 7;
                known.add(session(n), at, at + 900, at);
                assert!(known.len() <= max);
            }
            for n in 0..1_010_u128 {
                let at = 10_000 + i64::try_from(n).unwrap() / 7;
                let refusal = known.refusal(&identity(1, n, at));
                assert!(refusal.is_some(), "session {n} with room for {max}");
            }
            let newcomer = identity(1, 5_000, 20_000);
            assert_eq!(known.refusal(&newcomer), None, "new tokens are believed");
        }
    }

    #[test]
    fn cuts_of_users_are_widened_too() {
        let mut known = Known::new(3);
        for n in 1..=9 {
            let user = UserId::new(n).unwrap();
            known.add(Scope::User(user, 100), 99, 1_000, 99);
            assert!(known.len() <= 3);
        }
        for n in 1..=9 {
            let refusal = known.refusal(&identity(n, 1, 99));
            assert_eq!(refusal, Some(ErrorCode::TokenExpired));
        }
    }

    #[test]
    fn what_has_expired_makes_room() {
        let mut known = Known::new(2);
        for n in 0..5 {
            known.add(session(n), 1, 2, 10);
        }
        known.add(session(9), 10, 100, 10);
        assert_eq!(
            known.refusal(&identity(1, 9, 0)),
            Some(ErrorCode::InvalidToken)
        );
        assert_eq!(
            known.refusal(&identity(1, 8, 0)),
            None,
            "nothing was widened"
        );
    }
}
