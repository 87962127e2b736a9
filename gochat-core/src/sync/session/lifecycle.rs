//! Tokens, sockets, heartbeats and waiting.

use super::replica::Replica;
use super::{Action, AuthFailure, ClientSession, ConnectFailure, Event, State};
use crate::error::{Error, ErrorCode};
use crate::ids::UserId;
use crate::session::frame::{AccessToken, ClientFrame};
use crate::session::machine::CloseCode;
use crate::sync::{Backoff, Millis};

/// Tokens refused in a row before the session gives up.
const MAX_REFUSALS: u32 = 4;
/// A connection that lived this long counts as a success for the back-off.
const STABLE_AFTER: Millis = 10_000;
/// Wait after a failed renewal of a token that is still good.
const RENEW_AGAIN: Millis = 10_000;
/// Least wait after the server said "too many connections".
const TOO_MANY_DELAY: Millis = 30_000;

/// What the session is doing.
#[derive(Debug)]
pub(super) enum Phase {
    Authenticating,
    Connecting,
    Online(Online),
    Waiting { until: Millis, authenticate: bool },
    Closed,
}

/// A connection that stands.
#[derive(Debug)]
pub(super) struct Online {
    pub(super) since: Millis,
    pub(super) heard: Millis,
    pub(super) pinged: Millis,
    pub(super) ready: bool,
    pub(super) listing: Listing,
    /// The server announced its restart and asked for this delay.
    pub(super) restart_in: Option<Millis>,
}

/// The state of the question "what is new?".
#[derive(Debug)]
pub(super) enum Listing {
    Asked {
        cursor: Option<String>,
        backoff: Backoff,
    },
    RetryAt {
        cursor: Option<String>,
        at: Millis,
        backoff: Backoff,
    },
    Done,
}

impl Phase {
    pub(super) const fn is_online(&self) -> bool {
        matches!(self, Self::Online(_))
    }

    pub(super) const fn state(&self) -> State {
        match self {
            Self::Authenticating => State::Authenticating,
            Self::Connecting => State::Connecting,
            Self::Online(online) if online.ready => State::Ready,
            Self::Online(_) => State::Syncing,
            Self::Waiting { .. } => State::BackingOff,
            Self::Closed => State::Closed,
        }
    }
}

impl ClientSession {
    /// The driver holds a token of this user.
    pub fn handle_authenticated(&mut self, user: UserId) {
        if matches!(self.phase, Phase::Authenticating) {
            self.user = Some(user);
            self.enter(Phase::Connecting);
            self.actions.push_back(Action::Connect);
        }
    }

    /// The token in hand lives so long from now. A newer one is asked for when two thirds of that
    /// have passed, and given to the open connection.
    pub fn handle_token_life(&mut self, life: Millis, now: Millis) {
        // Clients that signed in together don't renew together.
        let spread = self.next_seed() % (life / 10).max(1);
        let wait = (life / 3 * 2).saturating_sub(spread);
        self.renew_at = Some(now.saturating_add(wait));
    }

    /// The driver holds a newer token that lives so long from now.
    pub fn handle_renewed(&mut self, token: &str, life: Option<Millis>, now: Millis) {
        if let Some(life) = life {
            self.handle_token_life(life, now);
        }
        self.send_frame(&ClientFrame::Authenticate(AccessToken(token.into())));
    }

    /// The driver could not get a newer token while the old one is still good.
    pub fn handle_renew_failed(&mut self, failure: &AuthFailure, now: Millis) {
        // A refusal is final: the server ends the connection, and that asks for a new sign-in.
        if matches!(failure, AuthFailure::Unavailable) {
            self.renew_at = Some(now.saturating_add(RENEW_AGAIN));
        }
    }

    /// The driver could not get a token.
    pub fn handle_auth_failed(&mut self, failure: AuthFailure, now: Millis) {
        if !matches!(self.phase, Phase::Authenticating) {
            return;
        }
        match failure {
            AuthFailure::Refused(error) => self.end(error, now),
            AuthFailure::Unavailable => self.wait(0, true, now),
        }
    }

    /// The socket stands.
    pub fn handle_connected(&mut self, now: Millis) {
        if !matches!(self.phase, Phase::Connecting) {
            return;
        }
        self.refusals = 0;
        let backoff = Backoff::fetch(self.next_seed());
        self.enter(Phase::Online(Online {
            since: now,
            heard: now,
            pinged: now,
            ready: false,
            listing: Listing::Asked {
                cursor: None,
                backoff,
            },
            restart_in: None,
        }));
        self.replicas
            .values_mut()
            .for_each(Replica::handle_connected);
        self.heard.clear();
        // Answers to questions of earlier connections don't count: a message may have come since.
        self.ticket += 1;
        self.ask_list(None);
    }

    /// The socket could not be opened.
    pub fn handle_connect_failed(&mut self, failure: ConnectFailure, now: Millis) {
        if !matches!(self.phase, Phase::Connecting) {
            return;
        }
        match failure {
            ConnectFailure::Unauthorized => self.renew_token(now),
            ConnectFailure::TooMany => self.wait(TOO_MANY_DELAY, false, now),
            ConnectFailure::Unavailable => self.wait(0, false, now),
        }
    }

    /// The socket is gone; `code` is that of the close frame, if there was one.
    pub fn handle_disconnected(&mut self, code: Option<u16>, now: Millis) {
        let Phase::Online(online) = &self.phase else {
            return;
        };
        let (since, restart_in) = (online.since, online.restart_in);
        self.leave_online(now);
        if now.saturating_sub(since) >= STABLE_AFTER {
            self.backoff.reset();
        }
        match code.and_then(CloseCode::from_u16) {
            Some(CloseCode::Replaced) => self.end(ErrorCode::ConnectionReplaced.into(), now),
            Some(CloseCode::TokenExpired) => self.renew_token(now),
            _ => match restart_in {
                Some(delay) => {
                    self.enter(Phase::Waiting {
                        until: now.saturating_add(delay),
                        authenticate: false,
                    });
                }
                None => self.wait(0, false, now),
            },
        }
    }

    /// Ends the session for good; what still waits is refused.
    pub fn close(&mut self, now: Millis) {
        let error = Error::new(ErrorCode::ServiceUnavailable, "The session was closed.");
        self.end(error, now);
    }

    /// When the next try to connect or to get tokens is made; `None` unless the session waits for
    /// it.
    pub const fn next_attempt(&self) -> Option<Millis> {
        match &self.phase {
            Phase::Waiting { until, .. } => Some(*until),
            _ => None,
        }
    }

    /// When [`poll_action`](Self::poll_action) will next have something to do by itself. Once that has been asked
    /// until it had nothing more, this lies in the future: a driver may sleep until then.
    pub fn poll_timeout(&self) -> Option<Millis> {
        let own = match &self.phase {
            Phase::Waiting { until, .. } => Some(*until),
            Phase::Online(online) => {
                let ping = online.pinged.saturating_add(self.options.ping_every);
                let dead = online.heard.saturating_add(self.options.dead_after);
                let retry = match online.listing {
                    Listing::RetryAt { at, .. } => at,
                    _ => Millis::MAX,
                };
                let renew = self.renew_at.unwrap_or(Millis::MAX);
                Some(ping.min(dead).min(retry).min(renew))
                    .min(self.fetch_timeout().or(Some(Millis::MAX)))
            }
            _ => None,
        };
        // Offline a message that is due goes nowhere: waking up for it would be waking up all the time.
        let outbox = if self.phase.is_online() {
            self.outbox.poll_timeout()
        } else {
            self.outbox.poll_expiry()
        };
        [own, outbox].into_iter().flatten().min()
    }

    pub(super) fn handle_timeout(&mut self, now: Millis) {
        while let Some(settled) = self.outbox.poll_expired(now) {
            self.refuse(settled);
        }
        match &mut self.phase {
            Phase::Waiting {
                until,
                authenticate,
            } if *until <= now => {
                if *authenticate {
                    self.authenticate();
                } else {
                    self.enter(Phase::Connecting);
                    self.actions.push_back(Action::Connect);
                }
            }
            Phase::Online(online) => {
                if now >= online.heard.saturating_add(self.options.dead_after) {
                    self.actions.push_back(Action::Disconnect);
                    self.handle_disconnected(None, now);
                    return;
                }
                if self.renew_at.is_some_and(|at| at <= now) {
                    self.renew_at = None;
                    self.actions.push_back(Action::RenewToken);
                }
                if let Listing::RetryAt {
                    cursor,
                    at,
                    backoff,
                } = &online.listing
                    && *at <= now
                {
                    let (cursor, backoff) = (cursor.clone(), backoff.clone());
                    online.listing = Listing::Asked {
                        cursor: cursor.clone(),
                        backoff,
                    };
                    self.ask_list(cursor);
                } else if now >= online.pinged.saturating_add(self.options.ping_every) {
                    online.pinged = now;
                    self.send_frame(&ClientFrame::Ping);
                }
            }
            _ => {}
        }
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        let before = self.phase.state();
        self.phase = phase;
        self.report_state(before);
    }

    pub(super) fn report_state(&mut self, before: State) {
        let state = self.state();
        if state != before {
            self.events.push_back(Event::State(state));
        }
    }

    /// Forgets what was meant for the socket that is gone.
    fn leave_online(&mut self, now: Millis) {
        if self.actions.contains(&Action::RenewToken) {
            self.renew_at = Some(now);
        }
        self.actions.retain(|action| *action == Action::Disconnect);
        self.outbox.handle_disconnected(now);
    }

    fn wait(&mut self, at_least: Millis, authenticate: bool, now: Millis) {
        let delay = self.backoff.next_delay().max(at_least);
        self.enter(Phase::Waiting {
            until: now.saturating_add(delay),
            authenticate,
        });
    }

    /// The first refusal of a token is answered at once with a new one; further ones wait.
    fn renew_token(&mut self, now: Millis) {
        self.refusals += 1;
        match self.refusals {
            1 => self.authenticate(),
            n if n < MAX_REFUSALS => self.wait(0, true, now),
            _ => self.end(ErrorCode::AuthFailed.into(), now),
        }
    }

    fn authenticate(&mut self) {
        self.enter(Phase::Authenticating);
        let renew = self.refusals > 0;
        self.actions.push_back(Action::Authenticate { renew });
    }

    fn end(&mut self, error: Error, now: Millis) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        self.actions.clear();
        if self.phase.is_online() {
            self.actions.push_back(Action::Disconnect);
        }
        for settled in self.outbox.cancel_all(now, &error) {
            self.refuse(settled);
        }
        self.events.push_back(Event::Error(error));
        self.enter(Phase::Closed);
    }
}
