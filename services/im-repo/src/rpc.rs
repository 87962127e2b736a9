//! Between the catalogue's results and tonic's.

use std::future::Future;

use gochat_core::error::{Error, Result};
use gochat_infra::port::db::{DbError, DbErrorKind};
use gochat_infra::rpc::status_from;
use tonic::{Response, Status};

/// Turns an outcome into an answer with error details.
pub(crate) async fn answer<T>(
    outcome: impl Future<Output = Result<T>>,
) -> Result<Response<T>, Status> {
    outcome
        .await
        .map(Response::new)
        .map_err(|error| status_from(&error))
}

/// The refusal behind a failed database call; what only operators can mend is logged.
pub(crate) fn failed(error: DbError) -> Error {
    if matches!(
        error.kind(),
        DbErrorKind::Unavailable | DbErrorKind::Internal
    ) {
        tracing::error!(%error, "database call failed");
    }
    error.into()
}

/// Implements a generated service by inherent methods of the same names, which take the
/// request message and return a `Result` with the catalogue's error.
macro_rules! serve {
    (impl $service:path => $server:ty { $($method:ident($request:ty) -> $response:ty;)* }) => {
        #[tonic::async_trait]
        impl $service for $server {
            $(
                async fn $method(
                    &self,
                    request: tonic::Request<$request>,
                ) -> Result<tonic::Response<$response>, tonic::Status> {
                    // Inherent methods win over the trait's.
                    $crate::rpc::answer(Self::$method(self, request.into_inner())).await
                }
            )*
        }
    };
}

pub(crate) use serve;
