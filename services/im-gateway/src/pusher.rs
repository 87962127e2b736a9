//! Signals to users: on the sockets of this gateway, and once more on other gateways.

use std::collections::BTreeMap;

use bytes::Bytes;
use gochat_core::audience::Audience;
use gochat_core::error::{Error, ErrorCode};
use gochat_core::ids::UserId;
use gochat_core::signal::Signal;
use gochat_infra::rpc::{status_from, with_retry};
use gochat_proto::im::gateway::v1::pusher_service_client::PusherServiceClient;
use gochat_proto::im::gateway::v1::pusher_service_server::{PusherService, PusherServiceServer};
use gochat_proto::im::gateway::v1::{FailedUser, PushToUsersRequest, PushToUsersResponse};
use gochat_proto::im::repo::v1::{EvictedSession, GetUsersOnlineStatusRequest};
use serde::{Deserialize, Serialize};
use tonic::{Request, Response, Status};

use crate::clock;
use crate::frames;
use crate::metrics as names;
use crate::presence;
use crate::state::Gw;

/// Attempts to tell another gateway about a replaced connection.
const TELL_ATTEMPTS: u32 = 4;

/// Users in one call, as the contract says.
const MAX_USERS: usize = 1_000;

/// The payload of [`Signal::SessionReplaced`]. Text, because JSON numbers lose the low bits.
#[derive(Serialize, Deserialize)]
struct Replaced {
    conn_id: String,
}

/// Serves `PusherService` for one gateway.
#[derive(Clone)]
pub(crate) struct Pusher(Gw);

impl Pusher {
    pub(crate) fn service(gw: Gw) -> PusherServiceServer<Self> {
        PusherServiceServer::new(Self(gw))
    }
}

#[tonic::async_trait]
impl PusherService for Pusher {
    async fn push_to_users(
        &self,
        request: Request<PushToUsersRequest>,
    ) -> Result<Response<PushToUsersResponse>, Status> {
        let request = request.into_inner();
        push(&self.0, request)
            .await
            .map(Response::new)
            .map_err(|e| status_from(&e))
    }
}

async fn push(gw: &Gw, request: PushToUsersRequest) -> Result<PushToUsersResponse, Error> {
    if request.target_user_ids.len() > MAX_USERS {
        return Err(Error::new(
            ErrorCode::InvalidParams,
            "At most 1000 users per call.",
        ));
    }
    let mut outcome = PushToUsersResponse::default();
    if request.expire_at != 0 && request.expire_at < clock::now_s() {
        names::dropped("expired", request.target_user_ids.len() as u64);
        return Ok(outcome);
    }
    let signal = Signal::from_name(&request.signal_type)
        .ok_or_else(|| Error::new(ErrorCode::InvalidParams, "Unknown signal type."))?;
    if signal == Signal::SessionReplaced {
        replace_local(gw, &request);
        outcome.delivered_user_ids = request.target_user_ids;
        return Ok(outcome);
    }
    let timestamp = if request.timestamp == 0 {
        clock::now_s()
    } else {
        request.timestamp
    };
    let frame = frames::signal(signal, &request.payload, timestamp)?;
    for id in &request.target_user_ids {
        // The audience was made by the service that calls: im-task, or another gateway.
        let local = id.parse().is_ok_and(|user| deliver(gw, user, &frame));
        if local {
            outcome.delivered_user_ids.push(id.clone());
        } else {
            outcome.offline_user_ids.push(id.clone());
        }
    }
    if !request.forwarded && !gw.peers.is_alone() {
        // Also those who were reached here: their other devices may be anywhere.
        let users = request.target_user_ids.clone();
        forward(gw, request, users, &mut outcome).await;
    }
    Ok(one_fate_each(outcome))
}

/// Names every user once: reached on one gateway is reached, and failed is more than offline.
fn one_fate_each(mut outcome: PushToUsersResponse) -> PushToUsersResponse {
    let PushToUsersResponse {
        delivered_user_ids: delivered,
        offline_user_ids: offline,
        failed,
    } = &mut outcome;
    delivered.sort_unstable();
    delivered.dedup();
    failed.sort_unstable_by(|a, b| a.user_id.cmp(&b.user_id));
    failed.dedup_by(|a, b| a.user_id == b.user_id);
    failed.retain(|f| delivered.binary_search(&f.user_id).is_err());
    offline.sort_unstable();
    offline.dedup();
    offline.retain(|user| {
        delivered.binary_search(user).is_err()
            && failed
                .binary_search_by(|f| f.user_id.as_str().cmp(user))
                .is_err()
    });
    outcome
}

/// Puts a frame on every socket of an audience that this gateway holds, and has other gateways do
/// the same.
pub(crate) async fn tell(gw: &Gw, audience: &Audience, frame: &Bytes, request: PushToUsersRequest) {
    for user in audience.users() {
        deliver(gw, *user, frame);
    }
    if !gw.peers.is_alone() {
        let users = audience.users().iter().map(UserId::to_string).collect();
        forward(gw, request, users, &mut PushToUsersResponse::default()).await;
    }
}

/// Puts a frame on every socket of a user; false when the user has none here.
fn deliver(gw: &Gw, user: UserId, frame: &Bytes) -> bool {
    let conns = gw.table.of_user(user);
    let delivered = conns.iter().filter(|conn| gw.send(conn, frame)).count();
    names::add(names::DELIVERED, delivered);
    delivered > 0
}

/// Looks users up and forwards one call per other gateway that holds some of them. A user may be named
/// in several lists of the outcome then.
async fn forward(
    gw: &Gw,
    request: PushToUsersRequest,
    users: Vec<String>,
    outcome: &mut PushToUsersResponse,
) {
    if users.is_empty() {
        return;
    }
    let lookup = GetUsersOnlineStatusRequest {
        user_ids: users.clone(),
    };
    let statuses = match gw.backend.get_users_online_status(lookup).await {
        Ok(response) => response.statuses,
        Err(error) => {
            return outcome
                .failed
                .extend(users.iter().map(|u| failed(u, &error)));
        }
    };
    let mut by_gateway = BTreeMap::<String, Vec<String>>::new();
    for (user, status) in users.iter().zip(statuses) {
        let others = status.gateway_ids.into_iter().filter(|id| **id != *gw.id);
        let mut known = false;
        for gateway in others {
            known = true;
            by_gateway.entry(gateway).or_default().push(user.clone());
        }
        if !known {
            outcome.offline_user_ids.push(user.clone());
        }
    }
    let calls = by_gateway.into_iter().map(|(gateway, users)| {
        let request = PushToUsersRequest {
            target_user_ids: users.clone(),
            forwarded: true,
            ..request.clone()
        };
        async move { (users, call_peer(gw, &gateway, request).await) }
    });
    for (users, answer) in futures_util::future::join_all(calls).await {
        match answer {
            Ok(answer) => {
                outcome.delivered_user_ids.extend(answer.delivered_user_ids);
                outcome.offline_user_ids.extend(answer.offline_user_ids);
                outcome.failed.extend(answer.failed);
            }
            Err(error) => outcome
                .failed
                .extend(users.iter().map(|u| failed(u, &error))),
        }
    }
}

async fn call_peer(
    gw: &Gw,
    gateway: &str,
    request: PushToUsersRequest,
) -> Result<PushToUsersResponse, Error> {
    let channel = gw
        .peers
        .channel(gateway)
        .ok_or(ErrorCode::ServiceUnavailable)?;
    let client = PusherServiceClient::new(channel);
    let trace = request.trace_id.clone();
    gw.backend
        .call(&client, &trace, request, |mut c, r| async move {
            c.push_to_users(r).await
        })
        .await
}

fn failed(user: &str, error: &Error) -> FailedUser {
    FailedUser {
        user_id: user.to_owned(),
        reason: error.message.clone().into_owned(),
        error_code: error.code.number(),
    }
}

/// Tells another gateway that one of its connections lost its place.
pub(crate) async fn replace_remote(gw: &Gw, user: UserId, evicted: EvictedSession) {
    let payload = Replaced {
        conn_id: evicted.conn_id.to_string(),
    };
    let gateway = &*evicted.gateway_id;
    let request = PushToUsersRequest {
        trace_id: crate::upstream::new_trace(),
        target_user_ids: vec![user.to_string()],
        signal_type: Signal::SessionReplaced.name().to_owned(),
        payload: serde_json::to_vec(&payload).unwrap_or_default().into(),
        timestamp: clock::now_s(),
        forwarded: true,
        expire_at: 0,
    };
    let told = with_retry(TELL_ATTEMPTS, || call_peer(gw, gateway, request.clone()));
    if let Err(error) = told.await {
        // That gateway may be gone. If it isn't, its next heartbeat learns that the session has no place.
        tracing::info!(%error, gateway, "a replaced session could not be told");
    }
}

fn replace_local(gw: &Gw, request: &PushToUsersRequest) {
    let conn_id = serde_json::from_slice::<Replaced>(&request.payload)
        .ok()
        .and_then(|payload| payload.conn_id.parse().ok());
    let Some(conn_id) = conn_id else { return };
    for user in request
        .target_user_ids
        .iter()
        .filter_map(|id| id.parse().ok())
    {
        presence::replace(gw, user, conn_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reached_somewhere_is_reached_and_failed_is_more_than_offline() {
        let ids = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        let failed = |user: &str| FailedUser {
            user_id: user.to_owned(),
            ..Default::default()
        };
        let told = one_fate_each(PushToUsersResponse {
            delivered_user_ids: ids(&["1", "2", "1"]),
            offline_user_ids: ids(&["1", "3", "4", "3"]),
            failed: vec![failed("2"), failed("4"), failed("4")],
        });
        assert_eq!(told.delivered_user_ids, ["1", "2"]);
        assert_eq!(told.offline_user_ids, ["3"]);
        assert_eq!(told.failed, [failed("4")]);
    }
}
