use proptest::prelude::*;

use super::*;

/// Long after every refusal.
const LATER: Asking = Asking {
    now: 2 * REQUEST_COOLDOWN_MS,
    cooldown: REQUEST_COOLDOWN_MS,
};

fn user(n: u64) -> UserId {
    UserId::new(n).unwrap()
}

fn person(n: u64) -> Person {
    Person {
        id: user(n),
        is_guest: false,
        active: true,
    }
}

fn row(requester: u64, target: u64, status: Status) -> Row {
    Row {
        id: RequestId::new(9).unwrap(),
        requester: user(requester),
        target: user(target),
        status,
        mirrored: false,
        changed_at: 0,
    }
}

fn outgoing(status: Status) -> Pair {
    Pair {
        outgoing: Some(row(1, 2, status)),
        incoming: None,
    }
}

fn incoming(status: Status) -> Pair {
    Pair {
        outgoing: None,
        incoming: Some(row(2, 1, status)),
    }
}

fn ask(pair: Pair) -> Result<Asked, ErrorCode> {
    decide_request(person(1), person(2), "hi", pair, LATER).map_err(|e| e.code)
}

#[test]
fn strangers_may_ask() {
    assert_eq!(ask(Pair::default()), Ok(Asked::New));
}

#[test]
fn asking_again_after_a_refusal_reuses_the_row() {
    let id = RequestId::new(9).unwrap();
    assert_eq!(ask(outgoing(Status::Rejected)), Ok(Asked::Again(id)));
    assert_eq!(
        ask(incoming(Status::Rejected)),
        Ok(Asked::New),
        "who refused may ask later"
    );
}

#[test]
fn an_open_request_in_either_direction_is_a_duplicate() {
    for pair in [outgoing(Status::Pending), incoming(Status::Pending)] {
        assert_eq!(ask(pair), Err(ErrorCode::FriendRequestAlreadyExists));
    }
}

#[test]
fn friends_and_blocked_users_can_not_be_asked() {
    for (status, code) in [
        (Status::Accepted, ErrorCode::AlreadyFriends),
        (Status::Blocked, ErrorCode::Forbidden),
    ] {
        assert_eq!(ask(outgoing(status)), Err(code));
        assert_eq!(ask(incoming(status)), Err(code));
    }
}

#[test]
fn oneself_guests_and_nobody_can_not_be_friends() {
    let code = |a, b| {
        decide_request(a, b, "", Pair::default(), LATER)
            .unwrap_err()
            .code
    };
    let guest = |n| Person {
        is_guest: true,
        ..person(n)
    };
    assert_eq!(code(person(1), person(1)), ErrorCode::CannotAddSelfAsFriend);
    assert_eq!(code(guest(1), person(2)), ErrorCode::GuestNotAllowed);
    assert_eq!(code(person(1), guest(2)), ErrorCode::GuestNotAllowed);
    assert_eq!(
        code(
            person(1),
            Person {
                active: false,
                ..person(2)
            }
        ),
        ErrorCode::UserNotFound
    );
}

#[test]
fn only_the_target_answers_and_only_once() {
    let pending = row(1, 2, Status::Pending);
    let code = |who, row| decide_answer(user(who), &row, Answer::Accept).map_err(|e| e.code);
    assert_eq!(
        code(2, pending),
        Ok(Answered {
            status: Status::Accepted,
            mirror: true
        })
    );
    assert_eq!(code(1, pending), Err(ErrorCode::Forbidden));
    assert_eq!(code(3, pending), Err(ErrorCode::FriendRequestNotFound));
    for handled in [Status::Accepted, Status::Rejected, Status::Blocked] {
        let again = code(2, row(1, 2, handled));
        assert_eq!(again, Err(ErrorCode::FriendRequestAlreadyHandled));
    }
}

#[test]
fn a_mirrored_row_is_nobodys_request() {
    let mirrored = Row {
        mirrored: true,
        ..row(1, 2, Status::Accepted)
    };
    let refusal = decide_answer(user(2), &mirrored, Answer::Accept).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::FriendRequestNotFound);
}

#[derive(Debug, Clone, Copy)]
enum Command {
    Ask(bool),
    Answer(bool, bool, Answer),
}

fn command() -> impl Strategy<Value = Command> {
    let answer = prop_oneof![Just(Answer::Accept), Just(Answer::Reject)];
    prop_oneof![
        any::<bool>().prop_map(Command::Ask),
        (any::<bool>(), any::<bool>(), answer).prop_map(|(w, r, a)| Command::Answer(w, r, a)),
    ]
}

/// Applies a command to a stored pair, as a store would; users 1 and 2.
fn apply(pair: Pair, command: Command) -> Pair {
    match command {
        Command::Ask(by_first) => {
            let (me, other, mine) = if by_first {
                (1, 2, pair)
            } else {
                (2, 1, pair.flipped())
            };
            let Ok(_) = decide_request(person(me), person(other), "", mine, LATER) else {
                return pair;
            };
            let asked = Pair {
                outgoing: Some(row(me, other, Status::Pending)),
                ..mine
            };
            if by_first { asked } else { asked.flipped() }
        }
        Command::Answer(handler_first, request_of_first, answer) => {
            let mut mine = if request_of_first {
                pair
            } else {
                pair.flipped()
            };
            let Some(request) = mine.outgoing.as_mut() else {
                return pair;
            };
            let handler = user(if handler_first { 1 } else { 2 });
            let Ok(answered) = decide_answer(handler, request, answer) else {
                return pair;
            };
            request.status = answered.status;
            if answered.mirror {
                let (requester, target) = (request.target, request.requester);
                mine.incoming = Some(Row {
                    requester,
                    target,
                    mirrored: true,
                    ..row(0, 0, Status::Accepted)
                });
            }
            if request_of_first {
                mine
            } else {
                mine.flipped()
            }
        }
    }
}

fn is_legal(pair: &Pair) -> bool {
    let accepted = |row: Option<Row>| row.is_some_and(|r| r.status == Status::Accepted);
    let pending = |row: Option<Row>| row.is_some_and(|r| r.status == Status::Pending);
    let both_or_none = accepted(pair.outgoing) == accepted(pair.incoming);
    let one_open = !(pending(pair.outgoing) && pending(pair.incoming));
    let mirrored_is_accepted = [pair.outgoing, pair.incoming]
        .into_iter()
        .flatten()
        .all(|r| !r.mirrored || r.status == Status::Accepted);
    both_or_none && one_open && mirrored_is_accepted
}

proptest! {
    #[test]
    fn no_history_of_commands_leaves_the_legal_states(commands in prop::collection::vec(command(), 0..40)) {
        let mut pair = Pair::default();
        for command in commands {
            let before = pair;
            pair = apply(pair, command);
            prop_assert!(is_legal(&pair), "{:?} by {:?} from {:?}", pair, command, before);
            prop_assert!(!before.are_friends() || pair.are_friends(), "friends stay friends");
        }
    }

    #[test]
    fn accepting_makes_both_directions_friends(commands in prop::collection::vec(command(), 0..40)) {
        let pair = commands.into_iter().fold(Pair::default(), apply);
        if pair.are_friends() {
            prop_assert_eq!(pair.outgoing.map(|r| r.status), Some(Status::Accepted));
            prop_assert_eq!(pair.incoming.map(|r| r.status), Some(Status::Accepted));
        }
    }
}

#[test]
fn a_refusal_holds_for_the_cool_down_and_an_ended_friendship_does_not() {
    let ask_at = |now, pair| {
        let asking = Asking {
            now,
            cooldown: 1_000,
        };
        decide_request(person(1), person(2), "hi", pair, asking).map_err(|e| e.code)
    };
    let refused = outgoing(Status::Rejected);
    assert_eq!(ask_at(999, refused), Err(ErrorCode::RateLimited));
    assert!(ask_at(1_000, refused).is_ok());
    let ended = Pair {
        outgoing: refused.outgoing.map(|row| Row {
            mirrored: true,
            ..row
        }),
        incoming: None,
    };
    assert!(ask_at(1, ended).is_ok());
    assert!(
        ask_at(1, incoming(Status::Rejected)).is_ok(),
        "who refused may ask"
    );
}
