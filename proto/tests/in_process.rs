//! A generated client calls a generated server in the same process, without a transport.
// Tests may panic: that is how they report.
#![allow(clippy::unwrap_used)]

use gochat_proto::im::gateway::v1::pusher_service_client::PusherServiceClient;
use gochat_proto::im::gateway::v1::pusher_service_server::{PusherService, PusherServiceServer};
use gochat_proto::im::gateway::v1::{PushToUsersRequest, PushToUsersResponse};
use tonic::{Request, Response, Status};

struct Echo;

#[tonic::async_trait]
impl PusherService for Echo {
    async fn push_to_users(
        &self,
        request: Request<PushToUsersRequest>,
    ) -> Result<Response<PushToUsersResponse>, Status> {
        let request = request.into_inner();
        if request.payload.is_empty() {
            return Err(Status::invalid_argument("the payload is empty"));
        }
        Ok(Response::new(PushToUsersResponse {
            delivered_user_ids: request.target_user_ids,
            ..Default::default()
        }))
    }
}

#[tokio::test]
async fn a_client_takes_a_server_as_its_channel() {
    let mut client = PusherServiceClient::new(PusherServiceServer::new(Echo));
    let request = PushToUsersRequest {
        target_user_ids: vec!["7".into()],
        payload: "{}".into(),
        ..Default::default()
    };
    let answer = client.push_to_users(request).await.unwrap().into_inner();
    assert_eq!(answer.delivered_user_ids, ["7"]);
}

#[tokio::test]
async fn a_refusal_arrives_as_its_status() {
    let mut client = PusherServiceClient::new(PusherServiceServer::new(Echo));
    let status = client
        .push_to_users(PushToUsersRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
}
