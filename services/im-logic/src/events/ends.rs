//! What the log says of ended sessions.

use gochat_core::ids::UserId;
use gochat_core::token::EndReason;
use gochat_proto::mq::v1::TokenEvent;

use super::event_id;

/// Most sessions that one event names.
const MAX_NAMED: usize = 200;
/// Most sessions of a user that are named, in several events. A user who ended more within the life
/// of an access token renews the tokens of the others.
const MAX_TOLD: usize = 10 * MAX_NAMED;

/// When and why sessions ended. Times are Unix seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) at: i64,
    pub(crate) tokens_expire_at: i64,
    pub(crate) reason: EndReason,
}

/// Events that name ended sessions of a user, or one that covers all tokens of the user.
pub(super) fn events(user: UserId, sessions: &[String], moment: Ends) -> Vec<TokenEvent> {
    if sessions.len() > MAX_TOLD {
        return vec![covering_all(user.to_string(), moment)];
    }
    let naming = |some: &[String]| TokenEvent {
        session_ids: some.to_vec(),
        ..event(user.to_string(), moment)
    };
    sessions.chunks(MAX_NAMED).map(naming).collect()
}

/// The event that tokens issued until now must be renewed: those of a user, or of everybody when
/// `user` is empty.
pub(super) fn covering_all(user: String, moment: Ends) -> TokenEvent {
    TokenEvent {
        // `iat` counts seconds: the next one covers tokens of the running second.
        issued_before: moment.at.saturating_add(1),
        ..event(user, moment)
    }
}

fn event(user_id: String, moment: Ends) -> TokenEvent {
    TokenEvent {
        event_id: event_id(),
        timestamp: moment.at,
        user_id,
        expires_at: moment.tokens_expire_at,
        reason: moment.reason.as_str().to_owned(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(count: usize) -> Vec<TokenEvent> {
        let sessions: Vec<String> = (0..count).map(|n| n.to_string()).collect();
        let moment = Ends {
            at: 100,
            tokens_expire_at: 1_000,
            reason: EndReason::SignedOut,
        };
        events(UserId::new(7).unwrap(), &sessions, moment)
    }

    #[test]
    fn every_session_is_named_once_and_no_event_is_large() {
        for count in [0, 1, 200, 201, 999, 2_000] {
            let events = told(count);
            let named: Vec<_> = events.iter().flat_map(|e| &e.session_ids).collect();
            assert_eq!(named.len(), count);
            let small = events
                .iter()
                .all(|e| (1..=200).contains(&e.session_ids.len()));
            assert!(small, "{count}");
            assert!(events.iter().all(|e| e.issued_before == 0));
        }
    }

    #[test]
    fn too_many_sessions_are_covered_by_the_time_of_their_tokens() {
        let events = told(2_001);
        let [event] = events.as_slice() else {
            panic!("one event, not {}", events.len());
        };
        assert!(event.session_ids.is_empty());
        assert_eq!((event.issued_before, event.expires_at), (101, 1_000));
    }
}
