//! What may have happened to the sessions of an account, and what may not. Pure: a history in,
//! violations out.

use std::collections::HashMap;

use super::fate::{Fate, is_reuse};
use super::history::{Act, Answer, History, Line, Nth, Request};
use crate::check::disturbance::{Disturbance, Millis, due};

/// What the contract promises, and what was done to the system.
#[derive(Debug, Clone)]
pub(in crate::check) struct Rules {
    /// Time within which an end holds everywhere.
    pub(in crate::check) within: Millis,
    /// Time during which a request without an answer may still be carried out.
    pub(in crate::check) late: Millis,
    /// Time during which the newest used refresh token may be presented again.
    pub(in crate::check) repeat: Millis,
    pub(in crate::check) disturbances: Vec<Disturbance>,
}

impl Default for Rules {
    /// Those of a system that nobody disturbs.
    fn default() -> Self {
        Self {
            within: super::WITHIN,
            late: super::LATE,
            repeat: super::REPEAT,
            disturbances: Vec::new(),
        }
    }
}

/// Everything that is wrong, in words.
pub(in crate::check) fn judge(history: &History, rules: &Rules) -> Vec<String> {
    let sessions = 0..history.sids.len();
    let fates: Vec<Fate> = sessions.map(|nth| Fate::of(history, nth, rules)).collect();
    let mut case = Case {
        history,
        rules,
        fates,
        wrong: Vec::new(),
    };
    for act in &history.acts {
        case.answer(act);
    }
    case.repeats_are_the_same();
    case.sockets();
    case.wrong
}

struct Case<'a> {
    history: &'a History,
    rules: &'a Rules,
    fates: Vec<Fate>,
    wrong: Vec<String>,
}

impl Case<'_> {
    fn blame(&mut self, act: &Act, what: &str) {
        let Act {
            sent,
            heard,
            gate,
            request,
            answer,
        } = act;
        self.wrong.push(format!(
            "account {}: {request:?} at gateway {gate} from {sent} to {heard} ms, answered {answer:?}: {what}",
            self.history.account
        ));
    }

    fn due(&self, at: Millis, gate: usize) -> Millis {
        due(at, gate, self.rules.within, &self.rules.disturbances)
    }

    fn answer(&mut self, act: &Act) {
        match &act.answer {
            Answer::Refused => self.nobody_is_out_without_a_reason(act),
            Answer::WrongPassword => self.passwords_hold(act),
            Answer::Missing => self.existing_sessions_are_found(act),
            Answer::Unexpected(_) => self.blame(act, "the contract doesn't know this answer"),
            Answer::NotRun | Answer::Unknown => {}
            Answer::Done | Answer::Pair { .. } | Answer::Sessions(_) => {
                self.nobody_is_in_after_the_end(act);
                if let Answer::Sessions(lines) = &act.answer {
                    self.the_list_is_explained(act, lines);
                }
            }
        }
    }

    /// A session that nothing ended is always served.
    fn nobody_is_out_without_a_reason(&mut self, act: &Act) {
        let fate = act.request.bearer().and_then(|nth| self.fates.get(nth));
        if !fate.is_some_and(|fate| fate.may_have_ended(act.heard)) {
            self.blame(act, "nothing ended the session");
        }
    }

    /// A session that has ended is served by nobody.
    fn nobody_is_in_after_the_end(&mut self, act: &Act) {
        let Some(fate) = act.request.bearer().and_then(|nth| self.fates.get(nth)) else {
            return;
        };
        if let Request::Refresh(_, generation) = act.request {
            if let Some(ended) = fate.row_ended.filter(|ended| *ended <= act.sent) {
                self.blame(act, &format!("the session had ended by {ended} ms"));
            }
            if is_reuse(self.history, act, generation, self.rules) {
                self.blame(act, "the token had been used, and its successor, too");
            }
        } else if let Some(told) = fate.told
            && self.due(told, act.gate) <= act.sent
        {
            self.blame(act, &format!("the end was acknowledged at {told} ms"));
        }
    }

    fn passwords_hold(&mut self, act: &Act) {
        let beside = |other: &&Act| {
            let is_change = matches!(other.request, Request::ChangePassword(_));
            is_change && other.sent <= act.heard && act.sent <= other.until(self.rules.late)
        };
        let sure = match act.request {
            Request::SignIn { sure, .. } => sure,
            // A repeat gives the old password and the new one: one of them is right.
            _ => true,
        };
        if sure
            && !self
                .history
                .acts
                .iter()
                .filter(|a| !std::ptr::eq(*a, act))
                .any(|a| beside(&a))
        {
            self.blame(act, "the password is right");
        }
    }

    /// `NOT_FOUND` is for sessions that have ended long ago or never were.
    fn existing_sessions_are_found(&mut self, act: &Act) {
        let Request::End { target, .. } = act.request else {
            return self.blame(act, "the request names nothing");
        };
        let fate = self.fates.get(target);
        if !fate.is_some_and(|fate| fate.may_have_ended(act.heard)) {
            self.blame(act, "the session exists");
        }
    }

    /// Exactly the sessions that the history explains.
    fn the_list_is_explained(&mut self, act: &Act, lines: &[Line]) {
        let mut wrong = Vec::new();
        for line in lines {
            let known = line
                .nth
                .and_then(|nth| Some((nth, self.history.sids.get(nth)?)));
            let Some((nth, sid)) = known else {
                wrong.push(format!("nobody made session {}", line.sid));
                continue;
            };
            if sid.as_ref().is_some_and(|sid| *sid != line.sid) {
                wrong.push(format!("sign-in {nth} has a second session {}", line.sid));
            }
            if line.current != (act.request.bearer() == Some(nth)) {
                wrong.push(format!("the current session is marked wrongly: {nth}"));
            }
            let ended = self.fates.get(nth).and_then(|fate| fate.row_ended);
            if let Some(ended) = ended.filter(|ended| *ended <= act.sent) {
                wrong.push(format!("session {nth} had ended by {ended} ms"));
            }
            let may_exist = |a: &Act| matches!(a.answer, Answer::Pair { .. } | Answer::Unknown);
            if !self.sign_in(nth).is_some_and(may_exist) {
                wrong.push(format!("sign-in {nth} was not carried out"));
            }
            if lines.iter().filter(|other| other.nth == Some(nth)).count() > 1 {
                wrong.push(format!("sign-in {nth} made several sessions"));
            }
        }
        for (nth, fate) in self.fates.iter().enumerate() {
            let is_listed = lines.iter().any(|line| line.nth == Some(nth));
            let was_there = self
                .sign_in(nth)
                .is_some_and(|a| matches!(a.answer, Answer::Pair { .. }) && a.heard <= act.sent);
            if !is_listed && was_there && !fate.may_have_ended(act.heard) {
                wrong.push(format!("session {nth} is missing, and nothing ended it"));
            }
        }
        wrong.iter().for_each(|what| self.blame(act, what));
    }

    fn sign_in(&self, nth: Nth) -> Option<&Act> {
        let mut acts = self.history.acts.iter();
        acts.find(|a| matches!(a.request, Request::SignIn { nth: n, .. } if n == nth))
    }

    /// A refresh token has one successor, however often it is presented.
    fn repeats_are_the_same(&mut self) {
        let mut pairs: HashMap<(Nth, u64), u64> = HashMap::new();
        for act in &self.history.acts {
            let (Request::Refresh(nth, presented), Answer::Pair { generation, digest }) =
                (act.request, &act.answer)
            else {
                continue;
            };
            if *generation != presented + 1 {
                self.blame(act, "the pair is of another generation");
            }
            if *pairs.entry((nth, presented)).or_insert(*digest) != *digest {
                self.blame(act, "a repeat gave another pair");
            }
        }
    }

    /// Sockets end with their session, and with nothing else's.
    fn sockets(&mut self) {
        for socket in &self.history.sockets {
            let Some(fate) = self.fates.get(socket.session) else {
                continue;
            };
            // A handshake that was on its way when the end came may still be answered: its socket
            // is closed like those that stood.
            let due = fate
                .told
                .map(|told| (told, self.due(told.max(socket.since), socket.gate)));
            if let Some((told, due)) = due.filter(|(_, due)| *due < socket.until) {
                self.wrong.push(format!(
                    "account {}: a socket of session {} at gateway {} stood until {} ms; the end was acknowledged at {told} ms, due at {due} ms",
                    self.history.account, socket.session, socket.gate, socket.until
                ));
            }
            let expired = socket.expires <= socket.until.saturating_add(self.rules.within);
            if socket.code == Some(4002) && !expired && !fate.may_have_ended(socket.until) {
                self.wrong.push(format!(
                    "account {}: a socket of session {} at gateway {} was closed with 4002 at {} ms, and nothing ended the session",
                    self.history.account, socket.session, socket.gate, socket.until
                ));
            }
        }
    }
}
