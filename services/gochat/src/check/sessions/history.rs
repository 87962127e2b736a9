//! What was asked about the sessions of one account, and what was answered.

use crate::check::disturbance::Millis;

/// A session, by the number of its sign-in.
pub(in crate::check) type Nth = usize;

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::check) enum Request {
    /// A sign-in; `sure`: the password is known for certain.
    SignIn { nth: Nth, sure: bool },
    /// A refresh with the session's refresh token of this generation.
    Refresh(Nth, u64),
    /// The session signs itself out.
    SignOut(Nth),
    /// `DELETE /sessions/{sid}` of one session by another.
    End { by: Nth, target: Nth },
    /// `DELETE /sessions`: every session but the one that asks.
    EndOthers(Nth),
    /// A new password; ends every session but the one that asks.
    ChangePassword(Nth),
    /// An HTTP request with the session's access token.
    Use(Nth),
    /// A WebSocket handshake with the session's access token.
    Connect(Nth),
    /// `GET /sessions`.
    List(Nth),
}

impl Request {
    /// The session whose token the request carries.
    pub(super) const fn bearer(self) -> Option<Nth> {
        match self {
            Self::SignIn { .. } => None,
            Self::Refresh(by, _)
            | Self::SignOut(by)
            | Self::End { by, .. }
            | Self::EndOthers(by)
            | Self::ChangePassword(by)
            | Self::Use(by)
            | Self::Connect(by)
            | Self::List(by) => Some(by),
        }
    }

    /// Whether the request ends sessions when it is carried out.
    pub(super) const fn is_end(self) -> bool {
        matches!(
            self,
            Self::SignOut(_) | Self::End { .. } | Self::EndOthers(_) | Self::ChangePassword(_)
        )
    }
}

/// A line of `GET /sessions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::check) struct Line {
    pub(in crate::check) sid: String,
    /// The sign-in that the device's name tells.
    pub(in crate::check) nth: Option<Nth>,
    pub(in crate::check) current: bool,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::check) enum Answer {
    Done,
    /// New tokens: the generation of the refresh token, and a digest of both.
    Pair {
        generation: u64,
        digest: u64,
    },
    Sessions(Vec<Line>),
    /// The token is not accepted: its session has ended.
    Refused,
    /// The name or the password is wrong.
    WrongPassword,
    /// There is no such session.
    Missing,
    /// Turned away before it was judged: a limit, an expired access token, a conflict.
    NotRun,
    /// No answer, or one that leaves open what was done.
    Unknown,
    /// An answer that the contract doesn't know for this request.
    Unexpected(String),
}

/// A request and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::check) struct Act {
    pub(in crate::check) sent: Millis,
    /// When the answer came, or was given up.
    pub(in crate::check) heard: Millis,
    pub(in crate::check) gate: usize,
    pub(in crate::check) request: Request,
    pub(in crate::check) answer: Answer,
}

impl Act {
    /// The last moment at which it may have had an effect.
    pub(super) fn until(&self, late: Millis) -> Millis {
        match self.answer {
            Answer::Unknown => self.heard.saturating_add(late),
            _ => self.heard,
        }
    }
}

/// A WebSocket that stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::check) struct Socket {
    pub(in crate::check) session: Nth,
    pub(in crate::check) gate: usize,
    /// When the handshake was answered.
    pub(in crate::check) since: Millis,
    /// When it was closed by the server, or last seen open.
    pub(in crate::check) until: Millis,
    /// The close code, if the server closed it with one.
    pub(in crate::check) code: Option<u16>,
    /// When its access token expires.
    pub(in crate::check) expires: Millis,
}

/// Everything about the sessions of one account.
#[derive(Debug, Clone, Default)]
pub(in crate::check) struct History {
    pub(in crate::check) account: String,
    /// In the order in which answers came.
    pub(in crate::check) acts: Vec<Act>,
    pub(in crate::check) sockets: Vec<Socket>,
    /// Ids of the sessions by sign-in; `None` for a sign-in without an answer.
    pub(in crate::check) sids: Vec<Option<String>>,
}

/// Counts of what was done, for the line of the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::check) struct Counts {
    pub(in crate::check) sign_ins: usize,
    pub(in crate::check) refreshes: usize,
    pub(in crate::check) ends: usize,
    /// Tokens tried, by HTTP and by WebSocket, that were taken or refused.
    pub(in crate::check) checks: usize,
    pub(in crate::check) unknown: usize,
}

impl Counts {
    /// Of some accounts.
    pub(in crate::check) fn of(histories: &[History]) -> Self {
        let mut counts = Self::default();
        for act in histories.iter().flat_map(|history| &history.acts) {
            let judged = matches!(act.answer, Answer::Done | Answer::Refused);
            match act.request {
                _ if act.answer == Answer::Unknown => counts.unknown += 1,
                Request::SignIn { .. } => {
                    counts.sign_ins += usize::from(matches!(act.answer, Answer::Pair { .. }));
                }
                Request::Refresh(..) => {
                    counts.refreshes += usize::from(matches!(act.answer, Answer::Pair { .. }));
                    // An old token presented again: the refusal is the end.
                    counts.ends += usize::from(act.answer == Answer::Refused);
                }
                request if request.is_end() => {
                    counts.ends += usize::from(act.answer == Answer::Done);
                }
                Request::Use(_) | Request::Connect(_) => counts.checks += usize::from(judged),
                _ => {}
            }
        }
        counts
    }
}
