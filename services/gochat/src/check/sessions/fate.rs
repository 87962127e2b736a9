//! What may have ended a session, and when it has ended for certain.

use super::history::{Act, Answer, History, Nth, Request};
use super::judge::Rules;
use crate::check::disturbance::Millis;

/// Something that may have ended a session at any time from `from` to `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cause {
    from: Millis,
    until: Millis,
    certain: bool,
}

/// What is known of the life of a session.
#[derive(Debug, Default)]
pub(super) struct Fate {
    causes: Vec<Cause>,
    /// When requests were sent that a live row answered.
    alive: Vec<Millis>,
    /// From then on its row has ended.
    pub(super) row_ended: Option<Millis>,
    /// From then on every gateway has been told.
    pub(super) told: Option<Millis>,
}

impl Fate {
    pub(super) fn of(history: &History, nth: Nth, rules: &Rules) -> Self {
        let mut fate = Self::default();
        let sign_in = history
            .acts
            .iter()
            .find(|a| matches!(a.request, Request::SignIn { nth: n, .. } if n == nth));
        let Some(sign_in) = sign_in else { return fate };
        for act in &history.acts {
            if let Some(cause) = cause(history, nth, sign_in, act, rules) {
                if cause.certain {
                    earlier(&mut fate.told, cause.until);
                }
                fate.causes.push(cause);
            }
            fate.note(nth, sign_in, act);
        }
        if let Some(told) = fate.told {
            earlier(&mut fate.row_ended, told);
        }
        fate
    }

    /// Whether something may have ended the session by then. A cause that is over is disproved by a
    /// row that still lives.
    pub(super) fn may_have_ended(&self, at: Millis) -> bool {
        let stands =
            |cause: &Cause| cause.certain || !self.alive.iter().any(|asked| *asked >= cause.until);
        self.causes.iter().any(|c| c.from <= at && stands(c))
    }

    /// What an answer says about the row.
    fn note(&mut self, nth: Nth, sign_in: &Act, act: &Act) {
        match (&act.answer, act.request) {
            (Answer::Pair { .. }, Request::Refresh(n, _)) if n == nth => self.alive.push(act.sent),
            (Answer::Sessions(lines), _) => {
                if lines.iter().any(|line| line.nth == Some(nth)) {
                    self.alive.push(act.sent);
                } else if sign_in.heard <= act.sent {
                    earlier(&mut self.row_ended, act.heard);
                }
            }
            (Answer::Missing, Request::End { target, .. }) if target == nth => {
                earlier(&mut self.row_ended, act.heard);
            }
            // Gateways are told before a refresh is refused; another refusal is that of one
            // gateway.
            (Answer::Refused, Request::Refresh(n, _)) if n == nth => {
                earlier(&mut self.told, act.heard);
            }
            (Answer::Refused, request) if request.bearer() == Some(nth) => {
                earlier(&mut self.row_ended, act.heard);
            }
            _ => {}
        }
    }
}

fn earlier(known: &mut Option<Millis>, at: Millis) {
    *known = Some(known.map_or(at, |known| known.min(at)));
}

/// Why `act` may have ended the session `nth`.
fn cause(history: &History, nth: Nth, sign_in: &Act, act: &Act, rules: &Rules) -> Option<Cause> {
    let until = act.until(rules.late);
    let certain = match (&act.answer, act.request) {
        (Answer::Refused | Answer::Unknown, Request::Refresh(n, generation)) => {
            if n != nth || !may_be_reuse(history, act, (nth, generation), rules) {
                return None;
            }
            act.answer == Answer::Refused
        }
        (Answer::Done | Answer::Unknown, Request::SignOut(n)) if n == nth => {
            act.answer == Answer::Done
        }
        (Answer::Done | Answer::Unknown, Request::End { target, .. }) if target == nth => {
            act.answer == Answer::Done
        }
        (Answer::Done | Answer::Unknown, Request::EndOthers(by) | Request::ChangePassword(by)) => {
            if by == nth || sign_in.sent > until {
                return None;
            }
            // A sign-in beside it, or one that is on its way still, may come before or after it.
            act.answer == Answer::Done && sign_in.until(rules.late) <= act.sent
        }
        _ => return None,
    };
    Some(Cause {
        from: act.sent,
        until,
        certain,
    })
}

/// Other refreshes of the session that were or may have been granted.
fn others<'a>(
    history: &'a History,
    act: &'a Act,
    nth: Nth,
) -> impl Iterator<Item = (u64, &'a Act)> {
    history
        .acts
        .iter()
        .filter_map(move |other| match other.request {
            Request::Refresh(n, generation) if n == nth && !std::ptr::eq(other, act) => {
                let granted = matches!(other.answer, Answer::Pair { .. } | Answer::Unknown);
                granted.then_some((generation, other))
            }
            _ => None,
        })
}

/// Whether the row may have gone past the token when it was judged.
fn may_be_reuse(
    history: &History,
    act: &Act,
    (nth, generation): (Nth, u64),
    rules: &Rules,
) -> bool {
    let until = act.until(rules.late);
    others(history, act, nth).any(|(g, other)| {
        let newer = g > generation && other.sent <= until;
        let old = g == generation && other.sent.saturating_add(rules.repeat) <= until;
        newer || old
    })
}

/// Whether the row had certainly gone past the token before it was presented.
pub(super) fn is_reuse(history: &History, act: &Act, generation: u64, rules: &Rules) -> bool {
    let Some(nth) = act.request.bearer() else {
        return false;
    };
    others(history, act, nth).any(|(g, other)| {
        let granted = matches!(other.answer, Answer::Pair { .. });
        let newer = g > generation && other.heard <= act.sent;
        let old = g == generation && other.heard.saturating_add(rules.repeat) < act.sent;
        granted && (newer || old)
    })
}
