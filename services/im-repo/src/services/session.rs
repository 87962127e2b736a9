//! SessionService: sign-ins, their refresh tokens and their ends.
//!
//! The database is the truth and is asked every time: nothing about a session is cached.

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::UnixMillis;
use gochat_core::token::{EndReason, Policy, RefreshOutcome, Session, SessionId};
use gochat_infra::port::db::{
    EndSessions, EndedAfter, EndedSession as EndedRow, NewSession, RefreshSession, Which,
};
use gochat_proto::im::repo::v1::{session_service_server::SessionService, *};

use crate::rpc::{failed, serve};
use crate::services::api;
use crate::{args, convert};

/// Most ended sessions of a page.
const PAGE: u32 = 1_000;
/// Longest name of a device, in characters.
const DEVICE_MAX: usize = 64;
/// Longest description of a client, in characters.
const CLIENT_MAX: usize = 256;
/// Longest address, in characters.
const ADDRESS_MAX: usize = 64;

api!(
    /// Sessions.
    SessionApi
);

serve!(impl SessionService => SessionApi {
    create_session(CreateSessionRequest) -> CreateSessionResponse;
    refresh_session(RefreshSessionRequest) -> RefreshSessionResponse;
    get_session(GetSessionRequest) -> GetSessionResponse;
    list_sessions(ListSessionsRequest) -> ListSessionsResponse;
    end_sessions(EndSessionsRequest) -> EndSessionsResponse;
    list_ended_sessions(ListEndedSessionsRequest) -> ListEndedSessionsResponse;
});

/// A hex SHA-256. The form is checked, so that a token sent by mistake is never stored.
fn hash<'a>(text: &'a str, field: &str) -> Result<&'a str> {
    let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    if text.len() == 64 && text.bytes().all(hex) {
        Ok(text)
    } else {
        Err(args::invalid(format!(
            "`{field}` is not a SHA-256 in lower-case hex."
        )))
    }
}

/// A required time in milliseconds.
fn required(millis: i64, field: &str) -> Result<UnixMillis> {
    args::exact_millis(millis).ok_or_else(|| args::invalid(format!("`{field}` is missing.")))
}

fn wire(row: Session) -> SessionRow {
    SessionRow {
        session_id: row.id.to_string(),
        user_id: row.user.to_string(),
        device: row.device,
        client: row.client,
        address: row.address,
        created_at_ms: convert::wide(row.created_at),
        last_used_at_ms: convert::wide(row.last_used_at),
        expires_at_ms: convert::wide(row.expires_at),
        generation: convert::wide(row.generation),
        rotated_at_ms: convert::wide(row.rotated_at),
        refresh_hash: row.refresh_hash,
        ended_at_ms: row.ended.map_or(0, |end| convert::wide(end.at)),
        end_reason: row.ended.map_or(0, |end| end.reason as i32),
    }
}

fn row(session: SessionRow) -> Result<Session> {
    args::optional_text(&session.device, "device", DEVICE_MAX)?;
    args::optional_text(&session.client, "client", CLIENT_MAX)?;
    args::optional_text(&session.address, "address", ADDRESS_MAX)?;
    Ok(Session {
        id: args::session(&session.session_id, "session_id")?,
        user: args::user(&session.user_id, "user_id")?,
        created_at: required(session.created_at_ms, "created_at_ms")?,
        last_used_at: required(session.last_used_at_ms, "last_used_at_ms")?,
        expires_at: required(session.expires_at_ms, "expires_at_ms")?,
        generation: args::seq(session.generation, "generation")?,
        rotated_at: required(session.rotated_at_ms, "rotated_at_ms")?,
        refresh_hash: hash(&session.refresh_hash, "refresh_hash")?.to_owned(),
        device: session.device,
        client: session.client,
        address: session.address,
        ended: None,
    })
}

fn texts(ids: Vec<SessionId>) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

impl SessionApi {
    async fn create_session(&self, request: CreateSessionRequest) -> Result<CreateSessionResponse> {
        let session = request
            .session
            .ok_or_else(|| args::invalid("`session` is missing."))?;
        let version = args::seq(request.password_version, "password_version")?;
        let new = NewSession {
            session: row(session)?,
            password_version: (!request.without_password).then_some(version),
            cap: u32::try_from(request.cap)
                .ok()
                .filter(|cap| *cap > 0)
                .ok_or_else(|| args::invalid("`cap` must be above 0."))?,
            tokens_expire_at: self.shared.tokens_expire_at(request.tokens_expire_at_ms),
        };
        let evicted = self.shared.db.create_session(new).await.map_err(failed)?;
        Ok(CreateSessionResponse {
            evicted_session_ids: texts(evicted),
        })
    }

    async fn refresh_session(
        &self,
        request: RefreshSessionRequest,
    ) -> Result<RefreshSessionResponse> {
        args::optional_text(&request.address, "address", ADDRESS_MAX)?;
        let asked = RefreshSession {
            id: args::session(&request.session_id, "session_id")?,
            user: args::user(&request.user_id, "user_id")?,
            generation: args::seq(request.generation, "generation")?,
            now: required(request.now_ms, "now_ms")?,
            policy: Policy {
                repeat_ms: required(request.repeat_ms, "repeat_ms")?,
                refresh_ttl_ms: required(request.refresh_ttl_ms, "refresh_ttl_ms")?,
            },
            refresh_hash: hash(&request.refresh_hash, "refresh_hash")?.to_owned(),
            address: request.address,
            tokens_expire_at: self.shared.tokens_expire_at(request.tokens_expire_at_ms),
        };
        let outcome = self
            .shared
            .db
            .refresh_session(asked)
            .await
            .map_err(failed)?;
        let end_reason = match outcome {
            Some(RefreshOutcome::Reuse) => EndReason::Reuse as i32,
            Some(RefreshOutcome::Ended(reason)) => reason as i32,
            _ => 0,
        };
        let (verdict, to) = match outcome {
            None => (RefreshVerdict::Unknown, None),
            Some(RefreshOutcome::Rotated(to)) => (RefreshVerdict::Rotated, Some(to)),
            Some(RefreshOutcome::Repeat(to)) => (RefreshVerdict::Repeat, Some(to)),
            Some(RefreshOutcome::Reuse) => (RefreshVerdict::Reuse, None),
            Some(RefreshOutcome::Ended(_)) => (RefreshVerdict::Ended, None),
            Some(RefreshOutcome::Expired) => (RefreshVerdict::Expired, None),
        };
        Ok(RefreshSessionResponse {
            verdict: verdict as i32,
            generation: to.map_or(0, |to| convert::wide(to.generation)),
            rotated_at_ms: to.map_or(0, |to| convert::wide(to.rotated_at)),
            end_reason,
        })
    }

    async fn get_session(&self, request: GetSessionRequest) -> Result<GetSessionResponse> {
        let id = args::session(&request.session_id, "session_id")?;
        let found = self.shared.db.session(id).await.map_err(failed)?;
        let found = found.ok_or(Error::from(ErrorCode::NotFound))?;
        Ok(GetSessionResponse {
            session: Some(wire(found)),
        })
    }

    async fn list_sessions(&self, request: ListSessionsRequest) -> Result<ListSessionsResponse> {
        let user = args::user(&request.user_id, "user_id")?;
        let now = self.shared.now();
        let rows = self
            .shared
            .db
            .sessions_of(user, now)
            .await
            .map_err(failed)?;
        Ok(ListSessionsResponse {
            sessions: rows.into_iter().map(wire).collect(),
        })
    }

    async fn end_sessions(&self, request: EndSessionsRequest) -> Result<EndSessionsResponse> {
        let one = args::session_or_none(&request.session_id, "session_id")?;
        let but = args::session_or_none(&request.except_session_id, "except_session_id")?;
        let which = match (one, but) {
            (Some(one), None) => Which::One(one),
            (None, Some(but)) => Which::AllBut(but),
            (None, None) => Which::All,
            (Some(_), Some(_)) => {
                return Err(args::invalid(
                    "`session_id` and `except_session_id` exclude each other.",
                ));
            }
        };
        let asked = EndSessions {
            user: args::user(&request.user_id, "user_id")?,
            which,
            reason: EndReason::from_i32(request.reason)
                .ok_or_else(|| args::invalid("There is no such `reason`."))?,
            now: args::exact_millis(request.now_ms).unwrap_or_else(|| self.shared.now()),
            tokens_expire_at: self.shared.tokens_expire_at(request.tokens_expire_at_ms),
        };
        let ended = self.shared.db.end_sessions(asked).await.map_err(failed)?;
        Ok(EndSessionsResponse {
            session_ids: texts(ended),
        })
    }

    async fn list_ended_sessions(
        &self,
        request: ListEndedSessionsRequest,
    ) -> Result<ListEndedSessionsResponse> {
        let after = parse_cursor(&request.cursor)?;
        let limit = args::limit(request.limit, PAGE, PAGE);
        let now = self.shared.now();
        let rows = self
            .shared
            .db
            .ended_sessions(now, after, limit)
            .await
            .map_err(failed)?;
        let next_cursor = match rows.last() {
            Some(last) if rows.len() >= limit as usize => format!("{}:{}", last.ended_at, last.id),
            _ => String::new(),
        };
        Ok(ListEndedSessionsResponse {
            sessions: rows.into_iter().map(ended).collect(),
            next_cursor,
        })
    }
}

fn ended(row: EndedRow) -> EndedSession {
    EndedSession {
        session_id: row.id.to_string(),
        user_id: row.user.to_string(),
        ended_at: convert::seconds(row.ended_at),
        // A started second counts: an entry is kept rather too long than too short.
        expires_at: convert::seconds(row.expires_at).saturating_add(1),
    }
}

fn parse_cursor(text: &str) -> Result<Option<EndedAfter>> {
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = text.split_once(':').and_then(|(at, id)| {
        Some(EndedAfter {
            ended_at: at.parse().ok().filter(|at| i64::try_from(*at).is_ok())?,
            id: id.parse().ok()?,
        })
    });
    parsed
        .map(Some)
        .ok_or_else(|| args::invalid("`cursor` was not given by this service."))
}
