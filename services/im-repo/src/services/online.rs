//! OnlineStatusService: which sockets a user has, and on which gateways.

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::{ConnId, UnixMillis, UserId};
use gochat_core::presence::{Edge, Registered, Session as Socket, TTL_MS};
use gochat_infra::port::presence::{Online, Removed, SessionRef};
use gochat_proto::im::repo::v1::{online_status_service_server::OnlineStatusService, *};

use crate::rpc::serve;
use crate::services::api;
use crate::{args, convert};

/// Longest name of a gateway or device, in characters.
const NAME_MAX: usize = 128;
/// Longest description of a client, in characters.
const CLIENT_INFO_MAX: usize = 1_000;
/// Most sessions a caller may allow a user.
const SESSIONS_MAX: usize = 100;
/// Most arrivals in one answer.
const ARRIVALS_MAX: u32 = 10_000;
/// Most sessions removed by one clean-up.
const CLEANUP_MAX: u32 = 10_000;

api!(
    /// Presence.
    OnlineApi
);

serve!(impl OnlineStatusService => OnlineApi {
    set_user_online(SetUserOnlineRequest) -> SetUserOnlineResponse;
    set_user_offline(SetUserOfflineRequest) -> SetUserOfflineResponse;
    get_user_online_status(GetUserOnlineStatusRequest) -> GetUserOnlineStatusResponse;
    get_users_online_status(GetUsersOnlineStatusRequest) -> GetUsersOnlineStatusResponse;
    update_heartbeat(UpdateHeartbeatRequest) -> UpdateHeartbeatResponse;
    cleanup_expired_status(CleanupExpiredStatusRequest) -> CleanupExpiredStatusResponse;
    list_online_gateways(ListOnlineGatewaysRequest) -> ListOnlineGatewaysResponse;
    set_users_online(SetUsersOnlineRequest) -> SetUsersOnlineResponse;
    set_users_offline(SetUsersOfflineRequest) -> SetUsersOfflineResponse;
    update_heartbeats(UpdateHeartbeatsRequest) -> UpdateHeartbeatsResponse;
    drop_gateway(DropGatewayRequest) -> DropGatewayResponse;
    list_arrivals(ListArrivalsRequest) -> ListArrivalsResponse;
});

fn gateway(text: &str) -> Result<Box<str>> {
    args::text(text, "gateway_id", NAME_MAX).map(Into::into)
}

/// A session as the wire names it: connection 0 means all of the user on that gateway.
fn session(user: &str, gateway_id: &str, conn_id: ConnId) -> Result<SessionRef> {
    Ok(SessionRef {
        user: args::user(user, "user_id")?,
        gateway: gateway(gateway_id)?,
        conn_id: (conn_id != 0).then_some(conn_id),
    })
}

/// One outcome of a batch of one.
fn only<T>(outcomes: Vec<T>) -> Result<T> {
    outcomes
        .into_iter()
        .next()
        .ok_or(Error::from(ErrorCode::Internal))
}

impl OnlineApi {
    fn online(&self, request: SetUserOnlineRequest, now: UnixMillis) -> Result<Online> {
        if request.conn_id == 0 {
            return Err(args::invalid("`conn_id` is missing."));
        }
        args::optional_text(&request.client_info, "client_info", CLIENT_INFO_MAX)?;
        args::optional_text(&request.device_id, "device_id", NAME_MAX)?;
        let limit = match usize::try_from(request.max_sessions) {
            Ok(0) | Err(_) => self.shared.config.sessions_per_user as usize,
            Ok(limit) => limit.min(SESSIONS_MAX),
        };
        let session = Socket {
            gateway: gateway(&request.gateway_id)?,
            conn_id: request.conn_id,
            device: (!request.device_id.is_empty()).then(|| request.device_id.into()),
            client_info: request.client_info.into(),
            since: args::millis_or_none(request.connected_at).unwrap_or(now),
            last_seen: now,
        };
        Ok(Online {
            user: args::user(&request.user_id, "user_id")?,
            session,
            limit,
            again: request.again,
        })
    }

    async fn statuses(&self, now: UnixMillis, users: &[UserId]) -> Result<Vec<OnlineStatus>> {
        let found = self.shared.presence.statuses(now, users).await?;
        let named = users.iter().zip(found);
        Ok(named
            .map(|(user, presence)| convert::online_status(*user, presence))
            .collect())
    }

    async fn set_user_online(
        &self,
        request: SetUserOnlineRequest,
    ) -> Result<SetUserOnlineResponse> {
        let now = self.shared.now();
        let online = self.online(request, now)?;
        let user = online.user;
        let outcome = only(self.shared.presence.set_online(now, vec![online]).await?)?;
        let mut answer = registered(outcome?);
        answer.status = Some(only(self.statuses(now, &[user]).await?)?);
        Ok(answer)
    }

    /// An entry whose user's connections replace each other too fast has `success = false`;
    /// statuses are left out, the caller knows what it registered.
    async fn set_users_online(
        &self,
        request: SetUsersOnlineRequest,
    ) -> Result<SetUsersOnlineResponse> {
        args::batch(request.sessions.len(), "sessions")?;
        let now = self.shared.now();
        let batch: Result<Vec<_>> = request
            .sessions
            .into_iter()
            .map(|session| self.online(session, now))
            .collect();
        let outcomes = self.shared.presence.set_online(now, batch?).await?;
        let results = outcomes.into_iter().map(|outcome| match outcome {
            Ok(outcome) => Ok(registered(outcome)),
            Err(refusal) if refusal.code == ErrorCode::RateLimited => Ok(Default::default()),
            Err(error) => Err(error),
        });
        Ok(SetUsersOnlineResponse {
            results: results.collect::<Result<_>>()?,
        })
    }

    async fn set_user_offline(
        &self,
        request: SetUserOfflineRequest,
    ) -> Result<SetUserOfflineResponse> {
        let target = session(&request.user_id, &request.gateway_id, request.conn_id)?;
        let outcomes = self
            .shared
            .presence
            .set_offline(self.shared.now(), vec![target])
            .await?;
        only(outcomes).map(removed)
    }

    async fn set_users_offline(
        &self,
        request: SetUsersOfflineRequest,
    ) -> Result<SetUsersOfflineResponse> {
        args::batch(request.sessions.len(), "sessions")?;
        let sessions = request.sessions.iter();
        let batch: Result<Vec<_>> = sessions
            .map(|s| session(&s.user_id, &s.gateway_id, s.conn_id))
            .collect();
        let outcomes = self
            .shared
            .presence
            .set_offline(self.shared.now(), batch?)
            .await?;
        Ok(SetUsersOfflineResponse {
            results: outcomes.into_iter().map(removed).collect(),
        })
    }

    async fn get_user_online_status(
        &self,
        request: GetUserOnlineStatusRequest,
    ) -> Result<GetUserOnlineStatusResponse> {
        let user = args::user(&request.user_id, "user_id")?;
        let status = only(self.statuses(self.shared.now(), &[user]).await?)?;
        Ok(GetUserOnlineStatusResponse {
            status: Some(status),
        })
    }

    pub(crate) async fn get_users_online_status(
        &self,
        request: GetUsersOnlineStatusRequest,
    ) -> Result<GetUsersOnlineStatusResponse> {
        let users = args::users(&request.user_ids, "user_ids")?;
        let statuses = self.statuses(self.shared.now(), &users).await?;
        Ok(GetUsersOnlineStatusResponse { statuses })
    }

    async fn update_heartbeat(
        &self,
        request: UpdateHeartbeatRequest,
    ) -> Result<UpdateHeartbeatResponse> {
        let target = session(&request.user_id, &request.gateway_id, request.conn_id)?;
        let now = self.shared.now();
        let success = only(self.shared.presence.heartbeat(now, vec![target]).await?)?;
        Ok(UpdateHeartbeatResponse {
            success,
            last_seen: convert::seconds(now),
        })
    }

    async fn update_heartbeats(
        &self,
        request: UpdateHeartbeatsRequest,
    ) -> Result<UpdateHeartbeatsResponse> {
        args::batch(request.sessions.len(), "sessions")?;
        let named = |s: &Session| session(&s.user_id, &request.gateway_id, s.conn_id);
        let batch: Result<Vec<_>> = request.sessions.iter().map(named).collect();
        let known = self
            .shared
            .presence
            .heartbeat(self.shared.now(), batch?)
            .await?;
        let updated = known.iter().filter(|known| **known).count();
        let unknown = request
            .sessions
            .into_iter()
            .zip(known)
            .filter(|(_, known)| !known);
        Ok(UpdateHeartbeatsResponse {
            updated_count: convert::count(updated),
            missing: unknown.map(|(session, _)| session).collect(),
        })
    }

    async fn cleanup_expired_status(
        &self,
        request: CleanupExpiredStatusRequest,
    ) -> Result<CleanupExpiredStatusResponse> {
        let ended = self.shared.now().saturating_sub(TTL_MS);
        let before = args::millis_or_none(request.expired_before).unwrap_or(ended);
        let limit = args::limit(request.batch_size, 1_000, CLEANUP_MAX);
        let gone = self.shared.presence.expire(before, limit as usize).await?;
        Ok(CleanupExpiredStatusResponse {
            cleaned_count: convert::count(gone.sessions),
            user_ids: gone.users.iter().map(ToString::to_string).collect(),
        })
    }

    async fn drop_gateway(&self, request: DropGatewayRequest) -> Result<DropGatewayResponse> {
        let name = gateway(&request.gateway_id)?;
        let before = (request.before_conn_id != 0).then_some(request.before_conn_id);
        let gone = self.shared.presence.drop_gateway(&name, before).await?;
        Ok(DropGatewayResponse {
            dropped_count: convert::count(gone.sessions),
            user_ids: gone.users.iter().map(ToString::to_string).collect(),
        })
    }

    pub(crate) async fn list_arrivals(
        &self,
        request: ListArrivalsRequest,
    ) -> Result<ListArrivalsResponse> {
        args::optional_text(&request.after, "after", NAME_MAX)?;
        let limit = args::limit(request.limit, 1_000, ARRIVALS_MAX);
        let found = self
            .shared
            .presence
            .arrivals(&request.after, limit as usize);
        let found = found.await?;
        let arrivals = found.list.into_iter().map(|arrival| Arrival {
            user_id: arrival.user.to_string(),
            gateway_id: arrival.gateway.into(),
            at_ms: convert::wide(arrival.at),
        });
        Ok(ListArrivalsResponse {
            arrivals: arrivals.collect(),
            next: found.next.into(),
            gap: found.gap,
        })
    }

    async fn list_online_gateways(
        &self,
        _: ListOnlineGatewaysRequest,
    ) -> Result<ListOnlineGatewaysResponse> {
        let gateways = self.shared.presence.gateways().await?;
        let gateway_ids = gateways.into_iter().map(String::from).collect();
        Ok(ListOnlineGatewaysResponse { gateway_ids })
    }
}

fn registered(outcome: Registered) -> SetUserOnlineResponse {
    let evicted = outcome.evicted.into_iter().map(|session| EvictedSession {
        gateway_id: session.gateway.into(),
        conn_id: session.conn_id,
        reason: "session_limit".to_owned(),
    });
    SetUserOnlineResponse {
        success: true,
        status: None,
        evicted: evicted.collect(),
        first_session: outcome.edge == Some(Edge::Online),
    }
}

fn removed(outcome: Removed) -> SetUserOfflineResponse {
    SetUserOfflineResponse {
        success: outcome.removed,
        still_online: outcome.still_online,
    }
}
