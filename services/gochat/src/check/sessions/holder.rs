//! An account with its sessions: requests in its name, all of them written down.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::history::{Act, Answer, History, Line, Nth, Request};
use super::token;
use crate::bench::api::never_sent;
use crate::check::disturbance::Millis;
use crate::check::load::{Control, Scene};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// Before the number of the sign-in, in the names of devices.
const DEVICE: &str = "session-";

/// Tokens of a session.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) nth: Nth,
    pub(super) sid: String,
    pub(super) access: String,
    /// When the access token expires.
    pub(super) expires: Millis,
    /// Refresh tokens with their generations, the newest last.
    pub(super) refresh: Vec<(u64, String)>,
    /// A refresh without an answer may still be on its way until then: no newer token is used
    /// before.
    pub(super) rests_until: Millis,
    /// As far as the account knows.
    pub(super) has_ended: bool,
}

/// What the tasks of an account share.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) history: History,
    pub(super) keys: Vec<Key>,
    pub(super) password: String,
    /// The password it has instead, perhaps.
    pub(super) other_password: Option<String>,
}

/// An account.
#[derive(Clone)]
pub(super) struct Holder {
    pub(super) scene: Arc<Scene>,
    pub(super) control: Arc<Control>,
    /// Time during which a request without an answer may still be carried out.
    pub(super) late: Millis,
    state: Arc<Mutex<State>>,
}

impl Holder {
    pub(super) fn new(
        scene: Arc<Scene>,
        control: Arc<Control>,
        late: Millis,
        account: String,
        password: String,
    ) -> Self {
        let history = History {
            account,
            ..History::default()
        };
        let state = State {
            history,
            password,
            ..State::default()
        };
        Self {
            scene,
            control,
            late,
            state: Arc::new(Mutex::new(state)),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new session; `false` when there was no clear answer.
    pub(super) async fn sign_in(&self, gate: usize) -> bool {
        let (nth, account, password, other) = {
            let mut state = self.state();
            state.history.sids.push(None);
            let nth = state.history.sids.len() - 1;
            let other = state.other_password.clone();
            (
                nth,
                state.history.account.clone(),
                state.password.clone(),
                other,
            )
        };
        let sure = other.is_none();
        let body = json!({ "username": account, "password": password, "device": format!("{DEVICE}{nth}") });
        let request = Request::SignIn { nth, sure };
        let call = (Method::POST, "/auth/login", Some(body));
        let (answer, data) = self.ask(gate, request, "", call).await;
        let mut state = self.state();
        if answer == Answer::WrongPassword
            && let Some(other) = other
        {
            let tried = std::mem::replace(&mut state.password, other);
            state.other_password = Some(tried);
        }
        let (Answer::Pair { .. }, Some((sid, access, refresh))) = (&answer, tokens(&data)) else {
            return false;
        };
        state.other_password = None;
        state.history.sids[nth] = Some(sid.clone());
        let expires = self.expires(&data);
        state.keys.push(Key {
            nth,
            sid,
            access,
            expires,
            refresh: vec![refresh],
            rests_until: 0,
            has_ended: false,
        });
        true
    }

    /// Presents a refresh token.
    pub(super) async fn refresh(
        &self,
        gate: usize,
        nth: Nth,
        (generation, text): (u64, String),
    ) -> Answer {
        let body = json!({ "refreshToken": text });
        let request = Request::Refresh(nth, generation);
        let call = (Method::POST, "/auth/refresh", Some(body));
        let (answer, data) = self.ask(gate, request, "", call).await;
        let (late, now) = (self.late, self.control.now());
        let expires = self.expires(&data);
        let mut state = self.state();
        if let Some(key) = state.keys.iter_mut().find(|key| key.nth == nth) {
            match &answer {
                Answer::Unknown => key.rests_until = now.saturating_add(late),
                Answer::Refused => key.has_ended = true,
                Answer::Pair { generation, .. } => {
                    let newest = key.refresh.last().map_or(0, |(newest, _)| *newest);
                    if let (true, Some((_, access, refresh))) =
                        (*generation > newest, tokens(&data))
                    {
                        (key.access, key.expires) = (access, expires);
                        key.refresh.push(refresh);
                    }
                }
                _ => {}
            }
        }
        answer
    }

    /// A request with the session's access token.
    pub(super) async fn with(
        &self,
        gate: usize,
        key: &Key,
        request: Request,
        call: (Method, &str, Option<Value>),
    ) -> Answer {
        let (answer, _) = self.ask(gate, request, &key.access, call).await;
        if answer == Answer::Refused {
            self.end(key.nth);
        }
        answer
    }

    /// Sessions that have not ended, as far as the account knows.
    pub(super) fn live(&self) -> Vec<Key> {
        let state = self.state();
        let live = state.keys.iter().filter(|key| !key.has_ended);
        live.cloned().collect()
    }

    pub(super) fn has_ended(&self, nth: Nth) -> bool {
        let state = self.state();
        state.keys.iter().any(|key| key.nth == nth && key.has_ended)
    }

    /// Whether no refresh of the session can still be on its way.
    pub(super) fn is_rested(&self, key: &Key) -> bool {
        key.rests_until <= self.control.now()
    }

    /// The id of a session.
    pub(super) fn sid(&self, nth: Nth) -> Option<String> {
        let state = self.state();
        let key = state.keys.iter().find(|key| key.nth == nth)?;
        Some(key.sid.clone())
    }

    /// Remembers that a session has ended.
    pub(super) fn end(&self, nth: Nth) {
        let mut state = self.state();
        let key = state.keys.iter_mut().find(|key| key.nth == nth);
        key.into_iter().for_each(|key| key.has_ended = true);
    }

    /// Writes down what was asked and answered.
    pub(super) fn note(&self, sent: Millis, gate: usize, request: Request, answer: Answer) {
        let act = Act {
            sent,
            heard: self.control.now(),
            gate: gate % self.scene.gates.len(),
            request,
            answer,
        };
        self.state().history.acts.push(act);
    }

    async fn ask(
        &self,
        gate: usize,
        request: Request,
        token: &str,
        (method, path, body): (Method, &str, Option<Value>),
    ) -> (Answer, Value) {
        let sent = self.control.now();
        let api = &self.scene.gate(gate).api;
        let call = api.once(method, path, token, body.as_ref());
        let (answer, data) = match timeout(PATIENCE, call).await {
            Ok(Ok((status, mut reply))) => (answer(request, status, &reply), reply["data"].take()),
            Ok(Err(error)) if never_sent(&*error) => (Answer::NotRun, Value::Null),
            _ => (Answer::Unknown, Value::Null),
        };
        self.note(sent, gate, request, answer.clone());
        (answer, data)
    }

    /// When an access token expires, on the clock of the run.
    fn expires(&self, data: &Value) -> Millis {
        let at = data["expiresIn"]
            .as_u64()
            .unwrap_or(0)
            .saturating_mul(1_000);
        at.saturating_sub(self.control.began_unix)
    }
}

/// Session, access token, and refresh token with its generation.
fn tokens(data: &Value) -> Option<(String, String, (u64, String))> {
    let access = data["accessToken"].as_str()?.to_owned();
    let refresh = data["refreshToken"].as_str()?.to_owned();
    let (sid, generation) = token::of(&refresh)?;
    Some((sid, access, (generation, refresh)))
}

/// What an answer means.
fn answer(request: Request, status: u16, reply: &Value) -> Answer {
    let (code, data) = (reply["code"].as_str().unwrap_or_default(), &reply["data"]);
    match (status, code) {
        (200 | 201, _) => match request {
            Request::SignIn { .. } | Request::Refresh(..) => match tokens(data) {
                Some((_, access, (generation, refresh))) => Answer::Pair {
                    generation,
                    digest: digest(&access, &refresh),
                },
                None => Answer::Unexpected("no tokens".to_owned()),
            },
            Request::List(_) => Answer::Sessions(lines(data)),
            _ => Answer::Done,
        },
        (401, "TOKEN_EXPIRED") if !matches!(request, Request::Refresh(..)) => Answer::NotRun,
        (401, "AUTH_INVALID_CREDENTIALS") => Answer::WrongPassword,
        (401, _) => Answer::Refused,
        (404, _) => Answer::Missing,
        (409 | 429, _) => Answer::NotRun,
        (500.., _) => Answer::Unknown,
        _ => Answer::Unexpected(format!("{status} {code}")),
    }
}

fn digest(access: &str, refresh: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (access, refresh).hash(&mut hasher);
    hasher.finish()
}

fn lines(data: &Value) -> Vec<Line> {
    let sessions = data["sessions"].as_array().into_iter().flatten();
    let line = |session: &Value| Line {
        sid: session["id"].as_str().unwrap_or_default().to_owned(),
        nth: session["device"]
            .as_str()
            .and_then(|device| device.strip_prefix(DEVICE)?.parse().ok()),
        current: session["current"] == true,
    };
    sessions.map(line).collect()
}
