//! Asks an instance how it is.

use std::time::Duration;

use tokio::time::timeout;
use tonic::body::Body;
use tonic::{Code, Request};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::service_fn;

use super::connect::Sender;
use super::endpoint::Endpoint;

/// For one check.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the instance says it serves. One that does not know the health service answered, which is enough.
pub(super) async fn serves(endpoint: &Endpoint, sender: &Sender) -> bool {
    let call = service_fn(|request: http::Request<Body>| {
        let (request, mut sender) = (endpoint.addressed(request), sender.clone());
        async move { sender.send_request(request).await }
    });
    let mut client = HealthClient::new(call);
    let asked = client.check(Request::new(HealthCheckRequest::default()));
    match timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => answer.get_ref().status == ServingStatus::Serving as i32,
        Ok(Err(status)) => matches!(status.code(), Code::Unimplemented | Code::NotFound),
        Err(_) => false,
    }
}
