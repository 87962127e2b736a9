//! The gRPC services. One file per service; what a conversation can do is split by topic.
//!
//! Callers are other services that authenticated the user they name; every RPC judges for itself
//! what that user may do.

mod admin;
mod auth;
mod conversation;
mod friend;
mod group;
mod key;
mod message;
mod parse;
mod sync;
mod trail;

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use gochat_core::error::{Error, ErrorCode};
use gochat_infra::rpc::status_from;
use gochat_proto::im::logic::v1::admin_service_server::AdminServiceServer;
use gochat_proto::im::logic::v1::auth_service_server::AuthServiceServer;
use gochat_proto::im::logic::v1::conversation_service_server::ConversationServiceServer;
use gochat_proto::im::logic::v1::friend_service_server::FriendServiceServer;
use gochat_proto::im::logic::v1::group_service_server::GroupServiceServer;
use gochat_proto::im::logic::v1::key_service_server::KeyServiceServer;
use gochat_proto::im::logic::v1::message_service_server::MessageServiceServer;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::trace;

/// Largest request taken, in bytes.
const MAX_REQUEST_BYTES: usize = 10 << 20;

/// All services of im-logic.
pub(crate) fn routes(app: &Arc<App>) -> Routes {
    let app = || Arc::clone(app);
    Routes::new(AuthServiceServer::new(auth::Service(app())))
        .add_service(
            ConversationServiceServer::new(conversation::Service(app()))
                .max_decoding_message_size(MAX_REQUEST_BYTES),
        )
        .add_service(
            MessageServiceServer::new(message::Service(app()))
                .max_decoding_message_size(MAX_REQUEST_BYTES),
        )
        .add_service(FriendServiceServer::new(friend::Service(app())))
        .add_service(KeyServiceServer::new(key::Service(app())))
        .add_service(
            GroupServiceServer::new(group::Service(app()))
                .max_decoding_message_size(MAX_REQUEST_BYTES),
        )
}

/// What an operator may do; never part of a port that others than operators and services reach.
pub(crate) fn admin_routes(app: &Arc<App>) -> Routes {
    Routes::new(AdminServiceServer::new(admin::Service(Arc::clone(app))))
}

/// All services of im-logic and those of operators, for the internal port of a cluster.
pub(crate) fn routes_with_admin(app: &Arc<App>) -> Routes {
    routes(app).add_service(AdminServiceServer::new(admin::Service(Arc::clone(app))))
}

/// Runs one RPC: trace id, error mapping, metrics, and a log line for what is our fault.
async fn serve<Req, Res, F, Fut>(
    name: &'static str,
    request: Request<Req>,
    handle: F,
) -> Result<Response<Res>, Status>
where
    F: FnOnce(Req) -> Fut,
    Fut: Future<Output = Result<Res, Error>>,
{
    let trace_id = trace::of(request.metadata());
    let started = Instant::now();
    // Boxed: the futures of some calls are large, and each is moved several times on its way.
    let call = Box::pin(handle(request.into_inner()));
    let outcome = trace::scope(Arc::clone(&trace_id), call).await;
    let result = outcome
        .as_ref()
        .err()
        .map_or("OK", |error| error.code.code());
    metrics::counter!("gochat_logic_rpc_total", "rpc" => name, "result" => result).increment(1);
    let took = started.elapsed();
    metrics::histogram!("gochat_logic_rpc_seconds", "rpc" => name).record(took);
    sync::measured(name, took);
    match outcome {
        Ok(answer) => Ok(Response::new(answer)),
        Err(error) => {
            if error.code == ErrorCode::Internal {
                tracing::error!(rpc = name, trace_id = &*trace_id, %error, "a call failed");
            } else {
                tracing::debug!(rpc = name, trace_id = &*trace_id, %error, "a call was refused");
            }
            Err(status_from(&error))
        }
    }
}

/// Implements a generated service trait: each RPC is a function of the app and the message.
macro_rules! service {
    ($(#[$doc:meta])* $trait:path { $($rpc:ident($request:ident) -> $answer:ident = $function:path;)* }) => {
        $(#[$doc])*
        pub(super) struct Service(pub(super) std::sync::Arc<crate::app::App>);

        #[tonic::async_trait]
        impl $trait for Service {
            $(async fn $rpc(
                &self,
                request: tonic::Request<pb::$request>,
            ) -> Result<tonic::Response<pb::$answer>, tonic::Status> {
                let app = std::sync::Arc::clone(&self.0);
                crate::rpc::serve(stringify!($rpc), request, move |message| async move {
                    $function(&app, message).await
                })
                .await
            })*
        }
    };
}
use service;
