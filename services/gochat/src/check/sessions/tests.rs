//! Histories that may be, each beside the nearest one that may not.

use super::history::{Act, Answer, History, Line, Request, Socket};
use super::judge::{Rules, judge};
use crate::check::disturbance::{Disturbance, Millis, Part};

/// Account with two sessions, signed in by 100 ms.
struct Story(History);

impl Story {
    fn new() -> Self {
        let mut story = Self(History::default());
        for nth in 0..2 {
            story.0.sids.push(Some(format!("s{nth}")));
            let request = Request::SignIn { nth, sure: true };
            story = story.act(50, 100, request, pair(1));
        }
        story
    }

    fn at_gate(
        mut self,
        gate: usize,
        sent: Millis,
        heard: Millis,
        request: Request,
        answer: Answer,
    ) -> Self {
        self.0.acts.push(Act {
            sent,
            heard,
            gate,
            request,
            answer,
        });
        self
    }

    fn act(self, sent: Millis, heard: Millis, request: Request, answer: Answer) -> Self {
        self.at_gate(0, sent, heard, request, answer)
    }

    fn socket(self, session: usize, until: Millis, code: Option<u16>) -> Self {
        self.socket_since(0, session, until, code)
    }

    fn socket_since(
        mut self,
        since: Millis,
        session: usize,
        until: Millis,
        code: Option<u16>,
    ) -> Self {
        let expires = 900_000;
        self.0.sockets.push(Socket {
            session,
            gate: 0,
            since,
            until,
            code,
            expires,
        });
        self
    }

    fn list(self, at: Millis, by: usize, listed: &[usize]) -> Self {
        let line = |nth: &usize| Line {
            sid: format!("s{nth}"),
            nth: Some(*nth),
            current: *nth == by,
        };
        let lines = listed.iter().map(line).collect();
        self.act(at, at + 10, Request::List(by), Answer::Sessions(lines))
    }

    fn wrongs(&self) -> usize {
        judge(&self.0, &Rules::default()).len()
    }

    fn holds(&self) {
        assert_eq!(judge(&self.0, &Rules::default()), Vec::<String>::new());
    }
}

const fn pair(generation: u64) -> Answer {
    Answer::Pair {
        generation,
        digest: generation,
    }
}

use Answer::{Done, Refused, Unknown};
use Request::{ChangePassword, Connect, End, EndOthers, Refresh, SignOut, Use};

#[test]
fn a_session_that_nothing_ended_is_served() {
    Story::new().act(200, 210, Use(0), Done).holds();
    assert_eq!(Story::new().act(200, 210, Use(0), Refused).wrongs(), 1);
    assert_eq!(
        Story::new().act(200, 210, Refresh(0, 1), Refused).wrongs(),
        1
    );
    let one = || Story::new().act(200, 210, SignOut(0), Done);
    one().act(220, 230, Use(0), Refused).holds();
    assert_eq!(one().act(220, 230, Use(1), Refused).wrongs(), 1);
}

#[test]
fn an_end_holds_for_requests_within_a_second_and_for_refreshes_at_once() {
    let ended = || Story::new().act(200, 300, End { by: 0, target: 1 }, Done);
    ended().act(1_299, 1_310, Use(1), Done).holds();
    assert_eq!(ended().act(1_300, 1_310, Use(1), Done).wrongs(), 1);
    assert_eq!(ended().act(1_300, 1_310, Connect(1), Done).wrongs(), 1);
    ended().act(299, 310, Refresh(1, 1), pair(2)).holds();
    assert_eq!(ended().act(300, 310, Refresh(1, 1), pair(2)).wrongs(), 1);
}

#[test]
fn a_gateway_that_was_disturbed_gets_its_time_afterwards() {
    let from_gate_1 =
        Story::new()
            .act(200, 300, SignOut(0), Done)
            .at_gate(1, 1_400, 1_410, Use(0), Done);
    assert_eq!(from_gate_1.wrongs(), 1);
    let pause = Disturbance {
        part: Part::Gateway(1),
        from: 250,
        to: 800,
    };
    let rules = Rules {
        disturbances: vec![pause],
        ..Rules::default()
    };
    assert_eq!(judge(&from_gate_1.0, &rules), Vec::<String>::new());
    let elsewhere = from_gate_1.act(1_400, 1_410, Use(0), Done);
    assert_eq!(judge(&elsewhere.0, &rules).len(), 1);
}

#[test]
fn a_command_without_an_answer_may_have_been_carried_out_until_it_is_too_late() {
    let asked = |request| Story::new().act(200, 300, request, Unknown);
    for request in [
        End { by: 1, target: 0 },
        EndOthers(1),
        ChangePassword(1),
        SignOut(0),
    ] {
        asked(request).act(400, 410, Use(0), Refused).holds();
        asked(request).act(5_000, 5_010, Use(0), Done).holds();
        // A refresh after that time shows that the command was not carried out.
        let lived = || asked(request).act(10_300, 10_310, Refresh(0, 1), pair(2));
        lived().holds();
        assert_eq!(lived().act(10_400, 10_410, Use(0), Refused).wrongs(), 1);
        assert_eq!(
            asked(request).act(400, 410, Use(1), Refused).wrongs(),
            usize::from(request != SignOut(0)).max(1)
        );
    }
}

#[test]
fn the_repeat_of_a_lost_command_decides() {
    let repeated = || {
        Story::new()
            .act(200, 300, EndOthers(1), Unknown)
            .act(400, 500, EndOthers(1), Done)
    };
    repeated().act(2_000, 2_010, Use(0), Refused).holds();
    assert_eq!(repeated().act(2_000, 2_010, Use(0), Done).wrongs(), 1);
    assert_eq!(repeated().act(2_000, 2_010, Use(1), Refused).wrongs(), 1);
}

#[test]
fn a_refresh_token_has_one_successor() {
    let twice = |digest| {
        Story::new().act(200, 260, Refresh(0, 1), pair(2)).act(
            210,
            250,
            Refresh(0, 1),
            Answer::Pair {
                generation: 2,
                digest,
            },
        )
    };
    twice(2).holds();
    assert_eq!(twice(3).wrongs(), 1);
    assert_eq!(
        Story::new().act(200, 210, Refresh(0, 1), pair(3)).wrongs(),
        1
    );
}

#[test]
fn the_newest_used_token_may_be_repeated_for_a_minute_and_an_older_one_never() {
    let used = || Story::new().act(200, 260, Refresh(0, 1), pair(2));
    used().act(60_000, 60_100, Refresh(0, 1), pair(2)).holds();
    assert_eq!(
        used().act(59_000, 60_100, Refresh(0, 1), Refused).wrongs(),
        1
    );
    used().act(60_150, 60_300, Refresh(0, 1), Refused).holds();
    assert_eq!(
        used().act(60_261, 60_300, Refresh(0, 1), pair(2)).wrongs(),
        1
    );

    let moved = || used().act(300, 310, Refresh(0, 2), pair(3));
    moved().act(400, 410, Refresh(0, 1), Refused).holds();
    assert_eq!(moved().act(400, 410, Refresh(0, 1), pair(2)).wrongs(), 1);
    assert_eq!(moved().act(400, 410, Refresh(0, 2), Refused).wrongs(), 1);
}

#[test]
fn reuse_ends_its_session_and_no_other() {
    let reused = || {
        Story::new()
            .act(200, 210, Refresh(0, 1), pair(2))
            .act(220, 230, Refresh(0, 2), pair(3))
            .act(240, 250, Refresh(0, 1), Refused)
    };
    reused()
        .act(300, 310, Use(0), Refused)
        .act(300, 310, Use(1), Done)
        .holds();
    assert_eq!(reused().act(300, 310, Use(1), Refused).wrongs(), 1);
    assert_eq!(reused().act(300, 310, Refresh(0, 3), pair(4)).wrongs(), 1);
    assert_eq!(reused().act(1_250, 1_260, Use(0), Done).wrongs(), 1);
}

#[test]
fn a_late_refresh_may_come_when_its_session_has_moved_on() {
    let late = || {
        Story::new()
            .act(200, 300, Refresh(0, 1), Unknown)
            .act(400, 410, Refresh(0, 1), pair(2))
            .act(500, 510, Refresh(0, 2), pair(3))
    };
    late().act(600, 610, Use(0), Refused).holds();
    let over = late().act(10_300, 10_310, Refresh(0, 3), pair(4));
    assert_eq!(over.act(10_400, 10_410, Use(0), Refused).wrongs(), 1);
}

#[test]
fn sockets_end_with_their_session_only() {
    let ended = || Story::new().act(200, 300, SignOut(0), Done);
    ended()
        .socket(0, 1_300, Some(4002))
        .socket(1, 9_000, None)
        .holds();
    assert_eq!(ended().socket(0, 1_301, Some(4002)).wrongs(), 1);
    assert_eq!(ended().socket(0, 5_000, None).wrongs(), 1);
    ended().socket_since(4_500, 0, 5_500, Some(4002)).holds();
    let late = ended().socket_since(4_500, 0, 5_501, Some(4002));
    assert_eq!(late.wrongs(), 1);
    assert_eq!(ended().socket(1, 5_000, Some(4002)).wrongs(), 1);
    ended()
        .socket(1, 5_000, Some(1001))
        .socket(1, 899_500, Some(4002))
        .holds();
}

#[test]
fn the_list_is_what_the_history_explains() {
    Story::new().list(200, 0, &[0, 1]).holds();
    assert_eq!(Story::new().list(200, 0, &[0]).wrongs(), 1);
    assert_eq!(Story::new().list(200, 0, &[0, 1, 2]).wrongs(), 1);
    let ended = || Story::new().act(110, 120, SignOut(1), Done);
    ended().list(200, 0, &[0]).holds();
    assert_eq!(ended().list(200, 0, &[0, 1]).wrongs(), 1);
    let lost = |answer| Story::new().act(110, 120, SignOut(1), answer);
    lost(Unknown)
        .list(200, 0, &[0, 1])
        .list(300, 0, &[0])
        .holds();
    assert_eq!(
        lost(Unknown)
            .list(200, 0, &[0])
            .list(300, 0, &[0, 1])
            .wrongs(),
        1
    );
}

#[test]
fn a_sign_in_without_an_answer_makes_one_session_at_most() {
    let mut story = Story::new();
    story.0.sids.push(None);
    let request = Request::SignIn { nth: 2, sure: true };
    let story = story.act(200, 300, request, Unknown);
    let listed = |at, lines: &[usize]| Story(story.0.clone()).list(at, 0, lines);
    listed(400, &[0, 1]).holds();
    listed(400, &[0, 1, 2]).holds();
    assert_eq!(listed(400, &[0, 1, 2, 2]).wrongs(), 2);
    // Once it is too late for it, all others end it, too.
    let swept = Story(story.0).act(10_300, 10_310, EndOthers(0), Done);
    assert_eq!(swept.list(10_400, 0, &[0, 2]).wrongs(), 1);
}

#[test]
fn the_right_password_opens() {
    let sign_in = |sure| Request::SignIn { nth: 1, sure };
    let wrong = || Answer::WrongPassword;
    assert_eq!(
        Story::new().act(200, 210, sign_in(true), wrong()).wrongs(),
        1
    );
    Story::new().act(200, 210, sign_in(false), wrong()).holds();
    let beside = Story::new().act(190, 205, ChangePassword(0), Done);
    beside.act(200, 210, sign_in(true), wrong()).holds();
}
