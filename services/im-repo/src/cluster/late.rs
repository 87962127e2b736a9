//! gRPC services that come later than the port they are served on.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use tonic::service::Routes;
use tower::ServiceExt as _;

/// Answers `UNAVAILABLE` until [`set`](Self::set). Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct LateRoutes {
    there: Arc<OnceLock<Router>>,
}

impl LateRoutes {
    /// What to serve from the start.
    pub(super) fn routes(&self) -> Routes {
        let late = self.clone();
        let answer = move |request: Request<Body>| late.clone().answer(request);
        Routes::from(Router::new().fallback_service(tower::service_fn(answer)))
    }

    /// The services are there.
    pub(super) fn set(&self, routes: Routes) {
        // Only the first ones count: there is one start.
        let _ = self.there.set(routes.into_axum_router());
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        match self.there.get() {
            Some(router) => router.clone().oneshot(request).await,
            None => Ok(tonic::Status::unavailable("im-repo is starting").into_http()),
        }
    }
}

#[cfg(test)]
mod tests {
    use gochat_infra::rpc::Channel;
    use gochat_proto::im::repo::v1::SearchUsersByUsernameRequest;
    use gochat_proto::im::repo::v1::user_service_client::UserServiceClient;

    use super::*;

    #[tokio::test]
    async fn calls_before_the_services_are_there_say_come_back() {
        let late = LateRoutes::default();
        let mut client = UserServiceClient::new(Channel::in_process(late.routes()));
        let code = client
            .search_users_by_username(SearchUsersByUsernameRequest::default())
            .await;
        assert_eq!(code.unwrap_err().code(), tonic::Code::Unavailable);
        late.set(Routes::default());
        let code = client
            .search_users_by_username(SearchUsersByUsernameRequest::default())
            .await;
        assert_eq!(code.unwrap_err().code(), tonic::Code::Unimplemented);
    }
}
